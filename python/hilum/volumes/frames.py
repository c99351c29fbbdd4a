"""Voxels straight out of frames, for those who need a part before there are bricks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.volumes.assemble import Stack
    from hilum.volumes.build import Decode
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["read_from_frames"]


def read_from_frames(
    series: SeriesFrames,
    stack: Stack,
    decode: Decode,
    first: tuple[int, int, int],
    size: tuple[int, int, int],
    time: int,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Decode the frames that a box touches, and cut it out of them: the values that bricks would have.

    Parameters
    ----------
    series : SeriesFrames
    stack : Stack
    decode : callable
        ``decode(refs, out)``: stored values of frames.
    first, size : tuple of int
        First voxel and extent: z, y, x.
    time : int
    out : ndarray, optional
        Of shape `size` and the stack's dtype; filled and returned.
    """
    if out is None:
        out = np.empty(size, stack.dtype)
    elif out.shape != size or out.dtype != np.dtype(stack.dtype):
        raise UsageError(f"out must be {stack.dtype} {size}")
    slices = stack.slices[first[0] : first[0] + size[0]]
    mixed = slices["weight"] != 0
    wanted = np.unique(np.concatenate([slices["first"], slices["second"][mixed]]))
    frames = stack.frames[time][wanted]
    refs = [(series.records[o], int(n)) for o, n in zip(series.objects[frames], series.numbers[frames], strict=True)]
    rows = slice(first[1], first[1] + size[1])
    columns = slice(first[2], first[2] + size[2])
    plain = not mixed.any() and stack.rescales is None and np.array_equal(wanted, slices["first"])
    if plain and size[1:] == stack.shape[1:] and out.flags.c_contiguous:
        return decode(refs, out)
    decoded = decode(refs, None)[:, rows, columns]
    if stack.rescales is not None:
        pairs = stack.rescales[time][wanted]
        decoded = (decoded * pairs[:, :1, None] + pairs[:, 1:, None]).astype(np.float32)
    place = {int(frame): at for at, frame in enumerate(wanted)}
    for at, one in enumerate(slices):
        lower = decoded[place[int(one["first"])]]
        out[at] = _mix(lower, decoded[place[int(one["second"])]], one["weight"]) if mixed[at] else lower
    return out


def _mix(lower: npt.NDArray[Any], upper: npt.NDArray[Any], weight: float) -> npt.NDArray[Any]:
    """As the core mixes: integers to the nearest, halves up."""
    start = lower.astype(np.float64)
    value = start + (upper.astype(np.float64) - start) * weight
    return (value if lower.dtype.kind == "f" else np.floor(value + 0.5)).astype(lower.dtype)
