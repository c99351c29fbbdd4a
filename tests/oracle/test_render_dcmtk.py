"""Rendered images against DCMTK's dcmj2pnm: another implementation of the same chapters of the standard."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pixel_frames import description_of, stored_frames, syntax_of

from hilum.codecs.registry import can_decode
from hilum.errors import DataError
from hilum.pixels.description import RenderingAttributes, rendering_attributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import Overlay, RenderSettings, Window
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

TOOL = shutil.which("dcm2img") or shutil.which("dcmj2pnm")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(TOOL is None, reason="DCMTK is not installed: no dcm2img or dcmj2pnm to compare with"),
]

CT = "ct/single/01.dcm"
US = "us/single/OBXXXX1A.dcm"
OVERLAYS = "overlay/ovly_p01.dcm"  # two inside of the pixel data, two beside it
SOFT, SOFT_OPTIONS = {"window": Window(40.0, 400.0)}, ["+Ww", "40", "400"]
ALL, ALL_OPTIONS = {"percentiles": (0, 100)}, ["+Wm"]

# (file, DCMTK's options, ours). DCMTK truncates where we round, hence a difference of one.
STEPS: list[tuple[str, list[str], dict[str, Any]]] = [
    (CT, ["+Wi", "1"], {}),
    (CT, ["+Ww", "-600", "1500"], {"window": Window(-600.0, 1500.0)}),
    (CT, ["+Ww", "50.5", "80", "+Wfs"], {"window": Window(50.5, 80.0, "SIGMOID")}),
    (CT, [*SOFT_OPTIONS, "+Piv"], {**SOFT, "presentation": "INVERSE"}),
    (CT, [*SOFT_OPTIONS, "+P"], {**SOFT, "invert": True}),
    (CT, [*SOFT_OPTIONS, "+Rr"], {**SOFT, "rotation": 90}),
    (CT, [*SOFT_OPTIONS, "+Rl"], {**SOFT, "rotation": 270}),
    (CT, [*SOFT_OPTIONS, "+Rtd"], {**SOFT, "rotation": 180}),
    (CT, [*SOFT_OPTIONS, "+Lh"], {**SOFT, "flip": True}),
    (CT, [*SOFT_OPTIONS, "+Lv"], {**SOFT, "flip": True, "rotation": 180}),
    (CT, [*SOFT_OPTIONS, "+Rr", "+Lh"], {**SOFT, "flip": True, "rotation": 90}),
    (CT, [*SOFT_OPTIONS, "+C", "200", "180", "150", "99"], {**SOFT, "region": (200, 180, 150, 99)}),
    (CT, [*SOFT_OPTIONS, "+Sxf", "0.5", "+i", "1"], {**SOFT, "width": 256}),
    (CT, [*SOFT_OPTIONS, "+on2"], {**SOFT, "bits": 16}),
    (US, ["+Rr"], {"rotation": 90}),
    (US, ["+Sxf", "0.5", "+i", "1"], {"width": 400}),
    (OVERLAYS, ALL_OPTIONS, ALL),
    (OVERLAYS, [*ALL_OPTIONS, "-O"], {**ALL, "overlays": ()}),
    (OVERLAYS, [*ALL_OPTIONS, "+O", "1"], {**ALL, "overlays": (Overlay(0x6000),)}),
    (OVERLAYS, [*ALL_OPTIONS, "+O", "4"], {**ALL, "overlays": (Overlay(0x6006),)}),
    (OVERLAYS, [*ALL_OPTIONS, "+Rr"], {**ALL, "rotation": 90}),
    (OVERLAYS, [*ALL_OPTIONS, "+C", "100", "120", "200", "180"], {**ALL, "region": (100, 120, 200, 180)}),
    (OVERLAYS, ["+Wh", "1", "-O"], {"percentiles": (1, 99), "overlays": ()}),
    (OVERLAYS, ["+Wh", "5", "-O"], {"percentiles": (5, 95), "overlays": ()}),
]


def draw(path: Path, settings: RenderSettings) -> tuple[npt.NDArray[Any], PixelDescription, RenderingAttributes]:
    dataset = pydicom.dcmread(path, force=True)
    description = description_of(dataset)
    fragments, bit_offset = stored_frames(dataset, description)[0]
    attributes = rendering_attributes(path.read_bytes())
    pixels = PixelDescription(*description)
    image = render_pixels(fragments, syntax_of(dataset), pixels, attributes, settings, bit_offset=bit_offset)
    return image, pixels, attributes


def reference(path: Path, folder: Path, options: list[str]) -> npt.NDArray[Any] | None:
    target = folder / "reference.png"
    kind = [] if "+on2" in options else ["--write-png"]
    assert TOOL is not None
    command = [TOOL, *kind, "-q", *options, str(path), str(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    return np.asarray(Image.open(target)) if done.returncode == 0 and target.exists() else None


@pytest.mark.parametrize(("name", "options", "ours"), STEPS)
def test_every_step_is_within_one_of_dcmtk(
    shared_data: Path, tmp_path: Path, name: str, options: list[str], ours: dict[str, Any]
) -> None:
    expected = reference(shared_data / name, tmp_path, options)
    assert expected is not None
    actual, _, _ = draw(shared_data / name, RenderSettings(square_pixels=False, **ours))
    assert actual.shape == expected.shape
    assert actual.max() > actual.min()
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= 1


# DCMTK shows label maps as small numbers on black and single bits as 0 and 128; ours are stretched to be seen.
# It reads the 32-bit samples of the big-endian RT Dose as two words in the other order: GDCM, pydicom and NumPy agree
# with us on the stored values. The byte order of GH177 is not what it says. The bytes of the small RGB image lie in
# big-endian words, which an archive exchanges before it renders; this test hands them over as they are.
DIFFERENT = {
    "rt/single/rtdose_expb.dcm",
    "hostile/GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm",
    "sc_colour/SC_rgb_small_odd_big_endian.dcm",
}


def options_for(pixels: PixelDescription, attributes: RenderingAttributes) -> list[str]:
    found = attributes.as_dict()
    if found["windows"]:
        return ["+Wi", "1"]
    if found["voi_luts"]:
        return ["+Wl", "1"]
    grey = pixels.samples_per_pixel == 1 and pixels.photometric_interpretation.startswith("MONOCHROME")
    return ["+Wm"] if grey and pixels.bits_stored > 8 else []


def test_real_files_are_within_one_of_dcmtk(shared_data: Path, tmp_path: Path, manifest: list[dict[str, str]]) -> None:
    seen: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    differing = []
    as_they_are = RenderSettings(square_pixels=False, percentiles=(0, 100))
    for row in manifest:
        folder, syntax = row["path"].rsplit("/", 1)[0], row["transfer_syntax"]
        known = row["decoded_sha256"] or row["decoded_sha256_unconfirmed"]
        seen[folder] += 1
        if not known or not row["rows"] or not row["photometric"] or seen[folder] > 4 or row["path"] in DIFFERENT:
            continue
        if syntax and not can_decode(syntax):
            continue
        try:
            actual, pixels, attributes = draw(shared_data / row["path"], as_they_are)
        except DataError:
            continue
        if attributes.as_dict()["is_segmentation"]:
            continue
        expected = reference(shared_data / row["path"], tmp_path, options_for(pixels, attributes))
        if expected is None:
            continue
        compared[row["photometric"]] += 1
        # DCMTK cuts each product of the YBR matrix; the twin of test_render_twin.py holds us to the formula.
        limit = 2 if row["photometric"].startswith("YBR") else 1
        if actual.shape != expected.shape or np.abs(actual.astype(int) - expected.astype(int)).max() > limit:
            differing.append(row["path"])
    assert not differing
    assert sum(compared.values()) > 60
    assert set(compared) >= {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL"}
