"""Planes, slabs, projections and volume rendering of a 512³ CT, beside VTK on the same pixels.

`python -m pytest benchmarks/bench_render3d.py --benchmark-only`, or as a program for ratios of processor time. VTK
(`pip install vtk`, software GL) is left out where it is not. `HILUM_RENDER_CT` names a 512³ int16 `.npy` (z, y, x) with
its spacing beside it in a `.json`; else a phantom is used. Run as plain tests (``--benchmark-disable``) it has 64³
voxels.

Traps: a volume that is mostly one value is skipped, so the phantom has noise; one thread each; VTK remembers a picture
that has not changed, so its filter is told that it has; the volume does not fit into the caches of a shared machine, so
planes are as fast as its memory; processor time, as the machine may be shared.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hilum.render import Preset, Renderer, Shading, TransferFunction, camera, plane
from hilum.render.labels import SegmentDisplay, label_maps
from hilum.volumes.masks import Mask, Segment
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from hilum.render import Camera, Plane

CTA = TransferFunction(
    ((-1024, 0, 0, 0), (120, 0.55, 0.12, 0.08), (250, 0.85, 0.25, 0.15), (450, 0.95, 0.80, 0.60), (900, 1, 0.97, 0.92)),
    ((-1024, 0), (130, 0), (220, 0.12), (400, 0.45), (900, 0.9), (3071, 1)),
)
SHADED = Preset(CTA, Shading())
STEP = 0.7
SLAB_SAMPLES = 30
LOOK = (-0.5736, 0.8192, 0.0)
OBLIQUE = (0.643, -0.383, 0.663)


class Ct:
    """The volume, and what renders it."""

    def __init__(self, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
        self.array = array
        self.spacing = spacing
        view = from_array(array, affine=np.diag([*spacing[::-1], 1.0]), fill=-1024)
        self.renderer = Renderer(view, threads=1)
        size = 512 if array.shape[0] == 512 else 64
        self.oblique: Plane = plane(view, OBLIQUE, shape=(size, size), spacing=STEP)
        self.camera: Camera = camera(view, LOOK, shape=(size, size), spacing=STEP, step=STEP)


def phantom(n: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    found = np.full((n, n, n), -1000, np.float32)
    for limit, value in (((x / 0.9) ** 2 + (y / 0.65) ** 2 < 1, 45), (x**2 + (y - 0.4) ** 2 < 0.012, 450)):
        found[np.broadcast_to(limit, found.shape)] = value
    for _ in range(60):
        point, way = rng.uniform(-0.6, 0.6, 3), rng.normal(size=3)
        way /= np.linalg.norm(way)
        q = [z - point[0], y - point[1], x - point[2]]
        along = q[0] * way[0] + q[1] * way[1] + q[2] * way[2]
        found[q[0] ** 2 + q[1] ** 2 + q[2] ** 2 - along**2 < 0.0006] = 280
    found += rng.standard_normal(found.shape, np.float32) * 14
    return np.rint(found).astype(np.int16)


@pytest.fixture(scope="module")
def ct(request: pytest.FixtureRequest) -> Ct:
    if request.config.getoption("benchmark_disable", default=False):
        return Ct(phantom(64), (0.6, 0.7, 0.7))
    named = os.environ.get("HILUM_RENDER_CT")
    if named:
        spacing = json.loads(Path(named).with_suffix(".json").read_text())["spacing_zyx_mm"]
        return Ct(np.load(named), tuple(spacing))
    return Ct(phantom(512), (0.6, 0.7, 0.7))


def vtk_image(ct: Ct) -> Any:
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    vtk = pytest.importorskip("vtk", reason="VTK is the peer")
    from vtk.util import numpy_support

    image = vtk.vtkImageData()
    image.SetDimensions(*ct.array.shape[::-1])
    image.SetSpacing(*ct.spacing[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(ct.array.reshape(-1), deep=True))
    return image


def vtk_plane(ct: Ct, samples: int) -> Callable[[], object]:
    import vtk

    where = ct.oblique
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(vtk_image(ct))
    reslice.SetOutputDimensionality(2)
    reslice.SetResliceAxesDirectionCosines(*where.row, *where.column, *where.normal)
    reslice.SetResliceAxesOrigin(*where.origin)
    reslice.SetOutputSpacing(*where.spacing, STEP)
    reslice.SetOutputOrigin(0, 0, 0)
    rows, columns = where.shape
    reslice.SetOutputExtent(0, columns - 1, 0, rows - 1, 0, 0)
    reslice.SetInterpolationModeToLinear()
    reslice.SetBackgroundLevel(-1024)
    reslice.SetNumberOfThreads(1)
    if samples > 1:
        reslice.SetSlabModeToMax()
        reslice.SetSlabNumberOfSlices(samples)

    def run() -> None:
        reslice.Modified()
        reslice.Update()

    return run


def vtk_rays(ct: Ct, transfer: TransferFunction | None, shaded: bool) -> Callable[[], object]:
    import vtk

    mapper = vtk.vtkFixedPointVolumeRayCastMapper()
    mapper.SetInputData(vtk_image(ct))
    mapper.AutoAdjustSampleDistancesOff()
    mapper.LockSampleDistanceToInputSpacingOff()
    mapper.SetImageSampleDistance(1.0)
    mapper.SetSampleDistance(STEP)
    mapper.SetNumberOfThreads(1)
    colours, opacities = vtk.vtkColorTransferFunction(), vtk.vtkPiecewiseFunction()
    for point in transfer.colours if transfer else ((-200, 0, 0, 0), (600, 1, 1, 1)):
        colours.AddRGBPoint(*point)
    for pair in transfer.opacities if transfer else ((-200, 0), (600, 1)):
        opacities.AddPoint(*pair)
    if transfer is None:
        mapper.SetBlendModeToMaximumIntensity()
    look = vtk.vtkVolumeProperty()
    look.SetColor(colours)
    look.SetScalarOpacity(opacities)
    look.SetInterpolationTypeToLinear()
    look.SetShade(shaded)
    volume = vtk.vtkVolume()
    volume.SetMapper(mapper)
    volume.SetProperty(look)
    renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
    renderer.AddVolume(volume)
    window.SetOffScreenRendering(1)
    rows, columns = ct.camera.plane.shape
    window.SetSize(columns, rows)
    window.AddRenderer(renderer)
    eye = renderer.GetActiveCamera()
    eye.ParallelProjectionOn()
    eye.SetFocalPoint(*ct.camera.plane.centre)
    eye.SetPosition(*np.subtract(ct.camera.plane.centre, np.multiply(ct.camera.plane.normal, 1000)))
    eye.SetViewUp(0, 0, 1)
    eye.SetParallelScale(rows * STEP / 2)
    renderer.ResetCameraClippingRange()
    turn = [0.5]

    def run() -> None:
        turn[0] = -turn[0]
        eye.Azimuth(turn[0])
        window.Render()

    return run


def ours(ct: Ct, what: str) -> Callable[[], object]:
    shading = Shading() if what.endswith("shaded") else None
    return {
        "plane": lambda: ct.renderer.mpr(ct.oblique),
        "slab": lambda: ct.renderer.mpr(ct.oblique, thickness=STEP * (SLAB_SAMPLES - 1), step=STEP, mode="maximum"),
        "mip": lambda: ct.renderer.project(ct.camera),
        "dvr": lambda: ct.renderer.render(ct.camera, Preset(CTA, shading)),
        "dvr shaded": lambda: ct.renderer.render(ct.camera, Preset(CTA, shading)),
    }[what]


def theirs(ct: Ct, what: str) -> Callable[[], object]:
    if what in ("plane", "slab"):
        return vtk_plane(ct, 1 if what == "plane" else SLAB_SAMPLES)
    return vtk_rays(ct, None if what == "mip" else CTA, what.endswith("shaded"))


def with_segments(ct: Ct, renderer: Renderer) -> Callable[[], object]:
    """Shaded, with two segments that have an opacity of their own: a ball, and what is bright in one half."""
    affine = np.diag([*ct.spacing[::-1], 1.0])
    n = ct.array.shape[0]
    z, y, x = np.ogrid[:n, :n, :n]
    ball = ((z - n / 2) ** 2 + (y - n / 2) ** 2 + (x - n * 0.4) ** 2 < (n / 5) ** 2).astype(np.uint8)
    bright = ((ct.array > 250) & (x > n / 2)).astype(np.uint8)
    masks = [Mask(Segment(i + 1, "", (255, 40, 40)), voxels, affine, "1.2") for i, voxels in enumerate((ball, bright))]
    shown = [SegmentDisplay(one) for one in label_maps(masks)]
    return lambda: renderer.render(ct.camera, SHADED, segments=shown)


WHAT = ("plane", "slab", "mip", "dvr", "dvr shaded")


@pytest.mark.informational
@pytest.mark.parametrize("what", WHAT)
def test_hilum(benchmark: BenchmarkFixture, ct: Ct, what: str) -> None:
    image = ours(ct, what)()
    assert np.asarray(getattr(image, "stored", image)).std() > 1
    benchmark(ours(ct, what))


@pytest.mark.informational
@pytest.mark.parametrize("what", WHAT)
def test_vtk(benchmark: BenchmarkFixture, ct: Ct, what: str) -> None:
    pytest.importorskip("vtk", reason="VTK is the peer")
    benchmark.pedantic(theirs(ct, what), rounds=4, warmup_rounds=1)


@pytest.mark.informational
def test_segments(benchmark: BenchmarkFixture, ct: Ct) -> None:
    benchmark(with_segments(ct, ct.renderer))


@pytest.mark.informational
def test_bounds_of_cells(benchmark: BenchmarkFixture, ct: Ct) -> None:
    """What the first projection of a volume costs beside the projection itself."""
    benchmark(lambda: Renderer(ct.renderer.view, threads=1).cells)


def milliseconds(clock: Callable[[], float], run: Callable[[], object]) -> float:
    start = clock()
    run()
    return (clock() - start) * 1e3


def print_first(ct: Ct) -> None:
    """Processor time of the first shaded image of a volume in memory: bounds of cells, gradients and all."""
    mine = milliseconds(time.process_time, lambda: Renderer(ct.renderer.view, threads=1).render(ct.camera, SHADED))
    peer = milliseconds(time.process_time, theirs(ct, "dvr shaded"))
    print(f"first shaded hilum {mine:8.1f} ms  VTK {peer:8.1f} ms  {peer / mine:5.1f} times")


def print_segments(ct: Ct) -> None:
    """Processor time of volume rendering with segments, beside that of the scalar twin."""
    scalar = Renderer(ct.renderer.view, threads=1, simd=False)
    ways = [with_segments(ct, ct.renderer), with_segments(ct, scalar)]
    times = [min(milliseconds(time.process_time, run) for _ in range(3)) for run in ways]
    print(f"dvr segments hilum {times[0]:8.1f} ms  scalar {times[1]:5.1f} ms  {times[1] / times[0]:5.1f} times")


def print_threads(ct: Ct) -> None:
    """What a second thread gains by the clock: of use alone where nothing else runs."""
    two = Ct(ct.array, ct.spacing)
    two.renderer = Renderer(ct.renderer.view, threads=2)
    for what in WHAT:
        both = [ours(ct, what), ours(two, what)]
        times = [[milliseconds(time.perf_counter, run) for run in both] for _ in range(7)]
        one, other = (min(column) for column in zip(*times, strict=True))
        print(f"{what:12} one thread {one:8.1f} ms  two {other:8.1f} ms  {one / other:5.2f} times")


def main() -> None:
    """Print processor time beside VTK's, interleaved."""
    named = os.environ.get("HILUM_RENDER_CT")
    if named:
        ct = Ct(np.load(named), tuple(json.loads(Path(named).with_suffix(".json").read_text())["spacing_zyx_mm"]))
    else:
        ct = Ct(phantom(512), (0.6, 0.7, 0.7))
    for what in WHAT:
        both = [ours(ct, what), theirs(ct, what)]
        times: list[list[float]] = [[], []]
        for _ in range(5):
            for which, run in enumerate(both):
                times[which].append(milliseconds(time.process_time, run))
        mine, peer = (sorted(t)[len(t) // 2] for t in times)
        print(f"{what:12} hilum {mine:8.1f} ms  VTK {peer:8.1f} ms  {peer / mine:5.1f} times")
    print_first(ct)
    print_segments(ct)
    print_threads(ct)


if __name__ == "__main__":
    main()
