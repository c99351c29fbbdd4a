"""Every real object: keys, attribute lists, pixel description and frames as pydicom reads them."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.encaps import generate_frames
from tests.support.shared_objects import all_rows, read_object

from hilum.dicom import scan as scanning
from hilum.dicom.vr import TEXT
from hilum.errors import DataError, HilumError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

NOT_DICOM, TRUNCATED, MISSING, BAD_VALUE = 2, 1, 7, 8

# What may not be stored, and why. Everything else has to be.
REFUSED = {
    "hostile/no_meta.dcm": (NOT_DICOM, "a stray byte before the data set"),
    "hostile/MR_truncated.dcm": (TRUNCATED, "cut inside the pixel data"),
    "hostile/rtplan_truncated.dcm": (TRUNCATED, "cut inside a sequence"),
    "ts/emri_small/emri_small_jpeg_2k_lossless_too_short.dcm": (TRUNCATED, "cut inside the fragments"),
    "hostile/bad_sequence.dcm": (BAD_VALUE, "SOP Instance UID is a hash in hexadecimal"),
    "encapsulation/jpeg2000-multiframe-multifragments.dcm": (BAD_VALUE, "SOP Instance UID of 66 characters"),
}
NO_DICOM_SUFFIXES = (".md", ".txt", ".png", ".j2c", ".RAW", ".tar.xz", "TINY_ALPHA/README")
# Objects that pydicom misreads, and why.
MISREAD = {"hostile/GH179A.dcm": "blanks as VR of (0028,0120), whose length it takes for a 32-bit one"}
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

CODE = ("00080100", "00080102", "00080104")
LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "patient": dict.fromkeys(
        ("00100010", "00100020", "00100021", "00100030", "00100032", "00100040", "00101000", "00102160"), ()
    ),
    "study": {
        **dict.fromkeys(("00080020", "00080030", "00080050", "00080080", "00080090", "00080201", "00081030"), ()),
        **dict.fromkeys(("00081060", "00081080", "00101010", "00101020", "00101030", "0020000D", "00200010"), ()),
        "00080051": ("00400031", "00400032", "00400033"),
        "00081032": CODE,
    },
    "series": {
        **dict.fromkeys(("00080021", "00080031", "00080060", "00080070", "00081010", "0008103E", "00081050"), ()),
        **dict.fromkeys(("00081070", "00081090", "00180015", "00181030", "0020000E", "00200011", "00200052"), ()),
        **dict.fromkeys(("00200060", "00400244", "00400245"), ()),
        "00400275": ("00080050", "0020000D", "00400009", "00401001"),
    },
    "instance": {
        **dict.fromkeys(("00080008", "00080016", "00080018", "00080023", "00080033", "00200012", "00200013"), ()),
        **dict.fromkeys(("00280008", "00280010", "00280011", "00280100", "00420010", "00700080"), ()),
        "0040A043": CODE,
    },
}


def groups(folder: Path) -> list[str]:
    return sorted(
        {row["path"].split("!")[0] if "!" in row["path"] else row["path"].split("/")[0] for row in all_rows(folder)}
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from tests.conftest import find_shared_data

    if "group" in metafunc.fixturenames:
        folder = find_shared_data()
        metafunc.parametrize("group", groups(folder) if folder else ["no shared data"])


def rows_of(folder: Path, group: str) -> list[dict[str, str]]:
    return [
        row for row in all_rows(folder) if row["path"] == group or row["path"].startswith((group + "/", group + "!"))
    ]


def reference(data: bytes) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(data), force=True)


def is_no_dicom(path: str) -> bool:
    return path.endswith(NO_DICOM_SUFFIXES) and "!" not in path


def text_of(element: pydicom.DataElement) -> str:
    """The value as the attribute list writes it."""
    if element.value is None:
        return ""
    values = element.value if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]
    if element.VR in ("DS", "IS"):
        values = [getattr(value, "original_string", value) for value in values]
    texts = [str(value).rstrip(" \0") for value in values]
    if element.VR not in TEXT:
        texts = [text.lstrip(" ") for text in texts]
    return "\\".join(texts)


def check_list(
    path: str, found: dict[str, scanning.Attribute], wanted: dict[str, Any], dataset: pydicom.Dataset
) -> None:
    present = sorted(tag for tag in wanted if int(tag, 16) in dataset)
    assert list(found) == present, path
    for tag in present:
        element = dataset[int(tag, 16)]
        if wanted[tag]:
            assert len(found[tag].items) == len(element.value), (path, tag)
            for item, reference_item in zip(found[tag].items, element.value, strict=True):
                check_list(path, item, dict.fromkeys(wanted[tag], ()), reference_item)
        else:
            text = found[tag].value
            # pydicom leaves out empty groups at the end of a name.
            assert (text.rstrip("=") if element.VR == "PN" else text) == text_of(element)[:1024], (path, tag)


def why_refused(path: str, dataset: pydicom.Dataset) -> int | None:
    if is_no_dicom(path):
        return NOT_DICOM
    if path in REFUSED:
        return REFUSED[path][0]
    directory = "DirectoryRecordSequence" in dataset
    missing = not directory and any(not dataset.get(keyword) for keyword in UIDS)
    return MISSING if missing else None


def check_object(path: str, data: bytes, row: dict[str, str]) -> None:
    dataset = reference(data)
    code = why_refused(path, dataset)
    if code is not None:
        with pytest.raises(HilumError) as caught:
            scanning.scan(data)
        assert caught.value.code == code, (path, caught.value)
        return
    described = scanning.scan(data)
    assert described.sha256 is not None
    assert described.sha256.hex() == row["sha256"], path
    if row["transfer_syntax"]:
        assert described.transfer_syntax_uid == row["transfer_syntax"], path
    if described.is_dicomdir:
        assert described.sop_instance_uid == dataset.file_meta.MediaStorageSOPInstanceUID
        return
    assert described.sop_instance_uid == dataset.SOPInstanceUID, path
    assert described.sop_class_uid == dataset.SOPClassUID, path
    assert described.study_instance_uid == dataset.StudyInstanceUID, path
    assert described.series_instance_uid == dataset.SeriesInstanceUID, path
    if path in MISREAD:
        return
    for level, wanted in LEVELS.items():
        check_list(path, scanning.read_attributes(described.attributes(level)), wanted, dataset)  # type: ignore[arg-type]
    check_header(path, data, described, dataset)


def check_header(path: str, data: bytes, described: Any, dataset: pydicom.Dataset) -> None:
    """The first header_length bytes hold everything before the pixel data."""
    if described.deflated:
        assert described.header_length == len(data)
        return
    header = reference(data[: described.header_length])
    expected = {tag for tag in set(dataset.keys()) if tag < 0x7FE00008}
    assert set(header.keys()) >= expected, path


def test_every_object_is_described_as_pydicom_reads_it(shared_data: Path, group: str) -> None:
    rows = rows_of(shared_data, group)
    assert rows
    for row in rows:
        check_object(row["path"], read_object(shared_data, row["path"]), row)


def frame_count(dataset: pydicom.Dataset) -> int:
    """Number of Frames, 1 where it is missing or no number (hostile/badVR.dcm)."""
    text = str(dataset.get("NumberOfFrames", 1))
    return max(1, int(text)) if text.isdigit() else 1


def reference_frames(dataset: pydicom.Dataset) -> list[bytes]:
    extended = None
    if "ExtendedOffsetTable" in dataset:
        extended = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    return list(generate_frames(dataset.PixelData, number_of_frames=frame_count(dataset), extended_offsets=extended))


def encapsulated(dataset: pydicom.Dataset) -> bool:
    return "PixelData" in dataset and dataset["PixelData"].is_undefined_length


def test_frames_of_every_encapsulated_object(shared_data: Path, group: str) -> None:
    """Also of objects that may not be stored, since their pixel data is what they were made for."""
    for row in rows_of(shared_data, group):
        path = row["path"]
        if is_no_dicom(path) or REFUSED.get(path, (0,))[0] in (TRUNCATED, NOT_DICOM):
            continue
        data = read_object(shared_data, path)
        described = scanning.scan(data, hashes=False, storable=False)
        table = scanning.FrameTable(described.frame_table)
        if described.pixels is None or table.kind == "native":
            continue
        dataset = reference(data)
        assert encapsulated(dataset), path
        expected = reference_frames(dataset)
        whole = scanning.inflate(data) if table.inflated else data
        assert [scanning.frame_bytes(whole, table[i]) for i in range(len(table))] == expected, path


def test_native_frames_are_the_pixel_data_cut_evenly(shared_data: Path, group: str) -> None:
    for row in rows_of(shared_data, group):
        path = row["path"]
        if is_no_dicom(path) or "!" in path or REFUSED.get(path, (0,))[0] in (TRUNCATED, NOT_DICOM):
            continue
        data = read_object(shared_data, path)
        described = scanning.scan(data, hashes=False, storable=False)
        table = scanning.FrameTable(described.frame_table)
        if table.kind != "native" or not len(table):
            continue
        dataset = reference(data)
        keyword = scanning.pixel_description(described).keyword  # type: ignore[union-attr]
        stored = dataset[keyword].value
        whole = scanning.inflate(data) if table.inflated else data
        assert len(table) == frame_count(dataset), path
        first = table[0].fragments[0][0]
        assert whole[first : first + len(stored)] == stored, path
        end = table[len(table) - 1].fragments[0]
        assert end[0] + end[1] <= first + len(stored), path


def test_pixel_descriptions(shared_data: Path, manifest: list[dict[str, str]]) -> None:
    compared = 0
    for row in manifest:
        if not row["bits_allocated"] or REFUSED.get(row["path"], (0,))[0] in (TRUNCATED, NOT_DICOM):
            continue
        description = scanning.pixel_description(
            scanning.scan(read_object(shared_data, row["path"]), hashes=False, storable=False)
        )
        if description is None:
            continue
        assert str(description.rows) == row["rows"], row["path"]
        assert str(description.columns) == row["columns"], row["path"]
        assert str(description.bits_allocated) == row["bits_allocated"], row["path"]
        assert str(description.samples_per_pixel) == (row["samples"] or "1"), row["path"]
        assert description.photometric_interpretation == row["photometric"], row["path"]
        if row["frames"].isdigit():
            assert description.number_of_frames == max(1, int(row["frames"])), row["path"]
        compared += 1
    assert compared > 400


def test_what_is_refused_says_why(shared_data: Path) -> None:
    for path, (code, _) in REFUSED.items():
        with pytest.raises(DataError) as caught:
            scanning.scan(read_object(shared_data, path))
        assert caught.value.code == code
        assert len(str(caught.value)) < 120
