"""Pictures to files: PNG, JPEG, WebP, GIF, JPEG 2000 and bare samples.

PNG and JPEG are written by the core: the same picture gives the same PNG on every machine. WebP and GIF are written by
Pillow's libwebp and GIF encoder, JPEG 2000 by OpenJPEG.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from hilum import _core
from hilum.codecs.video import encode_mp4
from hilum.errors import LimitExceeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

__all__ = [
    "ANIMATED",
    "DEEP",
    "FORMATS",
    "FileFormat",
    "Picture",
    "AnimationFormat",
    "encode_animation",
    "encode_picture",
    "media_type_of",
]

FileFormat: TypeAlias = Literal["png", "jpeg", "webp", "gif", "jp2", "raw"]
AnimationFormat: TypeAlias = Literal["gif", "webp", "apng", "mp4"]
Samples: TypeAlias = "npt.NDArray[Any]"

FORMATS: Final[dict[str, FileFormat]] = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/jp2": "jp2",
    "application/octet-stream": "raw",
}
"""What can be made, by media type; the usual one first."""

ANIMATED: Final = ("gif", "webp")
"""Formats that hold several frames."""

DEEP: Final = ("png", "jp2", "raw")
"""Formats that hold 16 bits."""

_MAX_SIDE: Final[dict[str, int]] = {"jpeg": 65500, "webp": 16383, "gif": 65535}
_MAX_ANIMATION_BYTES: Final = 256 << 20
_MIN_DELAY_MS: Final = 20
_MAX_DELAY_MS: Final = 60_000
_ICC_CHUNK: Final = 65519
_LOSSLESS: Final = 100
_J2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
_J2K: Final = "1.2.840.10008.1.2.4.91"


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered file."""

    data: bytes
    format: FileFormat
    shape: tuple[int, ...] = ()
    """Of raw samples: ``(rows, columns)`` of grey, ``(rows, columns, 3)`` of RGB. Files of other formats say it."""
    dtype: str = ""
    """Of raw samples: ``uint8``, or ``uint16`` in little endian."""

    @property
    def media_type(self) -> str:
        """Media type of the file."""
        return media_type_of(self.format)


def media_type_of(format: str) -> str:
    """Media type of a format.

    Parameters
    ----------
    format : str

    Returns
    -------
    str

    Raises
    ------
    UsageError
        Not a format.
    """
    for name, candidate in FORMATS.items():
        if candidate == format:
            return name
    raise UsageError(f"the format is none of {', '.join(FORMATS.values())}")


def _check(image: Samples, format: str, quality: int) -> None:
    media_type_of(format)
    if not 1 <= quality <= 100:
        raise UsageError("quality must be from 1 to 100")
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise UsageError("a picture has 8 or 16-bit unsigned samples, grey or RGB")
    if image.dtype == np.uint16 and format not in DEEP:
        raise UsageError(f"pictures of 16 bits are written as {', '.join(DEEP)}")
    if max(image.shape[:2]) > _MAX_SIDE.get(format, 1 << 31):
        raise LimitExceeded(f"a {format} file has at most {_MAX_SIDE[format]} pixels in a row or column")


def encode_picture(image: Samples, format: FileFormat, quality: int = 90, profile: bytes | None = None) -> bytes:
    """Write one picture.

    Parameters
    ----------
    image : ndarray
        ``(rows, columns)`` of grey or ``(rows, columns, 3)`` of RGB; ``uint8``, for PNG, JP2 and raw also ``uint16``.
    format : {"png", "jpeg", "webp", "gif", "jp2", "raw"}
        Raw: the samples in little endian, row by row, without a head.
    quality : int
        Of JPEG, WebP and JP2, 1 to 100; a WebP or JP2 of 100 is lossless. Others of JP2 mean a
        size: 90 a tenth of the samples', 50 a 46th.
    profile : bytes, optional
        ICC profile to put into a PNG, JPEG or WebP.

    Returns
    -------
    bytes

    Raises
    ------
    UsageError
        Another array, format or quality.
    LimitExceeded
        The format does not hold so many pixels.
    """
    _check(image, format, quality)
    if format == "raw":
        return image.astype(image.dtype.newbyteorder("<"), copy=False).tobytes()
    if format in ("png", "jpeg"):
        shape = (image.shape[0], image.shape[1], image.shape[2] if image.ndim == 3 else 1, image.dtype.itemsize)
        data = _core.encode_picture(np.ascontiguousarray(image), shape, format, quality)  # type: ignore[arg-type]
        return with_profile(data, profile) if profile else data
    if format == "jp2":
        return _jp2(image, quality)
    picture = _pillow(image)
    stream = io.BytesIO()
    if format == "gif":
        picture.save(stream, "GIF", optimize=False)
    else:
        extra = {"icc_profile": profile} if profile else {}
        picture.save(stream, "WEBP", **_webp(quality), **extra)
    return stream.getvalue()


def encode_animation(
    images: Iterable[Samples],
    format: AnimationFormat,
    delays_ms: Sequence[float] | float = 100.0,
    quality: int = 90,
    *,
    count: int = 1,
) -> bytes:
    """Write frames of one size as an animation that repeats.

    Parameters
    ----------
    images : iterable of ndarray
        ``uint8``, all ``(rows, columns)`` or ``(rows, columns, 3)``.
    format : {"gif", "webp", "apng", "mp4"}
    delays_ms : float or sequence of float
        Milliseconds of a frame, from 20 (browsers show shorter ones slower) to 60 000; others are given the nearest.
        Of MP4 all have the first one's.
    quality : int
        Of WebP, of which 100 is lossless, and MP4.
    count : int
        How many frames there will be, so that too many are refused with the first.

    Returns
    -------
    bytes

    Raises
    ------
    UsageError
        No frames, or of different shapes.
    LimitExceeded
        More than 256 MiB of samples.
    Unavailable
        MP4 without PyAV.
    """
    frames: list[Any] = []
    shape: tuple[int, ...] | None = None
    size = 0
    for image in images:
        _check(image, "png" if format in ("apng", "mp4") else format, quality)
        if shape is not None and image.shape != shape:
            raise UsageError("the frames of an animation have one shape")
        shape = image.shape
        size += image.nbytes
        if max(size, image.nbytes * count) > _MAX_ANIMATION_BYTES:
            raise LimitExceeded("the animation has more than 256 MiB of samples; ask for fewer frames or a viewport")
        frames.append(image if format == "mp4" else _pillow(image))
    if not frames:
        raise UsageError("an animation has at least one frame")
    given = [delays_ms] * len(frames) if isinstance(delays_ms, int | float) else list(delays_ms)
    delays = [round(min(max(_MIN_DELAY_MS, delay), _MAX_DELAY_MS)) for delay in given]
    if format == "mp4":
        return encode_mp4(frames, 1000 / delays[0], quality)
    options: dict[str, Any] = _webp(quality) if format == "webp" else {"optimize": False}
    stream = io.BytesIO()
    kind = "PNG" if format == "apng" else format.upper()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=delays, loop=0, **options)
    return stream.getvalue()


def _jp2(image: Samples, quality: int) -> bytes:
    from hilum.codecs.encode import LOSSLESS, EncodeOptions, encode_frame
    from hilum.codecs.jp2 import jp2_boxed
    from hilum.types import PixelDescription

    samples, bits = (image.shape[2] if image.ndim == 3 else 1), 8 * image.dtype.itemsize
    colour = "RGB" if samples == 3 else "MONOCHROME2"
    pixels = PixelDescription(
        image.shape[0], image.shape[1], samples, 0, bits, bits, bits - 1, 0, colour, 1, "PixelData"
    )
    if quality == _LOSSLESS:
        return jp2_boxed(encode_frame(np.ascontiguousarray(image), _J2K_LOSSLESS, pixels, LOSSLESS))
    options = EncodeOptions(ratio=1 + 0.9 * (100 - quality))
    return jp2_boxed(encode_frame(np.ascontiguousarray(image), _J2K, pixels, options))


def _webp(quality: int) -> dict[str, Any]:
    return {"lossless": True, "quality": 75} if quality == _LOSSLESS else {"quality": quality}


def _pillow(image: Samples) -> Any:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(image))


def with_profile(data: bytes, profile: bytes) -> bytes:
    """Put an ICC profile into a PNG (iCCP chunk) or JPEG (APP2 segments, ICC.1 B.4) that has none.

    Parameters
    ----------
    data : bytes
        The file, as the core writes it.
    profile : bytes

    Returns
    -------
    bytes
    """
    if data.startswith(b"\x89PNG"):
        body = b"iCCPICC profile\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:33] + chunk + data[33:]  # behind the signature and IHDR
    at = 4 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 2
    pieces = [profile[start : start + _ICC_CHUNK] for start in range(0, len(profile), _ICC_CHUNK)]
    if len(pieces) > 255:
        raise LimitExceeded("the ICC profile is longer than a JPEG holds")
    segments = b"".join(
        b"\xff\xe2" + struct.pack(">H", len(piece) + 16) + b"ICC_PROFILE\0" + bytes((number, len(pieces))) + piece
        for number, piece in enumerate(pieces, 1)
    )
    return data[:at] + segments + data[at:]
