"""Colour against GDCM, scaling against Pillow.

GDCM has no VOI LUT outside of its VTK classes; Pillow's box is the average of areas for whole ratios only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pictures import draw
from PIL import Image
from pixel_frames import description_of, stored_frames, syntax_of

from hilum.pixels.description import rendering_attributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import RenderSettings, Window
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

COLOUR = [
    "us/single/OBXXXX1A.dcm",
    "us/single/OBXXXX1A_rle.dcm",
    "sc_colour/color-pl.dcm",
    "sc_colour/color-px.dcm",
    "sc_colour/SC_rgb_rle.dcm",
    "sc_colour/SC_ybr_full_uncompressed.dcm",
]


def by_gdcm(path: Path) -> npt.NDArray[Any]:
    """RGB of a file's first frame."""
    gdcm = pytest.importorskip("gdcm", reason="python-gdcm is not installed")
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    kinds = gdcm.PhotometricInterpretation
    kind = image.GetPhotometricInterpretation().GetType()
    steps = []
    if kind == kinds.PALETTE_COLOR:
        steps.append(gdcm.ImageApplyLookupTable())
    elif kind == kinds.YBR_FULL:
        steps.append(gdcm.ImageChangePhotometricInterpretation())
        steps[-1].SetPhotometricInterpretation(kinds(kinds.RGB))
    steps.append(gdcm.ImageChangePlanarConfiguration())
    for step in steps:
        step.SetInput(image)
        assert step.Apply() if hasattr(step, "Apply") else step.Change()
        image = step.GetOutput()
    columns, rows = image.GetDimensions()[:2]
    data = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(data, np.uint8)[: rows * columns * 3].reshape(rows, columns, 3)


@pytest.mark.parametrize("name", COLOUR)
def test_colour_is_within_one_of_gdcm(shared_data: Path, name: str) -> None:
    path = shared_data / name
    dataset = pydicom.dcmread(path, force=True)
    description = description_of(dataset)
    fragments, _ = stored_frames(dataset, description)[0]
    attributes = rendering_attributes(path.read_bytes())
    pixels = PixelDescription(*description)
    shown = render_pixels(
        fragments, syntax_of(dataset), pixels, attributes, RenderSettings(square_pixels=False, overlays=())
    )
    assert np.abs(shown.astype(int) - by_gdcm(path).astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("ours", "pillow", "target"),
    [
        ("linear", Image.Resampling.BOX, (48, 50)),
        ("linear", Image.Resampling.BOX, (24, 25)),
        ("linear", Image.Resampling.BILINEAR, (160, 250)),
        ("cubic", Image.Resampling.BICUBIC, (300, 300)),
        ("cubic", Image.Resampling.BICUBIC, (97, 101)),
    ],
)
def test_scaling_is_within_one_of_pillow(ours: Any, pillow: Image.Resampling, target: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    frame = random.integers(0, 256, (96, 100), np.uint8)
    how = RenderSettings(
        width=target[1], height=target[0], interpolation=ours, window=Window(127.5, 255, "LINEAR_EXACT")
    )
    shown = draw(frame, how)
    rows, columns = shown.shape
    expected = np.asarray(Image.fromarray(frame.astype(np.float32)).resize((columns, rows), pillow))
    edge = 2 + max(rows // 96, columns // 100) * 2  # Pillow leaves samples outside out, ours repeat the last
    inside = (slice(edge, -edge), slice(edge, -edge)) if ours == "cubic" else (slice(None), slice(None))
    assert np.abs(shown[inside] - np.clip(expected, 0, 255)[inside]).max() <= 1
