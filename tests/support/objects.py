"""Small synthetic objects for tests, written element by element; the same arguments give the same bytes."""

from __future__ import annotations

import struct

ROOT = "1.2.826.0.1.3680043.10.1561.9"
CT = "1.2.840.10008.5.1.4.1.1.2"
_LONG = {"OB", "OW", "SQ", "UN", "UT"}


def uid(*numbers: int) -> str:
    return ".".join([ROOT, *(str(number) for number in numbers)])


def element(tag: int, vr: str, value: bytes | str) -> bytes:
    data = value.encode("latin-1") if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in _LONG:
        return head + struct.pack("<HL", 0, len(data)) + data
    return head + struct.pack("<H", len(data)) + data


def make_object(
    study: int = 1,
    series: int = 1,
    instance: int = 1,
    *,
    patient: str | None = None,
    size: int = 8,
    frames: int = 1,
    preamble: bytes = bytes(128),
    comment: str = "",
    date: str = "20240131",
    modality: str = "CT",
    filler: int = 0,
) -> bytes:
    """A CT image with `frames` frames of `size` x `size` 16-bit pixels; pixel values are frame * 1000 + position."""
    sop = uid(3, study, series, instance)
    group2 = b"".join(
        (
            element(0x00020001, "OB", b"\0\1"),
            element(0x00020002, "UI", CT),
            element(0x00020003, "UI", sop),
            element(0x00020010, "UI", "1.2.840.10008.1.2.1"),
            element(0x00020012, "UI", ROOT),
        )
    )
    pixels = b"".join(
        struct.pack(f"<{size * size}H", *((f * 1000 + i) % 4096 for i in range(size * size))) for f in range(frames)
    )
    us = struct.Struct("<H").pack
    elements = [
        element(0x00080005, "CS", "ISO_IR 100"),
        element(0x00080016, "UI", CT),
        element(0x00080018, "UI", sop),
        element(0x00080020, "DA", date),
        element(0x00080030, "TM", "101500"),
        element(0x00080050, "SH", f"A{study}"),
        element(0x00080060, "CS", modality),
        element(0x00081030, "LO", f"Study {study}"),
        element(0x0008103E, "LO", f"Series {series}"),
        element(0x00100010, "PN", f"Family{study}^Given"),
        element(0x00100020, "LO", patient or f"P{study}"),
        element(0x0020000D, "UI", uid(1, study)),
        element(0x0020000E, "UI", uid(2, study, series)),
        element(0x00200011, "IS", str(series)),
        element(0x00200013, "IS", str(instance)),
        element(0x00204000, "LT", comment),
        element(0x00280002, "US", us(1)),
        element(0x00280004, "CS", "MONOCHROME2"),
        element(0x00280008, "IS", str(frames)),
        element(0x00280010, "US", us(size)),
        element(0x00280011, "US", us(size)),
        element(0x00280100, "US", us(16)),
        element(0x00280101, "US", us(12)),
        element(0x00280102, "US", us(11)),
        element(0x00280103, "US", us(0)),
        element(0x00281052, "DS", "-1024"),
        element(0x00281053, "DS", "1"),
        element(0x7FE00010, "OW", pixels + bytes(filler)),
    ]
    length = element(0x00020000, "UL", struct.pack("<L", len(group2)))
    return preamble + b"DICM" + length + group2 + b"".join(elements)
