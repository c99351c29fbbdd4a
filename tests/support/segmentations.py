"""Segmentations that highdicom makes of an oblique stack of CT."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom.pixels import pack_bits
from volume_objects import make_stack, ramp

if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPE = (7, 12, 16)
COLOUR = (200, 40, 90)


def images() -> list[pydicom.Dataset]:
    """An oblique stack of CT."""
    angle = np.deg2rad(20)
    row = (np.cos(angle), np.sin(angle), 0.0)
    column = (0.0, 0.0, -1.0)
    step = 2.5 * np.cross(row, column)
    stack = make_stack(ramp(SHAPE), (-30.0, 12.0, 40.0), tuple(step), orientation=(*row, *column))
    found = [pydicom.dcmread(io.BytesIO(data)) for data in stack]
    for dataset in found:
        for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "AccessionNumber", "StudyID"):
            setattr(dataset, keyword, "")
        dataset.ReferringPhysicianName, dataset.SliceThickness = "", "2.5"
    return found


def describe(number: int) -> hd.seg.SegmentDescription:
    colour = hd.color.CIELabColor.from_rgb(*(COLOUR if number == 1 else COLOUR[::-1]))
    return hd.seg.SegmentDescription(
        number,
        f"Segment {number}",
        hd.sr.CodedConcept("85756007", "SCT", "Tissue"),
        hd.sr.CodedConcept("10200004", "SCT", "Liver"),
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=hd.UID(),
        tracking_id=f"T{number}",
        display_color=colour,
    )


def object_attributes() -> dict[str, Any]:
    """What highdicom wants of any object: new UIDs, and equipment of no name."""
    return {
        "series_instance_uid": hd.UID(),
        "series_number": 5,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "x",
        "manufacturer_model_name": "x",
        "software_versions": "1",
        "device_serial_number": "1",
    }


def make_segmentation(pixels: np.ndarray, kind: str, numbers: Sequence[int], **options: object) -> bytes:
    made = hd.seg.Segmentation(
        source_images=images(),
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[describe(n) for n in numbers],
        **object_attributes(),
        **options,
    )
    stream = io.BytesIO()
    made.save_as(stream)
    return stream.getvalue()


def varying(parts: Sequence[np.ndarray], kind: str, **options: object) -> pydicom.Dataset:
    """A segmentation of one segment with a time point for each part: highdicom makes them, their frames are joined."""
    made = [pydicom.dcmread(io.BytesIO(make_segmentation(part, kind, [1], **options))) for part in parts]
    whole = made[0]
    frames, items = [], []
    for position, one in enumerate(made, 1):
        pixels = one.pixel_array
        frames.append(pixels if pixels.ndim == 3 else pixels[None])
        for group in one.PerFrameFunctionalGroupsSequence:
            group.FrameContentSequence[0].TemporalPositionIndex = position
            items.append(group)
    joined = np.concatenate(frames)
    whole.PerFrameFunctionalGroupsSequence, whole.NumberOfFrames = items, len(joined)
    packed = pack_bits(joined.ravel()) if kind == "BINARY" else joined.tobytes()
    whole.PixelData = packed + b"\0" * (len(packed) % 2)
    return whole


def stream(dataset: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()
