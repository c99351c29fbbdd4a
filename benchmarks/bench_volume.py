"""Volumes: bricks of a 500-slice CT in packs, JPEG lossless, and regions read out of them, beside peers.

`python -m pytest benchmarks/bench_volume.py --benchmark-only`. Peers: SimpleITK (GDCM) reads the same slices into
memory; tensorstore and zarr-python read the same regions out of the very bricks that hilum has written. What they give
is compared with ours. Run as plain tests (``--benchmark-disable``) the series has 40 slices.

Traps: the page cache is warm, so nothing here waits for a disk; bricks go to the page cache, not to the disk; an
all-air volume would have no bricks at all, so the phantom has noise everywhere; tensorstore is given no cache, as ours
has none beside the page cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchmarks import data

import hilum
from hilum.archive.stored_object import object_in_bytes
from hilum.archive.transcode import transcode_object
from hilum.volumes.view import read_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
REGIONS = {
    "brick": ((64, 128, 160), (32, 32, 32)),
    "64³ anywhere": ((70, 133, 171), (64, 64, 64)),
    "coronal plane": ((0, 250, 0), (500, 1, 512)),
    "axial plane": ((250, 0, 0), (1, 512, 512)),
    "eighth": ((100, 100, 100), (250, 256, 256)),
}


@pytest.fixture(scope="module")
def slices(request: pytest.FixtureRequest) -> int:
    return 40 if request.config.getoption("benchmark_disable", default=False) else 500


@pytest.fixture(scope="module")
def files(slices: int, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("ct")
    paths = []
    for number in range(slices):
        plain = data.instance_bytes(1, 0, number, data.ct_slice(1, number / slices))
        path = folder / f"{number:04d}.dcm"
        path.write_bytes(b"".join(transcode_object(object_in_bytes(plain), JPEG_LOSSLESS).pieces))
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def archive(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path_factory.mktemp("volume") / "archive") as opened:
        opened.import_paths([files[0].parent])
        yield opened


def volume_of(archive: hilum.Archive) -> hilum.Volume:
    return archive.studies()[0].series[0].volume()


@pytest.mark.informational
def test_cold_build(benchmark: BenchmarkFixture, archive: hilum.Archive) -> None:
    """Headers, decoding, bricks, pyramid, published."""

    def forget() -> None:
        archive.volumes.remove(volume_of(archive).key)
        archive.volumes.forget()

    view = benchmark.pedantic(lambda: volume_of(archive).view(), setup=forget, rounds=5)
    benchmark.extra_info["voxels"] = int(np.prod(view.layout[0]))


@pytest.mark.informational
def test_assembly(benchmark: BenchmarkFixture, archive: hilum.Archive) -> None:
    """Headers out of packs and the geometry of all slices."""
    volume = benchmark.pedantic(lambda: volume_of(archive), setup=archive.volumes.forget, rounds=10)
    assert volume.shape[1:] == (512, 512)


@pytest.mark.informational
def test_frames_alone(benchmark: BenchmarkFixture, archive: hilum.Archive) -> None:
    """The same frames decoded into one array: what no way to bricks can do without."""
    series = archive.studies()[0].series[0]
    out = series.frames.stack()
    benchmark.pedantic(lambda: series.frames.stack(out), rounds=5)


@pytest.mark.informational
def test_simpleitk_reads_the_series(benchmark: BenchmarkFixture, archive: hilum.Archive, files: list[Path]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    names = [str(path) for path in reversed(files)]  # from low to high
    image = benchmark.pedantic(lambda: sitk.ReadImage(names), rounds=2)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(image)[::100], volume_of(archive).values()[::100])


def reader(archive: hilum.Archive, peer: str) -> Callable[[Any, Any], np.ndarray]:
    volume = volume_of(archive)
    if peer == "hilum":
        view = volume.view()
        return lambda first, size: read_region(view, first, size)
    if peer == "zarr-python":
        array = volume.zarr()
        return lambda first, size: array[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))]
    tensorstore = pytest.importorskip("tensorstore")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{volume.path}/0/"}}
    store = tensorstore.open(spec, open=True).result()
    return lambda first, size: store[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))].read().result()


@pytest.mark.informational
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("peer", ["hilum", "tensorstore", "zarr-python"])
def test_region(benchmark: BenchmarkFixture, archive: hilum.Archive, peer: str, region: str) -> None:
    read = reader(archive, peer)
    first, size = REGIONS[region]
    depth = volume_of(archive).shape[0]
    if first[0] + size[0] > depth:
        first, size = (0, *first[1:]), (min(size[0], depth), *size[1:])
    np.testing.assert_array_equal(read(first, size), reader(archive, "hilum")(first, size))
    benchmark.group = region
    benchmark.pedantic(read, (first, size), rounds=20 if peer != "zarr-python" else 3, warmup_rounds=1)
