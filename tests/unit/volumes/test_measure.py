"""Numbers of regions, lines and time points against NumPy on all voxels."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_volumes import inside, store_series

import hilum
from hilum import _core
from hilum.errors import Conflict, LimitExceeded, UsageError
from hilum.volumes.masks import Grid, Mask, Segment
from hilum.volumes.measure import Scale, profile, statistics
from hilum.volumes.regions import Box, Ellipsoid, Polygon, Sphere, core_region
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.volumes.regions import Region

HU = Scale(1.0, -1024.0, "HU")
TURN = ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.0, 0.0, 1.0))
SHAPE = (40, 45, 70)


def random_affine(rng: np.random.Generator) -> np.ndarray:
    affine = np.eye(4)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine[:3, :3] = q * rng.uniform(0.4, 2.5, 3)
    affine[:3, 3] = rng.uniform(-50, 50, 3)
    return affine


def regions(affine: np.ndarray, rng: np.random.Generator) -> list[Region]:
    """One of each kind, somewhere in the volume."""

    def place() -> Any:
        return tuple((affine @ [*(rng.uniform(0.2, 0.8, 3) * SHAPE[::-1]), 1])[:3].tolist())

    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes: Any = tuple(map(tuple, q.tolist()))
    centre, u, v = np.array(place()), q[0], q[1]
    angles = np.sort(rng.uniform(0, 6.28, 9))
    ring = centre + np.outer(np.cos(angles) * rng.uniform(3, 15, 9), u) + np.outer(np.sin(angles) * 9, v)
    return [
        Box(place(), tuple(rng.uniform(5, 40, 3).tolist()), axes),
        Sphere(place(), float(rng.uniform(1, 15))),
        Ellipsoid(place(), tuple(rng.uniform(2, 20, 3).tolist()), axes),
        Polygon(tuple(map(tuple, ring.tolist())), float(rng.uniform(1, 12))),
    ]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("seed", range(4))
def test_statistics_are_those_of_the_voxels_inside(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    voxels = rng.normal(100, 40, SHAPE).clip(0, 255).astype(dtype)
    voxels[:, :32, :32] = 0  # bricks that are not stored
    view = from_array(voxels, affine=affine)
    for region in regions(affine, rng):
        values = voxels[inside(region, SHAPE, affine)].astype(np.float64) - 1024.0
        found = statistics(view, region, HU, bins=7)
        assert found.count == len(values) > 0
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        np.testing.assert_allclose([found.mean, found.sd], [values.mean(), values.std()], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(found.volume_ml, len(values) * abs(np.linalg.det(affine[:3, :3])) / 1000)
        assert found.histogram is not None
        counts, edges = np.histogram(values, 7)
        np.testing.assert_allclose(found.histogram.edges, edges)
        assert found.histogram.counts.sum() == len(values)
        assert np.abs(found.histogram.counts.astype(int) - counts).max() <= (0 if voxels.dtype.kind != "f" else 1)


def test_many_threads_give_the_same_numbers() -> None:
    voxels = np.random.default_rng(1).normal(1e6, 1e-2, (70, 70, 70))
    view = from_array(voxels)
    region = core_region(None, Grid((70, 70, 70), np.eye(4)))
    one = _core.measure(view, region, threads=1)
    assert one == _core.measure(view, region, threads=5)
    np.testing.assert_allclose([one[4], np.sqrt(one[5] / one[0])], [voxels.mean(), voxels.std()], rtol=1e-6)


def test_histogram_with_limits_counts_as_numpy_does() -> None:
    voxels = np.arange(-60, 4 * 5 * 6 - 60, dtype=np.int16).reshape(4, 5, 6)
    found = statistics(from_array(voxels), None, Scale(-0.5, 3.0, ""), bins=11, limits=(-10.0, 20.0)).histogram
    assert found is not None
    np.testing.assert_array_equal(found.counts, np.histogram(voxels * -0.5 + 3.0, 11, (-10, 20))[0])
    same = statistics(from_array(np.full((2, 2, 2), 5, np.int16)), None, HU, bins=3).histogram
    assert same is not None and same.counts.tolist() == [0, 8, 0]


def test_what_is_no_number_counts_for_itself() -> None:
    voxels = np.full((3, 4, 5), np.nan, np.float32)
    view = from_array(voxels)
    found = statistics(view, None, HU, bins=2)
    assert (found.count, found.not_numbers, found.volume_ml) == (0, 60, 0.0)
    assert np.isnan([found.minimum, found.maximum, found.mean, found.sd]).all()
    voxels[1, 1, 1], voxels[2, 2, 2] = 2.0, 4.0
    found = statistics(from_array(voxels), None, HU)
    assert (found.count, found.not_numbers, found.mean, found.sd) == (2, 58, -1021.0, 1.0)
    outside = statistics(view, Sphere((1e3, 0, 0), 5.0), HU)
    assert (outside.count, outside.not_numbers) == (0, 0)


def test_masks_on_other_voxels_are_those_that_mask_on_gives() -> None:
    rng = np.random.default_rng(3)
    affine = random_affine(rng)
    voxels = rng.integers(-500, 500, SHAPE).astype(np.int16)
    view = from_array(voxels, affine=affine)
    other = affine.copy()
    other[:3, :3] = affine[:3, :3] @ np.diag([0.7, 1.3, 2.1])
    other[:3, 3] += affine[:3, :3] @ [5.2, 3.1, 4.4]
    mask = Mask(Segment(1, "a", (1, 2, 3)), rng.integers(0, 2, (12, 20, 50)).astype(np.uint8), other, "")
    on = mask.on(Grid(SHAPE, affine)).voxels > 0
    for region, wanted in ((mask, on), (on, on), (voxels > 0, voxels > 0)):
        found = statistics(view, region, HU)
        assert found.count == np.count_nonzero(wanted) > 1000
        np.testing.assert_allclose(found.mean, voxels[wanted].mean() - 1024.0)
    with pytest.raises(UsageError, match="shape"):
        statistics(view, on[1:], HU)


def test_profile_is_linear_between_voxels_and_ends_where_the_volume_does() -> None:
    k, j, i = np.indices((6, 7, 8)).astype(float)
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    view = from_array((10 * k + 5 * j + i).astype(np.float32), affine=affine)
    found = profile(view, (0, 0, 0), (14, 18, 20), Scale(2.0, 1.0, "HU"), 0.5)
    share = np.linspace(0, 1, len(found.values))
    np.testing.assert_allclose(found.values, 2 * (50 + 30 + 7) * share + 1, rtol=1e-6)
    assert found.distances[-1] == pytest.approx(np.sqrt(14**2 + 18**2 + 20**2))
    assert np.diff(found.distances).max() <= 0.5
    beyond = profile(view, (-1.0, 0, 0), (16.0, 0, 0), Scale(1.0, 0.0, ""), 0.5, linear=False)
    values = beyond.values[~np.isnan(beyond.values)]
    assert np.isnan(beyond.values[-1]) and values.tolist() == sorted(values) and set(values) == set(range(8))
    assert profile(view, (1, 1, 1), (1, 1, 1), HU).values.shape == (1,)


NUMBER = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, float("nan"), float("inf"), 1e300, -1e6, 1e-9]))
VECTOR = st.tuples(NUMBER, NUMBER, NUMBER)


@given(VECTOR, VECTOR, st.lists(VECTOR, max_size=6), NUMBER)
@settings(max_examples=150, deadline=None)
def test_any_numbers_are_answered_or_refused(a: Any, b: Any, points: Any, n: float) -> None:
    view = from_array(np.zeros((3, 4, 5), np.int16), affine=np.diag([1.0, 2.0, 3.0, 1.0]))
    for make in (
        lambda: Box(a, b),
        lambda: Sphere(a, n),
        lambda: Ellipsoid(a, b),
        lambda: Polygon(tuple(points), n),
    ):
        with contextlib.suppress(UsageError):
            assert 0 <= statistics(view, make(), HU).count <= 60
    with contextlib.suppress(UsageError, LimitExceeded):
        assert len(profile(view, a, b, HU, n).values) <= 1 << 16


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Box((0, 0, 0), (1, 0, 1)), UsageError),
        (lambda: Box((0, 0, 0), (1, 1, 1), ((1, 0, 0), (1, 0, 0), (0, 0, 1))), UsageError),
        (lambda: Polygon(((0, 0, 0), (1, 0, 0), (2, 0, 0))), UsageError),
        (lambda: Polygon(((0, 0, 0), (1, 0, 0))), UsageError),
        (lambda: Polygon(((0, 0, 0), (9, 0, 0), (9, 9, 3), (0, 9, 0))), UsageError),
        (lambda: Polygon(((0.0, 0.0, 0.0),) * 70000), LimitExceeded),
    ],
)
def test_shapes_that_cannot_be_are_refused(make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_too_much_is_refused() -> None:
    view = from_array(np.zeros((2, 2, 2), np.int16))
    with pytest.raises(LimitExceeded, match="bins"):
        statistics(view, None, HU, bins=1 << 20)
    with pytest.raises(UsageError):
        statistics(view, None, HU, bins=4, limits=(3.0, float("nan")))
    with pytest.raises(LimitExceeded, match="samples"):
        profile(view, (0, 0, 0), (1e6, 0, 0), HU, 1e-3)
    big = from_array(np.zeros((150, 150, 1), np.uint8))
    circle = np.linspace(0, 6.283, 60000)
    ring = tuple((0.0, 75 + 70 * float(np.cos(t)), 75 + 70 * float(np.sin(t))) for t in circle)
    with pytest.raises(LimitExceeded, match="points"):
        statistics(big, Polygon(ring), HU)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def test_a_volume_of_an_archive(archive: hilum.Archive) -> None:
    voxels = np.random.default_rng(4).integers(0, 4000, (9, 20, 24)).astype(np.uint16)
    volume = store_series(archive, voxels, oblique=True)
    sphere = Sphere(tuple((volume.affine @ [12, 10, 4, 1])[:3].tolist()), 5.0)
    wanted = volume.to_numpy()[inside(sphere, volume.shape, volume.affine)] - 1024.0
    found = volume.measure(sphere)
    assert (found.count, found.units) == (len(wanted), "HU")
    np.testing.assert_allclose([found.mean, found.sd], [wanted.mean(), wanted.std()])
    assert volume.measure(sphere, quantity="stored").mean == pytest.approx(found.mean + 1024)
    assert volume.curve(sphere).points[0].mean == found.mean
    ends = [tuple((volume.affine @ [n, 3, 2, 1])[:3].tolist()) for n in (1, 22)]
    line = volume.profile(*ends, spacing=0.75)
    np.testing.assert_allclose(line.values, volume.values()[2, 3, 1:23], atol=0.01)
    mask = Mask(Segment(1, "x", (0, 0, 0)), np.ones((1, 2, 3), np.uint8), volume.affine, "1.2.3")
    with pytest.raises(Conflict, match="frame of reference"):
        volume.measure(mask)
    with pytest.raises(UsageError, match="quantity"):
        volume.measure(quantity="suv")
