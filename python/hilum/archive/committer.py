"""The group commit of one process: what waits goes to the pack with one flush, then to the index in one transaction.

Two threads. The writer gathers what waits, decides what is new, and appends it; the indexer applies what was appended
and answers. While the indexer works the writer already writes the next group, and while the writer waits for the disk
the following one gathers: many senders share each wait, and a single one is not delayed. Answers come in the order of
the commits, and only when the object is durable in a pack and visible to the next query.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
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
from hilum.errors import Conflict, DataError, NotFound, Unavailable, UsageError
from hilum.index.base import Entry, InstanceRecord, Outcome, Tombstone
from hilum.index.schema import parse_private_key
from hilum.storage.base import REPLACES, Kind, NewRecord
from hilum.storage.base import Tombstone as TombstoneRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
class _Job:
    items: Sequence[Prepared]
    memory: int
    future: Future[list[StoreResult]] = field(default_factory=Future)


@dataclass(slots=True)
class _Group:
    """What one append has written, on its way to the index."""

    jobs: list[_Job]
    """Empty when the append has failed in part: what it has written has to be indexed all the same."""
    entries: list[Entry]
    written: list[Prepared]
    """What each entry was made of."""


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
        self._limits = settings.ingest
        self._private_keys = [parse_private_key(text) for text in settings.index.private_tags]
        self._latest_ns = latest_ns
        self._reset()

    def _reset(self) -> None:
        """Start empty; also in the child of a fork, where the threads do not exist."""
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._write_lock = threading.Lock()
        self._index_lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._written: deque[_Group | None] = deque()
        self._indexing = False
        self._memory = 0
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._company = False
        self._pending: dict[str, Prepared] = {}
        """Current object of each UID that was appended and is not in the index yet."""
        self._backlog: list[Entry] = []
        self._tombstones: list[Tombstone] = []
        self._tombstone_ends: dict[int, int] = {}
        """Appended, but the index has refused it so far; goes first."""
        self._clock = threading.Lock()

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
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._write_groups, name="hilum-write", daemon=True),
                    threading.Thread(target=self._index_groups, name="hilum-index", daemon=True),
                ]
                for thread in self._threads:
                    thread.start()
            self._memory += job.memory
            self._waiting.append(job)
            self._changed.notify_all()
        return job.future

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep commits of this process out, with everything that was written indexed: for deletion and compaction."""
        if os.getpid() != self._process:
            self._reset()
        with self._write_lock:
            with self._changed:
                self._changed.wait_for(lambda: not self._written and not self._indexing)
            with self._index_lock:
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
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    # The writer

    def _has_room(self, job: _Job) -> bool:
        return self._closing or not self._memory or self._memory + job.memory <= self._limits.queue_bytes

    def _write_groups(self) -> None:
        while jobs := self._gather():
            try:
                with self._write_lock:
                    self._write(jobs)
            except BaseException as error:
                self._answer(jobs, error)
            self._company = len(jobs) > 1
        self._pass_on(None)

    def _pass_on(self, group: _Group | None) -> None:
        """Give a group to the indexer; None: there will be no more."""
        with self._changed:
            self._written.append(group)
            self._changed.notify_all()

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

    def _write(self, jobs: list[_Job]) -> None:
        """Append what is new, durable, and pass it on."""
        if self._backlog or self._tombstone_ends:
            with self._index_lock:
                self._apply([])
        items = [item for job in jobs for item in job.items]
        decisions = self._decide(items)
        writes = [(item, flags) for item, flags in zip(items, decisions, strict=True) if flags is not None]
        group = _Group(jobs, [], [])
        try:
            self._append(writes, group)
        except BaseException:
            self._pass_on(_Group([], group.entries, group.written))
            raise
        with self._changed:
            for item, flags in writes:
                uid = item.scan.sop_instance_uid
                if flags or uid not in self._pending:
                    self._pending[uid] = item
        self._pass_on(group)

    def _decide(self, items: Sequence[Prepared]) -> list[int | None]:
        """Record flags for each object that has to be written, None for duplicates."""
        uids = [item.scan.sop_instance_uid for item in items]
        with self._changed:  # before the look-up: what leaves this meanwhile is in the index by then
            current: dict[str, Prepared | InstanceRecord] = {
                uid: self._pending[uid] for uid in uids if uid in self._pending
            }
        for uid, record in zip(uids, self._index.lookup(uids), strict=True):
            if record is not None:
                current.setdefault(uid, record)
        seen: dict[str, set[bytes]] = {}
        decisions: list[int | None] = []
        for item, uid in zip(items, uids, strict=True):
            known = current.get(uid)
            if known is None:
                current[uid] = item
                decisions.append(0)
                continue
            if uid not in seen:
                seen[uid] = self._digests(uid)
                seen[uid].add(digest_of(known) if isinstance(known, Prepared) else known.sha256)
            flags = self._conflict(item, known, seen[uid])
            decisions.append(flags)
            if flags is not None:
                seen[uid].add(digest_of(item))
            if flags:
                current[uid] = item
        return decisions

    def _digests(self, uid: str) -> set[bytes]:
        """Find what is kept under a UID already, as far as the index knows."""
        records = [*self._index.lookup([uid]), *self._index.versions(uid)]
        return {record.sha256 for record in records if record is not None}

    def _conflict(self, item: Prepared, known: Prepared | InstanceRecord, seen: set[bytes]) -> int | None:
        """Decide about an object whose UID is taken: record flags, or None when there is nothing new in it."""
        if digest_of(item) in seen:
            return None
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
        memory = [(item, flags) for item, flags in writes if item.path is None]
        stamps = [self.next_ns() for _ in memory]
        records = [
            NewRecord(Kind.OBJECT, item.pieces, digest_of(item), item.scan.crc32c, stamp, flags)
            for (item, flags), stamp in zip(memory, stamps, strict=True)
        ]
        locations = self._packs.append(records) if records else []
        group.entries += [
            self._entry(item, location, stamp, flags)
            for (item, flags), location, stamp in zip(memory, locations, stamps, strict=True)
        ]
        group.written += [item for item, _ in memory]
        for item, flags in writes:
            if item.path is not None:
                group.entries.append(self._append_streamed(item, flags))
                group.written.append(item)

    def _append_streamed(self, item: Prepared, flags: int) -> Entry:
        assert item.path is not None
        stamp = self.next_ns()
        location, sha256, crc = self._packs.append_stream(
            item.path, item.size, kind=Kind.OBJECT, flags=flags, received_ns=stamp
        )
        if sha256 != (item.sha256 or sha256) or item.was_changed():
            stone = TombstoneRecord(
                "instance", (item.scan.sop_instance_uid,), (location,), self.next_ns(), "changed while read"
            )
            self._packs.append([NewRecord(Kind.TOMBSTONE, [stone.encode()], received_ns=stone.deleted_ns)])
            raise Conflict("the file was changed while it was read; try again")
        item.sha256 = sha256
        return self._entry(item, location, stamp, flags, crc)

    def _entry(self, item: Prepared, location: Location, stamp: int, flags: int, crc: int | None = None) -> Entry:
        keys = self._private_keys
        return entry_of(
            item.scan, location, stamp, flags, digest_of(item), crc, read=reader_of(item), private_keys=keys
        )

    # The indexer

    def _index_groups(self) -> None:
        ended = False
        while not ended:
            with self._changed:
                self._changed.wait_for(lambda: self._written)
                groups = list(self._written)
                self._written.clear()
                self._indexing = True
            ended = groups[-1] is None
            try:
                self._index_and_answer([group for group in groups if group is not None])
            finally:
                with self._changed:
                    self._indexing = False
                    self._changed.notify_all()

    def _index_and_answer(self, groups: list[_Group]) -> None:
        jobs = [job for group in groups for job in group.jobs]
        try:
            with self._index_lock:
                outcomes = self._apply([entry for group in groups for entry in group.entries])
            written = (id(item) for group in groups for item in group.written)
            outcome_of = dict(zip(written, outcomes, strict=True))
            if Outcome.DELETED in outcomes:
                self.next_ns(self._index.latest_ns())  # another process was ahead of this one's clock
            results = [
                result_of(item, _status(outcome_of.get(id(item), Outcome.DUPLICATE)))
                for job in jobs
                for item in job.items
            ]
        except BaseException as error:
            self._answer(jobs, error)
        else:
            self._answer(jobs, results)

    def _apply(self, entries: list[Entry]) -> list[Outcome]:
        """Index entries, first of all those that the index has refused before; all of them or none."""
        late, entries = len(self._backlog), [*self._backlog, *entries]
        if not entries and not self._tombstone_ends:
            return []
        ends = dict(self._tombstone_ends)
        for entry in entries:
            location = entry.location
            ends[location.pack] = max(ends.get(location.pack, 0), self._packs.end_of(location))
        self._backlog = entries
        try:
            outcomes = self._index.apply(entries, packs=ends, tombstones=self._tombstones)
        except UsageError:
            self._apply_one_by_one(entries)
            raise
        self._backlog, self._tombstones, self._tombstone_ends = [], [], {}
        with self._changed:
            for entry in entries:
                item = self._pending.get(entry.sop_instance_uid)
                if item is not None and item.sha256 == entry.sha256:
                    del self._pending[entry.sop_instance_uid]
        return outcomes[late:]

    def _apply_one_by_one(self, entries: list[Entry]) -> None:
        """Index what the index can hold; what it never will must not stand in the way of what comes later."""
        self._backlog = []
        for at, entry in enumerate(entries):
            try:
                self._index.apply([entry])
            except UsageError as error:
                _log.error("pack %d, byte %d: %s", entry.location.pack, entry.location.offset, error)
            except BaseException:
                self._backlog = entries[at:]
                raise
        with self._changed:
            for entry in entries:
                self._pending.pop(entry.sop_instance_uid, None)

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


def _status(outcome: Outcome) -> StoreStatus:
    status = _STATUS_OF.get(outcome)
    if status is None:
        raise Unavailable("the object was deleted meanwhile, or while the clock showed a later time; try again")
    return status
