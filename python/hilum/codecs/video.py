"""Poster frames of video (MPEG-2, H.264, HEVC: PS3.5 A.4.5 to A.4.9), and animations as MP4, by PyAV: ``hilum[video]``.

Video is stored and served as it is; only a picture of it needs a decoder.
"""

from __future__ import annotations

import functools
import io
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from hilum.codecs.providers import joined
from hilum.errors import DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = ["as_rgb", "can_encode", "encode_mp4", "is_video", "poster_frame"]

_ROOT = "1.2.840.10008.1.2.4.10"
_MAX_PACKETS = 4096
_ENCODER = "libx264"
_BEST, _WORST = 10, 45
"""Constant rate factors of H.264 that quality 100 and 1 stand for."""


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


@functools.cache
def can_encode() -> bool:
    """Whether PyAV is installed and has an encoder for H.264."""
    try:
        import av
    except ImportError:
        return False
    return _ENCODER in av.codecs_available


def encode_mp4(images: Iterable[npt.NDArray[np.uint8]], rate: float, quality: int) -> bytes:
    """Write pictures of one size as an MP4 file (H.264, 4:2:0).

    Parameters
    ----------
    images : iterable of ndarray
        ``uint8``, all ``(rows, columns)`` or ``(rows, columns, 3)``; an odd last row or column is repeated, as H.264 of
        this kind has even sizes.
    rate : float
        Pictures a second, 0.1 to 120.
    quality : int
        1 to 100.

    Raises
    ------
    Unavailable
        PyAV is not installed, or lacks the encoder.
    """
    if not can_encode():
        raise Unavailable("video is written by PyAV with H.264: pip install 'hilum[video]'")
    import av
    import numpy as np

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video: Any = None
        for image in images:
            rows, columns = image.shape[:2]
            even = np.pad(image, ((0, rows % 2), (0, columns % 2), (0, 0))[: image.ndim], mode="edge")
            if video is None:
                video = container.add_stream(_ENCODER, rate=Fraction(min(max(rate, 0.1), 120)).limit_denominator(1000))
                video.height, video.width, video.pix_fmt = *even.shape[:2], "yuv420p"
                factor = round(_WORST + (_BEST - _WORST) * (quality - 1) / 99)
                video.options = {"crf": str(factor), "preset": "veryfast"}
                video.thread_count = 1  # the same bytes on every machine
            picture = av.VideoFrame.from_ndarray(even, format="gray" if even.ndim == 2 else "rgb24")
            container.mux(video.encode(picture))
        if video is not None:
            container.mux(video.encode())
    return stream.getvalue()


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
