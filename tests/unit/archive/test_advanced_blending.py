"""Advanced blending presentation states by highdicom against a pixel-by-pixel twin of PS3.4 N.2.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pytest
from presentation_states import (
    MAKER,
    SRGB,
    detached,
    displayed_area,
    encoded,
    image_dataset,
    item_of,
    reference_to,
    registration,
    renamed,
)
from pydicom.uid import generate_uid
from scipy import ndimage

import hilum
from hilum.errors import DataError, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hilum.archive.archive import Archive

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RNG = np.random.default_rng(17)
ROWS, COLUMNS = 30, 40
RAMP = np.arange(256, dtype=np.uint8)
HOT = np.stack([RAMP, RAMP // 2, np.zeros(256, np.uint8)], axis=1)
COLD = np.stack([np.full(256, 10, np.uint8), RAMP // 3, 255 - RAMP], axis=1)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def plane(pixels: np.ndarray, series: int, **attributes: Any) -> Dataset:
    geometry: dict[str, Any] = {
        "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1],
        "SliceThickness": 2, "SeriesInstanceUID": f"1.2.826.0.1.3680043.10.1561.9.{series}",
    }  # fmt: skip
    return image_dataset(pixels, **{**geometry, **attributes})


def grey(high: int = 256) -> np.ndarray:
    return RNG.integers(0, high, (ROWS, COLUMNS), dtype=np.uint8)


def table(colours: np.ndarray) -> hd.PaletteColorLUTTransformation:
    names = ("red", "green", "blue")
    return hd.PaletteColorLUTTransformation(*(hd.PaletteColorLUT(0, colours[:, i], n) for i, n in enumerate(names)))


def step(
    mode: str, inputs: list[int], opacity: float | None = None, result: int | None = None
) -> hd.pr.BlendingDisplay:
    made = hd.pr.BlendingDisplay(mode, [hd.pr.BlendingDisplayInput(n) for n in inputs], None, opacity)
    if result is not None:
        made.BlendingInputNumber = result  # highdicom 0.28 takes the number and leaves it out
    return made


def advanced(inputs: list[tuple[list[Dataset], np.ndarray | None]], steps: list[Any]) -> Dataset:
    items = [
        hd.pr.AdvancedBlending(images, n, palette_color_lut_transformation=None if colours is None else table(colours))
        for n, (images, colours) in enumerate(inputs, 1)
    ]
    state = hd.pr.AdvancedBlendingPresentationState(
        [image for images, _ in inputs for image in images],
        items,
        steps,
        series_instance_uid=generate_uid(),
        sop_instance_uid=generate_uid(),
        icc_profile=SRGB,
        **MAKER,
    )
    return detached(state)


def shown(archive: Archive, images: list[Dataset], state: Dataset) -> np.ndarray:
    """The first image as the state shows it."""
    for ds in (*images, state):
        archive.store(encoded(ds))
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    return found[images[0].SOPInstanceUID].render_array(presentation_state=found[state.SOPInstanceUID])


def twin(
    steps: list[tuple[str, list[int], float, int]], inputs: dict[int, tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """PS3.4 N.2.6 one pixel after the other; steps: mode, inputs, opacity, result (0: the picture)."""
    picture = np.zeros((ROWS, COLUMNS, 3))
    for row in range(ROWS):
        for column in range(COLUMNS):
            known = {n: (rgb[row, column].astype(float), seen[row, column]) for n, (rgb, seen) in inputs.items()}
            for mode, numbers, opacity, result in steps:
                parts = [known[n] for n in numbers]
                visible = [rgb for rgb, seen in parts if seen]
                if not visible:
                    known[result] = np.zeros(3), False
                elif mode == "EQUAL" or len(visible) == 1:
                    known[result] = np.mean(visible, axis=0), True
                else:
                    known[result] = opacity * visible[0] + (1 - opacity) * visible[1], True
            picture[row, column] = known[0][0]
    return picture


ALL = np.ones((ROWS, COLUMNS), bool)


def test_foreground_of_two_pseudo_colours(archive: Archive) -> None:
    one, two = grey(), grey()
    images = [plane(one, 1), plane(two, 2)]
    state = advanced([(images[:1], HOT), (images[1:], COLD)], [step("FOREGROUND", [2, 1], 0.3)])
    expected = twin([("FOREGROUND", [2, 1], 0.3, 0)], {1: (HOT[one], ALL), 2: (COLD[two], ALL)})
    assert np.abs(shown(archive, images, state) - expected).max() <= 1.5


def test_equal_of_grey_colour_and_pseudo_colour_with_padding_and_thresholds(archive: Archive) -> None:
    """Padding of the image and values beyond the thresholds have no part; where nothing is seen it is black."""
    one, two = grey(), grey()
    rgb = RNG.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
    images = [plane(one, 1, PixelPaddingValue=0, PixelPaddingRangeLimit=90), plane(two, 2), plane(rgb, 3)]
    state = advanced([(images[:1], HOT), (images[1:2], COLD), (images[2:], None)], [step("EQUAL", [1, 2])])
    state.AdvancedBlendingSequence[0].pop("PaletteColorLookupTableSequence")  # highdicom demands one, the module not
    state.AdvancedBlendingSequence[1].ThresholdSequence = [
        item_of(ThresholdType=kind, ThresholdValueSequence=[item_of(ThresholdValue=float(v)) for v in values])
        for kind, values in (("RANGE_INCL", [100, 120]), ("GREATER_THAN", [200]))
    ]
    seen = {1: one > 90, 2: ((two >= 100) & (two <= 120)) | (two > 200), 3: ALL}
    colours = {1: np.repeat(one[..., None], 3, axis=2), 2: COLD[two], 3: rgb}
    inputs = {n: (colours[n], seen[n]) for n in seen}
    got = shown(archive, images, state)
    assert np.abs(got - twin([("EQUAL", [1, 2], 1, 0)], inputs)).max() <= 1.5
    assert (got[~seen[1] & ~seen[2]] == 0).all() and (~seen[1] & ~seen[2]).any()
    state.BlendingDisplaySequence = [step("EQUAL", [1, 2, 3])]
    again = shown(archive, images, renamed(state, state.SOPClassUID))
    assert np.abs(again - twin([("EQUAL", [1, 2, 3], 1, 0)], inputs)).max() <= 1.5


def test_steps_follow_their_numbers_not_their_order(archive: Archive) -> None:
    parts = [grey() for _ in range(3)]
    images = [plane(pixels, n) for n, pixels in enumerate(parts, 1)]
    state = advanced(
        [(images[:1], HOT), (images[1:2], COLD), (images[2:], HOT)],
        [step("FOREGROUND", [4, 3], 0.7), step("EQUAL", [1, 2], result=4)],
    )
    inputs = {n: (colours[pixels], ALL) for n, pixels, colours in zip((1, 2, 3), parts, (HOT, COLD, HOT), strict=True)}
    expected = twin([("EQUAL", [1, 2], 1, 4), ("FOREGROUND", [4, 3], 0.7, 0)], inputs)
    assert np.abs(shown(archive, images, state) - expected).max() <= 1.5


def test_geometry_window_and_area(archive: Archive) -> None:
    """The picture has the pixels of the second input; a coarser first one of 12 bits lies over a part of it."""
    y, x = np.mgrid[0:10, 0:12]
    coarse = (400 + x * 150 + y * 100).astype(np.uint16)
    under = grey()
    images = [plane(under, 1), plane(coarse, 2, ImagePositionPatient=[8, 4, 0], PixelSpacing=[2, 2])]
    state = advanced([(images[1:], HOT), (images[:1], COLD)], [step("FOREGROUND", [1, 2], 0.5)])
    state.AdvancedBlendingSequence[1].GeometryForDisplay = "TRUE"
    window = item_of(WindowCenter=1500, WindowWidth=3000, VOILUTFunction="LINEAR_EXACT")
    state.AdvancedBlendingSequence[0].SoftcopyVOILUTSequence = [window]
    state.DisplayedAreaSelectionSequence = [displayed_area((6, 4, 35, 28))]
    colours = HOT[np.clip(np.round(coarse / 3000 * 255), 0, 255).astype(int)].astype(float)
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    v, u = (rows - 4) / 2, (columns - 8) / 2
    seen = (v >= -0.5) & (v <= 9.5) & (u >= -0.5) & (u <= 11.5)
    layer = np.stack([ndimage.map_coordinates(colours[..., c], [v, u], order=1, mode="nearest") for c in range(3)], -1)
    expected = twin([("FOREGROUND", [1, 2], 0.5, 0)], {1: (layer, seen), 2: (COLD[under], ALL)})
    assert np.abs(shown(archive, images, state) - expected[3:28, 5:35]).max() <= 2


def test_whole_series_and_inputs_that_are_not_in_the_plane(archive: Archive) -> None:
    """Without images an input is its series; its nearest slice counts. One far away has nothing to show."""
    slices = [grey() for _ in range(3)]
    first = plane(grey(), 1, ImagePositionPatient=[0, 0, 2.2])
    others = [plane(pixels, 2, ImagePositionPatient=[0, 0, 2 * i]) for i, pixels in enumerate(slices)]
    far = plane(grey(), 3, ImagePositionPatient=[0, 0, 50])
    state = advanced([([first], HOT), (others, COLD), ([far], HOT)], [step("EQUAL", [1, 2, 3])])
    for item in state.AdvancedBlendingSequence:
        item.pop("ReferencedImageSequence")
    below = np.frombuffer(first.PixelData, np.uint8).reshape(ROWS, COLUMNS)
    expected = twin([("EQUAL", [1, 2], 1, 0)], {1: (HOT[below], ALL), 2: (COLD[slices[1]], ALL)})
    assert np.abs(shown(archive, [first, *others, far], state) - expected).max() <= 1.5
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    targets = archive.pictures.targets(found[state.SOPInstanceUID].record)
    assert [record.sop_instance_uid for record, _ in targets] == [first.SOPInstanceUID]


def turned(pixels: np.ndarray) -> tuple[Dataset, list[float], str, str]:
    """An image to be put into another frame of reference: mirrored across the diagonal (turned about it), 50 mm off."""
    here, there = "1.2.826.0.1.3680043.10.1561.9.72", "1.2.826.0.1.3680043.10.1561.9.73"
    image = plane(np.ascontiguousarray(pixels.T), 2, ImagePositionPatient=[0, 0, 50])
    return image, [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, -1, 50, 0, 0, 0, 1], here, there


def test_a_rigid_registration_brings_an_input_into_the_plane(archive: Archive) -> None:
    below, above = grey(), grey()
    under = plane(below, 1)
    over, matrix, here, there = turned(above)
    reg = registration(matrix, here, there)
    state = advanced([([under], HOT), ([over], COLD)], [step("FOREGROUND", [2, 1], 0.6)])
    state.FrameOfReferenceUID, over.FrameOfReferenceUID = here, there
    with pytest.raises(UsageError, match="rigid registration"):
        shown(archive, [under, over], state)
    state.AdvancedBlendingSequence[1].ReferencedSpatialRegistrationSequence = reference_to(reg)
    expected = twin([("FOREGROUND", [2, 1], 0.6, 0)], {1: (HOT[below], ALL), 2: (COLD[above], ALL)})
    again = renamed(state, state.SOPClassUID)
    with pytest.raises(NotFound, match="registration"):
        shown(archive, [under, over], again)
    assert np.abs(shown(archive, [under, reg], again) - expected).max() <= 1.5


@pytest.mark.parametrize(
    ("matrix", "sop_class", "words"),
    [
        ([2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1], "1.2.840.10008.5.1.4.1.1.66.1", "RIGID"),
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "1.2.840.10008.5.1.4.1.1.66.3", "Deformable"),
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "1.2.840.10008.5.1.4.1.1.88.11", "0070,0404"),
    ],
)
def test_other_registrations_are_refused(archive: Archive, matrix: list[float], sop_class: str, words: str) -> None:
    under = plane(grey(), 1)
    over, _, here, there = turned(grey())
    reg = registration(matrix, here, there, sop_class)
    state = advanced([([under], HOT), ([over], COLD)], [step("EQUAL", [2, 1])])
    over.FrameOfReferenceUID = there
    state.AdvancedBlendingSequence[1].ReferencedSpatialRegistrationSequence = reference_to(reg)
    with pytest.raises(UsageError, match=words):
        shown(archive, [under, over, reg], state)


BAD: dict[str, tuple[Callable[[Dataset], Any], type[Exception], str]] = {
    "no inputs": (lambda ds: setattr(ds, "AdvancedBlendingSequence", []), DataError, "0070,1B01"),
    "numbers": (lambda ds: setattr(ds.AdvancedBlendingSequence[1], "BlendingInputNumber", 5), DataError, "0070,1B01"),
    "series": (lambda ds: ds.AdvancedBlendingSequence[0].pop("SeriesInstanceUID"), DataError, "0020,000E"),
    "no picture": (lambda ds: setattr(ds, "BlendingDisplaySequence", []), DataError, "0070,1B04"),
    "circle": (
        lambda ds: setattr(
            ds,
            "BlendingDisplaySequence",
            [step("EQUAL", [1, 4], result=3), step("EQUAL", [3], result=4), step("EQUAL", [3])],
        ),
        DataError,
        "0070,1B04",
    ),
    "unknown input": (lambda ds: setattr(ds, "BlendingDisplaySequence", [step("EQUAL", [9])]), DataError, "0070,1B04"),
    "number of an input": (
        lambda ds: setattr(ds, "BlendingDisplaySequence", [step("EQUAL", [1], result=2), step("EQUAL", [2])]),
        DataError,
        "0070,1B02",
    ),
    "mode": (lambda ds: setattr(ds.BlendingDisplaySequence[0], "BlendingMode", "XOR"), DataError, "0070,1B06"),
    "one for two": (
        lambda ds: ds.BlendingDisplaySequence[0].BlendingDisplayInputSequence.pop(),
        DataError,
        "0070,1B03",
    ),
    "opacity": (lambda ds: setattr(ds.BlendingDisplaySequence[0], "RelativeOpacity", 1.5), DataError, "0070,0403"),
    "two geometries": (
        lambda ds: [setattr(one, "GeometryForDisplay", "TRUE") for one in ds.AdvancedBlendingSequence],
        DataError,
        "0070,1B08",
    ),
    "threshold": (
        lambda ds: setattr(ds.AdvancedBlendingSequence[0], "ThresholdSequence", [item_of(ThresholdType="SOME")]),
        DataError,
        "0070,1B13",
    ),
    "threshold values": (
        lambda ds: setattr(ds.AdvancedBlendingSequence[0], "ThresholdSequence", [item_of(ThresholdType="LESS_THAN")]),
        DataError,
        "0070,1B12",
    ),
    "time": (lambda ds: setattr(ds.AdvancedBlendingSequence[0], "TimeSeriesBlending", "TRUE"), UsageError, "0070,1B07"),
    "optical path": (
        lambda ds: setattr(
            ds.AdvancedBlendingSequence[0].ReferencedImageSequence[0], "ReferencedOpticalPathIdentifier", "1"
        ),
        UsageError,
        "0048,0106",
    ),
    "registration": (
        lambda ds: setattr(ds.AdvancedBlendingSequence[0], "ReferencedSpatialRegistrationSequence", [item_of()]),
        DataError,
        "0070,0404",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_states_name_what_is_wrong(archive: Archive, case: str) -> None:
    change, kind, words = BAD[case]
    images = [plane(grey(), 1), plane(grey(), 2)]
    state = advanced([(images[:1], HOT), (images[1:], COLD)], [step("FOREGROUND", [2, 1], 0.3)])
    change(state)
    with pytest.raises(kind, match=words):
        shown(archive, images, state)


def test_frames_of_a_parametric_map_over_slices(archive: Archive) -> None:
    """What the class was made for (Sup 189): floats of several frames, by highdicom, over anatomy."""
    slices = [plane(grey(), 1, ImagePositionPatient=[0, 0, 2 * i], InstanceNumber=i + 1) for i in range(4)]
    values = RNG.random((4, ROWS, COLUMNS)).astype(np.float32)
    unit = hd.sr.CodedConcept("1", "UCUM", "no units")
    made = hd.pm.ParametricMap(
        source_images=slices,
        pixel_array=values,
        series_instance_uid=generate_uid(),
        series_number=5,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping("1", "x", unit, value_range=(0.0, 1.0), slope=1.0, intercept=0.0)
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(0.5, 1.0)],
    )
    parametric = detached(made)
    parametric.StudyInstanceUID = slices[0].StudyInstanceUID
    state = advanced([(slices, COLD), ([parametric], HOT)], [step("FOREGROUND", [2, 1], 0.6)])
    window = item_of(WindowCenter=0.5, WindowWidth=1, VOILUTFunction="LINEAR_EXACT")
    state.AdvancedBlendingSequence[1].SoftcopyVOILUTSequence = [window]
    state.AdvancedBlendingSequence[1].ThresholdSequence = [
        item_of(ThresholdType="GREATER_OR_EQUAL", ThresholdValueSequence=[item_of(ThresholdValue=0.25)])
    ]
    for ds in (*slices, parametric, state):
        archive.store(encoded(ds))
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    by_position = {}
    for group, frame in zip(parametric.PerFrameFunctionalGroupsSequence, parametric_frames(parametric), strict=True):
        by_position[round(float(group.PlanePositionSequence[0].ImagePositionPatient[2]))] = frame
    for number, image in enumerate(slices):
        below = np.frombuffer(image.PixelData, np.uint8).reshape(ROWS, COLUMNS)
        frame = by_position[2 * number]
        np.testing.assert_array_equal(frame, values[number])
        inputs = {
            1: (COLD[below], ALL),
            2: (HOT[np.clip(np.round(frame * 255), 0, 255).astype(int)], frame >= 0.25),
        }
        expected = twin([("FOREGROUND", [2, 1], 0.6, 0)], inputs)
        got = found[image.SOPInstanceUID].render_array(presentation_state=found[state.SOPInstanceUID])
        assert np.abs(got - expected).max() <= 2


def parametric_frames(ds: Dataset) -> np.ndarray:
    frames = np.frombuffer(ds.FloatPixelData, "<f4")
    return frames.reshape(int(ds.NumberOfFrames), ROWS, COLUMNS)
