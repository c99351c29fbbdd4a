"""Other people's clients: dcmjs-dimse, GDCM's gdcmscu, pynetdicom with every real file, and unknown peers."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object
from programs import free_port, program, storescp
from pynetdicom import AE, _config, build_context, build_role, evt
from real_files import ABSENT, find_shared_data
from shared_objects import all_rows
from tests.interop.services.conftest import start_server, stop_server
from tests.support.node import npm_package

import hilum
from hilum.archive.ingest import data_set_offset

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.xdist_group("peers_server"),
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # what pydicom says of odd real files
]
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"


@pytest.fixture(scope="module")
def sink() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sink: int) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("peers") / "archive"
    running = start_server(root, "--workers", "1", environment={"HILUM__DIMSE__PEERS": f"SINK 127.0.0.1:{sink}"})
    yield running
    assert stop_server(running) == 0


def content(data: bytes) -> bytes:
    return data[data_set_offset(data) :]


def stored(server: Any) -> dict[str, bytes]:
    with hilum.open(server.root, read_only=True) as archive:
        return {i.sop_instance_uid: content(i.read_bytes()) for i in archive.instances()}


@pytest.fixture(scope="module")
def dcmjs() -> tuple[str, Path]:
    """Node, and the folder that dcmjs-dimse is in."""
    return npm_package("dcmjs-dimse", "0.3.3")


def test_dcmjs_dimse(server: Any, sink: int, dcmjs: tuple[str, Path], tmp_path: Path) -> None:
    raw = make_object(study=400, patient="DCMJS", size=16)
    ds = pydicom.dcmread(io.BytesIO(raw))
    path = tmp_path / "one.dcm"
    path.write_bytes(raw)
    script = Path(__file__).parent / "dcmjs_client.cjs"
    node, modules = dcmjs
    command = [node, str(script), str(modules), str(server.dicom_port), str(path), ds.StudyInstanceUID, "SINK"]
    with storescp(sink, tmp_path / "came", "+xa") as came:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        moved = [content(file.read_bytes()) for file in came.iterdir()]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["echo"], found["store"], found["get"], found["move"]) == (0, 0, 0, [0, 1])
    assert found["found"] == [ds.StudyInstanceUID]
    ((uid, pixels),) = found["got"]
    assert (uid, base64.b64decode(pixels)) == (ds.SOPInstanceUID, ds.PixelData)
    assert moved == [stored(server)[ds.SOPInstanceUID]]
    assert pydicom.dcmread(io.BytesIO(stored(server)[uid]), force=True).PixelData == ds.PixelData


def gdcmscu(server: Any, *arguments: str) -> str:
    """Its output; GDCM 3.0 aborts when it has ended an association, whoever the peer is."""
    command = [program("gdcmscu"), *arguments, "--aetitle", "GDCM", "--call", "HILUM"]
    done = subprocess.run(
        [*command, "127.0.0.1", str(server.dicom_port)], capture_output=True, text=True, timeout=60, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0 or "ProtocolStream as nullptr" in output, output
    return output


def test_gdcmscu(server: Any, tmp_path: Path) -> None:
    """C-ECHO and C-STORE; of C-FIND gdcmscu 3.0 aborts before it prints anything, with any peer."""
    raw = make_object(study=401, patient="GDCM", size=16)
    ds = pydicom.dcmread(io.BytesIO(raw))
    path = tmp_path / "one.dcm"
    path.write_bytes(raw)
    assert "Result: 0" in gdcmscu(server, "--echo", "-D")
    gdcmscu(server, "--store", "-i", str(path))
    kept = pydicom.dcmread(io.BytesIO(stored(server)[ds.SOPInstanceUID]), force=True)
    assert kept.PixelData == ds.PixelData


def real_files() -> dict[str, tuple[Path, str, str, str]]:
    """Path, class, transfer syntax and study of each real file with a data set of its own, by SOP Instance UID."""
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    found: dict[str, tuple[Path, str, str, str]] = {}
    for row in all_rows(folder):
        if "!" in row["path"] or row["reads_pydicom"] != "ok" or row["path"].startswith(("dicomdir", "hostile")):
            continue
        with warnings.catch_warnings(action="ignore"):
            ds = pydicom.dcmread(folder / row["path"], stop_before_pixels=True, defer_size=1024)
        uids = [str(ds.get(k, "")) for k in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")]
        syntax = str(ds.file_meta.get("TransferSyntaxUID", ""))
        meta = [str(ds.file_meta.get(f"MediaStorage{name}UID", "")) for name in ("SOPInstance", "SOPClass")]
        if meta != uids[:2]:  # pynetdicom takes the command's UIDs from there; hilum refuses what contradicts itself
            continue
        if all(uids) and syntax and re.fullmatch(r"[0-9.]{1,64}", uids[0]):
            found.setdefault(uids[0], (folder / row["path"], uids[1], syntax, uids[2]))
    return found


def test_every_real_file_by_c_store_and_back_by_c_get(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom sends the bytes of each file's data set as they are; the same bytes are stored and come back."""
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", True)
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    files = real_files()
    expected = {uid: content(path.read_bytes()) for uid, (path, *_) in files.items()}
    refused: dict[str, int] = {}
    pairs = sorted({(cls, syntax) for _, cls, syntax, _ in files.values()})
    for start in range(0, len(pairs), 100):
        bundle = pairs[start : start + 100]
        ae = AE(ae_title="REAL")
        assoc = ae.associate("127.0.0.1", server.dicom_port, [build_context(*pair) for pair in bundle])
        assert assoc.is_established
        for uid, (path, cls, syntax, _) in files.items():
            if (cls, syntax) in bundle:
                status = assoc.send_c_store(path)
                if status.Status != 0:
                    refused[uid] = status.Status
        assoc.release()
    kept = stored(server)
    assert len(files) > 350
    assert len(refused) <= 3, refused
    assert [uid for uid in files if uid not in refused and kept[uid] != expected[uid]] == []
    came = fetch(server, {uid: entry for uid, entry in files.items() if uid not in refused})
    assert came.keys() == files.keys() - refused.keys()
    assert [uid for uid, data in came.items() if data != expected[uid]] == []


def fetch(server: Any, files: dict[str, tuple[Path, str, str, str]]) -> dict[str, bytes]:
    """C-GET, study by study, each class in the syntaxes that its study has."""
    came: dict[str, bytes] = {}

    def store(event: Any) -> int:
        came[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0

    for study in sorted({entry[3] for entry in files.values()}):
        pairs = sorted({(cls, syntax) for _, cls, syntax, of in files.values() if of == study})
        contexts = [build_context(STUDY_GET), *(build_context(*pair) for pair in pairs)]
        roles = [build_role(cls, scp_role=True) for cls in {cls for cls, _ in pairs}]
        assoc = AE(ae_title="REAL").associate(
            "127.0.0.1", server.dicom_port, contexts, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
        with warnings.catch_warnings(action="ignore"):
            final = list(assoc.send_c_get(identifier, STUDY_GET))[-1][0]
        assoc.release()
        assert final.Status == 0, f"{study}: {final.Status:04X}"
    return came


def test_commitment_of_an_unknown_peer_is_told_the_truth(server: Any) -> None:
    """A peer that is in no setting gets its report on its own association; what is not here is said to be not here."""
    ds = pydicom.dcmread(io.BytesIO(make_object(study=402)))
    reports: list[tuple[int, Any]] = []

    def report(event: Any) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0, None

    contexts = [build_context("1.2.840.10008.1.20.1"), build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)]
    assoc = AE(ae_title="STRANGER").associate(
        "127.0.0.1", server.dicom_port, contexts, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)]
    )
    assert assoc.send_c_store(ds).Status == 0
    action = pydicom.Dataset()
    action.TransactionUID = pydicom.uid.generate_uid()
    action.ReferencedSOPSequence = []
    for uid in (ds.SOPInstanceUID, "1.2.3.4.5.6"):
        item = pydicom.Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, uid
        action.ReferencedSOPSequence.append(item)
    status, _ = assoc.send_n_action(action, 1, "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1")
    assert status.Status == 0
    deadline = time.monotonic() + 10
    while not reports and time.monotonic() < deadline:
        time.sleep(0.02)
    assoc.release()
    ((kind, told),) = reports
    assert kind == 2
    assert [i.ReferencedSOPInstanceUID for i in told.ReferencedSOPSequence] == [ds.SOPInstanceUID]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in told.FailedSOPSequence] == [("1.2.3.4.5.6", 0x0112)]
