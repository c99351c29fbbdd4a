"""Several volumes in one rendering, against a slow twin in NumPy written from PS3.4 FF.2.1.2.1 and FF.2.3.3.2."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from voxel_twin import linear, nearest

from hilum.errors import UsageError
from hilum.render import Camera, Renderer, Shading, TransferFunction, camera
from hilum.render.fused import FusedVolume, MaskCrop, StreamWeights, render_fused
from hilum.volumes.view import affine_of, from_array

ANATOMY = np.array([[1.0, 0, 0, -15], [0, 1.2, 0, -18], [0, 0, 1.5, -20], [0, 0, 0, 1.0]])
TURN = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
GREY = TransferFunction(((0, 0.2, 0.2, 0.2), (100, 0.9, 0.9, 0.8)), ((0, 0.0), (40, 0.0), (100, 0.15)))
HOT = TransferFunction(((0, 0.5, 0, 0), (10, 1, 0.9, 0.2)), ((0, 0.0), (3, 0.0), (10, 0.4)))
BLUE = TransferFunction(((0, 0.1, 0.2, 0.9),), ((0, 0.1), (60, 0.1), (70, 0.0)))
BACK = (0.0, 0.25, 0.5)


@dataclass(frozen=True, eq=False)
class Made:
    """Voxels and what renders them."""

    array: np.ndarray
    affine: np.ndarray

    @property
    def renderer(self) -> Renderer:
        return Renderer(from_array(self.array, affine=self.affine))

    def to_voxels(self, points: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(self.affine)
        found: np.ndarray = points @ inverse[:3, :3].T + inverse[:3, 3]
        return found


def anatomy() -> Made:
    z, y, x = np.indices((28, 30, 32))
    return Made(np.rint(50 + 50 * np.sin(x / 3) * np.cos(y / 4) * np.sin(z / 5)).astype(np.int16), ANATOMY)


def tracer() -> Made:
    """Coarse, turned, of another type, beyond the anatomy on one side."""
    z, y, x = np.indices((14, 12, 13))
    affine = np.eye(4)
    affine[:3, :3] = TURN * 3.1
    affine[:3, 3] = (-8, -30, -24)
    return Made((10 * np.exp(-((z - 8) ** 2 + (y - 5) ** 2 + (x - 7) ** 2) / 18)).astype(np.float32), affine)


def ball() -> Made:
    z, y, x = np.indices((20, 20, 20))
    affine = np.diag([1.1, 1.1, 1.1, 1.0])
    affine[:3, 3] = (-12, -12, -11)
    return Made(((z - 9) ** 2 + (y - 10) ** 2 + (x - 11) ** 2 < 70).astype(np.uint8), affine)


def classified(made: Made, one: FusedVolume, points: np.ndarray, step: float, crop: Made) -> np.ndarray:
    """Red, green, blue and opacity of one volume at places in the patient."""
    found = linear(made.array, made.to_voxels(points))
    shown = ~np.isnan(found)
    for mask in one.crops:
        shown &= (nearest(crop.array, crop.to_voxels(points)) > 0) != mask.excludes
    for *normal, offset in one.clip:
        shown &= points @ np.array(normal) >= offset
    colours, opacities = np.array(one.transfer.colours), np.array(one.transfer.opacities)
    alpha = np.where(shown, 1 - (1 - np.interp(found, *opacities.T)) ** (step / one.transfer.unit), 0)
    rgb = [np.where(shown, np.interp(found, colours[:, 0], colours[:, c]), 0) for c in (1, 2, 3)]
    return np.stack([*rgb, alpha], -1)


def b_over_a(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    behind = a[..., 3:] * (1 - b[..., 3:])
    alpha = b[..., 3:] + behind
    colour = (b[..., :3] * b[..., 3:] + a[..., :3] * behind) / np.where(alpha > 0, alpha, 1)
    return np.concatenate([colour, alpha], -1)


def composited(a: np.ndarray, b: np.ndarray, before: np.ndarray, weights: StreamWeights) -> np.ndarray:
    half = (len(weights.first).bit_length() - 1) // 2
    high, low = ((np.rint(alpha * 65535).astype(int)) >> (16 - half) for alpha in (before, b[..., 3]))
    index = (high << half) | low
    found: np.ndarray = np.clip(a * weights.first[index][..., None] + b * weights.second[index][..., None], 0, 1)
    return found


def twin(parts: list[tuple[Made, FusedVolume]], seen: Camera, weights: list[StreamWeights], crop: Made) -> np.ndarray:
    """Orthographic, without shading."""
    p = seen.plane
    pixel = (
        np.asarray(p.origin)
        + np.arange(p.shape[1])[None, :, None] * np.multiply(p.row, p.spacing[1])
        + np.arange(p.shape[0])[:, None, None] * np.multiply(p.column, p.spacing[0])
    )
    colour, passed = np.zeros((*p.shape, 3)), np.ones(p.shape)
    for k in range(-200, 200):
        points = pixel + np.multiply(p.normal, k * seen.step)
        streams: dict[int, np.ndarray] = {}
        for made, one in parts:
            layer = classified(made, one, points, seen.step, crop)
            streams[one.stream] = b_over_a(streams[one.stream], layer) if one.stream in streams else layer
        whole = streams[0]
        for number, one_weights in enumerate(weights, 1):
            before = whole[..., 3] if number == 1 else 1 - streams[number][..., 3]
            whole = composited(whole, streams[number], before, one_weights)
        alpha = np.where(passed >= 1 / 256, whole[..., 3], 0)
        colour += (passed * alpha)[..., None] * whole[..., :3]
        passed *= 1 - alpha
    return np.asarray((colour + passed[..., None] * BACK) * 255)


def weights(bits: int, kind: str) -> StreamWeights:
    """By the opacities of both: a weighted mean, or the second where it is there."""
    first, second = np.meshgrid(*[np.linspace(0, 1, 1 << bits)] * 2, indexing="ij")
    if kind == "mean":
        return StreamWeights(np.full(first.size, 0.4), np.full(first.size, 0.6))
    return StreamWeights((1 - second).ravel() * (first.ravel() * 0 + 1), second.ravel())


def layers(case: str) -> list[tuple[Made, FusedVolume]]:
    a, b, mask = anatomy(), tracer(), ball()
    one = FusedVolume(a.renderer, GREY)
    two = FusedVolume(b.renderer, HOT)
    three = FusedVolume(a.renderer, BLUE, crops=[MaskCrop(mask.renderer)])
    if case == "over":
        return [(a, one), (b, two)]
    if case == "segmented":
        rest = replace(one, crops=[MaskCrop(mask.renderer, excludes=True)], clip=[(1.0, 0.0, 0.0, -9.0)])
        return [(a, rest), (a, three)]
    if case == "weighted":
        return [(a, one), (b, replace(two, stream=1))]
    return [(a, one), (a, three), (b, replace(two, stream=1)), (a, replace(three, crops=(), stream=2))]


@pytest.mark.parametrize(
    ("case", "by"), [("over", []), ("segmented", []), ("weighted", ["mean"]), ("streams", ["over", "mean"])]
)
def test_volumes_equal_the_twin(case: str, by: list[str]) -> None:
    parts, tables = layers(case), [weights(4, kind) for kind in by]
    seen = camera(parts[0][1].renderer.view, (0.4, 0.9, -0.2), shape=(40, 44), step=0.7)
    volumes = [one for _, one in parts]
    fast = render_fused(volumes, seen, weights=tables, background=BACK, threads=2)
    plain = render_fused(volumes, seen, weights=tables, background=BACK, threads=1, skip=False)
    np.testing.assert_array_equal(fast, plain)
    apart = np.abs(fast - twin(parts, seen, tables, ball()))
    assert np.percentile(apart, 99) <= 2.0
    assert apart.mean() < 0.5
    alone = render_fused(volumes[:1], seen, background=BACK)
    assert np.abs(alone.astype(int) - fast).max() > 30


@pytest.mark.parametrize("distance", [None, 90.0])
@pytest.mark.parametrize("shading", [None, Shading()])
@pytest.mark.parametrize("quality", ["final", "interactive"])
def test_one_volume_is_what_the_renderer_makes(distance: float | None, shading: Shading | None, quality: str) -> None:
    renderer = anatomy().renderer
    seen = camera(renderer.view, (0.5, 0.8, -0.2), shape=(37, 45), step=0.9, distance=distance)
    clip = [(0.0, 1.0, 0.0, -10.0)]
    wanted = renderer.render(seen, GREY, shading=shading, background=BACK, clip=clip, quality=quality)  # type: ignore[arg-type]
    one = FusedVolume(renderer, GREY, shading, clip)
    np.testing.assert_array_equal(render_fused([one], seen, background=BACK, quality=quality), wanted)  # type: ignore[arg-type]


def test_a_volume_in_another_frame_of_reference_is_brought_there() -> None:
    a, b = anatomy(), tracer()
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = TURN.T * 0.9, (4, -3, 7)
    elsewhere = Made(b.array, moved @ b.affine)
    seen = camera(a.renderer.view, "a", shape=(40, 40))
    wanted = render_fused([FusedVolume(a.renderer, GREY), FusedVolume(b.renderer, HOT)], seen)
    got = render_fused([FusedVolume(a.renderer, GREY), FusedVolume(elsewhere.renderer, HOT, matrix=moved)], seen)
    assert np.abs(got.astype(int) - wanted).max() <= 1
    assert np.abs(affine_of(elsewhere.renderer.view) - b.affine).max() > 1


def test_what_cannot_be_is_refused() -> None:
    a = anatomy()
    seen = camera(a.renderer.view, "a", shape=(8, 8))
    one = FusedVolume(a.renderer, GREY)
    half = StreamWeights(np.full(16, 0.5), np.full(16, 0.5))
    with pytest.raises(UsageError, match="at least one volume"):
        render_fused([], seen)
    with pytest.raises(UsageError, match="at least one volume"):
        render_fused([one] * 33, seen)
    with pytest.raises(UsageError, match="ascend from 0"):
        render_fused([one, replace(one, stream=2)], seen, weights=[half])
    with pytest.raises(UsageError, match="weights for each stream"):
        render_fused([one, replace(one, stream=1)], seen)
    for bad in (np.full(16, 1.5), np.full(15, 0.5), np.full(16, np.nan)):
        with pytest.raises(UsageError, match="weights are from 0 to 1"):
            render_fused([one, replace(one, stream=1)], seen, weights=[StreamWeights(bad, half.second)])
    with pytest.raises(UsageError, match="8-bit"):
        render_fused([replace(one, crops=[MaskCrop(a.renderer)])], seen)
