"""Rendering a 512x512 CT frame beside memcpy, pydicom and Pillow, NumPy and Pillow, SimpleITK, DCMTK; one thread.

Traps: an image that is mostly air compresses fast, so this is a full chest slice; encoders differ in speed by quality
and subsampling, so all encode grey at quality 90; Pillow's PNG level is 6 unless told, ours is its fast level. One
frame that stays in the cache copies several times faster than the frames of a series, one after the other, as a viewer
sees them: both are here. DCMTK has no Python: its program renders 100 equal frames of one file in memory (/dev/shm), so
that starting it counts little; reading and writing files is part of its time.
On a busy machine: --benchmark-timer=time.process_time, which does not see DCMTK's process.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
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
from hilum.pixels.pipeline import render_frame, render_pixels
from hilum.pixels.settings import RenderSettings, Window
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
            self.data = data = archive.read(name)
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


SOFT = RenderSettings(window=Window(40, 400))
FRAMES = 100


@pytest.mark.informational
@pytest.mark.benchmark(group="window only")
def test_memcpy(benchmark: BenchmarkFixture, chest: Slice) -> None:
    benchmark(np.copyto, np.empty_like(chest.stored), chest.stored)


@pytest.mark.gate
@pytest.mark.benchmark(group="window only")
@pytest.mark.parametrize("bits", [8, 16])
def test_hilum_window(benchmark: BenchmarkFixture, chest: Slice, bits: Any) -> None:
    settings = RenderSettings(window=Window(40, 400), bits=bits)
    out = np.empty(chest.stored.shape, f"u{bits // 8}")
    benchmark(render_pixels, chest.frame, LITTLE, chest.pixels, chest.attributes, settings, out=out)
    assert out.any()


@pytest.mark.informational
@pytest.mark.benchmark(group="window of a series")
def test_memcpy_of_a_series(benchmark: BenchmarkFixture, chest: Slice) -> None:
    frames = [chest.stored.copy() for _ in range(FRAMES)]
    out = np.ones((FRAMES, *chest.stored.shape), chest.stored.dtype)

    def run() -> None:
        for frame, target in zip(frames, out, strict=True):
            np.copyto(target, frame)

    benchmark(run)


@pytest.mark.gate
@pytest.mark.benchmark(group="window of a series")
def test_hilum_window_of_a_series(benchmark: BenchmarkFixture, chest: Slice) -> None:
    frames = [chest.stored.copy() for _ in range(FRAMES)]
    out = np.ones((FRAMES, *chest.stored.shape), np.uint8)

    def run() -> None:
        for frame, target in zip(frames, out, strict=True):
            render_pixels(frame, LITTLE, chest.pixels, chest.attributes, SOFT, out=target)

    benchmark(run)


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
@pytest.mark.benchmark(group="render")
def test_numpy_pillow_by_hand(benchmark: BenchmarkFixture, chest: Slice) -> None:
    """Window as one would write it for speed, in float32 and without the standard's rounding."""

    def run() -> bytes:
        low = -160 - float(chest.dataset.RescaleIntercept)
        grey = np.clip((chest.stored.astype(np.float32) - low) * (255 / 400), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(grey).save(stream, "jpeg", quality=90)
        return stream.getvalue()

    assert benchmark(run)


@pytest.mark.informational
@pytest.mark.benchmark(group="render")
def test_simpleitk_render(benchmark: BenchmarkFixture, chest: Slice, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = sitk.GetImageFromArray(chest.stored)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "image.jpg"))
    writer.SetUseCompression(True)
    writer.SetCompressionLevel(90)
    low = -160 - float(chest.dataset.RescaleIntercept)

    def run() -> None:
        shown = sitk.IntensityWindowing(image, low, low + 400.0, 0.0, 255.0)
        writer.Execute(sitk.Cast(shown, sitk.sitkUInt8))

    benchmark(run)


@pytest.mark.informational
@pytest.mark.benchmark(group="render, 100 frames")
def test_dcmtk_render_of_100_frames(benchmark: BenchmarkFixture, chest: Slice) -> None:
    tool = shutil.which("dcm2img") or shutil.which("dcmj2pnm")
    if tool is None:
        pytest.skip("DCMTK is not installed")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        dataset = pydicom.dcmread(io.BytesIO(chest.data))
        dataset.PixelData, dataset.NumberOfFrames = chest.frame * FRAMES, FRAMES
        dataset.file_meta.TransferSyntaxUID = LITTLE
        dataset.save_as(Path(folder) / "frames.dcm")
        command = [tool, "--write-jpeg", "+Jq", "90", "+Ww", "40", "400", "+Fa", "frames.dcm", "image"]
        benchmark(subprocess.run, command, cwd=folder, check=True)


@pytest.mark.informational
@pytest.mark.benchmark(group="render, 100 frames")
def test_hilum_render_of_100_frames(benchmark: BenchmarkFixture, chest: Slice) -> None:
    frames = [chest.stored.copy() for _ in range(FRAMES)]

    def run() -> int:
        return sum(len(render_frame(f, LITTLE, chest.pixels, chest.attributes, SOFT)) for f in frames)

    assert benchmark(run)


@pytest.mark.informational
@pytest.mark.benchmark(group="rendering attributes")
def test_rendering_attributes(benchmark: BenchmarkFixture, chest: Slice) -> None:
    stream = io.BytesIO()
    chest.dataset.save_as(stream)
    header = stream.getvalue()[:-500_000]
    assert benchmark(rendering_attributes, header).as_dict()["windows"]
