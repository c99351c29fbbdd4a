"""Mask subtraction of presentation states (PS3.3 C.11.13, C.11.19, C.7.6.10): which frames, and their difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hilum.errors import UsageError
from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of, numbers_of
from hilum.pixels.settings import Lut

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Rescale

__all__ = ["Mask", "modality_values", "read_masks"]

_MOST_FRAMES: Final = 64


@dataclass(frozen=True, slots=True)
class Mask:
    """One item of a Mask Subtraction Sequence (0028,6100). Frame numbers are from 1."""

    operation: Literal["AVG_SUB", "TID", "REV_TID"]
    ranges: tuple[tuple[int, int], ...]
    """First and last frames that it is for; empty: all for which it has its frames."""
    mask_frames: tuple[int, ...]
    """Of AVG_SUB: their mean is subtracted."""
    averaged: int
    """Of AVG_SUB: frames from the current one on whose mean it is subtracted from."""
    offset: int
    """Of TID and REV_TID: how many frames before the current one the mask is."""

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
        if self.ranges and not any(first <= frame <= last for first, last in self.ranges):
            return None
        if self.operation == "AVG_SUB":
            contrast, masks = range(frame, frame + self.averaged), self.mask_frames
        elif self.operation == "TID":
            contrast, masks = range(frame, frame + 1), (frame - self.offset,)
        else:
            first = self.ranges[0][0]
            contrast, masks = range(frame, frame + 1), (first - self.offset - (frame - first),)
        return (contrast, masks) if contrast[-1] <= count and all(1 <= n <= count for n in masks) else None


def read_masks(ds: pydicom.Dataset) -> tuple[Mask, ...]:
    """Read the masks of a presentation state.

    Raises
    ------
    UsageError
        It moves masks, which is not rendered.
    DataError
        An attribute is missing or cannot be.
    """
    items = items_of(ds, "MaskSubtractionSequence")
    return () if str(ds.get("RecommendedViewingMode", "SUB")) == "NAT" else tuple(map(_mask, items))


def _mask(item: pydicom.Dataset) -> Mask:
    if any(numbers_of(item, "MaskSubPixelShift")) or items_of(item, "PixelShiftSequence"):
        raise UsageError("presentation states that move a mask (0028,6114), (0028,9501) are not rendered")
    operation = str(item.get("MaskOperation", ""))
    if operation not in ("AVG_SUB", "TID", "REV_TID"):
        raise bad_value("MaskOperation (0028,6101) is none of AVG_SUB, TID, REV_TID", MISSING)
    ends = _integers(item, "ApplicableFrameRange")
    ranges = tuple(zip(ends[::2], ends[1::2], strict=False))
    if len(ends) % 2 or any(first > last for first, last in ranges) or (operation == "REV_TID" and not ranges):
        raise bad_value("ApplicableFrameRange (0028,6102) is not pairs of a first and a last frame")
    frames = _integers(item, "MaskFrameNumbers")
    if operation == "AVG_SUB" and not 1 <= len(frames) <= _MOST_FRAMES:
        raise bad_value(f"MaskFrameNumbers (0028,6110) are not 1 to {_MOST_FRAMES} frames", MISSING)
    averaged = number_of(item, "ContrastFrameAveraging", 1.0)
    if not 1 <= averaged <= _MOST_FRAMES:
        raise bad_value(f"ContrastFrameAveraging (0028,6112) is not from 1 to {_MOST_FRAMES}")
    return Mask(operation, ranges, frames, int(averaged), int(number_of(item, "TIDOffset", 1.0)))  # type: ignore[arg-type]


def _integers(item: pydicom.Dataset, keyword: str) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers_of(item, keyword))


def modality_values(stored: npt.NDArray[Any], modality: Rescale | Lut) -> npt.NDArray[np.float64]:
    """Apply a modality transformation to stored values (PS3.3 C.11.1); masks are subtracted after it (PS3.4 N.2.1)."""
    if isinstance(modality, Lut):
        table = np.asarray(modality.entries, np.float64)
        values: npt.NDArray[np.float64] = table[np.clip(stored.astype(np.int64) - modality.first, 0, len(table) - 1)]
        return values
    return stored.astype(np.float64) * modality.slope + modality.intercept
