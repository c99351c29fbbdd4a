"""Taking objects in: scan, group commit, answer. C-STORE, STOW-RS, import and the Python API all end here.

This module prepares objects and says what becomes of them; `hilum.archive.committer` writes them.

The same SOP Instance UID again:

========================  ==================================================================================
same bytes                ``DUPLICATE``: nothing is written
other bytes, never        ``CONFLICT_KEPT``: kept beside the current object, which stays
other bytes, always       ``REPLACED``: the new object becomes the current one, the old one is kept
other bytes, if-changed   as *always* when the data sets differ; when only preamble or file meta information
                          (group 0002) differ, ``DUPLICATE``: there is nothing new in it
========================  ==================================================================================
"""

from __future__ import annotations

import enum
import hashlib
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hilum.dicom import scan as dicom
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable, UsageError
from hilum.index.base import Entry
from hilum.index.private import with_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from typing_extensions import Buffer

    from hilum.config import IngestSettings
    from hilum.dicom.scan import Scan
    from hilum.index.schema import PrivateKey
    from hilum.types import Location, OnConflict

__all__ = [
    "Prepared",
    "StoreResult",
    "StoreStatus",
    "checked_policy",
    "data_set_offset",
    "digest_of",
    "entry_of",
    "first_of",
    "prepare",
    "prepare_all",
    "prepare_file",
    "prepare_scanned",
    "reader_of",
    "result_of",
]

_STEP: Final = 1 << 20
_OVERHEAD: Final = 8192
"""Bytes that a scanned object takes in memory beside its own: attributes, frame table, index entry."""

POLICIES: Final = ("never", "always", "if-changed")


class StoreStatus(enum.Enum):
    """What became of an object."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT_KEPT = "conflict"
    REPLACED = "replaced"


_MISSING_ELEMENT: Final = 7
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_LONG_VR: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The answer for one object: it is durable and findable."""

    status: StoreStatus
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sha256: bytes
    """Of all bytes of the object."""
    warnings: tuple[str, ...]
    """Codes of what is odd in it: ``"no_preamble"``, ``"trailing_bytes"`` …"""


@dataclass(slots=True)
class Prepared:
    """An object that was scanned and waits for its commit."""

    scan: Scan
    pieces: Sequence[Buffer]
    """The bytes; empty when they are streamed from `path`."""
    size: int
    on_conflict: OnConflict
    path: Path | None = None
    sha256: bytes | None = None
    mtime_ns: int = 0
    """Of the file at `path` before it was scanned; 0: nobody else can change it."""

    def was_changed(self) -> bool:
        """Whether the file at `path` is another one than when it was scanned."""
        if self.path is None or not self.mtime_ns:
            return False
        try:
            status = self.path.stat()
        except OSError:
            return True
        return (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns)

    def memory(self) -> int:
        """Bytes that it holds while it waits."""
        return _OVERHEAD + (0 if self.path is not None else self.size)


def prepare(data: Buffer | Sequence[Buffer], on_conflict: OnConflict, limits: IngestSettings) -> Prepared:
    """Scan an object in memory; pieces are joined.

    Raises
    ------
    DataError
        It cannot be stored: not DICOM, truncated, without UIDs.
    LimitExceeded
        Larger than ``ingest.max_object_bytes``.
    """
    whole: Buffer = b"".join(data) if isinstance(data, list | tuple) else data  # type: ignore[assignment]
    size = memoryview(whole).nbytes
    if size > limits.max_object_bytes:
        raise LimitExceeded(f"the object has {size} bytes, above the limit of {limits.max_object_bytes}")
    scan = dicom.scan(whole)
    _refuse_dicomdir(scan)
    return Prepared(scan, (whole,), size, on_conflict, sha256=scan.sha256)


def prepare_file(path: Path, on_conflict: OnConflict, limits: IngestSettings) -> Prepared:
    """Scan a file; one above ``ingest.stream_above_bytes`` is not read into memory.

    Raises
    ------
    DataError
        It cannot be stored.
    Unavailable
        It cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from error
    size = status.st_size
    if size > limits.max_object_bytes:
        raise LimitExceeded(f"the object has {size} bytes, above the limit of {limits.max_object_bytes}")
    scan, buffer = dicom.scan_file(path, max_bytes=limits.stream_above_bytes)
    _refuse_dicomdir(scan)
    if buffer is None:
        return Prepared(scan, (), size, on_conflict, path=path, mtime_ns=status.st_mtime_ns)
    return Prepared(scan, (buffer,), memoryview(buffer).nbytes, on_conflict, sha256=scan.sha256)


def prepare_scanned(scan: Scan, data: Buffer | Path, on_conflict: OnConflict, limits: IngestSettings) -> Prepared:
    """Take an object that was scanned and hashed while it arrived, in memory or in a file that nobody changes.

    Raises
    ------
    DataError
        It is a DICOMDIR.
    LimitExceeded
        Larger than ``ingest.max_object_bytes``.
    Unavailable
        The file cannot be examined.
    """
    path = data if isinstance(data, Path) else None
    try:
        size = path.stat().st_size if path is not None else memoryview(data).nbytes  # type: ignore[arg-type]
    except OSError as error:
        raise Unavailable(f"an arriving object cannot be read: {error.strerror}") from error
    if size > limits.max_object_bytes:
        raise LimitExceeded(f"the object has {size} bytes, above the limit of {limits.max_object_bytes}")
    _refuse_dicomdir(scan)
    pieces: tuple[Buffer, ...] = () if path is not None else (data,)  # type: ignore[assignment]
    return Prepared(scan, pieces, size, on_conflict, path=path, sha256=scan.sha256)


def _refuse_dicomdir(scan: Scan) -> None:
    """Refuse a DICOMDIR (PS3.10 8.6): it belongs to its medium and to no study."""
    if scan.is_dicomdir:
        raise DataError("a DICOMDIR is not stored; import the files that it refers to", code=_MISSING_ELEMENT)


def entry_of(
    scan: Scan,
    location: Location,
    received_ns: int,
    flags: int,
    sha256: bytes,
    crc32c: int | None = None,
    *,
    read: Callable[[int, int], bytes],
    private_keys: Sequence[PrivateKey] = (),
) -> Entry:
    """Make the index entry of a stored object; `read` gives its bytes by start and length, for private attributes."""
    attributes = (
        scan.attributes("patient"),
        scan.attributes("study"),
        scan.attributes("series"),
        scan.attributes("instance"),
    )
    if private_keys:
        deflated = scan.transfer_syntax_uid == _DEFLATED
        header = read(0, location.length if deflated else min(scan.header_length, location.length))
        attributes = with_private(attributes, header, private_keys)
    return Entry(
        study_instance_uid=scan.study_instance_uid,
        series_instance_uid=scan.series_instance_uid,
        sop_instance_uid=scan.sop_instance_uid,
        sop_class_uid=scan.sop_class_uid,
        transfer_syntax_uid=scan.transfer_syntax_uid,
        attributes=attributes,
        pixels=scan.pixels,
        frame_table=scan.frame_table,
        header_length=scan.header_length,
        location=location,
        sha256=sha256,
        crc32c=(scan.crc32c or 0) if crc32c is None else crc32c,
        received_ns=received_ns,
        flags=flags,
        warnings=scan.warnings,
    )


def first_of(future: Future[list[StoreResult | HilumError]]) -> Future[StoreResult]:
    """Turn the future of a batch of one into the future of its result."""
    single: Future[StoreResult] = Future()
    single.set_running_or_notify_cancel()

    def done(batch: Future[list[StoreResult | HilumError]]) -> None:
        error = batch.exception()
        result = batch.result()[0] if error is None else error
        if isinstance(result, StoreResult):
            single.set_result(result)
        else:
            single.set_exception(result)

    future.add_done_callback(done)
    return single


def checked_policy(on_conflict: str) -> OnConflict:
    """Refuse a policy that does not exist."""
    if on_conflict not in POLICIES:
        raise UsageError(f"on_conflict must be one of {', '.join(POLICIES)}")
    return on_conflict  # type: ignore[return-value]


def prepare_all(
    items: Iterable[Buffer | Sequence[Buffer]], on_conflict: OnConflict, limits: IngestSettings
) -> list[Prepared | HilumError]:
    """Scan many; an object that cannot be stored gives its error in its place."""
    prepared: list[Prepared | HilumError] = []
    for data in items:
        try:
            prepared.append(prepare(data, on_conflict, limits))
        except HilumError as error:
            prepared.append(error)
    return prepared


def digest_of(item: Prepared) -> bytes:
    """SHA-256 of the object; a streamed file is read for it when the same UID is already stored."""
    if item.sha256 is None:
        assert item.path is not None
        hasher = hashlib.sha256()
        try:
            with item.path.open("rb") as stream:
                while step := stream.read(_STEP):
                    hasher.update(step)
        except OSError as error:
            raise Unavailable(f"{item.path}: cannot be read: {error.strerror}") from error
        item.sha256 = hasher.digest()
    return item.sha256


def reader_of(item: Prepared) -> Callable[[int, int], bytes]:
    """Give a function that reads (start, length) of the object, fewer bytes at its end."""
    if item.path is None:
        view = memoryview(item.pieces[0])
        return lambda start, length: bytes(view[start : start + length])
    path = item.path

    def read(start: int, length: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    return read


def data_set_offset(head: bytes) -> int:
    """First byte after preamble and file meta information (PS3.10 7.1), from the object's first bytes.

    The meta information is Explicit VR Little Endian; it ends where the group number is no longer 0002.
    """
    if head[128:132] != b"DICM":
        return 0
    at = 132
    while head[at : at + 2] == b"\x02\x00" and at + 12 <= len(head):
        if head[at + 4 : at + 6] in _LONG_VR:
            at += 12 + int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(head[at + 6 : at + 8], "little")
    return at


def result_of(item: Prepared, status: StoreStatus) -> StoreResult:
    """Make the answer for an object that is in the archive."""
    scan = item.scan
    assert item.sha256 is not None
    return StoreResult(
        status,
        scan.sop_instance_uid,
        scan.sop_class_uid,
        scan.study_instance_uid,
        scan.series_instance_uid,
        item.sha256,
        scan.warnings,
    )
