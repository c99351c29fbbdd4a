"""Segmentations that highdicom makes lie over slides where its own pixels say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from segmentations import describe, stream
from slide_segmentations import circles, segmentation_of_slide, segmentation_pyramid
from slides import ROOT, halved, tissue, write_slide

import hilum
from hilum.archive.overlays import Overlay
from hilum.archive.slide_overlays import SlideOverlays
from hilum.archive.tiles import Tiler
from hilum.errors import Conflict, NotFound, UsageError
from hilum.pixels.cielab import rgb_of_cielab
from hilum.pixels.settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

ROWS, COLUMNS = 100, 150
WHOLE = (0, 0, COLUMNS, ROWS)
COLOURS = {n: np.array(rgb_of_cielab(*describe(n).RecommendedDisplayCIELabValue)) for n in (1, 2)}
CLOSE = 1
"""Rounding."""


class Slide:
    """An archive of a slide of two levels, and what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.paths = [folder / f"{number}.dcm" for number in (1, 2)]
        pixels = tissue(ROWS, COLUMNS)
        for number, path in enumerate(self.paths, 1):
            write_slide(path, pixels, number=number)
            pixels = halved(pixels)
        self.archive = hilum.open(folder / "archive")
        self.archive.import_paths(self.paths)
        self.tiler = Tiler(self.archive.retrieve, self.archive.index, 1 << 24)
        self.overlays = SlideOverlays(self.archive.retrieve, self.archive.overlays)
        self.pyramid = self.tiler.pyramids.find(f"{ROOT}.1")

    def store(self, dataset: Any) -> str:
        self.archive.store(stream(dataset))
        return str(dataset.SOPInstanceUID)

    def plain(self, region: Any = WHOLE, size: Any = None) -> npt.NDArray[np.uint8]:
        return self.tiler.pixels(self.pyramid, region, size or region[2:], RenderSettings())

    def under(self, *overlays: Overlay, region: Any = WHOLE, size: Any = None) -> npt.NDArray[np.uint8]:
        return self.overlays.paint(self.plain(region, size), self.pyramid, region, overlays)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[Slide]:
    made = Slide(tmp_path)
    yield made
    made.archive.close()


def blended(
    plain: npt.NDArray[np.uint8], mask: npt.NDArray[Any], colour: npt.NDArray[Any], opacity: float
) -> npt.NDArray[Any]:
    """Twin of the painting of one segment, or of parts of it."""
    part = mask[..., None] * opacity
    return np.rint(plain * (1 - part) + colour * part)


def assert_close(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    assert np.abs(found.astype(int) - expected).max() <= CLOSE


@pytest.mark.parametrize("organization", ["TILED_FULL", "TILED_SPARSE"])
def test_binary_segments_overlap_one_another(slide: Slide, organization: str) -> None:
    masks = circles(ROWS, COLUMNS)
    assert (masks.sum(axis=-1) == 2).any()
    how: dict[str, Any] = {"dimension_organization_type": organization}
    if organization == "TILED_FULL":
        how["omit_empty_frames"] = False
    uid = slide.store(segmentation_of_slide(slide.paths[0], masks, "BINARY", [1, 2], **how))
    found = slide.under(Overlay(uid, opacity=0.5, outline=0))
    expected = blended(slide.plain(), masks[..., 0], COLOURS[1], 0.5)
    assert_close(found, blended(expected.astype(np.uint8), masks[..., 1], COLOURS[2], 0.5))
    second = slide.under(Overlay(uid, opacity=1.0, outline=0, segments=(2,)))
    assert_close(second, blended(slide.plain(), masks[..., 1], COLOURS[2], 1.0))


def test_label_map(slide: Slide) -> None:
    labels = (circles(ROWS, COLUMNS) * [1, 2]).max(axis=-1).astype(np.uint8)
    uid = slide.store(segmentation_of_slide(slide.paths[0], labels, "LABELMAP", [1, 2]))
    expected: Any = slide.plain()
    for number in (1, 2):
        expected = blended(expected, labels == number, COLOURS[number], 0.5)
    assert_close(slide.under(Overlay(uid, opacity=0.5, outline=0)), expected)


def test_fractions(slide: Slide) -> None:
    parts = np.linspace(0, 1, ROWS * COLUMNS).reshape(ROWS, COLUMNS).round(2)
    uid = slide.store(segmentation_of_slide(slide.paths[0], parts, "FRACTIONAL", [1], max_fractional_value=100))
    assert_close(slide.under(Overlay(uid, opacity=0.8)), blended(slide.plain(), parts, COLOURS[1], 0.8))


@pytest.mark.parametrize("outline", [0, 1, 3])
def test_pictures_do_not_depend_on_how_they_are_cut(slide: Slide, outline: int) -> None:
    uid = slide.store(segmentation_of_slide(slide.paths[0], circles(ROWS, COLUMNS), "BINARY", [1, 2]))
    overlay = Overlay(uid, outline=outline)
    whole = slide.under(overlay)
    for x, y, wide, high in [(0, 0, 32, 32), (64, 32, 32, 32), (33, 7, 71, 80), (128, 96, 22, 4)]:
        part = slide.under(overlay, region=(x, y, wide, high))
        assert np.array_equal(part, whole[y : y + high, x : x + wide])


def test_a_segmentation_of_a_smaller_level_lies_over_the_largest(slide: Slide) -> None:
    mask = circles(ROWS // 2, COLUMNS // 2)[..., 0]
    uid = slide.store(segmentation_of_slide(slide.paths[1], mask, "BINARY", [1]))
    wide = mask.repeat(2, axis=0).repeat(2, axis=1)
    assert_close(slide.under(Overlay(uid, opacity=1.0, outline=0)), blended(slide.plain(), wide, COLOURS[1], 1.0))
    size = (COLUMNS // 2, ROWS // 2)
    small = slide.under(Overlay(uid, opacity=1.0, outline=0), size=size)
    assert_close(small, blended(slide.plain(size=size), mask, COLOURS[1], 1.0))


def test_a_part_of_the_slide(slide: Slide) -> None:
    mask = np.ones((40, 50), np.uint8)
    dataset = segmentation_of_slide(slide.paths[0], circles(ROWS, COLUMNS)[..., 0], "BINARY", [1])
    moved = segmentation_of_slide(
        slide.paths[0],
        mask,
        "BINARY",
        [1],
        plane_positions=[_at(dataset, 20, 30)],
    )
    uid = slide.store(moved)
    expected = np.zeros((ROWS, COLUMNS))
    expected[30:70, 20:70] = 1
    assert_close(slide.under(Overlay(uid, opacity=1.0, outline=0)), blended(slide.plain(), expected, COLOURS[1], 1.0))


def test_of_a_pyramid_of_segmentations_one_is_shown(slide: Slide) -> None:
    mask = circles(ROWS, COLUMNS)[..., 0]
    levels = segmentation_pyramid(slide.paths, mask, "BINARY")
    assert len(levels) == 2
    for level in levels:
        slide.store(level)
    series = str(levels[0].SeriesInstanceUID)
    overlay = Overlay(series, opacity=0.5, outline=0)
    assert_close(slide.under(overlay), blended(slide.plain(), mask, COLOURS[1], 0.5))
    size = (COLUMNS // 2, ROWS // 2)
    alone = slide.under(Overlay(str(levels[1].SOPInstanceUID), opacity=0.5, outline=0), size=size)
    assert np.array_equal(slide.under(overlay, size=size), alone)


def test_what_cannot_lie_over_a_slide(slide: Slide, tmp_path: Path) -> None:
    mask = circles(ROWS, COLUMNS)
    dataset = segmentation_of_slide(slide.paths[0], mask, "BINARY", [1, 2])
    uid = slide.store(dataset)
    with pytest.raises(NotFound):
        slide.under(Overlay("1.2.3"))
    with pytest.raises(NotFound):
        slide.under(Overlay(uid, segments=(7,)))
    with pytest.raises(UsageError):
        slide.under(Overlay(uid, palette="hot"))
    with pytest.raises(UsageError):
        slide.under(Overlay(uid, outline=99))
    with pytest.raises(UsageError):
        slide.under(Overlay(f"{ROOT}.1.1"))
    elsewhere = segmentation_of_slide(slide.paths[0], mask, "BINARY", [1, 2])
    elsewhere.FrameOfReferenceUID = "1.2.3"
    with pytest.raises(Conflict, match="frame of reference"):
        slide.under(Overlay(slide.store(elsewhere)))
    turned = segmentation_of_slide(slide.paths[0], mask, "BINARY", [1, 2])
    turned.ImageOrientationSlide = [1, 0, 0, 0, 1, 0]
    with pytest.raises(Conflict, match="turned"):
        slide.under(Overlay(slide.store(turned)))
    nowhere = segmentation_of_slide(slide.paths[0], mask, "BINARY", [1, 2])
    del nowhere.TotalPixelMatrixOriginSequence
    with pytest.raises(Conflict, match="does not say"):
        slide.under(Overlay(slide.store(nowhere)))


def _at(dataset: Any, column: int, row: int) -> Any:
    import highdicom as hd

    origin = dataset.TotalPixelMatrixOriginSequence[0]
    spacing = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    # rows run along -y, columns along -x
    return hd.PlanePositionSequence(
        coordinate_system="SLIDE",
        image_position=(
            float(origin.XOffsetInSlideCoordinateSystem) - row * spacing[0],
            float(origin.YOffsetInSlideCoordinateSystem) - column * spacing[1],
            0.0,
        ),
        pixel_matrix_position=(1, 1),
    )
