from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from objects import make_object, uid

import hilum
from hilum.archive import importer
from hilum.archive.archive import foresee_import
from hilum.config import IngestSettings, Settings, StorageSettings
from hilum.errors import Unavailable, UsageError


def fill(folder: Path, count: int = 5, study: int = 1) -> list[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    objects = [make_object(study, 1, i + 1) for i in range(count)]
    for i, data in enumerate(objects):
        (folder / f"{i:03}.dcm").write_bytes(data)
    return objects


def make_zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def ledger_lines(report: hilum.ImportReport) -> list[dict[str, object]]:
    assert report.ledger is not None
    lines = [json.loads(line) for line in report.ledger.read_text().splitlines()]
    return [line for line in lines if "path" in line]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_folder_of_everything(archive: hilum.Archive, tmp_path: Path) -> None:
    source = tmp_path / "in"
    objects = fill(source / "a")
    (source / ".hidden").write_bytes(make_object(2, 1, 1))
    (source / "again.dcm").write_bytes(objects[0])
    (source / "z").mkdir()
    (source / "z" / "other.dcm").write_bytes(make_object(1, 1, 2, comment="other"))
    (source / "cut.dcm").write_bytes(objects[0][:-10])
    (source / "letter.txt").write_text("no image")
    (source / "empty").write_bytes(b"")
    os.mkfifo(source / "fifo")
    (source / "loop").symlink_to(source)
    report = archive.import_paths(source)
    assert report.counts == {"stored": 6, "duplicate": 1, "conflict": 1, "quarantined": 1, "not_dicom": 3}
    assert not report.ok
    assert [Path(p.path).name for p in report.problems] == ["cut.dcm"]
    assert [Path(p.path).name for p in report.conflicts] == ["other.dcm"]
    assert sorted(Path(p).name for p in report.not_dicom) == ["empty", "fifo", "letter.txt"]
    for i, data in enumerate(objects):
        assert archive.instance(uid(3, 1, 1, i + 1)).read_bytes() == data
    (item,) = archive.quarantined()
    assert (item.source, item.kept, item.size) == (str(source / "cut.dcm"), True, len(objects[0]) - 10)
    assert (archive.root / "quarantine" / f"{item.sha256}.dcm").read_bytes() == objects[0][:-10]
    lines = {str(line["path"]): line for line in ledger_lines(report)}
    assert lines[str(source / "a" / "000.dcm")]["status"] in ("stored", "duplicate")
    assert lines[str(source / "cut.dcm")]["status"] == "quarantined"
    assert lines[str(source / "letter.txt")] == {
        "path": str(source / "letter.txt"),
        "size": 8,
        "mtime_ns": (source / "letter.txt").stat().st_mtime_ns,
        "status": "not_dicom",
        "reason": "not DICOM",
    }
    assert json.loads(json.dumps(report.to_dict()))["counts"]["stored"] == 6


def test_second_run_skips_what_is_done(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in")
    (tmp_path / "in" / "x.txt").write_text("x")
    first = archive.import_paths([tmp_path / "in"])
    again = archive.import_paths([tmp_path / "in"])
    assert again.counts == {"skipped": 6}
    assert again.ledger == first.ledger
    assert again.ok
    assert again.bytes == first.bytes


def test_changed_and_new_files_are_read(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 3)
    archive.import_paths([tmp_path / "in"])
    (tmp_path / "in" / "001.dcm").write_bytes(make_object(1, 1, 2, comment="now longer"))
    (tmp_path / "in" / "new.dcm").write_bytes(make_object(1, 1, 9))
    assert archive.import_paths([tmp_path / "in"]).counts == {"skipped": 2, "conflict": 1, "stored": 1}


def test_deleted_objects_are_imported_again(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 3)
    archive.import_paths([tmp_path / "in"])
    archive.delete("study", uid(1, 1))
    assert archive.import_paths([tmp_path / "in"]).counts == {"stored": 3}
    assert archive.statistics().instances == 3


def test_conflict_policy(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 1)
    archive.import_paths([tmp_path / "in"])
    (tmp_path / "corrected").mkdir()
    (tmp_path / "corrected" / "x").write_bytes(make_object(1, 1, 1, comment="corrected"))
    assert archive.import_paths([tmp_path / "corrected"], on_conflict="if-changed").counts == {"replaced": 1}
    with pytest.raises(UsageError, match="on_conflict must be"):
        archive.import_paths([tmp_path / "in"], on_conflict="no")


def test_zip_member_by_member(archive: hilum.Archive, tmp_path: Path) -> None:
    inner = make_zip({"c": make_object(3, 1, 1), "deeper.zip": make_zip({"d": make_object(4, 1, 1)})})
    members = {
        "../../evil.dcm": make_object(1, 1, 1),
        "/abs/b.dcm": make_object(2, 1, 1),
        "inner.zip": inner,
        "letter.txt": b"hello",
        "cut.dcm": make_object(5, 1, 1)[:-9],
        "bomb": bytes(60 << 20),
    }
    source = tmp_path / "in"
    source.mkdir()
    (source / "cd.zip").write_bytes(make_zip(members))
    report = archive.import_paths([source])
    assert report.counts == {"stored": 3, "not_dicom": 1, "quarantined": 1, "failed": 2}
    reasons = {Path(p.path.split("!", 1)[1]).name: p.reason for p in report.problems}
    assert reasons["bomb"] == "the ZIP member expands more than 1000 times"
    assert reasons["inner.zip!deeper.zip"] == "a ZIP inside of a ZIP inside of a ZIP is not opened"
    assert {s.study_instance_uid for s in archive.studies()} == {uid(1, n) for n in (1, 2, 3)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "in"]
    again = archive.import_paths([source])
    assert again.counts == {"skipped": 4, "quarantined": 1, "failed": 2}


def test_sound_zip_is_done_as_a_whole(archive: hilum.Archive, tmp_path: Path) -> None:
    path = tmp_path / "cd.zip"
    path.write_bytes(make_zip({f"{i}": make_object(1, 1, i) for i in range(1, 30)}))
    assert archive.import_paths([path]).counts == {"stored": 29, "container": 1}
    assert archive.import_paths([path]).counts == {"skipped": 1}


def test_damaged_zip(archive: hilum.Archive, tmp_path: Path) -> None:
    data = make_zip({f"{i}": make_object(1, 1, i) for i in range(1, 5)})
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    damaged = bytearray(data)
    damaged[200] ^= 0xFF
    (tmp_path / "flip.zip").write_bytes(damaged)
    report = archive.import_paths([tmp_path / "cut.zip", tmp_path / "flip.zip"])
    assert report.counts == {"stored": 3, "failed": 2}


def test_office_documents_are_not_opened(archive: hilum.Archive, tmp_path: Path) -> None:
    (tmp_path / "letter.docx").write_bytes(make_zip({"a": make_object()}))
    assert archive.import_paths([tmp_path / "letter.docx"]).counts == {"not_dicom": 1}


def test_large_members_and_files_are_streamed(root: Path, tmp_path: Path) -> None:
    settings = Settings(ingest=IngestSettings(stream_above_bytes=1 << 20), storage=StorageSettings(reserve_bytes=0))
    large = make_object(1, 1, 1, size=256, frames=12)
    source = tmp_path / "in"
    source.mkdir()
    (source / "large.dcm").write_bytes(make_object(2, 1, 1, size=256, frames=12))
    (source / "large.zip").write_bytes(make_zip({"a": large, "small": make_object(1, 1, 2)}))
    (source / "stored.zip").write_bytes(make_zip({"z.zip": make_zip({"q": os.urandom(2 << 20)})}))
    with hilum.open(root, settings=settings) as archive:
        report = archive.import_paths([source])
        assert report.counts == {"stored": 3, "container": 3, "not_dicom": 1}
        assert archive.instance(uid(3, 1, 1, 1)).read_bytes() == large
        assert list((root / "tmp").iterdir()) == []


def test_dicomdir_media(archive: hilum.Archive, shared_data: Path) -> None:
    report = archive.import_paths([shared_data / "dicomdir" / "DICOMDIR"])
    assert report.counts == {"dicomdir": 1, "stored": 31}
    assert report.ok


def test_dicomdir_in_a_folder(archive: hilum.Archive, shared_data: Path) -> None:
    report = archive.import_paths([shared_data / "dicomdir"])
    assert report.counts["dicomdir"] >= 1
    assert archive.statistics().instances == report.counts["stored"]


def test_dry_run_changes_nothing(archive: hilum.Archive, root: Path, tmp_path: Path) -> None:
    fill(tmp_path / "in", 2)
    archive.import_paths([tmp_path / "in"])
    (tmp_path / "in" / "new.dcm").write_bytes(make_object(1, 1, 9))
    (tmp_path / "in" / "other.dcm").write_bytes(make_object(1, 1, 1, comment="x"))
    (tmp_path / "in" / "cut.dcm").write_bytes(make_object(1, 1, 3)[:-3])
    before = snapshot(root)
    report = archive.import_paths([tmp_path / "in"], dry_run=True)
    assert report.counts == {"skipped": 2, "stored": 1, "conflict": 1, "quarantined": 1}
    assert report.dry_run and report.ledger is None
    assert archive.statistics().instances == 2
    after = snapshot(root)
    assert {k: v for k, v in after.items() if "lock" not in k} == {k: v for k, v in before.items() if "lock" not in k}


def test_dry_run_without_an_archive(tmp_path: Path) -> None:
    fill(tmp_path / "in", 2)
    assert foresee_import([tmp_path / "in"]).counts == {"stored": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_archive_inside_of_the_folder_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    fill(tmp_path / "in", 2)
    with hilum.open(tmp_path / "in" / "archive", settings=settings) as archive:
        assert archive.import_paths([tmp_path / "in"]).counts == {"stored": 2}
        assert archive.import_paths([tmp_path / "in"]).counts == {"skipped": 2}


def test_missing_and_unreadable(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 1)
    report = archive.import_paths([tmp_path / "nothing", tmp_path / "in"])
    assert report.counts == {"failed": 1, "stored": 1}
    assert report.problems[0].reason == "cannot be read: No such file or directory"


def test_file_that_goes_away_or_grows(archive: hilum.Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "in", 3)
    scan_many = importer.dicom.scan_many

    def meanwhile(paths: list[str], **options: int) -> object:
        os.unlink(paths[0])
        return scan_many(paths, **options)

    monkeypatch.setattr(importer.dicom, "scan_many", meanwhile)
    report = archive.import_paths([tmp_path / "in"])
    assert report.counts == {"failed": 1, "stored": 2}


def test_no_space_stops_with_the_reason_and_can_go_on(root: Path, tmp_path: Path) -> None:
    fill(tmp_path / "in", 600)
    full = Settings(storage=StorageSettings(reserve_bytes=1 << 60))
    with hilum.open(root, settings=full) as archive:
        report = archive.import_paths([tmp_path / "in"])
        assert not report.ok
        assert "not enough free space" in report.stopped
        assert "stored" not in report.counts
        with pytest.raises(Unavailable, match="not enough free space"):
            archive.store(make_object(9))
    with hilum.open(root, settings=replace(full, storage=StorageSettings(reserve_bytes=0))) as archive:
        assert archive.import_paths([tmp_path / "in"]).counts == {"stored": 600}


def test_progress_is_told(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 300)
    seen: list[hilum.ImportProgress] = []
    archive.import_paths([tmp_path / "in"], progress=seen.append)
    assert seen[-1].files == 300
    assert seen[-1].total_files == 300
    assert seen[-1].bytes == seen[-1].total_bytes
    assert seen[-1].counts == {"stored": 300, "skipped": 0} or seen[-1].counts == {"stored": 300}


def test_broken_progress_ends_the_import_cleanly(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 50)

    def broken(_: hilum.ImportProgress) -> None:
        raise RuntimeError("terminal is gone")

    with pytest.raises(RuntimeError, match="terminal is gone"):
        archive.import_paths([tmp_path / "in"], progress=broken)
    archive.import_paths([tmp_path / "in"])
    assert archive.statistics().instances == 50


def test_interrupt_reports_and_continues(archive: hilum.Archive, tmp_path: Path) -> None:
    fill(tmp_path / "in", 700)

    seen = 0

    def once(progress: hilum.ImportProgress) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            raise KeyboardInterrupt

    report = archive.import_paths([tmp_path / "in"], progress=once)
    assert "interrupted" in report.stopped
    assert not report.ok
    rest = archive.import_paths([tmp_path / "in"])
    assert rest.ok
    assert rest.counts.get("skipped", 0) == report.counts.get("stored", 0)
    assert archive.statistics().instances == 700


RUN = """
import sys, hilum
from hilum.config import Settings, StorageSettings
with hilum.open(sys.argv[1], settings=Settings(storage=StorageSettings(reserve_bytes=0))) as archive:
    print(archive.import_paths(sys.argv[2:], jobs=2).counts, flush=True)
"""


def start(root: Path, source: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RUN, str(root), str(source)], stdout=subprocess.PIPE, text=True)


def test_killed_importer_loses_nothing(root: Path, settings: Settings, tmp_path: Path) -> None:
    fill(tmp_path / "in", 2000)
    for delay in (0.45, 0.6, 0.8):
        process = start(root, tmp_path / "in")
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
    with hilum.open(root, settings=settings) as archive:
        path = next(iter((root / "imports").glob("*.jsonl")), None)
        acknowledged = []
        if path is not None:
            for line in path.read_text().splitlines():
                try:
                    acknowledged.append(json.loads(line))
                except ValueError:
                    continue
        for line in acknowledged:
            if line.get("uid"):
                assert archive.instance(line["uid"]).sha256 == line["sha256"]
        report = archive.import_paths([tmp_path / "in"])
        assert report.ok
        assert archive.statistics().instances == 2000
        assert archive.statistics().pack_bytes < 1.3 * report.bytes


def test_two_importers_at_once(root: Path, settings: Settings, tmp_path: Path) -> None:
    fill(tmp_path / "in", 1000)
    processes = [start(root, tmp_path / "in") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with hilum.open(root, settings=settings) as archive:
        assert archive.statistics().instances == 1000
        assert archive.statistics().versions == 0
        assert archive.import_paths([tmp_path / "in"]).counts == {"skipped": 1000}


def test_file_that_changes_while_it_is_streamed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(ingest=IngestSettings(stream_above_bytes=1 << 20), storage=StorageSettings(reserve_bytes=0))
    path = tmp_path / "in" / "large.dcm"
    path.parent.mkdir()
    path.write_bytes(make_object(1, 1, 1, size=256, frames=12))
    (path.parent / "small.dcm").write_bytes(make_object(1, 1, 2))
    scan_file = importer.dicom.scan_file

    def meanwhile(name: str, **options: int) -> object:
        found = scan_file(name, **options)
        path.write_bytes(make_object(1, 1, 1, size=256, frames=12, comment="x"))
        return found

    with hilum.open(root, settings=settings) as archive:
        with monkeypatch.context() as patch:
            patch.setattr(importer.dicom, "scan_file", meanwhile)
            report = archive.import_paths([path.parent])
        assert report.counts == {"stored": 1, "failed": 1}
        assert [p.reason[:45] for p in report.problems] == ["the file was changed while it was read; try a"]
        assert archive.statistics().instances == 1
        assert archive.import_paths([path.parent]).counts == {"skipped": 1, "stored": 1}
        assert archive.verify().ok
        archive.rebuild_index()
        assert archive.statistics().versions == 0
