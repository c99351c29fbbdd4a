from __future__ import annotations

import os
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from hilum.archive.sources import Problem, SourceFile, count_files, referenced_files, walk
from hilum.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def names(root: Path, found: list[SourceFile | Problem]) -> list[str]:
    return [os.path.relpath(f.path, root) for f in found if isinstance(f, SourceFile)]


def test_folders_sorted_with_hidden_files(tmp_path: Path) -> None:
    make(tmp_path, "b/2", "b/1", "a/x/9", ".hidden", "c")
    found = list(walk([tmp_path]))
    assert names(tmp_path, found) == [".hidden", "c", "a/x/9", "b/1", "b/2"]
    assert all(isinstance(f, SourceFile) and not f.named for f in found)
    assert count_files([tmp_path]) == (5, sum(f.size for f in found if isinstance(f, SourceFile)))


def test_files_that_are_named(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    (file, missing) = walk([tmp_path / "a", tmp_path / "zzz"])
    assert isinstance(file, SourceFile) and file.named
    assert isinstance(missing, Problem) and missing.reason == "cannot be read: No such file or directory"
    (nul,) = walk(["\0"])
    assert isinstance(nul, Problem)


def test_loops_of_links_end(tmp_path: Path) -> None:
    make(tmp_path, "a/1", "b/2")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "b" / "a").symlink_to("../a")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = list(walk([tmp_path, tmp_path]))
    assert sorted(names(tmp_path, found)) == ["a/1", "b/2"]
    assert [os.path.basename(p.path) for p in found if isinstance(p, Problem)] == ["circle", "dangling"]


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        found = list(walk([tmp_path, "/dev/null"]))
    assert [(type(f), f.status, f.reason) for f in found if isinstance(f, Problem)] == [
        (Problem, "not_dicom", "not a regular file")
    ] * 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path: Path) -> None:
    make(tmp_path, "a/1")
    (tmp_path / "a").chmod(0)
    (found,) = walk([tmp_path])
    (tmp_path / "a").chmod(0o755)
    assert isinstance(found, Problem) and found.reason == "cannot be read: Permission denied"


def test_excluded_folder(tmp_path: Path) -> None:
    make(tmp_path, "a/1", "archive/packs/x")
    status = (tmp_path / "archive").stat()
    assert names(tmp_path, list(walk([tmp_path], [(status.st_dev, status.st_ino)]))) == ["a/1"]


def test_deep_folders_need_no_recursion(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        found = list(walk([tmp_path]))
        assert all(isinstance(f, Problem) for f in found)
    finally:
        os.close(here)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def dicomdir(path: Path, *file_ids: object) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    document = Dataset()
    document.file_meta = meta
    records = []
    for file_id in file_ids:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        if file_id is not None:
            record.add_new("ReferencedFileID", "CS", file_id)
        records.append(record)
    document.DirectoryRecordSequence = records
    with pydicom.config.disable_value_validation():
        document.save_as(path, enforce_file_format=True)
    return path


def test_dicomdir_of_real_media(shared_data: Path) -> None:
    present, problems = referenced_files(str(shared_data / "dicomdir" / "DICOMDIR"))
    assert len(present) == 31
    assert problems == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_file_ids_cannot_leave_the_medium(tmp_path: Path) -> None:
    make(tmp_path, "outside", "medium/IN/Image1.;1")
    path = dicomdir(
        tmp_path / "medium" / "DICOMDIR",
        ["in", "IMAGE1"], ["..", "outside"], "../outside", "/etc/passwd", ["", "etc"], ["IN", "MISSING"], None, "IN",
    )  # fmt: skip
    present, problems = referenced_files(str(path))
    assert present == [str(tmp_path / "medium" / "IN" / "Image1.;1")]
    reasons = [p.reason for p in problems]
    assert reasons.count("the DICOMDIR refers to a file outside of the medium") == 4
    assert reasons.count("referenced by the DICOMDIR but not there") == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_malformed_dicomdir(tmp_path: Path) -> None:
    path = tmp_path / "DICOMDIR"
    with pytest.raises(DataError, match="cannot be read"):
        referenced_files(str(path))
    good = dicomdir(path, ["A", "B"]).read_bytes()
    for cut in range(0, len(good), 7):
        path.write_bytes(good[:cut])
        with suppress(DataError):
            referenced_files(str(path))
