"""Overlays, shutters, palettes and shapes as files have them, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import picture_twin as twin
import pytest
import render_twin
from pictures import BIG, LITTLE, Array, describe, draw, header, overlay_elements
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.pixels.cielab import rgb_of_cielab
from hilum.pixels.description import RenderingAttributes, rendering_attributes
from hilum.pixels.pipeline import render_frame, render_pixels
from hilum.pixels.settings import Overlay, RenderSettings, Shutter, Window
from hilum.types import PixelDescription

SIZE = (24, 40)
FRAME = (np.arange(24 * 40).reshape(SIZE) % 200).astype(np.uint8)
RANDOM = np.random.default_rng(5)
MASK = RANDOM.random(SIZE) < 0.2
PLAIN = RenderSettings(window=Window(127.5, 255, "LINEAR_EXACT"))


def expect(mask: Array, value: int = 255) -> Array:
    return np.where(mask, value, FRAME)


def test_an_overlay_is_white_unless_told_otherwise() -> None:
    head = header(**overlay_elements(0x6000, MASK))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(MASK))
    assert rendering_attributes(head).as_dict()["overlays"] == [(0x6000, 24, 40, False, "")]
    bare = RenderSettings(window=PLAIN.window, overlays=())
    np.testing.assert_array_equal(draw(FRAME, bare, head), FRAME)
    red = RenderSettings(window=PLAIN.window, overlays=(Overlay(0x6000, colour=(255, 0, 9)), Overlay(0x6002)))
    np.testing.assert_array_equal(draw(FRAME, red, head)[MASK], [[255, 0, 9]] * int(MASK.sum()))


def test_a_small_plane_lies_at_its_origin() -> None:
    head = header(**overlay_elements(0x6000, MASK[:5, :9], (-1, 36)), **overlay_elements(0x601E, MASK[:3, :3], (30, 1)))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(render_twin.place(MASK[:5, :9], -2, 35, SIZE)))


def test_regions_of_interest_are_outlined() -> None:
    region = np.zeros(SIZE, bool)
    region[3:15, 5:30] = True
    head = header(**overlay_elements(0x6000, region, _60000040=("CS", "R")))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(twin.outline(region)))
    filled = RenderSettings(window=PLAIN.window, overlays=(Overlay(0x6000, outline=False),))
    np.testing.assert_array_equal(draw(FRAME, filled, head), expect(region))


@pytest.mark.parametrize("first", [None, 2])
def test_planes_of_frames(first: int | None) -> None:
    planes = RANDOM.random((3, 7, 9)) < 0.4  # 63 bits: planes do not begin with a byte
    more = {} if first is None else {"_60000051": ("US", first)}
    head = header(**overlay_elements(0x6000, planes, **more))
    for frame in range(6):
        plane = frame - (first or 1) + 1
        mask = planes[plane] if 0 <= plane < 3 else np.zeros((7, 9), bool)
        expected = expect(render_twin.place(mask, 0, 0, SIZE))
        np.testing.assert_array_equal(draw(FRAME, PLAIN, head, frame), expected, err_msg=f"frame {frame}")


def test_one_plane_lies_over_all_frames() -> None:
    head = header(**overlay_elements(0x6000, MASK))
    for frame in (0, 7):
        np.testing.assert_array_equal(draw(FRAME, PLAIN, head, frame), expect(MASK))


def test_big_endian_words_of_overlay_data() -> None:
    elements = overlay_elements(0x6000, MASK)
    vr, data = elements["_60003000"]
    swapped = np.frombuffer(data, "<u2").astype(">u2").tobytes()
    head = header(BIG, **elements | {"_60003000": (vr, swapped)})
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(MASK))


@pytest.mark.parametrize(("syntax", "order"), [(LITTLE, "<"), (BIG, ">")])
@pytest.mark.parametrize("bit", [12, 15])
def test_overlays_inside_of_the_pixel_data(syntax: str, order: str, bit: int) -> None:
    words = FRAME.astype(np.uint16) * 16 | MASK.astype(np.uint16) << bit
    pixels = PixelDescription(24, 40, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData")
    head = header(syntax, **embedded(bit))
    how = RenderSettings(window=Window(2047.5, 4095, "LINEAR_EXACT"), region=(3, 2, 30, 20))
    shown = render_pixels(words.astype(order + "u2").tobytes(), syntax, pixels, rendering_attributes(head), how)
    grey = twin.quantise(FRAME.astype(int) * 16 / 4095 * 255)
    np.testing.assert_array_equal(shown, np.where(MASK, 255, grey)[2:22, 3:33])


def embedded(bit: int, **more: Any) -> dict[str, Any]:
    elements = overlay_elements(0x6000, MASK, _60000100=("US", 16), _60000102=("US", bit))
    del elements["_60003000"]
    return elements | more


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (overlay_elements(0x6000, MASK, _60000010=("US", 65535), _60000011=("US", 65535)), r"Overlay Data \(6000,3000\)"),
    (overlay_elements(0x6000, MASK, _60000010=("US", 0)), r"Overlay Rows \(6000,0010\)"),
    (overlay_elements(0x6004, MASK, _60040011=("US", 0)), r"Overlay Columns \(6004,0011\)"),
    (overlay_elements(0x6000, MASK, _60000100=("US", 16)), r"Overlay Bits Allocated \(6000,0100\)"),
    (overlay_elements(0x6000, MASK, _60000015=("IS", 2)), r"Overlay Data \(6000,3000\)"),
    (overlay_elements(0x6000, MASK, _60000015=("IS", 2_000_000_000)), r"Overlay Data \(6000,3000\)"),
    (overlay_elements(0x6000, MASK, _60000015=("IS", -1)), r"Number of Frames in Overlay \(6000,0015\)"),
    (embedded(7), r"Overlay Bit Position \(6000,0102\)"),
    (embedded(77), r"Overlay Bit Position \(6000,0102\)"),
    (embedded(12, _60000010=("US", 23)), r"Overlay Rows \(6000,0010\)"),
    (embedded(12, _60000011=("US", 39)), r"Overlay Columns \(6000,0011\)"),
    ({"ShutterShape": "RECTANGULAR"}, r"\(0018,1602\)"),
    ({"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [1, 1]}, r"\(0018,1612\)"),
    ({"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 2, 2]}, r"\(0018,1620\)"),
    ({"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1] * 7}, r"\(0018,1620\)"),
    ({"ShutterShape": "BITMAP"}, r"\(0018,1623\)"),
    ({"ShutterShape": "HEXAGONAL"}, r"Shutter Shape \(0018,1600\)"),
    (
        {
            "ShutterShape": "RECTANGULAR",
            "ShutterLeftVerticalEdge": 9,
            "ShutterRightVerticalEdge": 8,
            "ShutterUpperHorizontalEdge": 1,
            "ShutterLowerHorizontalEdge": 2,
        },
        r"\(0018,1602\)",
    ),
    ({"PresentationLUTShape": "INVERSE"}, r"Presentation LUT Shape \(2050,0020\)"),
]


@pytest.mark.parametrize(("elements", "message"), CONTRADICTIONS)
def test_contradictions_are_refused_by_name(elements: dict[str, Any], message: str) -> None:
    words = FRAME.astype("<u2")
    pixels = describe(words, bits_stored=12, high_bit=11)
    attributes = rendering_attributes(header(**elements))
    with pytest.raises(DataError, match=message):
        render_frame(words.tobytes(), LITTLE, pixels, attributes)
    without = RenderSettings(overlays=(), shutter=None, presentation="IDENTITY")
    assert render_frame(words.tobytes(), LITTLE, pixels, attributes, without)


def test_an_overlay_without_data_is_none() -> None:
    elements = overlay_elements(0x6000, MASK)
    del elements["_60003000"]
    np.testing.assert_array_equal(draw(FRAME, PLAIN, header(**elements)), FRAME)


def test_embedded_overlays_of_compressed_frames_are_refused() -> None:
    attributes = rendering_attributes(header(**embedded(12)))
    pixels = PixelDescription(1, 1, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData")
    rle = b"\2\0\0\0\x40\0\0\0\x42\0\0\0" + bytes(52) + b"\0\1\0\2"
    with pytest.raises(DataError, match=r"Overlay Bit Position \(6000,0102\)"):
        render_frame(rle, "1.2.840.10008.1.2.5", pixels, attributes)


SHAPES = {
    "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"],
    "ShutterLeftVerticalEdge": 3,
    "ShutterRightVerticalEdge": 35,
    "ShutterUpperHorizontalEdge": 2,
    "ShutterLowerHorizontalEdge": 20,
    "CenterOfCircularShutter": [12, 20],
    "RadiusOfCircularShutter": 14,
    "VerticesOfThePolygonalShutter": [1, 1, 1, 40, 24, 20],
    "ShutterPresentationValue": 32896,
}
HIDDEN = (
    twin.rectangle(SIZE, (3, 35, 2, 20))
    | twin.circle(SIZE, (12, 20, 14))
    | twin.polygon(SIZE, ((1, 1), (1, 40), (24, 20)))
)


def test_the_shutter_of_the_file() -> None:
    np.testing.assert_array_equal(draw(FRAME, PLAIN, header(**SHAPES)), expect(HIDDEN, 128))
    open_ = RenderSettings(window=PLAIN.window, shutter=None)
    np.testing.assert_array_equal(draw(FRAME, open_, header(**SHAPES)), FRAME)
    other = RenderSettings(window=PLAIN.window, shutter=Shutter(rectangle=(1, 40, 5, 6)))
    np.testing.assert_array_equal(draw(FRAME, other, header(**SHAPES)), expect(twin.rectangle(SIZE, (1, 40, 5, 6)), 0))


def test_overlays_lie_over_the_shutter_and_a_bitmap_shutter_is_no_overlay() -> None:
    head = header(**SHAPES, **overlay_elements(0x6000, MASK))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), np.where(MASK, 255, expect(HIDDEN, 128)))
    bitmap = {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000, "ShutterPresentationValue": 65535}
    head = header(**bitmap, **overlay_elements(0x6000, MASK))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(MASK, 255))
    head = header(**bitmap | {"ShutterPresentationValue": 0}, **overlay_elements(0x6000, MASK))
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(MASK, 0))


def test_the_shutter_of_a_frame_takes_the_place_of_the_shared_one() -> None:
    def group(lower: int) -> Dataset:
        shutter, item = Dataset(), Dataset()
        shutter.ShutterShape = "RECTANGULAR"
        shutter.ShutterLeftVerticalEdge, shutter.ShutterRightVerticalEdge = 1, 40
        shutter.ShutterUpperHorizontalEdge, shutter.ShutterLowerHorizontalEdge = 1, lower
        item.FrameDisplayShutterSequence = Sequence([shutter])
        return item

    head = header(
        SharedFunctionalGroupsSequence=Sequence([group(5)]),
        PerFrameFunctionalGroupsSequence=Sequence([Dataset(), group(9)]),
    )
    for frame, lower in ((0, 5), (1, 9)):
        expected = expect(twin.rectangle(SIZE, (1, 40, 1, lower)), 0)
        np.testing.assert_array_equal(draw(FRAME, PLAIN, head, frame), expected)


def test_the_colour_of_a_shutter_is_for_colour_pictures() -> None:
    head = header(**SHAPES, ShutterPresentationColorCIELabValue=[34885, 53485, 50171])
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head), expect(HIDDEN, 128))
    rgb = np.stack([FRAME] * 3, axis=-1)
    shown = draw(rgb, RenderSettings(), head, photometric="RGB")
    expected = np.where(HIDDEN[..., None], rgb_of_cielab(34885, 53485, 50171), rgb)
    assert np.abs(shown.astype(int) - expected).max() <= 1


def test_polygons_of_very_many_vertices_are_refused_quickly() -> None:
    vertices = [1, 1] * 20_000
    text = "\\".join(map(str, vertices))
    head = header("1.2.840.10008.1.2", ShutterShape="POLYGONAL", _00181620=("UN", text.encode()))
    with pytest.raises(DataError, match=r"\(0018,1620\)"):
        draw(FRAME, PLAIN, head)
    tall = np.zeros((65535, 1), np.uint8)
    with pytest.raises(LimitExceeded, match=r"\(0018,1620\)"):
        draw(tall, RenderSettings(shutter=Shutter(polygon=((1, 1), (1, 9), (9, 9)) * 5461 + ((1, 1),))))


def palette(first: int, count: int, **more: Any) -> dict[str, Any]:
    elements: dict[str, Any] = dict(more)
    for k, colour in enumerate(("Red", "Green", "Blue")):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [count, first, 16]
        values = (np.arange(count) * (k + 3) % 256 * 257).astype("<u2")
        elements[f"{colour}PaletteColorLookupTableData"] = values.tobytes()
    return elements


@pytest.mark.parametrize("kind", ["<u2", "<i2"])
def test_supplemental_palettes_colour_the_upper_values(kind: str) -> None:
    frame = (np.arange(24 * 40).reshape(SIZE) - (480 if kind == "<i2" else 0)).astype(kind)
    first = 100
    head = header(PixelPresentation="COLOR", PixelRepresentation=int(kind == "<i2"), **palette(first, 50))
    shown = draw(frame, PLAIN, head)
    grey = np.clip(frame, 0, 255)
    index = np.clip(frame.astype(int) - first, 0, 49)
    for k in range(3):
        expected = np.where(frame >= first, index * (k + 3) % 256, grey)
        np.testing.assert_array_equal(shown[..., k], expected)


def test_palettes_of_grey_images_that_are_not_supplemental_are_not_used() -> None:
    head = header(PixelPresentation="MONOCHROME", PixelRepresentation=0, **palette(10, 50))
    assert draw(FRAME, PLAIN, head).ndim == 2


def test_windows_have_names() -> None:
    head = header(
        SpecificCharacterSet="ISO_IR 192",
        WindowCenter=["50", "0", "100"],
        WindowWidth=["100", "0", "200"],
        WindowCenterWidthExplanation=["Lung", "broken", "Knöchel"],
    )
    found = rendering_attributes(head).as_dict()
    assert found["window_names"] == ["Lung", "Knöchel"]
    by_name = draw(FRAME, RenderSettings(window_name="Knöchel"), head)
    np.testing.assert_array_equal(by_name, draw(FRAME, RenderSettings(window_index=1), head))
    with pytest.raises(UsageError, match="explanation"):
        draw(FRAME, RenderSettings(window_name="broken"), head)


def test_a_requested_shape_takes_the_place_of_the_photometric_interpretation() -> None:
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        how = RenderSettings(window=PLAIN.window, presentation="INVERSE")
        np.testing.assert_array_equal(draw(FRAME, how, photometric=photometric), 255 - FRAME)
    head = header(PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(draw(FRAME, PLAIN, head, photometric="MONOCHROME1"), 255 - FRAME)


def test_the_buffer_of_the_caller() -> None:
    out = np.zeros(SIZE, np.uint8)
    pixels = describe(FRAME)
    arguments = (FRAME.tobytes(), LITTLE, pixels, RenderingAttributes(), PLAIN)
    assert render_pixels(*arguments, out=out) is out
    np.testing.assert_array_equal(out, FRAME)
    frozen = np.zeros(SIZE, np.uint8)
    frozen.flags.writeable = False
    for bad in (np.zeros((40, 24), np.uint8), np.zeros(SIZE, np.int8), np.zeros((24, 80), np.uint8)[:, ::2], frozen):
        with pytest.raises(UsageError, match="out is"):
            render_pixels(*arguments, out=bad)
