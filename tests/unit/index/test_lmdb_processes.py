"""Many threads and processes on one index: growth of the map, forks, two writers, killed writers and readers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hilum.errors import DataError, NotFound, Unavailable
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from pathlib import Path

WRITER = r"""
import itertools, sys
from pathlib import Path
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.synthetic import synthetic_entries
index = LmdbIndex(Path(sys.argv[1]), map_bytes=1 << 20)
seed, studies = int(sys.argv[2]), int(sys.argv[3])
entries = synthetic_entries(studies, instances=5, seed=seed)
done = 0
while batch := list(itertools.islice(entries, 20)):
    index.apply(batch, packs={seed: done})
    done += len(batch)
    print(done, flush=True)
index.close()
"""

READER = r"""
import sys, time
from pathlib import Path
from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
index = LmdbIndex(Path(sys.argv[1]), map_bytes=1 << 20)
end = time.monotonic() + float(sys.argv[2])
print("ready", flush=True)
while time.monotonic() < end:
    page = index.search("study", parse_query("study", limit=20))
    for row in page.to_dicts():
        # A study comes whole, in one transaction, and does not change after it.
        assert row["NumberOfStudyRelatedInstances"] == len(index.instances(row["StudyInstanceUID"])) > 0
    statistics = index.statistics()
    assert statistics.instances >= statistics.series >= 0
index.close()
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-3000:]
    return out


def test_two_processes_write_while_others_read_and_the_map_grows(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = LmdbIndex(path, map_bytes=1 << 20)
    readers = [start(READER, path, 3) for _ in range(2)]
    writers = [start(WRITER, path, seed, 100) for seed in (1, 2)]
    while any(w.poll() is None for w in writers):
        index.search("study", parse_query("study", {"PatientName": "S*"}, limit=5))
    for process in (*writers, *readers):
        finish(process)
    statistics = index.statistics()
    assert statistics.studies == 200
    assert statistics.instances == 1000
    assert index.statistics().index_bytes > 1 << 20, "the map has grown"
    assert index.verify() == []
    index.close()


def test_killed_writers_and_readers_leave_a_whole_index(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = LmdbIndex(path, map_bytes=1 << 20)
    acknowledged = 0
    for seed in range(1, 6):
        writer = start(WRITER, path, seed, 200)
        reader = start(READER, path, 60)
        assert reader.stdout is not None
        assert writer.stdout is not None
        reader.stdout.readline()
        for _ in range(seed):
            writer.stdout.readline()
        for process in (reader, writer):
            process.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        reader.communicate()
        acknowledged += int(rest.split()[-1]) if rest.split() else seed * 20
        started = time.monotonic()
        index.apply(list(synthetic_entries(1, seed=100 + seed)))
        assert time.monotonic() - started < 10, "a dead writer's lock is free at once"
    assert index.statistics().instances >= acknowledged
    assert index._env.reader_check() >= 0
    assert index.verify() == []
    index.close()


def test_threads_share_one_index(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index", map_bytes=1 << 20)
    stop = threading.Event()

    def read() -> int:
        rounds = 0
        while not stop.is_set():
            page = index.search("series", parse_query("series", limit=30, offset=rounds % 7))
            assert all(row["NumberOfSeriesRelatedInstances"] for row in page.to_dicts())
            rounds += 1
        return rounds

    def write(seed: int) -> None:
        for first in range(0, 40, 8):
            index.apply(list(synthetic_entries(8, series=2, instances=2, seed=seed, first=first)))

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for writer in [pool.submit(write, seed) for seed in (1, 2, 3)]:
            writer.result()
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
    assert index.statistics().studies == 120
    assert index.verify() == []
    index.close()


def test_a_forked_child_reads_and_writes(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index")
    index.apply(list(synthetic_entries(2)))
    child = os.fork()
    if child == 0:
        try:
            good = index.statistics().studies == 2
            index.apply(list(synthetic_entries(3, seed=9)))
            os._exit(0 if good and index.statistics().studies == 5 else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert index.statistics().studies == 5
    index.apply(list(synthetic_entries(1, seed=10)))
    assert index.statistics().studies == 6
    index.close()


def test_a_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index")
    index.apply(list(synthetic_entries(1)))
    with index._env.read() as txn:
        before = txn.entries("study")
        writer = threading.Thread(target=lambda: index.apply(list(synthetic_entries(5, seed=3))))
        writer.start()
        writer.join()
        assert txn.entries("study") == before
    assert index.statistics().studies == 6
    index.close()


def test_reading_only(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        LmdbIndex(tmp_path / "none", read_only=True)
    index = LmdbIndex(tmp_path / "index")
    index.apply(list(synthetic_entries(1)))
    index.close()
    with pytest.raises(Unavailable):
        index.statistics()
    again = LmdbIndex(tmp_path / "index", read_only=True)
    assert again.statistics().studies == 1
    with pytest.raises(Unavailable):
        again.apply(list(synthetic_entries(1, seed=2)))
    again.close()


def test_another_format_is_refused(tmp_path: Path) -> None:
    index = LmdbIndex(tmp_path / "index")
    index._env.write(lambda txn: txn.put("meta", b"format", (99).to_bytes(4, "little")))
    index.close()
    with pytest.raises(DataError, match="99"):
        LmdbIndex(tmp_path / "index")


def test_not_a_database(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(DataError, match="rebuild"):
        LmdbIndex(folder)


def test_a_failed_commit_stops_writing_unless_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    import lmdb

    from hilum.index import environment

    class Full:
        f_bavail = 0
        f_frsize = 4096

    error = lmdb.Error("mdb_txn_commit", errno.EIO)
    error.code = errno.EIO
    assert not environment._is_full(error, tmp_path)
    monkeypatch.setattr(environment.os, "statvfs", lambda path: Full())
    assert environment._is_full(error, tmp_path)
    monkeypatch.undo()
    index = LmdbIndex(tmp_path / "index")

    def fail(txn: object) -> None:
        index._env._broken = "a commit of the index failed"

    index._env.write(fail)
    with pytest.raises(Unavailable, match="open the archive again"):
        index.apply(list(synthetic_entries(1)))
    assert index.statistics().studies == 0
    index.close()
