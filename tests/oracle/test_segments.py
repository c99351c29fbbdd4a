"""Segmentations read by hilum and by highdicom: those that highdicom makes, and real ones."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import highdicom as hd
import numpy as np
import pydicom
import pytest
from segmentations import COLOUR, SHAPE, images, make_segmentation, stream
from volume_objects import FRAME_OF_REFERENCE

import hilum
from hilum.volumes.masks import Grid
from hilum.volumes.segments import Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def stored(archive: hilum.Archive, data: bytes) -> Segmentation:
    found = archive.instance(archive.store(data).sop_instance_uid).segmentation()
    assert isinstance(found, Segmentation)
    return found


def on_images(archive: hilum.Archive, segmentation: Segmentation, number: int) -> np.ndarray:
    """Values of a mask on the voxels of the images, in the order of the slices that highdicom was given."""
    archive.store_many([stream(dataset) for dataset in images()])
    series = next(s for study in archive.studies() for s in study.series if s.modality == "CT")
    volume = series.volume()
    return segmentation.mask(number).on(Grid(volume.stack.shape, volume.affine)).voxels


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", "1.2.840.10008.1.2.1"),
        ("LABELMAP", "1.2.840.10008.1.2.1"),
        ("LABELMAP", "1.2.840.10008.1.2.5"),
    ],
)
def test_two_segments_of_highdicom(archive: hilum.Archive, kind: str, syntax: str) -> None:
    labels = np.random.default_rng(1).integers(0, 3, SHAPE).astype(np.uint8)
    labels[0], labels[-2:] = 0, 0  # frames that are left out
    found = stored(archive, make_segmentation(labels, kind, [1, 2], transfer_syntax_uid=syntax))
    assert found.kind == kind and found.frame_of_reference_uid == FRAME_OF_REFERENCE
    own = [s for s in found.segments if not s.background]
    assert [(s.number, s.label, s.algorithm) for s in own] == [(1, "Segment 1", "MANUAL"), (2, "Segment 2", "MANUAL")]
    assert own[0].property == ("10200004", "SCT", "Liver") and own[0].category == ("85756007", "SCT", "Tissue")
    assert own[0].tracking_uid
    assert max(abs(a - b) for a, b in zip(own[0].colour, COLOUR, strict=True)) <= 2
    assert set(found.references) == {dataset.SOPInstanceUID for dataset in images()}
    for number in (1, 2):
        np.testing.assert_array_equal(on_images(archive, found, number), labels == number)
    decoded: list[int] = []
    decode = found._decode
    found._decode = lambda frames: decoded.extend(frames) or decode(frames)  # type: ignore[func-returns-value]
    masks = found.masks()
    assert [mask.segment.number for mask in masks] == [1, 2]
    assert len(decoded) == len(set(decoded))  # no frame is decoded for each segment again
    for mask in masks:
        np.testing.assert_array_equal(mask.voxels, found.mask(mask.segment.number).voxels)


def test_overlapping_segments(archive: hilum.Archive) -> None:
    pixels = np.random.default_rng(2).integers(0, 2, (*SHAPE, 2)).astype(np.uint8)
    found = stored(archive, make_segmentation(pixels, "BINARY", [1, 2]))
    for at in (0, 1):
        np.testing.assert_array_equal(on_images(archive, found, at + 1), pixels[..., at])


@pytest.mark.parametrize("fraction", ["PROBABILITY", "OCCUPANCY"])
def test_fractions(archive: hilum.Archive, fraction: str) -> None:
    pixels = np.random.default_rng(3).random(SHAPE).astype(np.float32)
    data = make_segmentation(pixels, "FRACTIONAL", [1], fractional_type=fraction, max_fractional_value=200)
    found = stored(archive, data)
    mask = found.mask(1)
    assert (mask.kind, mask.maximum) == (fraction, 200)
    np.testing.assert_allclose(on_images(archive, found, 1) / 200, pixels, atol=0.5 / 200 + 1e-6)
    np.testing.assert_array_equal(mask.inside, mask.voxels >= 100)


REAL = [
    "seg/liver.dcm",
    "seg/liver_nonbyte_aligned.dcm",
    "seg/partial_overlaps.dcm",
    "seg/sparse-labelmap-noppv.dcm",
    "seg/highdicom/seg_image_ct_binary_overlap.dcm",
    "seg/highdicom/seg_image_ct_true_fractional.dcm",
    "sr/dcmqi_measurements/seg.dcm",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", REAL)
def test_real_segmentations_are_what_highdicom_reads(archive: hilum.Archive, shared_data: Path, path: str) -> None:
    data = (shared_data / path).read_bytes()
    theirs = hd.seg.segread(io.BytesIO(data))
    ours = stored(archive, data)
    for segment in ours.segments:
        if segment.background:
            continue
        volume = theirs.get_volume(segment_numbers=[segment.number], rescale_fractional=False, combine_segments=False)
        to_lps = volume.affine @ np.eye(4)[:, [2, 1, 0, 3]]  # highdicom counts slices, rows, columns
        mask = ours.mask(segment.number)
        values = mask.on(Grid(volume.array.shape[:3], to_lps)).voxels
        np.testing.assert_array_equal(values, volume.array[..., 0])
        assert int(np.count_nonzero(values)) == int(np.count_nonzero(mask.voxels)) > 0
        description = theirs.get_segment_description(segment.number)
        assert segment.label == description.segment_label
        assert segment.algorithm == description.SegmentAlgorithmType


@pytest.mark.parametrize("name", ["rle", "deflate", "expb", "j2k"])
def test_other_encodings_of_a_real_segmentation(archive: hilum.Archive, shared_data: Path, name: str) -> None:
    mask = stored(archive, (shared_data / "seg/liver.dcm").read_bytes()).mask(1)
    with hilum.open(archive.root.with_name("other")) as other:
        same = stored(other, (shared_data / f"seg/liver_{name}.dcm").read_bytes()).mask(1)
    np.testing.assert_array_equal(same.voxels, mask.voxels)
    np.testing.assert_array_equal(same.affine, mask.affine)


@pytest.mark.parametrize("name", ["seg_image_sm_dots_tiled_full.dcm", "seg_image_sm_control_labelmap.dcm"])
def test_segmentations_of_slides_are_refused(archive: hilum.Archive, shared_data: Path, name: str) -> None:
    data = (shared_data / "seg" / "highdicom" / name).read_bytes()
    instance = archive.instance(archive.store(data).sop_instance_uid)
    with pytest.raises(hilum.NotAVolume, match="slide"):
        instance.segmentation()


def damaged(change: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(make_segmentation(np.ones(SHAPE, np.uint8), "BINARY", [1])))
    if change == "kind":
        dataset.SegmentationType = "ROUND"
    elif change == "segments":
        del dataset.SegmentSequence
    elif change == "number":
        del dataset.SegmentSequence[0].SegmentNumber
    elif change == "frame":
        del dataset.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence
    elif change == "twice":
        group = dataset.PerFrameFunctionalGroupsSequence
        group[1].PlanePositionSequence = group[0].PlanePositionSequence
    elif change == "uneven":
        position = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
        position.ImagePositionPatient = [float(v) + 1.1 for v in position.ImagePositionPatient]
    return stream(dataset)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("kind", hilum.DataError, "0062,0001"),
        ("segments", hilum.DataError, "0062,0002"),
        ("number", hilum.DataError, "0062,0004"),
        ("frame", hilum.DataError, "0062,000B"),
        ("twice", hilum.NotAVolume, "several frames"),
        ("uneven", hilum.NotAVolume, "even"),
    ],
)
def test_damaged_segmentations(archive: hilum.Archive, change: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        stored(archive, damaged(change)).masks()


def test_only_segmentations_and_structure_sets_have_segments(archive: hilum.Archive) -> None:
    instance = archive.instance(archive.store(stream(images()[0])).sop_instance_uid)
    with pytest.raises(hilum.UsageError):
        instance.segmentation()
