"""Posting lists of the match database: read newest first, intersected, changed (docs/formats/index.md).

A list is kept in blocks of at most 256 order keys; a block's key is the match key, a zero and its first order key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hilum._core import (
    change_postings,
    decode_postings,
    intersect_postings,
    postings_before,
    postings_in,
    split_postings,
)
from hilum.index.layout import ORDER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hilum.index.environment import Transaction

__all__ = ["Head", "PostingList", "change", "heads", "intersection"]

END = b"\xff" * (ORDER_BYTES + 1)
"""Above every order key."""
COUNTED_BLOCKS = 8
"""So many blocks are counted; what follows them is estimated."""
FIRST_READ = 32
"""So many order keys of a head are read at first; a list of which fewer are held is read on."""
MOST_BLOCKS = 32
"""Blocks of one list that are read at once at most."""


class Head(NamedTuple):
    """A match key, and of its list what was seen when it was found: nothing, or the first block."""

    key: bytes
    first: bytes = b""
    value: bytes = b""
    following: bytes = b""
    """First order key of the second block; above all when there is none."""


class PostingList:
    """Order keys under one match key, from the newest on."""

    __slots__ = ("_cursor", "_head", "_next", "_prefix", "_size")

    def __init__(self, txn: Transaction, head: Head) -> None:
        self._cursor = txn.cursor("match")
        self._head = head
        self._prefix = head.key + b"\0"
        self._size = len(self._prefix) + ORDER_BYTES
        self._next = b""

    @property
    def next(self) -> bytes:
        """First order key that was not read yet; above all when there is none."""
        return self._next

    def _here(self) -> bool:
        key: bytes = self._cursor.key()
        return len(key) == self._size and key.startswith(self._prefix)

    def read(self, blocks: int) -> bytes:
        """Order keys of the next blocks, one behind the other."""
        cursor, head = self._cursor, self._head
        out: list[bytes] = []
        if head.first:
            rest = decode_postings(head.first, head.value)
            out.append(rest[postings_before(rest, self._next) * ORDER_BYTES :])
            self._head, self._next = Head(head.key), head.following
            if blocks == 1:
                return out[0]
        if self._next != END and cursor.set_range(self._prefix + self._next):
            for key, value in cursor.iternext():
                if len(key) != self._size or not key.startswith(self._prefix):
                    break
                if len(out) == blocks:
                    self._next = key[-ORDER_BYTES:]
                    return b"".join(out)
                out.append(decode_postings(key[-ORDER_BYTES:], value))
        self._next = END
        return b"".join(out)

    def glance(self) -> bytes:
        """The first few order keys, when the head was seen; else those of the first block."""
        head = self._head
        if not head.first:
            return self.read(1)
        found = decode_postings(head.first, head.value, FIRST_READ + 1)
        if len(found) > FIRST_READ * ORDER_BYTES:
            self._next = found[-ORDER_BYTES:]
            return found[:-ORDER_BYTES]
        self._head, self._next = Head(head.key), head.following
        return found

    def count(self) -> int:
        """Number of order keys; above some thousand an estimate, as if they were spread evenly over time."""
        cursor = self._cursor
        total = blocks = 0
        first = last = b""
        if not cursor.set_range(self._prefix):
            return 0
        while self._here():
            last = cursor.key()[-ORDER_BYTES:]
            first = first or last
            if blocks == COUNTED_BLOCKS:
                return self._estimate(total, first, last)
            total += postings_in(cursor.value())
            blocks += 1
            if not cursor.next():
                break
        return total

    def _estimate(self, counted: int, first: bytes, last: bytes) -> int:
        cursor = self._cursor
        if not (cursor.set_range(self._head.key + b"\1") and cursor.prev()):
            cursor.last()
        start, here, end = (int.from_bytes(k[-ORDER_BYTES:], "big") for k in (first, last, cursor.key()))
        return counted * max(1, end - start) // max(1, here - start)

    def holds(self, order: bytes) -> bool:
        """Whether an order key is in the list."""
        cursor = self._cursor
        if cursor.set_range(self._prefix + order):
            if cursor.key() == self._prefix + order:
                return True
            found = cursor.prev()
        else:
            found = cursor.last()
        return bool(found) and self._here() and order in split_postings(
            decode_postings(cursor.key()[-ORDER_BYTES:], cursor.value())
        )  # fmt: skip


def heads(txn: Transaction, start: bytes, *, backwards: bool = False) -> Iterator[Head]:
    """The lists of the match keys from ``start`` on (backwards: before it)."""
    cursor: Any = txn.new_cursor("match")
    if backwards:
        found = cursor.prev() if cursor.set_range(start) else cursor.last()
        while found:
            key = cursor.key()[: -ORDER_BYTES - 1]
            yield Head(key)
            found = cursor.set_range(key + b"\0") and cursor.prev()
        return
    found = cursor.set_range(start)
    while found:
        block, value = cursor.item()
        key = block[: -ORDER_BYTES - 1]
        found = cursor.next()
        more = cursor.key() if found else b""
        if more.startswith(block[:-ORDER_BYTES]):  # a long list: on to the next key
            yield Head(key, block[-ORDER_BYTES:], value, more[-ORDER_BYTES:])
            found = cursor.set_range(key + b"\1")
        else:
            yield Head(key, block[-ORDER_BYTES:], value, END)


def intersection(txn: Transaction, groups: Sequence[Sequence[Head]]) -> Iterator[bytes]:
    """Order keys that are in at least one list of every group, newest first."""
    if len(groups) == 1 and len(groups[0]) == 1:
        only = PostingList(txn, groups[0][0])
        blocks = 1
        while only.next != END:
            yield from split_postings(only.read(blocks))
            blocks = min(2 * blocks, MOST_BLOCKS)
        return
    lists = [[PostingList(txn, head) for head in group] for group in groups]
    glance = len(lists) == 1  # a page seldom needs more
    held = [[one.glance() if glance else b"" for one in group] for group in lists]
    blocks = 1
    while True:
        horizon = END
        for group, rows in zip(lists, held, strict=True):
            if not any(rows) and all(one.next == END for one in group):
                return
            for i, one in enumerate(group):
                if len(rows[i]) < ORDER_BYTES * FIRST_READ and one.next != END:
                    rows[i] += one.read(blocks)
                horizon = min(horizon, one.next)
        yield from split_postings(intersect_postings([[_cut(row, horizon) for row in rows] for rows in held]))
        if horizon == END:
            return
        held = [[row[postings_before(row, horizon) * ORDER_BYTES :] for row in rows] for rows in held]
        blocks = min(2 * blocks, MOST_BLOCKS)


def _cut(orders: bytes, horizon: bytes) -> bytes:
    """Order keys before ``horizon``."""
    if horizon == END:
        return orders
    return orders[: postings_before(orders, horizon) * ORDER_BYTES]


def change(txn: Transaction, changes: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    """Add to and take from lists.

    Parameters
    ----------
    changes : iterable of (bytes, bytes, bytes)
        Match keys, each once, with the order keys to add and those to take out, sorted, one behind the other.
    """
    cursor = txn.cursor("match")
    puts: list[tuple[bytes, bytes]] = []
    gone: list[bytes] = []
    for key, added, removed in changes:
        prefix = key + b"\0"
        if not (cursor.set_range(prefix) and cursor.key().startswith(prefix)):  # no list of this key
            if len(added) == ORDER_BYTES:
                puts.append((prefix + added, b""))
            else:
                puts += [(prefix + first, value) for first, value in change_postings(b"", b"", added, b"")]
            continue
        while added or removed:
            block, value, horizon = _block_of(cursor, prefix, _smaller(added[:ORDER_BYTES], removed[:ORDER_BYTES]))
            add, remove = _cut(added, horizon), _cut(removed, horizon)
            added, removed = added[len(add) :], removed[len(remove) :]
            first = block[-ORDER_BYTES:]
            blocks = change_postings(first, value, add, remove)
            if not blocks or blocks[0][0] != first:
                gone.append(block)
            puts += [(prefix + first, value) for first, value in blocks]
    for block in gone:
        txn.delete("match", block)
    txn.put_plain("match", puts)


def _smaller(a: bytes, b: bytes) -> bytes:
    """The smaller of two order keys, of which one may be missing."""
    return min(a, b) if a and b else a or b


def _block_of(cursor: Any, prefix: bytes, order: bytes) -> tuple[bytes, bytes, bytes]:
    """Key and value of the block of a list where an order key belongs, and the first that no longer belongs there.

    The list has blocks: this one is the last that begins at or before the order key, else the first.
    """
    at = cursor.set_range(prefix + order)
    here = at and cursor.key().startswith(prefix)
    if not (here and cursor.key().endswith(order)):
        back = cursor.prev() if at else cursor.last()
        if not (back and cursor.key().startswith(prefix)):
            cursor.set_range(prefix)  # it goes before the first block
    block, value = cursor.item()
    following = cursor.next() and cursor.key()
    return block, value, following[-ORDER_BYTES:] if following and following.startswith(prefix) else END
