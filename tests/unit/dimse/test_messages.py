"""Messages as bytes: pynetdicom reads what is written, whatever the peer's maximum length."""

from __future__ import annotations

import io

import pytest
from pydicom.filereader import read_dataset
from pynetdicom.pdu import P_DATA_TF

from hilum.dimse.messages import NO_DATA_SET, Tag, decode_command, encode_command, pdus
from hilum.errors import DataError

COMMAND = {
    Tag.COMMAND_FIELD: 1,
    Tag.MESSAGE_ID: 7,
    Tag.PRIORITY: 0,
    Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
    Tag.AFFECTED_SOP_CLASS: "1.2.840.10008.5.1.4.1.1.2",
    Tag.AFFECTED_SOP_INSTANCE: "1.2.3",
    Tag.MOVE_ORIGINATOR: "SCU",
    Tag.MOVE_ORIGINATOR_ID: 3,
}


def fragments(stream: bytes, max_pdu: int) -> list[tuple[int, int, bytes]]:
    """PDVs as pynetdicom sees them."""
    found = []
    at = 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 2 : at + 6], "big")
        assert not max_pdu or length <= max_pdu
        pdu = P_DATA_TF()
        pdu.decode(stream[at : at + 6 + length])
        for item in pdu.presentation_data_value_items:
            value = item.presentation_data_value
            assert value is not None
            found.append((item.presentation_context_id or 0, value[0], value[1:]))
        at += 6 + length
    return found


def test_command_is_read_by_pydicom() -> None:
    ds = read_dataset(io.BytesIO(encode_command(COMMAND)), True, True)
    assert ds.CommandField == 1
    assert ds.MoveOriginatorApplicationEntityTitle == "SCU"
    assert ds.AffectedSOPInstanceUID == "1.2.3"
    assert ds.CommandGroupLength == len(encode_command(COMMAND)) - 12
    assert decode_command(encode_command(COMMAND)) == COMMAND


@pytest.mark.parametrize("max_pdu", [0, 64, 4096, 16384, 131072])
@pytest.mark.parametrize("sizes", [(10,), (0,), (1000, 58, 2), (58, 58), (300_000, 300_000), (52,), (4090, 4090)])
def test_data_arrives_whole(max_pdu: int, sizes: tuple[int, ...]) -> None:
    pieces = [bytes([n + 1]) * size for n, size in enumerate(sizes)]
    found = fragments(b"".join(pdus(5, encode_command(COMMAND), pieces, max_pdu)), max_pdu)
    assert {number for number, _, _ in found} == {5}
    command = b"".join(data for _, control, data in found if control & 1)
    data = b"".join(data for _, control, data in found if not control & 1)
    assert decode_command(command) == COMMAND
    assert data == b"".join(pieces)
    last = [control for _, control, _ in found if control & 2]
    assert last == [3, 2]
    assert found[-1][1] == 2


def test_message_without_data_set() -> None:
    found = fragments(b"".join(pdus(1, encode_command(COMMAND), None, 4096)), 4096)
    assert [control for _, control, _ in found] == [3]


@pytest.mark.parametrize("raw", [b"\0\0\0\1\4\0\0\0", b"\10\0\0\1\0\0\0\0", b"\0\0\0", bytes(8) + b"\1"])
def test_malformed_command(raw: bytes) -> None:
    with pytest.raises(DataError):
        decode_command(raw)
