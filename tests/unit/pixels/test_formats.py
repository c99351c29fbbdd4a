"""Files of pictures, read back by Pillow and imagecodecs; ICC profiles against littleCMS and a twin."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.pixels import icc
from hilum.pixels.formats import FORMATS, encode_animation, encode_picture

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (37, 53), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (37, 53), dtype=np.uint16)
x, y = np.meshgrid(np.arange(53), np.arange(37))
RGB = np.stack([x * 4, y * 6, 255 - x * 2 - y * 2], axis=2).astype(np.uint8)
SPACES = ("srgb", "adobergb", "rommrgb", "displayp3")


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("image", [GREY, DEEP, RGB, np.repeat(DEEP[:, :, None], 3, 2)], ids=["8", "16", "rgb", "rgb16"])
def test_png_is_exact(image: np.ndarray) -> None:
    assert (imagecodecs.png_decode(encode_picture(image, "png")) == image).all()


def test_jpeg_is_close() -> None:
    for image in (np.repeat(x[:, :, None] * 4, 1, 2)[:, :, 0].astype(np.uint8), RGB):
        decoded = imagecodecs.jpeg_decode(encode_picture(image, "jpeg", 95))
        assert decoded.shape == image.shape
        assert np.abs(decoded.astype(int) - image).mean() < 3


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_webp_of_100_is_exact_and_of_less_is_smaller(image: np.ndarray) -> None:
    exact = encode_picture(image, "webp", 100)
    assert (np.asarray(opened(exact).convert("RGB")) == (image if image.ndim == 3 else image[:, :, None])).all()
    assert len(encode_picture(GREY, "webp", 10)) < len(encode_picture(GREY, "webp", 100))
    assert imagecodecs.webp_decode(exact).shape[:2] == image.shape[:2]


@pytest.mark.parametrize("image", [GREY, DEEP, RGB], ids=["8", "16", "rgb"])
def test_jp2_of_100_is_exact_and_of_less_is_smaller(image: np.ndarray) -> None:
    exact = encode_picture(image, "jp2", 100)
    assert exact[4:8] == b"jP  "
    assert (imagecodecs.jpeg2k_decode(exact) == image).all()
    assert opened(exact).size == (53, 37)
    large = np.tile(image, (8, 8) if image.ndim == 2 else (8, 8, 1))
    assert len(encode_picture(large, "jp2", 50)) < len(encode_picture(large, "jp2", 90)) < large.nbytes / 8


def test_gif_of_grey_is_exact() -> None:
    assert (np.asarray(opened(encode_picture(GREY, "gif")).convert("L")) == GREY).all()
    assert (imagecodecs.gif_decode(encode_picture(GREY, "gif"))[..., 0] == GREY).all()


def test_gif_of_colour_is_close() -> None:
    decoded = np.asarray(opened(encode_picture(RGB, "gif")).convert("RGB")).astype(int)
    assert np.abs(decoded - RGB).mean() < 12


@pytest.mark.parametrize("image", [GREY, DEEP, RGB], ids=["8", "16", "rgb"])
def test_raw_is_the_samples(image: np.ndarray) -> None:
    data = encode_picture(image[:, ::-1], "raw")
    assert (np.frombuffer(data, image.dtype.newbyteorder("<")).reshape(image.shape) == image[:, ::-1]).all()


@pytest.mark.parametrize("format", ["gif", "webp"])
@pytest.mark.parametrize("frame", [GREY, RGB], ids=["grey", "rgb"])
def test_animations(format: str, frame: np.ndarray) -> None:
    frames = [frame, frame[::-1], frame[:, ::-1], frame]
    data = encode_animation(frames, format, [40, 80, 5, 40], 100)  # type: ignore[arg-type]
    image = Image.open(io.BytesIO(data))
    assert image.n_frames == 4 and image.info.get("loop") == 0
    total = 0
    for number, expected in enumerate(frames):
        image.seek(number)
        image.load()
        total += image.info["duration"]
        if format == "webp" or frame.ndim == 2:
            channels = np.asarray(image.convert("RGB"))
            assert (channels == (expected if expected.ndim == 3 else expected[:, :, None])).all()
    assert total == 40 + 80 + 20 + 40


def test_delays_are_brought_to_what_files_hold() -> None:
    frames = [GREY, GREY[::-1], GREY]
    for delay, shown in ((0.0, 20), (1e300, 60_000), (float("inf"), 60_000)):
        image = Image.open(io.BytesIO(encode_animation(frames, "gif", delay)))
        assert image.info["duration"] == shown


def test_what_cannot_be_written() -> None:
    with pytest.raises(UsageError):
        encode_picture(DEEP, "jpeg")
    with pytest.raises(UsageError):
        encode_picture(DEEP, "webp")
    with pytest.raises(UsageError):
        encode_picture(GREY.astype(np.float32), "png")
    with pytest.raises(UsageError):
        encode_picture(GREY, "bmp")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        encode_picture(GREY, "webp", 101)
    with pytest.raises(UsageError):
        encode_picture(RGB[:, :, :2], "png")
    with pytest.raises(LimitExceeded):
        encode_picture(np.zeros((1, 16384), np.uint8), "webp")
    with pytest.raises(UsageError):
        encode_animation([], "gif")
    with pytest.raises(UsageError):
        encode_animation([GREY, GREY[1:]], "gif")
    big = np.zeros((8192, 8192), np.uint8)
    with pytest.raises(LimitExceeded):
        encode_animation((big for _ in range(5)), "webp")
    with pytest.raises(LimitExceeded):
        encode_animation(iter([big]), "webp", count=5)


# ICC


def test_profiles_are_read_by_littlecms() -> None:
    for space in SPACES:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc.profile_of(space)))
        assert profile.profile.xcolor_space.strip() == "RGB"
        assert profile.profile.version == pytest.approx(4.3)
        assert ImageCms.isIntentSupported(profile, ImageCms.Intent.PERCEPTUAL, ImageCms.Direction.OUTPUT) == 1
        assert icc.check_profile(icc.profile_of(space)) == icc.profile_of(space)


def test_srgb_is_that_of_littlecms() -> None:
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    converted = icc.convert(RGB, icc.profile_of("srgb"), other)
    assert np.abs(converted.astype(int) - RGB).max() <= 1


def linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# sRGB to the linear values of the other space, both of D65: from the chromaticities of the standards.
TO_ADOBE = np.array([[0.7151, 0.2849, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0412, 0.9588]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


@pytest.mark.parametrize("space", ["adobergb", "displayp3"])
def test_conversion_equals_its_formula(space: icc.ColourSpace) -> None:
    values = linear(RGB / 255.0)
    if space == "adobergb":
        expected = np.clip(values @ TO_ADOBE.T, 0, 1) ** (256 / 563)
    else:
        lines = np.clip(values @ TO_P3.T, 0, 1)
        expected = np.where(lines <= 0.0031308, 12.92 * lines, 1.055 * lines ** (1 / 2.4) - 0.055)
    converted = icc.convert(RGB, icc.profile_of("srgb"), icc.profile_of(space))
    difference = np.abs(converted.astype(int) - np.round(expected * 255))
    assert np.percentile(difference, 99) <= 2
    back = icc.convert(converted, icc.profile_of(space), icc.profile_of("srgb"))
    assert np.percentile(np.abs(back.astype(int) - RGB), 99) <= 3


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_profiles_are_embedded(format: str) -> None:
    profile = icc.profile_of("displayp3")
    image = opened(encode_picture(RGB, format, 100, profile))  # type: ignore[arg-type]
    assert image.info["icc_profile"] == profile
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - RGB).max() <= 6


def test_long_profiles_are_split_into_segments() -> None:
    profile = icc.profile_of("srgb") + RNG.bytes(150_000)
    assert opened(encode_picture(RGB, "jpeg", 90, profile)).info["icc_profile"] == profile


@pytest.mark.parametrize("damage", [b"", b"x" * 200, icc.profile_of("srgb")[:100]])
def test_what_is_no_profile(damage: bytes) -> None:
    with pytest.raises(DataError, match="ICCProfile"):
        icc.check_profile(damage)


def test_damaged_profile_is_refused() -> None:
    whole = icc.profile_of("srgb")
    damaged = whole[:140] + bytes(len(whole) - 140)
    with pytest.raises(DataError, match="conversion"):
        icc.convert(RGB, damaged, icc.profile_of("adobergb"))


def test_every_format_has_a_media_type() -> None:
    assert set(FORMATS.values()) == {"png", "jpeg", "webp", "gif", "jp2", "raw"}
