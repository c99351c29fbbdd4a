"""Answers of C-FIND: the quick way writes what the thorough one does, and pydicom reads it."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from pydicom.filereader import read_dataset

from hilum.dimse.identifier import Element
from hilum.dimse.messages import pdus
from hilum.dimse.query import Asked, _AnswerMaker

SYNTAXES = {
    "1.2.840.10008.1.2": (True, True),
    "1.2.840.10008.1.2.1": (False, True),
    "1.2.840.10008.1.2.2": (False, False),
}
WANTED = (
    Element(0x00080005, "CS", "ISO_IR 100"),
    Element(0x00080020, "DA"),
    Element(0x00080052, "CS", "STUDY"),
    Element(0x00080061, "CS"),
    Element(0x00081030, "LO"),
    Element(0x00100010, "PN"),
    Element(0x0020000D, "UI"),
    Element(0x00201208, "IS"),
    Element(0x00400275, "SQ"),
)


def row(random_: random.Random) -> dict[str, dict[str, Any]]:
    """A row as the archive gives it, some attributes without a value or absent."""
    name = {"Alphabetic": random_.choice(["Doe^J", "Roe", ""]), "Ideographic": random_.choice(["", "X"])}
    full: dict[str, dict[str, Any]] = {
        "00080020": {"vr": "DA", "Value": ["20240101"]},
        "00080061": {"vr": "CS", "Value": ["CT", "MR", None][: random_.randrange(4)]},
        "00081030": {"vr": "LO", "Value": ["odd"]},
        "00100010": {"vr": "PN", "Value": [name]},
        "0020000D": {"vr": "UI", "Value": [f"1.2.{random_.randrange(10**6)}"]},
        "00201208": {"vr": "IS", "Value": [str(random_.randrange(1000))]},
    }
    return {tag: element for tag, element in full.items() if random_.random() < 0.8}


@pytest.mark.parametrize("character_set", ["", "ISO_IR 100", "ISO_IR 192", "NO SUCH SET"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_quick_and_thorough_answers_are_the_same(syntax: str, character_set: str) -> None:
    maker = _AnswerMaker(Asked("study", {}, WANTED, character_set), "HILUM", syntax)
    random_ = random.Random(7)
    for _ in range(200):
        found = row(random_)
        quick = maker._plainly(found)
        assert quick
        assert quick == maker._fully(found) == maker.made(found)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_not_plain_goes_the_thorough_way(syntax: str) -> None:
    maker = _AnswerMaker(Asked("study", {}, WANTED, "ISO_IR 100"), "HILUM", syntax)
    found: dict[str, dict[str, Any]] = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]},
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}]},
    }
    assert maker._plainly(found) == b""
    implicit, little = SYNTAXES[syntax]
    ds = read_dataset(io.BytesIO(maker.made(found)), implicit, little)
    assert ds.SpecificCharacterSet == "ISO_IR 100"
    assert ds.PatientName == "Müller^Jörg"
    assert ds.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"
    assert ds.StudyDate == ""


@pytest.mark.parametrize("limit", [0, 128, 16384])
@pytest.mark.parametrize("size", [10, 122, 124, 5000])
def test_messages_of_one_command_are_those_of_any(limit: int, size: int) -> None:
    """The maker of a link writes the same PDUs as `pdus`, in one piece."""
    from hilum.dimse.messages import Tag, encode_command, message_maker

    command = {Tag.COMMAND_FIELD: 0x8020, Tag.STATUS: 0xFF00}
    data = bytes(range(256)) * 20
    made = message_maker(3, command, limit)(data[:size])
    assert made == b"".join(pdus(3, encode_command(command), (data[:size],), limit))
