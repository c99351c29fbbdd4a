"""Decoding JPEG 2000: one real frame against every OpenJPEG there is here, in one run, one thread, frames in memory.

Peers: imagecodecs (its own OpenJPEG), pylibjpeg-openjpeg (its own), glymur (the system's library, by a file). What they
return is compared with ours, sample by sample. Threads and lower resolutions are ours alone.

Traps: synthetic frames decode several times as fast as real ones, so every frame here is a real one; OpenJPEG 2.5 takes
as many threads as it is told, so all are told one; the lossy frames have few bits a pixel, so that there everything but
the entropy decoder counts.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_fragmented_frames
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.codecs.decode import decode_frame, frame_dtype, frame_shape
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from pytest_benchmark.fixture import BenchmarkFixture

CTIMAGE = "ts/ctimage_15_syntaxes/CTImage.dcm_JPEG2000"
FILES = {
    "ct-512-lossless": f"{CTIMAGE}LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm",
    "ct-512-lossy": f"{CTIMAGE}TransferSyntax_1.2.840.10008.1.2.4.91.dcm",
    "ct-693-lossless": "ct/single/693_J2KR.dcm",
    "mr-1k-lossless": "mr/wg04/MR2_J2KR.dcm",
    "mr-1k-lossy": "mr/wg04/MR2_J2KI.dcm",
    "cr-2k-lossless": "cr_dx_mg/RG3_J2KR.dcm",
    "cr-2k-lossy": "cr_dx_mg/RG3_J2KI.dcm",
    "dx-2k-lossless": "cr_dx_mg/966_fixed.dcm",
    "us-colour-lossless": "us/single/US1_J2KR.dcm",
    "sm-colour-tile": "sm/jpeg2000.dicom",
}


def load(name: str) -> tuple[bytes, str, PixelDescription]:
    """First frame as stored, transfer syntax, description."""
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    path = folder / FILES[name]
    scan = _core.scan(path.read_bytes())
    assert scan.pixels is not None
    pixels = PixelDescription(*scan.pixels)
    encapsulated = pydicom.dcmread(path).PixelData
    frames = generate_fragmented_frames(encapsulated, number_of_frames=pixels.number_of_frames)
    return b"".join(next(iter(frames))), scan.transfer_syntax_uid, pixels


def check(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> None:
    """Same bits: a sign in the data set may differ from the one in the code stream."""
    bits = f"<u{ours.dtype.itemsize}"
    np.testing.assert_array_equal(ours.view(bits), theirs.astype(ours.dtype, casting="unsafe").view(bits))


@pytest.mark.gate
@pytest.mark.parametrize("name", FILES)
def test_hilum(benchmark: BenchmarkFixture, name: str) -> None:
    frame, syntax, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    out = decode_frame(frame, syntax, pixels)
    benchmark.extra_info["bytes"] = out.nbytes
    benchmark(decode_frame, frame, syntax, pixels, out=out)
    assert out.shape == frame_shape(pixels)


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_imagecodecs(benchmark: BenchmarkFixture, name: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    frame, syntax, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    theirs = benchmark(imagecodecs.jpeg2k_decode, frame, numthreads=1)
    check(decode_frame(frame, syntax, pixels), theirs)


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_pylibjpeg(benchmark: BenchmarkFixture, name: str) -> None:
    openjpeg = pytest.importorskip("openjpeg")
    frame, syntax, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    theirs = benchmark(openjpeg.decode, frame)
    check(decode_frame(frame, syntax, pixels), theirs)


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_glymur(benchmark: BenchmarkFixture, name: str, tmp_path: Path) -> None:
    glymur = pytest.importorskip("glymur")
    frame, syntax, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    path = tmp_path / "frame.j2k"
    path.write_bytes(frame)
    theirs = benchmark(lambda: glymur.Jp2k(path)[:])
    check(decode_frame(frame, syntax, pixels), theirs)


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_hilum_two_threads(benchmark: BenchmarkFixture, name: str) -> None:
    frame, syntax, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    out = np.empty(frame_shape(pixels), frame_dtype(pixels))
    benchmark(_core.decode_jpeg2000, frame, astuple(pixels), 0, 2, out=out)
    check(out, decode_frame(frame, syntax, pixels))


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_hilum_quarter(benchmark: BenchmarkFixture, name: str) -> None:
    frame, _, pixels = load(name)
    benchmark.group = f"jpeg2000 {name}"
    rows, columns = _core.jpeg2000_size(frame, 2)
    shape = (rows, columns, *frame_shape(pixels)[2:])
    out = np.empty(shape, frame_dtype(pixels))
    benchmark(_core.decode_jpeg2000, frame, astuple(pixels), 2, out=out)
    assert (rows, columns) == ((pixels.rows + 3) // 4, (pixels.columns + 3) // 4)
