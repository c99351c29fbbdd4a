"""Decoding one frame, per transfer syntax and class of image, by hilum and by its peers; one thread, frames in memory.

``python benchmarks/codec_report.py`` runs this file and turns its figures into the table and the plot of
docs/benchmarks.md.

Traps: all-zero or synthetic frames decode several times as fast as real ones, so every frame is the decoded frame of a
real file, encoded anew; pydicom's ``pixel_array`` caches, so its decoders are called themselves; the first call pays
for imports and page faults. imagecodecs' RLE decoder leaves colour in planes, which its caller has to put together: the
quickest way of NumPy is part of its time.
"""

from __future__ import annotations

import time
import warnings
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.codecs.decode import EncodedFrame, decode_frame, decode_frames
from hilum.codecs.registry import can_decode
from hilum.dicom.scan import FrameTable
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

ROOT = "1.2.840.10008.1.2"
CLASSES = {
    "CT 512": "ct/single/01.dcm",
    "CR 2k": "cr_dx_mg/CR-ModalitySequenceLUT.dcm",
    "MG 3k": "cr_dx_mg/GH133.dcm",
    "US colour": "us/cine/I_000001.dcm",
    "WSI tile": "sm/multiframe_camelyon_challenge_image.dcm",
}
SYNTAXES = {
    "native big endian": ".2",
    "RLE": ".5",
    "JPEG baseline": ".4.50",
    "JPEG lossless SV1": ".4.70",
    "JPEG-LS": ".4.80",
    "JPEG 2000": ".4.90",
    "HTJ2K": ".4.201",
}
LIBRARIES = ("hilum", "imagecodecs", "pylibjpeg", "pydicom", "gdcm")
MARKED = [
    pytest.param(name, marks=pytest.mark.gate if name == "hilum" else pytest.mark.informational) for name in LIBRARIES
]
Array = np.ndarray[Any, Any]


@cache
def values(kind: str) -> tuple[Array, int]:
    """First frame of a real file, unsigned, and its bits."""
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    data = (folder / CLASSES[kind]).read_bytes()
    scan = _core.scan(data, False, False)
    assert scan.pixels is not None
    pixels, place = PixelDescription(*scan.pixels), FrameTable(scan.frame_table)
    index = len(place) // 2
    pieces = [data[start : start + length] for start, length in place[index].fragments]
    frame = decode_frame(pieces, scan.transfer_syntax_uid, pixels)
    if frame.dtype.itemsize == 1:
        return frame.astype(np.uint8), 8
    frame = (frame.astype(np.int32) - int(frame.min())).astype(np.uint16)
    return frame, max(9, int(frame.max()).bit_length())


@cache
def encoded(kind: str, syntax: str) -> tuple[bytes, PixelDescription, Array | None]:
    """Code stream, description, and the values that a lossless one has to give."""
    imagecodecs = pytest.importorskip("imagecodecs")
    frame, bits = values(kind)
    suffix = SYNTAXES[syntax]
    if suffix == ".4.50" and bits > 8:
        frame, bits = (frame >> (bits - 8)).astype(np.uint8), 8
    samples = 3 if frame.ndim == 3 else 1
    allocated = 8 * frame.dtype.itemsize
    rows, columns = frame.shape[:2]
    term = "RGB" if samples == 3 else "MONOCHROME2"
    pixels = PixelDescription(rows, columns, samples, 0, allocated, bits, bits - 1, 0, term, 1, "PixelData")
    if suffix == ".2":
        return frame.astype(frame.dtype.newbyteorder(">")).tobytes(), pixels, frame
    if suffix == ".5":
        utils = pytest.importorskip("rle.utils")
        return b"".join(utils.encode_array(frame, samples_per_pixel=samples, rows=rows, columns=columns,
                        bits_allocated=allocated, number_of_frames=1, byteorder="<")), pixels, frame  # fmt: skip
    space = {"colorspace": "RGB", "outcolorspace": "RGB"} if samples == 3 else {}
    if suffix == ".4.50":
        return imagecodecs.jpeg8_encode(frame, level=90, **space), pixels, None
    if suffix == ".4.70":
        data = imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1, bitspersample=bits, **space)
    elif suffix == ".4.80":
        data = imagecodecs.jpegls_encode(frame)
    elif suffix == ".4.90":
        data = imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, level=0, bitspersample=bits)
    else:
        data = imagecodecs.htj2k_encode(frame, reversible=True)
    return data, pixels, frame


def by_hilum(data: bytes, syntax: str, pixels: PixelDescription) -> Callable[[], Array]:
    if not can_decode(syntax):
        pytest.skip("hilum has no decoder here")
    out = decode_frame(data, syntax, pixels)
    return lambda: decode_frame(data, syntax, pixels, out=out)


def by_pixel(planes: Array, samples: int) -> Array:
    """Samples of a pixel next to each other; copying plane by plane is four times as fast as a transposed copy."""
    pixels = np.empty((planes.size // samples, samples), planes.dtype)
    for sample, plane in enumerate(planes.reshape(samples, -1)):
        pixels[:, sample] = plane
    return pixels


def by_imagecodecs(data: bytes, syntax: str, pixels: PixelDescription) -> Callable[[], Array]:
    imagecodecs = pytest.importorskip("imagecodecs")
    suffix = syntax.removeprefix(ROOT)
    dtype = np.uint8 if pixels.bits_allocated == 8 else np.uint16
    if suffix == ".5":
        planes = partial(imagecodecs.dicomrle_decode, data, dtype)
        if pixels.samples_per_pixel == 1:
            return lambda: np.frombuffer(planes(), dtype)
        return lambda: by_pixel(np.frombuffer(planes(), dtype), pixels.samples_per_pixel)
    space = {"colorspace": "RGB", "outcolorspace": "RGB"} if pixels.samples_per_pixel == 3 else {}
    choice: dict[str, Callable[[], Array]] = {
        ".4.50": lambda: imagecodecs.jpeg8_decode(data, **space),
        ".4.70": lambda: imagecodecs.jpeg8_decode(data, **space),
        ".4.80": lambda: imagecodecs.jpegls_decode(data),
        ".4.90": lambda: imagecodecs.jpeg2k_decode(data, numthreads=1),
        ".4.201": lambda: imagecodecs.htj2k_decode(data),
    }
    if suffix not in choice:
        pytest.skip("imagecodecs has no such decoder")
    return choice[suffix]


def by_pydicom(data: bytes, syntax: str, pixels: PixelDescription, plugin: str) -> Callable[[], Array]:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = pixels.rows, pixels.columns, pixels.samples_per_pixel
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (
        pixels.bits_allocated,
        pixels.bits_stored,
        pixels.high_bit,
    )
    dataset.PixelRepresentation, dataset.PlanarConfiguration = 0, 0
    dataset.PhotometricInterpretation = pixels.photometric_interpretation
    native = syntax == f"{ROOT}.2"
    dataset.PixelData = data if native else encapsulate([data])
    dataset["PixelData"].VR = "OB" if pixels.bits_allocated == 8 or not native else "OW"
    decoder = get_decoder(syntax)
    if native and plugin != "pydicom":
        pytest.skip("pydicom reads native data itself")

    def run() -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decoder.as_array(dataset, index=0, raw=True, decoding_plugin="" if native else plugin)[0]

    return run


def checked(run: Callable[[], Array], size: int, expected: Array | None) -> None:
    """One decode, compared."""
    result = run()
    assert result.nbytes == size, f"{result.nbytes} bytes instead of {size}"
    if expected is not None:
        np.testing.assert_array_equal(result.reshape(expected.shape), expected)


def skip_unless_able(library: str, run: Callable[[], Array], size: int, expected: Array | None) -> None:
    """A peer that lacks a syntax, or decodes it to other values, has no figure; ours keeps its own."""
    try:
        checked(run, size, expected)
    except Exception as error:  # whatever a library says
        pytest.skip(f"{library}: {' '.join(str(error).split())[:60]}")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("library", MARKED)
def test_decode(benchmark: BenchmarkFixture, library: str, syntax: str, kind: str) -> None:
    data, pixels, expected = encoded(kind, syntax)
    uid = ROOT + SYNTAXES[syntax]
    makers = {"hilum": by_hilum, "imagecodecs": by_imagecodecs}
    run = makers[library](data, uid, pixels) if library in makers else by_pydicom(data, uid, pixels, library)
    size = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.bits_allocated // 8
    if library == "hilum":
        checked(run, size, expected)
    else:
        skip_unless_able(library, run, size, expected)
    benchmark.group = f"{syntax}, {kind}"
    benchmark.extra_info.update(library=library, syntax=syntax, kind=kind, bytes=size, encoded=len(data))
    benchmark(run)


def speed_up(frames: list[EncodedFrame], out: Array) -> float:
    """What a second thread gives where a core is free for it: by processor time, so that other work does not count."""
    one, two, largest_part = [], [], []
    for _ in range(6):
        for threads, used in ((1, one), (2, two)):
            mine, all_threads = time.thread_time(), time.process_time()
            decode_frames(frames, out, threads=threads)
            mine, all_threads = time.thread_time() - mine, time.process_time() - all_threads
            used.append(all_threads)
        largest_part.append(max(mine, all_threads - mine) / all_threads)
    return min(one) / min(two) / min(largest_part)


@pytest.mark.gate
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("syntax", ["RLE", "JPEG lossless SV1", "JPEG 2000"])
def test_threads(benchmark: BenchmarkFixture, syntax: str, threads: int) -> None:
    """Frames of a series in one call: two threads beside one."""
    data, pixels, _ = encoded("CT 512", syntax)
    frames = [EncodedFrame(data, ROOT + SYNTAXES[syntax], pixels)] * (120 if syntax == "RLE" else 24)
    out = decode_frames(frames, threads=threads)
    benchmark.group = f"{len(frames)} frames, {syntax}"
    benchmark.extra_info.update(library=f"{threads} threads", syntax=syntax, kind="series", bytes=out.nbytes)
    if threads == 2:
        benchmark.extra_info["speed_up"] = speed_up(frames, out)
        # RLE is done before a busy machine wakes a second thread.
        assert syntax == "RLE" or benchmark.extra_info["speed_up"] > 1.6
    benchmark(decode_frames, frames, out, threads=threads)
