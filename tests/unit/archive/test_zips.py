from __future__ import annotations

import dataclasses
import fcntl
import io
import os
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from objects import make_object

import hilum
from hilum.archive.importer import TEMPORARY_PREFIX
from hilum.archive.incoming import remove_leftovers
from hilum.archive.sources import Problem
from hilum.archive.zips import Member, open_zip, read_members, safe_name
from hilum.config import IngestSettings
from hilum.dicom import scan as dicom
from hilum.errors import DataError, LimitExceeded

if TYPE_CHECKING:
    from hilum.config import Settings

LIMITS = IngestSettings()


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def read(data: bytes, limits: IngestSettings = LIMITS) -> tuple[dict[str, bytes], list[Problem]]:
    with open_zip(io.BytesIO(data)) as archive:
        found = list(read_members(archive, len(data), limits))
        members = {m.name: m.read() for m in found if isinstance(m, Member)}
    return members, [p for p in found if isinstance(p, Problem)]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_in_order(method: int, tmp_path: Path) -> None:
    data = pack({"b/2": b"two", "b/": b"", "a/1": b"one" * 1000}, method)
    assert read(data) == ({"b/2": b"two", "a/1": b"one" * 1000}, [])
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with open_zip(str(path)) as archive:
        member = [m for m in read_members(archive, len(data), LIMITS) if isinstance(m, Member)][1]
        target = io.BytesIO()
        member.copy_to(target)
    assert target.getvalue() == b"one" * 1000


def test_zip64_and_comment() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i in range(70_000):
            archive.writestr(str(i), b"")
        archive.comment = b"x" * 100
    assert len(read(stream.getvalue())[0]) == 70_000


def test_bombs_are_refused() -> None:
    members, problems = read(pack({"small": b"ok", "bomb": bytes(50 << 20)}))
    assert list(members) == ["small"]
    assert problems[0].reason == "the ZIP member expands more than 1000 times"


def test_bomb_in_many_parts() -> None:
    limits = IngestSettings(zip_max_bytes=3 << 20)
    members, problems = read(pack({str(i): bytes(1 << 20) for i in range(5)}), limits)
    assert len(members) == 3
    assert problems[0].reason == "the ZIP expands beyond the limit; the rest of it is not read"


def test_overlapping_members_are_a_bomb() -> None:
    """All directory entries point at the same bytes, as in 42-like quoted-overlap bombs."""
    data = bytearray(pack({f"{i:03}": bytes(1 << 20) if not i else b"" for i in range(200)}))
    directory = data.rfind(b"PK\x01\x02" + data[data.find(b"PK\x01\x02") + 4 : data.find(b"PK\x01\x02") + 6])
    first = data.find(b"PK\x01\x02")
    entry = bytes(data[first : first + 49])
    end = data.rfind(b"PK\x05\x06")
    count = struct.unpack_from("<H", data, end + 10)[0]
    for i in range(1, count):
        at = first + 49 * i
        data[at + 10 : at + 46] = entry[10:46]
    assert directory > first
    with open_zip(io.BytesIO(bytes(data))) as archive:
        found = list(read_members(archive, len(data), IngestSettings(zip_max_ratio=1000)))
    assert isinstance(found[-1], Problem)
    assert sum(isinstance(m, Member) for m in found) < 30


def test_members_that_are_too_many_or_too_large() -> None:
    data = pack({"a": b"x" * 3_000_000, "b": b"1"}, zipfile.ZIP_STORED)
    members, problems = read(data, IngestSettings(max_object_bytes=1 << 20))
    assert (list(members), len(problems)) == (["b"], 1)
    assert read(data, IngestSettings(zip_max_members=1))[1][0].reason == "the ZIP has more than 1 members"


def test_encrypted_member() -> None:
    data = bytearray(pack({"a": b"secret"}))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(magic) + at] |= 1
    members, problems = read(bytes(data))
    assert members == {}
    assert problems[0].reason == "the ZIP member is encrypted"


def test_huge_directory_is_not_read() -> None:
    data = bytearray(pack({"a": b""}))
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, 200 << 20)
    with pytest.raises(LimitExceeded, match="directory of the ZIP"):
        open_zip(io.BytesIO(bytes(data)))


def test_damaged_zips_give_data_errors() -> None:
    good = pack({"a": b"data" * 100, "b": b"other" * 50})
    for cut in range(0, len(good), 3):
        with pytest.raises(DataError):
            open_zip(io.BytesIO(good[:cut]))
    for at in range(0, len(good), 2):
        data = bytearray(good)
        data[at] ^= 0x55
        try:
            read(bytes(data))
        except (DataError, LimitExceeded):
            continue


def test_names_are_made_safe() -> None:
    assert safe_name("a\x1b[31m\n" + "b" * 600) == "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}" + "b" * 505


def test_copies_that_a_dead_process_left_are_removed(root: Path, settings: Settings) -> None:
    hilum.open(root, settings=settings).close()
    folder = root / "tmp"
    folder.mkdir(exist_ok=True)
    left, used, young, other = (folder / name for name in ("hilum-a", "hilum-b", "hilum-c", "notes.txt"))
    for file in (left, used, young, other):
        file.write_bytes(b"x")
        if file is not young:
            os.utime(file, (1e9, 1e9))
    with used.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        hilum.open(root, settings=settings).close()
        assert sorted(folder.iterdir()) == [used, young, other]
    with hilum.open(root, settings=settings):
        assert sorted(folder.iterdir()) == [young, other]


def test_a_large_member_is_locked_while_it_is_stored(
    root: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming = dataclasses.replace(settings, ingest=dataclasses.replace(settings.ingest, stream_above_bytes=1 << 20))
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as container:
        container.writestr("large.dcm", make_object(size=256, frames=12))
    found: list[bool] = []
    scan_file = dicom.scan_file

    def looked_at(path: Any, **options: Any) -> Any:
        if Path(path).parent == root / "tmp":
            os.utime(path, (1e9, 1e9))
            found.append(remove_leftovers(root / "tmp", prefix=TEMPORARY_PREFIX) == 0)
        return scan_file(path, **options)

    monkeypatch.setattr(dicom, "scan_file", looked_at)
    with hilum.open(root, settings=streaming) as archive:
        assert archive.import_paths([tmp_path / "large.zip"]).counts["stored"] == 1
    assert found == [True]
    assert list((root / "tmp").iterdir()) == []
