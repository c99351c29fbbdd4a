"""The index of one archive on LMDB: the contract of ``hilum.index.base.Index`` for many threads and many processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hilum._keys import id_key, uid_key
from hilum.errors import Conflict, DataError, NotFound
from hilum.index.additions import Additions
from hilum.index.base import (
    Event,
    EventKind,
    IndexStatistics,
    InstanceRecord,
    Outcome,
    PackState,
    PatientRecord,
    SeriesRecord,
    StudyRecord,
)
from hilum.index.check import check_index, check_structure, is_cut
from hilum.index.counters import Positions
from hilum.index.environment import ADVICE, BAD_RECORD, DATABASES, REFILLED, SECOND, Environment
from hilum.index.layout import (
    EVENT,
    FIRST_PLACES_ONLY,
    FORMAT_VERSION,
    LATEST,
    NO_IDS,
    PACK,
    REBUILDING,
    TIDIED,
    TOMBSTONE,
)
from hilum.index.query import whole_number
from hilum.index.records import INSTANCE_FIXED, Patient, Series, Study, decode_instance, person_key
from hilum.index.schema import ATTRIBUTES, level_number, posting_rules
from hilum.index.search import Search
from hilum.index.space import give_back, refill, stored_bytes
from hilum.index.writer import Batch, check_entry, decode_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hilum.index.base import Entry, SearchResult, Tombstone
    from hilum.index.environment import Transaction
    from hilum.index.query import Query
    from hilum.index.remembered import Remembered
    from hilum.index.schema import PrivateKey
    from hilum.types import Level, Location

__all__ = ["LmdbIndex"]

T = TypeVar("T")
MIB = 1 << 20


class LmdbIndex:
    """Index in the folder ``path`` (``data.mdb`` and ``lock.mdb``).

    Parameters
    ----------
    path : Path
        Folder; made unless ``read_only``.
    map_bytes : int
        First size of the memory map; it grows by itself.
    max_readers : int
        Concurrent read transactions of all processes.
    private_keys : sequence of PrivateKey
        Private attributes to find by key. Changing them takes effect for what is stored from then on; run a rebuild for
        the rest.
    read_only : bool
        Refuse to write; NotFound when there is no index.
    """

    def __init__(
        self,
        path: Path,
        *,
        map_bytes: int = 256 * MIB,
        max_readers: int = 1024,
        private_keys: Sequence[PrivateKey] = (),
        read_only: bool = False,
    ) -> None:
        self.path = Path(path)
        self.private_keys = tuple(private_keys)
        self._remembered: Remembered | None = None
        self._private = {key.tag: key for key in self.private_keys}
        self._rules = posting_rules(self.private_keys)
        tags = {spec.path[0] for spec in ATTRIBUTES if spec.level == 1}
        tags.update(key.tag for key in self.private_keys if key.level == "patient")
        self._patient_tags = sorted(tags)
        if is_cut(self.path) and check_structure(self.path):
            raise DataError(f"the index is damaged (its file is cut short){ADVICE}", code=BAD_RECORD)
        self._env = Environment(self.path, map_bytes=map_bytes, max_readers=max_readers, read_only=read_only)
        try:
            self._check_format()
        except BaseException:
            self._env.close()
            raise

    def _check_format(self) -> None:
        with self._env.read() as txn:
            record = txn.get("meta", b"format")
        if record is None:
            if self._env.read_only:
                raise NotFound(f"no index in {self.path}")
            self._env.write(lambda txn: txn.put("meta", b"format", FORMAT_VERSION.to_bytes(4, "little")))
            return
        found = int.from_bytes(record[4:], "little")
        if found not in (FORMAT_VERSION, FIRST_PLACES_ONLY):
            raise DataError(f"index format {found} is not {FORMAT_VERSION}; rebuild the index", code=14)

    # --- writing -----------------------------------------------------------------------------------------------------

    def apply(
        self,
        entries: Sequence[Entry],
        *,
        packs: Mapping[int, int] | None = None,
        tombstones: Sequence[Tombstone] = (),
    ) -> list[Outcome]:
        """Take in a batch in one transaction (see ``Index.apply``)."""
        for entry in entries:
            check_entry(entry)
        if not entries and not packs and not tombstones:
            return []
        outcomes, remember = self._env.write(lambda txn: self._apply(txn, entries, packs or {}, tombstones))
        self._remembered = remember()
        return outcomes

    def _take_remembered(self, txn: Transaction) -> Remembered | None:
        remembered, self._remembered = self._remembered, None  # nobody else gets it, nor this when it has to run again
        return None if remembered is None or remembered.number != txn.number - 1 else remembered

    def _batch(self, txn: Transaction, remembered: Remembered | None) -> Batch:
        return Batch(txn, self._rules, self._patient_tags, remembered)

    def _apply(
        self, txn: Transaction, entries: Sequence[Entry], packs: Mapping[int, int], tombstones: Sequence[Tombstone]
    ) -> tuple[list[Outcome], Callable[[], Remembered | None]]:
        """Outcomes, and what gives what to remember once they are committed."""
        remembered = self._take_remembered(txn)
        batch = self._batch(txn, remembered) if tombstones or remembered is None else None
        for tombstone in tombstones:
            assert batch is not None
            batch.bury(tombstone.sop_instance_uid, tombstone.received_ns)
        outcomes = [Outcome.STORED] * len(entries)
        fresh, others = _split(txn, entries)
        if batch is None and remembered is not None and not others:
            short = Additions(txn, remembered)
            if short.suit(fresh, packs):
                left = short.add(fresh, packs)
                return outcomes, lambda: left
        batch = batch or self._batch(txn, remembered)
        for (study_uid, series_uid), group in fresh.items():
            batch.insert(study_uid, series_uid, group)
            batch.happen(EventKind.STORED, study_uid, series_uid, [entry.sop_instance_uid for entry in group])
        if others:
            batch.write_pending()
        for i in others:
            outcomes[i] = batch.resolve(entries[i])
        batch.finish(packs)
        return outcomes, (lambda: None) if others or tombstones else batch.remember

    def remove(self, level: Level, uid: str, *, received_ns: int, study_uid: str | None = None) -> list[InstanceRecord]:
        """Delete what a UID names (see ``Index.remove``); ``level`` patient is not supported by UID."""
        with self._env.read() as txn:
            doomed = [record.sop_instance_uid for record in self._named(txn, level, uid, study_uid)]
        if not doomed:
            return []
        return self._env.write(lambda txn: self._remove(txn, doomed, received_ns))

    def _named(self, txn: Transaction, level: Level, uid: str, study_uid: str | None) -> list[InstanceRecord]:
        number = level_number(level)
        if number == 4:
            found = self._lookup(txn, [uid])[0]
            return [found] if found else []
        if number == 3:
            series = self._series(txn, uid, study_uid)
            return self._instances(txn, series.study_instance_uid, uid) if series else []
        if number == 2:
            return self._instances(txn, uid, None)
        out = []
        for study in self._studies_of_patient(txn, uid.encode()):
            out.extend(self._instances(txn, study.uid, None))
        return out

    def _remove(self, txn: Transaction, uids: list[str], received_ns: int) -> list[InstanceRecord]:
        before = {record.sop_instance_uid: record for record in self._lookup(txn, uids) if record}
        batch = self._batch(txn, self._take_remembered(txn))
        gone: list[InstanceRecord] = []
        for uid in uids:
            for entry in batch.bury(uid, received_ns):
                known = before.get(uid)
                if known is not None and known.sha256 == entry.sha256:
                    gone.append(known)
                else:
                    gone.append(_record_of(entry))
        batch.finish({})
        return gone

    def move(self, moves: Sequence[tuple[str, Location, Location]]) -> int:
        """Point objects to new locations (see ``Index.move``)."""
        return self._env.write(lambda txn: self._batch(txn, None).move(moves)) if moves else 0

    def forget_pack(self, number: int) -> None:
        """Drop what is known of a removed pack (see ``Index.forget_pack``)."""

        def work(txn: Transaction) -> None:
            record = txn.get("pack", id_key(number))
            if record is not None and PACK.unpack(record[4:])[3]:
                raise Conflict(f"pack {number} still holds live objects")
            txn.delete("pack", id_key(number))

        self._env.write(work)

    def clear(self) -> None:
        """Forget everything, before a rebuild from the packs. Ids and event numbers go on, for those who hold some.

        Others may go on to store meanwhile, and move ``indexed_to`` past what was not read again yet. So the index is
        marked as incomplete in the same transaction; `complete` takes the mark away.
        """

        def work(txn: Transaction) -> None:
            kept = [(key, txn.get("meta", key)) for key in (b"next_id", b"next_event", LATEST, SECOND)]
            for name in REFILLED:
                txn.empty_other_place(name)
            for name in DATABASES:
                txn.empty(name)
            txn.put("meta", b"format", FORMAT_VERSION.to_bytes(4, "little"))
            txn.put("meta", REBUILDING, b"\1")
            for key, record in kept:
                if record is not None:
                    txn.put("meta", key, record[4:])

        self._env.write(work)

    def complete(self) -> None:
        """End a rebuild (see ``Index.complete``)."""
        self._env.write(lambda txn: txn.delete("meta", REBUILDING))

    def is_complete(self) -> bool:
        """Whether no rebuild has begun and not ended."""
        with self._env.read() as txn:
            return txn.get("meta", REBUILDING) is None

    def latest_ns(self) -> int:
        """Latest receive time that was ever taken in (see ``Index.latest_ns``)."""
        with self._env.read() as txn:
            record = txn.get("meta", LATEST)
        return 0 if record is None else int.from_bytes(record[4:], "little")

    def tidy(self) -> None:
        """Take less of the disk after a bulk change (see ``Index.tidy``)."""
        refill(self._env)
        for _ in range(2):  # what a transaction frees, LMDB takes as free after the next one
            self._env.write(lambda txn: txn.put("meta", TIDIED, b"\1"))
        self._env.sync()
        give_back(self._env)

    def sync(self) -> None:
        """Make the last commits durable too (they can be replayed from the packs otherwise)."""
        self._env.sync()

    # --- reading -----------------------------------------------------------------------------------------------------

    def lookup(self, uids: Sequence[str]) -> list[InstanceRecord | None]:
        """Current objects by SOP Instance UID, in the order of ``uids``."""
        with self._env.read() as txn:
            return self._lookup(txn, uids)

    def _lookup(self, txn: Transaction, uids: Sequence[str]) -> list[InstanceRecord | None]:
        keys = [uid_key(uid.encode(errors="replace")) for uid in uids]
        ids = {key: record[4:] for key, record in txn.get_many("instance_uid", keys)}
        if not ids:
            return [None] * len(uids)
        records = dict(txn.get_many("instance", ids.values()))
        parents = _Parents(txn)
        out: list[InstanceRecord | None] = []
        for key in keys:
            identity = ids.get(key)
            if identity is None:
                out.append(None)
                continue
            record = records.get(identity)
            if record is None:
                raise DataError(f"the index lacks instance record {identity.hex()}; rebuild it", code=13)
            out.append(parents.instance(identity, record))
        return out

    def versions(self, uid: str) -> list[InstanceRecord]:
        """Objects of this UID that are not current, oldest first."""
        with self._env.read() as txn:
            items = txn.walk("version", prefix=uid.encode(errors="replace") + b"\0")
            return [_record_of(decode_version(record)) for _, record in items]

    def study(self, uid: str) -> StudyRecord | None:
        """Study by UID."""
        with self._env.read() as txn:
            found = _study_by_uid(txn, uid)
            return None if found is None else Study.decode(*found).value()

    def series(self, uid: str, study_uid: str | None = None) -> SeriesRecord | None:
        """Series by UID; with no study the one of the smallest Study Instance UID."""
        with self._env.read() as txn:
            return self._series(txn, uid, study_uid)

    def _series(self, txn: Transaction, uid: str, study_uid: str | None) -> SeriesRecord | None:
        raw = uid.encode(errors="replace")
        if study_uid is not None:
            study = _study_by_uid(txn, study_uid)
            record = None if study is None else txn.get("series_uid", uid_key(raw, study[0]))
            if record is None:
                return None
            series = Series.decode(int.from_bytes(record[4:], "big"), _need(txn, "series", record[4:]))
            return series.value(study_uid)
        found = []
        for _, record in txn.walk("series_uid", prefix=uid_key(raw)):
            series = Series.decode(int.from_bytes(record[4:], "big"), _need(txn, "series", record[4:]))
            found.append(series.value(_Parents(txn).study_uid(series.study)))
        return min(found, key=lambda value: value.study_instance_uid, default=None)

    def patient(self, patient_id: str, issuer: str = "") -> PatientRecord | None:
        """Patient by PatientID and IssuerOfPatientID."""
        with self._env.read() as txn:
            record = txn.get("patient_key", person_key(patient_id.encode() + b"\0" + issuer.encode()))
            if record is None:
                return None
            return Patient.decode(int.from_bytes(record[4:], "big"), _need(txn, "patient", record[4:])).value()

    def series_of(self, study_uid: str) -> list[SeriesRecord]:
        """Series of a study in display order."""
        with self._env.read() as txn:
            found = _study_by_uid(txn, study_uid)
            if found is None:
                return []
            return [Series.decode(i, record).value(study_uid) for i, record in _children(txn, found[0], "series")]

    def instances(self, study_uid: str, series_uid: str | None = None) -> list[InstanceRecord]:
        """Instances of a study or series in display order."""
        with self._env.read() as txn:
            return self._instances(txn, study_uid, series_uid)

    def _instances(self, txn: Transaction, study_uid: str, series_uid: str | None) -> list[InstanceRecord]:
        parents = _Parents(txn)
        study = _study_by_uid(txn, study_uid)
        if study is None:
            return []
        if series_uid is not None:
            record = txn.get("series_uid", uid_key(series_uid.encode(errors="replace"), study[0]))
            ids = [] if record is None else [int.from_bytes(record[4:], "big")]
        else:
            ids = [identity for identity, _ in _children(txn, study[0], "series")]
        return [
            parents.instance(id_key(identity), record)
            for series_id in ids
            for identity, record in _children(txn, series_id, "instance")
        ]

    def _studies_of_patient(self, txn: Transaction, key: bytes) -> list[Study]:
        key = key if b"\0" in key else key + b"\0"
        record = txn.get("patient_key", person_key(key))
        if record is None:
            return []
        from hilum.index.records import id_of_order_key

        keys = [child[8:] for child, _ in txn.walk("child", prefix=record[4:])]
        ids = [id_of_order_key(child) for child in keys]
        return [Study.decode(identity, _need(txn, "study", id_key(identity))) for identity in ids]

    def search(
        self, level: Level, query: Query, read_header: Callable[[InstanceRecord], bytes] | None = None
    ) -> SearchResult:
        """Answer a query (see ``Index.search``)."""
        if query.level != level:
            raise ValueError(f"the query was made for the {query.level} level")
        with self._env.read() as txn:
            return Search(txn, query, self._private, read_header, _last_id(txn)).run()

    def locations(self, pack: int) -> Iterator[InstanceRecord]:
        """Every object and version whose bytes are in this pack, in one snapshot (see ``Index.locations``)."""
        with self._env.read() as txn:
            parents = _Parents(txn)
            state = txn.get("pack", id_key(pack))
            first, last = NO_IDS if state is None else PACK.unpack(state[4:])[4:]
            found = [
                parents.instance(key, record)
                for key, record in txn.walk("instance", start=id_key(first), last=id_key(last))
                if INSTANCE_FIXED.unpack_from(record, 8)[3] == pack
            ]
            found += [
                _record_of(decode_version(record))
                for _, record in txn.walk("version")
                if INSTANCE_FIXED.unpack_from(record, 8)[3] == pack
            ]
        return iter(found)

    def events(self, since: int = 0, limit: int = 1000) -> list[Event]:
        """Events after sequence number ``since``, oldest first."""
        since, limit = whole_number("since", since), whole_number("limit", limit)
        out: list[Event] = []
        with self._env.read() as txn:
            for key, record in txn.walk("event", start=id_key(since + 1)):
                if len(out) >= limit:
                    break
                kind, _, when = EVENT.unpack_from(record, 4)
                study, series, *uids = record[4 + EVENT.size :].decode().split("\n")
                out.append(Event(int.from_bytes(key, "big"), EventKind(kind), when, study, series, tuple(uids)))
        return out

    def last_event(self) -> Event | None:
        """Newest event (see ``Index.last_event``)."""
        with self._env.read() as txn:
            cursor = txn.new_cursor("event")
            if not cursor.last():
                return None
            sequence = int.from_bytes(cursor.key(), "big")
        return next(iter(self.events(sequence - 1, 1)), None)

    def revision(self) -> int:
        """Number of the last transaction (see ``Index.revision``)."""
        return self._env.last_transaction()

    def is_deleted(self, uid: str, received_ns: int) -> bool:
        """Whether a tombstone covers what was received then (see ``Index.is_deleted``)."""
        with self._env.read() as txn:
            record = txn.get("tombstone", uid.encode())
        return record is not None and received_ns <= int(TOMBSTONE.unpack(record[4:])[0])

    def packs(self) -> list[PackState]:
        """State of every pack, by number."""
        with self._env.read() as txn:
            return [
                PackState(int.from_bytes(key, "big"), *PACK.unpack(record[4:])[:4]) for key, record in txn.walk("pack")
            ]

    def statistics(self) -> IndexStatistics:
        """Totals, without a walk."""
        with self._env.read() as txn:
            studies, series, instances, size = Positions(txn, 2).totals()
            patients = Positions(txn, 1).totals()[0]
            versions = txn.entries("version")
        return IndexStatistics(patients, studies, series, instances, versions, size, stored_bytes(self.path))

    def verify(self) -> list[str]:
        """Findings of a full check of every record, key and counter; empty when all is right."""
        return check_index(self._env, self._rules, self._patient_tags)

    def close(self) -> None:
        """Wait for open transactions, make everything durable and release the files."""
        self._env.close()


class _Parents:
    """UIDs of series and studies, each read once."""

    def __init__(self, txn: Transaction) -> None:
        self.txn = txn
        self.known: dict[int, tuple[str, str]] = {}
        self.studies: dict[int, str] = {}

    def study_uid(self, identity: int) -> str:
        uid = self.studies.get(identity)
        if uid is None:
            uid = self.studies[identity] = Study.decode(identity, _need(self.txn, "study", id_key(identity))).uid
        return uid

    def instance(self, key: bytes, record: bytes) -> InstanceRecord:
        series_id, study_id = INSTANCE_FIXED.unpack_from(record, 8)[:2]
        uids = self.known.get(series_id)
        if uids is None:
            series = Series.decode(series_id, _need(self.txn, "series", id_key(series_id)))
            uids = self.known[series_id] = (self.study_uid(study_id), series.uid)
        found = decode_instance(int.from_bytes(key, "big"), record, *uids)
        if found.frame_table:
            return found
        table = self.txn.get("frames", key)
        return decode_instance(found.id, record, *uids, b"" if table is None else table[4:])


def _split(txn: Transaction, entries: Sequence[Entry]) -> tuple[dict[tuple[str, str], list[Entry]], list[int]]:
    """Entries whose UID is new, by series, and the positions of all others."""
    keys = {uid_key(entry.sop_instance_uid.encode()): entry.sop_instance_uid for entry in entries}
    known = {keys[key] for key, _ in txn.get_many("instance_uid", sorted(keys))}
    if txn.entries("tombstone"):
        buried = sorted(uid.encode() for uid in keys.values())
        known.update(key.decode() for key, _ in txn.get_many("tombstone", buried))
    fresh: dict[tuple[str, str], list[Entry]] = {}
    others: list[int] = []
    for i, entry in enumerate(entries):
        uid = entry.sop_instance_uid
        if uid in known:
            others.append(i)
        else:
            known.add(uid)
            fresh.setdefault((entry.study_instance_uid, entry.series_instance_uid), []).append(entry)
    return fresh, others


def _last_id(txn: Transaction) -> int:
    record = txn.get("meta", b"next_id")
    return 0 if record is None else int.from_bytes(record[4:], "little") - 1


def _need(txn: Transaction, name: str, key: bytes) -> bytes:
    record = txn.get(name, key)
    if record is None:
        raise DataError(f"the index lacks {name} record {key.hex()}; rebuild it", code=13)
    return record


def _study_by_uid(txn: Transaction, uid: str) -> tuple[int, bytes] | None:
    record = txn.get("study_uid", uid_key(uid.encode(errors="replace"))) if uid else None
    return None if record is None else (int.from_bytes(record[4:], "big"), _need(txn, "study", record[4:]))


def _children(txn: Transaction, parent: int, name: str) -> list[tuple[int, bytes]]:
    keys = [key[-8:] for key, _ in txn.walk("child", prefix=id_key(parent))]
    items = txn.get_many(name, keys)
    if len(items) != len(keys):
        raise DataError(f"the index lacks {name} records that its keys name; rebuild it", code=13)
    return [(int.from_bytes(key, "big"), record) for key, record in items]


def _record_of(entry: Entry) -> InstanceRecord:
    """What is given out of an object that is not (any more) in the instance database; its ids are 0."""
    return InstanceRecord(
        0,
        0,
        0,
        entry.study_instance_uid,
        entry.series_instance_uid,
        entry.sop_instance_uid,
        entry.sop_class_uid,
        entry.transfer_syntax_uid,
        entry.location,
        entry.sha256,
        entry.crc32c,
        entry.received_ns,
        entry.flags,
        entry.header_length,
        entry.pixels,
        entry.frame_table,
        entry.warnings,
        entry.attributes[3],
    )
