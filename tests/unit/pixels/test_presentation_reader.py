"""Presentation states as they are read: what highdicom writes, and what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pytest
from presentation_states import colour_state, displayed_area, grey_state, image_dataset, pseudo_colour_state
from pydicom.dataset import Dataset

from hilum.errors import DataError, HilumError, LimitExceeded, UsageError
from hilum.pixels.presentation_reader import read_presentation_state
from hilum.pixels.presentation_state import PRESENTATION_STATES
from hilum.pixels.settings import Lut, OverlayPlane, Window

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
IMAGE = image_dataset(np.zeros((48, 64), np.uint16))


def annotated() -> Dataset:
    layer = hd.pr.GraphicLayer("LAYER", 3, display_color=hd.color.CIELabColor(100.0, 0.0, 0.0))
    circle = hd.pr.GraphicObject("CIRCLE", np.array([[10.0, 10.0], [20.0, 10.0]]), "PIXEL", is_filled=True)
    text = hd.pr.TextObject("Text", "PIXEL", bounding_box=(5.0, 5.0, 40.0, 20.0))
    annotation = hd.pr.GraphicAnnotation([IMAGE], layer, graphic_objects=[circle], text_objects=[text])
    return grey_state([IMAGE], graphic_layers=[layer], graphic_annotations=[annotation])


def test_what_highdicom_writes() -> None:
    state = read_presentation_state(annotated())
    assert state.kind == "grayscale" and state.reference_to(IMAGE.SOPInstanceUID, 1)
    assert not state.reference_to("1.2.3", 1)
    assert state.layers[0].name == "LAYER" and state.layers[0].colour == (255, 255, 255)
    (annotation,) = state.annotations
    (circle,), (text,) = annotation.graphics, annotation.texts
    assert circle.type == "CIRCLE" and circle.filled and circle.points == ((10.0, 10.0), (20.0, 10.0))
    assert text.text == "Text" and text.box == ((5.0, 5.0), (40.0, 20.0))
    assert (state.areas[0].left, state.areas[0].top) == (1, 1)
    assert (state.areas[0].right, state.areas[0].bottom) == (64, 48)


def test_transformations() -> None:
    table = np.arange(0, 65536, 257, dtype=np.uint16)
    ds = grey_state(
        [IMAGE],
        modality_lut_transformation=hd.ModalityLUTTransformation(-1000.0, 2.0, "HU"),
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(40, 400, voi_lut_function="SIGMOID")],
        presentation_lut_transformation=hd.PresentationLUTTransformation(presentation_lut=hd.PresentationLUT(0, table)),
    )
    ds.ImageRotation, ds.ImageHorizontalFlip = 270, "Y"
    state = read_presentation_state(ds)
    assert (state.rescale.slope, state.rescale.intercept) == (2.0, -1000.0)
    assert state.voi[0].window == Window(40.0, 400.0, "SIGMOID")
    assert state.presentation_lut == Lut(tuple(table.tolist()), 0, 16)
    assert (state.rotation, state.flip) == (270, True)


def test_pseudo_colour_and_colour() -> None:
    palette = np.stack([np.arange(256)] * 3, axis=1).astype(np.uint8)
    state = read_presentation_state(pseudo_colour_state([IMAGE], palette))
    assert state.kind == "pseudo-color" and state.palette is not None and len(state.palette[0].entries) == 256
    rgb = image_dataset(np.zeros((4, 4, 3), np.uint8))
    state = read_presentation_state(colour_state([rgb]))
    assert state.kind == "color" and state.icc_profile[36:40] == b"acsp"


def test_shutters_and_overlays() -> None:
    ds = annotated()
    ds.ShutterShape = ["RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP"]
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 2, 60
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 3, 40
    ds.CenterOfCircularShutter, ds.RadiusOfCircularShutter = [20, 30], 15
    ds.VerticesOfThePolygonalShutter = [1, 1, 1, 50, 40, 50]
    ds.ShutterOverlayGroup, ds.ShutterPresentationValue = 0x6002, 0x1234
    for group, layer in ((0x6000, "LAYER"), (0x6002, "")):
        ds.add_new((group, 0x0010), "US", 48)
        ds.add_new((group, 0x0011), "US", 64)
        ds.add_new((group, 0x0050), "SS", [2, 3])
        if layer:
            ds.add_new((group, 0x1001), "CS", layer)
        ds.add_new((group, 0x3000), "OW", bytes(48 * 8))
    ds.add_new((0x6004, 0x1001), "CS", "LAYER")
    state = read_presentation_state(ds)
    ((images, shutter),) = state.shutters
    assert images == () and shutter.rectangle == (2, 60, 3, 40) and shutter.circle == (20, 30, 15)
    assert shutter.polygon == ((1, 1), (1, 50), (40, 50)) and shutter.value == 0x1234
    assert shutter.bitmap == OverlayPlane(48, 64, bytes(48 * 8), (2, 3))
    assert [overlay.layer for overlay in state.overlays] == ["LAYER", "", "LAYER"]
    assert state.overlays[2].plane is None


def edit(keyword: str, value: Any) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


def edit_item(sequence: str, keyword: str, value: Any) -> Callable[[Dataset], None]:
    def change(ds: Dataset) -> None:
        item = getattr(ds, sequence)[0]
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)

    return change


def edit_graphic(keyword: str, value: Any) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds.GraphicAnnotationSequence[0].GraphicObjectSequence[0], keyword, value)


def drop_reference(ds: Dataset) -> None:
    del ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID


BAD = {
    "no references": (edit("ReferencedSeriesSequence", []), DataError, "0008,1115"),
    "reference without UID": (drop_reference, DataError, "0008,1155"),
    "no corner": (
        edit_item("DisplayedAreaSelectionSequence", "DisplayedAreaTopLeftHandCorner", None),
        DataError,
        "two corners",
    ),
    "far corner": (
        edit_item("DisplayedAreaSelectionSequence", "DisplayedAreaBottomRightHandCorner", [2**31 - 1, 5]),
        DataError,
        "too far",
    ),
    "mode": (edit_item("DisplayedAreaSelectionSequence", "PresentationSizeMode", "HUGE"), DataError, "0070,0100"),
    "magnify": (edit_item("DisplayedAreaSelectionSequence", "PresentationSizeMode", "MAGNIFY"), DataError, "0070,0103"),
    "true size": (
        edit_item("DisplayedAreaSelectionSequence", "PresentationSizeMode", "TRUE SIZE"),
        DataError,
        "0070,0101",
    ),
    "aspect": (
        edit_item("DisplayedAreaSelectionSequence", "PresentationPixelAspectRatio", [0, 1]),
        DataError,
        "0070,0102",
    ),
    "rotation": (edit("ImageRotation", 45), DataError, "0070,0042"),
    "graphic type": (edit_graphic("GraphicType", "SPLINE"), DataError, "0070,0023"),
    "points": (edit_graphic("GraphicData", [1.0, 2.0, 3.0]), DataError, "0070,0022"),
    "number of points": (edit_graphic("NumberOfGraphicPoints", 9), DataError, "0070,0022"),
    "far points": (edit_graphic("GraphicData", [1e30, 1.0, 2.0, 2.0]), DataError, "GraphicData"),
    "nan": (edit_graphic("GraphicData", [float("nan"), 1.0, 2.0, 2.0]), DataError, "GraphicData"),
    "units": (edit_graphic("GraphicAnnotationUnits", "METRES"), DataError, "Units"),
    "shutter shape": (edit("ShutterShape", "OVAL"), DataError, "0018,1600"),
    "shutter edges": (edit("ShutterShape", "RECTANGULAR"), DataError, "ShutterLeftVerticalEdge"),
    "polygon": (edit("ShutterShape", "POLYGONAL"), DataError, "0018,1620"),
    "mask": (edit("MaskSubtractionSequence", [Dataset()]), DataError, "0028,6101"),
    "class": (edit("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), UsageError, "not a presentation state"),
    "blending of nothing": (edit("SOPClassUID", "1.2.840.10008.5.1.4.1.1.11.4"), DataError, "0070,0402"),
    "variable": (edit("SOPClassUID", "1.2.840.10008.5.1.4.1.1.11.12"), DataError, "0028,3001"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_states_name_what_is_wrong(case: str) -> None:
    change, kind, words = BAD[case]
    ds = annotated()
    change(ds)
    with pytest.raises(kind, match=words):
        read_presentation_state(ds)


def test_every_other_kind_is_refused_by_name() -> None:
    for uid, (name, kind) in PRESENTATION_STATES.items():
        ds = Dataset()
        ds.SOPClassUID = uid
        with pytest.raises(
            HilumError, match=name if kind is None else "ReferencedSeries|BlendingSequence|VariableModality"
        ):
            read_presentation_state(ds)


def test_too_much_is_refused() -> None:
    ds = annotated()
    ds.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = "x" * 70000
    with pytest.raises(LimitExceeded):
        read_presentation_state(ds)
    ds = annotated()
    graphic = ds.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicType, graphic.NumberOfGraphicPoints = "POLYLINE", 40000
    graphic.GraphicData = [1.0] * 80000
    ds.GraphicAnnotationSequence[0].GraphicObjectSequence = [graphic] * 30
    with pytest.raises(LimitExceeded):
        read_presentation_state(ds)


def test_short_tables_and_planes() -> None:
    ds = annotated()
    item = Dataset()
    item.LUTDescriptor = [256, 0, 16]
    item.add_new("LUTData", "US", [1, 2, 3])
    ds.ModalityLUTSequence = [item]
    with pytest.raises(DataError, match="LUTData"):
        read_presentation_state(ds)
    ds = annotated()
    ds.add_new((0x6000, 0x0010), "US", 480)
    ds.add_new((0x6000, 0x0011), "US", 640)
    ds.add_new((0x6000, 0x1001), "CS", "LAYER")
    ds.add_new((0x6000, 0x3000), "OW", bytes(8))
    with pytest.raises(DataError, match="6000,3000"):
        read_presentation_state(ds)


def test_corners_in_any_order() -> None:
    """After a rotation the upper left corner of the display has the larger coordinate of the image."""
    ds = annotated()
    ds.DisplayedAreaSelectionSequence = [displayed_area((64, 1, 1, 48))]
    (area,) = read_presentation_state(ds).areas
    assert (area.left, area.top, area.right, area.bottom) == (1, 1, 64, 48)
