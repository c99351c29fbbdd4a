"""DIMSE messages as bytes: command sets (PS3.7 E) and the P-DATA PDUs that carry them (PS3.8 9.3.5).

Data sets pass through as the bytes that they are stored in; nothing is parsed or written again here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer

__all__ = [
    "LONGEST_PDV",
    "NO_DATA_SET",
    "Field",
    "Tag",
    "decode_command",
    "encode_command",
    "fragments",
    "message_maker",
    "pdus",
    "pdv",
    "response_to",
]


class Tag:
    """Element numbers of group 0000 (PS3.7 E.1)."""

    AFFECTED_SOP_CLASS: Final = 0x0002
    REQUESTED_SOP_CLASS: Final = 0x0003
    COMMAND_FIELD: Final = 0x0100
    MESSAGE_ID: Final = 0x0110
    RESPONDED_TO: Final = 0x0120
    MOVE_DESTINATION: Final = 0x0600
    PRIORITY: Final = 0x0700
    DATA_SET_TYPE: Final = 0x0800
    STATUS: Final = 0x0900
    OFFENDING: Final = 0x0901
    COMMENT: Final = 0x0902
    AFFECTED_SOP_INSTANCE: Final = 0x1000
    REQUESTED_SOP_INSTANCE: Final = 0x1001
    EVENT_TYPE: Final = 0x1002
    ACTION_TYPE: Final = 0x1008
    REMAINING: Final = 0x1020
    COMPLETED: Final = 0x1021
    FAILED: Final = 0x1022
    WARNING: Final = 0x1023
    MOVE_ORIGINATOR: Final = 0x1030
    MOVE_ORIGINATOR_ID: Final = 0x1031


class Field:
    """Values of Command Field (PS3.7 E.1); a response has bit 15 set."""

    C_STORE: Final = 0x0001
    C_GET: Final = 0x0010
    C_FIND: Final = 0x0020
    C_MOVE: Final = 0x0021
    C_ECHO: Final = 0x0030
    N_EVENT_REPORT: Final = 0x0100
    N_ACTION: Final = 0x0130
    C_CANCEL: Final = 0x0FFF
    RESPONSE: Final = 0x8000


NO_DATA_SET: Final = 0x0101
"""Command Data Set Type of a message without a data set; any other value means that one follows."""

_NUMBERS: Final = frozenset(
    (
        Tag.COMMAND_FIELD,
        Tag.MESSAGE_ID,
        Tag.RESPONDED_TO,
        Tag.PRIORITY,
        Tag.DATA_SET_TYPE,
        Tag.STATUS,
        Tag.EVENT_TYPE,
        Tag.ACTION_TYPE,
        Tag.REMAINING,
        Tag.COMPLETED,
        Tag.FAILED,
        Tag.WARNING,
        Tag.MOVE_ORIGINATOR_ID,
    )
)
_UIDS: Final = frozenset(
    (Tag.AFFECTED_SOP_CLASS, Tag.REQUESTED_SOP_CLASS, Tag.AFFECTED_SOP_INSTANCE, Tag.REQUESTED_SOP_INSTANCE)
)
_HEAD: Final = struct.Struct("<HHI")
_PDV: Final = struct.Struct(">BxIIBB")
_LENGTH: Final = struct.Struct("<HHII")
_NUMBER: Final = struct.Struct("<HHIH")
_GATHER: Final = 1 << 20
LONGEST_PDV: Final = 1 << 18
"""Fragments are not longer, also where the peer sets no limit."""


def encode_command(values: Mapping[int, int | str]) -> bytes:
    """Write a command set: Implicit VR Little Endian, ascending, with its group length.

    Parameters
    ----------
    values : mapping of int to int or str
        By element number of group 0000. An Offending Element is given as its 32-bit tag.
    """
    parts = []
    for tag in sorted(values):
        value = values[tag]
        if tag in _NUMBERS:
            parts.append(_NUMBER.pack(0, tag, 2, int(value)))
            continue
        if tag == Tag.OFFENDING:
            raw = struct.pack("<HH", int(value) >> 16, int(value) & 0xFFFF)
        else:
            raw = str(value).encode("ascii", "replace")
            if tag == Tag.COMMENT:
                raw = raw[:64]
            if len(raw) & 1:
                raw += b"\0" if tag in _UIDS else b" "
        parts.append(_HEAD.pack(0, tag, len(raw)) + raw)
    body = b"".join(parts)
    return _LENGTH.pack(0, 0, 4, len(body)) + body


def decode_command(data: Buffer) -> dict[int, int | str]:
    """Read a command set; elements that we do not know are left out.

    Raises
    ------
    DataError
        It is cut off or has an element of another group.
    """
    raw = bytes(data)
    end = len(raw)
    values: dict[int, int | str] = {}
    at = 0
    while at < end:
        if at + 8 > end:
            raise DataError("a command set is cut off", offset=at)
        group, tag, length = _HEAD.unpack_from(raw, at)
        start, at = at + 8, at + 8 + length
        if group or at > end:
            raise DataError("a command set is malformed", offset=start - 8)
        if tag in _NUMBERS:
            if length >= 2:
                values[tag] = raw[start] | raw[start + 1] << 8
        elif tag == Tag.OFFENDING:
            if length >= 4:
                high, low = struct.unpack_from("<HH", raw, start)
                values[tag] = high << 16 | low
        elif tag:
            values[tag] = raw[start:at].decode("ascii", "replace").strip(" \0")
    return values


def pdus(context_id: int, command: bytes, data: Iterable[Any] | None, max_pdu: int) -> Iterator[bytes]:
    """Give a message as P-DATA-TF PDUs, several of them in each piece of up to some 1 MiB.

    Parameters
    ----------
    context_id : int
        Presentation context.
    command : bytes
        From `encode_command`.
    data : iterable of buffers or None
        The data set, in any pieces.
    max_pdu : int
        What the peer takes (Maximum Length Received, PS3.8 D.1); 0: any length.
    """
    room = min((max_pdu or LONGEST_PDV) - 6, LONGEST_PDV) & ~1
    if room < 2:
        raise DataError("the peer's maximum PDU length leaves no room for data")
    if data is None and len(command) <= room:
        yield pdv(context_id, len(command), 3) + command
        return
    out: list[Any] = []
    size = 0
    for start in range(0, len(command), room):
        piece = command[start : start + room]
        out += (pdv(context_id, len(piece), 3 if start + room >= len(command) else 1), piece)
        size += len(piece) + 12
    if data is not None:
        for run in _even(data, room):
            out += (pdv(context_id, sum(map(len, run[1])), 2 if run[0] else 0), *run[1])
            size += sum(map(len, run[1])) + 12
            if size >= _GATHER:
                yield b"".join(out)
                out, size = [], 0
    if out:
        yield b"".join(out)


def message_maker(context_id: int, command: Mapping[int, int | str], max_pdu: int) -> Callable[[bytes], bytes]:
    """Give a function that makes the PDUs of messages with this command and a data set; `max_pdu` as in `pdus`."""
    raw = encode_command(command)
    first = b"".join(pdus(context_id, raw, None, max_pdu))
    room = min(max_pdu or LONGEST_PDV, LONGEST_PDV) - 6

    def make(data: bytes) -> bytes:
        if len(data) <= room:
            return first + pdv(context_id, len(data), 2) + data
        return b"".join(pdus(context_id, raw, (data,), max_pdu))

    return make


def pdv(context_id: int, length: int, control: int) -> bytes:
    """Give what stands before the bytes of a fragment that is alone in its PDU."""
    return _PDV.pack(4, length + 6, length + 2, context_id, control)


def _even(data: Iterable[Any], room: int) -> Iterator[tuple[bool, list[memoryview]]]:
    """Cut buffers into runs of `room` bytes; the last one is marked."""
    run: list[memoryview] = []
    size = 0
    full: list[memoryview] | None = None
    for buffer in data:
        view = memoryview(buffer).cast("B")
        at = 0
        while at < len(view):
            if size == 0 and full is not None:
                yield False, full
                full = None
            step = min(room - size, len(view) - at)
            run.append(view[at : at + step])
            size += step
            at += step
            if size == room:
                full, run, size = run, [], 0
    if full is not None and not run:
        yield True, full
    else:
        yield True, run


def fragments(body: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Give context, control header and bytes of each fragment of a P-DATA-TF PDU (PS3.8 9.3.5.1, E.2).

    Raises
    ------
    DataError
        Its lengths do not fit.
    """
    view = memoryview(body)
    at = 0
    while at < len(view):
        if at + 6 > len(view):
            raise DataError("a P-DATA PDU is malformed", offset=at)
        length, number, control = struct.unpack_from(">IBB", view, at)
        if length < 2 or at + 4 + length > len(view):
            raise DataError("a P-DATA PDU is malformed", offset=at)
        yield number, control, view[at + 6 : at + 4 + length]
        at += 4 + length


def response_to(request: Mapping[int, int | str], status: int, **extra: int | str) -> dict[int, int | str]:
    """Command set of a response without a data set.

    Parameters
    ----------
    request : mapping
        Decoded command of the request.
    status : int
    **extra
        ``comment`` and ``offending``.
    """
    answer: dict[int, int | str] = {
        Tag.COMMAND_FIELD: int(request[Tag.COMMAND_FIELD]) | Field.RESPONSE,
        Tag.RESPONDED_TO: request.get(Tag.MESSAGE_ID, 0),
        Tag.DATA_SET_TYPE: NO_DATA_SET,
        Tag.STATUS: status,
    }
    sop_class = request.get(Tag.AFFECTED_SOP_CLASS) or request.get(Tag.REQUESTED_SOP_CLASS)
    if sop_class:
        answer[Tag.AFFECTED_SOP_CLASS] = sop_class
    for source in (Tag.AFFECTED_SOP_INSTANCE, Tag.REQUESTED_SOP_INSTANCE):
        if source in request:
            answer[Tag.AFFECTED_SOP_INSTANCE] = request[source]
    if extra.get("comment"):
        answer[Tag.COMMENT] = extra["comment"]
    if extra.get("offending"):
        answer[Tag.OFFENDING] = extra["offending"]
    return answer
