"""One object where it lies, in an archive or in a file: read piece by piece, its frames decoded one at a time."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import errors
from hilum.codecs.decode import decode_frame
from hilum.codecs.encode import CONTAINERS, EXPLICIT_LITTLE_ENDIAN
from hilum.codecs.layout import jpeg_colour
from hilum.dicom.scan import FrameTable, inflate, pixel_description, scan
from hilum.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN as DEFLATED

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.types import PixelDescription

__all__ = ["StoredObject", "decoded_photometric", "object_in_bytes", "object_in_file", "object_of_record"]

_DECODED_COLOUR: Final = {"YBR_FULL_422": "YBR_FULL", "YBR_ICT": "RGB", "YBR_RCT": "RGB", "YBR_PARTIAL_422": "YBR_FULL"}
"""Photometric interpretation of decoded samples: chrominance is expanded, the transform of JPEG 2000 undone."""
_JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{tail}" for tail in ("50", "51", "53", "55", "57", "70"))


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object and how to read it."""

    transfer_syntax_uid: str
    """Of what `read` gives: a deflated object is given inflated."""
    size: int
    header_length: int
    """Bytes before the tag of the pixel data; all without pixel data."""
    pixels: PixelDescription | None
    frames: FrameTable | None
    read: Callable[[int, int], bytes]
    """(start, length) -> bytes."""

    @property
    def frame_count(self) -> int:
        """Frames whose bytes exist."""
        return len(self.frames) if self.frames is not None and self.pixels is not None else 0

    def stored_frame(self, frame: int) -> tuple[list[bytes], int]:
        """Fragments of a frame (from 0), and the bits of its first byte that are not its own."""
        assert self.frames is not None
        if not 0 <= frame < len(self.frames):
            raise errors.UsageError(f"there is no frame {frame} (from 0): the object has {len(self.frames)}")
        found = self.frames[frame]
        words = self.frames.swapped_words_from
        if words is not None:
            ((offset, length),) = found.fragments
            odd = (offset - words) & 1
            data = self.read(offset - odd, length + odd + (length + odd & 1))
            swapped = bytearray(len(data))
            swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
            return [bytes(swapped[odd : odd + length])], 0
        return [self.read(offset, length) for offset, length in found.fragments], found.bit_offset

    def samples(self, frame: int, *, containers: bool = False) -> tuple[npt.NDArray[Any], PixelDescription]:
        """Decode a frame (from 0).

        Parameters
        ----------
        frame : int
        containers : bool
            Where the stored form has whole containers, keep what is in the bits that are not stored ones.

        Returns
        -------
        ndarray
            Interleaved, in native byte order.
        PixelDescription
            Of the array.
        """
        assert self.pixels is not None
        fragments, bits = self.stored_frame(frame)
        data: Any = fragments[0] if len(fragments) == 1 else fragments
        described = self.pixels
        whole = described.keyword == "PixelData" and described.bits_allocated > 1
        keeps = whole and containers and self.transfer_syntax_uid in CONTAINERS
        if keeps:
            described = replace(described, bits_stored=described.bits_allocated, high_bit=described.bits_allocated - 1)
        array = decode_frame(data, self.transfer_syntax_uid, described, bit_offset=bits)
        up = self.pixels.high_bit + 1 - self.pixels.bits_stored
        if whole and not keeps and up > 0:
            array = np.left_shift(array, up)
        colour = decoded_photometric(self, fragments[0])
        return array, replace(self.pixels, planar_configuration=0, photometric_interpretation=colour)


def decoded_photometric(stored: StoredObject, fragment: bytes) -> str:
    """Photometric interpretation of decoded samples; a JPEG code stream is believed before the data set."""
    assert stored.pixels is not None
    term = stored.pixels.photometric_interpretation
    if stored.pixels.samples_per_pixel != 3:
        return term
    if stored.transfer_syntax_uid in _JPEG and (said := jpeg_colour(fragment)):
        return "RGB" if said == "rgb" else "YBR_FULL"
    return _DECODED_COLOUR.get(term, term)


def object_of_record(retrieve: Retriever, record: InstanceRecord) -> StoredObject:
    """Give an object of an archive."""
    if record.transfer_syntax_uid == DEFLATED:
        return object_in_bytes(retrieve.read(record))
    has_pixels = record.pixels is not None
    return StoredObject(
        record.transfer_syntax_uid,
        retrieve.size(record),
        record.header_length,
        retrieve.pixels(record),
        FrameTable(record.frame_table) if has_pixels else None,
        lambda start, length: retrieve.read(record, start, min(length, retrieve.size(record) - start)),
    )


def object_in_bytes(data: bytes | memoryview) -> StoredObject:
    """Give an object in memory.

    Raises
    ------
    DataError
        It is no DICOM object, or it cannot be read.
    """
    described = scan(data, storable=False)
    if described.deflated:
        return object_in_bytes(inflate(data))
    pixels = pixel_description(described)
    view = memoryview(data)
    return StoredObject(
        described.transfer_syntax_uid or EXPLICIT_LITTLE_ENDIAN,
        len(view),
        described.header_length,
        pixels,
        FrameTable(described.frame_table) if pixels is not None else None,
        lambda start, length: bytes(view[start : start + length]),
    )


def object_in_file(path: Path | str) -> StoredObject:
    """Give an object in a file, which must not change meanwhile; only what is read is brought into memory.

    Raises
    ------
    NotFound
        There is no such file.
    Unavailable
        It cannot be read.
    DataError
        It is no DICOM object.
    """
    try:
        with Path(path).open("rb") as stream:
            if not stream.seek(0, 2):
                raise errors.DataError(f"{path}: the file is empty")
            return object_in_bytes(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    except FileNotFoundError:
        raise errors.NotFound(f"{path}: no such file") from None
    except OSError as error:
        raise errors.Unavailable(f"{path}: {error.strerror}") from error
