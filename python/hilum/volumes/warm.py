"""Warm volumes: evicted ones, compressed by Blosc, from which bricks are made again without decoding a frame.

A warm volume is a Zarr v3 group with level 0 alone, a chunk for each 32 slices, written and read by zarr-python.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.errors import DataError
from hilum.volumes.build import EDGE

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from hilum.volumes.assemble import Stack

__all__ = ["compress", "expand"]


def compress(folder: Path, target: Path) -> int:
    """Write level 0 of a volume compressed.

    Parameters
    ----------
    folder : Path
        Of the bricks.
    target : Path
        A new folder; what an error leaves there is the caller's.

    Returns
    -------
    int
        Bytes of all files.
    """
    import zarr
    from zarr.codecs import BloscCodec

    source = zarr.open_array(str(folder / "0"), mode="r", zarr_format=3)
    lead = (1,) * (source.ndim - 3)
    array = zarr.create_array(
        str(target / "0"),
        shape=source.shape,
        chunks=(*lead, min(EDGE, source.shape[-3]), *source.shape[-2:]),
        dtype=source.dtype,
        compressors=BloscCodec(typesize=source.dtype.itemsize, cname="zstd", clevel=1, shuffle="bitshuffle"),
        fill_value=source.fill_value,
        dimension_names=json.loads((folder / "0" / "zarr.json").read_text())["dimension_names"],
        zarr_format=3,
    )
    for layer in _layers(source.shape):
        array[layer] = source[layer]
    group = json.loads((folder / "zarr.json").read_text())
    (multiscale,) = group["attributes"]["ome"]["multiscales"]
    multiscale["datasets"] = multiscale["datasets"][:1]
    (target / "zarr.json").write_text(json.dumps(group, indent=1) + "\n")
    used = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    (target / "size").write_text(str(used))
    return used


def expand(folder: Path, stack: Stack, beside: Path) -> npt.NDArray[Any]:
    """Read a warm volume.

    Parameters
    ----------
    folder : Path
        Of the warm volume.
    stack : Stack
        What it has to be.
    beside : Path
        Where there is space: the voxels are in a file without a name.

    Returns
    -------
    ndarray
        ``(t, z, y, x)`` stored values.

    Raises
    ------
    DataError
        It is damaged.
    """
    import zarr

    shape = (len(stack.frames), *stack.shape)
    try:
        array = zarr.open_array(str(folder / "0"), mode="r", zarr_format=3)
        if array.shape != (shape if stack.times else shape[1:]) or array.dtype != np.dtype(stack.dtype):
            raise DataError("a warm volume has another shape")
        path = beside / "expanded"
        with path.open("w+b") as stream:
            path.unlink()
            os.posix_fallocate(stream.fileno(), 0, int(np.prod(shape)) * array.dtype.itemsize)
            out = np.memmap(stream, stack.dtype, "r+", shape=shape)
        whole = out if stack.times else out[0]
        for layer in _layers(array.shape):
            whole[layer] = array[layer]
    except (ValueError, RuntimeError, TypeError, KeyError, FileNotFoundError) as error:
        raise DataError("a warm volume is damaged") from error
    return out


def _layers(shape: tuple[int, ...]) -> list[tuple[int | slice, ...]]:
    """Index of each chunk: time point, slices."""
    times: list[tuple[int | slice, ...]] = [(t,) for t in range(shape[0])] if len(shape) == 4 else [()]
    return [(*time, slice(z, z + EDGE)) for time in times for z in range(0, shape[-3], EDGE)]
