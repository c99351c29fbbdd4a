"""What every index must do, written against the Protocol: a backend adds its factory to ``BACKENDS``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hilum.errors import Conflict, UsageError
from hilum.index.base import REPLACES, EventKind, Outcome, Tombstone
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import RECEIVED_NS, make_entry, synthetic_entries
from hilum.types import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hilum.index.base import Entry, Index

BACKENDS: dict[str, Callable[[Path], Index]] = {
    "lmdb": lambda path: LmdbIndex(path / "index", map_bytes=1 << 20),
}


@pytest.fixture(params=sorted(BACKENDS))
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    made = BACKENDS[request.param](tmp_path)
    yield made
    made.close()


def found(index: Index, level: str, keys: dict[str, str] | None = None, **options: object) -> list[dict[str, object]]:
    return index.search(level, parse_query(level, keys, **options)).to_dicts()  # type: ignore[arg-type]


def uids(index: Index, level: str, keys: dict[str, str] | None = None, **options: object) -> list[object]:
    name = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}[level]
    return [row[name] for row in found(index, level, keys, **options)]


def entry(uid: str, study: str = "1.1", series: str = "1.1.1", received: int = 0, **attributes: object) -> Entry:
    return make_entry(study, series, uid, attributes=attributes, received_ns=RECEIVED_NS + received)


def test_an_empty_index_answers_nothing(index: Index) -> None:
    for level in ("patient", "study", "series", "instance"):
        assert found(index, level) == []
    assert index.lookup(["1.2"]) == [None]
    assert index.study("1.2") is None
    assert index.series("1.2") is None
    assert index.series_of("1.2") == []
    assert index.instances("1.2") == []
    assert index.events() == []
    assert index.packs() == []
    assert index.statistics().instances == 0
    assert index.apply([]) == []


def test_what_is_applied_is_found_at_every_level(index: Index) -> None:
    one = entry("1.1.1.1", PatientName="Müller^Jörg", PatientID="P1", StudyDate="20240102", Modality="CT")
    assert index.apply([one], packs={3: 5000}) == [Outcome.STORED]
    record = index.lookup([one.sop_instance_uid])[0]
    assert record is not None
    assert record.location == one.location
    assert record.sha256 == one.sha256
    assert record.frame_table == one.frame_table
    assert record.pixels == one.pixels
    assert record.study_instance_uid == "1.1"
    assert record.series_instance_uid == "1.1.1"
    assert found(index, "patient", {"PatientID": "P1"})[0]["NumberOfPatientRelatedInstances"] == 1
    assert found(index, "study", {"PatientName": "MULLER^JORG"})[0]["ModalitiesInStudy"] == "CT"
    assert uids(index, "series", {"Modality": "CT"}) == ["1.1.1"]
    assert uids(index, "instance", {"SOPInstanceUID": "1.1.1.1"}) == ["1.1.1.1"]
    assert index.packs()[1 if len(index.packs()) > 1 else 0].indexed_to == 5000


def test_children_come_in_display_order(index: Index) -> None:
    entries = [
        entry(f"1.1.{s}.{i}", series=f"1.1.{s}", SeriesNumber=str(20 - s), InstanceNumber=str(12 - i))
        for s in (1, 2, 11)
        for i in (1, 2, 3, 10)
    ]
    index.apply(entries)
    assert [s.series_instance_uid for s in index.series_of("1.1")] == ["1.1.11", "1.1.2", "1.1.1"]
    assert [i.sop_instance_uid for i in index.instances("1.1", "1.1.2")] == [
        "1.1.2.10", "1.1.2.3", "1.1.2.2", "1.1.2.1",
    ]  # fmt: skip
    assert len(index.instances("1.1")) == 12
    assert uids(index, "instance", {"StudyInstanceUID": "1.1"}) == [i.sop_instance_uid for i in index.instances("1.1")]


def test_the_same_bytes_again_change_nothing(index: Index) -> None:
    one = entry("1.1.1.1", PatientID="P1")
    index.apply([one])
    before = index.statistics()
    assert index.apply([one, one]) == [Outcome.DUPLICATE, Outcome.DUPLICATE]
    assert index.statistics().instances == before.instances
    assert index.packs()[0].dead_bytes == 0, "a replay of the same record kills nothing"


def test_a_conflict_is_kept_and_may_replace(index: Index) -> None:
    first = make_entry("1.1", "1.1.1", "1.9", content=b"a", received_ns=10, attributes={"PatientID": "A"})
    second = make_entry("1.1", "1.1.1", "1.9", content=b"b", received_ns=20, attributes={"PatientID": "B"})
    third = make_entry(
        "1.2", "1.2.1", "1.9", content=b"c", received_ns=30, flags=REPLACES, attributes={"PatientID": "C"}
    )
    assert index.apply([first]) == [Outcome.STORED]
    assert index.apply([second, third]) == [Outcome.CONFLICT_KEPT, Outcome.REPLACED]
    current = index.lookup(["1.9"])[0]
    assert current is not None
    assert current.sha256 == third.sha256
    assert [v.sha256 for v in index.versions("1.9")] == [first.sha256, second.sha256]
    assert uids(index, "study") == ["1.2"], "the replaced object's study has nothing left"
    assert index.apply([first, second, third]) == [Outcome.DUPLICATE] * 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_which_version_is_current_does_not_depend_on_the_order(index: Index, order: tuple[int, ...]) -> None:
    entries = [
        make_entry("1.1", "1.1.1", "1.9", content=b"a", received_ns=10),
        make_entry("1.1", "1.1.1", "1.9", content=b"b", received_ns=20, flags=REPLACES),
        make_entry("1.1", "1.1.1", "1.9", content=b"c", received_ns=30),
    ]
    for i in order:
        index.apply([entries[i]])
    current = index.lookup(["1.9"])[0]
    assert current is not None
    assert current.sha256 == entries[1].sha256
    assert len(index.versions("1.9")) == 2


def test_removal_takes_the_parents_that_are_empty(index: Index) -> None:
    index.apply(list(synthetic_entries(3, series=2, instances=2)))
    study = str(uids(index, "study")[0])
    gone = index.remove("study", study, received_ns=RECEIVED_NS)
    assert len(gone) == 4
    assert index.study(study) is None
    assert index.statistics().studies == 2
    assert index.remove("study", study, received_ns=RECEIVED_NS) == []
    again = [e for e in synthetic_entries(3, series=2, instances=2) if e.study_instance_uid == study]
    assert index.apply(again) == [Outcome.DELETED] * 4, "a replay does not bring deleted objects back"
    newer = make_entry(study, again[0].series_instance_uid, again[0].sop_instance_uid, received_ns=RECEIVED_NS + 1)
    assert index.apply([newer]) == [Outcome.STORED]


def test_a_tombstone_works_before_its_object_comes(index: Index) -> None:
    index.apply([], tombstones=[Tombstone("1.9", 50)])
    assert index.apply([make_entry("1.1", "1.1.1", "1.9", received_ns=50)]) == [Outcome.DELETED]
    assert index.apply([make_entry("1.1", "1.1.1", "1.9", received_ns=51)]) == [Outcome.STORED]


def test_a_series_has_the_attributes_of_its_smallest_uid(index: Index) -> None:
    entries = [entry(f"1.1.1.{i}", SeriesDescription=f"d{i}", StudyDescription=f"s{i}") for i in (3, 1, 2)]
    for one in entries:
        index.apply([one])
    assert found(index, "series")[0]["SeriesDescription"] == "d1"
    assert found(index, "study")[0]["StudyDescription"] == "s1"
    index.remove("instance", "1.1.1.1", received_ns=RECEIVED_NS)
    assert found(index, "series")[0]["SeriesDescription"] == "d2"
    assert uids(index, "study", {"StudyDescription": "s2"}) == ["1.1"]
    assert uids(index, "study", {"StudyDescription": "s1"}) == []


def test_a_study_takes_what_its_first_series_lacks_from_the_next(index: Index) -> None:
    index.apply([entry("1.1.2.1", series="1.1.2", StudyDate="20200101", PatientID="B", PatientSex="M")])
    index.apply([entry("1.1.1.1", series="1.1.1", StudyDate="20210101", PatientID="A")])
    study = found(index, "study")[0]
    assert study["StudyDate"] == "20210101"
    assert study["PatientSex"] == "M"
    assert uids(index, "study", {"PatientID": "A"}) == ["1.1"]
    assert uids(index, "study", {"PatientID": "B"}) == []
    assert [p["PatientID"] for p in found(index, "patient")] == ["A"]


def test_events_tell_what_happened_in_order(index: Index) -> None:
    index.apply([entry("1.1.1.1"), entry("1.1.1.2")])
    index.remove("instance", "1.1.1.2", received_ns=RECEIVED_NS)
    events = index.events()
    assert [(e.sequence, e.kind) for e in events] == [(1, EventKind.STORED), (2, EventKind.DELETED)]
    assert events[0].sop_instance_uids == ("1.1.1.1", "1.1.1.2")
    assert [e.sequence for e in index.events(since=1)] == [2]
    assert index.events(since=2) == []
    assert len(index.events(limit=1)) == 1


def test_every_change_makes_another_revision(index: Index) -> None:
    seen = [index.revision()]
    index.apply([entry("1.1.1.1")])
    seen.append(index.revision())
    index.lookup(["1.1.1.1"])
    assert index.revision() == seen[-1]
    index.remove("instance", "1.1.1.1", received_ns=RECEIVED_NS)
    seen.append(index.revision())
    index.clear()
    seen.append(index.revision())
    assert len(set(seen)) == 4


def test_compaction_moves_objects(index: Index) -> None:
    one = entry("1.1.1.1")
    index.apply([one])
    new = Location(7, 4224, one.location.length)
    assert index.move([("1.1.1.1", one.location, new), ("1.1.1.1", one.location, new), ("1.5", new, new)]) == 1
    assert index.lookup(["1.1.1.1"])[0].location == new  # type: ignore[union-attr]
    states = {p.number: p for p in index.packs()}
    assert states[7].live_objects == 1
    assert states[1].live_objects == 0
    assert [r.sop_instance_uid for r in index.locations(7)] == ["1.1.1.1"]
    with pytest.raises(Conflict):
        index.forget_pack(7)
    index.forget_pack(1)
    assert [p.number for p in index.packs()] == [7]


def test_pages_stay_put_while_studies_come_in(index: Index) -> None:
    index.apply(list(synthetic_entries(60, seed=2)))
    first = index.search("study", parse_query("study", limit=7))
    seen = list(first.ids)
    offset = 7
    while True:
        index.apply(list(synthetic_entries(5, seed=3, first=offset * 100)))
        page = index.search("study", parse_query("study", limit=7, offset=offset, as_of=first.as_of))
        assert page.total == 60
        if not page.ids:
            break
        seen += page.ids
        offset += 7
    assert len(seen) == len(set(seen)) == 60


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_every_offset_of_the_whole_list(index: Index, level: str) -> None:
    index.apply(list(synthetic_entries(30, series=2, instances=3)))
    whole = index.search(level, parse_query(level))  # type: ignore[arg-type]
    assert whole.total == len(whole.ids) == {"study": 30, "series": 60, "instance": 180}[level]
    for offset in range(0, len(whole.ids) + 3, 7):
        page = index.search(level, parse_query(level, limit=4, offset=offset))  # type: ignore[arg-type]
        assert page.ids == whole.ids[offset : offset + 4]
        assert page.remaining == max(0, len(whole.ids) - offset - 4)


def test_clear_forgets_everything_but_ids(index: Index) -> None:
    index.apply([entry("1.1.1.1")])
    before = index.lookup(["1.1.1.1"])[0]
    index.clear()
    assert index.statistics().instances == 0
    assert index.events() == []
    index.apply([entry("1.1.1.1")])
    after = index.lookup(["1.1.1.1"])[0]
    assert before is not None
    assert after is not None
    assert after.id > before.id


def test_answers_are_dicom_json(index: Index) -> None:
    index.apply([
        entry(
            "1.1.1.1",
            PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
            StudyDate="20240102",
            Modality="MR",
            SeriesNumber="4",
            RequestAttributesSequence=[{"ScheduledProcedureStepID": "SPS1", "RequestedProcedureID": "R\"1"}, {}],
        )
    ])  # fmt: skip
    query = parse_query("series", {"StudyInstanceUID": "1.1"}, includefield="PatientName,SeriesDescription")
    (row,) = json.loads(index.search("series", query).to_json("http://h/dicom-web"))
    assert row["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    assert row["00200011"] == {"vr": "IS", "Value": [4]}
    assert row["00081190"]["Value"] == ["http://h/dicom-web/studies/1.1/series/1.1.1"]
    assert row["0020000D"]["Value"] == ["1.1"]
    assert row["00400275"]["Value"][0]["00401001"] == {"vr": "SH", "Value": ['R"1']}
    assert row["00400275"]["Value"][1] == {}
    assert row["00080005"]["Value"] == ["ISO_IR 192"]
    assert "0008103E" not in row
    assert sorted(row) == list(row)


def test_bad_entries_are_refused(index: Index) -> None:
    for bad in ("", "1.2/../3", "x", "1" * 65):
        with pytest.raises(UsageError):
            index.apply([make_entry("1.1", "1.1.1", bad)])
        with pytest.raises(UsageError):
            index.apply([make_entry(bad, "1.1.1", "1.2")])
    assert index.statistics().instances == 0
