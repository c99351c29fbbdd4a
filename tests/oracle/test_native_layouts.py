"""Uncompressed pixel data in every layout, through scan, archive and decoder, against NumPy written from PS3.5 8.1."""

from __future__ import annotations

import struct
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from objects import CT, element, uid

import hilum
from hilum.codecs.decode import decode_frame
from hilum.config import Settings, StorageSettings
from hilum.errors import DataError
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LITTLE = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
ENCAPSULATED = "1.2.840.10008.1.2.1.98"
LONG = {"OB", "OW", "OF", "OD"}
KEYWORDS = {"PixelData": 0x7FE00010, "FloatPixelData": 0x7FE00008, "DoubleFloatPixelData": 0x7FE00009}
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hilum.Archive]:
    root: Path = tmp_path_factory.mktemp("native") / "root"
    with hilum.open(root, settings=Settings(storage=StorageSettings(reserve_bytes=0))) as opened:
        yield opened


def put_as(order: str, tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack(f"{order}HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = struct.pack(f"{order}HL", 0, len(value)) if vr in LONG else struct.pack(f"{order}H", len(value))
    return head + size + value


def make(pixels: PixelDescription, data: bytes, vr: str, syntax: str, number: int, extra: bytes = b"") -> bytes:
    """A Part-10 file; `data` is the value of the pixel data element, or with ENCAPSULATED its items."""
    order = ">" if syntax == BIG else "<"
    put = partial(put_as, order)
    meta = b"".join(
        (
            element(0x00020001, "OB", b"\0\1"),
            element(0x00020002, "UI", CT),
            element(0x00020003, "UI", uid(9, number)),
            element(0x00020010, "UI", syntax),
            element(0x00020012, "UI", uid()),
        )
    )

    def text(tag: int, vr: str, value: str) -> bytes:
        padded = value + ("" if len(value) % 2 == 0 else "\0" if vr == "UI" else " ")
        return put(tag, vr, padded.encode())

    def short(tag: int, value: int) -> bytes:
        return put(tag, "US", struct.pack(f"{order}H", value))

    body = [
        text(0x00080016, "UI", CT),
        text(0x00080018, "UI", uid(9, number)),
        text(0x0020000D, "UI", uid(7)),
        text(0x0020000E, "UI", uid(8)),
        short(0x00280002, pixels.samples_per_pixel),
        text(0x00280004, "CS", pixels.photometric_interpretation),
        *([short(0x00280006, pixels.planar_configuration)] if pixels.samples_per_pixel > 1 else []),
        text(0x00280008, "IS", str(pixels.number_of_frames)),
        short(0x00280010, pixels.rows),
        short(0x00280011, pixels.columns),
        short(0x00280100, pixels.bits_allocated),
        short(0x00280101, pixels.bits_stored),
        short(0x00280102, pixels.high_bit),
        short(0x00280103, pixels.pixel_representation),
        extra,
    ]
    if syntax == ENCAPSULATED:
        head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        body.append(head + data + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    else:
        body.append(put(KEYWORDS[pixels.keyword], vr, data + b"\0" * (len(data) % 2)))
    length = element(0x00020000, "UL", struct.pack("<L", len(meta)))
    return bytes(128) + b"DICM" + length + meta + b"".join(body)


def describe(shape: tuple[int, ...], bits: int, **changes: Any) -> PixelDescription:
    """Description of ``(frames, rows, columns, samples)``."""
    frames, rows, columns, samples = shape
    stored = changes.pop("stored", bits)
    return PixelDescription(
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        planar_configuration=changes.pop("planar", 0),
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=changes.pop("high_bit", stored - 1),
        pixel_representation=changes.pop("signed", 0),
        photometric_interpretation=changes.pop("photometric", "MONOCHROME2" if samples == 1 else "RGB"),
        number_of_frames=frames,
        keyword=changes.pop("keyword", "PixelData"),
    )


def pack(values: Array, bits: int) -> bytes:
    """Concatenate samples without gaps, least significant bit first (PS3.5 8.1.1)."""
    each = (values.astype(np.uint64).reshape(-1, 1) >> np.arange(bits, dtype=np.uint64)) & 1
    return np.packbits(each.astype(np.uint8).ravel(), bitorder="little").tobytes()


def in_big_endian_words(data: bytes) -> bytes:
    """Write bytes as 16-bit words of which the most significant byte comes first."""
    padded = data + b"\0" * (len(data) % 2)
    return np.frombuffer(padded, np.uint16).byteswap().tobytes()


def through(archive: hilum.Archive, data: bytes) -> Array:
    """Frames by the archive: in one call, and each alone, which must agree."""
    archive.store(data)
    scan_uid = data[data.index(b"\x02\x00\x03\x00UI") + 8 :].split(b"\x02\x00\x10\x00UI")[0].rstrip(b"\0").decode()
    instance = archive.instance(scan_uid)
    stacked = np.asarray(instance.frames.stack())
    np.testing.assert_array_equal(stacked, np.stack([np.asarray(instance.frame(i)) for i in range(len(stacked))]))
    return stacked


RNG = np.random.default_rng(20260101)
SHAPES = [(1, 4, 5, 1), (3, 5, 7, 1), (4, 3, 3, 1), (2, 1, 1, 1), (9, 31, 33, 1)]


def number_of(*parts: object) -> int:
    """Another one for each object of this module."""
    return zlib.crc32(repr(parts).encode()) + 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("bits", "order"),
    [(1, "little"), (1, "big OW"), (1, "big OB"), (8, "little"), (8, "big OW"), (8, "big OB"), (12, "little"),
     (12, "big OW")],
)  # fmt: skip
def test_samples_that_do_not_fill_words(archive: hilum.Archive, shape: tuple[int, ...], bits: int, order: str) -> None:
    values = RNG.integers(0, 1 << bits, shape[:3]).astype(np.uint16 if bits == 12 else np.uint8)
    stored = pack(values, bits)
    pixels = describe(shape, bits)
    if order == "little":
        data = make(pixels, stored, "OW" if bits == 12 else "OB", LITTLE, number_of(shape, bits, order))
    elif order == "big OW":
        data = make(pixels, in_big_endian_words(stored), "OW", BIG, number_of(shape, bits, order))
    else:
        data = make(pixels, stored, "OB", BIG, number_of(shape, bits, order))
    np.testing.assert_array_equal(through(archive, data), values)


@pytest.mark.parametrize("syntax", [LITTLE, BIG])
@pytest.mark.parametrize(
    ("dtype", "keyword", "vr"),
    [
        ("u2", "PixelData", "OW"),
        ("i2", "PixelData", "OW"),
        ("u4", "PixelData", "OW"),
        ("i4", "PixelData", "OW"),
        ("f4", "FloatPixelData", "OF"),
        ("f8", "DoubleFloatPixelData", "OD"),
    ],
)
def test_words_of_either_order(archive: hilum.Archive, dtype: str, keyword: str, vr: str, syntax: str) -> None:
    shape = (3, 5, 7, 1)
    width = int(dtype[1])
    raw = RNG.integers(0, 256, (*shape[:3], width)).astype(np.uint8)
    values = raw.reshape(*shape[:2], -1).copy().view(f"<{dtype}").reshape(shape[:3])
    if dtype[0] == "f":
        values = (RNG.standard_normal(shape[:3]) * 1e6).astype(dtype)
    stored = values.astype(f"{'>' if syntax == BIG else '<'}{dtype}").tobytes()
    pixels = describe(shape, 8 * width, signed=int(dtype[0] == "i"), keyword=keyword)
    data = make(pixels, stored, vr, syntax, number_of(dtype, syntax))
    decoded = through(archive, data)
    assert decoded.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize(("bits", "syntax"), [(8, LITTLE), (16, LITTLE), (16, BIG)])
@pytest.mark.parametrize("samples", [3, 4])
def test_planes(archive: hilum.Archive, bits: int, syntax: str, samples: int) -> None:
    shape = (2, 17, 19, samples)
    order = ">" if syntax == BIG else "<"
    values = RNG.integers(0, 1 << bits, shape).astype(f"u{bits // 8}")
    stored = np.moveaxis(values, 3, 1).astype(f"{order}u{bits // 8}").tobytes()
    photometric = "RGB" if samples == 3 else "CMYK"
    pixels = describe(shape, bits, planar=1, photometric=photometric)
    data = make(pixels, stored, "OB" if bits == 8 else "OW", syntax, number_of(bits, syntax, samples))
    np.testing.assert_array_equal(through(archive, data), values)


@pytest.mark.parametrize("term", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_422_repeats_chrominance(archive: hilum.Archive, term: str) -> None:
    shape = (3, 5, 6, 3)
    quads = RNG.integers(0, 256, (3, 5, 3, 4)).astype(np.uint8)  # Y1 Y2 CB CR (PS3.3 C.7.6.3.1.2)
    expected = np.empty(shape, np.uint8)
    expected[..., 0] = quads[..., :2].reshape(3, 5, 6)
    expected[..., 1:] = np.repeat(quads[..., 2:], 2, axis=2)
    data = make(describe(shape, 8, photometric=term), quads.tobytes(), "OB", LITTLE, number_of(term))
    np.testing.assert_array_equal(through(archive, data), expected)


def test_420_has_no_uncompressed_form() -> None:
    pixels = describe((1, 4, 4, 3), 8, photometric="YBR_PARTIAL_420")
    with pytest.raises(DataError, match="YBR_PARTIAL_420 has no uncompressed form"):
        decode_frame(bytes(24), LITTLE, pixels)
    full = RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)  # written in full all the same: what is there is decoded
    np.testing.assert_array_equal(decode_frame(full.tobytes(), LITTLE, pixels), full)


@pytest.mark.parametrize("allocated", [8, 12, 16, 32])
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_stored_and_high_bit_anywhere(allocated: int, signed: int) -> None:
    shape = (1, 6, 7, 1)
    container = {8: 8, 12: 16, 16: 16, 32: 32}[allocated]
    for stored in sorted({1, 2, 5, 7, allocated // 2 + 1, allocated - 1, allocated}):
        for high_bit in sorted({stored - 1, allocated - 1, (stored + allocated) // 2 - 1}):
            raw = RNG.integers(0, 1 << allocated, shape[1:3], dtype=np.uint64)
            data = pack(raw, 12) if allocated == 12 else raw.astype(f"<u{allocated // 8}").tobytes()
            values = (raw.astype(np.int64) >> (high_bit + 1 - stored)) & ((1 << stored) - 1)
            if signed:
                values = np.where(values >> (stored - 1), values - (1 << stored), values)
            pixels = describe(shape, allocated, stored=stored, high_bit=high_bit, signed=signed)
            decoded = decode_frame(data, LITTLE, pixels)
            assert decoded.dtype == np.dtype(f"{'i' if signed else 'u'}{container // 8}")
            np.testing.assert_array_equal(decoded, values)


def items(pieces: list[bytes], offsets: bytes = b"") -> bytes:
    every = [offsets, *(piece + b"\0" * (len(piece) % 2) for piece in pieces)]
    return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(each)) + each for each in every)


def offsets_of(pieces: list[bytes], starts: list[int]) -> list[int]:
    at = np.cumsum([0, *(8 + len(piece) + len(piece) % 2 for piece in pieces)])
    return [int(at[i]) for i in starts]


@pytest.mark.parametrize("table", ["right", "empty", "wrong", "short", "extended"])
@pytest.mark.parametrize("fragments", [1, 3])
def test_offset_tables_and_fragments(archive: hilum.Archive, table: str, fragments: int) -> None:
    """JPEG frames in one or several fragments each: an empty or wrong table is made up for by the code streams."""
    imagecodecs = pytest.importorskip("imagecodecs")
    shape = (4, 21, 23, 1)
    values = np.cumsum(RNG.integers(-3, 4, shape[:3]), axis=2).astype(np.uint8)
    streams = [imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1) for frame in values]
    cut = [[s[i * len(s) // fragments // 2 * 2 : None] for i in range(fragments)] for s in streams]
    for pieces in cut:  # each up to the begin of the next
        for i in range(fragments - 1):
            pieces[i] = pieces[i][: len(pieces[i]) - len(pieces[i + 1])]
    flat = [piece for pieces in cut for piece in pieces]
    starts = offsets_of(flat, list(range(0, len(flat), fragments)))
    if table == "wrong":
        starts = [start + 2 for start in starts]
    elif table == "short":
        starts = starts[:-1]
    basic = struct.pack(f"<{len(starts)}L", *starts) if table in ("right", "wrong", "short") else b""
    extra = b""
    if table == "extended" and fragments == 1:
        lengths = [len(piece) + len(piece) % 2 for piece in flat]
        extra = b"".join(
            struct.pack("<HH2sHL", 0x7FE0, tag, b"OV", 0, 8 * len(numbers)) + struct.pack(f"<{len(numbers)}Q", *numbers)
            for tag, numbers in ((1, starts), (2, lengths))
        )
    pixels = describe(shape, 8)
    data = make(pixels, items(flat, basic), "OB", ENCAPSULATED, number_of(table, fragments), extra)
    lossless = b"1.2.840.10008.1.2.4.70"  # as long as 1.2.840.10008.1.2.1.98
    data = data.replace(ENCAPSULATED.encode(), lossless)
    np.testing.assert_array_equal(through(archive, data), values)


def test_encapsulated_uncompressed_of_odd_length(archive: hilum.Archive) -> None:
    values = RNG.integers(0, 256, (3, 5, 7)).astype(np.uint8)
    data = make(describe((3, 5, 7, 1), 8), items([v.tobytes() for v in values]), "OB", ENCAPSULATED, number_of("odd"))
    np.testing.assert_array_equal(through(archive, data), values)
