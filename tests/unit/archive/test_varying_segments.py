"""Segments that vary with time: masks of a time point, and which one lies over an image."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import generate_uid
from segmentations import SHAPE, images, stream, varying
from volume_objects import FRAME_OF_REFERENCE

import hilum
from hilum.archive.measured import find_segment
from hilum.archive.moments import NO_MOMENT, moment_of_volume
from hilum.archive.overlays import Overlay
from hilum.dicomweb.measure_query import parse_pairs
from hilum.dicomweb.overlay_query import parse_overlays
from hilum.errors import Conflict, NotAVolume, NotFound, UsageError
from hilum.volumes.masks import Grid
from hilum.volumes.segments import Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pydicom

RNG = np.random.default_rng(8)
PARTS = [(RNG.random(SHAPE) < share).astype(np.uint8) for share in (0.2, 0.5, 0.8)]
PARTS[1][0] = 0  # a slice without frame at one of the time points


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def stored(archive: hilum.Archive, dataset: pydicom.Dataset) -> Segmentation:
    found = archive.instance(archive.store(stream(dataset)).sop_instance_uid).segmentation()
    assert isinstance(found, Segmentation)
    return found


def series_in_time(archive: hilum.Archive, *, tell: bool = True) -> hilum.Series:
    """The images of the segmentation, once for each time point."""
    for position in range(1, len(PARTS) + 1):
        for number, dataset in enumerate(images()):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.InstanceNumber = number + 1 + 100 * position
            if tell:
                dataset.TemporalPositionIdentifier = position
            archive.store(stream(dataset))
    return next(s for study in archive.studies() for s in study.series if s.modality == "CT")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_masks_of_time_points(archive: hilum.Archive, kind: str) -> None:
    found = stored(archive, varying(PARTS, kind))
    assert (found.times, found.time_kind) == ((1.0, 2.0, 3.0), "temporal_position")
    volume = series_in_time(archive).volume()
    for time, part in enumerate(PARTS):
        mask = found.mask(1, time).on(Grid(volume.stack.shape, volume.affine))
        np.testing.assert_array_equal(mask.voxels, part)
        assert len(found.masks(time)) == 1
    with pytest.raises(UsageError, match="3 time points"):
        found.mask(1)
    with pytest.raises(NotFound, match="3 time points"):
        found.mask(1, 3)


def test_segments_at_one_place_that_nothing_orders(archive: hilum.Archive) -> None:
    dataset = varying(PARTS, "BINARY")
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.FrameContentSequence[0].TemporalPositionIndex
    with pytest.raises(NotAVolume, match="0020,9128"):
        stored(archive, dataset).mask(1)
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence[0].FrameAcquisitionNumber = 7 if number < 9 else 8
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    with pytest.raises(NotAVolume, match="0020,9128"):  # they do not tell all of them apart
        stored(archive, dataset).mask(1)


def test_one_time_point_does_not_vary(archive: hilum.Archive) -> None:
    found = stored(archive, varying(PARTS[:1], "BINARY"))
    assert found.times == ()
    assert np.array_equal(found.mask(1).voxels, found.mask(1, 5).voxels)


def test_images_have_the_segments_of_their_time(archive: hilum.Archive) -> None:
    dataset = varying(PARTS, "BINARY")
    segmentation = stored(archive, dataset)
    uid = dataset.SOPInstanceUID
    series = series_in_time(archive)
    at_slice = sorted((i for i in series.instances), key=lambda i: int(i.instance_number or 0))[3 :: SHAPE[0]]
    assert len(at_slice) == 3
    pictures = [instance.render_array(overlays=[uid]) for instance in at_slice]
    for time, (instance, picture) in enumerate(zip(at_slice, pictures, strict=True), 1):
        assert np.array_equal(picture, instance.render_array(overlays=[Overlay(uid, time=time)]))
        other = instance.render_array(overlays=[Overlay(uid, time=time % 3 + 1)])
        assert not np.array_equal(picture, other)
    volume = series.volume()
    for time in range(3):
        moment = moment_of_volume(volume, time)
        assert moment.of(segmentation, None) == time
        layers = archive.overlays.layers([Overlay(uid)], FRAME_OF_REFERENCE, moment)
        assert len(layers) == 1
        assert len(archive.overlays.displays([Overlay(uid)], FRAME_OF_REFERENCE, moment)) == 1


def test_images_that_do_not_say_when(archive: hilum.Archive) -> None:
    dataset = varying(PARTS, "BINARY")
    stored(archive, dataset)
    uid = dataset.SOPInstanceUID
    archive.store_many([stream(one) for one in images()])
    image = next(s for study in archive.studies() for s in study.series if s.modality == "CT").instances[3]
    with pytest.raises(Conflict, match="3 time points"):
        image.render_array(overlays=[uid])
    assert image.render_array(overlays=[Overlay(uid, time=2)]).ndim == 3
    with pytest.raises(NotFound, match="3 time points"):
        image.render_array(overlays=[Overlay(uid, time=4)])
    with pytest.raises(NotFound, match="1 time points"):
        image.render_array(overlays=[Overlay(image.sop_instance_uid, time=2)])
    static = varying(PARTS[:1], "BINARY")
    segmentation = stored(archive, static)
    assert NO_MOMENT.of(segmentation, None) is None and NO_MOMENT.of(segmentation, 1) is None


def test_series_in_time_over_images(archive: hilum.Archive) -> None:
    """Another series lies over an image at the time point of the image, of the request, else the first."""
    under = series_in_time(archive)
    for position in range(1, 4):
        for number, dataset in enumerate(images()):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1561.9.81"
            dataset.InstanceNumber, dataset.TemporalPositionIdentifier = number + 1 + 100 * position, position
            dataset.PixelData = (dataset.pixel_array * position).astype(dataset.pixel_array.dtype).tobytes()
            archive.store(stream(dataset))
    uid = "1.2.826.0.1.3680043.10.1561.9.81"
    how = {"opacity": 1.0, "palette": "grey", "range": (-1024.0, 400.0)}
    at_slice = sorted((i for i in under.instances), key=lambda i: int(i.instance_number or 0))[2 :: SHAPE[0]]
    pictures = [one.render_array(overlays=[Overlay(uid, **how)]).astype(int) for one in at_slice]
    for time, (one, picture) in enumerate(zip(at_slice, pictures, strict=True), 1):
        assert np.array_equal(picture, one.render_array(overlays=[Overlay(uid, time=time, **how)]))
    means = [picture.mean() for picture in pictures]
    assert means[0] < means[1] < means[2]
    assert len(archive.overlays.layers([Overlay(uid)], FRAME_OF_REFERENCE)) == 1
    with pytest.raises(NotFound, match="3 time points"):
        archive.overlays.layers([Overlay(uid, time=4)], FRAME_OF_REFERENCE)


def test_measurements_name_the_time(archive: hilum.Archive) -> None:
    dataset = varying(PARTS, "BINARY")
    stored(archive, dataset)
    grid = Grid(SHAPE, np.eye(4))
    for time, part in enumerate(PARTS):
        mask = find_segment(archive, str(dataset.SOPInstanceUID), 1, grid, time)
        assert np.count_nonzero(mask.inside) == np.count_nonzero(part)
    with pytest.raises(UsageError, match="name one"):
        find_segment(archive, str(dataset.SOPInstanceUID), 1, grid)
    named = parse_pairs([("segment", "1.2.3,4,2")]).segment
    assert named is not None and (named.number, named.time) == (4, 2)


@pytest.mark.parametrize("text", ["1.2.3,time:0", "1.2.3,time:x", "1.2.3,time:", "1.2.3,time:1,time:2"])
def test_times_that_cannot_be(text: str) -> None:
    with pytest.raises(UsageError):
        parse_overlays([text])
    assert parse_overlays(["1.2.3,time:12"])[0].time == 12


def test_a_real_layout_survives_reading(archive: hilum.Archive) -> None:
    """What highdicom wrote and the test joined is a segmentation for highdicom too."""
    import highdicom as hd

    dataset = varying(PARTS, "BINARY")
    again = hd.seg.segread(io.BytesIO(stream(dataset)))
    assert again.number_of_segments == 1 and int(again.NumberOfFrames) == 2 * SHAPE[0] + SHAPE[0] - 1
    assert stored(archive, dataset).frame_of_reference_uid == FRAME_OF_REFERENCE
