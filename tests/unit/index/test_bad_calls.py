"""Arguments that no query can have are named, not guessed at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hilum.errors import UsageError
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 1.5), ("limit", "x"), ("limit", -1), ("limit", 2**62), ("limit", b"1"),
        ("offset", None), ("offset", 0.0), ("offset", "1"), ("offset", -1), ("offset", 2**70),
        ("as_of", "7"), ("as_of", -1),
    ],
)  # fmt: skip
def test_a_position_is_a_whole_number(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name} must be"):
        parse_query("study", **{name: value})


@pytest.mark.parametrize("keys", [{"StudyInstanceUID": []}, {"PatientName": ()}, {"00100020": []}])
def test_an_empty_list_matches_nothing_by_accident(keys: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError, match="lists no value"):
        parse_query("study", keys)


def test_events_are_counted_by_whole_numbers(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index")
    index.apply(list(synthetic_entries(3)))
    for since in (2**70, -1, 1.0, "1", None):
        with pytest.raises(UsageError, match="since must be"):
            index.events(since)  # type: ignore[arg-type]
    for limit in (-1, 0.5, None):
        with pytest.raises(UsageError, match="limit must be"):
            index.events(0, limit)  # type: ignore[arg-type]
    assert [event.sequence for event in index.events(1, 1)] == [2]
    assert index.events(2**61) == []
    index.close()
