"""How many associations there may be at once: in all, of an AE title, from an address, over all acceptor processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.config import DimseSettings

__all__ = ["Places"]

_SLOT: Final = struct.Struct("<i16s12s")
"""Process, calling AE title, hash of the address."""


class Places:
    """A table in shared memory, one slot for each association; made before the processes fork.

    Slots of a process that has died are free again, as their process id tells.

    Parameters
    ----------
    most : int
        Associations at once.
    most_per_title : int
        Of one calling AE title; 0: no limit.
    most_per_address : int
        From one address; 0: no limit.
    """

    def __init__(self, most: int, most_per_title: int = 0, most_per_address: int = 0) -> None:
        self._most_per_title = most_per_title
        self._most_per_address = most_per_address
        self._fd = os.memfd_create("hilum-places", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, most * _SLOT.size)
        self._table = mmap.mmap(self._fd, most * _SLOT.size)
        self._mine = threading.Lock()  # the lock of the kernel does not keep the threads of one process apart

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # also when it was not made to its end
            self._table.close()
            os.close(self._fd)

    @classmethod
    def of(cls, settings: DimseSettings) -> Places:
        """Make the places of the settings."""
        return cls(settings.max_associations, settings.max_associations_per_ae, settings.max_associations_per_address)

    def take(self, title: str, address: str = "") -> int | None:
        """Take a place for an association of `title` from `address`; None when there is none."""
        name = title.encode("ascii", "replace")[:16].ljust(16)
        origin = hashlib.blake2s(address.encode(), digest_size=12).digest()
        with self._locked():
            free = self._search(name, origin)
            if free is None:
                free = self._search(name, origin, sweep=True)
            if free is not None:
                _SLOT.pack_into(self._table, free * _SLOT.size, os.getpid(), name, origin)
            return free

    def give_back(self, place: int) -> None:
        """Free a place."""
        with self._locked():
            _SLOT.pack_into(self._table, place * _SLOT.size, 0, b"", b"")

    def _search(self, name: bytes, origin: bytes, *, sweep: bool = False) -> int | None:
        """Give the first free place if there may be another; with `sweep`, places of dead processes are free."""
        free, of_title, of_address = None, 0, 0
        alive: dict[int, bool] = {}
        for place, (owner, title, address) in enumerate(_SLOT.iter_unpack(self._table)):
            if owner and sweep and not alive.setdefault(owner, _is_alive(owner)):
                _SLOT.pack_into(self._table, place * _SLOT.size, 0, b"", b"")
                owner = 0
            if not owner:
                free = place if free is None else free
            else:
                of_title += title == name
                of_address += address == origin
        if self._most_per_title and of_title >= self._most_per_title:
            return None
        return None if self._most_per_address and of_address >= self._most_per_address else free

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other processes out; a lock of the kernel goes with its process, whatever happens to it."""
        with self._mine:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True
