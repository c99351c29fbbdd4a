"""Answers a query in one snapshot: candidates newest first from the best key range, matched in batches by the core."""

from __future__ import annotations

import bisect
import itertools
from itertools import islice
from typing import TYPE_CHECKING

from hilum._core import posted_value, posting_key
from hilum._keys import attribute_value, decode_blobs, id_key, ids_of_order_keys, uid_key
from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.index.base import SearchResult
from hilum.index.counters import Positions
from hilum.index.layout import PATIENT_ROOT, STUDY_ROOT
from hilum.index.plan import Planner
from hilum.index.postings import heads, intersection
from hilum.index.query import Operation
from hilum.index.records import (
    INSTANCE_FIXED,
    MAX_ID,
    MAX_ORDER,
    SERIES_FIXED,
    STUDY_FIXED,
    decode_instance,
    id_of_order_key,
    order_key,
    series_uid_of,
    study_uid_of,
)
from hilum.index.schema import BY_TAG, SERIES_UID, SOP_UID, STUDY_DATE, STUDY_TIME, STUDY_UID, level_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hilum.index.base import InstanceRecord
    from hilum.index.environment import Transaction
    from hilum.index.query import Match, Query
    from hilum.index.schema import PrivateKey

__all__ = ["Search"]

Row = tuple[bytes, ...]
FIRST_CHUNK = 32
LAST_CHUNK = 4096
SORT_LIMIT = 200_000
HEADER_LIMIT = 2_000
"""So many headers are read for one query at most."""
NO_END = b"\xff" * 13


class Search:
    """One query in one snapshot."""

    def __init__(
        self,
        txn: Transaction,
        query: Query,
        private: dict[int, PrivateKey],
        read_header: Callable[[InstanceRecord], bytes] | None,
        last_id: int,
    ) -> None:
        self.txn = txn
        self.query = query
        self.private = private
        self.read_header = read_header
        self.level = level_number(query.level)
        self.top = 1 if self.level == 1 else 2
        self.top_name = "patient" if self.top == 1 else "study"
        self.root = PATIENT_ROOT if self.top == 1 else STUDY_ROOT
        self.as_of = last_id if query.as_of is None else min(query.as_of, last_id)
        self.current = self.as_of == last_id
        self.headers_read = 0
        needs_headers = bool(query.header_matches)
        if needs_headers and read_header is None:
            raise UsageError("a key of the query is not in the index, and no headers can be read here")

    # --- pages -------------------------------------------------------------------------------------------------------

    def run(self) -> SearchResult:
        """One page."""
        query = self.query
        need = None if query.limit is None else query.limit + 1
        skip = query.offset
        total: int | None = None
        found: Iterator[tuple[int, Row]]
        if query.order and not self._is_natural():
            found = self._sorted()
            if not query.matches and not query.header_matches:
                total = self._count_all()
        elif self._counted():
            start, end = self._bounds()
            positions = Positions(self.txn, self.top, max(0, self.level - 2))
            total = self._count_between(positions, start, end)
            start, skip = self._start(positions, start, skip)
            found = self._rows(self._all_keys(start, end))
        else:
            found = self._candidates()
        page = list(islice(found, skip, None if need is None else skip + need))
        more = query.limit is not None and len(page) > query.limit
        if more:
            page.pop()
        if total is None and not more and (page or not query.offset):
            total = query.offset + len(page)
        rows = [row for _, row in page]
        result = SearchResult(query.level, rows, [identity for identity, _ in page], total, more, self.as_of, query)
        if self._wants_patients():
            result.rows[:] = [(self._patient_of(row[0]), *row) for row in rows]
        if query.header_fields and self.read_header is not None:
            result.extras.extend(self._header_fields(row) for row in rows)
        return result

    def _is_natural(self) -> bool:
        natural = (((STUDY_DATE, True),), ((STUDY_DATE, True), (STUDY_TIME, True)))
        return self.top == 2 and self.level == 2 and self.query.order in natural

    def _counted(self) -> bool:
        """Whether counters alone tell where the page begins: no condition, or one on the study's date."""
        query = self.query
        if query.header_matches or (query.order and not self._is_natural()):
            return False
        if not query.matches:
            return True
        return (
            self.level >= 2 and len(query.matches) == 1 and self._is_date(query.matches[0]) and self._dates_are_valid()
        )

    @staticmethod
    def _is_date(match: Match) -> bool:
        return match.tag == STUDY_DATE and (
            match.operation is Operation.RANGE or (match.operation is Operation.ANY_OF and len(match.values) == 1)
        )

    def _dates_are_valid(self) -> bool:
        """Bounds that are calendar dates: then the order of the keys is the order of the dates."""
        match = self.query.matches[0]
        return all(len(text.replace(".", "")) == 8 for text in (match.low, match.high, *match.values) if text)

    def _bounds(self) -> tuple[bytes, bytes]:
        """First order key and the one behind the last, of the study date's condition."""
        return self._date_bounds(next((m for m in self.query.matches if self._is_date(m)), None))

    @staticmethod
    def _date_bounds(match: Match | None) -> tuple[bytes, bytes]:
        if match is None:
            return b"", NO_END
        low, high = (match.values[0], match.values[0]) if match.values else (match.low, match.high)
        newest = int(high.replace(".", "")) + 1 if high else 1 << 30
        oldest = int(low.replace(".", "")) if low else 1
        start = (MAX_ORDER - (newest << 17) + 1).to_bytes(6, "big") if high else b""
        return start, (MAX_ORDER - (oldest << 17) + 1).to_bytes(6, "big")

    def _count_all(self) -> int | None:
        if not self.current:
            return None
        return Positions(self.txn, self.top, max(0, self.level - 2)).count()

    def _count_between(self, positions: Positions, start: bytes, end: bytes) -> int:
        if not start and end == NO_END:
            count = positions.count()
        else:
            count = (positions.count() if end == NO_END else positions.rank(end)) - (
                positions.rank(start) if start else 0
            )
        return count - sum(weight for key, weight in self._newer() if start <= key < end)

    def _start(self, positions: Positions, start: bytes, skip: int) -> tuple[bytes, int]:
        """Order key at which ``skip`` answers have gone by, and how many of its own are still to skip."""
        if not skip:
            return start, 0
        newer = self._newer()
        keys = [key for key, _ in newer]
        sums = [0]
        for _, weight in newer:
            sums.append(sums[-1] + weight)
        before = positions.rank(start) if start else 0
        passed = sums[bisect.bisect_left(keys, start)] if start else 0
        # Positions count everything; what is newer than the first page's snapshot is added until nothing changes.
        added = 0
        while True:
            key, rest = positions.select(before + skip + added)
            now = sums[bisect.bisect_left(keys, key)] - passed
            if now == added:
                return key, rest
            added = now

    def _newer(self) -> list[tuple[bytes, int]]:
        """(order key, number) of what has come since the first page, by order key."""
        if self.current:
            return []
        found = getattr(self, "_newer_cache", None)
        if found is None:
            counts: dict[bytes, int] = {}
            name = self.query.level
            for key, record in self.txn.walk(name, start=id_key(self.as_of + 1)):
                order = self._order_of(key, record)
                counts[order] = counts.get(order, 0) + 1
            found = sorted(counts.items())
            self._newer_cache = found
        return found

    def _order_of(self, key: bytes, record: bytes) -> bytes:
        """Order key of the study (patient) of a record of the query's level."""
        identity = int.from_bytes(key, "big")
        if self.level == 1:
            return MAX_ORDER.to_bytes(6, "big") + (MAX_ID - identity).to_bytes(6, "big")
        study = record
        if self.level == 3:
            identity = SERIES_FIXED.unpack_from(record, 8)[0]
        elif self.level == 4:
            identity = INSTANCE_FIXED.unpack_from(record, 8)[1]
        if self.level > 2:
            study = self._need("study", id_key(identity))
        order: int = STUDY_FIXED.unpack_from(study, 8)[1]
        return (MAX_ORDER - order).to_bytes(6, "big") + (MAX_ID - identity).to_bytes(6, "big")

    # --- candidates --------------------------------------------------------------------------------------------------

    def _all_keys(self, start: bytes = b"", end: bytes = NO_END) -> Iterator[bytes]:
        """Order keys from ``start`` to before ``end``."""
        cursor = self.txn.new_cursor("order")
        if cursor.set_range(self.root + start):
            root = self.root
            for key in cursor.iternext(values=False):
                if not key.startswith(root) or key[1:] >= end:
                    return
                yield key[1:]

    def _all_keys_reversed(self) -> Iterator[bytes]:
        cursor = self.txn.new_cursor("order")
        if not (cursor.set_range(bytes((self.top + 1,))) and cursor.prev()) and not cursor.last():
            return
        for key in cursor.iterprev(values=False):
            if not key.startswith(self.root):
                return
            yield key[1:]

    def _candidates(self) -> Iterator[tuple[int, Row]]:
        """Matching rows, newest study first, from the best key range."""
        named = self._named()
        if named is not None:
            return named
        matches = self.query.matches
        driver = Planner(self.txn, self.top, self.private).best(matches)
        date = next((m for m in matches if self._is_date(m) or m.operation is Operation.COMBINED), None)
        if date is not None and date.tag == STUDY_DATE and (driver is None or driver.cost > FIRST_CHUNK):
            bounds = self._bounds() if date.operation is not Operation.COMBINED else self._combined_bounds(date)
            if driver is None or self._span(bounds) < driver.cost:
                return self._rows(self._all_keys(*bounds))
        if driver is None:
            return self._rows(self._all_keys())
        return self._rows(iter(driver))

    def _span(self, bounds: tuple[bytes, bytes]) -> int:
        positions = Positions(self.txn, self.top)
        end = positions.count() if bounds[1] == NO_END else positions.rank(bounds[1])
        return end - (positions.rank(bounds[0]) if bounds[0] else 0)

    def _combined_bounds(self, match: Match) -> tuple[bytes, bytes]:
        from dataclasses import replace

        low, high = match.values[:2]
        return self._date_bounds(replace(match, operation=Operation.RANGE, values=(), low=low, high=high))

    def _named(self) -> Iterator[tuple[int, Row]] | None:
        """Rows of a query that names UIDs; None when it names none."""
        by_tag = {m.tag: m for m in self.query.matches if m.operation is Operation.ANY_OF}
        if self.level == 4 and SOP_UID in by_tag:
            return self._with_headers(self._filtered(self._instances_named(by_tag[SOP_UID].values)))
        if STUDY_UID in by_tag and self.level >= 2:
            ids = self._ids(2, by_tag[STUDY_UID].values)
            return self._rows(iter(self._order_keys(ids)))
        if self.level >= 3 and SERIES_UID in by_tag:
            studies: set[int] = set()
            for uid in set(by_tag[SERIES_UID].values):
                for _, record in self.txn.walk("series_uid", prefix=uid_key(uid.encode())):
                    series = self._need("series", record[4:])
                    studies.add(SERIES_FIXED.unpack_from(series, 8)[0])
            return self._rows(iter(self._order_keys(studies)))
        return None

    def _ids(self, level: int, uids: Iterable[str]) -> set[int]:
        keys = sorted({uid_key(uid.encode()) for uid in uids})
        name = "study_uid" if level == 2 else "instance_uid"
        return {int.from_bytes(record[4:], "big") for _, record in self.txn.get_many(name, keys)}

    def _order_keys(self, study_ids: Iterable[int]) -> list[bytes]:
        keys = [id_key(i) for i in sorted(study_ids)]
        return sorted(
            (MAX_ORDER - STUDY_FIXED.unpack_from(record, 8)[1]).to_bytes(6, "big")
            + (MAX_ID - int.from_bytes(key, "big")).to_bytes(6, "big")
            for key, record in self.txn.get_many("study", keys)
        )

    def _instances_named(self, uids: Iterable[str]) -> Iterator[tuple[int, Row]]:
        keys = [id_key(i) for i in sorted(self._ids(4, uids))]
        found = []
        for key, record in self.txn.get_many("instance", keys):
            fixed = INSTANCE_FIXED.unpack_from(record, 8)
            study, series = self._need("study", id_key(fixed[1])), self._need("series", id_key(fixed[0]))
            order = self._order_of(key, record)
            place = (SERIES_FIXED.unpack_from(series, 8)[4], series_uid_of(series), fixed[10])
            found.append(((order, *place, key), (int.from_bytes(key, "big"), (study, series, record))))
        found.sort(key=lambda item: item[0])
        return iter([row for _, row in found])

    def _need(self, name: str, key: bytes) -> bytes:
        record = self.txn.get(name, key)
        if record is None:
            raise DataError(f"the index lacks {name} record {key.hex()}; rebuild it", code=13)
        return record

    # --- from order keys to rows -------------------------------------------------------------------------------------

    def _rows(self, keys: Iterator[bytes]) -> Iterator[tuple[int, Row]]:
        """Rows of the level, of the studies (patients) under these order keys, that match."""
        if self.level <= 2:
            return self._with_headers(self._top_rows(keys))
        rows = (self._below(identity, record) for identity, (record, *_) in self._top_rows(keys))
        return self._with_headers(itertools.chain.from_iterable(rows))

    def _top_rows(self, keys: Iterator[bytes]) -> Iterator[tuple[int, Row]]:
        matcher = self.query.matchers.get(self.top)
        newest = self.as_of if self.level <= 2 else MAX_ID
        size = FIRST_CHUNK
        limit = self.query.limit
        if limit is not None and self.level <= 2:
            size = max(size, min(limit + 1, LAST_CHUNK))
        while chunk := list(islice(keys, size)):
            size = min(2 * size, LAST_CHUNK)
            ids, id_keys = ids_of_order_keys(chunk, newest)
            items = self.txn.get_many(self.top_name, id_keys)
            if len(items) != len(ids):
                raise DataError(f"the index lacks {self.top_name} records that its keys name; rebuild it", code=13)
            records: list[Row] = [(record,) for _, record in items]
            found = zip(ids, records, strict=True)
            yield from found if matcher is None else itertools.compress(found, matcher.match_rows(records))

    def _below(self, study_id: int, study: bytes) -> Iterator[tuple[int, Row]]:
        """Matching series, or instances, of one study in display order."""
        series_items = self._children(study_id, "series")
        rows = [(identity, (study, record)) for identity, record in series_items]
        matcher = self.query.matchers.get(3)
        if matcher is not None:
            flags = matcher.match_rows([(record,) for _, record in series_items])
            rows = [row for row, good in zip(rows, flags, strict=True) if good]
        if self.level == 3:
            yield from (row for row in rows if row[0] <= self.as_of)
            return
        matcher = self.query.matchers.get(4)
        for series_id, (_, series) in rows:
            items = self._children(series_id, "instance")
            flags = [True] * len(items) if matcher is None else matcher.match_rows([(r,) for _, r in items])
            for (identity, record), good in zip(items, flags, strict=True):
                if good and identity <= self.as_of:
                    yield identity, (study, series, record)

    def _children(self, parent: int, name: str) -> list[tuple[int, bytes]]:
        keys = [key[-8:] for key, _ in self.txn.walk("child", prefix=id_key(parent))]
        items = self.txn.get_many(name, keys)
        if len(items) != len(keys):
            raise DataError(f"the index lacks {name} records that its keys name; rebuild it", code=13)
        return [(int.from_bytes(key, "big"), record) for key, record in items]

    def _filtered(self, rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        """Rows of instances that meet the conditions of every level."""
        for identity, row in rows:
            if identity <= self.as_of and all(
                matcher.match_rows([(row[level - 2],)])[0] for level, matcher in self.query.matchers.items()
            ):
                yield identity, row

    # --- order -------------------------------------------------------------------------------------------------------

    def _sorted(self) -> Iterator[tuple[int, Row]]:
        """All rows in the order that was asked for."""
        query = self.query
        spec = BY_TAG[query.order[0][0]]
        alone = len(query.order) == 1 and not query.matches and not query.header_matches
        if alone and self.level <= 2 and spec.posted and spec.single and not spec.derived:
            return self._rows(self._value_order(spec.path[0], descending=query.order[0][1]))
        if alone and self.level == 2 and query.order[0] == (STUDY_DATE, False):
            return self._rows(self._all_keys_reversed())
        plain = self._candidates() if query.matches or query.header_matches else self._rows(self._all_keys())
        rows = list(islice(plain, SORT_LIMIT + 1))
        if len(rows) > SORT_LIMIT:
            raise LimitExceeded(f"more than {SORT_LIMIT} answers cannot be ordered by an attribute; narrow the query")
        for tag, descending in reversed(query.order):
            rows.sort(key=lambda item: _sort_key(item[1], tag, descending=descending), reverse=descending)
        return iter(rows)

    def _value_order(self, tag: int, *, descending: bool) -> Iterator[bytes]:
        """Order keys by the values of a posted attribute; each once, newest first under one value."""
        head = posting_key(2, tag, b"v")
        start = head[:-1] + b"w" if descending else head
        seen: set[bytes] = set()
        for one in heads(self.txn, start, backwards=descending):
            if not one.key.startswith(head):
                return
            found = intersection(self.txn, [[one]])
            for value in found if self.top == 2 else sorted({self._patient_order(order) for order in found}):
                if value not in seen:
                    seen.add(value)
                    yield value

    def _patient_order(self, study_order: bytes) -> bytes:
        """Order key of the patient of a study."""
        study = self._need("study", id_key(id_of_order_key(study_order)))
        return order_key(0, STUDY_FIXED.unpack_from(study, 8)[0])

    # --- headers -----------------------------------------------------------------------------------------------------

    def _with_headers(self, rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        matcher = self.query.header_matcher
        if matcher is None:
            return rows
        tags = sorted({_path_text(match) for match in self.query.header_matches})
        return (item for item in rows if matcher.match_lists([self._extract(item[1], tags)]))

    def _header_fields(self, row: Row) -> bytes:
        return self._extract(row, [f"{tag:08X}" for tag in self.query.header_fields])

    def _extract(self, row: Row, tags: list[str]) -> bytes:
        from hilum._core import extract

        self.headers_read += 1
        if self.headers_read > HEADER_LIMIT:
            raise LimitExceeded(
                f"the query needs more than {HEADER_LIMIT} headers; narrow it by attributes that are indexed"
            )
        assert self.read_header is not None
        return extract(self.read_header(self._representative(row)), tags)

    def _representative(self, row: Row) -> InstanceRecord:
        """The instance whose attributes stand for a row: of the smallest UID, in the series of the smallest UID."""
        if len(row) > self.level - 1 and self.level >= 2 and row[0][4] == 1:
            row = row[1:]
        study = row[0]
        if self.level == 1:
            raise UsageError("patients are searched by attributes that are indexed only")
        study_uid = study_uid_of(study)
        if self.level == 2:
            identity = self._ids(2, [study_uid]).pop()
            series = min(
                (record for _, record in self._children(identity, "series")),
                key=series_uid_of,
            )
        else:
            series = row[1]
        key_uid = decode_blobs(series, SERIES_FIXED.size)[0]
        if self.level == 4:
            instance = row[2]
            identity = self._ids(4, [decode_blobs(instance, INSTANCE_FIXED.size)[0].decode()]).pop()
        else:
            identity = self._ids(4, [key_uid.decode()]).pop()
            instance = self._need("instance", id_key(identity))
        return decode_instance(identity, instance, study_uid, series_uid_of(series))

    # --- patients of studies -----------------------------------------------------------------------------------------

    def _wants_patients(self) -> bool:
        fields = self.query.fields
        return self.level >= 2 and (fields is None or any(tag in _PATIENT_COUNTS for tag in fields))

    def _patient_of(self, study: bytes) -> bytes:
        return self._need("patient", id_key(STUDY_FIXED.unpack_from(study, 8)[0]))


_PATIENT_COUNTS = (0x00201200, 0x00201202, 0x00201204)


def _path_text(match: Match) -> str:
    parts = [f"{match.tag:08X}"]
    while match.operation is Operation.SEQUENCE:
        match = match.children[0]
        parts.append(f"{match.tag:08X}")
    return ".".join(parts)


def _sort_key(row: Row, tag: int, *, descending: bool) -> tuple[int, float | int, bytes]:
    """Comparable value of an attribute in a row; rows without one come first (descending: last)."""
    spec = BY_TAG[tag]
    value = _value_in(row, tag)
    text = (value or b"").decode(errors="replace")
    if spec.vr in ("IS", "US", "DS"):
        try:
            return (1, float(text.split("\\")[0]), b"")
        except ValueError:
            return (0, 0, b"")
    person = spec.vr == "PN"
    parts = [posted_value(part, person) for part in text.replace("=", "\\" if person else "=").split("\\")]
    if spec.vr == "TM":
        parts = [part.replace(b":", b"") for part in parts]
    if spec.vr == "DA":
        parts = [part.replace(b".", b"") for part in parts]
    filled = [part for part in parts if part]
    if not filled:
        return (0, 0, b"")
    return (1, 0, max(filled) if descending else min(filled))


def _value_in(row: Row, tag: int) -> bytes | None:
    sizes = {1: 24, 2: STUDY_FIXED.size, 3: SERIES_FIXED.size, 4: INSTANCE_FIXED.size}
    for record in reversed(row):
        blobs = decode_blobs(record, sizes[record[4]])
        for part in (blobs[-1], blobs[-2]):
            value = attribute_value(part, tag)
            if value is not None:
                return value
    return None
