"""The core's receive path against pynetdicom's decoder: any messages, fragmented and cut in any way, on both."""

from __future__ import annotations

import io
import itertools
import socket
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objects import make_object, uid
from pynetdicom.dimse_messages import C_FIND_RQ, C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_FIND, C_STORE
from pynetdicom.pdu import P_DATA_TF

from hilum.archive.ingest import data_set_offset
from hilum.dicom.receiving import BAD_PDU, MemoryBudget, ReceiverSettings, Stream, part10_prefix, receiver
from hilum.dicom.sending import send_message
from hilum.dimse.messages import Tag, decode_command, fragments
from hilum.errors import DataError

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CONTEXTS = {1: "1.2.840.10008.1.2.1", 3: "1.2.840.10008.1.2"}


def data_set(number: int, filler: int) -> bytes:
    whole = make_object(instance=number, size=2, filler=filler)
    return whole[data_set_offset(whole) :]


def as_pdus(message: Any, context: int, longest: int) -> bytes:
    """What pynetdicom sends of a message."""
    out = b""
    for primitive in message.encode_msg(context, longest):
        pdu = P_DATA_TF()
        pdu.from_primitive(primitive)
        out += pdu.encode()
    return out


@st.composite
def messages(draw: st.DrawFn) -> tuple[int, Any]:
    number = draw(st.integers(1, 0xFFFF))
    if draw(st.booleans()):
        store = C_STORE()
        store.MessageID = number
        store.AffectedSOPClassUID = CT
        store.AffectedSOPInstanceUID = uid(3, 1, 1, number)
        store.Priority = draw(st.sampled_from((0, 1, 2)))
        store.DataSet = io.BytesIO(data_set(number, draw(st.integers(0, 3000))))
        message: Any = C_STORE_RQ()
        message.primitive_to_message(store)
        return 1, message
    find = C_FIND()
    find.MessageID = number
    find.AffectedSOPClassUID = FIND
    find.Priority = 2
    find.Identifier = io.BytesIO(draw(st.binary(min_size=2, max_size=300).map(lambda b: b + b"\0" * (len(b) % 2))))
    message = C_FIND_RQ()
    message.primitive_to_message(find)
    return draw(st.sampled_from((1, 3))), message


def by_pynetdicom(stream: bytes) -> list[tuple[int, dict[str, Any], bytes]]:
    """Context, command set and data set of each message, by its decoder."""
    found = []
    current = DIMSEMessage()
    while stream:
        length = 6 + int.from_bytes(stream[2:6], "big")
        pdu = P_DATA_TF()
        pdu.decode(stream[:length])
        stream = stream[length:]
        if current.decode_msg(pdu.to_primitive()):
            data = current.data_set.getvalue() if current.data_set is not None else b""
            command = {e.keyword: e.value for e in current.command_set if e.keyword != "CommandGroupLength"}
            found.append((int(current.context_id or 0), command, data))
            current = DIMSEMessage()
    return found


def by_us(stream: bytes, cuts: list[int], settings_: ReceiverSettings) -> list[Any]:
    ours = receiver(settings_, CONTEXTS)
    found = []
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        rest = memoryview(stream)[start:end]
        while rest:
            used, happened = ours.feed(rest)
            rest = rest[used:]
            if happened:
                assert happened == "message"
                found.append(ours.take())
    assert not ours.in_message
    return found


def compare(message: Any, expected: tuple[int, dict[str, Any], bytes]) -> None:
    context, command, data = expected
    read = decode_command(message.command)
    assert message.context_id == context
    assert read[Tag.COMMAND_FIELD] == command["CommandField"]
    assert read[Tag.MESSAGE_ID] == command["MessageID"]
    assert read[Tag.AFFECTED_SOP_CLASS] == str(command["AffectedSOPClassUID"])
    if message.object is None:
        assert message.data == data
        return
    assert message.object.error is None
    assert message.object.size == len(data)
    instance = str(command["AffectedSOPInstanceUID"])
    assert bytes(message.object.buffer) == part10_prefix(CT, instance, CONTEXTS[context]) + data
    assert message.object.scan.sop_instance_uid == instance


@settings(max_examples=60, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=4), st.integers(64, 4096), st.lists(st.integers(0, 1 << 20)))
def test_messages_of_pynetdicom_are_read_as_it_reads_them(
    sent: list[tuple[int, Any]], longest: int, cuts: list[int]
) -> None:
    stream = b"".join(as_pdus(message, context, longest) for context, message in sent)
    expected = by_pynetdicom(stream)
    budget = MemoryBudget(1 << 30)
    found = by_us(stream, cuts, ReceiverSettings(budget, max_pdu_bytes=longest))
    assert len(found) == len(expected) == len(sent)
    for message, other in zip(found, expected, strict=True):
        compare(message, other)
    del message, found
    assert budget.used == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=3), st.integers(64, 4096), st.integers(1, 5000))
def test_a_descriptor_gives_the_same(sent: list[tuple[int, Any]], longest: int, step: int) -> None:
    stream = b"".join(as_pdus(message, context, longest) for context, message in sent)
    ours = receiver(ReceiverSettings(MemoryBudget(1 << 30)), CONTEXTS)
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)

        def send() -> None:
            for at in range(0, len(stream), step):
                far.sendall(stream[at : at + step])
            far.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        reader = Stream(ours, near.fileno())
        for expected in by_pynetdicom(stream):
            assert reader.next(20, 20) == "message"
            compare(ours.take(), expected)
        assert reader.next(20, 20) == "closed"
        sender.join()


@settings(max_examples=150, deadline=None)
@given(messages(), st.integers(64, 600), st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_what_pynetdicom_sees_too(
    sent: tuple[int, Any], longest: int, at: int, change: int
) -> None:
    """Where we read all messages, pynetdicom's PDU decoder finds the same fragments in the same bytes."""
    stream = bytearray(as_pdus(sent[1], sent[0], longest))
    stream[at % len(stream)] ^= change
    ours = receiver(ReceiverSettings(MemoryBudget(1 << 30)), CONTEXTS)
    rest, count, last = memoryview(bytes(stream)), 0, None
    refused: Any = None
    try:
        while rest:
            used, happened = ours.feed(rest)
            rest = rest[used:]
            if happened == "message":
                count, last = count + 1, ours.take()
    except DataError as error:
        refused = error
    if refused is not None:
        assert (refused.code, refused.reason in (0, 1, 2, 4, 5, 6)) == (BAD_PDU, True)
        return
    if count != 1 or ours.in_message or last is None or last.object is not None:
        return
    read, left = b"", bytes(stream)
    while left:
        length = 6 + int.from_bytes(left[2:6], "big")
        pdu = P_DATA_TF()
        pdu.decode(left[:length])
        for item in pdu.presentation_data_value_items:
            control = item.presentation_data_value[0]
            read += b"" if control & 1 else item.presentation_data_value[1:]
        assert [bytes(f[2]) for f in fragments(left[6:length])] == [
            item.presentation_data_value[1:] for item in pdu.presentation_data_value_items
        ]
        left = left[length:]
    assert last.data == read


@pytest.mark.parametrize("size", [0, 1, 100])
def test_nothing_is_made_of_nothing(size: int) -> None:
    ours = receiver(ReceiverSettings(MemoryBudget(1)), CONTEXTS)
    with pytest.raises(DataError):
        ours.feed(bytes(6) + bytes(size))


@settings(max_examples=40, deadline=None)
@given(message=messages(), longest=st.integers(4, 3000).map(lambda half: 2 * half))
def test_sent_as_pynetdicom_sends_it(message: tuple[int, Any], longest: int) -> None:
    context, theirs = message
    expected = as_pdus(theirs, context, longest)
    parts: dict[bool, bytes] = {True: b"", False: b""}
    at = 0
    while at < len(expected):
        end = at + 6 + int.from_bytes(expected[at + 2 : at + 6], "big")
        for _, control, piece in fragments(expected[at + 6 : end]):
            parts[bool(control & 1)] += piece
        at = end
    ours, peer = socket.socketpair()
    with ours, peer:
        got = bytearray()

        def take() -> None:
            while piece := peer.recv(1 << 16):
                got.extend(piece)

        reader = threading.Thread(target=take)
        reader.start()
        send_message(ours.fileno(), context, parts[True], parts[False] or None, longest, 10)
        ours.shutdown(socket.SHUT_WR)
        reader.join(10)
    assert bytes(got) == expected
