"""Deletion and verification of what an archive holds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.recovery import is_still_there, scan_record
from hilum.errors import DataError, HilumError, NotFound, UsageError
from hilum.storage.base import BadRecord, Kind, RecordInfo, Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hilum.archive.committer import Committer
    from hilum.index.base import Index, InstanceRecord
    from hilum.storage.packs import PackStore
    from hilum.types import Level, Location

__all__ = ["DeleteReport", "VerifyReport", "delete", "refuse_damaged_index", "verify"]

_MOST_LISTED: Final = 1000


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
            if not is_still_there(index, missing):
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
        uid = scan_record(packs, record.location).sop_instance_uid
    except HilumError:
        return False
    if index.is_deleted(uid, record.received_ns):
        return True
    candidates = [index.lookup([uid])[0], *index.versions(uid)]
    return any(c is not None and c.sha256 == record.sha256 for c in candidates)
