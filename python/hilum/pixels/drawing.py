"""Lines, areas and texts painted over a picture, with smooth edges; the font is part of the package (DejaVu Sans)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.pixels.presentation_state import Point
    from hilum.pixels.settings import Rgb

__all__ = ["Sheet"]

_FONT: Final = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_SMOOTH_UP_TO: Final = 16 << 20
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
        self._image = image.copy()
        self._full = 257 if image.dtype == np.uint16 else 1
        self.rows, self.columns = int(image.shape[0]), int(image.shape[1])
        self._scale = 2 if self.rows * self.columns <= _SMOOTH_UP_TO else 1
        self._mask: Any = None
        self._draw: Any = None
        self._colour: Rgb | None = None

    @property
    def image(self) -> npt.NDArray[Any]:
        """The picture with all that has been painted."""
        self._flush()
        return self._image

    def _pen(self, colour: Rgb) -> Any:
        """Give the drawing of a mask that collects all that is painted in one colour."""
        from PIL import Image, ImageDraw

        if colour != self._colour:
            self._flush()
        if self._draw is None:
            self._mask = Image.new("L", (self.columns * self._scale, self.rows * self._scale))
            self._draw = ImageDraw.Draw(self._mask)
            self._colour = colour
        return self._draw

    def _flush(self) -> None:
        if self._draw is None or self._colour is None:
            return
        mask = self._mask.reduce(self._scale) if self._scale > 1 else self._mask
        box = mask.getbbox()
        if box is not None:
            self._blend(np.asarray(mask.crop(box)), box, self._colour)
        self._mask = self._draw = self._colour = None

    def paint(self, mask: npt.NDArray[np.bool_], colour: Rgb) -> None:
        """Paint the pixels of a mask of the picture's shape."""
        self._flush()
        self._blend(mask.astype(np.uint8) * 255, (0, 0, self.columns, self.rows), colour)

    def _blend(self, alpha: npt.NDArray[np.uint8], box: tuple[int, int, int, int], colour: Rgb) -> None:
        if self._image.ndim == 2 and not colour[0] == colour[1] == colour[2]:
            self._image = np.repeat(self._image[:, :, None], 3, axis=2)
        part = self._image[box[1] : box[3], box[0] : box[2]]
        weight = alpha.astype(np.int64)
        for index in range(3 if part.ndim == 3 else 1):
            plane = part[..., index] if part.ndim == 3 else part
            old = plane.astype(np.int64)
            plane[...] = old + ((colour[index] * self._full - old) * weight + 127) // 255

    def line(self, points: Sequence[Point], colour: Rgb, width: float = 0.0) -> None:
        """Draw a polyline; `width` in pixels, 0 by the size of the picture."""
        pen = self._pen(colour)
        thickness = max(1, round((width or self.hair) * self._scale))
        box = (-64.0, -64.0, self.columns + 64.0, self.rows + 64.0)
        for start, end in pairwise(points):
            seen = _clipped(start, end, box)
            if seen is not None:
                pen.line([tuple(c * self._scale for c in point) for point in seen], fill=255, width=thickness)

    def area(self, points: Sequence[Point], colour: Rgb) -> None:
        """Fill a polygon."""
        far = 1e5
        if len(points) >= 3:
            inside = [(min(max(x, -far), far) * self._scale, min(max(y, -far), far) * self._scale) for x, y in points]
            self._pen(colour).polygon(inside, fill=255)

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

    def text(self, at: Point, text: str, size: int, colour: Rgb, align: str = "left") -> None:
        """Write a text with a dark rim whose upper corner (left, right or centre of its box) is `at`."""
        font = _font(size * self._scale)
        step = round(size * (1 + _SPACING))
        rim = _DARK if max(colour) >= 96 else _LIGHT
        anchor = {"left": "la", "right": "ra", "center": "ma"}[align]
        for stroke, ink in ((max(1, round(size / 12)) * self._scale, rim), (0, colour)):
            pen = self._pen(ink)
            for number, line in enumerate(text.split("\n")):
                place = (at[0] * self._scale, (at[1] + number * step) * self._scale)
                pen.text(place, line, fill=255, font=font, anchor=anchor, stroke_width=stroke)


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
