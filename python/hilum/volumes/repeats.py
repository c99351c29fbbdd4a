"""Several frames at one place: time points, acquisitions, duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import NotAVolume
from hilum.volumes.regular import fit_spacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["Part", "split_repeats"]

_SAME_MM: Final = 0.01
_TIME_KEYS: Final = ("temporal_position", "trigger_time", "acquisition_number")


@dataclass(frozen=True, slots=True)
class Part:
    """Frames of one volume, which may have several time points."""

    order: npt.NDArray[np.intp]
    """``(t, n)``: indices into the frames that were given, each row along the normal."""
    times: tuple[float, ...] = ()
    kind: str = ""
    notes: tuple[str, ...] = ()


def split_repeats(table: npt.NDArray[Any], heights: npt.NDArray[np.float64]) -> list[Part]:
    """Split frames of one group by what repeats their places.

    Tried in this order: one frame at each place; time points by Temporal Position, Trigger Time or Acquisition Number,
    each of which covers all places once; acquisitions that cover different places; as many frames at each place, in the
    order of their times; the same without time points that are not complete; duplicates, of which the first stays.

    Parameters
    ----------
    table : ndarray
        Geometry of the frames: a structured array as in `hilum.volumes.geometry.SeriesFrames`.
    heights : ndarray
        ``(frames,)``: mm along the normal.
    """
    order = np.lexsort((np.nan_to_num(table["instance_number"]), heights))
    place = np.empty(len(order), np.intp)
    place[order] = np.concatenate([[0], np.cumsum(np.diff(heights[order]) > _SAME_MM)])
    counts = np.bincount(place)
    if counts.max() == 1:
        return list(_by_acquisition(table, heights, order)) or [Part(order[None])]
    for key in _TIME_KEYS:
        found = _time_points(table[key], place, len(counts), key)
        if found is not None and not found.notes:
            return [found]
    acquisitions = list(_acquisitions(table, heights, place))
    if acquisitions:
        return acquisitions
    if counts.min() == counts.max():
        return [_repetitions(table, place, len(counts))]
    for key in _TIME_KEYS:  # a scan that was broken off
        found = _time_points(table[key], place, len(counts), key)
        if found is not None:
            return [found]
    first = order[np.unique(place[order], return_index=True)[1]]
    left_out = len(order) - len(first)
    return [Part(first[None], notes=(f"{left_out} frames at the place of another are left out",))]


def _time_points(values: npt.NDArray[np.float64], place: npt.NDArray[np.intp], places: int, kind: str) -> Part | None:
    """Rows of frames for each value that is once at every place, if there are several."""
    if not np.isfinite(values).all():
        return None
    distinct, time, counts = np.unique(values, return_inverse=True, return_counts=True)
    number = np.where(counts == places, np.cumsum(counts == places) - 1, -1)[time.reshape(-1)]
    candidates = np.flatnonzero(number >= 0)  # frames of values that are as often as there are places
    grid = np.full((np.count_nonzero(counts == places), places), -1, np.intp)
    grid[number[candidates], place[candidates]] = candidates
    whole = (grid >= 0).all(axis=1)
    if np.count_nonzero(whole) < 2:
        return None
    left_out = len(values) - int(np.count_nonzero(whole)) * places
    notes = (f"{left_out} frames of time points that are not complete are left out",) if left_out else ()
    return Part(grid[whole], tuple(distinct[counts == places][whole].tolist()), kind, notes)


def _acquisitions(
    table: npt.NDArray[Any], heights: npt.NDArray[np.float64], place: npt.NDArray[np.intp]
) -> Iterator[Part]:
    """Parts by Acquisition Number, if none of them has two frames at one place."""
    numbers = table["acquisition_number"]
    if not np.isfinite(numbers).all():
        return
    parts = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    if len(parts) > 1 and all(len(np.unique(place[part])) == len(part) for part in parts):
        for part in parts:
            yield Part(part[np.argsort(heights[part], kind="stable")][None])


def _by_acquisition(
    table: npt.NDArray[Any], heights: npt.NDArray[np.float64], order: npt.NDArray[np.intp]
) -> Iterator[Part]:
    """Parts by Acquisition Number where only these are evenly spaced: two regions in one series."""
    numbers = table["acquisition_number"]
    if len(order) < 6 or not np.isfinite(numbers).all() or _is_even(heights[order]):
        return
    parts = [order[numbers[order] == number] for number in np.unique(numbers)]
    if len(parts) > 1 and all(len(part) >= 3 and _is_even(heights[part]) for part in parts):
        for part in parts:
            yield Part(part[None])


def _is_even(heights: npt.NDArray[np.float64]) -> bool:
    if len(heights) < 2:
        return False
    line = np.zeros((len(heights), 3))
    line[:, 2] = heights
    try:
        return not fit_spacing(line, np.array([0.0, 0.0, 1.0])).resampled
    except NotAVolume:
        return False


def _repetitions(table: npt.NDArray[Any], place: npt.NDArray[np.intp], places: int) -> Part:
    """As many frames at each place: the nth of each, by acquisition time, then instance number, is time point n."""
    acquired = table["acquisition_time"]
    known = bool(np.isfinite(acquired).all())
    order = np.lexsort((np.nan_to_num(table["instance_number"]), np.nan_to_num(acquired), place))
    grid = order.reshape(places, -1).T
    starts = acquired[grid].min(axis=1) if known else np.arange(len(grid), dtype=np.float64)
    if known and (np.diff(starts) > 0).all():
        return Part(grid, tuple(((starts - starts[0]) * 1000.0).tolist()), "acquisition_time")
    return Part(grid, tuple(map(float, range(len(grid)))), "repetition")
