"""Stored values of every real file against MANIFEST.csv: hashes that two independent decoders agree on."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import pydicom
import pytest
from pixel_frames import description_of, empty_frame, stored_frames, syntax_of

from hilum import _core
from hilum.codecs.registry import can_decode
from hilum.dicom.scan import FrameTable
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

Description: TypeAlias = tuple[Any, ...]
Frames: TypeAlias = list[tuple[list[bytes], int]]

# The frames of these are cut or described wrongly by what is in the file; each says why it is not an oracle here.
NOT_COMPARABLE = {
    "sm/multiframe.dcm": "its last row of tiles holds code streams of another size than Rows and Columns",
    "ts/jpegxl/will-jxl.dcm": "a lossy code stream: releases of libjxl differ by 1, see test_jpeg_family.py",
    "sc_colour/SC_rgb_small_odd_big_endian.dcm": "8-bit samples in big-endian OW: see test_archive_frames.py",
}
WITHOUT_DECODER = ("bits a sample has no decoder", "not a valid UID", "has no value at")  # objects that scan refuses


def cut_by_pydicom(path: str) -> tuple[str, Description, Frames]:
    """Transfer syntax, pixel description and frames as pydicom finds them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        description = description_of(dataset)
        return syntax_of(dataset), description, stored_frames(dataset, description)


def cut_by_scan(path: str) -> tuple[str, Description, Frames]:
    """The same by our scan and its frame table."""
    with open(path, "rb") as stream:
        data = stream.read()
    scan = _core.scan(data)
    table = FrameTable(scan.frame_table)
    if table.inflated:
        data = _core.inflate(data)
    assert scan.pixels is not None
    frames = []
    for index in range(len(table)):
        place = table[index]
        frames.append(([data[start : start + length] for start, length in place.fragments], place.bit_offset))
    return scan.transfer_syntax_uid, scan.pixels, frames


def decode_all(syntax: str, description: Description, frames: Frames) -> str:
    """SHA-256 over the decoded frames of a file."""
    digest = hashlib.sha256()
    out = empty_frame(description)
    for fragments, bit_offset in frames:
        source = fragments if len(fragments) > 1 else fragments[0]
        _core.decode(source, syntax, description, bit_offset, out=out)
        digest.update(out.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("cut", [cut_by_pydicom, cut_by_scan])
def test_every_decodable_file_hashes_to_the_manifest(
    manifest: list[dict[str, str]], cut: Callable[[str], tuple[str, Description, Frames]]
) -> None:
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    for row in manifest:
        expected = row["decoded_sha256"] or row["decoded_sha256_unconfirmed"]
        syntax = row["transfer_syntax"]
        if not expected or not row["rows"] or row["path"] in NOT_COMPARABLE or (syntax and not can_decode(syntax)):
            continue
        try:
            if decode_all(*cut(row["file"])) != expected:
                wrong.append(row["path"])
        except DataError as error:
            if not any(reason in str(error) for reason in WITHOUT_DECODER):
                wrong.append(f"{row['path']}: {error}")
            continue
        compared[syntax] += 1
    assert not wrong, f"{len(wrong)} files differ: {wrong[:10]}"
    assert sum(compared.values()) > 400
    suffixes = (
        "",
        ".1",
        ".1.99",
        ".2",
        ".5",
        ".8.1",
        ".4.50",
        ".4.57",
        ".4.51",
        ".4.53",
        ".4.55",
        ".4.70",
        ".4.80",
        ".4.81",
        ".4.90",
        ".4.91",
    )
    if cut is cut_by_pydicom:
        suffixes = (*suffixes, ".4.201", ".4.203")  # of objects without UIDs, which scan refuses
    assert set(compared) >= {f"1.2.840.10008.1.2{suffix}" for suffix in suffixes}


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.100", "1.2.3"])
def test_a_syntax_without_decoder_is_named(syntax: str) -> None:
    pixels = (1, 1, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    with pytest.raises(DataError, match=syntax.replace(".", r"\.")) as raised:
        _core.decode(b"\0", syntax, pixels, out=bytearray(1))
    assert raised.value.code == 11
