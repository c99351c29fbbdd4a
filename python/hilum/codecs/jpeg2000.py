"""JPEG 2000 and HTJ2K in parts: fewer resolutions, or a region, without decoding the rest of the frame."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import _core
from hilum.codecs.decode import frame_dtype
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = ["IN_PARTS", "decode_part", "reduced_shape"]

IN_PARTS: Final = frozenset(f"1.2.840.10008.1.2.4.{suffix}" for suffix in (90, 91, 201, 202, 203))
"""Transfer syntaxes whose frames can be decoded in parts."""


def reduced_shape(data: Buffer, reduce: int) -> tuple[int, int] | None:
    """Give rows and columns of a frame without its highest resolutions: each halves both, rounded up.

    Parameters
    ----------
    data : buffer
        The frame as stored.
    reduce : int
        Resolutions to leave out.

    Returns
    -------
    tuple of int or None
        None: the frame has not so many.

    Raises
    ------
    DataError
        Its header is damaged.
    """
    try:
        rows, columns = _core.jpeg2000_size(data, reduce)
    except UsageError:
        return None
    return rows, columns


def decode_part(
    data: Buffer, pixels: PixelDescription, reduce: int = 0, region: tuple[int, int, int, int] | None = None
) -> npt.NDArray[Any]:
    """Decode a part of a frame; code-blocks that it does not depend on are not decoded. The GIL is released meanwhile.

    Parameters
    ----------
    data : buffer
        The frame as stored.
    pixels : PixelDescription
        Of the object.
    reduce : int
        Resolutions to leave out.
    region : (x, y, columns, rows), optional
        In pixels of the frame of `reduced_shape`; None: all of it.

    Returns
    -------
    ndarray
        Stored values, ``(rows, columns)`` or ``(rows, columns, samples)``: without `reduce` the same as those of the
        whole frame.

    Raises
    ------
    DataError
        The part needs what is damaged, or the code stream does not fit `pixels`.
    UsageError
        The region is not inside of the frame, or there are not so many resolutions.
    """
    shape: tuple[int, ...] = (region[3], region[2]) if region else _core.jpeg2000_size(data, reduce)
    if max(shape) > max(pixels.rows, pixels.columns):
        raise DataError("the code stream is larger than Rows (0028,0010) and Columns (0028,0011) say")
    if pixels.samples_per_pixel > 1:
        shape = (*shape, pixels.samples_per_pixel)
    out = np.empty(shape, frame_dtype(pixels))
    _core.decode_jpeg2000(data, astuple(pixels), reduce, 1, region, out=out)
    return out
