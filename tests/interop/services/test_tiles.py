"""Tiles against a running server: what the IIIF validator asks, Deep Zoom and XYZ put together again, wsidicom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from PIL import Image
from slide_segmentations import circles, segmentation_of_slide
from slides import ROOT, halved, tissue, write_slide

import hilum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from conftest import LiveServer

pytestmark = pytest.mark.xdist_group("live_server")
ROWS, COLUMNS = 150, 210
SLIDE = f"{ROOT}.1"
SEGMENTS = f"{ROOT}.3.1"
COLOURED = f"{ROOT}.2.1"
"""One level of 100 x 100 squares of plain colours, as the validator's test image has them."""


def squares() -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(5)
    return np.repeat(np.repeat(random.integers(0, 256, (10, 10, 3), dtype=np.uint8), 16, axis=0), 16, axis=1)


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    return tissue(ROWS, COLUMNS)


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, serve_module: Callable[..., LiveServer], pixels: npt.NDArray[np.uint8]
) -> LiveServer:
    folder = tmp_path_factory.mktemp("slides")
    (folder / "in").mkdir()
    level = pixels
    for number in (1, 2, 3):
        write_slide(folder / "in" / f"{number}.dcm", level, number=number, jpeg=number == 2)
        level = halved(level)
    write_slide(folder / "in" / "squares.dcm", squares(), series=2)
    discs = segmentation_of_slide(folder / "in" / "1.dcm", circles(ROWS, COLUMNS), "BINARY", [1, 2])
    discs.SeriesInstanceUID, discs.SOPInstanceUID = f"{ROOT}.3", SEGMENTS
    discs.file_meta.MediaStorageSOPInstanceUID = SEGMENTS
    discs.save_as(folder / "in" / "discs.dcm")
    with hilum.open(folder / "archive") as archive:
        assert archive.import_paths([folder / "in"]).ok
    return serve_module(folder / "archive", HILUM__HTTP__CORS_ORIGINS="*")


@pytest.fixture
def client(served: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=60) as opened:
        yield opened


def picture(answer: httpx.Response) -> npt.NDArray[np.uint8]:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


# IIIF


def test_information(client: httpx.Client, served: LiveServer) -> None:
    answer = client.get(f"/iiif/3/{SLIDE}/info.json", headers={"Origin": "https://viewer.example"})
    document = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert document["@context"] == "http://iiif.io/api/image/3/context.json"
    assert (document["type"], document["protocol"], document["profile"]) == (
        "ImageService3",
        "http://iiif.io/api/image",
        "level2",
    )
    assert document["id"] == f"{served.url}/iiif/3/{SLIDE}"
    assert (document["width"], document["height"]) == (COLUMNS, ROWS)
    linked = client.get(f"/iiif/3/{SLIDE}/info.json", headers={"Accept": "application/ld+json"})
    assert linked.headers["content-type"].startswith("application/ld+json;profile=")


def test_bare_address_leads_to_the_information(client: httpx.Client) -> None:
    answer = client.get(f"/iiif/3/{SLIDE}")
    assert answer.status_code == 303
    assert answer.headers["location"].endswith(f"/iiif/3/{SLIDE}/info.json")


def test_escaped_name_is_the_same_image(client: httpx.Client) -> None:
    plain = client.get(f"/iiif/3/{COLOURED}:1/full/max/0/default.png")
    escaped = client.get(f"/iiif/3/{COLOURED}%3A1/full/max/0/default.png")
    assert plain.status_code == escaped.status_code == 200
    assert plain.content == escaped.content


@pytest.mark.parametrize(
    ("path", "rows", "columns"),
    [
        ("full/max/0", slice(0, 10), slice(0, 10)),
        ("32,48,64,16/max/0", slice(3, 4), slice(2, 6)),
        ("pct:20,30,40,10/max/0", slice(3, 4), slice(2, 6)),
        ("pct:19.999,30,40,10/max/0", slice(3, 4), slice(2, 6)),
        ("square/max/0", slice(0, 10), slice(0, 10)),
        ("144,144,100,100/max/0", slice(9, 10), slice(9, 10)),
        ("full/80,/0", slice(0, 10), slice(0, 10)),
        ("full/,40/0", slice(0, 10), slice(0, 10)),
        ("full/pct:25/0", slice(0, 10), slice(0, 10)),
        ("full/!80,120/0", slice(0, 10), slice(0, 10)),
    ],
)
def test_regions_and_sizes(client: httpx.Client, path: str, rows: slice, columns: slice) -> None:
    found = picture(client.get(f"/iiif/3/{COLOURED}/{path}/default.png"))
    colours = squares()[8::16, 8::16][rows, columns]
    high, wide = found.shape[0] // colours.shape[0], found.shape[1] // colours.shape[1]
    assert np.array_equal(found[high // 2 :: high, wide // 2 :: wide], colours)


@pytest.mark.parametrize(
    ("rotation", "turn"),
    [
        ("90", lambda a: np.rot90(a, -1)),
        ("180", lambda a: np.rot90(a, 2)),
        ("270", lambda a: np.rot90(a)),
        ("!0", lambda a: a[:, ::-1]),
        ("!90", lambda a: np.rot90(a[:, ::-1], -1)),
        ("360", lambda a: a),
    ],
)
def test_rotations(
    client: httpx.Client, rotation: str, turn: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
) -> None:
    found = picture(client.get(f"/iiif/3/{COLOURED}/16,0,80,48/max/{rotation}/default.png"))
    assert np.array_equal(found, turn(squares()[:48, 16:96]))


def test_optical_path_is_part_of_the_name(client: httpx.Client, served: LiveServer) -> None:
    plain = client.get(f"/iiif/3/{COLOURED}/full/max/0/default.png")
    for name in (f"{COLOURED};opticalpath=1", f"{COLOURED}%3Bopticalpath%3D1;focalplane=1"):
        document = client.get(f"/iiif/3/{name}/info.json").json()
        assert document["id"].startswith(f"{served.url}/iiif/3/{COLOURED};opticalpath=1")
        assert client.get(f"{document['id']}/full/max/0/default.png").content == plain.content
    for name, status in (("opticalpath=2", 404), ("focalplane=2", 404), ("opticalpath", 400), ("path=1", 400)):
        answer = client.get(f"/iiif/3/{COLOURED};{name}/info.json")
        assert answer.status_code == status
        assert "no such optical path" in answer.text or name != "opticalpath=2"


def test_qualities_and_formats(client: httpx.Client) -> None:
    base = f"/iiif/3/{COLOURED}/full/max/0"
    colour, grey, bitonal = (picture(client.get(f"{base}/{name}.png")) for name in ("color", "gray", "bitonal"))
    wanted = np.asarray(Image.fromarray(squares()).convert("L"))
    assert np.array_equal(colour, squares())
    assert np.abs(grey.astype(int) - wanted).max() <= 1
    assert set(np.unique(bitonal)) == {0, 255}
    jpeg = client.get(f"{base}/default.jpg")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert np.abs(picture(jpeg).astype(int) - squares()).mean() < 12


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("1.2.3/info.json", 404),
        ("1.2.3", 404),
        ("%2Fetc%2Fpasswd/info.json", 404),
        (f"{SLIDE}/", 404),
        (f"{SLIDE}/full/max/0/default", 400),
        (f"{SLIDE}/full/max/0/default.tif", 400),
        (f"{SLIDE}/full/max/0/native.jpg", 400),
        (f"{SLIDE}/full/max/33/default.jpg", 400),
        (f"{SLIDE}/full/301,/0/default.jpg", 400),
        (f"{SLIDE}/full/^40000,/0/default.jpg", 400),
        (f"{SLIDE}/210,0,1,1/max/0/default.jpg", 400),
        (f"{SLIDE}/full/max/0/default.jpg/more", 404),
        (f"{SLIDE}/full/max/0/default.jpg?window=a,b", 400),
    ],
)
def test_what_cannot_be_answered(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(f"/iiif/3/{path}")
    assert (answer.status_code, bool(answer.text)) == (status, True)


def test_known_pictures_are_not_sent_twice(client: httpx.Client) -> None:
    path = f"/iiif/3/{SLIDE}/full/100,/0/default.jpg"
    answer = client.get(path)
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert client.head(path).headers["content-length"] == str(len(answer.content))
    assert client.options(path).status_code == 204
    assert client.post(path).status_code == 405


def test_answers_at_once_are_the_ordinary_ones(client: httpx.Client) -> None:
    study, series, instance = f"{ROOT}.0", f"{ROOT}.1", f"{ROOT}.1.2"
    frame = f"/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/1"
    tile = f"/iiif/3/{instance}/0,0,32,32/32,32/0/default.jpg"
    before = [client.get(path, headers={"Content-Length": "0"}) for path in (tile, frame)]
    for _ in range(2):
        for path, ordinary in zip((tile, frame), before, strict=True):
            answer = client.get(path)
            told = [
                {name: value for name, value in one.headers.items() if name != "date"} for one in (answer, ordinary)
            ]
            for one in told:
                one["content-type"] = one["content-type"].split("boundary")[0]
            assert told[0] == told[1]
            assert jpeg_in(answer) == jpeg_in(ordinary)
            again = client.get(path, headers={"If-None-Match": ordinary.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


def test_segments_lie_over_tiles_of_all_addresses(client: httpx.Client) -> None:
    over = {"overlay": f"{SEGMENTS},opacity:1,outline:0,segments:1"}
    mask = circles(ROWS, COLUMNS)[..., 0] != 0
    whole = picture(client.get(f"/iiif/3/{SLIDE}/full/max/0/default.png", params=over))
    plain = picture(client.get(f"/iiif/3/{SLIDE}/full/max/0/default.png"))
    assert len(np.unique(whole[mask], axis=0)) == 1
    assert np.array_equal(whole[~mask], plain[~mask])
    tile = client.get(f"/tiles/{SLIDE}_files/8/2_1.png", params=over)
    assert np.array_equal(picture(tile), whole[32:64, 64:96])
    assert np.array_equal(picture(client.get(f"/tiles/{SLIDE}/3/2/1.png", params=over)), whole[32:64, 64:96])
    again = client.get(f"/tiles/{SLIDE}_files/8/2_1.png", params=over, headers={"If-None-Match": tile.headers["etag"]})
    assert again.status_code == 304
    small = picture(client.get(f"/iiif/3/{SLIDE}/full/!50,50/0/default.png", params=over))
    assert abs((small == whole[mask][0]).all(axis=-1).mean() - mask.mean()) < 0.02


@pytest.mark.parametrize(
    ("overlay", "status"),
    [("1.2.3", 404), (f"{SEGMENTS},segments:9", 404), (f"{COLOURED}", 400), (f"{SEGMENTS},palette:hot", 400)],
)
def test_overlays_that_cannot_be_shown(client: httpx.Client, overlay: str, status: int) -> None:
    answer = client.get(f"/iiif/3/{SLIDE}/full/max/0/default.jpg", params={"overlay": overlay})
    assert answer.status_code == status


def jpeg_in(answer: httpx.Response) -> bytes:
    content = answer.content
    return content[content.index(b"\xff\xd8") : content.rindex(b"\xff\xd9")]


def test_pictures_are_kept_and_told_apart(client: httpx.Client) -> None:
    base = f"/iiif/3/{SLIDE}/3,5,100,90/50,45/0"
    paths = [f"{base}/default.jpg", f"{base}/default.png", f"{base}/gray.jpg", f"{base}/default.jpg?quality=30"]
    first = [client.get(path) for path in paths]
    again = [client.get(path) for path in paths]
    assert [answer.content for answer in first] == [answer.content for answer in again]
    assert [answer.headers["content-type"] for answer in again] == [
        "image/jpeg",
        "image/png",
        "image/jpeg",
        "image/jpeg",
    ]
    assert len({answer.content for answer in again}) == len(paths)
    assert client.head(paths[0]).headers["content-length"] == str(len(first[0].content))


# Deep Zoom and XYZ


def test_deep_zoom_is_the_image_at_every_level(client: httpx.Client, pixels: npt.NDArray[np.uint8]) -> None:
    answer = client.get(f"/tiles/{SLIDE}.dzi")
    image = ElementTree.fromstring(answer.text)
    name = "{http://schemas.microsoft.com/deepzoom/2008}"
    size = image.find(f"{name}Size")
    assert image.tag == f"{name}Image"
    assert size is not None
    assert (size.get("Width"), size.get("Height"), image.get("TileSize"), image.get("Overlap")) == (
        "210",
        "150",
        "32",
        "0",
    )
    for level, factor in ((8, 1), (6, 4), (5, 8), (0, 256)):
        wide, high = -(-COLUMNS // factor), -(-ROWS // factor)
        rows = [
            np.hstack([picture(client.get(f"/tiles/{SLIDE}_files/{level}/{i}_{j}.png")) for i in range(-(-wide // 32))])
            for j in range(-(-high // 32))
        ]
        whole = np.vstack(rows)
        assert whole.shape == (high, wide, 3)
        if factor == 1:
            assert np.array_equal(whole, pixels)
        if factor == 4:
            assert np.array_equal(whole, halved(halved(pixels)))


def test_stored_tile_is_sent_as_it_is(client: httpx.Client, served: LiveServer) -> None:
    tile = client.get(f"/tiles/{SLIDE}_files/7/1_0.jpg")
    stored = client.get(
        f"/dicom-web/studies/{ROOT}.0/series/{SLIDE}/instances/{SLIDE}.2/frames/2",
        headers={"Accept": "multipart/related; type=image/jpeg"},
    )
    assert tile.content.rstrip(b"\0") in stored.content
    assert client.get(f"/tiles/{SLIDE}_files/7/1_0.jpg?quality=40").content != tile.content


def test_xyz_tiles_are_all_of_one_size(client: httpx.Client, pixels: npt.NDArray[np.uint8]) -> None:
    whole = picture(client.get(f"/tiles/{SLIDE}/0/0/0.png"))
    assert whole.shape == (32, 32, 3)
    edge = picture(client.get(f"/tiles/{SLIDE}/3/6/4.png"))
    assert np.array_equal(edge[:22, :18], pixels[128:, 192:])
    assert (edge[22:] == 255).all()
    assert (edge[:, 18:] == 255).all()


@pytest.mark.parametrize(
    "path",
    [
        "1.2.3.dzi",
        f"{SLIDE}_files/9/0_0.png",
        f"{SLIDE}_files/8/7_0.png",
        f"{SLIDE}_files/a/0_0.png",
        f"{SLIDE}/4/0/0.png",
        f"{SLIDE}/0/1/0.png",
        f"{SLIDE}/0/0/x.png",
        "",
        "x",
    ],
)
def test_tiles_that_do_not_exist(client: httpx.Client, path: str) -> None:
    assert client.get(f"/tiles/{path}").status_code == 404


@pytest.mark.filterwarnings(
    "ignore:No bulk data URI handler:UserWarning", "ignore:.*maximum length of 64.*:UserWarning"
)
def test_wsidicom_reads_slides_from_dicomweb(served: LiveServer, pixels: npt.NDArray[np.uint8]) -> None:
    wsidicom = pytest.importorskip("wsidicom")
    web = wsidicom.WsiDicomWebClient.create_client(f"{served.url}/dicom-web")
    with wsidicom.WsiDicom.open_web(web, f"{ROOT}.0", SLIDE) as slide:
        assert (slide.size.width, slide.size.height) == (COLUMNS, ROWS)
        assert len(slide.pyramids[0]) == 3
        region = np.asarray(slide.read_region((20, 30), 0, (100, 64)))
    assert np.array_equal(region, pixels[30:94, 20:120])
