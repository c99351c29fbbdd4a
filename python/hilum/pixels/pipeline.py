"""One stored frame to one picture, an array or a file, as RenderSettings say (PS3.3 C.11, PS3.4 N.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hilum import _core
from hilum.codecs.decode import as_tuple, for_core
from hilum.errors import UsageError
from hilum.pixels.settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.pixels.description import RenderingAttributes
    from hilum.types import PixelDescription

__all__ = ["render_frame", "render_pixels", "stored_range"]

DEFAULT_SETTINGS = RenderSettings()


def render_frame(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    attributes: RenderingAttributes,
    settings: RenderSettings = DEFAULT_SETTINGS,
    *,
    bit_offset: int = 0,
) -> bytes:
    """Render one stored frame to a file; one call into the core, the GIL released.

    Parameters
    ----------
    data : buffer or sequence of buffers
        The frame as stored, or its fragments.
    transfer_syntax_uid : str
        Of the object.
    pixels : PixelDescription
        Of the object.
    attributes : RenderingAttributes
        Of the frame.
    settings : RenderSettings
        What was asked for.
    bit_offset : int
        Bits of the first byte that belong to the frame before (one bit allocated only).

    Returns
    -------
    bytes
        A PNG or a JPEG file; grey or RGB. The same request gives the same bytes.

    Raises
    ------
    DataError
        As ``decode_frame``, and for colour without a known conversion to RGB.
    UsageError
        A window, region or quality that cannot be.
    LimitExceeded
        The frame or the picture is above the core's limits.
    """
    data, transfer_syntax_uid, pixels, bit_offset = for_core(data, transfer_syntax_uid, pixels, bit_offset)
    return _core.render(data, transfer_syntax_uid, as_tuple(pixels), attributes, settings.request, bit_offset)


def render_pixels(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    attributes: RenderingAttributes,
    settings: RenderSettings = DEFAULT_SETTINGS,
    *,
    bit_offset: int = 0,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Render one stored frame to an array instead of a file; parameters and errors of ``render_frame``.

    Parameters
    ----------
    data : buffer or sequence of buffers
        The frame as stored, or its fragments.
    transfer_syntax_uid : str
        Of the object.
    pixels : PixelDescription
        Of the object.
    attributes : RenderingAttributes
        Of the frame.
    settings : RenderSettings
        What was asked for; format and quality are not used.
    bit_offset : int
        Bits of the first byte that belong to the frame before (one bit allocated only).
    out : ndarray, optional
        C-contiguous, of the shape and type of the result; filled and returned. After an error its values are undefined.

    Returns
    -------
    ndarray
        ``uint8``, ``(rows, columns)`` for grey or ``(rows, columns, 3)`` for RGB; ``uint16`` with ``settings.bits`` 16.

    Raises
    ------
    UsageError
        `out` does not fit.
    """
    data, transfer_syntax_uid, pixels, bit_offset = for_core(data, transfer_syntax_uid, pixels, bit_offset)
    fields, request = as_tuple(pixels), settings.request
    if out is None:
        rows, columns, samples, sample_bytes = _core.picture_shape(fields, attributes, request)
        shape = (rows, columns) if samples == 1 else (rows, columns, samples)
        out = np.empty(shape, np.uint8 if sample_bytes == 1 else np.uint16)
    elif out.dtype.kind != "u":
        raise UsageError(f"out is {out.dtype}, pictures are uint8 or uint16")
    elif not out.flags.writeable:
        raise UsageError("out is read-only")
    elif not out.flags.c_contiguous:
        raise UsageError("out is strided: it must be C-contiguous")
    _core.render_pixels(data, transfer_syntax_uid, fields, attributes, request, out, bit_offset)
    return out


def stored_range(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    attributes: RenderingAttributes,
    *,
    bit_offset: int = 0,
) -> tuple[float, float] | None:
    """Find the least and greatest stored value of a frame, pixel padding (PS3.3 C.7.5.1.1.2) left out.

    Parameters
    ----------
    data : buffer or sequence of buffers
        The frame as stored, or its fragments.
    transfer_syntax_uid : str
        Of the object.
    pixels : PixelDescription
        Of the object; one sample per pixel.
    attributes : RenderingAttributes
        Of the frame, for the padding.
    bit_offset : int
        Bits of the first byte that belong to the frame before (one bit allocated only).

    Returns
    -------
    tuple of float, or None
        In stored units; None when all is padding.
    """
    data, transfer_syntax_uid, pixels, bit_offset = for_core(data, transfer_syntax_uid, pixels, bit_offset)
    return _core.stored_range(data, transfer_syntax_uid, as_tuple(pixels), attributes, frame_bit_offset=bit_offset)
