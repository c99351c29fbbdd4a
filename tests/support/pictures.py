"""Headers and frames to draw pictures of, made up or taken from hypothesis."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset

from hilum.pixels.description import RenderingAttributes, rendering_attributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import OverlayPlane, RenderSettings
from hilum.types import PixelDescription

LITTLE = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
Array = npt.NDArray[Any]


def header(syntax: str = LITTLE, **elements: Any) -> bytes:
    """A Part-10 header with these elements; an integer keyword ``_60000010`` is a tag with (VR, value)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.3"
    for keyword, value in elements.items():
        if keyword.startswith("_"):
            dataset.add_new(int(keyword[1:], 16), *value)
        else:
            setattr(dataset, keyword, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def packed(plane: Array) -> bytes:
    """Bits without gaps, the lowest first, of even length."""
    bits = np.packbits(plane.astype(bool), axis=None, bitorder="little").tobytes()
    return bits + b"\0" * (len(bits) % 2)


def overlay_elements(group: int, plane: Array, origin: tuple[int, int] = (1, 1), **more: Any) -> dict[str, Any]:
    """Elements of an overlay of one plane, or of several where the array has three axes."""
    rows, columns = plane.shape[-2:]
    elements: dict[str, Any] = {
        f"_{group:04X}0010": ("US", rows),
        f"_{group:04X}0011": ("US", columns),
        f"_{group:04X}0040": ("CS", "G"),
        f"_{group:04X}0050": ("SS", list(origin)),
        f"_{group:04X}0100": ("US", 1),
        f"_{group:04X}0102": ("US", 0),
        f"_{group:04X}3000": ("OW", packed(plane)),
    }
    if plane.ndim == 3:
        elements[f"_{group:04X}0015"] = ("IS", plane.shape[0])
    return elements | more


def plane_of(mask: Array, origin: tuple[int, int] = (1, 1)) -> OverlayPlane:
    """The same as a plane for settings."""
    return OverlayPlane(mask.shape[0], mask.shape[1], packed(mask), origin)


def describe(frame: Array, photometric: str = "MONOCHROME2", **more: int) -> PixelDescription:
    """Of an array of one frame."""
    bits = frame.dtype.itemsize * 8
    samples = frame.shape[2] if frame.ndim == 3 else 1
    fields = {"bits_stored": bits, "high_bit": bits - 1, "number_of_frames": 1, **more}
    keyword = {"f4": "FloatPixelData", "f8": "DoubleFloatPixelData"}.get(frame.dtype.str[1:], "PixelData")
    return PixelDescription(
        frame.shape[0],
        frame.shape[1],
        samples,
        0,
        bits,
        fields["bits_stored"],
        fields["high_bit"],
        int(frame.dtype.kind == "i"),
        photometric,
        fields["number_of_frames"],
        keyword,
    )


def draw(frame: Array, settings: RenderSettings, head: bytes = b"", index: int = 0, **more: Any) -> Array:
    """Render an array of stored values."""
    attributes = rendering_attributes(head, index) if head else RenderingAttributes()
    return render_pixels(frame.tobytes(), LITTLE, describe(frame, **more), attributes, settings)
