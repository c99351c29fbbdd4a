"""Objects as the core sees them: one pass over the bytes, frames as ranges, attributes as lists.

The engine does the work (``core/include/hilum/dicom/scan.hpp`` has the rules of what is refused); this module gives it
names, types and documentation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum import _core
from hilum._core import FileBuffer, Scan
from hilum.errors import DataError, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from typing_extensions import Buffer

    from hilum.errors import HilumError

__all__ = [
    "Attribute",
    "FileBuffer",
    "FrameRange",
    "FrameTable",
    "Scan",
    "extract",
    "frame_bytes",
    "inflate",
    "pixel_description",
    "read_attributes",
    "scan",
    "scan_file",
    "scan_many",
]

DEFAULT_MAX_BYTES = 256 << 20
"""Files above this are mapped by `scan_file`, not read, and not hashed."""

_KINDS = ("none", "native", "single", "general")
_INFLATED = 0x80
_SWAPPED = 0x40
_FRAGMENT = struct.Struct("<QI")
_NATIVE = struct.Struct("<QQI")
_BAD_FRAME_TABLE = 9  # Errc::bad_frame_table
_BAD_RECORD = 13  # Errc::bad_record
_OUT_OF_RANGE = 102  # Errc::out_of_range


def scan(data: Buffer, *, hashes: bool = True, storable: bool = True) -> Scan:
    """Describe an object.

    Parameters
    ----------
    data : bytes-like
        A Part-10 file (PS3.10) or a bare data set, whole.
    hashes : bool
        Whether to compute `sha256` and `crc32c` of all bytes.
    storable : bool
        With False, objects that no archive would take because of missing or invalid UIDs are described all the same;
        these UIDs are then empty.

    Returns
    -------
    Scan
        UIDs, header length in bytes, pixel description, frame table, attribute lists, checksums and warnings.

    Raises
    ------
    DataError
        The bytes are no DICOM object, end inside an element, contradict themselves, or lack a valid SOP Class, SOP
        Instance, Study or Series Instance UID. A DICOMDIR needs the first two only.
    LimitExceeded
        A deflated data set inflates to more than 256 MiB, or there are more than 2**24 fragments.
    """
    return _core.scan(data, hashes, storable)


def scan_file(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> tuple[Scan, FileBuffer | None]:
    """Read and describe a file.

    Parameters
    ----------
    path : path-like
        A regular file; anything else is a DataError.
    max_bytes : int
        Larger files are mapped for the scan. They are not hashed, and no buffer is returned.

    Returns
    -------
    scan : Scan
        As from `scan`.
    buffer : FileBuffer or None
        The bytes, immutable, by the buffer protocol.

    Raises
    ------
    NotFound, Unavailable
        The file cannot be opened or read.
    DataError, LimitExceeded
        As from `scan`.
    """
    return _core.scan_file(path, max_bytes)


def scan_many(
    paths: Iterable[str | bytes | os.PathLike[str] | os.PathLike[bytes]], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> list[tuple[Scan, FileBuffer | None] | HilumError]:
    """`scan_file` of each path in one call without the GIL.

    Returns
    -------
    list
        In the order of `paths`: the pair, or the error (not raised) that the file gave. All buffers are held at once.
    """
    return _core.scan_many(paths, max_bytes)


def inflate(data: Buffer) -> bytes:
    """Return a deflated object with its data set inflated (PS3.5 section A.5).

    Preamble and meta keep their length; the transfer syntax in it becomes Explicit VR Little Endian, padded with NULs,
    so that the result is a readable Part-10 file. Offsets of a frame table with `FrameTable.inflated` count in it.
    Objects that are not deflated are returned as they are.

    Raises
    ------
    DataError, LimitExceeded
        It does not inflate, is cut, or inflates to more than 256 MiB.
    """
    return _core.inflate(data)


def extract(data: Buffer, tags: Sequence[str]) -> dict[str, Attribute]:
    """Read further attributes from an object or from its first ``header_length`` bytes.

    Parameters
    ----------
    data : bytes-like
        Deflated objects have to be whole.
    tags : sequence of str
        Tag paths: ``"00080060"``, ``"00400275.00400009"``. A path that names a sequence gives its items, empty.

    Returns
    -------
    dict
        Attributes by tag (8 hexadecimal digits). Absent attributes and those without text form are missing.
    """
    return read_attributes(_core.extract(data, tags))


def pixel_description(described: Scan) -> PixelDescription | None:
    """Layout of the stored pixel values (PS3.3 C.7.6.3), None without pixel data."""
    return None if described.pixels is None else PixelDescription(*described.pixels)


@dataclass(frozen=True, slots=True)
class FrameRange:
    """Where the bytes of one frame are, in an object or, if so marked, in the inflated object."""

    fragments: tuple[tuple[int, int], ...]
    """(offset, length) in bytes, in order; the frame is all of them joined."""
    bit_offset: int
    """Bits of the first byte that belong to the frame before; not 0 only for native frames of 1 bit per sample."""
    inflated: bool
    """Whether the offsets count in ``inflate(object)``."""

    @property
    def length(self) -> int:
        """Bytes of all fragments."""
        return sum(length for _, length in self.fragments)


class FrameTable:
    """The frame table of a scan or an index record.

    Parameters
    ----------
    encoded : bytes
        As `Scan.frame_table`; the format is described in ``core/include/hilum/dicom/frames.hpp``.

    Raises
    ------
    DataError
        The bytes are no frame table.
    """

    __slots__ = ("_count", "_encoded", "_first", "_fragments_at", "_frame_bits", "_inflated", "_kind", "_swapped")

    def __init__(self, encoded: bytes) -> None:
        if not encoded or (encoded[0] & ~(_INFLATED | _SWAPPED)) >= len(_KINDS):
            raise DataError("the frame table is damaged", code=_BAD_FRAME_TABLE)
        self._encoded = encoded
        self._kind = _KINDS[encoded[0] & ~(_INFLATED | _SWAPPED)]
        self._inflated = bool(encoded[0] & _INFLATED)
        self._swapped = bool(encoded[0] & _SWAPPED)
        self._count = self._first = self._frame_bits = self._fragments_at = 0
        try:
            if self._kind == "native":
                self._first, self._frame_bits, self._count = _NATIVE.unpack_from(encoded, 1)
            elif self._kind != "none":
                (self._count,) = struct.unpack_from("<I", encoded, 1)
                self._fragments_at = 5 + (4 * (self._count + 1) if self._kind == "general" else 0)
        except struct.error:
            raise DataError("the frame table is damaged", code=_BAD_FRAME_TABLE) from None

    @property
    def kind(self) -> str:
        """``"none"``, ``"native"``, ``"single"`` (one fragment per frame) or ``"general"``."""
        return self._kind

    @property
    def inflated(self) -> bool:
        """Whether offsets count in ``inflate(object)``."""
        return self._inflated

    @property
    def swapped_words_from(self) -> int | None:
        """Where the 16-bit words begin whose two bytes are swapped, None for all but 8-bit samples in big-endian OW."""
        return self._first if self._swapped else None

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame, 0 for other kinds."""
        return self._frame_bits

    def __len__(self) -> int:
        """Return the number of frames whose bytes exist, which may be less than Number of Frames says."""
        return self._count

    def __getitem__(self, index: int) -> FrameRange:
        """Return where frame `index` (from 0) is; IndexError beyond the last."""
        if not 0 <= index < self._count:
            raise IndexError("no such frame")
        if self._kind == "native":
            start = self._first * 8 + index * self._frame_bits
            first, last = start // 8, (start + self._frame_bits + 7) // 8
            return FrameRange(((first, last - first),), start % 8, self._inflated)
        begin, end = index, index + 1
        try:
            if self._kind == "general":
                begin, end = struct.unpack_from("<II", self._encoded, 5 + 4 * index)
            ranges = tuple(
                _FRAGMENT.unpack_from(self._encoded, self._fragments_at + _FRAGMENT.size * i) for i in range(begin, end)
            )
        except struct.error:
            raise DataError("the frame table is damaged", code=_BAD_FRAME_TABLE) from None
        return FrameRange(ranges, 0, self._inflated)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an attribute list."""

    tag: str
    """8 upper case hexadecimal digits."""
    vr: str
    value: str
    """Text, values separated by backslashes; empty for sequences and for attributes without value."""
    items: tuple[dict[str, Attribute], ...] = ()
    """Items of a sequence, each by tag."""

    @property
    def values(self) -> list[str]:
        """The values, without any if it is empty."""
        return self.value.split("\\") if self.value else []


def read_attributes(encoded: bytes) -> dict[str, Attribute]:
    """Take an attribute list apart (``core/include/hilum/dicom/attributes.hpp``).

    Parameters
    ----------
    encoded : bytes
        As from `Scan.attributes`.

    Returns
    -------
    dict
        Attributes by tag, in ascending order.

    Raises
    ------
    DataError
        The bytes are no attribute list.
    """
    found: dict[str, Attribute] = {}
    position = 0
    try:
        while position < len(encoded):
            number, vr_bytes, length = struct.unpack_from("<I2sH", encoded, position)
            position += 8
            value = encoded[position : position + length]
            position += length
            if position > len(encoded):
                raise DataError("the attribute list is damaged", code=_BAD_RECORD, offset=position)
            tag, vr = f"{number:08X}", vr_bytes.decode("ascii")
            if vr == "SQ":
                found[tag] = Attribute(tag, vr, "", tuple(_read_items(value)))
            else:
                found[tag] = Attribute(tag, vr, value.decode())
    except (struct.error, UnicodeDecodeError):
        raise DataError("the attribute list is damaged", code=_BAD_RECORD, offset=position) from None
    return found


def _read_items(encoded: bytes) -> list[dict[str, Attribute]]:
    items = []
    position = 0
    while position < len(encoded):
        (length,) = struct.unpack_from("<H", encoded, position)
        items.append(read_attributes(encoded[position + 2 : position + 2 + length]))
        position += 2 + length
    return items


def frame_bytes(data: Buffer, frame: FrameRange) -> bytes:
    """Join the fragments of a frame out of the whole object (inflated where `frame.inflated`).

    Raises
    ------
    UsageError
        `data` is shorter than the table says.
    """
    view = memoryview(data).cast("B")
    pieces = [bytes(view[offset : offset + length]) for offset, length in frame.fragments]
    if sum(map(len, pieces)) != frame.length:
        raise UsageError("the bytes given are not the whole object", code=_OUT_OF_RANGE)
    return b"".join(pieces)
