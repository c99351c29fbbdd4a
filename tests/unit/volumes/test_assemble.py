from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from volume_objects import AXIAL, FRAME_OF_REFERENCE, make_slice, make_stack, ramp

import hilum
from hilum import NotAVolume

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COSINE, SINE = np.cos(0.3), np.sin(0.3)
OBLIQUE = (COSINE, SINE, 0.0, -SINE * 0.6, COSINE * 0.6, 0.8)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def series_of(archive: hilum.Archive, objects: Sequence[bytes]) -> hilum.Series:
    for result in archive.store_many(objects):
        assert isinstance(result, hilum.StoreResult), result
    (study,) = archive.studies()
    (series,) = study.series
    return series


def test_slices_are_sorted_by_place_and_not_by_number(archive: hilum.Archive) -> None:
    voxels = ramp((7, 20, 30))
    objects = make_stack(voxels, (-10, 20, -300), (0, 0, 1.5), reverse=True)
    volume = series_of(archive, objects[::2] + objects[1::2]).volume()
    np.testing.assert_array_equal(volume.to_numpy(), voxels)
    expected = [[0.75, 0, 0, -10], [0, 0.5, 0, 20], [0, 0, 1.5, -300], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-6)
    assert (volume.shape, volume.dtype, volume.units) == ((7, 20, 30), np.dtype("int16"), "HU")
    assert (volume.slope, volume.intercept, volume.stack.fill) == (1.0, -1024.0, 24.0)
    assert (volume.resampled, volume.tilt_degrees, volume.notes, volume.times) == ("", 0.0, (), ())
    assert volume.stack.frame_of_reference_uid == FRAME_OF_REFERENCE
    np.testing.assert_array_equal(volume.values(), voxels.astype(np.float32) - 1024)


@pytest.mark.parametrize(
    "orientation", [AXIAL, OBLIQUE, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)]
)
def test_planes_of_any_direction(archive: hilum.Archive, orientation: tuple[float, ...]) -> None:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    voxels = ramp((5, 9, 12), "uint16")
    objects = make_stack(voxels[::-1], (1, 2, 3), -2.5 * normal, orientation=orientation)
    volume = series_of(archive, objects).volume()
    np.testing.assert_array_equal(volume.to_numpy(), voxels)
    origin = np.array([1, 2, 3]) - 4 * 2.5 * normal
    np.testing.assert_allclose(
        volume.affine @ [3, 2, 4, 1], [*(origin + 3 * 0.75 * row + 2 * 0.5 * column + 10 * normal), 1], atol=1e-5
    )
    assert np.linalg.det(volume.affine) > 0


def test_a_gantry_tilt_is_a_shear_and_not_resampled(archive: hilum.Archive) -> None:
    voxels = ramp((6, 8, 8))
    objects = make_stack(voxels, (0, 0, 0), (0, 1.0, 3.0))
    volume = series_of(archive, objects).volume()
    assert volume.tilt_degrees == pytest.approx(np.degrees(np.arctan2(1, 3)), abs=1e-3)
    assert volume.resampled == ""
    np.testing.assert_array_equal(volume.to_numpy(), voxels)
    np.testing.assert_allclose(volume.affine @ [0, 0, 5, 1], [0, 5, 15, 1], atol=1e-6)


def test_positions_that_are_rounded_are_even(archive: hilum.Archive) -> None:
    voxels = ramp((9, 4, 4))
    objects = [make_slice(v, (0, 0, round(k * 0.625, 1)), instance=k + 1) for k, v in enumerate(voxels)]
    volume = series_of(archive, objects).volume()
    assert volume.resampled == "" and volume.spacing[0] == pytest.approx(0.625)


def test_missing_slices_are_interpolated_and_said(archive: hilum.Archive) -> None:
    voxels = ramp((10, 6, 6))
    objects = make_stack(voxels, (0, 0, 5), (0, 0, 2), keep=[0, 1, 2, 4, 5, 6, 7, 9])
    volume = series_of(archive, objects).volume()
    assert volume.resampled == "2 of 10 slices are missing: 2 of 10 slices are interpolated, every 2 mm"
    expected = voxels.copy()
    for k in (3, 8):
        expected[k] = np.floor((voxels[k - 1].astype(float) + voxels[k + 1]) / 2 + 0.5)
    np.testing.assert_array_equal(volume.to_numpy(), expected)
    _ = volume.path
    np.testing.assert_array_equal(volume.to_numpy(), expected)
    assert volume.zarr().shape == (10, 6, 6)


def test_uneven_slices_are_interpolated_between_their_neighbours(archive: hilum.Archive) -> None:
    heights = [0.0, 1.0, 2.0, 3.5, 5.0, 7.3]
    voxels = np.stack([np.full((4, 4), 100 * h, np.int16) for h in heights])
    objects = [make_slice(v, (0, 0, h), instance=k + 1) for k, (v, h) in enumerate(zip(voxels, heights, strict=True))]
    volume = series_of(archive, objects).volume()
    assert "slices are 1 to 2.3 mm apart" in volume.resampled
    at = volume.affine[2, 3] + volume.affine[2, 2] * np.arange(volume.shape[0])
    np.testing.assert_allclose(volume.to_numpy()[:, 0, 0], 100 * at, atol=10.5)  # slices nearer than 0.1 mm are taken


def test_directions_sizes_and_echoes_are_stacks_of_their_own(archive: hilum.Archive) -> None:
    options = {"modality": "MR", "sop_class": "1.2.840.10008.5.1.4.1.1.4", "intercept": 0.0}
    axial, coronal, small = ramp((5, 8, 8)), ramp((4, 8, 8), seed=1), ramp((3, 6, 8), seed=2)
    echoes = [ramp((6, 8, 8), seed=3 + e) for e in range(2)]
    objects = [
        *make_stack(axial, (0, 0, 0), (0, 0, 2), first_instance=1, **options),
        *make_stack(coronal, (0, 0, 0), (0, 2, 0), first_instance=11, orientation=(1, 0, 0, 0, 0, -1), **options),
        *make_stack(small, (0, 0, 0), (0, 0, 2), first_instance=21, **options),
        *(
            item
            for e, voxels in enumerate(echoes)
            for item in make_stack(
                voxels,
                (0, 0, 0),
                (0, 0, 2),
                first_instance=31 + 10 * e,
                extra={0x00180081: ("DS", str(10 + e))},
                **options,
            )
        ),
    ]
    volumes = series_of(archive, objects).volumes
    found = [volume.to_numpy() for volume in volumes]
    for expected in (*echoes, axial, coronal[::1], small):
        assert any(f.shape == expected.shape and (f == expected).all() for f in found)
    assert len(found) == 5 and volumes[0].units == ""


@pytest.mark.parametrize("key", ["temporal", "trigger", "acquisition", "time", "nothing"])
def test_time_points(archive: hilum.Archive, key: str) -> None:
    voxels = np.stack([ramp((4, 5, 6), seed=t) for t in range(3)])
    elements = {
        "temporal": lambda t: {0x00200100: ("IS", str(t + 1))},
        "trigger": lambda t: {0x00181060: ("DS", str(250 * t))},
        "acquisition": lambda t: {0x00200012: ("IS", str(t + 1))},
        "time": lambda t: {0x00080032: ("TM", f"10000{t}.5")},
        "nothing": lambda t: {},
    }[key]
    objects = [
        make_slice(voxels[t, k], (0, 0, 3 * k), instance=1 + 3 * k + t, extra=elements(t))
        for t in range(3)
        for k in range(4)
    ]
    volume = series_of(archive, objects).volume()
    assert volume.shape == (3, 4, 5, 6)
    assert (
        volume.stack.time_kind
        == {
            "temporal": "temporal_position",
            "trigger": "trigger_time",
            "acquisition": "acquisition_number",
            "time": "acquisition_time",
            "nothing": "repetition",
        }[key]
    )
    if key in ("trigger", "time"):
        assert volume.times == ((0.0, 250.0, 500.0) if key == "trigger" else (0.0, 1000.0, 2000.0))
    np.testing.assert_array_equal(volume.to_numpy(), voxels)
    _ = volume.path
    np.testing.assert_array_equal(volume.zarr()[:], voxels)
    np.testing.assert_array_equal(volume[1, 2], voxels[1, 2])
    np.testing.assert_array_equal(volume[..., 2:4, 1], voxels[..., 2:4, 1])


def test_a_time_series_that_was_broken_off_keeps_its_whole_time_points(archive: hilum.Archive) -> None:
    voxels = np.stack([ramp((4, 5, 6), seed=t) for t in range(3)])
    objects = [
        make_slice(voxels[t, k], (0, 0, 3 * k), instance=1 + 4 * t + k, extra={0x00200100: ("IS", str(t))})
        for t in range(3)
        for k in range(4 if t < 2 else 3)
    ]
    volume = series_of(archive, objects).volume()
    np.testing.assert_array_equal(volume.to_numpy(), voxels[:2])
    assert volume.times == (0.0, 1.0)
    assert volume.notes == ("3 frames of time points that are not complete are left out",)


def test_two_regions_are_two_stacks(archive: hilum.Archive) -> None:
    chest, head = ramp((5, 6, 6)), ramp((4, 6, 6), seed=1)
    objects = [
        *make_stack(chest, (0, 0, 0), (0, 0, 2), extra={0x00200012: ("IS", "1")}),
        *make_stack(head, (0, 0, 301), (0, 0, 5), first_instance=20, extra={0x00200012: ("IS", "2")}),
    ]
    volumes = series_of(archive, objects).volumes
    assert [v.shape[0] for v in volumes] == [5, 4]
    assert [v.spacing[0] for v in volumes] == [2.0, 5.0]
    np.testing.assert_array_equal(volumes[1].to_numpy(), head)


def test_duplicates_are_left_out_and_said(archive: hilum.Archive) -> None:
    voxels = ramp((5, 6, 6))
    objects = [*make_stack(voxels, (0, 0, 0), (0, 0, 2)), make_slice(voxels[0], (0, 0, 4), instance=9)]
    volume = series_of(archive, objects).volume()
    assert volume.notes == ("1 frames at the place of another are left out",)
    np.testing.assert_array_equal(volume.to_numpy(), voxels)


def test_slices_of_different_rescale_become_rescaled_values(archive: hilum.Archive) -> None:
    voxels = ramp((5, 40, 6))
    options = {"modality": "PT", "sop_class": "1.2.840.10008.5.1.4.1.1.128", "intercept": 0.0}
    objects = [
        make_slice(v, (0, 0, k), instance=k + 1, slope=1.5 + k, extra={0x00541001: ("CS", "BQML")}, **options)  # type: ignore[arg-type]
        for k, v in enumerate(voxels)
    ]
    volume = series_of(archive, objects).volume()
    expected = (voxels * (1.5 + np.arange(5))[:, None, None]).astype(np.float32)
    assert (volume.dtype, volume.units, volume.slope) == (np.dtype("float32"), "BQML", 1.0)
    assert volume.notes == ("rescale differs between slices: voxels are rescaled values in float32",)
    np.testing.assert_array_equal(volume.to_numpy(), expected)
    _ = volume.path
    np.testing.assert_array_equal(volume.to_numpy(), expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"position": None}, "no Image Position"),
        ({"orientation": None}, "no Image Orientation"),
        ({"spacing": None}, "no Pixel Spacing"),
        ({"spacing": (0, 1)}, "not above 0"),
        ({"spacing": (-1, 1)}, "not above 0"),
        ({"orientation": (1, 0, 0, 1, 0, 0)}, "perpendicular"),
        ({"orientation": (0, 0, 0, 0, 0, 0)}, "perpendicular"),
        ({"extra": {0x00200037: ("DS", "1\\0\\0\\0\\nan\\0")}}, "no Image Orientation"),
        ({"extra": {0x00200032: ("DS", "1\\0")}}, "no Image Position"),
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "scouts"),
        ({"image_type": "ORIGINAL\\PRIMARY\\M\\MOSAIC"}, "mosaics"),
    ],
)
def test_what_is_no_volume_says_why(archive: hilum.Archive, options: dict[str, object], reason: str) -> None:
    objects = [
        make_slice(np.zeros((4, 4), np.int16), **{"position": (0, 0, k), "instance": k + 1, **options})  # type: ignore[arg-type]
        for k in range(5)
    ]
    series = series_of(archive, objects)
    with pytest.raises(NotAVolume, match=reason):
        series.volume()
    assert series.volumes == []


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_slices_are_no_volume(archive: hilum.Archive, count: int) -> None:
    series = series_of(archive, make_stack(ramp((count, 4, 4)), (0, 0, 0), (0, 0, 1)))
    with pytest.raises(NotAVolume, match="fewer than 3 slices"):
        series.volume()


def test_slices_that_are_shifted_or_too_uneven_are_no_volume(archive: hilum.Archive) -> None:
    shifted = [make_slice(np.zeros((4, 4), np.int16), (k % 2, 0, k), instance=k + 1) for k in range(5)]
    heights = [0, 0.1, 0.2, 50, 50.1]
    uneven = [
        make_slice(np.zeros((4, 4), np.int16), (0, 0, h), instance=k + 1, series=2) for k, h in enumerate(heights)
    ]
    archive.store_many([*shifted, *uneven])
    one, two = archive.studies()[0].series
    with pytest.raises(NotAVolume, match="shifted"):
        one.volume()
    with pytest.raises(NotAVolume, match="no even spacing"):
        two.volume()


def test_a_part_of_a_series_is_a_volume(archive: hilum.Archive) -> None:
    voxels = ramp((8, 4, 4))
    series = series_of(archive, make_stack(voxels, (0, 0, 0), (0, 0, 1)))
    part = archive.volume([i for i in series.instances if 3 <= i.instance_number <= 6])
    np.testing.assert_array_equal(part.to_numpy(), voxels[2:6])
    with pytest.raises(NotAVolume, match="there is no stack 1"):
        archive.volume(series.instances, 1)


def test_thousands_of_directions_are_refused_at_once(archive: hilum.Archive) -> None:
    angles = np.linspace(0, 1, 1500)
    objects = [
        make_slice(
            np.zeros((2, 2), np.int16),
            (0, 0, 0),
            instance=k + 1,
            orientation=(np.cos(a), np.sin(a), 0, -np.sin(a), np.cos(a), 0),
        )
        for k, a in enumerate(angles)
    ]
    with pytest.raises(NotAVolume, match="1500 frames: fewer than 3 slices"):
        series_of(archive, objects).volume()


def test_texts_of_headers_in_any_character_set_tell_stacks_apart(archive: hilum.Archive) -> None:
    for series, unit in ((1, b"W\xe4rme"), (2, b"\xff\xfe")):
        extra = {
            0x00280054: ("LO", unit),
            0x00281054: ("LO", unit),
            0x00209056: ("SH", b"\xe4"),
            0x00200052: ("UI", unit),
        }
        archive.store_many(make_stack(ramp((4, 6, 5)), (0, 0, 0), (0, 0, 1), series=series, extra=extra))
    for series in archive.studies()[0].series:
        (volume,) = series.volumes
        assert volume.shape == (4, 6, 5) and volume.to_numpy()[2].any()
