"""Image requests of the IIIF Image API 3.0: the examples of its section 4, and what has to be refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.dicomweb.iiif import MAX_AREA, MAX_SIDE, information, parse_image_request
from hilum.errors import UsageError

if TYPE_CHECKING:
    from hilum.archive.pyramid import Pyramid


def image(columns: int = 300, rows: int = 200, tile: int = 512) -> Pyramid:
    return cast("Pyramid", SimpleNamespace(columns=columns, rows=rows, tile=(tile, tile)))


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("full", (0, 0, 300, 200)),
        ("square", (50, 0, 200, 200)),
        ("125,15,120,140", (125, 15, 120, 140)),
        ("pct:41.6,7.5,40,70", (125, 15, 120, 140)),
        ("125,15,200,200", (125, 15, 175, 185)),
        ("pct:41.6,7.5,66.6,100", (125, 15, 175, 185)),
    ],
)
def test_regions(text: str, region: tuple[int, ...]) -> None:
    assert parse_image_request(image(), text, "max", "0", "default").region == region


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("max", (300, 200)),
        ("150,", (150, 100)),
        (",150", (225, 150)),
        ("pct:50", (150, 100)),
        ("225,100", (225, 100)),
        ("!225,100", (150, 100)),
        ("!1000,1000", (300, 200)),
        ("^360,", (360, 240)),
        ("^,240", (360, 240)),
        ("^pct:120", (360, 240)),
        ("^360,360", (360, 360)),
        ("^!360,360", (360, 240)),
        ("^max", (10033, 6688)),
    ],
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    found = parse_image_request(image(), "full", text, "0", "default").size
    assert found == size
    assert found[0] * found[1] <= MAX_AREA


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("0", (False, 0)),
        ("90", (False, 1)),
        ("180.0", (False, 2)),
        ("270", (False, 3)),
        ("!0", (True, 0)),
        ("!180", (True, 2)),
        ("360", (False, 0)),
    ],
)
def test_rotations(text: str, turned: tuple[bool, int]) -> None:
    found = parse_image_request(image(), "full", "max", text, "gray")
    assert (found.mirrored, found.quarters) == turned


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (("10,20", "max", "0", "default"), "region"),
        (("-1,0,10,10", "max", "0", "default"), "region"),
        (("300,0,10,10", "max", "0", "default"), "no pixel"),
        (("0,0,0,10", "max", "0", "default"), "no pixel"),
        (("pct:0,0,0,0", "max", "0", "default"), "no pixel"),
        (("pct:101,0,10,10", "max", "0", "default"), "no pixel"),
        (("full", "full", "0", "default"), "size"),
        (("full", "301,", "0", "default"), "enlarge"),
        (("full", "pct:101", "0", "default"), "enlarge"),
        (("full", "0,", "0", "default"), "at least one"),
        (("full", "!,10", "0", "default"), "width and a height"),
        (("full", ",", "0", "default"), "size"),
        (("full", f"^{MAX_SIDE + 1},1", "0", "default"), "above"),
        (("full", "^30000,30000", "0", "default"), "above"),
        (("full", "max", "45", "default"), "0, 90, 180 and 270"),
        (("full", "max", "361", "default"), "0 to 360"),
        (("full", "max", "-90", "default"), "0 to 360"),
        (("full", "max", "nan", "default"), "0 to 360"),
        (("full", "max", "0", "native"), "quality"),
    ],
)
def test_refused(parameters: tuple[str, str, str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_image_request(image(), *parameters)


@given(
    st.integers(1, 200_000),
    st.integers(1, 200_000),
    st.text("0123456789,!^pctmax:.full", max_size=24),
    st.text("0123456789,pct:.squarefl", max_size=24),
)
def test_whatever_is_taken_is_inside_and_bounded(columns: int, rows: int, size: str, region: str) -> None:
    try:
        found = parse_image_request(image(columns, rows), region, size, "0", "default")
    except UsageError:
        return
    x, y, wide, high = found.region
    assert 0 <= x < x + wide <= columns
    assert 0 <= y < y + high <= rows
    assert min(found.size) >= 1
    assert found.size[0] * found.size[1] <= MAX_AREA


def test_every_tile_and_size_that_is_announced_can_be_asked_for() -> None:
    slide = image(100_000, 70_001, 256)
    document: dict[str, Any] = information(slide, "http://host/iiif/3/1.2")
    (tiles,) = document["tiles"]
    for factor in tiles["scaleFactors"]:
        side = 256 * factor
        x, y = (columns // side * side for columns in (slide.columns - 1, slide.rows - 1))
        wide, high = min(side, slide.columns - x), min(side, slide.rows - y)
        asked = f"{-(-wide // factor)},{-(-high // factor)}"
        found = parse_image_request(slide, f"{x},{y},{side},{side}", asked, "0", "default")
        assert found.region == (x, y, wide, high)
    for size in document["sizes"]:
        parse_image_request(slide, "full", f"{size['width']},{size['height']}", "0", "default")
    assert document["sizes"][0] == {"width": 196, "height": 137}
