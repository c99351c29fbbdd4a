"""Freeing the space of deleted objects: what lives in a pack is copied to another one, which the index then names."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.recovery import is_still_there, one_at_a_time, state_of
from hilum.errors import Conflict, DataError, UsageError
from hilum.storage.base import BadRecord, Kind, NewRecord, RecordInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hilum.archive.committer import Committer
    from hilum.index.base import Index, InstanceRecord
    from hilum.storage.packs import PackStore

__all__ = ["CompactReport", "compact"]

_COPY_BYTES: Final = 16 << 20


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
            with one_at_a_time(root):
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
    state = state_of(index, number)
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
        state = state_of(index, number)
        if state is None or state.live_objects:
            report.problems.append(f"pack {number}: objects have come into the index meanwhile")
            return
        packs.remove(number)
        index.forget_pack(number)
    report.packs += 1


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
        chunk = [r for r in chunk if r.kind != Kind.OBJECT or is_still_there(index, live[r.location.offset])]
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
