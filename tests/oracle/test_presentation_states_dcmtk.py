"""Grayscale presentation states against DCMTK's dcmp2pgm, which applies their grey-scale transformations.

It draws no overlays, shutters or graphics and knows no displayed area: these have twins in tests/unit/archive.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from presentation_states import encoded, grey_state, image_dataset, item_of, renamed

import hilum

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

TOOL = shutil.which("dcmp2pgm")
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.skipif(TOOL is None, reason="DCMTK is not installed: no dcmp2pgm to compare with"),
]


def rendered_by_both(tmp_path: Path, image: bytes, state: bytes) -> tuple[np.ndarray, np.ndarray]:
    files = [tmp_path / name for name in ("image.dcm", "state.dcm", "out.pgm")]
    files[0].write_bytes(image)
    files[1].write_bytes(state)
    assert TOOL is not None
    done = subprocess.run(
        [TOOL, "-q", "-p", str(files[1]), str(files[0]), str(files[2])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and files[2].exists(), done.stderr
    with hilum.open(tmp_path / "archive") as archive:
        shown = archive.store(image).sop_instance_uid, archive.store(state).sop_instance_uid
        instances = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
        made = instances[shown[0]].render(presentation_state=instances[shown[1]])
    actual = np.asarray(Image.open(io.BytesIO(made)).convert("L")).astype(int)
    return actual, np.asarray(Image.open(files[2])).astype(int)


def compare(tmp_path: Path, image: bytes, state: bytes) -> None:
    actual, expected = rendered_by_both(tmp_path, image, state)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1


def test_real_state_with_three_scrambled_tables(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "presentation_state"
    compare(tmp_path, (folder / "imageForPrLUTs.dcm").read_bytes(), (folder / "prLUTs.dcm").read_bytes())


def test_real_state_with_six_overlays(shared_data: Path, tmp_path: Path) -> None:
    """Two in the bits of the pixels, two in the image's header, two in the state: all are white, nothing else is."""
    image, state = (shared_data / "presentation_state" / name for name in ("overlay.dcm", "prOverlay.dcm"))
    actual, expected = rendered_by_both(tmp_path, image.read_bytes(), state.read_bytes())
    stored, said = pydicom.dcmread(image), pydicom.dcmread(state)
    containers = np.frombuffer(stored.PixelData, "<u2").reshape(512, 512)
    planes = [containers >> 15 & 1, containers >> 14 & 1]
    planes += [stored.overlay_array(group) for group in (0x6004, 0x6006)]
    planes += [said.overlay_array(group) for group in (0x6008, 0x600A)]
    assert all(plane.any() for plane in planes)
    drawn = np.any(planes, axis=0)
    assert (actual[drawn] == 255).all()
    assert np.abs(actual - expected)[~drawn].max() <= 1


def ramp(**attributes: Any) -> Dataset:
    values = (np.arange(96 * 128, dtype=np.int32).reshape(96, 128) * 5 % 4096 - 1024).astype(np.int16)
    return image_dataset(values, signed=True, **attributes)


def test_every_real_ct_window(shared_data: Path, tmp_path: Path) -> None:
    raw = (shared_data / "ct" / "single" / "01.dcm").read_bytes()
    image = pydicom.dcmread(io.BytesIO(raw))
    image.SpecificCharacterSet = "ISO_IR 100"
    state = grey_state(
        [image],
        modality_lut_transformation=hd.ModalityLUTTransformation(
            float(image.RescaleIntercept), float(image.RescaleSlope), "HU"
        ),
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(40, 400)],
    )
    compare(tmp_path, raw, encoded(state))


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
@pytest.mark.parametrize("window", [(200.0, 900.0), (-300.0, 1.0), None])
def test_window_and_shape(tmp_path: Path, shape: str, window: tuple[float, float] | None) -> None:
    image = ramp()
    voi = None if window is None else [hd.pr.SoftcopyVOILUTTransformation(*window)]
    state = grey_state(
        [image],
        modality_lut_transformation=hd.ModalityLUTTransformation(-1024.0, 2.0, "US"),
        voi_lut_transformations=voi,
        presentation_lut_transformation=hd.PresentationLUTTransformation(shape),
    )
    if voi is None and "SoftcopyVOILUTSequence" in state:
        del state.SoftcopyVOILUTSequence
    compare(tmp_path, encoded(image), encoded(state))


def test_tables_of_16_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    image = image_dataset(rng.integers(0, 4096, (64, 80)).astype(np.uint16), BitsStored=12, HighBit=11)
    voi = np.sort(rng.integers(0, 65536, 4096)).astype(np.uint16)
    presentation = np.sort(rng.integers(0, 65536, 4096)).astype(np.uint16)
    state = grey_state(
        [image],
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(voi_luts=[hd.VOILUT(0, voi)])],
        presentation_lut_transformation=hd.PresentationLUTTransformation(
            presentation_lut=hd.PresentationLUT(0, presentation)
        ),
    )
    compare(tmp_path, encoded(image), encoded(state))


def test_variable_modality_tables_are_those_of_a_state_for_each_image(tmp_path: Path) -> None:
    """PS3.3 C.11.35: DCMTK does not know the class, but a grayscale state with the table of one image."""
    rng = np.random.default_rng(11)
    images = [image_dataset(rng.integers(0, 4096, (30, 40), dtype=np.uint16), BitsStored=12, HighBit=11) for _ in "ab"]
    window = hd.pr.SoftcopyVOILUTTransformation(1000, 3000, voi_lut_function="LINEAR")
    table = hd.ModalityLUTTransformation(
        modality_lut=hd.ModalityLUT("US", 0, np.sqrt(np.arange(4096) * 900).astype(np.uint16))
    )
    ours = [hd.ModalityLUTTransformation(rescale_intercept=-200.0, rescale_slope=0.9, rescale_type="US"), table]
    state = renamed(grey_state(images, voi_lut_transformations=[window]), "1.2.840.10008.5.1.4.1.1.11.12")
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        state.pop(keyword, None)
    state.VariableModalityLUTSequence = []
    for image, own in zip(images, ours, strict=True):
        reference = item_of(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
        item = item_of(ReferencedImageSequence=[reference])
        item.update(own)
        state.VariableModalityLUTSequence.append(item)
    with hilum.open(tmp_path / "variable") as archive:
        uids = [archive.store(encoded(ds)).sop_instance_uid for ds in (*images, state)]
        found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
        made = [found[uid].render_array(presentation_state=found[uids[2]]) for uid in uids[:2]]
    for number, (image, own) in enumerate(zip(images, ours, strict=True)):
        single = grey_state([image], voi_lut_transformations=[window], modality_lut_transformation=own)
        folder = tmp_path / str(number)
        folder.mkdir()
        expected = rendered_by_both(folder, encoded(image), encoded(single))[1]
        assert np.abs(made[number].astype(int) - expected).max() <= 1
