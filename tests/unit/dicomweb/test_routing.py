from __future__ import annotations

import pytest

from hilum.dicomweb.openapi import paths
from hilum.dicomweb.routing import ROUTES, match, parse_frames
from hilum.errors import NotFound, UsageError

VALUES = {"study": "1.2", "series": "1.3", "instance": "1.4", "frames": "1,2", "path": "7FE00010"}


@pytest.mark.parametrize("endpoint", ROUTES, ids=lambda e: e.template)
def test_every_route_is_matched(endpoint: object) -> None:
    template = endpoint.template  # type: ignore[attr-defined]
    path = template.format(**VALUES)
    for spelt in (path, path + "/") if "{path}" not in template else (path,):
        found = match(spelt)
        assert found.endpoint is endpoint
        for name, value in VALUES.items():
            assert getattr(found, name) == (value if f"{{{name}}}" in template else "")


def test_every_route_is_in_the_openapi_document() -> None:
    assert set(paths("/dicom-web")) == {"/dicom-web" + endpoint.template for endpoint in ROUTES}


def test_bulk_data_paths_are_nested() -> None:
    assert match("/studies/1/series/2/instances/3/bulkdata/00400275/1/00080050").path == "00400275/1/00080050"


@pytest.mark.parametrize(
    "path", ["/", "", "/study", "/studies/1/2", "/studies/1/series/2/frames/1", "//studies", "/studies//series"]
)
def test_unknown_paths(path: str) -> None:
    with pytest.raises((NotFound, UsageError)):
        match(path)


@pytest.mark.parametrize("value", ["SMITH", "1.2.3'", "1" * 65, "..%00", "1/..", "１"])
def test_uids_that_cannot_be(value: str) -> None:
    with pytest.raises((NotFound, UsageError)) as caught:
        match(f"/studies/{value}/series")
    assert value not in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("1", [1]), ("3,1,2", [3, 1, 2]), ("0007", [7])])
def test_frame_lists(text: str, expected: list[int]) -> None:
    assert parse_frames(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1,", ",1", "1,,2", "1-3", "x", "1 ", "9" * 30, "1," * 70000 + "1", "１"]
)
def test_frame_lists_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        parse_frames(text)
