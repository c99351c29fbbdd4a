"""Parts of JPEG frames against Pillow, whose libjpeg-turbo is another build and decodes whole frames only."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from slides import tissue

from hilum.codecs.jpeg import are_rgb_parts, decode_rgb_parts
from hilum.errors import DataError, UsageError
from hilum.types import PixelDescription

ROWS, COLUMNS = 120, 176
"""Whole blocks at every resolution: Pillow rounds other sizes down."""


def jpeg(subsampling: str = "4:2:2", **options: object) -> bytes:
    noise = np.random.default_rng(4).integers(-50, 51, (ROWS, COLUMNS, 3))
    pixels = np.clip(tissue(ROWS, COLUMNS) + noise, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85, subsampling=subsampling, **options)
    return stream.getvalue()


def described(photometric: str = "YBR_FULL_422", bits: int = 8) -> PixelDescription:
    return PixelDescription(ROWS, COLUMNS, 3, 0, bits, bits, bits - 1, 0, photometric, 1, "PixelData")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_part_is_cut_out_of_what_pillow_decodes(data: st.DataObject) -> None:
    halvings = data.draw(st.integers(0, 3))
    options = data.draw(st.sampled_from([{}, {"progressive": True}, {"restart_marker_blocks": 3}]))
    file = jpeg(data.draw(st.sampled_from(["4:4:4", "4:2:2", "4:2:0"])), **options)
    image = Image.open(io.BytesIO(file))
    if halvings:
        image.draft("RGB", (COLUMNS >> halvings, ROWS >> halvings))
    whole = np.asarray(image)
    assert whole.shape == (ROWS >> halvings, COLUMNS >> halvings, 3)
    x, y = data.draw(st.integers(0, whole.shape[1] - 1)), data.draw(st.integers(0, whole.shape[0] - 1))
    wide, high = data.draw(st.integers(1, whole.shape[1] - x)), data.draw(st.integers(1, whole.shape[0] - y))
    out = np.full((high + 2, wide + 3, 3), 7, np.uint8)
    decode_rgb_parts([(file, x, y, wide, high, 2, 1)], described(), out, halvings=halvings)
    difference = np.abs(out[1:-1, 2:-1].astype(int) - whole[y : y + high, x : x + wide])
    assert difference.max() <= 1
    out[1:-1, 2:-1] = 7
    assert (out == 7).all()


def test_colours_are_those_that_dicom_means() -> None:
    """Without markers Photometric Interpretation decides; Pillow guesses YCbCr."""
    file = jpeg("4:4:4")
    bare = file[:2] + file[20:]  # without JFIF's marker
    assert file[2:4] == b"\xff\xe0" and bare[2:4] != b"\xff\xe0"
    as_ycc, as_rgb = np.zeros((2, ROWS, COLUMNS, 3), np.uint8)
    decode_rgb_parts([(bare, 0, 0, COLUMNS, ROWS, 0, 0)], described("YBR_FULL"), as_ycc)
    decode_rgb_parts([(bare, 0, 0, COLUMNS, ROWS, 0, 0)], described("RGB"), as_rgb)
    image, as_coded = Image.open(io.BytesIO(file)), Image.open(io.BytesIO(file))
    as_coded.draft("YCbCr", as_coded.size)
    assert np.abs(as_ycc.astype(int) - np.asarray(image)).max() <= 1
    assert np.abs(as_rgb.astype(int) - np.asarray(as_coded)).max() <= 1


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ([(b"", 0, 0, 1, 1, 0, 0)], DataError),
        ([(jpeg()[:3000], 0, 100, 8, 8, 0, 0)], DataError),
        ([(jpeg(), COLUMNS - 1, 0, 2, 1, 0, 0)], UsageError),
        ([(jpeg(), 0, 0, 8, 8, 1, 0)], UsageError),
        ([(jpeg(), 0, 0, 8, 8)], UsageError),
    ],
)
def test_what_cannot_be(parts: list[tuple[object, ...]], error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_rgb_parts(parts, described(), np.zeros((8, 8, 3), np.uint8))  # type: ignore[arg-type]


def test_which_frames_are_taken() -> None:
    baseline = "1.2.840.10008.1.2.4.50"
    assert are_rgb_parts(baseline, described())
    assert not are_rgb_parts("1.2.840.10008.1.2.4.90", described())
    assert not are_rgb_parts(baseline, described("YBR_PARTIAL_422"))
    assert not are_rgb_parts(baseline, described(bits=16))
    with pytest.raises(DataError):
        decode_rgb_parts([], described("YBR_PARTIAL_422"), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(UsageError):
        decode_rgb_parts([], described(), np.zeros((8, 8, 4), np.uint8))
