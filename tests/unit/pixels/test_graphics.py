"""Graphic annotations: where they lie after rotation and flip, their shapes, layers and colours; texts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import LimitExceeded
from hilum.pixels.cielab import rgb_of_cielab
from hilum.pixels.drawing import Sheet
from hilum.pixels.graphics import Placement, draw_annotations
from hilum.pixels.presentation_state import (
    Graphic,
    GraphicAnnotation,
    GraphicLayer,
    ImageReference,
    Point,
    PresentationState,
    Style,
    Text,
)
from hilum.pixels.settings import Rescale

UID = "1.2.3"
PLAIN = Style()


def state(*annotations: GraphicAnnotation, layers: tuple[GraphicLayer, ...] = ()) -> PresentationState:
    return PresentationState(
        kind="grayscale",
        references=(ImageReference(UID),),
        rescale=Rescale(1.0),
        modality_lut=None,
        voi=(),
        inverse=False,
        presentation_lut=None,
        palette=None,
        rotation=0,
        flip=False,
        areas=(),
        annotations=annotations,
        layers=layers,
        overlays=(),
        shutters=(),
        icc_profile=b"",
    )


def graphic(kind: str, *points: Point, units: str = "PIXEL", filled: bool = False, style: Style = PLAIN) -> Graphic:
    return Graphic(kind, points, units, filled, style)


def drawn(*graphics: Graphic, texts: tuple[Text, ...] = (), placement: Placement | None = None) -> np.ndarray:
    image = np.zeros((120, 160), np.uint8)
    placement = placement or Placement(0, 0, 160, 120, 0, False, 160, 120)
    return draw_annotations(image, state(GraphicAnnotation((), "", graphics, texts)), placement, UID, 1)


def test_a_filled_rectangle_covers_its_pixels() -> None:
    box = graphic("POLYLINE", (10, 20), (50, 20), (50, 40), (10, 40), (10, 20), filled=True)
    picture = drawn(box)
    inside = picture[21:39, 11:49]
    assert inside.min() == 255
    outside = picture.copy()
    outside[18:43, 8:53] = 0
    assert not outside.any()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", [False, True])
def test_placement_is_that_of_the_pixels(rotation: int, flip: bool) -> None:
    """A mark in the image, turned as NumPy turns it, lies under the graphic."""
    image = np.zeros((120, 160), np.uint8)
    image[30:50, 100:140] = 255
    turned = np.rot90(image, -rotation // 90)
    turned = turned[:, ::-1] if flip else turned
    rows, columns = turned.shape
    placement = Placement(0, 0, 160, 120, rotation, flip, columns, rows)
    box = graphic("POLYLINE", (100, 30), (140, 30), (140, 50), (100, 50), (100, 30), filled=True)
    annotation = GraphicAnnotation((), "", (box,), ())
    picture = draw_annotations(np.zeros_like(turned), state(annotation), placement, UID, 1)
    both = (picture > 128) & (turned > 128)
    assert both.sum() >= 0.99 * (turned > 128).sum()
    assert (picture > 128).sum() <= 1.2 * (turned > 128).sum()


def test_display_units_are_fractions_of_the_picture() -> None:
    picture = drawn(graphic("POINT", (0.5, 0.25), units="DISPLAY"))
    rows, columns = np.nonzero(picture > 128)
    assert abs(rows.mean() + 0.5 - 30) < 0.6 and abs(columns.mean() + 0.5 - 80) < 0.6


def test_a_displayed_area_shifts_and_scales() -> None:
    placement = Placement(40, 20, 80, 50, 0, False, 160, 120)
    assert placement.place((40, 20), "PIXEL") == (0, 0)
    assert placement.place((80, 50), "PIXEL") == (160, 120)
    assert placement.place((60, 35), "PIXEL") == (80, 60)


def test_circle_and_ellipse_have_their_radii() -> None:
    for picture, x, y in (
        (drawn(graphic("CIRCLE", (80, 60), (110, 60))), 30, 30),
        (drawn(graphic("ELLIPSE", (30, 60), (130, 60), (80, 40), (80, 80))), 50, 20),
    ):
        rows, columns = np.nonzero(picture > 100)
        assert abs((columns.max() - columns.min()) / 2 - x) <= 1.5
        assert abs((rows.max() - rows.min()) / 2 - y) <= 1.5
        assert picture[60, 80] == 0


def test_interpolated_curve_passes_through_its_points() -> None:
    points = [(20.0, 60.0), (60.0, 20.0), (100.0, 100.0), (140.0, 60.0)]
    picture = drawn(graphic("INTERPOLATED", *points))
    for x, y in points:
        assert picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() > 100
    polyline = drawn(graphic("POLYLINE", *points))
    assert (picture != polyline).any()


def test_references_choose_images_and_frames() -> None:
    box = graphic("POINT", (80, 60))
    annotation = GraphicAnnotation((ImageReference(UID, (2, 3)),), "", (box,), ())
    image = np.zeros((120, 160), np.uint8)
    placement = Placement(0, 0, 160, 120, 0, False, 160, 120)
    assert draw_annotations(image, state(annotation), placement, UID, 1) is image
    assert draw_annotations(image, state(annotation), placement, "1.2.4", 2) is image
    assert draw_annotations(image, state(annotation), placement, UID, 2).any()


def test_layers_by_order_and_colour() -> None:
    layers = (GraphicLayer("LOW", 1, (255, 0, 0)), GraphicLayer("HIGH", 2, (0, 0, 255)))
    square = graphic("POLYLINE", (40, 40), (80, 40), (80, 80), (40, 80), (40, 40), filled=True)
    annotations = [GraphicAnnotation((), name, (square,), ()) for name in ("HIGH", "LOW")]
    placement = Placement(0, 0, 160, 120, 0, False, 160, 120)
    picture = draw_annotations(np.zeros((120, 160), np.uint8), state(*annotations, layers=layers), placement, UID, 1)
    assert picture.shape == (120, 160, 3)
    assert tuple(picture[60, 60]) == (0, 0, 255)


def test_styles_go_before_layers() -> None:
    style = Style((0, 255, 0), 5.0, (255, 255, 0))
    picture = drawn(graphic("POLYLINE", (40, 40), (80, 40), (80, 80), (40, 80), (40, 40), filled=True, style=style))
    assert tuple(picture[60, 60]) == (255, 255, 0)
    assert tuple(picture[60, 40]) == (0, 255, 0)
    assert tuple(picture[60, 41]) == (0, 255, 0)


@pytest.mark.parametrize("far", [1e7, -1e7])
def test_lines_from_far_outside_keep_their_direction(far: float) -> None:
    picture = drawn(graphic("POLYLINE", (far, far), (80, 60)))
    slope = [(int(x), int(y)) for y, x in zip(*np.nonzero(picture > 100), strict=True)]
    assert slope and all(abs((y - 60) - (x - 80)) <= 2 for x, y in slope)


def test_sixteen_bits_and_colour() -> None:
    sheet = Sheet(np.full((40, 40), 1000, np.uint16))
    sheet.area([(10, 10), (30, 10), (30, 30), (10, 30)], (255, 255, 255))
    assert sheet.image.dtype == np.uint16 and sheet.image[20, 20] == 65535 and sheet.image[0, 0] == 1000
    sheet = Sheet(np.zeros((40, 40, 3), np.uint8))
    sheet.paint(np.eye(40, dtype=bool), (1, 2, 3))
    assert tuple(sheet.image[7, 7]) == (1, 2, 3) and not sheet.image[7, 8].any()


def test_endless_graphics_are_refused() -> None:
    """Each one covers the picture; the work is bounded by the picture's size, not by the file's."""
    sheet = Sheet(np.zeros((512, 512), np.uint8))

    def draw_all() -> None:
        for _ in range(1000):
            sheet.line([(0, 0), (512, 512)], (255, 255, 255))

    with pytest.raises(LimitExceeded, match="times"):
        draw_all()


TEXT = Text("Lesion 12 mm\nÜber Ωμέγα Привет", ((40, 30), (150, 70)), "PIXEL", "LEFT", None, "PIXEL", False, PLAIN)


def test_text_fills_its_box_and_not_more() -> None:
    picture = drawn(texts=(TEXT,))
    rows, columns = np.nonzero(picture > 100)
    assert len(rows) > 50
    assert rows.min() >= 29 and rows.max() <= 72 and columns.min() >= 39 and columns.max() <= 152


def test_text_is_justified_and_stays_within_the_picture() -> None:
    centres = [
        np.nonzero(drawn(texts=(replace(TEXT, text="ab", justification=side),)) > 100)[1].mean()
        for side in ("LEFT", "CENTER", "RIGHT")
    ]
    assert centres[0] < centres[1] < centres[2]
    assert abs(centres[1] - 95) < 3
    at_edge = drawn(texts=(replace(TEXT, text="long text here", box=None, anchor=(158.0, 119.0)),))
    rows, columns = np.nonzero(at_edge > 100)
    assert columns.max() <= 159 and len(columns) > 30 and rows.max() - rows.min() < 20


def test_visible_anchor_is_joined_to_its_text() -> None:
    anchored = replace(TEXT, anchor=(10.0, 110.0), anchor_visible=True)
    with_line, without = drawn(texts=(anchored,)), drawn(texts=(TEXT,))
    assert with_line[110, 10] > 100 and not without[110, 10]
    middle = (with_line.astype(int) - without)[90:105, 10:40]
    assert middle.max() > 100


def test_cielab_values() -> None:
    """White, black, a grey, and the red of sRGB (Bradford-adapted to D50) with its L*a*b*."""

    def encoded(lightness: float, a: float, b: float) -> tuple[float, float, float]:
        return lightness / 100 * 65535, (a + 128) * 257, (b + 128) * 257

    assert rgb_of_cielab(*encoded(100, 0, 0)) == (255, 255, 255)
    assert rgb_of_cielab(*encoded(0, 0, 0)) == (0, 0, 0)
    assert rgb_of_cielab(*encoded(53.585, 0, 0)) == (128, 128, 128)
    assert all(abs(a - b) <= 1 for a, b in zip(rgb_of_cielab(*encoded(54.29, 80.81, 69.89)), (255, 0, 0), strict=True))


def test_ellipse_turned_with_the_picture() -> None:
    axes = [(80 + 40 * math.cos(0.5), 60 + 40 * math.sin(0.5)), (80 - 40 * math.cos(0.5), 60 - 40 * math.sin(0.5))]
    minor = [(80 - 15 * math.sin(0.5), 60 + 15 * math.cos(0.5)), (80 + 15 * math.sin(0.5), 60 - 15 * math.cos(0.5))]
    picture = drawn(graphic("ELLIPSE", *axes, *minor))
    rows, columns = np.nonzero(picture > 100)
    u = (columns + 0.5 - 80) * math.cos(0.5) + (rows + 0.5 - 60) * math.sin(0.5)
    v = -(columns + 0.5 - 80) * math.sin(0.5) + (rows + 0.5 - 60) * math.cos(0.5)
    assert np.abs(np.hypot(u / 40, v / 15) - 1).max() < 0.12
