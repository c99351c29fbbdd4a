"""What `hilum.__all__` lists is what there is, and it is all documented."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import hilum


def test_all_names_load_and_are_listed_once() -> None:
    assert len(set(hilum.__all__)) == len(hilum.__all__)
    for name in hilum.__all__:
        assert getattr(hilum, name) is not None, name
        assert name in dir(hilum)


def test_lazy_names_are_public() -> None:
    assert set(hilum._HOME) <= set(hilum.__all__)
    public = {name for name in vars(hilum) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(hilum, name))}
    assert public - modules - set(hilum.__all__) <= {"TYPE_CHECKING", "Any", "annotations"}


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hilum.nothing  # noqa: B018


@pytest.mark.parametrize("name", hilum.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(hilum, name)
    assert inspect.getdoc(value), name
    if inspect.isclass(value):
        for member, found in vars(value).items():
            if not member.startswith("_") and (inspect.isfunction(found) or isinstance(found, property)):
                assert inspect.getdoc(found), f"{name}.{member}"


def test_import_is_light() -> None:
    """`import hilum` loads neither NumPy nor pydicom: the command line has to start quickly."""
    code = "import sys, hilum; print([m for m in ('numpy', 'pydicom', 'lmdb', 'rich') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
