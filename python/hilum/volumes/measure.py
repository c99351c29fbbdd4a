"""Numbers out of a volume: statistics of regions, profiles along lines, curves over time. Voxels stay in the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum import _core
from hilum.errors import LimitExceeded, UsageError
from hilum.volumes.masks import Grid
from hilum.volumes.regions import core_region

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum._core import VolumeView
    from hilum.volumes.regions import Region, Vector

__all__ = ["MAX_BINS", "MAX_SAMPLES", "Curve", "Histogram", "Profile", "Quantity", "Scale", "Statistics"]

Quantity: TypeAlias = Literal["modality", "stored", "suvbw", "suvlbm", "suvbsa"]
"""What numbers are of: modality values (HU, Bq/ml), stored values, standardised uptake values."""
QUANTITIES: Final[tuple[Quantity, ...]] = ("modality", "stored", "suvbw", "suvlbm", "suvbsa")
MAX_BINS: Final = 1 << 16
"""Of a histogram."""
MAX_SAMPLES: Final = 1 << 16
"""Of a profile."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What stored values mean: ``stored * slope + intercept`` in `units`."""

    slope: float
    intercept: float
    units: str
    """``"HU"``, ``"BQML"``, ``"g/ml"``; empty if not said."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of values between edges; the last bin includes its upper edge, as with NumPy."""

    edges: npt.NDArray[np.float64]
    """``(bins + 1,)``: ascending, in the units of the statistics."""
    counts: npt.NDArray[np.uint64]
    """``(bins,)``: voxels."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the voxels whose centres lie inside of a region; without any, the values are NaN."""

    count: int
    """Voxels with a value."""
    not_numbers: int
    """Voxels that are NaN; they count nowhere else."""
    volume_ml: float
    """Of `count` voxels: ml."""
    minimum: float
    maximum: float
    mean: float
    sd: float
    """Standard deviation of these voxels (of the population, as ``numpy.std``)."""
    units: str
    """Of the values; empty if the images do not say it."""
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line."""

    distances: npt.NDArray[np.float64]
    """``(n,)``: from the start, mm."""
    values: npt.NDArray[np.float64]
    """``(n,)``: NaN outside of the volume."""
    units: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Statistics of a region at each time point."""

    times: tuple[float, ...]
    """What orders the time points."""
    time_kind: str
    """What `times` are: see `Stack.time_kind`; empty without time axis."""
    points: tuple[Statistics, ...]


def grid_of(view: VolumeView) -> Grid:
    """Voxels of a view."""
    shape, *_, affine = view.layout
    return Grid(shape, np.asarray(affine, np.float64).reshape(4, 4))


def statistics(
    view: VolumeView,
    region: Region | None,
    scale: Scale,
    bins: int = 0,
    limits: tuple[float, float] | None = None,
) -> Statistics:
    """Measure a region.

    Parameters
    ----------
    view : VolumeView
    region : Region or None
        None: all voxels.
    scale : Scale
        From stored values to those that are asked for.
    bins : int
        Of the histogram, at most `MAX_BINS`; 0: none.
    limits : tuple of float, optional
        Of the histogram; default: least and greatest value.

    Raises
    ------
    UsageError
        Bins or limits that cannot be, a mask of another shape.
    LimitExceeded
        More than `MAX_BINS`, or a polygon of too many points for the rows that it covers.
    """
    if bins < 0 or (limits is not None and not _ascending(limits)):
        raise UsageError("a histogram has at least one bin, and finite limits, the lower one first")
    if bins > MAX_BINS:
        raise LimitExceeded(f"a histogram has at most {MAX_BINS} bins")
    grid = grid_of(view)
    found = core_region(region, grid)
    count, not_numbers, least, greatest, mean, squares = _core.measure(view, found)
    low, high = sorted((least * scale.slope + scale.intercept, greatest * scale.slope + scale.intercept))
    histogram = None
    if bins:
        edges = _edges(limits or (low, high), bins)
        counts = np.zeros(bins, np.uint64)
        _core.histogram(view, found, edges=edges, slope=scale.slope, intercept=scale.intercept, out=counts)
        histogram = Histogram(edges, counts)
    return Statistics(
        count=count,
        not_numbers=not_numbers,
        volume_ml=count * abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000.0,
        minimum=low,
        maximum=high,
        mean=mean * scale.slope + scale.intercept,
        sd=abs(scale.slope) * float(np.sqrt(squares / count)) if count else float("nan"),
        units=scale.units,
        histogram=histogram,
    )


def _ascending(limits: tuple[float, float]) -> bool:
    return -1e12 < limits[0] < limits[1] < 1e12


def _edges(limits: tuple[float, float], bins: int) -> npt.NDArray[np.float64]:
    """Of equal bins; where all values are the same, half a unit around it, as NumPy does."""
    low, high = limits
    if not (np.isfinite(low) and np.isfinite(high)):
        low = high = 0.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all():
        raise UsageError("more bins than there are numbers between the limits")
    return edges


def profile(
    view: VolumeView, start: Vector, end: Vector, scale: Scale, spacing: float | None = None, *, linear: bool = True
) -> Profile:
    """Sample a line.

    Parameters
    ----------
    view : VolumeView
    start, end : tuple of float
        LPS, mm; both are sampled.
    scale : Scale
    spacing : float, optional
        Greatest distance of two samples: mm; default: the least one of voxels.
    linear : bool
        Between eight voxels; else the nearest one.

    Raises
    ------
    UsageError
        Points that are not finite, or no spacing.
    LimitExceeded
        More than `MAX_SAMPLES`.
    """
    line = np.asarray([start, end], np.float64)
    if line.shape != (2, 3) or not np.isfinite(line).all() or np.abs(line).max() > 1e6:
        raise UsageError("a profile runs from one point to another: three finite numbers each")
    if spacing is None:
        spacing = float(np.linalg.norm(grid_of(view).affine[:3, :3], axis=0).min())
    if not 0.0 < spacing < float("inf"):
        raise UsageError("the distance of samples must be above 0 mm")
    length = float(np.linalg.norm(line[1] - line[0]))
    if length / spacing >= MAX_SAMPLES:
        raise LimitExceeded(f"a profile has at most {MAX_SAMPLES} samples")
    count = int(np.ceil(length / spacing - 1e-9)) + 1
    step = (line[1] - line[0]) / max(count - 1, 1)
    values = np.empty(count)
    _core.sample_line(view, np.concatenate([line[0], step]), linear=linear, out=values)
    return Profile(np.linspace(0.0, length, count), values * scale.slope + scale.intercept, scale.units)
