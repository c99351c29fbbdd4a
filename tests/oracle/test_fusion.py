"""Overlays on frames and planes, against slow twins in NumPy, SimpleITK, pydicom and highdicom."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from segmentations import COLOUR, SHAPE, images, make_segmentation, object_attributes, stream
from structure_sets import COLOUR as REGION_COLOUR
from structure_sets import make_structure_set
from volume_objects import FRAME_OF_REFERENCE, make_stack, ramp

import hilum
from hilum.archive.overlays import Overlay
from hilum.dicom.dataset import to_bytes
from hilum.pixels.settings import RenderSettings, Window
from hilum.render import Renderer, plane
from hilum.render.fusion import LabelLayer, ValueLayer, fuse
from hilum.render.labels import label_maps
from hilum.render.palettes import PALETTES
from hilum.volumes.masks import Mask, Segment
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER = f"{FRAME_OF_REFERENCE}.7"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def stored(archive: hilum.Archive, data: bytes | Dataset) -> hilum.Instance:
    found = to_bytes(data) if isinstance(data, Dataset) else data
    return archive.instance(archive.store(found).sop_instance_uid)


def segmented(archive: hilum.Archive) -> tuple[list[hilum.Instance], np.ndarray, hilum.Instance]:
    """Images in the order of the voxels, labels, and the segmentation of them."""
    labels = np.random.default_rng(7).integers(0, 3, SHAPE).astype(np.uint8)
    ours = [stored(archive, stream(dataset)) for dataset in images()]
    return ours, labels, stored(archive, make_segmentation(labels, "BINARY", [1, 2]))


def painted(grey: np.ndarray, labels: np.ndarray, colours: np.ndarray, opacity: float) -> np.ndarray:
    """Each pixel on its own."""
    found = np.repeat(grey[:, :, None], 3, axis=2).astype(float)
    for at in np.ndindex(labels.shape):
        if labels[at]:
            found[at] += (colours[labels[at]] - found[at]) * opacity
    return np.floor(found + 0.5)


def colours_of(instance: hilum.Instance) -> np.ndarray:
    return np.array([(0, 0, 0), *(segment.colour for segment in instance.segmentation().segments)], float)


def test_segments_are_painted_where_their_voxels_are(archive: hilum.Archive) -> None:
    ours, labels, segmentation = segmented(archive)
    for image, there in zip(ours, labels, strict=True):
        settings = RenderSettings(square_pixels=False)
        grey = image.render_array(settings=settings)
        overlay = Overlay(segmentation.sop_instance_uid, opacity=0.25, outline=0)
        got = image.render_array(settings=settings, overlays=[overlay])
        assert got.dtype == np.uint8
        assert np.abs(got - painted(grey, there, colours_of(segmentation), 0.25)).max() <= 1
    only = image.render_array(settings=settings, overlays=[replace(overlay, segments=(2,), opacity=1.0)])
    np.testing.assert_array_equal((only == colours_of(segmentation)[2]).all(axis=2), there == 2)


def test_overlays_follow_the_picture(archive: hilum.Archive) -> None:
    ours, labels, segmentation = segmented(archive)
    overlay = Overlay(segmentation.sop_instance_uid, opacity=1.0, outline=0)
    for rotation, flip, scale, region in itertools.product(
        (0, 90, 180, 270), (False, True), (0.0, 3.0), (None, (3, 2, 9, 7))
    ):
        settings = RenderSettings(rotation=rotation, flip=flip, scale=scale, region=region, square_pixels=False)
        got = ours[3].render_array(settings=settings, overlays=[overlay])
        wanted = labels[3]
        if region is not None:
            x, y, columns, rows = region
            wanted = wanted[y : y + rows, x : x + columns]
        wanted = np.rot90(wanted, -rotation // 90)
        wanted = wanted[:, ::-1] if flip else wanted
        wanted = wanted.repeat(int(scale) or 1, 0).repeat(int(scale) or 1, 1)
        for number in (1, 2):
            np.testing.assert_array_equal((got == colours_of(segmentation)[number]).all(axis=2), wanted == number)


def test_outlines_are_the_rims_of_segments() -> None:
    voxels = np.zeros((3, 20, 24), np.uint8)
    voxels[1, 4:15, 5:18] = 1
    mask = Mask(Segment(1, "one", (200, 30, 10)), voxels, np.eye(4), "1.2")
    layers = [LabelLayer(tuple(label_maps([mask])), opacity=0.0, outline=2)]
    view = from_array(np.zeros((3, 20, 24), np.int16))
    where = plane(view, (0, 0, 1), up=(0, -1, 0), centre=(11.5, 9.5, 1), shape=(20, 24), spacing=1.0)
    found = fuse(np.zeros((20, 24), np.uint8), where, layers)
    core = np.zeros((20, 24), bool)
    core[6:13, 7:16] = True
    np.testing.assert_array_equal((found == (200, 30, 10)).all(axis=2), (voxels[1] > 0) & ~core)


def palette_twin(
    grey: np.ndarray, values: np.ndarray, name: str, low: float, high: float, opacity: float
) -> np.ndarray:
    points = np.array(PALETTES[name])
    part = (values - low) / (high - low)
    colour = np.stack([np.interp(part, points[:, 0], points[:, a]) * 255 for a in (1, 2, 3)], axis=-1)
    alpha = (np.interp(part, points[:, 0], points[:, 4]) * opacity)[..., None]
    under = np.repeat(grey[:, :, None], 3, axis=2).astype(float)
    return np.where(np.isfinite(values)[..., None], under + (colour - under) * alpha, under)


@pytest.mark.parametrize("name", ["hot", "grey", "blue-red"])
def test_values_on_an_oblique_plane_are_those_of_simpleitk_in_colours(name: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    z, y, x = np.indices((20, 24, 28))
    field = (np.sin(x / 4) + np.cos(y / 5) + z / 20).astype(np.float32)
    affine = np.diag([2.0, 1.5, 2.5, 1.0])
    affine[:3, 3] = (-20, -10, 5)
    base = from_array(np.zeros((60, 60, 60), np.int16), affine=np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * -25)
    where = plane(base, (0.2, 0.3, 1), centre=(5, 6, 28), shape=(70, 90), spacing=1.0)
    grey = np.full((70, 90), 90, np.uint8)
    layer = ValueLayer(Renderer(from_array(field, affine=affine)), name, -1.0, 3.0, opacity=0.6)
    source = sitk.GetImageFromArray(field)
    source.SetSpacing((2.0, 1.5, 2.5))
    source.SetOrigin((-20.0, -10.0, 5.0))
    target = sitk.Image(90, 70, 1, sitk.sitkFloat32)
    target.SetOrigin(where.origin)
    target.SetDirection(np.stack([where.row, where.column, where.normal], axis=1).ravel().tolist())
    resampled = sitk.Resample(source, target, sitk.Transform(), sitk.sitkLinear, float("nan"))
    theirs = sitk.GetArrayFromImage(resampled)[0]
    there = np.isfinite(theirs)
    assert there.sum() > 1000 and not there.all()
    wanted = palette_twin(grey, theirs, name, -1.0, 3.0, 0.6)
    got = fuse(grey, where, [layer])
    assert np.abs(got[there] - wanted[there]).max() <= 1.5
    edges = there.copy()
    edges[1:-1, 1:-1] = there[1:-1, 1:-1] | there[2:, 1:-1] | there[:-2, 1:-1] | there[1:-1, 2:] | there[1:-1, :-2]
    assert (got[~edges] == 90).all()  # nothing where the layer is not


def make_dose(values: np.ndarray, origin: tuple[float, float, float], scaling: str = "0.001") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.2", hd.UID()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = hd.UID(), hd.UID()
    dataset.PatientID, dataset.Modality, dataset.FrameOfReferenceUID = "V1", "RTDOSE", FRAME_OF_REFERENCE
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(origin), [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.GridFrameOffsetVector = [2.0, 3.0], [i * 2.5 for i in range(len(values))]
    dataset.FrameIncrementPointer, dataset.NumberOfFrames = 0x3004000C, len(values)
    dataset.Rows, dataset.Columns = values.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 32, 32, 31, 0
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    dataset.DoseGridScaling = scaling
    dataset.PixelData = values.astype("<u4").tobytes()
    return dataset


def test_dose_over_an_image_in_gray_and_its_isodoses(archive: hilum.Archive) -> None:
    _, y, x = np.indices((5, 30, 26))
    dose = np.rint(60000 * np.exp(-((x - 13) ** 2 + (y - 15) ** 2) / 60)).astype(np.uint32)
    instance = stored(archive, make_dose(dose, (-30.0, -20.0, 4.0)))
    slices = make_stack(ramp((5, 30, 26)), (-30.0, -20.0, 4.0), (0, 0, 2.5), spacing=(2.0, 3.0))
    image = [stored(archive, data) for data in slices][2]
    settings = RenderSettings(square_pixels=False)
    grey = image.render_array(settings=settings)
    overlay = Overlay(instance.sop_instance_uid, opacity=0.5, range=(0.0, 60.0))
    got = image.render_array(settings=settings, overlays=[overlay])
    wanted = palette_twin(grey, dose[2] * 0.001, "rainbow", 0.0, 60.0, 0.5)
    clear = np.abs(dose[2] * 0.001 / 60 - 0.05) > 0.002  # where the palette steps
    assert np.abs(got - wanted)[clear].max() <= 1.5
    lines = image.render_array(settings=settings, overlays=[replace(overlay, opacity=None, levels=(20.0, 50.0))])
    for level in (20.0, 50.0):
        above = np.pad(dose[2] * 0.001 >= level, 1, mode="edge")
        inner = above[1:-1, :-2] & above[1:-1, 2:] & above[:-2, 1:-1] & above[2:, 1:-1]
        rim = above[1:-1, 1:-1] & ~inner
        assert rim.any() and (lines[rim] != grey[rim][:, None]).any(axis=1).all()
    untouched = (lines == grey[:, :, None]).all(axis=2)
    assert untouched.sum() > 0.7 * untouched.size


def test_a_real_dose_is_what_pydicom_scales(archive: hilum.Archive, shared_data: Path) -> None:
    data = (shared_data / "rt/single/rtdose.dcm").read_bytes()
    theirs = pydicom.dcmread(io.BytesIO(data))
    record = stored(archive, data).record
    values = archive.overlays._values([record])
    scaled = theirs.pixel_array * float(theirs.DoseGridScaling)
    renderer = values.renderer
    assert renderer.view.layout[0] == scaled.shape
    assert values.range[1] == pytest.approx(float(scaled.max()), rel=1e-6)
    affine = np.array(renderer.view.layout[5]).reshape(4, 4)
    np.testing.assert_allclose(affine[:3, 3], [float(v) for v in theirs.ImagePositionPatient])
    assert affine[2, 2] == pytest.approx(5.0)
    where = plane(
        renderer.view, (0, 0, 1), up=(0, -1, 0), centre=(affine @ [4.5, 4.5, 7, 1])[:3], shape=(10, 10), spacing=10
    )
    np.testing.assert_allclose(renderer.mpr(where).values, scaled[7], rtol=1e-5)
    (series,) = archive.series(modality="RTDOSE")
    volume = series.volume()
    assert volume.units == theirs.DoseUnits
    np.testing.assert_allclose(volume.values(), scaled, rtol=1e-5)


def test_a_parametric_map_is_what_highdicom_maps(archive: hilum.Archive) -> None:
    sources = images()
    values = np.random.default_rng(4).random(SHAPE).astype(np.float32)
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="x",
        lut_explanation="x",
        unit=hd.sr.CodedConcept("mm2/s", "UCUM", "mm2/s"),
        value_range=(0.0, 1.0),
        slope=3.0,
        intercept=-1.0,
    )
    made = hd.pm.ParametricMap(
        source_images=sources,
        pixel_array=values,
        **object_attributes(),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[hd.VOILUTTransformation(0.5, 1.0)],
    )
    instance = stored(archive, stream(made))
    found = archive.overlays._values([instance.record])
    assert found.range == (pytest.approx(values.min() * 3 - 1), pytest.approx(values.max() * 3 - 1))
    ours = [stored(archive, stream(dataset)) for dataset in sources]
    settings = RenderSettings(square_pixels=False)
    overlay = Overlay(instance.sop_instance_uid, opacity=1.0, palette="grey", range=(-1.0, 2.0))
    for image, wanted in zip(ours, values, strict=True):
        got = image.render_array(settings=settings, overlays=[overlay])
        np.testing.assert_allclose(got[..., 0], wanted * 255, atol=1.0)


def test_regions_are_painted_by_their_polygons_and_across_by_their_masks(archive: hilum.Archive) -> None:
    shape = (9, 40, 44)
    slices = make_stack(ramp(shape), (0.0, 0.0, 0.0), (0, 0, 3.0), spacing=(1.0, 1.0))
    ours = [stored(archive, data) for data in slices]
    square = [(10.4, 8.4), (30.4, 8.4), (30.4, 28.4), (10.4, 28.4)]
    contours = [("CLOSED_PLANAR", [(x, y, z) for x, y in square]) for z in (6.0, 9.0, 12.0)]
    structure = stored(archive, make_structure_set({4: contours}))
    overlay = Overlay(structure.sop_instance_uid, opacity=1.0, outline=0)
    settings = RenderSettings(scale=4.0, square_pixels=False)
    got = ours[3].render_array(settings=settings, overlays=[overlay])
    inside = (got == REGION_COLOUR).all(axis=2)
    assert inside.sum() == 80 * 80  # as fine as the picture, not as the voxels
    assert not (ours[0].render_array(settings=settings, overlays=[overlay]) == REGION_COLOUR).all(axis=2).any()
    volume = archive.volume(ours)
    renderer = Renderer(volume.view())
    coronal = plane(renderer.view, "a", centre=(22.0, 18.0, 12.0), shape=(60, 60), spacing=0.5)
    layers = archive.overlays.layers([overlay], FRAME_OF_REFERENCE)
    image = fuse(renderer.mpr(coronal).window(0, 500), coronal, layers)
    rows = (image == REGION_COLOUR).all(axis=2).sum(axis=1)
    assert np.count_nonzero(rows) == 18  # 9 mm at 0.5 mm
    assert set(rows[rows > 0].tolist()) == {40}


def test_segments_that_are_too_large_together_are_refused(
    archive: hilum.Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = [stored(archive, stream(dataset)) for dataset in images()][2]
    pixels = np.ones((*SHAPE, 2), np.float32) / 2
    fractions = stored(archive, make_segmentation(pixels, "FRACTIONAL", [1, 2], fractional_type="OCCUPANCY"))
    square = [(0.0, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 20.0, 20.0), (0.0, 0.0, 20.0)]
    across = {number: [("CLOSED_PLANAR", square)] for number in (1, 2)}
    frame_of_reference = archive.volumes.frames([image.record]).frames_of_reference[0]
    regions = stored(archive, make_structure_set(across, frame_of_reference=frame_of_reference))
    for overlay, most in ((fractions, int(np.prod(SHAPE))), (regions, 500)):
        monkeypatch.setattr("hilum.archive.overlay_masks.MAX_VOXELS", most)
        with pytest.raises(hilum.LimitExceeded, match="name fewer"):
            image.render(overlays=[overlay])
        assert image.render(overlays=[Overlay(overlay.sop_instance_uid, segments=(1,))])
    monkeypatch.undo()
    assert image.render(overlays=[fractions, regions])


def test_fractions_are_the_more_opaque_the_larger(archive: hilum.Archive) -> None:
    pixels = np.random.default_rng(3).random(SHAPE).astype(np.float32)
    instance = stored(archive, make_segmentation(pixels, "FRACTIONAL", [1], fractional_type="PROBABILITY"))
    image = [stored(archive, stream(dataset)) for dataset in images()][2]
    settings = RenderSettings(square_pixels=False, window=Window(1e6, 2))  # black
    got = image.render_array(settings=settings, overlays=[Overlay(instance.sop_instance_uid, opacity=1.0)])
    colour = np.array(instance.segmentation().segments[0].colour)
    assert np.abs(got - pixels[2][..., None] * colour).max() <= 1.5
    assert np.abs(colour - COLOUR).max() <= 2


def make_registration(study: str, source: str, target: str, matrix: np.ndarray, kind: str = "RIGID") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.1", hd.UID()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, hd.UID()
    dataset.PatientID, dataset.Modality, dataset.FrameOfReferenceUID = "V1", "REG", target
    step, one, item = Dataset(), Dataset(), Dataset()
    step.FrameOfReferenceTransformationMatrixType = kind
    step.FrameOfReferenceTransformationMatrix = [f"{v:.9g}" for v in matrix.ravel()]
    one.MatrixSequence = [step]
    item.FrameOfReferenceUID, item.MatrixRegistrationSequence = source, [one]
    dataset.RegistrationSequence = [item]
    return dataset


def test_another_frame_of_reference_needs_a_registration(archive: hilum.Archive) -> None:
    slices = make_stack(ramp((9, 40, 44)), (0.0, 0.0, 0.0), (0, 0, 3.0), spacing=(1.0, 1.0))
    image = [stored(archive, data) for data in slices][3]
    matrix = np.array([[0.0, -1, 0, 60], [1, 0, 0, -20], [0, 0, 1, 5], [0, 0, 0, 1]])  # of OTHER to the images'
    square = np.array([(10.4, 8.4, 9.0, 1), (30.4, 8.4, 9.0, 1), (30.4, 20.4, 9.0, 1), (10.4, 20.4, 9.0, 1)])
    there = (square @ np.linalg.inv(matrix).T)[:, :3]
    region = {1: [("CLOSED_PLANAR", [tuple(point) for point in there.tolist()])]}
    structure = stored(archive, make_structure_set(region, frame_of_reference=OTHER))
    settings = RenderSettings(scale=2.0, square_pixels=False)
    overlay = Overlay(structure.sop_instance_uid, opacity=1.0, outline=0)
    with pytest.raises(hilum.Conflict, match="frame of reference"):
        image.render_array(settings=settings, overlays=[overlay])
    stretched = matrix.copy()
    stretched[:3, :3] *= 1.1
    study = structure.study_instance_uid
    stored(archive, make_registration(study, OTHER, FRAME_OF_REFERENCE, stretched, "RIGID_SCALE"))
    with pytest.raises(hilum.Conflict, match="rigid"):
        image.render_array(settings=settings, overlays=[overlay])
    stored(archive, make_registration(study, FRAME_OF_REFERENCE, OTHER, np.linalg.inv(matrix)))
    got = image.render_array(settings=settings, overlays=[overlay])
    assert (got == REGION_COLOUR).all(axis=2).sum() == 40 * 24
    same = make_structure_set({1: [("CLOSED_PLANAR", [tuple(p) for p in square[:, :3].tolist()])]}, series=91)
    direct = replace(overlay, uid=stored(archive, same).sop_instance_uid)
    np.testing.assert_array_equal(image.render_array(settings=settings, overlays=[direct]), got)


def test_what_cannot_lie_over_an_image_is_refused(archive: hilum.Archive) -> None:
    ours, _, segmentation = segmented(archive)
    uid = segmentation.sop_instance_uid
    dose = stored(archive, make_dose(np.ones((3, 4, 4), np.uint32), (0.0, 0.0, 0.0), scaling="0"))
    flat = Dataset()
    flat.update(images()[0])
    flat.file_meta = images()[0].file_meta
    del flat.ImagePositionPatient
    flat.SOPInstanceUID = flat.file_meta.MediaStorageSOPInstanceUID = hd.UID()
    nowhere = stored(archive, flat)
    cases: list[tuple[hilum.Instance, Any, type[Exception]]] = [
        (ours[0], "1.2.3.4", hilum.NotFound),
        (ours[0], Overlay(uid, segments=(9,)), hilum.NotFound),
        (ours[0], Overlay(uid, palette="hot"), hilum.UsageError),
        (ours[0], Overlay(uid, opacity=1.5), hilum.UsageError),
        (ours[0], Overlay(uid, outline=99), hilum.UsageError),
        (ours[0], Overlay(ours[1].series_instance_uid, segments=(1,)), hilum.UsageError),
        (ours[0], Overlay(ours[1].series_instance_uid, palette="sepia"), hilum.UsageError),
        (ours[0], Overlay(ours[1].series_instance_uid, range=(3.0, 3.0)), hilum.UsageError),
        (ours[0], dose, hilum.DataError),
        (nowhere, segmentation, hilum.NotAVolume),
    ]
    for image, overlay, error in cases:
        with pytest.raises(error):
            image.render(overlays=[overlay])
    with pytest.raises(hilum.UsageError):
        ours[0].render(overlays=[uid] * 17)
    with pytest.raises(hilum.UsageError):
        ours[0].render_array(settings=RenderSettings(bits=16), overlays=[uid])
