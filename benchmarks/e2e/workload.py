"""The objects that hilum and its peers get: seeded, written once per work folder, the same bytes for everybody."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pydicom

sys.path.insert(0, str(Path(__file__).parent.parent))

import data

KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "PatientName", "StudyDate")


def _made(folder: Path, instances: int, *, small: bool, per_series: int = 100) -> Path:
    if not (folder / "complete").exists():
        if small:
            data.make_small(folder, instances)
        else:
            data.make_ct(folder, instances, per_series)
        (folder / "complete").touch()
    return folder


def ct_folder(work: Path) -> Path:
    """2 000 CT slices of 525 kB: 10 studies of two series."""
    return _made(work / "ct2000", 2000, small=False)


def small_folder(work: Path) -> Path:
    """20 000 images of 64x64, each a study of its own."""
    return _made(work / "small20000", 20_000, small=True)


def series_folder(work: Path) -> Path:
    """One series of 500 CT slices."""
    return _made(work / "series500", 500, small=False, per_series=500)


def large_multiframe(work: Path) -> Path:
    """One object of 1 GiB: 2 048 frames of 512x512x16 bit; pixels are random, so nothing can compress them away."""
    path = work / "large" / "multiframe.dcm"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        frames, rows = 2048, 512
        head = data.instance_bytes(900_000, 0, 0, data.ct_slice(0, 0.5, 16))
        head = head[: head.rindex(b"\xe0\x7f\x10\x00OW")]
        frame_tag = data.element(0x00280008, "IS", str(frames))
        at = head.index(b"\x28\x00\x10\x00US")
        size = struct.pack("<H", rows)
        body = head[:at] + frame_tag + head[at:]
        for tag in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
            at = body.index(tag) + len(tag)
            body = body[:at] + size + body[at + 2 :]
        block = data.rng(6).bytes(1 << 20)
        partial = path.with_suffix(".part")
        with partial.open("wb") as stream:
            stream.write(body + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", frames * rows * rows * 2))
            for number in range(frames * rows * rows * 2 >> 20):
                stream.write(block[number % 4096 :] + block[: number % 4096])
        partial.rename(path)
    return path


def files_of(folder: Path) -> list[Path]:
    """All objects of a folder, sorted."""
    return sorted(folder.rglob("*.dcm"))


def keys_of(files: list[Path]) -> list[dict[str, str]]:
    """UIDs and query keys of each file, read by pydicom."""
    found = []
    for path in files:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS))
        found.append({keyword: str(dataset[keyword].value) for keyword in KEYWORDS})
    return found
