"""Objects in Explicit VR Little Endian, whatever they are stored in (PS3.18 8.7.3.5.2.

What a client means that names no transfer syntax).

Header and trailer are written again by pydicom; the pixels pass through frame by frame, so memory does not grow
with the object, and the length is known before the first byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import UID

from hilum.codecs.registry import can_decode
from hilum.dicom.scan import FrameTable
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset, FileDataset

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.types import PixelDescription

__all__ = [
    "EXPLICIT_LITTLE_ENDIAN",
    "NATIVE",
    "Transcoded",
    "can_transcode",
    "decoded_bytes",
    "native_frame",
    "transcode",
]

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED, EXPLICIT_BIG_ENDIAN})
_TAGS: Final = {"PixelData": 0x7FE00010, "FloatPixelData": 0x7FE00008, "DoubleFloatPixelData": 0x7FE00009}
_VRS: Final = {"FloatPixelData": b"OF", "DoubleFloatPixelData": b"OD"}
_MAX_LENGTH: Final = 0xFFFFFFFE
_CHUNK: Final = 1 << 18
_WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_DECODED_COLOUR: Final = {"YBR_FULL_422": "YBR_FULL", "YBR_ICT": "RGB", "YBR_RCT": "RGB", "YBR_PARTIAL_422": "YBR_FULL"}
"""Photometric interpretation of decoded samples: chrominance is expanded, the transform of JPEG 2000 undone."""


@dataclass(frozen=True, slots=True)
class Transcoded:
    """An object as it will be sent."""

    length: int
    pieces: Iterator[bytes]


def can_transcode(record: InstanceRecord) -> bool:
    """Whether the object can be given in Explicit VR Little Endian."""
    return record.transfer_syntax_uid in NATIVE or record.pixels is None or can_decode(record.transfer_syntax_uid)


def native_frame(retrieve: Retriever, record: InstanceRecord, frame: int) -> bytes:
    """Give a frame as little-endian native samples, as stored where they are stored so; from 0."""
    if record.transfer_syntax_uid in (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, DEFLATED):
        return retrieve.stored_frame(record, frame)
    return decoded_bytes(retrieve, record, frame)


def transcode(retrieve: Retriever, record: InstanceRecord) -> Transcoded:
    """Give an object in Explicit VR Little Endian.

    Raises
    ------
    DataError
        Its header cannot be written again, its frames cannot be decoded, or they exceed 4 GiB.
    """
    pixels = retrieve.pixels(record)
    header = _read(retrieve.header(record))
    frames = retrieve.frame_count(record)
    if pixels is None or not frames:
        whole = _part10(header, record)
        return Transcoded(len(whole), iter((whole,)))
    if record.transfer_syntax_uid in (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN):
        return _as_stored(retrieve, record, header, pixels)
    frame_size = _describe(header, pixels)
    size = frame_size * frames
    if pixels.bits_allocated == 1 and pixels.rows * pixels.columns % 8:
        raise DataError("one-bit frames that do not end on a byte are given as stored only: ask for transfer-syntax=*")
    if size > _MAX_LENGTH:
        raise DataError("the pixels are too many for an uncompressed transfer syntax: ask for transfer-syntax=*")
    head = _part10(header, record) + _pixel_head(pixels, size + (size & 1))

    first = decoded_bytes(retrieve, record, 0)  # what cannot be decoded is known before the first byte goes out

    def pieces() -> Iterator[bytes]:
        yield head
        yield first
        for frame in range(1, frames):
            yield decoded_bytes(retrieve, record, frame)
        if size & 1:
            yield b"\0"

    return Transcoded(len(head) + size + (size & 1), pieces())


def decoded_bytes(retrieve: Retriever, record: InstanceRecord, frame: int) -> bytes:
    """Give a decoded frame as little-endian samples, interleaved, one-bit samples packed; from 0."""
    array = retrieve.decoded_frame(record, frame)
    pixels = retrieve.pixels(record)
    if pixels is not None and pixels.bits_allocated == 1:
        return bytes(np.packbits(array.reshape(-1).astype(bool), bitorder="little"))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _read(data: bytes) -> FileDataset:
    try:
        return dcmread(BytesIO(data), force=True, stop_before_pixels=True)
    except Exception as error:
        raise _cannot(error) from None


def _cannot(error: Exception) -> DataError:
    return DataError(f"the header cannot be written in another transfer syntax ({type(error).__name__})")


def _part10(header: FileDataset, record: InstanceRecord) -> bytes:
    """Give the header as a Part-10 file that ends where its pixel data would begin."""
    if record.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN:
        header.walk(_swap_words)
    meta = header.file_meta
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE_ENDIAN)
    meta.MediaStorageSOPClassUID = UID(record.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(record.sop_instance_uid)
    out = BytesIO()
    try:
        dcmwrite(out, header, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except Exception as error:
        raise _cannot(error) from None
    return out.getvalue()


def _swap_words(_dataset: Dataset, element: Any) -> None:
    """Reverse the bytes of words, which pydicom leaves as they were read."""
    width = _WORDS.get(element.VR)
    if width and isinstance(element.value, bytes) and len(element.value) % width == 0:
        element.value = np.frombuffer(element.value, f">u{width}").astype(f"<u{width}").tobytes()


def _describe(header: FileDataset, pixels: PixelDescription) -> int:
    """Let the header describe decoded pixels; gives their bytes per frame."""
    colour = pixels.photometric_interpretation
    if pixels.samples_per_pixel > 1:
        header.PlanarConfiguration = 0
        header.PhotometricInterpretation = _DECODED_COLOUR.get(colour, colour)
    return (pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated + 7) // 8


def _pixel_head(pixels: PixelDescription, length: int) -> bytes:
    tag = _TAGS[pixels.keyword]
    vr = _VRS.get(pixels.keyword) or (b"OB" if pixels.bits_allocated <= 8 else b"OW")
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)


def _as_stored(
    retrieve: Retriever, record: InstanceRecord, header: FileDataset, pixels: PixelDescription
) -> Transcoded:
    """Implicit VR: the pixels are the same bytes, only the elements around them are written again."""
    table = FrameTable(record.frame_table)
    first = table[0].fragments[0][0]
    size = (table.frame_bits * len(table) + 7) // 8
    size = min(size + (size & 1), retrieve.size(record) - first)
    head = _part10(header, record) + _pixel_head(pixels, size + (size & 1))
    tail = b"\0" * (size & 1) + _trailer(retrieve.read(record, first + size))

    def pieces() -> Iterator[bytes]:
        yield head
        yield from retrieve.stream(record, first, size, chunk=_CHUNK)
        if tail:
            yield tail

    return Transcoded(len(head) + size + len(tail), pieces())


def _trailer(data: bytes) -> bytes:
    """Elements after the pixel data, from Implicit VR; what cannot be read as elements is left out."""
    if len(data) < 8:
        return b""
    try:
        rest = read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)
        out = DicomBytesIO()
        out.is_little_endian, out.is_implicit_VR = True, False
        write_dataset(out, rest)
    except Exception:
        return b""
    return bytes(out.getvalue())
