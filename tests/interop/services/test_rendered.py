"""Rendered resources of a running server: formats, parameters, presentation states, video, WADO-URI (PS3.18 8.3.5)."""

from __future__ import annotations

import io
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom as hd
import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from PIL import Image
from presentation_states import MAKER, SRGB, encoded, grey_state, image_dataset, item_of
from pydicom.encaps import encapsulate

import hilum
from hilum.pixels import icc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import Dataset

pytestmark = [pytest.mark.xdist_group("live_server"), pytest.mark.filterwarnings("ignore::UserWarning")]
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
VALUES = (np.arange(60 * 80, dtype=np.uint16) * 13 % 4096).reshape(60, 80)
GREY = image_dataset(VALUES, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096, KVP="120")
RGB = image_dataset(np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8), ICCProfile=SRGB)
LAYER = hd.pr.GraphicLayer("LAYER", 1, display_color=hd.color.CIELabColor(54.3, 80.8, 69.9))
CIRCLE = hd.pr.GraphicObject("CIRCLE", np.array([[40.0, 30.0], [50.0, 30.0]]), "PIXEL")
STATE = grey_state(
    [GREY],
    voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(1000, 500)],
    graphic_layers=[LAYER],
    graphic_annotations=[hd.pr.GraphicAnnotation([GREY], LAYER, graphic_objects=[CIRCLE])],
)


def altered(state: Dataset, **attributes: Any) -> Dataset:
    copy = pydicom.dcmread(io.BytesIO(encoded(state)))
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    copy.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1561.9.76"
    for name, value in attributes.items():
        setattr(copy, name, value)
    return copy


VARIABLE = altered(STATE, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.12")
PLANAR = altered(STATE, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.6")
BROKEN = altered(STATE, ImageRotation=45)
ORPHAN = altered(grey_state([image_dataset(VALUES)]))


def video_dataset() -> Dataset:
    av = pytest.importorskip("av")
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:, 32:] = (250, 20, 20)
        for _ in range(5):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    ds = image_dataset(picture, NumberOfFrames=5)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.1561.9.75"
    ds.PhotometricInterpretation = "YBR_PARTIAL_420"
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    ds.PixelData = encapsulate([target.getvalue()])
    return ds


VIDEO = video_dataset()


@pytest.fixture(scope="module")
def server(served_archive: Callable[[list[bytes]], Any]) -> Any:
    return served_archive([encoded(ds) for ds in (GREY, RGB, STATE, PLANAR, VARIABLE, BROKEN, ORPHAN, VIDEO)])


@pytest.fixture
def web(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.dicomweb, timeout=60, headers={"Accept": "*/*"}) as client:
        yield client


def path_of(ds: Dataset) -> str:
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def sample(name: str) -> str:
    return path_of(pydicom.dcmread(DEMO / name, stop_before_pixels=True))


def opened(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


def parts(answer: httpx.Response) -> list[Any]:
    head = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n"
    return list(BytesParser().parsebytes(head + answer.content).get_payload())


SHOWN = np.clip(np.round((VALUES - 2047.5) / 4095 * 255 + 127.5), 0, 255)

# formats


@pytest.mark.parametrize(
    ("media_type", "decode"),
    [
        ("image/png", imagecodecs.png_decode),
        ("image/webp", imagecodecs.webp_decode),
        ("image/gif", lambda data: imagecodecs.gif_decode(data)),
        ("image/jp2", imagecodecs.jpeg2k_decode),
    ],
)
@pytest.mark.parametrize("by", ["header", "query"])
def test_exact_formats(web: httpx.Client, media_type: str, decode: Any, by: str) -> None:
    query = f"?quality=100{f'&accept={media_type}' if by == 'query' else ''}"
    answer = web.get(path_of(GREY) + f"/rendered{query}", headers={"Accept": media_type if by == "header" else "*/*"})
    assert answer.status_code == 200 and answer.headers["content-type"] == media_type
    decoded = decode(answer.content)
    decoded = decoded[..., 0] if decoded.ndim == 3 else decoded
    assert np.abs(decoded.astype(int) - SHOWN).max() <= 1


def test_sixteen_bits_and_raw(web: httpx.Client) -> None:
    path = path_of(GREY) + "/rendered"
    deep = web.get(path, params={"accept": "image/png", "bits": "16"})
    exact = (VALUES - 2047.5) / 4095 * 65535 + 32767.5
    assert np.abs(imagecodecs.png_decode(deep.content) - np.clip(exact, 0, 65535)).max() <= 2
    raw = web.get(path, params={"accept": "application/octet-stream", "bits": "16"})
    assert (raw.headers["x-hilum-shape"], raw.headers["x-hilum-dtype"]) == ("60,80", "uint16")
    assert (np.frombuffer(raw.content, "<u2").reshape(60, 80) == imagecodecs.png_decode(deep.content)).all()
    colour = web.get(path_of(RGB) + "/rendered", params={"accept": "application/octet-stream"})
    assert colour.headers["x-hilum-shape"] == "20,30,3" and len(colour.content) == 1800
    assert web.get(path, params={"accept": "image/jpeg", "bits": "16"}).status_code == 406


def test_accept_with_quality_factors_and_406(web: httpx.Client) -> None:
    path = path_of(GREY) + "/rendered"
    for accept, media_type in (
        ("image/bmp, image/webp;q=0.5, image/png;q=0.9", "image/png"),
        ("image/gif;q=0.1, image/*;q=0.5", "image/jpeg"),
        ("application/octet-stream", "application/octet-stream"),
        ("text/html, */*;q=0.1", "image/jpeg"),
    ):
        assert web.get(path, headers={"Accept": accept}).headers["content-type"] == media_type
    refused = web.get(path, headers={"Accept": "image/bmp"})
    assert refused.status_code == 406
    for media_type in ("image/jpeg", "image/png", "image/webp", "image/gif", "application/octet-stream"):
        assert media_type in refused.text


@pytest.mark.parametrize("media_type", ["image/gif", "image/webp"])
def test_multi_frame_instances_move(web: httpx.Client, media_type: str) -> None:
    path = sample("us-cine.dcm")
    image = opened(web.get(f"{path}/rendered?viewport=64,64&accept={media_type}"))
    assert 25 <= image.n_frames <= 30 and max(image.size) == 64  # like frames become one that is shown longer
    still = opened(web.get(f"{path}/frames/3/rendered?viewport=64,64&accept={media_type}"))
    assert getattr(still, "n_frames", 1) == 1
    assert web.get(f"{path}/rendered?viewport=9000,9000&accept={media_type}").status_code == 413


def test_multipart_of_every_level(web: httpx.Client) -> None:
    ds = pydicom.dcmread(DEMO / "us-cine.dcm", stop_before_pixels=True)
    path = path_of(ds)
    accept = {"Accept": 'multipart/related; type="image/webp"'}
    for level in (path, path.split("/instances/")[0], path.split("/series/")[0]):
        found = parts(web.get(f"{level}/rendered?viewport=16,16", headers=accept))
        assert len(found) == 30 and {part.get_content_type() for part in found} == {"image/webp"}
    raw = parts(web.get(f"{path}/frames/2,1/rendered?viewport=16,16&accept=application/octet-stream"))
    assert [part["x-hilum-dtype"] for part in raw] == ["uint8", "uint8"]


# parameters


def picture(web: httpx.Client, **query: str) -> np.ndarray:
    return np.asarray(opened(web.get(path_of(GREY) + "/rendered", params={"accept": "image/png", **query}))).astype(int)


def test_viewport(web: httpx.Client) -> None:
    whole = picture(web)
    assert np.abs(whole - SHOWN).max() <= 1
    assert (picture(web, viewport="30,20,10,5,30,20") == whole[5:25, 10:40]).all()
    assert (picture(web, viewport="80,60,,,-80,") == whole[:, ::-1]).all()
    assert (picture(web, viewport="80,60,,,,-60") == whole[::-1]).all()
    assert (picture(web, viewport="80,60,0,0,-80,-60") == whole[::-1, ::-1]).all()
    assert (picture(web, viewport="70,55,10,5") == whole[5:, 10:]).all()
    assert (picture(web, viewport="30,20,10,5,-30,20") == whole[5:25, 10:40][:, ::-1]).all()
    assert picture(web, viewport="40,1000").shape == (30, 40)
    assert picture(web, viewport="160,").shape == (120, 160)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"viewport": "10,10,80,0"}, 400), ({"viewport": "10,10,0,0,81,5"}, 400), ({"viewport": "10,10,0,0,0,5"}, 400),
        ({"viewport": "10,10,-1,0"}, 400), ({"iccprofile": "cmyk"}, 400), ({"bits": "12"}, 400),
        ({"presentationUID": "x"}, 400), ({"presentationSeriesUID": "1.2"}, 400), ({"presentationUID": "1.2"}, 404),
        ({"presentationUID": STATE.SOPInstanceUID, "presentationSeriesUID": "1.2"}, 404),
        ({"presentationUID": STATE.SOPInstanceUID, "window": "1,2"}, 400),
        ({"presentationUID": STATE.SOPInstanceUID, "viewport": "5,5,1,1,3,3"}, 400),
        ({"presentationUID": GREY.SOPInstanceUID}, 400), ({"presentationUID": BROKEN.SOPInstanceUID}, 422),
        ({"presentationUID": ORPHAN.SOPInstanceUID}, 400), ({"region": "0,0,2,1"}, 400),
    ],
)  # fmt: skip
def test_what_cannot_be(web: httpx.Client, query: dict[str, str], status: int) -> None:
    answer = web.get(path_of(GREY) + "/rendered", params=query)
    assert answer.status_code == status, answer.text
    assert len(answer.text) < 300


def test_window_functions(web: httpx.Client) -> None:
    linear, exact, sigmoid = (
        picture(web, window=f"1000,2000,{name}") for name in ("linear", "linear-exact", "sigmoid")
    )
    assert np.abs(exact - np.clip(VALUES / 2000 * 255, 0, 255)).max() <= 1
    assert np.abs(linear - np.clip(((VALUES - 999.5) / 1999 + 0.5) * 255, 0, 255)).max() <= 1
    assert np.abs(sigmoid - 255 / (1 + np.exp(-4 * (VALUES - 1000.0) / 2000))).max() <= 1


def test_annotation_is_burned_in(web: httpx.Client) -> None:
    plain = picture(web, viewport="640,480")
    patient = picture(web, viewport="640,480", annotation="patient")
    both = picture(web, viewport="640,480", annotation="patient,technique", charset="utf-8")
    upper, lower = slice(0, 240), slice(240, 480)
    assert (patient[upper] != plain[upper]).any() and (patient[lower] == plain[lower]).all()
    assert (both[lower] != plain[lower]).any() and (both[upper] == patient[upper]).all()
    odd = web.get(path_of(GREY) + "/rendered", params={"annotation": "patient,mood"})
    assert odd.status_code == 200 and "annotation" in odd.headers["warning"]


def test_icc_profiles(web: httpx.Client) -> None:
    path = path_of(RGB) + "/rendered"
    for media_type in ("image/png", "image/jpeg", "image/webp"):
        for wanted, profile in (("no", None), ("yes", SRGB), ("displayp3", icc.profile_of("displayp3"))):
            image = opened(web.get(path, params={"iccprofile": wanted, "accept": media_type}))
            assert image.info.get("icc_profile") == profile
    plain, converted = (
        np.asarray(opened(web.get(path, params={"iccprofile": w, "accept": "image/png"}))) for w in ("yes", "adobergb")
    )
    assert (plain != converted).any()
    assert "icc_profile" not in opened(web.get(path_of(GREY) + "/rendered?iccprofile=yes")).info


def test_entity_tags_differ_by_every_parameter(web: httpx.Client) -> None:
    queries: list[dict[str, str]] = [
        {}, {"quality": "50"}, {"viewport": "50,50"}, {"viewport": "50,40"}, {"viewport": "50,50,1,1"},
        {"viewport": "50,50,,,-80,"}, {"viewport": "50,50,,,,-60"}, {"window": "100.5,200"}, {"window": "100.25,200"},
        {"window": "100.5,200,sigmoid"}, {"annotation": "patient"}, {"annotation": "technique"},
        {"annotation": "patient,technique"}, {"iccprofile": "srgb"}, {"iccprofile": "yes"}, {"accept": "image/png"},
        {"accept": "image/png", "bits": "16"}, {"accept": "application/octet-stream"}, {"accept": "image/webp"},
        {"accept": "image/gif"}, {"presentationUID": STATE.SOPInstanceUID}, {"region": "0,0,0.5,0.5"},
    ]  # fmt: skip
    tags = [web.get(path_of(GREY) + "/rendered", params=query).headers["etag"] for query in queries]
    assert len(set(tags)) == len(tags)
    again = web.get(path_of(GREY) + "/rendered", params=queries[7], headers={"If-None-Match": tags[7]})
    assert again.status_code == 304


# presentation states


def expected_state() -> np.ndarray:
    return np.clip(np.round(((VALUES - 999.5) / 499 + 0.5) * 255), 0, 255)


def check_state(image: Image.Image) -> None:
    pixels = np.asarray(image.convert("RGB")).astype(int)
    red = pixels[..., 0] - pixels[..., 1] > 40
    assert 30 <= red.sum() <= 160
    rows, columns = np.nonzero(red)
    assert np.abs(np.hypot(rows + 0.5 - 30, columns + 0.5 - 40) - 10).max() <= 2
    away = np.hypot(*(np.mgrid[0:60, 0:80] + 0.5 - np.array([30, 40])[:, None, None])) > 14
    assert np.abs(pixels[..., 0] - expected_state())[away].max() <= 1


def test_a_presentation_state_is_rendered_as_its_image(web: httpx.Client) -> None:
    check_state(opened(web.get(path_of(STATE) + "/rendered?accept=image/png")))
    check_state(opened(web.get(path_of(GREY) + f"/rendered?accept=image/png&presentationUID={STATE.SOPInstanceUID}")))
    many = parts(web.get(path_of(STATE) + "/rendered", headers={"Accept": 'multipart/related; type="image/png"'}))
    assert len(many) == 1
    check_state(Image.open(io.BytesIO(many[0].get_payload(decode=True))))
    check_state(opened(web.get(path_of(STATE).split("/instances/")[0] + "/rendered?accept=image/png")))
    small = opened(web.get(path_of(STATE) + "/rendered?viewport=40,40&accept=image/png"))
    assert small.size == (40, 30)
    assert web.get(path_of(STATE) + "/thumbnail").headers["content-type"] == "image/jpeg"


def test_many_frames_by_a_state_are_those_it_refers_to(web: httpx.Client) -> None:
    accept = {"Accept": 'multipart/related; type="image/png"'}
    query = {"presentationUID": STATE.SOPInstanceUID}
    study = path_of(GREY).split("/series/")[0]
    (only,) = parts(web.get(f"{study}/rendered", params=query, headers=accept))
    check_state(Image.open(io.BytesIO(only.get_payload(decode=True))))
    assert len(parts(web.get(f"{study}/rendered", headers=accept))) == 2
    assert web.get(path_of(RGB) + "/frames/1/rendered", params=query, headers=accept).status_code == 400
    assert web.get(f"{study}/rendered", params=query).status_code == 400


def test_states_stored_and_asked_for_by_dicomweb_client(server: Any) -> None:
    """Advanced blending by highdicom, and a moved mask: STOW-RS and rendered resources of another's client."""
    client = DICOMwebClient(server.dicomweb)
    at = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]}
    study, one, two, pr = (pydicom.uid.generate_uid() for _ in range(4))
    values = np.random.default_rng(5).integers(0, 256, (2, 20, 30), dtype=np.uint8)
    under, over = (
        image_dataset(pixels, StudyInstanceUID=study, SeriesInstanceUID=uid, **at)
        for pixels, uid in zip(values, (one, two), strict=True)
    )
    ramp = np.arange(256, dtype=np.uint8)
    tables = [
        [hd.PaletteColorLUT(0, ramp * (c in use), c) for c in ("red", "green", "blue")] for use in ("red", "blue")
    ]
    state = hd.pr.AdvancedBlendingPresentationState(
        [under, over],
        [
            hd.pr.AdvancedBlending(
                [image], n, palette_color_lut_transformation=hd.PaletteColorLUTTransformation(*table)
            )
            for n, (image, table) in enumerate(zip((under, over), tables, strict=True), 1)
        ],
        [hd.pr.BlendingDisplay("FOREGROUND", [hd.pr.BlendingDisplayInput(n) for n in (2, 1)], relative_opacity=0.25)],
        series_instance_uid=pr,
        sop_instance_uid=pydicom.uid.generate_uid(),
        **MAKER,
    )
    frames = image_dataset(np.stack([values[0], values[1]]), StudyInstanceUID=study, SeriesInstanceUID=one)
    mask = grey_state([frames])
    mask.RecommendedViewingMode, mask.SeriesInstanceUID = "SUB", pr
    mask.MaskSubtractionSequence = [item_of(MaskOperation="AVG_SUB", MaskFrameNumbers=[1], MaskSubPixelShift=[2, 3])]
    client.store_instances([pydicom.dcmread(io.BytesIO(encoded(ds))) for ds in (under, over, frames, state, mask)])
    data = client.retrieve_instance_rendered(study, pr, str(state.SOPInstanceUID), media_types=("image/png",))
    blended = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert np.abs(blended[..., 0] - 0.75 * values[0]).max() <= 1 and not blended[..., 1].any()
    assert np.abs(blended[..., 2] - 0.25 * values[1]).max() <= 1
    under_state = f"{server.dicomweb}/studies/{study}/series/{one}/instances/{under.SOPInstanceUID}/rendered"
    answer = httpx.get(under_state, params={"presentationUID": str(state.SOPInstanceUID)}, timeout=60)
    assert answer.status_code == 200 and "etag" not in answer.headers  # another slice of the series may change it
    url = f"{server.dicomweb}/studies/{study}/series/{one}/instances/{frames.SOPInstanceUID}/frames/2/rendered"
    query = {"presentationUID": str(mask.SOPInstanceUID), "accept": "image/png"}
    less = np.asarray(opened(httpx.get(url, params=query, timeout=60))).astype(int)
    expected = np.round((values[1][5:, :20].astype(float) - values[0][3:-2, 3:23] + 255) / 510 * 255)
    assert np.abs(less[5:, :20] - expected).max() <= 1


def test_states_that_cannot_be_rendered(web: httpx.Client) -> None:
    for state, status, words in (
        (PLANAR, 406, "Planar MPR"), (VARIABLE, 422, "0028,3001"), (BROKEN, 422, "0070,0042"),
        (ORPHAN, 404, "none of the 1 images"),
    ):  # fmt: skip
        answer = web.get(path_of(state) + "/rendered")
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert web.get(path_of(state) + "/thumbnail").headers["content-type"] == "image/png"
    assert web.get(path_of(STATE) + "/frames/1/rendered").status_code == 404


# video


def test_poster_of_a_video(web: httpx.Client) -> None:
    path = path_of(VIDEO)
    stream = web.get(f"{path}/rendered")
    assert stream.headers["content-type"] == "video/mp4"
    poster = opened(web.get(f"{path}/rendered", params={"accept": "image/png", "viewport": "32,24"}))
    pixels = np.asarray(poster).astype(int)
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels[12, 4]).max() < 20 and np.abs(pixels[12, 28] - (250, 20, 20)).max() < 20
    assert opened(web.get(f"{path}/frames/1/rendered?accept=image/jpeg")).size == (64, 48)
    assert opened(web.get(f"{path}/thumbnail")).format == "JPEG"
    series = path.split("/instances")[0]
    assert opened(web.get(f"{series}/thumbnail")).format == "JPEG"
    assert opened(web.get(f"{series}/rendered?accept=image/png")).size == (64, 48)


def test_what_was_deleted_is_gone(server: Any, web: httpx.Client) -> None:
    extra = image_dataset(VALUES)
    extra.StudyInstanceUID, extra.SeriesInstanceUID = (
        "1.2.826.0.1.3680043.10.1561.9.80",
        "1.2.826.0.1.3680043.10.1561.9.81",
    )
    with hilum.open(server.root) as archive:
        archive.store(encoded(extra))
        assert web.get(path_of(extra) + "/rendered").status_code == 200
        archive.delete("instance", extra.SOPInstanceUID)
    for tail in ("/rendered", "/thumbnail", "/frames/1/rendered", ""):
        assert web.get(path_of(extra) + tail).status_code == 410
    assert web.get(path_of(extra)[:-1] + "/rendered").status_code == 404


# WADO-URI and dicomweb-client


def uri(server: Any, **query: str) -> httpx.Response:
    base = {
        "requestType": "WADO",
        "studyUID": GREY.StudyInstanceUID,
        "seriesUID": GREY.SeriesInstanceUID,
        "objectUID": GREY.SOPInstanceUID,
        "contentType": "image/png",
    }
    return httpx.get(f"{server.url}/wado", params={**base, **query}, timeout=60)


def test_wado_uri(server: Any, web: httpx.Client) -> None:
    whole = picture(web)

    def shown(**query: str) -> np.ndarray:
        return np.asarray(opened(uri(server, **query))).astype(int)

    assert (shown() == whole).all()
    assert shown(columns="40").shape == (30, 40) and shown(rows="30").shape == (30, 40)
    assert (shown(region="0.125,0.25,0.5,0.75") == whole[15:45, 10:40]).all()
    assert (shown(windowCenter="1000", windowWidth="2000") == picture(web, window="1000,2000")).all()
    assert (shown(rows="480", columns="640", annotation="patient") != shown(rows="480", columns="640")).any()
    check_state(
        opened(uri(server, presentationUID=STATE.SOPInstanceUID, presentationSeriesUID=STATE.SeriesInstanceUID))
    )
    check_state(opened(uri(server, seriesUID=STATE.SeriesInstanceUID, objectUID=STATE.SOPInstanceUID)))
    jpegs = [len(uri(server, contentType="image/jpeg", imageQuality=q).content) for q in ("20", "95")]
    assert jpegs[0] < jpegs[1]
    for query in ({"anonymize": "yes"}, {"windowCenter": "5"}, {"region": "1,0,0,1"}, {"imageQuality": "0"}):
        assert uri(server, **query).status_code == 400
    assert uri(server, contentType="image/bmp").status_code == 406
    assert uri(server, presentationUID="1.2.3").status_code == 404
    assert uri(server, frameNumber="2").status_code == 404


def test_dicomweb_client(server: Any) -> None:
    client = DICOMwebClient(server.dicomweb)
    uids = (GREY.StudyInstanceUID, GREY.SeriesInstanceUID, GREY.SOPInstanceUID)
    for media_type in ("image/png", "image/jpeg", "image/gif"):
        for params in (
            None, {"viewport": (40, 30)}, {"viewport": (40, 30, 0, 0, 80, 60)}, {"window": (1000, 2000, "sigmoid")},
            {"quality": 50}, {"annotation": ["patient"]}, {"iccprofile": "srgb"},
        ):  # fmt: skip
            options = {} if params is None else {"params": params}
            data = client.retrieve_instance_rendered(*uids, media_types=(media_type,), **options)
            image = Image.open(io.BytesIO(data))
            assert image.size == ((40, 30) if params and "viewport" in params else (80, 60))
            data = client.retrieve_instance_frames_rendered(*uids, [1], media_types=(media_type,), **options)
            assert Image.open(io.BytesIO(data)).format == image.format
