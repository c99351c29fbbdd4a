"""Parts of slides and radiographs: what is put together is the image, whatever the tiles, levels and sizes are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image, JpegImagePlugin
from slides import ROOT, halved, tissue, write_slide

from hilum.archive.slide import grid_of
from hilum.archive.tiles import Tiler
from hilum.errors import DataError, LimitExceeded, NotFound, UsageError
from hilum.pixels.settings import RenderSettings, Shutter

if TYPE_CHECKING:
    import numpy.typing as npt

    import hilum

DEMO = Path(__file__).parents[2] / "data" / "demo"
PLAIN = RenderSettings()
ROWS, COLUMNS = 150, 210


@pytest.fixture
def tiler(archive: hilum.Archive) -> Tiler:
    return Tiler(archive.retrieve, archive.index, 8 << 20)


@pytest.fixture
def levels(archive: hilum.Archive, tmp_path: Path) -> list[npt.NDArray[np.uint8]]:
    """A slide of three levels in the archive; its pixels."""
    pixels = [tissue(ROWS, COLUMNS)]
    pixels += [halved(pixels[0])]
    pixels += [halved(pixels[1])]
    (tmp_path / "in").mkdir()
    for number, level in enumerate(pixels, 1):
        write_slide(tmp_path / "in" / f"{number}.dcm", level, number=number)
    assert archive.import_paths([tmp_path / "in"]).ok
    return pixels


def picture(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_series_is_one_slide_of_all_levels(tiler: Tiler, levels: list[npt.NDArray[np.uint8]]) -> None:
    slide = tiler.pyramids.find(f"{ROOT}.1")
    assert (slide.columns, slide.rows, slide.tile) == (COLUMNS, ROWS, (32, 32))
    assert [(level.grid.columns, level.grid.rows) for level in slide.levels] == [(210, 150), (105, 75), (53, 38)]
    for factor, level in zip((1, 2, 4), levels, strict=True):
        size = level.shape[1], level.shape[0]
        assert np.array_equal(tiler.pixels(slide, (0, 0, COLUMNS, ROWS), size, PLAIN), level), factor


@pytest.mark.parametrize(
    "region", [(0, 0, 1, 1), (31, 31, 2, 2), (5, 9, 130, 77), (192, 128, 18, 22), (209, 149, 1, 1)]
)
def test_region_at_its_own_size_is_cut_out(
    tiler: Tiler, levels: list[npt.NDArray[np.uint8]], region: tuple[int, int, int, int]
) -> None:
    x, y, wide, high = region
    cut = tiler.pixels(tiler.pyramids.find(f"{ROOT}.1.1"), region, (wide, high), PLAIN)
    assert np.array_equal(cut, levels[0][y : y + high, x : x + wide])


def test_size_is_met_exactly(tiler: Tiler, levels: list[npt.NDArray[np.uint8]]) -> None:
    slide = tiler.pyramids.find(f"{ROOT}.1")
    for size in ((1, 1), (3, 200), (37, 41), (420, 300), (209, 1)):
        assert tiler.pixels(slide, (0, 0, COLUMNS, ROWS), size, PLAIN).shape == (size[1], size[0], 3)


def test_reduced_size_is_a_mean_of_what_it_covers(tiler: Tiler, levels: list[npt.NDArray[np.uint8]]) -> None:
    slide = tiler.pyramids.find(f"{ROOT}.1")
    small = tiler.pixels(slide, (0, 0, 208, 144), (52, 36), PLAIN)
    wanted = levels[0][:144, :208].reshape(36, 4, 52, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - wanted).max() <= 2


def test_missing_tiles_are_the_background(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    pixels = tissue(96, 96)
    write_slide(tmp_path / "sparse.dcm", pixels, missing={(1, 1), (2, 0)})
    archive.import_paths([tmp_path / "sparse.dcm"])
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    pixels[32:64, 32:64] = 255
    pixels[0:32, 64:96] = 255
    assert np.array_equal(tiler.pixels(slide, (0, 0, 96, 96), (96, 96), PLAIN), pixels)
    assert (tiler.pixels(slide, (40, 40, 10, 10), (10, 10), PLAIN) == 255).all()


def test_stored_jpeg_tile_goes_out_as_it_is(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    stored = write_slide(tmp_path / "jpeg.dcm", tissue(80, 96), jpeg=True)
    archive.import_paths([tmp_path / "jpeg.dcm"])
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    for row in range(2):
        for column in range(3):
            tile = tiler.stored_tile(slide, (32 * column, 32 * row, 32, 32), (32, 32))
            assert tile is not None
            assert tile.rstrip(b"\0") == stored[3 * row + column].rstrip(b"\0")
    assert tiler.stored_tile(slide, (0, 64, 32, 16), (32, 16)) is None
    assert tiler.stored_tile(slide, (1, 0, 32, 32), (32, 32)) is None
    assert tiler.stored_tile(slide, (0, 0, 32, 32), (16, 16)) is None
    made = tiler.pixels(slide, (0, 0, 32, 32), (32, 32), PLAIN)
    assert np.abs(made.astype(int) - picture(stored[0])).max() <= 2


@pytest.mark.parametrize("memory", [0, 8 << 20])
def test_jpeg_tiles_are_put_together_as_pillow_decodes_them(
    archive: hilum.Archive, tmp_path: Path, memory: int
) -> None:
    """The same pixels whether tiles are kept or not, and whatever was asked for before."""
    noise = np.random.default_rng(2).integers(-20, 21, (96, 160, 3))
    stored = write_slide(tmp_path / "jpeg.dcm", np.clip(tissue(96, 160) + noise, 0, 255).astype(np.uint8), jpeg=True)
    archive.import_paths([tmp_path / "jpeg.dcm"])
    whole = np.vstack([np.hstack([picture(tile) for tile in stored[5 * row : 5 * row + 5]]) for row in range(3)])
    tiler = Tiler(archive.retrieve, archive.index, memory)
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    for x, y, wide, high in ((31, 31, 2, 2), (5, 9, 130, 77), (0, 0, 160, 96), (33, 1, 30, 90), (159, 95, 1, 1)):
        made = tiler.pixels(slide, (x, y, wide, high), (wide, high), PLAIN)
        assert np.abs(made.astype(int) - whole[y : y + high, x : x + wide]).max() <= 1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_small_picture_of_jpeg_tiles_is_their_lower_resolution(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path, factor: int
) -> None:
    stored = write_slide(tmp_path / "jpeg.dcm", tissue(96, 160), jpeg=True)
    archive.import_paths([tmp_path / "jpeg.dcm"])
    small = []
    for tile in stored:
        image = Image.open(io.BytesIO(tile))
        image.draft("RGB", (32 // factor, 32 // factor))
        small.append(np.asarray(image))
    whole = np.vstack([np.hstack(small[5 * row : 5 * row + 5]) for row in range(3)])
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    made = tiler.pixels(slide, (0, 0, 160, 96), (160 // factor, 96 // factor), PLAIN)
    assert np.abs(made.astype(int) - whole).max() <= 1
    mean = tissue(96, 160).reshape(96 // factor, factor, 160 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(made - mean).mean() < 3
    odd = tiler.pixels(slide, (1, 0, 144, 96), (144 // factor, 96 // factor), PLAIN)
    assert odd.shape == (96 // factor, 144 // factor, 3)


def test_missing_jpeg_tiles_are_the_background(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    stored = write_slide(tmp_path / "sparse.dcm", tissue(64, 64), jpeg=True, missing={(1, 0)})
    archive.import_paths([tmp_path / "sparse.dcm"])
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    for factor in (1, 2):
        made = tiler.pixels(slide, (0, 0, 64, 64), (64 // factor, 64 // factor), PLAIN)
        assert (made[: 32 // factor, 32 // factor :] == 255).all()
        assert not (made[: 32 // factor, : 32 // factor] == 255).all()
    assert np.abs(made[:16, :16].mean() - picture(stored[0]).mean()) < 2


def test_jpeg_whose_colours_need_dicom_to_be_understood_is_made_anew(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path
) -> None:
    path = tmp_path / "jpeg.dcm"
    write_slide(path, tissue(32, 32), jpeg=True)
    dataset = pydicom.dcmread(path)
    dataset.PhotometricInterpretation = "RGB"
    dataset.save_as(path)
    archive.import_paths([path])
    assert tiler.stored_tile(tiler.pyramids.find(f"{ROOT}.1.1"), (0, 0, 32, 32), (32, 32)) is None


def test_optical_paths_are_images_of_their_own(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    """Channels in instances of their own, with levels of their own; the first is shown unless another is named."""
    red, green = tissue(96, 96), 255 - tissue(96, 96)
    write_slide(tmp_path / "1.dcm", red, number=1, optical_path="RED")
    write_slide(tmp_path / "2.dcm", green, number=2, optical_path="GREEN 2")
    write_slide(tmp_path / "3.dcm", halved(green), number=3, optical_path="GREEN 2")
    archive.import_paths([tmp_path])
    for name, pixels, levels in (
        (f"{ROOT}.1", red, 1),
        (f"{ROOT}.1;opticalpath=RED;focalplane=1", red, 1),
        (f"{ROOT}.1;opticalpath=GREEN 2", green, 2),
        (f"{ROOT}.1.2;opticalpath=GREEN 2", green, 1),
    ):
        slide = tiler.pyramids.find(name)
        assert len(slide.levels) == levels
        assert np.array_equal(tiler.pixels(slide, (0, 0, 96, 96), (96, 96), PLAIN), pixels)
    tags = {tiler.pyramids.find(f"{ROOT}.1{path}").tag for path in ("", ";opticalpath=RED", ";opticalpath=GREEN 2")}
    assert len(tags) == 3
    for name, wrong in ((f"{ROOT}.1", "RED, GREEN 2"), (f"{ROOT}.1.2", "GREEN 2")):
        with pytest.raises(NotFound, match=f"no such optical path .*; there is {wrong}$"):
            tiler.pyramids.find(f"{name};opticalpath=BLUE")
    with pytest.raises(NotFound, match="focal planes"):
        tiler.pyramids.find(f"{ROOT}.1;focalplane=2")
    for malformed in (
        ";opticalpath=",
        ";focalplane=0",
        ";focalplane=²",
        ";focalplane=1234567",
        ";colour=1",
        ";;",
        ":1;opticalpath=RED",
    ):
        with pytest.raises(UsageError):
            tiler.pyramids.find(f"{ROOT}.1.1{malformed}")


def test_level_whose_optical_path_was_named_anew_is_a_level(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path
) -> None:
    pixels = tissue(128, 96)
    for number, name in enumerate(("0", "resampled", "0"), 1):
        write_slide(tmp_path / f"{number}.dcm", pixels, number=number, optical_path=name)
        pixels = halved(pixels)
    archive.import_paths([tmp_path])
    slide = tiler.pyramids.find(f"{ROOT}.1")
    assert [level.grid.columns for level in slide.levels] == [96, 48, 24]
    assert np.array_equal(tiler.pixels(slide, (0, 0, 96, 128), (48, 64), PLAIN), halved(tissue(128, 96)))
    with pytest.raises(NotFound, match=r"there is 0$"):
        tiler.pyramids.find(f"{ROOT}.1;opticalpath=resampled")


def test_level_of_other_light_is_another_image(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    write_slide(tmp_path / "1.dcm", tissue(128, 96), number=1, optical_path="0")
    write_slide(tmp_path / "2.dcm", halved(tissue(128, 96)), number=2, optical_path="1")
    dataset = pydicom.dcmread(tmp_path / "2.dcm")
    dataset.OpticalPathSequence[0].IlluminationWaveLength = 488.0
    dataset.save_as(tmp_path / "2.dcm")
    archive.import_paths([tmp_path])
    assert len(tiler.pyramids.find(f"{ROOT}.1").levels) == 1
    assert tiler.pyramids.find(f"{ROOT}.1;opticalpath=1").columns == 48


def test_sparse_optical_path_has_its_own_tiles(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    path = tmp_path / "sparse.dcm"
    pixels = tissue(32, 64)
    write_slide(path, pixels, missing=())
    dataset = pydicom.dcmread(path)
    for item, name in zip(dataset.PerFrameFunctionalGroupsSequence, ("A", "B"), strict=True):
        light = pydicom.Dataset()
        light.OpticalPathIdentifier = name
        item.OpticalPathIdentificationSequence = [light]
    paths = [pydicom.Dataset(), pydicom.Dataset()]
    paths[0].OpticalPathIdentifier, paths[1].OpticalPathIdentifier = "A", "B"
    dataset.OpticalPathSequence = paths
    dataset.save_as(path)
    archive.import_paths([path])
    for name, shown in (("A", slice(0, 32)), ("B", slice(32, 64))):
        wanted = np.full_like(pixels, 255)
        wanted[:, shown] = pixels[:, shown]
        slide = tiler.pyramids.find(f"{ROOT}.1.1;opticalpath={name}")
        assert np.array_equal(tiler.pixels(slide, (0, 0, 64, 32), (64, 32), PLAIN), wanted)


def test_found_pyramids_are_known_until_the_archive_changes(
    archive: hilum.Archive, tiler: Tiler, levels: list[npt.NDArray[np.uint8]]
) -> None:
    name = f"{ROOT}.1"
    assert tiler.pyramids.known(name) is None
    slide = tiler.pyramids.find(name)
    assert tiler.pyramids.known(name) is slide
    archive.import_paths([DEMO / "us-cine.dcm"])
    assert tiler.pyramids.known(name) is None
    assert tiler.pyramids.find(name) is slide
    archive.delete("series", name)
    assert tiler.pyramids.known(name) is None
    with pytest.raises(NotFound):
        tiler.pyramids.find(name)


def test_radiograph_is_tiled_too_and_decoded_once(archive: hilum.Archive, tiler: Tiler) -> None:
    archive.import_paths([DEMO / "cr-chest.dcm"])
    (instance,) = archive.instances()
    chest = tiler.pyramids.find(instance.sop_instance_uid)
    whole = picture(instance.render(format="png"))
    assert (chest.rows, chest.columns) == whole.shape
    rows = [
        np.hstack(
            [
                tiler.pixels(chest, *_tile(chest.columns, chest.rows, i, j), PLAIN)
                for i in range(-(-chest.columns // 512))
            ]
        )
        for j in range(-(-chest.rows // 512))
    ]
    assert np.array_equal(np.vstack(rows), whole)
    assert tiler.stored_tile(chest, (0, 0, 512, 512), (512, 512)) is None


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_small_picture_of_a_radiograph_is_its_lower_resolution(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path, factor: int
) -> None:
    """OpenJPEG decodes the same frame without its highest resolutions."""
    glymur = pytest.importorskip("glymur")
    archive.import_paths([DEMO / "cr-chest.dcm"])
    (instance,) = archive.instances()
    stored = archive.retrieve.stored_frame(archive.index.lookup([instance.sop_instance_uid])[0], 0)
    (tmp_path / "frame.j2k").write_bytes(stored)
    lower = glymur.Jp2k(tmp_path / "frame.j2k")[::factor, ::factor]
    chest = tiler.pyramids.find(instance.sop_instance_uid)
    size = lower.shape[1], lower.shape[0]
    centre, width = 15000.0, 30000.0
    ramp = np.clip((lower - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    expected = 255 - np.floor(ramp + 0.5)  # MONOCHROME1
    got = tiler.pixels(chest, (0, 0, chest.columns, chest.rows), size, PLAIN)
    assert np.abs(got - expected).max() <= 1
    part = 64 * factor, 128 * factor, 152 * factor, 64 * factor
    cut = tiler.pixels(chest, part, (part[2] // factor, part[3] // factor), PLAIN)
    assert np.array_equal(cut, got[128:192, 64:216])


def test_what_lies_on_the_whole_frame_keeps_it_whole(archive: hilum.Archive, tiler: Tiler) -> None:
    archive.import_paths([DEMO / "cr-chest.dcm"])
    (instance,) = archive.instances()
    chest = tiler.pyramids.find(instance.sop_instance_uid)
    size = -(-chest.columns // 4), -(-chest.rows // 4)
    whole = (0, 0, chest.columns, chest.rows)
    automatic = RenderSettings(auto_window=True, width=size[0], height=size[1], exact_size=True)
    shown = tiler.pixels(chest, whole, size, automatic)
    assert np.array_equal(shown, instance.render_array(settings=automatic))
    shutter = Shutter(rectangle=(501, 1000, 301, 900))
    hidden = tiler.pixels(chest, whole, size, RenderSettings(shutter=shutter))
    assert not hidden[:70].any() and hidden[80:220, 130:245].any()


def _tile(columns: int, rows: int, i: int, j: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    wide, high = min(512, columns - 512 * i), min(512, rows - 512 * j)
    return (512 * i, 512 * j, wide, high), (wide, high)


def test_frames_are_named_from_one(archive: hilum.Archive, tiler: Tiler) -> None:
    archive.import_paths([DEMO / "us-cine.dcm"])
    (instance,) = archive.instances()
    uid, count = instance.sop_instance_uid, instance.number_of_frames
    size = instance.pixels.columns, instance.pixels.rows
    last = tiler.pyramids.find(f"{uid}:{count}")
    assert np.array_equal(tiler.pixels(last, (0, 0, *size), size, PLAIN), instance.frame(count - 1, rgb=True))
    for name in (f"{uid}:{count + 1}", "1.2.3", f"{instance.series_instance_uid}:1"):
        with pytest.raises(NotFound):
            tiler.pyramids.find(name)
    for number in ("zero", "0", "²", "1" * 5000):
        with pytest.raises(UsageError, match="named by its number"):
            tiler.pyramids.find(f"{uid}:{number}")
    with pytest.raises(NotFound, match="not a slide"):
        tiler.pyramids.find(instance.series_instance_uid)


def test_what_cannot_be(tiler: Tiler, levels: list[npt.NDArray[np.uint8]]) -> None:
    slide = tiler.pyramids.find(f"{ROOT}.1")
    for region, size in (
        ((0, 0, 211, 1), (1, 1)),
        ((-1, 0, 1, 1), (1, 1)),
        ((0, 0, 0, 1), (1, 1)),
        ((0, 0, 1, 1), (0, 1)),
    ):
        with pytest.raises(UsageError):
            tiler.pixels(slide, region, size, PLAIN)


def test_level_that_is_too_large_for_so_small_a_picture_is_refused(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path
) -> None:
    path = tmp_path / "huge.dcm"
    write_slide(path, tissue(32, 32))
    dataset = pydicom.dcmread(path)
    dataset.TotalPixelMatrixColumns = dataset.TotalPixelMatrixRows = 32 * 100
    dataset.DimensionOrganizationType = "TILED_SPARSE"
    position = pydicom.Dataset()
    position.ColumnPositionInTotalImagePixelMatrix = position.RowPositionInTotalImagePixelMatrix = 1
    groups = pydicom.Dataset()
    groups.PlanePositionSlideSequence = [position]
    dataset.PerFrameFunctionalGroupsSequence = [groups]
    dataset.save_as(path)
    archive.import_paths([path])
    slide = tiler.pyramids.find(f"{ROOT}.1.1")
    with pytest.raises(LimitExceeded):
        tiler.pixels(slide, (0, 0, 3200, 3200), (10, 10), PLAIN)
    assert (tiler.pixels(slide, (64, 64, 1600, 1600), (800, 800), PLAIN) == 255).all()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"00480006": 4_000_000_000, "00480007": 4_000_000_000}, DataError),
        ({"00480006": 96}, DataError),
        ({"00209311": "TILED_SPARSE", "52009230": [{}]}, DataError),
        (
            {
                "00209311": "TILED_SPARSE",
                "52009230": [{"0048021A": {"Value": [{"0048021E": {"Value": [2]}, "0048021F": {"Value": [1]}}]}}],
            },
            DataError,
        ),
    ],
)
def test_contradictions_are_named(changes: dict[str, object], error: type[Exception]) -> None:
    document: dict[str, object] = {"00280010": 32, "00280011": 32, "00480006": 32, "00480007": 32, "00280008": 1}
    document |= changes
    as_json = {tag: {"Value": value if isinstance(value, list) else [value]} for tag, value in document.items()}
    with pytest.raises(error):
        grid_of(as_json)


def test_optical_paths_and_focal_planes_follow_one_another() -> None:
    document = {
        "00280010": {"Value": [10]},
        "00280011": {"Value": [10]},
        "00480006": {"Value": [20]},
        "00480007": {"Value": [20]},
        "00280008": {"Value": [24]},
        "00209311": {"Value": ["TILED_FULL"]},
        "00480303": {"Value": [3]},
        "00480105": {"Value": [{"00480106": {"Value": ["DAPI"]}}, {"00480106": {"Value": ["FITC"]}}]},
    }
    grid = grid_of(document, optical_path="FITC", focal_plane=2)
    assert grid is not None
    assert [grid.frame_at(i, j) for j in range(2) for i in range(2)] == [20, 21, 22, 23]
    assert grid.frame_at(2, 0) is None
    for path, plane in (("", 0), ("dapi", 0), ("DAPI", 3), ("FITC", -1)):
        with pytest.raises(NotFound):
            grid_of(document, optical_path=path, focal_plane=plane)


def test_background_is_the_recommended_absent_pixel() -> None:
    document = {tag: {"Value": [8]} for tag in ("00280010", "00280011", "00480006", "00480007")}
    document |= {"00480015": {"Value": [65535, 0x8080, 0x8080]}}
    grid = grid_of(document)
    assert grid is not None
    assert min(grid.absent) >= 254
    grid = grid_of(document | {"00480015": {"Value": [0, 0x8080, 0x8080]}})
    assert grid is not None
    assert grid.absent == (0, 0, 0)


def test_pictures_of_slides_have_the_sampling_of_what_is_stored(
    archive: hilum.Archive, tiler: Tiler, tmp_path: Path
) -> None:
    pixels = tissue(64, 64)
    write_slide(tmp_path / "1.dcm", pixels, jpeg=True)
    write_slide(tmp_path / "2.dcm", pixels, series=2)
    archive.import_paths([tmp_path])
    for name, sampling in ((f"{ROOT}.1", 1), (f"{ROOT}.2", 0)):
        slide = tiler.pyramids.find(name)
        made = tiler.pixels(slide, (3, 5, 50, 40), (50, 40), PLAIN)
        image = Image.open(io.BytesIO(tiler.encoded(slide, made, 95)))
        assert JpegImagePlugin.get_sampling(image) == sampling
        assert np.abs(np.asarray(image).astype(int) - made).mean() < 2


def test_parts_are_quick_when_all_of_their_tiles_are_kept(archive: hilum.Archive, tiler: Tiler, tmp_path: Path) -> None:
    write_slide(tmp_path / "1.dcm", tissue(128, 128), jpeg=True, missing={(3, 3)})
    archive.import_paths([tmp_path])
    slide = tiler.pyramids.find(f"{ROOT}.1")
    part = (40, 40, 40, 40)
    assert not tiler.is_quick(slide, part, (40, 40))
    tiler.pixels(slide, part, (40, 40), PLAIN)
    assert tiler.is_quick(slide, part, (40, 40))
    assert tiler.is_quick(slide, (33, 33, 60, 60), (60, 60))
    assert tiler.is_quick(slide, (97, 97, 20, 20), (20, 20))
    assert not tiler.is_quick(slide, (40, 40, 60, 40), (60, 40))
    assert not tiler.is_quick(slide, (32, 32, 32, 32), (16, 16))
    assert not tiler.is_quick(slide, part, (512, 512))
