"""Frames of a whole series in one call: same values as one by one, only their bytes read, errors that say which."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from objects import make_object, uid
from pydicom.encaps import encapsulate, generate_frames

from hilum import _core
from hilum.errors import DataError, NotFound, UsageError

if TYPE_CHECKING:
    import hilum

MEGAPIXEL_FRAMES = 180


def series(archive: hilum.Archive) -> hilum.archive.objects.Series:
    return archive.series(study_instance_uid=uid(1, 1))[0]


def fill(archive: hilum.Archive, count: int = 5, frames: int = 3) -> None:
    for instance in range(1, count + 1):
        archive.store(make_object(instance=instance, frames=frames))


def test_a_series_is_what_its_frames_are(archive: hilum.Archive) -> None:
    fill(archive)
    frames = series(archive).frames
    one_by_one = np.stack([np.asarray(frames[i]) for i in range(len(frames))])
    np.testing.assert_array_equal(np.stack(list(frames)), one_by_one)
    for threads in (0, 1, 3):
        np.testing.assert_array_equal(frames.stack(threads=threads), one_by_one)
    out = np.zeros((15, 8, 8), np.uint16)
    assert frames.stack(out) is out
    np.testing.assert_array_equal(out, one_by_one)
    np.testing.assert_array_equal(frames[4:9].stack(), one_by_one[4:9])


def test_outputs_that_do_not_fit(archive: hilum.Archive) -> None:
    fill(archive)
    frames = series(archive).frames
    frozen = np.empty((15, 8, 8), np.uint16)
    frozen.flags.writeable = False
    for out in (
        np.empty((14, 8, 8), np.uint16),
        np.empty((15, 8, 8), np.int16),
        np.empty((15, 8, 16), np.uint16)[:, :, ::2],
        frozen,
    ):
        with pytest.raises(UsageError, match="out is"):
            frames.stack(out)


def bytes_read() -> int:
    """Bytes that this process has read by system calls, from the page cache too."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split("\n")[0])


def test_frame_88_costs_what_frame_1_costs(archive: hilum.Archive) -> None:
    data = make_object(size=512, frames=MEGAPIXEL_FRAMES)
    assert len(data) > 90_000_000
    archive.store(data)
    instance = archive.instances()[0]
    cost = []
    for frame in (1, 88, MEGAPIXEL_FRAMES - 1):
        before = bytes_read()
        instance.frames[frame : frame + 1].stack()
        cost.append(bytes_read() - before)
        before = bytes_read()
        instance.frame(frame)
        cost.append(bytes_read() - before)
    frame_bytes = 512 * 512 * 2
    assert min(cost) >= frame_bytes
    assert max(cost) < frame_bytes + 300_000, cost  # whole checksum blocks, the record's header, the index
    assert max(cost) - min(cost) < 150_000, cost


def test_damage_is_named_by_frame(archive: hilum.Archive, root: Path) -> None:
    fill(archive)
    frames = series(archive).frames
    location = series(archive).instances[2].record.location
    pack = root / "packs" / f"{location.pack:012d}.pack"
    with pack.open("r+b") as stream:
        stream.seek(location.offset + location.length - 100)
        byte = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DataError, match="does not match its checksum") as raised:
        frames.stack()
    assert raised.value.frame == 6  # the first that is read out of the damaged object


def test_deleted_objects_and_missing_frames(archive: hilum.Archive) -> None:
    fill(archive)
    records = [instance.record for instance in series(archive).instances]
    with pytest.raises(UsageError, match="no frames"):
        archive.retrieve.decode_frames([])
    with pytest.raises(UsageError, match="no frame -1"):
        archive.retrieve.decode_frames([(records[0], -1)])
    with pytest.raises(UsageError, match="the object has 3") as raised:
        archive.retrieve.decode_frames([(records[0], 0), (records[1], 3)])
    assert raised.value.frame == 1
    gone = records[0]
    frames = series(archive).frames
    archive.delete("instance", gone.sop_instance_uid)
    archive.compact()
    with pytest.raises(NotFound):
        archive.retrieve.decode_frames([(gone, 0)])
    # Those that are left were moved by the compaction: their old places are looked up again.
    np.testing.assert_array_equal(frames[3:].stack(), np.stack([np.asarray(f) for f in frames[3:]]))


def test_series_of_different_shapes(archive: hilum.Archive) -> None:
    archive.store(make_object(instance=1, size=8))
    archive.store(make_object(instance=2, size=9))
    with pytest.raises(DataError, match="frame 1 is uint16") as raised:
        series(archive).frames.stack()
    assert raised.value.frame == 1
    assert [frame.shape for frame in series(archive).frames] == [(8, 8), (9, 9)]


def test_iteration_reports_a_damaged_frame_when_its_turn_comes(archive: hilum.Archive) -> None:
    path = Path(__file__).parents[2] / "data" / "demo" / "us-cine.dcm"
    ds = pydicom.dcmread(path)
    frames = list(generate_frames(ds.PixelData, number_of_frames=int(ds.NumberOfFrames)))
    ds.PixelData = encapsulate([*frames[:5], frames[5][:40], *frames[6:]])
    stream = io.BytesIO()
    ds.save_as(stream)
    archive.store(stream.getvalue())
    (instance,) = archive.instances()
    shown = iter(instance.frames)
    for i in range(5):
        np.testing.assert_array_equal(next(shown), instance.frame(i))
    with pytest.raises(DataError):
        next(shown)


def test_deflated_objects(archive: hilum.Archive) -> None:
    plain = make_object(instance=1, frames=3)
    scan = _core.scan(plain)
    meta = plain[: scan.dataset_offset].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    added = len(meta) - scan.dataset_offset
    at = meta.index(b"\x02\0\x10\0UI") + 6
    meta = meta[:at] + (22).to_bytes(2, "little") + meta[at + 2 :]
    length = int.from_bytes(meta[140:144], "little") + added
    meta = meta[:140] + length.to_bytes(4, "little") + meta[144:]
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(plain[scan.dataset_offset :]) + packer.flush()
    archive.store(meta + body + b"\0" * (len(body) % 2))
    archive.store(make_object(instance=2, frames=3))
    frames = series(archive).frames
    np.testing.assert_array_equal(frames.stack(), np.stack([np.asarray(frame) for frame in frames]))
    records = [instance.record for instance in series(archive).instances]
    with pytest.raises(UsageError) as raised:
        archive.retrieve.decode_frames([(records[1], 0), (records[0], 0), (records[0], 7)])
    assert raised.value.frame == 2
