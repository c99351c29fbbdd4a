"""The words of the IIIF Image API 3.0 (https://iiif.io/api/image/3.0/): what an image request asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import UsageError

if TYPE_CHECKING:
    from hilum.archive.plane_tiles import PlaneImage
    from hilum.archive.pyramid import Pyramid, Region

__all__ = ["MAX_AREA", "ImageRequest", "information", "parse_image_request"]

MAX_AREA: Final = 1 << 26
"""Pixels of the largest answer."""
MAX_SIDE: Final = 1 << 15
_NUMBER: Final = r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_REGION: Final = re.compile(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})")
_PERCENT_REGION: Final = re.compile(rf"pct:{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}")
_PERCENT: Final = re.compile(rf"pct:{_NUMBER}")
_SIDES: Final = re.compile(r"(!?)(\d{0,9}),(\d{0,9})")
_ROTATION: Final = re.compile(rf"(!?){_NUMBER}")
_QUALITIES: Final = ("default", "color", "gray", "bitonal")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One image request, in pixels."""

    region: Region
    size: tuple[int, int]
    """Columns and rows before the rotation."""
    mirrored: bool
    """Left and right are exchanged, before the rotation."""
    quarters: int
    """Clockwise rotation in quarter turns, 0 to 3."""
    quality: str
    """``"default"``, ``"color"``, ``"gray"`` or ``"bitonal"``."""


def parse_image_request(
    pyramid: Pyramid | PlaneImage, region: str, size: str, rotation: str, quality: str
) -> ImageRequest:
    """Read the four parameters of an image request (section 4).

    Parameters
    ----------
    pyramid : Pyramid or PlaneImage
        The image.
    region, size, rotation, quality : str
        As in the path, percent escapes decoded.

    Raises
    ------
    UsageError
        A parameter is malformed, asks for something outside of the image, for more than the limits, or for a rotation
        that is no quarter turn.
    """
    part = _region(region, pyramid.columns, pyramid.rows)
    mirrored, quarters = _rotation(rotation)
    if quality not in _QUALITIES:
        raise UsageError(f"the quality must be one of {', '.join(_QUALITIES)}")
    return ImageRequest(part, _size(size, part), mirrored, quarters, quality)


def _region(text: str, columns: int, rows: int) -> Region:
    if text == "full":
        return 0, 0, columns, rows
    if text == "square":
        side = min(columns, rows)
        return (columns - side) // 2, (rows - side) // 2, side, side
    found = _REGION.fullmatch(text)
    if found is not None:
        x, y, wide, high = map(int, found.groups())
    else:
        found = _PERCENT_REGION.fullmatch(text)
        if found is None:
            raise UsageError("the region must be full, square, x,y,w,h or pct:x,y,w,h")
        shares = [float(share) / 100 for share in found.groups()]
        x, y = round(shares[0] * columns), round(shares[1] * rows)
        wide, high = round(shares[2] * columns), round(shares[3] * rows)
    if wide < 1 or high < 1 or x >= columns or y >= rows:
        raise UsageError("the region has no pixel of the image")
    return x, y, min(wide, columns - x), min(high, rows - y)


def _size(text: str, region: Region) -> tuple[int, int]:
    enlarging = text.startswith("^")
    wanted = text.removeprefix("^")
    columns, rows = region[2:]
    percent = _PERCENT.fullmatch(wanted)
    sides = _SIDES.fullmatch(wanted)
    if wanted == "max":
        factor = min(MAX_SIDE / max(columns, rows), (MAX_AREA / (columns * rows)) ** 0.5)
        factor = factor if enlarging else min(1.0, factor)
        size = (int(columns * factor), int(rows * factor)) if factor != 1.0 else (columns, rows)
    elif percent is not None:
        share = float(percent[1]) / 100
        size = round(columns * share), round(rows * share)
    elif sides is not None and (sides[2] or sides[3]):
        size = _from_sides(bool(sides[1]), sides[2], sides[3], columns, rows, enlarging=enlarging)
    else:
        raise UsageError("the size must be max, w, or ,h or w,h or !w,h or pct:n, with ^ before it to enlarge")
    if min(size) < 1:
        raise UsageError("the size must be at least one pixel wide and high")
    if not enlarging and (size[0] > columns or size[1] > rows):
        raise UsageError("the size is larger than the region; write ^ before it to enlarge")
    if max(size) > MAX_SIDE or size[0] * size[1] > MAX_AREA:
        raise UsageError(f"the size is above {MAX_SIDE} pixels a side or {MAX_AREA} in all")
    return size


def _from_sides(confined: bool, wide: str, high: str, columns: int, rows: int, *, enlarging: bool) -> tuple[int, int]:
    if wide and high:
        if not confined:
            return int(wide), int(high)
        factor = min(int(wide) / columns, int(high) / rows)
        if not enlarging:
            factor = min(1.0, factor)
        return max(1, round(columns * factor)), max(1, round(rows * factor))
    if confined:
        raise UsageError("a size after ! has a width and a height")
    if wide:
        return int(wide), max(1, round(rows * int(wide) / columns)) if int(wide) else 0
    return max(1, round(columns * int(high) / rows)) if int(high) else 0, int(high)


def _rotation(text: str) -> tuple[bool, int]:
    found = _ROTATION.fullmatch(text)
    if found is None or float(found[2]) > 360:
        raise UsageError("the rotation must be a number of degrees from 0 to 360, after ! mirrored")
    turns, rest = divmod(float(found[2]), 90)
    if rest:
        raise UsageError("only rotations by 0, 90, 180 and 270 degrees can be made")
    return bool(found[1]), int(turns) % 4


def information(pyramid: Pyramid | PlaneImage, address: str) -> dict[str, Any]:
    """Image information document (section 5).

    Parameters
    ----------
    pyramid : Pyramid or PlaneImage
    address : str
        Of the image, without a trailing slash.
    """
    columns, rows = pyramid.columns, pyramid.rows
    wide, high = pyramid.tile
    factors = [1]
    while columns > wide * factors[-1] or rows > high * factors[-1]:
        factors.append(2 * factors[-1])
    sizes = [(-(-columns // factor), -(-rows // factor)) for factor in reversed(factors)]
    return {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": address,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level2",
        "width": columns,
        "height": rows,
        "maxWidth": MAX_SIDE,
        "maxHeight": MAX_SIDE,
        "maxArea": MAX_AREA,
        "sizes": [{"width": w, "height": h} for w, h in sizes if w * h <= MAX_AREA and max(w, h) <= MAX_SIDE],
        "tiles": [{"width": wide, "height": high, "scaleFactors": factors}],
        "preferredFormats": ["jpg", "png"],
        "extraFormats": ["webp"],
        "extraQualities": ["color", "gray", "bitonal"],
        "extraFeatures": ["mirroring", "regionSquare", "sizeUpscaling", "cors", "baseUriRedirect", "jsonldMediaType"],
    }
