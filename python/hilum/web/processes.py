"""A supervisor of forked worker processes: start, tell when all are ready, restart what died, drain on SIGTERM.

The supervisor has one thread and opens nothing that must not be forked. Listening sockets belong to it, so that
connections waiting on a worker that died are answered by its successor.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Child", "Life", "supervise"]

LOGGER = logging.getLogger("hilum.server")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_QUICK_DEATH_S: Final = 5.0
_QUICK_DEATHS: Final = 5


@dataclass(frozen=True, slots=True)
class Life:
    """What a worker has of its supervisor."""

    parent_fd: int
    """Readable (at its end) when the supervisor is gone: the worker must end too."""
    ready: Callable[[], None]
    """To be called once, when the worker can answer."""


@dataclass(slots=True)
class Child:
    """One worker process.

    Parameters
    ----------
    name : str
        For the log.
    run : callable
        The work; its return value is the exit status.
    """

    name: str
    run: Callable[[Life], int]
    pid: int = 0
    started: float = 0.0
    deaths: int = 0
    is_ready: bool = field(default=False)


def supervise(
    children: Sequence[Child],
    *,
    on_ready: Callable[[], None],
    on_exit: Callable[[int], None] = lambda _pid: None,
    grace_s: float = 9.0,
    ready_s: float = 60.0,
) -> int:
    """Run the children until SIGTERM or SIGINT; returns the exit status of the whole.

    Parameters
    ----------
    on_ready : callable
        Called once when all are ready.
    on_exit : callable
        Called with the process id of each child that ended.
    grace_s : float
        Seconds from SIGTERM to SIGKILL. A second SIGTERM kills at once.
    """
    return _Supervisor(children, on_ready, on_exit, grace_s, ready_s).run()


class _Supervisor:
    def __init__(
        self,
        children: Sequence[Child],
        on_ready: Callable[[], None],
        on_exit: Callable[[int], None],
        grace_s: float,
        ready_s: float,
    ) -> None:
        self._children = list(children)
        self._on_ready = on_ready
        self._on_exit = on_exit
        self._grace_s = grace_s
        self._ready_s = ready_s
        self._stopping = 0.0
        self._announced = False
        self._status = 0
        self._alive_read, self._alive_write = os.pipe()
        self._ready_read, self._ready_write = os.pipe()
        os.set_blocking(self._ready_read, False)

    def run(self) -> int:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        started = time.monotonic()
        try:
            gc.collect()
            gc.freeze()
            for child in self._children:
                self._start(child, before)
            while any(child.pid for child in self._children):
                self._step(before)
                if not self._announced and not self._stopping and time.monotonic() - started > self._ready_s:
                    LOGGER.error("the workers were not ready within %.0f s", self._ready_s)
                    self._stop(1)
            return self._status
        finally:
            for fd in (self._alive_read, self._alive_write, self._ready_read, self._ready_write):
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _step(self, mask: set[int | signal.Signals]) -> None:
        received = signal.sigtimedwait(_SIGNALS, 0.1 if not self._announced or self._stopping else 1.0)
        if received is not None:
            number = received.si_signo
            if number in (signal.SIGTERM, signal.SIGINT):
                self._kill_all() if self._stopping else self._stop(0)
        self._reap(mask)
        self._announce()
        if self._stopping and time.monotonic() > self._stopping:
            self._kill_all()

    def _start(self, child: Child, mask: set[int | signal.Signals]) -> None:
        child.started = time.monotonic()
        child.is_ready = False
        child.pid = os.fork()
        if child.pid:
            return
        status = 1
        try:
            os.close(self._alive_write)
            os.close(self._ready_read)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            index = self._children.index(child)
            status = child.run(Life(self._alive_read, lambda: _write(self._ready_write, index)))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except KeyboardInterrupt:
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _reap(self, mask: set[int | signal.Signals]) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child = next((c for c in self._children if c.pid == pid), None)
            if child is None:
                continue
            child.pid = 0
            self._on_exit(pid)
            if not self._stopping:
                self._restart(child, status, mask)

    def _restart(self, child: Child, status: int, mask: set[int | signal.Signals]) -> None:
        quick = time.monotonic() - child.started < _QUICK_DEATH_S
        child.deaths = child.deaths + 1 if quick else 1
        code = os.waitstatus_to_exitcode(status)
        if not self._announced or child.deaths >= _QUICK_DEATHS:
            LOGGER.error("worker %s ended with status %d; giving up", child.name, code)
            self._stop(code if code > 0 else 1)
            return
        LOGGER.error("worker %s ended with status %d; starting it again", child.name, code)
        time.sleep(0.1 * (child.deaths - 1))
        self._start(child, mask)

    def _announce(self) -> None:
        try:
            for index in os.read(self._ready_read, 4096):
                self._children[index].is_ready = True
        except BlockingIOError:
            return
        if not self._announced and all(child.is_ready for child in self._children):
            self._announced = True
            self._on_ready()

    def _stop(self, status: int) -> None:
        self._status = status
        self._stopping = time.monotonic() + self._grace_s
        for child in self._children:
            if child.pid:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def _kill_all(self) -> None:
        for child in self._children:
            if child.pid:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)


def _write(fd: int, index: int) -> None:
    with suppress(OSError):
        os.write(fd, bytes((index,)))


def wait_for_end(life: Life) -> None:
    """Block a worker without an event loop until SIGTERM, SIGINT, or the end of its supervisor."""
    woken_read, woken_write = os.pipe()
    os.set_blocking(woken_write, False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    signal.set_wakeup_fd(woken_write)
    life.ready()
    while True:
        readable, _, _ = select.select([woken_read, life.parent_fd], [], [])
        if life.parent_fd in readable:
            return
        if any(number in (signal.SIGTERM, signal.SIGINT) for number in os.read(woken_read, 64)):
            return
