"""What is set for single peers: what is taken of them, what is changed, who their users are, how many may come."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.archive.refusals import read_refusals
from hilum.dimse import client
from hilum.dimse.association import Proposal, _request
from hilum.dimse.client import Remote
from hilum.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("peer_rules_server")
CT, MR, STUDY_GET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
RULES = ["GATE set InstitutionName=St. Elsewhere", "GATE prefix PatientID=SE-", "GATE remove PatientComments"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("rules") / "archive"
    running = start_server(
        root,
        "--workers",
        "1",
        environment={
            "HILUM__DIMSE__PEERS": f"PLAIN 127.0.0.1 accept-syntaxes={IMPLICIT},CTONLY 127.0.0.1 accept-classes={CT}",
            "HILUM__DIMSE__COERCE": ",".join(RULES),
        },
    )
    yield running
    assert stop_server(running) == 0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("guarded") / "archive"
    environment = {
        "HILUM__DIMSE__USERS": "anna:correct horse,kiosk",
        "HILUM__DIMSE__REQUIRE_USER": "true",
        "HILUM__DIMSE__MAX_ASSOCIATIONS_PER_ADDRESS": "3",
    }
    running = start_server(root, "--workers", "1", environment=environment)
    yield running
    assert stop_server(running) == 0


def negotiated(server: Any, title: str, contexts: list[Any], **options: Any) -> Any:
    return AE(ae_title=title).associate("127.0.0.1", server.dicom_port, contexts, **options)


def send(server: Any, title: str, raw: bytes) -> int:
    ds = pydicom.dcmread(io.BytesIO(raw))
    assoc = negotiated(server, title, [build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)])
    assert assoc.is_established
    try:
        return int(assoc.send_c_store(ds).Status)
    finally:
        assoc.release()


def why(server: Any, peer: str) -> list[str]:
    return [f"{item.service}: {item.reason}" for item in read_refusals(server.root, peer=peer)]


# what is taken


def test_only_some_syntaxes_are_taken(server: Any) -> None:
    contexts = [build_context(CT, [EXPLICIT, IMPLICIT]), build_context(MR, EXPLICIT), build_context(STUDY_GET)]
    assoc = negotiated(server, "PLAIN", contexts)
    assert {str(cx.abstract_syntax): str(cx.transfer_syntax[0]) for cx in assoc.accepted_contexts} == {
        CT: IMPLICIT,
        STUDY_GET: IMPLICIT,
    }
    assert [(str(cx.abstract_syntax), cx.result) for cx in assoc.rejected_contexts] == [(MR, 4)]
    assoc.release()
    assert any(f"no transfer syntax of {MR}" in reason for reason in why(server, "PLAIN"))
    assoc = negotiated(server, "OTHER", contexts)
    assert len(assoc.accepted_contexts) == 3
    assoc.release()


def test_only_some_classes_are_taken_but_all_are_given(server: Any) -> None:
    assoc = negotiated(server, "CTONLY", [build_context(CT), build_context(MR)])
    assert [str(cx.abstract_syntax) for cx in assoc.accepted_contexts] == [CT]
    assert [(str(cx.abstract_syntax), cx.result) for cx in assoc.rejected_contexts] == [(MR, 3)]
    assoc.release()
    assert any("accept-classes" in reason for reason in why(server, "CTONLY"))
    roles = [build_role(MR, scp_role=True)]
    assoc = negotiated(server, "CTONLY", [build_context(STUDY_GET), build_context(MR)], ext_neg=roles)
    assert len(assoc.accepted_contexts) == 2
    assoc.release()


# coercion


def test_what_comes_in_is_put_right_and_remembered(server: Any) -> None:
    raw = make_object(study=500, patient="4711")
    ds = pydicom.dcmread(io.BytesIO(raw))
    ds.PatientComments, ds.InstitutionName = "typed by hand", "Elsewhere"
    out = io.BytesIO()
    ds.save_as(out)
    assert send(server, "GATE", out.getvalue()) == 0xB000
    with hilum.open(server.root, read_only=True) as archive:
        stored = pydicom.dcmread(io.BytesIO(archive.instance(ds.SOPInstanceUID).read_bytes()))
        assert [s.study_instance_uid for s in archive.studies(patient_id="SE-4711")] == [ds.StudyInstanceUID]
        assert not archive.studies(patient_id="4711")
    assert (stored.InstitutionName, stored.PatientID) == ("St. Elsewhere", "SE-4711")
    assert "PatientComments" not in stored
    assert stored.PixelData == ds.PixelData
    (item,) = stored.OriginalAttributesSequence
    assert item.SourceOfPreviousValues == "GATE"
    (original,) = item.ModifiedAttributesSequence
    assert (original.InstitutionName, original.PatientID, original.PatientComments) == (
        "Elsewhere",
        "4711",
        "typed by hand",
    )
    # the same object again is the same object
    assert send(server, "GATE", out.getvalue()) == 0xB000
    with hilum.open(server.root, read_only=True) as archive:
        assert archive.versions(ds.SOPInstanceUID) == []


def test_an_object_that_needs_no_change_and_other_senders_stay_byte_for_byte(server: Any) -> None:
    raw = make_object(study=501, patient="5000")
    uid = str(pydicom.dcmread(io.BytesIO(raw)).SOPInstanceUID)
    assert send(server, "OTHER", raw) == 0
    with hilum.open(server.root, read_only=True) as archive:
        assert archive.instance(uid).read_bytes().endswith(raw[-600:])
        assert "OriginalAttributesSequence" not in pydicom.dcmread(io.BytesIO(archive.instance(uid).read_bytes()))


def test_a_large_object_is_coerced_in_its_file(server: Any) -> None:
    raw = make_object(study=502, patient="6000", size=1024, frames=6)
    ds = pydicom.dcmread(io.BytesIO(raw))
    assert send(server, "GATE", raw) == 0xB000
    with hilum.open(server.root, read_only=True) as archive:
        stored = pydicom.dcmread(io.BytesIO(archive.instance(ds.SOPInstanceUID).read_bytes()))
    assert stored.PatientID == "SE-6000"
    assert stored.PixelData == ds.PixelData
    assert list((server.root / "incoming").glob("*")) == []


def test_a_sender_with_rules_cannot_send_deflated(server: Any) -> None:
    assoc = negotiated(server, "GATE", [build_context(CT, [DEFLATED, EXPLICIT]), build_context(MR, DEFLATED)])
    assert [str(cx.transfer_syntax[0]) for cx in assoc.accepted_contexts] == [EXPLICIT]
    assert [cx.result for cx in assoc.rejected_contexts] == [4]
    assoc.release()


# users


def identity(kind: int, primary: bytes, secondary: bytes = b"") -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field, item.positive_response_requested = kind, primary, True
    if secondary:
        item.secondary_field = secondary
    return item


@pytest.mark.parametrize(
    ("item", "accepted"),
    [
        (identity(2, b"anna", b"correct horse"), True),
        (identity(1, b"kiosk"), True),
        (identity(2, b"anna", b"wrong"), False),
        (identity(1, b"anna"), False),
        (identity(2, b"nobody", b"x"), False),
        (identity(3, b"ticket"), False),
        (identity(4, b"<saml/>"), False),
        (identity(5, b"a.b.c"), False),
        (None, False),
    ],
)
def test_user_identity(guarded: Any, item: UserIdentityNegotiation | None, accepted: bool) -> None:
    assoc = negotiated(guarded, "USERS", [build_context("1.2.840.10008.1.1")], ext_neg=[item] if item else [])
    assert assoc.is_established is accepted
    if accepted:
        assert assoc.acceptor.user_identity is not None
        assert assoc.send_c_echo().Status == 0
        assoc.release()
    else:
        reason = why(guarded, "USERS")[0]
        assert "identity" in reason or "dimse.users" in reason or "verified" in reason
        assert "anna" not in reason
        assert "horse" not in reason


def test_rejection_of_a_user_says_no_more_than_it_must(guarded: Any) -> None:
    """Rejected-permanent, by the service provider (ACSE), no reason given; the administrator is told more."""
    proposals = [Proposal("1.2.840.10008.1.1", (IMPLICIT,))]
    with socket.create_connection(("127.0.0.1", guarded.dicom_port), timeout=20) as peer:
        peer.sendall(_request("RAW", "HILUM", proposals, 16384, ("anna", "wrong")))
        assert peer.recv(64) == bytes((3, 0, 0, 0, 0, 4, 0, 1, 2, 1))


def test_what_is_not_asked_for_is_not_confirmed(server: Any) -> None:
    """Without users of its own hilum says nothing of those that are told."""
    assoc = negotiated(server, "USERS", [build_context("1.2.840.10008.1.1")], ext_neg=[identity(2, b"x", b"y")])
    assert assoc.is_established
    assert assoc.acceptor.user_identity is None
    assoc.release()


def test_our_requests_tell_a_user(guarded: Any, tmp_path: Any) -> None:
    remote = Remote("127.0.0.1", guarded.dicom_port, called="HILUM", user="anna", passcode="correct horse")
    assert client.echo(remote) < 5
    with pytest.raises(Denied, match="association rejected"):
        client.echo(Remote("127.0.0.1", guarded.dicom_port, called="HILUM"))
    secret = tmp_path / "passcode"
    secret.write_text("correct horse\n")
    command = [sys.executable, "-c", "from hilum.cli.main import main; main()", "echo", "127.0.0.1"]
    command += [str(guarded.dicom_port), "--user", "anna", "--passcode-file", str(secret)]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


# how many, and how


def test_quota_of_an_address(guarded: Any) -> None:
    options = {"ext_neg": [identity(1, b"kiosk")]}
    first = [negotiated(guarded, f"AE{n}", [build_context("1.2.840.10008.1.1")], **options) for n in range(4)]
    assert [assoc.is_established for assoc in first] == [True, True, True, False]
    for assoc in first[:3]:
        assoc.release()


def test_async_operations_window_is_answered_truthfully(server: Any) -> None:
    """One operation at a time is what is done, so (1, 1) is what is said (PS3.7 D.3.3.3)."""
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 8, 8
    assoc = negotiated(server, "ASYNC", [build_context(CT, UID(EXPLICIT))], ext_neg=[window])
    assert assoc.is_established
    assert assoc.acceptor.asynchronous_operations == (1, 1)
    (answer,) = [
        item
        for item in assoc.acceptor.primitive.user_information
        if isinstance(item, AsynchronousOperationsWindowNegotiation)
    ]
    assert answer.maximum_number_operations_invoked == 1
    assoc.release()
