"""Stored frames to arrays of stored values, before any look-up table (PS3.3 C.7.6.3, PS3.5 section 8 and Annex A)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hilum import _core
from hilum.codecs.providers import joined, provider_of
from hilum.codecs.registry import core_decodes
from hilum.errors import HilumError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from typing_extensions import Buffer

    from hilum.types import PixelDescription

__all__ = [
    "EncodedFrame",
    "as_tuple",
    "check_out",
    "decode_frame",
    "decode_frames",
    "for_core",
    "for_each_frame",
    "frame_dtype",
    "frame_shape",
]

Frame: TypeAlias = "npt.NDArray[Any]"
_SIGN_IN_CODE_STREAM = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")  # JPEG 2000 and HTJ2K


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
    return np.dtype(f"{'i' if pixels.pixel_representation else 'u'}{(pixels.bits_allocated + 7) // 8}")


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


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame as it is stored, in memory."""

    data: Buffer | Sequence[Buffer]
    """Its bytes, or its fragments."""
    transfer_syntax_uid: str
    pixels: PixelDescription
    bit_offset: int = 0
    """Bits of the first byte that belong to the frame before (one bit allocated only)."""


def check_out(out: Frame, pixels: PixelDescription, frames: int | None = None) -> None:
    """Check that an array can take decoded frames.

    Parameters
    ----------
    out : ndarray
    pixels : PixelDescription
        Of each frame.
    frames : int, optional
        The array is to hold that many, along its first axis; None: one, without such an axis.

    Raises
    ------
    UsageError
        Its shape or type is another one, it is read-only, or its values do not lie one after the other.
    """
    shape, dtype = frame_shape(pixels), frame_dtype(pixels)
    what = "the frame is"
    if frames is not None:
        shape, what = (frames, *shape), "the frames are"
    if out.shape != shape or out.dtype != dtype:
        raise UsageError(f"out is {out.dtype} {out.shape}, {what} {dtype} {shape}")
    if not out.flags.writeable:
        raise UsageError("out is read-only")
    if not out.flags.c_contiguous:
        raise UsageError("out is strided: it must be C-contiguous")


def decode_frames(frames: Sequence[EncodedFrame], out: Frame | None = None, *, threads: int = 0) -> Frame:
    """Decode many frames in one call, in parallel; the GIL is released meanwhile.

    Parameters
    ----------
    frames : sequence of EncodedFrame
        At least one; all of one shape and type. Transfer syntaxes may differ.
    out : ndarray, optional
        C-contiguous, ``(frames, rows, columns)`` or ``(frames, rows, columns, samples)``; filled and returned. After an
        error its contents are undefined.
    threads : int
        0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

    Returns
    -------
    ndarray
        Stored values, as from `decode_frame`.

    Raises
    ------
    DataError, LimitExceeded
        As `decode_frame`, of the first frame that has one: ``error.frame`` says which (from 0), ``error.offset`` where
        in its bytes.
    UsageError
        No frames, frames of different shape or type, or an `out` that does not fit.
    """
    if not frames:
        raise UsageError("there are no frames to decode")
    first = frames[0].pixels
    for index, frame in enumerate(frames):
        if frame.pixels is not first and _kind(frame.pixels) != _kind(first):
            error = UsageError(f"frame {index} of the request is not of the shape and type of the first")
            error.frame = index
            raise error
    _core.check_pixels(as_tuple(first))
    if out is None:
        out = np.empty((len(frames), *frame_shape(first)), frame_dtype(first))
    else:
        check_out(out, first, len(frames))
    if all(core_decodes(frame.transfer_syntax_uid) for frame in frames):
        _core.decode_frames(
            [(f.data, f.transfer_syntax_uid, as_tuple(f.pixels), f.bit_offset) for f in frames],
            out=out,
            threads=threads,
        )
    else:
        target = out
        for_each_frame(
            len(frames),
            lambda i: decode_frame(
                frames[i].data,
                frames[i].transfer_syntax_uid,
                frames[i].pixels,
                bit_offset=frames[i].bit_offset,
                out=target[i],
            ),
            threads,
        )
    return out


def for_each_frame(count: int, decode: Callable[[int], object], threads: int = 0) -> None:
    """Call a decoder of another library for each frame of a request, on several Python threads.

    Parameters
    ----------
    count : int
    decode : callable
        Of the position of a frame; releases the GIL while it works.
    threads : int
        As in `decode_frames`.

    Raises
    ------
    HilumError
        Of the first frame that has one; ``error.frame`` says which.
    """

    def one(index: int) -> None:
        try:
            decode(index)
        except HilumError as error:
            error.frame = index
            raise

    workers = min(count, threads or _core.default_threads())
    if workers < 2:
        for index in range(count):
            one(index)
        return
    with ThreadPoolExecutor(workers) as pool:
        tasks = [pool.submit(one, index) for index in range(count)]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _kind(pixels: PixelDescription) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return frame_shape(pixels), frame_dtype(pixels)


def decode_frame(
    data: Buffer | Sequence[Buffer],
    transfer_syntax_uid: str,
    pixels: PixelDescription,
    *,
    bit_offset: int = 0,
    out: Frame | None = None,
    report: list[str] | None = None,
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
    report : list of str, optional
        Gets a sentence for each attribute that the code stream contradicts and that was decoded by the code stream all
        the same: Bits Stored, Pixel Representation. Other contradictions are errors.

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
    if out is None:
        out = np.empty(frame_shape(pixels), frame_dtype(pixels))
    else:
        check_out(out, pixels)
    provider = None if core_decodes(transfer_syntax_uid) else provider_of(transfer_syntax_uid)
    if provider is not None:
        provider.decode(joined(data), pixels, out)
        return out
    precision, is_signed = _core.decode(data, transfer_syntax_uid, fields, bit_offset, out=out)
    if report is not None:
        report += _contradictions(transfer_syntax_uid, pixels, precision, is_signed)
    return out


def _contradictions(
    transfer_syntax_uid: str, pixels: PixelDescription, precision: int, is_signed: bool
) -> Iterator[str]:
    if pixels.keyword == "PixelData" and pixels.bits_allocated > 1 and precision != pixels.bits_stored:
        yield (
            f"the code stream has {precision} bits a sample, Bits Stored (0028,0101) is {pixels.bits_stored}: "
            "the code stream is believed"
        )
    if transfer_syntax_uid.startswith(_SIGN_IN_CODE_STREAM) and is_signed != (pixels.pixel_representation == 1):
        code_stream, attribute = ("signed", "unsigned") if is_signed else ("unsigned", "signed")
        yield (
            f"the code stream is {code_stream}, Pixel Representation (0028,0103) says {attribute}: "
            "the code stream is believed"
        )


def for_core(
    data: Buffer | Sequence[Buffer], transfer_syntax_uid: str, pixels: PixelDescription, bit_offset: int = 0
) -> tuple[Buffer | Sequence[Buffer], str, PixelDescription, int]:
    """Give what the core can decode by itself: the frame as it is, or decoded by a provider and native.

    Parameters
    ----------
    data, transfer_syntax_uid, pixels, bit_offset
        As of `decode_frame`.

    Returns
    -------
    tuple
        The same four.

    Raises
    ------
    DataError
        As `decode_frame`.
    """
    if core_decodes(transfer_syntax_uid) or provider_of(transfer_syntax_uid) is None:
        return data, transfer_syntax_uid, pixels, bit_offset
    decoded = decode_frame(data, transfer_syntax_uid, pixels)
    colour = "RGB" if pixels.samples_per_pixel == 3 else pixels.photometric_interpretation
    native = replace(pixels, planar_configuration=0, photometric_interpretation=colour, number_of_frames=1)
    return decoded.tobytes(), "1.2.840.10008.1.2.1", native, 0
