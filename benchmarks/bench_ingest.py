"""Import of folders against copying them: ``cp -r`` + ``sync`` in the same run, on the same file system.

Traps: the page cache holds the source for both; what ``cp`` leaves in the cache is flushed by the ``sync`` that is
timed, as hilum's is by its own flushes; every round starts with nothing left to write. The slices compress like CT,
not like zeros. Set ``HILUM_BENCH_INSTANCES`` to scale (default 2000 CT slices of 525 kB, 20000 images of 9 kB).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hilum
from hilum.config import Settings, StorageSettings

sys.path.insert(0, str(Path(__file__).parent))
import data

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = Settings(storage=StorageSettings(reserve_bytes=0))
KINDS: dict[str, tuple[Callable[..., list[Path]], int]] = {
    "ct": (data.make_ct, 2000),
    "small": (data.make_small, 20_000),
}


@pytest.fixture(scope="module", params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Folder of synthetic images, and how many there are."""
    make, count = KINDS[request.param]
    if request.config.getoption("benchmark_disable", default=False):
        count = 40
    count = int(os.environ.get("HILUM_BENCH_INSTANCES", count))
    folder = tmp_path_factory.mktemp(request.param)
    return folder, len(make(folder, count))


def measure(benchmark: Any, action: Callable[[Path], object], place: Path, source: tuple[Path, int]) -> None:
    """Run `action` with a new folder each round; report instances and bytes a second."""
    folder, count = source

    def setup() -> tuple[tuple[Path], dict[str, object]]:
        shutil.rmtree(place / "now", ignore_errors=True)
        (place / "now").mkdir()
        os.sync()
        return (place / "now",), {}

    benchmark.pedantic(action, setup=setup, rounds=3)
    if benchmark.stats:
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        benchmark.extra_info["instances/s"] = round(count / benchmark.stats.stats.median)
        benchmark.extra_info["MB/s"] = round(size / benchmark.stats.stats.median / 1e6)


@pytest.mark.gate
@pytest.mark.benchmark(group="import")
def test_import_folder(benchmark: Any, source: tuple[Path, int], tmp_path: Path) -> None:
    """Durable, hashed and indexed; at least 80 % of ``cp -r`` + ``sync`` for CT, 4000/s for small images."""
    folder, count = source

    def run(place: Path) -> None:
        with hilum.open(place / "archive", settings=SETTINGS) as archive:
            report = archive.import_paths([folder])
        assert report.counts == {"stored": count}

    measure(benchmark, run, tmp_path, source)


@pytest.mark.informational
@pytest.mark.benchmark(group="import")
def test_copy_folder(benchmark: Any, source: tuple[Path, int], tmp_path: Path) -> None:
    """The peer: files only, no index, no hash, durable at the end."""
    folder, _ = source

    def run(place: Path) -> None:
        subprocess.run(["cp", "-r", folder, place / "copy"], check=True)
        subprocess.run(["sync", "-f", place], check=True)

    measure(benchmark, run, tmp_path, source)


@pytest.mark.informational
@pytest.mark.benchmark(group="import again")
def test_resume(benchmark: Any, source: tuple[Path, int], tmp_path: Path) -> None:
    """A second run over what is done: the ledger is read, nothing else."""
    folder, count = source
    with hilum.open(tmp_path / "archive", settings=SETTINGS) as archive:
        archive.import_paths([folder])
        report = benchmark.pedantic(archive.import_paths, args=([folder],), rounds=3)
    assert report.counts == {"skipped": count}


@pytest.mark.informational
@pytest.mark.benchmark(group="store")
@pytest.mark.parametrize("senders", [1, 4])
def test_store_one_by_one(benchmark: Any, senders: int, tmp_path: Path) -> None:
    """Single CT images as C-STORE and STOW-RS send them: each waits until it is durable and findable."""
    from concurrent.futures import ThreadPoolExecutor

    objects = [data.instance_bytes(1, 0, i, data.ct_slice(1, i / 100)) for i in range(100)]

    def run(place: Path) -> None:
        with hilum.open(place / "archive", settings=SETTINGS) as archive, ThreadPoolExecutor(senders) as pool:
            list(pool.map(archive.store, objects))

    numbers = iter(range(1000))

    def setup() -> tuple[tuple[Path], dict[str, object]]:
        place = tmp_path / str(next(numbers))
        place.mkdir()
        os.sync()
        return (place,), {}

    benchmark.pedantic(run, setup=setup, rounds=3)
    if benchmark.stats:
        benchmark.extra_info["instances/s"] = round(len(objects) / benchmark.stats.stats.median)
