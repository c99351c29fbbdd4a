"""JPEG-LS, 12-bit JPEG, HTJ2K and JPEG XL beside imagecodecs' libraries; damaged frames give an error or an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pixel_frames import description_of, empty_frame, stored_frames, syntax_of

from hilum.codecs.decode import decode_frame
from hilum.codecs.registry import can_decode
from hilum.errors import DataError, HilumError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

imagecodecs = pytest.importorskip("imagecodecs")

ROOT = "1.2.840.10008.1.2.4."
Image = np.ndarray[Any, Any]


def describe(image: Image, **changes: Any) -> PixelDescription:
    """What a data set would say of the image."""
    bits = image.dtype.itemsize * 8
    fields: dict[str, Any] = {
        "rows": image.shape[0],
        "columns": image.shape[1],
        "samples_per_pixel": 1 if image.ndim == 2 else image.shape[2],
        "planar_configuration": 0,
        "bits_allocated": bits,
        "bits_stored": bits,
        "high_bit": bits - 1,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2" if image.ndim == 2 else "RGB",
        "number_of_frames": 1,
        "keyword": "PixelData",
    }
    return PixelDescription(**{**fields, **changes})


def picture(rows: int, columns: int, bits: int, samples: int, seed: int, noise: int) -> Image:
    """Ramps, flat parts (runs) and noise, over the whole range of `bits`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns]
    base = (x * 5 + y * 11) << max(bits - 8, 0)
    planes = []
    for s in range(samples):
        plane = base * (s + 1) + rng.integers(0, noise + 1, (rows, columns))
        plane[rows // 3 : rows // 2 + 1] = 3 * s
        planes.append(plane % (1 << bits))
    stacked = planes[0] if samples == 1 else np.stack(planes, -1)
    return np.ascontiguousarray(stacked.astype(np.uint8 if bits <= 8 else np.uint16))


def filled(image: Image, bits: int) -> Image:
    """With the greatest value in it: encoders take the precision from that."""
    image = image.copy()
    image.flat[-1] = (1 << bits) - 1
    return image


@settings(deadline=None, max_examples=150)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 70),
    bits=st.sampled_from([8, 16]),
    samples=st.sampled_from([1, 3]),
    near=st.sampled_from([0, 0, 1, 2, 5, 30]),
    noise=st.sampled_from([0, 1, 40, 60000]),
    seed=st.integers(0, 9),
)
def test_jpeg_ls_equals_charls(
    rows: int, columns: int, bits: int, samples: int, near: int, noise: int, seed: int
) -> None:
    image = picture(rows, columns, bits, samples, seed, noise)
    encoded = imagecodecs.jpegls_encode(image, level=near)
    decoded = decode_frame(encoded, ROOT + "80", describe(image))
    np.testing.assert_array_equal(decoded, imagecodecs.jpegls_decode(encoded))
    assert int(np.abs(decoded.astype(int) - image.astype(int)).max()) <= near


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("near", [0, 1])
def test_jpeg_ls_of_every_depth_and_sign(bits: int, near: int) -> None:
    jpeg_ls = pytest.importorskip("jpeg_ls")
    image = filled(picture(33, 47, bits, 1, bits, 3), bits)
    encoded = jpeg_ls.encode_array(image, lossy_error=near)
    precision = encoded[encoded.index(b"\xff\xf7") + 4]
    assert precision == bits
    decoded = decode_frame(bytes(encoded), ROOT + "81", describe(image))
    assert int(np.abs(decoded.astype(int) - image.astype(int)).max()) <= near
    signed = decode_frame(bytes(encoded), ROOT + "81", describe(image, pixel_representation=1))
    expected = decoded.astype(int) - ((decoded.astype(int) >> (bits - 1)) << bits)
    np.testing.assert_array_equal(signed, expected)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("near", [0, 3])
def test_jpeg_ls_of_every_interleave_mode(mode: int, near: int) -> None:
    jpeg_ls = pytest.importorskip("jpeg_ls")
    image = picture(30, 41, 8, 3, 2, 9)
    source = image if mode else np.ascontiguousarray(np.moveaxis(image, 2, 0))
    encoded = bytes(jpeg_ls.encode_array(source, lossy_error=near, interleave_mode=mode))
    decoded = decode_frame(encoded, ROOT + "80", describe(image))
    assert int(np.abs(decoded.astype(int) - image.astype(int)).max()) <= near


@pytest.mark.parametrize("samples", [1, 3])
def test_twelve_bit_jpeg_equals_libjpeg_turbo(samples: int) -> None:
    image = picture(37, 50, 12, samples, 4, 200)
    encoded = imagecodecs.jpeg8_encode(image, level=85, bitspersample=12, subsampling="444")
    decoded = decode_frame(encoded, ROOT + "51", describe(image, bits_stored=12, high_bit=11))
    colour = {} if samples == 1 else {"colorspace": "YCBCR", "outcolorspace": "YCBCR"}
    np.testing.assert_array_equal(decoded, imagecodecs.jpeg8_decode(encoded, **colour))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_htj2k_lossless_round_trip(bits: int, samples: int) -> None:
    image = picture(70, 65, bits, samples, 1, 20)
    encoded = imagecodecs.htj2k_encode(image)
    for suffix in ("201", "202", "203"):
        np.testing.assert_array_equal(decode_frame(encoded, ROOT + suffix, describe(image)), image)


@pytest.mark.skipif(not can_decode(ROOT + "110"), reason="built without libjxl")
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_jpeg_xl_lossless_round_trip(bits: int, samples: int) -> None:
    image = picture(40, 33, bits, samples, 6, 20)
    encoded = imagecodecs.jpegxl_encode(image, lossless=True, bitspersample=bits)
    np.testing.assert_array_equal(decode_frame(encoded, ROOT + "110", describe(image)), image)


@pytest.mark.skipif(not can_decode(ROOT + "110"), reason="built without libjxl")
def test_recompressed_jpeg_is_within_one_of_another_libjxl(shared_data: Path) -> None:
    import pydicom

    dataset = pydicom.dcmread(shared_data / "ts/jpegxl/will-jxl.dcm")
    description = description_of(dataset)
    for fragments, _ in stored_frames(dataset, description)[:3]:
        frame = b"".join(fragments)
        out = decode_frame(frame, syntax_of(dataset), PixelDescription(*description), out=empty_frame(description))
        assert int(np.abs(out.astype(int) - imagecodecs.jpegxl_decode(frame).astype(int)).max()) <= 1


def encoders() -> dict[str, Callable[[Image], bytes]]:
    """Suffix of the syntax: an encoder of 16-bit images."""
    found = {
        "80": imagecodecs.jpegls_encode,
        "81": lambda image: imagecodecs.jpegls_encode(image, level=2),
        "51": lambda image: imagecodecs.jpeg8_encode(image >> 4, level=90, bitspersample=12),
        "201": imagecodecs.htj2k_encode,
        "110": lambda image: imagecodecs.jpegxl_encode(image, lossless=True),
    }
    return {suffix: encoder for suffix, encoder in found.items() if can_decode(ROOT + suffix)}


@pytest.mark.parametrize("suffix", encoders())
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_frames_give_an_error_or_an_image(suffix: str, data: st.DataObject) -> None:
    image = picture(24, 31, 16, 1, 5, 100)
    encoded = bytearray(encoders()[suffix](image))
    for _ in range(data.draw(st.integers(0, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        decoded = decode_frame(bytes(encoded[:cut]), ROOT + suffix, describe(image))
    except HilumError:
        return
    assert decoded.shape == image.shape


@pytest.mark.parametrize("suffix", encoders())
def test_a_code_stream_of_another_size_is_refused_with_both_sizes(suffix: str) -> None:
    image = picture(24, 31, 16, 1, 5, 100)
    encoded = encoders()[suffix](image)
    with pytest.raises(DataError, match="24x31x1, the data set says 25x31x1"):
        decode_frame(encoded, ROOT + suffix, describe(image, rows=25))
    with pytest.raises(DataError, match=r"bits a sample, Bits Allocated \(0028,0100\) is 8"):
        decode_frame(encoded, ROOT + suffix, describe(image, bits_allocated=8, bits_stored=8, high_bit=7))


@pytest.mark.parametrize("suffix", ["80", "51"])
def test_a_short_code_stream_says_where_it_ends(suffix: str) -> None:
    image = picture(64, 64, 16, 1, 5, 100)
    encoded = encoders()[suffix](image)
    with pytest.raises(DataError, match="ends before the last sample") as raised:
        decode_frame(encoded[: len(encoded) // 2], ROOT + suffix, describe(image))
    assert raised.value.code == 1
    assert raised.value.offset == pytest.approx(len(encoded) // 2, abs=2)


def test_the_process_of_a_jpeg_is_believed() -> None:
    image = picture(24, 31, 16, 1, 5, 100)
    np.testing.assert_array_equal(decode_frame(imagecodecs.jpegls_encode(image), ROOT + "50", describe(image)), image)


def test_jpeg_ls_mapping_tables_are_refused_by_name() -> None:
    image = picture(8, 8, 8, 1, 5, 10)
    encoded = imagecodecs.jpegls_encode(image)
    table = b"\xff\xf8\x00\x06\x02\x01\x01\x00"
    scan = encoded.index(b"\xff\xda")
    with pytest.raises(DataError, match="mapping table") as raised:
        decode_frame(encoded[:scan] + table + encoded[scan:], ROOT + "80", describe(image))
    assert raised.value.offset == scan
