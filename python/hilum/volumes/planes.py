"""The grid that the frames of one object lie on: objects of few, missing or repeated planes have one too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import NotAVolume

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.volumes.geometry import SeriesFrames

__all__ = ["Planes", "lay_planes"]

_SAME: Final = 2e-3
_TOLERANCE: Final = 0.1
_LEAST_MM, _MOST_MM = 1e-6, 1e6
_MOST_SLICES: Final = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Where frames lie in a grid."""

    affine: npt.NDArray[np.float64]
    """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm."""
    slices: npt.NDArray[np.intp]
    """Slice of each frame, from 0."""
    shape: tuple[int, int, int]
    """Voxels along z, y, x."""


def lay_planes(series: SeriesFrames) -> Planes:
    """Find the grid of the frames of one object; a single plane has one too, and slices may have no or several frames.

    Slices are as far apart as Spacing Between Slices (0018,0088) says where the frames agree with it, else as the
    nearest two frames.

    Raises
    ------
    NotAVolume
        There are no frames, a frame does not say where in the patient it lies (slides), or they are not parallel,
        evenly spaced and behind each other.
    """
    if not len(series):
        raise NotAVolume("there are no frames")
    positions, orientations, spacings = series.positions, series.orientations, series.spacings
    everything = np.concatenate([positions, orientations, spacings], axis=1)
    if not (np.isfinite(everything).all() and np.abs(everything).max() < _MOST_MM and spacings.min() >= _LEAST_MM):
        raise NotAVolume("frames that do not say where they lie in the patient: a slide, or without geometry")
    if len(np.unique(series.kinds)) > 1 or max(np.ptp(orientations, 0).max(), np.ptp(spacings, 0).max()) > _SAME:
        raise NotAVolume("frames of several directions or sizes")
    row, column = orientations[0, :3], orientations[0, 3:]
    normal = np.cross(row, column)
    if not (abs(np.linalg.norm(normal) - 1) < 0.02 and abs(np.linalg.norm(row) - 1) < 0.02):
        raise NotAVolume("Image Orientation (0020,0037) of no two perpendicular directions")
    heights = (positions - positions[0]) @ normal
    first = int(np.argmin(heights))
    step, slices = _slices(heights - heights[first], series.geometry[first])
    last = int(np.argmax(heights))
    along = (positions[last] - positions[first]) / slices[last] if slices[last] else normal * step
    off = np.linalg.norm(positions - positions[first] - np.outer(slices, along), axis=1)
    if off.max() > _TOLERANCE * max(step, float(spacings[0].min())):
        raise NotAVolume("planes that are not behind each other at even distances")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacings[0, 1], column * spacings[0, 0]
    affine[:3, 2], affine[:3, 3] = along, positions[first]
    pixels = series.pixels[series.kinds[0]]
    return Planes(affine, slices, (int(slices.max()) + 1, pixels.rows, pixels.columns))


def _slices(heights: npt.NDArray[np.float64], geometry: Any) -> tuple[float, npt.NDArray[np.intp]]:
    """Distance of slices in mm, and the slice of each height."""
    gaps = np.diff(np.sort(heights))
    gaps = gaps[gaps > 1e-3]
    stated = [float(abs(geometry[name])) for name in ("slice_spacing", "slice_thickness")]
    usable = [value for value in stated if _LEAST_MM < value < _MOST_MM]
    if not len(gaps):
        return (usable or [1.0])[0], np.zeros(len(heights), np.intp)
    nearest = float(gaps.min())
    for step in (*usable[: int(stated[0] in usable)], nearest):
        count = float(heights.max()) / step
        if count > _MOST_SLICES:
            continue
        step = float(heights.max()) / max(1, round(count))  # written with few digits, it would drift
        found = np.rint(heights / step).astype(np.intp)
        if float(np.abs(heights - found * step).max()) <= _TOLERANCE * step and step <= nearest * (1 + _TOLERANCE):
            return step, found
    raise NotAVolume(f"planes {nearest:.4g} to {gaps.max():.4g} mm apart: no even spacing fits them")
