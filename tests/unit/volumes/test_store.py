"""Bricks on disk: made once, published whole, evicted, damaged, on a full disk, by a process that dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume_objects import make_slice, make_stack, ramp

import hilum
from hilum import LimitExceeded, Unavailable
from hilum.archive.completion import CompletedStudy, StudyCompletion
from hilum.archive.stored_object import object_in_bytes
from hilum.archive.transcode import transcode_object
from hilum.archive.volumes import VolumesAhead
from hilum.config import Settings, VolumeSettings
from hilum.volumes.build import bytes_needed, level_affine
from hilum.volumes.view import affine_of, ranges_of, read_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHAPE = (70, 40, 65)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    with hilum.open(folder) as archive:
        archive.store_many(make_stack(ramp(SHAPE), (0, 0, 0), (0, 0, 1)))
    return folder


def volume_of(archive: hilum.Archive, at: int = 0) -> hilum.Volume:
    return archive.studies()[0].series[at].volume()


def published(root: Path) -> list[Path]:
    return sorted((root / "volumes").glob("*.zarr"))


def leftovers(root: Path) -> list[Path]:
    return sorted((root / "volumes" / "tmp").glob("*"))


def halved_twin(voxels: np.ndarray) -> np.ndarray:
    """Mean of the up to 2x2x2 voxels below each: halves of integers go up."""
    out = np.empty([-(-n // 2) for n in voxels.shape], voxels.dtype)
    for index in np.ndindex(*out.shape):
        below = voxels[tuple(slice(2 * i, 2 * i + 2) for i in index)].astype(np.float64)
        out[index] = np.floor(below.mean() + 0.5)
    return out


def test_the_pyramid_is_the_mean_of_what_lies_below(root: Path) -> None:
    with hilum.open(root) as archive:
        volume = volume_of(archive)
        expected = ramp(SHAPE)
        assert volume.levels == [(70, 40, 65), (35, 20, 33), (18, 10, 17)]
        for level, shape in enumerate(volume.levels):
            view = volume.view(level)
            np.testing.assert_array_equal(read_region(view, (0, 0, 0), shape), expected)
            np.testing.assert_array_equal(volume.zarr(level)[:], expected)
            np.testing.assert_allclose(affine_of(view), level_affine(volume.affine, level))
            ranges = ranges_of(view)
            assert (ranges[..., 0].min(), ranges[..., 1].max()) == (expected.min(), expected.max())
            expected = halved_twin(expected)
        assert [m.name for m in published(root)] == [f"{volume.key}.zarr"] and leftovers(root) == []


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*[st.integers(3, 45)] * 3), st.sampled_from(["int16", "uint16"]), st.integers(0, 99), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], dtype: str, seed: int, empty: bool
) -> None:
    voxels = ramp(shape, dtype, seed)
    if empty:
        voxels[:, : shape[1] // 2] = 24  # air: bricks of nothing else are left out
    with hilum.open(tmp_path_factory.mktemp("bricks") / "a") as archive:
        archive.store_many(make_stack(voxels, (0, 0, 0), (0, 0, 1)))
        volume = volume_of(archive)
        np.testing.assert_array_equal(volume.to_numpy(), voxels)
        _ = volume.path
        np.testing.assert_array_equal(volume.to_numpy(), voxels)
        np.testing.assert_array_equal(volume.zarr()[:], voxels)
        level = volume.levels[-1]
        np.testing.assert_array_equal(
            read_region(volume.view(len(volume.levels) - 1), (0, 0, 0), level), volume.zarr(len(volume.levels) - 1)[:]
        )


def test_the_same_bytes_for_any_number_of_threads(root: Path) -> None:
    code = (
        "import sys, hilum; a = hilum.open(sys.argv[1]); v = a.studies()[0].series[0].volume();"
        "import hashlib, pathlib; p = v.path;"
        "files = [f.read_bytes() for f in sorted(p.rglob('*/c/**/0')) if f.is_file()];"
        "print(hashlib.sha256(b''.join(files)).hexdigest());"
        "a.volumes.remove(v.key)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, str(root)],
            env={**os.environ, "HILUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 7)
    }
    assert len(found) == 1 and len(found.pop()) == 65


def test_air_takes_no_space(tmp_path: Path) -> None:
    voxels = np.full((64, 64, 64), 24, np.int16)
    voxels[40, 40, 40] = 1000
    with hilum.open(tmp_path / "a") as archive:
        archive.store_many(make_stack(voxels, (0, 0, 0), (0, 0, 1)))
        volume = volume_of(archive)
        assert (volume.path / "0" / "c" / "0" / "0" / "0").stat().st_size == 32**3 * 2 + 8 * 16 + 4
        np.testing.assert_array_equal(volume.to_numpy(), voxels)
        np.testing.assert_array_equal(volume.zarr()[:], voxels)


def test_a_view_outlives_its_volume(root: Path) -> None:
    with hilum.open(root) as archive:
        volume = volume_of(archive)
        view = volume.view()
        archive.volumes.remove(volume.key)
        assert published(root) == [] and leftovers(root) == [] and not volume.is_built
        np.testing.assert_array_equal(read_region(view, (0, 0, 0), SHAPE), ramp(SHAPE))
        np.testing.assert_array_equal(read_region(volume.view(1), (0, 0, 0), (35, 20, 33)), halved_twin(ramp(SHAPE)))
        assert volume.is_built


def test_reading_goes_on_while_volumes_are_evicted(root: Path) -> None:
    errors: list[BaseException] = []
    expected = ramp(SHAPE)
    with hilum.open(root) as archive:
        stop = threading.Event()

        def read() -> None:
            volume = volume_of(archive)
            try:
                while not stop.is_set():
                    np.testing.assert_array_equal(read_region(volume.view(), (30, 0, 0), (5, 40, 65)), expected[30:35])
            except BaseException as error:
                errors.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        volume = volume_of(archive)
        for _ in range(10):
            archive.volumes.remove(volume.key)
            time.sleep(0.02)
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    with hilum.open(tmp_path / "a") as archive:
        for number in range(3):
            stack = make_stack(ramp((33, 33, 33), seed=number), (0, 0, 0), (0, 0, 1), series=number + 1)
            archive.store_many(stack)
        needed = bytes_needed(volume_of(archive).stack)
    settings = Settings(volumes=VolumeSettings(disk_bytes=int(2.5 * needed), warm_bytes=0))
    with hilum.open(tmp_path / "a", settings=settings) as archive:
        volumes = [volume_of(archive, number) for number in range(3)]
        for volume in volumes[:2]:
            _ = volume.path
            time.sleep(0.02)
        _ = volumes[0].view()  # used again
        time.sleep(0.02)
        _ = volumes[2].path
        assert [volume.is_built for volume in volumes] == [True, False, True]


def wait_for(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("times", [1, 2])
def test_evicted_volumes_are_kept_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    one = np.stack([ramp((40, 33, 35), seed=t) for t in range(times)])
    with hilum.open(tmp_path / "a") as archive:
        for time_point, voxels in enumerate(one):
            extra = {0x00200100: ("IS", str(time_point))}
            archive.store_many(
                make_stack(voxels, (0, 0, 0), (0, 0, 1), first_instance=1 + 100 * time_point, extra=extra)
            )
        archive.store_many(make_stack(ramp((66, 66, 66)), (0, 0, 0), (0, 0, 1), series=2))
        limit = max(bytes_needed(volume_of(archive, at).stack) for at in range(2))
    settings = Settings(volumes=VolumeSettings(disk_bytes=limit, warm_bytes=1 << 20))
    root = tmp_path / "a"
    with hilum.open(root, settings=settings) as archive:
        small, large = (volume_of(archive, at) for at in range(2))
        before = [p.read_bytes() for p in sorted(small.path.rglob("c/**/0")) if p.is_file()]
        _ = large.path
        assert not small.is_built
        wait_for(lambda: not [path for path in leftovers(root) if path.name.startswith(("gone-", "warm-"))])
        (warm,) = (root / "volumes").glob("*.warm")
        kept = zarr.open_array(str(warm / "0"), mode="r")[:]
        np.testing.assert_array_equal(kept, one if times > 1 else one[0])
        assert int((warm / "size").read_text()) < 0.9 * one.nbytes
        monkeypatch.setattr("hilum.volumes.build._shards", None)  # frames are not decoded
        assert [p.read_bytes() for p in sorted(small.path.rglob("c/**/0")) if p.is_file()] == before
        monkeypatch.undo()
        archive.volumes.remove(small.key)
        for chunk in sorted(warm.rglob("0/c/**/0")):
            if chunk.is_file():
                chunk.write_bytes(b"\x02\x01damaged")
        np.testing.assert_array_equal(small.zarr()[:], one if times > 1 else one[0])
        assert list((root / "volumes").glob(f"{small.key}.warm")) == []


def test_a_volume_above_the_limit_is_refused(root: Path) -> None:
    with hilum.open(root, settings=Settings(volumes=VolumeSettings(disk_bytes=1000))) as archive:
        volume = volume_of(archive)
        with pytest.raises(LimitExceeded, match="disk_bytes"):
            volume.view()
        assert published(root) == []
        np.testing.assert_array_equal(volume[60], ramp(SHAPE)[60])  # frames need no bricks


def test_read_only_archives_make_no_bricks(root: Path) -> None:
    with hilum.open(root, read_only=True) as archive:
        volume = volume_of(archive)
        with pytest.raises(Unavailable, match="reading only"):
            volume.view()
        np.testing.assert_array_equal(volume.to_numpy(), ramp(SHAPE))


@pytest.mark.parametrize("damage", ["cut", "index", "gone", "ranges", "other boot"])
def test_damaged_volumes_are_made_again(root: Path, damage: str) -> None:
    with hilum.open(root) as archive:
        path = volume_of(archive).path
        time.sleep(0.1)  # its syncing
    shard = path / "0" / "c" / "0" / "0" / "0"
    if damage == "cut":
        os.truncate(shard, 1000)
    elif damage == "index":
        data = bytearray(shard.read_bytes())
        data[-9] ^= 1
        shard.write_bytes(data)
    elif damage == "gone":
        shard.unlink()
    elif damage == "ranges":
        (path / "minmax" / "0" / "c" / "0" / "0" / "0" / "0").write_bytes(bytes(12))
    else:
        shard.write_bytes(b"")
        (path / "boot").write_text("another")
    with hilum.open(root) as archive:
        np.testing.assert_array_equal(read_region(volume_of(archive).view(), (0, 0, 0), SHAPE), ramp(SHAPE))


def _build(root: str, barrier: Any, results: Any) -> None:
    with hilum.open(root) as archive:
        volume = volume_of(archive)
        barrier.wait()
        results.put((str(volume.path), int(volume.path.stat().st_ino)))


def test_two_processes_make_one_volume(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_build, args=(str(root), barrier, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert len(found) == 1 and len(published(root)) == 1 and leftovers(root) == []
    results.close()
    results.join_thread()


def test_a_process_that_dies_publishes_nothing(root: Path) -> None:
    code = (
        "import sys, os, hilum, hilum.volumes.build as b; a = hilum.open(sys.argv[1]);"
        "v = a.studies()[0].series[0].volume();"
        "b._write_json = lambda *_: (print('bricks', flush=True), __import__('time').sleep(60));"
        "v.path"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "bricks\n"
    assert any((folder / "0" / "c" / "0" / "0" / "0").is_file() for folder in leftovers(root))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert published(root) == [] and leftovers(root) != []
    with hilum.open(root) as archive:
        np.testing.assert_array_equal(read_region(volume_of(archive).view(), (0, 0, 0), SHAPE), ramp(SHAPE))
    assert len(published(root)) == 1 and leftovers(root) == []


@pytest.fixture
def small_disk(root: Path) -> Iterator[Path]:
    """``ROOT/volumes`` on a file system of 1 MiB."""
    folder = root / "volumes"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs root, to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("reserve", [0, -(1 << 40)], ids=["foreseen", "while writing"])
def test_a_full_disk_is_said_and_leaves_nothing(root: Path, small_disk: Path, reserve: int) -> None:
    with hilum.open(root) as archive:
        archive.volumes._disk.reserve_bytes = reserve  # below 0: what is free is thought to be more than it is
        with pytest.raises(Unavailable, match=r"[Nn]o space") as caught:
            volume_of(archive).view()
        assert caught.value.code == 201
        assert list(small_disk.glob("*.zarr")) == [] and leftovers(root) == []
        np.testing.assert_array_equal(volume_of(archive).to_numpy(), ramp(SHAPE))


def test_bricks_are_made_ahead(root: Path) -> None:
    with hilum.open(root) as archive:
        ahead = VolumesAhead(archive)
        ahead._since = 0.0
        assert ahead.look() == 0
        (told,) = StudyCompletion(archive, 0.01).look(time.time() + 10)
        assert isinstance(told, CompletedStudy)
        assert ahead.look() == 1 and volume_of(archive).is_built
        assert ahead.look() == 0


def test_a_frame_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    voxels = ramp((5, 4, 4))
    objects = make_stack(voxels, (0, 0, 0), (0, 0, 1))
    objects[3] = make_slice(voxels[3], (0, 0, 3), instance=4, rle=b"\1\0\0\0" + bytes(60))
    with hilum.open(tmp_path / "b") as archive:
        archive.store_many(objects)
        volume = volume_of(archive)
        with pytest.raises(hilum.DataError) as caught:
            volume.view()
        assert caught.value.frame == 3
        assert published(archive.root) == [] and leftovers(archive.root) == []
        np.testing.assert_array_equal(volume.read((0, 0, 0), (3, 4, 4)), voxels[:3])


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.2"])
def test_frames_of_any_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    """Deflated objects are inflated first, what the core decodes goes from packs to bricks."""
    voxels = ramp((5, 16, 20))
    with hilum.open(tmp_path / "a") as archive:
        plain = make_stack(voxels, (0, 0, 0), (0, 0, 1))
        archive.store_many([b"".join(transcode_object(object_in_bytes(one), syntax).pieces) for one in plain])
        volume = volume_of(archive)
        assert {record.transfer_syntax_uid for record in volume.frames.records} == {syntax}
        np.testing.assert_array_equal(volume.to_numpy(), voxels)
        np.testing.assert_array_equal(read_region(volume.view(), (0, 0, 0), voxels.shape), voxels)
        assert leftovers(archive.root) == []


def test_the_array_protocols(root: Path) -> None:
    with hilum.open(root) as archive:
        volume = volume_of(archive)
        expected = ramp(SHAPE)
        np.testing.assert_array_equal(np.asarray(volume), expected)
        np.testing.assert_array_equal(np.asarray(volume, np.float64), expected)
        np.testing.assert_array_equal(np.from_dlpack(volume), expected)
        with pytest.raises(ValueError, match="copy"):
            np.array(volume, copy=False)
        assert len(volume) == 70 and repr(volume) == "<hilum.Volume 70 × 40 × 65 int16>"
        for key in (3, -1, slice(2, 5), (slice(None), 4), (..., 7), (1, slice(3, 9), -2), (slice(5, 2),)):
            np.testing.assert_array_equal(volume[key], expected[key])
        for key, error in (((1, 2, 3, 4), hilum.UsageError), (slice(0, 9, 2), hilum.UsageError), (70, IndexError)):
            with pytest.raises(error):
                volume[key]
        assert isinstance(volume.zarr(), zarr.Array)
        with pytest.raises(hilum.UsageError):
            volume.view(9)
