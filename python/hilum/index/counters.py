"""Positions in the order of all studies (patients), from counters kept per prefix of the order key.

The order key has twelve bytes, so a page at any offset is found by adding few counters per level of the tree
(``COUNTER_LENGTHS``) and walking at most ``COUNTER_SPREAD`` keys, whatever the number of studies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum._keys import add_counts, id_key
from hilum.errors import DataError
from hilum.index.layout import COUNTER, COUNTER_LENGTHS, COUNTER_SPREAD, PATIENT_ROOT, STUDY_ROOT
from hilum.index.records import STUDY_FIXED, id_of_order_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.index.environment import Transaction

__all__ = ["Changes", "Positions", "weight"]

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
            inside = 0
            for found, counts in self._children(prefix, depth):
                if found >= wanted:
                    inside = counts[0] if found == wanted else 0
                    break
                total += counts[self.unit]
            if not inside or len(key) < length:
                return total
            prefix = wanted
            if inside <= COUNTER_SPREAD:
                break
        for found in self._leaves(prefix):
            if found >= key:
                break
            total += self._weight(found)[self.unit]
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
            if counts[0] <= COUNTER_SPREAD:
                break
        for found in self._leaves(prefix):
            weight = self._weight(found)[self.unit]
            if position < weight:
                return found, position
            position -= weight
        return b"\xff" * 13, position

    def _leaves(self, prefix: bytes) -> Iterator[bytes]:
        cursor = self.txn.new_cursor("order")
        wanted = self.root + prefix
        if cursor.set_range(wanted):
            for key in cursor.iternext(values=False):
                if not key.startswith(wanted):
                    return
                yield key[1:]

    def _weight(self, key: bytes) -> Totals:
        return (1, 0, 0, 0) if self.unit == 0 else weight(self.txn, self.level, key)


def weight(txn: Transaction, level: int, key: bytes) -> Totals:
    """What the study (patient) under an order key adds to counters: itself, series, instances, bytes.

    Of patients only themselves are counted.
    """
    if level == 1:
        return 1, 0, 0, 0
    record = txn.get("study", id_key(id_of_order_key(key)))
    if record is None:
        raise DataError(f"the index lacks study record {id_of_order_key(key)}; rebuild it", code=13)
    _, _, series, _, instances, size = STUDY_FIXED.unpack_from(record, 8)
    return 1, int(series), int(instances), int(size)


class Changes:
    """What a transaction adds to counters.

    Which counters are kept depends on the numbers alone (``COUNTER_SPREAD``), not on how they came about.
    """

    def __init__(self, txn: Transaction) -> None:
        self.txn = txn
        self.counts: dict[bytes, list[int]] = {}

    def add(self, level: int, key: bytes, studies: int, series: int, instances: int, size: int) -> None:
        """Add to the counters of an order key's prefixes."""
        if studies or series or instances or size:
            add_counts(self.counts, level, key, COUNTER_LENGTHS, studies, series, instances, size)

    def write(self) -> None:
        """Write counters, after the orders and records of what they count were written."""
        closed: set[bytes] = set()
        """Keys of counters below which nothing is left to do."""
        by_length: dict[int, list[bytes]] = {length: [] for length in COUNTER_LENGTHS}
        for key in sorted(self.counts):
            by_length[key[1]].append(key)
        for depth, found in enumerate(by_length.values()):
            keys = []
            for key in found:
                if depth and _shorter(key, depth - 1) in closed:
                    closed.add(key)
                else:
                    keys.append(key)
            if keys:
                self._write(keys, depth, closed)

    def _write(self, keys: list[bytes], depth: int, closed: set[bytes]) -> None:
        stored = dict(self.txn.get_many("count", keys))
        items = []
        for key in keys:
            record = stored.get(key)
            before = (0, 0, 0, 0) if record is None else COUNTER.unpack(record[4:])
            after = [a + b for a, b in zip(before, self.counts[key], strict=True)]
            if after[0] > 0:
                items.append((key, COUNTER.pack(*after)))
            elif record is not None:
                self.txn.delete("count", key)
            if after[0] <= COUNTER_SPREAD:
                closed.add(key)
                if before[0] > COUNTER_SPREAD:
                    self._drop(key, depth)
            elif before[0] <= COUNTER_SPREAD:
                closed.add(key)
                items += self._spread(key, depth)
        self.txn.put_many("count", items)

    def _drop(self, key: bytes, depth: int) -> None:
        """Delete the counters below one."""
        for length in COUNTER_LENGTHS[depth + 1 :]:
            found = [k for k, _ in self.txn.walk("count", prefix=bytes((key[0], length)) + key[2:])]
            for k in found:
                self.txn.delete("count", k)

    def _spread(self, key: bytes, depth: int) -> list[tuple[bytes, bytes]]:
        """Counters below one that had none."""
        level, prefix = key[0], key[2:]
        below: dict[bytes, list[int]] = {}
        for place, _ in self.txn.walk("order", prefix=bytes((level,)) + prefix):
            add_counts(below, level, place[1:], COUNTER_LENGTHS[depth:], *weight(self.txn, level, place[1:]))
        kept = {key}
        for i in range(depth + 1, len(COUNTER_LENGTHS)):
            for k in [k for k in below if k[1] == COUNTER_LENGTHS[i]]:
                parent = _shorter(k, i - 1)
                if parent in kept and below[parent][0] > COUNTER_SPREAD:
                    kept.add(k)
        return [(k, COUNTER.pack(*below[k])) for k in kept if k != key]


def _shorter(key: bytes, depth: int) -> bytes:
    """Key of the counter above one."""
    length = COUNTER_LENGTHS[depth]
    return bytes((key[0], length)) + key[2 : 2 + length]
