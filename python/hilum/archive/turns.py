"""Who writes and who indexes: the queue of the group commit, and the threads that take their turn at it.

A commit has two steps, each done by one thread at a time: write a group of jobs, then index what was written, in the
order in which it was. A thread that waits for its own answer (`Turns.commit`) takes both steps when nobody else does:
it writes all that waits, gives the writing on to the first of those who came meanwhile, and indexes. So the threads
of senders do the work for each other, and none is woken that has nothing to get. Two threads of our own do it for those
who do not wait (`Turns.submit`), and the rest of what those leave.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from hilum.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hilum.archive.ingest import Prepared, StoreResult
    from hilum.config import IngestSettings
    from hilum.errors import HilumError

    Answer = list[StoreResult | HilumError]

__all__ = ["Job", "Turns"]

T = TypeVar("T")

_ROUNDS: Final = 4
"""How often a sender's thread indexes in a row; then our own does."""


@dataclass(slots=True)
class Job:
    """Objects that are committed together, or none of them."""

    items: Sequence[Prepared]
    memory: int
    future: Future[Answer] | None
    """Of `Turns.submit`."""
    turn: threading.Lock | None
    """Held while its thread waits in `Turns.commit`."""
    leads: bool = False
    """Whether its thread is the one that writes next."""
    answered: Answer | BaseException = field(default_factory=list)
    """For the thread that waits."""

    @classmethod
    def of(cls, items: Sequence[Prepared], *, waits: bool) -> Job:
        """Make a job of objects; ``waits``: for a thread that waits in `Turns.commit`."""
        memory = sum(item.memory() for item in items)
        if waits:
            turn = threading.Lock()
            turn.acquire()
            return cls(items, memory, None, turn)
        future: Future[Answer] = Future()
        future.set_running_or_notify_cancel()
        return cls(items, memory, future, None)

    def answer(self, answer: Answer | BaseException) -> None:
        """Tell who waits."""
        if self.turn is not None:
            self.answered = answer
            self.turn.release()
        elif self.future is not None:
            if isinstance(answer, BaseException):
                self.future.set_exception(answer)
            else:
                self.future.set_result(answer)


class Turns(Generic[T]):
    """The queue; thread-safe. Starts afresh in the child of a fork.

    Parameters
    ----------
    write : callable
        ``write(jobs, pass_on)`` makes jobs durable and calls ``pass_on(group)`` with what is to be indexed, also before
        it raises; then the jobs are answered with the error, else by `index`.
    index : callable
        ``index(groups)`` indexes them in their order and answers their jobs; it does not raise.
    limits : IngestSettings
    """

    def __init__(
        self,
        write: Callable[[list[Job], Callable[[T], None]], None],
        index: Callable[[list[T]], None],
        limits: IngestSettings,
    ) -> None:
        self._write = write
        self._index = index
        self._limits = limits
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        lock = threading.Lock()
        self._lock = lock
        self._room = threading.Condition(lock)
        """For those whose jobs do not fit."""
        self._enough = threading.Condition(lock)
        """For who gathers a group."""
        self._to_write = threading.Condition(lock)
        self._to_index = threading.Condition(lock)
        """For the two threads of our own."""
        self._idle = threading.Condition(lock)
        """For `exclusive`."""
        self.writing = threading.Lock()
        """Held while a group is written."""
        self._waiting: deque[Job] = deque()
        self._written: deque[T | None] = deque()
        self._leading = False
        """Whether somebody gathers or writes; what comes meanwhile waits for the next turn."""
        self._indexing = False
        self._memory = 0
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._company = 1
        """Jobs of the last group: as many are likely to come again."""

    def begin(self) -> bool:
        """Start afresh if this process is a fork of the one that was here; whether it is."""
        if os.getpid() == self._process:
            return False
        self._reset()
        return True

    def submit(self, items: Sequence[Prepared], timeout: float | None = None) -> Future[Answer]:
        """Queue objects for the next commit, all or none; one that cannot be stored gives its error in its place.

        Blocks while ``ingest.queue_bytes`` are waiting: that is the backpressure.

        Raises
        ------
        Unavailable
            Still full after `timeout` seconds, or closed.
        """
        job = Job.of(items, waits=False)
        assert job.future is not None
        with self._lock:
            self._enter(job, timeout)
            if not self._leading:
                self._to_write.notify()
        return job.future

    def commit(self, items: Sequence[Prepared]) -> Answer:
        """As `submit`, and wait for the answer; this thread may do the work of others meanwhile.

        Raises
        ------
        Unavailable
            Closed.
        """
        if threading.current_thread() is threading.main_thread():  # an interrupt must not end a group half-way
            return self.submit(items).result()
        job = Job.of(items, waits=True)
        assert job.turn is not None
        with self._lock:
            self._enter(job, None)
            if not self._leading:
                self._leading = job.leads = True
        if not job.leads:
            job.turn.acquire()
        if job.leads:
            self._take_turn()
            self._index_some()
            job.turn.acquire()
        if isinstance(job.answered, BaseException):
            raise job.answered
        return job.answered

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep others out, with everything that was written indexed."""
        with self.writing:
            with self._lock:
                self._idle.wait_for(lambda: not self._written and not self._indexing)
            yield

    def answer(self, jobs: Sequence[Job], answers: Answer | BaseException) -> None:
        """Answer jobs with one error, or with their part of the answers."""
        with self._lock:
            for job in jobs:
                self._memory -= job.memory
            self._room.notify_all()
        start = 0
        for job in jobs:
            if isinstance(answers, BaseException):
                job.answer(answers)
                continue
            job.answer(answers[start : start + len(job.items)])
            start += len(job.items)

    def close(self) -> None:
        """Commit what waits, then stop."""
        with self._lock:
            self._closing = True
            for waiting in (self._room, self._enough, self._to_write):
                waiting.notify_all()
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _enter(self, job: Job, timeout: float | None) -> None:
        """Queue a job; with the lock held."""
        if not self._has_room(job) and not self._room.wait_for(lambda: self._has_room(job), timeout):
            raise Unavailable("too many objects are waiting to be stored; try again later")
        if self._closing:
            raise Unavailable("the archive is closed")
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._write_the_rest, name="hilum-write", daemon=True),
                threading.Thread(target=self._index_the_rest, name="hilum-index", daemon=True),
            ]
            for thread in self._threads:
                thread.start()
        self._memory += job.memory
        self._waiting.append(job)
        if self._company > 1 and self._has_company():
            self._enough.notify()

    def _has_room(self, job: Job) -> bool:
        return self._closing or not self._memory or self._memory + job.memory <= self._limits.queue_bytes

    def _has_company(self) -> bool:
        enough = self._memory >= self._limits.batch_bytes or len(self._waiting) >= self._company
        return self._closing or enough

    # Writing

    def _take_turn(self) -> None:
        """Write one group as the one that leads, and give the lead on."""
        jobs = self._gather()
        try:
            with self.writing:
                self._write(jobs, self._pass_on)
        except BaseException as error:
            self.answer(jobs, error)
        finally:
            self._give_lead(len(jobs))

    def _pass_on(self, group: T) -> None:
        with self._lock:
            self._written.append(group)

    def _gather(self) -> list[Job]:
        """Wait a moment for as many jobs as came last time, and take what fits into one commit."""
        with self._lock:
            if self._company > 1 and not self._closing:
                self._enough.wait_for(self._has_company, self._limits.gather_ms / 1000)
            jobs: list[Job] = []
            size = 0
            while self._waiting and (not jobs or size + self._waiting[0].memory <= self._limits.batch_bytes):
                size += self._waiting[0].memory
                jobs.append(self._waiting.popleft())
            return jobs

    def _give_lead(self, company: int) -> None:
        with self._lock:
            self._company = company
            following = self._waiting[0] if self._waiting else None
            if following is not None and following.turn is not None:
                following.leads = True
                following.turn.release()
                return
            self._leading = False
            if following is not None or self._closing:
                self._to_write.notify()

    def _write_the_rest(self) -> None:
        """Our own thread that writes: for those who do not wait themselves."""
        while True:
            with self._lock:
                self._to_write.wait_for(lambda: not self._leading and (self._waiting or self._closing))
                if not self._waiting:
                    self._written.append(None)
                    self._to_index.notify()
                    return
                self._leading = True
            self._take_turn()
            with self._lock:
                self._to_index.notify()

    # Indexing

    def _index_some(self) -> None:
        """Index what was written, for some rounds, unless somebody else does."""
        for _ in range(_ROUNDS):
            with self._lock:
                if self._indexing or not self._written or self._written[-1] is None:
                    break
                groups = self._take_written()
            self._index_groups(groups)
        with self._lock:
            if self._written and not self._indexing:
                self._to_index.notify()

    def _take_written(self) -> list[T | None]:
        groups = list(self._written)
        self._written.clear()
        self._indexing = True
        return groups

    def _index_groups(self, groups: list[T | None]) -> None:
        try:
            self._index([group for group in groups if group is not None])
        finally:
            with self._lock:
                self._indexing = False
                if not self._written:
                    self._idle.notify_all()

    def _index_the_rest(self) -> None:
        """Our own thread that indexes; it ends with the one that writes."""
        ended = False
        while not ended:
            with self._lock:
                self._to_index.wait_for(lambda: self._written and not self._indexing)
                groups = self._take_written()
            ended = groups[-1] is None
            self._index_groups(groups)
