"""Lines, areas and texts painted over a picture, with smooth edges; fonts are those of `hilum.pixels.typefaces`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import LimitExceeded
from hilum.pixels.typefaces import OWN, runs, typeface

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.pixels.presentation_state import Point
    from hilum.pixels.settings import Rgb

__all__ = ["Sheet"]

_SMOOTH: Final = 2
_TIMES_COVERED: Final = 64
_FREE: Final = 64 << 20
_FAR: Final = 1e5
_SPACING: Final = 0.25
_SMALLEST: Final = 8
_DARK: Final = (0, 0, 0)
_LIGHT: Final = (255, 255, 255)


class Sheet:
    """A picture that is painted on; coordinates are pixels (x, y) from its upper left corner.

    Parameters
    ----------
    image : ndarray
        ``(rows, columns)`` or ``(rows, columns, 3)``, ``uint8`` or ``uint16``. Not changed; grey becomes RGB when
        a colour is painted.
    """

    def __init__(self, image: npt.NDArray[Any]) -> None:
        self.image = image.copy()
        """The picture with all that has been painted."""
        self._full = 257 if image.dtype == np.uint16 else 1
        self.rows, self.columns = int(image.shape[0]), int(image.shape[1])
        self._left = _TIMES_COVERED * self.rows * self.columns + _FREE

    def paint(self, mask: npt.NDArray[np.bool_], colour: Rgb) -> None:
        """Paint the pixels of a mask of the picture's shape."""
        self._blend(mask.astype(np.uint8) * 255, 0, 0, colour)

    def line(self, points: Sequence[Point], colour: Rgb, width: float = 0.0) -> None:
        """Draw a polyline; `width` in pixels, 0 by the size of the picture."""
        width = width or self.hair
        box = (-64.0, -64.0, self.columns + 64.0, self.rows + 64.0)
        pieces = [seen for start, end in pairwise(points) if (seen := _clipped(start, end, box)) is not None]

        def draw(pen: Any, move: Callable[[Point], Point]) -> None:
            for start, end in pieces:
                pen.line([move(start), move(end)], fill=255, width=max(1, round(width * _SMOOTH)))

        self._draw([point for piece in pieces for point in piece], width, draw, colour)

    def area(self, points: Sequence[Point], colour: Rgb) -> None:
        """Fill a polygon."""
        if len(points) < 3:
            return
        inside = [(min(max(x, -_FAR), _FAR), min(max(y, -_FAR), _FAR)) for x, y in points]
        self._draw(inside, 1, lambda pen, move: pen.polygon([move(point) for point in inside], fill=255), colour)

    def text(self, at: Point, text: str, size: int, colour: Rgb, align: str = "left") -> None:
        """Write a text with a dark rim whose upper corner (left, right or centre of its box) is `at`."""
        step = round(size * (1 + _SPACING))
        rim = _DARK if max(colour) >= 96 else _LIGHT
        lines = [(at[1] + number * step, line) for number, line in enumerate(text.split("\n"))]
        for stroke, ink in ((max(1, round(size / 12)) * _SMOOTH, rim), (0, colour)):
            for y, line in lines:
                if not -2 * step < y < self.rows + step or not line:
                    continue
                self._line_of_text((at[0], y), line, size, align, stroke, ink)

    def _line_of_text(self, at: Point, line: str, size: int, align: str, stroke: int, ink: Rgb) -> None:
        """Write a line, piece by piece of one font, all on one base line."""
        pieces = [(typeface(path, size * _SMOOTH), text) for path, text in runs(line)]
        lengths = [font.getlength(text) for font, text in pieces]
        length = sum(lengths) / _SMOOTH
        start = at[0] - length * {"left": 0, "right": 1, "center": 0.5}[align]
        corners = [(start - size, at[1] - size), (start + length + size, at[1] + 2 * size)]
        base = typeface(OWN, size * _SMOOTH).getmetrics()[0]
        options = {"fill": 255, "stroke_width": stroke}
        one = {"left": "la", "right": "ra", "center": "ma"}[align]

        def draw(pen: Any, move: Callable[[Point], Point]) -> None:
            if len(pieces) == 1 and pieces[0][0] is typeface(OWN, size * _SMOOTH):
                pen.text(move(at), line, font=pieces[0][0], anchor=one, **options)
                return
            x, y = move((start, at[1]))
            for (font, text), advance in zip(pieces, lengths, strict=True):
                pen.text((x, y + base), text, font=font, anchor="ls", **options)
                x += advance

        self._draw(corners, 0, draw, ink)

    def _draw(
        self,
        points: Sequence[Point],
        margin: float,
        draw: Callable[[Any, Callable[[Point], Point]], None],
        colour: Rgb,
    ) -> None:
        """Let `draw` paint a mask, twice as fine as the picture, of the part that points and margin need; blend it."""
        from PIL import Image, ImageDraw

        if not points:
            return
        xs, ys = zip(*points, strict=True)
        left, top = max(0, math.floor(min(xs) - margin)), max(0, math.floor(min(ys) - margin))
        right = min(self.columns, math.ceil(max(xs) + margin) + 1)
        bottom = min(self.rows, math.ceil(max(ys) + margin) + 1)
        if right <= left or bottom <= top:
            return
        self._left -= (right - left) * (bottom - top)
        if self._left < 0:
            raise LimitExceeded(f"the graphics cover the picture more than {_TIMES_COVERED} times")
        mask = Image.new("L", ((right - left) * _SMOOTH, (bottom - top) * _SMOOTH))
        draw(ImageDraw.Draw(mask), lambda point: ((point[0] - left) * _SMOOTH, (point[1] - top) * _SMOOTH))
        self._blend(np.asarray(mask.reduce(_SMOOTH)), left, top, colour)

    def _blend(self, alpha: npt.NDArray[np.uint8], left: int, top: int, colour: Rgb) -> None:
        if self.image.ndim == 2 and not colour[0] == colour[1] == colour[2]:
            self.image = np.repeat(self.image[:, :, None], 3, axis=2)
        part = self.image[top : top + alpha.shape[0], left : left + alpha.shape[1]]
        weight = alpha.astype(np.int32)
        for index in range(3 if part.ndim == 3 else 1):
            plane = part[..., index] if part.ndim == 3 else part
            old = plane.astype(np.int32)
            plane[...] = old + ((colour[index] * self._full - old) * weight + 127) // 255

    @property
    def hair(self) -> float:
        """Width of a line that can be seen on a picture of this size, in pixels."""
        return max(1.0, min(self.rows, self.columns) / 512)

    @property
    def text_size(self) -> int:
        """Height of letters that can be read on a picture of this size, in pixels."""
        return max(_SMALLEST + 1, min(self.rows, self.columns) // 36)

    def measure(self, text: str, size: int) -> tuple[int, int]:
        """Width and height of a text of one or more lines, in pixels."""
        lines = text.split("\n")
        height = round(size * (1 + _SPACING)) * len(lines)
        return max(
            round(sum(typeface(path, size).getlength(part) for path, part in runs(line))) for line in lines
        ), height

    def fitting_size(self, text: str, width: float, height: float) -> int:
        """Give the largest size, not above `text_size`, at which a text fits; never below two thirds of it."""
        size = self.text_size
        least = max(_SMALLEST, size * 2 // 3)
        while size > least:
            needed = self.measure(text, size)
            if needed[0] <= width and needed[1] <= height:
                break
            size -= 1
        return size


def _clipped(start: Point, end: Point, box: tuple[float, float, float, float]) -> tuple[Point, Point] | None:
    """Give the part of a line within a box (Liang and Barsky), None when there is none."""
    (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
    first, last = 0.0, 1.0
    for slope, gap in ((-dx, x - box[0]), (dx, box[2] - x), (-dy, y - box[1]), (dy, box[3] - y)):
        if slope == 0:
            if gap < 0:
                return None
        elif slope < 0:
            first = max(first, gap / slope)
        else:
            last = min(last, gap / slope)
    if first > last:
        return None
    return (x + first * dx, y + first * dy), (x + last * dx, y + last * dy)
