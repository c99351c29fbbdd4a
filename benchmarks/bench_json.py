"""DICOM JSON of the metadata of a CT series, against pydicom; headers in memory, one thread.

Traps: pydicom reads lazily, so ``dcmread`` alone converts nothing; its JSON is a ``dict`` that has to be dumped too.
Ours gets the bytes up to the pixel data, as the archive reads them from a pack.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from hilum import _core
from hilum.dicom.charset import decode_text
from hilum.dicom.json import dataset_json

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

INSTANCES = 500
SERIES = Path(__file__).parent.parent / "tests" / "data" / "demo" / "ct-chest.zip"
URI = "http://127.0.0.1:8080/dicom-web/studies/1.2/series/1.3/instances/1.4/bulkdata"


@pytest.fixture(scope="module")
def headers() -> list[tuple[bytes, int]]:
    """500 headers of real CT instances with the 12 bytes of the pixel data element, and their header lengths."""
    found = []
    with zipfile.ZipFile(SERIES) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if data[128:132] == b"DICM":
                length = _core.scan(data).header_length
                found.append((data[: length + 12], length))
    return [found[i % len(found)] for i in range(INSTANCES)]


@pytest.mark.gate
@pytest.mark.benchmark(group="metadata of 500 CT instances")
def test_hilum(benchmark: BenchmarkFixture, headers: list[tuple[bytes, int]]) -> None:
    texts = benchmark(lambda: [dataset_json(data, length, bulk_data_uri=URI) for data, length in headers])
    assert all(json.loads(text)["7FE00010"]["BulkDataURI"] == f"{URI}/7FE00010" for text in texts)


@pytest.mark.informational
@pytest.mark.benchmark(group="metadata of 500 CT instances")
def test_pydicom(benchmark: BenchmarkFixture, headers: list[tuple[bytes, int]]) -> None:
    def run() -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [dcmread(io.BytesIO(data[:length])).to_json() for data, length in headers]

    assert len(benchmark.pedantic(run, rounds=2, warmup_rounds=0)) == INSTANCES


@pytest.mark.informational
@pytest.mark.benchmark(group="10 000 person names")
@pytest.mark.parametrize("terms", ["ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87", "GB18030"])
def test_person_names(benchmark: BenchmarkFixture, terms: str) -> None:
    raw = {
        "ISO_IR 100": b"Buc^J\xe9r\xf4me",
        "ISO_IR 192": "Wang^XiaoDong=王^小东".encode(),
        "\\ISO 2022 IR 87": b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        "GB18030": "Wang^XiaoDong=王^小东".encode("gb18030"),
    }[terms]
    assert benchmark(lambda: [decode_text(raw, terms, "person_name") for _ in range(10_000)])[0][1]
