"""Frames of real files, cut by pydicom: the reference side of the decoders' tests, independent of hilum.dicom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.encaps import generate_fragmented_frames

if TYPE_CHECKING:
    import pydicom

KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
ENCAPSULATED = (".4.", ".5", ".1.98", ".8.1")
ROOT = "1.2.840.10008.1.2"


def syntax_of(dataset: pydicom.Dataset) -> str:
    """Transfer syntax of the meta; implicit little endian where there is none."""
    meta = getattr(dataset, "file_meta", None)
    return str(getattr(meta, "TransferSyntaxUID", ROOT))


def description_of(dataset: pydicom.Dataset) -> tuple[Any, ...]:
    """The fields of hilum.types.PixelDescription, in order."""
    keyword = next(name for name in KEYWORDS if name in dataset)
    bits = int(dataset.BitsAllocated)
    return (
        int(dataset.Rows),
        int(dataset.Columns),
        int(dataset.get("SamplesPerPixel", 1)),
        int(dataset.get("PlanarConfiguration", 0) or 0),
        bits,
        int(dataset.get("BitsStored", bits)),
        int(dataset.get("HighBit", int(dataset.get("BitsStored", bits)) - 1)),
        int(dataset.get("PixelRepresentation", 0)),
        str(dataset.get("PhotometricInterpretation", "MONOCHROME2")),
        frame_count(dataset),
        keyword,
    )


def frame_count(dataset: pydicom.Dataset) -> int:
    """Number of Frames, 1 where absent or unreadable."""
    try:
        return int(dataset.get("NumberOfFrames", 1) or 1)
    except ValueError:
        return 1


def dtype_of(description: tuple[Any, ...]) -> np.dtype[Any]:
    """Type of decoded samples."""
    bits, sign, keyword = description[4], description[7], description[10]
    if keyword != "PixelData":
        return np.dtype(f"f{bits // 8}")
    if bits == 1:
        return np.dtype("u1")
    return np.dtype(f"{'i' if sign else 'u'}{bits // 8}")


def empty_frame(description: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    """A frame to decode into, full of a value that no decoder should leave."""
    rows, columns, samples = description[:3]
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    out = np.empty(shape, dtype_of(description))
    out.view(np.uint8).fill(0xA5)
    return out


def stored_frames(dataset: pydicom.Dataset, description: tuple[Any, ...]) -> list[tuple[list[bytes], int]]:
    """(fragments, bit offset) of each frame."""
    rows, columns, samples, _, bits, *_, photometric, frames, keyword = description
    data = dataset[keyword].value
    if syntax_of(dataset).removeprefix(ROOT).startswith(ENCAPSULATED):
        cut = generate_fragmented_frames(data, number_of_frames=frames)
        return [(list(fragments), 0) for fragments in cut]
    per_pixel = 2 if photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else samples
    frame_bits = rows * columns * per_pixel * bits
    result = []
    for index in range(frames):
        first, last = index * frame_bits, (index + 1) * frame_bits
        result.append(([data[first // 8 : (last + 7) // 8]], first % 8))
    return result
