"""Patients have match keys of whole values only: what parts of values find must be what a walk over all finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hilum.index import plan
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import make_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["Smith^John", "Smithson^Jane", "Müller^Jörg", "Yamada^Tarou=山田^太郎", "Smith^", "Li^Wei", ""]
KEYS = [
    ("PatientName", text)
    for text in ("Smith*", "s*", "smi*", "SMITH^*", "*son*", "*a*", "?i*", "Mueller*", "mull*", "*^J*", "山*", "*=山*")
] + [("PatientID", text) for text in ("P*", "P1*", "P12*", "*1*", "*01*", "?1", "P1\\P2*")]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbIndex]:
    made = LmdbIndex(tmp_path_factory.mktemp("index") / "index", map_bytes=1 << 20)
    entries = [
        make_entry(
            f"1.{n}", f"1.{n}.1", f"1.{n}.1.1",
            attributes={
                "PatientName": NAMES[n * 5 % len(NAMES)], "PatientID": f"P{n * 7 % 25}",
                "StudyDate": f"202401{1 + n * 11 % 28:02d}",
            },
        )
        for n in range(1, 80)
    ]  # fmt: skip
    for start in range(0, len(entries), 30):
        made.apply(entries[start : start + 30])
    yield made
    assert made.verify() == []
    made.close()


def patients(index: LmdbIndex, key: str, text: str, **options: object) -> tuple[list[object], int | None]:
    result = index.search("patient", parse_query("patient", {key: text}, **options))  # type: ignore[arg-type]
    return [row["PatientID"] for row in result.to_dicts()], result.total


@pytest.mark.parametrize(("key", "text"), KEYS)
@pytest.mark.parametrize("fuzzy", [False, True])
def test_parts_of_values_find_what_a_walk_finds(
    index: LmdbIndex, monkeypatch: pytest.MonkeyPatch, key: str, text: str, *, fuzzy: bool
) -> None:
    if fuzzy:
        text = text.strip("*?").replace("*", "")
    options = {"fuzzy": fuzzy}
    found = patients(index, key, text, **options)
    page = patients(index, key, text, limit=3, offset=1, **options)[0]
    assert page == found[0][1:4]
    with monkeypatch.context() as patch:
        patch.setattr(plan, "PATIENT_LIMIT", -1)
        assert patients(index, key, text, **options) == found
    monkeypatch.setattr(plan.Planner, "best", lambda _self, _matches: None)
    assert patients(index, key, text, **options) == found


def test_patients_follow_their_studies(index: LmdbIndex) -> None:
    """A patient is found by the value that its studies give it, not by another study's value."""
    one = make_entry("2.1", "2.1.1", "2.1.1.1", attributes={"PatientName": "First^Name", "PatientID": "Q1"})
    two = make_entry("2.2", "2.2.1", "2.2.1.1", attributes={"PatientName": "Second^Name", "PatientID": "Q1"})
    index.apply([two])
    assert patients(index, "PatientName", "Seco*")[0] == ["Q1"]
    index.apply([one])
    assert patients(index, "PatientName", "Seco*")[0] == []
    assert patients(index, "PatientName", "Fir*")[0] == ["Q1"]
    index.remove("study", "2.1", received_ns=1 << 62)
    assert patients(index, "PatientName", "Seco*")[0] == ["Q1"]
    assert patients(index, "PatientName", "*first*")[0] == []
