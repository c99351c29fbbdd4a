"""No more of a frame than a picture needs: a lower resolution, or the blocks around a region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.codecs.jpeg2000 import IN_PARTS, reduced_shape
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from hilum.pixels.description import RenderingAttributes
    from hilum.pixels.settings import RenderSettings
    from hilum.types import PixelDescription

__all__ = ["Box", "block_around", "halvings", "is_windowed", "resolutions", "whole_halvings"]

Box = tuple[int, int, int, int]
"""``(left, top, right, bottom)``; the last two are outside."""

_WORTH: Final = 1 << 20
"""Pixels of a frame below which it is decoded whole."""
_BLOCK: Final = 1024
"""Columns and rows that are decoded, and kept, together."""
_MOST: Final = 6


def resolutions(
    data: Buffer, transfer_syntax_uid: str, pixels: PixelDescription, attributes: RenderingAttributes
) -> int | None:
    """Count how often a frame can be halved by leaving resolutions out.

    Only grey frames whose look is decided pixel by pixel: overlays and shutters lie in pixels of the whole frame, and
    padding must not be mixed with values.

    Parameters
    ----------
    data : buffer
        The frame as stored.
    transfer_syntax_uid : str
    pixels : PixelDescription
    attributes : RenderingAttributes

    Returns
    -------
    int or None
        None: it has to be decoded whole.
    """
    if transfer_syntax_uid not in IN_PARTS or pixels.samples_per_pixel != 1 or pixels.rows * pixels.columns < _WORTH:
        return None
    how = attributes.as_dict()
    if how["overlays"] or how["shutter"] or how["pixel_padding"] or how["palette"] or how["is_segmentation"]:
        return None
    if not how["windows"] and not how["voi_luts"]:  # a window out of the values would be another one for each part
        return None
    found = None
    try:
        for reduce in range(_MOST + 1):
            whole = -(-pixels.rows // 2**reduce), -(-pixels.columns // 2**reduce)
            if reduced_shape(data, reduce) != whole:
                break
            found = reduce
    except DataError:  # decoding it whole says what is wrong
        return None
    return found


def is_windowed(settings: RenderSettings) -> bool:
    """Whether settings leave each pixel's look to its value alone."""
    return not settings.auto_window and settings.overlays in ("file", ()) and settings.shutter in ("file", None)


def halvings(box: Box, size: tuple[int, int], shape: tuple[int, int], most: int) -> int:
    """Choose the lowest resolution with a pixel for each that is asked for, on whose pixels the box begins and ends.

    Parameters
    ----------
    box : Box
        In pixels of the frame.
    size : (columns, rows)
        Of the picture.
    shape : (rows, columns)
        Of the frame.
    most : int
        As from `resolutions`.

    Returns
    -------
    int
        Resolutions to leave out.
    """
    left, top, right, bottom = box
    reduce = 0
    while reduce < most:
        step = 2 ** (reduce + 1)
        ends = (right % step == 0 or right == shape[1]) and (bottom % step == 0 or bottom == shape[0])
        if left % step or top % step or not ends:
            break
        if -(-(right - left) // step) < size[0] or -(-(bottom - top) // step) < size[1]:
            break
        reduce += 1
    return reduce


def whole_halvings(edges: Sequence[int], box: Box, size: tuple[int, int], most: int) -> int:
    """Count how often a box can be halved, with a pixel for each that is asked for, while all edges stay whole.

    Parameters
    ----------
    edges : sequence of int
        Of the box, and whatever else must begin and end on pixels.
    box : Box
    size : (columns, rows)
        Of the picture.
    most : int
    """
    halved = 0
    while halved < most:
        step = 2 ** (halved + 1)
        if any(edge % step for edge in edges):
            break
        if (box[2] - box[0]) // step < size[0] or (box[3] - box[1]) // step < size[1]:
            break
        halved += 1
    return halved


def block_around(box: Box, shape: tuple[int, int]) -> Box | None:
    """Widen a box to blocks that neighbours share.

    Parameters
    ----------
    box : Box
    shape : (rows, columns)
        Of what the box lies in.

    Returns
    -------
    Box or None
        None: so much of it that all may be decoded.
    """
    rows, columns = shape
    left, top = box[0] // _BLOCK * _BLOCK, box[1] // _BLOCK * _BLOCK
    right, bottom = min(columns, -(-box[2] // _BLOCK) * _BLOCK), min(rows, -(-box[3] // _BLOCK) * _BLOCK)
    return (left, top, right, bottom) if 2 * (right - left) * (bottom - top) < rows * columns else None
