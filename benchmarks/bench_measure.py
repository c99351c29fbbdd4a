"""Numbers of regions and surfaces of a CT, beside SimpleITK, SciPy, VTK and scikit-image.

`python -m pytest benchmarks/bench_measure.py --benchmark-only`. The volume is a phantom of 512x512 pixels (200 slices)
with noise; peers get it as an array in memory, `hilum` reads its bricks. All use one thread (`ITK`, `VTK` and `hilum`
are told so) except where the name says otherwise. What comes is compared: counts exactly, means and deviations to 1e-6,
vertices and triangles of flying edges exactly.

Traps: ITK's and SciPy's statistics want a label image, which is made outside of the measured time, as a client would
have it; `hilum` is given the shape and finds its voxels itself. VTK is given the array with one layer of air around it,
made outside of the measured time, so that both surfaces are closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchmarks import data

from hilum import _core
from hilum.volumes.masks import Grid
from hilum.volumes.regions import Sphere, core_region
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    import numpy.typing as npt
    from pytest_benchmark.fixture import BenchmarkFixture

THRESHOLD = 200 + 1024
SPHERE = Sphere((256.0, 256.0, 100.0), 80.0)


@pytest.fixture(scope="module")
def voxels(request: pytest.FixtureRequest) -> npt.NDArray[Any]:
    count = 24 if request.config.getoption("benchmark_disable", default=False) else 200
    return np.stack([data.ct_slice(1, k / count) for k in range(count)])


@pytest.fixture(scope="module")
def labels(voxels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    k, j, i = np.ogrid[: voxels.shape[0], : voxels.shape[1], : voxels.shape[2]]
    x, y, z = SPHERE.centre
    return ((i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2 <= SPHERE.radius**2 + 1e-9).astype(np.uint8)


@pytest.mark.informational
@pytest.mark.parametrize("peer", ["hilum", "SimpleITK", "NumPy"])
def test_statistics_of_a_sphere(
    benchmark: BenchmarkFixture, voxels: npt.NDArray[Any], labels: npt.NDArray[np.uint8], peer: str
) -> None:
    chosen = voxels[labels > 0].astype(np.float64)
    benchmark.group = "sphere of 80 mm"
    if peer == "hilum":
        view = from_array(voxels)
        region = core_region(SPHERE, Grid((voxels.shape[0], 512, 512), np.eye(4)))
        found = benchmark(lambda: _core.measure(view, region, threads=1))
        count, mean, sd = found[0], found[4], np.sqrt(found[5] / found[0])
    elif peer == "NumPy":
        mask = labels > 0
        inside = benchmark(lambda: (lambda v: (len(v), v.mean(), v.std(), v.min(), v.max()))(voxels[mask]))
        count, mean, sd = inside[:3]
    else:
        sitk = pytest.importorskip("SimpleITK")
        image, mask = sitk.GetImageFromArray(voxels), sitk.GetImageFromArray(labels)
        measure = sitk.LabelStatisticsImageFilter()
        measure.SetNumberOfThreads(1)
        benchmark(lambda: measure.Execute(image, mask))
        count, mean = measure.GetCount(1), measure.GetMean(1)
        sd = measure.GetSigma(1) * np.sqrt((count - 1) / count)
    assert count == len(chosen)
    np.testing.assert_allclose([mean, sd], [chosen.mean(), chosen.std()], rtol=1e-6)


def vtk_image(vtk: Any, voxels: npt.NDArray[Any]) -> Any:
    from vtk.util.numpy_support import numpy_to_vtk

    padded = np.pad(voxels, 1)
    image = vtk.vtkImageData()
    image.SetDimensions(padded.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=1))
    return image


def flying_edges(vtk: Any, image: Any, *, normals: bool) -> Any:
    """VTK's surface of an image at the threshold, not made yet."""
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, THRESHOLD)
    edges.SetComputeNormals(normals)
    edges.ComputeGradientsOff()
    return edges


@pytest.mark.informational
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", ["hilum", "VTK flying edges", "scikit-image"])
def test_isosurface(benchmark: BenchmarkFixture, voxels: npt.NDArray[Any], peer: str) -> None:
    view = from_array(voxels)
    ours = _core.isosurface(view, THRESHOLD, threads=1)
    benchmark.group = "isosurface"
    if peer == "hilum":
        benchmark.pedantic(lambda: _core.isosurface(view, THRESHOLD, threads=1), rounds=5, warmup_rounds=1)
    elif peer == "scikit-image":
        measure = pytest.importorskip("skimage.measure")
        padded = np.pad(voxels, 1)
        benchmark.pedantic(lambda: measure.marching_cubes(padded, THRESHOLD), rounds=2)
    else:
        vtk = pytest.importorskip("vtk")
        vtk.vtkSMPTools.Initialize(1)
        image = vtk_image(vtk, voxels)

        def run() -> Any:
            edges = flying_edges(vtk, image, normals=True)
            edges.Update()
            return edges.GetOutput()

        found = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
        assert found.GetNumberOfPoints() == len(ours[0]) // 12
        assert found.GetNumberOfPolys() == len(ours[2]) // 12
    benchmark.extra_info["triangles"] = len(ours[2]) // 12


@pytest.mark.informational
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", ["hilum", "VTK quadric decimation"])
def test_decimation_to_a_tenth(benchmark: BenchmarkFixture, voxels: npt.NDArray[Any], peer: str) -> None:
    """Of the surface that is made along with it; `hilum` has no decimation alone, so the surface counts for both."""
    view = from_array(voxels)
    whole = len(_core.isosurface(view, THRESHOLD)[2]) // 12
    benchmark.group = "isosurface and decimation to a tenth"
    if peer == "hilum":
        made = benchmark.pedantic(
            lambda: _core.isosurface(view, THRESHOLD, faces=whole // 10, threads=1), rounds=3, warmup_rounds=0
        )
        assert len(made[2]) // 12 <= whole // 8  # noise leaves small closed pieces, which stay
        return
    vtk = pytest.importorskip("vtk")
    vtk.vtkSMPTools.Initialize(1)
    image = vtk_image(vtk, voxels)

    def run() -> Any:
        edges = flying_edges(vtk, image, normals=False)
        less = vtk.vtkQuadricDecimation()
        less.SetInputConnection(edges.GetOutputPort())
        less.SetTargetReduction(0.9)
        less.Update()
        return less.GetOutput()

    found = benchmark.pedantic(run, rounds=1)
    assert found.GetNumberOfPolys() <= whole // 10 * 1.02
