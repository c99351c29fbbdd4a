"""Tiles of a slide over HTTP's application interface, beside wsidicom and large_image reading the same DICOM files.

`python -m pytest benchmarks/bench_tiles.py --benchmark-only`. A slide of 4096x4096 (JPEG tiles of 256x256, 4:2:2, three
levels) is read by all. `hilum` answers whole requests: route, headers, ETag and body, by its ASGI application in this
process. The peers are called as libraries, without any server around them, which is to their advantage.

- stored: a tile that is as it is stored. wsidicom has `read_encoded_tile` (the stored bytes) and `read_tile`, of which
  its viewers encode a JPEG; large_image's DICOM source decodes and encodes (`getTile`).
- rendered: 256x256 pixels at no tile's corner, out of four tiles, as JPEG of quality 90.

Traps: the page cache is warm; every request asks for another tile, and `hilum` keeps no decoded tiles here
(`decoded_memory_bytes` = 0), large_image and wsidicom are told to keep none either; what comes is compared by pixels.
"""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from slides import ROOT, halved, tissue, write_slide

import hilum
from hilum.archive.tiles import Tiler
from hilum.dicomweb.app import Pool
from hilum.dicomweb.tiles import Iiif

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

TILE = 256
AT_ONCE = 20
"""Tiles of one round."""


@pytest.fixture(scope="module")
def side(request: pytest.FixtureRequest) -> int:
    return 1024 if request.config.getoption("benchmark_disable", default=False) else 4096


@pytest.fixture(scope="module")
def folder(side: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("slide")
    pixels = tissue(side, side)
    noise = np.random.default_rng(1).integers(-12, 13, (side, side, 1))
    pixels = np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)
    for number in (1, 2, 3):
        write_slide(root / f"{number}.dcm", pixels, number=number, tile=TILE, jpeg=True)
        pixels = halved(pixels)
    return root


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[hilum.Archive]:
    with hilum.open(tmp_path_factory.mktemp("tiles") / "archive") as opened:
        opened.import_paths([folder])
        yield opened


class Service:
    """The IIIF application, asked without a socket."""

    def __init__(self, archive: hilum.Archive) -> None:
        self._executor = ThreadPoolExecutor(2)
        self._app = Iiif(archive, Tiler(archive.retrieve, archive.index, 0), Pool(self._executor, 64))
        self._loop = asyncio.new_event_loop()

    def get(self, path: str) -> bytes:
        return self._loop.run_until_complete(self._get(path))

    async def _get(self, path: str) -> bytes:
        body = bytearray()
        status = 0

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            body.extend(message.get("body", b""))

        async def receive() -> Any:
            await asyncio.sleep(3600)

        scope = {
            "type": "http",
            "scheme": "http",
            "method": "GET",
            "path": f"/iiif{path}",
            "raw_path": f"/iiif{path}".encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"accept", b"image/jpeg")],
            "hilum.mount": "/iiif",
        }
        await self._app(scope, receive, send)
        assert status == 200
        return bytes(body)

    def close(self) -> None:
        self._executor.shutdown()
        self._loop.close()


@pytest.fixture(scope="module")
def service(archive: hilum.Archive) -> Iterator[Service]:
    made = Service(archive)
    yield made
    made.close()


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=90)
    return stream.getvalue()


def hilum_readers(request: pytest.FixtureRequest) -> dict[str, Any]:
    service: Service = request.getfixturevalue("service")
    name = f"{ROOT}.1"
    return {
        "stored": lambda x, y: service.get(f"/3/{name}/{x},{y},{TILE},{TILE}/{TILE},{TILE}/0/default.jpg"),
        "rendered": lambda x, y: service.get(f"/3/{name}/{x},{y},{TILE},{TILE}/{TILE},{TILE}/0/default.jpg"),
    }


def wsidicom_readers(request: pytest.FixtureRequest) -> dict[str, Any]:
    wsidicom = pytest.importorskip("wsidicom")
    config = pytest.importorskip("wsidicom.config")
    none = config.Settings(decoded_frame_cache_size=0, encoded_frame_cache_size=0)
    with config.use_settings(none):
        slide = wsidicom.WsiDicom.open(request.getfixturevalue("folder"))
    request.addfinalizer(slide.close)
    return {
        "stored": lambda x, y: encoded(slide.read_tile(0, (x // TILE, y // TILE))),
        "stored bytes": lambda x, y: slide.read_encoded_tile(0, (x // TILE, y // TILE)),
        "rendered": lambda x, y: encoded(slide.read_region((x, y), 0, (TILE, TILE))),
    }


def large_image_readers(request: pytest.FixtureRequest) -> dict[str, Any]:
    pytest.importorskip("large_image")
    module = pytest.importorskip("large_image_source_dicom")
    source = module.DICOMFileTileSource(
        str(request.getfixturevalue("folder") / "1.dcm"), encoding="JPEG", jpegQuality=90, noCache=True
    )
    level = source.levels - 1

    def region(x: int, y: int) -> bytes:
        found = source.getRegion(
            region={"left": x, "top": y, "width": TILE, "height": TILE, "units": "base_pixels"}, encoding="JPEG"
        )
        return bytes(found[0])

    return {"stored": lambda x, y: source.getTile(x // TILE, y // TILE, level), "rendered": region}


READERS = {"hilum": hilum_readers, "wsidicom": wsidicom_readers, "large_image": large_image_readers}
CASES = [
    ("hilum", "stored"),
    ("wsidicom", "stored bytes"),
    ("wsidicom", "stored"),
    ("large_image", "stored"),
    ("hilum", "rendered"),
    ("wsidicom", "rendered"),
    ("large_image", "rendered"),
]


@pytest.mark.informational
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("peer", "what"), CASES)
def test_tiles(
    benchmark: BenchmarkFixture, request: pytest.FixtureRequest, side: int, service: Service, peer: str, what: str
) -> None:
    read = READERS[peer](request)[what]
    shift = 0 if what.startswith("stored") else 91
    random = np.random.default_rng(5)
    places = (random.integers(0, side // TILE - 1, (512, 2)) * TILE + shift).tolist()
    x, y = places[0]
    mine = np.asarray(Image.open(io.BytesIO(hilum_readers(request)[what.split()[0]](x, y))))
    got = np.asarray(Image.open(io.BytesIO(read(x, y))).convert("RGB"))
    assert np.abs(got.astype(int) - mine).mean() < 4.0
    at = iter(range(10**9))

    def some() -> None:
        for _ in range(AT_ONCE):
            read(*places[next(at) % len(places)])

    benchmark.group = what.split()[0]
    benchmark.extra_info["tiles"] = AT_ONCE
    benchmark.pedantic(some, rounds=15, warmup_rounds=2)
