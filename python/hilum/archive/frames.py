"""Frames of instances as a sequence of arrays, decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

from hilum.errors import HilumError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from hilum.archive.objects import Instance

__all__ = ["Frames"]

_MOST_AHEAD: Final = 16
_AHEAD_BYTES: Final = 64 << 20
"""Frames that are decoded together when all are asked for one after the other."""


class Frames(Sequence["npt.NDArray[np.generic]"]):
    """Frames of one or several instances as a sequence; nothing is kept decoded.

    Parameters
    ----------
    instances : sequence of Instance
        Those without pixel data are left out.
    """

    def __init__(self, instances: Sequence[Instance], positions: Sequence[tuple[Instance, int]] | None = None) -> None:
        if positions is None:
            positions = [(instance, i) for instance in instances for i in range(instance.number_of_frames)]
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.generic]: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.generic] | Frames:
        if isinstance(index, slice):
            return Frames((), self._positions[index])
        instance, frame = self._positions[index]
        return instance.frame(frame)

    def __iter__(self) -> Iterator[npt.NDArray[np.generic]]:
        """Decode ahead, several frames in one call by several threads: 1, then 2, 4, … of them."""
        at, count = 0, 1
        while at < len(self._positions):
            largest = 1
            for array in self._decoded(self._positions[at : at + count]):
                largest = max(largest, array.nbytes)
                yield array
            at += count
            count = max(1, min(2 * count, _MOST_AHEAD, _AHEAD_BYTES // largest))

    def _decoded(self, positions: Sequence[tuple[Instance, int]]) -> Iterator[npt.NDArray[np.generic]]:
        refs = [(instance.record, frame) for instance, frame in positions]
        try:
            together = positions[0][0].archive.retrieve.decode_frames(refs) if len(refs) > 1 else None
        except HilumError:  # of different shapes, or one is damaged: it is reported when its turn comes
            together = None
        for at, (instance, frame) in enumerate(positions):
            yield instance.frame(frame) if together is None else together[at]

    def stack(self, out: npt.NDArray[np.generic] | None = None, *, threads: int = 0) -> npt.NDArray[np.generic]:
        """Decode all frames into one array: in parallel, in one call without the GIL.

        Parameters
        ----------
        out : ndarray, optional
            C-contiguous, of the shape and type of the result; filled and returned. Undefined after an error.
        threads : int
            0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

        Returns
        -------
        ndarray
            ``(frames, rows, columns)`` or ``(frames, rows, columns, samples)``.

        Raises
        ------
        UsageError
            There are no frames, or `out` does not fit.
        DataError
            They differ in shape or dtype, or one cannot be decoded; ``error.frame`` says which.
        """
        if not self._positions:
            raise UsageError("there are no frames to stack")
        refs = [(instance.record, frame) for instance, frame in self._positions]
        return self._positions[0][0].archive.retrieve.decode_frames(refs, out, threads=threads)

    def __repr__(self) -> str:
        return f"<hilum.Frames: {len(self)}>"
