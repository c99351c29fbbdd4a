"""Bricks of one level of one time point: what the renderer reads.

The engine does the work (``core/include/hilum/volume/brick_view.hpp``); this module gives it names, types and arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hilum import _core
from hilum._core import VolumeView
from hilum.errors import DataError, NotFound, UsageError
from hilum.volumes.build import EDGE, level_affine, level_shapes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from hilum.volumes.assemble import Stack

__all__ = ["VolumeView", "affine_of", "from_array", "map_shard", "open_view", "ranges_of", "read_region"]


def from_array(
    voxels: npt.NDArray[Any],
    *,
    affine: npt.ArrayLike | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
    fill: float = 0.0,
) -> VolumeView:
    """Copy an array into bricks in memory.

    Parameters
    ----------
    voxels : ndarray
        ``(z, y, x)`` of 8 to 32-bit integers, float32 or float64: stored values.
    affine : array-like, optional
        4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm; default: the identity.
    slope, intercept : float
        From stored to modality values (HU, ...).
    fill : float
        Stored value beyond the edges.

    Raises
    ------
    UsageError
        Another number of axes, another dtype, or an affine that cannot be inverted.
    """
    if voxels.ndim != 3:
        raise UsageError("a volume has three axes: z, y, x")
    array = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("="))
    shape = (array.shape[0], array.shape[1], array.shape[2])
    layout = (shape, str(array.dtype), fill, slope, intercept, _flat(affine))
    return _core.VolumeView.copy(array, layout)


def map_shard(
    path: Path,
    shape: tuple[int, int, int],
    dtype: str,
    ranges: npt.NDArray[np.float32] | None = None,
    *,
    affine: npt.ArrayLike | None = None,
    slope: float = 1.0,
    intercept: float = 0.0,
    fill: float = 0.0,
) -> VolumeView:
    """Map the shard of a level; the file may be deleted while the view lives.

    Parameters
    ----------
    path : Path
        Shard of a Zarr v3 array: inner chunks of 32³, uncompressed, little endian, index with CRC-32C at the end.
    shape : tuple of int
        Voxels along z, y, x.
    dtype : str
        ``"int16"``.
    ranges : ndarray, optional
        ``(bz, by, bx, 2)`` float32: least and greatest stored value of each brick; default: computed, which reads all.
    affine, slope, intercept, fill
        As for `from_array`.

    Raises
    ------
    NotFound, Unavailable
        The file cannot be opened or mapped.
    DataError
        It is no such shard, or damaged.
    """
    layout = (shape, dtype, fill, slope, intercept, _flat(affine))
    return _core.VolumeView.map(str(path), layout, None if ranges is None else np.ascontiguousarray(ranges, "<f4"))


def affine_of(view: VolumeView) -> npt.NDArray[np.float64]:
    """4x4 affine of a view: voxel index (i, j, k) = (column, row, slice) to LPS in mm."""
    return np.array(view.layout[5], np.float64).reshape(4, 4)


def open_view(folder: Path, stack: Stack, level: int, time: int) -> VolumeView:
    """Map the bricks of a level out of a volume's folder.

    Raises
    ------
    NotFound
        The folder is gone.
    DataError
        It is damaged.
    """
    shape = level_shapes(stack.shape)[level]
    lead = [str(time)] if stack.times else []
    path = folder.joinpath("minmax", str(level), "c", *lead, "0", "0", "0", "0")
    try:
        ranges = np.frombuffer(path.read_bytes(), "<f4").reshape(*(-(-n // EDGE) for n in shape), 2)
    except FileNotFoundError:
        raise NotFound("the volume has been evicted") from None
    except ValueError:
        raise DataError("the ranges of a volume's bricks are damaged") from None
    return map_shard(
        folder.joinpath(str(level), "c", *lead, "0", "0", "0"),
        shape,
        stack.dtype,
        ranges,
        affine=level_affine(stack.affine, level),
        slope=stack.slope,
        intercept=stack.intercept,
        fill=stack.fill,
    )


def ranges_of(view: VolumeView) -> npt.NDArray[np.float32]:
    """Least and greatest stored value of each brick, ``(bz, by, bx, 2)``; of one without numbers: +inf, -inf."""
    return np.frombuffer(view.ranges(), np.float32).reshape(*view.bricks, 2)


def read_region(
    view: VolumeView,
    first: tuple[int, int, int],
    size: tuple[int, int, int],
    out: npt.NDArray[Any] | None = None,
    *,
    threads: int = 0,
) -> npt.NDArray[Any]:
    """Copy a box of stored values out of the bricks.

    Parameters
    ----------
    view : VolumeView
    first, size : tuple of int
        First voxel and extent: z, y, x.
    out : ndarray, optional
        C-contiguous, of shape `size` and the view's dtype; filled and returned.
    threads : int
        0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

    Raises
    ------
    UsageError
        The box is not inside of the volume, or `out` does not fit.
    """
    dtype = np.dtype(view.layout[1])
    if out is None:
        if any(not 0 <= f < f + s <= n for f, s, n in zip(first, size, view.layout[0], strict=True)):
            raise UsageError("the box is not inside of the volume")
        out = np.empty(size, dtype)
    elif out.shape != size or out.dtype != dtype:
        raise UsageError(f"out must be {dtype} {size}")
    view.read(first, size, out=out, threads=threads)
    return out


def _flat(affine: npt.ArrayLike | None) -> tuple[float, ...]:
    matrix = np.eye(4) if affine is None else np.asarray(affine, np.float64)
    if matrix.shape != (4, 4):
        raise UsageError("an affine is 4x4")
    return tuple(matrix.ravel().tolist())
