from __future__ import annotations

import logging
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
from objects import make_object, uid

import hilum
from hilum.archive.archive import rebuild_index
from hilum.errors import DataError, NotFound, Unavailable, UsageError
from hilum.storage.packs import PackStore

if TYPE_CHECKING:
    from pathlib import Path

    from hilum.config import Settings


def store(archive: hilum.Archive, studies: int = 3, instances: int = 4) -> dict[str, bytes]:
    objects = {uid(3, s, 1, i): make_object(s, 1, i) for s in range(1, studies + 1) for i in range(1, instances + 1)}
    archive.store_many(list(objects.values()))
    return objects


def answers(archive: hilum.Archive) -> list[Any]:
    """Everything that a client can see."""
    found: list[Any] = []
    for level in ("patient", "study", "series", "instance"):
        rows = archive.search(level, {}, includefield=("all",)).to_dicts()  # type: ignore[arg-type]
        found += sorted(rows, key=repr)
    for instance in sorted(archive.instances(), key=lambda i: i.sop_instance_uid):
        found += [instance.sha256, instance.json(), [v.sha256 for v in archive.versions(instance.sop_instance_uid)]]
    return found


def packs(root: Path) -> list[Path]:
    return sorted((root / "packs").glob("*.pack"))


# Recovery


def test_missing_index_is_made_again(root: Path, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive)
        archive.store(make_object(1, 1, 1, comment="newer"), on_conflict="always")
        archive.store(make_object(1, 1, 2, comment="kept"), on_conflict="never")
        archive.delete("study", uid(1, 2))
        before = answers(archive)
    shutil.rmtree(root / "index")
    with pytest.raises(NotFound, match="the archive has no index"):
        hilum.open(root, settings=settings, read_only=True)
    with caplog.at_level(logging.INFO), hilum.open(root, settings=settings) as archive:
        assert "the index is missing; it is made again from the packs" in caplog.text
        assert answers(archive) == before
        assert archive.verify().ok


def test_older_index_catches_up(root: Path, settings: Settings, tmp_path: Path) -> None:
    """A power cut may take the last index transactions; the packs have what they held."""
    with hilum.open(root, settings=settings) as archive:
        store(archive, studies=2)
    shutil.copytree(root / "index", tmp_path / "old")
    with hilum.open(root, settings=settings) as archive:
        objects = store(archive, studies=4)
        archive.store(make_object(1, 1, 1, comment="newer"), on_conflict="always")
        archive.delete("study", uid(1, 2))
        archive.delete("instance", uid(3, 3, 1, 1))
        before = answers(archive)
    shutil.rmtree(root / "index")
    shutil.copytree(tmp_path / "old", root / "index")
    with hilum.open(root, settings=settings) as archive:
        assert answers(archive) == before
        assert archive.recovered.objects > 0
        assert archive.instance(uid(3, 4, 1, 4)).read_bytes() == objects[uid(3, 4, 1, 4)]
    with hilum.open(root, settings=settings) as archive:
        assert archive.recovered.objects == 0


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_torn_tail_is_cut(root: Path, settings: Settings, cut: int) -> None:
    """What a crash left half written was never acknowledged; here we tear off an acknowledged end to have one."""
    with hilum.open(root, settings=settings) as archive:
        store(archive, studies=1)
    shutil.rmtree(root / "index")
    (pack,) = packs(root)
    data = pack.read_bytes()
    pack.write_bytes(data[:-cut])
    with hilum.open(root, settings=settings) as archive:
        assert archive.statistics().instances == 3
        assert archive.store(make_object(1, 1, 4)).status is hilum.StoreStatus.STORED
        assert archive.verify().ok


def test_index_that_fails_is_made_up_for(
    archive: hilum.Archive, root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are durable, the index is not: nothing is acknowledged, and nothing is lost or written twice."""
    apply = archive.index.apply
    broken = True

    def failing(*args: Any, **keys: Any) -> Any:
        if broken:
            raise Unavailable("the index is full")
        return apply(*args, **keys)

    monkeypatch.setattr(archive.index, "apply", failing)
    for _ in range(3):
        with pytest.raises(Unavailable, match="the index is full"):
            archive.store(make_object())
    written = sum(p.stat().st_size for p in packs(root))
    broken = False
    assert archive.store(make_object()).status is hilum.StoreStatus.DUPLICATE
    assert archive.store(make_object(2)).status is hilum.StoreStatus.STORED
    assert sum(p.stat().st_size for p in packs(root)) < 2 * written
    assert archive.statistics().instances == 2
    assert archive.verify().ok


def test_failed_append_acknowledges_nothing(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise Unavailable("no space")

    with monkeypatch.context() as patch:
        patch.setattr(archive.packs, "append", failing)
        with pytest.raises(Unavailable, match="no space"):
            archive.store(make_object())
    assert archive.statistics().instances == 0
    assert archive.store(make_object()).status is hilum.StoreStatus.STORED


def test_damaged_index_says_what_to_do(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive)
        before = answers(archive)
    (root / "index" / "data.mdb").write_bytes(b"not an index" * 1000)
    with pytest.raises(DataError, match=r"the index is damaged .* run: hilum index rebuild --archive"):
        hilum.open(root, settings=settings)
    report = rebuild_index(root, settings=settings)
    assert (report.objects, report.problems) == (12, [])
    assert not list(root.glob("index.old*"))
    with hilum.open(root, settings=settings) as archive:
        assert answers(archive) == before


def test_rebuild_needs_the_archive_for_itself(archive: hilum.Archive, root: Path, settings: Settings) -> None:
    store(archive)
    with pytest.raises(Unavailable, match="others have the archive open"):
        rebuild_index(root, settings=settings)
    with pytest.raises(NotFound):
        rebuild_index(root / "nothing", settings=settings)


def test_rebuild_while_open(archive: hilum.Archive) -> None:
    objects = store(archive)
    archive.delete("series", uid(2, 3, 1))
    before = answers(archive)
    steps: list[tuple[int, int]] = []
    report = archive.rebuild_index(lambda done, total: steps.append((done, total)))
    assert report.objects == len(objects)
    assert report.deleted == 4
    assert answers(archive) == before
    assert steps[-1][0] <= steps[-1][1]


def test_missing_pack_is_reported_and_the_rest_served(
    root: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive, studies=1)
        archive.packs.seal()
        archive.store(make_object(2))
    packs(root)[0].unlink()
    with hilum.open(root, settings=settings) as archive:
        assert "pack 1 is missing, with 4 objects" in caplog.text
        assert archive.instance(uid(3, 2, 1, 1)).read_bytes() == make_object(2)
        with pytest.raises(NotFound):
            archive.instance(uid(3, 1, 1, 1)).read_bytes()
        assert any("pack 1 is missing" in problem for problem in archive.verify().problems)


# Deletion


def test_delete_each_level(archive: hilum.Archive) -> None:
    archive.store_many([make_object(1, r, i) for r in (1, 2, 3) for i in (1, 2, 3)])
    archive.store(make_object(1, 1, 1, comment="x"))
    assert archive.delete("instance", uid(3, 1, 1, 1)).objects == 2
    assert archive.instances(series_instance_uid=uid(2, 1, 1))[0].instance_number == 2
    assert archive.delete("series", uid(2, 1, 2), reason="wrong patient").objects == 3
    assert {s.series_number for s in archive.series()} == {1, 3}
    assert archive.studies()[0].delete() == 5
    assert archive.studies() == []
    assert archive.patients() == []
    assert archive.statistics().instances == 0
    with pytest.raises(NotFound):
        archive.delete("study", uid(1, 1))
    with pytest.raises(UsageError):
        archive.delete("patient", "P1")


def test_deleted_object_can_be_stored_again(archive: hilum.Archive) -> None:
    data = make_object()
    archive.store(data)
    archive.delete("study", uid(1, 1))
    assert archive.store(data).status is hilum.StoreStatus.STORED
    assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == data
    archive.rebuild_index()
    assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == data
    assert archive.verify().ok


def test_crash_between_tombstone_and_index(root: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = hilum.open(root, settings=settings)
    store(archive, studies=2)

    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(archive.index, "apply", crash)
        with pytest.raises(RuntimeError):
            archive.delete("study", uid(1, 1))
    archive.close()
    with hilum.open(root, settings=settings) as archive:
        assert [s.study_instance_uid for s in archive.studies()] == [uid(1, 2)]
        assert archive.verify().ok


def test_delete_many_at_once(archive: hilum.Archive) -> None:
    store(archive, studies=5)
    report = archive.delete("study", [uid(1, 1), uid(1, 2), "9.9"])
    assert report.objects == 8
    assert report.bytes > 0
    assert len(archive.studies()) == 3


def test_deleting_while_storing(archive: hilum.Archive) -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def keep_storing() -> None:
        i = 0
        while not stop.is_set():
            i += 1
            try:
                archive.store(make_object(2, 1, i))
            except BaseException as error:
                errors.append(error)

    thread = threading.Thread(target=keep_storing)
    thread.start()
    for i in range(10):
        archive.store(make_object(1, 1, i + 1))
        archive.delete("study", uid(1, 1))
    stop.set()
    thread.join()
    assert errors == []
    assert [s.study_instance_uid for s in archive.studies()] == [uid(1, 2)]
    assert archive.verify().ok


# Compaction


def test_compaction_frees_space_and_loses_nothing(archive: hilum.Archive, root: Path) -> None:
    objects = store(archive, studies=6)
    archive.store(make_object(1, 1, 1, comment="newer"), on_conflict="always")
    archive.delete("study", [uid(1, n) for n in (2, 3, 4)])
    before, size = answers(archive), archive.statistics().pack_bytes
    report = archive.compact()
    assert (report.packs, report.problems) == (1, [])
    assert report.freed > 0
    assert archive.statistics().pack_bytes < size
    assert answers(archive) == before
    assert archive.instance(uid(3, 5, 1, 2)).read_bytes() == objects[uid(3, 5, 1, 2)]
    assert archive.versions(uid(3, 1, 1, 1))[0].read_bytes() == objects[uid(3, 1, 1, 1)]
    assert archive.verify().ok
    archive.rebuild_index()
    assert answers(archive) == before
    assert archive.compact().packs == 0
    with pytest.raises(UsageError):
        archive.compact(least_dead=2)


def test_large_objects_are_copied_in_pieces(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.archive.compaction._COPY_BYTES", 1 << 20)
    monkeypatch.setattr("hilum.archive.recovery._MAP_ABOVE", 1 << 20)
    large = make_object(1, 1, 1, size=256, frames=12)
    archive.store(large)
    store(archive, studies=2)
    archive.delete("study", uid(1, 2))
    assert archive.compact(least_dead=0).packs == 1
    assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == large
    archive.rebuild_index()
    assert archive.instance(uid(3, 1, 1, 1)).frame(11)[0, 0] == 11_000 % 4096


def test_reader_follows_a_moved_object(archive: hilum.Archive) -> None:
    objects = store(archive, studies=3)
    instance = archive.instance(uid(3, 3, 1, 3))
    archive.delete("study", [uid(1, 1), uid(1, 2)])
    archive.compact()
    assert instance.read_bytes() == objects[uid(3, 3, 1, 3)]
    assert instance.frame(0).shape == (8, 8)
    archive.delete("study", uid(1, 3))
    archive.compact()
    with pytest.raises(NotFound, match="the object has been deleted"):
        instance.read_bytes()


def test_damaged_pack_is_not_compacted(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive, studies=3)
        archive.packs.seal()
    data = bytearray(packs(root)[0].read_bytes())
    at = data.find(b"Study 2")
    data[at - 600 : at - 300] = bytes(300)
    packs(root)[0].write_bytes(data)
    with hilum.open(root, settings=settings) as archive:
        archive.delete("study", uid(1, 1))
        report = archive.compact()
        assert report.packs == 0
        assert len(packs(root)) >= 1


# Verification


def test_every_flipped_bit_of_a_pack_is_found(root: Path, settings: Settings) -> None:
    with hilum.open(root, settings=settings) as archive:
        store(archive, studies=1, instances=2)
        report = archive.verify()
        assert report.ok
        assert (report.records, report.objects, report.dead) == (2, 2, 0)
        archive.packs.seal()
    (pack,) = packs(root)
    good = pack.read_bytes()
    for at in range(4096, len(good) - 300, 97):
        data = bytearray(good)
        data[at] ^= 0x10
        pack.write_bytes(data)
        with hilum.open(root, settings=settings, read_only=True) as archive:
            assert not archive.verify().ok, at
    pack.write_bytes(good)


def test_object_that_the_index_lacks_is_found(archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    store(archive, studies=1, instances=2)
    (number,) = (p.number for p in archive.packs.packs())
    archive.index.clear()
    report = archive.verify()
    assert [p.split(": ")[1] for p in report.problems] == ["an object of the pack is not in the index"] * 2
    archive.rebuild_index()
    assert archive.verify().ok
    monkeypatch.setattr(PackStore, "records", lambda *_, **__: iter(()))
    assert any(f"pack {number}, byte" in problem for problem in archive.verify().problems)
