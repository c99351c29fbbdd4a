"""Which key range of the match database a query walks: the one that the fewest studies (patients) are under."""

from __future__ import annotations

import heapq
from itertools import chain
from typing import TYPE_CHECKING

from hilum._core import grams, posted_value, wildcard_match
from hilum._keys import id_key
from hilum.errors import DataError
from hilum.index.query import Operation
from hilum.index.records import STUDY_FIXED, id_of_order_key, order_key
from hilum.index.schema import (
    ATTRIBUTES,
    BY_TAG,
    MODALITIES_IN_STUDY,
    MODALITY,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    Comparison,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.index.environment import Transaction
    from hilum.index.query import Match
    from hilum.index.schema import AttributeSpec, PrivateKey

__all__ = ["Driver", "Planner", "match_key"]

ORDER_BYTES = 12
MAX_POSTED = 400
GATHER_LIMIT = 2_000
"""Up to so many postings are read at once; more are read as the page needs them."""
PATIENT_LIMIT = 20_000
"""So many candidate studies are read at most to find their patients; with more, patients are walked newest first."""
DISTINCT_LIMIT = 5_000
"""So many different values are looked at for a wildcard before another way is taken."""
GOOD_ENOUGH = 64
KEYED = frozenset({Comparison.TEXT, Comparison.FOLDED, Comparison.PERSON, Comparison.UID, Comparison.DATE})


def match_key(level: int, tag: int, kind: bytes, value: bytes = b"") -> bytes:
    """Key of the match database (``hilum::index::posting_key``)."""
    return bytes((level,)) + tag.to_bytes(4, "big") + kind + value[:MAX_POSTED]


class Driver:
    """Keys under which every candidate stands, newest first over all of them."""

    def __init__(self, txn: Transaction, keys: list[bytes], cost: int, *, exact: bool = False) -> None:
        self.txn = txn
        self.keys = keys
        self.cost = cost
        self.exact = exact
        """Whether each candidate is an answer (of the one condition that this drives)."""

    def __iter__(self) -> Iterator[bytes]:
        if self.cost <= GATHER_LIMIT:
            found = self.txn.cursor("match").getmulti(self.keys, dupdata=True, dupfixed_bytes=ORDER_BYTES)
            values = [value for _, value in found]
            return iter(values if len(self.keys) == 1 else sorted(set(values)))
        if len(self.keys) == 1:
            return self._stream(self.keys[0])
        return _unique(heapq.merge(*map(self._stream, self.keys)))

    def _stream(self, key: bytes) -> Iterator[bytes]:
        cursor = self.txn.new_cursor("match")
        if cursor.set_key(key):
            yield from cursor.iternext_dup()


def _unique(values: Iterator[bytes]) -> Iterator[bytes]:
    last = b""
    for value in values:
        if value != last:
            yield value
            last = value


class Planner:
    """Makes drivers for the conditions of a query.

    Parameters
    ----------
    txn : Transaction
        Snapshot.
    level : int
        1: patients; 2: studies (also for series and instances, which are reached through them).
    private : dict of int to PrivateKey
        Private attributes with keys.
    """

    def __init__(self, txn: Transaction, level: int, private: dict[int, PrivateKey]) -> None:
        self.txn = txn
        self.level = level
        self.private = private

    def best(self, matches: tuple[Match, ...]) -> Driver | None:
        """The driver with the fewest candidates; None when no condition has keys."""
        best: Driver | None = None
        for match in sorted(matches, key=_expected):
            if best is not None and best.cost <= GOOD_ENOUGH:
                break
            driver = self._driver(match)
            if driver is not None and (best is None or driver.cost < best.cost):
                best = driver
                best.exact = best.exact and len(matches) == 1
        return best

    def _driver(self, match: Match) -> Driver | None:
        if match.operation is Operation.SEQUENCE:
            inner = [m for m in match.children if m.tag in _ITEM_TAGS and m.operation is Operation.ANY_OF]
            found_inner = [driver for driver in map(self._driver, inner) if driver is not None]
            return min(found_inner, key=lambda driver: driver.cost, default=None)
        tag = {MODALITY: MODALITIES_IN_STUDY, SOP_CLASS_UID: SOP_CLASSES_IN_STUDY}.get(match.tag, match.tag)
        level = self._posted_level(tag)
        if not level or match.comparison not in KEYED:
            return None
        if level == 1 and _needs_parts(match):
            return self._patients_of(self._driver_at(2, tag, match))
        return self._driver_at(level, tag, match)

    def _driver_at(self, level: int, tag: int, match: Match) -> Driver | None:
        """The driver of a condition by the keys under a level byte."""
        if match.operation is Operation.EMPTY:
            return self._keys([match_key(level, tag, b"v")]) if tag == match.tag else None
        if match.operation is Operation.FUZZY:
            return self._fuzzy(level, tag, match)
        if match.operation is Operation.RANGE and match.comparison is Comparison.DATE:
            low, high = (text.replace(".", "") for text in (match.low, match.high))
            return self._range(match_key(level, tag, b"v", low.encode()), high.encode() or b"\xff", 6)
        if match.operation is not Operation.ANY_OF:
            return None
        drivers: list[Driver | None] = [self._value(level, tag, match, value) for value in match.values]
        if any(driver is None for driver in drivers):
            return None
        found = [driver for driver in drivers if driver is not None]
        if len(found) == 1:
            return found[0]
        keys = sorted(set(chain.from_iterable(driver.keys for driver in found)))
        return Driver(self.txn, keys, sum(driver.cost for driver in found))

    def _patients_of(self, driver: Driver | None) -> Driver | None:
        """Patients have keys of whole values only; each has the values of at least one of its studies."""
        if driver is None or driver.cost > PATIENT_LIMIT:
            return None
        return _Patients(self.txn, driver)

    def _posted_level(self, tag: int) -> int:
        """Level byte under which an attribute has keys, 0 when it has none."""
        spec = BY_TAG.get(tag) or _ITEM_TAGS.get(tag)
        if spec is not None and spec.posted:
            return self.level if spec.level == 1 else spec.level if self.level == 2 else 0
        private = self.private.get(tag)
        if private is None:
            return 0
        number = {"patient": self.level, "study": 2, "series": 3, "instance": 0}[private.level]
        return number if self.level == 2 or private.level == "patient" else 0

    def _value(self, level: int, tag: int, match: Match, value: str) -> Driver | None:
        person = match.comparison is Comparison.PERSON
        if person and "=" in value:
            groups = [g for g in value.split("=") if g.strip("*") and g.strip()]
            if not groups:
                return None
            value = groups[0]
        if match.comparison is Comparison.DATE:
            value = value.replace(".", "")
        pattern = ("*" in value or "?" in value) and match.comparison not in (Comparison.UID, Comparison.DATE)
        folded = posted_value(value, person)
        if not pattern:
            driver = self._keys([match_key(level, tag, b"v", folded)])
            driver.exact = match.comparison is not Comparison.TEXT and len(folded) < MAX_POSTED and "=" not in value
            return driver
        return self._pattern(level, tag, folded.decode(errors="surrogateescape"), person=person)

    def _pattern(self, level: int, tag: int, pattern: str, *, person: bool) -> Driver | None:
        first = min(i for i in (pattern.find("*"), pattern.find("?")) if i >= 0)
        prefix = pattern[:first].rstrip(" ")
        spec = BY_TAG.get(tag)
        if prefix:
            raw = prefix.encode(errors="surrogateescape")
            kind = b"v"
            if person:
                family, caret, rest = prefix.partition("^")
                if caret and not rest.strip("^ "):
                    return self._keys(
                        [match_key(level, tag, b"f", family.rstrip(" ").encode(errors="surrogateescape"))]
                    )
                kind = b"v" if caret else b"f"
            if spec is not None and spec.prefixes and len(prefix) <= 3:
                return self._keys([match_key(level, tag, b"p", raw)])
            return self._range(match_key(level, tag, kind, raw), raw + b"\xff" * 4, 6)
        if spec is not None and spec.grams:
            return self._grams(level, tag, pattern)
        return self._scan(level, tag, pattern)

    def _keys(self, keys: list[bytes]) -> Driver:
        cursor = self.txn.cursor("match")
        found = []
        cost = 0
        for key in keys:
            if cursor.set_key(key):
                found.append(key)
                cost += cursor.count()
        return Driver(self.txn, found, cost)

    def _range(self, start: bytes, last: bytes, head: int) -> Driver | None:
        """Keys from ``start`` while the value is at most ``last``; None when there are too many of them."""
        cursor = self.txn.cursor("match")
        keys: list[bytes] = []
        cost = 0
        if cursor.set_range(start):
            prefix = start[:head]
            for key in cursor.iternext_nodup():
                if not key.startswith(prefix) or key[head:] > last:
                    break
                keys.append(key)
                cost += cursor.count()
                if len(keys) > DISTINCT_LIMIT:
                    return None
        return Driver(self.txn, keys, cost)

    def _grams(self, level: int, tag: int, pattern: str) -> Driver | None:
        runs = pattern.replace("?", "*").replace("^", "*").split("*")
        keys = [match_key(level, tag, b"g", gram) for run in runs for gram in grams(run.strip(" "))]
        if not keys:
            return None
        drivers = sorted((self._keys([key]) for key in set(keys)), key=lambda d: d.cost)
        best = drivers[0]
        if best.cost > GATHER_LIMIT or len(drivers) == 1:
            return best
        common = set(best)
        for driver in drivers[1:3]:
            if driver.cost <= GATHER_LIMIT:
                common &= set(driver)
        return _Gathered(self.txn, sorted(common))

    def _scan(self, level: int, tag: int, pattern: str) -> Driver | None:
        """Every different value, when they are few enough, against the pattern."""
        cursor = self.txn.cursor("match")
        prefix = match_key(level, tag, b"v")
        keys: list[bytes] = []
        cost = seen = 0
        if cursor.set_range(prefix):
            for key in cursor.iternext_nodup():
                if not key.startswith(prefix):
                    break
                seen += 1
                if seen > DISTINCT_LIMIT:
                    return None
                if len(key) >= MAX_POSTED or wildcard_match(key[6:], pattern.encode(errors="surrogateescape")):
                    keys.append(key)
                    cost += cursor.count()
        return Driver(self.txn, keys, cost)

    def _fuzzy(self, level: int, tag: int, match: Match) -> Driver | None:
        """The rarest word: names with a word that begins with it or sounds like it."""
        from hilum._core import soundex

        best: Driver | None = None
        for word in match.values:
            raw = word.encode()
            begins = self._range(match_key(level, tag, b"w", raw), raw + b"\xff" * 4, 6)
            if begins is None:
                continue
            sound = soundex(word)
            sounds = self._keys([match_key(level, tag, b"s", sound.encode())]) if sound else None
            keys = [*begins.keys, *(sounds.keys if sounds else [])]
            driver = Driver(self.txn, keys, begins.cost + (sounds.cost if sounds else 0))
            if best is None or driver.cost < best.cost:
                best = driver
        return best


class _Gathered(Driver):
    """Candidates that are known already."""

    def __init__(self, txn: Transaction, values: list[bytes]) -> None:
        super().__init__(txn, [], len(values))
        self.values = values

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.values)


class _Patients(Driver):
    """The patients of candidate studies, newest first."""

    def __init__(self, txn: Transaction, studies: Driver) -> None:
        super().__init__(txn, [], studies.cost)
        self.studies = studies

    def __iter__(self) -> Iterator[bytes]:
        keys = sorted(id_key(id_of_order_key(order)) for order in self.studies)
        records = self.txn.get_many("study", keys)
        if len(records) != len(keys):
            raise DataError("the index lacks study records that its keys name; rebuild it", code=13)
        patients = {STUDY_FIXED.unpack_from(record, 8)[0] for _, record in records}
        return iter(sorted(order_key(0, identity) for identity in patients))


def _needs_parts(match: Match) -> bool:
    """Whether a condition is answered by keys of parts of values: prefixes, words, runs of characters."""
    return match.operation is Operation.FUZZY or (
        match.operation is Operation.ANY_OF and any("*" in value or "?" in value for value in match.values)
    )


def _item_tags() -> dict[int, AttributeSpec]:
    return {spec.path[-1]: spec for spec in ATTRIBUTES if len(spec.path) > 1}


_ITEM_TAGS = _item_tags()


def _expected(match: Match) -> int:
    """Conditions that usually find little and are cheap to plan come first."""
    if match.operation is Operation.ANY_OF and not any("*" in v or "?" in v for v in match.values):
        return 0 if match.comparison is not Comparison.UID else 1
    if match.operation is Operation.ANY_OF and not any(v.startswith(("*", "?")) for v in match.values):
        return 2
    return 3
