"""Packs: durable appends against the ways in which others make files durable; verified reads; verification.

Traps: the page cache is warm in all reads; payloads are random, so nothing on the way can compress them; the files of
the peers go to the same file system. SHA-256 is given, as it is by ``scan()`` at ingest; ``extra_info`` has the rates.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hilum.storage.base import NewRecord, PackSettings
from hilum.storage.packs import PackStore
from hilum.storage.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hilum.types import Location

CT, SMALL = 512 * 512 * 2 + 1200, 64 * 64 * 2 + 1200
CASES = {"ct": (CT, 200, 32), "small": (SMALL, 4000, 500)}
"""Bytes of an object, how many, and how many of them in one group."""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[list[tuple[bytes, bytes]], int]:
    """Objects with their SHA-256, and the size of a group."""
    size, count, group = CASES[request.param]
    payloads = [os.urandom(size) for _ in range(count)]
    return [(p, hashlib.sha256(p).digest()) for p in payloads], group


def measure(benchmark: Any, action: Callable[[Path], object], folder: Path, objects: list[tuple[bytes, bytes]]) -> None:
    """Run `action` in a new folder each round, with nothing left to be written from before."""
    numbers = iter(range(1000))

    def setup() -> tuple[tuple[Path], dict[str, object]]:
        shutil.rmtree(folder / "now", ignore_errors=True)
        place = folder / "now" / str(next(numbers))
        place.mkdir(parents=True)
        os.sync()
        return (place,), {}

    benchmark.pedantic(action, setup=setup, rounds=5)
    if benchmark.stats:
        median = benchmark.stats.stats.median
        benchmark.extra_info["objects/s"] = round(len(objects) / median)
        benchmark.extra_info["MB/s"] = round(sum(len(p) for p, _ in objects) / median / 1e6)


def open_store(root: Path) -> PackStore:
    return PackStore.open(root, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0))


@pytest.mark.informational
def test_append_in_groups(benchmark: Any, tmp_path: Path, case: tuple[list[tuple[bytes, bytes]], int]) -> None:
    objects, group = case

    def append(root: Path) -> None:
        with open_store(root) as store:
            for at in range(0, len(objects), group):
                store.append([NewRecord(1, [p], h) for p, h in objects[at : at + group]])

    measure(benchmark, append, tmp_path, objects)


@pytest.mark.informational
def test_append_one_by_one(benchmark: Any, tmp_path: Path, case: tuple[list[tuple[bytes, bytes]], int]) -> None:
    objects, _ = case

    def append(root: Path) -> None:
        with open_store(root) as store:
            for payload, digest in objects[:200]:
                store.append([NewRecord(1, [payload], digest)])

    measure(benchmark, append, tmp_path, objects[:200])


def write_durably(path: Path, payload: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, payload)
    os.fdatasync(fd)
    os.close(fd)


@pytest.mark.informational
def test_peer_fdatasync_of_each_file_by_4_threads(
    benchmark: Any, tmp_path: Path, case: tuple[list[tuple[bytes, bytes]], int]
) -> None:
    objects, _ = case

    def write(root: Path) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: write_durably(root / str(n), objects[n][0]), range(len(objects))))

    measure(benchmark, write, tmp_path, objects)


@pytest.mark.informational
def test_peer_cp_and_sync(benchmark: Any, tmp_path: Path, case: tuple[list[tuple[bytes, bytes]], int]) -> None:
    objects, _ = case
    source = tmp_path / "source"
    source.mkdir()
    for number, (payload, _) in enumerate(objects):
        (source / str(number)).write_bytes(payload)

    def copy(root: Path) -> None:
        subprocess.run(["cp", "-r", source, root / "copy"], check=True)
        os.sync()

    measure(benchmark, copy, tmp_path, objects)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[PackStore, list[Location]]]:
    """A store of 200 CT slices and one object of 64 MiB."""
    with open_store(tmp_path) as store:
        locations = store.append([NewRecord(1, [os.urandom(CT)]) for _ in range(200)])
        locations += store.append([NewRecord(1, [os.urandom(64 << 20)])])
        yield store, locations


@pytest.mark.gate
def test_read_a_slice(benchmark: Any, filled: tuple[PackStore, list[Location]]) -> None:
    store, locations = filled
    benchmark(lambda: store.read(locations[7]))


@pytest.mark.gate
def test_read_a_frame_of_a_large_object(benchmark: Any, filled: tuple[PackStore, list[Location]]) -> None:
    store, locations = filled
    benchmark(lambda: store.read(locations[-1], 33_333_333, 512 * 512 * 2))


@pytest.mark.gate
def test_walk_the_headers(benchmark: Any, filled: tuple[PackStore, list[Location]]) -> None:
    store, locations = filled
    assert len(benchmark(lambda: list(store.records(1)))) == len(locations)


@pytest.mark.gate
def test_verify(benchmark: Any, filled: tuple[PackStore, list[Location]]) -> None:
    store, _ = filled
    report = benchmark.pedantic(lambda: verify(store), rounds=3)
    benchmark.extra_info["MB/s"] = round(report.bytes_per_second / 1e6)
