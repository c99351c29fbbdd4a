"""Damaged presentation states end in an error of hilum or in a picture, never in anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presentation_states import displayed_area, encoded, grey_state, image_dataset, item_of, renamed
from volumetric_states import colour, lay, volumetric_state

from hilum.dicom.dataset import to_dataset
from hilum.errors import HilumError
from hilum.pixels.description import RenderingAttributes
from hilum.pixels.graphics import draw_annotations
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import display_settings, placement_of
from hilum.pixels.presentation_reader import read_presentation_state
from hilum.pixels.settings import RenderSettings
from hilum.render.volumetric_state import read_volumetric_state
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


def other_states() -> dict[str, bytes]:
    """States of other kinds, read but not shown: masks of angiography, variable tables, several inputs, volumes."""
    image = image_dataset(np.stack([VALUES, VALUES]), SOPInstanceUID=UID)
    reference = item_of(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=UID)
    table = {"LUTDescriptor": [256, 0, 16], "LUTData": bytes(512)}
    region = item_of(MaskSubPixelShift=[1.5, -2], VerticesOfTheRegion=[1, 1, 1, 9, 9, 9])
    mask = item_of(
        MaskOperation="AVG_SUB",
        MaskFrameNumbers=[1],
        ApplicableFrameRange=[1, 2],
        PixelShiftSequence=[item_of(PixelShiftFrameRange=[1, 2], RegionPixelShiftSequence=[region])],
        PixelIntensityRelationshipLUTSequence=[item_of(LUTFrameRange=[1, 2], LUTFunction="TO_LOG", **table)],
    )
    angiography = grey_state([image])
    angiography.MaskSubtractionSequence = [mask]
    display = item_of(StartTrim=1, StopTrim=2, RecommendedViewingMode="SUB", MaskVisibilityPercentage=50.0)
    angiography.MultiFramePresentationSequence = [item_of(FrameDisplaySequence=[display])]
    variable = grey_state([image])
    variable.VariableModalityLUTSequence = [
        item_of(ReferencedImageSequence=[reference], ModalityLUTSequence=[item_of(**table)])
    ]
    threshold = item_of(ThresholdType="LESS_THAN", ThresholdValueSequence=[item_of(ThresholdValue=5.0)])
    advanced = grey_state([image])
    advanced.AdvancedBlendingSequence = [
        item_of(
            BlendingInputNumber=number,
            SeriesInstanceUID=image.SeriesInstanceUID,
            ReferencedImageSequence=[reference],
            ThresholdSequence=[threshold],
            SoftcopyVOILUTSequence=[item_of(WindowCenter=5, WindowWidth=9)],
        )
        for number in (1, 2)
    ]
    inputs = [item_of(BlendingInputNumber=number) for number in (1, 2)]
    advanced.BlendingDisplaySequence = [
        item_of(BlendingMode="FOREGROUND", RelativeOpacity=0.5, BlendingDisplayInputSequence=inputs)
    ]
    volume = lay(
        volumetric_state(7, [(image.SOPClassUID, UID)], "1.2.3", "1.2.4"), (0, 0, 0), (1, 0, 0), (0, 1, 0), 9, 9
    )
    colour(volume, np.zeros((16, 4), np.uint8), streams=False)
    volume.PresentationStateClassificationComponentSequence.append(
        volume.PresentationStateClassificationComponentSequence[0]
    )
    weights = item_of(LUTDescriptor=[16, 0, 8], LUTData=bytes(16))
    volume.PresentationStateCompositorComponentSequence = [
        item_of(WeightingTransferFunctionSequence=[weights, weights])
    ]
    root = "1.2.840.10008.5.1.4.1.1.11."
    made = {"5": angiography, "12": variable, "8": advanced}
    return {number: encoded(renamed(state, root + number)) for number, state in made.items()} | {"7": encoded(volume)}


OTHERS = other_states()


def read(kind: str, data: bytes) -> str:
    """The message of hilum's error, empty when the state can be read."""
    try:
        if kind == "7":
            volume = read_volumetric_state(to_dataset(data))
            volume.plane((8, 8))
            [one.transfer(volume.input(one.input).window) for stream in volume.streams for one in stream]
        else:
            state = read_presentation_state(to_dataset(data))
            [(mask.frames(2, 2), mask.table_of(2)) for mask in state.masks]
            state.modality_of(UID, 1)
    except HilumError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", OTHERS)
def test_the_other_states_are_read(kind: str) -> None:
    assert read(kind, OTHERS[kind]) == ""


@settings(max_examples=300)
@given(st.sampled_from(sorted(OTHERS)), st.data())
def test_damaged_bytes_of_the_other_states(kind: str, chosen: st.DataObject) -> None:
    data = bytearray(OTHERS[kind])
    places = st.tuples(st.integers(START, len(data) - 1), st.integers(0, 255))
    for place, value in chosen.draw(st.lists(places, min_size=1, max_size=6)):
        data[place] = value
    assert "Family" not in read(kind, bytes(data))


@settings(max_examples=60)
@given(st.sampled_from(sorted(OTHERS)), st.floats(0, 1))
def test_the_other_states_cut_short(kind: str, part: float) -> None:
    data = OTHERS[kind]
    assert "Family" not in read(kind, data[: START + int(part * (len(data) - START))])


def test_a_group_length_of_two_bytes_is_told() -> None:
    """File Meta Information Group Length (0002,0000) is what pydicom converts before it reads anything else."""
    data = BYTES[:START] + b"\x02\0\0\0UL\x02\0\x10\0" + BYTES[START + 12 :]
    with pytest.raises(HilumError, match="BytesLengthException"):
        to_dataset(data)
