"""Answers of C-FIND: the quick way writes what the thorough one does, and pydicom reads it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from objects import make_object
from pydicom.filereader import read_dataset

import hilum
from hilum.dimse.identifier import Element
from hilum.dimse.messages import pdus
from hilum.dimse.query import Asked, _AnswerMaker
from hilum.index.answers import answers_identifiers, answers_rows
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

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


TAGS = [element.tag for element in WANTED]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hilum.Archive]:
    """Invented studies: names in many alphabets, values that are missing, sequences."""
    with hilum.open(tmp_path_factory.mktemp("query") / "archive") as opened:
        opened.index.apply(list(synthetic_entries(400)))
        opened.store(make_object(study=900, patient="PLAIN"))
        yield opened


@pytest.mark.parametrize("character_set", ["", "ISO_IR 100", "ISO_IR 192", "NO SUCH SET"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_quick_and_thorough_answers_are_the_same(archive: hilum.Archive, syntax: str, character_set: str) -> None:
    """What the core writes is what the slow way in Python does, value for value."""
    maker = _AnswerMaker(Asked("study", {}, WANTED, character_set), "HILUM", syntax, TAGS)
    result = archive.search("study", {})
    explicit, big = syntax != "1.2.840.10008.1.2", syntax == "1.2.840.10008.1.2.2"
    quick = answers_identifiers(result, maker._elements, explicit_vr=explicit, big_endian=big, utf8=maker._utf8)
    thorough = [maker._fully(row) for row in answers_rows(result, TAGS)]
    plain = [position for position, data in enumerate(quick) if data is not None]
    assert len(plain) > (len(quick) * 0.9 if maker._utf8 else 50)
    assert [quick[position] for position in plain] == [thorough[position] for position in plain]
    assert list(maker.made(result)) == thorough


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_both_kinds(archive: hilum.Archive, syntax: str) -> None:
    maker = _AnswerMaker(Asked("study", {}, WANTED, "ISO_IR 192"), "HILUM", syntax, TAGS)
    result = archive.search("study", {})
    implicit, little = SYNTAXES[syntax]
    expected = {row["StudyInstanceUID"]: row for row in result.to_dicts()}
    for data in maker.made(result):
        ds = read_dataset(io.BytesIO(data), implicit, little)
        row = expected.pop(str(ds.StudyInstanceUID))
        assert (ds.SpecificCharacterSet, ds.QueryRetrieveLevel) == ("ISO_IR 192", "STUDY")
        assert str(ds.PatientName) == str(row.get("PatientName") or "")
        assert ds.StudyDate == (row.get("StudyDate") or "")
        assert list(ds) == sorted(ds, key=lambda element: element.tag)
    assert not expected


@pytest.mark.parametrize("limit", [0, 128, 16384])
@pytest.mark.parametrize("size", [10, 122, 124, 5000])
def test_messages_of_one_command_are_those_of_any(limit: int, size: int) -> None:
    """The maker of a link writes the same PDUs as `pdus`, in one piece."""
    from hilum.dimse.messages import Tag, encode_command, message_maker

    command = {Tag.COMMAND_FIELD: 0x8020, Tag.STATUS: 0xFF00}
    data = bytes(range(256)) * 20
    made = message_maker(3, command, limit)(data[:size])
    assert made == b"".join(pdus(3, encode_command(command), (data[:size],), limit))
