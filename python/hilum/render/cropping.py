"""Cropping of volumetric presentation states (PS3.3 C.11.23.5, C.11.24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hilum.pixels.presentation_values import MISSING, bad_value, items_of, number_of, numbers_of
from hilum.render.geometry import Vector, unit

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

__all__ = ["Crop", "crops_of", "length_of", "triple_of"]


@dataclass(frozen=True, slots=True)
class Crop:
    """One item of a Volume Cropping Sequence (0070,1301): what lies inside is shown. A box, planes or segments."""

    corners: tuple[Vector, Vector] | None
    """Of a box along the axes of the volume: LPS, mm."""
    planes: tuple[tuple[float, float, float, float], ...]
    """Points with n . p >= offset are shown."""
    segments: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """SOP Instance UIDs of segmentations and the numbers of their segments; no numbers: all."""
    excludes: bool = False
    """What lies in the segments goes, instead of what does not."""

    def clips(self, affine: npt.NDArray[np.float64]) -> list[tuple[float, float, float, float]]:
        """Clipping planes, for a volume with this affine."""
        found = list(self.planes)
        if self.corners is not None:
            inverse = np.linalg.inv(affine)
            ends = np.asarray(self.corners) @ inverse[:3, :3].T + inverse[:3, 3]
            for axis in range(3):
                normal, moved = inverse[axis, :3], float(inverse[axis, 3])
                found.append((*normal.tolist(), float(ends[:, axis].min()) - moved))
                found.append((*(-normal).tolist(), moved - float(ends[:, axis].max())))
        return found


def triple_of(ds: pydicom.Dataset, keyword: str) -> Vector:
    """Three numbers; DataError without them."""
    found = numbers_of(ds, keyword)
    if len(found) != 3 or not all(abs(number) < 1e6 for number in found):
        raise bad_value(f"{keyword} is missing or is not three numbers", MISSING)
    return found[0], found[1], found[2]


def length_of(ds: pydicom.Dataset, keyword: str) -> float:
    """A length above 0; DataError without one."""
    found = number_of(ds, keyword, 0.0)
    if not 0 < found < 1e6:
        raise bad_value(f"{keyword} is missing or not above 0", MISSING)
    return found


def crops_of(ds: pydicom.Dataset, one: pydicom.Dataset) -> tuple[Crop, ...]:
    """Cropping of the whole state and of one of its inputs (PS3.3 C.11.23.5, C.11.24)."""
    wanted: list[int] = []
    for item, flag, keyword in (
        (ds, "GlobalCrop", "GlobalCroppingSpecificationIndex"),
        (one, "Crop", "CroppingSpecificationIndex"),
    ):
        if str(item.get(flag, "NO")) == "YES":
            wanted += [int(number) for number in numbers_of(item, keyword)]
    known = {int(item.CroppingSpecificationNumber): item for item in items_of(ds, "VolumeCroppingSequence")}
    if any(number not in known for number in wanted):
        raise bad_value("a cropping specification that is referred to is missing", MISSING)
    return tuple(_crop(known[number]) for number in dict.fromkeys(wanted))


def _segments(item: pydicom.Dataset) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Segmentations that crop, and their segments."""
    found = []
    for one in items_of(item, "ReferencedImageSequence"):
        numbers = one.get("ReferencedSegmentNumber")
        several = [] if numbers is None else numbers if hasattr(numbers, "__iter__") else [numbers]
        found.append((str(one.ReferencedSOPInstanceUID), tuple(int(number) for number in several)))
    if not found:
        raise bad_value("ReferencedImageSequence (0008,1140) of the segmentation that crops is missing", MISSING)
    return tuple(found)


def _crop(item: pydicom.Dataset) -> Crop:
    method = str(item.get("VolumeCroppingMethod", ""))
    if method == "BOUNDING_BOX":
        box = numbers_of(item, "BoundingBoxCrop")
        if len(box) != 6:
            raise bad_value("BoundingBoxCrop (0070,1303) is missing or is not six numbers", MISSING)
        return Crop(((box[0], box[1], box[2]), (box[3], box[4], box[5])), ())
    if method in ("INCLUDE_SEG", "EXCLUDE_SEG"):
        return Crop(None, (), _segments(item), method == "EXCLUDE_SEG")
    if method != "OBLIQUE_PLANES":
        raise bad_value("VolumeCroppingMethod (0070,1302) is missing or unknown", MISSING)
    planes = []
    for one in items_of(item, "ObliqueCroppingPlaneSequence"):
        equation = numbers_of(one, "Plane")
        outside = unit(triple_of(one, "PlaneNormal"), "PlaneNormal (0070,1306)")
        if len(equation) != 4 or not any(equation[:3]):
            raise bad_value("Plane (0070,1305) is missing or is no plane", MISSING)
        normal = np.asarray(equation[:3])
        distance = -equation[3] / float(np.linalg.norm(normal))
        if float(normal @ outside) < 0:
            distance = -distance
        x, y, z = (-outside).tolist()
        planes.append((x, y, z, -distance))
    return Crop(None, tuple(planes))
