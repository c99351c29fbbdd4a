"""Arrays of stored values to frames of a transfer syntax (PS3.5 section 8.2 and annex A)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import _core
from hilum.codecs import openjpeg
from hilum.codecs.decode import as_tuple, decode_frame, frame_dtype, frame_shape
from hilum.codecs.registry import can_decode
from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.types import PixelDescription

__all__ = [
    "LOSSLESS",
    "NATIVE",
    "EncodeOptions",
    "Encoder",
    "can_encode",
    "check_encode",
    "encode_frame",
    "encoded_photometric",
    "encoders",
    "is_lossy",
    "lossy_method",
]

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED, EXPLICIT_BIG_ENDIAN})
"""Transfer syntaxes whose pixel data is not encapsulated."""
CONTAINERS: Final = NATIVE | {"1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"}
"""Those that hold whole containers, with whatever is in the bits that are not stored ones."""

_JPEG: Final = "1.2.840.10008.1.2.4.50"
_JPEG_LS_NEAR: Final = "1.2.840.10008.1.2.4.81"
_J2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
_J2K: Final = "1.2.840.10008.1.2.4.91"
_HTJ2K: Final = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
_METHODS: Final = {
    _JPEG: "ISO_10918_1",
    _JPEG_LS_NEAR: "ISO_14495_1",
    _J2K: "ISO_15444_1",
    _HTJ2K[2]: "ISO_15444_15",
}
_UNSUPPORTED: Final = (11, 12)
_DEFAULT_RATIO: Final = 10.0
_DEFAULT_NEAR: Final = 2


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder of one transfer syntax."""

    transfer_syntax_uid: str
    transfer_syntax_name: str
    name: str
    """Stable name, for settings and logs."""
    provider: str
    """Whose code it is: ``"hilum"``, or the library."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """What may be chosen. Lossless syntaxes take no loss, whatever is said here."""

    quality: int = 90
    """JPEG baseline: 1 to 100."""
    near: int = _DEFAULT_NEAR
    """JPEG-LS near-lossless: greatest difference of a sample; 0 is lossless."""
    ratio: float = _DEFAULT_RATIO
    """JPEG 2000 (``.91``): size of the samples to that of the code stream; 0 is lossless."""
    step: float = 0.0
    """HTJ2K (``.203``): quantisation step relative to full scale; 0 is lossless."""
    verify: bool = True
    """Decode every lossless frame and compare."""


LOSSLESS: Final = EncodeOptions(near=0, ratio=0.0, step=0.0)
"""Nothing is lost where the syntax can do without; JPEG baseline cannot."""


@cache
def encoders() -> tuple[Encoder, ...]:
    """All encoders, by transfer syntax.

    Returns
    -------
    tuple of Encoder
    """
    known = [Encoder(uid, TRANSFER_SYNTAXES[uid].name, name, provider) for uid, name, provider in _core.encoders()]
    if openjpeg.library_version():
        known += [
            Encoder(uid, TRANSFER_SYNTAXES[uid].name, "jpeg_2000", "OpenJPEG by glymur")
            for uid in (_J2K_LOSSLESS, _J2K)
        ]
    return tuple(sorted(known, key=lambda encoder: [int(part) for part in encoder.transfer_syntax_uid.split(".")]))


@cache
def _encodable() -> frozenset[str]:
    return frozenset(encoder.transfer_syntax_uid for encoder in encoders())


def can_encode(
    transfer_syntax_uid: str, pixels: PixelDescription | None = None, options: EncodeOptions | None = None
) -> bool:
    """Whether frames can be written in this transfer syntax.

    Parameters
    ----------
    transfer_syntax_uid : str
    pixels : PixelDescription, optional
        Of the frames; without it: whether there is an encoder at all.
    options : EncodeOptions, optional

    Returns
    -------
    bool
    """
    if transfer_syntax_uid not in _encodable():
        return False
    if pixels is None:
        return True
    try:
        check_encode(transfer_syntax_uid, pixels, options)
    except (UsageError, DataError):
        return False
    return True


def is_lossy(transfer_syntax_uid: str, options: EncodeOptions) -> bool:
    """Whether what is written cannot be taken back."""
    return bool(
        transfer_syntax_uid == _JPEG
        or (transfer_syntax_uid == _JPEG_LS_NEAR and options.near)
        or (transfer_syntax_uid == _J2K and options.ratio)
        or (transfer_syntax_uid == _HTJ2K[2] and options.step)
    )


def lossy_method(transfer_syntax_uid: str) -> str:
    """Lossy Image Compression Method (0028,2114) of a syntax that loses (PS3.3 C.7.6.1.1.5.1)."""
    return _METHODS[transfer_syntax_uid]


def encoded_photometric(transfer_syntax_uid: str, pixels: PixelDescription, *, lossy: bool) -> str:
    """Photometric Interpretation (0028,0004) of encoded frames (PS3.5 8.2.1 to 8.2.14).

    Parameters
    ----------
    transfer_syntax_uid : str
    pixels : PixelDescription
        Of the samples that are encoded.
    lossy : bool

    Returns
    -------
    str
    """
    if pixels.samples_per_pixel != 3:
        return pixels.photometric_interpretation
    if transfer_syntax_uid == _JPEG:
        return "YBR_FULL_422"
    if transfer_syntax_uid in (_J2K_LOSSLESS, _J2K, *_HTJ2K) and pixels.photometric_interpretation == "RGB":
        return "YBR_ICT" if lossy else "YBR_RCT"
    return pixels.photometric_interpretation


def check_encode(
    transfer_syntax_uid: str, pixels: PixelDescription, options: EncodeOptions | None = None
) -> EncodeOptions:
    """Refuse what a transfer syntax cannot hold.

    Parameters
    ----------
    transfer_syntax_uid : str
    pixels : PixelDescription
    options : EncodeOptions, optional

    Returns
    -------
    EncodeOptions
        Those that apply: without loss where the syntax has none.

    Raises
    ------
    UsageError
        No encoder, or the description or an option does not fit.
    """
    given = options or EncodeOptions()
    if transfer_syntax_uid not in _encodable():
        known = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
        raise UsageError(f"no encoder for {known.name if known else 'that transfer syntax'}", code=_UNSUPPORTED[0])
    given = replace(
        given,
        near=given.near if transfer_syntax_uid == _JPEG_LS_NEAR else 0,
        ratio=given.ratio if transfer_syntax_uid == _J2K else 0.0,
        step=given.step if transfer_syntax_uid == _HTJ2K[2] else 0.0,
    )
    try:
        if transfer_syntax_uid in (_J2K_LOSSLESS, _J2K):
            _core.check_pixels(as_tuple(pixels))
            if pixels.keyword != "PixelData" or pixels.bits_allocated not in (8, 16):
                raise UsageError("JPEG 2000 holds integers of 8 or 16 bits allocated only", code=_UNSUPPORTED[1])
        else:
            _core.check_encode(
                transfer_syntax_uid, as_tuple(pixels), quality=given.quality, near=given.near, step=given.step
            )
    except DataError as error:
        if error.code in _UNSUPPORTED:
            raise UsageError(str(error), code=error.code) from None
        raise
    if pixels.keyword != "PixelData" and transfer_syntax_uid not in NATIVE:
        raise UsageError("floating point pixel data cannot be encapsulated", code=_UNSUPPORTED[1])
    if is_lossy(transfer_syntax_uid, given) and pixels.photometric_interpretation.startswith("PALETTE"):
        raise UsageError("palette indices cannot be compressed with loss", code=_UNSUPPORTED[1])
    return given


def encode_frame(
    array: npt.NDArray[Any],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    options: EncodeOptions | None = None,
    /,
    **choices: Any,
) -> bytes:
    """Encode one frame; the GIL is released meanwhile.

    Parameters
    ----------
    array : ndarray
        ``(rows, columns)`` or ``(rows, columns, samples)`` of the dtype of `hilum.codecs.decode.frame_dtype`; any
        strides and byte order, may be read-only. One-bit samples as 0 and 1.
    transfer_syntax_uid : str
    pixels : PixelDescription
        Of `array`.
    options : EncodeOptions, optional
    **choices
        Fields of `EncodeOptions`, by name, instead of `options`.

    Returns
    -------
    bytes
        The code stream of the frame, not padded. Native syntaxes: the samples, interleaved.

    Raises
    ------
    UsageError
        Shape, dtype, description or an option does not fit the syntax.
    DataError
        What was encoded does not decode to what it was made of.
    """
    try:
        given = options or EncodeOptions(**choices)
    except TypeError:
        raise UsageError("choices are quality, near, ratio, step and verify") from None
    given = check_encode(transfer_syntax_uid, pixels, given)
    samples = _contiguous(array, pixels)
    if transfer_syntax_uid in (_J2K_LOSSLESS, _J2K):
        data = openjpeg.encode(
            samples,
            precision=_core.precision(samples.data, as_tuple(pixels)),
            signed=pixels.pixel_representation == 1,
            colour_transform=pixels.photometric_interpretation == "RGB",
            ratio=given.ratio,
        )
    else:
        data = _core.encode(
            samples.data, transfer_syntax_uid, as_tuple(pixels), quality=given.quality, near=given.near, step=given.step
        )
    if given.verify and transfer_syntax_uid not in NATIVE and not is_lossy(transfer_syntax_uid, given):
        _verify(data, samples, transfer_syntax_uid, pixels)
    return data


def _contiguous(array: npt.NDArray[Any], pixels: PixelDescription) -> npt.NDArray[Any]:
    shape, dtype = frame_shape(pixels), frame_dtype(pixels)
    if not isinstance(array, np.ndarray):
        raise UsageError(f"the frame must be an ndarray, not {type(array).__name__}")
    fits = array.dtype.newbyteorder("=") == dtype or (array.dtype == bool and pixels.bits_allocated == 1)
    if array.shape != shape or not fits:
        raise UsageError(f"the array is {array.dtype} {array.shape}, the description says {dtype} {shape}")
    return np.ascontiguousarray(array, dtype)


def stored_values(samples: npt.NDArray[Any], pixels: PixelDescription) -> npt.NDArray[Any]:
    """Give samples with Bits Stored at bit 0, what else a container holds cleared or, if signed, the sign."""
    unused = pixels.bits_allocated - pixels.bits_stored
    if pixels.keyword != "PixelData" or pixels.bits_allocated == 1 or not unused:
        return samples
    up = pixels.bits_allocated - 1 - pixels.high_bit
    return np.asarray(np.right_shift(np.left_shift(samples, up), unused))


def _verify(data: bytes, samples: npt.NDArray[Any], uid: str, pixels: PixelDescription) -> None:
    """Compare with what a decoder makes of it."""
    syntax = uid if can_decode(uid) or uid not in _HTJ2K else _J2K_LOSSLESS  # OpenJPEG reads HTJ2K as well
    plain = replace(pixels, planar_configuration=0)
    try:
        decoded = decode_frame(data, syntax, plain)
    except DataError as error:
        raise DataError(f"what was encoded cannot be decoded: {error}", code=error.code) from None
    expected = samples.astype(bool) if pixels.bits_allocated == 1 else stored_values(samples, pixels)
    # With more bits than the stored ones in use, decoders give containers whole.
    if not np.array_equal(decoded, expected) and not np.array_equal(decoded, samples):
        raise DataError("what was encoded does not decode to the same values")
