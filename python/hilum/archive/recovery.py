"""What the index does not know of the packs: recovery at the start, and rebuilding it from the packs alone.

The packs are the truth. Whatever the index does not know of them is read from them again; whatever it knows too much (a
pack that is gone) is reported. Nothing here ever changes the bytes of a record.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.ingest import entry_of
from hilum.archive.retrieve import mapped
from hilum.dicom import scan as dicom
from hilum.errors import DataError, HilumError, NotFound, Unavailable, UsageError
from hilum.index import base as index_base
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.schema import parse_private_key
from hilum.storage.base import BadRecord, Kind, RecordInfo, Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hilum.archive.committer import Committer
    from hilum.config import Settings
    from hilum.dicom.scan import Scan
    from hilum.index.base import Entry, Index, InstanceRecord
    from hilum.index.schema import PrivateKey
    from hilum.storage.base import Recovered
    from hilum.storage.packs import PackStore
    from hilum.types import Location

__all__ = [
    "RebuildReport",
    "indexed_to",
    "is_still_there",
    "one_at_a_time",
    "open_index",
    "rebuild",
    "recover",
    "scan_record",
    "state_of",
]

_BATCH: Final = 512
_MAP_ABOVE: Final = 1 << 20
_TIDY_FROM: Final = 1000  # objects indexed at once
_TRIES: Final = 3
_MAINTENANCE: Final = "recovery.lock"
_log = logging.getLogger("hilum.archive")


@dataclass(slots=True)
class RebuildReport:
    """What was read from the packs into the index."""

    objects: int = 0
    deleted: int = 0
    """Objects that tombstones name."""
    packs: int = 0
    problems: list[str] = field(default_factory=list)
    """Records that cannot be read or indexed."""


def open_index(root: Path, packs: PackStore, settings: Settings, *, read_only: bool) -> Index:
    """Open the index of an archive; a missing one is made and filled by `recover`.

    Raises
    ------
    DataError
        The index is damaged; the message says how to make it again.
    """
    folder = root / "index"
    try:
        missing = not (folder / "data.mdb").stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        missing = True
    except OSError as error:
        raise Unavailable(f"{folder}: the index cannot be read: {error.strerror}") from error
    if missing and packs.packs():
        if read_only:
            raise NotFound(f"{root}: the archive has no index; open it once for writing, or run: hilum index rebuild")
        _log.warning("%s: the index is missing; it is made again from the packs", root)
    try:
        return LmdbIndex(
            folder,
            map_bytes=settings.index.map_bytes,
            max_readers=settings.index.max_readers,
            private_keys=[parse_private_key(text) for text in settings.index.private_tags],
            read_only=read_only,
        )
    except DataError as error:
        found = str(error).partition("; run: ")[0]
        raise DataError(f"{root}: {found}; run: hilum index rebuild --archive {root}", code=error.code) from error


def recover(
    root: Path,
    packs: PackStore,
    index: Index,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> RebuildReport:
    """Repair what a crash left behind: cut unfinished appends, index what the index does not know yet.

    Packs that another process is writing to are left to it, and so is what it appends to one that it takes over after
    its recovery here: that is not known to be durable. Only after a rebuild that stopped half way all is read again.
    """
    with one_at_a_time(root):
        complete = index.is_complete()
        states = {state.number: state for state in index.packs()}
        ends = _recovered_ends(packs, {number: state.indexed_to for number, state in states.items()})
        infos = packs.packs()
        for number in sorted(states.keys() - {info.number for info in infos}):
            if states[number].live_objects:
                _log.error("pack %d is missing, with %d objects", number, states[number].live_objects)
        if not complete:
            _log.warning("%s: a rebuild of the index was not ended; all packs are read again", root)
            ends.update({info.number: _flushed(packs, info.number) for info in infos if info.number not in ends})
        spans = {n: (_start(states, n) if complete else 0, end) for n, end in sorted(ends.items())}
        report = _replay(packs, index, settings, {n: span for n, span in spans.items() if span[0] < span[1]}, progress)
        if not complete:
            index.complete()
        if report.objects >= _TIDY_FROM:
            index.tidy()
        if report.objects:
            _log.info("%d objects were indexed from the packs", report.objects)
        return report


def _recovered_ends(packs: PackStore, known: Mapping[int, int]) -> dict[int, int]:
    """Recover packs; up to where each of them, and each sealed one, is known to be durable."""
    ends: dict[int, int] = {}
    for _ in range(_TRIES):
        for found in packs.recover(known):
            if found.pack not in ends:
                _log_recovered(found)
            ends[found.pack] = found.valid_end or _flushed(packs, found.pack)
        infos = packs.packs()
        ends.update({info.number: info.size for info in infos if info.sealed})
        # Others look at a pack's lock for a moment, and it seems to be written to.
        if all(info.locked or info.number in ends for info in infos):
            break
    return ends


def _flushed(packs: PackStore, number: int) -> int:
    """Up to where a pack that is not recovered can be relied on: nowhere if it cannot be flushed."""
    try:
        return packs.flush(number)
    except HilumError as error:
        _log.error("pack %d: %s", number, error)
        return 0


def _log_recovered(found: Recovered) -> None:
    if found.cut:
        _log.info("pack %d: an unfinished append of %d bytes was cut off", found.pack, found.cut)
    if found.suspect:
        _log.error("pack %d: %d damaged bytes at its end were left in place", found.pack, found.suspect)
    if found.missing:
        _log.error("pack %d: %d bytes that were stored are missing", found.pack, found.missing)
    if found.error:
        _log.error("pack %d: cannot be recovered: %s", found.pack, found.error)


def rebuild(
    root: Path,
    packs: PackStore,
    index: Index,
    ingest: Committer,
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> RebuildReport:
    """Make the index again while the archive is open; others may go on to store.

    Of a pack that is being written to that part is read which the index had: the rest is its writer's to index.
    """
    with one_at_a_time(root), ingest.exclusive():
        known = {state.number: state.indexed_to for state in index.packs()} if index.is_complete() else {}
        index.clear()
        spans = {}
        for info in packs.packs():
            end = info.size if info.sealed else known.get(info.number) or _flushed(packs, info.number)
            spans[info.number] = (0, end)
        report = _replay(packs, index, settings, spans, progress)
        index.complete()
        index.tidy()
        return report


def indexed_to(index: Index, number: int) -> int:
    """End of the last record of a pack that the index holds, 0 if it holds none."""
    state = state_of(index, number)
    return 0 if state is None else state.indexed_to


def _start(states: Mapping[int, index_base.PackState], number: int) -> int:
    return states[number].indexed_to if number in states else 0


def _replay(
    packs: PackStore,
    index: Index,
    settings: Settings,
    spans: Mapping[int, tuple[int, int]],
    progress: Callable[[int, int], None] | None,
) -> RebuildReport:
    """Index the records of packs between these offsets."""
    report = RebuildReport(packs=len(spans))
    if not spans:
        return report
    void = _bury(packs, index, spans, report)
    total = sum(end for _, end in spans.values())
    done = 0
    keys = [parse_private_key(text) for text in settings.index.private_tags]
    with ThreadPoolExecutor(settings.ingest.jobs or os.cpu_count() or 1) as pool:
        for number, (start, stop) in spans.items():
            end = start
            for chunk, end in _chunks(packs, number, start, stop, report):
                _apply(packs, index, pool, chunk, {number: end}, void, keys, report)
                if progress is not None:
                    progress(done + end, total)
            done += end
    return report


def _until(packs: PackStore, number: int, start: int, stop: int) -> Iterator[RecordInfo | BadRecord]:
    """Records of a pack that end at `stop` or before."""
    for record in packs.records(number, start):
        if record.end > stop:
            return
        yield record


def _chunks(
    packs: PackStore, number: int, start: int, stop: int, report: RebuildReport
) -> Iterator[tuple[list[RecordInfo], int]]:
    """Objects of a pack in batches, each with the end of what was walked; marks and tombstones move the end, too."""
    chunk: list[RecordInfo] = []
    end = start
    for record in _until(packs, number, start, stop):
        end = record.end
        if isinstance(record, BadRecord):
            report.problems.append(f"pack {number}, byte {record.offset}: {record.reason}")
            _log.error("pack %d, byte %d: %s", number, record.offset, record.reason)
        elif record.kind == Kind.OBJECT:
            chunk.append(record)
            if len(chunk) >= _BATCH:
                yield chunk, end
                chunk = []
    if chunk or end > start:
        yield chunk, end


def _apply(
    packs: PackStore,
    index: Index,
    pool: ThreadPoolExecutor,
    chunk: Sequence[RecordInfo],
    ends: Mapping[int, int],
    void: set[Location],
    keys: Sequence[PrivateKey],
    report: RebuildReport,
) -> None:
    wanted = [record for record in chunk if record.location not in void]
    entries: list[Entry] = []
    for record, entry in zip(wanted, pool.map(lambda r: _entry(packs, r, keys), wanted), strict=True):
        if isinstance(entry, HilumError):
            report.problems.append(f"pack {record.location.pack}, byte {record.location.offset}: {entry}")
        else:
            entries.append(entry)
    try:
        outcomes = index.apply(entries, packs=ends)
    except UsageError:  # one that the index cannot hold must not keep the archive shut
        outcomes = [outcome for entry in entries for outcome in _apply_one(index, entry, report)]
        index.apply([], packs=ends)
    report.objects += len(outcomes)
    report.deleted += outcomes.count(index_base.Outcome.DELETED)


def _apply_one(index: Index, entry: Entry, report: RebuildReport) -> list[index_base.Outcome]:
    """Index one object; a problem in the report when the index cannot hold it."""
    try:
        return index.apply([entry])
    except UsageError as error:
        report.problems.append(f"pack {entry.location.pack}, byte {entry.location.offset}: {error}")
        return []


def _entry(packs: PackStore, record: RecordInfo, keys: Sequence[PrivateKey]) -> Entry | HilumError:
    """Scan a stored object again."""

    def read(start: int, length: int) -> bytes:
        return packs.read(record.location, start, length)

    try:
        scan = scan_record(packs, record.location)
        return entry_of(
            scan,
            record.location,
            record.received_ns,
            record.flags,
            record.sha256,
            record.crc32c,
            read=read,
            private_keys=keys,
        )
    except HilumError as error:
        return error


def scan_record(packs: PackStore, location: Location) -> Scan:
    """Scan a record; a large one is mapped, so that only its header and the heads of its fragments are read.

    Errors: those of `PackStore.read` and `hilum.dicom.scan.scan`.
    """
    if location.length <= _MAP_ABOVE:
        return dicom.scan(packs.read(location), hashes=False)
    with mapped(packs, location) as data:
        scan = dicom.scan(data, hashes=False)
    packs.read(location, 0, min(scan.header_length, location.length))
    return scan


def _bury(packs: PackStore, index: Index, spans: Mapping[int, tuple[int, int]], report: RebuildReport) -> set[Location]:
    """Apply all tombstones in these parts of packs before any object is: they may lie before what they delete.

    Returns places of records that are void though their UID is not deleted.
    """
    void: set[Location] = set()
    deleted: dict[str, int] = {}
    for number, (start, stop) in spans.items():
        for record in _until(packs, number, start, stop):
            if isinstance(record, BadRecord) or record.kind != Kind.TOMBSTONE:
                continue
            try:
                stone = Tombstone.decode(packs.read(record.location))
            except HilumError as error:
                report.problems.append(f"pack {number}, byte {record.location.offset}: {error}")
                continue
            if not stone.instances:
                void.update(stone.records)
            for uid in stone.instances:
                deleted[uid] = max(stone.deleted_ns, deleted.get(uid, 0))
    tombstones = [index_base.Tombstone(uid, deleted_ns) for uid, deleted_ns in deleted.items()]
    for start in range(0, len(tombstones), _BATCH):
        index.apply([], tombstones=tombstones[start : start + _BATCH])
    return void


@contextlib.contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Recovery, rebuild and the compaction of a pack: one process at a time, the others wait.

    Taken before the committer's exclusion.

    Raises
    ------
    Unavailable
        The lock's file cannot be opened.
    """
    path = root / _MAINTENANCE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def state_of(index: Index, number: int) -> index_base.PackState | None:
    """What the index knows of a pack; None: nothing."""
    return next((state for state in index.packs() if state.number == number), None)


def is_still_there(index: Index, record: InstanceRecord) -> bool:
    """Whether the index still points to this place: it may have been moved or deleted during the walk."""
    candidates = [index.lookup([record.sop_instance_uid])[0], *index.versions(record.sop_instance_uid)]
    return any(c is not None and c.location == record.location for c in candidates)
