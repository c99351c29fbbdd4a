"""Stored values of every real file against MANIFEST.csv: hashes that two independent decoders agree on."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter

import pydicom
import pytest
from pixel_frames import description_of, empty_frame, stored_frames, syntax_of

from hilum import _core
from hilum.codecs.registry import can_decode
from hilum.errors import DataError

# The frames of these are cut or described wrongly by what is in the file; each says why it is not an oracle here.
NOT_COMPARABLE = {
    "sm/multiframe.dcm": "its last row of tiles holds code streams of another size than Rows and Columns",
    "sc_colour/SC_rgb_small_odd_big_endian.dcm": "8-bit samples in big-endian OW words: see test_decode.py",
}
WITHOUT_DECODER = "bits a sample has no decoder"


def decode_all(path: str) -> str:
    """SHA-256 over the decoded frames of a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        description = description_of(dataset)
        frames = stored_frames(dataset, description)
    digest = hashlib.sha256()
    out = empty_frame(description)
    for fragments, bit_offset in frames:
        source = fragments if len(fragments) > 1 else fragments[0]
        _core.decode(source, syntax_of(dataset), description, bit_offset, out=out)
        digest.update(out.tobytes())
    return digest.hexdigest()


def test_every_decodable_file_hashes_to_the_manifest(manifest: list[dict[str, str]]) -> None:
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    for row in manifest:
        expected = row["decoded_sha256"] or row["decoded_sha256_unconfirmed"]
        syntax = row["transfer_syntax"]
        if not expected or not row["rows"] or row["path"] in NOT_COMPARABLE or (syntax and not can_decode(syntax)):
            continue
        try:
            if decode_all(row["file"]) != expected:
                wrong.append(row["path"])
        except DataError as error:
            if WITHOUT_DECODER not in str(error):
                wrong.append(f"{row['path']}: {error}")
            continue
        compared[syntax] += 1
    assert not wrong, f"{len(wrong)} files differ: {wrong[:10]}"
    assert sum(compared.values()) > 400
    assert set(compared) >= {
        f"1.2.840.10008.1.2{s}" for s in ("", ".1", ".1.99", ".2", ".5", ".4.50", ".4.57", ".4.70")
    }


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.100", "1.2.3"])
def test_a_syntax_without_decoder_is_named(syntax: str) -> None:
    pixels = (1, 1, 1, 0, 8, 8, 7, 0, "MONOCHROME2", 1, "PixelData")
    with pytest.raises(DataError, match=syntax.replace(".", r"\.")) as raised:
        _core.decode(b"\0", syntax, pixels, out=bytearray(1))
    assert raised.value.code == 11
