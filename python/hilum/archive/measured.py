"""Measurements and surfaces as use cases: segments by the objects that hold them, one surface at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hilum.archive.segmented import read_segmentation
from hilum.errors import NotFound, Unavailable
from hilum.volumes.contours import StructureSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.archive.archive import Archive
    from hilum.volumes.masks import Grid, Mask

__all__ = ["SurfaceTurn", "find_segment"]


def find_segment(archive: Archive, sop_instance_uid: str, number: int, grid: Grid, time: int | None = None) -> Mask:
    """Decode a segment or region of interest.

    Parameters
    ----------
    archive : Archive
    sop_instance_uid : str
        Of a segmentation or structure set.
    number : int
        Segment Number (0062,0004) or ROI Number (3006,0022).
    grid : Grid
        Voxels that the contours of a structure set are filled for; segmentations have their own.
    time : int, optional
        From 0: of segments that vary with time.

    Raises
    ------
    NotFound
        There is no such object or segment.
    UsageError
        The object is neither, or its segments vary with time and `time` is not given.
    NotAVolume, DataError, LimitExceeded
        Those of `Instance.segmentation` and its masks.
    """
    record = archive.index.lookup([sop_instance_uid])[0]
    if record is None:
        raise NotFound("there is no such segmentation")
    found = read_segmentation(archive, record)
    return found.mask(number, grid) if isinstance(found, StructureSet) else found.mask(number, time)


class SurfaceTurn:
    """Lets one surface be made at a time: each takes much memory for a short while.

    Parameters
    ----------
    wait_s : float
        Longest time to wait: seconds.
    waiting : int
        How many may wait; more would leave no threads for others.
    """

    def __init__(self, wait_s: float = 30.0, waiting: int = 2) -> None:
        self._lock = threading.Lock()
        self._room = threading.Semaphore(1 + waiting)
        self._wait_s = wait_s

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for the turn.

        Raises
        ------
        Unavailable
            Others take too long, or too many wait.
        """
        if not self._room.acquire(blocking=False):
            raise Unavailable("several surfaces are being made; try again")
        try:
            if not self._lock.acquire(timeout=self._wait_s):
                raise Unavailable("another surface is being made; try again")
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._room.release()
