"""Decoding one real frame, against pydicom with its plugins and Pillow; one thread, frames in memory.

Traps: all-zero or synthetic frames decode several times as fast as real ones, so every frame here is a real one;
pydicom's ``pixel_array`` caches, so frames are decoded from a fresh decoder; the first call pays for imports and
page faults.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_fragmented_frames
from pydicom.pixels import get_decoder
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.codecs.decode import decode_frame, frame_dtype, frame_shape
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FILES = {
    "rle-us-palette": "us/cine/US-PAL-8-10x-echo",
    "rle-ct": "ts/ctimage_15_syntaxes/CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
    "lossless-ct": "ts/ctimage_15_syntaxes/CTImage.dcm_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm",
    "lossless-cr": "cr_dx_mg/GH133.dcm",
    "baseline-xa": "xa/I_000000.dcm",
    "baseline-us": "us/cine/I_000001.dcm",
    "jpeg2000-cr": "cr_dx_mg/RG3_J2KR.dcm",
}


def load(name: str) -> tuple[pydicom.Dataset, bytes, str, PixelDescription]:
    """Data set, first frame as stored, transfer syntax, description."""
    folder = find_shared_data()
    if folder is None:
        pytest.skip(ABSENT)
    path = folder / FILES[name]
    dataset = pydicom.dcmread(path)
    scan = _core.scan(path.read_bytes())
    assert scan.pixels is not None
    pixels = PixelDescription(*scan.pixels)
    frames = generate_fragmented_frames(dataset.PixelData, number_of_frames=pixels.number_of_frames)
    return dataset, b"".join(next(iter(frames))), scan.transfer_syntax_uid, pixels


@pytest.mark.gate
@pytest.mark.parametrize("name", FILES)
def test_hilum(benchmark: BenchmarkFixture, name: str) -> None:
    _, frame, syntax, pixels = load(name)
    benchmark.group = f"decode {name}"
    out = decode_frame(frame, syntax, pixels)
    benchmark.extra_info["bytes"] = out.nbytes
    benchmark(decode_frame, frame, syntax, pixels, out=out)
    assert out.shape == frame_shape(pixels)
    assert out.dtype == frame_dtype(pixels)


@pytest.mark.informational
@pytest.mark.parametrize("name", FILES)
def test_pydicom(benchmark: BenchmarkFixture, name: str) -> None:
    dataset, _, syntax, pixels = load(name)
    benchmark.group = f"decode {name}"
    decoder = get_decoder(syntax)

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decoder.as_array(dataset, index=0, raw=True)[0]

    try:
        run()
    except RuntimeError as error:
        pytest.skip(f"pydicom has no plugin here: {str(error)[:80]}")
    assert benchmark(run).shape == frame_shape(pixels)


@pytest.mark.informational
@pytest.mark.parametrize("name", ["baseline-xa", "baseline-us", "jpeg2000-cr"])
def test_pillow(benchmark: BenchmarkFixture, name: str) -> None:
    _, frame, _, pixels = load(name)
    benchmark.group = f"decode {name}"

    def run() -> Image.Image:
        image = Image.open(io.BytesIO(frame))
        image.load()
        return image

    assert benchmark(run).size == (pixels.columns, pixels.rows)
