"""Every real file cut at every hundredth of its length: no success that lacks bytes of an element (reliability P42)."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from tests.support.shared_objects import all_rows, read_object

from hilum.dicom import scan as scanning
from hilum.dicom.vr import LONG_LENGTH
from hilum.errors import DataError, HilumError

if TYPE_CHECKING:
    from pathlib import Path

TRUNCATED = 1
PARTS = 100


def element_starts(data: bytes) -> set[int]:
    """Offsets at which pydicom sees elements of the top level start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    starts = set()
    for tag in set(dataset.keys()):
        element = dataset.get_item(tag)
        assert element is not None
        if isinstance(element, RawDataElement):
            starts.add(element.value_tell - (12 if not element.is_implicit_VR and element.VR in LONG_LENGTH else 8))
        else:
            tell = element.file_tell
            assert tell is not None
            starts |= {tell - 8, tell - 12}
    return starts


def cuts(size: int) -> list[int]:
    return sorted({size * part // PARTS for part in range(PARTS)} | {size - 1})


def storable(folder: Path) -> list[str]:
    paths = [row["path"] for row in all_rows(folder) if "!" not in row["path"] and "tar.xz" not in row["path"]]
    found = []
    for path in paths:
        try:
            scanning.scan(read_object(folder, path), hashes=False)
        except HilumError:
            continue
        found.append(path)
    return found


def test_cut_files_are_refused(shared_data: Path) -> None:
    paths = storable(shared_data)
    assert len(paths) > 500
    accepted = refused = 0
    for path in paths:
        data = read_object(shared_data, path)
        starts: set[int] | None = None
        for length in cuts(len(data)):
            part = memoryview(data)[:length]
            try:
                scanning.scan(part, hashes=False)
            except DataError:
                refused += 1
                continue
            accepted += 1
            if starts is None:
                starts = element_starts(data)
            # Padding behind the last element may be cut, too: it is part of none.
            assert length in starts or not any(data[length:]), (path, length)
    assert refused > 50000
    assert accepted < 500


def test_cut_inside_pixel_data_says_truncated(shared_data: Path) -> None:
    paths = ["ct/single/693_UNCI.dcm", "ct/single/693_J2KR.dcm", "ct/single/01.dcm"]
    for path in paths:
        data = read_object(shared_data, path)
        described = scanning.scan(data, hashes=False)
        for length in range(described.header_length + 1, len(data), max(1, len(data) // 97)):
            with pytest.raises(DataError) as caught:
                scanning.scan(memoryview(data)[:length])
            assert caught.value.code == TRUNCATED
