"""Coercion of incoming attributes: what changes, what stays byte for byte, what is remembered."""

from __future__ import annotations

import datetime
import io

import pydicom
import pytest
from objects import make_object
from pydicom.dataset import Dataset

from hilum.archive.coerce import coerced_header, modified_at, parse_rules, rules_of
from hilum.archive.stored_object import object_in_bytes
from hilum.archive.transcode import transcode_object
from hilum.codecs.layout import read_layout, rewrite
from hilum.dicom.scan import scan
from hilum.errors import DataError, UsageError

WHEN = datetime.datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=datetime.UTC)
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]


def written(syntax: str = SYNTAXES[1], **values: object) -> bytes:
    """An object in a syntax, with an odd private element and a sequence of undefined length."""
    ds = pydicom.dcmread(io.BytesIO(make_object(patient="4711")))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.add_new(0x00091010, "LO", "private")
    item = Dataset()
    item.CodeValue = "X"
    ds.ProcedureCodeSequence = [item]
    ds["ProcedureCodeSequence"].is_undefined_length = True
    out = io.BytesIO()
    ds.save_as(out)
    return b"".join(transcode_object(object_in_bytes(out.getvalue()), syntax).pieces)


def coerced(data: bytes, *lines: str, when: datetime.datetime = WHEN) -> bytes:
    found = scan(data)
    head = coerced_header(data[: found.header_length], found, parse_rules(lines), "CT1", when)
    return data if head is None else head + data[found.header_length :]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_changes_and_what_they_were(syntax: str) -> None:
    data = written(syntax, InstitutionName="Elsewhere", PatientComments="x y")
    after = pydicom.dcmread(
        io.BytesIO(
            coerced(
                data, "* set InstitutionName=St. Elsewhere", "* prefix PatientID=SE-", "* remove PatientComments",
                "* fill IssuerOfPatientID=SE", "* fill InstitutionName=Never",
            )
        )
    )  # fmt: skip
    assert (after.InstitutionName, after.PatientID, after.IssuerOfPatientID) == ("St. Elsewhere", "SE-4711", "SE")
    assert "PatientComments" not in after
    (item,) = after.OriginalAttributesSequence
    assert (item.ModifyingSystem, item.SourceOfPreviousValues) == ("HILUM", "CT1")
    assert item.ReasonForTheAttributeModification == "COERCE"
    assert item.AttributeModificationDateTime == "20260301123001.000005+0000"
    (original,) = item.ModifiedAttributesSequence
    assert (original.InstitutionName, original.PatientID, original.PatientComments) == ("Elsewhere", "4711", "x y")
    assert original["IssuerOfPatientID"].is_empty
    before = pydicom.dcmread(io.BytesIO(data))
    touched = ("InstitutionName", "PatientID", "IssuerOfPatientID", "PatientComments", "OriginalAttributesSequence")
    for keyword in touched:
        for ds in (before, after):
            if keyword in ds:
                del ds[keyword]
    assert before == after
    assert scan(coerced(data, "* prefix PatientID=SE-")).sop_instance_uid == before.SOPInstanceUID


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_all_else_is_copied_byte_for_byte(syntax: str) -> None:
    """Putting the old element back and taking the record away gives the bytes that came."""
    data = written(syntax, InstitutionName="Elsewhere")
    changed = coerced(data, "* set InstitutionName=A much longer name")
    layout = read_layout(changed)
    head = changed[: scan(changed).header_length]
    before = data[read_layout(data).dataset_offset : scan(data).header_length]
    old = Dataset()
    old.InstitutionName = "Elsewhere"
    out = io.BytesIO()
    pydicom.filewriter.write_dataset(_file(out, layout.explicit_vr, layout.big_endian), old)
    restored = rewrite(
        head, layout.dataset_offset, layout.encoding, layout.encoding,
        replacements=[(0x00080080, out.getvalue()), (0x04000561, b"")],
    )  # fmt: skip
    assert restored == before
    assert changed[len(head) :] == data[scan(data).header_length :]


def _file(out: io.BytesIO, explicit: bool, big: bool) -> pydicom.filebase.DicomIO:
    file = pydicom.filebase.DicomIO(out)
    file.is_implicit_VR, file.is_little_endian = not explicit, not big
    return file


def test_nothing_to_do_changes_nothing() -> None:
    data = written(InstitutionName="Here")
    rules = [
        "* set InstitutionName=Here",
        "* prefix PatientID=47",
        "* fill InstitutionName=X",
        "* remove PatientComments",
    ]
    assert coerced(data, *rules) is data
    again = coerced(coerced(data, "* prefix PatientID=A-"), "* prefix PatientID=A-")
    assert again == coerced(data, "* prefix PatientID=A-")


def test_items_of_others_are_kept() -> None:
    first = coerced(written(), "* prefix PatientID=A-")
    second = pydicom.dcmread(io.BytesIO(coerced(first, "* prefix PatientID=B-")))
    assert second.PatientID == "B-A-4711"
    assert [i.ModifiedAttributesSequence[0].PatientID for i in second.OriginalAttributesSequence] == ["4711", "A-4711"]


def test_character_set_of_the_object() -> None:
    latin = pydicom.dcmread(io.BytesIO(coerced(written(), "* set InstitutionName=Spital Zürich")))
    assert latin.InstitutionName == "Spital Zürich"
    with pytest.raises(DataError, match="character set"):
        coerced(written(), "* set InstitutionName=東京")
    utf = pydicom.dcmread(io.BytesIO(coerced(written(SpecificCharacterSet="ISO_IR 192"), "* set InstitutionName=東京")))
    assert utf.InstitutionName == "東京"


def test_the_same_moment_gives_the_same_bytes() -> None:
    data = written()
    first = coerced(data, "* prefix PatientID=A-")
    found = modified_at(first[: scan(first).header_length])
    assert found == WHEN
    assert coerced(data, "* prefix PatientID=A-", when=found) == first
    assert modified_at(data) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "CT1 set",
        "CT1 change PatientID=1",
        "CT1 set SOPInstanceUID=1.2",
        "CT1 set Rows=5",
        "CT1 set ProcedureCodeSequence=1",
        "CT1 set NoSuchThing=1",
        "CT1 remove PatientComments=x",
        "CT1 fill PatientID=",
        "CT1 set Modality=ÄÖ",
    ],
)
def test_mistakes_are_named(line: str) -> None:
    with pytest.raises(UsageError, match=r"dimse\.coerce, entry 1"):
        parse_rules([line])


def test_rules_of_a_sender() -> None:
    rules = parse_rules(["CT1 set InstitutionName=A", "* set PatientComments=B", "CT2 remove PatientComments"])
    assert [rule.action for rule in rules_of(rules, "CT2")] == ["set", "remove"]
    assert rules_of(rules, "CT1")[0].value == "A"
