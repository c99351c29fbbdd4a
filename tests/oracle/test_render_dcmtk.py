"""Rendered images against DCMTK's dcmj2pnm: another implementation of the same chapters of the standard."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image
from pixel_frames import description_of, stored_frames, syntax_of

from hilum import _core
from hilum.pixels.settings import RenderSettings, Window

if TYPE_CHECKING:
    from pathlib import Path

TOOL = shutil.which("dcm2img") or shutil.which("dcmj2pnm")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(TOOL is None, reason="DCMTK is not installed: no dcm2img or dcmj2pnm to compare with"),
]

# (file, DCMTK's options, ours). DCMTK truncates where we round, hence a difference of one.
WINDOW_1 = ["+Wi", "1"]
CASES = [
    ("ct/single/01.dcm", WINDOW_1, {}),
    ("ct/single/01.dcm", ["+Ww", "-600", "1500"], {"window": Window(-600.0, 1500.0)}),
    ("ct/single/01.dcm", ["+Ww", "50.5", "80", "+Wfs"], {"window": Window(50.5, 80.0, "SIGMOID")}),
    ("ct/single/693_UNCI.dcm", WINDOW_1, {}),
    ("us/single/US-RGB-8-esopecho", [], {}),
    ("us/single/OBXXXX1A.dcm", [], {}),
    ("us/single/OBXXXX1A_rle.dcm", [], {}),
    ("sc_colour/color-pl.dcm", [], {}),
    ("sc_colour/SC_rgb_rle.dcm", [], {}),
    ("sc_colour/SC_ybr_full_uncompressed.dcm", [], {}),
]


@pytest.mark.parametrize(("name", "options", "ours"), CASES)
def test_within_one_of_dcmtk(
    shared_data: Path, tmp_path: Path, name: str, options: list[str], ours: dict[str, object]
) -> None:
    path = shared_data / name
    target = tmp_path / "reference.png"
    assert TOOL is not None
    done = subprocess.run(
        [TOOL, "--write-png", "-q", *options, str(path), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not target.exists():
        pytest.skip(f"DCMTK cannot: {done.stderr.strip()[-200:]}")
    expected = np.asarray(Image.open(target))
    dataset = pydicom.dcmread(path, force=True)
    description = description_of(dataset)
    fragments, bit_offset = stored_frames(dataset, description)[0]
    settings = RenderSettings(square_pixels=False, format="png", **ours)  # type: ignore[arg-type]
    attributes = _core.rendering_attributes(path.read_bytes())
    png = _core.render(fragments, syntax_of(dataset), description, attributes, settings.request, bit_offset)
    actual = np.asarray(Image.open(io.BytesIO(png)))
    assert actual.shape == expected.shape
    # DCMTK cuts each product of the YBR matrix to an integer; the twin of test_render_twin.py holds us to the formula.
    limit = 2 if description[8].startswith("YBR") else 1
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= limit
