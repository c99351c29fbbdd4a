"""Where single images lie in the patient (PS3.3 C.7.6.2), for blending them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.errors import DataError, UsageError
from hilum.volumes.registration import is_rigid

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord

__all__ = ["ImagePlane", "ImagePlanes", "mapping", "rigid"]

_KEYWORDS: Final = (
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
)
_PARALLEL: Final = 0.999
_KEPT_PLANES: Final = 8192
_MISSING: Final = 7


@dataclass(frozen=True, slots=True)
class ImagePlane:
    """Where the pixels of an image lie in the patient (PS3.3 C.7.6.2): LPS, mm."""

    frame_of_reference_uid: str
    origin: npt.NDArray[np.float64]
    """Centre of the first pixel."""
    along_columns: npt.NDArray[np.float64]
    """Unit vector to the next column."""
    along_rows: npt.NDArray[np.float64]
    spacing: tuple[float, float]
    """Between rows, between columns."""
    thickness: float

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector across."""
        return np.cross(self.along_columns, self.along_rows)

    def moved(self, matrix: npt.NDArray[np.float64], frame_of_reference_uid: str) -> ImagePlane:
        """The plane in another frame of reference, by a rigid 4x4."""
        turn = matrix[:3, :3]
        return replace(
            self,
            frame_of_reference_uid=frame_of_reference_uid,
            origin=turn @ self.origin + matrix[:3, 3],
            along_columns=turn @ self.along_columns,
            along_rows=turn @ self.along_rows,
        )

    def distance(self, other: ImagePlane) -> float | None:
        """Millimetres to a plane that is parallel and within half a slice, else None."""
        distance = abs(float(np.dot(other.origin - self.origin, self.normal)))
        near = max(self.thickness, other.thickness, 1.0) / 2
        parallel = abs(float(np.dot(other.normal, self.normal))) >= _PARALLEL
        return distance if parallel and distance <= near else None


def mapping(plane: ImagePlane, other: ImagePlane) -> npt.NDArray[np.float64]:
    """Row and column in the other image of row, column and 1 in this one: ``(2, 3)``."""
    steps = np.stack([plane.along_rows * plane.spacing[0], plane.along_columns * plane.spacing[1]])
    axes = np.stack([other.along_rows / other.spacing[0], other.along_columns / other.spacing[1]])
    return np.concatenate([axes @ steps.T, (axes @ (plane.origin - other.origin))[:, None]], axis=1)


def _plane_of(dataset: pydicom.Dataset) -> ImagePlane:
    try:
        cosines = np.array([float(v) for v in dataset.ImageOrientationPatient]).reshape(2, 3)
        origin = np.array([float(v) for v in dataset.ImagePositionPatient]).reshape(3)
        rows, columns = (float(v) for v in dataset.PixelSpacing)
        thickness = float(dataset.get("SliceThickness") or 0.0)
        frame = str(dataset.FrameOfReferenceUID)
        plane = ImagePlane(frame, origin, cosines[0], cosines[1], (rows, columns), thickness)
    except Exception:  # absent, or of a form that pydicom cannot convert
        raise DataError("images that are blended need an image plane and frame of reference", code=_MISSING) from None
    if not (min(rows, columns) > 0 and np.isfinite([*cosines.ravel(), *origin]).all()):
        raise DataError("the image plane of an image that is blended cannot be", code=_MISSING)
    return plane


class ImagePlanes:
    """Reads the planes of images; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._planes: OrderedDict[bytes, ImagePlane] = OrderedDict()
        self._lock = Lock()

    def of(self, record: InstanceRecord) -> ImagePlane:
        """Plane of an image.

        Raises
        ------
        UsageError
            It has several frames.
        DataError
            It has no plane.
        """
        if self._retriever.frame_count(record) != 1:
            raise UsageError("images of several frames are not blended")
        with self._lock:
            plane = self._planes.get(record.sha256)
        if plane is None:
            plane = _plane_of(self._retriever.header_dataset(record, _KEYWORDS))
            with self._lock:
                self._planes[record.sha256] = plane
                if len(self._planes) > _KEPT_PLANES:
                    self._planes.popitem(last=False)
        return plane


def rigid(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Refuse a matrix that does more than turning and moving (PS3.3 C.20.2.1.1): UsageError."""
    if not is_rigid(matrix):
        raise UsageError("images are blended by RIGID spatial registrations only, not by scaling or shearing ones")
    return matrix
