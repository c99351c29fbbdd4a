"""Real files in every lossless syntax that holds them: the same values by us and by programs that are not ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from hilum.archive.stored_object import object_in_bytes, object_in_file
from hilum.archive.transcode import frame_in_syntax, transcode_object
from hilum.codecs.decode import decode_frame
from hilum.codecs.encode import CONTAINERS, EncodeOptions, can_encode, encoders, is_lossy, stored_values
from hilum.codecs.registry import can_decode
from hilum.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "1.2.840.10008.1.2"
LOSSLESS = EncodeOptions(near=0, ratio=0.0, step=0.0)
NOT_COMPARABLE = {"sm/multiframe.dcm", "sc_colour/SC_rgb_small_odd_big_endian.dcm"}
"""Wrong in themselves: see test_decode_manifest.py."""
NOT_BY_DCMTK = {"cr_dx_mg/GH133.dcm"}
"""A private sequence of it holds a compressed icon: dcmtk refuses to change the syntax, of the original as well."""
SMALL = 4 << 20
PIXEL_ATTRIBUTES = {0x00880200, 0x00280004, 0x00280006, 0x7FE00001, 0x7FE00002, 0x7FE00010}


def small_files(manifest: list[dict[str, str]]) -> list[dict[str, str]]:
    """Files with known pixels that can be decoded, one of each kind."""
    kinds: set[tuple[str, ...]] = set()
    chosen = []
    names = ("transfer_syntax", "bits_allocated", "bits_stored", "pixel_representation", "samples", "photometric")
    for row in manifest:
        syntax = row["transfer_syntax"] or ROOT
        kind = (*(row[name] for name in names), row["path"].split("/")[0])
        known = row["decoded_sha256"] and row["rows"] and row["path"] not in NOT_COMPARABLE
        if not known or not can_decode(syntax) or int(row["size"]) > SMALL or kind in kinds:
            continue
        kinds.add(kind)
        chosen.append(row)
    return chosen


def hash_of(data: bytes) -> str:
    stored = object_in_bytes(data)
    assert stored.pixels is not None
    digest = hashlib.sha256()
    for frame in range(stored.frame_count):
        fragments, bits = stored.stored_frame(frame)
        source: Any = fragments[0] if len(fragments) == 1 else fragments
        decoded = decode_frame(source, stored.transfer_syntax_uid, stored.pixels, bit_offset=bits)
        if stored.transfer_syntax_uid not in CONTAINERS:  # overlay bits are kept above the stored ones
            decoded = stored_values(decoded, stored.pixels)
        digest.update(decoded.tobytes())
    return digest.hexdigest()


def targets(pixels: Any) -> list[str]:
    found = [e.transfer_syntax_uid for e in encoders() if can_encode(e.transfer_syntax_uid, pixels)]
    return [uid for uid in found if not is_lossy(uid, LOSSLESS) and can_decode(uid)]


def test_real_files_keep_their_values_in_every_lossless_syntax(manifest: list[dict[str, str]]) -> None:
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    for row in small_files(manifest):
        try:
            stored = object_in_file(row["file"])
        except DataError:
            continue
        with open(row["file"], "rb") as stream:
            if hash_of(stream.read()) != row["decoded_sha256"]:
                continue  # code stream and data set contradict each other
        for uid in targets(stored.pixels):
            try:
                made = transcode_object(stored, uid, LOSSLESS)
                data = b"".join(made.pieces)
                assert len(data) == made.length
                if hash_of(data) != row["decoded_sha256"]:
                    wrong.append(f"{row['path']} {uid[18:]}: other values")
                compared[uid] += 1
            except Exception as error:
                wrong.append(f"{row['path']} {uid[18:]}: {type(error).__name__} {error}")
    assert not wrong, f"{len(wrong)} differ: {wrong[:20]}"
    assert min(compared.values()) >= 10, compared
    assert len(compared) >= 12


def test_everything_but_the_pixels_stays(manifest: list[dict[str, str]]) -> None:
    """By pydicom: each element of the data set, private ones and sequences too, in order."""
    compared = 0
    wrong = []
    for row in small_files(manifest):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                before = pydicom.dcmread(row["file"])
                stored = object_in_file(row["file"])
            except Exception:
                continue
            for uid in (f"{ROOT}.5", f"{ROOT}.1"):
                if uid not in targets(stored.pixels):
                    continue
                data = b"".join(transcode_object(stored, uid, LOSSLESS).pieces)
                after = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
                same = before.file_meta.get("TransferSyntaxUID", ROOT) == f"{ROOT}.1"
                tags = [t for t in before if int(t.tag) not in PIXEL_ATTRIBUTES and t.tag.element]
                kept = [t for t in after if int(t.tag) not in PIXEL_ATTRIBUTES and t.tag.element]
                if [t.tag for t in tags] != [t.tag for t in kept]:
                    wrong.append(row["path"])
                elif same and tags != kept:
                    wrong.append(f"{row['path']}: values")
                compared += 1
    assert not wrong, wrong[:10]
    assert compared > 50


@pytest.mark.parametrize(
    ("program", "suffix"),
    [("dcmdjpeg", ".4.70"), ("dcmdjpls", ".4.80"), ("dcmdrle", ".5"), ("dcmconv", ".2"), ("dcmconv", ".1.99")],
)
def test_dcmtk_reads_what_is_written(manifest: list[dict[str, str]], tmp_path: Path, program: str, suffix: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} (dcmtk) is not installed")
    compared = 0
    for row in small_files(manifest):
        if row["path"] in NOT_BY_DCMTK or not row["path"].startswith(("ct/", "mr/", "cr_dx_mg/", "us/", "sc_colour/")):
            continue
        try:
            stored = object_in_file(row["file"])
        except DataError:
            continue
        if ROOT + suffix not in targets(stored.pixels) or (stored.pixels and stored.pixels.bits_allocated > 16):
            continue
        made, plain = tmp_path / "made.dcm", tmp_path / "plain.dcm"
        made.write_bytes(b"".join(transcode_object(stored, ROOT + suffix, LOSSLESS).pieces))
        run = subprocess.run([program, "+te", str(made), str(plain)], capture_output=True, text=True, check=False)
        if "dcmconv" not in program:
            run = subprocess.run([program, "+cn", str(made), str(plain)], capture_output=True, text=True, check=False)
            if run.returncode:
                run = subprocess.run([program, str(made), str(plain)], capture_output=True, text=True, check=False)
        if run.returncode and stored.pixels and stored.pixels.photometric_interpretation not in ("RGB", "MONOCHROME2"):
            continue  # dcmtk refuses the colour model, in the original as well
        assert run.returncode == 0, f"{row['path']}: {run.stderr[-300:]}"
        assert hash_of(plain.read_bytes()) == row["decoded_sha256"], row["path"]
        os.unlink(plain)
        compared += 1
    assert compared >= 5


def test_one_frame_costs_no_other(manifest: list[dict[str, str]]) -> None:
    row = next(
        r for r in manifest if r["frames"] and int(r["frames"] or 0) >= 8 and r["transfer_syntax"] == f"{ROOT}.1"
    )
    stored = object_in_file(row["file"])
    read: list[tuple[int, int]] = []

    def counting(start: int, length: int) -> bytes:
        read.append((start, length))
        return stored.read(start, length)

    import dataclasses

    counted = dataclasses.replace(stored, read=counting)
    assert frame_in_syntax(counted, 5, f"{ROOT}.5", LOSSLESS)
    assert stored.frames is not None
    assert sum(length for _, length in read) <= stored.frames[5].length + 16
