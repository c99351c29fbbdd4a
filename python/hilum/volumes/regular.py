"""Whether slices are evenly spaced, and how a stack that is not is resampled along its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import NotAVolume

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["SLICE", "Spacing", "fit_spacing"]

SLICE: Final = np.dtype([("first", "<u4"), ("second", "<u4"), ("weight", "<f8")])
"""``volume::Slice`` of the core."""

_RELATIVE: Final = 0.1
_LEAST_MM, _MOST_MM = 0.01, 0.1
_TILT_DEGREES: Final = 0.1
_GROWTH: Final = 4


@dataclass(frozen=True, slots=True)
class Spacing:
    """Where the slices of a volume are, and of which frames they are made."""

    origin: npt.NDArray[np.float64]
    """Centre of the first voxel of slice 0: mm, LPS."""
    step: npt.NDArray[np.float64]
    """From a slice to the next: mm, LPS."""
    slices: npt.NDArray[Any]
    """`SLICE` records."""
    resampled: str
    tilt_degrees: float


def fit_spacing(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64]) -> Spacing:
    """Fit an even spacing to slices that are sorted along their normal.

    Parameters
    ----------
    positions : ndarray
        ``(n, 3)``: mm, LPS; no two at the same height.
    normal : ndarray
        Unit vector.

    Raises
    ------
    NotAVolume
        The slices are shifted against each other, or their spacing is so uneven that an even one would have more than
        four times as many.
    """
    count = len(positions)
    heights = (positions - positions[0]) @ normal
    extent = float(heights[-1])
    mean = extent / (count - 1)
    tolerance = min(max(_RELATIVE * mean, _LEAST_MM), _MOST_MM)
    direction = (positions[-1] - positions[0]) / extent
    drift = np.linalg.norm(positions - positions[0] - np.outer(heights, direction), axis=1)
    if float(drift.max()) > _MOST_MM:
        raise NotAVolume("slices that are shifted against each other")
    tilt = float(np.degrees(np.arccos(np.clip(direction @ normal / np.linalg.norm(direction), -1.0, 1.0))))
    tilt = tilt if tilt >= _TILT_DEGREES else 0.0
    if float(np.abs(heights - mean * np.arange(count)).max()) <= tolerance:
        slices = np.zeros(count, SLICE)
        slices["first"] = np.arange(count)
        return Spacing(positions[0], direction * mean, slices, "", tilt)
    slices, step, text = _resample(heights, tolerance)
    return Spacing(positions[0], direction * step, slices, text, tilt)


def _resample(heights: npt.NDArray[np.float64], tolerance: float) -> tuple[npt.NDArray[Any], float, str]:
    """Slices at even heights, each between the two frames around it."""
    steps = np.diff(heights)
    extent = float(heights[-1])
    step = float(steps.min())
    if extent / step > _GROWTH * len(heights):
        step = float(np.median(steps))
    count = round(extent / step) + 1
    if count > _GROWTH * len(heights):
        raise NotAVolume(f"slices {steps.min():.4g} to {steps.max():.4g} mm apart: no even spacing fits them")
    step = extent / (count - 1)
    targets = np.minimum(step * np.arange(count), extent)
    lower = np.clip(np.searchsorted(heights, targets, "right") - 1, 0, len(heights) - 2)
    weight = (targets - heights[lower]) / steps[lower]
    slices = np.zeros(count, SLICE)
    on_upper = np.abs(heights[lower + 1] - targets) <= tolerance
    on_lower = np.abs(targets - heights[lower]) <= tolerance
    slices["first"] = np.where(on_upper, lower + 1, lower)
    slices["second"] = np.where(on_upper, lower + 1, np.where(on_lower, lower, lower + 1))
    slices["weight"] = np.where(on_upper | on_lower, 0.0, weight)
    made = int(np.count_nonzero(slices["weight"]))
    multiples = steps / step
    if float(np.abs(multiples - np.round(multiples)).max() * step) <= 2 * tolerance:
        cause = f"{count - len(heights)} of {count} slices are missing"
    else:
        cause = f"slices are {steps.min():.4g} to {steps.max():.4g} mm apart"
    return slices, step, f"{cause}: {made} of {count} slices are interpolated, every {step:.4g} mm"
