"""Stored frames to arrays of stored values, before any look-up table (PS3.3 C.7.6.3, PS3.5 section 8 and Annex A)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hilum import _core
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = ["as_tuple", "decode_frame", "frame_dtype", "frame_shape"]

Frame: TypeAlias = "npt.NDArray[Any]"


def as_tuple(pixels: PixelDescription) -> tuple[int, int, int, int, int, int, int, int, str, int, str]:
    """Give the pixel description in the form that the core takes.

    Parameters
    ----------
    pixels : PixelDescription

    Returns
    -------
    tuple
        The fields, in order.
    """
    return (
        pixels.rows,
        pixels.columns,
        pixels.samples_per_pixel,
        pixels.planar_configuration,
        pixels.bits_allocated,
        pixels.bits_stored,
        pixels.high_bit,
        pixels.pixel_representation,
        pixels.photometric_interpretation,
        pixels.number_of_frames,
        pixels.keyword,
    )


def frame_dtype(pixels: PixelDescription) -> np.dtype[Any]:
    """Type of the stored values of a decoded frame.

    Parameters
    ----------
    pixels : PixelDescription

    Returns
    -------
    numpy.dtype
        By bits allocated and sign; ``uint8`` for one bit, ``float32`` or ``float64`` for floating point pixel data.
    """
    if pixels.keyword != "PixelData":
        return np.dtype(np.float32 if pixels.keyword == "FloatPixelData" else np.float64)
    if pixels.bits_allocated == 1:
        return np.dtype(np.uint8)
    return np.dtype(f"{'i' if pixels.pixel_representation else 'u'}{max(pixels.bits_allocated, 8) // 8}")


def frame_shape(pixels: PixelDescription) -> tuple[int, ...]:
    """Shape of a decoded frame.

    Parameters
    ----------
    pixels : PixelDescription

    Returns
    -------
    tuple of int
        ``(rows, columns)``, with several samples per pixel ``(rows, columns, samples)``.
    """
    plane = (pixels.rows, pixels.columns)
    return plane if pixels.samples_per_pixel == 1 else (*plane, pixels.samples_per_pixel)


def decode_frame(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    *,
    bit_offset: int = 0,
    out: Frame | None = None,
) -> Frame:
    """Decode one frame; the GIL is released meanwhile.

    Colour is as stored (YBR stays YBR; JPEG 2000's own colour transform is undone), samples are interleaved whatever
    the planar configuration, subsampled chrominance is expanded, unused high bits are cleared or, for
    signed values, filled with the sign.

    Parameters
    ----------
    data : buffer or sequence of buffers
        The frame as stored: its bytes, or its fragments.
    transfer_syntax_uid : str
        Of the object.
    pixels : PixelDescription
        Of the object.
    bit_offset : int
        Bits of the first byte that belong to the frame before (one bit allocated only).
    out : ndarray, optional
        C-contiguous, of the frame's shape and dtype; filled and returned.

    Returns
    -------
    ndarray
        ``(rows, columns)`` or ``(rows, columns, samples)``.

    Raises
    ------
    DataError
        Unknown transfer syntax, unsupported layout, damaged or short code stream, or one that does not fit `pixels`.
    LimitExceeded
        The frame is larger than the core's limits.
    UsageError
        `out` does not fit.
    """
    fields = as_tuple(pixels)
    _core.check_pixels(fields)
    shape, dtype = frame_shape(pixels), frame_dtype(pixels)
    if out is None:
        out = np.empty(shape, dtype)
    elif out.shape != shape or out.dtype != dtype:
        raise UsageError(f"out is {out.dtype} {out.shape}, the frame is {dtype} {shape}")
    _core.decode(data, transfer_syntax_uid, fields, bit_offset, out=out)
    return out
