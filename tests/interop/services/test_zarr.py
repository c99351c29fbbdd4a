"""Series as Zarr over HTTP, read by programs that are not ours: zarr-python, tensorstore, xarray, dask, imagecodecs."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
import zarr
from tests.support.node import npm_package
from zarr.registry import register_codec

import hilum
from hilum.codecs.zarr_codec import CODEC_NAME, DicomFrameCodec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.services.conftest import LiveServer

pytest.importorskip("aiohttp", reason="zarr-python reads HTTP by fsspec and aiohttp")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # fsspec closes its session when the program ends
    pytest.mark.filterwarnings("ignore:.*fill value.*"),
]

VOLUMES = ("CT", "PT")
ZARRITA = """
import * as zarr from "zarrita";
const [url, first, size] = [process.argv[2], JSON.parse(process.argv[3]), JSON.parse(process.argv[4])];
const array = await zarr.open(new zarr.FetchStore(url), { kind: "array" });
const { data, shape } = await zarr.get(array, first.map((f, i) => zarr.slice(f, f + size[i])));
console.log(JSON.stringify({ shape: array.shape, dtype: array.dtype, region: shape, values: Array.from(data) }));
"""


@pytest.fixture(scope="module")
def archive(live_server: LiveServer) -> Iterator[hilum.Archive]:
    with hilum.open(live_server.root, read_only=True) as opened:
        yield opened


def all_series(archive: hilum.Archive) -> list[hilum.Series]:
    return [series for study in archive.studies() for series in study.series if len(series.frames)]


def series_of(archive: hilum.Archive, modality: str) -> hilum.Series:
    return max((s for s in all_series(archive) if s.modality == modality), key=lambda s: s.number_of_instances)


def url_of(server: LiveServer, series: hilum.Series) -> str:
    return f"{server.url}/zarr/studies/{series.study_instance_uid}/series/{series.series_instance_uid}"


def pydicom_pixels(series: hilum.Series) -> np.ndarray:
    """Every frame as pydicom decodes it."""
    frames = []
    for instance in series.instances:
        if instance.number_of_frames:
            array = instance.dataset().pixel_array
            frames.extend(array if instance.number_of_frames > 1 else array[None])
    return np.stack(frames)


def test_frames_equal_pydicoms_pixels(live_server: LiveServer, archive: hilum.Archive) -> None:
    checked = 0
    for series in all_series(archive):
        if series.modality not in ("CT", "PT", "MR", "NM", "CR"):
            continue
        arrays = httpx.get(f"{url_of(live_server, series)}/zarr.json").json()["attributes"]["hilum"]["arrays"]
        if arrays != ["frames"]:
            continue
        array = zarr.open_array(f"{url_of(live_server, series)}/frames", mode="r", zarr_format=3)
        np.testing.assert_array_equal(array[:], pydicom_pixels(series))
        checked += 1
    assert checked >= 4


def test_stored_frames_are_decoded_by_the_codec(live_server: LiveServer, archive: hilum.Archive) -> None:
    register_codec(CODEC_NAME, DicomFrameCodec)
    syntaxes = set()
    for series in all_series(archive):
        url = url_of(live_server, series)
        stored = httpx.get(f"{url}/zarr.json").json()["attributes"]["hilum"]["stored"]
        for name in stored:
            document = httpx.get(f"{url}/{name}/zarr.json").json()
            array = zarr.open_array(f"{url}/{name}", mode="r", zarr_format=3)
            frames = zarr.open_array(f"{url}/{name.replace('stored', 'frames')}", mode="r", zarr_format=3)
            np.testing.assert_array_equal(array[0], frames[0])
            syntaxes.add(document["codecs"][0].get("configuration", {}).get("transfer_syntax_uid", "bytes"))
    assert len(syntaxes) >= 3


def test_a_stored_frame_is_what_imagecodecs_decodes(live_server: LiveServer, archive: hilum.Archive) -> None:
    codecs = pytest.importorskip("imagecodecs.numcodecs")
    numcodecs = pytest.importorskip("numcodecs")
    codecs.register_codecs(verbose=False)
    found = 0
    for series in all_series(archive):
        url = url_of(live_server, series)
        document = httpx.get(f"{url}/stored/zarr.json")
        if document.status_code != 200:
            continue
        configuration = document.json()["codecs"][0].get("configuration", {})
        pixels = configuration.get("pixels", {})
        if "numcodecs" not in configuration or pixels.get("samples_per_pixel") != 1:
            continue
        axes = len(document.json()["shape"]) - 1
        chunk = httpx.get(f"{url}/stored/c/0{'/0' * axes}").content
        decoded = numcodecs.get_codec({"id": configuration["numcodecs"]}).decode(chunk)
        raw = httpx.get(f"{url}/frames/c/0{'/0' * axes}").content
        dtype = np.dtype(document.json()["data_type"])
        values = np.frombuffer(raw, dtype).reshape(document.json()["shape"][1:])
        np.testing.assert_array_equal(np.asarray(decoded).astype(dtype).reshape(values.shape), values)
        found += 1
    assert found >= 1


@pytest.mark.parametrize("modality", VOLUMES)
def test_zarr_python_reads_the_volume(live_server: LiveServer, archive: hilum.Archive, modality: str) -> None:
    series = series_of(archive, modality)
    volume = series.volume()
    expected = volume.to_numpy()
    url = f"{url_of(live_server, series)}/volume"
    array = zarr.open_array(f"{url}/0", mode="r", zarr_format=3)
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(array[3:5, 40:50, 7:70], expected[3:5, 40:50, 7:70])
    assert array.metadata.dimension_names == ("z", "y", "x")
    group = httpx.get(f"{url}/zarr.json").json()["attributes"]
    np.testing.assert_allclose(group["hilum"]["affine"], volume.affine)
    for level, shape in enumerate(volume.levels):
        assert zarr.open_array(f"{url}/{level}", mode="r", zarr_format=3).shape == shape
    ranges = zarr.open_array(f"{url}/minmax/0", mode="r", zarr_format=3)[:]
    assert (ranges[..., 0].min(), ranges[..., 1].max()) == (expected.min(), expected.max())


def test_tensorstore_reads_both(live_server: LiveServer, archive: hilum.Archive) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    series = series_of(archive, "CT")
    for path, expected in (("volume/0", series.volume().to_numpy()), ("frames", pydicom_pixels(series))):
        spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": live_server.url}}
        spec["kvstore"]["path"] = f"{url_of(live_server, series)[len(live_server.url) :]}/{path}/"
        np.testing.assert_array_equal(tensorstore.open(spec, open=True).result().read().result(), expected)


def test_dask_and_xarray_read_the_volume(live_server: LiveServer, archive: hilum.Archive) -> None:
    dask_array = pytest.importorskip("dask.array")
    xarray = pytest.importorskip("xarray")
    series = series_of(archive, "CT")
    expected = series.volume().to_numpy()
    array = zarr.open_array(f"{url_of(live_server, series)}/volume/0", mode="r", zarr_format=3)
    lazy = dask_array.from_zarr(array, chunks=(32, 64, 64))
    assert lazy.max().compute() == expected.max()
    labelled = xarray.DataArray(lazy, dims=array.metadata.dimension_names)
    np.testing.assert_array_equal(labelled.isel(z=5).values, expected[5])
    with xarray.open_zarr(
        url_of(live_server, series), consolidated=True, zarr_format=3, mask_and_scale=False
    ) as dataset:
        assert dataset["frames"].dims == ("frame", "y", "x")
        np.testing.assert_array_equal(dataset["frames"][2:4].values, pydicom_pixels(series)[2:4])


@pytest.fixture(scope="session")
def zarrita() -> tuple[str, Path]:
    """Node, and the folder that zarrita is in."""
    return npm_package("zarrita", "0.7.5")


def test_zarrita_reads_both(live_server: LiveServer, archive: hilum.Archive, zarrita: tuple[str, Path]) -> None:
    """The library of viewers in browsers: it asks for the shard's index by a suffix range."""
    node, folder = zarrita
    script = folder / "read.mjs"
    script.write_text(ZARRITA)
    series = series_of(archive, "CT")
    for path, expected in (("volume/0", series.volume().to_numpy()), ("frames", pydicom_pixels(series))):
        first, size = (3, 100, 70), (2, 9, 33)
        command = [node, str(script), f"{url_of(live_server, series)}/{path}", str(list(first)), str(list(size))]
        found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        region = expected[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))]
        assert (found["shape"], found["dtype"]) == (list(expected.shape), str(expected.dtype))
        np.testing.assert_array_equal(np.array(found["values"]).reshape(found["region"]), region)


READERS = """
import json, sys
import numpy as np, ome_zarr_models.v05, zarr
from napari_ome_zarr import napari_get_reader
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
path = sys.argv[1]
ome_zarr_models.v05.Image.from_zarr(zarr.open_group(path, mode="r"))
(node,) = Reader(parse_url(path))()
((levels, attributes, kind),) = napari_get_reader(path)(path)
np.save(sys.argv[2], [np.asarray(node.data[0]), np.asarray(levels[0])])
print(json.dumps([kind, [list(level.shape) for level in levels], list(attributes["scale"])]))
"""


def test_ome_zarr_and_napari_read_the_image(archive: hilum.Archive, tmp_path: Path) -> None:
    """Readers that cannot be installed beside FastAPI's pydantic: another Python has them."""
    python = os.environ.get("HILUM_READERS_PYTHON")
    if python is None:
        pytest.skip("HILUM_READERS_PYTHON names no Python with ome-zarr, ome-zarr-models and napari-ome-zarr")
    series = series_of(archive, "CT")
    with hilum.open(tmp_path / "copy") as copy:
        copy.store_many([instance.read_bytes() for instance in series.instances])
        volume = copy.studies()[0].series[0].volume()
        command = [python, "-I", "-c", READERS, str(volume.path), str(tmp_path / "read.npy")]
        told = subprocess.run(command, capture_output=True, check=True, timeout=300).stdout.splitlines()[-1]
        kind, shapes, scale = json.loads(told)
        assert (kind, shapes[0]) == ("image", list(volume.shape)) and len(shapes) > 1
        np.testing.assert_allclose(scale, volume.spacing)
        for read in np.load(tmp_path / "read.npy"):
            np.testing.assert_array_equal(read, volume.to_numpy())


def test_ranges(live_server: LiveServer, archive: hilum.Archive) -> None:
    series = series_of(archive, "CT")
    url = f"{url_of(live_server, series)}/volume/0/c/0/0/0"
    whole = httpx.get(url)
    assert whole.status_code == 200 and whole.headers["accept-ranges"] == "bytes"
    body = whole.content
    assert int(whole.headers["content-length"]) == len(body)
    for header, expected in (
        ("bytes=0-0", body[:1]),
        ("bytes=100-199", body[100:200]),
        ("bytes=-20", body[-20:]),
        (f"bytes={len(body) - 5}-", body[-5:]),
        (f"bytes=10-{len(body) + 100}", body[10:]),
    ):
        part = httpx.get(url, headers={"Range": header})
        assert part.status_code == 206 and part.content == expected
        assert part.headers["content-range"].endswith(f"/{len(body)}")
    assert httpx.get(url, headers={"Range": f"bytes={len(body)}-"}).status_code == 416
    assert httpx.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = httpx.head(url)
    assert head.status_code == 200 and head.headers["content-length"] == str(len(body)) and not head.content
    chunk = httpx.get(f"{url_of(live_server, series)}/frames/c/0/0/0", headers={"Range": "bytes=-8"})
    assert chunk.status_code == 206 and len(chunk.content) == 8


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 404),
        ("nothing", 404),
        ("frames", 404),
        ("frames.7/zarr.json", 404),
        ("frames.x/zarr.json", 404),
        ("frames/c/99999/0/0", 404),
        ("frames/c/0/0/1", 404),
        ("frames/c/-1/0/0", 404),
        ("volume/9/zarr.json", 404),
        ("volume.5/zarr.json", 409),
        ("volume/0/c/1/0/0", 404),
        ("volume/0/c/%2e%2e/%2e%2e/zarr.json", 404),
        ("volume/0/c/%2e%2e/%2e%2e/%2e%2e/%2e%2e/hilum.json", 404),
        ("volume/minmax/%2e%2e/boot", 404),
        ("volume/boot", 404),
        ("volume/minmax", 404),
    ],
)
def test_what_is_not_there(live_server: LiveServer, archive: hilum.Archive, path: str, status: int) -> None:
    answer = httpx.get(f"{url_of(live_server, series_of(archive, 'CT'))}/{path}")
    assert answer.status_code == status, answer.text


def test_a_series_that_is_no_volume_says_why(live_server: LiveServer, archive: hilum.Archive) -> None:
    url = url_of(live_server, series_of(archive, "CR"))
    answer = httpx.get(f"{url}/volume/zarr.json")
    assert answer.status_code == 409 and "no volume" in answer.text
    assert httpx.get(f"{url}/zarr.json").json()["attributes"]["hilum"]["no_volume"][0]["frames"] >= 1
    assert httpx.post(f"{url}/zarr.json").status_code == 405
    assert httpx.get(f"{live_server.url}/zarr/studies/1.2/series/3.4/frames/zarr.json").status_code == 404


def test_codec_refuses_what_it_cannot() -> None:
    with pytest.raises(hilum.UsageError, match="lacks"):
        DicomFrameCodec.from_dict({"name": CODEC_NAME, "configuration": {"transfer_syntax_uid": "1.2"}})
