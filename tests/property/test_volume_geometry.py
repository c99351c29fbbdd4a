"""Whatever the direction, the place, the spacing and the order of its slices: the volume lies where its frames do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum._core import GEOMETRY_FIELDS
from hilum.errors import NotAVolume
from hilum.index.base import InstanceRecord
from hilum.types import Location, PixelDescription
from hilum.volumes.assemble import assemble
from hilum.volumes.geometry import SeriesFrames

PIXELS = PixelDescription(8, 9, 1, 0, 16, 16, 15, 1, "MONOCHROME2", 1, "PixelData")
RECORD = InstanceRecord(
    1, 1, 1, "1", "2", "3", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1", Location(1, 0, 0), b"", 0, 0, 0, 0,
    None, b"", (), b"",
)  # fmt: skip


def series_of(positions: np.ndarray, orientation: np.ndarray, spacing: tuple[float, float]) -> SeriesFrames:
    """Frames of one object at these positions."""
    count = len(positions)
    table = np.full(count, np.nan, [(name, "<f8") for name in GEOMETRY_FIELDS])
    for axis, name in enumerate("xyz"):
        table[f"position_{name}"] = positions[:, axis]
        table[f"row_{name}"] = orientation[axis]
        table[f"column_{name}"] = orientation[3 + axis]
    table["row_spacing"], table["column_spacing"] = spacing
    table["slope"], table["intercept"], table["label"] = 1.0, 0.0, 0.0
    table["instance_number"] = np.arange(count)
    return SeriesFrames(
        (RECORD,), np.zeros(count, np.uint32), np.arange(count, dtype=np.uint32), table, ("\n\n\n",), ("",), (PIXELS,),
        np.zeros(count, np.intp),
    )  # fmt: skip


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    x, y, z = angles
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


ANGLE = st.floats(-3.1, 3.1)
MM = st.floats(-500, 500)
SPACING = st.floats(0.1, 10)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(ANGLE, ANGLE, ANGLE), st.tuples(MM, MM, MM), st.tuples(SPACING, SPACING), SPACING, st.integers(3, 60),
    st.floats(-0.4, 0.4), st.integers(0, 2**32 - 1), st.sets(st.integers(1, 58), max_size=4),
)  # fmt: skip
def test_every_frame_lies_in_the_volume_where_it_lies_in_the_patient(
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
    spacing: tuple[float, float],
    step: float,
    count: int,
    tilt: float,
    seed: int,
    missing: set[int],
) -> None:
    turned = rotation(angles)
    along = (turned[:, 2] + tilt * turned[:, 1]) * step
    kept = [k for k in range(count) if k not in missing or k == count - 1 or count - len(missing) < 3]
    order = np.random.default_rng(seed).permutation(kept)
    positions = np.array(origin) + order[:, None] * along
    rounded = np.round(positions, 6)  # DS has 16 characters
    found = assemble(series_of(rounded, np.concatenate([turned[:, 0], turned[:, 1]]), spacing))
    (stack,) = found.stacks
    assert found.refused == () and stack.shape == (count if not stack.resampled else stack.shape[0], 8, 9)
    assert bool(stack.resampled) == (len(kept) != count) or stack.shape[0] == len(kept)
    np.testing.assert_array_equal(order[stack.frames[0]], np.sort(kept))
    tolerance = max(0.01, min(0.1, 0.1 * step)) + 1e-4
    for k, one in enumerate(stack.slices):
        place = (stack.affine @ [0, 0, k, 1])[:3]
        lower = positions[stack.frames[0, one["first"]]]
        upper = positions[stack.frames[0, one["second"]]] if one["weight"] else lower
        between = lower + (upper - lower) * one["weight"]
        assert np.abs(place - between).max() <= 2 * tolerance
    corner = stack.affine @ [8, 7, 0, 1] - stack.affine @ [0, 0, 0, 1]
    expected = turned[:, 0] * 8 * spacing[1] + turned[:, 1] * 7 * spacing[0]
    np.testing.assert_allclose(corner[:3], expected, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.floats() | st.sampled_from([0.0, 1.0, -1.0, 1e-7, 5e5]), min_size=11, max_size=11), max_size=12
    )
)
def test_any_numbers_make_volumes_or_refusals(rows: list[list[float]]) -> None:
    series = series_of(np.zeros((len(rows), 3)), np.array([1.0, 0, 0, 0, 1, 0]), (1.0, 1.0))
    table = series.geometry.copy()
    for name, column in zip(GEOMETRY_FIELDS[:11], range(11), strict=True):
        table[name] = [row[column] for row in rows]
    found = assemble(replace(series, geometry=table))
    used = sum(stack.frames.size for stack in found.stacks) + sum(one.frames for one in found.refused)
    assert used == len(rows)
    for stack in found.stacks:
        assert np.isfinite(stack.affine).all()
        assert np.linalg.det(stack.affine) != 0
    if not found.stacks:
        with pytest.raises(NotAVolume, match="no volume: "):
            found.stack()
