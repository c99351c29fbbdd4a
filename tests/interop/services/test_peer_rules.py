"""What is set for single peers: what is taken of them, what is changed, who their users are, how many may come."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object, uid
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.archive.ingest import data_set_offset
from hilum.archive.refusals import read_refusals
from hilum.dimse import client
from hilum.dimse.association import Association
from hilum.dimse.client import Remote
from hilum.dimse.identity import identity_of
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.proposal import Proposal, association_request
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
        peer.sendall(association_request("RAW", "HILUM", proposals, 16384, identity_of("anna", "wrong")))
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


@pytest.mark.parametrize(("offered", "allowed"), [(0, 8), (3, 3), (100, 8)])
def test_async_operations_window(server: Any, offered: int, allowed: int) -> None:
    """Up to eight requests may be outstanding; we send one after the other (PS3.7 D.3.3.3)."""
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = offered, 8
    assoc = negotiated(server, "ASYNC", [build_context(CT, UID(EXPLICIT))], ext_neg=[window])
    assert assoc.is_established
    assert assoc.acceptor.asynchronous_operations == (allowed, 1)
    assoc.release()


def test_requests_that_do_not_wait_for_answers(server: Any) -> None:
    """Eight objects at once, and requests amid the sub-operations of a C-GET: each is answered, in their order."""
    get, echo = STUDY_GET, "1.2.840.10008.1.1"
    proposals = [Proposal(CT, (EXPLICIT,), as_scp=True, as_scu=True)]
    proposals += [Proposal(get, (EXPLICIT,)), Proposal(echo, (EXPLICIT,))]
    with Association("127.0.0.1", server.dicom_port, calling="ASYNC", called="HILUM", proposals=proposals) as assoc:
        objects, to_get, to_echo = (assoc.context_for(one) for one in (CT, get, echo))
        assert objects and to_get and to_echo

        def ask(context: Any, field: int, sop_class: str, number: int, data: bytes = b"", instance: str = "") -> None:
            command: dict[int, int | str] = {
                Tag.AFFECTED_SOP_CLASS: sop_class,
                Tag.COMMAND_FIELD: field,
                Tag.MESSAGE_ID: number,
                Tag.PRIORITY: 0,
                Tag.DATA_SET_TYPE: NO_DATA_SET - 1 if data else NO_DATA_SET,
            }
            if instance:
                command[Tag.AFFECTED_SOP_INSTANCE] = instance
            assoc.send(context, command, (data,) if data else None)

        for number in range(1, 9):
            whole = make_object(77, 1, number, patient="ASYNC", size=256)
            ask(objects, Field.C_STORE, CT, number, whole[data_set_offset(whole) :], uid(3, 77, 1, number))
        answers = [assoc.receive() for _ in range(8)]
        assert [(a.command[Tag.RESPONDED_TO], a.status) for a in answers] == [(n, 0) for n in range(1, 9)]
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", uid(1, 77)
        ask(to_get, Field.C_GET, get, 20, encode(wanted, False, True))
        came, final = [], None
        for number in range(21, 24):
            ask(to_echo, Field.C_ECHO, echo, number)
        while final is None or len(came) < 11:
            message = assoc.receive()
            kind = message.command[Tag.COMMAND_FIELD]
            if kind == Field.C_GET | Field.RESPONSE:
                final = message.command if message.status != 0xFF00 else None
                continue
            came.append(message.command.get(Tag.RESPONDED_TO, 0))
            if kind == Field.C_STORE:
                assoc.send(message.context, response_to(message.command, 0))
        assert came == [0] * 8 + [21, 22, 23]
        assert (final[Tag.STATUS], final[Tag.COMPLETED], final[Tag.FAILED]) == (0, 8, 0)
