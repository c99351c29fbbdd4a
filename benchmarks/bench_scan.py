"""Scan of objects in memory, against pydicom's ``dcmread(stop_before_pixels=True)``; one thread, no hashing.

Traps: pydicom reads lazily and converts nothing here, while a scan gives keys, attribute lists in UTF-8, pixel
description and frame table, and walks over the fragments of encapsulated pixel data. Both get whole objects out of
memory, so that neither ``read`` nor the page cache is measured. Small instances have UIDs and names of their own. Two
sets:

- the real files beside the repository (``HILUM_TEST_DATA``, skipped where absent), to be scanned 20 times as fast as
  pydicom reads them;
- 64x64 instances of ``data.py``, to be scanned at 200 000/s.
"""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks import data as synthetic
from pydicom import dcmread
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.errors import HilumError

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SMALL = 2000
REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def small() -> list[bytes]:
    """64x64 instances of 16 bits, 9 kB each."""
    pixels = (1000 + 60 * synthetic.rng(5, 0).standard_normal((64, 64))).clip(0, 4095).astype(np.uint16)
    return [synthetic.instance_bytes(number, 0, 0, pixels) for number in range(SMALL)]


@pytest.fixture(scope="module")
def real() -> list[bytes]:
    """Every real file that may be stored and is in no archive."""
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    with (folder / "MANIFEST.csv").open(newline="") as stream:
        paths = [row["path"] for row in csv.DictReader(stream) if "!" not in row["path"]]
    objects = [(folder / path).read_bytes() for path in paths if not path.endswith(".xz")]
    return [data for data in objects if is_storable(data)]


def is_storable(data: bytes) -> bool:
    try:
        _core.scan(data, False)
    except HilumError:
        return False
    return True


def scan_all(objects: list[bytes]) -> int:
    scan = _core.scan
    for data in objects:
        scan(data, False)
    return len(objects)


def pydicom_all(objects: list[bytes]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in objects:
            dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    return len(objects)


@pytest.mark.gate
@pytest.mark.benchmark(group="scan of 2000 instances of 64x64")
def test_small(benchmark: BenchmarkFixture, small: list[bytes]) -> None:
    assert benchmark(scan_all, small) == SMALL


@pytest.mark.informational
@pytest.mark.benchmark(group="scan of 2000 instances of 64x64")
def test_small_by_pydicom(benchmark: BenchmarkFixture, small: list[bytes]) -> None:
    assert benchmark.pedantic(pydicom_all, (small,), rounds=2, warmup_rounds=0) == SMALL


@pytest.mark.gate
@pytest.mark.benchmark(group="scan of every real file")
def test_real(benchmark: BenchmarkFixture, real: list[bytes]) -> None:
    assert benchmark(scan_all, real) > 500


@pytest.mark.informational
@pytest.mark.benchmark(group="scan of every real file")
def test_real_by_pydicom(benchmark: BenchmarkFixture, real: list[bytes]) -> None:
    assert benchmark.pedantic(pydicom_all, (real,), rounds=2, warmup_rounds=0) > 500


@pytest.mark.informational
@pytest.mark.benchmark(group="checksums of 16 MiB")
@pytest.mark.parametrize("checksum", [_core.crc32c, _core.sha256], ids=["crc32c", "sha256"])
def test_checksums(benchmark: BenchmarkFixture, checksum: object) -> None:
    block = synthetic.rng(7).bytes(16 << 20)
    assert callable(checksum)
    benchmark(checksum, block)
