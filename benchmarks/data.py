"""Deterministic synthetic studies for the benchmarks: nothing in them comes from a patient.

``ct`` writes 512x512 16-bit CT slices of an analytic chest phantom with band-limited noise (12 bits stored, so they
compress like CT and not like zeros or white noise), ``small`` 64x64 ones. The same arguments give the same bytes.

    python benchmarks/data.py ct FOLDER --instances 2000
    python benchmarks/data.py small FOLDER --instances 20000
"""

from __future__ import annotations

import argparse
import struct
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEED = 20240229
ROOT_UID = "1.2.826.0.1.3680043.10.1561.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
FAMILY = (
    "Adams", "Bauer", "Chen", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanov", "Jones",
    "Kowalski", "Larsen", "Moreau", "Nguyen", "Okafor", "Petrov", "Quinn", "Rossi", "Schmidt", "Tanaka",
)  # fmt: skip
GIVEN = (
    "Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas",
    "Karin", "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sven", "Tina", "Uwe",
)  # fmt: skip
LONG = {"OB", "OW", "SQ", "UN", "UT"}
Pixels = npt.NDArray[np.uint16]


def element(tag: int, vr: str, value: bytes | str) -> bytes:
    """One element in Explicit VR Little Endian (PS3.5 7.1.2)."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in LONG:
        return head + struct.pack("<HL", 0, len(data)) + data
    return head + struct.pack("<H", len(data)) + data


def uid(kind: int, *numbers: int) -> str:
    """UID below the root of the benchmarks."""
    return ".".join([ROOT_UID, str(kind), *(str(n) for n in numbers)])


def rng(*key: int) -> np.random.Generator:
    """Generator that depends on the key alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((SEED, *key))))


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


@lru_cache(maxsize=2)
def _noise(size: int, study: int) -> npt.NDArray[np.float32]:
    """Band-limited noise, larger than a slice, so that each slice takes its own window of it."""
    white = rng(1, study).standard_normal((size * 2, size * 2), dtype=np.float32)
    smooth = white[:-2, 1:-1] + white[2:, 1:-1] + white[1:-1, :-2] + white[1:-1, 2:] + 2 * white[1:-1, 1:-1]
    return smooth / np.float32(8**0.5)


def ct_slice(study: int, z: float, size: int = 512) -> Pixels:
    """One slice: body, lungs with vessels, heart, spine, table.

    Parameters
    ----------
    study : int
        Anatomy and noise.
    z : float
        Position along the body, 0 to 1.
    size : int
        Rows and columns.

    Returns
    -------
    ndarray of uint16, (size, size)
        Stored values: HU + 1024, 0 to 4095.
    """
    y, x = _grid(size)
    hu = np.full((size, size), -1000, np.float32)
    scale = float(0.85 + 0.15 * np.sin(np.pi * z))

    def ellipse(cx: float, cy: float, rx: float, ry: float, value: float) -> None:
        hu[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = value

    ellipse(0, 0, 0.92 * scale, 0.68 * scale, -95)
    ellipse(0, 0, 0.86 * scale, 0.61 * scale, 45)
    for side in (-1, 1):
        ellipse(side * 0.42, -0.02, 0.30 * scale, 0.40 * scale, -840)
    for vx, vy, radius in rng(2, study).random((16, 3)):
        side = -1 if vx < 0.5 else 1
        r = 0.004 + 0.012 * radius
        ellipse(side * (0.16 + 0.5 * abs(2 * vx - 1)), 0.7 * (vy - 0.5) + 0.1 * (radius - 0.5) * z, r, r, 30)
    ellipse(0.1, -0.12, 0.2 * scale, 0.2 * scale, 60)
    ellipse(0, 0.36, 0.11, 0.10, 650)
    ellipse(0, 0.36, 0.085, 0.075, 260)
    hu[(np.abs(y - 0.8) < 0.012) & (np.abs(x) < 0.6)] = 150
    noise = _noise(size, study)
    row, column = rng(3, study, int(z * 99991)).integers(0, size - 2, 2)
    hu += noise[row : row + size, column : column + size] * np.where(hu > -900, np.float32(22), np.float32(13))
    return np.clip(np.rint(hu + 1024), 0, 4095).astype(np.uint16)


def instance_bytes(study: int, series: int, instance: int, pixels: Pixels, description: str = "CT Thorax") -> bytes:
    """One CT image as a Part-10 file."""
    generator = rng(4, study)
    family, given = FAMILY[generator.integers(20)], GIVEN[generator.integers(20)]
    date = str(np.datetime64("2015-01-01") + int(generator.integers(0, 3650))).replace("-", "")
    time = f"{6 + study % 14:02d}{study % 60:02d}{study % 59:02d}"
    sop = uid(3, study, series, instance)
    rows = struct.pack("<H", pixels.shape[0])
    spacing = f"{400 / pixels.shape[0]:.6f}"
    meta = [
        (0x00020001, "OB", b"\0\1"), (0x00020002, "UI", CT_IMAGE_STORAGE), (0x00020003, "UI", sop),
        (0x00020010, "UI", EXPLICIT_LITTLE_ENDIAN), (0x00020012, "UI", ROOT_UID),
    ]  # fmt: skip
    body = [
        (0x00080005, "CS", "ISO_IR 100"), (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x00080016, "UI", CT_IMAGE_STORAGE), (0x00080018, "UI", sop), (0x00080020, "DA", date),
        (0x00080021, "DA", date), (0x00080022, "DA", date), (0x00080023, "DA", date),
        (0x00080030, "TM", time), (0x00080031, "TM", time), (0x00080033, "TM", time),
        (0x00080050, "SH", f"A{study:08d}"), (0x00080060, "CS", "CT"),
        (0x00080070, "LO", "Synthetic Phantom Works"), (0x00080080, "LO", "Benchmark Hospital"),
        (0x00080090, "PN", f"{FAMILY[study % 20]}^{GIVEN[study // 20 % 20]}"),
        (0x00081010, "SH", "CT01"), (0x00081030, "LO", description),
        (0x0008103E, "LO", f"Series {series + 1}"), (0x00081090, "LO", "Phantom 64"),
        (0x00090010, "LO", "SYNTHETIC 01"), (0x00091010, "LO", "private text"),
        (0x00100010, "PN", f"{family}^{given}"), (0x00100020, "LO", f"P{study:07d}"),
        (0x00100030, "DA", f"{1930 + study % 70}{1 + study % 12:02d}{1 + study % 28:02d}"),
        (0x00100040, "CS", "MF"[study % 2]), (0x00101010, "AS", f"{20 + study % 70:03d}Y"),
        (0x00180015, "CS", "CHEST"), (0x00180050, "DS", "1.25"), (0x00180060, "DS", "120"),
        (0x00181030, "LO", "Thorax routine"), (0x00185100, "CS", "HFS"),
        (0x0020000D, "UI", uid(1, study)), (0x0020000E, "UI", uid(2, study, series)),
        (0x00200010, "SH", str(study)), (0x00200011, "IS", str(series + 1)),
        (0x00200012, "IS", "1"), (0x00200013, "IS", str(instance + 1)),
        (0x00200032, "DS", f"-200\\-200\\{-instance * 1.25:.3f}"), (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        (0x00200052, "UI", uid(4, study)), (0x00201041, "DS", f"{-instance * 1.25:.3f}"),
        (0x00280002, "US", b"\1\0"), (0x00280004, "CS", "MONOCHROME2"),
        (0x00280010, "US", rows), (0x00280011, "US", rows), (0x00280030, "DS", f"{spacing}\\{spacing}"),
        (0x00280100, "US", b"\x10\0"), (0x00280101, "US", b"\x0c\0"), (0x00280102, "US", b"\x0b\0"),
        (0x00280103, "US", b"\0\0"), (0x00281050, "DS", "40\\-600"), (0x00281051, "DS", "400\\1500"),
        (0x00281052, "DS", "-1024"), (0x00281053, "DS", "1"), (0x7FE00010, "OW", pixels.tobytes()),
    ]  # fmt: skip
    group2 = b"".join(element(*e) for e in meta)  # type: ignore[arg-type]
    length = element(0x00020000, "UL", struct.pack("<L", len(group2)))
    return bytes(128) + b"DICM" + length + group2 + b"".join(element(*e) for e in body)  # type: ignore[arg-type]


def _write_ct(root: Path, per_series: int, number: int) -> Path:
    group, instance = divmod(number, per_series)
    study, series = divmod(group, 2)
    path = root / f"study{study:04d}" / f"series{series}" / f"{instance:05d}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(instance_bytes(study, series, instance, ct_slice(study, (instance + 0.5 * series) / per_series)))
    return path


def _write_small(root: Path, number: int) -> Path:
    pixels = (1000 + 60 * rng(5, number).standard_normal((64, 64))).clip(0, 4095).astype(np.uint16)
    path = root / f"{number // 1000:03d}" / f"{number:06d}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(instance_bytes(100_000 + number, 0, 0, pixels, ("CT Thorax", "CT Head", "CT Spine")[number % 3]))
    return path


def make_ct(root: Path, instances: int, per_series: int = 100, workers: int | None = None) -> list[Path]:
    """Write `instances` slices of 525 kB: two series of `per_series` in each study."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(_write_ct, root, per_series), range(instances), chunksize=25))


def make_small(root: Path, instances: int, workers: int | None = None) -> list[Path]:
    """Write `instances` images of 9 kB, each a study of its own."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(_write_small, root), range(instances), chunksize=250))


def main() -> int:
    """Write one of the sets from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["ct", "small"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instances", type=int, default=2000)
    given = parser.parse_args()
    paths = (make_ct if given.kind == "ct" else make_small)(given.folder, given.instances)
    print(f"{len(paths)} files, {sum(p.stat().st_size for p in paths) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
