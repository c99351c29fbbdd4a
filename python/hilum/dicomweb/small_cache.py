"""A few ready bodies of one worker, by size; used from the event loop only."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["SmallCache"]


class SmallCache:
    """The most recently used bodies.

    Parameters
    ----------
    max_bytes : int
        Of all together; one above a quarter of it is not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """Give the body, None when it is not kept."""
        body = self._bodies.get(key)
        if body is not None:
            self._bodies.move_to_end(key)
        return body

    def put(self, key: str, body: bytes) -> None:
        """Keep a body; the ones that were not used for longest go."""
        if len(body) > self._max_bytes // 4:
            return
        self._used += len(body) - len(self._bodies.pop(key, b""))
        self._bodies[key] = body
        while self._used > self._max_bytes:
            self._used -= len(self._bodies.popitem(last=False)[1])
