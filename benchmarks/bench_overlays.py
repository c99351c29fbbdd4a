"""Fusion of a plane beside SimpleITK with NumPy, masks out of a segmentation beside highdicom.

`python -m pytest benchmarks/bench_overlays.py --benchmark-only`. Run as plain tests (``--benchmark-disable``) the
volumes are small.

Traps: one thread each; the peers get arrays that are in memory, hilum reads the segmentation out of its archive;
highdicom is given its parsed object again for each run, as it remembers what it has decoded.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hilum
from hilum.render import Renderer, plane
from hilum.render.fusion import ValueLayer, fuse
from hilum.render.palettes import palette_table
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.informational
CT = np.diag([0.7, 0.7, 1.0, 1.0])
PET = np.diag([4.0, 4.0, 3.3, 1.0])


def small(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("benchmark_disable", default=False))


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """A CT and a PET of the same space."""
    n = 64 if small(request) else 384
    rng = np.random.default_rng(1)
    ct = rng.integers(-200, 300, (n, n, n), np.int16)
    pet = rng.random((n // 3, n // 6, n // 6), np.float32) * 10
    return ct, pet


@pytest.mark.benchmark(group="fusion: oblique 512 x 512, PET over CT")
def test_fusion_hilum(benchmark: BenchmarkFixture, pair: tuple[np.ndarray, np.ndarray]) -> None:
    base = Renderer(from_array(pair[0], affine=CT), threads=1)
    layer = ValueLayer(Renderer(from_array(pair[1], affine=PET), threads=1), "hot", 0, 10)
    where = plane(base.view, (0.3, 0.4, 0.8), shape=(512, 512))
    image = benchmark(lambda: fuse(base.mpr(where).window(40, 400), where, [layer]))
    assert image.shape == (512, 512, 3)
    assert image.std() > 5


@pytest.mark.benchmark(group="fusion: oblique 512 x 512, PET over CT")
def test_fusion_simpleitk(benchmark: BenchmarkFixture, pair: tuple[np.ndarray, np.ndarray]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    sources = []
    for array, affine in zip(pair, (CT, PET), strict=True):
        source = sitk.GetImageFromArray(array)
        source.SetSpacing(np.diag(affine)[:3].tolist())
        sources.append(source)
    where = plane(from_array(pair[0], affine=CT), (0.3, 0.4, 0.8), shape=(512, 512))
    target = sitk.Image(512, 512, 1, sitk.sitkFloat32)
    target.SetOrigin(where.origin)
    target.SetSpacing((*where.spacing[::-1], 1.0))
    target.SetDirection(np.stack([where.row, where.column, where.normal], 1).ravel().tolist())
    table = palette_table("hot")

    def run() -> np.ndarray:
        ct, pet = (
            sitk.GetArrayFromImage(
                sitk.Resample(one, target, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
            )[0]
            for one in sources
        )
        grey = np.clip((ct - 40) / 400 * 255 + 127.5, 0, 255)[:, :, None]
        colour = table[np.clip(pet / 10 * 1023, 0, 1023).astype(np.intp)]
        return (grey + (colour[..., :3] - grey) * colour[..., 3:] * 0.5).astype(np.uint8)

    assert benchmark(run).shape == (512, 512, 3)


@pytest.fixture(scope="module")
def segmentation(request: pytest.FixtureRequest) -> tuple[bytes, int]:
    """A binary segmentation of three segments by highdicom, and how many slices it has."""
    hd = pytest.importorskip("highdicom")
    pydicom = pytest.importorskip("pydicom")
    from volume_objects import make_stack

    n, side = (6, 32) if small(request) else (150, 256)
    sources = [
        pydicom.dcmread(io.BytesIO(d)) for d in make_stack(np.zeros((n, side, side), np.int16), (0, 0, 0), (0, 0, 2))
    ]
    for dataset in sources:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID"):
            setattr(dataset, keyword, "")
        dataset.ReferringPhysicianName, dataset.SliceThickness = "", "2"
    code = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    segments = [hd.seg.SegmentDescription(i, f"{i}", code, code, "MANUAL") for i in (1, 2, 3)]
    labels = np.random.default_rng(2).integers(0, 4, (n, side, side)).astype(np.uint8)
    made = hd.seg.Segmentation(
        sources, labels, "BINARY", segments, hd.UID(), 1, hd.UID(), 1, "x", "x", "1", "1", omit_empty_frames=False
    )
    stream = io.BytesIO()
    made.save_as(stream)
    return stream.getvalue(), n


@pytest.mark.benchmark(group="segmentation: three masks")
def test_masks_hilum(benchmark: BenchmarkFixture, segmentation: tuple[bytes, int], tmp_path: Path) -> None:
    with hilum.open(tmp_path / "archive") as archive:
        instance = archive.instance(archive.store(segmentation[0]).sop_instance_uid)

        def run() -> list[Any]:
            archive.volumes.forget()
            return instance.segmentation().masks()

        masks = benchmark(run)
    assert [mask.voxels.shape[0] for mask in masks] == [segmentation[1]] * 3


@pytest.mark.benchmark(group="segmentation: three masks")
def test_masks_highdicom(benchmark: BenchmarkFixture, segmentation: tuple[bytes, int]) -> None:
    hd = pytest.importorskip("highdicom")
    found = benchmark(lambda: hd.seg.segread(io.BytesIO(segmentation[0])).get_volume(combine_segments=False))
    assert found.array.shape[0] == segmentation[1]
