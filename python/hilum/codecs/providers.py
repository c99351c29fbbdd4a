"""Decoders of Python packages, for what the core was built without; the same contract: probe, then fill `out`.

The header is read here before a library is called, so that a frame of another size than its data set never reaches it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.types import PixelDescription

__all__ = ["PROVIDERS", "Provider", "joined", "provider_of"]

_BAD_CODESTREAM = 10  # codes of core/include/hilum/error.hpp
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # ISO/IEC 18181-1 D.2


@dataclass(frozen=True, slots=True)
class Provider:
    """One function of one package for some transfer syntaxes."""

    name: str
    """Stable name of the decoder, for logs."""
    package: str
    """Distribution on PyPI, also the module."""
    function: str
    syntaxes: tuple[tuple[str, str], ...]
    """UID and short name of each."""
    size: Callable[[bytes], tuple[int, int]]
    """Rows and columns from the frame's own header."""

    @property
    def version(self) -> str | None:
        """Of the package; None where it is not installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None

    def decode(self, data: bytes, pixels: PixelDescription, out: npt.NDArray[Any]) -> None:
        """Fill `out` with the stored values of one frame.

        Parameters
        ----------
        data : bytes
            The whole frame.
        pixels : PixelDescription
            Of the object.
        out : ndarray
            C-contiguous, of the frame's shape and dtype.

        Raises
        ------
        DataError
            A header that does not fit `pixels`, or what the library refuses.
        """
        rows, columns = self.size(data)
        if (rows, columns) != (pixels.rows, pixels.columns):
            raise DataError(
                f"the code stream is {rows}x{columns}, the data set says {pixels.rows}x{pixels.columns}",
                code=_BAD_CODESTREAM,
            )
        try:
            decoded = np.asarray(getattr(importlib.import_module(self.package), self.function)(data))
        except Exception as error:
            raise DataError(f"{self.name}: {type(error).__name__}", code=_BAD_CODESTREAM) from None
        if decoded.shape != out.shape or decoded.dtype.kind not in "iu" or decoded.dtype.itemsize > out.dtype.itemsize:
            raise DataError(
                f"{self.name} gave {decoded.dtype} {decoded.shape}, the data set says {out.dtype} {out.shape}",
                code=_BAD_CODESTREAM,
            )
        if decoded.dtype.itemsize < out.dtype.itemsize:
            out[...] = decoded
        else:
            out[...] = decoded.view(out.dtype)
        if pixels.pixel_representation == 1 and pixels.bits_stored < out.dtype.itemsize * 8:
            unused = out.dtype.itemsize * 8 - pixels.bits_stored
            np.left_shift(out, unused, out=out)
            np.right_shift(out, unused, out=out)


def _bits(data: bytes) -> Callable[[int], int]:
    """Reader of bits, lowest first."""
    value = int.from_bytes(data[:16], "little")
    place = 0

    def take(count: int) -> int:
        nonlocal place
        found = (value >> place) & ((1 << count) - 1)
        place += count
        return found

    return take


def _jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Rows and columns (ISO/IEC 18181-1 D.2), also inside of boxes (18181-2)."""
    stream = data
    if data[4:12] == b"JXL \r\n\x87\n":
        at, stream = 12, b""
        while at + 12 <= len(data) and not stream:
            length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
            if kind in (b"jxlc", b"jxlp"):
                stream = data[at + (8 if kind == b"jxlc" else 12) :][:32]
            elif length < 8:
                break
            at += length
    if stream[:2] != b"\xff\x0a":
        raise DataError("no JPEG XL code stream", code=_BAD_CODESTREAM, offset=0)
    take = _bits(stream[2:])
    widths = (9, 13, 18, 30)
    if take(1):
        rows = (take(5) + 1) * 8
        ratio = take(3)
        columns = (take(5) + 1) * 8 if ratio == 0 else 0
    else:
        rows = take(widths[take(2)]) + 1
        ratio = take(3)
        columns = take(widths[take(2)]) + 1 if ratio == 0 else 0
    if ratio:
        up, down = _RATIOS[ratio - 1]
        columns = rows * up // down
    return rows, columns


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "imagecodecs_jpegxl",
        "imagecodecs",
        "jpegxl_decode",
        (
            ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
            ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"),
            ("1.2.840.10008.1.2.4.112", "JPEG XL"),
        ),
        _jpeg_xl_size,
    ),
)
"""All, the preferred first; asked only for what the core does not decode (docs/adr/0006-codec-preference.md)."""


@cache
def provider_of(transfer_syntax_uid: str) -> Provider | None:
    """Find the installed provider for a transfer syntax.

    Parameters
    ----------
    transfer_syntax_uid : str

    Returns
    -------
    Provider or None
    """
    for provider in PROVIDERS:
        if any(uid == transfer_syntax_uid for uid, _ in provider.syntaxes) and importlib.util.find_spec(
            provider.package
        ):
            return provider
    return None


def joined(data: Any) -> bytes:
    """Join the fragments of a frame.

    Parameters
    ----------
    data : buffer or sequence of buffers

    Returns
    -------
    bytes
    """
    if isinstance(data, (list, tuple)):
        fragments: Sequence[Any] = data
        return b"".join(bytes(fragment) for fragment in fragments)
    return bytes(data)
