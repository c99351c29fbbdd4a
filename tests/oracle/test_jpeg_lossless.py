"""JPEG lossless as libjpeg-turbo 3 writes it: every predictor and precision, grey and colour, odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.codecs.decode import decode_frame
from hilum.types import PixelDescription

imagecodecs = pytest.importorskip("imagecodecs")
SYNTAX = "1.2.840.10008.1.2.4.57"
Array = np.ndarray[Any, Any]


def describe(values: Array, bits: int) -> PixelDescription:
    samples = 3 if values.ndim == 3 else 1
    allocated = 8 * values.dtype.itemsize
    term = "RGB" if samples == 3 else "MONOCHROME2"
    rows, columns = values.shape[:2]
    return PixelDescription(rows, columns, samples, 0, allocated, bits, bits - 1, 0, term, 1, "PixelData")


def image(kind: str, shape: tuple[int, ...], bits: int, seed: int) -> Array:
    """Noise (every code length), a walk (short codes, in pairs), extremes (the largest differences), or one value."""
    random = np.random.default_rng(seed)
    top = (1 << bits) - 1
    if kind == "noise":
        values = random.integers(0, top + 1, shape)
    elif kind == "walk":
        values = np.cumsum(random.integers(-2, 3, shape), axis=1) % (top + 1)
    elif kind == "extremes":
        values = random.integers(0, 2, shape) * top
    else:
        values = np.full(shape, int(random.integers(0, top + 1)))
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


@settings(max_examples=400, deadline=None)
@given(
    predictor=st.integers(1, 7),
    bits=st.integers(2, 16),
    rows=st.integers(1, 40),
    columns=st.integers(1, 70),
    colour=st.booleans(),
    kind=st.sampled_from(["noise", "walk", "extremes", "flat"]),
    seed=st.integers(0, 1 << 30),
)
def test_what_libjpeg_turbo_writes(
    predictor: int, bits: int, rows: int, columns: int, colour: bool, kind: str, seed: int
) -> None:
    values = image(kind, (rows, columns, 3) if colour else (rows, columns), bits, seed)
    space = {"colorspace": "RGB", "outcolorspace": "RGB"} if colour else {}
    data = imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=bits, **space)
    decoded = decode_frame(data, SYNTAX, describe(values, bits))
    assert decoded.dtype == values.dtype
    np.testing.assert_array_equal(decoded, values)
