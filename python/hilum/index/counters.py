"""Positions in the order of all studies (patients), from counters kept per prefix of the order key.

The order key has twelve bytes, so a page at any offset is found by adding at most 256 counters per level of the tree
(``COUNTER_LENGTHS``) and walking at most 256 keys, whatever the number of studies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum._keys import id_key
from hilum.index.layout import COUNTER, COUNTER_LENGTHS, PATIENT_ROOT, STUDY_ROOT
from hilum.index.records import PATIENT_FIXED, STUDY_FIXED, id_of_order_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.index.environment import Transaction

__all__ = ["Positions"]

Totals = tuple[int, int, int, int]


class Positions:
    """Counts over the order keys of one level.

    Parameters
    ----------
    txn : Transaction
        Snapshot.
    level : int
        1: patients, 2: studies.
    unit : int
        What is counted: 0 the level's own entries, 1 their series, 2 their instances, 3 their bytes.
    """

    def __init__(self, txn: Transaction, level: int, unit: int = 0) -> None:
        self.txn = txn
        self.level = level
        self.unit = unit
        self.root = PATIENT_ROOT if level == 1 else STUDY_ROOT

    def _children(self, prefix: bytes, depth: int) -> Iterator[tuple[bytes, Totals]]:
        length = COUNTER_LENGTHS[depth]
        head = bytes((self.level, length))
        for key, record in self.txn.walk("count", prefix=head + prefix):
            yield key[2:], COUNTER.unpack(record[4:])

    def totals(self) -> Totals:
        """Entries, series, instances, bytes of everything."""
        out = [0, 0, 0, 0]
        for _, counts in self._children(b"", 0):
            for i in range(4):
                out[i] += counts[i]
        return out[0], out[1], out[2], out[3]

    def count(self) -> int:
        """Everything, in this unit."""
        return self.totals()[self.unit]

    def rank(self, key: bytes) -> int:
        """How much lies before an order key (which may be short, or in no entry)."""
        total = 0
        prefix = b""
        for depth, length in enumerate(COUNTER_LENGTHS):
            wanted = key[:length]
            for found, counts in self._children(prefix, depth):
                if found >= wanted:
                    break
                total += counts[self.unit]
            if len(key) < length:
                return total
            prefix = wanted
        for found in self._leaves(prefix):
            if found >= key:
                break
            total += self._weight(found)
        return total

    def select(self, position: int) -> tuple[bytes, int]:
        """Order key of the entry that holds ``position`` (from 0), and how much of it lies before that position.

        Beyond the end: thirteen bytes of 255, and what is left over.
        """
        prefix = b""
        for depth in range(len(COUNTER_LENGTHS)):
            for found, counts in self._children(prefix, depth):
                if position < counts[self.unit]:
                    prefix = found
                    break
                position -= counts[self.unit]
            else:
                return b"\xff" * 13, position
        for found in self._leaves(prefix):
            weight = self._weight(found)
            if position < weight:
                return found, position
            position -= weight
        return b"\xff" * 13, position

    def _leaves(self, prefix: bytes) -> Iterator[bytes]:
        for key, _ in self.txn.walk("order", prefix=self.root + prefix):
            yield key[1:]

    def _weight(self, key: bytes) -> int:
        if self.unit == 0:
            return 1
        name = "patient" if self.level == 1 else "study"
        record = self.txn.get(name, id_key(id_of_order_key(key)))
        if record is None:
            return 0
        if self.level == 1:
            return int(PATIENT_FIXED.unpack_from(record, 8)[self.unit])
        _, _, series, _, instances, size = STUDY_FIXED.unpack_from(record, 8)
        return int((series, instances, size)[self.unit - 1])
