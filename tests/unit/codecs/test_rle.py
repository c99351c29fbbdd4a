"""RLE colour: planes of random packets beside a decoder of a few lines written from PS3.5 Annex G.3."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hilum.codecs.decode import decode_frame
from hilum.errors import DataError
from hilum.types import PixelDescription

RLE = "1.2.840.10008.1.2.5"
ROWS, COLUMNS = 130, 125


def packets(rng: np.random.Generator, size: int, longest: int) -> bytes:
    """A segment of `size` bytes at least: literals, short runs, long ones of up to `longest` packets, no-operations."""
    parts, have = [], 0
    while have < size:
        kind, value = rng.integers(4), bytes(rng.integers(0, 3, 1, np.uint8))
        if kind == 0:
            count = int(rng.integers(1, 129))
            parts.append(bytes([count - 1]) + rng.bytes(count))
        elif kind == 1:
            count = int(rng.integers(2, 129))
            parts.append(bytes([257 - count]) + value)
        elif kind == 2:
            repeats = int(rng.integers(1, longest))
            count = 128 * repeats
            parts.append((b"\x81" + value) * repeats)
        else:
            count = 0
            parts.append(b"\x80")
        have += count
    return b"".join(parts)


def unpacked(segment: bytes) -> bytes:
    """PS3.5 G.3.2."""
    out, at = bytearray(), 0
    while at < len(segment):
        control = segment[at]
        if control < 128:
            out += segment[at + 1 : at + 2 + control]
            at += control + 2
        elif control > 128:
            out += segment[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
    return bytes(out)


def frame_of(segments: list[bytes]) -> bytes:
    offsets = np.cumsum([64, *map(len, segments[:-1])]).tolist()
    return struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def description(rows: int = ROWS) -> PixelDescription:
    return PixelDescription(rows, COLUMNS, 3, 0, 8, 8, 7, 0, "RGB", 1, "PixelData")


@pytest.mark.parametrize("longest", [2, 20, 200])
@pytest.mark.parametrize("seed", range(12))
def test_planes_of_runs_and_literals(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    size = ROWS * COLUMNS
    segments = [segment_up_to(packets(rng, size, longest), size) for _ in range(3)]
    expected = np.stack([np.frombuffer(unpacked(each), np.uint8) for each in segments], axis=-1)
    got = decode_frame(frame_of(segments), RLE, description())
    np.testing.assert_array_equal(got, expected.reshape(ROWS, COLUMNS, 3))


def segment_up_to(segment: bytes, size: int) -> bytes:
    """Packets until `size` bytes or more: the last one loses what is too much."""
    at = have = 0
    while have < size:
        control = segment[at]
        count = control + 1 if control < 128 else 257 - control if control > 128 else 0
        used = control + 2 if control < 128 else 2 if control > 128 else 1
        if have + count > size:
            rest = size - have
            last = bytes([rest - 1]) + unpacked(segment[at : at + used])[:rest]
            return segment[:at] + last
        have += count
        at += used
    return segment[:at]


@pytest.mark.parametrize("plane", range(3))
def test_runs_that_end_early_or_late(plane: int) -> None:
    size = ROWS * COLUMNS
    whole = b"\x81\x00" * (size // 128) + bytes([257 - size % 128, 0])
    segments = [whole, whole, whole]
    assert not decode_frame(frame_of(segments), RLE, description()).any()
    segments[plane] = whole[:-2]
    with pytest.raises(DataError, match="ends before the image does"):
        decode_frame(frame_of(segments), RLE, description())
    segments[plane] = whole + b"\x81\x00"
    with pytest.raises(DataError, match="holds more than"):
        decode_frame(frame_of(segments), RLE, description())
