"""The parameter ``overlay`` over HTTP: a real tumour segmentation and its PET."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import generate_uid
from segmentations import SHAPE, images, stream, varying

from hilum.render import Renderer, camera
from hilum.render.fused import FusedVolume, palette_transfer, render_fused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.services.conftest import LiveServer

    import hilum


@pytest.fixture(scope="module")
def tumour(archive: hilum.Archive) -> hilum.Instance:
    (found,) = [
        one
        for series in archive.series(modality="SEG")
        for one in series.instances
        if "PT" in archive.study(one.study_instance_uid).modalities_in_study
    ]
    return found


@pytest.fixture(scope="module")
def series(archive: hilum.Archive, tumour: hilum.Instance) -> hilum.Series:
    (found,) = archive.series(study_instance_uid=tumour.study_instance_uid, modality="PT")
    return found


@pytest.fixture(scope="module")
def url(live_server: LiveServer, series: hilum.Series) -> str:
    return f"{live_server.dicomweb}/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"


def get(address: str, accept: str = "image/png", **params: Any) -> httpx.Response:
    return httpx.get(address, params=params, headers={"Accept": accept}, timeout=60)


def pixels(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def test_a_segment_over_a_frame_is_where_its_voxels_are(
    url: str, archive: hilum.Archive, series: hilum.Series, tumour: hilum.Instance
) -> None:
    segmentation = tumour.segmentation()
    mask = segmentation.mask(2)
    k = int(np.argmax(mask.inside.sum(axis=(1, 2))))
    height = mask.affine[2, 3] + k * mask.affine[2, 2]
    image = min(series.instances, key=lambda one: abs(float(one.dataset().ImagePositionPatient[2]) - height))
    address = f"{url}/instances/{image.sop_instance_uid}"
    overlay = f"{tumour.sop_instance_uid},segments:2,opacity:1,outline:0"
    answer = get(f"{address}/rendered", overlay=overlay)
    painted = (pixels(answer) == mask.colour).all(axis=2)
    np.testing.assert_array_equal(painted, mask.inside[k])
    frame = get(f"{address}/frames/1/rendered", overlay=overlay)
    np.testing.assert_array_equal(pixels(frame), pixels(answer))
    plain = get(f"{address}/rendered")
    assert plain.headers["etag"] != answer.headers["etag"]
    again = httpx.get(
        f"{address}/rendered",
        params={"overlay": overlay},
        headers={"Accept": "image/png", "If-None-Match": answer.headers["etag"]},
    )
    assert again.status_code == 304


def test_pet_and_segments_over_a_plane(url: str, series: hilum.Series, tumour: hilum.Instance) -> None:
    mask = tumour.segmentation().mask(2)
    centre = (mask.affine @ [*np.argwhere(mask.inside).mean(axis=0)[::-1], 1])[:3]
    view = {
        "viewpointposition": ",".join(f"{v:.3f}" for v in centre - (0, 500, 0)),
        "viewpointlookat": ",".join(f"{v:.3f}" for v in centre),
        "viewpointup": "0,0,1",
        "viewport": "200,160",
    }
    plain = pixels(get(f"{url}/renderedmpr", **view))
    lone = f"{tumour.series_instance_uid},segments:2,opacity:1"
    segment = pixels(get(f"{url}/renderedmpr", **view, overlay=lone))
    painted = (segment == mask.colour).all(axis=2)
    assert painted[80, 100] and painted.sum() > 20
    np.testing.assert_array_equal(segment[~painted], plain[~painted])
    both = pixels(
        get(f"{url}/renderedmpr", **view, overlay=[f"{series.series_instance_uid},opacity:0.7,range:0/8", lone])
    )
    assert (both[painted] == mask.colour).all()
    assert (both[..., 0] > both[..., 2] + 40).sum() > 100  # hot: red before blue
    other = get(f"{url}/renderedmpr", **view, overlay=f"{series.series_instance_uid},palette:rainbow")
    assert (pixels(other) != both).any()


def test_pet_over_its_own_rendering(url: str, series: hilum.Series) -> None:
    plain = pixels(get(f"{url}/rendered3d", viewport="96,96", renderingmethod="minimum_ip"))
    fused = pixels(
        get(
            f"{url}/rendered3d", viewport="96,96", renderingmethod="minimum_ip", overlay=f"{series.series_instance_uid}"
        )
    )
    assert (plain[..., 0] == plain[..., 2]).all() and (fused[..., 0] > fused[..., 2]).sum() > 200


def test_overlays_that_cannot_be_are_refused(
    url: str, archive: hilum.Archive, live_server: LiveServer, tumour: hilum.Instance
) -> None:
    uid = tumour.sop_instance_uid
    image = f"{url}/rendered"
    bad = [
        "nonsense",
        f"{uid},opacity:2",
        f"{uid},opacity",
        f"{uid},opacity:0.5,opacity:0.5",
        f"{uid},range:3/1",
        f"{uid},segments:one",
        f"{uid},outline:99",
        f"{uid},palette:hot",
        f"{uid},show:never",
        f"{uid},colour:red",
    ]
    for value in bad:
        assert get(image, overlay=value).status_code == 400, value
    assert get(image, overlay=[uid] * 17).status_code == 400
    assert get(image, overlay="1.2.3.4").status_code == 404
    assert get(image, overlay=f"{uid},segments:77").status_code == 404
    assert get(image, overlay=uid, bits="16").status_code == 400
    other = max(archive.series(modality="CT"), key=lambda series: series.number_of_instances)
    address = f"{live_server.dicomweb}/studies/{other.study_instance_uid}/series/{other.series_instance_uid}"
    for answer in (get(f"{address}/rendered", overlay=uid), get(f"{address}/renderedmpr", overlay=uid)):
        assert answer.status_code == 409 and "frame of reference" in answer.text
    (flat,) = archive.series(modality="CR", limit=1)
    address = f"{live_server.dicomweb}/studies/{flat.study_instance_uid}/series/{flat.series_instance_uid}"
    assert get(f"{address}/rendered", overlay=uid).status_code == 409


def test_segments_in_volume_rendering(url: str, tumour: hilum.Instance) -> None:
    uid = tumour.sop_instance_uid
    view = {"viewport": "120,120", "preset": "pet-hot"}
    plain = pixels(get(f"{url}/rendered3d", **view))
    shown = pixels(get(f"{url}/rendered3d", **view, overlay=f"{uid},opacity:1"))
    alone = pixels(get(f"{url}/rendered3d", **view, overlay=f"{uid},show:only"))
    hidden = pixels(get(f"{url}/rendered3d", **view, overlay=f"{uid},show:hide"))
    assert (shown != plain).any(axis=2).sum() > 10
    assert alone.sum() < plain.sum() / 10
    assert (hidden <= plain + 1).all() and (hidden < plain).any()
    assert get(f"{url}/rendered3d", **view, overlay=uid, renderingmethod="maximum_ip").status_code == 400
    assert get(f"{url}/renderedmpr", viewport="64,64", overlay=f"{uid},show:only").status_code == 400


def test_pet_in_a_volume_rendering(url: str, series: hilum.Series, tumour: hilum.Instance) -> None:
    """`show:volume`: composited sample by sample, as the renderer of several volumes does, of SUV 0 to 10."""
    uid, volume = series.series_instance_uid, series.volume()
    view = {"viewport": "96,96", "preset": "mr"}
    shown = pixels(get(f"{url}/rendered3d", **view, overlay=f"{uid},show:volume,opacity:0.8"))
    renderer = Renderer(volume.view())
    seen = camera(renderer.view, "a", shape=(96, 96))
    factor = float(volume.suv("bw").max()) / renderer.value_range[1]
    values = palette_transfer("hot", (0.0, 10.0), factor, 0.8)
    expected = render_fused([FusedVolume(renderer, *renderer.transfer("mr")), FusedVolume(renderer, values)], seen)
    assert np.mean(np.abs(shown - expected) <= 2) > 0.98
    assert (shown != pixels(get(f"{url}/rendered3d", **view))).any(axis=2).sum() > 500
    quick = pixels(get(f"{url}/rendered3d", **view, overlay=f"{uid},show:volume,opacity:0.8", interactive="yes"))
    assert np.abs(quick - shown).mean() < 12
    for params, status in (
        ({"overlay": f"{tumour.sop_instance_uid},show:volume"}, 400),
        ({"overlay": f"{uid},show:volume,levels:3"}, 400),
        ({"overlay": [f"{uid},show:volume", tumour.sop_instance_uid]}, 400),
        ({"overlay": f"{uid},show:volume", "renderingmethod": "maximum_ip"}, 400),
    ):
        assert get(f"{url}/rendered3d", **{**view, **params}).status_code == status, params


def test_segments_in_time_over_a_volume_in_time(served_archive: Callable[[list[bytes]], Any]) -> None:
    """`timepoint` chooses the image and its segments, `time` other segments; an animation has those of each moment."""
    parts = [np.zeros(SHAPE, np.uint8) for _ in range(3)]
    for number, part in enumerate(parts):
        part[:, 2:10, 2 + 4 * number : 5 + 4 * number] = 1
    segmentation, objects = varying(parts, "BINARY"), []
    for position in range(1, 4):
        for number, dataset in enumerate(images()):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.InstanceNumber, dataset.TemporalPositionIdentifier = number + 1 + 100 * position, position
            objects.append(stream(dataset))
    server = served_archive([*objects, stream(segmentation)])
    source = images()[0]
    address = f"{server.dicomweb}/studies/{source.StudyInstanceUID}/series/{source.SeriesInstanceUID}/renderedmpr"
    uid = segmentation.SOPInstanceUID
    plain = {"orientation": "a", "viewport": "64,64"}

    def painted(time: int, overlay: str) -> np.ndarray:
        bare = pixels(get(address, timepoint=str(time), **plain))
        return (pixels(get(address, timepoint=str(time), overlay=overlay, **plain)) != bare).any(axis=2)

    own = [painted(time, f"{uid},opacity:1,outline:0") for time in (1, 2, 3)]
    assert all(one.any() for one in own) and not (own[0] & own[2]).any()
    for time in (1, 2, 3):
        np.testing.assert_array_equal(painted(1, f"{uid},opacity:1,outline:0,time:{time}"), own[time - 1])
    assert get(address, overlay=f"{uid},time:4").status_code == 404
    assert get(address, overlay=f"{uid},time:0").status_code == 400
    moving = get(address, "image/webp", animationrate="5", overlay=f"{uid},opacity:1,outline:0", **plain)
    assert moving.status_code == 200, moving.text
    frames = Image.open(io.BytesIO(moving.content))
    assert frames.n_frames == 3
