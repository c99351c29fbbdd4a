"""The validator of the IIIF Image API (``iiif-validator`` of PyPI) against a running server, level 2 of version 3.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from slides import ROOT, write_slide

import hilum

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import LiveServer

pytestmark = pytest.mark.xdist_group("live_server")

MISTAKEN = "size_noup"
"""Wants an error for ``!2000,3000``, which is answered as large as the region is (section 4.2)."""


def test_validator_finds_nothing(
    tmp_path_factory: pytest.TempPathFactory, serve_module: Callable[..., LiveServer]
) -> None:
    validator = pytest.importorskip("iiif_validator.validator", reason="needs iiif-validator, bottle and python-magic")
    folder = tmp_path_factory.mktemp("validator")
    colours = np.array(validator.ValidationInfo().colorInfo, np.uint8).transpose(1, 0, 2)
    (folder / "in").mkdir()
    write_slide(folder / "in" / "squares.dcm", colours.repeat(100, axis=0).repeat(100, axis=1), tile=256)
    with hilum.open(folder / "archive") as archive:
        assert archive.import_paths([folder / "in"]).ok
    served = serve_module(folder / "archive", HILUM__HTTP__CORS_ORIGINS="*")
    suite = validator.TestSuite(validator.ValidationInfo())
    names = [name for name, test in suite.list_tests("3.0").items() if test["level"] <= 2 and name != MISTAKEN]
    assert len(names) > 30
    failed = {}
    for name in names:
        result = validator.ImageAPI(f"{ROOT}.1.1", served.url.removeprefix("http://"), "iiif/3", "http", "", "3.0")
        validator.TestSuite(validator.ValidationInfo()).run_test(name, result)
        if result.exception is not None:
            failed[name] = (result.urls[-1:], str(result.exception))
    assert failed == {}
