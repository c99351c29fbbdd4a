"""Storage commitment with pynetdicom as SCU (ACQ-5, D-9): same association, new association, restarts, damage."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object
from programs import free_port
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from tests.interop.services.conftest import stop_server

import hilum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLASS, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"


def filled(root: Path, count: int = 5) -> list[Dataset]:
    raw = [make_object(study=1, instance=n) for n in range(count)]
    with hilum.open(root) as archive:
        archive.store_many(raw)
    return [pydicom.dcmread(io.BytesIO(data)) for data in raw]


def action(references: Sequence[tuple[str, str]], transaction: str) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = transaction
    ds.ReferencedSOPSequence = []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        ds.ReferencedSOPSequence.append(item)
    return ds


class Reports:
    """Takes N-EVENT-REPORT requests."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Dataset]] = []
        self.arrived = threading.Event()

    def __call__(self, event: Any) -> tuple[int, None]:
        self.found.append((event.event_type, event.event_information))
        self.arrived.set()
        return 0x0000, None

    def wait(self) -> tuple[int, Dataset]:
        assert self.arrived.wait(20)
        self.arrived.clear()
        return self.found[-1]


def ask(
    server: Any, references: Sequence[tuple[str, str]], reports: Reports, title: str = "MODALITY", **change: Any
) -> tuple[int, str]:
    """Send N-ACTION; wait for a report on the same association unless the peer is known. Status and transaction."""
    transaction = generate_uid()
    assoc = AE(ae_title=title).associate(
        "127.0.0.1", server.dicom_port, [build_context(CLASS)], evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)]
    )
    assert assoc.is_established
    data = change.get("data", action(references, transaction))
    status, _ = assoc.send_n_action(data, change.get("type", 1), CLASS, change.get("instance", INSTANCE))
    if change.get("wait") and status.Status == 0:
        reports.wait()
        time.sleep(0.2)
    assoc.release()
    return status.Status, transaction


def listener(port: int, reports: Reports) -> Any:
    ae = AE(ae_title="MODALITY")
    ae.add_supported_context(CLASS, scu_role=True, scp_role=True)
    return ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)])


def test_report_on_the_same_association(start: Any, tmp_path: Path) -> None:
    stored = filled(tmp_path / "archive")
    server = start(tmp_path / "archive", "--workers", "1")
    reports = Reports()
    references = [(ds.SOPClassUID, ds.SOPInstanceUID) for ds in stored]
    status, transaction = ask(server, references, reports, wait=True)
    kind, report = reports.found[-1]
    assert (status, kind, report.TransactionUID) == (0, 1, transaction)
    assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [uid for _, uid in references]
    assert "FailedSOPSequence" not in report
    assert list((server.root / "commitment").glob("*.json")) == []


def test_missing_other_class_and_damaged_instances_fail(start: Any, tmp_path: Path) -> None:
    stored = filled(tmp_path / "archive")
    root = tmp_path / "archive"
    with hilum.open(root) as archive:
        record = archive.retrieve.lookup([stored[2].SOPInstanceUID])[0]
    assert record is not None
    pack = root / "packs" / f"{record.location.pack:012d}.pack"
    with pack.open("r+b") as stream:
        stream.seek(record.location.offset + record.location.length - 3)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 0x10]))
    server = start(root, "--workers", "1")
    references = [(ds.SOPClassUID, ds.SOPInstanceUID) for ds in stored]
    references[1] = ("1.2.840.10008.5.1.4.1.1.4", references[1][1])
    references.append((stored[0].SOPClassUID, "1.2.3.4"))
    reports = Reports()
    ask(server, references, reports, wait=True)
    kind, report = reports.found[-1]
    assert kind == 2
    failed = {i.ReferencedSOPInstanceUID: i.FailureReason for i in report.FailedSOPSequence}
    assert failed == {references[1][1]: 0x0119, references[2][1]: 0x0110, "1.2.3.4": 0x0112}
    assert len(report.ReferencedSOPSequence) == 3


def test_report_on_a_new_association_survives_a_restart(start: Any, tmp_path: Path) -> None:
    """The modality does not listen yet; the server is killed; it listens, and gets its report from the next server."""
    root, port = tmp_path / "archive", free_port()
    stored = filled(root)
    environment = {"HILUM__DIMSE__PEERS": f"MODALITY 127.0.0.1:{port}"}
    server = start(root, "--workers", "1", **environment)
    reports = Reports()
    references = [(ds.SOPClassUID, ds.SOPInstanceUID) for ds in stored]
    status, transaction = ask(server, references, reports)
    assert status == 0
    time.sleep(0.5)
    assert len(list((root / "commitment").glob("*.json"))) == 1
    assert stop_server(server) == 0
    scp = listener(port, reports)
    try:
        start(root, "--workers", "1", **environment)
        kind, report = reports.wait()
    finally:
        scp.shutdown()
    assert (kind, report.TransactionUID, len(report.ReferencedSOPSequence)) == (1, transaction, 5)
    deadline = time.monotonic() + 5
    while list((root / "commitment").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((root / "commitment").glob("*.json")) == []
    time.sleep(0.5)
    assert len(reports.found) == 1


def test_known_peer_is_told_at_once(start: Any, tmp_path: Path) -> None:
    root, port = tmp_path / "archive", free_port()
    stored = filled(root, 2)
    server = start(root, "--workers", "1", HILUM__DIMSE__PEERS=f"MODALITY 127.0.0.1:{port}")
    reports = Reports()
    scp = listener(port, reports)
    try:
        _, transaction = ask(server, [(ds.SOPClassUID, ds.SOPInstanceUID) for ds in stored], reports)
        kind, report = reports.wait()
    finally:
        scp.shutdown()
    assert (kind, report.TransactionUID) == (1, transaction)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": 2}, 0x0123),
        ({"instance": "1.2.3"}, 0x0112),
        ({"data": action([], "1.2.3")}, 0x0115),
        ({"data": action([("1.2", "1.3")], "")}, 0x0115),
    ],
)
def test_refusals(start: Any, tmp_path: Path, change: dict[str, Any], expected: int) -> None:
    server = start(tmp_path / "archive", "--workers", "1")
    status, _ = ask(server, [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")], Reports(), **change)
    assert status == expected
