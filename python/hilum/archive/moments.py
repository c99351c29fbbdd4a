"""Which time point of segments that vary with time lies over an image (PS3.3 C.7.6.16.2.2, Temporal Position Index)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hilum.errors import Conflict, NotFound

if TYPE_CHECKING:
    from hilum.volumes.assemble import Stack
    from hilum.volumes.geometry import SeriesFrames
    from hilum.volumes.segments import Segmentation
    from hilum.volumes.volume import Volume

__all__ = ["NO_MOMENT", "Moment", "moment_of_frame", "moment_of_volume"]


@dataclass(frozen=True, slots=True)
class Moment:
    """Which time point an image is of, as far as it says so."""

    position: float | None = None
    """Temporal Position Index (0020,9128) or Identifier (0020,0100)."""
    index: int | None = None
    """From 0, of `count` time points of a volume."""
    count: int = 0

    def of(self, varying: Segmentation | Stack, named: int | None) -> int | None:
        """Time point of a segmentation or volume that lies over the image, from 0.

        Parameters
        ----------
        varying : Segmentation or Stack
        named : int, optional
            From 1: what the request asks for.

        Returns
        -------
        int or None
            None: it does not vary with time.

        Raises
        ------
        NotFound
            There is no time point of that number.
        Conflict
            None was named, and the image does not tell which one it is.
        """
        times = varying.times
        if named is not None:
            if not 1 <= named <= max(1, len(times)):
                raise NotFound(f"the overlay has {max(1, len(times))} time points")
            return named - 1 if times else None
        if not times:
            return None
        if varying.time_kind == "temporal_position" and self.position in times:
            return times.index(self.position)
        if self.index is not None and self.count == len(times):
            return self.index
        raise Conflict(
            f"the overlay varies over {len(times)} time points, and the image does not say which one it is of: name one"
        )


NO_MOMENT = Moment()


def moment_of_frame(series: SeriesFrames, frame: int) -> Moment:
    """Time point of a frame, from 0, of an object."""
    position = float(series.geometry["temporal_position"][frame])
    return Moment(position if np.isfinite(position) else None)


def moment_of_volume(volume: Volume, time: int) -> Moment:
    """Time point, from 0, of a volume."""
    stack = volume.stack
    if not stack.times:
        return moment_of_frame(volume.frames, int(stack.frames[0, 0]))
    position = stack.times[time] if stack.time_kind == "temporal_position" else None
    return Moment(position, time, len(stack.times))
