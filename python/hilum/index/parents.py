"""The end of a write transaction: series, studies, patients, counters and match keys of what changed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hilum._core import merge_attributes, select_attributes
from hilum._keys import decode_blobs, id_key, uid_key
from hilum.index.counters import Changes
from hilum.index.layout import PATIENT_ROOT, STUDY_ROOT
from hilum.index.postings import change
from hilum.index.records import (
    INSTANCE_FIXED,
    SERIES_FIXED,
    STUDY_FIXED,
    Patient,
    counted_names,
    id_of_order_key,
    instance_fixed,
    modality_of,
    order_key,
    order_of,
    patient_key,
    person_key,
    series_number,
)

if TYPE_CHECKING:
    from hilum.index.records import Series, Study
    from hilum.index.writer import Batch

__all__ = ["Parents"]

Items = list[tuple[bytes, bytes]]


class Parents:
    """Writes what a batch changed above the instances."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.txn = batch.txn
        self.puts: dict[str, Items] = defaultdict(list)
        self.replaced: dict[str, Items] = defaultdict(list)
        """As `puts`, for records that are there already."""
        self.bodies: dict[int, bytes] = {}
        """What was written of each series, study and patient, by id."""
        self.new_series: dict[int, list[Series]] = defaultdict(list)
        self.removed_series: dict[int, list[Series]] = defaultdict(list)
        self.merge: set[int] = set()
        self.patients: dict[int, Patient] = {}
        self.merge_patients: set[int] = set()
        self.patient_lists: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        self.counters = Changes(self.txn)
        self.fresh: list[tuple[bytes, int, tuple[bytes, ...]]] = []
        self.posted: Items = []
        self.unposted: Items = []

    def finish(self) -> None:
        """Write series, then studies, then patients, then match keys and counters."""
        self.puts["child"] += self.batch.take_children()  # beside those of series, so that they fill pages whole
        for series in list(self.batch.series_by_id.values()):
            self._series(series)
        self._flush("series_uid", "child")
        for study in list(self.batch.studies_by_id.values()):
            self._study(study)
        for series in self.batch.series_by_id.values():
            self._encode_series(series)
        self._flush("series")
        self._flush("study", "study_uid", "order", "child")
        for patient in self.patients.values():
            self._patient(patient)
        self._flush("patient", "patient_key", "order")
        change(self.txn, _gathered(self.posted, self.unposted))
        if self.fresh:
            change(self.txn, self.batch.rules.pairs(self.fresh))
        self.counters.write()

    def _flush(self, *names: str) -> None:
        for name in names:
            if items := self.puts.pop(name, None):
                self.txn.put_many(name, items)
            if items := self.replaced.pop(name, None):
                self.txn.replace_many(name, items)

    def _write(self, name: str, one: Series | Study | Patient, body: bytes) -> None:
        (self.puts if one.stored is None else self.replaced)[name].append((id_key(one.id), body))
        self.bodies[one.id] = body

    def settle(self) -> None:
        """Make series, studies and patients what they are for the next transaction, once this one is committed."""
        written: list[Series | Study | Patient] = [
            *self.batch.series_by_id.values(),
            *self.batch.studies_by_id.values(),
        ]
        written += self.patients.values()
        for one in written:
            if one.id in self.bodies:
                one.stored = b"\0\0\0\0" + self.bodies[one.id]
        for study in self.batch.studies_by_id.values():
            study.before = (study.patient, study.order, 1, study.series, study.instances, study.total_bytes)

    # --- series ------------------------------------------------------------------------------------------------------

    def _series(self, series: Series) -> None:
        study = self.batch.study_by_id(series.study)
        if series.instances == 0:
            self._delete_series(series, study)
            return
        if series.id in self.batch.rescan:
            self._rescan(series)
        new = series.stored is None
        if new:
            self.puts["series_uid"].append((uid_key(series.uid.encode(), study.id), id_key(series.id)))
            study.series += 1
            self.new_series[study.id].append(series)
        if new or series.id in self.batch.changed_series or series.id in self.batch.rescan:
            self._new_attributes(series, study, new=new)

    def _encode_series(self, series: Series) -> None:
        """Write a series when it changed, or when its study no longer has what it leaves out."""
        if series.instances == 0:
            return
        body = series.encode(self.batch.study_by_id(series.study).attributes)
        if series.stored is None or body != series.stored[4:]:
            self._write("series", series, body)

    def _new_attributes(self, series: Series, study: Study, *, new: bool) -> None:
        before = "" if new else modality_of(series.attributes)
        old_child = series.child_key
        *lists, series.attributes = self.batch.triple(series.id, series.variant)
        series.parents, series.short = (lists[0], lists[1]), None
        series.number = series_number(series.attributes)
        after = modality_of(series.attributes)
        if before != after:
            _count(study.modalities, before, -1)
            _count(study.modalities, after, 1)
        if not new:
            self.merge.add(study.id)
            if series.child_key == old_child:
                return
            self.txn.delete("child", old_child)
        self.puts["child"].append((series.child_key, b""))

    def _rescan(self, series: Series) -> None:
        """Find the smallest SOP Instance UID again after its instance was deleted."""
        smallest: tuple[str, int] | None = None
        keys = [key[-8:] for key, _ in self.txn.walk("child", prefix=id_key(series.id))]
        for _, record in self.txn.get_many("instance", keys):
            uid = decode_blobs(record, INSTANCE_FIXED.size)[0].decode()
            if smallest is None or uid < smallest[0]:
                smallest = (uid, instance_fixed(record).variant)
        if smallest is not None:
            series.key_uid, series.variant = smallest

    def _delete_series(self, series: Series, study: Study) -> None:
        if series.stored is None:
            return
        self.txn.delete("series", id_key(series.id))
        self.txn.delete("child", series.child_key)
        self.txn.delete("series_uid", uid_key(series.uid.encode(), study.id))
        study.series -= 1
        _count(study.modalities, modality_of(series.attributes), -1)
        self.removed_series[study.id].append(series)
        self.merge.add(study.id)

    def _series_in(self, study: Study) -> list[Series]:
        """All series of a study by UID."""
        if study.stored is None:
            return sorted(self.new_series[study.id], key=lambda s: s.uid)
        identities = [int.from_bytes(key[-8:], "big") for key, _ in self.txn.walk("child", prefix=id_key(study.id))]
        return sorted((self.batch.series_by_identity(i) for i in identities), key=lambda s: s.uid)

    # --- studies -----------------------------------------------------------------------------------------------------

    def _study(self, study: Study) -> None:
        if study.series == 0:
            if study.stored is not None:
                self._delete_study(study)
            return
        if not (
            study.stored is None
            or study.id in self.merge
            or study.id in self.new_series
            or study.id in self.batch.changed_classes
        ):
            self._recount(study)
            return
        before = None if study.stored is None else decode_blobs(study.stored, STUDY_FIXED.size)
        merged = study.stored is None or study.id in self.merge or self._differs(study)
        serieses = self._series_in(study) if merged else []
        if merged:
            lists = [part for s in serieses for part in self.batch.triple(s.id, s.variant)[:2]]
            study.attributes = merge_attributes(lists)
            study.order = order_of(study.attributes)
        if study.stored is None:
            self.puts["study_uid"].append((uid_key(study.uid.encode()), id_key(study.id)))
        self._place_study(study, before)
        derived = study.derived
        body = study.encode(derived)
        if study.stored is None:
            key = order_key(study.order, study.id)
            self._write("study", study, body)
            self.fresh.append((key, 2, (study.attributes, derived)))
            self.fresh.extend((key, 3, (attributes,)) for attributes in {s.attributes for s in serieses})
            return
        if body != study.stored[4:]:
            self._write("study", study, body)
        if before and (merged or study.id in self.new_series or body != study.stored[4:]):
            self._post_study(study, before, serieses, merged=merged)

    def _recount(self, study: Study) -> None:
        """Write a study of which nothing but numbers can have changed."""
        _, _, _, _, instances, size = study.before
        if (study.instances, study.total_bytes) == (instances, size):
            return
        patient = self._patient_by_id(study.patient)
        patient.instances += study.instances - instances
        patient.total_bytes += study.total_bytes - size
        key = order_key(study.order, study.id)
        self.counters.add(2, key, 0, 0, study.instances - instances, study.total_bytes - size)
        self._write("study", study, study.encode())

    def _differs(self, study: Study) -> bool:
        """Whether a new series has attributes that its study's record has not."""
        for series in self.new_series.get(study.id, ()):
            if merge_attributes(self.batch.triple(series.id, series.variant)[:2]) != study.attributes:
                return True
        return False

    def _place_study(self, study: Study, before: list[bytes] | None) -> None:
        """Patient, order and counters of a study that stays."""
        old_patient, old_order, counted, *old_counts = study.before
        patient = self._patient_for(patient_key(study.attributes, study.uid))
        study.patient = patient.id
        self._tell_patient(study, patient, before)
        old_key, key = order_key(old_order, study.id), order_key(study.order, study.id)
        if counted and (old_patient != patient.id or old_key != key):
            self.txn.delete("child", id_key(old_patient) + old_key)
        if counted and old_key != key:
            self.txn.delete("order", STUDY_ROOT + old_key)
            self.counters.add(2, old_key, -1, -old_counts[0], -old_counts[1], -old_counts[2])
            counted, old_counts = 0, [0, 0, 0]
        if not counted:
            self.puts["order"].append((STUDY_ROOT + key, b""))
        if old_patient != patient.id or not counted:
            self.puts["child"].append((id_key(patient.id) + key, b""))
        self.counters.add(
            2, key, 1 - counted, study.series - old_counts[0], study.instances - old_counts[1],
            study.total_bytes - old_counts[2],
        )  # fmt: skip

    def _tell_patient(self, study: Study, patient: Patient, before: list[bytes] | None) -> None:
        old_patient, _, counted, series, instances, size = study.before
        if counted and old_patient != patient.id:
            self._leave_patient(study)
            counted = series = instances = size = 0
        patient.studies += 1 - counted
        patient.series += study.series - series
        patient.instances += study.instances - instances
        patient.total_bytes += study.total_bytes - size
        known = self._patient_list(before[2]) if before is not None and counted else None
        own = self._patient_list(study.attributes) if known is None or before[2] != study.attributes else known  # type: ignore[index]
        if patient.stored is None:
            self.patient_lists[patient.id].append((study.uid, own))
        elif own != (known if known is not None else patient.attributes):
            self.merge_patients.add(patient.id)

    def _patient_list(self, attributes: bytes) -> bytes:
        return select_attributes(attributes, self.batch.patient_tags)

    def _delete_study(self, study: Study) -> None:
        old_key = order_key(study.before[1], study.id)
        for name, key in (
            ("study", id_key(study.id)),
            ("study_uid", uid_key(study.uid.encode())),
            ("order", STUDY_ROOT + old_key),
            ("child", id_key(study.before[0]) + old_key),
        ):
            self.txn.delete(name, key)
        self._leave_patient(study)
        _, _, _, series, instances, size = study.before
        self.counters.add(2, old_key, -1, -series, -instances, -size)
        attributes, derived = decode_blobs(study.stored or b"", STUDY_FIXED.size)[2:]
        old = self._study_keys([attributes, derived], self._stored_lists(self.removed_series[study.id]))
        self.unposted.extend((key, old_key) for key in old)

    # --- match keys --------------------------------------------------------------------------------------------------

    def _study_keys(self, lists: list[bytes], series_lists: list[bytes]) -> set[bytes]:
        keys = set(self.batch.rules.keys(2, lists))
        for attributes in set(series_lists):
            keys.update(self.batch.rules.keys(3, [attributes]))
        return keys

    @staticmethod
    def _stored_lists(serieses: list[Series]) -> list[bytes]:
        return [decode_blobs(s.stored, SERIES_FIXED.size)[-2] for s in serieses if s.stored is not None]

    def _post_study(self, study: Study, before: list[bytes], serieses: list[Series], *, merged: bool) -> None:
        key = order_key(study.order, study.id)
        old_key = order_key(study.before[1], study.id)
        lists = [study.attributes, study.derived]
        if not merged and key == old_key and study.id not in self.new_series and _same_derived(study, before):
            return
        if not merged:
            added = self._study_keys(lists, [s.attributes for s in self.new_series.get(study.id, ())])
            old = set(self.batch.rules.keys(2, before[2:4]))
        else:
            added = self._study_keys(lists, [s.attributes for s in serieses])
            was = self._stored_lists([*serieses, *self.removed_series.get(study.id, ())])
            old = self._study_keys(before[2:4], was)
        if key != old_key:
            self.unposted.extend((k, old_key) for k in old)
            self.posted.extend((k, key) for k in added)
        else:
            self.unposted.extend((k, key) for k in old - added)
            self.posted.extend((k, key) for k in added - old)

    # --- patients ----------------------------------------------------------------------------------------------------

    def _patient_for(self, key: bytes) -> Patient:
        batch = self.batch
        identity = batch.patient_ids.get(key)
        if identity is None:
            identity = batch.id_at("patient_key", person_key(key))
            if identity is None:
                identity = batch.new_id()
                self.patients[identity] = Patient(identity, key)
            batch.patient_ids[key] = identity
        return self._patient_by_id(identity)

    def _patient_by_id(self, identity: int) -> Patient:
        patient = self.patients.get(identity)
        if patient is None and (patient := self.batch.remembered.patients.get(identity)) is not None:
            self.patients[identity] = patient
        if patient is None:
            patient = Patient.decode(identity, self.batch.record("patient", identity))
            self.patients[identity] = patient
        return patient

    def _leave_patient(self, study: Study) -> None:
        identity, _, _, series, instances, size = study.before
        patient = self._patient_by_id(identity)
        patient.studies -= 1
        patient.series -= series
        patient.instances -= instances
        patient.total_bytes -= size
        self.merge_patients.add(identity)

    def _patient(self, patient: Patient) -> None:
        key = order_key(0, patient.id)
        if patient.studies == 0:
            self.batch.patient_ids.pop(patient.key, None)
            if patient.stored is not None:
                self.txn.delete("patient", id_key(patient.id))
                self.txn.delete("patient_key", person_key(patient.key))
                self.txn.delete("order", PATIENT_ROOT + key)
                self.counters.add(1, key, -1, 0, 0, 0)
            return
        if patient.stored is None:
            patient.attributes = merge_attributes([own for _, own in sorted(self.patient_lists[patient.id])])
        elif patient.id in self.merge_patients:
            patient.attributes = merge_attributes([self._patient_list(s.attributes) for s in self._studies_of(patient)])
        if patient.stored is None:
            self.puts["patient_key"].append((person_key(patient.key), id_key(patient.id)))
            self.puts["order"].append((PATIENT_ROOT + key, b""))
            self.counters.add(1, key, 1, 0, 0, 0)
        self._write("patient", patient, patient.encode())

    def _studies_of(self, patient: Patient) -> list[Study]:
        keys = [key[8:] for key, _ in self.txn.walk("child", prefix=id_key(patient.id))]
        studies = (self.batch.study_by_id(id_of_order_key(key)) for key in keys)
        return sorted(studies, key=lambda study: study.uid)


def _gathered(posted: Items, unposted: Items) -> list[tuple[bytes, bytes, bytes]]:
    """Pairs of match key and order key as changes by match key."""
    changes: dict[bytes, tuple[list[bytes], list[bytes]]] = {}
    for which, pairs in enumerate((posted, unposted)):
        for key, order in pairs:
            changes.setdefault(key, ([], []))[which].append(order)
    return [(key, b"".join(sorted(add)), b"".join(sorted(remove))) for key, (add, remove) in sorted(changes.items())]


def _same_derived(study: Study, before: list[bytes]) -> bool:
    """Whether what is posted of a study's derived values, all but the numbers, is what its stored lists say."""
    return (
        study.attributes == before[2]
        and set(study.modalities) == counted_names(before[0])
        and set(study.sop_classes) == counted_names(before[1])
    )


def _count(counts: dict[str, int], name: str, delta: int) -> None:
    if not name:
        return
    counts[name] = counts.get(name, 0) + delta
    if not counts[name]:
        del counts[name]
