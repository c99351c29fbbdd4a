"""Structure sets with known contours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
from objects import uid
from pydicom.dataset import Dataset, FileMetaDataset
from volume_objects import FRAME_OF_REFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Points = Sequence[tuple[float, float, float]]

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
COLOUR = (10, 200, 30)


def make_structure_set(
    regions: Mapping[int, Sequence[tuple[str, Points]]],
    *,
    study: int = 1,
    series: int = 90,
    frame_of_reference: str = FRAME_OF_REFERENCE,
) -> Dataset:
    """A structure set: (geometric type, points) of the contours of each region, by its number."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = STRUCTURE_SET, uid(3, study, series, 1)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(1, study), uid(2, study, series)
    dataset.StudyDate, dataset.Modality = "20240131", "RTSTRUCT"
    dataset.PatientID, dataset.PatientName = "V1", "Phantom^Volume"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, contours in regions.items():
        roi = Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, f"Region {number}", "MANUAL"
        roi.ReferencedFrameOfReferenceUID = frame_of_reference
        drawn = Dataset()
        drawn.ReferencedROINumber, drawn.ROIDisplayColor = number, list(COLOUR)
        drawn.ContourSequence = []
        for kind, points in contours:
            item = Dataset()
            item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
            item.ContourData = [f"{value:.6g}" for point in points for value in point]
            drawn.ContourSequence.append(item)
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
    return dataset
