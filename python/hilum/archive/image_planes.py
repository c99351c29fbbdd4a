"""Where images lie in the patient (PS3.3 C.7.6.2), for blending them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.errors import DataError, UsageError
from hilum.volumes.registration import is_rigid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.index.base import InstanceRecord
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["ImagePlane", "ImagePlanes", "mapping", "rigid"]

_PARALLEL: Final = 0.999
_KEPT_PLANES: Final = 1 << 15
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


def _planes_of(series: SeriesFrames) -> tuple[ImagePlane | None, ...]:
    """Planes of the frames of one object; None: it does not say where the frame lies."""
    found: list[ImagePlane | None] = []
    thicknesses = np.nan_to_num(series.geometry["slice_thickness"])
    uid = series.frames_of_reference[0] if len(series) else ""
    for place, cosines, spacing, thickness in zip(
        series.positions, series.orientations, series.spacings, thicknesses, strict=True
    ):
        known = bool(uid) and np.isfinite([*place, *cosines, *spacing]).all() and spacing.min() > 0
        plane = ImagePlane(
            uid, place, cosines[:3], cosines[3:], (float(spacing[0]), float(spacing[1])), float(thickness)
        )
        found.append(plane if known else None)
    return tuple(found)


class ImagePlanes:
    """Planes of images; thread-safe.

    Parameters
    ----------
    frames : callable
        Gives the geometry of the frames of some objects.
    """

    def __init__(self, frames: Callable[[Sequence[InstanceRecord]], SeriesFrames]) -> None:
        self._frames = frames
        self._planes: OrderedDict[bytes, tuple[ImagePlane | None, ...]] = OrderedDict()
        self._kept = 0
        self._lock = Lock()

    def of(self, record: InstanceRecord, frame: int) -> ImagePlane:
        """Plane of a frame, from 0, of an image; DataError where it has none."""
        with self._lock:
            planes = self._planes.get(record.sha256)
        if planes is None:
            planes = _planes_of(self._frames([record]))
            with self._lock:
                if record.sha256 not in self._planes:
                    self._planes[record.sha256] = planes
                    self._kept += len(planes)
                while self._kept > _KEPT_PLANES and len(self._planes) > 1:
                    self._kept -= len(self._planes.popitem(last=False)[1])
        plane = planes[frame] if frame < len(planes) else None
        if plane is None:
            raise DataError("images that are blended need an image plane and frame of reference", code=_MISSING)
        return plane


def rigid(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Refuse a matrix that does more than turning and moving (PS3.3 C.20.2.1.1): UsageError."""
    if not is_rigid(matrix):
        raise UsageError("images are blended by RIGID spatial registrations only, not by scaling or shearing ones")
    return matrix
