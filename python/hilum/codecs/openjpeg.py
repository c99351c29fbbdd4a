"""JPEG 2000 by glymur: writing bare code streams with its binding of OpenJPEG, and looking into them.

glymur's `Jp2k` writes files, of unsigned samples that fill their container. Its binding (``glymur.lib.openjp2``) can
declare the precision and sign that PS3.5 8.2.4 asks for, and writes to a file in memory. OpenJPEG works without the
GIL; the binding itself only sets argument types, so frames may be encoded by several threads.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

__all__ = ["CodestreamInfo", "encode", "inspect", "library_version"]

_LEVELS: Final = 6
_RATIO_BOUND: Final = 1000.0
_IMPORT: Final = Lock()
_MESSAGE: Final = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_SILENT: Final = _MESSAGE(lambda _text, _data: None)
_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_BOX: Final = b"\0\0\0\x0cjP  "


@dataclass(frozen=True, slots=True)
class CodestreamInfo:
    """What the main header of a JPEG 2000 code stream declares."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits of a sample."""
    signed: bool
    reversible: bool
    """The 5-3 wavelet: can be lossless."""
    colour_transform: bool
    """RCT or ICT."""
    progression: str
    """``LRCP RLCP RPCL PCRL CPRL``."""
    decompositions: int
    layers: int
    high_throughput: bool
    """Part 15 (HTJ2K)."""
    tile_part_lengths: bool
    """There is a TLM marker segment."""


def _openjp2() -> Any:
    with _IMPORT:
        try:
            from glymur.lib import openjp2
        except ImportError:
            raise Unavailable("JPEG 2000 is written by glymur, which is not installed") from None
    if openjp2.OPENJP2 is None:
        raise Unavailable("glymur found no OpenJPEG library")
    return openjp2


def library_version() -> str:
    """Version of the OpenJPEG library that glymur uses, empty without one."""
    try:
        return str(_openjp2().version())
    except Unavailable:
        return ""


@contextmanager
def _memory_file() -> Iterator[tuple[int, str]]:
    """Open a file without a disk under it: descriptor and a path by which it can be opened."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hilum-j2k", os.MFD_CLOEXEC)
        try:
            yield descriptor, f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(suffix=".j2k") as file:
            yield file.fileno(), file.name


def _parameters(lib: Any, rows: int, columns: int, ratio: float, *, transform: bool) -> Any:
    parameters = lib.set_default_encoder_parameters()
    parameters.cod_format = 0
    parameters.tcp_numlayers = 1
    parameters.cp_disto_alloc = 1
    parameters.tcp_rates[0] = ratio
    parameters.irreversible = 1 if ratio else 0
    parameters.tcp_mct = 1 if transform else 0
    # A level less where a side is too short to be halved (OpenJPEG refuses what is left).
    parameters.numresolution = max(1, min(_LEVELS, min(rows, columns).bit_length()))
    return parameters


def encode(
    samples: npt.NDArray[Any], *, precision: int, signed: bool, colour_transform: bool = False, ratio: float = 0.0
) -> bytes:
    """Encode one frame as a bare code stream (no JP2 boxes).

    Parameters
    ----------
    samples : ndarray
        ``(rows, columns)`` or ``(rows, columns, components)``, integers.
    precision : int
        Bits of a sample, 1 to 31; bits beyond are cut.
    signed : bool
    colour_transform : bool
        RCT, or with a `ratio` ICT: three components are RGB.
    ratio : float
        Size of the samples to that of the code stream; 0 is lossless.

    Raises
    ------
    UsageError
        `ratio` or `precision` is out of range.
    DataError
        OpenJPEG refuses.
    Unavailable
        glymur or OpenJPEG is missing.
    """
    if ratio and not 1 < ratio <= _RATIO_BOUND:
        raise UsageError("the ratio of JPEG 2000 must be 0 (lossless) or above 1 and at most 1000")
    if not 1 <= precision <= 31:
        raise UsageError("JPEG 2000 holds samples of 1 to 31 bits")
    # OpenJPEG 2.5.0 reckons too little room for a code block of noise of one bit.
    precision = max(precision, 2)
    lib = _openjp2()
    planes = samples[:, :, np.newaxis] if samples.ndim == 2 else samples
    rows, columns, components = planes.shape
    described = (lib.ImageComptParmType * components)()
    for one in described:
        one.dx = one.dy = 1
        one.w, one.h, one.x0, one.y0 = columns, rows, 0, 0
        one.prec = one.bpp = precision
        one.sgnd = int(signed)
    parameters = _parameters(lib, rows, columns, ratio, transform=colour_transform and components == 3)
    with ExitStack() as stack:
        image = lib.image_create(described, lib.CLRSPC_SRGB if components == 3 else lib.CLRSPC_GRAY)
        if not image:
            raise DataError("OpenJPEG has no memory for the image")
        stack.callback(lib.image_destroy, image)
        image.contents.x0 = image.contents.y0 = 0
        image.contents.x1, image.contents.y1 = columns, rows
        shift = 32 - precision
        for index in range(components):
            target = np.ctypeslib.as_array(image.contents.comps[index].data, (rows, columns))
            target[:] = planes[:, :, index]
            if signed:
                target <<= shift
                target >>= shift
            else:
                target &= (1 << precision) - 1
        descriptor, path = stack.enter_context(_memory_file())
        codec = lib.create_compress(lib.CODEC_J2K)
        stack.callback(lib.destroy_codec, codec)
        for install in (lib.set_error_handler, lib.set_warning_handler, lib.set_info_handler):
            install(codec, _SILENT)
        try:
            lib.setup_encoder(codec, parameters, image)
            stream = lib.stream_create_default_file_stream(path, False)
            try:
                lib.start_compress(codec, image, stream)
                lib.encode(codec, stream)
                lib.end_compress(codec, stream)
            finally:
                lib.stream_destroy(stream)
        except Exception as error:
            raise DataError(f"OpenJPEG cannot encode the frame ({type(error).__name__})") from None
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size)


def inspect(data: bytes) -> CodestreamInfo:
    """Read the main header of a code stream, bare or in JP2 boxes.

    Raises
    ------
    DataError
        It is no JPEG 2000 code stream.
    Unavailable
        glymur is missing.
    """
    try:
        from glymur.codestream import Codestream
    except ImportError:
        raise Unavailable("JPEG 2000 is inspected by glymur, which is not installed") from None
    start = 0
    if data.startswith(_BOX):
        start = max(data.find(_CODESTREAM), 0)
    if not data.startswith(_CODESTREAM, start):
        raise DataError("no JPEG 2000 code stream", offset=start)
    try:
        stream = Codestream(BytesIO(data[start:]), len(data) - start)
        found = {segment.marker_id: segment for segment in reversed(stream.segment)}
        siz, cod = found["SIZ"], found["COD"]
        return CodestreamInfo(
            rows=siz.ysiz - siz.yosiz,
            columns=siz.xsiz - siz.xosiz,
            components=len(siz.bitdepth),
            precision=int(siz.bitdepth[0]),
            signed=bool(siz.signed[0]),
            reversible=int(cod.xform) == 1,
            colour_transform=bool(cod.mct),
            progression=("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")[int(cod.prog_order)],
            decompositions=int(cod.num_res),
            layers=int(cod.layers),
            high_throughput="CAP" in found or b"\xff\x50" in data[start : start + 200],
            tile_part_lengths="TLM" in found or b"\xff\x55" in data[start : data.find(b"\xff\x90", start)],
        )
    except Exception as error:
        raise DataError(f"the main header of the code stream cannot be read ({type(error).__name__})") from None
