"""Planes through volumes as IIIF images, Deep Zoom and XYZ tiles: the pixels of `renderedmpr`, in parts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from tests.interop.services.conftest import LiveServer

    import hilum


def get(server: LiveServer, path: str, accept: str = "*/*") -> httpx.Response:
    return httpx.get(server.url + path, headers={"Accept": accept}, timeout=60)


def pixels(answer: httpx.Response) -> npt.NDArray[np.uint8]:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.parametrize(
    "parameters",
    [
        {"orientation": "f"},
        {"orientation": "r", "mprslab": "8", "renderingmethod": "maximum_ip", "window": "40,400,linear"},
        {"viewpointposition": "0,-100,-200", "viewpointlookat": "0,-90,-195", "viewpointup": "0,0,1"},
    ],
)
def test_parts_are_those_of_the_rendered_plane(
    live_server: LiveServer, largest_ct: hilum.Series, parameters: dict[str, str]
) -> None:
    uid = largest_ct.series_instance_uid
    name = quote(f"{uid}:plane;" + ";".join(f"{key}={value}" for key, value in parameters.items()))
    told = get(live_server, f"/iiif/3/{name}/info.json").json()
    wide, high = told["width"], told["height"]
    query = "&".join(f"{key}={value}" for key, value in {**parameters, "viewport": f"{wide},{high}"}.items())
    place = f"/dicom-web/studies/{largest_ct.study_instance_uid}/series/{uid}/renderedmpr?{query}"
    whole = pixels(get(live_server, place, "image/png"))
    assert whole.shape == (high, wide)
    assert whole.std() > 5
    full = pixels(get(live_server, f"/iiif/3/{name}/full/max/0/default.png"))
    assert np.abs(full.astype(int) - whole).max() <= 1
    part = pixels(get(live_server, f"/iiif/3/{name}/20,10,100,30/max/0/default.png"))
    assert np.abs(part.astype(int) - whole[10:40, 20:120]).max() <= 1
    zooms = next(z for z in range(20) if max(wide, high) <= 512 << z)
    canvas = np.zeros((-(-high // 512) * 512, -(-wide // 512) * 512), np.uint8)
    for y in range(-(-high // 512)):
        for x in range(-(-wide // 512)):
            tile = pixels(get(live_server, f"/tiles/{name}/{zooms}/{x}/{y}.png"))
            canvas[y * 512 : y * 512 + 512, x * 512 : x * 512 + 512] = tile
    assert np.abs(canvas[:high, :wide].astype(int) - whole).max() <= 1
    deepest = (max(wide, high) - 1).bit_length()
    first = pixels(get(live_server, f"/tiles/{name}_files/{deepest}/0_0.png"))
    assert np.array_equal(first, canvas[: min(512, high), : min(512, wide)])
    half = pixels(get(live_server, f"/iiif/3/{name}/full/{wide // 2},/0/default.png"))
    assert half.shape[1] == wide // 2


def test_a_plane_is_not_sent_twice(live_server: LiveServer, largest_ct: hilum.Series) -> None:
    path = f"/iiif/3/{largest_ct.series_instance_uid}:plane/full/max/0/default.jpg"
    answer = get(live_server, path)
    assert answer.headers["content-type"] == "image/jpeg"
    again = httpx.get(live_server.url + path, headers={"If-None-Match": answer.headers["etag"]}, timeout=60)
    assert again.status_code == 304
    windowed = get(live_server, path + "?window=40,80,linear")
    assert windowed.headers["etag"] != answer.headers["etag"]
    assert windowed.content != answer.content


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        (";orientation=x", 400),
        (";viewport=10,10", 400),
        (";swivelrange=90", 400),
        (";renderingmethod=volume_rendered", 400),
        (";volumeinputreference=1.2.3", 404),
        (";viewpointposition=1,2,3", 400),
    ],
)
def test_names_that_cannot_be(live_server: LiveServer, largest_ct: hilum.Series, parameters: str, status: int) -> None:
    answer = get(live_server, f"/iiif/3/{largest_ct.series_instance_uid}:plane{parameters}/info.json")
    assert (answer.status_code, bool(answer.text)) == (status, True)


def test_planes_of_what_is_no_volume_or_not_there(live_server: LiveServer, archive: hilum.Archive) -> None:
    assert get(live_server, "/iiif/3/1.2.3:plane/info.json").status_code == 404
    found = [s for study in archive.studies() for s in study.series if s.modality in ("CR", "DX", "MG", "US")]
    assert get(live_server, f"/iiif/3/{found[0].series_instance_uid}:plane/info.json").status_code == 409
