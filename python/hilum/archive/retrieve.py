"""Giving objects back: whole, as stored frames, as DICOM JSON, as bulk data, decoded and rendered.

Compaction moves records to other packs: a record that is no longer where the index said is looked up again, once.
"""

from __future__ import annotations

import hashlib
import mmap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hilum.archive.caches import DiskCache, MemoryCache
from hilum.dicom import json as dicom_json
from hilum.dicom.scan import FrameRange, FrameTable, inflate
from hilum.errors import DataError, Gone, LimitExceeded, NotFound, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pydicom

    from hilum.config import CacheSettings
    from hilum.index.base import Index, InstanceRecord
    from hilum.pixels.description import RenderingAttributes
    from hilum.pixels.settings import RenderSettings
    from hilum.storage.packs import PackStore
    from hilum.types import Location

__all__ = ["Retriever", "mapped"]

T = TypeVar("T")
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_MAX_FRAME_BYTES: Final = 4 << 30
_ELEMENT_HEAD: Final = 12
_MAP_ABOVE: Final = 4 << 20
_INLINE_LIMIT: Final = 1024
_JSON_VERSION: Final = b"2"


class Retriever:
    """Reads what is stored; thread-safe.

    Parameters
    ----------
    packs : PackStore
    index : Index
    uuid : str
        Of the archive.
    cache_folder : Path or None
        ``ROOT/cache``; None: nothing is kept on disk.
    settings : CacheSettings
    """

    def __init__(
        self, packs: PackStore, index: Index, uuid: str, cache_folder: Path | None, settings: CacheSettings
    ) -> None:
        self._packs = packs
        self._index = index
        self._placeholder = f"hilum-base:{uuid}"
        self._metadata = MemoryCache(settings.metadata_memory_bytes)
        keep = cache_folder is not None and settings.metadata_disk and settings.disk_bytes > 0
        self._disk = DiskCache(cache_folder / "metadata", settings.disk_bytes) if keep and cache_folder else None

    # Finding

    def records(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> list[InstanceRecord]:
        """Find the current instances of a study, series, or one instance of it, in display order.

        Raises
        ------
        NotFound
            There is none.
        Gone
            There was, and it has been deleted.
        """
        if sop_uid is not None:
            record = self._index.lookup([sop_uid])[0]
            belongs = record is not None and record.study_instance_uid == study_uid
            if record is not None and belongs and series_uid in (None, record.series_instance_uid):
                return [record]
            raise self._absent("instance in this study and series", study_uid, series_uid, sop_uid)
        found = self._index.instances(study_uid, series_uid)
        if not found:
            raise self._absent("study" if series_uid is None else "series", study_uid, series_uid)
        return found

    def _absent(self, what: str, *uids: str | None) -> NotFound:
        """Error for what is not there, or is there no more."""
        if any(uid is not None and self._index.is_deleted(uid, 0) for uid in uids):
            return Gone("it has been deleted")
        return NotFound(f"there is no such {what}")

    def lookup(self, sop_uids: Sequence[str]) -> list[InstanceRecord | None]:
        """Find the current instances by SOP Instance UID."""
        return self._index.lookup(sop_uids)

    # Bytes

    def size(self, record: InstanceRecord) -> int:
        """Bytes of the object."""
        return record.location.length

    def read(self, record: InstanceRecord, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of the object as it was received, verified by their checksums.

        Raises
        ------
        NotFound
            It was deleted meanwhile.
        DataError
            The stored bytes are damaged.
        """
        return self._relocated(record, lambda r: self._packs.read(r.location, start, length, crc32c=r.crc32c))

    def stream(
        self, record: InstanceRecord, start: int = 0, length: int | None = None, chunk: int = 1 << 20
    ) -> Iterator[bytes]:
        """As `read`, in pieces of `chunk` bytes; what can be wrong at the start is raised before the first piece."""
        end = record.location.length if length is None else start + length
        if not 0 <= start <= end <= record.location.length or chunk < 1:
            raise UsageError("the range is not inside of the object")
        first = self.read(record, start, min(chunk, end - start))

        def pieces() -> Iterator[bytes]:
            yield first
            for at in range(start + chunk, end, chunk):
                yield self.read(record, at, min(chunk, end - at))

        return pieces()

    def header(self, record: InstanceRecord) -> bytes:
        """Everything up to the pixel data and the head of its element; a deflated object as a whole, as it is."""
        if record.transfer_syntax_uid == _DEFLATED:
            return self.read(record)
        return self.read(record, 0, min(record.header_length + _ELEMENT_HEAD, record.location.length))

    def _relocated(self, record: InstanceRecord, action: Callable[[InstanceRecord], T]) -> T:
        """Run `action`, again with the new place when the record was moved by compaction meanwhile."""
        try:
            return action(record)
        except NotFound:
            moved = self._current(record)
            if moved is None:
                raise Gone("the object has been deleted") from None
            if moved.location == record.location:
                if all(info.number != record.location.pack for info in self._packs.packs()):
                    raise NotFound(f"pack {record.location.pack} is missing; restore it from a backup") from None
                raise
            return action(moved)

    def _current(self, record: InstanceRecord) -> InstanceRecord | None:
        current = self._index.lookup([record.sop_instance_uid])[0]
        candidates = [current, *self._index.versions(record.sop_instance_uid)]
        return next((c for c in candidates if c is not None and c.sha256 == record.sha256), None)

    # Frames

    def pixels(self, record: InstanceRecord) -> PixelDescription | None:
        """How the pixel values are stored; None without pixel data."""
        return None if record.pixels is None else PixelDescription(*record.pixels)  # type: ignore[arg-type]

    def frame_count(self, record: InstanceRecord) -> int:
        """Frames that can be asked for, 0 without pixel data."""
        return len(FrameTable(record.frame_table)) if record.pixels is not None else 0

    def frame_size(self, record: InstanceRecord, frame: int) -> int:
        """Bytes of the frame as stored: its fragments joined, or the bytes that hold its bits."""
        table, found = self._range(record, frame)
        return (table.frame_bits + 7) // 8 if found.bit_offset else found.length

    def stored_frame(self, record: InstanceRecord, frame: int) -> bytes:
        """Bytes of a frame as stored, not decoded; fragments are joined.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.

        Raises
        ------
        UsageError
            There is no such frame.
        DataError
            The object has no pixel data.
        LimitExceeded
            The frame is larger than 4 GiB.
        """
        fragments, bits = self._fragments(record, frame)
        data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
        return _shifted(data, bits, FrameTable(record.frame_table).frame_bits) if bits else data

    def decoded_frame(
        self, record: InstanceRecord, frame: int, *, rgb: bool = False, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[np.generic]:
        """Decode a frame to stored values, or to RGB when asked for.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.
        rgb : bool
            Colour, palette colour too, as 8-bit RGB; grey stays as it is.
        out : ndarray, optional
            Filled and returned; not with `rgb`.

        Returns
        -------
        ndarray
            ``(rows, columns)`` or ``(rows, columns, samples)``.
        """
        from hilum.codecs.decode import decode_frame
        from hilum.pixels.pipeline import render_pixels
        from hilum.pixels.settings import RenderSettings

        fragments, bits = self._fragments(record, frame)
        data: Any = fragments[0] if len(fragments) == 1 else fragments
        pixels = self.require_pixels(record)
        if rgb and (pixels.samples_per_pixel > 1 or pixels.photometric_interpretation.startswith("PALETTE")):
            attributes = self.rendering_attributes(record, frame)
            plain = RenderSettings(square_pixels=False)
            return render_pixels(data, self._syntax(record), pixels, attributes, plain, bit_offset=bits)
        return decode_frame(data, self._syntax(record), pixels, bit_offset=bits, out=out)

    def decode_frames(
        self, refs: Sequence[tuple[InstanceRecord, int]], out: npt.NDArray[Any] | None = None, *, threads: int = 0
    ) -> npt.NDArray[Any]:
        """Decode frames of one or many objects in one call: see `hilum.archive.bulk.decode_frames`."""
        from hilum.archive.bulk import decode_frames

        return decode_frames(self, self._packs, refs, out, threads=threads)

    def current(self, record: InstanceRecord) -> InstanceRecord:
        """Return the record as it is now: compaction may have moved its bytes.

        Raises
        ------
        NotFound
            It was deleted meanwhile.
        """
        found = self._current(record)
        if found is None:
            raise Gone("the object has been deleted")
        return found

    def require_frame(self, record: InstanceRecord, frame: int) -> int:
        """Return `frame` if the object has it.

        Raises
        ------
        UsageError
            It has not.
        """
        self._range(record, frame)
        return frame

    def require_pixels(self, record: InstanceRecord) -> PixelDescription:
        """As `pixels`, with a DataError where there are none."""
        pixels = self.pixels(record)
        if pixels is None:
            raise DataError("the object has no pixel data")
        return pixels

    def _syntax(self, record: InstanceRecord) -> str:
        """Transfer syntax of what `_fragments` gives: deflated objects are inflated there."""
        return _EXPLICIT if record.transfer_syntax_uid == _DEFLATED else record.transfer_syntax_uid

    def rendering_attributes(self, record: InstanceRecord, frame: int) -> RenderingAttributes:
        """Read what decides how a frame (from 0) looks."""
        from hilum.pixels.description import rendering_attributes

        if record.transfer_syntax_uid == _DEFLATED:
            return rendering_attributes(inflate(self.read(record)), frame)
        return rendering_attributes(self.read(record, 0, record.header_length), frame)

    def _range(self, record: InstanceRecord, frame: int) -> tuple[FrameTable, FrameRange]:
        if record.pixels is None:
            raise DataError("the object has no pixel data")
        table = FrameTable(record.frame_table)
        if not 0 <= frame < len(table):
            raise UsageError(f"there is no frame {frame} (from 0): the object has {len(table)}")
        found = table[frame]
        if found.length > _MAX_FRAME_BYTES:
            raise LimitExceeded("the frame is larger than 4 GiB")
        return table, found

    def _fragments(self, record: InstanceRecord, frame: int) -> tuple[list[bytes], int]:
        """Fragments of the frame, and the bits of its first byte that are not its own."""
        table, found = self._range(record, frame)
        words = table.swapped_words_from
        if words is not None:
            ((offset, length),) = found.fragments
            odd = (offset - words) & 1
            swapped = self.read(record, offset - odd, length + odd + (length + odd & 1))
            return [_swapped(swapped)[odd : odd + length]], found.bit_offset
        if found.inflated:
            whole = inflate(self.read(record))
            return [whole[offset : offset + length] for offset, length in found.fragments], found.bit_offset
        return [self.read(record, offset, length) for offset, length in found.fragments], found.bit_offset

    # Metadata

    def instance_json(self, record: InstanceRecord, bulk_data_uri: str = "") -> bytes:
        """One DICOM JSON object (PS3.18 F); BulkDataURIs are `bulk_data_uri` + ``/`` + path of the element."""
        header = self.header(record)
        add = b'"00083002":{"vr":"UI","Value":["' + record.transfer_syntax_uid.encode("ascii", "replace") + b'"]}'
        return dicom_json.dataset_json(
            header, record.header_length, bulk_data_uri=bulk_data_uri, inline_limit=_INLINE_LIMIT, add=add
        )

    def metadata(self, records: Sequence[InstanceRecord], base_url: str) -> bytes:
        """DICOM JSON array of instances.

        Parameters
        ----------
        records : sequence of InstanceRecord
        base_url : str
            Of the DICOMweb service: BulkDataURIs are
            ``BASE/studies/S/series/S/instances/I/bulkdata/PATH``.
        """
        key = self.metadata_etag(records)
        cached = self._metadata.get(key)
        if cached is None and self._disk is not None:
            cached = self._disk.get(key)
            if cached is not None:
                self._metadata.put(key, cached)
        if cached is None:
            cached = b"[" + b",".join(self.instance_json(r, self._bulk_data_uri(r)) for r in records) + b"]"
            self._metadata.put(key, cached)
            if self._disk is not None and len(records) > 1:
                self._disk.put(key, cached)
        return cached.replace(self._placeholder.encode(), base_url.encode())

    def metadata_etag(self, records: Sequence[InstanceRecord]) -> str:
        """Change when any of the objects changes, or the way they are written."""
        hasher = hashlib.sha256(_JSON_VERSION)
        for record in records:
            hasher.update(record.sha256)
        return hasher.hexdigest()

    def _bulk_data_uri(self, record: InstanceRecord) -> str:
        study, series = record.study_instance_uid, record.series_instance_uid
        return f"{self._placeholder}/studies/{study}/series/{series}/instances/{record.sop_instance_uid}/bulkdata"

    def bulkdata(self, record: InstanceRecord, path: str) -> bytes:
        """Value of an element, little endian.

        Parameters
        ----------
        record : InstanceRecord
        path : str
            As in a BulkDataURI: ``7FE00010``, nested ``TAG/ITEM/TAG``.

        Raises
        ------
        NotFound
            The object has no such element.
        UsageError
            Not a path.
        """
        size, pieces = self.bulkdata_stream(record, path)
        data = b"".join(pieces)
        if len(data) != size:
            raise DataError("the element is shorter than announced")
        return data

    def bulkdata_stream(self, record: InstanceRecord, path: str) -> tuple[int, Iterator[bytes]]:
        """As `bulkdata`: number of bytes, and the pieces."""
        if record.location.length > _MAP_ABOVE:
            found = self._relocated(record, lambda r: self._find_element(r, path))
        else:
            found = dicom_json.bulkdata(self.read(record), path)
        if isinstance(found, bytes):
            return len(found), iter((found,))
        offset, length = found
        return length, self.stream(record, offset, length)

    def _find_element(self, record: InstanceRecord, path: str) -> tuple[int, int] | bytes:
        """Find an element of a large object without reading what lies between."""
        with mapped(self._packs, record.location) as data:
            return dicom_json.bulkdata(data, path)

    # Images

    def rendered(self, record: InstanceRecord, frame: int, settings: RenderSettings) -> bytes:
        """Render a frame for display to a PNG or JPEG (PS3.3 C.11, PS3.4 N): rescale, window, colour, scale, encode.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.
        settings : RenderSettings

        Raises
        ------
        UsageError
            No such frame, or a parameter out of its bounds.
        DataError
            No pixel data, or it cannot be decoded.
        """
        from hilum.pixels.pipeline import render_frame

        data, syntax, pixels, attributes, bits = self._render_arguments(record, frame)
        return render_frame(data, syntax, pixels, attributes, settings, bit_offset=bits)

    def rendered_array(
        self, record: InstanceRecord, frame: int, settings: RenderSettings, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """Render a frame to an array; parameters and errors of `rendered`.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.
        settings : RenderSettings
        out : ndarray, optional
            Filled and returned.

        Returns
        -------
        ndarray
            ``(rows, columns)`` or ``(rows, columns, 3)``; ``uint8``, or ``uint16`` with 16 bits.
        """
        from hilum.pixels.pipeline import render_pixels

        data, syntax, pixels, attributes, bits = self._render_arguments(record, frame)
        return render_pixels(data, syntax, pixels, attributes, settings, bit_offset=bits, out=out)

    def _render_arguments(
        self, record: InstanceRecord, frame: int
    ) -> tuple[Any, str, PixelDescription, RenderingAttributes, int]:
        """What the pipeline takes: the frame as stored, or the first picture of a video."""
        from hilum.codecs.video import as_rgb, is_video, poster_frame

        fragments, bits = self._fragments(record, frame)
        pixels, attributes = self.require_pixels(record), self.rendering_attributes(record, frame)
        if is_video(record.transfer_syntax_uid):
            picture = poster_frame(fragments, pixels)
            return picture.tobytes(), _EXPLICIT, as_rgb(pixels), attributes, 0
        return fragments[0] if len(fragments) == 1 else fragments, self._syntax(record), pixels, attributes, bits

    def header_dataset(self, record: InstanceRecord, keywords: Sequence[str] | None = None) -> pydicom.Dataset:
        """Parse what comes before the pixel data with pydicom, or some attributes of it."""
        from hilum.dicom.dataset import to_dataset

        length = record.location.length if record.transfer_syntax_uid == _DEFLATED else record.header_length
        return to_dataset(self.read(record, 0, length), stop_before_pixels=True, keywords=keywords)

    def representative(self, records: Sequence[InstanceRecord]) -> InstanceRecord:
        """Middle instance with pixel data of a series; of a study, that of its first series with pixel data.

        Raises
        ------
        NotFound
            None of them has pixel data.
        """
        pictures = [record for record in records if record.pixels is not None]
        if not pictures:
            raise NotFound("nothing here has pixel data")
        series = [r for r in pictures if r.series_instance_uid == pictures[0].series_instance_uid]
        return series[len(series) // 2]

    def dataset(self, record: InstanceRecord) -> pydicom.Dataset:
        """Parse the object with pydicom."""
        from hilum.dicom.dataset import to_dataset

        return to_dataset(self.read(record))


@contextmanager
def mapped(packs: PackStore, location: Location) -> Iterator[memoryview]:
    """Map a large object: only the pages that are looked at are read. Its checksums are not verified.

    Raises
    ------
    NotFound
        The pack does not exist (any more).
    """
    try:
        stream = packs.path(location.pack).open("rb")
    except FileNotFoundError:
        raise NotFound(f"pack {location.pack} does not exist") from None
    with stream:
        start = location.offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        skip = location.offset - start
        with mmap.mmap(stream.fileno(), skip + location.length, access=mmap.ACCESS_READ, offset=start) as pages:
            view = memoryview(pages)
            body = view[skip:]
            try:
                yield body
            finally:
                body.release()
                view.release()


def _swapped(data: bytes) -> bytes:
    """Swap the bytes of each 16-bit word."""
    swapped = bytearray(len(data))
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def _shifted(data: bytes, bits: int, count: int) -> bytes:
    """Move bit-packed pixels that start within a byte to its start (PS3.5 8.1.1: least significant bit first)."""
    import numpy as np

    unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[bits : bits + count]
    return np.packbits(unpacked, bitorder="little").tobytes()
