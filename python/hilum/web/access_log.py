"""One JSON line per request.

Time, route template, status, size, duration. No path, no query, no header: no identifiers (P59).
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AccessLog"]

_FLUSH_LINES: Final = 256


class AccessLog:
    """Writer of access lines, buffered; `flush` is called about once a second.

    Parameters
    ----------
    target : str
        ``"-"`` for standard error, else a file that is appended to (one ``write`` per flush: workers may share it).
        Empty: only what went wrong or took long, to standard error.
    slow_s : float
        With an empty target, answers that took longer are written.
    """

    def __init__(self, target: str = "", *, slow_s: float = 2.0, clock: Callable[[], float] = time.time) -> None:
        self._everything = bool(target)
        self._slow_s = slow_s
        self._clock = clock
        self._lines: list[str] = []
        self._pid = os.getpid()
        self._stream: TextIO | None = None
        self._fd = -1
        if target in ("", "-"):
            self._stream = sys.stderr
        else:
            self._fd = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def request(self, route: str, method: str, status: int, seconds: float, sent: int, peer: str) -> None:
        """Note one answered request; ``route`` is a template."""
        if not self._everything and status < 500 and seconds < self._slow_s:
            return
        self._lines.append(
            f'{{"time":{self._clock():.3f},"pid":{self._pid},"peer":"{peer}","method":"{method}","route":"{route}",'
            f'"status":{status},"bytes":{sent},"ms":{seconds * 1e3:.2f}}}\n'
        )
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._lines:
            return
        text = "".join(self._lines)
        self._lines.clear()
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
        else:
            os.write(self._fd, text.encode())

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
