"""Rendering of volumes against programs that are not ours (SimpleITK, VTK) and against slow twins in NumPy."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import HilumError, LimitExceeded, UsageError
from hilum.render import Camera, Plane, Preset, Renderer, Shading, TransferFunction, camera, plane
from hilum.volumes.view import VolumeView, from_array

AFFINE = np.array([[0.7, 0.05, 0.0, -20.0], [-0.05, 0.8, 0.1, -30.0], [0.0, -0.1, 1.3, 15.0], [0, 0, 0, 1]])


def body(shape: tuple[int, int, int] = (40, 52, 47), dtype: str = "int16") -> np.ndarray:
    """Blobs of several densities with a little noise."""
    rng = np.random.default_rng(5)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    values = np.full(shape, -1000.0)
    values[x**2 / 0.8 + y**2 / 0.6 + z**2 / 0.9 < 1] = 40
    values[(x - 0.2) ** 2 + (y + 0.1) ** 2 + z**2 < 0.12] = 320
    values[(x + 0.4) ** 2 + y**2 < 0.04] = 900
    values += rng.normal(0, 12, shape)
    if dtype == "uint16":
        values += 30000
    return np.rint(values).astype(dtype)


def interpolated(array: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Linear, with half a voxel of border: NaN outside. Points are (..., 3) of x, y, z in voxels."""
    size = np.array(array.shape[::-1])
    inside = ((points >= -0.5) & (points < size - 0.5)).all(axis=-1)
    p = np.clip(np.where(inside[..., None], points, 0), 0, size - 1)
    low = np.minimum(np.floor(p).astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    w = p - low
    total = np.zeros(p.shape[:-1])
    for corner in range(8):
        pick = [high if corner >> axis & 1 else low for axis in range(3)]
        weight = np.prod([w[..., a] if corner >> a & 1 else 1 - w[..., a] for a in range(3)], axis=0)
        total += weight * array[pick[2][..., 2], pick[1][..., 1], pick[0][..., 0]].astype(float)
    return np.where(inside, total, np.nan)


def voxels_of(points: np.ndarray, affine: np.ndarray = AFFINE) -> np.ndarray:
    inverse = np.linalg.inv(affine)
    return points @ inverse[:3, :3].T + inverse[:3, 3]


def rays(seen: Camera, view: VolumeView) -> tuple[np.ndarray, np.ndarray]:
    """First sample and step of each ray: mm."""
    p = seen.plane
    rows, columns = p.shape
    pixel = (
        np.asarray(p.origin)
        + np.arange(columns)[None, :, None] * np.multiply(p.row, p.spacing[1])
        + np.arange(rows)[:, None, None] * np.multiply(p.column, p.spacing[0])
    )
    shape, affine = view.layout[0], np.asarray(view.layout[5]).reshape(4, 4)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in shape[::-1]], indexing="ij")).reshape(3, -1).T
    corners = corners @ affine[:3, :3].T + affine[:3, 3]
    if seen.eye is None:
        least = ((corners - p.origin) @ p.normal).min()
        ways = np.broadcast_to(p.normal, pixel.shape)
        start = pixel
    else:
        least = max(0.0, ((corners - seen.eye) @ p.normal).min())
        ways = pixel - seen.eye
        ways = ways / np.linalg.norm(ways, axis=-1, keepdims=True)
        start = np.broadcast_to(seen.eye, pixel.shape)
    first = np.floor(least / seen.step) * seen.step
    return start + ways * first, ways * seen.step


def samples(array: np.ndarray, seen: Camera, view: VolumeView, count: int = 260) -> np.ndarray:
    start, step = rays(seen, view)
    return np.stack([interpolated(array, voxels_of(start + k * step)) for k in range(count)])


def some_plane(view: VolumeView) -> Plane:
    return plane(view, (0.4, 0.5, 0.7), up=(0.2, -1, 0.3), shape=(70, 90), spacing=0.6)


@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_planes_equal_simpleitk(dtype: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    orthogonal = AFFINE.copy()
    rotation = np.linalg.qr(AFFINE[:3, :3])[0]
    rotation *= np.sign(np.linalg.det(rotation))
    spacing = np.array([0.7, 0.8, 1.3])
    orthogonal[:3, :3] = rotation * spacing
    array = body(dtype=dtype)
    view = from_array(array, affine=orthogonal, fill=3)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(orthogonal[:3, 3].tolist())
    image.SetDirection(rotation.ravel().tolist())
    for look in ("a", "l", "f", (0.4, 0.5, 0.7), (-0.9, 0.2, 0.1)):
        where = plane(view, look, shape=(90, 110), spacing=0.65)
        for ours, theirs in (("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)):
            resample = sitk.ResampleImageFilter()
            resample.SetSize([110, 90, 1])
            resample.SetOutputOrigin(list(where.origin))
            resample.SetOutputSpacing([0.65, 0.65, 1.0])
            resample.SetOutputDirection(np.stack([where.row, where.column, where.normal], 1).ravel().tolist())
            resample.SetInterpolator(theirs)
            resample.SetDefaultPixelValue(3)
            wanted = sitk.GetArrayFromImage(resample.Execute(image))[0].astype(int)
            got = Renderer(view).mpr(where, interpolation=ours).stored.astype(int)  # type: ignore[arg-type]
            apart = np.abs(got - wanted)
            limit = 1 if ours == "linear" else 0
            assert (apart > limit).sum() <= 2, (look, ours)  # points on the very border of the volume
            assert (got != 3).sum() > 2000


@pytest.mark.parametrize("mode", ["maximum", "minimum", "mean"])
def test_slabs_equal_the_twin(mode: str) -> None:
    array = body()
    view = from_array(array, affine=AFFINE)
    where = some_plane(view)
    got = Renderer(view).mpr(where, thickness=9.0, step=0.75, mode=mode, outside=-7)  # type: ignore[arg-type]
    points = np.stack(
        np.meshgrid(np.arange(90.0), np.arange(70.0), (np.arange(13) - 6) * 0.75, [1.0], indexing="xy"), -1
    )[..., 0, :]
    found = interpolated(array, voxels_of((points @ where.affine.T)[..., :3]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN
        reduce = {"maximum": np.nanmax, "minimum": np.nanmin, "mean": np.nanmean}[mode]
        wanted = np.where(np.isnan(found).all(-1), -7, reduce(found, axis=-1))
    apart = np.abs(got.stored - wanted)
    assert (apart > 0.6).sum() <= 3  # samples on the border of the volume
    assert (wanted != -7).sum() > 3000


def test_cubic_planes_equal_the_twin() -> None:
    array = body()
    view = from_array(array, affine=AFFINE)
    where = some_plane(view)
    index = np.stack(np.meshgrid(np.arange(90.0), np.arange(70.0), [0.0], [1.0], indexing="xy"), -1)[..., 0, 0, :]
    points = voxels_of((index @ where.affine.T)[..., :3])
    size = np.array(array.shape[::-1])
    low = np.floor(points).astype(int)
    t = points - low

    def weights(t: np.ndarray) -> list[np.ndarray]:
        return [
            -0.5 * t**3 + t**2 - 0.5 * t,
            1.5 * t**3 - 2.5 * t**2 + 1,
            -1.5 * t**3 + 2 * t**2 + 0.5 * t,
            0.5 * t**3 - 0.5 * t**2,
        ]

    w = [weights(t[..., axis]) for axis in range(3)]
    wanted = np.zeros(points.shape[:-1])
    for i in range(4):
        for j in range(4):
            for k in range(4):
                x, y, z = (np.clip(low[..., a] + n - 1, 0, size[a] - 1) for a, n in ((0, i), (1, j), (2, k)))
                wanted += w[0][i] * w[1][j] * w[2][k] * array[z, y, x]
    inner = ((points > 0) & (points < size - 1)).all(axis=-1)
    got = Renderer(view).mpr(where, interpolation="cubic").stored
    assert np.abs(got - wanted)[inner].max() <= 0.51
    assert inner.sum() > 2500


@pytest.mark.parametrize("distance", [None, 90.0])
@pytest.mark.parametrize("mode", ["maximum", "minimum", "mean"])
def test_projections_equal_the_twin(mode: str, distance: float | None) -> None:
    array = body()
    view = from_array(array, affine=AFFINE)
    seen = camera(view, (0.5, 0.8, -0.2), shape=(40, 50), step=0.9, distance=distance)
    got = Renderer(view).project(seen, mode=mode, outside=-9).stored  # type: ignore[arg-type]
    found = samples(array, seen, view)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN
        reduce = {"maximum": np.nanmax, "minimum": np.nanmin, "mean": np.nanmean}[mode]
        wanted = np.where(np.isnan(found).all(0), -9, reduce(found, axis=0))
    assert (np.abs(got - wanted) > 0.6).sum() <= 6  # samples on the border of the volume
    assert (wanted != -9).sum() > 800


TRANSFER = TransferFunction(
    ((-1000, 0.1, 0.2, 0.3), (40, 0.9, 0.6, 0.5), (320, 0.9, 0.2, 0.1), (900, 1, 1, 0.9)),
    ((-1000, 0), (-200, 0), (40, 0.03), (320, 0.3), (900, 0.7)),
)


@pytest.mark.parametrize("distance", [None, 90.0])
@pytest.mark.parametrize("shading", [None, Shading()])
def test_volume_rendering_equals_the_twin(distance: float | None, shading: Shading | None) -> None:
    array = body()
    view = from_array(array, affine=AFFINE)
    seen = camera(view, (0.5, 0.8, -0.2), shape=(36, 44), step=0.9, distance=distance)
    got = Renderer(view).render(seen, TRANSFER, shading=shading, background=(0.0, 0.25, 0.5))
    start, step = rays(seen, view)
    colour = np.zeros((*got.shape[:2], 3))
    passed = np.ones(got.shape[:2])
    opacities, colours = np.array(TRANSFER.opacities), np.array(TRANSFER.colours)
    inverse = np.linalg.inv(AFFINE)[:3, :3]
    for k in range(240):
        points = voxels_of(start + k * step)
        values = interpolated(array, points)
        shown = ~np.isnan(values) & (passed >= 1 / 256)
        alpha = 1 - (1 - np.interp(values, *opacities.T)) ** seen.step
        alpha = np.where(shown, alpha, 0)
        rgb = np.stack([np.interp(values, colours[:, 0], colours[:, c]) for c in (1, 2, 3)], -1)
        if shading is not None:
            moves = np.eye(3)
            edge = np.array(array.shape[::-1]) - 1
            ends = [
                [interpolated(array, np.clip(points + sign * moves[axis], 0, edge)) for sign in (1, -1)]
                for axis in range(3)
            ]
            gradient = np.stack([high - low for high, low in ends], -1) @ inverse
            way = step / np.linalg.norm(step, axis=-1, keepdims=True)
            size = np.linalg.norm(gradient, axis=-1)
            cosine = np.abs((gradient * way).sum(-1)) / np.where(size > 0, size, 1)
            lit = shading.ambient + shading.diffuse * cosine
            rgb = rgb * lit[..., None] + (shading.specular * cosine**shading.power)[..., None]
        colour += np.where(alpha > 0, passed * alpha, 0)[..., None] * np.nan_to_num(rgb)
        passed = passed * (1 - alpha)
    wanted = np.clip((colour + passed[..., None] * [0.0, 0.25, 0.5]) * 255, 0, 255)
    apart = np.abs(got - wanted)
    assert np.percentile(apart, 99) <= 1.6
    assert apart.mean() < 0.5
    assert got.std() > 20


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity (Wang 2004) with 8 x 8 windows, of the grey images."""
    blocks = []
    for image in (a, b):
        grey = image.astype(float).mean(-1)
        windows = np.lib.stride_tricks.sliding_window_view(grey, (8, 8))[::2, ::2]
        blocks.append(windows.reshape(*windows.shape[:2], 64))
    x, y = blocks
    mx, my = x.mean(-1), y.mean(-1)
    vx, vy = x.var(-1), y.var(-1)
    cov = (x * y).mean(-1) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def vtk_image(array: np.ndarray, seen: Camera, spacing: np.ndarray) -> np.ndarray:
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    vtk = pytest.importorskip("vtk")
    support = pytest.importorskip("vtk.util.numpy_support")
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    image.SetSpacing(*spacing)
    scalars = support.numpy_to_vtk(array.reshape(-1), deep=True)
    image.GetPointData().SetScalars(scalars)
    mapper = vtk.vtkFixedPointVolumeRayCastMapper()
    mapper.SetInputData(image)
    mapper.AutoAdjustSampleDistancesOff()
    mapper.LockSampleDistanceToInputSpacingOff()
    mapper.SetImageSampleDistance(1.0)
    mapper.SetSampleDistance(seen.step)
    colour, opacity = vtk.vtkColorTransferFunction(), vtk.vtkPiecewiseFunction()
    for point in TRANSFER.colours:
        colour.AddRGBPoint(*point)
    for pair in TRANSFER.opacities:
        opacity.AddPoint(*pair)
    look = vtk.vtkVolumeProperty()
    look.SetColor(colour)
    look.SetScalarOpacity(opacity)
    look.SetScalarOpacityUnitDistance(1.0)
    look.SetInterpolationTypeToLinear()
    volume = vtk.vtkVolume()
    volume.SetMapper(mapper)
    volume.SetProperty(look)
    renderer = vtk.vtkRenderer()
    renderer.AddVolume(volume)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    rows, columns = seen.plane.shape
    window.SetSize(columns, rows)
    window.AddRenderer(renderer)
    eye = renderer.GetActiveCamera()
    eye.ParallelProjectionOn()
    eye.SetFocalPoint(*seen.plane.centre)
    eye.SetPosition(*np.subtract(seen.plane.centre, np.multiply(seen.plane.normal, 500)))
    eye.SetViewUp(*np.negative(seen.plane.column))
    eye.SetParallelScale(rows * seen.plane.spacing[0] / 2)
    renderer.ResetCameraClippingRange()
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    found = support.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    window.Finalize()
    return found.reshape(rows, columns, -1)[::-1, :, :3]


def test_volume_rendering_looks_like_vtks() -> None:
    pytest.importorskip("vtk", reason="VTK draws the picture to compare with")
    array = body((70, 90, 80))
    spacing = np.array([0.7, 0.7, 0.7])
    view = from_array(array, affine=np.diag([*spacing, 1.0]))
    seen = camera(view, (0.5, 0.8, -0.2), shape=(160, 160), step=0.35)
    wanted = vtk_image(array, seen, spacing)
    got = Renderer(view).render(seen, Preset(TRANSFER, None))
    assert ssim(got, wanted) >= 0.98


vectors = st.tuples(*[st.floats(-1, 1, allow_nan=False).map(lambda v: round(v, 3))] * 3)


@settings(max_examples=40, deadline=None)
@given(
    look=vectors,
    centre=st.tuples(*[st.floats(-30, 30)] * 3),
    spacing=st.floats(0.1, 3),
    thickness=st.floats(0, 15),
    mode=st.sampled_from(["maximum", "minimum", "mean"]),
    dtype=st.sampled_from(["int16", "uint16"]),
)
def test_vectors_threads_and_short_cuts_change_nothing(
    look: Any, centre: Any, spacing: float, thickness: float, mode: Any, dtype: str
) -> None:
    view = from_array(body((33, 40, 64), dtype), affine=AFFINE)
    fast, plain = Renderer(view, threads=2), Renderer(view, threads=1, simd=False, skip=False)
    try:
        where = plane(view, look, centre=centre, shape=(23, 31), spacing=spacing)
    except UsageError:
        return
    results = [r.mpr(where, thickness=thickness, mode=mode).stored for r in (fast, plain)]
    np.testing.assert_array_equal(*results)
    seen = Camera(where, step=0.8)
    np.testing.assert_array_equal(*[r.project(seen, mode=mode).stored for r in (fast, plain)])
    np.testing.assert_array_equal(*[r.render(seen, TRANSFER, shading=Shading()) for r in (fast, plain)])


def test_a_curved_image_of_a_straight_line_is_a_plane() -> None:
    view = from_array(body(), affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    renderer = Renderer(view)
    got = renderer.curved([(20, 25, 5), (20, 25, 30)], (1, 0, 0), width=31, spacing=1.0)
    where = Plane((5.0, 25.0, 5.0), (1, 0, 0), (0, 0, 1), (1.0, 1.0), (26, 31))
    np.testing.assert_array_equal(got.stored, renderer.mpr(where).stored)


def test_an_interactive_image_is_close_to_the_final_one() -> None:
    view = from_array(body(), affine=AFFINE)
    seen = camera(view, "a", shape=(81, 121))
    renderer = Renderer(view)
    final, coarse = (renderer.render(seen, TRANSFER, quality=q) for q in ("final", "interactive"))
    assert coarse.shape == final.shape
    assert ssim(final, coarse) > 0.8


def test_a_crop_box_leaves_that_part() -> None:
    view = from_array(np.full((20, 20, 20), 500, np.int16), affine=np.eye(4))
    renderer = Renderer(view)
    seen = camera(view, "f", shape=(20, 20), spacing=1.0)
    image = renderer.project(seen, outside=0, clip=renderer.crop_box((0.25, 0, 0), (0.75, 0.5, 1))).stored
    wanted = np.zeros((20, 20), np.int16)
    wanted[:10, 5:15] = 500
    np.testing.assert_array_equal(image, wanted)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda v: plane(v, (0, 0, 0)), UsageError),
        (lambda v: plane(v, (float("nan"), 0, 1)), UsageError),
        (lambda v: plane(v, "x"), UsageError),
        (lambda v: plane(v, (0, 0, 1), up=(0, 0, 1)), UsageError),
        (lambda v: plane(v, "a", spacing=0.0), UsageError),
        (lambda v: plane(v, "a", shape=(31623, 31623)), LimitExceeded),
        (lambda v: plane(v, "a", spacing=1e-4), LimitExceeded),
        (lambda v: Renderer(v).mpr(plane(v), thickness=-1), UsageError),
        (lambda v: Renderer(v).mpr(plane(v), thickness=1e9), UsageError),
        (lambda v: Renderer(v).mpr(plane(v), interpolation="quintic"), UsageError),  # type: ignore[arg-type]
        (lambda v: Renderer(v).mpr(plane(v), outside=float("inf")), UsageError),
        (lambda v: Renderer(v).render(camera(v), "no such preset"), UsageError),
        (lambda v: Renderer(v).render(camera(v), TransferFunction((), ())), UsageError),
        (lambda v: Renderer(v).project(camera(v, step=1e-5)), LimitExceeded),
        (lambda v: Renderer(v).project(camera(v), clip=[(1, 2, 3)]), UsageError),
        (lambda v: Renderer(v).curved([(1, 2, 3)], (1, 0, 0), width=5), UsageError),
        (lambda v: Renderer(v).curved([(1, 2, 3), (2, 2, 3)], (1, 0, 0), width=5), UsageError),
        (lambda v: camera(v, distance=-1), UsageError),
    ],
)
def test_what_cannot_be_is_refused(make: Any, error: type[HilumError]) -> None:
    view = from_array(body((6, 7, 8)), affine=AFFINE)
    with pytest.raises(error):
        make(view)


def test_a_plane_far_away_is_all_outside() -> None:
    view = from_array(body((6, 7, 8)), affine=AFFINE)
    image = Renderer(view).mpr(plane(view, "a", centre=(0, 1e6, 0), shape=(20, 20), spacing=1.0), outside=-55)
    assert (image.stored == -55).all()
    assert (image.values == -55).all()
