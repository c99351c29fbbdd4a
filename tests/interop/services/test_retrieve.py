"""C-GET and C-MOVE with DCMTK and pynetdicom (QCK-10, D-1 to D-4, D-7)."""

from __future__ import annotations

import contextlib
import io
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from objects import make_object
from programs import free_port, program, storescp
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context, build_role, evt
from real_files import find_shared_data
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.archive.ingest import data_set_offset
from hilum.errors import HilumError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [
    pytest.mark.xdist_group("retrieve_server"),
    pytest.mark.filterwarnings("ignore:.*:UserWarning"),  # what pydicom says of odd real files
]
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
STUDY_GET, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.5.1.4.1.2.2.2"
PATIENT_GET, PATIENT_MOVE = "1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.1.2"
PLAIN = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]


def content(data: bytes) -> bytes:
    """The data set of a Part-10 file."""
    return data[data_set_offset(data) :]


@pytest.fixture(scope="module")
def destinations() -> dict[str, int]:
    return {"DCMTK": free_port(), "NOBODY": free_port(), "PYNET": free_port(), "PLAIN": free_port()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, destinations: dict[str, int]) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("retrieve") / "archive"
    data = find_shared_data()
    with hilum.open(root) as archive:
        archive.import_paths([DEMO] if data is None else [DEMO, data])
        archive.store_many(
            [make_object(study=1, series=s, instance=i, patient="R1") for s in (1, 2) for i in (1, 2, 3)]
        )
        archive.store_many([make_object(study=2, instance=i, patient="R1", size=256) for i in range(1, 60)])
    peers = ",".join(f"{title} 127.0.0.1:{port}" for title, port in destinations.items())
    running = start_server(
        root, "--workers", "1", environment={"HILUM__DIMSE__PEERS": peers, "HILUM__DIMSE__MOVE_RETRIES": "0"}
    )
    yield running
    assert stop_server(running) == 0


def records(server: Any, **keys: str) -> dict[str, tuple[str, str, bytes]]:
    """Class, syntax and data set of each instance, by UID."""
    with hilum.open(server.root, read_only=True) as archive:
        return {
            i.sop_instance_uid: (i.sop_class_uid, i.transfer_syntax_uid, content(i.read_bytes()))
            for i in archive.instances(**keys)
        }


def received(folder: Path) -> dict[str, bytes]:
    """Data set of each file of a folder, by SOP Instance UID."""
    found = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        meta = pydicom.filereader.read_file_meta_info(path)
        found[str(meta.MediaStorageSOPInstanceUID)] = content(data)
    return found


def get(
    server: Any,
    keys: dict[str, Any],
    contexts: Sequence[tuple[str, str | list[str]]],
    model: str = STUDY_GET,
    **options: Any,
) -> tuple[list[tuple[Dataset, Dataset | None]], list[tuple[str, str, bytes]]]:
    """C-GET by pynetdicom: its responses, and class, syntax and bytes of what came."""
    came: list[tuple[str, str, bytes]] = []
    status = options.get("status", 0x0000)

    def store(event: Any) -> int:
        request = event.request
        came.append(
            (str(request.AffectedSOPInstanceUID), str(event.context.transfer_syntax), request.DataSet.getvalue())
        )
        return status

    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    offered = [build_context(model), *(build_context(*context) for context in contexts)]
    roles = [build_role(uid, scp_role=True) for uid in {context[0] for context in contexts}]
    assoc = AE(ae_title="GETTER").associate(
        "127.0.0.1", server.dicom_port, offered, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert assoc.is_established
    try:
        with warnings.catch_warnings(action="ignore"):
            return list(assoc.send_c_get(identifier, model)), came
    finally:
        assoc.release()


CT = "1.2.840.10008.5.1.4.1.1.2"


def study_of(server: Any, patient: str, number: int = 0) -> str:
    with hilum.open(server.root, read_only=True) as archive:
        return sorted(s.study_instance_uid for s in archive.studies(patient_id=patient))[number]


@pytest.mark.parametrize("model", [STUDY_GET, PATIENT_GET])
def test_get_at_every_level(server: Any, model: str) -> None:
    study = study_of(server, "R1")
    stored = records(server, study_instance_uid=study)
    responses, came = get(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study}, [(CT, PLAIN)], model)
    assert {uid: data for uid, _, data in came} == {uid: data for uid, (_, _, data) in stored.items()}
    final = responses[-1][0]
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0, 6, 0)
    assert "NumberOfRemainingSuboperations" not in final
    with hilum.open(server.root, read_only=True) as archive:
        series = sorted(s.series_instance_uid for s in archive.series(study_instance_uid=study))
    _, came = get(server, {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": series[1]}, [(CT, PLAIN)], model)
    assert len(came) == 3
    _, came = get(server, {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": series}, [(CT, PLAIN)], model)
    assert len(came) == 6
    uids = sorted(stored)[:2]
    _, came = get(server, {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": uids}, [(CT, PLAIN)], model)
    assert sorted(uid for uid, _, _ in came) == uids
    if model == PATIENT_GET:
        _, came = get(server, {"QueryRetrieveLevel": "PATIENT", "PatientID": "R1"}, [(CT, PLAIN)], model)
        assert len(came) == 65
        keys = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study, "PatientID": "OTHER"}
        assert get(server, keys, [(CT, PLAIN)], model)[1] == []


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"QueryRetrieveLevel": "STUDY"}, 0xA900),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "*"}, 0xA900),
        ({"StudyInstanceUID": "1.2.3"}, 0xA900),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": "R1"}, 0xA900),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"}, 0x0000),
    ],
)
def test_refusals(server: Any, keys: dict[str, Any], status: int) -> None:
    with warnings.catch_warnings(action="ignore"):
        responses, came = get(server, keys, [(CT, PLAIN)])
    assert (responses[-1][0].Status, came) == (status, [])


def test_class_that_the_peer_does_not_take_is_listed_as_failed(server: Any) -> None:
    study = study_of(server, "R1")
    responses, came = get(
        server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study}, [("1.2.840.10008.5.1.4.1.1.4", PLAIN)]
    )
    final, failed = responses[-1]
    assert (final.Status, final.NumberOfFailedSuboperations, came) == (0xA702, 6, [])
    assert failed is not None
    assert sorted(failed.FailedSOPInstanceUIDList) == sorted(records(server, study_instance_uid=study))


@pytest.mark.parametrize(("status", "final"), [(0xB000, 0xB000), (0xA700, 0xA702), (0xC123, 0xA702)])
def test_what_the_peer_says_is_counted(server: Any, status: int, final: int) -> None:
    study = study_of(server, "R1")
    responses, _ = get(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study}, [(CT, PLAIN)], status=status)
    last = responses[-1][0]
    counts = (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations, last.NumberOfWarningSuboperations)
    assert last.Status == final
    assert counts == ((0, 0, 6) if status == 0xB000 else (0, 6, 0))


def test_get_is_cancelled(server: Any) -> None:
    study = study_of(server, "R1", 1)
    came: list[int] = []

    def store(event: Any) -> int:
        came.append(1)
        if len(came) == 5:
            event.assoc.send_c_cancel(7, query_model=STUDY_GET)
        time.sleep(0.02)
        return 0

    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study
    assoc = AE().associate(
        "127.0.0.1",
        server.dicom_port,
        [build_context(STUDY_GET), build_context(CT, PLAIN)],
        ext_neg=[build_role(CT, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    responses = list(assoc.send_c_get(identifier, STUDY_GET, msg_id=7))
    assoc.release()
    final = responses[-1][0]
    assert final.Status == 0xFE00
    assert 5 <= len(came) < 40
    assert final.NumberOfCompletedSuboperations == len(came)


def test_d1_getscu_of_dcmtk(server: Any, tmp_path: Path) -> None:
    study = study_of(server, "R1")
    command = [program("getscu"), "-S", "+B", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", f"StudyInstanceUID={study}", "127.0.0.1", str(server.dicom_port)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    assert received(tmp_path) == {uid: data for uid, (_, _, data) in records(server, study_instance_uid=study).items()}


def test_d1_what_getscu_does_not_take_compressed_is_transcoded(server: Any, tmp_path: Path) -> None:
    """Ultrasound is stored compressed; what can be decoded arrives, with equal pixels."""
    expected: dict[str, Any] = {}
    with hilum.open(server.root, read_only=True) as archive:
        for instance in archive.instances(modality="US"):
            if instance.transfer_syntax_uid not in PLAIN and instance.number_of_frames:
                with contextlib.suppress(HilumError):
                    expected[instance.sop_instance_uid] = instance.frame(0)
    assert expected
    for uid in expected:
        command = [program("getscu"), "-S", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=IMAGE"]
        command += ["-k", f"SOPInstanceUID={uid}", "127.0.0.1", str(server.dicom_port)]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    came = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, tmp_path.iterdir())}
    assert came.keys() == expected.keys()
    for uid, ds in came.items():
        assert ds.file_meta.TransferSyntaxUID in PLAIN
        assert np.array_equal(first_frame(ds), stored_bits(expected[uid], ds))


def first_frame(ds: Dataset) -> Any:
    """Stored bits of the first frame, by pydicom."""
    with warnings.catch_warnings(action="ignore"):
        return stored_bits(pydicom.pixels.pixel_array(ds, index=0, raw=True), ds)


def stored_bits(array: Any, ds: Dataset) -> Any:
    values = np.asarray(array).squeeze()
    return values & ((1 << int(ds.BitsStored)) - 1) if values.dtype.kind in "iu" else values


@pytest.mark.parametrize("syntax", PLAIN)
def test_transcoded_to_what_was_accepted(server: Any, syntax: str) -> None:
    """Whatever is stored goes out in the one uncompressed syntax that the peer takes, if it can be decoded."""
    sent = 0
    with hilum.open(server.root, read_only=True) as archive:
        instances = [i for i in archive.instances(limit=400) if i.size < 2_000_000]
        by_class: dict[str, Any] = {}
        for instance in instances:
            by_class.setdefault((instance.sop_class_uid, instance.transfer_syntax_uid), instance)
        expected = {}
        for instance in by_class.values():
            try:
                expected[instance.sop_instance_uid] = instance.frame(0) if instance.number_of_frames else None
            except HilumError:
                expected[instance.sop_instance_uid] = None
    for instance in by_class.values():
        keys = {"QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": instance.sop_instance_uid}
        responses, came = get(server, keys, [(instance.sop_class_uid, syntax)])
        final = responses[-1][0]
        assert final.NumberOfCompletedSuboperations + final.NumberOfFailedSuboperations == 1
        if not came:
            continue
        sent += 1
        assert came[0][1] == syntax
        if expected[instance.sop_instance_uid] is None or instance.transfer_syntax_uid == syntax:
            continue
        with warnings.catch_warnings(action="ignore"):
            ds = pydicom.dcmread(io.BytesIO(came[0][2]), force=True)
            ds = pydicom.filereader.read_dataset(io.BytesIO(came[0][2]), syntax == PLAIN[1], True)
            ds.file_meta = pydicom.dataset.FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
            if "PixelData" not in ds or int(ds.BitsAllocated) == 1:
                continue
        assert np.array_equal(first_frame(ds), stored_bits(expected[instance.sop_instance_uid], ds))
    assert sent >= len(by_class) // 2


def test_every_file_comes_back_byte_exact(
    server: Any, destinations: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-MOVE of every study, the real files among them, to a peer that takes every class and syntax."""
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", True)
    stored = records(server)
    came: dict[str, tuple[str, str, bytes]] = {}

    def store(event: Any) -> int:
        request, syntax = event.request, str(event.context.transfer_syntax)
        came[str(request.AffectedSOPInstanceUID)] = (
            str(request.AffectedSOPClassUID),
            syntax,
            request.DataSet.getvalue(),
        )
        return 0

    ae = AE(ae_title="PYNET")
    ae.add_supported_context("1.2.840.10008.1.1")
    scp = ae.start_server(("127.0.0.1", destinations["PYNET"]), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    with hilum.open(server.root, read_only=True) as archive:
        studies = [s.study_instance_uid for s in archive.studies()]
    try:
        finals = [move(server, study, "PYNET")[-1][0] for study in studies]
    finally:
        scp.shutdown()
    assert {final.Status for final in finals} == {0}
    assert sum(final.NumberOfCompletedSuboperations for final in finals) == len(stored)
    assert came.keys() == stored.keys()
    assert [uid for uid, found in came.items() if found != stored[uid]] == []


def test_dcmtk_takes_what_it_knows(server: Any, tmp_path: Path, destinations: dict[str, int]) -> None:
    """Every study of the demonstration by C-MOVE to `storescp`: as stored where it takes the syntax."""
    with hilum.open(server.root, read_only=True) as archive:
        demo = {pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID for path in DEMO.glob("*.dcm")}
        studies = [s.study_instance_uid for s in archive.studies() if s.study_instance_uid in demo]
    stored = records(server)
    folder = tmp_path / "came"
    with storescp(destinations["DCMTK"], folder, "+xa", "-pm"):
        finals = [move(server, study, "DCMTK")[-1][0] for study in studies]
    came = received(folder)
    assert len(studies) > 5
    assert sum(final.NumberOfCompletedSuboperations for final in finals) == len(came)
    assert sum(final.NumberOfFailedSuboperations for final in finals) == 0
    syntaxes = {
        str(meta.MediaStorageSOPInstanceUID): str(meta.TransferSyntaxUID)
        for meta in map(pydicom.filereader.read_file_meta_info, folder.iterdir())
    }
    as_stored = [uid for uid in came if syntaxes[uid] == stored[uid][1]]
    assert len(as_stored) > len(came) // 2
    assert [uid for uid in as_stored if stored[uid][2] != came[uid]] == []
    assert {syntaxes[uid] for uid in came if uid not in as_stored} <= set(PLAIN)


def test_move_at_study_level_by_movescu(server: Any, tmp_path: Path, destinations: dict[str, int]) -> None:
    study = study_of(server, "R1", 1)
    folder = tmp_path / "came"
    with storescp(destinations["DCMTK"], folder, "+xa", "-pm"):
        command = [program("movescu"), "-v", "-S", "-aem", "DCMTK", "-k", "QueryRetrieveLevel=STUDY"]
        command += ["-k", f"StudyInstanceUID={study}", "127.0.0.1", str(server.dicom_port)]
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    assert received(folder) == {uid: data for uid, (_, _, data) in records(server, study_instance_uid=study).items()}


def move(server: Any, study: str, destination: str) -> list[tuple[Dataset, Dataset | None]]:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study
    assoc = AE(ae_title="MOVER").associate("127.0.0.1", server.dicom_port, [build_context(STUDY_MOVE)])
    try:
        return list(assoc.send_c_move(identifier, destination, STUDY_MOVE, msg_id=21))
    finally:
        assoc.release()


def test_d3_unknown_destination_is_a801(server: Any) -> None:
    assert [s.Status for s, _ in move(server, study_of(server, "R1"), "NOWHERE")] == [0xA801]


def test_destination_that_does_not_answer(server: Any) -> None:
    responses = move(server, study_of(server, "R1"), "NOBODY")
    final, failed = responses[-1]
    assert (final.Status, final.NumberOfFailedSuboperations, final.NumberOfCompletedSuboperations) == (0xA702, 6, 0)
    assert failed is not None
    assert len(failed.FailedSOPInstanceUIDList) == 6


def test_move_names_its_originator_and_counts(server: Any, destinations: dict[str, int]) -> None:
    seen: list[tuple[str, int]] = []
    lost = sorted(records(server, study_instance_uid=study_of(server, "R1")))[2]

    def store(event: Any) -> int:
        request = event.request
        seen.append((str(request.MoveOriginatorApplicationEntityTitle), request.MoveOriginatorMessageID))
        return 0xA700 if request.AffectedSOPInstanceUID == lost else 0

    ae = AE(ae_title="PYNET")
    ae.add_supported_context(CT, PLAIN)
    scp = ae.start_server(("127.0.0.1", destinations["PYNET"]), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        final, failed = move(server, study_of(server, "R1"), "PYNET")[-1]
    finally:
        scp.shutdown()
    assert set(seen) == {("MOVER", 21)}
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0xB000, 5, 1)
    assert failed is not None
    assert failed.FailedSOPInstanceUIDList == lost


def test_move_is_cancelled(server: Any, destinations: dict[str, int]) -> None:
    def store(_event: Any) -> int:
        time.sleep(0.1)
        return 0

    ae = AE(ae_title="PYNET")
    ae.add_supported_context(CT, PLAIN)
    scp = ae.start_server(("127.0.0.1", destinations["PYNET"]), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_of(server, "R1", 1)
    assoc = AE().associate("127.0.0.1", server.dicom_port, [build_context(STUDY_MOVE)])
    statuses = []
    try:
        for status, _ in assoc.send_c_move(identifier, "PYNET", STUDY_MOVE, msg_id=5):
            statuses.append(status)
            if len(statuses) == 1:
                assoc.send_c_cancel(5, query_model=STUDY_MOVE)
    finally:
        assoc.release()
        scp.shutdown()
    assert statuses[0].Status == 0xFF00
    assert statuses[-1].Status == 0xFE00
    assert 0 < statuses[-1].NumberOfCompletedSuboperations < 59


def test_peer_that_vanishes_in_the_middle_disturbs_nobody(server: Any) -> None:
    study = study_of(server, "R1", 1)

    def store(event: Any) -> int:
        event.assoc.dul.socket.socket.close()
        return 0

    for _ in range(3):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = study
        assoc = AE().associate(
            "127.0.0.1",
            server.dicom_port,
            [build_context(STUDY_GET), build_context(CT, PLAIN)],
            ext_neg=[build_role(CT, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, store)],
        )
        list(assoc.send_c_get(identifier, STUDY_GET))
        assoc.abort()
    _, came = get(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": study}, [(CT, PLAIN)])
    assert len(came) == 59
