"""A stack as a folder of bricks: OME-Zarr 0.5 over Zarr v3, written by the core (``docs/formats/volume.md``)."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import _core
from hilum.codecs.registry import core_decodes
from hilum.dicom.scan import FrameTable
from hilum.errors import NotFound
from hilum.volumes.virtual import bytes_codec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hilum.index.base import InstanceRecord
    from hilum.storage.packs import PackStore
    from hilum.volumes.assemble import Stack
    from hilum.volumes.geometry import SeriesFrames

    Decode = Callable[[Sequence[tuple[InstanceRecord, int]], npt.NDArray[Any] | None], npt.NDArray[Any]]

__all__ = [
    "EDGE",
    "FORMAT",
    "array_metadata",
    "build",
    "bytes_needed",
    "group_metadata",
    "key_of",
    "level_affine",
    "level_shapes",
]

FORMAT: Final = 1
"""Version of what is in a volume's folder."""

EDGE: Final = 32
"""Voxels along the edge of a brick."""


def key_of(series: SeriesFrames, stack: Stack) -> str:
    """Name of a volume: changes with the bytes of any object, with which frames it is made of, and how."""
    hasher = hashlib.sha256(f"hilum volume {FORMAT}\n".encode())
    frames = stack.frames.reshape(-1)
    for record in (series.records[i] for i in series.objects[frames]):
        hasher.update(record.sha256)
    how = (stack.shape, stack.frames.shape, stack.dtype, stack.slope, stack.intercept, stack.fill, stack.units)
    hasher.update(repr((how, stack.times, stack.time_kind, stack.resampled)).encode())
    rescales = np.zeros(0) if stack.rescales is None else stack.rescales
    for array in (series.numbers[frames], stack.slices, stack.affine, rescales):
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()[:32]


def level_shapes(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Voxels (z, y, x) of each level: halved, rounded up, until one brick holds all."""
    shapes = [shape]
    while max(shapes[-1]) > EDGE:
        z, y, x = ((n + 1) // 2 for n in shapes[-1])
        shapes.append((z, y, x))
    return shapes


def level_affine(affine: npt.NDArray[np.float64], level: int) -> npt.NDArray[np.float64]:
    """Affine of a level: its voxel (0, 0, 0) is the mean of the first 2**level voxels along each axis."""
    scale = float(1 << level)
    down = np.diag([scale, scale, scale, 1.0])
    down[:3, 3] = (scale - 1.0) / 2.0
    found: npt.NDArray[np.float64] = affine @ down
    return found


def bytes_needed(stack: Stack) -> int:
    """Bytes of the bricks of a stack, at most."""
    bricks = sum(int(np.prod([-(-n // EDGE) for n in shape])) for shape in level_shapes(stack.shape))
    return len(stack.frames) * bricks * (EDGE**3 * np.dtype(stack.dtype).itemsize + 24)


def build(
    packs: PackStore,
    series: SeriesFrames,
    stack: Stack,
    folder: Path,
    current: Callable[[InstanceRecord], InstanceRecord],
    decode: Decode,
    *,
    voxels: npt.NDArray[Any] | None = None,
    name: str = "",
    threads: int = 0,
) -> None:
    """Write a stack's bricks, ranges and metadata into a new folder; what an error leaves there is the caller's.

    Parameters
    ----------
    packs : PackStore
    series : SeriesFrames
    stack : Stack
        Of `series`.
    folder : Path
        Exists and is empty.
    current : callable
        Finds an object again that compaction has moved.
    decode : callable
        ``decode(refs, out)``: decodes what the core cannot take out of packs.
    voxels : ndarray, optional
        ``(t, z, y, x)`` stored values of the volume, if they are known: no frame is decoded then.
    name : str
        Of the image, in the metadata.
    threads : int
        0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

    Raises
    ------
    DataError
        A frame cannot be decoded; ``error.frame`` counts within its time point.
    NotFound
        An object has been deleted meanwhile.
    Unavailable
        The disk is full or cannot be written.
    """
    shapes = level_shapes(stack.shape)
    levels: list[list[npt.NDArray[np.float32]]] = [[] for _ in shapes]
    used = 0
    for time in range(len(stack.frames)):
        paths = [_shard_path(folder / str(level), stack, time) for level in range(len(shapes))]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        for level, (shape, ranges, size) in enumerate(
            _of_voxels(voxels[time], stack, paths, threads)
            if voxels is not None
            else _shards(packs, series, stack, time, paths, current, decode, threads)
        ):
            grid = [-(-n // EDGE) for n in shape]
            levels[level].append(np.frombuffer(ranges, np.float32).reshape(*grid, 2))
            used += size
    for level, found in enumerate(levels):
        _write_ranges(folder / "minmax" / str(level), stack, found)
        _write_json(folder / str(level) / "zarr.json", array_metadata(stack, shapes[level]))
    _write_json(folder / "minmax" / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
    _write_json(folder / "zarr.json", group_metadata(series, stack, shapes, name))
    (folder / "size").write_text(str(used + sum(r.nbytes for found in levels for r in found)))


def _shard_path(folder: Path, stack: Stack, time: int) -> Path:
    return folder.joinpath("c", *([str(time)] if stack.times else []), "0", "0", "0")


def _of_voxels(
    voxels: npt.NDArray[Any], stack: Stack, paths: list[Path], threads: int
) -> list[tuple[tuple[int, int, int], bytes, int]]:
    slices = np.zeros(len(voxels), stack.slices.dtype)
    slices["first"] = np.arange(len(voxels))
    plan = (_layout(stack), slices, stack.dtype, None)
    return _core.build_volume_of(voxels, plan, [str(path) for path in paths], threads)


def _layout(stack: Stack) -> tuple[tuple[int, int, int], str, float, float, float, tuple[float, ...]]:
    affine = tuple(stack.affine.ravel().tolist())
    return stack.shape, stack.dtype, stack.fill, stack.slope, stack.intercept, affine


def _shards(
    packs: PackStore,
    series: SeriesFrames,
    stack: Stack,
    time: int,
    paths: list[Path],
    current: Callable[[InstanceRecord], InstanceRecord],
    decode: Decode,
    threads: int,
) -> list[tuple[tuple[int, int, int], bytes, int]]:
    frames = stack.frames[time]
    objects, inverse = np.unique(series.objects[frames], return_inverse=True)
    records = [series.records[i] for i in objects]
    rescales = None if stack.rescales is None else np.ascontiguousarray(stack.rescales[time])
    plan = (_layout(stack), stack.slices, str(series.dtype(int(frames[0]))), rescales)
    names = [str(path) for path in paths]
    if not all(core_decodes(r.transfer_syntax_uid) and not FrameTable(r.frame_table).inflated for r in records):
        refs = [(records[o], int(n)) for o, n in zip(inverse, series.numbers[frames], strict=True)]
        return _core.build_volume_of(_decoded(refs, series, frames, paths[0], decode), plan, names, threads)
    refs_array = np.stack([inverse.astype(np.uint32), series.numbers[frames]], axis=1)
    try:
        return packs.build_volume([_stored(r) for r in records], refs_array, plan, names, threads=threads)
    except NotFound:  # compaction removed a pack meanwhile
        for path in paths:
            path.unlink(missing_ok=True)
        moved = [_stored(current(r)) for r in records]
        return packs.build_volume(moved, refs_array, plan, names, threads=threads)


def _decoded(
    refs: list[tuple[InstanceRecord, int]],
    series: SeriesFrames,
    frames: npt.NDArray[np.intp],
    beside: Path,
    decode: Decode,
) -> npt.NDArray[Any]:
    """Frames that other libraries have to decode, in a file without a name: memory holds what is looked at."""
    pixels = series.pixels[series.kinds[frames[0]]]
    dtype = series.dtype(int(frames[0]))
    path = beside.with_name("decoded")
    with path.open("w+b") as stream:
        path.unlink()
        os.posix_fallocate(stream.fileno(), 0, len(refs) * pixels.rows * pixels.columns * dtype.itemsize)
        out = np.memmap(stream, dtype, "r+", shape=(len(refs), pixels.rows, pixels.columns))
    return decode(refs, out)


def _stored(record: InstanceRecord) -> tuple[int, int, int, bytes, str, tuple[int | str, ...]]:
    place = record.location
    return (
        place.pack, place.offset, place.length, record.frame_table, record.transfer_syntax_uid, record.pixels or ()
    )  # fmt: skip


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _write_ranges(folder: Path, stack: Stack, ranges: list[npt.NDArray[np.float32]]) -> None:
    for time, found in enumerate(ranges):
        path = _shard_path(folder, stack, time) / "0"
        path.parent.mkdir(parents=True)
        path.write_bytes(found.astype("<f4").tobytes())
    lead = [len(ranges)] if stack.times else []
    shape = ranges[0].shape
    names = [*(["t"] if stack.times else []), "z", "y", "x", "least_greatest"]
    chunks = [*([1] if stack.times else []), *shape]
    _write_json(folder / "zarr.json", _array([*lead, *shape], chunks, "float32", 0.0, [bytes_codec(4)], names))


def _array(
    shape: list[int], chunks: list[int], dtype: str, fill: float, codecs: list[dict[str, Any]], names: list[str]
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": float(fill) if dtype.startswith("float") else int(fill),
        "codecs": codecs,
        "attributes": {},
        "dimension_names": names,
    }


def array_metadata(stack: Stack, shape: tuple[int, int, int]) -> dict[str, Any]:
    """``zarr.json`` of a level: one shard for each time point."""
    lead = [1] if stack.times else []
    itemsize = np.dtype(stack.dtype).itemsize
    sharding = {
        "chunk_shape": [*lead, EDGE, EDGE, EDGE],
        "codecs": [bytes_codec(itemsize)],
        "index_codecs": [bytes_codec(8), {"name": "crc32c"}],
        "index_location": "end",
    }
    return _array(
        [*([len(stack.times)] if stack.times else []), *shape],
        [*lead, *(-(-n // EDGE) * EDGE for n in shape)],
        stack.dtype,
        stack.fill,
        [{"name": "sharding_indexed", "configuration": sharding}],
        [*(["t"] if stack.times else []), "z", "y", "x"],
    )


def group_metadata(series: SeriesFrames, stack: Stack, shapes: list[tuple[int, int, int]], name: str) -> dict[str, Any]:
    """``zarr.json`` of the volume: OME-Zarr 0.5 multiscales, and what it does not know under ``hilum``."""
    axes: list[dict[str, str]] = [{"name": n, "type": "space", "unit": "millimeter"} for n in ("z", "y", "x")]
    lead: list[float] = []
    if stack.times:
        in_ms = stack.time_kind in ("trigger_time", "acquisition_time")
        axes.insert(0, {"name": "t", "type": "time", **({"unit": "millisecond"} if in_ms else {})})
        lead = [(stack.times[-1] - stack.times[0]) / max(len(stack.times) - 1, 1) or 1.0 if in_ms else 1.0]
    size = np.linalg.norm(stack.affine[:3, :3], axis=0)[::-1]
    datasets = []
    for level in range(len(shapes)):
        factor = float(1 << level)
        scale = [*lead, *(size * factor).tolist()]
        offset = [*([0.0] * len(lead)), *(size * (factor - 1.0) / 2.0).tolist()]
        transforms = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": offset}]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    first = series.records[series.objects[int(stack.frames[0, 0])]]
    ours = {
        "format": FORMAT,
        "study_instance_uid": first.study_instance_uid,
        "series_instance_uid": first.series_instance_uid,
        "frame_of_reference_uid": stack.frame_of_reference_uid,
        "affine": stack.affine.tolist(),
        "slope": stack.slope,
        "intercept": stack.intercept,
        "units": stack.units,
        "times": list(stack.times),
        "time_kind": stack.time_kind,
        "resampled": stack.resampled,
        "tilt_degrees": stack.tilt_degrees,
        "notes": list(stack.notes),
    }
    multiscale = {"name": name or first.series_instance_uid, "axes": axes, "datasets": datasets, "type": "mean"}
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": [multiscale]}, "hilum": ours},
    }
