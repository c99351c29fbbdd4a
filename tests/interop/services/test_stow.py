"""STOW-RS against a running server: what clients send right and wrong (S-1 ... S-5), limits, bad input, a full disk."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from objects import make_object, uid

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("live_server")
_NUMBERS = itertools.count(7_000)
TYPE = 'multipart/related; type="application/dicom"; boundary=BOUNDARY'
FAILED, STORED, OTHER = "00081198", "00081199", "0008119A"


def body(*objects: bytes, boundary: bytes = b"BOUNDARY", head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    pieces = [b"--%s\r\n%s\r\n%s\r\n" % (boundary, head, data) for data in objects]
    return b"".join(pieces) + b"--%s--\r\n" % boundary


def fresh(**options: Any) -> bytes:
    return make_object(study=next(_NUMBERS), **options)


def post(
    web: httpx.Client, content: Any, content_type: str = TYPE, path: str = "/studies", **headers: str
) -> httpx.Response:
    return web.post(path, content=content, headers={"Content-Type": content_type, **headers})


def test_one_instance(web: httpx.Client) -> None:
    raw = fresh()
    ds = pydicom.dcmread(io.BytesIO(raw))
    answer = post(web, body(raw))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    found = answer.json()
    assert set(found) == {"00081190", STORED}, "S-2: no FailedSOPSequence when nothing failed"
    item = found[STORED]["Value"][0]
    assert item["00081150"]["Value"] == [ds.SOPClassUID]
    assert item["00081155"]["Value"] == [ds.SOPInstanceUID]
    url = item["00081190"]["Value"][0]
    stored = web.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert stored.content == raw


def test_store_by_dicomweb_client(live_server: Any) -> None:
    sets = [pydicom.dcmread(io.BytesIO(fresh())) for _ in range(3)]
    answer = DICOMwebClient(live_server.dicomweb).store_instances(sets)
    assert len(answer.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in answer


@pytest.mark.parametrize(
    ("content_type", "prefix"),
    [
        ('multipart/related; type="application/dicom"; boundary="BOUNDARY"', b"\r\n"),
        ("multipart/related; type=application/dicom; boundary=BOUNDARY", b"preamble\r\n"),
        ("multipart/related; boundary=BOUNDARY", b""),
        ('Multipart/Related; boundary=BOUNDARY; type="application/dicom"; transfer-syntax=1.2.3; x=y', b""),
        ('multipart/related;type="application/dicom";boundary=BOUNDARY;start="<1>"', b""),
    ],
)
def test_s1_s4_content_types_of_clients(web: httpx.Client, content_type: str, prefix: bytes) -> None:
    assert post(web, prefix + body(fresh()), content_type).status_code == 200


@pytest.mark.parametrize(
    "head", [b"Content-Type: application/dicom; transfer-syntax=1.2.3\r\n", b"", b"content-type:application/dicom\r\n"]
)
def test_s4_part_headers_of_clients(web: httpx.Client, head: bytes) -> None:
    assert post(web, body(fresh(), head=head)).status_code == 200


def test_s1_chunked_body_without_length(web: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        whole = body(fresh(), fresh())
        for at in range(0, len(whole), 7):
            yield whole[at : at + 7]

    answer = post(web, pieces())
    assert len(answer.json()[STORED]["Value"]) == 2


def test_s2_some_fail(web: httpx.Client) -> None:
    good, bad = fresh(), fresh(size=64)
    answer = post(web, body(good, bad[:-100], b"not DICOM at all"))
    assert answer.status_code == 202
    found = answer.json()
    assert len(found[STORED]["Value"]) == 1
    failed = found[FAILED]["Value"]
    assert failed[0]["00081155"]["Value"] == [str(pydicom.dcmread(io.BytesIO(bad)).SOPInstanceUID)]
    assert failed[0]["00081197"]["Value"] == [0xC000]
    assert found[OTHER]["Value"][0]["00081197"]["Value"] == [0xC000]


def test_s2_all_fail(web: httpx.Client) -> None:
    answer = post(web, body(b"nothing", b""))
    assert answer.status_code == 409
    assert STORED not in answer.json()


def test_s3_objects_of_dcmjs(web: httpx.Client) -> None:
    ds = pydicom.dcmread(Path(__file__).parent.parent.parent / "data" / "demo" / "report-sr.dcm")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "2.25." + "9" * 38
    ds.StudyInstanceUID = ds.SeriesInstanceUID = "2.25." + "8" * 38  # other tests count the sample studies
    ds.PatientID = ""
    ds.file_meta.pop("ImplementationClassUID", None)
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=False, implicit_vr=False, little_endian=True)
    assert post(web, body(out.getvalue())).status_code == 200


def test_same_again_and_same_uid_with_other_bytes(web: httpx.Client) -> None:
    number = next(_NUMBERS)
    raw, other = make_object(study=number), make_object(study=number, comment="changed")
    assert post(web, body(raw)).status_code == 200
    assert post(web, body(raw, raw)).status_code == 200
    answer = post(web, body(other))
    assert answer.status_code == 202
    item = answer.json()[STORED]["Value"][0]
    assert item["00081196"]["Value"] == [0xB000]
    path = item["00081190"]["Value"][0]
    assert web.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"}).content == raw


def test_store_into_a_study(web: httpx.Client) -> None:
    number = next(_NUMBERS)
    mine, other = make_object(study=number), fresh()
    answer = post(web, body(mine, other), path=f"/studies/{uid(1, number)}")
    assert answer.status_code == 202
    found = answer.json()
    assert len(found[STORED]["Value"]) == 1
    assert found[FAILED]["Value"][0]["00081197"]["Value"] == [0xA900]


def test_single_part_body(web: httpx.Client) -> None:
    assert post(web, fresh(), "application/dicom").status_code == 200
    assert post(web, fresh()[:-50], "application/dicom").status_code == 409


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=BOUNDARY",
        'multipart/related; type="application/json"; boundary=BOUNDARY',
    ],
)
def test_other_media_types_are_415(web: httpx.Client, content_type: str) -> None:
    assert post(web, body(fresh()), content_type).status_code == 415


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", TYPE),
        (b"--BOUNDARY--\r\n", TYPE),
        (b"garbage without any boundary", TYPE),
        (body(b"x")[:-20], TYPE),
        (body(b"x"), "multipart/related; type=application/dicom"),
        (body(b"x", head=b"x" * 40000 + b"\r\n"), TYPE),
    ],
)
def test_malformed_bodies(web: httpx.Client, content: bytes, content_type: str) -> None:
    assert post(web, content, content_type).status_code in (400, 409, 413, 422)


def test_cut_body_keeps_what_was_whole(web: httpx.Client) -> None:
    first, second = fresh(), fresh()
    answer = post(web, body(first, second)[: -len(second) // 2])
    assert answer.status_code == 400
    assert "1 instances before that are stored" in answer.text
    found = web.get("/instances", params={"SOPInstanceUID": str(pydicom.dcmread(io.BytesIO(second)).SOPInstanceUID)})
    assert found.status_code == 204, "nothing half stored"


def test_client_that_goes_away_leaves_nothing(live_server: Any, web: httpx.Client) -> None:
    raw = fresh(size=2048)
    head = "POST /dicom-web/studies HTTP/1.1\r\nHost: a\r\nContent-Type: application/dicom\r\n"
    head += f"Content-Length: {len(raw)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", live_server.port)) as peer:
        peer.sendall(head.encode() + raw[: len(raw) // 2])
    assert web.get("/studies?limit=1").status_code == 200
    incoming = live_server.root / "incoming"
    assert not incoming.exists() or not list(incoming.iterdir())


def test_answer_as_xml(web: httpx.Client) -> None:
    answer = post(web, body(fresh()), Accept="application/dicom+xml")
    assert answer.headers["content-type"] == "application/dicom+xml"
    assert b'keyword="ReferencedSOPSequence"' in answer.content


def test_unacceptable_answer_is_json_all_the_same(web: httpx.Client) -> None:
    answer = post(web, body(fresh()), Accept="image/png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")


def test_large_object_passes_with_bounded_memory(start: Any, tmp_path: Path) -> None:
    """200 MiB in and out; the full gigabyte is in benchmarks/."""
    server = start(tmp_path / "archive", "--workers", "1")
    frames = 400
    raw = make_object(study=1, size=512, frames=1)
    pixels_at = raw.index(b"\xe0\x7f\x10\x00OW")
    size = frames * 512 * 512 * 2
    head = raw[: pixels_at + 8] + size.to_bytes(4, "little")
    head = head.replace(b"\x28\x00\x08\x00IS\x02\x00001 "[:8] + b"1 ", b"\x28\x00\x08\x00IS\x02\x001 ")
    frame = bytes(range(256)) * 2048
    digest = hashlib.sha256(head)

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(frames):
            digest.update(frame)
            yield frame

    worker = max(psutil.Process(server.process.pid).children(), key=lambda p: p.memory_info().rss)
    with httpx.Client(base_url=server.dicomweb, timeout=120) as client:
        answer = client.post("/studies", content=pieces(), headers={"Content-Type": "application/dicom"})
        assert answer.status_code == 200, answer.text
        path = answer.json()[STORED]["Value"][0]["00081190"]["Value"][0]
        back = hashlib.sha256()
        with client.stream("GET", path, headers={"Accept": "application/dicom; transfer-syntax=*"}) as stream:
            for piece in stream.iter_raw():
                back.update(piece)
        assert back.digest() == digest.digest()
    peak = int(
        next(line for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines() if "VmHWM" in line).split()[1]
    )
    assert peak < 300 << 10, f"{peak} KiB"
    assert not list((tmp_path / "archive" / "incoming").iterdir())


def test_body_above_the_limit_is_413(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__HTTP__MAX_BODY_BYTES="1 MiB")
    with httpx.Client(base_url=server.dicomweb, timeout=60) as client:
        told = client.post("/studies", content=bytes(2 << 20), headers={"Content-Type": "application/dicom"})
        assert told.status_code == 413
        untold = client.post(
            "/studies", content=iter([bytes(1 << 19)] * 4), headers={"Content-Type": "application/dicom"}
        )
        assert untold.status_code == 413
        assert client.get("/studies").status_code == 204


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_full_disk_is_507_and_harms_nothing(start: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        server = start(disk / "archive", "--workers", "1", HILUM__STORAGE__RESERVE_BYTES="4 MiB")
        statuses = []
        with httpx.Client(base_url=server.dicomweb, timeout=60) as client:
            for number in range(40):
                raw = make_object(study=number, size=700)
                answer = client.post("/studies", content=raw, headers={"Content-Type": "application/dicom"})
                statuses.append(answer.status_code)
                if answer.status_code != 200:
                    assert int(answer.headers["retry-after"]) > 0
                    assert answer.json()[FAILED]["Value"][0]["00081197"]["Value"] == [0xA700]
            stored = statuses.count(200)
            assert set(statuses) == {200, 507}
            assert len(client.get("/studies").json()) == stored
            assert client.get(f"/studies/{uid(1, 0)}/metadata").status_code == 200
        server.process.terminate()
        assert server.process.wait(20) == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
