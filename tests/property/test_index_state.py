"""The index against a plain dict: insert, send again, conflict, replace, delete, in any order and any grouping."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hilum.index.base import REPLACES, Entry, Tombstone
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import make_entry
from hilum.types import Location

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # no waiting for a disk: durability is tested elsewhere
numbers = st.integers(0, 3)
texts = st.sampled_from(["", "a", "b", "c"])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    study, series, instance = draw(numbers), draw(numbers), draw(st.integers(0, 6))
    content = draw(st.sampled_from([b"x", b"y", b"z"]))
    attributes = {
        "PatientID": draw(st.sampled_from(["", "P1", "P2"])),
        "PatientName": draw(texts),
        "PatientSex": draw(texts),
        "StudyDate": draw(st.sampled_from(["", "20200101", "20210101"])),
        "StudyDescription": draw(texts),
        "SeriesNumber": draw(st.sampled_from(["", "1", "2"])),
        "Modality": draw(st.sampled_from(["", "CT", "MR"])),
        "BodyPartExamined": draw(texts),
        "InstanceNumber": draw(st.sampled_from(["", "1", "2"])),
    }
    sop_class = draw(st.sampled_from(["1.2.1", "1.2.2"]))
    whole = content + sop_class.encode() + repr(sorted(attributes.items())).encode() + bytes((study, series))
    at = int.from_bytes(hashlib.sha256(whole + bytes((instance,))).digest()[:5], "big")
    return make_entry(
        f"1.{study}",
        f"1.{study}.{series}",
        f"1.9.{instance}",
        attributes=attributes,
        content=whole,
        received_ns=draw(st.integers(1, 40)),
        flags=draw(st.sampled_from([0, 0, REPLACES])),
        location=Location(draw(st.integers(1, 2)), at * 8, 100 + instance),
        sop_class=sop_class,
    )


def rank(entry: Entry) -> tuple[int, int, bytes]:
    replaces = entry.flags & REPLACES
    return (1, entry.received_ns, entry.sha256) if replaces else (0, -entry.received_ns, entry.sha256)


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.index = LmdbIndex(self.folder / "a", map_bytes=1 << 20)
        self.seen: list[Entry] = []
        self.deleted: dict[str, int] = {}

    def alive(self) -> dict[str, list[Entry]]:
        """The objects of each UID: of equal bytes the one of the highest rank; the current one last."""
        found: dict[str, dict[bytes, Entry]] = {}
        for entry in self.seen:
            if entry.received_ns > self.deleted.get(entry.sop_instance_uid, -1):
                same = found.setdefault(entry.sop_instance_uid, {})
                other = same.get(entry.sha256)
                if other is None or rank(entry) > rank(other):
                    same[entry.sha256] = entry
        return {uid: sorted(same.values(), key=rank) for uid, same in found.items()}

    @rule(batch=st.lists(entries(), min_size=1, max_size=6))
    def apply(self, batch: list[Entry]) -> None:
        self.index.apply(batch)
        self.seen += batch

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if self.seen:
            self.index.apply(data.draw(st.lists(st.sampled_from(self.seen), max_size=4)))

    @rule(instance=st.integers(0, 6), time=st.integers(1, 40))
    def delete(self, instance: int, time: int) -> None:
        uid = f"1.9.{instance}"
        if time % 2:
            self.index.apply([], tombstones=[Tombstone(uid, time)])
            self.deleted[uid] = max(self.deleted.get(uid, -1), time)
        elif uid in self.alive():
            self.index.remove("instance", uid, received_ns=time)
            self.deleted[uid] = max(self.deleted.get(uid, -1), time)

    @rule(study=numbers, time=st.integers(1, 40))
    def delete_study(self, study: int, time: int) -> None:
        for uid, same in self.alive().items():
            if same[-1].study_instance_uid == f"1.{study}":
                self.deleted[uid] = max(self.deleted.get(uid, -1), time)
        self.index.remove("study", f"1.{study}", received_ns=time)

    @invariant()
    def agrees(self) -> None:
        alive = self.alive()
        current = {uid: same[-1] for uid, same in alive.items()}
        studies = {e.study_instance_uid for e in current.values()}
        series = {(e.study_instance_uid, e.series_instance_uid) for e in current.values()}
        statistics = self.index.statistics()
        assert statistics.instances == len(current)
        assert statistics.series == len(series)
        assert statistics.studies == len(studies)
        assert statistics.versions == sum(len(same) - 1 for same in alive.values())
        assert statistics.total_bytes == sum(e.location.length for e in current.values())
        for i in range(7):
            uid = f"1.9.{i}"
            record = self.index.lookup([uid])[0]
            assert (record is None) == (uid not in current)
            if record is not None:
                assert record.sha256 == current[uid].sha256
                assert record.study_instance_uid == current[uid].study_instance_uid
                assert {v.sha256 for v in self.index.versions(uid)} == {e.sha256 for e in alive[uid][:-1]}
        for study in studies:
            modalities = {self.first_modality(current, s) for s in series if s[0] == study} - {""}
            found = self.index.study(study)
            assert found is not None
            assert set(found.modalities) == modalities
            for modality in modalities:
                page = self.index.search("study", parse_query("study", {"ModalitiesInStudy": modality}))
                assert study in {row["StudyInstanceUID"] for row in page.to_dicts()}

    @staticmethod
    def first_modality(current: dict[str, Entry], series: tuple[str, str]) -> str:
        own = [e for e in current.values() if (e.study_instance_uid, e.series_instance_uid) == series]
        attributes = min(own, key=lambda e: e.sop_instance_uid).attributes[2]
        at = attributes.find(b"\x60\x00\x08\x00CS")
        return attributes[at + 8 : at + 8 + attributes[at + 6]].decode() if at >= 0 else ""

    def teardown(self) -> None:
        try:
            assert self.index.verify() == []
            self.rebuilt_equals()
        finally:
            self.index.close()
            shutil.rmtree(self.folder)

    def rebuilt_equals(self) -> None:
        """An index made from the same objects in another order gives the same answers."""
        again = LmdbIndex(self.folder / "b", map_bytes=1 << 20)
        try:
            again.apply([], tombstones=[Tombstone(uid, time) for uid, time in self.deleted.items()])
            again.apply(list(reversed(self.seen)))
            for level in ("patient", "study", "series", "instance"):
                query = parse_query(level, includefield="all")  # type: ignore[arg-type]
                one, two = (
                    sorted(json.dumps(row) for row in json.loads(index.search(query.level, query).to_json("u")))
                    for index in (self.index, again)
                )
                assert one == two, level
        finally:
            again.close()


IndexMachine.TestCase.settings = settings(
    max_examples=10, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
TestIndexState = IndexMachine.TestCase
