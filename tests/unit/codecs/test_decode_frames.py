"""decode_frames: many frames in one call, in parallel; its errors, its outputs, its threads, and after a fork."""

from __future__ import annotations

import os
import struct
import threading
from typing import Any

import numpy as np
import pytest

from hilum import _core
from hilum.codecs.decode import EncodedFrame, decode_frames, for_each_frame
from hilum.errors import DataError, LimitExceeded, UsageError
from hilum.types import PixelDescription

EXPLICIT = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
WORDS = PixelDescription(8, 6, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")


def rle_of(values: np.ndarray[Any, Any]) -> bytes:
    """RLE of 16-bit values (PS3.5 G): literal packets only."""
    planes = values.astype("<u2").ravel().view(np.uint8).reshape(-1, 2)[:, ::-1].T
    segments = []
    for plane in planes:
        raw = plane.tobytes()
        packets = b"".join(bytes([len(raw[i : i + 128]) - 1]) + raw[i : i + 128] for i in range(0, len(raw), 128))
        segments.append(packets + b"\x80" * (len(packets) % 2))
    offsets = [64, 64 + len(segments[0])]
    return struct.pack("<16I", 2, *offsets, *[0] * 13) + b"".join(segments)


def some(count: int) -> tuple[np.ndarray[Any, Any], list[EncodedFrame]]:
    values = np.random.default_rng(3).integers(0, 65536, (count, 8, 6)).astype(np.uint16)
    return values, [
        EncodedFrame(rle_of(v), RLE, WORDS) if i % 2 else EncodedFrame(v.tobytes(), EXPLICIT, WORDS)
        for i, v in enumerate(values)
    ]


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
@pytest.mark.parametrize("count", [1, 2, 61])
def test_frames_of_several_syntaxes(threads: int, count: int) -> None:
    values, frames = some(count)
    np.testing.assert_array_equal(decode_frames(frames, threads=threads), values)


def test_decodes_into_the_caller_s_array() -> None:
    values, frames = some(5)
    out = np.zeros((7, 8, 6), np.uint16)
    view = out[1:6]
    assert decode_frames(frames, view) is view
    np.testing.assert_array_equal(out[1:6], values)
    assert not out[[0, 6]].any()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_an_error_says_which_frame_and_where(threads: int) -> None:
    _, frames = some(40)
    frames[17] = EncodedFrame(rle_of(np.zeros((8, 6), np.uint16))[:-20], RLE, WORDS)
    frames[31] = EncodedFrame(b"", EXPLICIT, WORDS)
    for _ in range(20):
        with pytest.raises(DataError, match="frame 17 of the request: RLE segment ends") as raised:
            decode_frames(frames, threads=threads)
        assert raised.value.frame == 17
        assert raised.value.offset is not None
        assert raised.value.offset >= 64
        assert raised.value.code == 10


def frozen() -> np.ndarray[Any, Any]:
    out = np.empty((3, 8, 6), np.uint16)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (np.empty((2, 8, 6), np.uint16), "the frames are uint16"),
        (np.empty((4, 8, 6), np.uint16), "the frames are uint16"),
        (np.empty((3, 6, 8), np.uint16), "the frames are uint16"),
        (np.empty((3, 8, 6), np.int16), "the frames are uint16"),
        (np.empty((3, 8, 6), ">u2"), "the frames are uint16"),
        (frozen(), "read-only"),
        (np.empty((3, 8, 12), np.uint16)[:, :, ::2], "strided"),
        (np.empty((6, 8, 6), np.uint16)[::2], "strided"),
        (np.empty((3, 6, 8), np.uint16).transpose(0, 2, 1), "strided"),
    ],
)
def test_outputs_that_do_not_fit(out: np.ndarray[Any, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        decode_frames(some(3)[1], out)


def test_the_core_checks_the_output_too() -> None:
    frame = (
        WORDS.rows * WORDS.columns * 2 * b"x",
        EXPLICIT,
        (8, 6, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData"),
        0,
    )
    for size in (95, 97, 0):
        with pytest.raises(UsageError, match="this one needs 96"):
            _core.decode_frames([frame], out=bytearray(size))
    with pytest.raises(UsageError):
        _core.decode_frames([frame[:3]], out=bytearray(96))  # type: ignore[list-item]


def test_requests_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="no frames"):
        decode_frames([])
    other = PixelDescription(6, 8, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")
    with pytest.raises(UsageError, match="frame 2 of the request is not of the shape") as raised:
        decode_frames([*some(2)[1], EncodedFrame(bytes(96), EXPLICIT, other)])
    assert raised.value.frame == 2
    huge = PixelDescription(65535, 65535, 1, 0, 16, 16, 15, 0, "MONOCHROME2", 1, "PixelData")
    with pytest.raises(LimitExceeded):
        decode_frames([EncodedFrame(b"", EXPLICIT, huge)])
    with pytest.raises(DataError, match=r"1\.2\.3"):
        decode_frames([EncodedFrame(b"", "1.2.3", WORDS)])


def test_many_callers_share_the_threads() -> None:
    values, frames = some(50)
    wrong: list[int] = []

    def run() -> None:
        wrong.extend(i for i in range(20) if not np.array_equal(decode_frames(frames, threads=4), values))

    callers = [threading.Thread(target=run) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_forked_child_decodes_with_threads_of_its_own() -> None:
    values, frames = some(30)
    decode_frames(frames, threads=3)
    child = os.fork()
    if child == 0:
        right = all(np.array_equal(decode_frames(frames, threads=3), values) for _ in range(5))
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(decode_frames(frames, threads=3), values)


def test_threads_follow_the_setting_and_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = os.sched_getaffinity(0)
    monkeypatch.delenv("HILUM_THREADS", raising=False)
    assert _core.default_threads() == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert _core.default_threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    for text, expected in (("3", 3), ("0", len(allowed)), ("many", len(allowed)), ("257", len(allowed))):
        monkeypatch.setenv("HILUM_THREADS", text)
        assert _core.default_threads() == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_decoders_of_other_libraries_run_on_python_threads(threads: int) -> None:
    seen = []
    for_each_frame(9, seen.append, threads)
    assert sorted(seen) == list(range(9))

    def fails(index: int) -> None:
        if index >= 4:
            raise DataError("no")

    with pytest.raises(DataError) as raised:
        for_each_frame(9, fails, threads)
    assert raised.value.frame == 4
