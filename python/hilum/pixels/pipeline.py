"""One stored frame to one picture: modality LUT, VOI LUT, colour, crop, scale, PNG or JPEG (PS3.3 C.11, PS3.4 N.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hilum import _core
from hilum.codecs.decode import as_tuple, for_core
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.pixels.description import RenderingAttributes
    from hilum.types import PixelDescription

__all__ = ["RenderSettings", "Window", "render_frame", "render_pixels", "stored_range"]

ImageFormat: TypeAlias = Literal["png", "jpeg"]


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality values (HU for CT)."""

    center: float
    width: float
    """At least 1 for LINEAR, above 0 otherwise."""
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """What a viewer may ask for; the defaults show the frame as its file says, at its own size."""

    width: int = 0
    """Columns of the picture at most; 0: as `height` and the aspect demand."""
    height: int = 0
    """Rows of the picture at most; 0: as `width` and the aspect demand. Both 0: the image's own size."""
    region: tuple[int, int, int, int] | None = None
    """``(x, y, columns, rows)`` in pixels of the image, from its upper left corner."""
    window: Window | None = None
    """Instead of what the file says."""
    window_index: int = 0
    """Which of the file's windows and, after them, VOI LUTs."""
    invert: bool = False
    square_pixels: bool = True
    """Stretch images whose pixels are not square to their true proportions."""
    format: ImageFormat = "jpeg"
    quality: int = 90
    """Of JPEG, 1-100. Colour is subsampled below 90."""

    def __post_init__(self) -> None:
        """Refuse what the core would refuse with a less helpful message."""
        if self.width < 0 or self.height < 0 or self.window_index < 0:
            raise UsageError("width, height and window_index must not be negative")
        if self.region is not None and min(self.region) < 0:
            raise UsageError("the region must not reach before the image")


DEFAULT_SETTINGS = RenderSettings()


def _window(settings: RenderSettings) -> tuple[float, float, str] | None:
    window = settings.window
    return None if window is None else (window.center, window.width, window.function)


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
        A PNG or a JPEG file; 8-bit grey or RGB. The same request gives the same bytes.

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
    return _core.render(
        data,
        transfer_syntax_uid,
        as_tuple(pixels),
        attributes,
        frame_bit_offset=bit_offset,
        width=settings.width,
        height=settings.height,
        region=settings.region,
        window=_window(settings),
        window_index=settings.window_index,
        invert=settings.invert,
        square_pixels=settings.square_pixels,
        format=settings.format,
        quality=settings.quality,
    )


def render_pixels(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    attributes: RenderingAttributes,
    settings: RenderSettings = DEFAULT_SETTINGS,
    *,
    bit_offset: int = 0,
) -> npt.NDArray[np.uint8]:
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

    Returns
    -------
    ndarray
        ``uint8``, ``(rows, columns)`` for grey or ``(rows, columns, 3)`` for RGB.
    """
    data, transfer_syntax_uid, pixels, bit_offset = for_core(data, transfer_syntax_uid, pixels, bit_offset)
    samples, rows, columns, channels = _core.render_pixels(
        data,
        transfer_syntax_uid,
        as_tuple(pixels),
        attributes,
        frame_bit_offset=bit_offset,
        width=settings.width,
        height=settings.height,
        region=settings.region,
        window=_window(settings),
        window_index=settings.window_index,
        invert=settings.invert,
        square_pixels=settings.square_pixels,
    )
    shape: tuple[Any, ...] = (rows, columns) if channels == 1 else (rows, columns, channels)
    return np.frombuffer(samples, np.uint8).reshape(shape)


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
