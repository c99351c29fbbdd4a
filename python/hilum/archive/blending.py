"""Blending presentation states (PS3.3 A.33.4, PS3.4 N.2.4): a grey image in colours over another in its plane."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, NotFound, UsageError
from hilum.pixels.description import RenderingAttributes
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import display_settings, sides_of
from hilum.pixels.settings import RenderSettings
from hilum.types import PixelDescription

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.pixels.presentation_state import PresentationState

__all__ = ["Blender"]

_KEYWORDS: Final = (
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
)
_NATIVE: Final = "1.2.840.10008.1.2.1"
_PARALLEL: Final = 0.999
_KEPT_PLANES: Final = 8192
_MISSING: Final = 7


@dataclass(frozen=True, slots=True)
class _Plane:
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
        return np.cross(self.along_columns, self.along_rows)


def _plane_of(dataset: pydicom.Dataset) -> _Plane:
    try:
        cosines = np.array([float(v) for v in dataset.ImageOrientationPatient]).reshape(2, 3)
        origin = np.array([float(v) for v in dataset.ImagePositionPatient]).reshape(3)
        rows, columns = (float(v) for v in dataset.PixelSpacing)
        thickness = float(dataset.get("SliceThickness") or 0.0)
        plane = _Plane(str(dataset.FrameOfReferenceUID), origin, cosines[0], cosines[1], (rows, columns), thickness)
    except Exception:  # absent, or of a form that pydicom cannot convert
        raise DataError("images that are blended need an image plane and frame of reference", code=_MISSING) from None
    if not (min(rows, columns) > 0 and np.isfinite([*cosines.ravel(), *origin]).all()):
        raise DataError("the image plane of an image that is blended cannot be", code=_MISSING)
    return plane


class Blender:
    """Renders images by blending presentation states; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    """

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._planes: OrderedDict[bytes, _Plane] = OrderedDict()
        self._lock = Lock()

    def blended(
        self, state: PresentationState, record: InstanceRecord, frame: int, wanted: RenderSettings
    ) -> npt.NDArray[Any]:
        """Render an underlying image with what lies over it.

        The superimposed image is the one of the state that is parallel and nearest, within half a slice; it is
        interpolated linearly where the underlying pixels are, in the same frame of reference.

        Parameters
        ----------
        state : PresentationState
            Of kind blending.
        record : InstanceRecord
            Of the underlying image.
        frame : int
            0: images of several frames are not blended.
        wanted : RenderSettings
            Size of the picture.

        Returns
        -------
        ndarray
            ``(rows, columns, 3)`` of ``uint8``, without annotations.

        Raises
        ------
        UsageError
            The state is not for that image, or an image has several frames.
        NotFound
            No superimposed image of the state lies in the plane.
        DataError
            The images have no image plane.
        """
        under, over, both, opacity = sides_of(state)
        pixels = self._retriever.require_pixels(record)
        below = self._side(under, record, frame)
        plane = self._plane(record)
        other, other_plane = self._in_plane(over, record, plane)
        above = self._side(over, other, 0)
        colour = np.repeat(below[:, :, None], 3, axis=2)
        mixed = _mixed(colour, above, _mapping(plane, other_plane), opacity)
        native = PixelDescription(pixels.rows, pixels.columns, 3, 0, 8, 8, 7, 0, "RGB", 1, "PixelData")
        final = display_settings(both, record.sop_instance_uid, frame + 1, native, wanted)
        if final.displayed_area is None:
            final = replace(final, pixel_aspect=plane.spacing[0] / plane.spacing[1])
        return render_pixels(mixed.tobytes(), _NATIVE, native, RenderingAttributes(), final)

    def _side(self, state: PresentationState, record: InstanceRecord, frame: int) -> npt.NDArray[Any]:
        """One of the two images as its side of the state says, pixel by pixel."""
        pixels = self._retriever.require_pixels(record)
        settings = display_settings(state, record.sop_instance_uid, frame + 1, pixels, RenderSettings())
        return self._retriever.rendered_array(record, frame, replace(settings, square_pixels=False))

    def _plane(self, record: InstanceRecord) -> _Plane:
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

    def _in_plane(
        self, over: PresentationState, record: InstanceRecord, plane: _Plane
    ) -> tuple[InstanceRecord, _Plane]:
        """Find the superimposed image that is nearest to a plane."""
        best: tuple[float, InstanceRecord, _Plane] | None = None
        for found in self._retriever.lookup([reference.sop_instance_uid for reference in over.references]):
            if found is None or found.study_instance_uid != record.study_instance_uid:
                continue
            other = self._plane(found)
            if other.frame_of_reference_uid != plane.frame_of_reference_uid:
                raise UsageError("images of different frames of reference are not blended")
            distance = abs(float(np.dot(other.origin - plane.origin, plane.normal)))
            near = max(plane.thickness, other.thickness, 1.0) / 2
            parallel = abs(float(np.dot(other.normal, plane.normal))) >= _PARALLEL
            if parallel and distance <= near and (best is None or distance < best[0]):
                best = distance, found, other
        if best is None:
            raise NotFound("no superimposed image of the presentation state lies in the plane of the image")
        return best[1], best[2]


def _mapping(plane: _Plane, other: _Plane) -> npt.NDArray[np.float64]:
    """Row and column in the other image of row, column and 1 in this one: ``(2, 3)``."""
    steps = np.stack([plane.along_rows * plane.spacing[0], plane.along_columns * plane.spacing[1]])
    axes = np.stack([other.along_rows / other.spacing[0], other.along_columns / other.spacing[1]])
    return np.concatenate([axes @ steps.T, (axes @ (plane.origin - other.origin))[:, None]], axis=1)


def _mixed(
    below: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], mapping: npt.NDArray[np.float64], opacity: float
) -> npt.NDArray[np.uint8]:
    """Lay `above` over `below`, interpolated linearly; beyond its edge `below` is seen alone."""
    rows, columns = above.shape[:2]
    at_column = np.arange(below.shape[1])
    mixed = below.copy()
    for number in range(below.shape[0]):  # a row at a time: no arrays of the size of the picture
        y, x = (line[0] * number + line[1] * at_column + line[2] for line in mapping)
        inside = (y >= -0.5) & (y <= rows - 0.5) & (x >= -0.5) & (x <= columns - 0.5)
        y, x = np.clip(y[inside], 0, rows - 1), np.clip(x[inside], 0, columns - 1)
        top, left = y.astype(np.intp), x.astype(np.intp)
        bottom, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
        v, u = (y - top)[:, None], (x - left)[:, None]
        value = (1 - v) * ((1 - u) * above[top, left] + u * above[top, right])
        value += v * ((1 - u) * above[bottom, left] + u * above[bottom, right])
        row = mixed[number]
        row[inside] = np.rint((1 - opacity) * row[inside] + opacity * value)
    return mixed
