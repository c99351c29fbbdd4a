"""Decoders of Python packages: header first, the caller's array, one kind of error; the poster frame of a video."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest

from hilum.codecs.decode import EncodedFrame, decode_frame, decode_frames, for_core
from hilum.codecs.providers import PROVIDERS, provider_of
from hilum.codecs.registry import decoders, libraries
from hilum.codecs.video import is_video, poster_frame
from hilum.errors import DataError, Unavailable
from hilum.types import PixelDescription

JPEG_XL = "1.2.840.10008.1.2.4.110"
RNG = np.random.default_rng(11)


def describe(image: np.ndarray[Any, Any], bits: int, sign: int = 0) -> PixelDescription:
    allocated = image.dtype.itemsize * 8
    samples = 1 if image.ndim == 2 else 3
    photometric = "MONOCHROME2" if samples == 1 else "YBR_FULL_422"
    return PixelDescription(*image.shape[:2], samples, 0, allocated, bits, bits - 1, sign, photometric, 1, "PixelData")


@pytest.fixture
def without_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system without libjxl."""
    monkeypatch.setattr("hilum.codecs.decode.core_decodes", lambda uid: uid != JPEG_XL)


def encoded(image: np.ndarray[Any, Any], bits: int) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs")
    return bytes(imagecodecs.jpegxl_encode(image, lossless=True, bitspersample=bits))


@pytest.mark.usefixtures("without_core")
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("shape", [(16, 24), (33, 70), (256, 256), (1, 9), (24, 16, 3), (301, 40, 3)])
def test_a_provider_gives_what_the_core_would(bits: int, shape: tuple[int, ...]) -> None:
    image = RNG.integers(0, 1 << bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    frame = encoded(image, bits)
    pixels = describe(image, bits)
    out = np.empty_like(image)
    assert decode_frame([frame[:7], frame[7:]], JPEG_XL, pixels, out=out) is out
    np.testing.assert_array_equal(out, image)
    many = decode_frames([EncodedFrame(frame, JPEG_XL, pixels)] * 3)
    np.testing.assert_array_equal(many, np.stack([image] * 3))
    data, syntax, native, bit_offset = for_core(frame, JPEG_XL, pixels)
    np.testing.assert_array_equal(decode_frame(data, syntax, native, bit_offset=bit_offset), image)


@pytest.mark.usefixtures("without_core")
def test_a_provider_extends_the_sign() -> None:
    image = RNG.integers(0, 1 << 12, (20, 20)).astype(np.uint16)
    decoded = decode_frame(encoded(image, 12), JPEG_XL, describe(image, 12, 1))
    assert decoded.dtype == np.int16
    np.testing.assert_array_equal(decoded, image.astype(int) - ((image.astype(int) >> 11) << 12))


def test_a_lying_header_never_reaches_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    image = RNG.integers(0, 256, (20, 24)).astype(np.uint8)
    frame = encoded(image, 8)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    other = describe(np.empty((20, 25), np.uint8), 8)
    with pytest.raises(DataError, match="20x24, the data set says 20x25") as raised:
        PROVIDERS[0].decode(frame, other, np.empty((20, 25), np.uint8))
    assert raised.value.code == 10


@pytest.mark.usefixtures("without_core")
def test_damage_is_one_kind_of_error() -> None:
    image = RNG.integers(0, 256, (20, 24)).astype(np.uint8)
    frame = encoded(image, 8)
    for broken in (
        frame[: len(frame) // 2],
        b"",
        b"\xff\x0a",
        frame[:8] + bytes(40),
        b"\0\0\0\x0cJXL \r\n\x87\n" + frame,
    ):
        with pytest.raises(DataError):
            decode_frame(broken, JPEG_XL, describe(image, 8))


def test_the_core_goes_before_packages() -> None:
    pytest.importorskip("imagecodecs")
    found = [d.provider for d in decoders() if d.transfer_syntax_uid == JPEG_XL]
    assert found[-1] == "imagecodecs"
    assert provider_of(JPEG_XL) is PROVIDERS[0]
    assert provider_of("1.2.840.10008.1.2.5") is None


def test_libraries_have_versions_or_say_that_they_are_left_out() -> None:
    found = libraries()
    assert found["OpenJPEG"].startswith("2.")
    assert set(found) >= {"OpenJPEG", "zlib", "libjxl", "OpenJPH", "imagecodecs"}
    assert all(found.values())


def movie(codec: str, container: str) -> bytes:
    av = pytest.importorskip("av")
    target = io.BytesIO()
    with av.open(target, "w", format=container) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(8):
            picture = np.full((48, 64, 3), (200, 40 + index, 30), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return target.getvalue()


@pytest.mark.parametrize(
    ("codec", "container"),
    [("mpeg2video", "mpegts"), ("mpeg2video", "mpeg2video"), ("libx264", "mp4"), ("libx265", "mp4")],
)
def test_the_first_picture_of_a_video(codec: str, container: str) -> None:
    stream = movie(codec, container)
    pixels = PixelDescription(48, 64, 3, 0, 8, 8, 7, 0, "YBR_PARTIAL_420", 8, "PixelData")
    picture = poster_frame([stream[:100], stream[100:]], pixels)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - (200, 40, 30)).max() < 12
    with pytest.raises(DataError, match="48x64, the data set says 48x65"):
        poster_frame(stream, PixelDescription(48, 65, 3, 0, 8, 8, 7, 0, "YBR_PARTIAL_420", 8, "PixelData"))


def test_a_video_that_is_none_is_refused() -> None:
    pytest.importorskip("av")
    pixels = PixelDescription(48, 64, 3, 0, 8, 8, 7, 0, "YBR_PARTIAL_420", 8, "PixelData")
    for stream in (b"", b"no video at all" * 50):
        with pytest.raises(DataError, match="cannot be decoded"):
            poster_frame(stream, pixels)


def test_without_pyav_a_video_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    pixels = PixelDescription(48, 64, 3, 0, 8, 8, 7, 0, "YBR_PARTIAL_420", 8, "PixelData")
    with pytest.raises(Unavailable, match=r"hilum\[video\]"):
        poster_frame(b"", pixels)


@pytest.mark.parametrize(
    ("suffix", "video"), [("4.100", True), ("4.100.1", True), ("4.108", True), ("4.110", False), ("4.50", False)]
)
def test_which_syntaxes_are_video(suffix: str, video: bool) -> None:
    assert is_video(f"1.2.840.10008.1.2.{suffix}") is video
