"""Segmentations of slides that highdicom makes, in tiles."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
from segmentations import describe, object_attributes, stream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["circles", "segmentation_of_slide", "segmentation_pyramid"]


def circles(rows: int, columns: int, number: int = 2) -> npt.NDArray[np.uint8]:
    """Overlapping discs, ``(rows, columns, number)``."""
    y, x = np.mgrid[0:rows, 0:columns]
    centres = [(rows * (k + 1) / (number + 1), columns * (k + 1) / (number + 1)) for k in range(number)]
    planes = [(y - b) ** 2 + (x - a) ** 2 < (min(rows, columns) / 3) ** 2 for b, a in centres]
    return np.stack(planes, axis=-1).astype(np.uint8)


def source(path: Path) -> pydicom.Dataset:
    """A level of a slide with what highdicom wants of it."""
    dataset = pydicom.dcmread(path)
    for keyword in ("PatientBirthDate", "PatientSex", "StudyTime", "StudyDate", "AccessionNumber", "StudyID"):
        setattr(dataset, keyword, "")
    dataset.ReferringPhysicianName = ""
    dataset.ContainerIdentifier = "1"
    dataset.IssuerOfTheContainerIdentifierSequence = []
    dataset.SpecimenDescriptionSequence = []
    dataset.PyramidUID = f"{dataset.SeriesInstanceUID}.8"
    return dataset


def segmentation_of_slide(
    path: Path, pixels: npt.NDArray[Any], kind: str, numbers: Sequence[int], **options: Any
) -> pydicom.Dataset:
    """Segment the whole total pixel matrix of a level: ``(rows, columns[, segments])``."""
    made = hd.seg.Segmentation(
        source_images=[source(path)],
        pixel_array=pixels[None],
        segmentation_type=kind,
        segment_descriptions=[describe(number) for number in numbers],
        tile_pixel_array=True,
        **{"tile_size": (32, 32), **options},
        **object_attributes(),
    )
    return pydicom.dcmread(io.BytesIO(stream(made)))


def segmentation_pyramid(paths: Sequence[Path], pixels: npt.NDArray[Any], kind: str) -> list[pydicom.Dataset]:
    """Segmentations of all levels, of which the largest is given, with one Pyramid UID."""
    attributes = object_attributes()
    del attributes["sop_instance_uid"], attributes["instance_number"]
    made = hd.seg.create_segmentation_pyramid(
        source_images=[source(path) for path in paths],
        pixel_arrays=[pixels],
        segmentation_type=kind,
        segment_descriptions=[describe(1)],
        **attributes,
    )
    return [pydicom.dcmread(io.BytesIO(stream(one))) for one in made]
