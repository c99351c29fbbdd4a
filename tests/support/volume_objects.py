"""Synthetic series with known geometry, written element by element."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from objects import CT, ROOT, element, uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
FRAME_OF_REFERENCE = uid(9, 1)


def _decimals(values: Iterable[float]) -> str:
    return "\\".join(f"{value:.8g}" for value in values)


def make_slice(
    pixels: npt.NDArray[np.generic],
    position: Sequence[float] | None,
    *,
    instance: int,
    series: int = 1,
    study: int = 1,
    orientation: Sequence[float] | None = AXIAL,
    spacing: Sequence[float] | None = (0.5, 0.75),
    modality: str = "CT",
    sop_class: str = CT,
    slope: float = 1.0,
    intercept: float = -1024.0,
    image_type: str = "ORIGINAL\\PRIMARY\\AXIAL",
    extra: Mapping[int, tuple[str, str | bytes]] | None = None,
    rle: bytes | None = None,
) -> bytes:
    """A 16-bit image of one frame at a place; `extra`: elements by tag, (VR, value); `rle`: the stored frame."""
    us = struct.Struct("<H").pack
    signed = pixels.dtype.kind == "i"
    elements: dict[int, tuple[str, str | bytes]] = {
        0x00080008: ("CS", image_type),
        0x00080016: ("UI", sop_class),
        0x00080018: ("UI", uid(3, study, series, instance)),
        0x00080020: ("DA", "20240131"),
        0x00080060: ("CS", modality),
        0x00100010: ("PN", "Phantom^Volume"),
        0x00100020: ("LO", "V1"),
        0x0020000D: ("UI", uid(1, study)),
        0x0020000E: ("UI", uid(2, study, series)),
        0x00200013: ("IS", str(instance)),
        0x00200052: ("UI", FRAME_OF_REFERENCE),
        0x00280002: ("US", us(1)),
        0x00280004: ("CS", "MONOCHROME2"),
        0x00280010: ("US", us(pixels.shape[0])),
        0x00280011: ("US", us(pixels.shape[1])),
        0x00280100: ("US", us(16)),
        0x00280101: ("US", us(16)),
        0x00280102: ("US", us(15)),
        0x00280103: ("US", us(int(signed))),
        0x00281052: ("DS", f"{intercept:.8g}"),
        0x00281053: ("DS", f"{slope:.8g}"),
        0x7FE00010: ("OW", pixels.astype("<i2" if signed else "<u2").tobytes()),
    }
    if rle is not None:
        del elements[0x7FE00010]
    if position is not None:
        elements[0x00200032] = ("DS", _decimals(position))
    if orientation is not None:
        elements[0x00200037] = ("DS", _decimals(orientation))
    if spacing is not None:
        elements[0x00280030] = ("DS", _decimals(spacing))
    elements.update(extra or {})
    group2 = b"".join(
        (
            element(0x00020001, "OB", b"\0\1"),
            element(0x00020002, "UI", sop_class),
            element(0x00020003, "UI", uid(3, study, series, instance)),
            element(0x00020010, "UI", "1.2.840.10008.1.2.1" if rle is None else "1.2.840.10008.1.2.5"),
            element(0x00020012, "UI", ROOT),
        )
    )
    head = element(0x00020000, "UL", struct.pack("<L", len(group2)))
    body = b"".join(element(tag, vr, value) for tag, (vr, value) in sorted(elements.items()))
    if rle is not None:
        items = struct.pack("<HHL", 0xFFFE, 0xE000, 0) + struct.pack("<HHL", 0xFFFE, 0xE000, len(rle)) + rle
        body += (
            struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
            + items
            + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        )
    return bytes(128) + b"DICM" + head + group2 + body


def make_stack(
    voxels: npt.NDArray[np.generic],
    origin: Sequence[float],
    step: Sequence[float],
    *,
    first_instance: int = 1,
    reverse: bool = False,
    keep: Sequence[int] | None = None,
    **options: object,
) -> list[bytes]:
    """Slices of an array ``(z, y, x)`` at ``origin + k * step``; `keep` names some, `reverse` numbers downwards."""
    kept = list(range(len(voxels)) if keep is None else keep)
    numbers = range(first_instance, first_instance + len(kept))
    order = reversed(numbers) if reverse else numbers
    return [
        make_slice(
            voxels[k],
            tuple(np.asarray(origin, float) + k * np.asarray(step, float)),
            instance=number,
            **options,  # type: ignore[arg-type]
        )
        for k, number in zip(kept, order, strict=True)
    ]


def ramp(shape: tuple[int, int, int], dtype: str = "int16", seed: int = 0) -> npt.NDArray[np.generic]:
    """Voxels that differ everywhere: a smooth ramp and noise."""
    z, y, x = np.indices(shape)
    noise = np.random.default_rng(seed).integers(0, 9, shape)
    return (z * 37 + y * 11 + x * 3 + noise).astype(dtype)
