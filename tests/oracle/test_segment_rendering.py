"""Segments in volume rendering, against a slow twin in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from voxel_twin import linear, nearest

from hilum.errors import LimitExceeded, UsageError
from hilum.render import Camera, Renderer, Shading, TransferFunction, camera
from hilum.render.labels import SegmentDisplay, label_maps
from hilum.volumes.masks import Mask, Segment
from hilum.volumes.view import from_array

VOLUME = np.array([[1.0, 0, 0, -15], [0, 1.2, 0, -18], [0, 0, 1.5, -20], [0, 0, 0, 1.0]])
TURN = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
TRANSFER = TransferFunction(((0, 0.2, 0.3, 0.9), (100, 0.9, 0.9, 0.2)), ((0, 0.0), (40, 0.0), (100, 0.12)))


def masks() -> list[Mask]:
    """Two segments on one grid that overlap, and one on another grid."""
    z, y, x = np.indices((24, 26, 28))
    ball = ((z - 12) ** 2 + (y - 13) ** 2 + (x - 14) ** 2 < 60).astype(np.uint8)
    slab = (abs(x - 20) < 4).astype(np.uint8)
    grid = np.eye(4)
    grid[:3, :3] = TURN * (0.9, 0.8, 1.1)
    grid[:3, 3] = (-6, -14, -11)
    other = grid.copy()
    other[:3, :3] *= 1.37
    other[:3, 3] = (-3, -20, -16)
    small = np.ones((6, 7, 8), np.uint8)
    colours = ((250, 30, 20), (20, 220, 40), (40, 60, 250))
    parts = ((ball, grid), (slab, grid), (small, other))
    return [
        Mask(Segment(number, "", colour), voxels, affine, "1.2")
        for number, colour, (voxels, affine) in zip((1, 2, 3), colours, parts, strict=True)
    ]


def volume() -> np.ndarray:
    z, y, x = np.indices((28, 30, 32))
    return np.rint(50 + 50 * np.sin(x / 3) * np.cos(y / 4) * np.sin(z / 5)).astype(np.int16)


def twin(seen: Camera, how: list[tuple[Mask, str, float]], outside: np.ndarray) -> np.ndarray:
    """Orthographic, without shading: each sample asks each mask."""
    p = seen.plane
    rows, columns = p.shape
    pixel = (
        np.asarray(p.origin)
        + np.arange(columns)[None, :, None] * np.multiply(p.row, p.spacing[1])
        + np.arange(rows)[:, None, None] * np.multiply(p.column, p.spacing[0])
    )
    array, inverse = volume(), np.linalg.inv(VOLUME)
    colour, passed = np.zeros((rows, columns, 3)), np.ones((rows, columns))
    opacities, colours = np.array(TRANSFER.opacities), np.array(TRANSFER.colours)
    for k in range(-200, 200):
        points = pixel + np.multiply(p.normal, k * seen.step)
        values = linear(array, points @ inverse[:3, :3].T + inverse[:3, 3])
        alpha = 1 - (1 - np.interp(values, *opacities.T)) ** seen.step
        rgb = np.stack([np.interp(values, colours[:, 0], colours[:, c]) for c in (1, 2, 3)], -1)
        shown = np.full(alpha.shape, not any(show == "only" for _, show, _ in how))
        hidden = np.zeros(alpha.shape, bool)
        for mask, show, opacity in how:
            own = np.linalg.inv(mask.affine)
            there = nearest(mask.voxels, points @ own[:3, :3].T + own[:3, 3]) > 0
            if show == "only":
                shown |= there
            elif show == "hide":
                hidden |= there
            else:
                alpha = np.where(there, np.maximum(alpha, 1 - (1 - opacity) ** seen.step), alpha)
                rgb = np.where(there[..., None], np.array(mask.colour) / 255, rgb)
        seen_here = shown & ~hidden & ~np.isnan(values) & (passed >= 1 / 256)
        alpha = np.where(seen_here, alpha, 0)
        colour += (passed * alpha)[..., None] * np.nan_to_num(rgb)
        passed *= 1 - alpha
    return (colour + passed[..., None] * outside) * 255


CASES: list[list[tuple[int, Any, float]]] = [
    [(0, "colour", 0.4)],
    [(1, "colour", 0.0)],
    [(0, "colour", 0.2), (2, "colour", 0.6)],
    [(0, "only", 0.0)],
    [(0, "only", 0.0), (1, "only", 0.0)],
    [(0, "hide", 0.0), (2, "colour", 0.5)],
]


@pytest.mark.parametrize("case", CASES)
def test_segments_equal_the_twin(case: list[tuple[int, Any, float]]) -> None:
    view = from_array(volume(), affine=VOLUME)
    found = masks()
    seen = camera(view, (0.4, 0.9, -0.2), shape=(40, 44), step=0.7)
    displays = [SegmentDisplay(one, show, a) for at, show, a in case for one in label_maps([found[at]])]
    outside = (0.1, 0.0, 0.3)
    fast = Renderer(view, threads=2).render(seen, TRANSFER, background=outside, segments=displays)
    plain = Renderer(view, threads=1, skip=False, simd=False)
    np.testing.assert_array_equal(fast, plain.render(seen, TRANSFER, background=outside, segments=displays))
    wanted = twin(seen, [(found[at], show, a) for at, show, a in case], np.array(outside))
    apart = np.abs(fast - wanted)
    assert np.percentile(apart, 99) <= 1.6
    assert apart.mean() < 0.5
    without = plain.render(seen, TRANSFER, background=outside)
    assert np.abs(without.astype(int) - fast).max() > 30


def test_overlapping_masks_of_one_grid_share_a_volume_where_they_can() -> None:
    ball, slab, small = masks()
    together = label_maps([ball, slab, small])
    assert [len(one.segments) for one in together] == [1, 1, 1]
    far = np.zeros_like(ball.voxels)
    far[:, :2, :2] = 1
    apart = label_maps([ball, Mask(Segment(4, "", (1, 2, 3)), far, ball.affine, "1.2")])
    assert [segment.number for one in apart for segment in one.segments] == [1, 4] and len(apart) == 1


def test_segments_of_too_many_voxels_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ball, slab, small = masks()
    sizes = [int(np.prod(one.renderer.view.layout[0])) for one in label_maps([ball, slab, small])]
    monkeypatch.setattr("hilum.render.labels.MAX_VOXELS", sum(sizes))
    assert len(label_maps([ball, slab, small])) == 3
    monkeypatch.setattr("hilum.render.labels.MAX_VOXELS", sum(sizes) - 1)
    with pytest.raises(LimitExceeded, match="name fewer"):
        label_maps([ball, slab, small])


def test_the_surface_of_a_segment_is_shaded_by_its_mask() -> None:
    z, y, x = np.indices((40, 40, 40))
    ball = ((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 < 225).astype(np.uint8)
    view = from_array(np.zeros((40, 40, 40), np.int16))
    seen = camera(view, "a", shape=(40, 40), step=0.5)
    (one,) = label_maps([Mask(Segment(1, "", (255, 255, 255)), ball, np.eye(4), "1.2")])
    clear = TransferFunction(((0, 0, 0, 1),), ((0, 0.0), (1, 0.0)))
    light = Shading(ambient=0.1, diffuse=0.9, specular=0.0)
    image = Renderer(view).render(seen, clear, shading=light, segments=[SegmentDisplay(one, opacity=1.0)])
    assert image[20, 20].min() > 240  # towards the viewer
    assert 60 < image[20, 6].mean() < 200 and (image[0] == 0).all()  # aslant, and beside
    moved = np.eye(4)
    moved[0, 3] = 10.0  # what is at x here is at x + 10 there
    shifted = Renderer(view).render(
        seen, clear, shading=light, segments=[SegmentDisplay(one, opacity=1.0, matrix=moved)]
    )
    np.testing.assert_array_equal(shifted[:, :30], image[:, 10:])


@pytest.mark.parametrize("options", [{"show": "blink"}, {"opacity": 1.5}, {"opacity": float("nan")}])
def test_displays_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SegmentDisplay(label_maps(masks()[:1])[0], **options)
