"""Segmented Palette Color LUT Data (PS3.3 C.7.9.2) to entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["expand_segments"]

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2
_MOST: Final = 65536
_BAD_VALUE: Final = 8


def expand_segments(words: Sequence[int], count: int) -> tuple[int, ...]:
    """Expand the segments of a table of 16-bit entries.

    Parameters
    ----------
    words : sequence of int
        The data, 16 bits each.
    count : int
        Entries that the descriptor announces; at most 65536.

    Returns
    -------
    tuple of int
        `count` of them.

    Raises
    ------
    DataError
        Segments that are cut short, unknown, lead nowhere, or give fewer entries.
    """
    entries: list[int] = []
    _expand(words, 0, len(words), entries, min(count, _MOST), nested=False)
    if len(entries) < count:
        raise DataError("a segmented palette has fewer entries than its descriptor says", code=_BAD_VALUE)
    return tuple(entries[:count])


def _expand(words: Sequence[int], at: int, segments: int, entries: list[int], count: int, *, nested: bool) -> None:
    """Append what up to `segments` segments from word `at` on give; ends with the data or when there is enough."""
    for _ in range(segments):
        if len(entries) >= count or at >= len(words):
            return
        if at + 3 > len(words):
            raise DataError("a segmented palette ends within a segment", code=_BAD_VALUE)
        kind, length = words[at], words[at + 1]
        if kind == _DISCRETE and at + 2 + length <= len(words):
            entries += words[at + 2 : at + 2 + length]
            at += 2 + length
        elif kind == _LINEAR and entries:
            start, end = entries[-1], words[at + 2]
            entries += [start + round((end - start) * step / length) for step in range(1, length + 1)]
            at += 3
        elif kind == _INDIRECT and not nested and at + 4 <= len(words):
            offset = words[at + 2] | words[at + 3] << 16
            if offset % 2 or offset // 2 >= at:
                raise DataError("a segment of a palette refers to none before it", code=_BAD_VALUE)
            _expand(words, offset // 2, length, entries, count, nested=True)
            at += 4
        else:
            raise DataError("a segmented palette has a segment that cannot be", code=_BAD_VALUE)
