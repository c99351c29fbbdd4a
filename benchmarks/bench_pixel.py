"""Rendering a 512x512 CT frame to JPEG and PNG, against pydicom with NumPy and Pillow; one thread, frame in memory.

Traps: an image that is mostly air compresses fast, so this is a full chest slice; encoders differ in speed by quality
and subsampling, so both encode grey at quality 90; Pillow's PNG level is 6 unless told, ours is its fast level.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from hilum import _core
from hilum.pixels.description import RenderingAttributes, rendering_attributes
from hilum.pixels.pipeline import RenderSettings, Window, render_frame, render_pixels
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SERIES = Path(__file__).parent.parent / "tests" / "data" / "demo" / "ct-chest.zip"
LITTLE = "1.2.840.10008.1.2.1"


class Slice:
    """One native CT slice, decoded once by us so that both sides start from the same stored values."""

    def __init__(self) -> None:
        with zipfile.ZipFile(SERIES) as archive:
            name = next(n for n in archive.namelist() if archive.read(n)[128:132] == b"DICM")
            data = archive.read(name)
        self.dataset = pydicom.dcmread(io.BytesIO(data))
        scan = _core.scan(data)
        assert scan.pixels is not None
        self.pixels = PixelDescription(*scan.pixels)
        self.attributes: RenderingAttributes = rendering_attributes(data[: scan.header_length])
        self.stored: np.ndarray[Any, Any] = self.dataset.pixel_array
        self.frame = self.stored.tobytes()


@pytest.fixture(scope="module")
def chest() -> Slice:
    """Give the slice."""
    return Slice()


@pytest.mark.gate
@pytest.mark.benchmark(group="window only")
def test_hilum_window(benchmark: BenchmarkFixture, chest: Slice) -> None:
    settings = RenderSettings(window=Window(40, 400))
    image = benchmark(render_pixels, chest.frame, LITTLE, chest.pixels, chest.attributes, settings)
    assert image.shape == chest.stored.shape


@pytest.mark.gate
@pytest.mark.benchmark(group="render")
@pytest.mark.parametrize("kind", ["jpeg", "png", "thumbnail"])
def test_hilum_render(benchmark: BenchmarkFixture, chest: Slice, kind: str) -> None:
    settings = {
        "jpeg": RenderSettings(quality=90),
        "png": RenderSettings(format="png"),
        "thumbnail": RenderSettings(width=128, height=128, quality=75),
    }[kind]
    assert benchmark(render_frame, chest.frame, LITTLE, chest.pixels, chest.attributes, settings)


@pytest.mark.informational
@pytest.mark.benchmark(group="render")
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_pydicom_pillow_render(benchmark: BenchmarkFixture, chest: Slice, kind: str) -> None:
    def run() -> bytes:
        shown = apply_voi_lut(apply_modality_lut(chest.stored, chest.dataset), chest.dataset)
        grey = ((shown - shown.min()) / (shown.max() - shown.min()) * 255).astype(np.uint8)
        stream = io.BytesIO()
        options: dict[str, Any] = {"quality": 90} if kind == "jpeg" else {"compress_level": 1}
        Image.fromarray(grey).save(stream, kind, **options)
        return stream.getvalue()

    assert benchmark(run)


@pytest.mark.informational
@pytest.mark.benchmark(group="rendering attributes")
def test_rendering_attributes(benchmark: BenchmarkFixture, chest: Slice) -> None:
    stream = io.BytesIO()
    chest.dataset.save_as(stream)
    header = stream.getvalue()[:-500_000]
    assert benchmark(rendering_attributes, header).as_dict()["windows"]
