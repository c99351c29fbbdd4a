"""Pictures of stored objects: burned-in texts, colour profiles, animations, arrays, what was deleted."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from presentation_states import SRGB, encoded, image_dataset
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

import hilum
from hilum.dicom.dataset import to_dataset
from hilum.errors import DataError, UsageError
from hilum.pixels import icc
from hilum.pixels.legends import KEYWORDS, patient_lines, technique_lines
from hilum.pixels.settings import RenderSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hilum.archive.archive import Archive
    from hilum.archive.objects import Instance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RNG = np.random.default_rng(11)
COLOUR = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 4096, (40, 50)).astype(np.uint16)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with hilum.open(tmp_path / "archive") as opened:
        yield opened


def stored(archive: Archive, ds: Dataset) -> Instance:
    uid = archive.store(encoded(ds)).sop_instance_uid
    return next(i for study in archive.studies() for i in study.instances if i.sop_instance_uid == uid)


def profile_of(data: bytes) -> bytes | None:
    profile: bytes | None = Image.open(io.BytesIO(data)).info.get("icc_profile")
    return profile


def test_profile_of_an_optical_path(archive: Archive) -> None:
    """Slide images keep theirs in the Optical Path Module (PS3.3 C.8.12.5)."""
    path = Dataset()
    path.OpticalPathIdentifier, path.ICCProfile = "1", SRGB
    image = stored(archive, image_dataset(COLOUR, OpticalPathSequence=[path]))
    assert profile_of(image.render(icc_profile="yes")) == SRGB
    assert profile_of(image.render()) is None
    assert np.abs(image.render_array(icc_profile="srgb").astype(int) - COLOUR).max() <= 1


def test_frames_of_several_optical_paths_have_their_own(archive: Archive) -> None:
    other = icc.profile_of("displayp3")
    paths, frames = [], []
    for name, profile in (("A", SRGB), ("B", other)):
        path, frame, item = Dataset(), Dataset(), Dataset()
        path.OpticalPathIdentifier, path.ICCProfile = name, profile
        item.OpticalPathIdentifier = name
        frame.OpticalPathIdentificationSequence = [item]
        paths.append(path)
        frames.append(frame)
    ds = image_dataset(COLOUR, NumberOfFrames=2, OpticalPathSequence=paths, PerFrameFunctionalGroupsSequence=frames)
    ds.PixelData = COLOUR.tobytes() * 2
    image = stored(archive, ds)
    assert [profile_of(image.render(frame, icc_profile="yes")) for frame in (0, 1)] == [SRGB, other]


def test_profile_of_a_real_slide(archive: Archive, shared_data: Path) -> None:
    raw = (shared_data / "sm" / "sm_image.dcm").read_bytes()
    own = pydicom.dcmread(io.BytesIO(raw)).OpticalPathSequence[0].ICCProfile
    archive.store(raw)
    (image,) = (i for study in archive.studies() for i in study.instances)
    for format in ("png", "jpeg", "webp"):
        found = profile_of(image.render(format=format, icc_profile="yes"))  # type: ignore[arg-type]
        assert found is not None and own.startswith(found) and len(own) - len(found) <= 1
    plain, converted = (image.render_array(icc_profile=name) for name in ("yes", "srgb"))  # type: ignore[arg-type]
    twin = ImageCms.profileToProfile(
        Image.fromarray(plain),
        ImageCms.ImageCmsProfile(io.BytesIO(own)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.PERCEPTUAL,
    )
    assert np.abs(converted.astype(int) - np.asarray(twin)).max() <= 1


def test_an_unusable_profile(archive: Archive) -> None:
    image = stored(archive, image_dataset(COLOUR, ICCProfile=bytes(300)))
    assert image.render()
    with pytest.raises(DataError, match="ICCProfile"):
        image.render(icc_profile="yes")


def test_legends_hold_what_the_object_says() -> None:
    ds = image_dataset(DEEP, KVP="120", SliceThickness="1.25", EchoTime="", ConvolutionKernel=["B30f", "X"])
    ds.PatientName = "Müller^Ana^von=山田^太郎"
    assert patient_lines(ds) == ["Müller, Ana", "P1", "*1970-01-02  O", "2024-01-31"]
    assert technique_lines(ds) == ["CT", "120 kV", "1.25 mm", "B30f"]
    assert patient_lines(Dataset()) == technique_lines(Dataset()) == []


def test_legends_leave_out_what_cannot_be_read() -> None:
    ds = image_dataset(DEEP, KVP="120", FlipAngle="30")
    raw = encoded(ds).replace(b"Family^Given", b"Fam\x01ly^\n\x7fven").replace(b"19700102", b"1970\xff\0zz")
    read = to_dataset(raw, stop_before_pixels=True)
    assert patient_lines(read)[0] == "Famly, ven" and len(patient_lines(read)) == 4
    for place in range(300, len(raw) - 5000, 7):
        damaged = bytearray(raw)
        damaged[place] ^= 0x55
        with suppress(hilum.HilumError):
            read = to_dataset(bytes(damaged), stop_before_pixels=True, keywords=KEYWORDS)
            assert all(line.isprintable() for line in (*patient_lines(read), *technique_lines(read)))


def test_technique_of_enhanced_images() -> None:
    measures, groups = Dataset(), Dataset()
    measures.SliceThickness, measures.PixelSpacing = "3.5", [1, 1]
    groups.PixelMeasuresSequence = [measures]
    assert technique_lines(image_dataset(DEEP, SharedFunctionalGroupsSequence=[groups])) == ["CT", "3.5 mm"]


@pytest.mark.parametrize("size", [4, 24, 300])
def test_legends_of_any_size(archive: Archive, size: int) -> None:
    image = stored(archive, image_dataset(DEEP))
    options: Any = {"width": size, "height": size, "annotation": ["patient", "technique"]}
    with_text, plain = image.render_array(**options), image.render_array(width=size, height=size)
    assert with_text.shape == plain.shape and (size == 4 or (with_text != plain).any())
    deep = image.render_array(settings=RenderSettings(bits=16), annotation=["patient"])
    assert deep.dtype == np.uint16


@pytest.mark.parametrize(
    ("attributes", "delay"),
    [
        ({"FrameTime": "50"}, 50),
        ({"RecommendedDisplayFrameRate": 4}, 250),
        ({"CineRate": 5}, 200),
        ({"FrameTime": "0", "CineRate": 20}, 50),
        ({}, 100),
    ],
)
def test_animations_run_as_the_object_says(archive: Archive, attributes: dict[str, Any], delay: int) -> None:
    frames = np.stack([DEEP, DEEP[::-1], DEEP])
    cine = stored(archive, image_dataset(frames, **attributes))
    image = Image.open(io.BytesIO(cine.render_animation()))
    assert image.n_frames == 3 and image.info["duration"] == delay
    webp = Image.open(io.BytesIO(cine.render_animation(format="webp", frames=[0, 1], quality=100)))
    assert webp.n_frames == 2
    webp.seek(1)
    assert (np.asarray(webp.convert("L")) == cine.render_array(1)).all()


def test_out_is_filled(archive: Archive) -> None:
    image = stored(archive, image_dataset(DEEP))
    for options in ({}, {"annotation": ["patient"]}):
        out = np.zeros((40, 50), np.uint8)
        assert image.render_array(out=out, **options) is out  # type: ignore[arg-type]
        assert (out == image.render_array(**options)).all()  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="out"):
            image.render_array(out=np.zeros((40, 51), np.uint8), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"format": "bmp"}, {"quality": 0, "format": "webp"}, {"icc_profile": "cmyk"}, {"annotation": ["mood"]},
        {"width": 5, "settings": RenderSettings()}, {"frame": 1},
        {"format": "webp", "settings": RenderSettings(bits=16)},
    ],
)  # fmt: skip
def test_what_cannot_be(archive: Archive, options: dict[str, Any]) -> None:
    image = stored(archive, image_dataset(DEEP))
    with pytest.raises(UsageError):
        image.render(**options)
    with pytest.raises(UsageError):
        image.render_animation(format="png")  # type: ignore[arg-type]


def test_a_video_without_pyav_says_what_to_install(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = image_dataset(COLOUR, NumberOfFrames=5)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    ds.PixelData = encapsulate([b"no video"])
    video = stored(archive, ds)
    pytest.importorskip("av")
    with pytest.raises(DataError, match="cannot be decoded"):
        video.render()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(hilum.Unavailable, match=r"hilum\[video\]"):
        video.render()


def test_what_was_deleted_is_gone(archive: Archive) -> None:
    image = stored(archive, image_dataset(DEEP))
    image.delete()
    with pytest.raises(hilum.Gone):
        archive.retrieve.records(image.study_instance_uid, image.series_instance_uid, image.sop_instance_uid)
    with pytest.raises(hilum.NotFound) as found:
        archive.retrieve.records(image.study_instance_uid, image.series_instance_uid, "1.2.3")
    assert not isinstance(found.value, hilum.Gone)
