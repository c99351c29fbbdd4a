"""What clients trip over in DIMSE, by number (features D-1 to D-11), and what is compressed on its way to a peer.

D-3, D-5, D-6, D-8 and D-10 are in test_retrieve.py, test_dimse.py and test_query.py; D-12 is of the worklist.
"""

from __future__ import annotations

import io
import re
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from objects import make_object
from programs import free_port, program, storescp
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid
from pynetdicom import AE, StoragePresentationContexts, build_context, build_role, evt
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.dimse import client
from hilum.dimse.client import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("pitfalls_server")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
CT, PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.30"
STUDY_GET, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"
PATIENT_GET, PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.1.2"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4"
DEFLATED, RLE = f"{EXPLICIT}.99", "1.2.840.10008.1.2.5"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("JLS", "JPLL", "RLE", "J2K")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("pitfalls") / "archive"
    with hilum.open(root) as archive:
        archive.import_paths([DEMO])
        archive.store_many([make_object(study=1, instance=i, patient="P1", size=32) for i in (1, 2, 3)])
        odd = pydicom.dcmread(io.BytesIO(make_object(study=1, instance=9, patient="P1", size=8)))
        odd.SOPClassUID = odd.file_meta.MediaStorageSOPClassUID = PARAMETRIC_MAP
        out = io.BytesIO()
        odd.save_as(out)
        archive.store(out.getvalue())
    syntaxes = {"JLS": f"{JPEG}.80", "JPLL": f"{JPEG}.70", "RLE": RLE, "J2K": f"{JPEG}.90"}
    peers = [f"{name} 127.0.0.1:{port} syntaxes={syntaxes[name]}" for name, port in ports.items()]
    running = start_server(root, "--workers", "1", environment={"HILUM__DIMSE__PEERS": ",".join(peers)})
    yield running
    assert stop_server(running) == 0


def study(server: Any, patient: str = "P1") -> str:
    with hilum.open(server.root, read_only=True) as archive:
        return next(s.study_instance_uid for s in archive.studies(patient_id=patient))


def stored_pixels(server: Any, **keys: str) -> dict[str, Any]:
    """First frame of each instance, by UID."""
    with hilum.open(server.root, read_only=True) as archive:
        return {i.sop_instance_uid: i.frame(0) for i in archive.instances(**keys) if i.number_of_frames}


def getscu(server: Any, folder: Path, keys: dict[str, str], *options: str) -> str:
    command = [program("getscu"), "-v", "-S", "+B", "-od", str(folder), *options]
    for name, value in keys.items():
        command += ["-k", f"{name}={value}"]
    done = subprocess.run(
        [*command, "127.0.0.1", str(server.dicom_port)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_d1_getscu_that_puts_jpeg_2000_first(server: Any, tmp_path: Path) -> None:
    """Stored uncompressed, accepted as JPEG 2000: it goes out compressed, with equal pixels."""
    expected = stored_pixels(server, patient_id="P1", sop_class_uid=CT)
    getscu(server, tmp_path, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study(server)}, "+xv")
    came = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, tmp_path.iterdir())}
    assert came.keys() == expected.keys()
    for uid, ds in came.items():
        assert ds.file_meta.TransferSyntaxUID == f"{JPEG}.90"
        assert np.array_equal(imagecodecs.jpeg2k_decode(next(generate_frames(ds.PixelData))), expected[uid])


def test_d2_getscu_that_does_not_propose_a_class(server: Any, tmp_path: Path) -> None:
    """Parametric maps are not among the 120 classes of getscu: failed and listed, all others come."""
    text = getscu(server, tmp_path, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study(server)})
    assert len(list(tmp_path.iterdir())) == 3
    assert re.search(r"Failed Sub\S+\s*: 1$", text, re.MULTILINE)
    proposed = [build_context(STUDY_GET), build_context(CT, EXPLICIT)]
    final, failed = retrieve(server, proposed, STUDY_GET, {"StudyInstanceUID": study(server)})[0][-1]
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0xB000, 3, 1)
    with hilum.open(server.root, read_only=True) as archive:
        (odd,) = archive.instances(sop_class_uid=PARAMETRIC_MAP, patient_id="P1")
    assert failed.FailedSOPInstanceUIDList == odd.sop_instance_uid


def retrieve(
    server: Any, proposed: list[Any], model: str, keys: dict[str, str], level: str = "STUDY"
) -> tuple[list[tuple[Dataset, Any]], list[tuple[str, str, bytes]]]:
    """C-GET by pynetdicom: responses, and UID, syntax and data set of what came."""
    came: list[tuple[str, str, bytes]] = []

    def store(event: Any) -> int:
        request = event.request
        syntax = str(event.context.transfer_syntax)
        came.append((str(request.AffectedSOPInstanceUID), syntax, request.DataSet.getvalue()))
        return 0

    roles = [build_role(cx.abstract_syntax, scp_role=True) for cx in proposed if cx.abstract_syntax != model]
    assoc = AE(ae_title="GETTER").associate(
        "127.0.0.1", server.dicom_port, proposed, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert assoc.is_established
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    try:
        with warnings.catch_warnings(action="ignore"):
            return list(assoc.send_c_get(identifier, model)), came
    finally:
        assoc.release()


def test_d4_roles_are_echoed_and_the_order_of_syntaxes_counts(server: Any) -> None:
    order = [[f"{JPEG}.90", EXPLICIT, IMPLICIT], [IMPLICIT, EXPLICIT], [BIG, f"{JPEG}.50"]]
    classes = StoragePresentationContexts[: len(order)]
    contexts = [build_context(cx.abstract_syntax, syntaxes) for cx, syntaxes in zip(classes, order, strict=True)]
    roles = [build_role(cx.abstract_syntax, scp_role=True) for cx in classes[:2]]
    assoc = AE().associate("127.0.0.1", server.dicom_port, contexts, ext_neg=roles)
    try:
        accepted = {str(cx.abstract_syntax): cx for cx in assoc.accepted_contexts}
        assert [str(accepted[cx.abstract_syntax].transfer_syntax[0]) for cx in classes] == [s[0] for s in order]
        assert [bool(accepted[cx.abstract_syntax].as_scp) for cx in classes] == [True, True, False]
    finally:
        assoc.release()


@pytest.mark.parametrize("model", [PATIENT_GET, STUDY_GET])
def test_d7_series_of_a_bridge_that_names_nothing_above(server: Any, model: str) -> None:
    with hilum.open(server.root, read_only=True) as archive:
        series = list(archive.series(study_instance_uid=study(server)))
    proposed = [build_context(model), build_context(CT, EXPLICIT), build_context(PARAMETRIC_MAP, EXPLICIT)]
    responses, came = retrieve(server, proposed, model, {"SeriesInstanceUID": series[0].series_instance_uid}, "SERIES")
    assert responses[-1][0].Status == 0
    assert len(came) == 4


def test_d9_commitment_before_the_object_and_release_without_an_answer(server: Any) -> None:
    """The request may come before the object and its association may end at once: nobody hangs, the truth is told."""
    transaction = Dataset()
    transaction.TransactionUID = generate_uid()
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3.4.5"
    transaction.ReferencedSOPSequence = [item]
    reports: list[tuple[int, Dataset]] = []

    def report(event: Any) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0, None

    assoc = AE(ae_title="MODALITY").associate(
        "127.0.0.1",
        server.dicom_port,
        [build_context("1.2.840.10008.1.20.1")],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    )
    status, _ = assoc.send_n_action(transaction, 1, "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1")
    assert status.Status == 0
    deadline = time.monotonic() + 10
    while not reports and time.monotonic() < deadline:
        time.sleep(0.02)
    assoc.abort()
    assert reports[0][0] == 2
    assert reports[0][1].FailedSOPSequence[0].FailureReason == 0x0112
    assert client.echo(Remote("127.0.0.1", server.dicom_port)) < 5


@pytest.mark.parametrize("both", [False, True])
def test_d11_peer_that_wants_both_roles(tmp_path: Path, both: bool) -> None:
    """A peer (pynetdicom) tells which roles were proposed for storage."""
    seen: list[tuple[bool, bool]] = []
    uid = generate_uid()

    def asked(event: Any) -> None:
        if event.assoc.requestor.role_selection:
            role = event.assoc.requestor.role_selection[CT]
            seen.append((bool(role.scu_role), bool(role.scp_role)))

    def find(_event: Any) -> Iterator[Any]:
        answer = Dataset()
        answer.QueryRetrieveLevel, answer.SOPInstanceUID, answer.SOPClassUID = "IMAGE", uid, CT
        yield 0xFF00, answer

    def get(_event: Any) -> Iterator[Any]:
        ds = pydicom.dcmread(io.BytesIO(make_object()))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        yield 1
        yield 0xFF00, ds

    ae = AE(ae_title="SYNGO")
    ae.add_supported_context("1.2.840.10008.5.1.4.1.2.2.1")
    ae.add_supported_context(STUDY_GET)
    ae.add_supported_context(CT, [EXPLICIT, IMPLICIT], scu_role=True, scp_role=True)
    handlers = [(evt.EVT_REQUESTED, asked), (evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)]
    scp = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        port = scp.socket.getsockname()[1]  # type: ignore[union-attr]
        counts = client.get(
            Remote("127.0.0.1", port, called="SYNGO", both_roles=both), "study", {"StudyInstanceUID": "1.2.3"}, tmp_path
        )
    finally:
        scp.shutdown()
    assert seen == [(both, True)]
    assert (counts.status, counts.completed) == (0, 1)


# compressed on the way


@pytest.mark.parametrize(
    ("peer", "option", "syntax", "decoder"),
    [
        ("JLS", "+xt", f"{JPEG}.80", "dcmdjpls"),
        ("JPLL", "+xs", f"{JPEG}.70", "dcmdjpeg"),
        ("RLE", "+xr", RLE, "dcmdrle"),
    ],
)
def test_move_compresses_what_the_peer_wants_so(
    server: Any, ports: dict[str, int], tmp_path: Path, peer: str, option: str, syntax: str, decoder: str
) -> None:
    """C-MOVE to DCMTK's storescp with ``syntaxes=`` of dimse.peers; DCMTK's own decoder gives the stored pixels."""
    expected = stored_pixels(server, patient_id="P1", sop_class_uid=CT)
    with storescp(ports[peer], tmp_path / "came", option):
        counts = client.move(Remote("127.0.0.1", server.dicom_port), peer, "study", {"StudyInstanceUID": study(server)})
    assert (counts.completed, counts.failed, counts.warning) == (4, 0, 0)
    compared = 0
    for path in (tmp_path / "came").iterdir():
        assert str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID) == syntax
        plain = tmp_path / f"{path.name}.plain"
        subprocess.run([program(decoder), str(path), str(plain)], check=True, capture_output=True, timeout=30)
        ds = pydicom.dcmread(plain)
        if str(ds.SOPInstanceUID) in expected:
            assert np.array_equal(ds.pixel_array, expected[str(ds.SOPInstanceUID)])
            compared += 1
    assert compared == len(expected) == 3


DECODERS = {
    f"{JPEG}.80": imagecodecs.jpegls_decode,
    f"{JPEG}.81": imagecodecs.jpegls_decode,
    f"{JPEG}.70": imagecodecs.ljpeg_decode,
    f"{JPEG}.90": imagecodecs.jpeg2k_decode,
    f"{JPEG}.91": imagecodecs.jpeg2k_decode,
    f"{JPEG}.201": imagecodecs.htj2k_decode,
    f"{JPEG}.202": imagecodecs.htj2k_decode,
    f"{JPEG}.203": imagecodecs.htj2k_decode,
}


@pytest.mark.parametrize("syntax", [*DECODERS, DEFLATED, BIG, RLE])
def test_get_in_the_only_syntax_that_the_peer_takes(server: Any, syntax: str) -> None:
    """Exact in every target, also in those that could lose something; the UID stays."""
    expected = stored_pixels(server, patient_id="P1", sop_class_uid=CT)
    proposed = [build_context(STUDY_GET), build_context(CT, syntax), build_context(PARAMETRIC_MAP, EXPLICIT)]
    responses, came = retrieve(server, proposed, STUDY_GET, {"StudyInstanceUID": study(server)})
    assert (responses[-1][0].Status, len(came)) == (0, 4)
    for uid, used, data in came:
        if uid not in expected:
            continue
        assert used == syntax
        ds = Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = CT, uid
        head = io.BytesIO()
        pydicom.filewriter.write_file_meta_info(head, ds.file_meta, enforce_standard=True)
        ds = pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + head.getvalue() + data))
        assert str(ds.SOPInstanceUID) == uid
        decode = DECODERS.get(syntax, lambda _data, ds=ds: ds.pixel_array)
        data = next(generate_frames(ds.PixelData)) if syntax in DECODERS else b""
        assert np.array_equal(decode(data), expected[uid])


def test_what_cannot_be_compressed_without_loss_fails_and_is_listed(server: Any) -> None:
    """A peer that takes JPEG baseline only gets nothing: hilum does not lose bits on its own."""
    proposed = [build_context(STUDY_GET), build_context(CT, f"{JPEG}.50"), build_context(PARAMETRIC_MAP, EXPLICIT)]
    responses, came = retrieve(server, proposed, STUDY_GET, {"StudyInstanceUID": study(server)})
    final, failed = responses[-1]
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0xB000, 1, 3)
    assert len(failed.FailedSOPInstanceUIDList) == 3
    assert len(came) == 1
