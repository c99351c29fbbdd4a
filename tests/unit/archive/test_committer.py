"""One bad object of a group answers for itself; a damaged object is stored again when it comes once more."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from objects import make_object, uid

import hilum
from hilum.archive import ingest
from hilum.archive.ingest import StoreStatus
from hilum.errors import Conflict, DataError, HilumError, NotFound, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from hilum.config import Settings

X = uid(3, 1, 1, 1)


@pytest.fixture
def streaming(settings: Settings) -> Settings:
    return dataclasses.replace(settings, ingest=dataclasses.replace(settings.ingest, stream_above_bytes=1 << 20))


def together(archive: hilum.Archive, *items: ingest.Prepared) -> list[Any]:
    """Commit objects of several senders as one group; what each was answered."""
    with archive._ingest._turns.writing:
        first = archive._ingest.submit([ingest.prepare(make_object(99, 1, os.getpid() % 1000), "never", LIMITS)])
        while archive._ingest._turns._waiting:  # until it is taken: the others are the next group, all of them
            time.sleep(0.001)
        futures = [archive._ingest.submit([item]) for item in items]
    first.result()
    return [future.result()[0] for future in futures]


LIMITS = hilum.config.Settings().ingest


def memory(*numbers: int, **options: Any) -> ingest.Prepared:
    return ingest.prepare(make_object(*numbers, **options), "never", LIMITS)


def large(tmp_path: Path, archive: hilum.Archive, study: int, name: str = "") -> ingest.Prepared:
    file = tmp_path / f"{study}{name}.dcm"
    file.write_bytes(make_object(study, 1, 1, size=256, frames=12))
    return ingest.prepare_file(file, "never", archive.settings.ingest)


def test_a_file_that_changes_fails_alone(
    root: Path, streaming: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hilum.open(root, settings=streaming) as archive:
        bad, good, again = large(tmp_path, archive, 1), large(tmp_path, archive, 2), large(tmp_path, archive, 1, "b")
        monkeypatch.setattr(ingest.Prepared, "was_changed", lambda item: item is bad)
        answers = together(archive, memory(3), bad, good, again, memory(4))
        assert isinstance(answers[1], Conflict)
        assert isinstance(answers[3], Conflict), "the same object, which was not written for it, is not stored either"
        assert [answers[i].status for i in (0, 2, 4)] == [StoreStatus.STORED] * 3
        assert len(archive.studies()) == 4
        assert archive.index.verify() == []


def test_bytes_that_are_not_what_was_scanned_fail_alone(archive: hilum.Archive) -> None:
    bad = memory(1)
    bad.pieces = (make_object(1, comment="other"),)
    answers = together(archive, memory(2), bad, memory(3))
    assert isinstance(answers[1], DataError)
    assert [answers[i].status for i in (0, 2)] == [StoreStatus.STORED] * 2
    assert archive.verify().ok


def test_what_the_index_cannot_hold_fails_alone(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = archive.index.apply

    def refusing(entries: Any, **options: Any) -> Any:
        if any(entry.sop_instance_uid == X for entry in entries):
            raise UsageError("too long for the index")
        return apply(entries, **options)

    monkeypatch.setattr(archive.index, "apply", refusing)
    answers = together(archive, memory(2), memory(1), memory(1), memory(3))
    assert isinstance(answers[1], UsageError)
    assert isinstance(answers[2], HilumError)
    assert [answers[i].status for i in (0, 3)] == [StoreStatus.STORED] * 2
    assert archive.store(make_object(4)).status is StoreStatus.STORED


def damage(archive: hilum.Archive, root: Path, how: str) -> None:
    record = archive.index.lookup([X])[0]
    assert record is not None
    location = record.location
    path = root / "packs" / f"{location.pack:012d}.pack"
    if how == "missing":
        path.unlink()
        return
    at = {"payload": location.offset + location.length // 2, "header": location.offset - 100}[how]
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte[0] ^ 0xFF]))


@pytest.mark.parametrize("size", [8, 256])
@pytest.mark.parametrize("how", ["payload", "header", "missing"])
def test_a_duplicate_heals_what_is_damaged(
    root: Path, streaming: Settings, tmp_path: Path, how: str, size: int
) -> None:
    data = make_object(1, 1, 1, size=size, frames=12)
    file = tmp_path / "x.dcm"
    file.write_bytes(data)
    with hilum.open(root, settings=streaming) as archive:
        archive.store_file(file)
        archive.store(make_object(2, 1, 1))
        archive.packs.seal()
    with hilum.open(root, settings=streaming) as archive:
        damage(archive, root, how)
    with hilum.open(root, settings=streaming) as archive:
        with pytest.raises((DataError, NotFound)):
            archive.instance(X).read_bytes()
        assert archive.store_file(file).status is StoreStatus.DUPLICATE
        assert archive.instance(X).read_bytes() == data
        assert archive.index.verify() == []
        written = sum(info.size for info in archive.packs.packs())
        assert archive.store_file(file).status is StoreStatus.DUPLICATE
        assert sum(info.size for info in archive.packs.packs()) == written, "once is enough"
        archive.rebuild_index()
        assert archive.instance(X).read_bytes() == data
        assert archive.versions(X) == []
