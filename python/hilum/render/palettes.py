"""Palettes: colours and opacities of values that lie over an image."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["PALETTES", "palette_table"]

PALETTES: Final[dict[str, tuple[tuple[float, float, float, float, float], ...]]] = {
    "hot": ((0, 0, 0, 0, 0), (0.1, 0.25, 0, 0, 0.6), (0.375, 1, 0, 0, 1), (0.75, 1, 1, 0, 1), (1, 1, 1, 1, 1)),
    "rainbow": (
        (0, 0, 0, 0.6, 0),
        (0.05, 0, 0, 0.6, 0),
        (0.0501, 0, 0, 0.7, 1),
        (0.25, 0, 0.4, 1, 1),
        (0.45, 0, 0.9, 0.8, 1),
        (0.6, 0.1, 0.9, 0.1, 1),
        (0.8, 1, 0.9, 0, 1),
        (1, 1, 0.1, 0, 1),
    ),
    "grey": ((0, 0, 0, 0, 1), (1, 1, 1, 1, 1)),
    "blue-red": ((0, 0.1, 0.2, 0.9, 1), (0.5, 0.9, 0.9, 0.9, 0), (1, 0.9, 0.1, 0.1, 1)),
}
"""Part of the range from 0 to 1, red, green, blue, opacity; linear between. ``"hot"`` is for PET, ``"rainbow"`` for
dose (below a twentieth of the range it is clear), ``"blue-red"`` for what may be below and above its middle."""
_ENTRIES: Final = 1024


@cache
def palette_table(name: str) -> npt.NDArray[np.float32]:
    """Table of a palette: ``(1024, 4)`` of red, green, blue from 0 to 255 and opacity from 0 to 1.

    Raises
    ------
    UsageError
        Unknown; the message lists those that are.
    """
    if name not in PALETTES:
        raise UsageError(f"unknown palette; known are {', '.join(PALETTES)}")
    points = np.array(PALETTES[name], np.float64)
    at = np.linspace(0.0, 1.0, _ENTRIES)
    parts = [np.interp(at, points[:, 0], points[:, axis]) * (255.0 if axis < 4 else 1.0) for axis in range(1, 5)]
    table = np.stack(parts, axis=1).astype(np.float32)
    table.setflags(write=False)
    return table
