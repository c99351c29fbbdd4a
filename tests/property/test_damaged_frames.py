"""Real frames of every syntax, damaged or described wrongly: an error that says which, or values; never a crash."""

from __future__ import annotations

import dataclasses
import random
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_files import ABSENT, find_shared_data

from hilum import _core
from hilum.codecs.decode import decode_frame, frame_dtype, frame_shape
from hilum.codecs.encode import can_encode, encode_frame
from hilum.codecs.registry import can_decode, decoders
from hilum.dicom.scan import FrameTable, inflate
from hilum.errors import DataError, LimitExceeded
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from hilum.errors import HilumError

ROOT = "1.2.840.10008.1.2"
COMPRESSED = (".4.", ".5", ".8.1")
LONGEST = 300_000
EACH = 4
SAME_PROCESS = {
    ".4.52": ".4.51",
    ".4.54": ".4.53",
    ".4.56": ".4.55",
    ".4.92": ".4.90",
    ".4.93": ".4.91",
    ".4.110": ".4.111",
    ".4.112": ".4.111",
}
"""Syntaxes of which no file was found, and those whose code streams they may hold as well."""


@cache
def samples() -> tuple[tuple[str, str, bytes, PixelDescription], ...]:
    """(file, syntax, first frame, description): the smallest few of each syntax that has a decoder.

    Where there is no file of a syntax, a real frame is encoded in it, or is one of the same process.
    """
    folder = find_shared_data()
    if folder is None:
        return ()
    found: dict[str, list[tuple[int, str, bytes, PixelDescription]]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "hostile" in path.parts or (path.stat().st_size > LONGEST and "ts" not in path.parts):
            continue
        for name, syntax, frame, pixels in _first_frame(path.read_bytes(), path.name):
            found.setdefault(syntax, []).append((len(frame), name, frame, pixels))
    for short, other in SAME_PROCESS.items():
        if can_decode(ROOT + short):
            found.setdefault(ROOT + short, found.get(ROOT + other, []))
    _, name, frame, pixels = min(f for f in found[f"{ROOT}.1"] if f[3].bits_allocated == 16)
    for uid in {decoder.transfer_syntax_uid for decoder in decoders()} - found.keys():
        if can_encode(uid, pixels):
            coded = encode_frame(decode_frame(frame, f"{ROOT}.1", pixels), uid, pixels)
            found[uid] = [(len(coded), name, coded, pixels)]
    chosen = []
    for syntax, frames in sorted(found.items()):
        chosen += [
            (name, syntax, frame, pixels)
            for _, name, frame, pixels in sorted(frames, key=lambda f: (f[0] < 500, f[0]))[:EACH]
        ]
    return tuple(chosen)


def _first_frame(data: bytes, name: str) -> Iterator[tuple[str, str, bytes, PixelDescription]]:
    try:
        scan = _core.scan(data, False)
        if scan.pixels is None or not can_decode(scan.transfer_syntax_uid):
            return
        table = FrameTable(scan.frame_table)
        whole = inflate(data) if table.inflated else data
        frame = b"".join(whole[at : at + length] for at, length in table[0].fragments)
        decode_frame(frame, scan.transfer_syntax_uid, PixelDescription(*scan.pixels))
    except (DataError, LimitExceeded, IndexError):
        return
    yield name, scan.transfer_syntax_uid, frame, PixelDescription(*scan.pixels)


def check(error: HilumError, length: int) -> None:
    assert len(str(error)) > 10
    assert error.code in (1, 3, 6, 8, 10, 11, 12, 15)
    assert error.offset is None or 0 <= error.offset <= length


def attempt(frame: bytes, syntax: str, pixels: PixelDescription) -> np.ndarray[Any, Any] | DataError:
    """Values, or one of the errors that bad data may give, which then says what is wrong."""
    try:
        values = decode_frame(frame, syntax, pixels)
    except (DataError, LimitExceeded) as error:
        check(error, len(frame))
        return error if isinstance(error, DataError) else DataError(str(error))
    assert values.shape == frame_shape(pixels)
    assert values.dtype == frame_dtype(pixels)
    return values


def test_there_is_a_sample_of_every_syntax() -> None:
    if not samples():
        pytest.skip(ABSENT)
    assert {syntax for _, syntax, _, _ in samples()} == {decoder.transfer_syntax_uid for decoder in decoders()}


def drawn(data: st.DataObject) -> tuple[str, bytes, PixelDescription]:
    if not samples():
        pytest.skip(ABSENT)
    syntax = data.draw(st.sampled_from(sorted({s for _, s, _, _ in samples()})))
    these = [sample for sample in samples() if sample[1] == syntax]
    _, _, frame, pixels = these[data.draw(st.integers(0, len(these) - 1))]
    return syntax, frame, pixels


MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@given(data=st.data())
@MANY
def test_truncated_frames(data: st.DataObject) -> None:
    syntax, frame, pixels = drawn(data)
    length = data.draw(st.integers(0, len(frame) - 1))
    result = attempt(frame[:length], syntax, pixels)
    lossless = not syntax.removeprefix(ROOT).startswith(COMPRESSED) or syntax.endswith((".4.57", ".4.70"))
    if lossless and length < len(frame) - 64:
        assert isinstance(result, DataError), "a cut frame gave an image"


@given(data=st.data())
@MANY
def test_flipped_bits_and_overwritten_bytes(data: st.DataObject) -> None:
    syntax, frame, pixels = drawn(data)
    damaged = bytearray(frame)
    noise = random.Random(data.draw(st.integers(0, 1 << 30)))
    ends = data.draw(st.sampled_from([64, 700, len(damaged)]))  # headers are short: most of the bits are not theirs
    for _ in range(data.draw(st.integers(1, 8))):
        at = noise.randrange(min(ends, len(damaged)))
        damaged[at] = noise.randrange(256) if noise.random() < 0.5 else damaged[at] ^ (1 << noise.randrange(8))
    attempt(bytes(damaged), syntax, pixels)


@given(data=st.data())
@MANY
def test_descriptions_that_do_not_fit(data: st.DataObject) -> None:
    syntax, frame, pixels = drawn(data)
    changes: dict[str, int] = {}
    which = data.draw(st.sampled_from(["rows", "columns", "samples_per_pixel", "bits", "pixel_representation"]))
    if which in ("rows", "columns"):
        before = getattr(pixels, which)
        changes[which] = data.draw(
            st.sampled_from([1, before // 2 or 1, before - 1 or 2, before + 1, 2 * before, 65535])
        )
    elif which == "samples_per_pixel":
        changes[which] = 3 if pixels.samples_per_pixel == 1 else 1
    elif which == "bits":
        bits = data.draw(st.sampled_from([8, 12, 16, 32]))
        stored = data.draw(st.integers(1, bits))
        changes = {"bits_allocated": bits, "bits_stored": stored, "high_bit": stored - 1}
    else:
        changes[which] = 1 - pixels.pixel_representation
    described = dataclasses.replace(pixels, **changes)
    result = attempt(frame, syntax, described)
    coded = syntax.removeprefix(ROOT).startswith(".4.")
    if coded and which in ("rows", "columns", "samples_per_pixel") and described != pixels:
        assert isinstance(result, DataError), f"{which} is not what the code stream says"
        assert any(
            words in str(result)
            for words in (
                "the data set says",
                "neither 1, 3 nor 4",
                "larger than",
                "Samples per Pixel",
                "one frame is",
                "several samples per pixel",
            )
        ), str(result)


def test_rle_that_holds_another_size_is_refused() -> None:
    rows = bytes([127]) + bytes(range(128))
    packets = rows * 8  # 8 rows of 128
    frame = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + packets
    pixels = PixelDescription(8, 128, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    decode_frame(frame + b"\0\0\0\0", "1.2.840.10008.1.2.5", pixels)  # padded
    for changes, message in (({"rows": 7}, "holds more than Rows"), ({"rows": 9}, "Columns .* are wrong")):
        with pytest.raises(DataError, match=message) as raised:
            decode_frame(frame, "1.2.840.10008.1.2.5", dataclasses.replace(pixels, **changes))
        assert raised.value.offset is not None
        assert raised.value.offset > 64
