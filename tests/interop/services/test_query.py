"""C-FIND with DCMTK's and pynetdicom's clients (QCK-5, QCK-6, D-6, D-7, D-12)."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object
from programs import program
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

import hilum

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("query_server")
PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY = "1.2.840.10008.5.1.4.1.2.3.1"
NAMES = {
    1: ("ISO_IR 100", "Müller^Jörg"),
    2: ("ISO_IR 144", "Люкceмбypг"),
    3: ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    4: ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
}


def described(number: int, character_set: str, name: str, modality: str = "CT") -> bytes:
    ds = pydicom.dcmread(io.BytesIO(make_object(study=number, patient=f"P{number}", modality=modality)))
    ds.SpecificCharacterSet = character_set.split("\\") if character_set.startswith("\\") else character_set
    ds.PatientName = name
    ds.PatientID = f"P{number}"
    ds.StudyDate = f"202401{number:02d}"
    ds.StudyTime = f"{8 + number:02d}0000"
    item = Dataset()
    item.ScheduledProcedureStepID = f"STEP{number}"
    item.RequestedProcedureID = f"REQ{number}"
    ds.RequestAttributesSequence = [item]
    ds.StationName = f"ST{number}"
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from tests.interop.services.conftest import start_server, stop_server

    root = tmp_path_factory.mktemp("query") / "archive"
    with hilum.open(root) as archive:
        archive.store_many([described(number, *names) for number, names in NAMES.items()])
        archive.store_many(
            [make_object(study=100 + n, series=s, patient=f"Q{n:03d}") for n in range(300) for s in (1, 2)]
        )
    running = start_server(root, "--workers", "1")
    yield running
    assert stop_server(running) == 0


def ask(
    server: Any, keys: dict[str, Any], *, model: str = STUDY_ROOT, syntax: str = "1.2.840.10008.1.2.1"
) -> tuple[list[tuple[int, Dataset]], Dataset]:
    """Answers with their statuses, and the final response."""
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    assoc = AE(ae_title="TESTER").associate("127.0.0.1", server.dicom_port, [build_context(model, syntax)])
    assert assoc.is_established
    try:
        responses = list(assoc.send_c_find(identifier, model))
    finally:
        assoc.release()
    pending = [(status.Status, answer) for status, answer in responses if answer is not None]
    return pending, responses[-1][0]


def test_findscu_of_dcmtk(server: Any) -> None:
    command = [program("findscu"), "-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=P1"]
    command += ["-k", "StudyInstanceUID", "-k", "PatientName", "127.0.0.1", str(server.dicom_port)]
    answer = subprocess.run(command, capture_output=True, timeout=60, check=True)
    text = (answer.stdout + answer.stderr).decode("utf-8")
    assert text.count("Find Response:") == 1
    assert "Pending)" in text
    assert "Müller^Jörg" in text
    assert "Success" in text


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_syntaxes(server: Any, syntax: str) -> None:
    keys = {"QueryRetrieveLevel": "STUDY", "PatientID": "P1", "NumberOfStudyRelatedInstances": ""}
    ((status, answer),), final = ask(server, keys, syntax=syntax)
    assert (status, final.Status) == (0xFF00, 0x0000)
    assert answer.NumberOfStudyRelatedInstances == 1
    assert answer.RetrieveAETitle == "HILUM"
    assert answer.InstanceAvailability == "ONLINE"
    assert answer.StudyInstanceUID


@pytest.mark.parametrize("model", [PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY])
def test_every_model_at_every_level(server: Any, model: str) -> None:
    uid = ask(server, {"QueryRetrieveLevel": "STUDY", "PatientID": "Q007"})[0][0][1].StudyInstanceUID
    if model != STUDY_ROOT:
        found, _ = ask(
            server,
            {"QueryRetrieveLevel": "PATIENT", "PatientID": "Q007", "NumberOfPatientRelatedSeries": ""},
            model=model,
        )
        assert [a.NumberOfPatientRelatedSeries for _, a in found] == [2]
    found, _ = ask(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": uid, "PatientID": ""}, model=model)
    assert [a.PatientID for _, a in found] == ["Q007"]
    if model == PATIENT_STUDY_ONLY:
        return
    series = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": uid, "SeriesInstanceUID": "", "Modality": ""}
    found, _ = ask(server, series, model=model)
    assert len(found) == 2
    image = {"QueryRetrieveLevel": "IMAGE", "SeriesInstanceUID": found[0][1].SeriesInstanceUID, "Rows": None}
    found, final = ask(server, image, model=model)  # D-7: no key above, resolved by UID
    assert (len(found), found[0][1].Rows, final.Status) == (1, 8, 0)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"PatientID": "Q0*"}, 100),
        ({"PatientID": "Q00?"}, 10),
        ({"PatientID": "*"}, 304),
        ({}, 304),
        ({"StudyDate": "20240102-20240103"}, 2),
        ({"StudyDate": "-20240101"}, 1),
        ({"StudyDate": "20240102-20240104", "StudyTime": "100000-115959"}, 2),
        ({"PatientName": "muller*"}, 1),
        ({"PatientName": "MÜLLER^JORG"}, 1),
        ({"ModalitiesInStudy": ["CT", "MR"]}, 304),
        ({"ModalitiesInStudy": "US"}, 0),
        ({"PatientID": "q001"}, 0),
    ],
)
def test_matching(server: Any, keys: dict[str, Any], count: int) -> None:
    found, final = ask(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", **keys})
    assert final.Status == 0
    assert len({a.StudyInstanceUID for _, a in found}) == len(found) == count


def test_list_of_uids(server: Any) -> None:
    found, _ = ask(server, {"QueryRetrieveLevel": "STUDY", "PatientID": "Q00?", "StudyInstanceUID": ""})
    uids = [a.StudyInstanceUID for _, a in found][:4]
    again, _ = ask(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": [*uids, "1.2.3"]})
    assert {a.StudyInstanceUID for _, a in again} == set(uids)


def test_sequence_keys(server: Any) -> None:
    item = Dataset()
    item.ScheduledProcedureStepID = "STEP2"
    item.RequestedProcedureID = ""
    keys = {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "", "RequestAttributesSequence": [item]}
    ((status, answer),), _ = ask(server, keys)
    assert status == 0xFF00
    (found,) = answer.RequestAttributesSequence
    assert (found.ScheduledProcedureStepID, found.RequestedProcedureID, len(found)) == ("STEP2", "REQ2", 2)


@pytest.mark.parametrize(
    ("asked", "number", "answered"),
    [
        ("ISO_IR 100", 1, "ISO_IR 100"),
        ("ISO_IR 100", 2, "ISO_IR 192"),
        ("ISO_IR 144", 2, "ISO_IR 144"),
        (["", "ISO 2022 IR 87"], 3, ["", "ISO 2022 IR 87"]),
        (None, 3, "ISO_IR 192"),
        ("GB18030", 4, "GB18030"),
        ("ISO_IR 192", 4, "ISO_IR 192"),
    ],
)
def test_d6_character_sets(server: Any, asked: Any, number: int, answered: Any) -> None:
    keys: dict[str, Any] = {"QueryRetrieveLevel": "STUDY", "PatientID": f"P{number}", "PatientName": ""}
    if asked is not None:
        keys["SpecificCharacterSet"] = asked
    ((_, answer),), _ = ask(server, keys)
    assert answer.SpecificCharacterSet == answered
    assert str(answer.PatientName) == NAMES[number][1]


def test_name_is_asked_for_in_another_character_set(server: Any) -> None:
    keys = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "QueryRetrieveLevel": "STUDY", "PatientName": "*=山田*"}
    ((_, answer),), _ = ask(server, keys)
    assert str(answer.PatientName) == NAMES[3][1]


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"SeriesDescription": "x"}, 0xFF01),
        ({"SeriesDescription": ""}, 0xFF01),
        ({"StudyDescription": ""}, 0xFF00),
        ({"StationName": ""}, 0xFF01),
    ],
)
def test_optional_keys_that_are_not_supported(server: Any, keys: dict[str, Any], status: int) -> None:
    found, final = ask(server, {"QueryRetrieveLevel": "STUDY", "PatientID": "P2", **keys})
    assert [s for s, _ in found] == [status]
    assert final.Status == 0
    for keyword in keys:
        assert found[0][1][keyword].is_empty or keyword == "StudyDescription"


def test_keys_that_only_headers_hold(server: Any) -> None:
    keys = {"QueryRetrieveLevel": "IMAGE", "PatientID": "P2", "StudyInstanceUID": "", "BitsStored": None}
    ((status, answer),), _ = ask(server, keys)
    assert (status, answer.BitsStored) == (0xFF00, 12)


@pytest.mark.parametrize(
    ("keys", "model", "status"),
    [
        ({"PatientID": "P1"}, STUDY_ROOT, 0xA900),
        ({"QueryRetrieveLevel": "WORLD"}, STUDY_ROOT, 0xA900),
        ({"QueryRetrieveLevel": "PATIENT"}, STUDY_ROOT, 0xA900),
        ({"QueryRetrieveLevel": "SERIES"}, PATIENT_STUDY_ONLY, 0xA900),
        ({"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}, STUDY_ROOT, 0xC000),
    ],
)
def test_refusals(server: Any, keys: dict[str, Any], model: str, status: int) -> None:
    import warnings

    with warnings.catch_warnings(action="ignore"):
        found, final = ask(server, keys, model=model)
    assert (found, final.Status) == ([], status)
    assert 0 < len(final.ErrorComment) <= 64
    assert "yesterday" not in final.ErrorComment


def test_identifier_that_is_cut_off_is_c000_and_the_association_goes_on(server: Any) -> None:
    assoc = AE().associate("127.0.0.1", server.dicom_port, [build_context(STUDY_ROOT, "1.2.840.10008.1.2.1")])
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = "P1"
    stock = assoc.dimse.send_msg

    def cut(primitive: Any, context_id: int) -> None:
        if getattr(primitive, "Identifier", None) is not None:
            primitive.Identifier = io.BytesIO(primitive.Identifier.getvalue()[:-3])
        stock(primitive, context_id)

    assoc.dimse.send_msg = cut  # type: ignore[method-assign]
    assert [s.Status for s, _ in assoc.send_c_find(identifier, STUDY_ROOT)] == [0xC000]
    assoc.dimse.send_msg = stock  # type: ignore[method-assign]
    assert [s.Status for s, _ in assoc.send_c_find(identifier, STUDY_ROOT)] == [0xFF00, 0x0000]
    assoc.release()


def test_cancel(server: Any) -> None:
    assoc = AE().associate("127.0.0.1", server.dicom_port, [build_context(STUDY_ROOT)], max_pdu=16384)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    statuses = []
    for status, _ in assoc.send_c_find(identifier, STUDY_ROOT, msg_id=11):
        statuses.append(status.Status)
        if len(statuses) == 1:
            assoc.send_c_cancel(11, query_model=STUDY_ROOT)
            time.sleep(0.2)
    assert statuses[-1] in (0xFE00, 0x0000)
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = "P1"
    assert [s.Status for s, _ in assoc.send_c_find(identifier, STUDY_ROOT)] == [0xFF00, 0]
    assoc.release()


def test_findscu_cancels(server: Any) -> None:
    """DCMTK sends C-CANCEL after so many answers and waits for the end."""
    command = [program("findscu"), "-v", "-S", "--cancel", "3", "-k", "QueryRetrieveLevel=IMAGE"]
    command += ["-k", "SOPInstanceUID", "-pdu", "4096", "127.0.0.1", str(server.dicom_port)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert re.search(r"Final Find Response \((Cancel|Success)", answer.stdout + answer.stderr)


def test_limit_is_a700(start: Any, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    with hilum.open(root) as archive:
        archive.store_many([make_object(study=n) for n in range(30)])
    server = start(root, "--workers", "1", HILUM__DIMSE__MAX_RESULTS="10")
    found, final = ask(server, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""})
    assert (len(found), final.Status) == (10, 0xA700)
    assert "10" in final.ErrorComment


def test_extended_negotiation(server: Any) -> None:
    from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = STUDY_ROOT
    item.service_class_application_information = bytes((1, 1, 1, 0, 0))
    assoc = AE().associate("127.0.0.1", server.dicom_port, [build_context(STUDY_ROOT)], ext_neg=[item])
    assert assoc.acceptor.sop_class_extended[pydicom.uid.UID(STUDY_ROOT)] == bytes((1, 1, 0, 0, 0))
    assoc.release()


@pytest.mark.parametrize(
    ("dates", "times", "each_day", "combined"),
    [
        ("20240101-20240104", "100000-105959", ["P2"], ["P2", "P3"]),
        ("20240102-20240103", "100000-105959", ["P2"], ["P2"]),
        ("20240101-20240104", "-095959", ["P1"], ["P1", "P2", "P3"]),
        ("20240103-", "110000-", ["P3", "P4"], ["P3", "P4"]),
        ("20240101-20240104", "220000-060000", [], ["P2", "P3"]),  # from one evening over nights to a morning
    ],
)
def test_date_and_time_ranges(server: Any, dates: str, times: str, each_day: list[str], combined: list[str]) -> None:
    """Studies 1 to 4 are of the first to fourth of January, 9 to 12 o'clock (PS3.4 C.2.2.2.5, C.5.1.1)."""
    from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientID = "P*"
    identifier.StudyDate, identifier.StudyTime = dates, times
    for negotiated, expected in ((b"", each_day), (b"\1", each_day), (b"\1\0", each_day), (b"\0\1", combined)):
        items: list[Any] = []
        if negotiated:
            items.append(SOPClassExtendedNegotiation())
            items[0].sop_class_uid = STUDY_ROOT
            items[0].service_class_application_information = negotiated
        assoc = AE().associate("127.0.0.1", server.dicom_port, [build_context(STUDY_ROOT)], ext_neg=items)
        with warnings.catch_warnings(action="ignore"):
            answers = [answer for _, answer in assoc.send_c_find(identifier, STUDY_ROOT) if answer is not None]
        assoc.release()
        assert sorted(answer.PatientID for answer in answers) == expected, negotiated


def test_many_at_once(server: Any) -> None:
    counts: list[int] = []

    def client() -> None:
        keys = {"QueryRetrieveLevel": "STUDY", "PatientID": "Q0*"}
        counts.extend(len(ask(server, keys)[0]) for _ in range(3))

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [100] * 24


def test_store_find_and_echo_share_an_association(server: Any) -> None:
    ds = pydicom.dcmread(io.BytesIO(make_object(study=next(itertools.count(5000)), patient="SHARED")))
    contexts = [build_context(ds.SOPClassUID, "1.2.840.10008.1.2.1"), build_context(STUDY_ROOT)]
    contexts.append(build_context("1.2.840.10008.1.1"))
    assoc = AE().associate("127.0.0.1", server.dicom_port, contexts, evt_handlers=[(evt.EVT_ABORTED, pytest.fail)])
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ds.StudyInstanceUID
    try:
        for _ in range(3):
            assert assoc.send_c_store(ds).Status == 0
            assert [s.Status for s, _ in assoc.send_c_find(identifier, STUDY_ROOT)] == [0xFF00, 0]
            assert assoc.send_c_echo().Status == 0
    finally:
        assoc.release()
        with hilum.open(server.root) as archive:
            archive.delete("study", ds.StudyInstanceUID)
