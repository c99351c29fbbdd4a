"""JPEG DCT frames in parts: the tiles of a slide under a region, as one picture in RGB, at full or lower resolution."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from hilum import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = ["MAX_HALVINGS", "are_rgb_parts", "decode_rgb_parts"]

MAX_HALVINGS: Final = 3
_SYNTAXES: Final = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))
_COLOURS: Final = frozenset(("RGB", "YBR_FULL", "YBR_FULL_422"))
_THREADS_FROM: Final = 1 << 17
"""Pixels of a picture from which on it is worth several threads."""


def are_rgb_parts(transfer_syntax_uid: str, pixels: PixelDescription) -> bool:
    """Whether `decode_rgb_parts` takes frames of an object.

    Parameters
    ----------
    transfer_syntax_uid : str
    pixels : PixelDescription
    """
    return (
        transfer_syntax_uid in _SYNTAXES
        and pixels.samples_per_pixel == 3
        and pixels.bits_allocated == 8
        and pixels.photometric_interpretation in _COLOURS
    )


def decode_rgb_parts(
    parts: Sequence[tuple[Buffer, int, int, int, int, int, int]],
    pixels: PixelDescription,
    out: npt.NDArray[np.uint8],
    *,
    halvings: int = 0,
) -> None:
    """Decode parts of frames into one picture; the GIL is released meanwhile.

    Parameters
    ----------
    parts : sequence of (buffer, x, y, columns, rows, to_x, to_y)
        A frame as stored, what of it is needed (in pixels after its halvings), and where that goes in the picture.
        What is there does not depend on how it is split into parts.
    pixels : PixelDescription
        Of the object, see `are_rgb_parts`.
    out : ndarray
        C-contiguous, ``(rows, columns, 3)`` uint8. What no part covers stays as it is.
    halvings : int
        0 to `MAX_HALVINGS`: each halves rows and columns of the frames, rounded up, by leaving out the highest
        frequencies.

    Raises
    ------
    DataError
        A part needs what is damaged, or the code stream does not fit `pixels`.
    UsageError
        A part is not inside of its frame and the picture.
    """
    threads = 0 if out.shape[0] * out.shape[1] >= _THREADS_FROM else 1
    _core.decode_jpeg_parts(parts, astuple(pixels), halvings, threads, out=out)
