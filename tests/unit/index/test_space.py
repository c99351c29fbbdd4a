"""Space on disk after a bulk change, with readers that hold an old snapshot and writers of other processes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from hilum.index import space
from hilum.index.check import check_structure
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HOLDER = r"""
import sys
from pathlib import Path
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
index = LmdbIndex(Path(sys.argv[1]))
with index._env.read():
    before = index.search("study", parse_query("study", includefield="all")).to_json()
    print("holding", flush=True)
    sys.stdin.readline()
    assert index.search("study", parse_query("study", includefield="all")).to_json() == before
    assert len(index.search("study", parse_query("study", {"PatientName": "S*"}))) > 0
index.close()
"""


def fill(path: Path, studies: int = 900) -> LmdbIndex:
    index = LmdbIndex(path)
    for first in range(0, studies, 150):
        index.apply(list(synthetic_entries(150, first=first)), packs={1: first})
    return index


def transaction_number(index: LmdbIndex) -> int:
    with index._env.read() as txn:
        return txn.number


def test_tidying_takes_less_and_changes_nothing(tmp_path: Path) -> None:
    index = fill(tmp_path / "index")
    before, answer = index.statistics().index_bytes, index.search("study", parse_query("study")).to_json()
    index.tidy()
    assert index.statistics().index_bytes < before * 3 // 4
    assert index.search("study", parse_query("study")).to_json() == answer
    assert index.verify() == []
    index.apply(list(synthetic_entries(300, first=900)))
    index.tidy()
    assert index.statistics().studies == 1200
    index.close()
    assert check_structure(tmp_path / "index") == []
    again = LmdbIndex(tmp_path / "index")
    assert again.verify() == []
    again.close()


def test_databases_are_written_anew_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, so that both places are used; each time many transactions, after each of which answers are the same."""
    monkeypatch.setattr(space, "SLICE", 4_000)
    monkeypatch.setattr(space, "CHUNK", 16)
    index = fill(tmp_path / "index", 600)
    for count, places in ((600, 1), (3000, 2)):
        for first in range(index.statistics().studies, count, 150):
            index.apply(list(synthetic_entries(150, first=first)))
        query = parse_query("study", {"PatientName": "S*"}, includefield="all")
        answer = index.search("study", query).to_json()
        before, number = index.statistics().index_bytes, transaction_number(index)
        index.tidy()
        assert transaction_number(index) > number + 20 * places
        assert index.statistics().index_bytes < before * 3 // 4
        assert index.search("study", query).to_json() == answer
        assert index.verify() == []
        other = LmdbIndex(tmp_path / "other" / str(places))
        assert other.verify() == []
        other.close()
    index.close()
    assert check_structure(tmp_path / "index") == []
    again = LmdbIndex(tmp_path / "index", read_only=True)
    assert again.search("study", query).to_json() == answer
    again.close()


def test_a_copy_that_a_writer_comes_between_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "SLICE", 4_000)
    monkeypatch.setattr(space, "CHUNK", 16)
    index = fill(tmp_path / "index", 600)
    stock, first = space._copy_slice, [600]

    def copy_slice(*args: object) -> object:
        end = stock(*args)  # type: ignore[arg-type]
        interrupted.append(end)
        return end

    interrupted: list[object] = []
    monkeypatch.setattr(space, "_copy_slice", copy_slice)
    write = index._env.write

    def crowded(work: object) -> object:
        result = write(work)  # type: ignore[arg-type]
        write(lambda txn: index._apply(txn, list(synthetic_entries(1, first=first[0])), {}, ()))
        first[0] += 1
        return result

    monkeypatch.setattr(index._env, "write", crowded)
    space.refill(index._env)
    monkeypatch.undo()
    assert len(interrupted) >= space.ATTEMPTS
    assert index.verify() == []
    assert index.statistics().studies == first[0]
    index.tidy()
    assert index.verify() == []
    index.close()


def test_a_snapshot_that_another_process_reads_keeps_its_pages(tmp_path: Path) -> None:
    index = fill(tmp_path / "index")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "index"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    for first in range(900, 1500, 150):
        index.apply(list(synthetic_entries(150, first=first)))
    index.tidy()
    out, errors = holder.communicate("go\n", timeout=60)
    assert holder.returncode == 0, errors[-2000:] + out
    assert index.verify() == []
    index.close()


def test_a_file_system_without_holes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = fill(tmp_path / "index", 300)
    monkeypatch.setattr(space, "punch_hole", lambda *_: False)
    assert space.give_back(index._env) == 0
    index.tidy()
    assert index.verify() == []
    index.close()
