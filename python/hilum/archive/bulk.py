"""Frames of many objects in one call: what `Frames.stack` and series-wide work run on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.scan import FrameTable, inflate
from hilum.errors import DataError, HilumError, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.storage.packs import PackStore
    from hilum.types import PixelDescription

__all__ = ["decode_frames"]

_EXPLICIT: Final = "1.2.840.10008.1.2.1"


def decode_frames(
    retriever: Retriever,
    packs: PackStore,
    refs: Sequence[tuple[InstanceRecord, int]],
    out: npt.NDArray[Any] | None = None,
    *,
    threads: int = 0,
) -> npt.NDArray[Any]:
    """Decode frames of one or many objects in parallel; only the bytes of these frames are read.

    Parameters
    ----------
    retriever : Retriever
        Finds objects that compaction has moved meanwhile.
    packs : PackStore
    refs : sequence of (InstanceRecord, int)
        Which object, which of its frames (from 0). At least one; all of one shape and type.
    out : ndarray, optional
        C-contiguous, ``(frames, rows, columns[, samples])``; filled and returned. Undefined after an error.
    threads : int
        0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

    Returns
    -------
    ndarray
        Stored values before any look-up table.

    Raises
    ------
    UsageError
        No frames, no such frame, or an `out` that does not fit.
    DataError
        No pixel data, frames of different shape or type, or one that cannot be decoded. ``error.frame`` says which of
        `refs` it is, ``error.offset`` where in its bytes.
    NotFound
        An object has been deleted meanwhile.
    """
    import numpy as np

    from hilum.codecs.decode import check_out, frame_dtype, frame_shape
    from hilum.codecs.registry import core_decodes

    if not refs:
        raise UsageError("there are no frames to decode")
    records: dict[int, InstanceRecord] = {}
    numbers = np.empty((len(refs), 2), np.uint32)
    for index, (record, frame) in enumerate(refs):
        if not 0 <= frame < 1 << 32:
            raise UsageError(f"there is no frame {frame} (from 0)")
        records.setdefault(id(record), record)
        numbers[index] = 0, frame
    order = {key: position for position, key in enumerate(records)}
    numbers[:, 0] = [order[id(record)] for record, _ in refs]
    pixels = _common_pixels(retriever, refs)
    if out is None:
        out = np.empty((len(refs), *frame_shape(pixels)), frame_dtype(pixels))
    else:
        check_out(out, pixels, len(refs))
    distinct = list(records.values())
    if all(core_decodes(r.transfer_syntax_uid) and not FrameTable(r.frame_table).inflated for r in distinct):
        _from_packs(retriever, packs, distinct, numbers, out, threads)
    else:
        _one_by_one(retriever, refs, out, threads)
    return out


def _common_pixels(retriever: Retriever, refs: Sequence[tuple[InstanceRecord, int]]) -> PixelDescription:
    """Pixel description of the first, after a look at all the others."""
    from hilum.codecs.decode import frame_dtype, frame_shape

    first = retriever.require_pixels(refs[0][0])
    shape, dtype = frame_shape(first), frame_dtype(first)
    seen: set[tuple[int | str, ...] | None] = set()
    for index, (record, _) in enumerate(refs):
        if record.pixels in seen:
            continue
        seen.add(record.pixels)
        pixels = retriever.require_pixels(record)
        if frame_shape(pixels) != shape or frame_dtype(pixels) != dtype:
            error = DataError(
                f"frame {index} is {frame_dtype(pixels)} {frame_shape(pixels)}, the first is {dtype} {shape}"
            )
            error.frame = index
            raise error
    return first


def _from_packs(
    retriever: Retriever,
    packs: PackStore,
    records: list[InstanceRecord],
    refs: npt.NDArray[Any],
    out: npt.NDArray[Any],
    threads: int,
) -> None:
    """Decode in the core; once more with new places when compaction removed a pack meanwhile."""
    for last in (False, True):
        try:
            packs.decode_frames([_stored(record) for record in records], refs, out, threads=threads)
        except NotFound:
            if last:
                raise
            records = [retriever.current(record) for record in records]
        else:
            return


def _stored(record: InstanceRecord) -> tuple[int, int, int, bytes, str, tuple[int | str, ...]]:
    place = record.location
    pixels = record.pixels or ()
    return place.pack, place.offset, place.length, record.frame_table, record.transfer_syntax_uid, pixels


def _one_by_one(
    retriever: Retriever, refs: Sequence[tuple[InstanceRecord, int]], out: npt.NDArray[Any], threads: int
) -> None:
    """Decode what the core cannot take out of packs: deflated objects, decoders of other libraries."""
    from hilum.codecs.decode import decode_frame, for_each_frame

    deflated: dict[int, list[int]] = {}
    plain = []
    for index, (record, _) in enumerate(refs):
        if FrameTable(record.frame_table).inflated:
            deflated.setdefault(id(record), []).append(index)
        else:
            plain.append(index)

    def decode(at: int) -> None:
        record, frame = refs[plain[at]]
        retriever.decoded_frame(record, frame, out=out[plain[at]])

    with _numbered(plain):
        for_each_frame(len(plain), decode, threads)
    for indices in deflated.values():
        record = refs[indices[0]][0]
        with _numbered(indices):
            whole, table = inflate(retriever.read(record)), FrameTable(record.frame_table)
        pixels = retriever.require_pixels(record)
        for index in indices:
            with _numbered([index]):
                place = table[retriever.require_frame(record, refs[index][1])]
                pieces = [whole[offset : offset + length] for offset, length in place.fragments]
                decode_frame(pieces, _EXPLICIT, pixels, bit_offset=place.bit_offset, out=out[index])


@contextmanager
def _numbered(positions: list[int]) -> Iterator[None]:
    """Turn the number of a frame in an error into its position in the whole request."""
    try:
        yield
    except HilumError as error:
        error.frame = positions[error.frame or 0]
        raise
