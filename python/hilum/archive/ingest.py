"""Taking objects in: scan, group commit, answer. C-STORE, STOW-RS, import and the Python API all end here.

One committer thread per process gathers what waits, appends it to the pack with one write and one fdatasync, applies
one index transaction, and answers everybody. While it waits for the disk the next group gathers, so many senders share
each wait and a single sender is not delayed. What is answered is durable in a pack and visible to the next query.

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
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.dicom import scan as dicom
from hilum.errors import HilumError, LimitExceeded, Unavailable, UsageError
from hilum.index.base import Entry, InstanceRecord, Outcome
from hilum.storage.base import REPLACES, Kind, NewRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from hilum.config import IngestSettings, Settings
    from hilum.dicom.scan import Scan
    from hilum.index.base import Index
    from hilum.storage.packs import PackStore
    from hilum.types import Location, OnConflict

__all__ = ["Ingest", "Prepared", "StoreResult", "StoreStatus", "prepare", "prepare_file"]

_STEP: Final = 1 << 20
POLICIES: Final = ("never", "always", "if-changed")


class StoreStatus(enum.Enum):
    """What became of an object."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT_KEPT = "conflict"
    REPLACED = "replaced"


_LONG_VR: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})

_STATUS_OF = {
    Outcome.STORED: StoreStatus.STORED,
    Outcome.DUPLICATE: StoreStatus.DUPLICATE,
    Outcome.CONFLICT_KEPT: StoreStatus.CONFLICT_KEPT,
    Outcome.REPLACED: StoreStatus.REPLACED,
}


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

    def memory(self) -> int:
        """Bytes that it holds while it waits."""
        return 0 if self.path is not None else self.size


@dataclass(slots=True)
class _Job:
    items: Sequence[Prepared]
    memory: int
    future: Future[list[StoreResult]] = field(default_factory=Future)


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
        size = path.stat().st_size
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from error
    if size > limits.max_object_bytes:
        raise LimitExceeded(f"the object has {size} bytes, above the limit of {limits.max_object_bytes}")
    scan, buffer = dicom.scan_file(path, max_bytes=limits.stream_above_bytes)
    if buffer is None:
        return Prepared(scan, (), size, on_conflict, path=path)
    return Prepared(scan, (buffer,), memoryview(buffer).nbytes, on_conflict, sha256=scan.sha256)


class Ingest:
    """The group commit of one process on one archive.

    Parameters
    ----------
    packs : PackStore
    index : Index
    settings : Settings
    latest_ns : int
        Receive times are later than this, even when the clock was set back.
    """

    def __init__(self, packs: PackStore, index: Index, settings: Settings, latest_ns: int = 0) -> None:
        self._packs = packs
        self._index = index
        self._limits = settings.ingest
        self._latest_ns = latest_ns
        self._reset()

    def _reset(self) -> None:
        """Start empty; also in the child of a fork, where the committer thread does not exist."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._commit_lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._memory = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self._company = False
        self._backlog: list[Entry] = []

    def submit(self, items: Sequence[Prepared], timeout: float | None = None) -> Future[list[StoreResult]]:
        """Queue objects for the next commit, all or none of them.

        Blocks while ``ingest.queue_bytes`` are waiting: that is the backpressure.

        Raises
        ------
        Unavailable
            Still full after `timeout` seconds, or closed.
        """
        if os.getpid() != self._process:
            self._reset()
        job = _Job(items, sum(item.memory() for item in items))
        job.future.set_running_or_notify_cancel()
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(job), timeout):
                raise Unavailable("too many objects are waiting to be stored; try again later")
            if self._closing:
                raise Unavailable("the archive is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hilum-commit", daemon=True)
                self._thread.start()
            self._memory += job.memory
            self._waiting.append(job)
            self._changed.notify_all()
        return job.future

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep commits of this process out, with everything that was written indexed: for deletion and compaction."""
        if os.getpid() != self._process:
            self._reset()
        with self._commit_lock:
            self._apply_backlog()
            yield

    def next_ns(self, at_least: int = 0) -> int:
        """Receive time for a record: now, and later than every one before."""
        self._latest_ns = max(time.time_ns(), self._latest_ns + 1, at_least)
        return self._latest_ns

    def close(self) -> None:
        """Commit what waits, then stop."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # The committer thread

    def _has_room(self, job: _Job) -> bool:
        return self._closing or not self._memory or self._memory + job.memory <= self._limits.queue_bytes

    def _run(self) -> None:
        while jobs := self._gather():
            try:
                with self._commit_lock:
                    results = self._commit([item for job in jobs for item in job.items])
            except BaseException as error:
                self._answer(jobs, error)
            else:
                self._answer(jobs, results)
            self._company = len(jobs) > 1

    def _gather(self) -> list[_Job]:
        """Wait for the first job, a moment longer when others are about, and take what fits into one commit."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._company and not self._closing:
                enough = self._limits.batch_bytes
                self._changed.wait_for(lambda: self._closing or self._memory >= enough, self._limits.gather_ms / 1000)
            jobs: list[_Job] = []
            size = 0
            while self._waiting and (not jobs or size + self._waiting[0].memory <= self._limits.batch_bytes):
                size += self._waiting[0].memory
                jobs.append(self._waiting.popleft())
            return jobs

    def _answer(self, jobs: Sequence[_Job], results: list[StoreResult] | BaseException) -> None:
        with self._changed:
            self._memory -= sum(job.memory for job in jobs)
            self._changed.notify_all()
        start = 0
        for job in jobs:
            if isinstance(results, BaseException):
                job.future.set_exception(results)
            else:
                job.future.set_result(results[start : start + len(job.items)])
                start += len(job.items)

    def _commit(self, items: Sequence[Prepared]) -> list[StoreResult]:
        """Write what is new, index it, and say what became of each."""
        self._apply_backlog()
        decisions = self._decide(items)
        writes = [(item, flags) for item, flags in zip(items, decisions, strict=True) if flags is not None]
        entries = self._append(writes)
        outcomes = iter(self._apply(entries))
        return [
            _result(item, StoreStatus.DUPLICATE if flags is None else _STATUS_OF[next(outcomes)])
            for item, flags in zip(items, decisions, strict=True)
        ]

    def _decide(self, items: Sequence[Prepared]) -> list[int | None]:
        """Record flags for each object that has to be written, None for duplicates."""
        uids = [item.scan.sop_instance_uid for item in items]
        current: dict[str, Prepared | InstanceRecord] = {
            uid: record for uid, record in zip(uids, self._index.lookup(uids), strict=True) if record is not None
        }
        seen: dict[str, set[bytes]] = {}
        decisions: list[int | None] = []
        for item, uid in zip(items, uids, strict=True):
            known = current.get(uid)
            if known is None:
                current[uid] = item
                decisions.append(0)
                continue
            if uid not in seen:
                seen[uid] = {version.sha256 for version in self._index.versions(uid)}
                seen[uid].add(_digest(known) if isinstance(known, Prepared) else known.sha256)
            flags = self._conflict(item, known, seen[uid])
            decisions.append(flags)
            if flags is not None:
                seen[uid].add(_digest(item))
            if flags:
                current[uid] = item
        return decisions

    def _conflict(self, item: Prepared, known: Prepared | InstanceRecord, seen: set[bytes]) -> int | None:
        """Decide about an object whose UID is taken: record flags, or None when there is nothing new in it."""
        if _digest(item) in seen:
            return None
        if item.on_conflict == "never":
            return 0
        if item.on_conflict == "if-changed" and self._same_data_set(known, item):
            return None
        return REPLACES

    def _same_data_set(self, known: Prepared | InstanceRecord, item: Prepared) -> bool:
        """Compare what follows preamble and file meta information, in steps."""
        if isinstance(known, Prepared):
            start, size, read = known.scan.dataset_offset, known.size, _reader(known)
        else:
            location = known.location
            start = data_set_offset(self._packs.read(location, 0, min(location.length, 64 << 10)))
            size, read = location.length, lambda at, length: self._packs.read(location, at, length)
        other_start, other = item.scan.dataset_offset, _reader(item)
        if size - start != item.size - other_start:
            return False
        steps = ((at, min(_STEP, size - start - at)) for at in range(0, size - start, _STEP))
        return all(read(start + at, length) == other(other_start + at, length) for at, length in steps)

    def _append(self, writes: Sequence[tuple[Prepared, int]]) -> list[Entry]:
        if not writes:
            return []
        entries: list[Entry] = []
        memory = [(item, flags) for item, flags in writes if item.path is None]
        stamps = [self.next_ns() for _ in memory]
        records = [
            NewRecord(Kind.OBJECT, item.pieces, _digest(item), item.scan.crc32c, stamp, flags)
            for (item, flags), stamp in zip(memory, stamps, strict=True)
        ]
        locations = iter(self._packs.append(records) if records else [])
        received = iter(stamps)
        for item, flags in writes:
            if item.path is None:
                entries.append(entry_of(item.scan, next(locations), next(received), flags, _digest(item)))
            else:
                entries.append(self._append_streamed(item, flags))
        return entries

    def _append_streamed(self, item: Prepared, flags: int) -> Entry:
        assert item.path is not None
        stamp = self.next_ns()
        location, sha256, crc = self._packs.append_stream(
            item.path, item.size, kind=Kind.OBJECT, flags=flags, received_ns=stamp
        )
        if item.sha256 is not None and sha256 != item.sha256:
            raise Unavailable("the file was changed while it was read; try again")
        item.sha256 = sha256
        return entry_of(item.scan, location, stamp, flags, sha256, crc)

    def _apply(self, entries: list[Entry]) -> list[Outcome]:
        if not entries:
            return []
        ends: dict[int, int] = {}
        for entry in entries:
            location = entry.location
            ends[location.pack] = max(ends.get(location.pack, 0), self._packs.end_of(location))
        try:
            return self._index.apply(entries, packs=ends)
        except BaseException:
            self._backlog = entries
            raise

    def _apply_backlog(self) -> None:
        """Index what an earlier commit has written but could not index; nothing new is written before that."""
        if self._backlog:
            backlog, self._backlog = self._backlog, []
            self._apply(backlog)


def entry_of(
    scan: Scan, location: Location, received_ns: int, flags: int, sha256: bytes, crc32c: int | None = None
) -> Entry:
    """Make the index entry of a stored object."""
    return Entry(
        study_instance_uid=scan.study_instance_uid,
        series_instance_uid=scan.series_instance_uid,
        sop_instance_uid=scan.sop_instance_uid,
        sop_class_uid=scan.sop_class_uid,
        transfer_syntax_uid=scan.transfer_syntax_uid,
        attributes=(
            scan.attributes("patient"),
            scan.attributes("study"),
            scan.attributes("series"),
            scan.attributes("instance"),
        ),
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


def first_of(future: Future[list[StoreResult]]) -> Future[StoreResult]:
    """Turn the future of a batch of one into the future of its result."""
    single: Future[StoreResult] = Future()
    single.set_running_or_notify_cancel()

    def done(batch: Future[list[StoreResult]]) -> None:
        error = batch.exception()
        if error is not None:
            single.set_exception(error)
        else:
            single.set_result(batch.result()[0])

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


def _digest(item: Prepared) -> bytes:
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


def _reader(item: Prepared) -> Callable[[int, int], bytes]:
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


def _result(item: Prepared, status: StoreStatus) -> StoreResult:
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
