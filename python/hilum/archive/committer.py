"""The group commit of one process: what waits goes to the pack with one flush, then to the index in one transaction.

Two steps, which `hilum.archive.turns` gives to threads. Writing decides what is new, and appends it; indexing applies
what was appended and answers. While a group is indexed the next one is already written, and while that waits for the
disk the following one gathers: many senders share each wait, and a single one is not delayed. Answers come in the order
of the commits, and only when the object is durable in a pack and visible to the next query.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.ingest import (
    Prepared,
    StoreResult,
    StoreStatus,
    data_set_offset,
    digest_of,
    entry_of,
    reader_of,
    result_of,
)
from hilum.archive.turns import Turns
from hilum.errors import Conflict, DataError, HilumError, NotFound, Unavailable, UsageError
from hilum.index.base import Entry, InstanceRecord, Outcome, Tombstone
from hilum.index.schema import parse_private_key
from hilum.storage.base import REPLACES, Kind, NewRecord
from hilum.storage.base import Tombstone as TombstoneRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from hilum.archive.turns import Job
    from hilum.config import Settings
    from hilum.index.base import Index
    from hilum.storage.packs import PackStore
    from hilum.types import Location

__all__ = ["Committer"]

_log = logging.getLogger("hilum.archive")

_STEP: Final = 1 << 20

_STATUS_OF: Final = {
    Outcome.STORED: StoreStatus.STORED,
    Outcome.DUPLICATE: StoreStatus.DUPLICATE,
    Outcome.CONFLICT_KEPT: StoreStatus.CONFLICT_KEPT,
    Outcome.REPLACED: StoreStatus.REPLACED,
}


@dataclass(slots=True)
class _Group:
    """What one append has written, on its way to the index."""

    jobs: list[Job]
    """Empty when the append has failed in part: what it has written has to be indexed all the same."""
    entries: list[Entry]
    written: list[Prepared]
    """What each entry was made of."""
    moves: list[tuple[str, Location, Location]] = field(default_factory=list)
    """UID, old and new place of damaged objects that came once more."""
    stones: list[Location] = field(default_factory=list)
    """Places of the tombstones that void what was damaged."""
    failed: dict[int, HilumError] = field(default_factory=dict)
    """By the id of the `Prepared`: what could not be written though the rest could."""


class Committer:
    """The group commit of one process on one archive; thread-safe, starts afresh in the child of a fork.

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
        self._private_keys = [parse_private_key(text) for text in settings.index.private_tags]
        self._latest_ns = latest_ns
        self._turns: Turns[_Group] = Turns(self._write, self._index_and_answer, settings.ingest)
        self._reset()

    def _begin(self) -> bool:
        """Start afresh in the child of a fork, where the threads do not exist; whether this is one."""
        forked = self._turns.begin()
        if forked:
            self._reset()
        return forked

    def _reset(self) -> None:
        self._index_lock = threading.Lock()
        self._pending_lock = threading.Lock()
        self._pending: dict[str, Prepared] = {}
        """Current object of each UID that was appended and is not in the index yet."""
        self._backlog: list[Entry] = []
        self._tombstones: list[Tombstone] = []
        self._tombstone_ends: dict[int, int] = {}
        """Appended, but the index has refused it so far; goes first."""
        self._clock = threading.Lock()

    def submit(self, items: Sequence[Prepared], timeout: float | None = None) -> Future[list[StoreResult | HilumError]]:
        """Queue objects for the next commit, all or none; one that cannot be stored gives its error in its place.

        Blocks while ``ingest.queue_bytes`` are waiting: that is the backpressure.

        Raises
        ------
        Unavailable
            Still full after `timeout` seconds, or closed.
        """
        self._begin()
        return self._turns.submit(items, timeout)

    def commit(self, items: Sequence[Prepared]) -> list[StoreResult | HilumError]:
        """As `submit`, and wait for the answer; this thread may do the work of others meanwhile.

        Raises
        ------
        Unavailable
            Closed.
        """
        self._begin()
        return self._turns.commit(items)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep commits of this process out, with everything that was written indexed: for deletion and compaction."""
        self._begin()
        with self._turns.exclusive(), self._index_lock:
            self._apply([])
            yield

    def next_ns(self, at_least: int = 0) -> int:
        """Receive time for a record: now, and later than every one before."""
        with self._clock:
            self._latest_ns = max(time.time_ns(), self._latest_ns + 1, at_least)
            return self._latest_ns

    def delete(self, stone: TombstoneRecord) -> None:
        """Write a tombstone, durable, and take what it names out of the index; only inside of `exclusive`.

        When the index refuses, it goes there before anything else that is written to its pack.
        """
        record = NewRecord(Kind.TOMBSTONE, [stone.encode()], received_ns=stone.deleted_ns)
        (location,) = self._packs.append([record])
        self._tombstones += [Tombstone(uid, stone.deleted_ns) for uid in stone.instances]
        self._tombstone_ends[location.pack] = self._packs.end_of(location)
        self._apply([])

    def close(self) -> None:
        """Commit what waits, then stop."""
        if not self._begin():
            self._turns.close()

    # Writing

    def _write(self, jobs: list[Job], pass_on: Callable[[_Group], None]) -> None:
        """Append what is new, durable, and pass it on."""
        if self._backlog or self._tombstone_ends:
            with self._index_lock:
                self._apply([])
        items = [item for job in jobs for item in job.items]
        group = _Group(jobs, [], [])
        decisions = self._decide(items, group.failed)
        writes = [(item, flags) for item, flags in zip(items, decisions, strict=True) if isinstance(flags, int)]
        damaged = [(i, known) for i, known in zip(items, decisions, strict=True) if isinstance(known, InstanceRecord)]
        try:
            self._append(writes, group)
            for item, known in damaged:
                self._heal(item, known, group)
        except BaseException:
            pass_on(_Group([], group.entries, group.written, group.moves, group.stones))
            raise
        with self._pending_lock:
            for item, flags in writes:
                uid = item.scan.sop_instance_uid
                if id(item) not in group.failed and (flags or uid not in self._pending):
                    self._pending[uid] = item
        pass_on(group)

    def _decide(self, items: Sequence[Prepared], failed: dict[int, HilumError]) -> list[int | InstanceRecord | None]:
        """Record flags for each object that has to be written, None for duplicates.

        A duplicate of an object whose stored bytes are damaged or missing gives that object's record. An object that
        cannot be read goes to `failed`.
        """
        uids = [item.scan.sop_instance_uid for item in items]
        with self._pending_lock:  # before the look-up: what leaves this meanwhile is in the index by then
            current: dict[str, Prepared | InstanceRecord] = {
                uid: self._pending[uid] for uid in uids if uid in self._pending
            }
        for uid, record in zip(uids, self._index.lookup(uids), strict=True):
            if record is not None:
                current.setdefault(uid, record)
        seen: dict[str, dict[bytes, InstanceRecord | None]] = {}
        decisions: list[int | InstanceRecord | None] = []
        for item in items:
            try:
                decision = self._decision(item, current, seen)
            except HilumError as error:
                failed[id(item)] = error
                decision = None
            decisions.append(decision)
        return decisions

    def _decision(
        self,
        item: Prepared,
        current: dict[str, Prepared | InstanceRecord],
        seen: dict[str, dict[bytes, InstanceRecord | None]],
    ) -> int | InstanceRecord | None:
        """Decide about one object; `current` and `seen` learn what the group will have stored after it."""
        uid = item.scan.sop_instance_uid
        known = current.get(uid)
        if known is None:
            current[uid] = item
            return 0
        if uid not in seen:
            seen[uid] = self._digests(uid)
            if isinstance(known, Prepared):
                seen[uid].setdefault(digest_of(known), None)
        digest = digest_of(item)
        if digest in seen[uid]:
            same, seen[uid][digest] = seen[uid][digest], None
            return same if same is not None and self._is_damaged(same) else None
        flags = self._conflict(item, known)
        if flags is not None:
            seen[uid][digest] = None
        if flags:
            current[uid] = item
        return flags

    def _digests(self, uid: str) -> dict[bytes, InstanceRecord | None]:
        """Find what is kept under a UID already, as far as the index knows."""
        records = [*self._index.lookup([uid]), *self._index.versions(uid)]
        return {record.sha256: record for record in records if record is not None}

    def _is_damaged(self, record: InstanceRecord) -> bool:
        """Whether the bytes of an object cannot be read where the index says, by their checksums."""
        try:
            for _ in self._packs.stream(record.location):
                pass
        except (DataError, NotFound, Unavailable):
            now = self._digests(record.sop_instance_uid).get(record.sha256)
            return now is not None and now.location == record.location  # else it was moved, or deleted, meanwhile
        return False

    def _conflict(self, item: Prepared, known: Prepared | InstanceRecord) -> int | None:
        """Decide about an object whose UID is taken: record flags, or None when there is nothing new in it."""
        if item.on_conflict == "never":
            return 0
        try:
            same = item.on_conflict == "if-changed" and self._same_data_set(known, item)
        except (DataError, NotFound):
            same = False  # the stored bytes cannot be read (any more): both are kept
        return None if same else REPLACES

    def _same_data_set(self, known: Prepared | InstanceRecord, item: Prepared) -> bool:
        """Compare what follows preamble and file meta information, in steps."""
        if isinstance(known, Prepared):
            start, size, read = known.scan.dataset_offset, known.size, reader_of(known)
        else:
            location = known.location
            start = data_set_offset(self._packs.read(location, 0, min(location.length, 64 << 10)))
            size, read = location.length, lambda at, length: self._packs.read(location, at, length)
        other_start, other = item.scan.dataset_offset, reader_of(item)
        if size - start != item.size - other_start:
            return False
        steps = ((at, min(_STEP, size - start - at)) for at in range(0, size - start, _STEP))
        return all(read(start + at, length) == other(other_start + at, length) for at, length in steps)

    def _append(self, writes: Sequence[tuple[Prepared, int]], group: _Group) -> None:
        """Append to the pack; `group` gets what is durable, also when a later one fails."""
        memory = [(item, flags, self.next_ns()) for item, flags in writes if item.path is None]
        try:
            self._append_memory(memory, group)
        except DataError:  # the bytes of one are not what was scanned: its own error, not that of the others
            for one in memory:
                try:
                    self._append_memory([one], group)
                except DataError as error:
                    group.failed[id(one[0])] = error
        for item, flags in writes:
            if item.path is None:
                continue
            try:
                entry = self._append_streamed(item, flags)
            except HilumError as error:
                group.failed[id(item)] = error
            else:
                group.entries.append(entry)
                group.written.append(item)

    def _append_memory(self, items: Sequence[tuple[Prepared, int, int]], group: _Group) -> None:
        """Append objects in memory with one flush, all or none; each with its flags and its receive time."""
        records = [
            NewRecord(Kind.OBJECT, item.pieces, digest_of(item), item.scan.crc32c, stamp, flags)
            for item, flags, stamp in items
        ]
        locations = self._packs.append(records) if records else []
        group.entries += [
            self._entry(item, location, stamp, flags)
            for (item, flags, stamp), location in zip(items, locations, strict=True)
        ]
        group.written += [item for item, *_ in items]

    def _heal(self, item: Prepared, known: InstanceRecord, group: _Group) -> None:
        """Append an object once more whose stored bytes are damaged; the index is to point to these."""
        flags, stamp = known.flags, known.received_ns
        try:
            if item.path is None:
                record = NewRecord(Kind.OBJECT, item.pieces, digest_of(item), item.scan.crc32c, stamp, flags)
                (location,) = self._packs.append([record])
            else:
                location = self._stream(item, flags, stamp)[0]
            group.stones.append(self._void(known.location, "damaged"))
        except HilumError as error:
            group.failed[id(item)] = error
            return
        group.moves.append((known.sop_instance_uid, known.location, location))
        _log.warning(
            "pack %d, byte %d: damaged; the object came once more and is stored again",
            known.location.pack,
            known.location.offset,
        )

    def _append_streamed(self, item: Prepared, flags: int) -> Entry:
        stamp = self.next_ns()
        location, crc = self._stream(item, flags, stamp)
        return self._entry(item, location, stamp, flags, crc)

    def _stream(self, item: Prepared, flags: int, stamp: int) -> tuple[Location, int]:
        """Append the file of an object; its place and CRC-32C."""
        assert item.path is not None
        location, sha256, crc = self._packs.append_stream(
            item.path, item.size, kind=Kind.OBJECT, flags=flags, received_ns=stamp
        )
        if sha256 != (item.sha256 or sha256) or item.was_changed():
            self._void(location, "changed while read")
            raise Conflict("the file was changed while it was read; try again")
        item.sha256 = sha256
        return location, crc

    def _void(self, location: Location, reason: str) -> Location:
        """Write that a record does not count, without deleting its instance: a rebuild leaves it out."""
        stone = TombstoneRecord("instance", (), (location,), self.next_ns(), reason)
        return self._packs.append([NewRecord(Kind.TOMBSTONE, [stone.encode()], received_ns=stone.deleted_ns)])[0]

    def _entry(self, item: Prepared, location: Location, stamp: int, flags: int, crc: int | None = None) -> Entry:
        keys = self._private_keys
        return entry_of(
            item.scan, location, stamp, flags, digest_of(item), crc, read=reader_of(item), private_keys=keys
        )

    # Indexing

    def _index_and_answer(self, groups: list[_Group]) -> None:
        jobs = [job for group in groups for job in group.jobs]
        try:
            with self._index_lock:
                moves = [move for group in groups for move in group.moves]
                stones = [stone for group in groups for stone in group.stones]
                outcomes = self._apply([entry for group in groups for entry in group.entries], moves, stones)
            written = (id(item) for group in groups for item in group.written)
            outcome_of: dict[int, Outcome | HilumError] = dict(zip(written, outcomes, strict=True))
            for group in groups:
                outcome_of.update(group.failed)
            if Outcome.DELETED in outcomes:
                self.next_ns(self._index.latest_ns())  # another process was ahead of this one's clock
            items = [item for job in jobs for item in job.items]
            results = [_result(item, outcome) for item, outcome in zip(items, _told(items, outcome_of), strict=True)]
        except BaseException as error:
            self._turns.answer(jobs, error)
        else:
            self._turns.answer(jobs, results)

    def _apply(
        self,
        entries: list[Entry],
        moves: Sequence[tuple[str, Location, Location]] = (),
        stones: Sequence[Location] = (),
    ) -> list[Outcome | HilumError]:
        """Index entries, first of all those that the index has refused before.

        What the index can never hold gives its error; after any other error all of them go first the next time.
        """
        late, entries = len(self._backlog), [*self._backlog, *entries]
        if not entries and not self._tombstone_ends and not moves:
            return []
        ends = dict(self._tombstone_ends)
        for location in (*(entry.location for entry in entries), *(new for _, _, new in moves), *stones):
            ends[location.pack] = max(ends.get(location.pack, 0), self._packs.end_of(location))
        self._backlog = entries
        outcomes: list[Outcome | HilumError]
        try:
            if moves:
                self._index.move(moves)
            outcomes = [*self._index.apply(entries, packs=ends, tombstones=self._tombstones)]
        except UsageError:
            outcomes = self._apply_one_by_one(entries)
            self._index.apply([], packs=ends, tombstones=self._tombstones)
        self._backlog, self._tombstones, self._tombstone_ends = [], [], {}
        with self._pending_lock:
            for entry in entries:
                item = self._pending.get(entry.sop_instance_uid)
                if item is not None and item.sha256 == entry.sha256:
                    del self._pending[entry.sop_instance_uid]
        return outcomes[late:]

    def _apply_one_by_one(self, entries: list[Entry]) -> list[Outcome | HilumError]:
        """Index what the index can hold; what it never will must not stand in the way of what comes later."""
        outcomes: list[Outcome | HilumError] = []
        for at, entry in enumerate(entries):
            try:
                outcomes += self._index.apply([entry])
            except UsageError as error:
                _log.error("pack %d, byte %d: %s", entry.location.pack, entry.location.offset, error)
                outcomes.append(error)
            except BaseException:
                self._backlog = entries[at:]
                raise
        self._backlog = []
        return outcomes


def _told(items: Sequence[Prepared], outcome_of: dict[int, Outcome | HilumError]) -> list[Outcome | HilumError]:
    """Outcome of each object; what came twice and was to be stored once must not seem to be stored when it was not."""
    found = [outcome_of.get(id(item)) for item in items]
    if None not in found:
        return [outcome for outcome in found if outcome is not None]
    lost = {
        item.scan.sop_instance_uid: outcome
        for item, outcome in zip(items, found, strict=True)
        if isinstance(outcome, HilumError)
    }
    return [
        outcome or lost.get(item.scan.sop_instance_uid) or Outcome.DUPLICATE
        for item, outcome in zip(items, found, strict=True)
    ]


def _result(item: Prepared, outcome: Outcome | HilumError) -> StoreResult | HilumError:
    if isinstance(outcome, HilumError):
        return outcome
    status = _STATUS_OF.get(outcome)
    if status is None:
        return Unavailable("the object was deleted meanwhile, or while the clock showed a later time; try again")
    return result_of(item, status)
