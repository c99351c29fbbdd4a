"""Which key range of the match database a query walks: the one that the fewest studies (patients) are under."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hilum._core import grams, name_words, posted_value, posting_key, soundex, wildcard_match
from hilum._keys import id_key
from hilum.errors import DataError
from hilum.index.postings import Head, PostingList, heads, intersection
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

__all__ = ["Driver", "Planner"]

MAX_POSTED = 400
"""Bytes after which values are cut."""
PATIENT_LIMIT = 20_000
"""So many candidate studies are read at most to find their patients; with more, patients are walked newest first."""
DISTINCT_LIMIT = 5_000
"""So many different values are looked at for a wildcard before another way is taken."""
GOOD_ENOUGH = 64
MOST_GROUPS = 4
"""So many runs of characters of one pattern are intersected."""
KEYED = frozenset({Comparison.TEXT, Comparison.FOLDED, Comparison.PERSON, Comparison.UID, Comparison.DATE})


class Driver:
    """Groups of posting lists: every candidate stands in at least one list of each group. Newest first."""

    def __init__(self, txn: Transaction, groups: list[list[Head]]) -> None:
        self.txn = txn
        self.groups = groups

    @functools.cached_property
    def cost(self) -> int:
        """About how many stand under the smallest group; counted only when there is a choice."""
        return min((sum(PostingList(self.txn, head).count() for head in group) for group in self.groups), default=0)

    def __iter__(self) -> Iterator[bytes]:
        return intersection(self.txn, self.groups)


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
            if best is None or (driver is not None and driver.cost < best.cost):
                best = driver
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
        driver = self._driver_at(level, tag, match)
        return self._patients_of(driver) if self.level == 1 else driver

    def _driver_at(self, level: int, tag: int, match: Match) -> Driver | None:
        """The driver of a condition by the keys under a level byte."""
        if match.operation is Operation.EMPTY:
            return self._key(posting_key(level, tag, b"v")) if tag == match.tag else None
        if match.operation is Operation.FUZZY:
            return self._fuzzy(level, tag, match)
        if match.operation is Operation.RANGE and match.comparison is Comparison.DATE:
            low, high = (text.replace(".", "") for text in (match.low, match.high))
            return self._range(level, tag, b"v", low.encode(), high.encode() or b"\xff")
        if match.operation is not Operation.ANY_OF:
            return None
        drivers: list[Driver | None] = [self._value(level, tag, match, value) for value in match.values]
        if any(driver is None for driver in drivers):
            return None
        found = [driver for driver in drivers if driver is not None]
        if len(found) == 1:
            return found[0]
        if any(len(driver.groups) != 1 for driver in found):
            return None
        return Driver(self.txn, [list({head.key: head for driver in found for head in driver.groups[0]}.values())])

    def _patients_of(self, driver: Driver | None) -> Driver | None:
        """Patients have no keys of their own; each has every value from at least one of its studies."""
        if driver is None or driver.cost > PATIENT_LIMIT:
            return None
        return _Patients(self.txn, driver)

    def _posted_level(self, tag: int) -> int:
        """Level byte under which an attribute has keys, 0 when it has none."""
        spec = BY_TAG.get(tag) or _ITEM_TAGS.get(tag)
        if spec is not None and spec.posted:
            return 2 if spec.level == 1 else spec.level if self.level == 2 else 0
        private = self.private.get(tag)
        if private is None:
            return 0
        number = {"patient": 2, "study": 2, "series": 3, "instance": 0}[private.level]
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
            return self._key(posting_key(level, tag, b"v", folded))
        return self._pattern(level, tag, folded.decode(errors="surrogateescape"), person=person)

    def _pattern(self, level: int, tag: int, pattern: str, *, person: bool) -> Driver | None:
        first = min(i for i in (pattern.find("*"), pattern.find("?")) if i >= 0)
        prefix = pattern[:first].rstrip(" ")
        spec = BY_TAG.get(tag)
        if prefix:
            raw = prefix.encode(errors="surrogateescape")
            if spec is not None and spec.prefixes and len(prefix) <= 3 and "^" not in prefix:
                return self._key(posting_key(level, tag, b"p", raw))
            words = name_words(prefix) if person else []
            if words and pattern[first - 1 : first] == "^" and not prefix.partition("^")[2].strip("^ "):
                return self._all_of(level, tag, words)  # a family name, with or without others behind it
            if words == [raw]:
                return self._range(level, tag, b"w", raw, raw + b"\xff" * 4)
            return self._range(level, tag, b"v", raw, raw + b"\xff" * 4)
        if spec is not None and spec.grams:
            return self._grams(level, tag, pattern)
        return self._scan(level, tag, pattern)

    def _all_of(self, level: int, tag: int, words: list[bytes]) -> Driver:
        """Names that have all of these words."""
        return Driver(self.txn, [[Head(posting_key(level, tag, b"w", word))] for word in words])

    def _key(self, key: bytes) -> Driver:
        return Driver(self.txn, [[Head(key)]])

    def _range(self, level: int, tag: int, kind: bytes, low: bytes, last: bytes) -> Driver | None:
        """Keys whose values are from ``low`` to ``last``; None when there are too many of them."""
        head = posting_key(level, tag, kind)
        found: list[Head] = []
        for one in heads(self.txn, posting_key(level, tag, kind, low)):
            if not one.key.startswith(head) or one.key[len(head) :] > last:
                break
            found.append(one)
            if len(found) > DISTINCT_LIMIT:
                return None
        return Driver(self.txn, [found])

    def _grams(self, level: int, tag: int, pattern: str) -> Driver | None:
        runs = pattern.replace("?", "*").replace("^", "*").split("*")
        keys = [posting_key(level, tag, b"g", gram) for run in runs for gram in grams(run.strip(" "))]
        if not keys:
            return None
        drivers = sorted((self._key(key) for key in set(keys)), key=lambda driver: driver.cost)
        return Driver(self.txn, [group for driver in drivers[:MOST_GROUPS] for group in driver.groups])

    def _scan(self, level: int, tag: int, pattern: str) -> Driver | None:
        """Every different value, when they are few enough, against the pattern."""
        head = posting_key(level, tag, b"v")
        while pattern.endswith("^*"):  # names are kept without empty components at their end
            pattern = pattern[:-2] + "*"
        found: list[Head] = []
        for seen, one in enumerate(heads(self.txn, head)):
            if not one.key.startswith(head):
                break
            if seen == DISTINCT_LIMIT:
                return None
            value = one.key[len(head) :]
            if len(value) >= MAX_POSTED or wildcard_match(value, pattern.encode(errors="surrogateescape")):
                found.append(one)
        return Driver(self.txn, [found])

    def _fuzzy(self, level: int, tag: int, match: Match) -> Driver | None:
        """Names with, for each word, a word that begins with it or sounds like it."""
        groups = []
        for word in match.values:
            raw = word.encode()
            begins = self._range(level, tag, b"w", raw, raw + b"\xff" * 4)
            if begins is None:
                continue
            sound = soundex(word)
            sounds = [Head(posting_key(level, tag, b"s", sound.encode()))] if sound else []
            groups.append([*begins.groups[0], *sounds])
        return Driver(self.txn, groups) if groups else None


class _Patients(Driver):
    """The patients of candidate studies, newest first."""

    def __init__(self, txn: Transaction, studies: Driver) -> None:
        super().__init__(txn, studies.groups)
        self.studies = studies

    def __iter__(self) -> Iterator[bytes]:
        keys = sorted(id_key(id_of_order_key(order)) for order in self.studies)
        records = self.txn.get_many("study", keys)
        if len(records) != len(keys):
            raise DataError("the index lacks study records that its keys name; rebuild it", code=13)
        patients = {STUDY_FIXED.unpack_from(record, 8)[0] for _, record in records}
        return iter(sorted(order_key(0, identity) for identity in patients))


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
