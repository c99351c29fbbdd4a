"""Keeping an archive sound: recovery at the start, rebuilding the index, deletion, verification, compaction.

The packs are the truth. Whatever the index does not know of them is read from them again; whatever it knows too much (a
pack that is gone) is reported. Nothing here ever changes the bytes of a record.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.ingest import entry_of
from hilum.archive.retrieve import mapped
from hilum.dicom import scan as dicom
from hilum.errors import Conflict, DataError, HilumError, NotFound, Unavailable, UsageError
from hilum.index import base as index_base
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.schema import parse_private_key
from hilum.storage.base import BadRecord, Kind, NewRecord, RecordInfo, Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hilum.archive.committer import Committer
    from hilum.config import Settings
    from hilum.dicom.scan import Scan
    from hilum.index.base import Entry, Index, InstanceRecord
    from hilum.index.schema import PrivateKey
    from hilum.storage.base import Recovered
    from hilum.storage.packs import PackStore
    from hilum.types import Level, Location

__all__ = [
    "CompactReport",
    "DeleteReport",
    "RebuildReport",
    "VerifyReport",
    "compact",
    "delete",
    "indexed_to",
    "open_index",
    "rebuild",
    "recover",
    "verify",
]

_BATCH: Final = 512
_COPY_BYTES: Final = 16 << 20
_MAP_ABOVE: Final = 1 << 20
_MOST_LISTED: Final = 1000
_TIDY_FROM: Final = 1000  # objects indexed at once
_TRIES: Final = 3
_MAINTENANCE: Final = "recovery.lock"
"""Of recovery, rebuild and the compaction of a pack: one at a time. Taken before the committer's exclusion."""
_log = logging.getLogger("hilum.archive")

Progress = "Callable[[int, int], None] | None"


@dataclass(slots=True)
class RebuildReport:
    """What was read from the packs into the index."""

    objects: int = 0
    deleted: int = 0
    """Objects that tombstones name."""
    packs: int = 0
    problems: list[str] = field(default_factory=list)
    """Records that cannot be read or indexed."""


@dataclass(slots=True)
class DeleteReport:
    """What a deletion has removed."""

    objects: int
    """Current objects and their versions."""
    bytes: int
    """Freed by the next compaction."""


@dataclass(slots=True)
class VerifyReport:
    """What a verification has found."""

    records: int = 0
    bytes: int = 0
    objects: int = 0
    """Objects and versions that the index has."""
    dead: int = 0
    """Records that were deleted, or that are copies of others."""
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every record is whole and packs and index agree."""
        return not self.problems

    def add(self, problem: str) -> None:
        """Note a problem; only the first thousand are kept in words."""
        if len(self.problems) < _MOST_LISTED:
            self.problems.append(problem)


@dataclass(slots=True)
class CompactReport:
    """What a compaction did."""

    packs: int = 0
    """Packs that were replaced."""
    copied: int = 0
    """Records that were copied."""
    freed: int = 0
    """Bytes that the packs are smaller."""
    problems: list[str] = field(default_factory=list)
    """Packs that were left alone because something in them cannot be read."""


# Start


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
    with _only_one(root / _MAINTENANCE):
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
    with _only_one(root / _MAINTENANCE), ingest.exclusive():
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
    state = _state(index, number)
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
        scan = _scan(packs, record.location)
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


def _scan(packs: PackStore, location: Location) -> Scan:
    """Scan a record; a large one is mapped, so that only its header and the heads of its fragments are read."""
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
def _only_one(path: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
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


# Deletion


def delete(
    index: Index,
    ingest: Committer,
    level: Level,
    uids: Sequence[str],
    *,
    study_uid: str | None,
    reason: str,
) -> DeleteReport:
    """Write a tombstone, durable, then take the objects out of the index.

    Objects that arrive meanwhile are later than the tombstone and stay.
    """
    if level not in ("study", "series", "instance"):
        raise UsageError("studies, series and instances can be deleted; a patient by the studies")
    with ingest.exclusive():
        targets = [target for uid in uids if (target := _target(index, level, uid, study_uid))]
        records = list({record.location: record for _, found in targets for record in found}.values())
        if not records:
            raise NotFound(f"there is no such {level}")
        deleted_ns = ingest.next_ns(max(index.latest_ns(), *(record.received_ns for record in records)))
        places = tuple(record.location for record in records)
        instances = tuple(sorted({record.sop_instance_uid for record in records}))
        ingest.delete(Tombstone(level, tuple(uid for uid, _ in targets), places, deleted_ns, reason, instances))
    return DeleteReport(len(records), sum(record.location.length for record in records))


def _target(index: Index, level: Level, uid: str, study_uid: str | None) -> tuple[str, list[InstanceRecord]] | None:
    """UID and all objects with their versions; None when there is nothing of this UID."""
    if level == "instance":
        current = index.lookup([uid])
        found = [record for record in current if record is not None]
    elif level == "series":
        series = index.series(uid, study_uid)
        if series is None:
            return None
        study_uid = series.study_instance_uid
        found = index.instances(study_uid, uid)
    else:
        found = index.instances(uid)
    with_versions = list(found)
    for record in found:
        with_versions += index.versions(record.sop_instance_uid)
    return (uid, with_versions) if with_versions else None


# Verification


def refuse_damaged_index(root: Path) -> None:
    """DataError when pages of the index in an archive's folder are damaged, at which LMDB might end this process.

    For programs that verify: call it before the archive is opened. Others may have it open and write.
    """
    from hilum.index.check import structural_damage

    findings = structural_damage(root / "index")
    if findings:
        raise DataError(f"the index is damaged ({findings[0]}); run: hilum index rebuild", code=13)


def verify(packs: PackStore, index: Index, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Re-hash every record, compare packs with index both ways, and let the index check itself."""
    report = VerifyReport()
    infos = packs.packs()
    doomed = _tombstones(packs, [info.number for info in infos])
    total = sum(info.size for info in infos)
    done = 0
    for info in infos:
        if info.damage:
            report.add(f"pack {info.number}: {info.damage}")
        known = {record.location.offset: record for record in index.locations(info.number)}
        report.objects += len(known)
        try:
            for record in packs.records(info.number, check=True, sha256=True):
                _verify_record(record, known, packs, index, report, doomed)
                if progress is not None:
                    progress(done + record.end, total)
        except HilumError as error:  # a pack that cannot be opened must not end the verification of the others
            report.add(f"pack {info.number}: {error}")
            known.clear()
        for offset, missing in known.items():
            if not _still_there(index, missing):
                continue
            report.add(f"pack {info.number}, byte {offset}: an object of the index is not in the pack")
        done += info.size
    numbers = {info.number for info in infos}
    for state in index.packs():
        if state.number not in numbers and state.live_objects:
            report.add(f"pack {state.number} is missing, with {state.live_objects} objects")
    for finding in index.verify():
        report.add(f"index: {finding}")
    return report


def _verify_record(
    record: RecordInfo | BadRecord,
    known: dict[int, InstanceRecord],
    packs: PackStore,
    index: Index,
    report: VerifyReport,
    doomed: set[Location],
) -> None:
    if isinstance(record, BadRecord):
        if record.record is not None:
            known.pop(record.record.location.offset, None)
        if not record.unfinished:
            report.add(f"pack {record.pack}, byte {record.offset}: {record.reason}")
        return
    report.records += 1
    report.bytes += record.location.length
    if record.kind != Kind.OBJECT:
        return
    indexed = known.pop(record.location.offset, None)
    at = f"pack {record.location.pack}, byte {record.location.offset}"
    if indexed is None:
        report.dead += 1
        if record.location not in doomed and not _is_accounted_for(record, packs, index):
            report.add(f"{at}: an object of the pack is not in the index")
    elif (indexed.location.length, indexed.sha256) != (record.location.length, record.sha256):
        report.add(f"{at}: pack and index disagree about the object")


def _tombstones(packs: PackStore, numbers: Iterable[int]) -> set[Location]:
    """Places of all records that tombstones name."""
    doomed: set[Location] = set()
    for number in numbers:
        with contextlib.suppress(HilumError):  # `verify` itself will come upon it
            for record in packs.records(number):
                if isinstance(record, RecordInfo) and record.kind == Kind.TOMBSTONE:
                    with contextlib.suppress(HilumError):
                        doomed.update(Tombstone.decode(packs.read(record.location)).records)
    return doomed


def _is_accounted_for(record: RecordInfo, packs: PackStore, index: Index) -> bool:
    """Whether an object that the index does not point to was deleted, or is a copy of one that it points to."""
    try:
        uid = _scan(packs, record.location).sop_instance_uid
    except HilumError:
        return False
    if index.is_deleted(uid, record.received_ns):
        return True
    candidates = [index.lookup([uid])[0], *index.versions(uid)]
    return any(c is not None and c.sha256 == record.sha256 for c in candidates)


def _still_there(index: Index, record: InstanceRecord) -> bool:
    """Whether the index still points to this place: it may have been moved or deleted during the walk."""
    candidates = [index.lookup([record.sop_instance_uid])[0], *index.versions(record.sop_instance_uid)]
    return any(c is not None and c.location == record.location for c in candidates)


# Compaction


def compact(root: Path, packs: PackStore, index: Index, ingest: Committer, least_dead: float) -> CompactReport:
    """Copy what lives out of packs with much dead space, then delete them."""
    if not 0 <= least_dead <= 1:
        raise UsageError("least_dead must be from 0 to 1")
    report = CompactReport()
    before = sum(info.size for info in packs.packs())
    states = {state.number: state for state in index.packs()}
    for info in packs.packs():
        state = states.get(info.number)
        if state is None or info.damage:
            continue
        if state.dead_bytes < max(1, least_dead * (state.dead_bytes + state.live_bytes)):
            continue
        try:
            with _only_one(root / _MAINTENANCE):
                if info.sealed is None:
                    with ingest.exclusive():
                        packs.seal(info.number)
                _compact_pack(packs, index, ingest, info.number, report)
        except Conflict:  # somebody else writes to it
            continue
    if report.packs:
        report.freed = before - sum(info.size for info in packs.packs())
    return report


def _compact_pack(packs: PackStore, index: Index, ingest: Committer, number: int, report: CompactReport) -> None:
    state = _state(index, number)
    live = {record.location.offset: record for record in index.locations(number)}
    keep: list[RecordInfo] = []
    end = 0
    for record in packs.records(number):
        if isinstance(record, BadRecord):
            report.problems.append(f"pack {number}, byte {record.offset}: {record.reason}")
            return
        end = record.end
        if record.kind != Kind.OBJECT or record.location.offset in live:
            keep.append(record)
    if state is None or state.indexed_to < end or not index.is_complete():
        report.problems.append(f"pack {number}: not all of it is in the index yet")
        return
    copied = sum(_copy(packs, index, ingest, chunk, live) for chunk in _by_bytes(keep))
    report.copied += copied
    with ingest.exclusive():
        state = _state(index, number)
        if state is None or state.live_objects:
            report.problems.append(f"pack {number}: objects have come into the index meanwhile")
            return
        packs.remove(number)
        index.forget_pack(number)
    report.packs += 1


def _state(index: Index, number: int) -> index_base.PackState | None:
    return next((state for state in index.packs() if state.number == number), None)


def _by_bytes(records: Iterable[RecordInfo]) -> Iterator[list[RecordInfo]]:
    chunk: list[RecordInfo] = []
    size = 0
    for record in records:
        if chunk and size + record.location.length > _COPY_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += record.location.length
    if chunk:
        yield chunk


def _copy(
    packs: PackStore, index: Index, ingest: Committer, chunk: Sequence[RecordInfo], live: Mapping[int, InstanceRecord]
) -> int:
    """Copy records to the pack that is being written, durable, then point the index there; how many still lived."""
    with ingest.exclusive():
        chunk = [r for r in chunk if r.kind != Kind.OBJECT or _still_there(index, live[r.location.offset])]
        if not chunk:
            return 0
        if len(chunk) == 1 and chunk[0].location.length > _COPY_BYTES:
            record = chunk[0]
            place, sha256, _ = packs.append_stream(
                _Pieces(packs.stream(record.location)),
                record.location.length,
                kind=record.kind,
                flags=record.flags,
                received_ns=record.received_ns,
            )
            if sha256 != record.sha256:
                raise DataError(f"pack {record.location.pack}: the object has changed while it was copied")
            places = [place]
        else:
            new = [
                NewRecord(r.kind, [packs.read(r.location)], r.sha256, r.crc32c, r.received_ns, r.flags) for r in chunk
            ]
            places = packs.append(new)
        moves = [
            (live[record.location.offset].sop_instance_uid, record.location, place)
            for record, place in zip(chunk, places, strict=True)
            if record.kind == Kind.OBJECT
        ]
        index.move(moves)
        ends: dict[int, int] = defaultdict(int)
        for place in places:
            ends[place.pack] = max(ends[place.pack], packs.end_of(place))
        index.apply([], packs=ends)
    return len(chunk)


class _Pieces:
    """A stream of pieces as a source with ``readinto``."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        if not len(self._rest):
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
