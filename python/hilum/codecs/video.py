"""Poster frames of video (MPEG-2, H.264, HEVC: PS3.5 A.4.5 to A.4.9), by PyAV: ``pip install 'hilum[video]'``.

Video is stored and served as it is; only a picture of it needs a decoder.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hilum.codecs.providers import joined
from hilum.errors import DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = ["as_rgb", "is_video", "poster_frame"]

_ROOT = "1.2.840.10008.1.2.4.10"
_MAX_PACKETS = 4096


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether the pixel data is one video stream for all frames.

    Parameters
    ----------
    transfer_syntax_uid : str

    Returns
    -------
    bool
    """
    return transfer_syntax_uid.startswith(_ROOT) and transfer_syntax_uid[len(_ROOT) :][:1] in tuple("012345678")


def poster_frame(data: Buffer | Sequence[Buffer], pixels: PixelDescription) -> npt.NDArray[np.uint8]:
    """Decode the first picture of a video.

    Parameters
    ----------
    data : buffer or sequence of buffers
        The stream, or its fragments.
    pixels : PixelDescription
        Of the object; the picture must have its rows and columns.

    Returns
    -------
    ndarray
        ``(rows, columns, 3)`` of ``uint8``, RGB.

    Raises
    ------
    DataError
        No picture can be decoded, or it has another size than the data set says.
    Unavailable
        PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise Unavailable("pictures of video need PyAV: pip install 'hilum[video]'") from None
    try:
        with av.open(io.BytesIO(joined(data)), mode="r") as container:
            picture = _first(container)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise DataError(f"the video cannot be decoded: {type(error).__name__}", code=10) from None
    if (picture.height, picture.width) != (pixels.rows, pixels.columns):
        raise DataError(
            f"the video is {picture.height}x{picture.width}, the data set says {pixels.rows}x{pixels.columns}", code=10
        )
    rgb: npt.NDArray[np.uint8] = picture.to_ndarray(format="rgb24")
    return rgb


def as_rgb(pixels: PixelDescription) -> PixelDescription:
    """Describe what `poster_frame` gives, as native pixel data of one frame.

    Parameters
    ----------
    pixels : PixelDescription
        Of the video.

    Returns
    -------
    PixelDescription
    """
    return replace(
        pixels,
        samples_per_pixel=3,
        planar_configuration=0,
        bits_allocated=8,
        bits_stored=8,
        high_bit=7,
        pixel_representation=0,
        photometric_interpretation="RGB",
        number_of_frames=1,
    )


def _first(container: Any) -> Any:
    """Find the first picture of the first video stream."""
    stream = container.streams.video[0]
    stream.thread_count = 1
    for number, packet in enumerate(container.demux(stream)):
        for picture in packet.decode():
            return picture
        if number > _MAX_PACKETS:
            break
    raise DataError("the video has no picture", code=10)
