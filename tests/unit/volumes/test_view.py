from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hilum.errors import LimitExceeded, UsageError
from hilum.volumes.view import affine_of, from_array, ranges_of, read_region

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
EXTENT = st.integers(1, 70)


def voxels_of(shape: tuple[int, int, int], dtype: str, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def ranges_twin(voxels: np.ndarray) -> np.ndarray:
    grid = tuple(-(-n // 32) for n in voxels.shape)
    out = np.empty((*grid, 2), np.float32)
    for index in np.ndindex(*grid):
        brick = voxels[tuple(slice(32 * i, 32 * i + 32) for i in index)].astype(np.float64)
        for at, value, away in ((0, brick.min(), -np.inf), (1, brick.max(), np.inf)):
            rounded = np.float32(value)
            wrong = rounded > value if at == 0 else rounded < value
            out[index][at] = np.nextafter(rounded, np.float32(away)) if wrong else rounded
    return out


@settings(max_examples=40, deadline=None)
@given(st.tuples(EXTENT, EXTENT, EXTENT), st.sampled_from(DTYPES), st.integers(0, 2**32 - 1), st.data())
def test_a_region_of_bricks_is_the_region_of_the_array(
    shape: tuple[int, int, int], dtype: str, seed: int, data: st.DataObject
) -> None:
    voxels = voxels_of(shape, dtype, seed)
    view = from_array(voxels)
    first = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    size = tuple(data.draw(st.integers(1, n - f)) for f, n in zip(first, shape, strict=True))
    assert len(first) == len(size) == 3
    region = voxels[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))]
    np.testing.assert_array_equal(read_region(view, first, size), region)
    np.testing.assert_array_equal(ranges_of(view), ranges_twin(voxels))


@given(arrays.arrays(np.float32, (3, 4, 5)))
def test_nan_has_no_part_in_a_range(voxels: np.ndarray) -> None:
    numbers = voxels[~np.isnan(voxels)]
    least, greatest = ranges_of(from_array(voxels))[0, 0, 0]
    if numbers.size:
        assert (least, greatest) == (numbers.min(), numbers.max())
    else:
        assert (least, greatest) == (np.inf, -np.inf)


def test_the_layout_comes_back() -> None:
    affine = np.array([[0.5, 0, 0, -10], [0, 0.5, 0.1, 3], [0, 0, 2, 4], [0, 0, 0, 1]])
    view = from_array(np.zeros((3, 40, 33), np.int16), affine=affine, slope=2.0, intercept=-1024.0, fill=-5)
    assert view.layout[:5] == ((3, 40, 33), "int16", -5.0, 2.0, -1024.0)
    assert view.bricks == (1, 2, 2)
    np.testing.assert_array_equal(affine_of(view), affine)


def test_an_array_in_another_byte_order_or_with_strides_is_taken() -> None:
    voxels = voxels_of((40, 6, 50), "int16", 1)
    for other in (voxels.astype(">i2"), voxels[::-1].copy()[::-1], np.asfortranarray(voxels)):
        np.testing.assert_array_equal(read_region(from_array(other), (0, 0, 0), (40, 6, 50)), voxels)


@pytest.mark.parametrize(
    ("array", "arguments"),
    [
        (np.zeros((2, 2), np.int16), {}),
        (np.zeros((2, 2, 2), np.complex64), {}),
        (np.zeros((2, 2, 2), np.int64), {}),
        (np.zeros((0, 2, 2), np.int16), {}),
        (np.zeros((2, 2, 2), np.int16), {"affine": np.zeros((4, 4))}),
        (np.zeros((2, 2, 2), np.int16), {"affine": np.full((4, 4), np.nan)}),
        (np.zeros((2, 2, 2), np.int16), {"affine": np.eye(3)}),
        (np.zeros((2, 2, 2), np.int16), {"slope": 0.0}),
        (np.zeros((2, 2, 2), np.uint8), {"fill": 256}),
        (np.zeros((2, 2, 2), np.uint8), {"fill": 0.5}),
    ],
)
def test_what_is_no_volume_is_refused(array: np.ndarray, arguments: dict[str, object]) -> None:
    with pytest.raises((UsageError, LimitExceeded)):
        from_array(array, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "size"), [((0, 0, 0), (5, 4, 4)), ((4, 0, 0), (1, 1, 1)), ((0, 0, 0), (0, 1, 1)), ((-1, 0, 0), (1, 1, 1))]
)
def test_a_box_outside_is_refused(first: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    view = from_array(np.zeros((4, 4, 4), np.int16))
    with pytest.raises(UsageError):
        read_region(view, first, size)
    with pytest.raises(UsageError):
        read_region(view, (0, 0, 0), (2, 2, 2), np.zeros((2, 2, 3), np.int16))
