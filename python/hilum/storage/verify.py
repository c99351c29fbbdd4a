"""Reading everything again: every stored byte must still be the byte that was stored."""

from __future__ import annotations

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hilum.errors import DataError, NotFound
from hilum.storage.base import BadRecord

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hilum.storage.base import PackInfo, RecordInfo

__all__ = ["VerifyProgress", "VerifyReport", "verify"]

_HEADER_BYTES = 4096
_STEP_BYTES, _STEP_RECORDS = 32 << 20, 4096


class _Store(Protocol):
    def packs(self) -> list[PackInfo]: ...

    def records(
        self, pack: int, start: int = 0, *, check: bool = False, sha256: bool = False
    ) -> Iterator[RecordInfo | BadRecord]: ...


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    """How far a verification is."""

    packs: int
    """Packs that are done."""
    packs_total: int
    records: int
    bytes: int
    """Bytes of packs that have been read."""
    bytes_total: int
    seconds: float
    damaged: int
    position: Mapping[int, int]
    """For each pack that is not done, where to go on; give it to `verify` to resume."""

    @property
    def bytes_per_second(self) -> float:
        """Bytes read per second so far."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found."""

    packs: int
    records: int
    """Records whose every byte is as it was stored."""
    bytes: int
    seconds: float
    damaged: tuple[BadRecord, ...]
    """Records and ranges that are not as they were stored."""
    unfinished: tuple[BadRecord, ...]
    """Damaged ends of appends that a crash ended: not damage unless the index refers to them."""
    stopped: bool
    """It was stopped before its end."""

    @property
    def bytes_per_second(self) -> float:
        """Bytes read per second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True)
class _Step:
    """Progress of one pack, sent from its thread."""

    pack: int
    position: int = 0
    records: int = 0
    bytes: int = 0
    bad: tuple[BadRecord, ...] = ()
    ended: bool = False
    finished: bool = False


def verify(
    store: _Store,
    *,
    packs: Sequence[int] | None = None,
    threads: int = 1,
    start: Mapping[int, int] | None = None,
    progress: Callable[[VerifyProgress], None] | None = None,
    stop: threading.Event | None = None,
) -> VerifyReport:
    """Read packs in full and compare every checksum and SHA-256 with what was stored.

    One flipped bit anywhere in a pack is found: in a payload, a header, a checksum or between records.

    Parameters
    ----------
    store : PackStore
    packs : sequence of int, optional
        Only these; all by default.
    threads : int
        Packs that are read at the same time.
    start : mapping of int to int, optional
        `VerifyProgress.position` of an earlier run: packs that are not in it are taken as done.
    progress : callable, optional
        Called in this thread, about every 32 MiB.
    stop : threading.Event, optional
        Set it to end early.

    Returns
    -------
    VerifyReport
    """
    wanted = [p for p in store.packs() if (packs is None or p.number in packs) and (start is None or p.number in start)]
    run = _Run(wanted, progress)
    steps: queue.SimpleQueue[_Step | BaseException] = queue.SimpleQueue()
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="verify") as pool:
        for pack in wanted:
            pool.submit(_verify_pack, store, pack, (start or {}).get(pack.number, 0), stop, steps)
        ended = 0
        while ended < len(wanted):
            step = steps.get()
            if isinstance(step, BaseException):
                pool.shutdown(wait=True, cancel_futures=True)
                raise step
            ended += step.ended
            run.take(step)
    return run.report(stopped=stop is not None and stop.is_set())


def _verify_pack(
    store: _Store,
    pack: PackInfo,
    start: int,
    stop: threading.Event | None,
    steps: queue.SimpleQueue[_Step | BaseException],
) -> None:
    finished = False
    try:
        for step in _steps(store, pack, start):
            steps.put(step)
            if stop is not None and stop.is_set():
                break
        else:
            finished = True
    except NotFound:
        finished = True  # removed by a compaction meanwhile
    except BaseException as error:
        steps.put(error)
        return
    steps.put(_Step(pack.number, ended=True, finished=finished))


def _steps(store: _Store, pack: PackInfo, start: int) -> Iterator[_Step]:
    position = max(start, _HEADER_BYTES)
    if pack.damage and start == 0:
        bad = BadRecord(pack.number, 0, min(pack.size, _HEADER_BYTES), pack.damage, None, unfinished=False)
        yield _Step(pack.number, position, bytes=bad.end, bad=(bad,))
        if not _readable(store, pack.number):
            return
    records, begun, bad_ones = 0, position, []
    for each in store.records(pack.number, start, check=True, sha256=True):
        position = each.end
        if isinstance(each, BadRecord):
            bad_ones.append(each)
        else:
            records += 1
        if position - begun >= _STEP_BYTES or records >= _STEP_RECORDS:
            yield _Step(pack.number, position, records, position - begun, tuple(bad_ones))
            records, begun, bad_ones = 0, position, []
    yield _Step(pack.number, position, records, position - begun, tuple(bad_ones))


def _readable(store: _Store, pack: int) -> bool:
    """Whether the records of a pack with a damaged header can be read."""
    try:
        next(iter(store.records(pack)), None)
    except DataError:
        return False
    return True


class _Run:
    """Sums up what the threads send."""

    def __init__(self, packs: Sequence[PackInfo], progress: Callable[[VerifyProgress], None] | None) -> None:
        self._progress = progress
        self._total = sum(pack.size for pack in packs)
        self._position = {pack.number: 0 for pack in packs}
        self._count = len(packs)
        self._records = self._bytes = 0
        self._bad: list[BadRecord] = []
        self._began = time.monotonic()

    def take(self, step: _Step) -> None:
        self._records += step.records
        self._bytes += step.bytes
        self._bad.extend(step.bad)
        if step.finished:
            self._position.pop(step.pack, None)
        elif not step.ended:
            self._position[step.pack] = step.position
        if self._progress is not None:
            self._progress(
                VerifyProgress(
                    packs=self._count - len(self._position),
                    packs_total=self._count,
                    records=self._records,
                    bytes=self._bytes,
                    bytes_total=self._total,
                    seconds=time.monotonic() - self._began,
                    damaged=sum(not bad.unfinished for bad in self._bad),
                    position=dict(self._position),
                )
            )

    def report(self, *, stopped: bool) -> VerifyReport:
        ordered = sorted(self._bad, key=lambda bad: (bad.pack, bad.offset))
        return VerifyReport(
            packs=self._count,
            records=self._records,
            bytes=self._bytes,
            seconds=time.monotonic() - self._began,
            damaged=tuple(bad for bad in ordered if not bad.unfinished),
            unfinished=tuple(bad for bad in ordered if bad.unfinished),
            stopped=stopped,
        )
