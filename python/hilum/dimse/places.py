"""How many associations there may be at once, in all and of one AE title, over all acceptor processes together."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Places"]

_SLOT: Final = struct.Struct("<i16s12x")


class Places:
    """A table in shared memory, one slot for each association; made before the processes fork.

    Slots of a process that has died are free again, as their process id tells.

    Parameters
    ----------
    most : int
        Associations at once.
    most_per_title : int
        Of one calling AE title; 0: no limit.
    """

    def __init__(self, most: int, most_per_title: int = 0) -> None:
        self._most = most
        self._most_per_title = most_per_title
        self._fd = os.memfd_create("hilum-places", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, most * _SLOT.size)
        self._table = mmap.mmap(self._fd, most * _SLOT.size)

    def take(self, title: str) -> int | None:
        """Take a place for an association of `title`; None when there is none."""
        name = title.encode("ascii", "replace")[:16].ljust(16)
        with self._locked():
            free, used = self._search(name)
            if free is None or (self._most_per_title and used >= self._most_per_title):
                free, used = self._search(name, sweep=True)
            if free is None or (self._most_per_title and used >= self._most_per_title):
                return None
            _SLOT.pack_into(self._table, free * _SLOT.size, os.getpid(), name)
            return free

    def give_back(self, place: int) -> None:
        """Free a place."""
        with self._locked():
            _SLOT.pack_into(self._table, place * _SLOT.size, 0, b"")

    def _search(self, name: bytes, *, sweep: bool = False) -> tuple[int | None, int]:
        """Give the first free place, and how many `name` has; with `sweep`, places of dead processes are free."""
        free, used = None, 0
        alive: dict[int, bool] = {}
        for place, (owner, taken_by) in enumerate(_SLOT.iter_unpack(self._table)):
            if owner and sweep and not alive.setdefault(owner, _is_alive(owner)):
                _SLOT.pack_into(self._table, place * _SLOT.size, 0, b"")
                owner = 0
            if not owner:
                free = place if free is None else free
            else:
                used += taken_by == name
        return free, used

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other processes out; a lock of the kernel goes with its process, whatever happens to it."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
