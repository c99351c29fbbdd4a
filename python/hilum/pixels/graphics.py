"""Graphic annotations of presentation states (PS3.3 C.10.5) painted over the picture of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.pixels.drawing import Sheet

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.pixels.presentation_state import (
        Graphic,
        GraphicAnnotation,
        GraphicLayer,
        Point,
        PresentationState,
        Text,
    )
    from hilum.pixels.settings import Rgb

__all__ = ["Placement", "draw_annotations"]

_WHITE: Final[Rgb] = (255, 255, 255)
_ROUND: Final = 180
_PIECES: Final = 16


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pixels of an image lie in its picture."""

    left: float
    """Edges of the part of the image that is shown: pixels from the upper left corner of its first one."""
    top: float
    right: float
    bottom: float
    rotation: int
    """Degrees clockwise: 0, 90, 180, 270."""
    flip: bool
    """Left to right, after the rotation."""
    columns: int
    """Of the picture, after both."""
    rows: int

    def place(self, point: Point, units: str) -> Point:
        """Give the place in the picture of a point in PIXEL or DISPLAY units."""
        if units == "DISPLAY":
            return point[0] * self.columns, point[1] * self.rows
        u = (point[0] - self.left) / (self.right - self.left)
        v = (point[1] - self.top) / (self.bottom - self.top)
        u, v = {0: (u, v), 90: (1 - v, u), 180: (1 - u, 1 - v), 270: (v, 1 - u)}[self.rotation]
        return (1 - u if self.flip else u) * self.columns, v * self.rows


def draw_annotations(
    image: npt.NDArray[Any], state: PresentationState, placement: Placement, sop_instance_uid: str, frame: int
) -> npt.NDArray[Any]:
    """Paint the graphics and texts of a presentation state, layer by layer from the lowest order.

    Parameters
    ----------
    image : ndarray
        The picture, not changed.
    state : PresentationState
    placement : Placement
    sop_instance_uid : str
        Of the image.
    frame : int
        From 1.

    Returns
    -------
    ndarray
        The image itself when there is nothing to paint; RGB when a colour is painted.
    """
    chosen = [item for item in state.annotations if item.is_for(sop_instance_uid, frame)]
    if not chosen:
        return image
    sheet = Sheet(image)
    for layer, items in _by_layer(state.layers, chosen):
        for item in items:
            for graphic in item.graphics:
                _draw_graphic(sheet, graphic, placement, layer)
            for text in item.texts:
                _draw_text(sheet, text, placement, layer)
    return sheet.image


def _by_layer(
    layers: tuple[GraphicLayer, ...], items: list[GraphicAnnotation]
) -> list[tuple[Rgb, list[GraphicAnnotation]]]:
    """Sort annotations by their layers; those of a layer that is not declared lie highest, white."""
    by_name: dict[str, list[GraphicAnnotation]] = {}
    for item in items:
        by_name.setdefault(item.layer, []).append(item)
    found = [(layer.colour, by_name.pop(layer.name, [])) for layer in layers]
    return [*found, *((_WHITE, rest) for rest in by_name.values())]


def _draw_graphic(sheet: Sheet, graphic: Graphic, placement: Placement, layer: Rgb) -> None:
    colour = graphic.style.colour or layer
    points = [placement.place(point, graphic.units) for point in graphic.points]
    width = graphic.style.thickness
    if graphic.type == "POINT":
        _draw_point(sheet, points[0], colour)
        return
    if graphic.type == "CIRCLE":
        points = _circle(points)
    elif graphic.type == "ELLIPSE":
        points = _ellipse(points)
    elif graphic.type == "INTERPOLATED":
        points = _curve(points)
    if graphic.filled and len(points) >= 3:
        sheet.area(points, graphic.style.fill or colour)
    sheet.line(points if len(points) > 1 else points * 2, colour, width)


def _draw_point(sheet: Sheet, at: Point, colour: Rgb) -> None:
    radius = 1.5 * sheet.hair
    sheet.area([(at[0] + radius * math.cos(t), at[1] + radius * math.sin(t)) for t in _angles(24)], colour)


def _angles(count: int) -> list[float]:
    return [2 * math.pi * number / count for number in range(count + 1)]


def _circle(points: list[Point]) -> list[Point]:
    """Circle from its centre and a point on it."""
    (x, y), rim = points
    radius = math.hypot(rim[0] - x, rim[1] - y)
    return [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in _angles(_ROUND)]


def _ellipse(points: list[Point]) -> list[Point]:
    """Ellipse from the ends of its major, then of its minor axis."""
    a, b, c, d = points
    x, y = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    major = ((b[0] - a[0]) / 2, (b[1] - a[1]) / 2)
    minor = ((d[0] - c[0]) / 2, (d[1] - c[1]) / 2)
    return [
        (
            x + major[0] * math.cos(t) + minor[0] * math.sin(t),
            y + major[1] * math.cos(t) + minor[1] * math.sin(t),
        )
        for t in _angles(_ROUND)
    ]


def _curve(points: list[Point]) -> list[Point]:
    """Catmull-Rom spline through all points; closed when the last is the first."""
    if len(points) < 3:
        return points
    closed = points[0] == points[-1]
    before = points[-2] if closed else points[0]
    after = points[1] if closed else points[-1]
    around = [before, *points, after]
    found = [points[0]]
    for p0, p1, p2, p3 in zip(around[:-3], around[1:-2], around[2:-1], around[3:], strict=True):
        for number in range(1, _PIECES + 1):
            t = number / _PIECES
            x, y = (
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
                for a, b, c, d in zip(p0, p1, p2, p3, strict=True)
            )
            found.append((x, y))
    return found


def _draw_text(sheet: Sheet, text: Text, placement: Placement, layer: Rgb) -> None:
    colour = text.style.colour or layer
    anchor = None if text.anchor is None else placement.place(text.anchor, text.anchor_units)
    if text.box is not None:
        corners = [placement.place(corner, text.box_units) for corner in text.box]
        (left, right), (top, bottom) = (sorted(axis) for axis in zip(*corners, strict=True))
    else:
        assert anchor is not None  # the reader has seen to it
        left, top = anchor[0] + 4 * sheet.hair, anchor[1]
        right, bottom = math.inf, math.inf
    size = sheet.fitting_size(text.text, right - left, bottom - top)
    width, height = sheet.measure(text.text, size)
    align = text.justification.lower() if text.box is not None else "left"
    start = {"right": right - width, "center": (left + right - width) / 2}.get(align, left)
    start = min(max(start, 0.0), max(sheet.columns - width, 0.0))
    top = min(max(top, 0.0), max(sheet.rows - height, 0.0))
    if anchor is not None and text.anchor_visible:
        nearest = (min(max(anchor[0], start), start + width), min(max(anchor[1], top), top + height))
        sheet.line([nearest, anchor], colour)
        _draw_point(sheet, anchor, colour)
    shift = {"right": width, "center": width / 2}.get(align, 0)
    sheet.text((start + shift, top), text.text, size, colour, align if align in ("right", "center") else "left")
