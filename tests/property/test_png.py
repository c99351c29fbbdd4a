"""PNG files of the renderer: other decoders read them, and their bytes depend on nothing but the picture."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hilum.pixels.description import RenderingAttributes
from hilum.pixels.pipeline import render_frame
from hilum.pixels.settings import RenderSettings
from hilum.types import PixelDescription

LITTLE = "1.2.840.10008.1.2.1"
PNG = RenderSettings(format="png")


def description(rows: int, columns: int, samples: int) -> PixelDescription:
    photometric = "RGB" if samples == 3 else "MONOCHROME2"
    return PixelDescription(rows, columns, samples, 0, 8, 8, 7, 0, photometric, 1, "PixelData")


def picture(seed: int, rows: int, columns: int, samples: int, kind: str) -> np.ndarray:
    random = np.random.default_rng(seed)
    shape = (rows, columns, samples) if samples == 3 else (rows, columns)
    if kind == "noise":
        return random.integers(0, 256, shape, np.uint8)
    if kind == "flat":
        return np.full(shape, seed % 256, np.uint8)
    steps = random.integers(-2, 3, shape).cumsum(axis=1)
    return (128 + steps).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    rows=st.integers(1, 70),
    columns=st.integers(1, 400),
    samples=st.sampled_from([1, 3]),
    kind=st.sampled_from(["noise", "flat", "smooth"]),
)
def test_pillow_reads_what_was_drawn(seed: int, rows: int, columns: int, samples: int, kind: str) -> None:
    pixels = picture(seed, rows, columns, samples, kind)
    png = render_frame(pixels.tobytes(), LITTLE, description(rows, columns, samples), RenderingAttributes(), PNG)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)


@pytest.mark.parametrize(("samples", "expected"), [(1, "GREY"), (3, "RGB")])
def test_the_bytes_of_a_picture_never_change(samples: int, expected: str) -> None:
    y, x = np.mgrid[0:64, 0:96]
    pixels = ((x * y // 7 + x) % 256).astype(np.uint8)
    if samples == 3:
        pixels = np.stack([pixels, pixels[::-1], 255 - pixels], axis=-1)
    png = render_frame(pixels.tobytes(), LITTLE, description(64, 96, samples), RenderingAttributes(), PNG)
    assert hashlib.sha256(png).hexdigest() == DIGESTS[expected]


DIGESTS = {
    "GREY": "f6541289baab7b214b452eadd1cecc27092aabc007943dc6bd411361fa48aee7",
    "RGB": "eaf954d398f2dcb4e87378d6fa4aa481c5c5b4df5c66ae5f6cf739fc7dc5e9a5",
}
