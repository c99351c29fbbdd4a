"""Polygons, masks on other voxels, contours of structure sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from structure_sets import make_structure_set

from hilum.errors import DataError, LimitExceeded, NotAVolume, NotFound, UsageError
from hilum.volumes.contours import StructureSet
from hilum.volumes.masks import Grid, Mask, Segment
from hilum.volumes.polygons import fill_polygons

_SEGMENT = Segment(1, "one", (255, 0, 0))


def _crossings(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The definition: a ray to the right of each centre crosses an odd number of edges."""
    inside = np.zeros(shape, bool)
    for y, x in np.ndindex(shape):
        count = 0
        for points in polygons:
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 <= y < y1 or y1 <= y < y0) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x:
                    count += 1
        inside[y, x] = count % 2
    return inside


_NUMBER = st.floats(-4, 16, allow_nan=False, width=32)
_POLYGON = st.lists(st.tuples(_NUMBER, _NUMBER), min_size=3, max_size=9).map(lambda p: np.array(p, float))


@given(st.lists(_POLYGON, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_polygons_are_filled_as_defined(polygons: list[np.ndarray]) -> None:
    shape = (9, 12)
    ours, slow = fill_polygons(polygons, shape), _crossings(polygons, shape)
    differing = ours != slow
    for y, x in zip(*np.nonzero(differing), strict=True):  # only where an edge passes through the centre
        away = min(
            abs(x0 + (y - y0) * (x1 - x0) / (y1 - y0) - x)
            for points in polygons
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True)
            if y0 <= y < y1 or y1 <= y < y0
        )
        assert away < 1e-6


def test_polygons_of_many_crossings_are_filled_in_parts() -> None:
    shape = (300, 40)
    points = np.random.default_rng(3).uniform((-3, -3), (43, 303), (3000, 2))
    triangles = [points[[0, at, at + 1]] for at in range(1, len(points) - 1)]  # what lies in an odd number of them
    np.testing.assert_array_equal(fill_polygons([points], shape), fill_polygons(triangles, shape))
    zigzag = np.column_stack([np.zeros(300_000), np.tile([0.0, 300.0], 150_000)])
    with pytest.raises(LimitExceeded, match="too many points"):
        fill_polygons([zigzag], shape)


def test_a_polygon_agrees_with_pillow_but_on_its_edge() -> None:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 60 + 20 * np.sin(5 * angles)
    points = np.stack([100 + radius * np.cos(angles), 90 + radius * np.sin(angles)], axis=1)
    ours = fill_polygons([points], (180, 200))
    picture = Image.new("1", (1600, 1440))
    ImageDraw.Draw(picture).polygon([tuple(p) for p in points * 8 + 4], fill=1)
    theirs = np.asarray(picture)[4::8, 4::8]
    assert np.count_nonzero(ours != theirs) < 0.005 * np.count_nonzero(theirs)  # Pillow rounds and draws the rim


def test_a_mask_on_other_voxels_takes_the_voxel_that_a_centre_lies_in() -> None:
    voxels = np.zeros((3, 4, 5), np.uint8)
    voxels[1, 1:3, 2:4] = 1
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (10, 20, 30)
    mask = Mask(_SEGMENT, voxels, affine, "1.2")
    assert mask.volume_ml == pytest.approx(4 * 12 / 1000)
    fine = np.diag([1.0, 1.0, 1.5, 1.0])
    fine[:3, 3] = (9.5, 19.5, 29.25)
    on = mask.on(Grid((6, 8, 10), fine))
    np.testing.assert_array_equal(on.voxels, voxels.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    assert on.volume_ml == pytest.approx(mask.volume_ml)
    turned = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    other = mask.on(Grid((4, 5, 3), affine @ np.linalg.inv(turned)))
    back = other.on(Grid(voxels.shape, affine))
    np.testing.assert_array_equal(back.voxels, voxels)
    far = fine.copy()
    far[:3, 3] += 1000
    assert not mask.on(Grid((2, 2, 2), far)).voxels.any()


def test_a_mask_on_an_oblique_grid_is_what_simpleitk_resamples() -> None:
    sitk = pytest.importorskip("SimpleITK")
    voxels = (np.random.default_rng(3).random((9, 10, 11)) > 0.5).astype(np.uint8)
    mask = Mask(_SEGMENT, voxels, np.diag([1.5, 1.25, 2.0, 1.0]), "1.2")
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid = np.eye(4)
    grid[:3, :3] = turn * (0.7, 0.8, 0.9)
    grid[:3, 3] = (1.03, -0.52, 0.21)
    source = sitk.GetImageFromArray(voxels)
    source.SetSpacing((1.5, 1.25, 2.0))
    target = sitk.Image(17, 16, 15, sitk.sitkUInt8)
    target.SetSpacing((0.7, 0.8, 0.9))
    target.SetOrigin((1.03, -0.52, 0.21))
    target.SetDirection(turn.ravel().tolist())
    theirs = sitk.GetArrayFromImage(sitk.Resample(source, target, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    ours = mask.on(Grid((15, 16, 17), grid)).voxels
    assert np.count_nonzero(ours != theirs) <= 2  # centres within 1e-6 of a border


def test_masks_of_impossible_grids_are_refused() -> None:
    mask = Mask(_SEGMENT, np.ones((1, 1, 1), np.uint8), np.eye(4), "1.2")
    with pytest.raises(LimitExceeded):
        mask.on(Grid((1 << 12, 1 << 12, 1 << 12), np.eye(4)))
    with pytest.raises(UsageError):
        Mask(_SEGMENT, mask.voxels, np.zeros((4, 4)), "1.2").on(Grid((1, 1, 1), np.eye(4)))


def _square(half: float, z: float, centre: tuple[float, float] = (0.0, 0.0)) -> list[tuple[float, float, float]]:
    x, y = centre
    return [(x - half, y - half, z), (x + half, y - half, z), (x + half, y + half, z), (x - half, y + half, z)]


def test_contours_become_a_mask_with_a_hole() -> None:
    contours = [("CLOSED_PLANAR", _square(10.5, z)) for z in (0, 3, 6)] + [("CLOSED_PLANAR", _square(4.5, 3))]
    structure = StructureSet(make_structure_set({1: contours}))
    mask = structure.mask(1)
    assert mask.voxels.shape[0] == 3 and mask.affine[2, 2] == 3.0
    assert mask.inside.sum(axis=(1, 2)).tolist() == [21 * 21, 21 * 21 - 9 * 9, 21 * 21]
    assert mask.frame_of_reference_uid == structure.frame_of_reference_uid
    grid = Grid((18, 50, 50), np.array([[1.0, 0, 0, -25], [0, 1, 0, -25], [0, 0, 0.5, -1.25], [0, 0, 0, 1]]))
    fine = structure.mask(1, grid)
    assert fine.voxels.shape == grid.shape
    slices = fine.inside.sum(axis=(1, 2))
    assert slices[0] == 441 and slices[-1] == 441  # half a distance beyond the last plane
    assert slices[9] == 441 - 81
    assert fine.volume_ml == pytest.approx(mask.volume_ml)


def test_contours_on_voxels_across_them_are_those_of_their_own_grid() -> None:
    structure = StructureSet(make_structure_set({1: [("CLOSED_PLANAR", _square(10.5, z)) for z in (0, 3, 6)]}))
    sagittal = np.array([[0, 0, 1.0, -25], [1, 0, 0, -25], [0, 1, 0, -3], [0, 0, 0, 1]])
    mask = structure.mask(1, Grid((50, 12, 50), sagittal))
    own = structure.mask(1)
    assert mask.volume_ml == pytest.approx(own.volume_ml)


def test_contours_of_every_kind_and_keyholes() -> None:
    key = [(-10, -10, 0), (10, -10, 0), (10, 10, 0), (-10, 10, 0), (-10, 0, 0), (-5, 0, 0), (-5, 5, 0), (5, 5, 0)]
    key += [(5, -5, 0), (-5, -5, 0), (-5, 0, 0), (-10, 0, 0)]
    regions = {
        1: [("POINT", [(1.0, 2.0, 3.0)])],
        2: [("OPEN_PLANAR", _square(5, 0))],
        3: [("CLOSED_PLANAR", [(x + 0.25, y + 0.25, z) for x, y, z in key])],
        4: [],
    }
    structure = StructureSet(make_structure_set(regions))
    assert [s.number for s in structure.segments] == [1, 2, 3, 4]
    assert structure.contours(1)[0].points.tolist() == [[1.0, 2.0, 3.0]]
    assert structure.contours(4) == ()
    assert not structure.mask(1).voxels.size and not structure.mask(2).voxels.size
    assert structure.mask(3).inside.sum() == 20 * 20 - 10 * 10
    assert [mask.segment.number for mask in structure.masks()] == [3]
    with pytest.raises(NotFound):
        structure.mask(9)


@pytest.mark.parametrize(
    ("kind", "points", "message"),
    [
        ("CIRCLE", _square(1, 0), "3006,0042"),
        ("CLOSED_PLANAR", [(0, 0, 1e300), (1, 1, 1), (0, 1, 0)], "3006,0050"),
    ],
)
def test_damaged_contours_are_refused(kind: str, points: list[tuple[float, float, float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        StructureSet(make_structure_set({1: [(kind, points)]}))


def test_contours_that_are_not_flat_make_no_mask() -> None:
    structure = StructureSet(make_structure_set({1: [("CLOSED_PLANAR", [(0, 0, 0), (9, 0, 0), (9, 9, 5), (0, 9, 0)])]}))
    with pytest.raises(NotAVolume):
        structure.mask(1)
    far = StructureSet(make_structure_set({1: [("CLOSED_PLANAR", [(-4e5, -4e5, 0), (4e5, -4e5, 0), (4e5, 4e5, 0)])]}))
    with pytest.raises(LimitExceeded):
        far.mask(1)
