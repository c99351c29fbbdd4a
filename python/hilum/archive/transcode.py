"""Objects and frames in another transfer syntax than the stored one (PS3.5 annex A, PS3.18 8.7.3.5.2).

All that need not change stays byte for byte. Frames are decoded and encoded by several threads and go through one by
one, so memory does not grow with the object; compressed frames wait in a temporary file, because the offset table and
the length come before them.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from hilum.archive.headers import (
    Lossy,
    encoding_of,
    new_uid,
    pixel_element_end,
    trailer,
    write_header,
)
from hilum.archive.stored_object import StoredObject, decoded_photometric, object_of_record
from hilum.codecs.encode import (
    CONTAINERS,
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    NATIVE,
    EncodeOptions,
    can_encode,
    check_encode,
    encode_frame,
    encoded_photometric,
    is_lossy,
    lossy_method,
)
from hilum.codecs.layout import read_layout
from hilum.codecs.registry import can_decode
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.types import PixelDescription

__all__ = [
    "EXPLICIT_LITTLE_ENDIAN",
    "NATIVE",
    "Transcoded",
    "can_transcode",
    "decoded_bytes",
    "frame_in_syntax",
    "in_order",
    "native_frame",
    "native_pixels",
    "transcode",
    "transcode_object",
]

T = TypeVar("T")
_TAGS: Final = {"PixelData": 0x7FE00010, "FloatPixelData": 0x7FE00008, "DoubleFloatPixelData": 0x7FE00009}
_VRS: Final = {"FloatPixelData": b"OF", "DoubleFloatPixelData": b"OD"}
_MAX_LENGTH: Final = 0xFFFFFFFE
_MAX_OFFSET: Final = 0xFFFFFFFF
_CHUNK: Final = 1 << 18
_IN_MEMORY: Final = 32 << 20
_ITEM: Final = b"\xfe\xff\x00\xe0"
_SEQUENCE_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
_LITTLE: Final = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN})


@dataclass(frozen=True, slots=True)
class Transcoded:
    """An object as it will be sent."""

    length: int
    pieces: Iterator[bytes]
    transfer_syntax_uid: str = EXPLICIT_LITTLE_ENDIAN
    sop_instance_uid: str = ""
    """The new UID of an object that was compressed with loss, else empty."""


def can_transcode(
    record: InstanceRecord,
    transfer_syntax_uid: str = EXPLICIT_LITTLE_ENDIAN,
    options: EncodeOptions | None = None,
) -> bool:
    """Whether an object of an archive can be given in a transfer syntax, as far as its description tells."""
    from hilum.types import PixelDescription

    if record.pixels is None:
        return transfer_syntax_uid in NATIVE
    if record.transfer_syntax_uid not in NATIVE and not can_decode(record.transfer_syntax_uid):
        return False
    return can_encode(transfer_syntax_uid, PixelDescription(*record.pixels), options)  # type: ignore[arg-type]


def transcode(
    retrieve: Retriever,
    record: InstanceRecord,
    transfer_syntax_uid: str = EXPLICIT_LITTLE_ENDIAN,
    options: EncodeOptions | None = None,
) -> Transcoded:
    """Give an object of an archive in a transfer syntax; see `transcode_object`."""
    return transcode_object(object_of_record(retrieve, record), transfer_syntax_uid, options)


def transcode_object(
    stored: StoredObject,
    transfer_syntax_uid: str,
    options: EncodeOptions | None = None,
    *,
    threads: int = 0,
    largest_offset: int = _MAX_OFFSET,
) -> Transcoded:
    """Give an object in a transfer syntax.

    Parameters
    ----------
    stored : StoredObject
    transfer_syntax_uid : str
    options : EncodeOptions, optional
    threads : int
        At most; 0: as many as there are processors.
    largest_offset : int
        Of a frame, in bytes, that the Basic Offset Table may name (32 bits); beyond it an Extended Offset Table is
        written and the basic one is empty (PS3.5 A.4, PS3.3 C.7.6.3.1.8).

    Returns
    -------
    Transcoded
        With a new SOP Instance UID where the syntax and options lose something.

    Raises
    ------
    UsageError
        The syntax has no encoder or cannot hold the pixels.
    DataError
        The header or a frame cannot be read, or the result would exceed 4 GiB in an uncompressed syntax. All but
        later frames of an uncompressed answer are tried before this returns.
    """
    count = stored.frame_count
    if not count or stored.pixels is None:
        return _without_pixels(stored, transfer_syntax_uid)
    options = check_encode(transfer_syntax_uid, _decoded_description(stored), options)
    if transfer_syntax_uid in NATIVE:
        plain = _native(stored, transfer_syntax_uid, options, threads)
        return _deflated(plain) if transfer_syntax_uid == DEFLATED else plain.finish()
    return _encapsulated(stored, transfer_syntax_uid, options, threads, largest_offset)


def frame_in_syntax(
    stored: StoredObject, frame: int, transfer_syntax_uid: str, options: EncodeOptions | None = None
) -> bytes:
    """Give one frame (from 0) in a transfer syntax; nothing of the others is read."""
    samples, described = stored.samples(frame, containers=transfer_syntax_uid in CONTAINERS)
    return encode_frame(samples, transfer_syntax_uid, described, options or EncodeOptions())


def native_frame(retrieve: Retriever, record: InstanceRecord, frame: int) -> bytes:
    """Give a frame as little-endian native samples, as stored where they are stored so; from 0."""
    if record.transfer_syntax_uid in (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, DEFLATED):
        return retrieve.stored_frame(record, frame)
    return decoded_bytes(retrieve, record, frame)


def decoded_bytes(retrieve: Retriever, record: InstanceRecord, frame: int) -> bytes:
    """Give a decoded frame as little-endian samples, interleaved, one-bit samples packed; from 0."""
    array = retrieve.decoded_frame(record, frame)
    pixels = retrieve.pixels(record)
    if pixels is not None and pixels.bits_allocated == 1:
        return bytes(np.packbits(array.reshape(-1).astype(bool), bitorder="little"))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


# Frames


def _decoded_description(stored: StoredObject) -> PixelDescription:
    """Describe decoded frames, as far as it is known before one is decoded."""
    assert stored.pixels is not None
    fragment = b""
    if stored.pixels.samples_per_pixel == 3 and stored.transfer_syntax_uid not in NATIVE:
        fragment = stored.stored_frame(0)[0][0]
    colour = decoded_photometric(stored, fragment)
    return replace(stored.pixels, planar_configuration=0, photometric_interpretation=colour)


def in_order(count: int, make: Callable[[int], T], threads: int = 0) -> Iterator[T]:
    """``make(0)``, ``make(1)``, … by several threads, no more of them ahead than there are threads.

    Parameters
    ----------
    count : int
    make : callable
        Releases the GIL in what costs time.
    threads : int
        0: as many as there are processors.
    """
    threads = threads or os.cpu_count() or 1
    if count == 1 or threads == 1:
        yield from map(make, range(count))
        return
    with ThreadPoolExecutor(threads, "hilum-transcode") as pool:
        waiting = deque(pool.submit(make, index) for index in range(min(count, threads + 1)))
        following = len(waiting)
        try:
            while waiting:
                done = waiting.popleft().result()
                if following < count:
                    waiting.append(pool.submit(make, following))
                    following += 1
                yield done
        finally:
            for one in waiting:
                one.cancel()


# Without pixel data


def _without_pixels(stored: StoredObject, transfer_syntax_uid: str) -> Transcoded:
    if transfer_syntax_uid not in NATIVE:
        raise UsageError("the object has no pixel data to compress: ask for an uncompressed transfer syntax")
    whole = stored if stored.pixels is None else replace(stored, header_length=stored.size)
    meta, dataset = write_header(whole, transfer_syntax_uid)
    plain = _Plain(transfer_syntax_uid, meta, dataset, 0, iter(()), b"")
    return _deflated(plain) if transfer_syntax_uid == DEFLATED else plain.finish()


# Uncompressed


@dataclass(frozen=True, slots=True)
class _Plain:
    """An object whose pixel data is not encapsulated."""

    transfer_syntax_uid: str
    meta: bytes
    head: bytes
    size: int
    pixels: Iterator[bytes]
    tail: bytes

    def dataset(self) -> Iterator[bytes]:
        yield self.head
        yield from self.pixels
        if self.tail:
            yield self.tail

    def finish(self) -> Transcoded:
        def pieces() -> Iterator[bytes]:
            yield self.meta
            yield from self.dataset()

        length = len(self.meta) + len(self.head) + self.size + len(self.tail)
        return Transcoded(length, pieces(), self.transfer_syntax_uid)


def _native(stored: StoredObject, uid: str, options: EncodeOptions, threads: int) -> _Plain:
    assert stored.pixels is not None
    layout = read_layout(stored.read(0, min(stored.header_length, 1 << 20)))
    value, end = pixel_element_end(stored, layout)
    target = encoding_of(uid)
    tail = trailer(stored, end, layout, target)
    if stored.transfer_syntax_uid in _LITTLE and uid != EXPLICIT_BIG_ENDIAN and not layout.big_endian:
        meta, dataset = write_header(stored, uid)
        vr = stored.read(stored.header_length + 4, 2) if layout.explicit_vr else None
        head = dataset + _pixel_head(stored.pixels, end - value, target, vr)
        return _Plain(uid, meta, head, end - value, _copied(stored, value, end), tail)
    described = _decoded_description(stored)
    size = _native_size(stored, described)
    if size > _MAX_LENGTH:
        raise DataError("the pixels are too many for an uncompressed transfer syntax: ask for transfer-syntax=*")
    meta, dataset = write_header(stored, uid, pixels=described)
    padded = size + (size & 1)
    head = dataset + _pixel_head(described, padded, target, None)
    frames = _native_frames(stored, uid, options, threads)
    pad = [b"\0"] if size & 1 else []
    return _Plain(uid, meta, head, padded, chain(frames, pad), tail)


def native_pixels(stored: StoredObject) -> tuple[int, Iterator[bytes]]:
    """Give all frames as little-endian native samples: bytes in all, not padded, and the pieces.

    Raises
    ------
    DataError
        The first frame cannot be decoded.
    """
    pieces = _native_frames(stored, EXPLICIT_LITTLE_ENDIAN, EncodeOptions(), 0)
    return _native_size(stored, _decoded_description(stored)), pieces


def _frame_bits(described: PixelDescription) -> int:
    return described.rows * described.columns * described.samples_per_pixel * described.bits_allocated


def _native_size(stored: StoredObject, described: PixelDescription) -> int:
    return (_frame_bits(described) * stored.frame_count + 7) // 8


def _pixel_head(pixels: PixelDescription, length: int, target: tuple[bool, bool], vr: bytes | None) -> bytes:
    tag = _TAGS[pixels.keyword]
    order = ">" if target[1] else "<"
    if not target[0]:
        return struct.pack(f"{order}HHI", tag >> 16, tag & 0xFFFF, length)
    vr = vr or _VRS.get(pixels.keyword) or (b"OB" if pixels.bits_allocated <= 8 else b"OW")
    return struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)


def _copied(stored: StoredObject, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _CHUNK):
        yield stored.read(at, min(_CHUNK, end - at))


def _native_frames(stored: StoredObject, uid: str, options: EncodeOptions, threads: int) -> Iterator[bytes]:
    """Frames one after the other; the first is made now, so that what cannot be decoded is known at once."""
    assert stored.pixels is not None
    if _frame_bits(stored.pixels) % 8:
        pieces = _packed(in_order(stored.frame_count, lambda frame: stored.samples(frame)[0], threads))
    else:
        pieces = in_order(stored.frame_count, lambda frame: frame_in_syntax(stored, frame, uid, options), threads)
    first = next(pieces)
    return chain((first,), pieces)


def _packed(frames: Iterable[Any]) -> Iterator[bytes]:
    """One-bit frames that do not end on a byte, without gaps (PS3.5 8.1.1)."""
    left = np.zeros(0, np.uint8)
    for frame in frames:
        bits = np.concatenate([left, frame.reshape(-1) != 0])
        whole = len(bits) // 8 * 8
        left = bits[whole:]
        yield np.packbits(bits[:whole].astype(bool), bitorder="little").tobytes()
    if len(left):
        yield np.packbits(left.astype(bool), bitorder="little").tobytes()


def _deflated(plain: _Plain) -> Transcoded:
    """The data set deflated as a whole (PS3.5 A.5)."""
    spool = _spool()
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    try:
        for piece in plain.dataset():
            spool.write(packer.compress(piece))
        spool.write(packer.flush())
    except BaseException:
        spool.close()
        raise
    size = spool.tell()
    if size & 1:
        spool.write(b"\0")
        size += 1

    def pieces() -> Iterator[bytes]:
        yield plain.meta
        yield from _unspooled(spool)

    return Transcoded(len(plain.meta) + size, pieces(), DEFLATED)


# Encapsulated


def _spool() -> Any:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


def _unspooled(spool: Any) -> Iterator[bytes]:
    with spool:
        spool.seek(0)
        while piece := spool.read(_CHUNK):
            yield piece


def _encapsulated(
    stored: StoredObject, uid: str, options: EncodeOptions, threads: int, largest_offset: int
) -> Transcoded:
    assert stored.pixels is not None
    layout = read_layout(stored.read(0, min(stored.header_length, 1 << 20)))
    lossy = is_lossy(uid, options)
    described: list[PixelDescription] = []

    def make(frame: int) -> bytes:
        samples, description = stored.samples(frame, containers=not lossy)
        if not frame:
            described.append(description)
        return encode_frame(samples, uid, description, options)

    spool = _spool()
    offsets: list[int] = []
    sizes: list[int] = []
    try:
        for data in in_order(stored.frame_count, make, threads):
            offsets.append(spool.tell())
            sizes.append(len(data))
            spool.write(_fragment(data))
    except BaseException:
        spool.close()
        raise
    spool.write(_SEQUENCE_END)
    length = spool.tell()

    colour = encoded_photometric(uid, described[0], lossy=lossy)
    pixels = replace(described[0], photometric_interpretation=colour)
    derived = Lossy(lossy_method(uid), _ratio(stored.pixels, sizes), new_uid()) if lossy else None
    extended = offsets[-1] > largest_offset
    meta, dataset = write_header(
        stored, uid, pixels=pixels, extended_offsets=(offsets, sizes) if extended else None, lossy=derived
    )
    table = b"" if extended else struct.pack(f"<{len(offsets)}I", *offsets)
    head = dataset + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + _ITEM + struct.pack("<I", len(table)) + table
    tail = trailer(stored, pixel_element_end(stored, layout)[1], layout, encoding_of(uid))

    def pieces() -> Iterator[bytes]:
        yield meta + head
        yield from _unspooled(spool)
        if tail:
            yield tail

    total = len(meta) + len(head) + length + len(tail)
    return Transcoded(total, pieces(), uid, derived.sop_instance_uid if derived is not None else "")


def _fragment(data: bytes) -> bytes:
    """Item of even length (PS3.5 A.4)."""
    padded = len(data) + (len(data) & 1)
    if padded > _MAX_LENGTH:
        raise DataError("a compressed frame is larger than 4 GiB")
    return _ITEM + struct.pack("<I", padded) + data + b"\0" * (padded - len(data))


def _ratio(pixels: PixelDescription, sizes: list[int]) -> float:
    bits = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated
    return bits * len(sizes) / 8 / max(sum(sizes), 1)
