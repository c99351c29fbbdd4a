"""Supplement 228: rendered MPR and 3D volumes over HTTP, the examples of PS3.18 B.32 to B.35."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.interop.services.conftest import LiveServer

    import hilum


@pytest.fixture(scope="module")
def url(live_server: LiveServer, largest_ct: hilum.Series) -> str:
    return f"{live_server.dicomweb}/studies/{largest_ct.study_instance_uid}/series/{largest_ct.series_instance_uid}"


def get(address: str, accept: str = "image/png", **params: Any) -> httpx.Response:
    return httpx.get(address, params=params, headers={"Accept": accept}, timeout=60)


def pixels(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_an_axial_plane_through_a_slice_is_that_slice(url: str, largest_ct: hilum.Series) -> None:
    volume = largest_ct.volume()
    k = volume.shape[0] // 2
    affine = volume.affine
    rows, columns = volume.shape[1:]
    centre = (affine @ [(columns - 1) / 2, (rows - 1) / 2, k, 1])[:3]
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    down = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
    answer = get(
        f"{url}/renderedmpr",
        viewpointposition=",".join(f"{v:.9f}" for v in centre - normal),
        viewpointlookat=",".join(f"{v:.9f}" for v in centre),
        viewpointup=",".join(f"{v:.9f}" for v in -down),
        viewport=f"{columns},{rows}",
        window="40,400,linear-exact",
    )
    got = pixels(answer).astype(int)
    values = volume.read((k, 0, 0), (1, rows, columns))[0] * volume.slope + volume.intercept
    wanted = np.clip((values - 40) / 400 * 255 + 127.5, 0, 255)
    assert got.shape == (rows, columns)
    assert np.abs(got - wanted).max() <= 1.5


@pytest.mark.parametrize("orientation", "aprlhf")
def test_orientations_are_told_as_viewpoints_that_give_the_same_image(url: str, orientation: str) -> None:
    plain = get(f"{url}/renderedmpr", orientation=orientation, viewport="64,64")
    told = get(
        f"{url}/renderedmpr",
        "application/dicom+json",
        orientation=orientation,
        viewport="64,64",
        renderedvolumetricmetadata="yes",
    ).json()
    assert told["00720510"] == {"vr": "CS", "Value": ["MPR"]}
    assert told["0070120D"]["Value"] == ["AVERAGE_IP"]
    vectors = {
        name: ",".join(map(repr, told[tag]["Value"]))
        for name, tag in (
            ("viewpointposition", "00701603"),
            ("viewpointlookat", "00701604"),
            ("viewpointup", "00701605"),
        )
    }
    look = np.subtract(told["00701604"]["Value"], told["00701603"]["Value"])
    axis = {"a": (0, 1, 0), "p": (0, -1, 0), "r": (1, 0, 0), "l": (-1, 0, 0), "h": (0, 0, -1), "f": (0, 0, 1)}
    np.testing.assert_allclose(look, axis[orientation], atol=1e-9)
    window = f"{told['00281050']['Value'][0]},{told['00281051']['Value'][0]},{told['00281056']['Value'][0]}"
    again = get(f"{url}/renderedmpr", viewport="64,64", window=window, **vectors)
    assert np.abs(pixels(plain).astype(int) - pixels(again)).max() <= 1


def test_b32_metadata_of_an_animated_volume(url: str) -> None:
    """PS3.18 B.32; its answer has the step that the server chose."""
    answer = get(
        f"{url}/rendered3D",
        "application/dicom+json",
        renderingmethod="volume_rendered",
        orientation="a",
        swivelrange="180",
        animationrate="20",
        renderedvolumetricmetadata="yes",
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    told = answer.json()
    assert told["00720510"] == {"vr": "CS", "Value": ["3D_RENDERING"]}
    assert told["0070120D"] == {"vr": "CS", "Value": ["VOLUME_RENDERED"]}
    assert told["00701605"] == {"vr": "FD", "Value": [0.0, 0.0, 1.0]}
    assert told["00701A06"] == {"vr": "FD", "Value": [180.0]}
    assert told["00701A05"]["Value"][0] > 0
    assert told["00701A03"] == {"vr": "FD", "Value": [20.0]}
    assert "00281051" not in told
    look = np.subtract(told["00701604"]["Value"], told["00701603"]["Value"])
    np.testing.assert_allclose(look, (0, 1, 0), atol=1e-9)


B33 = {
    "renderingmethod": "average_ip",
    "viewpointposition": "532,38,126",
    "viewpointlookat": "-532,-76,-154",
    "viewpointup": "0,0,0",
    "animationrate": "30",
    "window": "400,40,linear",
}


def pictures(video: bytes) -> list[np.ndarray]:
    """Decode an MP4 file by FFmpeg."""
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_b33_study_as_an_mpr(live_server: LiveServer, largest_ct: hilum.Series) -> None:
    """PS3.18 B.33: a video, or a still image."""
    study = f"{live_server.dicomweb}/studies/{largest_ct.study_instance_uid}/renderedmpr"
    matched = {"CardiacRRIntervalSpecified": "140-260", **B33}
    video = get(study, "video/mp4", **B33)
    assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4")
    assert pictures(video.content)
    assert get(study, "image/jpeg", **matched).status_code == 404  # no cardiac images in this study
    answer = get(study, "image/jpeg", **B33)
    assert answer.status_code == 200
    assert "viewpointup" in answer.headers["warning"]


def test_b34_one_phase_as_a_slab(url: str, largest_ct: hilum.Series) -> None:
    """PS3.18 B.34, with an instance of this series as its volume input."""
    answer = get(
        f"{url}/renderedmpr",
        "image/jpeg",
        volumeinputreference=largest_ct.instances[0].sop_instance_uid,
        renderingmethod="maximum_ip",
        mprslab="20",
        viewpointposition="100,101,200",
        viewpointlookat="100,100,200",
        viewpointup="0,0,1",
        viewport="256,256",
        window="700,100,linear",
    )
    assert answer.headers["content-type"] == "image/jpeg"
    assert pixels(answer).shape == (256, 256)
    other = get(f"{url}/renderedmpr", volumeinputreference="1.2.3")
    assert other.status_code == 404


def test_b35_what_is_no_presentation_state_and_no_volume(live_server: LiveServer, largest_ct: hilum.Series) -> None:
    """PS3.18 B.35 spells the resource with a capital D; a single image makes no volume."""
    instance = largest_ct.instances[0]
    address = (
        f"{live_server.dicomweb}/studies/{largest_ct.study_instance_uid}/series/{largest_ct.series_instance_uid}"
        f"/instances/{instance.sop_instance_uid}/rendered3D"
    )
    assert get(address, "image/jpeg").status_code == 409
    assert get(address.replace(instance.sop_instance_uid, "1.2.3"), "image/jpeg").status_code == 404


@pytest.mark.parametrize("preset", ["ct-bone", "ct-soft-tissue", "ct-lung", "ct-angio", "mr", "pet-hot"])
def test_presets_show_something(url: str, preset: str) -> None:
    image = pixels(get(f"{url}/rendered3d", preset=preset, viewport="96,80"))
    assert image.shape == (80, 96, 3)
    assert image.max() > 60


def test_an_interactive_image_is_as_large_and_alike(url: str) -> None:
    final, quick = (pixels(get(f"{url}/rendered3d", viewport="90,70", interactive=how)) for how in ("no", "yes"))
    assert final.shape == quick.shape
    assert 0 < np.abs(final.astype(int) - quick).mean() < 40


@pytest.mark.parametrize("method", ["maximum_ip", "minimum_ip", "average_ip"])
def test_projections_are_grey(url: str, method: str) -> None:
    image = pixels(get(f"{url}/rendered3d", renderingmethod=method, viewport="64,0", window="40,2000"))
    assert image.ndim == 2 and image.shape[1] == 64


@pytest.mark.parametrize(
    ("resource", "params", "frames"),
    [
        # there and back again: the first and the last view are shown once
        ("rendered3d", {"swivelrange": "60", "animationstepsize": "20", "animationrate": "10"}, 4),
        ("rendered3d", {"swivelrange": "360", "animationstepsize": "90"}, 4),
        ("renderedmpr", {"volumetriccurvepoint": "0,0,0,0,0,30", "animationstepsize": "10"}, 4),
    ],
)
@pytest.mark.parametrize("media_type", ["image/gif", "image/webp", "image/apng"])
def test_animations(url: str, resource: str, params: dict[str, str], frames: int, media_type: str) -> None:
    answer = get(f"{url}/{resource}", media_type, viewport="48,40", preset="ct-soft-tissue", **params)
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.size, image.n_frames) == ((48, 40), frames) or image.n_frames < frames  # equal frames are merged
    assert get(f"{url}/{resource}", "image/jpeg", **params).status_code == 406


def test_a_swivel_as_a_video(url: str) -> None:
    """As many pictures as views, in their order, alike to what a lossless animation has; an odd width is filled up."""
    params = {"swivelrange": "360", "animationstepsize": "90", "animationrate": "5", "viewport": "63,48"}
    video = get(f"{url}/rendered3d", "video/mp4", **params)
    assert (video.status_code, video.headers["content-type"]) == (200, "video/mp4"), video.text
    found = pictures(video.content)
    assert [picture.shape for picture in found] == [(48, 64, 3)] * 4
    with Image.open(io.BytesIO(get(f"{url}/rendered3d", "image/apng", **params).content)) as still:
        for number, picture in enumerate(found):
            still.seek(number)
            exact = np.asarray(still.convert("RGB")).astype(int)
            assert np.abs(picture[:, :63].mean(axis=-1) - exact.mean(axis=-1)).mean() < 6
    with av.open(io.BytesIO(video.content)) as container:
        assert container.streams.video[0].average_rate == 5
    assert get(f"{url}/rendered3d", "*/*", **params).headers["content-type"] == "image/webp"


@pytest.mark.parametrize(
    ("resource", "params", "status"),
    [
        ("renderedmpr", {"orientation": "x"}, 400),
        ("renderedmpr", {"orientation": "a", "viewpointup": "0,0,1"}, 400),
        ("renderedmpr", {"viewpointposition": "1,2,3"}, 400),
        ("renderedmpr", {"viewpointposition": "1,2,3", "viewpointlookat": "1,2,3"}, 400),
        ("renderedmpr", {"viewpointposition": "nan,2,3", "viewpointlookat": "1,2,3"}, 400),
        ("renderedmpr", {"viewpointposition": "1,2", "viewpointlookat": "1,2,3"}, 400),
        ("renderedmpr", {"viewpointposition": "1e300,2,3", "viewpointlookat": "1,2,3"}, 400),
        ("renderedmpr", {"mprslab": "0"}, 400),
        ("renderedmpr", {"mprslab": "-5"}, 400),
        ("renderedmpr", {"mprslab": "1e6"}, 400),
        ("renderedmpr", {"renderingmethod": "volume_rendered"}, 400),
        ("renderedmpr", {"renderingmethod": "MAXIMUM_IP"}, 400),
        ("renderedmpr", {"volumetriccurvepoint": "1,2,3"}, 400),
        ("renderedmpr", {"volumetriccurvepoint": "1,2,3,1,2,3"}, 400),
        ("renderedmpr", {"match": "NoSuchAttribute=1"}, 400),
        ("renderedmpr", {"match": "Modality=MR"}, 404),
        ("renderedmpr", {"volumeinputreference": "abc"}, 400),
        ("renderedmpr", {"renderedvolumetricmetadata": "no"}, 400),
        ("renderedmpr", {"window": "1,0"}, 400),
        ("rendered3d", {"mprslab": "5"}, 400),
        ("rendered3d", {"preset": "no such"}, 400),
        ("rendered3d", {"viewport": "31623,31623"}, 400),
        ("rendered3d", {"viewport": "16000,16000"}, 413),
        ("rendered3d", {"viewport": "100,100,5,5,20,20"}, 400),
        ("rendered3d", {"swivelrange": "360", "animationstepsize": "0.01", "viewport": "8,8"}, 413),
    ],
)
def test_bad_requests(url: str, resource: str, params: dict[str, str], status: int) -> None:
    answer = get(f"{url}/{resource}", "image/gif", **params)
    assert answer.status_code == status, answer.text
    assert answer.text


def test_media_types(url: str) -> None:
    assert get(f"{url}/rendered3d", "image/svg+xml").status_code == 406
    assert get(f"{url}/rendered3d", "image/png", renderedvolumetricmetadata="yes").status_code == 406
    for accept, found in (("*/*", "image/jpeg"), ("image/*", "image/jpeg"), ("image/webp", "image/webp")):
        assert get(f"{url}/renderedmpr", accept, viewport="32,32").headers["content-type"] == found


def test_an_etag_saves_the_second_answer(url: str) -> None:
    first = get(f"{url}/rendered3d", viewport="64,64")
    again = httpx.get(
        f"{url}/rendered3d",
        params={"viewport": "64,64"},
        headers={"Accept": "image/png", "If-None-Match": first.headers["etag"]},
    )
    assert again.status_code == 304
    assert get(f"{url}/rendered3d", viewport="64,65").headers["etag"] != first.headers["etag"]


def test_what_is_no_volume_is_a_conflict(live_server: LiveServer, archive: hilum.Archive) -> None:
    plain = [s for study in archive.studies() for s in study.series if s.modality in ("CR", "DX", "US", "SC", "XA")]
    if not plain:
        pytest.skip("the sample studies have no radiographs")
    one = plain[0]
    address = f"{live_server.dicomweb}/studies/{one.study_instance_uid}/series/{one.series_instance_uid}/renderedmpr"
    assert get(address).status_code in (404, 409)
