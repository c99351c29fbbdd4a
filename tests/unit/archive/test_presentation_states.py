"""Presentation states applied to stored images: area, rotation, shutters, overlays and colour against NumPy twins."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from presentation_states import (
    SRGB,
    colour_state,
    displayed_area,
    encoded,
    grey_state,
    image_dataset,
    pseudo_colour_state,
)
from pydicom.dataset import Dataset

import hilum
from hilum.errors import DataError, LimitExceeded, NotFound, UsageError
from hilum.pixels.settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.archive.archive import Archive
    from hilum.archive.objects import Instance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ROWS, COLUMNS = 60, 80
VALUES = (np.arange(ROWS * COLUMNS, dtype=np.uint16) * 13 % 4096).reshape(ROWS, COLUMNS)
WINDOW = hd.pr.SoftcopyVOILUTTransformation(2048, 4096, voi_lut_function="LINEAR_EXACT")
SHOWN = np.clip(np.round(VALUES / 4096 * 255), 0, 255).astype(np.uint8)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def stored(archive: Archive, *datasets: Dataset) -> list[Instance]:
    uids = [archive.store(encoded(ds)).sop_instance_uid for ds in datasets]
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    return [found[uid] for uid in uids]


def shown(archive: Archive, image: Dataset, state: Dataset, **options: Any) -> np.ndarray:
    picture, presentation = stored(archive, image, state)
    return picture.render_array(presentation_state=presentation, **options)


def ct(**attributes: Any) -> Dataset:
    return image_dataset(VALUES, BitsStored=12, HighBit=11, **attributes)


def close(actual: np.ndarray, expected: np.ndarray) -> bool:
    return actual.shape == expected.shape and np.abs(actual.astype(int) - expected).max() <= 1


def test_the_state_decides_and_not_the_image(archive: Archive) -> None:
    """Without a VOI LUT in the state the image's window is not used; the image's rescale neither."""
    image = ct(WindowCenter=1, WindowWidth=2, RescaleSlope=3, RescaleIntercept=-1000)
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        state.pop(keyword, None)
    assert close(shown(archive, image, state), SHOWN)
    state.pop("SoftcopyVOILUTSequence")
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.99"
    assert close(shown(archive, image, state), np.round(VALUES / 4095 * 255))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["N", "Y"])
def test_rotation_then_flip(archive: Archive, rotation: int, flip: str) -> None:
    image = ct()
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    state.ImageRotation, state.ImageHorizontalFlip = rotation, flip
    expected = np.rot90(SHOWN, -rotation // 90)
    assert close(shown(archive, image, state), expected[:, ::-1] if flip == "Y" else expected)


def test_displayed_area_inside_and_beyond_the_image(archive: Archive) -> None:
    image = ct()
    inside, beyond = (grey_state([image], voi_lut_transformations=[WINDOW]) for _ in range(2))
    inside.DisplayedAreaSelectionSequence = [displayed_area((11, 6, 40, 25))]
    assert close(shown(archive, image, inside), SHOWN[5:25, 10:40])
    beyond.DisplayedAreaSelectionSequence = [displayed_area((-9, -4, 90, 65))]
    expected = np.zeros((70, 100), np.uint8)
    expected[5:65, 10:90] = SHOWN
    assert close(shown(archive, image, beyond), expected)


def test_magnify_and_viewport(archive: Archive) -> None:
    image = ct()
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    state.DisplayedAreaSelectionSequence = [
        displayed_area((1, 1, 40, 30), "MAGNIFY", PresentationPixelMagnificationRatio=2.5)
    ]
    picture, presentation = stored(archive, image, state)
    assert picture.render_array(presentation_state=presentation).shape == (75, 100)
    assert picture.render_array(presentation_state=presentation, width=20, height=20).shape == (15, 20)
    deep = picture.render_array(presentation_state=presentation, settings=RenderSettings(bits=16))
    assert deep.dtype == np.uint16 and deep.shape == (75, 100)


@pytest.mark.parametrize("spacing", [[0.25, 0.25], [0.5, 0.25], [0.25, 0.5]])
def test_true_size_on_a_screen_whose_pixels_are_known(archive: Archive, spacing: list[float]) -> None:
    image = ct()
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    area = displayed_area((1, 1, 40, 30), "TRUE SIZE", PresentationPixelSpacing=spacing)
    state.DisplayedAreaSelectionSequence = [area]
    picture, presentation = stored(archive, image, state)
    screen = RenderSettings(screen_spacing=0.1)
    shown = picture.render_array(presentation_state=presentation, settings=screen)
    assert shown.shape == (round(30 * spacing[0] / 0.1), round(40 * spacing[1] / 0.1))
    fitted = RenderSettings(screen_spacing=0.1, width=20, height=20)
    assert max(picture.render_array(presentation_state=presentation, settings=fitted).shape) == 20
    with pytest.raises(UsageError, match="screen_spacing"):
        RenderSettings(screen_spacing=-1.0)


def test_pixels_that_are_not_square(archive: Archive) -> None:
    image = ct()
    state = grey_state([image])
    state.DisplayedAreaSelectionSequence = [displayed_area((1, 1, COLUMNS, ROWS), PresentationPixelAspectRatio=[2, 1])]
    rows, columns = shown(archive, image, state).shape
    assert rows / columns == pytest.approx(2 * ROWS / COLUMNS, rel=0.03)


def test_items_are_for_their_images_and_frames(archive: Archive) -> None:
    frames = np.stack([VALUES, VALUES[::-1]])
    image = image_dataset(frames, BitsStored=12, HighBit=11)
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    reference.ReferencedFrameNumber = 2
    second = Dataset()
    second.ReferencedImageSequence = [reference]
    second.WindowCenter, second.WindowWidth, second.VOILUTFunction = 100, 200, "LINEAR_EXACT"
    state.SoftcopyVOILUTSequence = [second, *state.SoftcopyVOILUTSequence]
    picture, presentation = stored(archive, image, state)
    assert close(picture.render_array(0, presentation_state=presentation), SHOWN)
    expected = np.clip(np.round(VALUES[::-1] / 200 * 255), 0, 255)
    assert close(picture.render_array(1, presentation_state=presentation), expected)


def test_shutters(archive: Archive) -> None:
    image = ct()
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    state.ShutterShape = ["RECTANGULAR", "CIRCULAR"]
    state.ShutterLeftVerticalEdge, state.ShutterRightVerticalEdge = 11, 70
    state.ShutterUpperHorizontalEdge, state.ShutterLowerHorizontalEdge = 6, 50
    state.CenterOfCircularShutter, state.RadiusOfCircularShutter = [30, 40], 25
    state.ShutterPresentationValue = 0x8000
    picture = shown(archive, image, state)
    row, column = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]
    distance = np.hypot(row - 30, column - 40)
    box = (row >= 6) & (row <= 50) & (column >= 11) & (column <= 70)
    seen, hidden = box & (distance < 24.2), ~box | (distance > 25.8)
    assert close(np.where(seen, picture, 0), np.where(seen, SHOWN, 0))
    assert set(np.unique(picture[hidden])) <= {127, 128}


def test_shutters_of_frames(archive: Archive) -> None:
    """An XA/XRF state has them for single frames (PS3.3 C.11.16), else one for all."""
    image = image_dataset(np.stack([VALUES, VALUES]), BitsStored=12, HighBit=11)
    state = grey_state([image], voi_lut_transformations=[WINDOW])
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.5"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    reference.ReferencedFrameNumber = 2
    own = Dataset()
    own.ReferencedImageSequence = [reference]
    for item, left in ((own, 31), (state, 11)):
        item.ShutterShape = "RECTANGULAR"
        item.ShutterLeftVerticalEdge, item.ShutterRightVerticalEdge = left, COLUMNS
        item.ShutterUpperHorizontalEdge, item.ShutterLowerHorizontalEdge = 1, ROWS
    state.FrameDisplayShutterSequence = [own]
    picture, presentation = stored(archive, image, state)
    for frame, left in ((0, 10), (1, 30)):
        made = picture.render_array(frame, presentation_state=presentation)
        assert not made[:, :left].any() and close(made[:, left:], SHOWN[:, left:])


def test_segmented_pseudo_colour(archive: Archive) -> None:
    image = ct()
    state = pseudo_colour_state([image], np.zeros((256, 3), np.uint8))
    state.SoftcopyVOILUTSequence = [WINDOW]
    for colour, words in (
        ("Red", [0, 1, 0, 1, 255, 65535]),
        ("Green", [0, 1, 2313, 1, 255, 2313]),
        ("Blue", [0, 1, 65535, 1, 255, 0]),
    ):
        delattr(state, f"{colour}PaletteColorLookupTableData")
        data = np.array(words, "<u2").tobytes()
        setattr(state, f"Segmented{colour}PaletteColorLookupTableData", data)
    made = shown(archive, image, state)
    assert close(made[..., 0], SHOWN) and close(made[..., 2], 255 - SHOWN) and (made[..., 1] == 9).all()


def test_overlays_lie_in_their_layers(archive: Archive) -> None:
    """Activated overlays are drawn in the colour of their layer, others and those of the image are not."""
    image = ct()
    plane = np.zeros((ROWS, COLUMNS), bool)
    plane[10:20, 30:50] = True
    image.add_new((0x6000, 0x0010), "US", ROWS)
    image.add_new((0x6000, 0x0011), "US", COLUMNS)
    image.add_new((0x6000, 0x0040), "CS", "G")
    image.add_new((0x6000, 0x0050), "SS", [1, 1])
    image.add_new((0x6000, 0x0100), "US", 1)
    image.add_new((0x6000, 0x0102), "US", 0)
    image.add_new((0x6000, 0x3000), "OW", np.packbits(plane, bitorder="little").tobytes())
    layer = hd.pr.GraphicLayer("RED", 1, display_color=hd.color.CIELabColor(54.3, 80.8, 69.9))
    plain = grey_state([image], voi_lut_transformations=[WINDOW], graphic_layers=[layer])
    active = grey_state([image], voi_lut_transformations=[WINDOW], graphic_layers=[layer])
    active.add_new((0x6000, 0x1001), "CS", "RED")
    assert close(shown(archive, image, plain), SHOWN)
    picture = shown(archive, image, active)
    assert picture.shape == (ROWS, COLUMNS, 3)
    assert (np.abs(picture[plane].astype(int) - (255, 0, 0)) <= 2).all()
    assert close(picture[~plane][:, 0], SHOWN[~plane])


def test_graphics_follow_the_displayed_area(archive: Archive) -> None:
    image = ct()
    layer = hd.pr.GraphicLayer("L", 1)
    points = np.array([[20.0, 10.0], [40.0, 10.0], [40.0, 20.0], [20.0, 20.0], [20.0, 10.0]])
    square = hd.pr.GraphicObject("POLYLINE", points, "PIXEL", is_filled=True)
    annotation = hd.pr.GraphicAnnotation([image], layer, graphic_objects=[square])
    window = hd.pr.SoftcopyVOILUTTransformation(65000, 2)  # all black
    state = grey_state(
        [image], voi_lut_transformations=[window], graphic_layers=[layer], graphic_annotations=[annotation]
    )
    state.DisplayedAreaSelectionSequence = [displayed_area((11, 1, 50, 30))]
    picture = shown(archive, image, state, width=160)
    assert picture.shape == (120, 160)
    rows, columns = np.nonzero(picture > 128)
    assert (abs(columns.min() - 40) <= 1, abs(columns.max() - 119) <= 1) == (True, True)
    assert (abs(rows.min() - 40) <= 1, abs(rows.max() - 79) <= 1) == (True, True)


def test_inverse_and_pseudo_colour(archive: Archive) -> None:
    image = ct()
    inverse = grey_state(
        [image],
        voi_lut_transformations=[WINDOW],
        presentation_lut_transformation=hd.PresentationLUTTransformation("INVERSE"),
    )
    assert close(shown(archive, image, inverse), 255 - SHOWN)
    palette = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)], axis=1).astype(np.uint8)
    pseudo = pseudo_colour_state([image], palette)
    pseudo.SoftcopyVOILUTSequence = [WINDOW]
    picture = shown(archive, image, pseudo).astype(int)
    assert np.abs(picture[..., 0] - SHOWN).max() <= 1 and np.abs(picture[..., 1] - (255 - SHOWN)).max() <= 1
    assert (picture[..., 2] == 7).all()


def test_colour_state_of_a_colour_image(archive: Archive) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    image = image_dataset(rgb)
    state = colour_state([image])
    state.ImageRotation = 90
    picture, presentation = stored(archive, image, state)
    assert (picture.render_array(presentation_state=presentation) == np.rot90(rgb, -1)).all()
    file = Image.open(io.BytesIO(picture.render(presentation_state=presentation, icc_profile="yes")))
    assert file.info["icc_profile"] == SRGB


def test_the_wrong_state_is_refused(archive: Archive) -> None:
    image, other = ct(), ct()
    rgb = image_dataset(np.zeros((8, 8, 3), np.uint8))
    state, for_colour = grey_state([image]), colour_state([rgb])
    picture, second, colour, presentation, coloured = stored(archive, image, other, rgb, state, for_colour)
    with pytest.raises(UsageError, match="does not refer"):
        second.render(presentation_state=presentation)
    with pytest.raises(UsageError, match="not a presentation state"):
        picture.render(presentation_state=second)
    with pytest.raises(UsageError, match="cannot be combined"):
        picture.render(presentation_state=presentation, window=(1.0, 2.0))
    state.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = rgb.SOPInstanceUID
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.98"
    with pytest.raises(UsageError, match="colour images"):
        colour.render(presentation_state=stored(archive, state)[0])
    assert coloured.number_of_frames == 0


def test_targets(archive: Archive) -> None:
    frames = image_dataset(np.stack([VALUES] * 3), BitsStored=12, HighBit=11)
    absent = ct()
    state = grey_state([frames, absent])
    picture, presentation = stored(archive, frames, state)
    targets = archive.pictures.targets(presentation.record)
    assert [(r.sop_instance_uid, f) for r, f in targets] == [(picture.sop_instance_uid, f) for f in range(3)]
    references = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    references[0].ReferencedFrameNumber = 7
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.97"
    with pytest.raises(DataError, match="frames"):
        archive.pictures.targets(stored(archive, state)[0].record)
    references[0].ReferencedSOPInstanceUID = presentation.sop_instance_uid  # of another state: no circle, no picture
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.10.1561.9.96"
    with pytest.raises(DataError, match="without pixel data"):
        archive.pictures.targets(stored(archive, state)[0].record)
    orphan = grey_state([absent])
    with pytest.raises(NotFound, match="none of the 1 images"):
        archive.pictures.targets(stored(archive, orphan)[0].record)


def test_absurd_sizes_cost_nothing(archive: Archive) -> None:
    image = ct()
    huge, magnified = grey_state([image]), grey_state([image])
    huge.DisplayedAreaSelectionSequence = [displayed_area((-1000000, -1000000, 1000000, 1000000))]
    magnified.DisplayedAreaSelectionSequence = [
        displayed_area((1, 1, 80, 60), "MAGNIFY", PresentationPixelMagnificationRatio=1000)
    ]
    for state in (huge, magnified):
        with pytest.raises((LimitExceeded, UsageError)):
            shown(archive, image, state)
