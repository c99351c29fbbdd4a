"""WADO-RS in other transfer syntaxes than the stored ones (PS3.18 8.7.3): by dicomweb-client and decoders not ours."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.rle import _rle_decode_frame
from tests.interop.services.test_wado import parts, sample

import hilum
from hilum.codecs.encode import encode_frame
from hilum.dicomweb.negotiate import STORED_MEDIA

pytestmark = pytest.mark.xdist_group("live_server")
DEMO = Path(__file__).parent.parent.parent / "data" / "demo"
ROOT = "1.2.840.10008.1.2"
ELE = f"{ROOT}.1"
RLE, JPEG, LOSSLESS_JPEG, JPEG_LS, J2K, HTJ2K = (
    f"{ROOT}.{tail}" for tail in ("5", "4.50", "4.70", "4.80", "4.90", "4.201")
)
OCTETS = "application/octet-stream"
MULTIPART = 'multipart/related; type="application/dicom"; transfer-syntax='


def decoded_elsewhere(data: bytes, syntax: str, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A frame of the shape and type of `like`, decoded by a library that hilum does not use for this syntax."""
    if syntax == RLE:
        samples = like.shape[2] if like.ndim > 2 else 1
        raw = _rle_decode_frame(data, *like.shape[:2], samples, like.dtype.itemsize * 8)
        return np.frombuffer(raw, like.dtype).reshape(samples, *like.shape[:2]).transpose(1, 2, 0).reshape(like.shape)
    decode = {
        JPEG: imagecodecs.jpeg8_decode,
        LOSSLESS_JPEG: imagecodecs.ljpeg_decode,
        JPEG_LS: imagecodecs.jpegls_decode,
        J2K: imagecodecs.jpeg2k_decode,
        HTJ2K: imagecodecs.jpeg2k_decode,
    }[syntax]
    return np.asarray(decode(data))


@pytest.fixture
def client(live_server: Any) -> DICOMwebClient:
    return DICOMwebClient(live_server.dicomweb)


@pytest.fixture
def archive(live_server: Any) -> Any:
    with hilum.open(live_server.root) as opened:
        yield opened


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_JPEG, JPEG_LS, J2K, HTJ2K])
@pytest.mark.parametrize("name", ["xa-coronary.dcm", "mr-shoulder.dcm", "us-colour.dcm"])
def test_frames_by_their_media_type(
    client: DICOMwebClient, web: httpx.Client, archive: Any, name: str, syntax: str
) -> None:
    ds, _, path = sample(DEMO, name)
    frame = archive.instance(ds.SOPInstanceUID).frame(0)
    uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    media = STORED_MEDIA[syntax][0]
    if syntax == HTJ2K:  # dicomweb-client does not know it
        data = web.get(f"{path}/frames/1", headers={"Accept": f"{media}; transfer-syntax={syntax}"}).content
    else:
        (data,) = client.retrieve_instance_frames(*uids, [1], media_types=((media, syntax),))
    assert np.array_equal(decoded_elsewhere(data, syntax, frame), frame)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("image/jls", f"image/jls; transfer-syntax={JPEG_LS}"),
        ("image/jpeg; transfer-syntax=" + LOSSLESS_JPEG, f"image/jpeg; transfer-syntax={LOSSLESS_JPEG}"),
        ("image/jp2", f"image/jp2; transfer-syntax={J2K}"),
        ("image/jphc", f"image/jphc; transfer-syntax={HTJ2K}"),
        ("image/x-dicom rle", f"image/dicom-rle; transfer-syntax={RLE}"),
        (f"{OCTETS}; transfer-syntax={JPEG_LS}", f"{OCTETS}; transfer-syntax={JPEG_LS}"),
        (f"image/jls; q=0.5, image/jp2; transfer-syntax={J2K}", f"image/jp2; transfer-syntax={J2K}"),
        ("image/jls, image/jpeg", f"image/jpeg; transfer-syntax={JPEG}"),  # as stored, among equals
        ("image/jls, image/jpeg; q=0.9", f"image/jls; transfer-syntax={JPEG_LS}"),
        ("image/jxl, image/jls; q=0.1", f"image/jls; transfer-syntax={JPEG_LS}"),
    ],
)  # fmt: skip
def test_what_is_liked_best_and_possible(web: httpx.Client, accept: str, content_type: str) -> None:
    _, _, path = sample(DEMO, "xa-coronary.dcm")
    answer = web.get(f"{path}/frames/3", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == content_type
    tag = answer.headers["etag"]
    assert web.get(f"{path}/frames/3", headers={"Accept": accept, "If-None-Match": tag}).status_code == 304
    other = web.get(f"{path}/frames/3", headers={"Accept": "application/octet-stream"})
    assert other.headers["etag"] != tag


def test_many_frames_in_order(web: httpx.Client, archive: Any) -> None:
    ds, _, path = sample(DEMO, "us-cine.dcm")
    numbers = [7, 1, 30, 2, 2]
    accept = f"multipart/related; type=image/jls; transfer-syntax={JPEG_LS}"
    answer = web.get(f"{path}/frames/{','.join(map(str, numbers))}", headers={"Accept": accept})
    found = parts(answer)
    instance = archive.instance(ds.SOPInstanceUID)
    assert [head["Content-Type"] for head, _ in found] == [f"image/jls; transfer-syntax={JPEG_LS}"] * 5
    for number, (_, data) in zip(numbers, found, strict=True):
        assert np.array_equal(imagecodecs.jpegls_decode(data), instance.frame(number - 1))


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS_JPEG, JPEG_LS, J2K, HTJ2K])
def test_compressed_instances(web: httpx.Client, client: DICOMwebClient, archive: Any, syntax: str) -> None:
    ds, _, path = sample(DEMO, "xa-coronary.dcm")
    uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    if syntax == HTJ2K:  # dicomweb-client does not know it
        answer = web.get(path, headers={"Accept": f"application/dicom; transfer-syntax={syntax}"})
        made: pydicom.Dataset = pydicom.dcmread(io.BytesIO(answer.content))
    else:
        made = client.retrieve_instance(*uids, media_types=(("application/dicom", syntax),))
    assert made.file_meta.TransferSyntaxUID == syntax
    assert made.SOPInstanceUID == ds.SOPInstanceUID
    assert {e.tag for e in made if e.tag.group != 0x7FE0} == {e.tag for e in ds if e.tag.group != 0x7FE0}
    frames = archive.instance(ds.SOPInstanceUID).frames
    encoded = list(generate_frames(made.PixelData, number_of_frames=len(frames)))
    assert len(encoded) == len(frames)
    for number in (0, len(frames) - 1):
        assert np.array_equal(decoded_elsewhere(encoded[number], syntax, frames[number]), frames[number])


@pytest.mark.parametrize("syntax", [f"{ROOT}.1.99", f"{ROOT}.1.98"])
def test_uncompressed_instances(web: httpx.Client, archive: Any, syntax: str) -> None:
    ds, _, path = sample(DEMO, "us-cine.dcm")
    answer = web.get(path, headers={"Accept": f"application/dicom; transfer-syntax={syntax}"})
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == syntax
    frames = archive.instance(ds.SOPInstanceUID).frames
    body = made.PixelData
    if syntax.endswith("98"):
        body = b"".join(generate_frames(body, number_of_frames=len(frames)))
    assert body == b"".join(frame.tobytes() for frame in frames)


def test_a_series_by_dicomweb_client(client: DICOMwebClient, archive: Any) -> None:
    ct = next(i for i in archive.instances() if i.transfer_syntax_uid == ROOT and i.pixels is not None)
    made = client.retrieve_series(
        ct.study_instance_uid, ct.series_instance_uid, media_types=(("application/dicom", JPEG_LS),)
    )
    assert {one.file_meta.TransferSyntaxUID for one in made} == {JPEG_LS}
    for one in made[:3]:
        (data,) = generate_frames(one.PixelData, number_of_frames=1)
        # imagecodecs knows no sign: the bits are the same
        expected = archive.instance(one.SOPInstanceUID).frame(0)
        mask = (1 << one.BitsStored) - 1
        assert np.array_equal(imagecodecs.jpegls_decode(data) & mask, expected.astype(np.int32) & mask)


def test_each_instance_in_the_syntax_that_is_liked_best(web: httpx.Client, live_server: Any, archive: Any) -> None:
    """Also what has no pixel data, or was stored in one of them."""
    studies: dict[str, list[Any]] = {}
    for instance in archive.instances():
        studies.setdefault(instance.study_instance_uid, []).append(instance)
    study, members = next(
        (uid, found) for uid, found in studies.items() if {i.pixels is None for i in found} == {True, False}
    )
    answer = web.get(f"/studies/{study}", headers={"Accept": f"{MULTIPART}{RLE}, {MULTIPART}{ROOT}.8.1; q=0.5"})
    found = [pydicom.dcmread(io.BytesIO(body)) for _, body in parts(answer)]
    plain = {one.file_meta.TransferSyntaxUID for one in found if "Rows" not in one}
    assert plain == {ELE}
    images = [one for one in found if "Rows" in one]
    assert images
    assert {one.file_meta.TransferSyntaxUID for one in images} <= {RLE, f"{ROOT}.8.1"}
    left_out = len(members) - len(found)
    assert answer.status_code == (206 if left_out else 200)
    for head, body in parts(answer):
        syntax = pydicom.dcmread(io.BytesIO(body), stop_before_pixels=True).file_meta.TransferSyntaxUID
        assert head["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"


def test_with_loss_it_is_another_object(web: httpx.Client) -> None:
    ds, _, path = sample(DEMO, "op-fundus.dcm")
    answer = web.get(path, headers={"Accept": f"application/dicom; transfer-syntax={JPEG}"})
    made = pydicom.dcmread(io.BytesIO(answer.content))
    assert made.file_meta.TransferSyntaxUID == JPEG
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID != ds.SOPInstanceUID
    assert made.LossyImageCompression == "01"
    near = pydicom.dcmread(
        io.BytesIO(web.get(path, headers={"Accept": f"application/dicom; transfer-syntax={ROOT}.4.81"}).content)
    )
    assert near.SOPInstanceUID == ds.SOPInstanceUID  # a syntax that can do without loss is asked for none
    assert near.get("LossyImageCompression", "00") == ds.get("LossyImageCompression", "00")


@pytest.mark.parametrize(
    ("name", "tail", "accept"),
    [
        ("mr-shoulder.dcm", "", f"application/dicom; transfer-syntax={JPEG}"),  # 12 bits
        ("report-sr.dcm", "", f"application/dicom; transfer-syntax={JPEG_LS}"),
        ("xa-coronary.dcm", "", f"application/dicom; transfer-syntax={ROOT}.4.110"),
        ("xa-coronary.dcm", "", f"application/dicom; transfer-syntax={ROOT}"),
        ("xa-coronary.dcm", "", f"application/dicom; transfer-syntax={ROOT}.2"),
        ("xa-coronary.dcm", "", "application/dicom; transfer-syntax=1.2.3"),
        ("mr-shoulder.dcm", "/frames/1", f"image/jpeg; transfer-syntax={JPEG}"),
        ("mr-shoulder.dcm", "/frames/1", f"image/jls; transfer-syntax={J2K}"),
        ("mr-shoulder.dcm", "/frames/1", "image/jxl"),
        ("mr-shoulder.dcm", "/frames/1", "video/mp4"),
        ("mr-shoulder.dcm", "/bulkdata/7FE00010", "image/jxl"),
    ],
)
def test_what_cannot_be_made_is_406_and_says_what_can(web: httpx.Client, name: str, tail: str, accept: str) -> None:
    _, _, path = sample(DEMO, name)
    answer = web.get(path + tail, headers={"Accept": accept})
    assert answer.status_code == 406
    assert "transfer-syntax=*" in answer.text
    if name != "report-sr.dcm":
        assert JPEG_LS in answer.text and RLE in answer.text


def test_pixel_data_as_bulk_data(web: httpx.Client, client: DICOMwebClient, archive: Any) -> None:
    ds, _, path = sample(DEMO, "us-cine.dcm")
    frames = archive.instance(ds.SOPInstanceUID).frames
    uri = f"{path}/bulkdata/7FE00010"
    native = web.get(uri, headers={"Accept": "application/octet-stream"})
    whole = b"".join(frame.tobytes() for frame in frames)
    assert native.content == whole
    assert int(native.headers["content-length"]) == len(whole)
    ((head, body),) = parts(web.get(uri, headers={"Accept": 'multipart/related; type="application/octet-stream"'}))
    assert head["Content-Type"] == "application/octet-stream"
    assert body == whole
    data = client.retrieve_bulkdata(str(web.base_url) + uri.lstrip("/"), media_types=(("image/jls", JPEG_LS),))
    assert len(data) == len(frames)
    assert np.array_equal(imagecodecs.jpegls_decode(data[29]), frames[29])
    stored = parts(web.get(uri))
    assert {head["Content-Type"] for head, _ in stored} == {f"application/octet-stream; transfer-syntax={JPEG}"}


def test_one_bit_frames_and_native_ones(web: httpx.Client, archive: Any) -> None:
    ds, _, path = sample(DEMO, "pet-tumour-seg.dcm")
    frames = archive.instance(ds.SOPInstanceUID).frames
    deflated = f"{ROOT}.8.1"
    answer = web.get(f"{path}/frames/5", headers={"Accept": f"application/octet-stream; transfer-syntax={deflated}"})
    assert answer.headers["content-type"] == f"application/octet-stream; transfer-syntax={deflated}"
    bits = np.unpackbits(np.frombuffer(zlib.decompress(answer.content, -15), np.uint8), bitorder="little")
    assert np.array_equal(bits[: frames[4].size], frames[4].reshape(-1))


def test_only_the_frame_asked_for_is_decoded(start: Any, tmp_path: Path) -> None:
    """The others may even be damaged."""
    ds = pydicom.dcmread(DEMO / "xa-coronary.dcm")
    image = np.arange(512 * 512, dtype=np.uint32).reshape(512, 512).astype(np.uint8)
    with hilum.open(tmp_path / "other") as opened:
        opened.import_paths([DEMO / "xa-coronary.dcm"])
        described = opened.instance(ds.SOPInstanceUID).pixels
    good = encode_frame(image, RLE, described)
    ds.PixelData = encapsulate([b"no RLE at all.." * 8, good, b"\0" * 64])
    ds.NumberOfFrames = 3
    ds.file_meta.TransferSyntaxUID = RLE
    ds.save_as(tmp_path / "damaged.dcm")
    with hilum.open(tmp_path / "archive") as opened:
        opened.import_paths([tmp_path / "damaged.dcm"])
    server = start(tmp_path / "archive")
    path = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    with httpx.Client(base_url=server.dicomweb, timeout=60) as web:
        answer = web.get(f"{path}/frames/2", headers={"Accept": "image/jls"})
        assert np.array_equal(imagecodecs.jpegls_decode(answer.content), image)
        assert 400 <= web.get(f"{path}/frames/1", headers={"Accept": "image/jls"}).status_code < 600
        whole = web.get(path, headers={"Accept": f"{MULTIPART}{JPEG_LS}"})  # goes out as stored, and says so
        assert parts(whole)[0][0]["Content-Type"] == f"application/dicom; transfer-syntax={RLE}"
        assert parts(whole)[0][1] == (tmp_path / "damaged.dcm").read_bytes()
