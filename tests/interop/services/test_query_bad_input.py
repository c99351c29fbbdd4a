"""Peers that send nonsense to C-FIND, C-GET and C-MOVE: a status or an abort for them, others undisturbed."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from objects import make_object
from tests.interop.services.conftest import start_server, stop_server

import hilum
from hilum.dimse import client
from hilum.dimse.association import Association
from hilum.dimse.client import Remote
from hilum.dimse.identifier import Element, encode
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, encode_command, pdus
from hilum.dimse.proposal import Proposal
from hilum.errors import HilumError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("bad_query_server")
EXPLICIT = "1.2.840.10008.1.2.1"
MODELS = {number: f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3)}
FIELDS = {1: Field.C_FIND, 2: Field.C_MOVE, 3: Field.C_GET}
COMMITMENT = "1.2.840.10008.1.20.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("bad") / "archive"
    with hilum.open(root) as archive:
        archive.store_many([make_object(instance=n, patient="STEADY") for n in range(5)])
    running = start_server(root, "--workers", "1", environment={"HILUM__DIMSE__PEERS": "X 127.0.0.1:1"})
    yield running
    assert stop_server(running) == 0


def associate(server: Any) -> Association:
    proposals = [Proposal(uid, (EXPLICIT,)) for uid in (*MODELS.values(), COMMITMENT)]
    return Association("127.0.0.1", server.dicom_port, calling="BAD", called="HILUM", proposals=proposals, timeout_s=20)


def steady(server: Any) -> None:
    """A well-behaved peer is answered."""
    remote = Remote("127.0.0.1", server.dicom_port)
    assert len(list(client.find(remote, "instance", {"PatientID": "STEADY"}))) == 5


def memory(server: Any) -> int:
    process = psutil.Process(server.process.pid)
    return sum(child.memory_info().rss for child in process.children(recursive=True))


def command(number: int, **change: Any) -> dict[int, int | str]:
    made: dict[int, int | str] = {
        Tag.COMMAND_FIELD: FIELDS[number],
        Tag.AFFECTED_SOP_CLASS: MODELS[number],
        Tag.PRIORITY: 0,
        Tag.MESSAGE_ID: 1,
        Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
        Tag.MOVE_DESTINATION: "X",
    }
    return {**made, **change.get("values", {})}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_damaged_identifiers(server: Any, number: int) -> None:
    random_ = random.Random(number)
    good = encode(
        (Element(0x00080052, "CS", "STUDY"), Element(0x00100020, "LO", "STEADY"), Element(0x0020000D, "UI", "1.2.3")),
        EXPLICIT,
    )
    association = associate(server)
    for _ in range(60):
        data = bytearray(good[: random_.randrange(len(good) + 1)])
        for _ in range(random_.randrange(5)):
            if data:
                data[random_.randrange(len(data))] = random_.randrange(256)
        try:
            if not association.alive:
                association = associate(server)
            context = association.context_for(MODELS[number])
            assert context is not None
            association.send(context, command(number), (bytes(data),))
            while (message := association.receive()).status in (0xFF00, 0xFF01):
                pass
            assert message.status in (0x0000, 0xA700, 0xA702, 0xA900, 0xC000)
        except HilumError:
            association.abort()
    association.release()
    steady(server)


def test_damaged_streams(server: Any) -> None:
    """Bytes of whole messages are changed, cut and repeated after the negotiation."""
    random_ = random.Random(9)
    data = encode((Element(0x00080052, "CS", "STUDY"), Element(0x0020000D, "UI", "1.2.3")), EXPLICIT)
    for _ in range(40):
        association = associate(server)
        number = random_.choice([1, 2, 3])
        context = association.context_for(MODELS[number])
        assert context is not None
        stream = bytearray(b"".join(pdus(context.id, encode_command(command(number)), (data,), 16384)))
        for _ in range(random_.randrange(1, 6)):
            stream[random_.randrange(len(stream))] = random_.randrange(256)
        association._socket.settimeout(5)
        try:
            association._socket.sendall(bytes(stream[: random_.randrange(1, len(stream) + 1)]))
        except OSError:
            continue
        finally:
            association._socket.close()
    steady(server)


def test_an_identifier_without_end_takes_no_memory(server: Any) -> None:
    before = memory(server)
    association = associate(server)
    context = association.context_for(MODELS[1])
    assert context is not None

    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield bytes(1 << 20)

    try:
        association.send(context, command(1), endless())
        assert association.receive().status in (0xA700, 0xC000)
    except HilumError:
        pass
    association.abort()
    assert memory(server) - before < 128 << 20
    steady(server)


def test_operations_that_are_none_of_the_class(server: Any) -> None:
    association = associate(server)
    context = association.context_for(MODELS[1])
    assert context is not None
    association.send(context, command(3), (b"",))
    assert association.receive().status == 0x0211
    association.release()
    steady(server)


def test_many_identifiers_and_ten_thousand_uids(server: Any) -> None:
    with associate(server) as association:
        context = association.context_for(MODELS[3])
        assert context is not None
        for count, expected in ((2_000, {0x0000}), (20_000, {0xA700})):
            uids = "\\".join(f"1.2.3.{n}" for n in range(count))
            elements = (Element(0x00080018, "UI", uids), Element(0x00080052, "CS", "IMAGE"))
            association.send(context, command(3), (encode(elements, EXPLICIT),))
            assert association.receive().status in expected
    steady(server)


def test_title_with_a_path(server: Any) -> None:
    remote = Remote("127.0.0.1", server.dicom_port, calling="../../etc", called="../secret/..")
    assert client.echo(remote) < 5
    with socket.create_connection(("127.0.0.1", server.dicom_port)) as peer:
        peer.sendall(bytes((4, 0, 0, 0, 0, 2, 0, 0)))
    steady(server)
