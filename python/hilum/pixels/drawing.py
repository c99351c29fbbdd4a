"""Lines, areas and texts painted over a picture, with smooth edges; the font is part of the package (DejaVu Sans)."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.pixels.presentation_state import Point
    from hilum.pixels.settings import Rgb

__all__ = ["Sheet"]

_FONT: Final = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_SMOOTH: Final = 2
_TIMES_COVERED: Final = 64
_FREE: Final = 64 << 20
_FAR: Final = 1e5
_SPACING: Final = 0.25
_SMALLEST: Final = 8
_DARK: Final = (0, 0, 0)
_LIGHT: Final = (255, 255, 255)


@lru_cache(maxsize=32)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(_FONT), size)


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
        font = _font(size * _SMOOTH)
        step = round(size * (1 + _SPACING))
        anchor = {"left": "la", "right": "ra", "center": "ma"}[align]
        rim = _DARK if max(colour) >= 96 else _LIGHT
        lines = [(at[1] + number * step, line) for number, line in enumerate(text.split("\n"))]
        for stroke, ink in ((max(1, round(size / 12)) * _SMOOTH, rim), (0, colour)):
            for y, line in lines:
                if not -2 * step < y < self.rows + step or not line:
                    continue
                length = font.getlength(line) / _SMOOTH
                start = at[0] - length * {"left": 0, "right": 1, "center": 0.5}[align]
                corners = [(start - size, y - size), (start + length + size, y + 2 * size)]
                options = {"fill": 255, "font": font, "anchor": anchor, "stroke_width": stroke}

                def draw(pen: Any, move: Callable[[Point], Point], y: float = y, line: str = line) -> None:
                    pen.text(move((at[0], y)), line, **options)  # noqa: B023 - drawn before the next one

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
        font = _font(size)
        lines = text.split("\n")
        height = round(size * (1 + _SPACING)) * len(lines)
        return max(round(font.getlength(line)) for line in lines), height

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
