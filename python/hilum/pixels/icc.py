"""ICC profiles of rendered pictures (PS3.18 8.3.5.1.5, PS3.3 C.11.15): the four named spaces, and conversion to them.

The profiles are written here from the published primaries and curves, so that the same request gives the same bytes;
littleCMS (in Pillow) converts.
"""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ColourSpace", "check_profile", "convert", "profile_of"]

ColourSpace: TypeAlias = Literal["srgb", "adobergb", "rommrgb", "displayp3"]

_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# Red, green and blue as XYZ under D50, and the curve: gamma, or the five numbers of ICC.1 parametric type 3.
_SPACES: Final[dict[str, tuple[str, tuple[tuple[float, float, float], ...], tuple[float, ...]]]] = {
    "srgb": (
        "sRGB IEC 61966-2-1",
        ((0.4360747, 0.2225045, 0.0139322), (0.3850649, 0.7168786, 0.0971045), (0.1430804, 0.0606169, 0.7141733)),
        _SRGB_CURVE,
    ),
    "adobergb": (
        "Compatible with Adobe RGB (1998)",
        ((0.6097559, 0.3111242, 0.0194811), (0.2052401, 0.6256560, 0.0608902), (0.1492240, 0.0632197, 0.7448387)),
        (563 / 256,),
    ),
    "rommrgb": (
        "ROMM RGB ISO 22028-2",
        ((0.7976749, 0.2880402, 0.0), (0.1351917, 0.7118741, 0.0), (0.0313534, 0.0000857, 0.8252100)),
        (1.8, 1.0, 0.0, 1 / 16, 16 * 0.001953125),
    ),
    "displayp3": (
        "Display P3",
        ((0.5151187, 0.2411892, -0.0010505), (0.2919778, 0.6922441, 0.0418791), (0.1571035, 0.0665668, 0.7840713)),
        _SRGB_CURVE,
    ),
}
_D50: Final = (0.9642, 1.0, 0.8249)
_CHAD: Final = (1.0478112, 0.0228866, -0.0501270, 0.0295424, 0.9904844, -0.0170491, -0.0092345, 0.0150436, 0.7521316)
_MAX_PROFILE: Final = 4 << 20
_HEAD: Final = 128


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _text(value: str) -> bytes:
    encoded = value.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _curve(numbers: tuple[float, ...]) -> bytes:
    kind = 0 if len(numbers) == 1 else 3
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*numbers)


@lru_cache(maxsize=4)
def profile_of(space: ColourSpace) -> bytes:
    """Write the profile of a named colour space: ICC.1 version 4, matrix and curves.

    Parameters
    ----------
    space : {"srgb", "adobergb", "rommrgb", "displayp3"}

    Returns
    -------
    bytes

    Raises
    ------
    UsageError
        Another name.
    """
    if space not in _SPACES:
        raise UsageError(f"the colour space is none of {', '.join(get_args(ColourSpace))}")
    name, primaries, curve = _SPACES[space]
    tags: dict[bytes, bytes] = {
        b"desc": _text(name),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50),
    }
    if space != "rommrgb":  # its white is D50 itself
        tags[b"chad"] = b"sf32\0\0\0\0" + _fixed(*_CHAD)
    for letter, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*primary)
    for letter in (b"r", b"g", b"b"):
        tags[letter + b"TRC"] = _curve(curve)
    table, body, places = b"", b"", dict[bytes, int]()
    start = _HEAD + 4 + 12 * len(tags)
    for tag, content in tags.items():
        if content not in places:
            places[content] = start + len(body)
            body += content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, places[content], len(content))
    head = struct.pack(
        ">I4sI4s4s4s6H4s4sI4s4sQI12s4s44x",
        start + len(body),
        b"\0\0\0\0",
        0x04300000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        *(2024, 1, 1, 0, 0, 0),
        b"acsp",
        b"\0\0\0\0",
        0,
        b"\0\0\0\0",
        b"\0\0\0\0",
        0,
        0,
        _fixed(*_D50),
        b"\0\0\0\0",
    )
    return head + struct.pack(">I", len(tags)) + table + body


def check_profile(profile: bytes) -> bytes:
    """Check that the ICC Profile (0028,2000) of an image can be what it says.

    Parameters
    ----------
    profile : bytes

    Returns
    -------
    bytes
        Without what follows its own length.

    Raises
    ------
    DataError
        No profile, not of RGB, or longer than 4 MiB.
    """
    length = int.from_bytes(profile[:4], "big")
    if len(profile) < _HEAD or profile[36:40] != b"acsp" or not _HEAD <= length <= len(profile):
        raise DataError("ICCProfile (0028,2000) is no ICC profile", code=8)
    if length > _MAX_PROFILE or profile[16:20] != b"RGB ":
        raise DataError("ICCProfile (0028,2000) is not one of RGB samples, or longer than 4 MiB", code=8)
    return profile[:length]


def convert(image: npt.NDArray[np.uint8], source: bytes, target: bytes) -> npt.NDArray[np.uint8]:
    """Convert RGB samples from one profile to another, perceptually.

    Parameters
    ----------
    image : ndarray
        ``(rows, columns, 3)`` of ``uint8``.
    source, target : bytes
        Profiles.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    DataError
        The source profile cannot be used.
    """
    if source == target:
        return image
    from PIL import Image, ImageCms

    try:
        transform = _transform(source, target)
    except (ImageCms.PyCMSError, OSError, ValueError):
        raise DataError("ICCProfile (0028,2000) cannot be used for a conversion", code=8) from None
    converted = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(image)), transform)
    return np.asarray(converted, np.uint8)


@lru_cache(maxsize=16)
def _transform(source: bytes, target: bytes) -> Any:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(source)),
        ImageCms.ImageCmsProfile(io.BytesIO(target)),
        "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.PERCEPTUAL,
    )
