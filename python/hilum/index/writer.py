"""One write transaction: what instances, series, studies, patients, counters and match keys become.

Parents are loaded once, changed as objects, and written once at the end (``Batch.finish``). Derived values depend on
the set of objects only: a series has the attributes of its instance with the smallest SOP Instance UID, a study the
first non-empty value of each attribute over its series by UID, a patient the same over the studies by UID.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING

from hilum._keys import (
    child_key,
    decode_blobs,
    encode_instance,
    encode_instances,
    encode_record,
    id_key,
    order_number,
    uid_key,
)
from hilum.errors import DataError, UsageError
from hilum.index.base import REPLACES, Entry, EventKind, Outcome
from hilum.index.layout import EVENT, INLINE_TABLE, LATEST, NO_IDS, PACK, TOMBSTONE, VARIANT
from hilum.index.parents import Parents
from hilum.index.records import INSTANCE_FIXED, MAX_ID, SERIES_FIXED, Series, Study, instance_fixed
from hilum.index.remembered import MOST, Remembered
from hilum.index.schema import INSTANCE_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hilum._core import PostingRules
    from hilum.index.environment import Transaction
    from hilum.index.records import InstanceFixed
    from hilum.types import Location

__all__ = ["Batch", "check_entry", "decode_variant", "decode_version", "entry_from", "rank", "ranked", "variant_of"]

Triple = tuple[bytes, bytes, bytes]

UID = re.compile(r"[0-9.]{1,64}")


def rank(received_ns: int, flags: int, sha256: bytes) -> tuple[int, int, bytes]:
    """Of the objects of one UID the highest is the current: the latest that replaces, else the earliest."""
    return (1, received_ns, sha256) if flags & REPLACES else (0, -received_ns, sha256)


def version_key(uid: bytes, received_ns: int, sha256: bytes) -> bytes:
    """Key of a version: versions of one UID lie together, oldest first."""
    return uid + b"\0" + received_ns.to_bytes(8, "big") + sha256[:16]


def variant_of(triple: Triple) -> int:
    """Hash by which a variant is known among its series' instances."""
    digest = blake2b(digest_size=6)
    for part in triple:
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")


def check_entry(entry: Entry) -> None:
    """Refuse what the index cannot hold."""
    for uid in (entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid):
        if UID.fullmatch(uid) is None:
            raise UsageError("an entry's study, series or SOP instance UID is not a UID")
    if len(entry.sha256) != 32 or entry.received_ns < 0 or len(entry.attributes) != 4:
        raise UsageError("an entry lacks its digest, time or attributes")


class Batch:
    """Work of one transaction. Call ``finish`` exactly once, at the end.

    Parameters
    ----------
    txn : Transaction
    rules : PostingRules
    patient_tags : list of int
    remembered : Remembered, optional
        Of the transaction just before this one; it becomes this batch's own.
    """

    def __init__(
        self, txn: Transaction, rules: PostingRules, patient_tags: list[int], remembered: Remembered | None = None
    ) -> None:
        self.txn = txn
        self.number = txn.number
        self.rules = rules
        self.patient_tags = patient_tags
        self.remembered = remembered or Remembered(
            0, self._meta(b"next_id", 1), self._meta(b"next_event", 1), self._meta(LATEST, 0), {}, {}, {}, {}
        )
        self.next_id = self.first_new_id = self.remembered.next_id
        self.next_event = self.remembered.next_event
        self.latest_ns = self.remembered.latest_ns
        self.studies: dict[str, Study] = {}
        self.studies_by_id: dict[int, Study] = {}
        self.serieses: dict[tuple[str, str], Series] = {}
        self.series_by_id: dict[int, Series] = {}
        self.patient_ids: dict[bytes, int] = {}
        self.variants: dict[tuple[int, int], tuple[int, Triple | None]] = {}
        self.variant_cache: dict[tuple[int, int], Triple] = {}
        self.rescan: set[int] = set()
        self.changed_series: set[int] = set()
        self.changed_classes: set[int] = set()
        """Studies that have got or lost a SOP class."""
        self.packs: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.pack_ids: dict[int, tuple[int, int]] = {}
        self.happened: dict[tuple[EventKind, str, str], list[str]] = {}
        self._pending: tuple[list[tuple[bytes, bytes]], ...] = ([], [], [], [])
        self._parents = Parents(self)
        self._pack_fields: dict[int, tuple[int, ...]] = {}

    def _meta(self, key: bytes, default: int) -> int:
        record = self.txn.get("meta", key)
        return default if record is None else int.from_bytes(record[4:], "little")

    def new_id(self) -> int:
        """Take the next id."""
        identity = self.next_id
        if identity >= MAX_ID:
            raise DataError("the index has no more ids")
        self.next_id += 1
        return identity

    # --- parents -----------------------------------------------------------------------------------------------------

    def id_of(self, name: str, uid: str, study: int = 0) -> int | None:
        """Id under a UID of a database of UIDs, None when there is none."""
        return self.id_at(name, uid_key(uid.encode(), study))

    def id_at(self, name: str, key: bytes) -> int | None:
        """Id under a key of a database of UIDs, None when there is none."""
        record = self.txn.get(name, key)
        return None if record is None else int.from_bytes(record[4:], "big")

    def study(self, uid: str) -> Study | None:
        """Study by UID."""
        if uid in self.studies:
            return self.studies[uid]
        if (known := self.remembered.studies.get(uid)) is not None:
            self.studies[uid] = self.studies_by_id[known.id] = known
            return known
        identity = self.id_of("study_uid", uid)
        return None if identity is None else self.study_by_id(identity)

    def study_by_id(self, identity: int) -> Study:
        """Study by id; DataError when its record is missing."""
        found = self.studies_by_id.get(identity)
        if found is None:
            found = Study.decode(identity, self.record("study", identity))
            self.studies[found.uid] = self.studies_by_id[identity] = found
        return found

    def series(self, study_uid: str, uid: str) -> Series | None:
        """Series by study and series UID."""
        found = self.serieses.get((study_uid, uid))
        if found is None:
            study = self.study(study_uid)
            known = self.remembered.serieses.get((study_uid, uid))
            if known is not None and known.id not in self.series_by_id:
                return self._know(known, study_uid)
            identity = None if study is None else self.id_of("series_uid", uid, study.id)
            found = None if identity is None else self.series_by_identity(identity)
        return found

    def series_by_identity(self, identity: int) -> Series:
        """Series by id; DataError when its record is missing."""
        found = self.series_by_id.get(identity)
        if found is None:
            record = self.record("series", identity)
            study = self.study_by_id(SERIES_FIXED.unpack_from(record, 8)[0])
            found = self._know(Series.decode(identity, record, study.stored), study.uid)
        return found

    def _know(self, series: Series, study_uid: str) -> Series:
        self.variant_cache[series.id, series.variant] = (*series.parents, series.attributes)
        self.series_by_id[series.id] = self.serieses[study_uid, series.uid] = series
        return series

    def record(self, name: str, identity: int) -> bytes:
        """Sealed record of an id; DataError when it is missing."""
        record = self.txn.get(name, id_key(identity))
        if record is None:
            raise DataError(f"the index lacks {name} record {identity}; rebuild it", code=13)
        return record

    def _study_for(self, uid: str) -> Study:
        study = self.study(uid)
        if study is None:
            study = Study(self.new_id(), uid)
            self.studies[uid] = self.studies_by_id[study.id] = study
        return study

    def _series_for(self, study_uid: str, uid: str) -> Series:
        study = self._study_for(study_uid)
        fresh = study.stored is None  # then the database has no series of it
        series = self.serieses.get((study_uid, uid)) if fresh else self.series(study_uid, uid)
        if series is None:
            series = Series(self.new_id(), uid, study.id)
            self.serieses[study_uid, uid] = self.series_by_id[series.id] = series
        return series

    # --- variants: the attributes of patient, study and series as instances brought them -----------------------------

    def _use_variant(self, series: int, variant: int, triple: Triple | None, delta: int) -> None:
        count, known = self.variants.get((series, variant), (0, None))
        self.variants[series, variant] = (count + delta, known or triple)
        if triple is not None:
            self.variant_cache[series, variant] = triple

    def triple(self, series: int, variant: int) -> Triple:
        """Attribute lists of a variant."""
        found = self.variant_cache.get((series, variant))
        if found is None:
            record = self.txn.get("variant", id_key(series) + id_key(variant))
            if record is None:
                raise DataError(f"the index lacks a variant of series record {series}; rebuild it", code=13)
            _, found = decode_variant(record)
            self.variant_cache[series, variant] = found
        return found

    def _flush_variants(self) -> None:
        changes: dict[int, dict[int, tuple[int, Triple | None]]] = defaultdict(dict)
        for (series, variant), change in self.variants.items():
            changes[series][variant] = change
        items: list[tuple[bytes, bytes]] = []
        for identity, changed in changes.items():
            series_found = self.series_by_id[identity]
            if series_found.stored is not None:
                if changed.keys() == {series_found.variant} and self._keeps_variant(series_found):
                    continue  # their number is that of the series
                self._change_own_variant(series_found, changed)
            items += self._changed_variants(series_found, changed)
        self.txn.put_many("variant", items)
        self.variants.clear()

    @staticmethod
    def _keeps_variant(series: Series) -> bool:
        return bool(SERIES_FIXED.unpack_from(series.stored or b"", 8)[1] == series.variant)

    def _change_own_variant(self, series: Series, changed: dict[int, tuple[int, Triple | None]]) -> None:
        """When another variant stands for a series than did before, the former gets a row and the new one loses its."""
        if self._keeps_variant(series):
            return
        _, own, instances, *_ = SERIES_FIXED.unpack_from(series.stored or b"", 8)
        others = self.txn.walk("variant", prefix=id_key(series.id))
        count = instances - sum(decode_variant(record)[0] for _, record in others)
        changed[own] = (count + changed.get(own, (0, None))[0], self.triple(series.id, own))
        changed.setdefault(series.variant, (0, None))

    def _changed_variants(
        self, series: Series, changed: dict[int, tuple[int, Triple | None]]
    ) -> list[tuple[bytes, bytes]]:
        """Rows of a series' variants but the one in its own record, each with the number of its instances."""
        items = []
        for variant, (delta, triple) in changed.items():
            if series.stored is None and variant == series.variant:
                continue
            key = id_key(series.id) + id_key(variant)
            record = self.txn.get("variant", key)
            count = delta
            if record is not None:
                before, triple = decode_variant(record)
                count += before
            if count > 0 and triple is not None and variant != series.variant:
                items.append((key, encode_variant(count, triple)))
            elif record is not None:
                self.txn.delete("variant", key)
        return items

    # --- instances ---------------------------------------------------------------------------------------------------

    def insert(self, study_uid: str, series_uid: str, entries: list[Entry]) -> None:
        """Add instances of one series whose UIDs are all new."""
        series = self._series_for(study_uid, series_uid)
        first_id = self.next_id
        self.next_id += len(entries)
        variants: list[int] = []
        last: Triple | None = None
        variant = 0
        for entry in entries:
            triple: Triple = entry.attributes[:3]
            if triple != last:
                last, variant = triple, variant_of(triple)
                self._use_variant(series.id, variant, triple, 0)
            variants.append(variant)
        records, uids, children, tables = self._pending
        encode_instances(
            entries, series.id, series.study, variants, first_id, INSTANCE_NUMBER, INLINE_TABLE,
            records, uids, children, tables,
        )  # fmt: skip
        self._count_inserted(series, entries, variants, first_id)

    def _count_inserted(self, series: Series, entries: list[Entry], variants: list[int], first_id: int) -> None:
        study = self.studies_by_id[series.study]
        size = 0
        packs: set[int] = set()
        for entry, variant in zip(entries, variants, strict=True):
            location = entry.location
            size += location.length
            count, triple = self.variants[series.id, variant]
            self.variants[series.id, variant] = (count + 1, triple)
            if not series.key_uid or entry.sop_instance_uid < series.key_uid:
                series.key_uid = entry.sop_instance_uid
                series.variant = variant
                self.changed_series.add(series.id)
            if entry.sop_class_uid not in study.sop_classes:
                self.changed_classes.add(study.id)
            for counts in (series.sop_classes, study.sop_classes):
                counts[entry.sop_class_uid] = counts.get(entry.sop_class_uid, 0) + 1
            pack = self.packs[location.pack]
            pack[0] += location.length
            pack[2] += 1
            packs.add(location.pack)
        for number in packs:
            self._hold(number, first_id, first_id + len(entries) - 1)
        self.latest_ns = max(self.latest_ns, max(entry.received_ns for entry in entries))
        series.instances += len(entries)
        series.total_bytes += size
        study.instances += len(entries)
        study.total_bytes += size

    def write_pending(self) -> None:
        """Bring inserted instances into the transaction, so that they can be read."""
        self.txn.put_many("child", self.take_children())

    def take_children(self) -> list[tuple[bytes, bytes]]:
        """As `write_pending`, but their keys among their series' children are left to the caller."""
        records, uids, children, tables = self._pending
        self.txn.put_many("instance", records)
        self.txn.put_many("instance_uid", uids)
        self.txn.put_many("frames", tables)
        self._pending = ([], [], [], [])
        return children

    def happen(self, kind: EventKind, study_uid: str, series_uid: str, uids: Iterable[str]) -> None:
        """Note what happened to instances, for the event log."""
        self.happened.setdefault((kind, study_uid, series_uid), []).extend(uids)

    def current(self, uid: str) -> tuple[int, bytes] | None:
        """Id and sealed record of the current object of a UID."""
        identity = self.id_of("instance_uid", uid)
        return None if identity is None else (identity, self.record("instance", identity))

    def delete_current(self, identity: int, record: bytes, *, dead: bool) -> None:
        """Take an instance out; ``dead``: its bytes are dead too (not when it becomes a version)."""
        fixed = instance_fixed(record)
        uid, sop_class, *_ = decode_blobs(record, INSTANCE_FIXED.size)
        series = self.series_by_identity(fixed.series)
        study = self.study_by_id(fixed.study)
        self.txn.delete("instance", id_key(identity))
        self.txn.delete("frames", id_key(identity))
        self.txn.delete("instance_uid", uid_key(uid))
        self.txn.delete("child", child_key(series.id, fixed.number, uid, identity))
        for counts in (series.sop_classes, study.sop_classes):
            name = sop_class.decode()
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
                self.changed_classes.add(study.id)
        series.instances -= 1
        series.total_bytes -= fixed.length
        study.instances -= 1
        study.total_bytes -= fixed.length
        self._use_variant(series.id, fixed.variant, None, -1)
        if series.key_uid == uid.decode():
            self.rescan.add(series.id)
        self._account(fixed.location, dead=dead, sign=-1)

    def _hold(self, pack: int, first: int, last: int) -> None:
        """Note that instances of these ids are in a pack, so that they are found from it."""
        low, high = self.pack_ids.get(pack, NO_IDS)
        self.pack_ids[pack] = min(low, first), max(high, last)

    def _account(self, location: Location, *, dead: bool, sign: int) -> None:
        pack = self.packs[location.pack]
        pack[0] += sign * location.length
        pack[2] += sign
        if dead:
            pack[1] += location.length

    def entry_of(self, record: bytes) -> Entry:
        """The entry from which a current object's record was made."""
        fixed = instance_fixed(record)
        series = self.series_by_identity(fixed.series)
        study = self.study_by_id(fixed.study)
        lists = self.triple(series.id, fixed.variant)
        return entry_from(record, study.uid, series.uid, lists, self._frame_table(record))

    def _frame_table(self, record: bytes) -> bytes:
        uid, _, _, _, table, *_ = decode_blobs(record, INSTANCE_FIXED.size)
        if table:
            return table
        identity = self.id_of("instance_uid", uid.decode())
        kept = None if identity is None else self.txn.get("frames", id_key(identity))
        return b"" if kept is None else kept[4:]

    # --- versions and conflicts --------------------------------------------------------------------------------------

    def versions(self, uid: str) -> list[tuple[bytes, bytes]]:
        """(key, sealed record) of the versions of a UID, oldest first."""
        return list(self.txn.walk("version", prefix=uid.encode() + b"\0"))

    def add_version(self, entry: Entry, *, account: bool) -> None:
        """Keep an entry as a version."""
        key = version_key(entry.sop_instance_uid.encode(), entry.received_ns, entry.sha256)
        self.txn.put("version", key, encode_version(entry))
        if account:
            self._account(entry.location, dead=False, sign=1)

    def drop_version(self, key: bytes, record: bytes, *, dead: bool) -> Entry:
        """Take a version out; returns what it was."""
        entry = decode_version(record)
        self.txn.delete("version", key)
        self._account(entry.location, dead=dead, sign=-1)
        return entry

    def resolve(self, entry: Entry) -> Outcome:
        """Take in an entry whose UID is known or deleted."""
        uid = entry.sop_instance_uid
        self.latest_ns = max(self.latest_ns, entry.received_ns)
        if entry.received_ns <= self.deleted_until(uid):
            self._note_dead(entry, uid)
            return Outcome.DELETED
        current = self.current(uid)
        if current is None:
            self.insert(entry.study_instance_uid, entry.series_instance_uid, [entry])
            self.write_pending()
            self.happen(EventKind.STORED, entry.study_instance_uid, entry.series_instance_uid, [uid])
            return Outcome.STORED
        identity, record = current
        fixed = instance_fixed(record)
        if fixed.sha256 == entry.sha256:
            return self._again(entry, identity, record, fixed)
        for key, version in self.versions(uid):
            known = decode_version(version)
            if known.sha256 == entry.sha256:
                if ranked(entry) <= ranked(known):
                    self._note_dead(entry, uid, known.location)
                    return Outcome.DUPLICATE
                self.drop_version(key, version, dead=True)
        if ranked(entry) > rank(fixed.received_ns, fixed.flags, fixed.sha256):
            self._replace(identity, record, entry)
            return Outcome.REPLACED
        self.add_version(entry, account=True)
        self.happen(EventKind.CONFLICT, entry.study_instance_uid, entry.series_instance_uid, [uid])
        return Outcome.CONFLICT_KEPT

    def _again(self, entry: Entry, identity: int, record: bytes, fixed: InstanceFixed) -> Outcome:
        """The bytes of the current object once more: only its rank may rise."""
        if ranked(entry) > rank(fixed.received_ns, fixed.flags, fixed.sha256):
            values = list(INSTANCE_FIXED.unpack_from(record, 8))
            values[3:6] = entry.location.pack, entry.location.offset, entry.location.length
            values[7], values[9] = entry.received_ns, entry.flags
            head = 8 + INSTANCE_FIXED.size
            self.txn.put("instance", id_key(identity), record[4:8] + INSTANCE_FIXED.pack(*values) + record[head:])
            if fixed.location != entry.location:
                self._hold(entry.location.pack, identity, identity)
                self._account(fixed.location, dead=True, sign=-1)
                self._account(entry.location, dead=False, sign=1)
        else:
            self._note_dead(entry, entry.sop_instance_uid, fixed.location)
        return Outcome.DUPLICATE

    def _note_dead(self, entry: Entry, uid: str, known: Location | None = None) -> None:
        """Bytes of an entry that is not kept are dead, unless it is the kept object replayed."""
        pack = entry.location.pack
        if known != entry.location and entry.location.offset >= self._indexed_to(pack):
            self.packs[pack][1] += entry.location.length

    def _indexed_to(self, number: int) -> int:
        record = self.txn.get("pack", id_key(number))
        return 0 if record is None else int(PACK.unpack(record[4:])[0])

    def _replace(self, identity: int, record: bytes, entry: Entry) -> None:
        before = self.entry_of(record)
        self.delete_current(identity, record, dead=False)
        self.add_version(before, account=True)
        self.insert(entry.study_instance_uid, entry.series_instance_uid, [entry])
        self.write_pending()
        self.happen(EventKind.REPLACED, entry.study_instance_uid, entry.series_instance_uid, [entry.sop_instance_uid])

    # --- deletion ----------------------------------------------------------------------------------------------------

    def deleted_until(self, uid: str) -> int:
        """Objects of this UID received at or before this time are deleted; -1 when none is."""
        record = self.txn.get("tombstone", uid.encode())
        return -1 if record is None else int(TOMBSTONE.unpack(record[4:])[0])

    def bury(self, uid: str, received_ns: int) -> list[Entry]:
        """Delete what was received under a UID up to a time; returns it, the current object first."""
        self.latest_ns = max(self.latest_ns, received_ns)
        if received_ns > self.deleted_until(uid):
            self.txn.put("tombstone", uid.encode(), TOMBSTONE.pack(received_ns))
        gone: list[Entry] = []
        kept: list[Entry] = []
        for key, record in self.versions(uid):
            if decode_version(record).received_ns <= received_ns:
                gone.append(self.drop_version(key, record, dead=True))
            else:
                kept.append(decode_version(record))
        current = self.current(uid)
        if current is None or instance_fixed(current[1]).received_ns > received_ns:
            return gone
        entry = self.entry_of(current[1])
        self.delete_current(*current, dead=True)
        self.happen(EventKind.DELETED, entry.study_instance_uid, entry.series_instance_uid, [uid])
        if kept:
            best = max(kept, key=ranked)
            key = version_key(uid.encode(), best.received_ns, best.sha256)
            self.txn.delete("version", key)
            self._account(best.location, dead=False, sign=-1)
            self.insert(best.study_instance_uid, best.series_instance_uid, [best])
            self.write_pending()
            self.happen(EventKind.REPLACED, best.study_instance_uid, best.series_instance_uid, [uid])
        return [entry, *gone]

    # --- compaction --------------------------------------------------------------------------------------------------

    def move(self, moves: Sequence[tuple[str, Location, Location]]) -> int:
        """Point objects and versions that are at the old location to the new one; how many were."""
        moved = 0
        for uid, old, new in moves:
            current = self.current(uid)
            if current is not None and instance_fixed(current[1]).location == old:
                identity, record = current
                self.txn.put("instance", id_key(identity), _relocated(record, new))
                self._hold(new.pack, identity, identity)
            else:
                at = next((i for i in self.versions(uid) if instance_fixed(i[1]).location == old), None)
                if at is None:
                    continue
                self.txn.put("version", at[0], _relocated(at[1], new))
            self._account(old, dead=True, sign=-1)
            self._account(new, dead=False, sign=1)
            moved += 1
        self._flush_packs({})
        return moved

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self, packs: Mapping[int, int]) -> None:
        """Write what is pending and everything that changed above the instances."""
        self._parents.finish()
        self._flush_variants()
        self._flush_packs(packs)
        self._flush_events()
        kept = [(b"next_id", self.next_id), (b"next_event", self.next_event)]
        if self.latest_ns != self.remembered.latest_ns:
            kept.append((LATEST, self.latest_ns))
        self.txn.replace_many("meta", [(key, number.to_bytes(8, "little")) for key, number in kept])

    def remember(self) -> Remembered | None:
        """Give what the next transaction need not read again, once this one is committed; it may only have inserted."""
        if len(self.serieses) > MOST:
            return None
        self._parents.settle()
        before = self.remembered
        if len(before.serieses) + len(self.serieses) > MOST:
            before = dataclasses.replace(before, studies={}, serieses={}, patients={}, packs={})
        patients = {**before.patients, **self._parents.patients}
        return Remembered(
            self.number,
            self.next_id,
            self.next_event,
            self.latest_ns,
            {**before.studies, **self.studies},
            {**before.serieses, **self.serieses},
            {identity: patient for identity, patient in patients.items() if patient.studies},
            {**before.packs, **self._pack_fields},
        )

    def _flush_packs(self, packs: Mapping[int, int]) -> None:
        items = []
        for number in {*self.packs, *packs}:
            live, dead, objects = self.packs.get(number, (0, 0, 0))
            before = self._pack_before(number)
            first, last = self.pack_ids.get(number, NO_IDS)
            values = (
                max(before[0], packs.get(number, 0)), before[1] + live, before[2] + dead, before[3] + objects,
                min(before[4], first), max(before[5], last),
            )  # fmt: skip
            if min(values) < 0:
                raise DataError(f"the index's account of pack {number} is wrong; rebuild it", code=13)
            self._pack_fields[number] = values
            items.append((id_key(number), PACK.pack(*values)))
        self.txn.replace_many("pack", items)

    def _pack_before(self, number: int) -> tuple[int, ...]:
        """Fields of ``PACK`` as they are in the database."""
        known = self.remembered.packs.get(number)
        if known is not None:
            return known
        record = self.txn.get("pack", id_key(number))
        return (0, 0, 0, 0, *NO_IDS) if record is None else PACK.unpack(record[4:])

    def _flush_events(self) -> None:
        now = time.time_ns()
        items = []
        for (kind, study_uid, series_uid), uids in self.happened.items():
            body = EVENT.pack(kind, len(uids), now) + "\n".join((study_uid, series_uid, *uids)).encode()
            items.append((id_key(self.next_event), body))
            self.next_event += 1
        self.txn.put_many("event", items)


def _relocated(record: bytes, location: Location) -> bytes:
    """Body of a sealed instance or version record with another location."""
    values = list(INSTANCE_FIXED.unpack_from(record, 8))
    values[3:6] = location.pack, location.offset, location.length
    return record[4:8] + INSTANCE_FIXED.pack(*values) + record[8 + INSTANCE_FIXED.size :]


def ranked(entry: Entry) -> tuple[int, int, bytes]:
    """Rank of an entry among the objects of its UID."""
    return rank(entry.received_ns, entry.flags, entry.sha256)


def encode_variant(count: int, triple: Triple) -> bytes:
    """Body of a variant record."""
    return VARIANT.pack(count, *map(len, triple)) + b"".join(triple)


def decode_variant(record: bytes) -> tuple[int, Triple]:
    """Number of instances and attribute lists of a sealed variant record."""
    count, *lengths = VARIANT.unpack_from(record, 4)
    at = 4 + VARIANT.size
    parts = []
    for length in lengths:
        parts.append(record[at : at + length])
        at += length
    return count, (parts[0], parts[1], parts[2])


def encode_version(entry: Entry) -> bytes:
    """Body of a version record: an instance record with what its parents would hold."""
    table = entry.frame_table
    number = order_number(entry.attributes[3], INSTANCE_NUMBER)
    body = encode_instance(entry, entry.sop_instance_uid.encode(), 0, 0, 0, number, table)
    blobs = decode_blobs(b"\0\0\0\0" + body, INSTANCE_FIXED.size)[:7]
    parents = [entry.study_instance_uid.encode(), entry.series_instance_uid.encode(), *entry.attributes[:3]]
    return encode_record(5, body[4 : 4 + INSTANCE_FIXED.size], [*blobs, *parents])


def decode_version(record: bytes) -> Entry:
    """The entry that a sealed version record holds."""
    *blobs, study, series, patient_list, study_list, series_list = decode_blobs(record, INSTANCE_FIXED.size)
    lists = (patient_list, study_list, series_list)
    return _entry(record, blobs, study.decode(), series.decode(), lists, blobs[4])


def entry_from(record: bytes, study_uid: str, series_uid: str, lists: Triple, table: bytes) -> Entry:
    """The entry from which a sealed instance record was made."""
    return _entry(record, decode_blobs(record, INSTANCE_FIXED.size), study_uid, series_uid, lists, table)


def _entry(record: bytes, blobs: Sequence[bytes], study: str, series: str, lists: Triple, table: bytes) -> Entry:
    fixed = instance_fixed(record)
    uid, sop_class, syntax, pixels, _, warnings, attributes = blobs[:7]
    parts = pixels.decode().split("\t") if pixels else None
    return Entry(
        study,
        series,
        uid.decode(),
        sop_class.decode(),
        syntax.decode(),
        (*lists, attributes),
        fixed.location,
        fixed.sha256,
        fixed.received_ns,
        fixed.crc32c,
        fixed.header_length,
        None if parts is None else tuple(p if i in (8, 10) else int(p) for i, p in enumerate(parts)),
        table,
        fixed.flags,
        tuple(warnings.decode().split("\t")) if warnings else (),
    )
