"""Mask subtraction by presentation states, GSPS and XA/XRF, against NumPy and SciPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pytest
from presentation_states import encoded, grey_state, image_dataset, item_of, renamed
from scipy import ndimage

import hilum
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hilum.archive.archive import Archive

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
ROWS, COLUMNS = 60, 80
XA = "1.2.840.10008.5.1.4.1.1.11.5"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def shown(archive: Archive, image: Dataset, state: Dataset, *frames: int) -> list[np.ndarray]:
    """Frames, from 1, as the state shows them."""
    uids = [archive.store(encoded(ds)).sop_instance_uid for ds in (image, state)]
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    return [found[uids[0]].render_array(n - 1, presentation_state=found[uids[1]]) for n in frames]


def close(actual: np.ndarray, expected: np.ndarray) -> bool:
    return actual.shape == expected.shape and np.abs(actual.astype(int) - expected).max() <= 1


def grey(difference: np.ndarray) -> np.ndarray:
    """Differences of 10 bits without a VOI LUT: signed, one bit more, 0 in the middle (PS3.4 N.2.1.2, N.2.1.3)."""
    return np.round((difference + 1023) / 2046 * 255)


SERIES = np.random.default_rng(7).integers(0, 1024, (6, ROWS, COLUMNS)).astype(np.uint16)
DIFFERENCES = {  # frames are from 1
    "mean of two": (
        {"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [1, 2], "ContrastFrameAveraging": 1},
        4,
        SERIES[3] - SERIES[:2].mean(0),
    ),
    "mean of contrast": (
        {"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [1], "ContrastFrameAveraging": 3},
        4,
        SERIES[3:6].mean(0) - SERIES[0],
    ),
    "before": ({"MaskOperation": "TID", "TIDOffset": 2}, 4, SERIES[3] - SERIES[1].astype(float)),
    "after": ({"MaskOperation": "TID", "TIDOffset": -2}, 4, SERIES[3] - SERIES[5].astype(float)),
    "backwards": (
        {"MaskOperation": "REV_TID", "TIDOffset": 1, "ApplicableFrameRange": [4, 6]},
        5,
        SERIES[4] - SERIES[1].astype(float),
    ),
}

FIRST: dict[str, Any] = {"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [1]}


def masked_state(image: Dataset, items: list[dict[str, Any]], **options: Any) -> Dataset:
    state = grey_state([image], **options)
    state.MaskSubtractionSequence, state.RecommendedViewingMode = [], "SUB"
    for values in items:
        state.MaskSubtractionSequence.append(item_of(**values))
    return state


@pytest.mark.parametrize("name", DIFFERENCES)
def test_masks_are_subtracted_behind_the_modality_values(archive: Archive, name: str) -> None:
    values, frame, expected = DIFFERENCES[name]
    image = image_dataset(SERIES, BitsStored=10, HighBit=9, RescaleSlope=2, RescaleIntercept=-100, RescaleType="US")
    window = hd.pr.SoftcopyVOILUTTransformation(100, 1600, voi_lut_function="LINEAR_EXACT")
    state = masked_state(image, [values], voi_lut_transformations=[window])
    got = shown(archive, image, state, frame)[0]
    assert close(got, np.clip(np.round((2 * expected - 100 + 800) / 1600 * 255), 0, 255))


def test_difference_without_a_window_has_its_middle_where_nothing_changed(archive: Archive) -> None:
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    state = masked_state(image, [DIFFERENCES["before"][0]])
    got, first = shown(archive, image, state, 4, 1)
    assert close(got, grey(DIFFERENCES["before"][2]))
    # no frame is two before the first: it is shown as it is
    assert close(first, np.round(SERIES[0] / 1023 * 255))
    same = masked_state(image, [{"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [3]}])
    assert set(np.unique(shown(archive, image, same, 3)[0])) <= {127, 128}


def test_each_frame_has_the_mask_of_its_range(archive: Archive) -> None:
    ranges = [
        {"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [mask], "ApplicableFrameRange": span}
        for mask, span in ((1, [3, 4]), (2, [5, 6]))
    ]
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    pictures = shown(archive, image, masked_state(image, ranges), 3, 4, 5, 6)
    for got, frame, mask in zip(pictures, (3, 4, 5, 6), (1, 1, 2, 2), strict=True):
        assert close(got, grey(SERIES[frame - 1].astype(float) - SERIES[mask - 1]))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"MaskOperation": "AVG_SUB"}, DataError),
        ({"MaskOperation": "MULTIPLY"}, DataError),
        ({"MaskOperation": "REV_TID", "TIDOffset": 1}, DataError),
        ({"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [1], "ApplicableFrameRange": [4, 2]}, DataError),
        ({"MaskOperation": "AVG_SUB", "MaskFrameNumbers": [1], "ContrastFrameAveraging": 1000}, DataError),
        ({**FIRST, "MaskSubPixelShift": [1e9, 0.0]}, DataError),
        ({**FIRST, "PixelShiftSequence": [item_of(PixelShiftFrameRange=[4, 2])]}, DataError),
        ({**FIRST, "PixelShiftSequence": [item_of(RegionPixelShiftSequence=[item_of()])]}, DataError),
        (
            {
                **FIRST,
                "PixelShiftSequence": [
                    item_of(RegionPixelShiftSequence=[item_of(MaskSubPixelShift=[1, 1], VerticesOfTheRegion=[1, 1])])
                ],
            },
            DataError,
        ),
        ({**FIRST, "PixelIntensityRelationshipLUTSequence": [item_of(LUTFunction="TO_LINEAR")]}, UsageError),
    ],
)
def test_masks_that_cannot_be(archive: Archive, values: dict[str, Any], error: type[Exception]) -> None:
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    with pytest.raises(error, match=r"0028,[69]"):
        shown(archive, image, masked_state(image, [values]), 4)


@pytest.mark.parametrize("offset", [(2.0, 0.0), (0.0, 3.0), (1.25, -2.5), (-0.5, 0.75), (200.0, 0.0)])
def test_the_mask_is_moved_down_and_to_the_left(archive: Archive, offset: tuple[float, float]) -> None:
    """PS3.3 C.7.6.10.1.2; SciPy moves to higher indices, so columns have the other sign."""
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    got = shown(archive, image, masked_state(image, [{**FIRST, "MaskSubPixelShift": list(offset)}]), 4)[0]
    below = ndimage.shift(SERIES[0].astype(float), (offset[0], -offset[1]), order=1, mode="nearest")
    assert close(got, grey(SERIES[3] - below))


def test_a_dot_of_the_mask_goes_where_the_standard_says(archive: Archive) -> None:
    frames = np.zeros((2, ROWS, COLUMNS), np.uint16)
    frames[0, 30, 40] = 1023
    image = image_dataset(frames, BitsStored=10, HighBit=9)
    state = masked_state(image, [{**FIRST, "MaskSubPixelShift": [5, 7]}])
    assert tuple(np.argwhere(shown(archive, image, state, 2)[0] == 0)[0]) == (35, 33)


def test_regions_of_frames_have_their_own_shift(archive: Archive) -> None:
    """An XA/XRF state (PS3.3 C.11.19.1.2): the last region that holds a pixel counts, outside of all nothing moves."""

    def part(shift: list[float], *corners: int) -> Dataset:
        return item_of(MaskSubPixelShift=shift, VerticesOfTheRegion=list(corners))

    spans = [
        item_of(
            PixelShiftFrameRange=[3, 4],
            RegionPixelShiftSequence=[
                part([1, 0], 1, 1, 1, 40, 30, 40, 30, 1),
                part([0, 2], 20, 20, 20, 60, 50, 60, 50, 20),
            ],
        ),
        item_of(PixelShiftFrameRange=[5, 5], RegionPixelShiftSequence=[item_of(MaskSubPixelShift=[-3, 1])]),
    ]
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    state = renamed(masked_state(image, [{**FIRST, "PixelShiftSequence": spans}]), XA)
    mask = SERIES[0].astype(float)

    def at(rows: float, columns: float) -> np.ndarray:
        return ndimage.shift(mask, (rows, -columns), order=1, mode="nearest")

    less = mask.copy()
    less[:30, :40] = at(1, 0)[:30, :40]
    less[19:50, 19:60] = at(0, 2)[19:50, 19:60]
    pictures = shown(archive, image, state, 4, 5, 6)
    for got, frame, below in zip(pictures, (4, 5, 6), (less, at(-3, 1), mask), strict=True):
        assert close(got, grey(SERIES[frame - 1] - below))


def test_the_mask_stays_visible_in_part_or_altogether(archive: Archive) -> None:
    """PS3.3 C.11.21, C.8.19.7.1: contrast - (1 - percentage / 100) mask; 100 and NAT are the frame as it is."""
    display = [
        item_of(StartTrim=2, StopTrim=3, RecommendedViewingMode="SUB", MaskVisibilityPercentage=25.0),
        item_of(StartTrim=4, StopTrim=4, RecommendedViewingMode="NAT"),
        item_of(StartTrim=5, StopTrim=5, RecommendedViewingMode="SUB", MaskVisibilityPercentage=100.0),
    ]
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    state = renamed(masked_state(image, [FIRST]), XA)
    state.MultiFramePresentationSequence = [item_of(FrameDisplaySequence=display)]
    some, native, whole, less = shown(archive, image, state, 3, 4, 5, 6)
    assert close(some, grey(SERIES[2] - 0.75 * SERIES[0]))
    assert close(native, np.round(SERIES[3] / 1023 * 255)) and close(whole, np.round(SERIES[4] / 1023 * 255))
    assert close(less, grey(SERIES[5].astype(float) - SERIES[0]))
    display[0].MaskVisibilityPercentage = 101.0
    with pytest.raises(DataError, match="0028,9478"):
        shown(archive, image, renamed(state, XA), 3)


def test_frames_are_subtracted_behind_their_table_to_the_logarithm(archive: Archive) -> None:
    """PS3.4 N.2.5.1: mask and contrast frames may have tables of their own; the rest of the image keeps its values."""
    tables = [np.round(np.log2(1 + np.arange(1024)) * scale).astype(np.uint16) for scale in (100, 90)]
    items = [
        item_of(
            LUTFrameRange=span, LUTFunction="TO_LOG", LUTDescriptor=[1024, 0, 10], LUTData=table.astype("<u2").tobytes()
        )
        for span, table in zip(([1, 1], [2, 6]), tables, strict=True)
    ]
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    values = {**FIRST, "ApplicableFrameRange": [2, 5], "PixelIntensityRelationshipLUTSequence": items}
    less, outside = shown(archive, image, renamed(masked_state(image, [values]), XA), 3, 6)
    difference = tables[1][SERIES[2]].astype(float) - tables[0][SERIES[0]]
    assert close(less, grey(difference)) and close(outside, np.round(SERIES[5] / 1023 * 255))


def test_masks_are_for_the_images_that_they_name(archive: Archive) -> None:
    image = image_dataset(SERIES, BitsStored=10, HighBit=9)
    other = item_of(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID="1.2.3")
    own = item_of(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
    items = [{**FIRST, "ReferencedImageSequence": [other]}, {**FIRST, "ReferencedImageSequence": [own]}]
    items[1]["MaskFrameNumbers"] = [2]
    got = shown(archive, image, renamed(masked_state(image, items), XA), 4)[0]
    assert close(got, grey(SERIES[3].astype(float) - SERIES[1]))
