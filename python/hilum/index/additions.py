"""The short way for what a modality sends most of the time: one more instance of a series that is known.

When each instance of a transaction is like those of its series, nothing above it changes but numbers. They are written
from memory. Everything else goes the whole way, `hilum.index.writer.Batch`; both leave the same databases.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hilum._keys import encode_instances, id_key
from hilum.index.base import EventKind
from hilum.index.layout import COUNTER, COUNTER_LENGTHS, COUNTER_SPREAD, EVENT, INLINE_TABLE, LATEST, PACK
from hilum.index.records import MAX_ID, order_key
from hilum.index.remembered import Remembered
from hilum.index.schema import INSTANCE_NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hilum.index.base import Entry
    from hilum.index.environment import Transaction
    from hilum.index.records import Patient, Series, Study

    Place = tuple[str, str]
    """UIDs of study and series."""
    Items = list[tuple[bytes, bytes]]
    Puts = list[tuple[str, bytes, bytes]]

__all__ = ["Additions"]

_MOST_COUNTERS = 1024


class Additions:
    """Additions of one transaction to what the one just before it has left; `add` once, where they `suit`.

    What it adds to is changed as it goes, so after an error nothing of it may be used again.
    """

    def __init__(self, txn: Transaction, remembered: Remembered) -> None:
        self._txn = txn
        self._known = remembered
        self._next_id = remembered.next_id
        self._next_event = remembered.next_event
        self._latest_ns = remembered.latest_ns
        self._counters = remembered.counters if len(remembered.counters) <= _MOST_COUNTERS else {}
        self._packs: dict[int, list[int]] = {}
        self._grown: list[tuple[Series, Study, Patient]] = []
        self._counted: set[bytes] = set()
        self._new: Puts = []
        self._changed: Puts = []

    def suit(self, fresh: Mapping[Place, list[Entry]], packs: Mapping[int, int]) -> bool:
        """Whether this is the way for instances whose UIDs are new, and for these places where packs are indexed to."""
        known = self._known
        if not packs.keys() <= known.packs.keys() or self._next_id + sum(map(len, fresh.values())) > MAX_ID:
            return False
        for place, entries in fresh.items():
            series, study = known.serieses.get(place), known.studies.get(place[0])
            if series is None or study is None or study.patient not in known.patients:
                return False
            attributes = (*series.parents, series.attributes)
            for entry in entries:
                alike = entry.attributes[:3] == attributes and entry.sop_class_uid in series.sop_classes
                if not alike or entry.sop_instance_uid < series.key_uid or entry.location.pack not in known.packs:
                    return False
        return True

    def add(self, fresh: Mapping[Place, list[Entry]], packs: Mapping[int, int]) -> Remembered:
        """Write everything; gives what the next transaction need not read again, once this one is committed."""
        for place, entries in fresh.items():
            self._insert(place, entries)
        self._change_parents()
        self._change_packs(packs)
        numbers = [(b"next_id", self._next_id), (b"next_event", self._next_event)]
        known = self._known
        if self._latest_ns != known.latest_ns:
            numbers.append((LATEST, self._latest_ns))
        self._changed += [("meta", key, number.to_bytes(8, "little")) for key, number in numbers]
        self._txn.put_each(self._new, self._changed)
        return Remembered(
            self._txn.number, self._next_id, self._next_event, self._latest_ns, known.studies, known.serieses,
            known.patients, known.packs, self._counters,
        )  # fmt: skip

    def _insert(self, place: Place, entries: list[Entry]) -> None:
        """Add instances of one series."""
        series, study = self._known.serieses[place], self._known.studies[place[0]]
        patient = self._known.patients[study.patient]
        self._grown.append((series, study, patient))
        count = len(entries)
        records: Items = []
        uids: Items = []
        children: Items = []
        tables: Items = []
        encode_instances(
            entries, series.id, study.id, [series.variant] * count, self._next_id, INSTANCE_NUMBER, INLINE_TABLE,
            records, uids, children, tables,
        )  # fmt: skip
        for name, items in (("instance", records), ("instance_uid", uids), ("child", children), ("frames", tables)):
            self._new += [(name, key, body) for key, body in items]
        size = 0
        for entry in entries:
            self._hold(entry, self._next_id, self._next_id + count - 1)
            size += entry.location.length
            series.sop_classes[entry.sop_class_uid] += 1
            study.sop_classes[entry.sop_class_uid] += 1
        for one in (series, study, patient):
            one.instances += count
            one.total_bytes += size
        self._count(order_key(study.order, study.id), count, size)
        event = EVENT.pack(EventKind.STORED, count, time.time_ns())
        uids_text = "\n".join((*place, *[entry.sop_instance_uid for entry in entries]))
        self._new.append(("event", id_key(self._next_event), event + uids_text.encode()))
        self._next_id += count
        self._next_event += 1

    def _hold(self, entry: Entry, first_id: int, last_id: int) -> None:
        """Account for an instance in its pack."""
        number = entry.location.pack
        fields = self._packs.get(number)
        if fields is None:
            fields = self._packs[number] = list(self._known.packs[number])
        fields[1] += entry.location.length
        fields[3] += 1
        fields[4] = min(fields[4], first_id)
        fields[5] = max(fields[5], last_id)
        self._latest_ns = max(self._latest_ns, entry.received_ns)

    def _count(self, order: bytes, instances: int, size: int) -> None:
        """Add to the counters that a study has."""
        for length in COUNTER_LENGTHS:
            key = bytes((2, length)) + order[:length]
            counter = self._counters.get(key)
            if counter is None:
                record = self._txn.get("count", key)
                if record is None:
                    return
                counter = COUNTER.unpack(record[4:])
            studies, series, before, bytes_before = counter
            self._counters[key] = studies, series, before + instances, bytes_before + size
            self._counted.add(key)
            if studies <= COUNTER_SPREAD:
                return

    def _change_parents(self) -> None:
        self._changed += [("count", key, COUNTER.pack(*self._counters[key])) for key in self._counted]
        written: set[int] = set()
        for series, study, patient in self._grown:
            for name, one, body in (
                ("series", series, series.encode(study.attributes)),
                ("study", study, study.encode()),
                ("patient", patient, patient.encode()),
            ):
                if one.id not in written:
                    written.add(one.id)
                    one.stored = b"\0\0\0\0" + body
                    self._changed.append((name, id_key(one.id), body))
            study.before = (study.patient, study.order, 1, study.series, study.instances, study.total_bytes)

    def _change_packs(self, packs: Mapping[int, int]) -> None:
        known = self._known.packs
        for number, end in packs.items():
            fields = self._packs.setdefault(number, list(known[number]))
            fields[0] = max(fields[0], end)
        for number, fields in self._packs.items():
            known[number] = tuple(fields)
            self._changed.append(("pack", id_key(number), PACK.pack(*fields)))
