"""Mask subtraction of presentation states (PS3.3 C.7.6.10, C.11.13, C.11.19): which frames, and how they are moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hilum.pixels.settings import Lut

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.pixels.presentation_state import ImageReference
    from hilum.pixels.settings import Rescale

__all__ = ["FrameRanges", "Mask", "Shift", "Viewing", "modality_values", "moved", "within"]

FrameRanges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last frames, from 1, both inside; none: all frames."""


def within(ranges: FrameRanges, frame: int) -> bool:
    """Whether a frame, from 1, lies in one of the ranges."""
    return not ranges or any(first <= frame <= last for first, last in ranges)


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the mask is moved below contrast frames, or below a part of them (PS3.3 C.7.6.10.1.2, C.11.19.1.2)."""

    ranges: FrameRanges
    rows: float
    """Rows that the mask is moved down."""
    columns: float
    """Columns that it is moved to the left."""
    region: tuple[tuple[int, int], ...] = ()
    """Corners (row, column), from 1, of the polygon of pixels of the contrast frame; empty: all of it."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One item of a Mask Subtraction Sequence (0028,6100). Frame numbers are from 1."""

    operation: Literal["AVG_SUB", "TID", "REV_TID"]
    ranges: FrameRanges
    """The frames that it is for; empty: all for which it has its frames."""
    mask_frames: tuple[int, ...]
    """Of AVG_SUB: their mean is subtracted."""
    averaged: int
    """Of AVG_SUB: frames from the current one on whose mean it is subtracted from."""
    offset: int
    """Of TID and REV_TID: how many frames before the current one the mask is."""
    references: tuple[ImageReference, ...] = ()
    """Images that it is for; empty: all of the state."""
    shifts: tuple[Shift, ...] = ()
    """Where several hold a pixel, the last one counts."""
    tables: tuple[tuple[FrameRanges, Lut], ...] = ()
    """From stored values to the logarithm of the intensity (0028,9422); the first that is for a frame."""

    def frames(self, frame: int, count: int) -> tuple[range, tuple[int, ...]] | None:
        """Frames that are averaged, and those whose mean is subtracted.

        Parameters
        ----------
        frame : int
            The one to be shown.
        count : int
            Frames of the image.

        Returns
        -------
        tuple or None
            None: the item is not for this frame.
        """
        if not within(self.ranges, frame):
            return None
        if self.operation == "AVG_SUB":
            contrast, masks = range(frame, frame + self.averaged), self.mask_frames
        elif self.operation == "TID":
            contrast, masks = range(frame, frame + 1), (frame - self.offset,)
        else:
            first = self.ranges[0][0]
            contrast, masks = range(frame, frame + 1), (first - self.offset - (frame - first),)
        return (contrast, masks) if contrast[-1] <= count and all(1 <= n <= count for n in masks) else None

    def table_of(self, frame: int) -> Lut | None:
        """Table to the logarithm of the intensity for a frame, from 1."""
        return next((table for ranges, table in self.tables if within(ranges, frame)), None)


@dataclass(frozen=True, slots=True)
class Viewing:
    """How much of the mask is seen with some frames (PS3.3 C.11.21, C.8.19.7.1)."""

    references: tuple[ImageReference, ...]
    ranges: FrameRanges
    visibility: float
    """0: it is subtracted, 1: not at all (NAT)."""


def modality_values(stored: npt.NDArray[Any], modality: Rescale | Lut) -> npt.NDArray[np.float64]:
    """Apply a modality transformation to stored values (PS3.3 C.11.1); masks are subtracted after it (PS3.4 N.2.1)."""
    if isinstance(modality, Lut):
        table = np.asarray(modality.entries, np.float64)
        values: npt.NDArray[np.float64] = table[np.clip(stored.astype(np.int64) - modality.first, 0, len(table) - 1)]
        return values
    return stored.astype(np.float64) * modality.slope + modality.intercept


def moved(mask: npt.NDArray[np.float64], rows: float, columns: float) -> npt.NDArray[np.float64]:
    """Move a mask down and to the left, interpolated linearly; beyond its edge its outermost pixels go on.

    PS3.3 C.7.6.10.1.2: a positive row offset is a shift toward the lower row of the pixel plane, a positive column
    offset one toward its left hand side column.

    Parameters
    ----------
    mask : ndarray
        ``(rows, columns)``.
    rows, columns : float
        Pixels.

    Returns
    -------
    ndarray
        Of the same shape.
    """
    for axis, offset in ((0, -rows), (1, columns)):
        size = mask.shape[axis]
        at = np.clip(np.arange(size) + offset, 0, size - 1)
        low = at.astype(np.intp)
        share = np.expand_dims(at - low, 1 - axis)
        following = mask.take(np.minimum(low + 1, size - 1), axis)
        mask = mask.take(low, axis) * (1 - share) + following * share
    return mask
