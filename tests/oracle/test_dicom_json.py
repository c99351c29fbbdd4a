"""Every real file as DICOM JSON: equal to pydicom's, but for EXCEPTIONS, which docs/reference/dicom-json.md explains.

The members of the archives are sampled; ``HILUM_TEST_ALL=1`` takes them all.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, dcmread

from hilum.dicom.json import bulkdata_bytes, dataset_json
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "dicom-json.md"

EXCEPTIONS = {
    "group length": "PS3.18 F.2.2",
    "empty value": "PS3.18 F.2.5",
    "component group": "PS3.18 F.2.2",
    "padding": "PS3.5 6.2",
    "encapsulated": "PS3.5 A.4",
    "byte order": "PS3.18 F.2.7",
    "not a number": "PS3.18 F.2.3",
    "unreadable sequence": "PS3.5 6.2.2",
    "blank VR": "PS3.5 7.1.2",
}
"""Name in the document: the section that says so."""

REFUSED = {
    "emri_small_jpeg_2k_lossless_too_short.dcm", "CT1.RAW", "CT1.j2c", "MR4.RAW", "MR4.j2c", "README.txt", "README",
    "MR_truncated.dcm", "no_meta.dcm", "priv_SQ.dcm", "rtplan_truncated.dcm", "test_tile.png",
}  # fmt: skip
"""No DICOM, or cut inside of an element of the top level: DataError, as for scan."""

BLANK_VR = {"GH179A.dcm"}
"""Blanks for a VR: pydicom takes the rest of the file for the value of that element."""

SWAPPED = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
FOLDERS = [
    "charset", "codec_frames", "cr_dx_mg", "ct", "dicomdir", "ecg", "encapsulated", "encapsulation",
    "hanging_protocol", "hostile", "mr", "nm", "op", "overlay", "palette_storage", "parametric_map", "pet",
    "presentation_state", "rt", "sc_colour", "seg", "sm", "sr", "ts", "us", "worklist", "xa",
]  # fmt: skip


class Comparison:
    """What differs between our JSON of one object and pydicom's."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.used: Counter[str] = Counter()
        self.differences: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.dataset = dcmread(io.BytesIO(data), force=True)
            ours = json.loads(dataset_json(data))
            self.compare_datasets(ours, self.dataset, "")

    def compare_datasets(self, ours: dict[str, Any], dataset: Dataset, path: str) -> None:
        theirs: dict[str, Any] = {}
        for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset gives elements, not tags
            key = f"{tag:08X}"
            try:
                theirs[key] = dataset[tag].to_json_dict(None, 0)
            except ValueError:
                self.used["not a number"] += 1
                assert all(isinstance(v, str) for v in ours.pop(key)["Value"])
        for key in sorted({*ours, *theirs}):
            if key in theirs and key not in ours and key.endswith("0000"):
                self.used["group length"] += 1
            elif key not in ours or key not in theirs:
                self.differences.append(f"{path}{key} only in {'ours' if key in ours else 'theirs'}")
            else:
                self.compare_elements(ours[key], theirs[key], dataset, path + key)

    def compare_elements(self, ours: dict[str, Any], theirs: dict[str, Any], dataset: Dataset, path: str) -> None:
        tag = int(path[-8:], 16)
        if ours["vr"] != theirs["vr"]:
            if (ours["vr"], theirs["vr"]) == ("OB", "OW") and dataset[tag].is_undefined_length:
                self.used["encapsulated"] += 1
            elif (ours["vr"], theirs["vr"]) == ("UN", "SQ"):
                self.used["unreadable sequence"] += 1
                return
            else:
                self.differences.append(f"{path} VR {ours['vr']}, not {theirs['vr']}")
                return
        if ours["vr"] == "SQ":
            items = ours.get("Value", [])
            if len(items) != len(dataset[tag].value):
                self.differences.append(f"{path} has {len(items)} items, not {len(dataset[tag].value)}")
            for i, (item, other) in enumerate(zip(items, dataset[tag].value, strict=False)):
                self.compare_datasets(item, other, f"{path}/{i}/")
        elif "InlineBinary" in theirs or "InlineBinary" in ours or "BulkDataURI" in ours:
            self.compare_binary(ours, theirs, path)
        elif ours != theirs and not self.excused(ours.get("Value", []), theirs.get("Value", []), ours["vr"]):
            self.differences.append(f"{path} {ours['vr']}: other values")

    def compare_binary(self, ours: dict[str, Any], theirs: dict[str, Any], path: str) -> None:
        expected = base64.b64decode(theirs.get("InlineBinary", ""))
        if "BulkDataURI" in ours:
            assert ours["BulkDataURI"] == path
            got = bulkdata_bytes(self.data, path)
        else:
            got = base64.b64decode(ours.get("InlineBinary", ""))
        unit = SWAPPED.get(ours["vr"], 1)
        if self.dataset.original_encoding[1] is False and unit > 1:
            self.used["byte order"] += 1
            expected = b"".join(expected[i : i + unit][::-1] for i in range(0, len(expected), unit))
        if got != expected:
            self.differences.append(f"{path} {ours['vr']}: other bytes")

    def excused(self, ours: list[Any], theirs: list[Any], vr: str) -> bool:
        """Whether all differing values differ by an exception."""
        if len(ours) != len(theirs):
            return False
        for mine, other in zip(ours, theirs, strict=True):
            if mine == other:
                continue
            if mine is None and other in ("", {"Alphabetic": ""}):
                self.used["empty value"] += 1
            elif vr == "PN" and mine == {k: v for k, v in other.items() if v}:
                self.used["component group"] += 1
            elif isinstance(other, str) and mine == other.rstrip(" "):
                self.used["padding"] += 1
            else:
                return False
        return True


def check(named: Iterator[tuple[str, bytes]]) -> int:
    count = 0
    for name, data in named:
        try:
            comparison = Comparison(data)
        except DataError:
            assert Path(name).name in REFUSED, name
            continue
        if Path(name).name in BLANK_VR:
            assert all(" only in ours" in d for d in comparison.differences[1:])
            continue
        assert not comparison.differences, f"{name}: {comparison.differences[:5]}"
        assert set(comparison.used) <= set(EXCEPTIONS)
        count += 1
    return count


@pytest.mark.parametrize("folder", FOLDERS)
def test_files(shared_data: Path, folder: str) -> None:
    paths = sorted(p for p in (shared_data / folder).rglob("*") if p.is_file())
    named = ((str(p.relative_to(shared_data)), p.read_bytes()) for p in paths if p.suffix not in {".md", ".csv"})
    assert check(named) > 0 or folder == "codec_frames"


def test_no_folder_is_forgotten(shared_data: Path) -> None:
    assert {p.name for p in shared_data.iterdir() if p.is_dir()} == {*FOLDERS, "archives"}


@pytest.mark.parametrize("archive", range(4))
def test_archives(shared_data: Path, archive: int) -> None:
    path = sorted((shared_data / "archives").glob("*.tar.xz"))[archive]
    step = 1 if os.environ.get("HILUM_TEST_ALL") else 20

    def members() -> Iterator[tuple[str, bytes]]:
        with tarfile.open(path) as tar:
            for i, member in enumerate(m for m in tar if m.isfile()):
                if i % step == 0:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    yield member.name, stream.read()

    assert check(members()) > 0


def test_every_exception_is_documented() -> None:
    text = DOCUMENT.read_text()
    for name, section in EXCEPTIONS.items():
        assert any(name in line and section in line for line in text.splitlines()), name


@pytest.mark.parametrize("folder", ["charset", "hostile", "sr"])
def test_cut_anywhere(shared_data: Path, folder: str) -> None:
    for path in sorted(p for p in (shared_data / folder).rglob("*") if p.is_file() and p.stat().st_size < 30000):
        data = path.read_bytes()
        for percent in range(0, 100, 2):
            try:
                assert isinstance(json.loads(dataset_json(data[: len(data) * percent // 100])), dict)
            except DataError:
                continue
