"""Graphic layers and annotations of presentation states (PS3.3 C.10.5, C.10.7), read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.errors import LimitExceeded, UsageError
from hilum.pixels.presentation_state import Graphic, GraphicAnnotation, GraphicLayer, Style, Text
from hilum.pixels.presentation_values import (
    FAR,
    MAX_OBJECTS,
    MISSING,
    bad_value,
    colour_of,
    items_of,
    number_of,
    numbers_of,
    point_of,
    references_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydicom

__all__ = ["annotations_of", "layers_of"]

_MAX_POINTS: Final = 1 << 20
_MAX_TEXT: Final = 1 << 16
_GRAPHIC_POINTS: Final = {
    "POINT": (1, 1),
    "POLYLINE": (1, _MAX_POINTS),
    "INTERPOLATED": (1, _MAX_POINTS),
    "CIRCLE": (2, 2),
    "ELLIPSE": (4, 4),
}


def layers_of(ds: pydicom.Dataset) -> Iterator[GraphicLayer]:
    """Give the layers in the order of the file; of several with one name, the first."""
    seen: set[str] = set()
    for item in items_of(ds, "GraphicLayerSequence"):
        grey = int(number_of(item, "GraphicLayerRecommendedDisplayGrayscaleValue", 65535.0)) >> 8 & 255
        old = numbers_of(item, "GraphicLayerRecommendedDisplayRGBValue")
        colour = colour_of(item, "GraphicLayerRecommendedDisplayCIELabValue")
        if colour is None and len(old) == 3:
            colour = (int(old[0]) >> 8 & 255, int(old[1]) >> 8 & 255, int(old[2]) >> 8 & 255)
        name, order = str(item.get("GraphicLayer", "")), int(number_of(item, "GraphicLayerOrder", 0.0))
        if name not in seen:
            seen.add(name)
            yield GraphicLayer(name, order, colour or (grey, grey, grey))


def annotations_of(ds: pydicom.Dataset) -> Iterator[GraphicAnnotation]:
    """Give the graphic annotations; the objects, points and letters of all together are limited."""
    budget = [_MAX_POINTS, MAX_OBJECTS, _MAX_TEXT]
    for item in items_of(ds, "GraphicAnnotationSequence"):
        yield GraphicAnnotation(
            references_of(item),
            str(item.get("GraphicLayer", "")),
            tuple(_graphic(one, budget) for one in items_of(item, "GraphicObjectSequence")),
            tuple(_text(one, budget) for one in items_of(item, "TextObjectSequence")),
        )


def _spend(budget: list[int], which: int, cost: int) -> None:
    budget[which] -= cost
    if budget[which] < 0:
        raise LimitExceeded("the presentation state has more graphics than are drawn")


def _units(item: pydicom.Dataset, keyword: str) -> str:
    units = str(item.get(keyword, "PIXEL"))
    if units == "MATRIX":
        raise UsageError("presentation states with graphics in the total pixel matrix are not rendered")
    if units not in ("PIXEL", "DISPLAY"):
        raise bad_value(f"{keyword} is neither PIXEL nor DISPLAY")
    return units


def _graphic(item: pydicom.Dataset, budget: list[int]) -> Graphic:
    kind = str(item.get("GraphicType", ""))
    if kind not in _GRAPHIC_POINTS:
        raise bad_value("GraphicType (0070,0023) is none of POINT, POLYLINE, INTERPOLATED, CIRCLE, ELLIPSE")
    numbers = numbers_of(item, "GraphicData")
    count = len(numbers) // 2
    least, most = _GRAPHIC_POINTS[kind]
    if len(numbers) % 2 or not least <= count <= most or int(number_of(item, "NumberOfGraphicPoints", count)) != count:
        raise bad_value("GraphicData (0070,0022) does not hold as many points as it says or its type has")
    if max(map(abs, numbers)) > FAR:
        raise bad_value("GraphicData (0070,0022) lies too far from the image")
    _spend(budget, 0, count)
    _spend(budget, 1, 1)
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    filled = str(item.get("GraphicFilled", "N")) == "Y"
    return Graphic(kind, points, _units(item, "GraphicAnnotationUnits"), filled, _style(item))


def _style(item: pydicom.Dataset) -> Style:
    line = next(iter(items_of(item, "LineStyleSequence")), None)
    fill = next(iter(items_of(item, "FillStyleSequence")), None)
    text = next(iter(items_of(item, "TextStyleSequence")), None)
    colour = colour_of(line, "PatternOnColorCIELabValue") if line is not None else None
    if text is not None:
        colour = colour_of(text, "TextColorCIELabValue")
    thickness = min(max(number_of(line, "LineThickness", 0.0), 0.0), 64.0) if line is not None else 0.0
    return Style(colour, thickness, colour_of(fill, "PatternOnColorCIELabValue") if fill is not None else None)


def _drawable(text: str) -> str:
    """Leave out what cannot be drawn; an ideographic space is two spaces."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u3000", "  ")
    return "".join(c for c in lines if c == "\n" or c.isprintable())


def _text(item: pydicom.Dataset, budget: list[int]) -> Text:
    text = str(item.get("UnformattedTextValue") or "")
    _spend(budget, 1, 1)
    _spend(budget, 2, len(text))
    corners = [point_of(item, f"BoundingBox{side}HandCorner") for side in ("TopLeft", "BottomRight")]
    box = (corners[0], corners[1]) if corners[0] is not None and corners[1] is not None else None
    anchor = point_of(item, "AnchorPoint")
    if box is None and anchor is None:
        raise bad_value("a text (0070,0008) has neither a bounding box nor an anchor point", MISSING)
    return Text(
        _drawable(text),
        box,
        _units(item, "BoundingBoxAnnotationUnits"),
        str(item.get("BoundingBoxTextHorizontalJustification", "LEFT")),
        anchor,
        _units(item, "AnchorPointAnnotationUnits"),
        str(item.get("AnchorPointVisibility", "N")) == "Y",
        _style(item),
    )
