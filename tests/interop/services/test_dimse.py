"""C-ECHO and C-STORE with other people's programs, and with peers that lie, drip and stay silent (D-*, P32 ... P37)."""

from __future__ import annotations

import io
import itertools
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object
from programs import program
from pydicom.uid import UID
from pynetdicom import AE, StoragePresentationContexts, build_context
from rejections import answer_to

import hilum

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.xdist_group("live_server")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
_NUMBERS = itertools.count(9_000)
VERIFICATION = "1.2.840.10008.1.1"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def send(server: Any, objects: Sequence[pydicom.Dataset], **options: Any) -> list[Any]:
    """Send by pynetdicom; the status of each."""
    ae = AE(ae_title="TESTER")
    syntaxes = {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in objects}
    contexts = [build_context(*pair) for pair in syntaxes]
    assoc = ae.associate("127.0.0.1", server.dicom_port, contexts, **options)
    assert assoc.is_established
    try:
        return [assoc.send_c_store(ds) for ds in objects]
    finally:
        assoc.release()


def test_echo_by_dcmtk(live_server: Any) -> None:
    assert run(program("echoscu"), "127.0.0.1", str(live_server.dicom_port)).returncode == 0


def test_store_by_dcmtk_keeps_the_bytes_of_the_data_set(live_server: Any, tmp_path: Path) -> None:
    raw = make_object(study=next(_NUMBERS), size=64)
    path = tmp_path / "one.dcm"
    path.write_bytes(raw)
    assert run(program("storescu"), "127.0.0.1", str(live_server.dicom_port), str(path)).returncode == 0
    ds = pydicom.dcmread(path)
    with hilum.open(live_server.root) as archive:
        stored = archive.instance(ds.SOPInstanceUID).read_bytes()
    meta = pydicom.dcmread(io.BytesIO(stored)).file_meta
    length = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    original = 128 + 4 + 12 + ds.file_meta.FileMetaInformationGroupLength
    assert stored[length:] == raw[original:]
    assert meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID


@pytest.mark.parametrize(
    "name",
    ["us-cine.dcm", "mr-shoulder.dcm", "sm-tiles.dcm", "document-pdf.dcm", "report-sr.dcm", "pet-tumour-seg.dcm"],
)
def test_every_class_and_syntax_is_taken(live_server: Any, name: str) -> None:
    ds = pydicom.dcmread(DEMO / name)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{next(_NUMBERS)}")
    ds.StudyInstanceUID = ds.SeriesInstanceUID = UID(f"2.25.{next(_NUMBERS)}")  # other tests count the sample studies
    assert send(live_server, [ds])[0].Status == 0x0000
    with hilum.open(live_server.root) as archive:
        assert archive.instance(ds.SOPInstanceUID).transfer_syntax_uid == ds.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.999", "1.3.6.1.4.1.5962.99.1", "1.2.840.113619.4.27"])
def test_d5_unknown_and_private_classes(live_server: Any, sop_class: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(make_object(study=next(_NUMBERS))))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    assert send(live_server, [ds])[0].Status == 0x0000


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.203", "1.2.3.4"]
)
def test_any_transfer_syntax_is_accepted(live_server: Any, syntax: str) -> None:
    ae = AE()
    assoc = ae.associate("127.0.0.1", live_server.dicom_port, [build_context("1.2.840.10008.5.1.4.1.1.2", syntax)])
    assert [str(c.transfer_syntax[0]) for c in assoc.accepted_contexts] == [syntax]
    assoc.release()


def test_d8_128_contexts_in_one_association(live_server: Any) -> None:
    ae = AE()
    assoc = ae.associate("127.0.0.1", live_server.dicom_port, StoragePresentationContexts[:128])
    assert len(assoc.accepted_contexts) == len(StoragePresentationContexts[:128])
    assoc.release()


def test_d10_titles_of_modalities(live_server: Any) -> None:
    for calling, called in (("ct", "hilum"), (" CT99 ", "ANYTHING"), ("A" * 16, "HILUM")):
        ae = AE(ae_title=calling)
        assoc = ae.associate("127.0.0.1", live_server.dicom_port, [build_context(VERIFICATION)], ae_title=called)
        assert assoc.send_c_echo().Status == 0
        assoc.release()


def test_success_means_findable_at_once(live_server: Any, web: Any) -> None:
    for _ in range(5):
        ds = pydicom.dcmread(io.BytesIO(make_object(study=next(_NUMBERS))))
        assert send(live_server, [ds])[0].Status == 0
        assert web.get(f"/studies?StudyInstanceUID={ds.StudyInstanceUID}").status_code == 200


def test_truthful_statuses(live_server: Any) -> None:
    number = next(_NUMBERS)
    ds = pydicom.dcmread(io.BytesIO(make_object(study=number)))
    assert send(live_server, [ds, ds])[1].Status == 0x0000
    changed = pydicom.dcmread(io.BytesIO(make_object(study=number, comment="other")))
    assert send(live_server, [changed])[0].Status == 0xB000
    without_study = pydicom.dcmread(io.BytesIO(make_object(study=next(_NUMBERS))))
    del without_study.StudyInstanceUID
    answer = send(live_server, [without_study])[0]
    assert answer.Status == 0xC000
    assert len(answer.ErrorComment) <= 64


def test_a900_when_the_data_set_is_another_instance(live_server: Any) -> None:
    ds = pydicom.dcmread(io.BytesIO(make_object(study=next(_NUMBERS))))
    ae = AE()
    assoc = ae.associate(
        "127.0.0.1", live_server.dicom_port, [build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)]
    )
    stock = assoc.dimse.send_msg

    def altered(primitive: Any, context_id: int) -> None:
        primitive.AffectedSOPInstanceUID = "1.2.3.4.5"
        stock(primitive, context_id)

    assoc.dimse.send_msg = altered  # type: ignore[method-assign]
    assert assoc.send_c_store(ds).Status == 0xA900
    assoc.release()


def test_large_object_goes_through_a_file(live_server: Any) -> None:
    raw = make_object(study=next(_NUMBERS), size=256, frames=120)
    ds = pydicom.dcmread(io.BytesIO(raw))
    assert send(live_server, [ds])[0].Status == 0
    with hilum.open(live_server.root) as archive:
        assert archive.instance(ds.SOPInstanceUID).number_of_frames == 120
    assert not list((live_server.root / "incoming").iterdir())


def test_parallel_associations(live_server: Any) -> None:
    results: list[int] = []

    def sender() -> None:
        objects = [pydicom.dcmread(io.BytesIO(make_object(study=next(_NUMBERS)))) for _ in range(10)]
        results.extend(answer.Status for answer in send(live_server, objects))

    threads = [threading.Thread(target=sender) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 80


def test_p32_silent_connections_do_not_delay_others(live_server: Any) -> None:
    silent = [socket.create_connection(("127.0.0.1", live_server.dicom_port)) for _ in range(300)]
    try:
        ae = AE()
        started = time.monotonic()
        assoc = ae.associate("127.0.0.1", live_server.dicom_port, [build_context(VERIFICATION)])
        assert assoc.send_c_echo().Status == 0
        assoc.release()
        assert time.monotonic() - started < 5
    finally:
        for peer in silent:
            peer.close()


def closed_by_server(data: bytes, port: int, seconds: float = 20) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as peer:
        peer.sendall(data)
        answer = b""
        try:
            while piece := peer.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize(
    "data",
    [
        bytes((1, 0)) + (0xFFFFFFF0).to_bytes(4, "big"),
        bytes((4, 0)) + (100).to_bytes(4, "big"),
        b"GET / HTTP/1.1\r\n\r\n",
        bytes((9, 9, 9, 9, 9, 9)),
        bytes((1, 0, 0, 0, 0, 4, 0, 1, 0, 0)),
    ],
)
def test_p34_peers_that_lie_are_closed(live_server: Any, data: bytes) -> None:
    closed_by_server(data, live_server.dicom_port)
    assert run(program("echoscu"), "127.0.0.1", str(live_server.dicom_port)).returncode == 0


def test_p34_pdu_longer_than_negotiated(live_server: Any) -> None:
    ae = AE()
    assoc = ae.associate("127.0.0.1", live_server.dicom_port, [build_context(VERIFICATION)])
    peer = assoc.dul.socket.socket
    peer.sendall(bytes((4, 0)) + (1 << 30).to_bytes(4, "big") + bytes(100))
    deadline = time.monotonic() + 10
    while assoc.is_established and time.monotonic() < deadline:
        time.sleep(0.05)
    peer.close()
    assert not assoc.is_established


def test_p37_over_the_limit_is_a_proper_reject(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__DIMSE__MAX_ASSOCIATIONS="2")
    ae = AE()
    contexts = [build_context(VERIFICATION)]
    first = [ae.associate("127.0.0.1", server.dicom_port, contexts) for _ in range(2)]
    assert all(assoc.is_established for assoc in first)
    assert answer_to("THIRD", server.dicom_port, contexts) == "2 3 2"
    for assoc in first:
        assoc.release()
    time.sleep(0.5)
    again = ae.associate("127.0.0.1", server.dicom_port, contexts)
    assert again.is_established
    again.release()


def test_calling_titles_that_may_connect(start: Any, tmp_path: Path) -> None:
    server = start(tmp_path / "archive", "--workers", "1", HILUM__DIMSE__CALLING_AE_TITLES="FRIEND")
    for title, accepted in (("FRIEND", True), ("STRANGER", False)):
        assoc = AE(ae_title=title).associate("127.0.0.1", server.dicom_port, [build_context(VERIFICATION)])
        assert assoc.is_established is accepted
        if accepted:
            assoc.release()
