"""The receive path over real sockets: peers that lie and vanish, many at once, several acceptors, and the fall-back."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from objects import CT, make_object, uid
from programs import program
from pynetdicom import AE, build_context
from rejections import answer_to

import hilum
from hilum.archive.incoming import Incoming
from hilum.archive.ingest import data_set_offset
from hilum.config import DimseSettings
from hilum.dimse.admission import Admission
from hilum.dimse.association import Association
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, encode_command, pdus
from hilum.dimse.negotiation import available, negotiate
from hilum.dimse.peers import parse_peers
from hilum.dimse.places import Places
from hilum.dimse.proposal import Proposal
from hilum.dimse.query import FindService
from hilum.dimse.server import DimseServer
from hilum.dimse.services import Services
from hilum.dimse.storage import StoreHandler
from hilum.server import bind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.archive.archive import Archive

pytestmark = pytest.mark.xdist_group("live_server")
_NUMBERS = itertools.count(70_000)
VERIFICATION = "1.2.840.10008.1.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
EXPLICIT = "1.2.840.10008.1.2.1"


@contextmanager
def serving(
    root: Path, *, stock: bool = False, admission: Admission | None = None, **options: Any
) -> Iterator[tuple[DimseServer, Archive]]:
    """A DICOM port in this process."""
    with hilum.open(root) as archive:
        (listener,) = bind("127.0.0.1", 0)
        settings = dataclasses.replace(DimseSettings(), **options)
        services = Services({"find": FindService(archive, "HILUM")})
        incoming = Incoming(root / "incoming", spool_above_bytes=100_000)
        store = StoreHandler(archive)
        server = DimseServer(settings, listener, store, incoming, services=services, admission=admission, stock=stock)
        server.start()
        try:
            yield server, archive
        finally:
            server.stop(1.0)


class Caller:
    """A peer that may send whatever it likes, after a negotiation by the rules."""

    def __init__(self, port: int) -> None:
        proposals = [Proposal(CT, (EXPLICIT,)), Proposal(VERIFICATION, (EXPLICIT,))]
        self.association = Association("127.0.0.1", port, calling="RAW", called="HILUM", proposals=proposals)
        self.peer: socket.socket = self.association._socket
        self.peer.settimeout(20)

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)

    def answer(self) -> bytes:
        """Everything until the server closes."""
        answer = b""
        try:
            while piece := self.peer.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
        self.peer.close()
        return answer


def store_request(number: int) -> bytes:
    return encode_command(
        {
            Tag.AFFECTED_SOP_CLASS: CT,
            Tag.COMMAND_FIELD: Field.C_STORE,
            Tag.MESSAGE_ID: 1,
            Tag.PRIORITY: 0,
            Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
            Tag.AFFECTED_SOP_INSTANCE: uid(3, number, 1, 1),
        }
    )


def data_of(number: int, size: int = 8) -> bytes:
    whole = make_object(study=number, size=size)
    return whole[data_set_offset(whole) :]


def fragment(context: int, control: int, data: bytes) -> bytes:
    return struct.pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, context, control) + data


HOSTILE = {
    "context": fragment(77, 3, store_request(1)),
    "pdu of 4 GiB": b"\4\0\xff\xff\xff\xff",
    "fragment longer than its pdu": b"\4\0" + (6).to_bytes(4, "big") + b"\xff\xff\xff\xff\1\3",
    "data without command": fragment(1, 2, b"1234"),
    "command within data": fragment(1, 3, store_request(1)) + fragment(1, 0, b"12") + fragment(1, 3, store_request(1)),
    "other context within": fragment(1, 3, store_request(1)) + fragment(3, 2, b"12"),
    "endless command": b"".join(fragment(1, 1, bytes(16384)) for _ in range(5)),
    "empty fragments": fragment(1, 3, store_request(1)) + fragment(1, 0, b"") * 1100,
    "command of nonsense": fragment(1, 3, b"\xff" * 40),
    "second association": bytes((1, 0, 0, 0, 0, 70)) + bytes(70),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "release of wrong length": b"\5\0\0\0\0\0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_breaks_the_protocol_is_aborted_and_nothing_stays(live_server: Any, data: bytes) -> None:
    caller = Caller(live_server.dicom_port)
    caller.send(data)
    answer = caller.answer()
    assert answer[:1] == b"\x07", answer
    assert answer[8] == 2  # by the service provider
    assert subprocess.run([program("echoscu"), "127.0.0.1", str(live_server.dicom_port)], check=False).returncode == 0
    folder = live_server.root / "incoming"
    assert not folder.is_dir() or not list(folder.iterdir())


@pytest.mark.parametrize("stage", range(5))
def test_transfers_that_end_at_any_state_store_nothing(tmp_path: Path, stage: int) -> None:
    number = next(_NUMBERS)
    command, data = store_request(number), data_of(number, 400)
    whole = b"".join(pdus(1, command, (data,), 32768))
    cuts = (3, 9, 100, len(whole) // 2, len(whole) - 1)
    between = 6 + int.from_bytes(whole[2:6], "big")  # behind the command
    with serving(tmp_path / "archive") as (server, archive):
        for sent in (whole[: cuts[stage]], whole[:between] + b"\7\0\0\0\0\4\0\0\0\0"):
            caller = Caller(server.port)
            caller.send(sent)
            caller.peer.shutdown(socket.SHUT_WR)
            caller.answer()
        caller = Caller(server.port)
        caller.send(whole[: cuts[stage]])
        caller.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.peer.close()  # as a peer whose machine has gone: a reset
        assert server._gate is not None
        assert server._gate.wait(20)
        assert list(archive.instances()) == []
        folder = tmp_path / "archive" / "incoming"
        assert not folder.is_dir() or not list(folder.iterdir())
        caller = Caller(server.port)
        caller.send(whole)
        assert caller.peer.recv(4096)[:1] == b"\x04"
        caller.association.release()
        assert [found.sop_instance_uid for found in archive.instances()] == [uid(3, number, 1, 1)]


def test_an_object_too_large_is_refused_and_the_association_goes_on(tmp_path: Path) -> None:
    with hilum.open(tmp_path / "archive") as archive:
        (listener,) = bind("127.0.0.1", 0)
        incoming = Incoming(tmp_path / "archive" / "incoming", spool_above_bytes=10_000, max_object_bytes=50_000)
        server = DimseServer(DimseSettings(), listener, StoreHandler(archive), incoming)
        server.start()
        with Association(
            "127.0.0.1", server.port, calling="A", called="B", proposals=[Proposal(CT, (EXPLICIT,))]
        ) as association:
            context = association.context_for(CT)
            assert context is not None
            for size, status in ((200, 0xA700), (8, 0)):
                number = next(_NUMBERS)
                command: dict[int, int | str] = {
                    Tag.COMMAND_FIELD: Field.C_STORE,
                    Tag.AFFECTED_SOP_CLASS: CT,
                    Tag.AFFECTED_SOP_INSTANCE: uid(3, number, 1, 1),
                    Tag.PRIORITY: 0,
                }
                _, answer = association.request(context, command, (data_of(number, size),))
                assert answer.status == status
        server.stop()
        assert not list((tmp_path / "archive" / "incoming").iterdir())


def test_many_associations_at_once_are_all_served(tmp_path: Path) -> None:
    with serving(tmp_path / "archive") as (server, archive):
        callers = [Caller(server.port) for _ in range(60)]
        numbers = [next(_NUMBERS) for _ in callers]
        for caller, number in zip(callers, numbers, strict=True):
            caller.send(b"".join(pdus(1, store_request(number), (data_of(number),), 16384)))
        for caller in callers:
            assert caller.peer.recv(4096)[:1] == b"\x04"
            caller.association.release()
        assert archive.statistics().instances == len(callers)


def test_release_in_the_middle_of_a_message_is_answered(live_server: Any) -> None:
    caller = Caller(live_server.dicom_port)
    caller.send(fragment(1, 3, store_request(1)) + fragment(1, 0, b"1234") + b"\5\0\0\0\0\4\0\0\0\0")
    assert caller.answer()[:1] == b"\x06"


def test_several_acceptors_share_the_port_and_the_limit(start: Any, tmp_path: Path) -> None:
    server = start(
        tmp_path / "archive",
        "--workers",
        "1",
        HILUM__DIMSE__ACCEPTORS="3",
        HILUM__DIMSE__MAX_ASSOCIATIONS="12",
    )
    contexts = [build_context(VERIFICATION)]
    found = [AE().associate("127.0.0.1", server.dicom_port, contexts) for _ in range(12)]
    assert all(assoc.is_established for assoc in found)
    assert [answer_to("FIND_SCU", server.dicom_port, contexts) for _ in range(4)] == ["2 3 2"] * 4
    for assoc in found:
        assert assoc.send_c_echo().Status == 0
        assoc.release()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        again = AE().associate("127.0.0.1", server.dicom_port, contexts)
        if again.is_established:
            break
        time.sleep(0.05)
    assert again.is_established
    again.release()


def test_places_of_a_process_that_has_died_are_free_again() -> None:
    import os

    places = Places(2, 1)
    child = os.fork()
    if child == 0:
        places.take("LOST")
        os._exit(0)
    os.waitpid(child, 0)
    first = places.take("LOST")
    assert first is not None
    assert places.take("LOST") is None
    second = places.take("OTHER")
    assert second is not None
    assert places.take("THIRD") is None
    places.give_back(first)
    assert places.take("THIRD") is not None


@pytest.mark.parametrize("stock", [False, True], ids=["ours", "stock pynetdicom"])
def test_both_servers_do_the_same_with_rules_for_peers(tmp_path: Path, stock: bool) -> None:
    refused: list[tuple[str, ...]] = []
    peers = parse_peers(("KNOWN 127.0.0.1", "FAR 192.0.2.1 check-address"))
    admission = Admission(peers, known_only=True, note=lambda *words: refused.append(words))
    number = next(_NUMBERS)
    path = tmp_path / "one.dcm"
    path.write_bytes(make_object(study=number))
    with serving(tmp_path / "archive", stock=stock, admission=admission) as (server, archive):
        port = str(server.port)
        assert subprocess.run([program("echoscu"), "-aet", "KNOWN", "127.0.0.1", port], check=False).returncode == 0
        for title in ("FAR", "NOBODY"):
            tried = [program("echoscu"), "-aet", title, "127.0.0.1", port]
            done = subprocess.run(tried, capture_output=True, text=True, check=False)
            assert done.returncode != 0
            assert "Calling AE Title Not Recognized" in done.stderr
        send = [program("storescu"), "-aet", "KNOWN", "127.0.0.1", port, str(path)]
        assert subprocess.run(send, check=False).returncode == 0
        assert [found.sop_instance_uid for found in archive.instances()] == [uid(3, number, 1, 1)]
        stored = archive.instance(uid(3, number, 1, 1)).read_bytes()
        assert stored[data_set_offset(stored) :] == data_of(number)
        found = subprocess.run(
            [program("findscu"), "-S", "-aet", "KNOWN", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID",
             "127.0.0.1", port],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert uid(1, number) in found.stdout + found.stderr
    assert [words[0] for words in refused] == ["FAR", "NOBODY"]


def test_negotiation_is_tried_out_and_other_versions_are_refused() -> None:
    assert available()
    ae = AE()
    ae.add_supported_context(VERIFICATION)
    request = bytearray(bytes((1, 0, 0, 0, 0, 70)) + bytes(70))
    assert negotiate(ae, "HILUM", bytes(request), peer=("127.0.0.1", 1)).answer[:1] == b"\x03"
    request[7] = 1
    found = negotiate(ae, "HILUM", bytes(request), peer=("127.0.0.1", 1))
    assert not found.accepted
    assert found.answer[0] in (3, 7)
