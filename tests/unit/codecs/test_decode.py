"""decode_frame over every kind of buffer, too small outputs, read-only outputs and damaged frames."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hilum import _core
from hilum.codecs.decode import decode_frame, frame_dtype, frame_shape
from hilum.codecs.registry import can_decode, decoders
from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Callable

EXPLICIT = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"


def describe(**changes: Any) -> PixelDescription:
    fields: dict[str, Any] = {
        "rows": 2,
        "columns": 3,
        "samples_per_pixel": 1,
        "planar_configuration": 0,
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
        "number_of_frames": 1,
        "keyword": "PixelData",
    }
    return PixelDescription(**{**fields, **changes})


def eight(**changes: Any) -> PixelDescription:
    return describe(bits_allocated=8, bits_stored=8, high_bit=7, **changes)


VALUES = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000


@pytest.mark.parametrize(
    "wrap",
    [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint16), lambda b: [b]],
)
def test_every_kind_of_buffer(wrap: Callable[[bytes], Any]) -> None:
    decoded = decode_frame(wrap(VALUES.tobytes()), EXPLICIT, describe())
    assert decoded.dtype == np.uint16
    np.testing.assert_array_equal(decoded, VALUES)


def test_fragments_are_joined() -> None:
    raw = VALUES.tobytes()
    np.testing.assert_array_equal(decode_frame((raw[:5], raw[5:]), EXPLICIT, describe()), VALUES)


def test_decodes_into_the_caller_s_array() -> None:
    out = np.empty((2, 3), np.uint16)
    assert decode_frame(VALUES.tobytes(), EXPLICIT, describe(), out=out) is out
    np.testing.assert_array_equal(out, VALUES)


@pytest.mark.parametrize("out", [np.empty((3, 2), np.uint16), np.empty((2, 3), np.int16), np.empty(5, np.uint16)])
def test_an_output_that_does_not_fit_is_refused(out: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UsageError, match="the frame is uint16"):
        decode_frame(VALUES.tobytes(), EXPLICIT, describe(), out=out)


def test_read_only_and_strided_outputs_are_refused() -> None:
    frozen = np.empty((2, 3), np.uint16)
    frozen.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        decode_frame(VALUES.tobytes(), EXPLICIT, describe(), out=frozen)
    with pytest.raises((BufferError, ValueError)):
        decode_frame(VALUES.tobytes(), EXPLICIT, describe(), out=np.empty((2, 6), np.uint16)[:, ::2])


@pytest.mark.parametrize(
    ("changes", "dtype", "shape"),
    [
        ({}, "u2", (2, 3)),
        ({"pixel_representation": 1}, "i2", (2, 3)),
        ({"bits_allocated": 1, "bits_stored": 1, "high_bit": 0}, "u1", (2, 3)),
        ({"bits_allocated": 32, "bits_stored": 32, "high_bit": 31, "keyword": "FloatPixelData"}, "f4", (2, 3)),
        ({"bits_allocated": 64, "bits_stored": 64, "high_bit": 63, "keyword": "DoubleFloatPixelData"}, "f8", (2, 3)),
        ({"samples_per_pixel": 3, "photometric_interpretation": "RGB"}, "u2", (2, 3, 3)),
    ],
)
def test_type_and_shape(changes: dict[str, Any], dtype: str, shape: tuple[int, ...]) -> None:
    assert frame_dtype(describe(**changes)) == np.dtype(dtype)
    assert frame_shape(describe(**changes)) == shape


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rows": 0}, DataError),
        ({"rows": 70000}, LimitExceeded),
        ({"rows": 65535, "columns": 65535}, LimitExceeded),
        ({"samples_per_pixel": 7}, DataError),
        ({"bits_allocated": 24}, DataError),
        ({"bits_stored": 17}, DataError),
        ({"high_bit": 16}, DataError),
        ({"high_bit": 3}, DataError),
        ({"keyword": "FloatPixelData"}, DataError),
    ],
)
def test_descriptions_that_lie_allocate_nothing(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_frame(b"", EXPLICIT, describe(**changes))


def test_a_short_frame_says_how_much_is_missing() -> None:
    with pytest.raises(DataError, match="11 bytes, its description needs 12") as raised:
        decode_frame(VALUES.tobytes()[:11], EXPLICIT, describe())
    assert raised.value.code == 1
    assert raised.value.offset == 11


def test_an_error_has_no_pixels_in_it() -> None:
    with pytest.raises(DataError) as raised:
        decode_frame(b"SECRET" * 40, RLE, eight())
    assert "SECRET" not in str(raised.value)
    with pytest.raises((TypeError, UsageError)) as mistyped:
        _core.decode(b"SECRET" * 40, 5, (), out=bytearray(1))  # type: ignore[arg-type]
    assert "SECRET" not in str(mistyped.value)


def test_registry_names_every_decoder_once() -> None:
    names = [(d.transfer_syntax_uid, d.name) for d in decoders()]
    assert len(set(names)) == len(names)
    assert can_decode(RLE)
    assert not can_decode("1.2.840.10008.1.2.4.100")


def test_what_the_code_stream_contradicts_is_reported() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = (np.arange(24 * 31).reshape(24, 31) * 5).astype(np.uint16)
    twelve = describe(rows=24, columns=31, bits_stored=12, high_bit=11)
    lossless = imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=12)
    report: list[str] = []
    decode_frame(lossless, "1.2.840.10008.1.2.4.70", twelve, report=report)
    assert report == []
    ten = describe(rows=24, columns=31, bits_stored=10, high_bit=9)
    decoded = decode_frame(lossless, "1.2.840.10008.1.2.4.70", ten, report=report)
    np.testing.assert_array_equal(decoded, values)
    assert report == [
        "the code stream has 12 bits a sample, Bits Stored (0028,0101) is 10: the code stream is believed"
    ]
    wavelet = imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0, bitspersample=12)
    signed = describe(rows=24, columns=31, bits_stored=12, high_bit=11, pixel_representation=1)
    report.clear()
    np.testing.assert_array_equal(decode_frame(wavelet, "1.2.840.10008.1.2.4.90", signed, report=report), values)
    assert report == [
        "the code stream is unsigned, Pixel Representation (0028,0103) says signed: the code stream is believed"
    ]
