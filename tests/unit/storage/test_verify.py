"""Verification finds what is not as it was stored, and says how far it is."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from hilum.storage.base import NewRecord, PackSettings
from hilum.storage.packs import PackStore
from hilum.storage.verify import VerifyProgress, verify

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE = bytes(16)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three packs of five records."""
    with PackStore.open(tmp_path, archive_uuid=ARCHIVE, settings=PackSettings(reserve_bytes=0)) as store:
        for _ in range(3):
            store.append([NewRecord(1, [os.urandom(100_003)]) for _ in range(5)])
            store.seal()
    return tmp_path


def reading(root: Path) -> PackStore:
    return PackStore.open(root, archive_uuid=ARCHIVE, read_only=True)


def flip(root: Path, pack: int, position: int) -> None:
    path = root / "packs" / f"{pack:012d}.pack"
    data = bytearray(path.read_bytes())
    data[position] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize("threads", [1, 3])
def test_whole_packs(root: Path, threads: int) -> None:
    seen: list[VerifyProgress] = []
    report = verify(reading(root), threads=threads, progress=seen.append)
    assert (report.packs, report.records, report.damaged, report.unfinished) == (3, 15, (), ())
    assert report.bytes > 1_500_000
    assert (seen[-1].packs, seen[-1].records, seen[-1].damaged, seen[-1].position) == (3, 15, 0, {})
    assert seen[-1].bytes_per_second > 0
    assert [s.records for s in seen] == sorted(s.records for s in seen)


@pytest.mark.parametrize(("position", "records"), [(100, 15), (4100, 14), (4096 + 200, 14), (4096 + 128 + 100_003, 14)])
def test_damage_is_named(root: Path, position: int, records: int) -> None:
    flip(root, 2, position)
    report = verify(reading(root))
    [bad] = report.damaged
    assert bad.pack == 2
    assert bad.offset <= position < bad.end
    assert report.records == records
    assert verify(reading(root), packs=[1, 3]).damaged == ()


def test_a_pack_that_cannot_be_read_at_all_is_damage(root: Path) -> None:
    (root / "packs" / "000000000002.pack").write_bytes(b"x" * 10_000)
    report = verify(reading(root))
    assert [bad.pack for bad in report.damaged] == [2]
    assert report.records == 10


def test_it_can_be_stopped_and_resumed(root: Path) -> None:
    stop, seen = threading.Event(), list[VerifyProgress]()

    def interrupt(progress: VerifyProgress) -> None:
        seen.append(progress)
        if progress.packs == 1:
            stop.set()

    report = verify(reading(root), progress=interrupt, stop=stop)
    assert report.stopped
    rest = verify(reading(root), start=seen[-1].position)
    assert report.records + rest.records == 15
    assert not rest.stopped


def test_an_unfinished_end_is_not_called_damage(tmp_path: Path) -> None:
    with PackStore.open(tmp_path, archive_uuid=ARCHIVE, settings=PackSettings(reserve_bytes=0)) as store:
        store.append([NewRecord(1, [b"good" * 100])])
        [last] = store.append([NewRecord(1, [b"last" * 100])])
    flip(tmp_path, 1, last.offset + 5)
    with PackStore.open(tmp_path, archive_uuid=ARCHIVE, settings=PackSettings(reserve_bytes=0)) as store:
        [recovered] = store.recover()
        assert (recovered.cut, recovered.suspect) == (0, 528)
    report = verify(reading(tmp_path))
    assert (report.records, report.damaged) == (1, ())
    [bad] = report.unfinished
    assert bad.record is not None
    assert bad.record.location == last
