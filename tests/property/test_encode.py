"""Round trips of every encoder over shapes, depths and signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.codecs.decode import decode_frame, frame_dtype
from hilum.codecs.encode import EncodeOptions, can_encode, encode_frame, encoders, is_lossy
from hilum.codecs.openjpeg import inspect
from hilum.codecs.registry import can_decode
from hilum.errors import UsageError
from hilum.types import PixelDescription

ROOT = "1.2.840.10008.1.2"
LOSSLESS = EncodeOptions(near=0, ratio=0.0, step=0.0)
UIDS = [e.transfer_syntax_uid for e in encoders() if not is_lossy(e.transfer_syntax_uid, LOSSLESS)]


@st.composite
def frames(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], PixelDescription]:
    allocated = draw(st.sampled_from([1, 8, 16, 16, 32]))
    stored = draw(st.integers(1, allocated)) if allocated < 32 else 32
    sign = draw(st.integers(0, 1)) if stored > 1 else 0
    samples = draw(st.sampled_from([1, 3])) if allocated in (8, 16) else 1
    rows, columns = draw(st.sampled_from([(1, 1), (1, 7), (9, 1), (5, 33), (64, 64), (65, 130)]))
    colour = "RGB" if samples == 3 else "MONOCHROME2"
    pixels = PixelDescription(rows, columns, samples, 0, allocated, stored, stored - 1, sign, colour, 1, "PixelData")
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if sign else (0, 1 << stored)
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    if draw(st.booleans()):
        array = random.integers(low, high, shape, dtype=np.int64)
    else:
        array = np.clip(np.cumsum(random.integers(-2, 3, shape), axis=1) + (low + high) // 2, low, high - 1)
    return array.astype(frame_dtype(pixels)), pixels


@pytest.mark.parametrize("uid", UIDS)
@settings(max_examples=60, deadline=None)
@given(frames())
def test_what_is_encoded_decodes_to_the_same(uid: str, frame: tuple[np.ndarray[Any, Any], PixelDescription]) -> None:
    array, pixels = frame
    if not can_encode(uid, pixels) or not can_decode(uid):
        return
    before = array.copy()
    array.flags.writeable = False
    data = encode_frame(array, uid, pixels, LOSSLESS)
    assert np.array_equal(decode_frame(data, uid, pixels), array)
    assert np.array_equal(before, array)


@pytest.mark.parametrize("uid", [ROOT + ".5", ROOT + ".4.70", ROOT + ".4.80", ROOT + ".4.90", ROOT + ".4.202"])
def test_strides_and_byte_order_of_the_array_do_not_matter(uid: str) -> None:
    pixels = PixelDescription(20, 30, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData")
    array = np.random.default_rng(1).integers(0, 4096, (40, 60)).astype("<u2")
    expected = encode_frame(np.ascontiguousarray(array[::2, ::2]), uid, pixels)
    assert encode_frame(array[::2, ::2], uid, pixels) == expected
    assert encode_frame(array[::2, ::2].astype(">u2"), uid, pixels) == expected


def test_htj2k_is_resolution_first_with_tile_part_lengths() -> None:
    pixels = PixelDescription(300, 200, 1, 0, 16, 12, 11, 1, "MONOCHROME2", 1, "PixelData")
    array = np.random.default_rng(2).integers(-2048, 2048, (300, 200)).astype(np.int16)
    info = inspect(encode_frame(array, ROOT + ".4.202", pixels))
    assert (info.progression, info.tile_part_lengths, info.high_throughput) == ("RPCL", True, True)
    assert (info.rows, info.columns, info.precision, info.signed, info.reversible) == (300, 200, 12, True, True)


@pytest.mark.parametrize(
    ("uid", "change", "message"),
    [
        (ROOT + ".4.50", {}, "8 bits"),
        (ROOT + ".4.81", {"pixel_representation": 1}, "signed"),
        (ROOT + ".4.70", {"bits_allocated": 32, "bits_stored": 32, "high_bit": 31}, "8 or 16"),
        (ROOT + ".4.100", {}, "no encoder"),
    ],
)
def test_what_a_syntax_cannot_hold_is_refused(uid: str, change: dict[str, Any], message: str) -> None:
    import dataclasses

    pixels = dataclasses.replace(PixelDescription(2, 2, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData"), **change)
    with pytest.raises(UsageError, match=message):
        encode_frame(np.zeros((2, 2), frame_dtype(pixels)), uid, pixels)
    if change == {}:
        return
    with pytest.raises(UsageError):
        encode_frame(np.zeros((3, 2), frame_dtype(pixels)), ROOT + ".1", pixels)


def test_near_lossless_keeps_its_bound_and_jpeg_is_near() -> None:
    y, x = np.mgrid[0:64, 0:80]
    array = (x + y).astype(np.uint8)
    pixels = PixelDescription(64, 80, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    for uid, worst in ((ROOT + ".4.81", 3), (ROOT + ".4.50", 6), (ROOT + ".4.91", 12)):
        data = encode_frame(array, uid, pixels, near=3, quality=95, ratio=5.0)
        assert len(data) < array.size
        if can_decode(uid):
            assert np.abs(decode_frame(data, uid, pixels).astype(int) - array).max() <= worst
