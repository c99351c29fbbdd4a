"""What a header says about the pixels of an object and about how to show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import _core
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["RenderingAttributes", "description_of", "rendering_attributes"]

RenderingAttributes = _core.RenderingAttributes
"""How one frame is to be shown; opaque to Python, ``as_dict()`` for a look inside."""


def description_of(pixels: tuple[int, int, int, int, int, int, int, int, str, int, str]) -> PixelDescription:
    """Name the fields that a scan or an index record gives.

    Parameters
    ----------
    pixels : tuple
        ``Scan.pixels``.

    Returns
    -------
    PixelDescription
    """
    return PixelDescription(*pixels)


def rendering_attributes(header: Buffer, frame: int = 0) -> RenderingAttributes:
    """Read what decides how a frame looks: rescale, windows, look-up tables, palette, padding, pixel aspect.

    The frame's own functional groups go before the shared ones, these before plain attributes (PS3.3 C.7.6.16).

    Parameters
    ----------
    header : buffer
        The object up to its pixel data (or all of it), inflated if it was deflated.
    frame : int
        From 0.

    Returns
    -------
    RenderingAttributes

    Raises
    ------
    DataError
        The header is malformed, or a look-up table contradicts its descriptor.
    """
    return _core.rendering_attributes(header, frame)
