"""WADO-RS and WADO-URI against a running server; the numbers are pitfalls of clients in use (W-1 ..., M-1 ...)."""

from __future__ import annotations

import io
import json
import re
import zipfile
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient

import hilum

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("live_server")
AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"
NATIVE = 'multipart/related; type="application/octet-stream"'


def parts(answer: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Parts of a multipart answer."""
    head = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + answer.content)
    found = []
    boundary = message.get_boundary()
    assert boundary
    for piece in answer.content.split(b"--" + boundary.encode())[1:-1]:
        raw_head, _, body = piece.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in raw_head.decode().strip().split("\r\n"))
        found.append((headers, body[:-2]))
    return found


def sample(demo: Path, name: str) -> tuple[pydicom.FileDataset, bytes, str]:
    """One sample file: data set, bytes, path of its resource."""
    raw = (demo / name).read_bytes()
    ds = pydicom.dcmread(io.BytesIO(raw))
    path = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    return ds, raw, path


@pytest.fixture(scope="module")
def demo() -> Path:
    from pathlib import Path

    return Path(__file__).parent.parent.parent / "data" / "demo"


# frames


def test_w1_w2_w3_part_headers_of_frames(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    answer = web.get(f"{path}/frames/1", headers={"Accept": AS_STORED})
    assert answer.status_code == 200
    assert b"\r\nContent-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.91\r\n" in answer.content
    assert b'transfer-syntax="' not in answer.content


def test_w4_first_boundary_and_headers_fit_in_1000_bytes(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    answer = web.get(f"{path}/frames/1", headers={"Accept": AS_STORED})
    assert answer.content.index(b"\r\n\r\n") < 500


def test_w5_boundary_is_random_and_the_body_ends_with_it(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    boundaries = set()
    for _ in range(3):
        answer = web.get(f"{path}/frames/1")
        boundary = answer.content.split(b"\r\n", 1)[0]
        assert len(boundary) >= 2 + 32
        assert answer.content.endswith(b"\r\n" + boundary + b"--\r\n")
        boundaries.add(boundary)
    assert len(boundaries) == 3


def test_w6_w7_frames_by_dicomweb_client(live_server: Any, demo: Path) -> None:
    ds, _, _ = sample(demo, "mr-shoulder.dcm")
    client = DICOMwebClient(live_server.dicomweb)
    uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    stored = client.retrieve_instance_frames(*uids, [1], media_types=(("image/jp2", "1.2.840.10008.1.2.4.91"),))
    assert stored[0][4:8] == b"jP  "
    decoded = client.retrieve_instance_frames(*uids, [1], media_types=("application/octet-stream",))
    with hilum.open(live_server.root) as archive:
        assert decoded[0] == archive.instance(ds.SOPInstanceUID).frame(0).tobytes()


@pytest.mark.parametrize("accept", [None, "*/*", "multipart/related", AS_STORED, "image/jp2", "image/j2c"])
def test_w7_w11_never_406_and_never_empty(web: httpx.Client, demo: Path, accept: str | None) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    request = web.build_request("GET", f"{path}/frames/1")
    del request.headers["accept"]
    if accept:
        request.headers["accept"] = accept
    answer = web.send(request)
    assert answer.status_code == 200
    assert len(answer.content) > 100_000


def test_w22_decoded_frames_are_native_little_endian(web: httpx.Client, live_server: Any) -> None:
    with hilum.open(live_server.root) as archive:
        found = [i for i in archive.instances() if i.pixels and i.pixels.bits_allocated > 1]
        for instance in {i.transfer_syntax_uid + str(i.number_of_frames): i for i in found}.values():
            path = (
                f"/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
                f"/instances/{instance.sop_instance_uid}/frames/1"
            )
            answer = web.get(path, headers={"Accept": NATIVE})
            assert answer.status_code == 200
            frame = instance.frame(0)
            body = parts(answer)[0][1]
            if instance.pixels is not None and instance.pixels.planar_configuration == 0:
                assert body == frame.tobytes()
            assert len(body) == frame.nbytes


def test_w8_default_is_explicit_little_endian_and_star_is_untouched(web: httpx.Client, demo: Path) -> None:
    archive = zipfile.ZipFile(demo / "ct-chest.zip")
    raw = archive.read(next(n for n in archive.namelist() if n.endswith(".dcm") or "." not in n.rsplit("/")[-1]))
    ds = pydicom.dcmread(io.BytesIO(raw))
    path = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    as_stored = web.get(path, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    assert parts(as_stored)[0][1] == raw
    made = web.get(path, headers={"Accept": 'multipart/related; type="application/dicom"'})
    again = pydicom.dcmread(io.BytesIO(parts(made)[0][1]))
    assert again.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert again.PixelData == ds.PixelData
    assert {e.tag for e in again} == {e.tag for e in ds if e.tag.element}


@pytest.mark.parametrize("name", ["us-cine.dcm", "mr-shoulder.dcm", "op-fundus.dcm", "xa-coronary.dcm"])
def test_w8_compressed_objects_are_decoded(web: httpx.Client, live_server: Any, demo: Path, name: str) -> None:
    ds, _, path = sample(demo, name)
    answer = web.get(path, headers={"Accept": "application/dicom"})
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content)
    again = pydicom.dcmread(io.BytesIO(answer.content))
    assert again.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    with hilum.open(live_server.root) as archive:
        frames = archive.instance(ds.SOPInstanceUID).frames
        expected = b"".join(frame.tobytes() for frame in frames)
    assert again.PixelData[: len(expected)] == expected
    assert again.pixel_array.size == np.prod([len(frames), *frames[0].shape])


def test_w9_metadata_with_the_accept_of_ohif(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    accept = "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*"
    answer = web.get(f"{path}/metadata", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/dicom+json"


def test_w12_pdf_in_every_way_that_viewers_ask(web: httpx.Client, demo: Path) -> None:
    ds, _, path = sample(demo, "document-pdf.dcm")
    for accept in ("application/pdf", "*/*", "application/octet-stream"):
        answer = web.get(f"{path}/rendered", headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.content.startswith(b"%PDF")
    multipart = web.get(f"{path}/rendered", headers={"Accept": 'multipart/related; type="application/pdf"'})
    assert parts(multipart)[0][1].startswith(b"%PDF")
    part = web.get(f"{path}/rendered", headers={"Range": "bytes=-5"})
    assert part.status_code == 206
    assert part.content == answer.content[-5:]
    bulk = web.get(f"{path}/bulkdata/00420011")
    assert bulk.content.startswith(b"%PDF")
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.mark.parametrize(
    "tail", ["/frames/1/rendered", "/rendered/1", "/frames/1/thumbnail", "/thumbnail/1", "/rendered", "/thumbnail"]
)
def test_w13_rendered_under_every_spelling(web: httpx.Client, demo: Path, tail: str) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    answer = web.get(path + tail, headers={"Accept": "image/jpeg"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")


def test_w14_lengths_and_ranges(web: httpx.Client, demo: Path) -> None:
    _, raw, path = sample(demo, "us-cine.dcm")
    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    whole = web.get(path, headers=accept)
    assert (whole.status_code, int(whole.headers["content-length"])) == (200, len(raw))
    assert whole.headers["accept-ranges"] == "bytes"
    for text, start, stop in (
        ("0-99", 0, 100),
        ("100-", 100, len(raw)),
        ("-100", len(raw) - 100, len(raw)),
        ("5-5", 5, 6),
    ):
        answer = web.get(path, headers={**accept, "Range": f"bytes={text}"})
        assert answer.status_code == 206
        assert answer.content == raw[start:stop]
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(raw)}"
    beyond = web.get(path, headers={**accept, "Range": f"bytes={len(raw)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(raw)}")
    several = web.get(path, headers={**accept, "Range": "bytes=0-1,3-4"})
    assert (several.status_code, several.content) == (200, raw)
    changed = web.get(path, headers={**accept, "Range": "bytes=0-9", "If-Range": '"other"'})
    assert changed.status_code == 200
    frame = web.get(f"{path}/frames/1", headers={"Accept": "image/jpeg", "Range": "bytes=2-3"})
    assert (frame.status_code, len(frame.content)) == (206, 2)


def test_w14_w16_cors(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    origin = {"Origin": "http://viewer.example:3000"}
    answer = web.get(f"{path}/frames/1", headers=origin)
    assert answer.headers["access-control-allow-origin"] in ("*", origin["Origin"])
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert all(name in exposed for name in ("content-range", "content-length", "etag", "warning", "accept-ranges"))
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "accept,range,authorization"}
    preflight = web.options(f"{path}/frames/1", headers={**origin, **wanted})
    assert preflight.status_code == 204
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("accept", "range", "authorization", "content-type"))
    assert "POST" in preflight.headers["access-control-allow-methods"]
    missing = web.get("/studies/1.2.3/metadata", headers=origin)
    assert (missing.status_code, "access-control-allow-origin" in missing.headers) == (404, True)


def test_w16_viewer_pages_are_isolated(live_server: Any) -> None:
    page = httpx.get(live_server.url + "/")
    assert page.status_code == 200
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["cross-origin-embedder-policy"] == "require-corp"
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_w17_available_transfer_syntax(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "sm-tiles.dcm")
    metadata = web.get(f"{path}/metadata").json()[0]
    assert metadata["00083002"]["Value"] == ["1.2.840.10008.1.2.4.50"]
    assert not any(tag.startswith("0002") for tag in metadata), "M-4: never group 2"


def test_w19_thumbnail_of_what_has_no_pixels(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "report-sr.dcm")
    answer = web.get(f"{path}/thumbnail?viewport=64%2C64")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    series = path.rpartition("/instances/")[0]
    assert web.get(f"{series}/thumbnail?viewport=64%2C64").status_code == 200
    assert web.get(f"{path}/rendered").status_code == 406
    assert web.get(f"{path}/thumbnail", headers={"Accept": "image/jpeg"}).status_code == 406


def test_w20_series_in_bulk(web: httpx.Client, demo: Path, live_server: Any) -> None:
    ds, _, path = sample(demo, "us-cine.dcm")
    series = path.rpartition("/instances/")[0]
    answer = web.get(series, headers={"Accept": 'multipart/related;type="application/dicom"; transfer-syntax=*'})
    assert int(answer.headers["content-length"]) == len(answer.content)
    objects = DICOMwebClient(live_server.dicomweb).retrieve_series(ds.StudyInstanceUID, ds.SeriesInstanceUID)
    assert [o.SOPInstanceUID for o in objects] == [ds.SOPInstanceUID]


def test_w21_frame_numbers(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    assert web.get(f"{path}/frames/31").status_code == 404
    assert web.get(f"{path}/frames/0").status_code == 400
    assert web.get(f"{path}/frames/x").status_code == 400
    assert web.get(f"{path}/frames/1,31").status_code == 404
    _, _, report = sample(demo, "report-sr.dcm")
    assert web.get(f"{report}/frames/1").status_code == 404


def test_w21_jp2_has_boxes_and_j2c_has_none(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "mr-shoulder.dcm")
    assert web.get(f"{path}/frames/1", headers={"Accept": "image/jp2"}).content[:8] == b"\0\0\0\x0cjP  "
    assert web.get(f"{path}/frames/1", headers={"Accept": "image/j2c"}).content[:4] == b"\xff\x4f\xff\x51"


def test_w22_one_bit_frames_are_packed_from_a_byte_edge(web: httpx.Client, demo: Path) -> None:
    ds, _, path = sample(demo, "pet-tumour-seg.dcm")
    answer = web.get(f"{path}/frames/2", headers={"Accept": NATIVE})
    body = parts(answer)[0][1]
    assert len(body) == ds.Rows * ds.Columns // 8
    assert body == ds.PixelData[len(body) : 2 * len(body)]


def test_several_frames_come_in_the_order_asked(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    single = {n: parts(web.get(f"{path}/frames/{n}"))[0][1] for n in (3, 1, 7)}
    answer = web.get(f"{path}/frames/3,1,7", headers={"Accept": AS_STORED})
    assert [body for _, body in parts(answer)] == [single[3], single[1], single[7]]
    assert web.get(f"{path}/frames/1,2", headers={"Accept": "image/jpeg"}).status_code == 406


def test_many_frames_are_streamed_with_their_length(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    numbers = ",".join(str(n % 30 + 1) for n in range(4000))
    answer = web.get(f"{path}/frames/{numbers}", headers={"Accept": AS_STORED})
    assert len(answer.content) > 16 << 20
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.count(b"\r\nContent-Type: ") == 4000


# metadata and bulk data


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_m1_m3_metadata_equals_the_file(web: httpx.Client, demo: Path, level: str) -> None:
    ds, _, path = sample(demo, "mr-shoulder.dcm")
    tail = {"study": path.split("/series/")[0], "series": path.split("/instances/")[0], "instance": path}[level]
    found = web.get(f"{tail}/metadata").json()
    own = next(d for d in found if d["00080018"]["Value"] == [ds.SOPInstanceUID])
    assert own["00280010"]["Value"] == [ds.Rows]
    assert own["00100010"]["Value"][0]["Alphabetic"] == str(ds.PatientName)
    assert all(tag == tag.upper() for tag in own)
    assert (
        pydicom.Dataset.from_json(json.dumps({t: v for t, v in own.items() if "BulkDataURI" not in v})).Rows == ds.Rows
    )


def test_m2_bulk_data_uris_are_absolute_and_lead_to_the_value(web: httpx.Client, demo: Path) -> None:
    ds, _, path = sample(demo, "pet-tumour-seg.dcm")
    own = web.get(f"{path}/metadata").json()[0]
    uri = own["7FE00010"]["BulkDataURI"]
    assert uri == f"{web.base_url}{path.lstrip('/')}/bulkdata/7FE00010"
    assert web.get(uri).content == ds.PixelData
    part = web.get(uri, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, ds.PixelData[10:20])
    multipart = web.get(uri, headers={"Accept": NATIVE})
    assert parts(multipart)[0][1] == ds.PixelData


def test_m2_bulk_data_uris_follow_the_proxy(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "pet-tumour-seg.dcm")
    headers = {"X-Forwarded-Host": "pacs.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/hilum"}
    text = web.get(f"{path}/metadata", headers=headers).text
    assert "https://pacs.example/hilum/dicom-web/studies/" in text
    other = web.get(f"{path}/metadata", headers={"Forwarded": 'for=1.2.3.4;host="pacs.example";proto=https'}).text
    assert "https://pacs.example/dicom-web/studies/" in other
    evil = web.get(
        f"{path}/metadata", headers={"X-Forwarded-Host": 'a"}],"x":[{"', "X-Forwarded-Proto": "javascript"}
    ).text
    assert 'a"}]' not in evil
    assert "javascript" not in evil


def test_metadata_is_revalidated_and_compressed(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    study = path.split("/series/")[0]
    answer = web.get(f"{study}/metadata", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]
    again = web.get(f"{study}/metadata", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = web.get(f"{study}/metadata", headers={"Accept-Encoding": "identity"})
    assert plain.json() == answer.json()


def test_metadata_as_xml(web: httpx.Client, demo: Path) -> None:
    from xml.etree import ElementTree as ET

    _, _, path = sample(demo, "report-sr.dcm")
    answer = web.get(f"{path}/metadata", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    root = ET.fromstring(parts(answer)[0][1])
    assert root.tag.endswith("NativeDicomModel")
    assert root.find(".//{*}DicomAttribute[@tag='00080018']/{*}Value") is not None


def test_bulk_data_that_does_not_exist(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    assert web.get(f"{path}/bulkdata/00420011").status_code == 404
    assert web.get(f"{path}/bulkdata/nonsense").status_code == 400
    assert web.get(f"{path}/bulkdata/../../../../etc/passwd").status_code in (400, 404)


# rendered


def test_rendered_parameters(web: httpx.Client, demo: Path) -> None:
    from PIL import Image

    _, _, path = sample(demo, "cr-chest.dcm")
    whole = Image.open(io.BytesIO(web.get(f"{path}/rendered").content))
    small = Image.open(io.BytesIO(web.get(f"{path}/rendered?viewport=200,200").content))
    assert max(small.size) == 200
    assert small.size[0] / small.size[1] == pytest.approx(whole.size[0] / whole.size[1], rel=0.02)
    region = Image.open(io.BytesIO(web.get(f"{path}/rendered?viewport=50,50,100,100,400,400").content))
    assert region.size == (50, 50)
    png = web.get(f"{path}/rendered?accept=image/png")
    assert png.headers["content-type"] == "image/png"
    dark = np.asarray(Image.open(io.BytesIO(web.get(f"{path}/rendered?window=1,2&viewport=64,64").content)))
    bright = np.asarray(Image.open(io.BytesIO(web.get(f"{path}/rendered?window=60000,2&viewport=64,64").content)))
    assert abs(float(dark.mean()) - float(bright.mean())) > 50
    low, high = (len(web.get(f"{path}/rendered?quality={q}").content) for q in (20, 95))
    assert low < high
    assert web.get(f"{path}/rendered?viewport=64,64&window=100,200,sigmoid").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["quality=0", "quality=101", "quality=x", "window=1", "window=1,0", "window=a,b", "window=1,2,wavy", "window=nan,2",
     "viewport=1", "viewport=-1,5", "viewport=99999,5", "viewport=5,5,0,0,0,3", "window=1e999,2"],
)  # fmt: skip
def test_rendered_parameters_that_cannot_be(web: httpx.Client, demo: Path, query: str) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    assert web.get(f"{path}/rendered?{query}").status_code == 400


def test_rendered_study_and_series(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    for tail in (path.split("/series/")[0], path.split("/instances/")[0]):
        assert web.get(f"{tail}/rendered?viewport=32,32", headers={"Accept": "image/jpeg"}).content[:2] == b"\xff\xd8"
        every = web.get(f"{tail}/rendered?viewport=32,32", headers={"Accept": 'multipart/related; type="image/jpeg"'})
        assert len(parts(every)) == 30
        assert len(web.get(f"{tail}/thumbnail").content) < 10_000


def test_rendered_is_revalidated(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    answer = web.get(f"{path}/frames/3/rendered")
    again = web.get(f"{path}/frames/3/rendered", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    other = web.get(f"{path}/frames/3/rendered?window=1,2", headers={"If-None-Match": answer.headers["etag"]})
    assert other.status_code == 200


# whole


def test_zip_of_a_study(web: httpx.Client, demo: Path) -> None:
    ds, raw, path = sample(demo, "us-cine.dcm")
    answer = web.get(path.split("/series/")[0], headers={"Accept": "application/zip"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    name = next(n for n in archive.namelist() if ds.SOPInstanceUID in n)
    assert archive.read(name) == raw


def test_head_gives_the_same_headers(web: httpx.Client, demo: Path) -> None:
    _, _, path = sample(demo, "us-cine.dcm")
    for tail in ("/metadata", "/frames/1", "/rendered", "", "/bulkdata/7FE00010"):
        get, head = web.get(path + tail), web.head(path + tail)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers.get("content-length") == get.headers.get("content-length")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.2.3", 404),
        ("/studies/1.2.3/series/1.2/instances/1/frames/1", 404),
        ("/studies/abc/metadata", 400),
        ("/studies/..%2f..%2fetc/metadata", 404),
        ("/nonsense", 404),
        ("/studies/1.2.3/nonsense", 404),
        ("/studies/" + "1" * 65 + "/metadata", 400),
    ],
)
def test_errors_are_short_and_do_not_repeat_the_request(web: httpx.Client, path: str, status: int) -> None:
    answer = web.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.text) < 200
    assert "abc" not in answer.text


def test_method_that_is_not_allowed(web: httpx.Client) -> None:
    answer = web.delete("/studies/1.2.3")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert web.options("/studies").headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_wado_uri(live_server: Any, demo: Path) -> None:
    ds, raw, _ = sample(demo, "us-cine.dcm")
    with httpx.Client(base_url=live_server.url) as client:
        query = {
            "requestType": "WADO",
            "studyUID": ds.StudyInstanceUID,
            "seriesUID": ds.SeriesInstanceUID,
            "objectUID": ds.SOPInstanceUID,
        }
        image = client.get("/wado", params={**query, "frameNumber": 2, "rows": 64, "columns": 64})
        assert (image.status_code, image.headers["content-type"]) == (200, "image/jpeg")
        whole = client.get("/wado", params={**query, "contentType": "application/dicom"})
        assert whole.content == raw
        assert client.get("/wado", params={**query, "frameNumber": 99}).status_code == 404
        assert client.get("/wado", params={**query, "seriesUID": "1.2.3"}).status_code == 404
        assert client.get("/wado", params={"requestType": "WADO"}).status_code == 400
        assert client.get("/wado", params=query | {"requestType": "X"}).status_code == 400


def test_log_and_metrics_hold_no_identifiers(live_server: Any, web: httpx.Client, demo: Path) -> None:
    import time

    ds, _, path = sample(demo, "us-cine.dcm")
    web.get("/studies", params={"PatientID": ds.PatientID or "SECRET-ID", "PatientName": "SECRET^NAME"})
    web.get(f"{path}/metadata")
    time.sleep(1.5)
    log = (live_server.root.parent / "access.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"time", "route", "status", "ms", "bytes", "method"} <= set(lines[0])
    metrics = httpx.get(live_server.url + "/metrics").text
    for text in (log, metrics):
        assert "SECRET" not in text
        assert ds.SOPInstanceUID not in text
        assert not re.search(r"\d+\.\d+\.840\.\d+", text)
    assert "hilum_http_request_duration_seconds_bucket" in metrics
    assert re.search(r"^hilum_archive_instances \d{3,}$", metrics, re.MULTILINE)
