"""A migration: the crawl finds studies, workers retrieve and verify them, the ledger knows how far it has come."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.archive.commitment import Reference, confirm
from hilum.errors import Denied, HilumError, Unavailable, UsageError
from hilum.migrate.crawl import Crawl
from hilum.migrate.throttle import Throttle

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

    from hilum.archive.archive import Archive
    from hilum.index.base import InstanceRecord
    from hilum.migrate.ledger import Ledger, StudyLine
    from hilum.migrate.source import Fetched, FoundInstance, Session, Source

__all__ = ["Migration", "Plan"]

_POLL_S: Final = 0.2
_STUDY: Final = "StudyInstanceUID"
_MOST_OUTAGES: Final = 5
_MOST_DIFFERENCES: Final = 1000
_REASONS: Final = {
    0x0112: "not in the archive",
    0x0119: "stored with another SOP class than the peer announces",
    0x0110: "stored, but its bytes cannot be read again",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a migration is to be done."""

    keys: Mapping[str, str] = field(default_factory=dict)
    """Further matching keys: only these studies."""
    first: datetime.date | None = None
    last: datetime.date | None = None
    limit: int = 0
    """Answers to which the peer cuts a query; 0: found out."""
    undated: bool = True
    associations: int = 2
    attempts: int = 3
    """Of one study."""
    patience_s: float = 900.0
    """How long a peer that cannot be reached is tried before the migration stops."""
    dry_run: bool = False
    throttle: Throttle = field(default_factory=Throttle)


class Migration:
    """One run of a migration.

    Parameters
    ----------
    archive : Archive
    source : Source
    ledger : Ledger
    plan : Plan
    tell : callable
        ``tell(text)`` of what is being done; no value of a patient.
    """

    def __init__(
        self,
        archive: Archive,
        source: Source,
        ledger: Ledger,
        plan: Plan,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        keys = " ".join(f"{name}={value}" for name, value in sorted(plan.keys.items()))
        known = ledger.get("source")
        if known and (known, ledger.get("keys")) != (source.name, keys):
            raise UsageError("the ledger is of another source or other keys: give this migration a --name of its own")
        ledger.put("source", source.name)
        ledger.put("keys", keys)
        self._archive = archive
        self._source = source
        self._ledger = ledger
        self._plan = plan
        self._tell = tell
        self._crawled = threading.Event()
        self._failure: list[Exception] = []
        self._unreachable_since = 0.0
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Work until everything is done or `stop` is set; studies that were begun are finished.

        Raises
        ------
        Unavailable, Denied
            The peer cannot be asked any more; the ledger is as it was, and the next run goes on.
        """
        self._ledger.retry()
        self._ledger.put("crawl", "")
        halt = _Either(stop)
        workers = [
            threading.Thread(target=self._guarded, args=(self._work, halt), name="hilum-migrate", daemon=True)
            for _ in range(self._plan.associations)
        ]
        for worker in workers:
            worker.start()
        self._guarded(self._find, halt)
        self._crawled.set()
        for worker in workers:
            worker.join()
        if self._failure:
            raise self._failure[0]

    def _guarded(self, work: Callable[[_Either], None], halt: _Either) -> None:
        try:
            work(halt)
        except Exception as error:
            self._failure.append(error)
            halt.set()

    def _find(self, halt: _Either) -> None:
        plan = self._plan
        session = self._source.open()
        try:
            crawl = Crawl(
                session, self._ledger, plan.throttle, keys=plan.keys, first=plan.first, last=plan.last,
                limit=plan.limit, undated=plan.undated, tell=self._tell,
            )  # fmt: skip
            found: list[bool] = []
            while not self._reached(lambda: found.append(crawl.run(halt)), halt):
                pass
            if any(found):
                self._ledger.put("crawl", "complete")
        finally:
            session.close()

    def _reached(self, work: Callable[[], object], halt: _Either) -> bool:
        """Do what needs the peer; False when it could not be reached and there was a pause."""
        try:
            work()
        except Denied:
            raise
        except Unavailable as error:
            if halt.is_set():
                return True
            now = time.monotonic()
            with self._lock:
                since = self._unreachable_since = self._unreachable_since or now
            if now - since >= self._plan.patience_s:
                raise
            self._tell(f"the peer cannot be asked, trying again: {error}")
            halt.wait(min(2.0 + (now - since) / 4, 60.0))
            return False
        with self._lock:
            self._unreachable_since = 0.0
        return True

    def _work(self, halt: _Either) -> None:
        session = self._source.open()
        try:
            while self._plan.throttle.wait(halt):
                line = self._ledger.claim()
                if line is None:
                    if self._crawled.is_set():
                        return
                    halt.wait(_POLL_S)
                    continue
                self._study(session, line, halt)
        finally:
            session.close()

    def _study(self, session: Session, line: StudyLine, halt: _Either) -> None:
        """Bring one study over; whatever happens is in the ledger afterwards."""
        started = time.monotonic()
        error: HilumError | None = None
        complete = False
        while not complete and line.attempts < self._plan.attempts and not halt.is_set():
            line.attempts += 1
            error = None
            try:
                complete = self._attempt(session, line)
            except Denied as found:
                error = found
                break
            except HilumError as found:
                error = found
            if not complete and line.attempts < self._plan.attempts:
                halt.wait(min(2.0 ** (line.attempts - 1), 30.0))
        line.seconds = round(line.seconds + time.monotonic() - started, 3)
        gone = isinstance(error, Unavailable) and not self._reached(lambda: session.studies({_STUDY: line.uid}), halt)
        if gone and line.outages < _MOST_OUTAGES:
            line.outages, line.attempts, line.state = line.outages + 1, 0, "pending"
        elif error is not None:
            line.state, line.note = "failed", str(error)
        elif self._plan.dry_run:
            line.state = "planned"
        elif not complete and line.attempts < self._plan.attempts:
            line.state = "pending"  # stopped
        else:
            line.state = "done" if complete else "different"
        self._ledger.save(line)
        self._tell(f"study {line.uid}: {line.state}, {line.stored} of {line.instances} instances {line.note}".rstrip())

    def _attempt(self, session: Session, line: StudyLine) -> bool:
        """Retrieve what is missing and verify; whether all that was announced is there."""
        announced = {instance.uid: instance for instance in session.instances(line.uid)}
        line.instances, line.series = len(announced), len({i.series_uid for i in announced.values()})
        here = self._here(announced)
        if line.attempts == 1 and not line.outages:
            line.before = len(here)
        missing = [instance for uid, instance in announced.items() if uid not in here]
        if self._plan.dry_run:
            line.stored = len(here)
            return True
        fetched: Fetched | None = None
        if missing:
            series = list(dict.fromkeys(i.series_uid for i in missing)) if here else []
            classes = list(dict.fromkeys(i.sop_class_uid for i in announced.values()))
            before = sum(record.location.length for record in here.values())
            fetched = session.fetch(line.uid, series, [] if "" in classes else classes)
            line.received += fetched.received
            self._verify(line, announced, fetched)
            self._plan.throttle.took(max(line.size - before, 0))
        else:
            self._verify(line, announced, fetched)
        return line.stored == line.instances

    def _here(self, uids: Mapping[str, object]) -> dict[str, InstanceRecord]:
        found = self._archive.retrieve.lookup(list(uids))
        return {uid: record for uid, record in zip(uids, found, strict=True) if record is not None}

    def _verify(self, line: StudyLine, announced: Mapping[str, FoundInstance], fetched: Fetched | None) -> None:
        """Read every announced instance again, compare its hash, and explain what is not as announced."""
        references = [Reference(i.sop_class_uid, i.uid) for i in announced.values()]
        reasons = {answer.sop_instance_uid: answer.reason for answer in confirm(self._archive, references)}
        here = self._here(announced)
        differences = {}
        for uid, reason in reasons.items():
            if reason:
                differences[uid] = _explain(uid, reason, fetched)
            elif here[uid].study_instance_uid != line.uid:
                differences[uid] = "stored under another study than the peer announces"
        good = sorted(uid for uid in announced if uid not in differences)
        line.stored, line.size = len(good), sum(here[uid].location.length for uid in good)
        line.extra = len({r.sop_instance_uid for r in self._archive.index.instances(line.uid)} - announced.keys())
        digest = hashlib.sha256("".join(f"{uid} {here[uid].sha256.hex()}\n" for uid in good).encode())
        line.digest = "" if differences else digest.hexdigest()
        line.differences = dict(list(differences.items())[:_MOST_DIFFERENCES])
        line.note = _note(line, fetched)


def _explain(uid: str, reason: int, fetched: Fetched | None) -> str:
    text = _REASONS.get(reason, f"reason {reason:04X}")
    if fetched is not None and uid in fetched.failed:
        text += f": {fetched.failed[uid]}"
    return text


def _note(line: StudyLine, fetched: Fetched | None) -> str:
    parts = []
    if fetched is not None and fetched.note and line.differences:
        parts.append(fetched.note)
    if fetched is not None:
        other = Counter(why for uid, why in fetched.failed.items() if uid not in line.differences)
        parts += [f"{count} x {why}" for why, count in other.most_common(3)]
    if line.said_instances is not None and line.said_instances != line.instances:
        parts.append(f"the peer says {line.said_instances} instances and lists {line.instances}")
    if line.said_series is not None and line.said_series != line.series:
        parts.append(f"the peer says {line.said_series} series and lists {line.series}")
    return "; ".join(parts)


class _Either(threading.Event):
    """Set when it is set itself or another event is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _POLL_S if until is None else until - time.monotonic()
            if left <= 0:
                break
            super().wait(min(left, _POLL_S))
        return self.is_set()
