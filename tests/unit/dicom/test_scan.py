"""The Python face of the scan: types, errors, buffers, files, streams."""

from __future__ import annotations

import array
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import objects
import pytest

from hilum import _core
from hilum.dicom import scan as scanning
from hilum.errors import DataError, HilumError, LimitExceeded, NotFound, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pathlib import Path

EXPLICIT = "1.2.840.10008.1.2.1"


def element(tag: int, vr: str, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    raw += (b"\0" if vr in ("UI", "OB") else b" ") * (len(raw) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN"):
        return head + struct.pack("<HI", 0, len(raw)) + raw
    return head + struct.pack("<H", len(raw)) + raw


def us(tag: int, number: int) -> bytes:
    return element(tag, "US", struct.pack("<H", number))


def make_object(*, patient: str = "P1", uid: str = "1.2.3.4", pixels: bool = True) -> bytes:
    meta = element(0x00020010, "UI", EXPLICIT)
    head = bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta
    body = element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7") + element(0x00080018, "UI", uid)
    body += element(0x00080060, "CS", "OT") + element(0x00100010, "PN", "Doe^Jane") + element(0x00100020, "LO", patient)
    body += element(0x0020000D, "UI", "1.2.3") + element(0x0020000E, "UI", "1.2.3.1")
    if pixels:
        body += us(0x00280002, 1) + element(0x00280004, "CS", "MONOCHROME2") + element(0x00280008, "IS", "2")
        body += us(0x00280010, 4) + us(0x00280011, 3) + us(0x00280100, 8) + us(0x00280101, 8) + us(0x00280102, 7)
        body += us(0x00280103, 0) + element(0x7FE00010, "OB", bytes(range(24)))
    return head + body


def test_everything_of_a_scan() -> None:
    data = make_object()
    found = scanning.scan(data)
    assert found.sop_instance_uid == "1.2.3.4"
    assert found.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert (found.study_instance_uid, found.series_instance_uid) == ("1.2.3", "1.2.3.1")
    assert (found.has_preamble, found.has_meta, found.is_dicomdir, found.deflated) == (True, True, False, False)
    assert found.header_length == len(data) - 24 - 12
    assert found.sha256 == hashlib.sha256(data).digest()
    assert found.crc32c == _core.crc32c(data)
    assert scanning.pixel_description(found) == PixelDescription(4, 3, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 2, "PixelData")
    patient = scanning.read_attributes(found.attributes("patient"))
    assert {tag: entry.value for tag, entry in patient.items()} == {"00100010": "Doe^Jane", "00100020": "P1"}
    table = scanning.FrameTable(found.frame_table)
    assert (table.kind, table.frame_bits, len(table)) == ("native", 96, 2)
    assert scanning.frame_bytes(data, table[1]) == bytes(range(12, 24))
    with pytest.raises(IndexError):
        table[2]


def test_buffers_of_every_kind() -> None:
    data = make_object()
    for buffer in (bytearray(data), memoryview(data), array.array("B", data)):
        assert scanning.scan(buffer).sop_instance_uid == "1.2.3.4"
    with pytest.raises(TypeError) as caught:
        scanning.scan("text")  # type: ignore[arg-type]
    assert "text" not in str(caught.value)
    with pytest.raises(BufferError):
        scanning.scan(memoryview(data)[::2])


def test_without_hashes_and_judgement() -> None:
    found = scanning.scan(make_object(uid="../../evil"), hashes=False, storable=False)
    assert (found.sha256, found.crc32c, found.sop_instance_uid) == (None, None, "")
    with pytest.raises(DataError) as caught:
        scanning.scan(make_object(uid="../../evil"))
    assert caught.value.code == 8
    assert "evil" not in str(caught.value)


def error_of(data: bytes) -> HilumError | None:
    try:
        scanning.scan(data)
    except HilumError as error:
        return error
    return None


def test_messages_hold_no_values() -> None:
    data = make_object(patient="SECRET-NAME")
    errors = [(length, error_of(data[:length])) for length in range(0, len(data), 7)]
    raised = [(length, error) for length, error in errors if error is not None]
    assert len(raised) > 50
    for length, error in raised:
        assert "SECRET" not in str(error)
        assert error.offset is None or 0 <= error.offset <= length


def test_unknown_level() -> None:
    with pytest.raises(UsageError):
        scanning.scan(make_object()).attributes("frame")  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    data = make_object()
    path = tmp_path / "Jörg"
    path.write_bytes(data)
    for name in (path, str(path), os.fsencode(path)):
        found, buffer = scanning.scan_file(name)
        assert buffer is not None
        assert bytes(buffer) == data
        assert len(buffer) == len(data)
        assert memoryview(buffer).readonly
        assert hashlib.sha256(buffer).digest() == found.sha256
    found, buffer = scanning.scan_file(path, max_bytes=10)
    assert buffer is None
    assert (found.sha256, found.sop_instance_uid) == (None, "1.2.3.4")


def test_what_is_no_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    good = tmp_path / "good"
    good.write_bytes(make_object())
    for max_bytes in (0, 1 << 20):
        results = scanning.scan_many([empty, pipe, tmp_path, loop, tmp_path / "none", good], max_bytes=max_bytes)
        names = [type(result).__name__ for result in results]
        assert names == ["DataError", "DataError", "DataError", "Unavailable", "NotFound", "tuple"]
        assert not any(str(tmp_path) in str(result) for result in results)
    with pytest.raises(NotFound):
        scanning.scan_file(tmp_path / "none")
    with pytest.raises(TypeError):
        scanning.scan_file(3)  # type: ignore[arg-type]


def test_extract() -> None:
    data = make_object()
    header = data[: scanning.scan(data).header_length]
    found = scanning.extract(header, ["00100020", "00080060", "00400275.00400009"])
    assert {tag: entry.values for tag, entry in found.items()} == {"00080060": ["OT"], "00100020": ["P1"]}
    with pytest.raises(UsageError):
        scanning.extract(header, ["PatientID"])


def test_streams_of_checksums() -> None:
    data = make_object()
    crc, sha = _core.Crc32c(), _core.Sha256()
    for start in range(0, len(data), 100):
        crc.update(data[start : start + 100])
        sha.update(memoryview(data)[start : start + 100])
    assert crc.digest() == _core.crc32c(data)
    assert sha.digest() == hashlib.sha256(data).digest() == _core.sha256(data)
    assert _core.crc32c(data[50:], _core.crc32c(data[:50])) == _core.crc32c(data)


def test_many_threads() -> None:
    data = make_object()
    wrong: list[str] = []

    def work() -> None:
        found = [scanning.scan(data).sop_instance_uid for _ in range(200)]
        wrong.extend(uid for uid in found if uid != "1.2.3.4")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_damaged_tables_and_lists() -> None:
    for bad in (b"", b"\x04", b"\x01short", b"\x02\x01"):
        with pytest.raises(DataError):
            scanning.FrameTable(bad)
    with pytest.raises(DataError):
        scanning.FrameTable(b"\x02\x01\0\0\0short")[0]
    for bad in (b"1234", b"\x08\0\x60\0CS\xff\0OT", b"\x08\0\x60\0CS\x02\0\xff\xff"):
        with pytest.raises(DataError):
            scanning.read_attributes(bad)


def test_a_deflate_bomb_is_refused() -> None:
    import zlib

    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    stream = b"".join(squeeze.compress(block) for _ in range(300)) + squeeze.flush()
    meta = element(0x00020010, "UI", "1.2.840.10008.1.2.1.99")
    bomb = bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + stream
    assert len(bomb) < 400_000
    with pytest.raises(LimitExceeded):
        scanning.scan(bomb)


CUT = """
import os, random, struct, sys, threading, time
from hilum.dicom.scan import scan_file
from hilum.errors import DataError, Unavailable
whole, path = open(sys.argv[1], "rb").read(), sys.argv[2]
cut = 0
for round in range(60):
    with open(path, "wb") as stream:
        stream.write(whole)
    timer = threading.Timer(random.random() * float(sys.argv[3]), os.truncate, (path, random.choice((0, 4096, 70_000))))
    timer.start()
    try:
        scan_file(path, max_bytes=1 << 20)
    except Unavailable as error:
        cut += "cut short" in str(error)
    except DataError:
        pass
    timer.join()
print(cut)
"""


def test_a_mapped_file_that_is_cut_while_it_is_scanned(tmp_path: Path) -> None:
    """Without the guard the process would be ended by SIGBUS."""
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, 2000) + bytes(2000)
    whole = objects.make_object()
    at = whole.rindex(b"\xe0\x7f\x10\x00OW")
    whole = whole[:at].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    whole += b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    whole += fragment * 8000 + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    (tmp_path / "whole").write_bytes(whole)
    began = time.perf_counter()
    scanning.scan_file(tmp_path / "whole", max_bytes=1 << 20)
    seconds = time.perf_counter() - began
    command = [sys.executable, "-c", CUT, str(tmp_path / "whole"), str(tmp_path / "cut"), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
