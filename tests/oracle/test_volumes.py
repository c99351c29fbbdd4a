"""Volumes of real series against programs that are not ours: SimpleITK (GDCM) and dcm2niix, and against pydicom.

Where they disagree the test says why: GDCM takes the slices of a tilted gantry as if they were stacked along their
normal, and knows neither echoes nor time points.
"""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from real_files import extract

import hilum

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

FOLDERS = ("mr/fmri_ge_4d", "mr/fmri_philips_4d", "mr/multiecho_qt2", "mr/anatomical_ge", "mr/dwi_siemens", "ct/single")
ARCHIVES = ("pet_qin_headneck_0024", "lidc_idri_0314_z20_119", "ge_head_tilt_nonuniform")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> dict[str, Path]:
    """Folder with the files of each data set, by name."""
    found = {name: shared_data / name for name in FOLDERS}
    root = tmp_path_factory.mktemp("extracted")
    for name in ARCHIVES:
        extract(name, shared_data, root)
        found[name] = root / name
    return found


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def volumes_of(archive: hilum.Archive, folder: Path) -> list[hilum.Volume]:
    archive.import_paths([folder])
    return [volume for study in archive.studies() for series in study.series for volume in series.volumes]


def values_at(voxels: npt.NDArray[np.generic], inverse: npt.NDArray[np.float64], points: np.ndarray) -> np.ndarray:
    """Values of voxels whose centres are at these points."""
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    rounded = np.round(index).astype(int)
    np.testing.assert_allclose(index, rounded, atol=0.02)
    return voxels[rounded[:, 2], rounded[:, 1], rounded[:, 0]]


def some_voxels(shape: tuple[int, ...], count: int = 400) -> npt.NDArray[np.int64]:
    """Indices (i, j, k), the corners among them."""
    random = np.random.default_rng(5)
    chosen = random.integers(0, shape[::-1], (count, 3))
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape[::-1]) - 1)
    return np.concatenate([corners, chosen])


@pytest.mark.parametrize("name", ["pet_qin_headneck_0024", "lidc_idri_0314_z20_119", "mr/anatomical_ge", "ct/single"])
def test_simpleitk_has_the_same_geometry_and_values(
    archive: hilum.Archive, folders: dict[str, Path], name: str
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    compared = 0
    found = {v.stack.frames.size: v for v in volumes_of(archive, folders[name])}
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folders[name])):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folders[name]), uid)
        volume = found.get(len(files))
        if volume is None or volume.times or len(files) < 3:
            continue
        image = sitk.ReadImage(files)
        direction = np.array(image.GetDirection()).reshape(3, 3)
        affine = np.eye(4)
        affine[:3, :3] = direction * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
        np.testing.assert_allclose(volume.affine, affine, atol=2e-3)
        np.testing.assert_allclose(volume.values(), sitk.GetArrayFromImage(image), rtol=1e-6, atol=1e-3)
        compared += 1
    assert compared


def test_every_slice_lies_where_pydicom_says(archive: hilum.Archive, folders: dict[str, Path]) -> None:
    """Also under a gantry tilt, where GDCM's image does not."""
    for name in ("ge_head_tilt_nonuniform", "mr/fmri_philips_4d", "mr/fmri_ge_4d"):
        datasets = {d.SOPInstanceUID: d for d in (pydicom.dcmread(f) for f in folders[name].rglob("*") if f.is_file())}
        for volume in volumes_of(archive, folders[name]):
            series, stack = volume.frames, volume.stack
            voxels = volume.to_numpy().reshape(-1, *stack.shape)
            for time, k in np.ndindex(*stack.frames.shape):
                record = series.records[series.objects[stack.frames[time, k]]]
                if record.sop_instance_uid not in datasets:
                    continue
                dataset = datasets[record.sop_instance_uid]
                np.testing.assert_array_equal(voxels[time, k], dataset.pixel_array)
                position = (volume.affine @ [0, 0, k, 1])[:3]
                np.testing.assert_allclose(position, np.array(dataset.ImagePositionPatient, float), atol=0.1)


def test_gdcm_does_not_know_a_gantry_tilt(archive: hilum.Archive, folders: dict[str, Path]) -> None:
    sitk = pytest.importorskip("SimpleITK")
    tilted = [v for v in volumes_of(archive, folders["ge_head_tilt_nonuniform"]) if v.tilt_degrees > 1]
    assert tilted
    for volume in tilted:
        series, stack = volume.frames, volume.stack
        wanted = {series.records[o].sop_instance_uid for o in series.objects[stack.frames[0]]}
        files = [
            (tuple(map(float, d.ImagePositionPatient)), str(f))
            for f in folders["ge_head_tilt_nonuniform"].rglob("*")
            if f.is_file() and (d := pydicom.dcmread(f, stop_before_pixels=True)).SOPInstanceUID in wanted
        ]
        files.sort(key=lambda item: item[0][2])
        image = sitk.ReadImage([name for _, name in files])
        last = np.array(image.TransformContinuousIndexToPhysicalPoint((0.0, 0.0, float(len(files) - 1))))
        truth = np.array(files[-1][0])
        ends = [(volume.affine @ [0, 0, k, 1])[:3] for k in (0, stack.shape[0] - 1)]
        assert min(np.abs(end - truth).max() for end in ends) < 0.1
        assert np.abs(last - truth).max() > 1.0


def test_frames_of_enhanced_objects_lie_where_their_functional_groups_say(
    archive: hilum.Archive, shared_data: Path
) -> None:
    archive.import_paths([shared_data / name for name in ("mr/enhanced", "mr/enhanced_xa30", "ct/enhanced")])
    compared = set()
    for volume in (v for study in archive.studies() for series in study.series for v in series.volumes):
        stack, frames = volume.stack, volume.frames
        record = frames.records[frames.objects[stack.frames[0, 0]]]
        dataset = archive.retrieve.dataset(record)
        pixels, voxels = dataset.pixel_array, volume.to_numpy().reshape(-1, *stack.shape)
        for time, k in np.ndindex(*stack.frames.shape):
            number = int(frames.numbers[stack.frames[time, k]])
            groups = dataset.PerFrameFunctionalGroupsSequence[number]
            shared = dataset.SharedFunctionalGroupsSequence[0]
            plane = (groups if "PlanePositionSequence" in groups else shared).PlanePositionSequence[0]
            if not volume.resampled:
                place = (volume.affine @ [0, 0, k, 1])[:3]
                np.testing.assert_allclose(place, np.array(plane.ImagePositionPatient, float), atol=0.1)
                if stack.rescales is None:
                    np.testing.assert_array_equal(voxels[time, k], pixels[number])
        compared.add((record.sop_instance_uid, len(stack.times) > 1))
    assert len(compared) >= 5 and any(has_times for _, has_times in compared)


def test_suv_of_a_real_pet(archive: hilum.Archive, folders: dict[str, Path]) -> None:
    """By the definition (PS3.3 C.8.9): activity per volume, over the decayed dose per gram."""
    (volume,) = volumes_of(archive, folders["pet_qin_headneck_0024"])
    dataset = pydicom.dcmread(next(f for f in folders["pet_qin_headneck_0024"].rglob("*.dcm")))
    dose = dataset.RadiopharmaceuticalInformationSequence[0]
    start = dataset.SeriesTime if dataset.SeriesTime <= dataset.AcquisitionTime else dataset.AcquisitionTime

    def seconds(text: str) -> float:
        return int(text[:2]) * 3600 + int(text[2:4]) * 60 + float(text[4:])

    elapsed = seconds(str(start)) - seconds(str(dose.RadiopharmaceuticalStartTime))
    left = float(dose.RadionuclideTotalDose) * 2 ** (-elapsed / float(dose.RadionuclideHalfLife))
    values = volume.values()
    np.testing.assert_allclose(volume.suv(), values * (float(dataset.PatientWeight) * 1000 / left), rtol=1e-4)
    part = volume.read((100, 40, 40), (2, 20, 20))
    np.testing.assert_array_equal(volume.suv("bw", part), volume.suv()[100:102, 40:60, 40:60])


def read_nifti(path: Path) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64]]:
    """Voxels (t, z, y, x) and 4x4 sform, RAS, of an uncompressed little-endian NIfTI-1 file."""
    data = path.read_bytes()
    size = struct.unpack_from("<8h", data, 40)
    kinds = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 32: "<c8", 128: "u1,u1,u1", 256: "i1", 512: "<u2"}
    dtype = kinds[struct.unpack_from("<h", data, 70)[0]]
    offset = int(struct.unpack_from("<f", data, 108)[0])
    shape = [*size[1 : size[0] + 1], *([1] * (4 - size[0]))]
    voxels = np.frombuffer(data, dtype, int(np.prod(shape)), offset).reshape(shape[::-1])
    affine = np.eye(4)
    affine[:3] = np.array(struct.unpack_from("<12f", data, 280)).reshape(3, 4)
    return voxels, affine


@pytest.mark.parametrize(
    ("name", "times"),
    [("pet_qin_headneck_0024", 1), ("mr/fmri_philips_4d", 3), ("mr/anatomical_ge", 1)],
)
def test_dcm2niix_puts_every_voxel_in_the_same_place(
    archive: hilum.Archive, folders: dict[str, Path], tmp_path: Path, name: str, times: int
) -> None:
    program = pytest.importorskip("dcm2niix").bin
    out = tmp_path / "nifti"
    out.mkdir()
    command = [program, "-z", "n", "-b", "n", "-f", "v", "-o", str(out), str(folders[name])]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    voxels, affine = max((read_nifti(path) for path in out.glob("*.nii")), key=lambda found: found[0].size)
    volume = max(volumes_of(archive, folders[name]), key=lambda v: v.stack.frames.size)
    assert len(voxels) == times == max(len(volume.times), 1)
    ours = volume.to_numpy().reshape(times, *volume.stack.shape)
    assert sorted(voxels.shape[1:]) == sorted(ours.shape[1:])
    index = some_voxels(volume.stack.shape)
    lps = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inverse = np.linalg.inv(affine)
    for time in range(times):
        there = values_at(voxels[time], inverse, lps * [-1, -1, 1])
        np.testing.assert_array_equal(there, ours[time, index[:, 2], index[:, 1], index[:, 0]])


EXPLAINED: dict[str, tuple[set[str], set[str], str]] = {
    "mr/fmri_siemens_mosaic": (set(), {"2x5x72x72"}, "mosaics of several slices are refused by name, not cut"),
    "mr/same_image_9_syntaxes": (set(), {"1x35x64x64"}, "the same"),
    "mr/multiecho_qt2": (
        {"1x4x192x192"},
        {"1x3x192x192", "1x5x192x192"},
        "a missing slice is interpolated, and told",
    ),
    "mr/enhanced": ({"1x8x128x128", "3x8x128x128"}, {"4x8x128x128"}, "b = 0 is a stack of its own"),
    "nm": (set(), {"1x13x64x64"}, "no Image Position (Patient)"),
    "rt": ({"1x5x22x22", "1x10x10x15"}, set(), "dcm2niix leaves doses out"),
}
"""By folder: shapes that only hilum has, that only dcm2niix has, and why."""


@pytest.mark.parametrize(
    "name",
    [
        *(f"mr/{one}" for one in (
            "anatomical_ge", "dwi_ge", "dwi_philips", "dwi_siemens", "enhanced", "enhanced_xa30", "fmri_ge_4d",
            "fmri_philips_4d", "fmri_siemens_mosaic", "fragments_j2k", "multiecho_qt2", "same_image_9_syntaxes",
            "spectroscopy", "wg04",
        )),
        *(f"ct/{one}" for one in ("enhanced", "legacy_source_23x38x3", "sc_report", "single")),
        "nm", "rt",
    ],
)  # fmt: skip
def test_dcm2niix_finds_the_same_volumes(archive: hilum.Archive, shared_data: Path, tmp_path: Path, name: str) -> None:
    """Of every series: times and sizes, whatever the order of the axes; fewer than three slices are no volume here."""
    program = pytest.importorskip("dcm2niix").bin
    out = tmp_path / "nifti"
    out.mkdir()
    command = [program, "-z", "n", "-b", "n", "-w", "1", "-f", "%s_%v", "-o", str(out), str(shared_data / name)]
    subprocess.run(command, check=False, capture_output=True, timeout=120)
    shapes = [read_nifti(path)[0].shape for path in out.glob("*.nii")]
    theirs = {f"{times}x" + "x".join(map(str, sorted(sizes))) for times, *sizes in shapes if min(sizes) >= 3}
    ours = set()
    for volume in volumes_of(archive, shared_data / name):
        ours.add(f"{max(len(volume.times), 1)}x" + "x".join(map(str, sorted(volume.stack.shape))))
    mine, others, _ = EXPLAINED.get(name, (set(), set(), ""))
    assert (ours - theirs, theirs - ours) == (mine, others)
