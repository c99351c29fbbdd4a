"""What one transaction leaves in memory to the next gives the same databases as reading everything again."""

from __future__ import annotations

import dataclasses
import os
import random
from typing import TYPE_CHECKING, Any

import lmdb
import pytest

from hilum.index import additions, check, counters, environment, writer
from hilum.index.additions import Additions
from hilum.index.environment import DATABASES
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hilum.index.base import Entry

Rows = dict[str, list[tuple[bytes, bytes]]]


def entries() -> list[Entry]:
    """Two studies whose instances come mixed: some start a series, some change what a series or its study is."""
    found = list(synthetic_entries(2, instances=12, seed=5))
    random.Random(7).shuffle(found)
    return [dataclasses.replace(entry, received_ns=1000 + i) for i, entry in enumerate(found)]


def rows(index: LmdbIndex) -> Rows:
    """Everything in the index but the times of events."""
    with index._env.read() as txn:
        found = {name: [(key, record[4:]) for key, record in txn.walk(name)] for name in DATABASES if name != "match"}
        found["match"] = list(txn.new_cursor("match").iternext())
    found["event"] = [(key, body[:8] + body[16:]) for key, body in found["event"]]
    return found


def read_anew(path: Path, one_by_one: list[Entry]) -> Rows:
    index = LmdbIndex(path)
    for at, entry in enumerate(one_by_one):
        index._remembered = None
        index.apply([entry], packs={1: at})
    found = rows(index)
    index.close()
    return found


def remembers(index: LmdbIndex) -> bool:
    return index._remembered is not None


def in_a_child(index: LmdbIndex, entry: Entry, packs: dict[int, int]) -> None:
    child = os.fork()
    if child == 0:
        try:
            index.apply([entry], packs=packs)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("others", [0, 2, 3], ids=["alone", "in turns", "now and then"])
def test_the_databases_are_the_same(tmp_path: Path, others: int) -> None:
    index = LmdbIndex(tmp_path / "index")
    used = 0
    for at, entry in enumerate(entries()):
        if others and at % others == 0:
            in_a_child(index, entry, {1: at})
        else:
            index.apply([entry], packs={1: at})
            used += remembers(index)
    assert used, "nothing was remembered: the test shows nothing"
    assert rows(index) == read_anew(tmp_path / "anew", entries())
    assert index.verify() == []
    index.close()


def apply_in_groups(path: Path, found: list[Entry], size: int, *, remember: bool) -> Rows:
    """Apply so many entries in each transaction; checked."""
    index = LmdbIndex(path)
    for at in range(0, len(found), size):
        if not remember:
            index._remembered = None
        index.apply(found[at : at + size], packs={1: at, 2: at})
    made = rows(index)
    assert index.verify() == []
    index.close()
    return made


@pytest.mark.parametrize("most", [0, 1, 2])
def test_little_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Of two series in turns none, the last one, or both."""
    monkeypatch.setattr(writer, "MOST", most)
    index = LmdbIndex(tmp_path / "index")
    for at, entry in enumerate(entries()):
        index.apply([entry], packs={1: at})
        assert (0 if index._remembered is None else len(index._remembered.serieses)) <= most
    assert remembers(index) == (most > 0)
    assert rows(index) == read_anew(tmp_path / "anew", entries())
    index.close()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("spread", [0, 512], ids=["all counters", "few counters"])
def test_the_short_way_leaves_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, spread: int) -> None:
    """Instances of many series in turns, in two packs, of two classes, some with long frame tables."""
    for module in (additions, check, counters):
        monkeypatch.setattr(module, "COUNTER_SPREAD", spread)
    taken = 0
    whole = Additions.add

    def counted(self: Additions, *arguments: Any) -> Any:
        nonlocal taken
        taken += 1
        return whole(self, *arguments)

    monkeypatch.setattr(Additions, "add", counted)
    found = [
        dataclasses.replace(
            entry,
            location=dataclasses.replace(entry.location, pack=1 + at % 2),
            sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{2 + at % 3 // 2}",
            frame_table=os.urandom(600) if at % 5 == 0 else entry.frame_table,
        )
        for at, entry in enumerate(sorted(entries(), key=lambda entry: entry.sop_instance_uid[::-1]))
    ]
    short = apply_in_groups(tmp_path / "short", found, size, remember=True)
    assert taken > len(found) / size / 5, "hardly anything went the short way: the test shows little"
    already = taken
    assert short == apply_in_groups(tmp_path / "whole", found, size, remember=False)
    assert taken == already


def test_a_transaction_that_runs_again_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map is full at the end of an attempt that has changed what was remembered."""
    index = LmdbIndex(tmp_path / "index", map_bytes=1 << 20)
    failed: set[int] = set()
    attempt = environment.Environment._attempt

    def failing(self: environment.Environment, env: Any, work: Callable[[environment.Transaction], Any]) -> Any:
        def fails_once(txn: environment.Transaction) -> Any:
            result = work(txn)
            if len(failed) < 6 and txn.number not in failed:
                failed.add(txn.number)
                raise lmdb.MapFullError("mdb_put")
            return result

        return attempt(self, env, fails_once)

    monkeypatch.setattr(environment.Environment, "_attempt", failing)
    for at, entry in enumerate(entries()):
        index.apply([entry], packs={1: at})
    monkeypatch.undo()
    assert len(failed) == 6
    assert rows(index) == read_anew(tmp_path / "anew", entries())
    index.close()


def test_deletion_and_versions_leave_nothing_to_remember(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index")
    first, *rest = entries()
    index.apply([first])
    assert remembers(index)
    index.apply([dataclasses.replace(first, sha256=bytes(32), received_ns=5000)])
    assert not remembers(index)
    index.apply(rest)
    index.remove("instance", rest[0].sop_instance_uid, received_ns=9000)
    index.apply([dataclasses.replace(rest[0], received_ns=9001)])
    assert index.verify() == []
    index.close()
