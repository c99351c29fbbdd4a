"""STOW-RS of metadata and bulk data, written by pydicom and by hand, against a running server (PS3.18 10.5.1)."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from objects import make_object, uid
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.xdist_group("live_server")
DEMO = sorted((Path(__file__).parent.parent.parent / "data" / "demo").rglob("*.dcm"))
_NUMBERS = itertools.count(17_000)
JSON = 'multipart/related; type="application/dicom+json"; boundary=B'
XML = 'multipart/related; type="application/dicom+xml"; boundary=B'
FAILED, STORED = "00081198", "00081199"
AS_STORED = {"Accept": "application/dicom; transfer-syntax=*"}


def part(content_type: str, content: bytes, location: str = "") -> bytes:
    where = f"Content-Location: {location}\r\n" if location else ""
    return f"--B\r\nContent-Type: {content_type}\r\n{where}\r\n".encode() + content + b"\r\n"


def post(web: httpx.Client, *parts: bytes, content_type: str = JSON, path: str = "/studies") -> httpx.Response:
    return web.post(path, content=b"".join(parts) + b"--B--\r\n", headers={"Content-Type": content_type})


def fresh(ds: pydicom.Dataset) -> pydicom.Dataset:
    """The data set in a study of its own."""
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = generate_uid(), generate_uid(), generate_uid()
    return ds


def as_json(ds: pydicom.Dataset) -> tuple[dict[str, Any], list[bytes]]:
    """Metadata by pydicom, and the parts of what it would not write inline."""
    parts: list[bytes] = []

    def handler(element: pydicom.DataElement) -> str:
        location = f"bulk/{len(parts)}"
        if element.keyword == "PixelData" and ds.file_meta.TransferSyntaxUID.is_encapsulated:
            kind = f"application/octet-stream; transfer-syntax={ds.file_meta.TransferSyntaxUID}"
            frames = generate_frames(element.value, number_of_frames=int(ds.get("NumberOfFrames", 1) or 1))
            parts.extend(part(kind, frame, location) for frame in frames)
        else:
            parts.append(part("application/octet-stream", element.value, location))
        return location

    model = ds.to_json_dict(bulk_data_threshold=256, bulk_data_element_handler=handler)
    return model, parts


def stored(web: httpx.Client, answer: httpx.Response) -> pydicom.FileDataset:
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()[STORED]["Value"]
    return pydicom.dcmread(io.BytesIO(web.get(item["00081190"]["Value"][0], headers=AS_STORED).content))


def difference(expected: pydicom.Dataset, found: pydicom.Dataset) -> list[str]:
    """Keywords of what differs, other than the character set and the layout of fragments."""
    names = []
    for element in expected:
        if element.tag.element == 0 or element.keyword in ("SpecificCharacterSet", "PixelData"):
            continue
        other = found.get(element.tag)
        if element.VR == "SQ" and other is not None:
            names += [name for a, b in zip(element.value, other.value, strict=True) for name in difference(a, b)]
        elif other is None or (other.value != element.value and str(other.value) != str(element.value)):
            same = other is not None and element.VR == "DS" and other.value is not None
            if not (same and pydicom.multival.MultiValue(float, element.value or []) == other.value):
                names.append(f"{element.tag} {element.VR}")
    return names


@pytest.mark.parametrize("file", DEMO, ids=lambda f: f.stem)
def test_real_objects_by_pydicom(web: httpx.Client, file: Path) -> None:
    original = pydicom.dcmread(file)
    if original.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRBigEndian:
        pytest.skip("pydicom gives big-endian words as they are in the file")
    ds = fresh(original)
    model, parts = as_json(ds)
    found = stored(web, post(web, part("application/dicom+json", json.dumps([model]).encode()), *parts))
    syntax = ds.file_meta.TransferSyntaxUID
    assert found.file_meta.TransferSyntaxUID == (
        syntax if syntax.is_encapsulated else pydicom.uid.ExplicitVRLittleEndian
    )
    assert difference(ds, found) == []
    if "PixelData" in ds:
        frames = int(ds.get("NumberOfFrames", 1) or 1)
        if syntax.is_encapsulated:
            mine, theirs = (list(generate_frames(d.PixelData, number_of_frames=frames)) for d in (found, ds))
            assert [f.rstrip(b"\0") for f in mine] == [f.rstrip(b"\0") for f in theirs]
        else:
            assert found.PixelData == ds.PixelData


def minimal(**more: Any) -> dict[str, Any]:
    number = next(_NUMBERS)
    model = {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
        "00080018": {"vr": "UI", "Value": [uid(5, number)]},
        "0020000D": {"vr": "UI", "Value": [uid(6, number)]},
        "0020000E": {"vr": "UI", "Value": [uid(7, number)]},
    }
    return {**model, **more}


def metadata(*models: Any) -> bytes:
    return part("application/dicom+json", json.dumps(models, ensure_ascii=False).encode())


def test_text_of_any_language_is_kept(web: httpx.Client) -> None:
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    nested = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}, "00080104": {"vr": "LO", "Value": ["Ätiologie"]}}
    model = minimal(
        **{
            "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
            "00100010": {"vr": "PN", "Value": [name]},
            "00081032": {"vr": "SQ", "Value": [nested, {}]},
            "00280030": {"vr": "DS", "Value": [0.12345678901234567, "1.50"]},
            "00200032": {"vr": "DS"},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00189087": {"vr": "FD", "Value": ["NaN", 1.5]},
            "00091001": {"vr": "UN", "InlineBinary": "AQID"},
        }
    )
    ds = stored(web, post(web, metadata(model)))
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == "Yamada^Tarou=山田^太郎"
    assert ds.ProcedureCodeSequence[0].CodeMeaning == "Ätiologie"
    assert [str(v) for v in ds.PixelSpacing] == ["0.12345678901235", "1.50"]
    assert ds.FrameIncrementPointer == 0x00181063
    assert ds[0x00189087].value[1] == 1.5
    assert ds[0x00091001].value == b"\1\2\3\0"


def test_a_jpeg_and_its_pixel_module(web: httpx.Client) -> None:
    file = next(
        f for f in DEMO if pydicom.dcmread(f, stop_before_pixels=True).file_meta.TransferSyntaxUID[-5:] == ".4.50"
    )
    ds = pydicom.dcmread(file)
    frame = next(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1) or 1)))
    model = minimal(**{"7FE00010": {"vr": "OB", "BulkDataURI": "image"}})
    found = stored(web, post(web, metadata(model), part("image/jpeg", frame, "image")))
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert (found.Rows, found.Columns, found.SamplesPerPixel) == (ds.Rows, ds.Columns, ds.SamplesPerPixel)
    assert (found.BitsAllocated, found.LossyImageCompression) == (8, "01")
    assert next(generate_frames(found.PixelData, number_of_frames=1)).rstrip(b"\0") == frame.rstrip(b"\0")


def test_a_document_and_two_instances_of_which_one_fails(web: httpx.Client) -> None:
    pdf = b"%PDF-1.4 " + bytes(range(256)) * 40_000  # above what is kept in memory
    good = minimal(**{"00420011": {"vr": "OB", "BulkDataURI": "http://x/a.pdf"}})
    bad = minimal(**{"00420011": {"vr": "OB", "BulkDataURI": "http://x/missing"}})
    answer = post(web, metadata(bad, good), part("application/pdf", pdf, "http://x/a.pdf"))
    assert answer.status_code == 202
    found = answer.json()
    (failed,) = found[FAILED]["Value"]
    assert failed["00081155"]["Value"] == bad["00080018"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    (item,) = found[STORED]["Value"]
    ds = pydicom.dcmread(io.BytesIO(web.get(item["00081190"]["Value"][0], headers=AS_STORED).content))
    assert ds.EncapsulatedDocument == pdf + b"\0" * (len(pdf) & 1)


def test_xml_is_what_we_answer_ourselves(web: httpx.Client) -> None:
    ds = fresh(pydicom.dcmread(io.BytesIO(make_object(comment="Straße"))))
    ds.SpecificCharacterSet = "ISO_IR 192"
    out = io.BytesIO()
    ds.save_as(out)
    first = web.post("/studies", content=out.getvalue(), headers={"Content-Type": "application/dicom"})
    url = first.json()[STORED]["Value"][0]["00081190"]["Value"][0]
    accept = {"Accept": 'multipart/related; type="application/dicom+xml"'}
    document = web.get(url + "/metadata", headers=accept).content.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
    instance = generate_uid()
    document = document.replace(str(ds.SOPInstanceUID).encode(), instance.encode())
    location = f"{url.replace(str(ds.SOPInstanceUID), instance)}/bulkdata/7FE00010"
    parts = part("application/dicom+xml", document), part("application/octet-stream", ds.PixelData, location)
    found = stored(web, post(web, *parts, content_type=XML))
    del ds.SOPInstanceUID
    assert difference(ds, found) == []
    assert found.PixelData == ds.PixelData
    assert found.SOPInstanceUID == instance


def test_another_study_is_refused(web: httpx.Client) -> None:
    answer = post(web, metadata(minimal()), path="/studies/1.2.3")
    assert answer.status_code == 409
    assert answer.json()[FAILED]["Value"][0]["00081197"]["Value"] == [0xA900]


def long(vr: str, value: Any) -> dict[str, Any]:
    return {"00420010": {"vr": vr, "Value": value}}


DEEP: dict[str, Any] = {}
for _ in range(40):
    DEEP = {"00081115": {"vr": "SQ", "Value": [DEEP]}}


@pytest.mark.parametrize(
    "more",
    [
        {"0010": {"vr": "LO"}},
        {"00100020": "text"},
        {"00100020": {"vr": "ZZ", "Value": ["1"]}},
        {"00100020": {"vr": "LO", "Value": "1"}},
        {"00100020": {"vr": "LO", "Value": ["a\\b"]}},
        {"00100020": {"vr": "LO", "Value": [1]}},
        {"00100020": {"vr": "LO", "Value": ["\ud800"]}},
        {"00100020": {"vr": "LO", "Value": ["x" * 70_000]}},
        {"00280010": {"vr": "US", "Value": [70_000]}},
        {"00280010": {"vr": "US", "Value": [1.5]}},
        {"00200013": {"vr": "IS", "Value": [1.5]}},
        {"00280030": {"vr": "DS", "Value": [True]}},
        {"00280009": {"vr": "AT", "Value": ["zz"]}},
        {"00420011": {"vr": "OB", "InlineBinary": "%%"}},
        {"00420011": {"vr": "OB", "InlineBinary": "AQ==", "BulkDataURI": "x"}},
        {"00420011": {"vr": "OB", "BulkDataURI": 5}},
        {"00420011": {"vr": "OB", "BulkDataURI": "http://[::"}},
        {"00080018": {"vr": "UI", "Value": []}},
        {"00080016": {"vr": "UI", "Value": [{}]}},
        DEEP,
    ],
)
def test_bad_metadata_fail_alone(web: httpx.Client, more: dict[str, Any]) -> None:
    model = json.dumps([minimal(**more), minimal()]).encode()
    answer = post(web, part("application/dicom+json", model))
    assert answer.status_code == 202, answer.text
    assert len(answer.json()[STORED]["Value"]) == 1


@pytest.mark.parametrize(
    ("content_type", "parts", "status"),
    [
        (JSON, [part("application/dicom+json", b"[")], 400),
        (JSON, [part("application/dicom+json", b"[" * 100_000)], 400),
        (JSON, [part("application/octet-stream", b"x", "a")], 400),
        (JSON, [part("application/dicom+json", b"[]")], 400),
        (JSON, [part("application/dicom+json", b"[1]")], 409),
        (XML, [part("application/dicom+xml", b"<NativeDicomModel>")], 400),
        (XML, [part("application/dicom+xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><NativeDicomModel/>")], 400),
        (XML, [part("application/dicom+xml", b"<a>" * 5000)], 400),
        (XML, [part("application/dicom+xml", b"<NativeDicomModel/>")], 409),
        ('multipart/related; type="application/dicom+json"', [metadata({})], 400),
    ],
)
def test_bad_bodies(web: httpx.Client, content_type: str, parts: list[bytes], status: int) -> None:
    assert post(web, *parts, content_type=content_type).status_code == status


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/jp2", "image/png", "application/octet-stream; transfer-syntax=x"]
)
def test_pixel_data_that_are_not_what_they_say(web: httpx.Client, kind: str) -> None:
    model = minimal(**{"7FE00010": {"vr": "OB", "BulkDataURI": "image"}})
    assert post(web, metadata(model), part(kind, b"not an image", "image")).status_code == 409


def test_a_body_that_ends_early_stores_nothing(web: httpx.Client) -> None:
    model = minimal()
    answer = web.post("/studies", content=metadata(model)[:-10], headers={"Content-Type": JSON})
    assert answer.status_code == 400
    study = model["0020000D"]["Value"][0]
    assert web.get(f"/studies/{study}/metadata").status_code == 404
