"""What a header claims: sizes, components, bits and sign, against the description and against the bytes that there are.

Claims that cannot be cost less than 64 MiB and end in an error that says where; the code stream is believed where only
it can know, else both sides are named.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import pytest

from hilum.codecs.decode import decode_frame
from hilum.codecs.encode import LOSSLESS, EncodeOptions, encode_frame, encoders
from hilum.codecs.registry import can_decode
from hilum.errors import DataError
from hilum.types import PixelDescription

ROOT = "1.2.840.10008.1.2"
GREY = PixelDescription(64, 64, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
DEEP = replace(GREY, bits_allocated=16, bits_stored=12, high_bit=11)
COLOUR = replace(GREY, samples_per_pixel=3, photometric_interpretation="RGB")
HEADERS = ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "4.201", "4.202", "4.203")
"""Syntaxes whose code streams say their size."""
PLAIN = ("", ".1", ".2", ".1.98", ".1.99", ".5", ".8.1")
MIB = 64


def values(pixels: PixelDescription) -> np.ndarray[Any, Any]:
    shape = (pixels.rows, pixels.columns, 3) if pixels.samples_per_pixel == 3 else (pixels.rows, pixels.columns)
    dtype = np.uint8 if pixels.bits_allocated == 8 else np.uint16
    return np.random.default_rng(1).integers(0, 1 << pixels.bits_stored, shape).astype(dtype)


@cache
def stream(suffix: str, pixels: PixelDescription) -> bytes:
    """Noise in a transfer syntax."""
    uid = f"{ROOT}.{suffix}" if suffix and not suffix.startswith(".") else ROOT + suffix
    if suffix == "4.51":
        return bytes(imagecodecs.jpeg8_encode(values(pixels), bitspersample=12))
    if suffix == "4.57":
        return stream("4.70", pixels)
    return encode_frame(values(pixels), uid, pixels, LOSSLESS)


def claiming(data: bytes, rows: int, columns: int) -> bytes:
    """The same, with another size in the frame header (SOFn) or in the image and tile size (SIZ)."""
    changed = bytearray(data)
    if data.startswith(b"\xff\x4f\xff\x51"):
        changed[8:16] = struct.pack(">2I", columns, rows)
        changed[24:32] = struct.pack(">2I", columns, rows)
        return bytes(changed)
    at = next(found for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7) if (found := data.find(bytes([0xFF, marker]))) >= 0)
    changed[at + 5 : at + 9] = struct.pack(">2H", rows, columns)
    return bytes(changed)


def pixels_of(suffix: str) -> PixelDescription:
    return DEEP if suffix == "4.51" else GREY


def cases() -> dict[str, tuple[bytes, str, PixelDescription]]:
    """Claims of 65535 rows (and columns): by the code stream, by the description, by both; with the bytes of 64x64."""
    found = {}
    for suffix in HEADERS:
        uid, pixels, data = f"{ROOT}.{suffix}", pixels_of(suffix), stream(suffix, pixels_of(suffix))
        for columns in (65535, 30000):
            large = replace(pixels, rows=65535, columns=columns)
            found[f"{suffix} {columns} stream"] = (claiming(data, 65535, columns), uid, pixels)
            found[f"{suffix} {columns} description"] = (data, uid, large)
            found[f"{suffix} {columns} both"] = (claiming(data, 65535, columns), uid, large)
    for suffix in PLAIN:
        found[f"{suffix} description"] = (stream(suffix, GREY), ROOT + suffix, replace(GREY, rows=65535, columns=65535))
    found["4.110 description"] = (
        bytes(imagecodecs.jpegxl_encode(values(GREY), lossless=True)),
        f"{ROOT}.4.110",
        replace(GREY, rows=65535, columns=65535),
    )
    return {name: case for name, case in found.items() if can_decode(case[1])}


def measure() -> None:
    """Prints what each case costs (MiB) and ends in; in a process of its own, whose peak can be taken back."""

    def peak() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

    report = {}
    for name, (data, uid, pixels) in cases().items():
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
        before = peak()
        try:
            decode_frame(data, uid, pixels)
            said, offset, kind = "nothing", None, ""
        except Exception as error:
            said, offset, kind = str(error), getattr(error, "offset", None), type(error).__name__
        report[name] = ((peak() - before) >> 10, kind, said, offset)
    print(json.dumps(report))


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory as Linux tells them")
def test_a_claim_of_65535_by_65535_costs_little_and_says_where() -> None:
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True, timeout=120)
    report = json.loads(run.stdout)
    assert len(report) > 60
    for name, (cost, kind, said, offset) in report.items():
        assert kind in ("DataError", "LimitExceeded"), (name, kind, said)
        assert cost < MIB, (name, cost, said)
        names_both = "the data set says" in said or "larger than" in said
        assert names_both or (offset is not None and 0 <= offset <= 6000), (name, said, offset)


@pytest.mark.parametrize("suffix", [suffix for suffix in HEADERS if suffix not in ("4.51", "4.57")])
def test_wrong_components_are_refused_with_both_named(suffix: str) -> None:
    uid = f"{ROOT}.{suffix}"
    options = EncodeOptions(near=0, ratio=0.0, step=0.0)
    colour = encode_frame(values(COLOUR), uid, COLOUR, options)
    for data, pixels in ((colour, GREY), (stream(suffix, GREY), COLOUR)):
        with pytest.raises(DataError, match=r"the code stream is 64x64x[13], the data set says 64x64x[31]"):
            decode_frame(data, uid, pixels)


@pytest.mark.parametrize("suffix", ["4.70", "4.80", "4.90", "4.201"])
def test_other_bits_are_believed_and_reported_or_refused(suffix: str) -> None:
    uid = f"{ROOT}.{suffix}"
    data = stream(suffix, DEEP)
    report: list[Any] = []
    decoded = decode_frame(data, uid, replace(DEEP, bits_stored=10, high_bit=9), report=report)
    assert np.array_equal(decoded, values(DEEP))
    assert len(report) == 1 and "12" in str(report[0]) and "10" in str(report[0])
    with pytest.raises(DataError, match=r"12 bits.*8|8.*12 bits"):  # they do not go into a byte
        decode_frame(data, uid, GREY)


@pytest.mark.parametrize("suffix", ["4.90", "4.201"])
def test_another_sign_is_believed_and_reported(suffix: str) -> None:
    uid = f"{ROOT}.{suffix}"
    signed = replace(DEEP, pixel_representation=1)
    plain = values(DEEP)
    report: list[Any] = []
    decoded = decode_frame(stream(suffix, DEEP), uid, signed, report=report)
    assert len(report) == 1 and "igned" in str(report[0])
    assert np.array_equal(decoded.astype(np.int64), plain.astype(np.int64))


def test_every_syntax_with_an_encoder_is_in_these_tests() -> None:
    tested = {f"{ROOT}.{suffix}" for suffix in HEADERS} | {ROOT + suffix for suffix in PLAIN}
    assert {one.transfer_syntax_uid for one in encoders()} <= tested


if __name__ == "__main__":
    measure()
