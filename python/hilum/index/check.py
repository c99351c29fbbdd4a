"""Full check of an index: all that can be made from the instance records is made again and compared, bit by bit.

What the check reads, it reads under the record checksums; what has none (match keys) it makes again from the records.
So a flipped bit is found wherever it changes an answer; one that changes none (free pages, padding) changes nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import lmdb

from hilum._core import decode_postings, merge_attributes, open_record, select_attributes, split_postings
from hilum._keys import child_key, decode_blobs, id_key, uid_key
from hilum.errors import DataError, Unavailable
from hilum.index.base import EventKind
from hilum.index.counters import weight
from hilum.index.environment import DATABASES
from hilum.index.layout import (
    COUNTER,
    COUNTER_LENGTHS,
    COUNTER_SPREAD,
    EVENT,
    FIRST_PLACES_ONLY,
    FORMAT_VERSION,
    NO_IDS,
    ORDER_BYTES,
    PACK,
    PATIENT_ROOT,
    STUDY_ROOT,
    TOMBSTONE,
)
from hilum.index.postings import Head, PostingList
from hilum.index.records import (
    INSTANCE_FIXED,
    Patient,
    Series,
    Study,
    instance_fixed,
    modality_of,
    order_key,
    order_of,
    patient_key,
    person_key,
    series_number,
)
from hilum.index.writer import decode_variant, decode_version, variant_of, version_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum._core import PostingRules
    from hilum.index.environment import Environment, Transaction

__all__ = ["check_index", "check_structure", "is_cut", "structural_damage"]

MAX_FINDINGS = 100
COUNTED = (
    "patient_key", "study_uid", "series_uid", "instance_uid", "patient", "study", "series", "instance", "order",
    "child", "match", "count", "variant", "frames",
)  # fmt: skip
"""Databases of which the check knows how many entries there must be."""
_MAGIC = 0xBEEFC0DE.to_bytes(4, "little")
_META_END = 152
_ATTEMPTS = 5


def check_structure(path: Path) -> list[str]:
    """Findings of the pages of an index that no process has open, without giving them to LMDB.

    Parameters
    ----------
    path : Path
        Folder of ``data.mdb``. Run this before opening an index whose disk is in doubt: LMDB trusts its pages.
    """
    from lmdb.verify import VerifyError, verify

    try:
        found: list[str] = verify(str(path / "data.mdb"), subdir=False)  # type: ignore[no-untyped-call]
    except (VerifyError, OSError) as error:
        return [f"structure: {error}"]
    return [f"structure: {finding}" for finding in found[:MAX_FINDINGS]]


def structural_damage(path: Path) -> list[str]:
    """Findings of ``check_structure`` that hold while others write.

    For what is about to open an index that may be damaged: LMDB ends the process at some damaged pages.
    """
    data = path / "data.mdb"
    findings: list[str] = []
    for _ in range(_ATTEMPTS):
        if not data.is_file():
            return []
        before = _newest(data)
        findings = check_structure(path)
        if not findings or _newest(data) == before:
            return findings
    return []  # written all the time by somebody to whom it is sound


def _newest(data: Path) -> bytes:
    """Numbers of the transactions of both metas."""
    with data.open("rb") as stream:
        head = stream.read(_META_END)
        stream.seek(int.from_bytes(head[40:44], "little"))
        return head[144:152] + stream.read(_META_END)[144:152]


def is_cut(path: Path) -> bool:
    """Whether ``data.mdb`` ends before the last page that its own head counts, where LMDB would end the process.

    Cheap. Pages that LMDB counted and never wrote look the same: `check_structure` tells them from lost ones.
    """
    try:
        with (path / "data.mdb").open("rb", buffering=0) as stream:
            head = stream.read(_META_END)
            if len(head) < _META_END or head[16:20] != _MAGIC:
                return False
            page_bytes = int.from_bytes(head[40:44], "little")
            stream.seek(page_bytes)
            metas = [head, stream.read(_META_END)]
            last = max((m[144:152][::-1], int.from_bytes(m[136:144], "little")) for m in metas)[1]
            return stream.seek(0, 2) < (last + 1) * page_bytes
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Unavailable(f"{path}: the index cannot be read: {error.strerror}") from error


def check_index(environment: Environment, rules: PostingRules, patient_tags: list[int]) -> list[str]:
    """Findings in one snapshot of an open index: database, key in hex and what is wrong, no values of patients.

    First its pages, without LMDB, which would end the process at some damaged ones. The snapshot keeps every page of it
    and of later ones from being used again, so that others may write meanwhile.
    """
    with environment.read() as txn:
        findings = check_structure(environment.path)
        if findings:
            return findings
        check = _Check(txn, rules, patient_tags)
        try:
            check.run()
        except _EnoughError:
            pass
        except (DataError, Unavailable, lmdb.Error, ValueError, OverflowError, IndexError) as error:
            check.findings.append(f"the check cannot go on: {error}")
        return check.findings


class _EnoughError(Exception):
    """Too many findings to go on."""


class _Check:
    """State of one check."""

    def __init__(self, txn: Transaction, rules: PostingRules, patient_tags: list[int]) -> None:
        self.txn = txn
        self.rules = rules
        self.patient_tags = patient_tags
        self.findings: list[str] = []
        self.expected: Counter[str] = Counter()
        self.posted = 0
        self.packs: dict[int, list[int]] = {}
        self.pack_ids: dict[int, tuple[int, int]] = {}
        self.highest = 0
        self.patient_of: dict[int, list[Study]] = {}

    def report(self, database: str, key: bytes, what: str) -> None:
        self.findings.append(f"{database} {key.hex()}: {what}")
        if len(self.findings) >= MAX_FINDINGS:
            raise _EnoughError

    def run(self) -> None:
        for key, record in self.walk("study"):
            self.study(key, record)
        for key, record in self.walk("patient"):
            self.patient(key, record)
        if self.patient_of:
            self.report("patient", id_key(next(iter(self.patient_of))), "a study names it and it is missing")
        self.versions()
        self.counters(2, STUDY_ROOT)
        self.counters(1, PATIENT_ROOT)
        self.postings()
        self.logs()
        for name in COUNTED:
            found = self.txn.entries(name)
            walked = sum(1 for _ in self.txn.new_cursor(name).iternext(values=False))
            if found != self.expected[name] or walked != found:
                self.report(name, b"", f"{found} entries ({walked} when walked), {self.expected[name]} expected")

    def walk(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Records whose checksum is right, in order; others are reported."""
        last = b""
        for key, record in self.txn.new_cursor(name).iternext():
            if key <= last:
                self.report(name, key, "keys are out of order")
            last = key
            try:
                body = open_record(DATABASES[name], name, key, record)
            except DataError:
                self.report(name, key, "checksum")
                continue
            yield key, body

    def expect(self, name: str, key: bytes, body: bytes) -> None:
        """A record that must be there with exactly this body."""
        self.expected[name] += 1
        record = self.txn.get(name, key)
        if record is None:
            self.report(name, key, "missing")
        elif record[4:] != body:
            self.report(name, key, "is not what the records below it make")

    def post(self, keys: set[bytes], order: bytes) -> None:
        self.posted += len(keys)
        for key in keys:
            if not PostingList(self.txn, Head(key)).holds(order):
                self.report("match", key[:6], "missing")

    def occupy(self, pack: int, length: int) -> None:
        account = self.packs.setdefault(pack, [0, 0])
        account[0] += length
        account[1] += 1

    # --- levels ------------------------------------------------------------------------------------------------------

    def study(self, key: bytes, record: bytes) -> None:
        stored = Study.decode(int.from_bytes(key, "big"), record)
        made = Study(stored.id, stored.uid)
        self.highest = max(self.highest, made.id)
        self.expect("study_uid", uid_key(made.uid.encode()), key)
        lists: list[tuple[str, tuple[bytes, bytes, bytes]]] = []
        for child, _ in self.txn.walk("child", prefix=key):
            found = self.txn.get("series", child[-8:])
            if found is None:
                self.report("series", child[-8:], "missing")
                continue
            series, triple = self.series(
                Series.decode(int.from_bytes(child[-8:], "big"), found, record), made, stored.attributes
            )
            if series.child_key != child:
                self.report("child", child, "is not where its series belongs")
            lists.append((series.uid, triple))
        lists.sort()
        made.attributes = merge_attributes([part for _, triple in lists for part in triple[:2]])
        made.order = order_of(made.attributes)
        made.patient = stored.patient
        self.expect("study", key, made.encode())
        order = order_key(made.order, made.id)
        self.expect("order", STUDY_ROOT + order, b"")
        self.expect("child", id_key(made.patient) + order, b"")
        keys = set(self.rules.keys(2, [made.attributes, made.derived]))
        for attributes in {triple[2] for _, triple in lists}:
            keys.update(self.rules.keys(3, [attributes]))
        self.post(keys, order)
        self.patient_of.setdefault(made.patient, []).append(made)

    def series(
        self, stored: Series, study: Study, study_attributes: bytes
    ) -> tuple[Series, tuple[bytes, bytes, bytes]]:
        made = Series(stored.id, stored.uid, study.id)
        self.highest = max(self.highest, made.id)
        variants: Counter[int] = Counter()
        for child, _ in self.txn.walk("child", prefix=id_key(made.id)):
            record = self.txn.get("instance", child[-8:])
            if record is None:
                self.report("instance", child[-8:], "missing")
                continue
            variants[self.instance(child, record, made)] += 1
        triple = (*stored.parents, stored.attributes)
        if variant_of(triple) != made.variant:
            self.report("series", id_key(made.id), "attributes are not those of its smallest instance")
        for variant, count in variants.items():
            key = id_key(made.id) + id_key(variant)
            if variant == made.variant:
                continue
            kept = self.txn.get("variant", key)
            self.expected["variant"] += 1
            if kept is None or decode_variant(kept)[0] != count or variant_of(decode_variant(kept)[1]) != variant:
                self.report("variant", key, "missing, of other attributes, or not of as many instances")
        made.parents, made.attributes = stored.parents, stored.attributes
        made.number = series_number(made.attributes)
        self.expect("series", id_key(made.id), made.encode(study_attributes))
        self.expect("series_uid", uid_key(made.uid.encode(), study.id), id_key(made.id))
        self.expected["child"] += 1
        study.series += 1
        study.instances += made.instances
        study.total_bytes += made.total_bytes
        modality = modality_of(made.attributes)
        if modality:
            study.modalities[modality] = study.modalities.get(modality, 0) + 1
        for name, count in made.sop_classes.items():
            study.sop_classes[name] = study.sop_classes.get(name, 0) + count
        return made, triple

    def instance(self, child: bytes, record: bytes, series: Series) -> int:
        """Check one instance; returns its variant."""
        key = child[-8:]
        identity = int.from_bytes(key, "big")
        self.highest = max(self.highest, identity)
        fixed = instance_fixed(record)
        uid, sop_class, _, _, table, *_ = decode_blobs(record, INSTANCE_FIXED.size)
        if fixed.series != series.id or fixed.study != series.study:
            self.report("instance", key, "stands under another series")
        if child_key(series.id, fixed.number, uid, identity) != child:
            self.report("child", child, "is not where its instance belongs")
        self.expected["child"] += 1
        self.expected["instance"] += 1
        self.expect("instance_uid", uid_key(uid), key)
        if not table and self.txn.get("frames", key) is not None:
            self.expected["frames"] += 1
        name = sop_class.decode()
        series.sop_classes[name] = series.sop_classes.get(name, 0) + 1
        series.instances += 1
        series.total_bytes += fixed.length
        if not series.key_uid or uid.decode() < series.key_uid:
            series.key_uid, series.variant = uid.decode(), fixed.variant
        self.occupy(fixed.pack, fixed.length)
        first, last = self.pack_ids.get(fixed.pack, NO_IDS)
        self.pack_ids[fixed.pack] = min(first, identity), max(last, identity)
        return fixed.variant

    def patient(self, key: bytes, record: bytes) -> None:
        stored = Patient.decode(int.from_bytes(key, "big"), record)
        studies = sorted(self.patient_of.pop(stored.id, []), key=lambda study: study.uid)
        self.highest = max(self.highest, stored.id)
        made = Patient(stored.id, stored.key)
        for study in studies:
            made.studies += 1
            made.series += study.series
            made.instances += study.instances
            made.total_bytes += study.total_bytes
            if patient_key(study.attributes, study.uid) != made.key:
                self.report("patient", key, "has a study of another patient")
        made.attributes = merge_attributes([select_attributes(s.attributes, self.patient_tags) for s in studies])
        self.expect("patient", key, made.encode())
        self.expect("patient_key", person_key(made.key), key)
        order = order_key(0, made.id)
        self.expect("order", PATIENT_ROOT + order, b"")

    # --- the rest ----------------------------------------------------------------------------------------------------

    def versions(self) -> None:
        for key, record in self.walk("version"):
            entry = decode_version(record)
            if version_key(entry.sop_instance_uid.encode(), entry.received_ns, entry.sha256) != key:
                self.report("version", key[-24:], "is another object's")
            if self.txn.get("instance_uid", uid_key(entry.sop_instance_uid.encode())) is None:
                self.report("version", key[-24:], "has no current object")
            self.occupy(entry.location.pack, entry.location.length)

    def counters(self, level: int, root: bytes) -> None:
        """Counters made again in one walk over the order keys."""
        rows: list[list[tuple[bytes, list[int]]]] = [[] for _ in COUNTER_LENGTHS]
        sums = [[0, 0, 0, 0] for _ in COUNTER_LENGTHS]
        last = b""

        def close(first: int) -> None:
            """End the prefixes of ``last`` from a depth on, the longest first."""
            for depth in reversed(range(first, len(COUNTER_LENGTHS))):
                below = rows[depth + 1] if depth + 1 < len(rows) else []
                kept = [(last[: COUNTER_LENGTHS[depth]], sums[depth])]
                rows[depth] += kept + (below if sums[depth][0] > COUNTER_SPREAD else [])
                sums[depth] = [0, 0, 0, 0]
                if depth + 1 < len(rows):
                    rows[depth + 1] = []
            if first == 0:
                for prefix, total in rows[0]:
                    self.expect("count", bytes((level, len(prefix))) + prefix, COUNTER.pack(*total))
                rows[0] = []

        for place, _ in self.txn.walk("order", prefix=root):
            key = place[1:]
            if last:
                changed = (d for d, length in enumerate(COUNTER_LENGTHS) if key[:length] != last[:length])
                close(next(changed, len(COUNTER_LENGTHS)))
            weights = weight(self.txn, level, key)
            for total in sums:
                for i, part in enumerate(weights):
                    total[i] += part
            last = key
        if last:
            close(0)

    def postings(self) -> None:
        """Every block of match keys is whole, behind the one before it, and none holds too much."""
        found = 0
        last = b""
        for key, value in self.txn.new_cursor("match").iternext():
            self.expected["match"] += 1
            orders = split_postings(decode_postings(key[-ORDER_BYTES:], value))
            found += len(orders)
            if key[: -ORDER_BYTES - 1] == last[: -ORDER_BYTES - 1] and orders[0] <= last[-ORDER_BYTES:]:
                self.report("match", key[:6], "blocks overlap")
            last = key[:-ORDER_BYTES] + orders[-1]
        if found != self.posted:
            self.report("match", b"", f"{found} order keys, {self.posted} expected")

    def logs(self) -> None:
        """Packs, events, tombstones and the meta database."""
        for key, record in self.walk("pack"):
            _, live, _, objects, first, last_id = PACK.unpack(record[4:])
            number = int.from_bytes(key, "big")
            if [live, objects] != self.packs.pop(number, [0, 0]):
                self.report("pack", key, "account of live bytes or objects")
            low, high = self.pack_ids.get(number, NO_IDS)
            if low < first or high > last_id:
                self.report("pack", key, "an instance in it is outside of its range of ids")
        for number in self.packs:
            self.report("pack", id_key(number), "missing")
        last = 0
        for key, record in self.walk("event"):
            kind, count, _ = EVENT.unpack_from(record, 4)
            sequence = int.from_bytes(key, "big")
            uids = record[4 + EVENT.size :].split(b"\n")
            if (last and sequence != last + 1) or len(uids) != count + 2 or kind not in set(EventKind):
                self.report("event", key, "numbers have a gap, or the event is not whole")
            last = sequence
        for key, record in self.walk("tombstone"):
            if len(record) != 4 + TOMBSTONE.size:
                self.report("tombstone", key[:16], "length")
        meta = {key: int.from_bytes(record[4:], "little") for key, record in self.walk("meta")}
        if meta.get(b"format") not in (FORMAT_VERSION, FIRST_PLACES_ONLY):
            self.report("meta", b"format", "missing or another version")
        if meta.get(b"next_id", 1) <= self.highest or meta.get(b"next_event", 1) <= last:
            self.report("meta", b"next_id", "a number would be used again")
        for name in ("event", "tombstone", "version", "pack", "meta"):
            found = self.txn.entries(name)
            walked = sum(1 for _ in self.txn.new_cursor(name).iternext(values=False))
            if found != walked:
                self.report(name, b"", f"{found} entries, {walked} when walked")
