"""When a migration may work, and how fast: an archive that is in use by day is emptied by night."""

from __future__ import annotations

import datetime
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hilum.config import parse_size
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Throttle", "Window", "parse_window"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW: Final = re.compile(
    r"(?:(?P<days>[A-Za-z,-]+)\s+)?(?P<from>\d{1,2}:\d{2})-(?P<to>\d{1,2}:\d{2})(?:\s*@\s*(?P<rate>.+))?"
)
_DAY_MINUTES: Final = 24 * 60
_LOOK_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day at which work may be done."""

    days: frozenset[int]
    """On which it begins; 0 is Monday."""
    start: int
    """Minutes after midnight, local time."""
    end: int
    """Not later than `start`: on the next day."""
    bytes_per_s: float = 0.0
    """Average of all associations together; 0: as fast as it goes."""

    def holds(self, moment: datetime.datetime) -> bool:
        """Whether a moment lies in it."""
        minute, day = moment.hour * 60 + moment.minute, moment.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def parse_window(text: str) -> Window:
    """Read ``[DAYS ]HH:MM-HH:MM[@RATE]``: ``19:00-06:30``, ``Mon-Fri 20:00-06:00@20 MB``, ``Sat,Sun 00:00-24:00``.

    Raises
    ------
    UsageError
        It is no window.
    """
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text[:60]!r} is no window: write [DAYS ]HH:MM-HH:MM[@RATE], as 'Mon-Fri 19:00-06:30@20 MB'")
    start, end = _minutes(found["from"]), _minutes(found["to"])
    days = _days(found["days"]) if found["days"] else frozenset(range(7))
    return Window(days, start, end, parse_rate(found["rate"]) if found["rate"] else 0.0)


def parse_rate(text: str) -> float:
    """Read bytes per second: ``20 MB``, ``5MiB/s``; UsageError for anything else."""
    try:
        return float(parse_size(text.strip().removesuffix("/s")))
    except ValueError as error:
        raise UsageError(f"{text[:40]!r} is no rate: {error}") from None


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if minute > 59 or hour * 60 + minute > _DAY_MINUTES:
        raise UsageError(f"{text} is no time of the day")
    return hour * 60 + minute


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first[:3] not in _DAYS or (last and last[:3] not in _DAYS):
            raise UsageError(f"{text[:60]!r} are no days: write Mon, Tue-Fri or Sat,Sun")
        begin = _DAYS.index(first[:3])
        length = (_DAYS.index(last[:3]) - begin) % 7 if last else 0
        found |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(found)


class Throttle:
    """Lets threads work in windows only and keeps their average rate; thread-safe.

    Parameters
    ----------
    windows : sequence of Window
        Empty: always.
    bytes_per_s : float
        Where a window has no rate of its own; 0: as fast as it goes.
    now : callable
        Local time.
    """

    def __init__(
        self,
        windows: Sequence[Window] = (),
        bytes_per_s: float = 0.0,
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
    ) -> None:
        self._windows = windows
        self._rate = bytes_per_s
        self._now = now
        self._lock = threading.Lock()
        self._free_at = 0.0

    def rate(self) -> float | None:
        """Bytes per second that are allowed now, 0 without limit; None: nothing may be done."""
        if not self._windows:
            return self._rate
        moment = self._now()
        open_now = [window.bytes_per_s or self._rate for window in self._windows if window.holds(moment)]
        if not open_now:
            return None
        return 0.0 if 0.0 in open_now else max(open_now)

    def wait(self, stop: threading.Event) -> bool:
        """Wait until work may be done; False when `stop` was set before."""
        while not stop.is_set():
            if self.rate() is None:
                stop.wait(_LOOK_S)
                continue
            with self._lock:
                left = self._free_at - time.monotonic()
            if left <= 0:
                return True
            stop.wait(min(left, _LOOK_S))
        return False

    def took(self, size: int) -> None:
        """Count bytes that have been moved; the next `wait` makes up for them."""
        rate = self.rate() or self._rate
        if rate:
            with self._lock:
                self._free_at = max(self._free_at, time.monotonic()) + size / rate
