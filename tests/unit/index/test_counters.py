"""Counters spread where there is much to count, fold where there is little, and always tell the place of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hilum.index import check, counters
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import make_entry

if TYPE_CHECKING:
    from pathlib import Path


def study(number: int) -> object:
    """Studies of few days and times, some of none."""
    attributes: dict[str, object] = {"PatientID": f"P{number}"}
    if number % 5:
        attributes |= {"StudyDate": f"2024010{number % 3 + 1}", "StudyTime": f"10{number % 7:02d}{number % 11:02d}"}
    return make_entry(f"1.{number}", f"1.{number}.1", f"1.{number}.1.1", attributes=attributes)


@pytest.mark.parametrize("spread", [1, 3, 20, 1000])
def test_counters_follow_what_they_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: int) -> None:
    for module in (check, counters):
        monkeypatch.setattr(module, "COUNTER_SPREAD", spread)
    index = LmdbIndex(tmp_path / "index", map_bytes=1 << 20)
    for first in range(0, 60, 12):
        index.apply([study(n) for n in range(first, first + 12)])  # type: ignore[misc]
        assert index.verify() == []
    everything = index.search("study", parse_query("study")).ids
    for offset in (0, 1, 17, 44, 59, 60, 99):
        page = index.search("study", parse_query("study", limit=5, offset=offset))
        assert page.ids == everything[offset : offset + 5]
        assert page.total == 60
    day = index.search("study", parse_query("study", {"StudyDate": "20240102"}, limit=4, offset=3))
    assert day.total == len(index.search("study", parse_query("study", {"StudyDate": "20240102"})))
    for number in range(0, 60, 2):
        index.remove("study", f"1.{number}", received_ns=1 << 62)
        if number % 10 == 0:
            assert index.verify() == []
    assert index.search("study", parse_query("study", limit=1)).total == 30
    for number in range(1, 60, 2):
        index.remove("study", f"1.{number}", received_ns=1 << 62)
    assert index.verify() == []
    with index._env.read() as txn:
        assert txn.entries("count") == 0
        assert txn.entries("match") == 0
        assert txn.entries("order") == 0
    index.close()
