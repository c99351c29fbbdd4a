"""Identifiers: pydicom as the oracle of what is written and read, and damage of every kind."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from hilum.dimse.identifier import Element, encode, fitting_character_set, parse, text_of
from hilum.errors import DataError, HilumError, LimitExceeded

SYNTAXES = {
    "1.2.840.10008.1.2": (True, True),
    "1.2.840.10008.1.2.1": (False, True),
    "1.2.840.10008.1.2.2": (False, False),
}


def sample() -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.QueryRetrieveLevel = "STUDY"
    ds.StudyDate = "20240101-20240131"
    ds.PatientName = "Müller*"
    ds.StudyInstanceUID = ["1.2.3", "1.2.4"]
    ds.ModalitiesInStudy = ""
    ds.Rows = 512
    item = Dataset()
    item.ScheduledProcedureStepID = "S?"
    item.RequestedProcedureID = ""
    ds.RequestAttributesSequence = [item]
    return ds


def written(ds: Dataset, syntax: str, *, undefined: bool = False) -> bytes:
    stream = io.BytesIO()
    implicit, little = SYNTAXES[syntax]
    from pydicom.filebase import DicomIO

    out: Any = DicomIO(stream)
    out.is_implicit_VR, out.is_little_endian = implicit, little
    if undefined:
        ds["RequestAttributesSequence"].is_undefined_length = True
        ds.RequestAttributesSequence[0].is_undefined_length_sequence_item = True
    write_dataset(out, ds)
    return stream.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_reads_what_pydicom_writes(syntax: str, undefined: bool) -> None:
    elements = parse(written(sample(), syntax, undefined=undefined), syntax)
    found = {element.tag: element for element in elements}
    assert found[0x00100010].text == "Müller*"
    assert found[0x0020000D].text == "1.2.3\\1.2.4"
    assert found[0x00080020].text == "20240101-20240131"
    assert found[0x00280010].text == "512"
    assert [(e.tag, e.text) for e in found[0x00400275].items[0]] == [(0x00400009, "S?"), (0x00401001, "")]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_what_is_written(syntax: str) -> None:
    elements = (
        Element(0x00080005, "CS", "ISO_IR 100"),
        Element(0x00080020, "DA", "20240101"),
        Element(0x00100010, "PN", "Müller^Ä"),
        Element(0x0020000D, "UI", "1.2.3"),
        Element(0x00280010, "US", "512"),
        Element(0x00400275, "SQ", items=((Element(0x00400009, "SH", "S1"),),)),
    )
    implicit, little = SYNTAXES[syntax]
    ds = read_dataset(io.BytesIO(encode(elements, syntax, "ISO_IR 100")), implicit, little)
    assert ds.PatientName == "Müller^Ä"
    assert ds.StudyInstanceUID == "1.2.3"
    assert ds.Rows == 512
    assert ds.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"


@pytest.mark.parametrize(
    ("text", "wanted", "chosen"),
    [
        ("Müller", "ISO_IR 100", "ISO_IR 100"),
        ("Müller", "", "ISO_IR 192"),
        ("Люкceмбypг", "ISO_IR 144", "ISO_IR 144"),
        ("Люкceмбypг", "ISO_IR 100", "ISO_IR 192"),
        ("Yamada^Tarou=山田^太郎", "\\ISO 2022 IR 87", "\\ISO 2022 IR 87"),
        ("王^小東", "GB18030", "GB18030"),
        ("plain", "ISO_IR 100", "ISO_IR 100"),
        ("Müller", "NO SUCH SET", "ISO_IR 192"),
    ],
)
def test_d6_answers_in_the_askers_character_set_when_it_holds_them(text: str, wanted: str, chosen: str) -> None:
    element = Element(0x00100010, "PN", text)
    assert fitting_character_set((element,), wanted) == chosen
    raw = encode((Element(0x00080005, "CS", chosen), element), "1.2.840.10008.1.2.1", chosen)
    assert text_of(parse(raw, "1.2.840.10008.1.2.1"), 0x00100010) == text
    assert str(read_dataset(io.BytesIO(raw), False, True).PatientName) == text


def test_more_uids_than_a_short_length_holds() -> None:
    element = Element(0x00080058, "UI", "\\".join(f"1.2.3.{n:060d}" for n in range(2000)))
    raw = encode((element,), "1.2.840.10008.1.2.1")
    assert raw[4:6] == b"UN"
    assert len(parse(raw, "1.2.840.10008.1.2.1")[0].text.split("\\")) == 2000


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_damage_is_an_error_that_names_no_value(syntax: str) -> None:
    raw = written(sample(), syntax, undefined=True)
    random.seed(5)
    told = []
    for _ in range(3000):
        broken = bytearray(raw[: random.randrange(len(raw) + 1)])
        for _ in range(random.randrange(4)):
            if broken:
                broken[random.randrange(len(broken))] = random.randrange(256)
        try:
            parse(bytes(broken), syntax)
        except HilumError as error:
            told.append(str(error))
    assert told
    assert not any("ller" in text for text in told)


def test_cut_off_and_nested() -> None:
    with pytest.raises(DataError):
        parse(bytes.fromhex("0800 2000 4441 ff00 3230"), "1.2.840.10008.1.2.1")
    deep = bytes.fromhex("40007502 5351 0000 ffffffff feff00e0 ffffffff") * 20
    with pytest.raises(LimitExceeded):
        parse(deep, "1.2.840.10008.1.2.1")
