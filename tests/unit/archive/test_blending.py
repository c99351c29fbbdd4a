"""Blending presentation states against NumPy: equal, shifted, coarser and turned planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from presentation_states import (
    blending_state,
    displayed_area,
    encoded,
    image_dataset,
    reference_to,
    registration,
)

import hilum
from hilum.errors import DataError, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from hilum.archive.archive import Archive

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RNG = np.random.default_rng(4)
UNDER = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.zeros(256)], axis=1).astype(np.uint8)


def plane(pixels: np.ndarray, series: str, **attributes: Any) -> Dataset:
    geometry: dict[str, Any] = {
        "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1],
        "SliceThickness": 2, "SeriesInstanceUID": f"1.2.826.0.1.3680043.10.1561.9.{series}",
    }  # fmt: skip
    return image_dataset(pixels, **{**geometry, **attributes})


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def shown(archive: Archive, under: Dataset, over: list[Dataset], state: Dataset) -> np.ndarray:
    for ds in (under, *over, state):
        archive.store(encoded(ds))
    found = {i.sop_instance_uid: i for study in archive.studies() for i in study.instances}
    return found[under.SOPInstanceUID].render_array(presentation_state=found[state.SOPInstanceUID])


def mixed(above: np.ndarray, opacity: float) -> np.ndarray:
    colours = PALETTE[above].astype(float)
    return UNDER[:, :, None] * (1 - opacity) + colours * opacity


@pytest.mark.parametrize("opacity", [0.0, 0.3, 1.0])
def test_same_grid(archive: Archive, opacity: float) -> None:
    above = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    under, over = plane(UNDER, "1"), plane(above, "2")
    picture = shown(archive, under, [over], blending_state([under], [over], PALETTE, opacity))
    assert np.abs(picture - mixed(above, opacity)).max() <= 1.5


def test_coarser_and_shifted_grid(archive: Archive) -> None:
    """Pixels twice as large that begin 4 columns and 6 rows later: linear between their centres, nothing beyond."""
    y, x = np.mgrid[0:10, 0:12]
    above = (x * 10 + y * 5).astype(np.uint8)
    under, over = plane(UNDER, "1"), plane(above, "2", ImagePositionPatient=[4, 6, 0.4], PixelSpacing=[2, 2])
    picture = shown(archive, under, [over], blending_state([under], [over], PALETTE, 1.0)).astype(float)
    rows, columns = np.mgrid[0:40, 0:50]
    v, u = (rows - 6) / 2, (columns - 4) / 2
    inside = (v >= -0.5) & (v <= 9.5) & (u >= -0.5) & (u <= 11.5)
    red = np.clip(u, 0, 11) * 10 + np.clip(v, 0, 9) * 5
    assert np.abs(picture[..., 0] - np.where(inside, red, UNDER)).max() <= 1
    assert np.abs(picture[..., 1] - np.where(inside, 255 - red, UNDER)).max() <= 1


def test_turned_grid(archive: Archive) -> None:
    """Rows of the superimposed image run along the columns of the other."""
    above = RNG.integers(0, 256, (50, 40), dtype=np.uint8)
    under = plane(UNDER, "1")
    over = plane(above, "2", ImageOrientationPatient=[0, 1, 0, 1, 0, 0])
    picture = shown(archive, under, [over], blending_state([under], [over], PALETTE, 0.5))
    assert np.abs(picture - mixed(above.T, 0.5)).max() <= 1.5


def test_a_registration_relates_two_frames_of_reference(archive: Archive) -> None:
    """The superimposed image lies 5 columns to the right and 30 mm higher in its own frame of reference."""
    above = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    under, over = plane(UNDER, "1"), plane(above, "2", ImagePositionPatient=[5, 0, 30])
    state = blending_state([under], [over], PALETTE, 0.5)
    over.FrameOfReferenceUID = "1.2.826.0.1.3680043.10.1561.9.73"
    matrix: list[float] = [1, 0, 0, -5, 0, 1, 0, 0, 0, 0, 1, -30, 0, 0, 0, 1]
    reg = registration(matrix, under.FrameOfReferenceUID, over.FrameOfReferenceUID)
    state.ReferencedSpatialRegistrationSequence = reference_to(reg)
    assert np.abs(shown(archive, under, [over, reg], state) - mixed(above, 0.5)).max() <= 1.5


def test_the_nearest_slice_is_taken_and_the_area_shown(archive: Archive) -> None:
    slices = [RNG.integers(0, 256, (40, 50), dtype=np.uint8) for _ in range(3)]
    under = plane(UNDER, "1", ImagePositionPatient=[0, 0, 2.2])
    over = [plane(p, "2", ImagePositionPatient=[0, 0, 2 * i]) for i, p in enumerate(slices)]
    state = blending_state([under], over, PALETTE, 0.5)
    state.DisplayedAreaSelectionSequence = [displayed_area((11, 6, 30, 25))]
    state.ImageRotation = 180
    expected = mixed(slices[1], 0.5)[5:25, 10:30][::-1, ::-1]
    assert np.abs(shown(archive, under, over, state) - expected).max() <= 1.5


def test_what_cannot_be_blended(archive: Archive) -> None:
    above = np.zeros((40, 50), np.uint8)
    under = plane(UNDER, "1")
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"ImagePositionPatient": [0, 0, 5]}, NotFound, "plane"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}, NotFound, "plane"),
        ({"FrameOfReferenceUID": "1.2.3"}, UsageError, "frames of reference"),
        ({"PixelSpacing": None}, DataError, "image plane"),
        ({"PixelSpacing": [0, 1]}, DataError, "image plane"),
    ]
    for attributes, kind, words in cases:
        over = plane(above, "2", **attributes)
        with pytest.raises(kind, match=words):
            shown(archive, under, [over], blending_state([under], [over], PALETTE, 0.5))
    over = plane(above, "2")
    state = blending_state([under], [over], PALETTE, 1.5)
    with pytest.raises(DataError, match="0070,0403"):
        shown(archive, under, [over], state)
    state = blending_state([under], [over], PALETTE, 0.5)
    state.BlendingSequence[0].BlendingPosition = "SUPERIMPOSED"
    with pytest.raises(DataError, match="0070,0402"):
        shown(archive, under, [over], state)
