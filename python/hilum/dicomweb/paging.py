"""What a client's next page must not see: objects that came in after its first page.

A search answers with a watermark (``as_of``); whoever asks for the next page gets it applied again, whichever
worker process answers, so that pages neither repeat nor skip studies while others store (Q-7). The memory is a
table in shared pages, made before the workers are forked. It may forget: then the page is computed on what is there
now.
"""

from __future__ import annotations

import mmap
import struct
import time
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PagingMemory"]

_ENTRY: Final = struct.Struct("<16sQII")  # key, watermark, seconds, checksum of what stands before
_PLACES: Final = 4  # entries among which a key may lie


class PagingMemory:
    """Watermarks by client, query and offset, shared by the processes that were forked after it was made.

    Parameters
    ----------
    entries : int
        Size of the table; 32 bytes each.
    keep_s : float
        Older watermarks are not given out.
    """

    def __init__(self, entries: int = 16384, *, keep_s: float = 900.0, clock: Callable[[], float] = time.time) -> None:
        self._buckets = max(1, entries // _PLACES)
        self._memory = mmap.mmap(-1, self._buckets * _PLACES * _ENTRY.size)
        self._keep_s = keep_s
        self._clock = clock

    def remember(self, client: bytes, query: bytes, offset: int, as_of: int) -> None:
        """Remember that the page that begins at ``offset`` belongs to this watermark."""
        key = _key(client, query, offset)
        now = int(self._clock())
        place = self._place_for(key)
        head = _ENTRY.pack(key, as_of, now, 0)[:-4]
        self._memory[place : place + _ENTRY.size] = head + struct.pack("<I", zlib.crc32(head))

    def recall(self, client: bytes, query: bytes, offset: int) -> int | None:
        """Watermark for the page that begins at ``offset``: the one of the page before it, else of the first page."""
        found = self._find(_key(client, query, offset))
        return found if found is not None else self._find(_key(client, query, 0))

    def _entries(self, key: bytes) -> range:
        first = (int.from_bytes(key[:8], "little") % self._buckets) * _PLACES * _ENTRY.size
        return range(first, first + _PLACES * _ENTRY.size, _ENTRY.size)

    def _find(self, key: bytes) -> int | None:
        for place in self._entries(key):
            raw = self._memory[place : place + _ENTRY.size]
            found, as_of, seconds, check = _ENTRY.unpack(raw)
            # Another process may be writing this entry: the checksum tells.
            if found == key and check == zlib.crc32(raw[:-4]) and self._clock() - seconds <= self._keep_s:
                return int(as_of)
        return None

    def _place_for(self, key: bytes) -> int:
        """Entry of the key, else the oldest of its bucket."""
        oldest, oldest_seconds = -1, 1 << 33
        for place in self._entries(key):
            found, _, seconds, _ = _ENTRY.unpack_from(self._memory, place)
            if found == key:
                return place
            if seconds < oldest_seconds:
                oldest, oldest_seconds = place, seconds
        return oldest


def _key(client: bytes, query: bytes, offset: int) -> bytes:
    return blake2b(b"%d\0%s\0%s" % (offset, client, query), digest_size=16).digest()
