"""Polygons to pixels: which centres of pixels lie inside of closed lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["fill_polygons"]

_AT_ONCE: Final = 1 << 18
_MOST_CROSSINGS: Final = 1 << 26


def fill_polygons(polygons: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Find the pixels whose centres lie inside of an odd number of closed polygons: holes by exclusive disjunction.

    Parameters
    ----------
    polygons : sequence of ndarray
        ``(n, 2)`` of (column, row) each; pixel (0, 0) has its centre at (0, 0). The last point is joined to the first.
        A centre on an edge belongs to the polygon to the right of it and below.
    shape : tuple of int
        Rows, columns.

    Returns
    -------
    ndarray
        bool ``(rows, columns)``.

    Raises
    ------
    LimitExceeded
        The edges cross rows of pixels more than 2^26 times.
    """
    rows, columns = shape
    toggles = np.zeros((rows, columns + 1), np.uint8)
    crossings = 0
    for points in polygons:
        following = np.roll(points, -1, axis=0)
        up = points[:, 1] > following[:, 1]
        start = np.where(up[:, None], following, points)
        end = np.where(up[:, None], points, following)
        first = np.clip(np.ceil(start[:, 1]), 0, rows).astype(np.intp)
        count = np.clip(np.ceil(end[:, 1]), 0, rows).astype(np.intp) - first
        ends = np.cumsum(count)
        crossings += int(count.sum())
        if crossings > _MOST_CROSSINGS:
            raise LimitExceeded("contours of too many points for the rows that they cross")
        at = 0
        while at < len(points):  # so many edges that memory stays small
            stop = max(at + 1, int(np.searchsorted(ends, ends[at] + _AT_ONCE)))
            some = slice(at, stop)
            _toggle(toggles, start[some], end[some], first[some], count[some])
            at = stop
    inside: npt.NDArray[np.bool_] = np.bitwise_xor.accumulate(toggles, axis=1)[:, :columns].astype(bool)
    return inside


def _toggle(
    toggles: npt.NDArray[np.uint8],
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    first: npt.NDArray[np.intp],
    count: npt.NDArray[np.intp],
) -> None:
    """Toggle where edges cross rows: each `count` of them, from row `first` on."""
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    column = np.ceil(start[edge, 0] + share * (end[edge, 0] - start[edge, 0]))
    np.bitwise_xor.at(toggles, (row, np.clip(column, 0, toggles.shape[1] - 1).astype(np.intp)), 1)
