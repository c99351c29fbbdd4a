"""What recovery, rebuild and compaction must not lose, bring back or invent."""

from __future__ import annotations

import os
import shutil
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from objects import make_object, uid

import hilum
from hilum.archive import recovery
from hilum.config import IngestSettings, Settings, StorageSettings
from hilum.errors import Conflict, Unavailable
from hilum.index.base import Tombstone
from hilum.storage.base import Kind, NewRecord
from hilum.storage.packs import PackStore

if TYPE_CHECKING:
    from pathlib import Path

X = uid(3, 1, 1, 1)


def present(archive: hilum.Archive) -> list[str]:
    return sorted(instance.sop_instance_uid for instance in archive.instances())


def new_index(root: Path) -> None:
    """As `hilum index rebuild` begins."""
    shutil.rmtree(root / "index")


@pytest.fixture
def streaming() -> Settings:
    return Settings(ingest=IngestSettings(stream_above_bytes=1 << 20), storage=StorageSettings(reserve_bytes=0))


# Tombstones


def test_file_changed_while_read_costs_nothing_that_was_stored(
    root: Path, streaming: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the changed file is void; the object that its UID had before stays."""
    first = make_object(1, 1, 1)
    file = tmp_path / "large.dcm"
    file.write_bytes(make_object(1, 1, 1, size=256, frames=12))
    with hilum.open(root, settings=streaming) as archive:
        archive.store(first)
        with monkeypatch.context() as patch:
            patch.setattr("hilum.archive.ingest.Prepared.was_changed", lambda _: True)
            with pytest.raises(Conflict, match="changed while it was read"):
                archive.store_file(file)
        assert archive.instance(X).read_bytes() == first
    with hilum.open(root, settings=streaming) as archive:  # the tail is replayed
        assert archive.instance(X).read_bytes() == first
        assert archive.versions(X) == []
        archive.rebuild_index()
        assert archive.instance(X).read_bytes() == first
        assert archive.versions(X) == []
        assert archive.verify().ok


def test_deleted_stays_deleted_when_another_copy_is_in_the_packs(root: Path, settings: Settings) -> None:
    """Two processes may write the same object at once; the tombstone names the place of one of the copies."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1))
        archive.store(make_object(2, 1, 1))
        record = archive.index.lookup([X])[0]
        assert record is not None
        archive.packs.seal()
        copy = NewRecord(
            Kind.OBJECT, [archive.packs.read(record.location)], record.sha256, record.crc32c, record.received_ns + 1
        )
        archive.packs.append([copy])
        archive.store(make_object(3, 1, 1))
        archive.delete("study", uid(1, 1))
        archive.compact(least_dead=0.1)
        before = present(archive)
        assert X not in before
        archive.rebuild_index()
        assert present(archive) == before


def test_deleted_during_a_compaction_stays_deleted(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for study in (1, 2, 3):
        archive.store(make_object(study, 1, 1))
    archive.delete("study", uid(1, 2))
    locations = archive.index.locations

    def then_delete(pack: int) -> Any:
        found = list(locations(pack))
        if X in present(archive):
            archive.delete("study", uid(1, 1))
        return iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(archive.index, "locations", then_delete)
        archive.compact()
    assert present(archive) == [uid(3, 3, 1, 1)]
    size = sum(r.location.length for p in archive.packs.packs() for r in archive.packs.records(p.number)
               if not hasattr(r, "reason") and r.kind == Kind.OBJECT)  # fmt: skip
    archive.rebuild_index()
    assert present(archive) == [uid(3, 3, 1, 1)]
    assert size == len(make_object(3, 1, 1))


def test_rebuild_that_is_killed_brings_nothing_back(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone is in a pack of a lower number than what it deletes, as with two writing processes."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(2, 1, 1))
        record = archive.index.lookup([uid(3, 2, 1, 1)])[0]
        assert record is not None
        other = PackStore.open(root, archive_uuid=UUID(archive.uuid).bytes)
        monkeypatch.setattr(other, "_require_space", lambda size: None)
        ns = archive._ingest.next_ns()
        data = make_object(1, 1, 1)
        (place,) = other.append([NewRecord(Kind.OBJECT, [data], received_ns=ns)])
        assert place.pack > record.location.pack
        other.seal()
        other.close()
        scan = recovery.scan_record(archive.packs, place)
        entry = recovery.entry_of(
            scan, place, ns, 0, sha256(data).digest(), read=lambda at, length: data[at : at + length]
        )
        archive.index.apply([entry], packs={place.pack: other.end_of(place)})
        archive.delete("study", uid(1, 1))
        assert present(archive) == [uid(3, 2, 1, 1)]
    new_index(root)
    apply = recovery._apply

    def killed(packs: Any, index: Any, pool: Any, chunk: Any, ends: Any, *rest: Any) -> None:
        if place.pack in ends:
            raise RuntimeError("killed")
        apply(packs, index, pool, chunk, ends, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "_apply", killed)
        with pytest.raises(RuntimeError):
            hilum.open(root, settings=settings)
    with hilum.open(root, settings=settings) as archive:
        assert present(archive) == [uid(3, 2, 1, 1)]


def test_deletion_that_the_index_refused_is_made_up_for(
    archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tombstone is durable: the index must not go past it without having applied it."""
    archive.store(make_object(1, 1, 1))

    def full(*_: Any, **__: Any) -> Any:
        raise Unavailable("no space left while writing the index")

    with monkeypatch.context() as patch:
        patch.setattr(archive.index, "apply", full)
        patch.setattr(archive.index, "remove", full)
        with pytest.raises(Unavailable, match="no space left"):
            archive.delete("study", uid(1, 1))
    archive.store(make_object(2, 1, 1))
    live = present(archive)
    archive.rebuild_index()
    assert present(archive) == live == [uid(3, 2, 1, 1)]


# Compaction and rebuild


def test_compaction_leaves_what_the_index_does_not_know_yet(
    archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that is on its way to the index, of another process or of an index that refuses, is not garbage."""
    archive.store(make_object(1, 1, 1))
    archive.store(make_object(2, 1, 1))
    archive.delete("study", uid(1, 1))
    (place,) = archive.packs.append([NewRecord(Kind.OBJECT, [make_object(3, 1, 1)], received_ns=1)])
    archive.packs.seal()
    archive.compact(least_dead=0)
    assert place.pack in [info.number for info in archive.packs.packs()]
    archive.packs.check(place)


def test_compaction_against_a_rebuild_removes_no_live_object(
    archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that come (back) into the index while their pack is copied."""
    objects = [make_object(study, 1, 1) for study in (1, 2, 3)]
    for data in objects:
        archive.store(data)
    archive.delete("study", uid(1, 1))
    archive.packs.seal()
    monkeypatch.setattr(archive.index, "locations", lambda pack: iter(()))
    archive.compact(least_dead=0)
    assert archive.instance(uid(3, 2, 1, 1)).read_bytes() == objects[1]
    assert archive.instance(uid(3, 3, 1, 1)).read_bytes() == objects[2]


def test_rebuild_that_fails_is_ended_at_the_next_start(
    root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored after a rebuild that stopped half way must not hide the rest of the pack from the next start."""
    with hilum.open(root, settings=settings) as archive:
        for study in (1, 2, 3):
            archive.store(make_object(study, 1, 1))
        before = present(archive)

        def full(*_: Any, **__: Any) -> Any:
            raise Unavailable("no space left while writing the index")

        with monkeypatch.context() as patch:
            patch.setattr(recovery, "_apply", full)
            with pytest.raises(Unavailable):
                archive.rebuild_index()
        archive.store(make_object(4, 1, 1))
    with hilum.open(root, settings=settings) as archive:
        assert present(archive) == [*before, uid(3, 4, 1, 1)]
        assert archive.verify().ok
    with hilum.open(root, settings=settings) as archive:
        assert archive.recovered.objects == 0


# Recovery beside other processes


def test_replay_stops_where_recovery_ended(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process appends after the recovery of a pack is its own to index, when it is durable."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1))
        identity = UUID(archive.uuid).bytes
    other = PackStore.open(root, archive_uuid=identity)
    monkeypatch.setattr(other, "_require_space", lambda size: None)
    recover = PackStore.recover

    def then_written(self: PackStore, known: Any = None) -> Any:
        found = recover(self, known)
        other.append([NewRecord(Kind.OBJECT, [make_object(2, 1, 1)], received_ns=2)])
        other.close()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(PackStore, "recover", then_written)
        with hilum.open(root, settings=settings) as archive:
            assert present(archive) == [X]
    with hilum.open(root, settings=settings) as archive:
        assert present(archive) == [X, uid(3, 2, 1, 1)]


def test_pack_with_what_the_index_does_not_know_is_not_continued(root: Path, settings: Settings) -> None:
    """A process died between pack and index while this one runs: the next start must still find that tail."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1))
        identity = UUID(archive.uuid).bytes
        archive.packs.seal()
        dead = PackStore.open(root, archive_uuid=identity)
        dead._require_space = lambda size: None  # type: ignore[method-assign]
        dead.append([NewRecord(Kind.OBJECT, [make_object(2, 1, 1)], received_ns=2)])
        dead.close()
        archive.store(make_object(3, 1, 1))
    with hilum.open(root, settings=settings) as archive:
        assert uid(3, 2, 1, 1) in present(archive)
        assert archive.verify().ok


@pytest.mark.parametrize("modality", ["C\tT", "C\nT", "\t", "\n", "C\r\fT", "\u00a0\u0085"])
def test_odd_modality_stops_nothing(root: Path, settings: Settings, modality: str) -> None:
    """One object whose values do not fit into a record would be a study that cannot be read or written any more."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1, modality=modality))
        archive.store(make_object(1, 1, 2, modality=modality))
        archive.store(make_object(1, 2, 1))
        assert len(present(archive)) == 3
        assert archive.studies()[0].number_of_instances == 3
        assert archive.verify().ok
        archive.delete("series", uid(2, 1, 1))
        assert archive.index.study(uid(1, 1)).modalities == {"CT": 1}  # type: ignore[union-attr]
        assert archive.verify().ok


def test_damaged_object_does_not_stop_what_comes_with_its_uid(
    archive: hilum.Archive, root: Path, tmp_path: Path
) -> None:
    """Of the stored bytes nobody can say whether they are the same: the new object is kept, and becomes current."""
    archive.store(make_object(1, 1, 1))
    archive.packs.seal()
    place = archive.instance(X).record.location
    path = archive.packs.path(place.pack)
    data = bytearray(path.read_bytes())
    data[place.offset + place.length - 20] ^= 1
    path.write_bytes(data)
    new = make_object(1, 1, 1, comment="newer")
    results = archive.store_many([make_object(2, 1, 1), new], on_conflict="if-changed")
    assert [r.status for r in results] == [hilum.StoreStatus.STORED, hilum.StoreStatus.REPLACED]  # type: ignore[union-attr]
    assert archive.instance(X).read_bytes() == new


# Ledger


def test_ledger_skips_only_what_is_in_the_archive(archive: hilum.Archive, tmp_path: Path) -> None:
    """A file is not done because some other object has its UID."""
    file = tmp_path / "one.dcm"
    file.write_bytes(make_object(1, 1, 1))
    assert archive.import_paths([file]).counts == {"stored": 1}
    archive.delete("study", uid(1, 1))
    archive.store(make_object(1, 1, 1, comment="other"))
    assert archive.import_paths([file]).counts == {"conflict": 1}
    assert archive.versions(X)[0].read_bytes() == make_object(1, 1, 1)
    assert archive.import_paths([file]).counts == {"skipped": 1}


# Clocks


def test_clock_set_back(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted, the clock set back by a day, restarted: what is stored then is newer than the tombstone all the same."""
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1))
        archive.delete("study", uid(1, 1))
        now = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: now() - 86400 * 10**9)
        archive.store(make_object(2, 1, 1))
    with hilum.open(root, settings=settings) as archive:
        archive.store(make_object(1, 1, 1))
        assert present(archive) == [X, uid(3, 2, 1, 1)]


def test_clock_of_another_process_was_ahead(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.store(make_object(1, 1, 1))
    archive.index.apply([], tombstones=[Tombstone(X, time.time_ns() + 86400 * 10**9)])
    with pytest.raises(Unavailable, match="try again"):
        archive.store(make_object(1, 1, 1))
    archive.store(make_object(1, 1, 1))
    assert present(archive) == [X]


# Forks


def test_fork_while_an_index_reader_reads_a_pack(root: Path) -> None:
    """A search that reads headers holds a snapshot of the index while it opens packs."""
    import subprocess
    import sys

    script = """
import os, sys, threading, time
sys.path[:0] = sys.argv[2:]
import hilum
from hilum.config import Settings, StorageSettings
from objects import make_object, uid
archive = hilum.open(sys.argv[1], settings=Settings(storage=StorageSettings(reserve_bytes=0)))
archive.store(make_object(1, 1, 1))
location = archive.index.lookup([uid(3, 1, 1, 1)])[0].location
inside = threading.Event()
def search():
    with archive.index._env.read():
        inside.set()
        time.sleep(0.5)
        archive.packs.read(location)
thread = threading.Thread(target=search)
thread.start()
inside.wait()
child = os.fork()
if not child:
    os._exit(0 if archive.instance(uid(3, 1, 1, 1)).read_bytes() else 1)
thread.join()
assert os.waitpid(child, 0)[1] == 0
archive.close()
"""
    support = os.path.dirname(os.path.abspath(sys.modules["objects"].__file__ or ""))
    done = subprocess.run([sys.executable, "-c", script, os.fspath(root), support], timeout=30, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
