"""Damaged presentation states end in an error of hilum or in a picture, never in anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presentation_states import displayed_area, encoded, grey_state, image_dataset

from hilum.dicom.dataset import to_dataset
from hilum.errors import HilumError
from hilum.pixels.description import RenderingAttributes
from hilum.pixels.graphics import draw_annotations
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import display_settings, placement_of
from hilum.pixels.presentation_reader import read_presentation_state
from hilum.pixels.settings import RenderSettings
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
VALUES = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
PIXELS = PixelDescription(48, 64, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")


def whole_state() -> tuple[str, Dataset]:
    image = image_dataset(VALUES)
    image.SOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.60"
    layer = hd.pr.GraphicLayer("LAYER", 1, display_color=hd.color.CIELabColor(60.0, 10.0, 10.0))
    graphics = [
        hd.pr.GraphicObject(
            "POLYLINE", np.array([[1.0, 1.0], [9.0, 5.0], [3.0, 9.0], [1.0, 1.0]]), "PIXEL", is_filled=True
        ),
        hd.pr.GraphicObject("INTERPOLATED", np.array([[0.1, 0.1], [0.5, 0.9], [0.9, 0.2]]), "DISPLAY"),
        hd.pr.GraphicObject("ELLIPSE", np.array([[10.0, 20.0], [40.0, 20.0], [25.0, 10.0], [25.0, 30.0]]), "PIXEL"),
    ]
    text = hd.pr.TextObject("Text", "PIXEL", bounding_box=(5.0, 5.0, 40.0, 20.0), anchor_point=(1.0, 2.0))
    state = grey_state(
        [image],
        modality_lut_transformation=hd.ModalityLUTTransformation(-10.0, 2.0, "US"),
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(400, 900)],
        presentation_lut_transformation=hd.PresentationLUTTransformation(
            presentation_lut=hd.PresentationLUT(0, np.arange(256, dtype=np.uint16) * 257)
        ),
        graphic_layers=[layer],
        graphic_annotations=[hd.pr.GraphicAnnotation([image], layer, graphic_objects=graphics, text_objects=[text])],
    )
    state.DisplayedAreaSelectionSequence = [displayed_area((3, 3, 60, 40))]
    state.ImageRotation, state.ImageHorizontalFlip = 90, "Y"
    state.ShutterShape, state.ShutterPresentationValue = ["CIRCULAR", "POLYGONAL"], 9
    state.CenterOfCircularShutter, state.RadiusOfCircularShutter = [20, 30], 15
    state.VerticesOfThePolygonalShutter = [1, 1, 1, 50, 40, 50]
    state.add_new((0x6000, 0x0010), "US", 48)
    state.add_new((0x6000, 0x0011), "US", 64)
    state.add_new((0x6000, 0x0050), "SS", [1, 1])
    state.add_new((0x6000, 0x1001), "CS", "LAYER")
    state.add_new((0x6000, 0x3000), "OW", bytes(range(256)) + bytes(128))
    return image.SOPInstanceUID, state


UID, STATE = whole_state()
BYTES = encoded(STATE)
START = 132


def shown(data: bytes) -> np.ndarray:
    state = read_presentation_state(to_dataset(data))
    chosen = display_settings(state, UID, 1, PIXELS, RenderSettings(width=64, height=64))
    image = render_pixels(VALUES.tobytes(), "1.2.840.10008.1.2.1", PIXELS, RenderingAttributes(), chosen)
    placement = placement_of(state, UID, 1, PIXELS, (image.shape[0], image.shape[1]))
    return draw_annotations(image, state, placement, UID, 1)


def test_the_whole_state_is_shown() -> None:
    picture = shown(BYTES)
    assert max(picture.shape[:2]) == 64 and picture.std() > 10


def outcome(data: bytes) -> str:
    """The message of hilum's error, empty for a picture within its size."""
    try:
        picture = shown(data)
    except HilumError as error:
        return str(error)
    return "" if max(picture.shape[:2]) <= 64 else "Family: a picture of another size"


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(START, len(BYTES) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(BYTES)
    for place, value in changes:
        data[place] = value
    assert "Family" not in outcome(bytes(data))


@settings(max_examples=60)
@given(st.integers(START, len(BYTES) - 1))
def test_cut_short(length: int) -> None:
    assert "Family" not in outcome(BYTES[:length])
