"""Why not: refusals are merged, and one peer takes no place from another (ADM-9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hilum.archive import refusals
from hilum.archive.refusals import Refusals, read_refusals

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that tests let pass."""
    now = [1000.0]
    monkeypatch.setattr(refusals.time, "time", lambda: now[0])
    return now


def test_what_is_the_same_is_told_once(tmp_path: Path, clock: list[float]) -> None:
    noted = Refusals(tmp_path)
    for _ in range(3):
        noted.add("CT1", "192.0.2.1", "store", "disk full")
        clock[0] += 5
    noted.add("CT1", "192.0.2.1", "store", "malformed")
    newest, other = read_refusals(tmp_path)
    assert (newest.reason, newest.count) == ("malformed", 1)
    assert (other.reason, other.count, other.time) == ("disk full", 3, 1010.0)


def test_within_a_second_they_are_counted_and_not_written(tmp_path: Path, clock: list[float]) -> None:
    noted = Refusals(tmp_path)
    for _ in range(50):
        noted.add("CT1", "192.0.2.1", "store", "disk full")
    assert (tmp_path / "refusals.jsonl").read_text().count("\n") == 1
    clock[0] += 2
    noted.add("CT1", "192.0.2.1", "store", "disk full")
    assert [item.count for item in read_refusals(tmp_path)] == [51]


def test_a_noisy_peer_takes_no_place_from_others(tmp_path: Path, clock: list[float]) -> None:
    noted = Refusals(tmp_path)
    noted.add("QUIET", "192.0.2.1", "find", "the service is not allowed for this AE title")
    for number in range(8000):
        clock[0] += 1.5
        noted.add("NOISY", "192.0.2.2", "store", f"reason {number}")
    assert (tmp_path / "refusals.jsonl").stat().st_size < 600 << 10
    assert len(read_refusals(tmp_path, peer="QUIET")) == 1
    last = read_refusals(tmp_path, peer="NOISY", limit=1000)
    assert [item.reason for item in last] == [f"reason {number}" for number in range(7999, 7899, -1)]


def test_titles_that_are_made_up_take_no_place_either(tmp_path: Path, clock: list[float]) -> None:
    noted = Refusals(tmp_path)
    noted.add("QUIET", "192.0.2.1", "find", "the service is not allowed for this AE title")
    for number in range(8000):
        clock[0] += 1.5
        noted.add(f"X{number}", "192.0.2.2", "associate", "the calling AE title is not in dimse.peers")
    assert len(read_refusals(tmp_path, peer="QUIET")) == 1
    assert len(read_refusals(tmp_path, limit=1000)) == 401
