"""The event log: everything that happened, in order, for those who follow the archive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hilum.index.base import Event, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.index.base import Index

__all__ = ["Event", "EventKind", "follow"]


def follow(
    index: Index, since: int = 0, *, timeout: float | None = None, poll: float = 0.05, batch: int = 1000
) -> Iterator[Event]:
    """Yield events after sequence number `since`, and wait for more.

    Other processes write to the same archive, so the log is asked again every `poll` seconds. A consumer that keeps the
    sequence number of the last event it has handled misses nothing and sees nothing twice.

    Parameters
    ----------
    index : Index
    since : int
        Sequence number of the last event that was handled, 0 at first.
    timeout : float, optional
        End when nothing has come for so many seconds; None: never end.
    poll : float
        Seconds between two looks.
    batch : int
        Events per look.
    """
    quiet_since = time.monotonic()
    while True:
        found = index.events(since, batch)
        for event in found:
            since = event.sequence
            yield event
        if found:
            quiet_since = time.monotonic()
        elif timeout is not None and time.monotonic() - quiet_since >= timeout:
            return
        else:
            time.sleep(poll)
