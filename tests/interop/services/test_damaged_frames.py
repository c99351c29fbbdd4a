"""A damaged frame in an answer of several: a status where there still can be one, else an end that clients notice."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pydicom
import pytest
from objects import make_object
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.xdist_group("live_server")
NATIVE = 'multipart/related; type="application/octet-stream"'
FRAMES = 4


def damaged(instance: int, size: int, bad: int) -> tuple[bytes, str]:
    """An object in RLE with a frame (from 1) that ends early, and the path of its resource."""
    ds = pydicom.dcmread(io.BytesIO(make_object(9, 1, instance, size=size, frames=FRAMES)))
    rng = np.random.default_rng(instance)
    encoder = get_encoder(RLELossless)
    pieces = []
    for frame in range(FRAMES):
        values = rng.integers(0, 4096, (size, size), np.uint16)
        data = encoder.encode(values, rows=size, columns=size, samples_per_pixel=1, number_of_frames=1,
                              bits_allocated=16, bits_stored=16, pixel_representation=0,
                              photometric_interpretation="MONOCHROME2")  # fmt: skip
        pieces.append(data[: len(data) // 2 & ~1] if frame + 1 == bad else data)
    ds.PixelData = encapsulate(pieces)
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = RLELossless
    stream = io.BytesIO()
    ds.save_as(stream)
    path = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    return stream.getvalue(), path


SMALL, LARGE, LARGE_FIRST = damaged(1, 16, 3), damaged(2, 512, 3), damaged(3, 512, 1)


@pytest.fixture(scope="module")
def web(served_archive: Callable[[list[bytes]], Any]) -> Iterator[httpx.Client]:
    server = served_archive([SMALL[0], LARGE[0], LARGE_FIRST[0]])
    with httpx.Client(base_url=server.dicomweb, timeout=60) as client:
        yield client


PNG = "multipart/related; type=image/png"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"{SMALL[1]}/frames/1,2,3,4", NATIVE),
        (f"{LARGE_FIRST[1]}/frames/1,2,3,4", NATIVE),
        (f"{LARGE_FIRST[1]}/frames/1,2/rendered", PNG),
    ],
)
def test_damage_near_the_beginning_is_a_status(web: httpx.Client, path: str, accept: str) -> None:
    answer = web.get(path, headers={"Accept": accept})
    assert answer.status_code == 422
    assert "RLE" in answer.text


@pytest.mark.parametrize(("what", "accept"), [("frames/1,2,3,4", NATIVE), ("frames/1,2,3,4/rendered", PNG)])
def test_damage_later_on_cuts_the_answer(web: httpx.Client, what: str, accept: str) -> None:
    received = []
    with web.stream("GET", f"{LARGE[1]}/{what}", headers={"Accept": accept}) as answer:
        assert answer.status_code == 200
        boundary = answer.headers["content-type"].split("boundary=")[1].strip('"').encode()
        with pytest.raises(httpx.RemoteProtocolError):
            received.extend(answer.iter_bytes())
    assert b"".join(received).startswith(b"--" + boundary)
    assert b"--" + boundary + b"--" not in b"".join(received)


def test_the_other_frames_are_answered(web: httpx.Client) -> None:
    answer = web.get(f"{LARGE[1]}/frames/1,2,4", headers={"Accept": NATIVE})
    assert answer.status_code == 200
    assert answer.content.count(b"Content-Type: application/octet-stream") == 3
