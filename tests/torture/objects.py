"""Objects to store: small valid Part-10 files, each unlike every other."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.10.1337"
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    head = struct.pack("<HH2s", group, element, vr)
    return head + (struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))) + value


def _text(group: int, element: int, vr: bytes, value: str) -> bytes:
    return _element(group, element, vr, value.encode())


def _short(group: int, element: int, value: int) -> bytes:
    return _element(group, element, b"US", struct.pack("<H", value))


def make_object(writer: int, number: int, pixels: bytes) -> tuple[str, bytes]:
    """Object `number` of a writer: its SOP Instance UID and its bytes. Twenty make a series, three series a study."""
    uid = f"{ROOT}.{writer}.{number // 60}.{number // 20}.{number}"
    series = f"{ROOT}.{writer}.{number // 60}.{number // 20}"
    study = f"{ROOT}.{writer}.{number // 60}"
    meta = b"".join(
        [
            _element(2, 1, b"OB", b"\0\1"),
            _text(2, 2, b"UI", CT),
            _text(2, 3, b"UI", uid),
            _text(2, 0x10, b"UI", EXPLICIT),
            _text(2, 0x12, b"UI", ROOT),
        ]
    )
    columns = 16 if len(pixels) < 1 << 20 else 512
    rows = len(pixels) // 2 // columns
    data = b"".join(
        [
            _text(8, 0x16, b"UI", CT),
            _text(8, 0x18, b"UI", uid),
            _text(8, 0x20, b"DA", "20240102"),
            _text(8, 0x60, b"CS", "CT"),
            _text(0x10, 0x10, b"PN", f"Torture^W{writer}"),
            _text(0x10, 0x20, b"LO", f"T{writer}-{number // 60}"),
            _text(0x20, 0xD, b"UI", study),
            _text(0x20, 0xE, b"UI", series),
            _text(0x20, 0x13, b"IS", str(number)),
            _short(0x28, 2, 1),
            _text(0x28, 4, b"CS", "MONOCHROME2"),
            _short(0x28, 0x10, rows),
            _short(0x28, 0x11, columns),
            _short(0x28, 0x100, 16),
            _short(0x28, 0x101, 16),
            _short(0x28, 0x102, 15),
            _short(0x28, 0x103, 0),
            _element(0x7FE0, 0x10, b"OW", pixels[: 2 * rows * columns]),
        ]
    )
    return uid, bytes(128) + b"DICM" + _element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + data


def random_size(chance: random.Random) -> int:
    """Mostly a few KiB, now and then some hundred."""
    return 32 * chance.choice([8, 64, 256, 256, 600, chance.randrange(1, 8000)])
