"""Structure sets (PS3.3 A.19, C.8.8.5, C.8.8.6): regions of interest as contours, and as masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, HilumError, LimitExceeded, NotAVolume
from hilum.volumes.masks import Grid, Mask, Segment, check_voxels, colour_of, segment_of
from hilum.volumes.polygons import fill_polygons

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom
    from pydicom.dataelem import DataElement, RawDataElement

    from hilum.pixels.settings import Rgb

__all__ = ["STRUCTURE_SETS", "Contour", "StructureSet"]

STRUCTURE_SETS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})
"""RT Structure Set Storage."""
_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_KINDS: Final = frozenset({*_CLOSED, "POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"})
_MAX_POINTS: Final = 1 << 24
_MISSING, _BAD_VALUE = 7, 8
_FLAT_MM: Final = 0.5
_PARALLEL: Final = 0.9998
_SAME_MM: Final = 1e-2
_STEP_MM: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """An item of Contour Sequence (3006,0040)."""

    kind: str
    """Contour Geometric Type (3006,0042): ``"CLOSED_PLANAR"``, ``"CLOSEDPLANAR_XOR"``, ``"OPEN_PLANAR"``,
    ``"OPEN_NONPLANAR"``, ``"POINT"``."""
    points: npt.NDArray[np.float64]
    """Contour Data (3006,0050): ``(n, 3)``, LPS, mm."""
    image: str = ""
    """SOP Instance UID of the image on which it was drawn, if Contour Image Sequence (3006,0016) names one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """The closed contours of a region in one plane."""

    height: float
    polygons: list[npt.NDArray[np.float64]]


class StructureSet:
    """The regions of interest of an object.

    Parameters
    ----------
    dataset : pydicom.Dataset
        The whole object.

    Raises
    ------
    DataError
        It contradicts itself; the message names the attribute.
    LimitExceeded
        It has more than 2^24 points.
    """

    def __init__(self, dataset: pydicom.Dataset) -> None:
        self._contours: dict[int, tuple[Contour, ...]] = {}
        try:
            self.segments = self._read(dataset)
        except HilumError:
            raise
        except Exception as error:  # pydicom converts values late, with errors of any class
            raise DataError(f"the structure set cannot be read ({type(error).__name__})", code=_BAD_VALUE) from None

    segments: tuple[Segment, ...]
    """The regions, in the order of Structure Set ROI Sequence (3006,0020)."""
    references: tuple[str, ...]
    """SOP Instance UIDs of the images that it refers to."""
    series: tuple[str, ...]
    """UIDs of the series that it refers to (RT Referenced Series Sequence)."""
    frame_of_reference_uid: str
    """Referenced Frame of Reference UID (3006,0024) of the regions; empty: they have several."""
    frames_of_reference: dict[int, str]
    """Of each region, by its number."""

    def _read(self, dataset: pydicom.Dataset) -> tuple[Segment, ...]:
        self._read_references(dataset)
        colours: dict[int, Rgb] = {}
        total = 0
        for item in dataset.get("ROIContourSequence") or ():
            number = int(item.ReferencedROINumber)
            colour = item.get("ROIDisplayColor")
            if colour is not None and len(colour) == 3:
                red, green, blue = (min(max(int(value), 0), 255) for value in colour)
                colours[number] = (red, green, blue)
            contours = tuple(_contour(one) for one in item.get("ContourSequence") or ())
            total += sum(len(contour.points) for contour in contours)
            if total > _MAX_POINTS:
                raise LimitExceeded(f"a structure set of more than {_MAX_POINTS} points")
            self._contours[number] = contours
        segments = tuple(_region(item, colours) for item in dataset.get("StructureSetROISequence") or ())
        if not segments:
            raise DataError("a structure set without Structure Set ROI Sequence (3006,0020)", code=_MISSING)
        default = str(dataset.get("FrameOfReferenceUID") or "")
        frames = {
            int(item.ROINumber): str(item.get("ReferencedFrameOfReferenceUID") or default)
            for item in dataset.StructureSetROISequence
        }
        self.frames_of_reference = frames
        distinct = set(frames.values())
        self.frame_of_reference_uid = distinct.pop() if len(distinct) == 1 else ""
        return segments

    def _read_references(self, dataset: pydicom.Dataset) -> None:
        series: dict[str, None] = {}
        images: dict[str, None] = {}
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
            for study in frame.get("RTReferencedStudySequence") or ():
                for one in study.get("RTReferencedSeriesSequence") or ():
                    series[str(one.get("SeriesInstanceUID") or "")] = None
                    for image in one.get("ContourImageSequence") or ():
                        images[str(image.get("ReferencedSOPInstanceUID") or "")] = None
        self.series = tuple(uid for uid in series if uid)
        self.references = tuple(uid for uid in images if uid)

    def segment(self, number: int) -> Segment:
        """Return a region by its ROI Number (3006,0022).

        Raises
        ------
        NotFound
            There is none.
        """
        return segment_of(self.segments, number)

    def contours(self, number: int) -> tuple[Contour, ...]:
        """Return the contours of a region, none for one that was not drawn; errors: those of `segment`."""
        self.segment(number)
        return self._contours.get(number, ())

    def mask(self, number: int, grid: Grid | None = None) -> Mask:
        """Fill the closed contours of a region.

        A contour stands for all that is nearer to its plane than to the next, at the ends as far as the planes are
        apart by half. In a plane, what an odd number of contours encloses is inside, so that a contour inside of
        another is a hole (PS3.3 C.8.8.6.3), as are those that are joined by a keyhole. Points and open contours
        enclose nothing.

        Parameters
        ----------
        number : int
            ROI Number (3006,0022).
        grid : Grid, optional
            Where the mask is wanted. Slices parallel to the contours are filled by them, however fine; others take
            the voxels of the default: planes of the contours, 1 mm between rows and columns.

        Raises
        ------
        NotFound
            There is no such region.
        NotAVolume
            It has closed contours in planes that are not parallel.
        LimitExceeded
            The mask is too large.
        """
        segment = self.segment(number)
        closed = self._closed(number)
        uid = self.frames_of_reference[number]
        if not closed:
            shape = (0, 0, 0) if grid is None else grid.shape
            check_voxels(shape)
            return Mask(segment, np.zeros(shape, np.uint8), np.eye(4) if grid is None else grid.affine.copy(), uid)
        normal = _normal_of(closed)
        sections = _sections(closed, normal)
        if grid is not None and _is_along(grid, normal):
            return Mask(segment, _filled(sections, normal, grid), grid.affine.copy(), uid)
        own = _own_grid(sections, normal)
        mask = Mask(segment, _filled(sections, normal, own), own.affine, uid)
        return mask if grid is None else mask.on(grid)

    def is_along(self, number: int, grid: Grid) -> bool:
        """Whether slices of a grid are parallel to the closed contours of a region, or it has none."""
        closed = self._closed(number)
        return not closed or _is_along(grid, _normal_of(closed))

    def _closed(self, number: int) -> list[npt.NDArray[np.float64]]:
        return [c.points for c in self.contours(number) if c.kind in _CLOSED and len(c.points) > 2]

    def masks(self, grid: Grid | None = None) -> list[Mask]:
        """Fill all regions that have closed contours; errors: those of `mask`."""
        return [self.mask(segment.number, grid) for segment in self.segments if self._closed(segment.number)]


def _region(item: pydicom.Dataset, colours: dict[int, Rgb]) -> Segment:
    number = int(item.ROINumber)
    return Segment(
        number=number,
        label=str(item.get("ROIName") or ""),
        colour=colours.get(number, colour_of(number)),
        algorithm=str(item.get("ROIGenerationAlgorithm") or ""),
    )


def _contour(item: pydicom.Dataset) -> Contour:
    kind = str(item.get("ContourGeometricType") or "").upper()
    if kind not in _KINDS:
        raise DataError("a contour of unknown Contour Geometric Type (3006,0042)", code=_BAD_VALUE)
    numbers = _numbers(item.get_item("ContourData") if "ContourData" in item else None)
    if len(numbers) % 3 or not len(numbers) or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e6:
        raise DataError("Contour Data (3006,0050) is not of finite points of three numbers", code=_BAD_VALUE)
    image = ""
    for one in item.get("ContourImageSequence") or ():
        image = str(one.get("ReferencedSOPInstanceUID") or "")
    return Contour(kind, numbers.reshape(-1, 3), image)


def _numbers(element: DataElement | RawDataElement | None) -> npt.NDArray[np.float64]:
    """Values of a decimal string; straight from its bytes where pydicom has not converted them yet."""
    value: Any = None if element is None else element.value
    if value is None or not len(value):
        return np.zeros(0)
    if isinstance(value, bytes):
        return np.array(value.rstrip(b" \0").split(b"\\"), np.float64)
    return np.array([float(number) for number in value], np.float64)


def _normal_of(closed: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Normal of the plane of the largest contour, in the direction of its greatest component."""
    areas = [np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0) / 2 for p in (c - c[0] for c in closed)]
    largest = areas[int(np.argmax([np.linalg.norm(area) for area in areas]))]
    length = float(np.linalg.norm(largest))
    if length < 1e-9:
        return np.array([0.0, 0.0, 1.0])
    normal = largest / length
    sign = 1.0 if normal[int(np.argmax(np.abs(normal)))] > 0 else -1.0
    rounded: npt.NDArray[np.float64] = np.where(np.abs(normal) > _PARALLEL, np.sign(normal), normal) * sign
    if np.abs(normal).max() > _PARALLEL:
        rounded = np.where(np.abs(normal) > _PARALLEL, 1.0, 0.0)
    return rounded


def _sections(closed: list[npt.NDArray[np.float64]], normal: npt.NDArray[np.float64]) -> list[_Section]:
    heights = []
    for points in closed:
        along = points @ normal
        if float(np.ptp(along)) > _FLAT_MM:
            raise NotAVolume("the contours of a region are not in parallel planes")
        heights.append(float(np.median(along)))
    sections: list[_Section] = []
    for at in np.argsort(heights, kind="stable"):
        if not sections or heights[at] - sections[-1].height > _SAME_MM:
            sections.append(_Section(heights[at], []))
        sections[-1].polygons.append(closed[at])
    return sections


def _spacing(sections: list[_Section]) -> float:
    """Usual distance of two planes with contours."""
    return float(np.median(np.diff([section.height for section in sections]))) if len(sections) > 1 else _STEP_MM


def _is_along(grid: Grid, normal: npt.NDArray[np.float64]) -> bool:
    """Whether slices of the grid are parallel to the planes of the contours."""
    across = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    return bool(abs(across @ normal) > _PARALLEL * np.linalg.norm(across))


def _own_grid(sections: list[_Section], normal: npt.NDArray[np.float64]) -> Grid:
    """Voxels around a region: rows and columns 1 mm apart, slices as its planes."""
    across = np.eye(3)[int(np.argmin(np.abs(normal)))]
    row = across - normal * (across @ normal)
    row /= np.linalg.norm(row)
    column = np.cross(normal, row)
    points = np.concatenate([polygon for section in sections for polygon in section.polygons])
    flat = np.stack([points @ row, points @ column], axis=1)
    low = np.floor(flat.min(axis=0)) - 1
    size = np.ceil(flat.max(axis=0)) + 2 - low
    step = _spacing(sections)
    depth = round((sections[-1].height - sections[0].height) / step) + 1
    if float(size[0]) * float(size[1]) * depth > 1e10:
        raise LimitExceeded("the region is too large for a mask")
    shape = (depth, int(size[1]), int(size[0]))
    check_voxels(shape)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row, column, normal * step
    affine[:3, 3] = row * low[0] + column * low[1] + normal * sections[0].height
    return Grid(shape, affine)


def _filled(sections: list[_Section], normal: npt.NDArray[np.float64], grid: Grid) -> npt.NDArray[np.uint8]:
    """Fill each slice by the plane that is nearest to it, within half of the planes' distance."""
    check_voxels(grid.shape)
    voxels = np.zeros(grid.shape, np.uint8)
    heights = np.array([section.height for section in sections])
    slices = normal @ grid.affine[:3, 3] + np.arange(grid.shape[0]) * (normal @ grid.affine[:3, 2])
    thickness = abs(float(normal @ grid.affine[:3, 2]))
    reach = max(_spacing(sections), thickness) / 2 + 1e-3 * thickness + 1e-6
    inverse = np.linalg.inv(grid.affine)
    done: dict[int, npt.NDArray[np.bool_]] = {}
    for k, height in enumerate(slices):
        nearest = int(np.argmin(np.abs(heights - height)))
        if abs(float(heights[nearest] - height)) > reach:
            continue
        moved = normal * float(height - heights[nearest])
        flat = [(polygon + moved) @ inverse[:2, :3].T + inverse[:2, 3] for polygon in sections[nearest].polygons]
        same = abs(inverse[:2, :3] @ normal).max() * thickness < 1e-6  # without tilt, a plane fills several slices
        if not same or nearest not in done:
            done = {nearest: fill_polygons(flat, (grid.shape[1], grid.shape[2]))}
        voxels[k] = done[nearest]
    return voxels
