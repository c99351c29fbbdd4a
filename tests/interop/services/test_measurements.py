"""Numbers and surfaces of volumes over HTTP: `/volumes`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from hilum.volumes.regions import Box, Sphere

if TYPE_CHECKING:
    from tests.interop.services.conftest import LiveServer

    import hilum


@pytest.fixture(scope="module")
def url(live_server: LiveServer, largest_ct: hilum.Series) -> str:
    root = live_server.dicomweb.removesuffix("/dicom-web")
    return f"{root}/volumes/studies/{largest_ct.study_instance_uid}/series/{largest_ct.series_instance_uid}"


def post(address: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(address, json=body, headers=headers, timeout=60)


def middle_of(volume: hilum.Volume) -> list[float]:
    found: list[float] = (volume.affine @ [*(np.array(volume.shape[::-1]) / 2), 1])[:3].tolist()
    return found


def test_a_series_tells_its_volumes(url: str, largest_ct: hilum.Series) -> None:
    answer = httpx.get(url, timeout=60).json()
    volume = largest_ct.volume()
    assert answer["volumes"][0]["shape"] == list(volume.shape)
    np.testing.assert_allclose(answer["volumes"][0]["affine"], volume.affine)
    assert answer["volumes"][0]["units"] == "HU"


def test_statistics_profile_and_curve_are_those_of_the_library(url: str, largest_ct: hilum.Series) -> None:
    volume = largest_ct.volume()
    centre = middle_of(volume)
    x, y, z = centre
    sphere = {"sphere": {"centre": centre, "radius": 15.0}}
    answer = post(f"{url}/statistics", {"region": sphere, "bins": 5, "limits": [-1000, 1000]}).json()
    found = volume.measure(Sphere((x, y, z), 15.0), bins=5, limits=(-1000, 1000))
    assert (answer["count"], answer["mean"], answer["units"]) == (found.count, found.mean, "HU")
    assert found.histogram is not None and answer["histogram"]["counts"] == found.histogram.counts.tolist()
    assert answer["resampled"] == volume.resampled
    box = {"box": {"centre": centre, "size": [20, 10, 8], "axes": [[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]]}}
    axes = ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0), (0.0, 0.0, 1.0))
    curve = post(f"{url}/curve", {"region": box}).json()
    assert [point["sd"] for point in curve["points"]] == [volume.measure(Box((x, y, z), (20, 10, 8), axes)).sd]
    ends = {"start": [x - 20, y, z], "end": [x + 500, y, z]}
    line = post(f"{url}/profile", {**ends, "spacing": 2.0}).json()
    wanted = volume.profile((x - 20, y, z), (x + 500, y, z), spacing=2.0)
    assert line["distances"] == wanted.distances.tolist()
    assert line["values"][0] == wanted.values[0] and line["values"][-1] is None
    polygon = {"polygon": {"points": [[x - 9, y - 9, z], [x + 9, y - 9, z], [x, y + 9, z]]}}
    assert post(f"{url}/statistics", {"region": polygon}).json()["count"] > 0
    away = post(f"{url}/statistics", {"region": {"sphere": {"centre": [9e5, 0, 0], "radius": 1}}}).json()
    assert away["count"] == 0 and away["mean"] is None


@pytest.mark.parametrize("kind", ["model/stl", "model/obj", "model/gltf-binary"])
def test_a_surface_in_each_form(url: str, largest_ct: hilum.Series, kind: str) -> None:
    params: dict[str, Any] = {"threshold": 150, "faces": 2000, "largest": 1}
    answer = httpx.get(f"{url}/mesh", params=params, headers={"Accept": kind}, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    mesh = largest_ct.volume().mesh(threshold=150, faces=2000, largest=1)
    assert answer.content == mesh.to_bytes({"model/stl": "stl", "model/obj": "obj"}.get(kind, "glb"))
    if kind == "model/stl":
        assert struct.unpack("<I", answer.content[80:84])[0] == len(mesh.triangles) > 100
    again = httpx.get(
        f"{url}/mesh", params=params, headers={"Accept": kind, "If-None-Match": answer.headers["etag"]}, timeout=60
    )
    assert again.status_code == 304
    posted = post(f"{url}/mesh", params, Accept=kind)
    assert posted.content == answer.content


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("statistics", {"region": {"sphere": {"centre": [0, 0, 0], "radius": -1}}}, 400),
        ("statistics", {"region": {"sphere": {"centre": [0, 0], "radius": 1}}}, 400),
        ("statistics", {"region": {"cone": {}}}, 400),
        ("statistics", {"region": {"box": {"centre": [0, 0, 0]}}}, 400),
        ("statistics", {"threshold": 3}, 400),
        ("statistics", {"quantity": "suvbw"}, 422),
        ("statistics", {"bins": 10**6}, 413),
        ("statistics", {"bins": True}, 400),
        ("statistics", {"time": 7}, 404),
        ("statistics", {"volume": 99}, 404),
        ("statistics", {"region": {"segment": {"instance": "1.2.3", "number": 1}}}, 404),
        ("statistics", {"region": {"segment": {"instance": "../x", "number": 1}}}, 400),
        ("statistics", [1], 400),
        ("profile", {"start": [0, 0, 0]}, 400),
        ("profile", {"start": [0, 0, 0], "end": [1e5, 0, 0], "spacing": 1e-3}, 413),
        ("curve", {"time": 0}, 400),
        ("mesh", {}, 400),
        ("mesh", {"threshold": 1, "level": 50}, 404),
        ("mesh", {"threshold": 1, "smooth": 10**6}, 413),
    ],
)
def test_bad_requests_are_refused_with_a_reason(url: str, what: str, body: Any, status: int) -> None:
    answer = post(f"{url}/{what}", body)
    assert answer.status_code == status, answer.text
    assert answer.text.strip()


def test_manners(url: str) -> None:
    assert httpx.get(f"{url}/statistics").status_code == 405
    assert httpx.delete(f"{url}/mesh").status_code == 405
    assert httpx.options(f"{url}/mesh").headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert httpx.get(f"{url}/nothing").status_code == 404
    assert httpx.get(f"{url}/mesh?threshold=1", headers={"Accept": "image/png"}).status_code == 406
    assert httpx.get(f"{url}/mesh?threshold=nan").status_code == 400
    assert httpx.get(f"{url}/mesh?threshold=1&threshold=2").status_code == 400
    assert post(f"{url}/statistics", {}, Accept="text/html").status_code == 406
    assert httpx.post(f"{url}/statistics", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    deep = b'{"region":' + b"[" * 100000
    for body, status in ((b"{", 400), (b'{"bins":NaN}', 400), (deep, 400), (b" " * (5 << 20), 413)):
        answer = httpx.post(f"{url}/statistics", content=body, headers={"Content-Type": "application/json"}, timeout=60)
        assert answer.status_code == status
    other = url.rsplit("/", 1)[0] + "/1.2.3.4"
    assert httpx.get(other).status_code == 404


def test_what_makes_no_volume_says_why(archive: hilum.Archive, live_server: LiveServer) -> None:
    root = live_server.dicomweb.removesuffix("/dicom-web")
    flat = next(s for study in archive.studies() for s in study.series if s.modality in ("CR", "DX", "MG", "US", "XA"))
    address = f"{root}/volumes/studies/{flat.study_instance_uid}/series/{flat.series_instance_uid}"
    answer = httpx.get(address, timeout=60).json()
    assert answer["volumes"] == [] and answer["no_volume"][0]["reason"]
    assert post(f"{address}/statistics", {}).status_code == 409
    assert httpx.get(f"{address}/mesh?threshold=1", timeout=60).status_code == 409
