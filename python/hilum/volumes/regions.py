"""Regions of interest in the patient, mm and LPS: boxes, ellipsoids, polygons on a plane, masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from hilum.errors import Conflict, LimitExceeded, UsageError
from hilum.volumes.masks import Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum._core import _Region
    from hilum.volumes.masks import Grid

__all__ = ["Box", "Ellipsoid", "Polygon", "Region", "Sphere", "check_frame", "core_region"]

Vector: TypeAlias = tuple[float, float, float]
_LPS: Final[tuple[Vector, Vector, Vector]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_MOST_MM: Final = 1e6
_LEAST_MM: Final = 1e-6
_SQUARE: Final = 1e-3
_MAX_POINTS: Final = 1 << 16
_FLAT_MM: Final = 0.5


def _numbers(what: str, values: Sequence[float]) -> None:
    if len(values) != 3 or not all(isinstance(v, float | int) and abs(v) <= _MOST_MM for v in values):
        raise UsageError(f"{what} must be three finite numbers")


def _lengths(what: str, values: Sequence[float]) -> None:
    _numbers(what, values)
    if min(values) < _LEAST_MM:
        raise UsageError(f"{what} must be above 0 mm")


def _axes(values: Sequence[Vector]) -> None:
    if len(values) != 3:
        raise UsageError("axes must be three unit vectors at right angles")
    for axis in values:
        _numbers("an axis", axis)
    matrix = np.asarray(values, np.float64)
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > _SQUARE:
        raise UsageError("axes must be three unit vectors at right angles")


@dataclass(frozen=True, slots=True)
class Box:
    """A box; a voxel is inside if its centre is, the border included.

    Raises
    ------
    UsageError
        Numbers that are not finite, no size, axes that are not unit vectors at right angles.
    """

    centre: Vector
    size: Vector
    """Whole lengths along the axes: mm."""
    axes: tuple[Vector, Vector, Vector] = _LPS

    def __post_init__(self) -> None:
        _numbers("centre", self.centre)
        _lengths("size", self.size)
        _axes(self.axes)


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid; a voxel is inside if its centre is, the border included. Errors: those of `Box`."""

    centre: Vector
    radii: Vector
    """Along the axes: mm."""
    axes: tuple[Vector, Vector, Vector] = _LPS

    def __post_init__(self) -> None:
        _numbers("centre", self.centre)
        _lengths("radii", self.radii)
        _axes(self.axes)


@dataclass(frozen=True, slots=True)
class Sphere:
    """A sphere; a voxel is inside if its centre is, the border included. Errors: those of `Box`."""

    centre: Vector
    radius: float

    def __post_init__(self) -> None:
        _numbers("centre", self.centre)
        _lengths("radius", (self.radius, self.radius, self.radius))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A closed polygon on any plane, and what lies within half the thickness of it; holes by the even-odd rule.

    Raises
    ------
    UsageError
        Fewer than three points, numbers that are not finite, points more than 0.5 mm off one plane, or on one line.
    LimitExceeded
        More than 65 536 points.
    """

    points: tuple[Vector, ...]
    """LPS, mm; the last one is joined to the first."""
    thickness: float | None = None
    """mm; none: of one slice."""

    def __post_init__(self) -> None:
        if len(self.points) > _MAX_POINTS:
            raise LimitExceeded(f"a polygon has at most {_MAX_POINTS} points")
        if len(self.points) < 3:
            raise UsageError("a polygon has at least three points")
        for point in self.points:
            _numbers("a point", point)
        if self.thickness is not None:
            _lengths("thickness", (self.thickness,) * 3)
        points = np.asarray(self.points, np.float64)
        origin, normal = _plane(points)
        if float(np.abs((points - origin) @ normal).max()) > _FLAT_MM:
            raise UsageError("the points of a polygon must lie on a plane")


Region: TypeAlias = "Box | Ellipsoid | Sphere | Polygon | Mask | npt.NDArray[Any]"
"""What can be measured; an array is a mask ``(z, y, x)`` on the voxels of the volume, everything but 0 is inside."""


def _plane(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centre and unit normal of a polygon, by Newell's method."""
    origin = points.mean(0)
    around = points - origin
    normal = np.cross(around, np.roll(around, -1, 0)).sum(0)
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        raise UsageError("the points of a polygon must not lie on a line")
    return origin, normal / length


def core_region(region: Region | None, grid: Grid) -> _Region:
    """Write a region as the core reads it, with the box of voxels of a grid that holds it; none: all voxels.

    Raises
    ------
    UsageError
        A mask of another shape than the volume, or whose affine cannot be inverted.
    """
    layers = np.zeros((0, 5))
    if region is None:
        return layers, None, None, None, (0, 0, 0), grid.shape
    if isinstance(region, Box):
        axes = np.asarray(region.axes, np.float64)
        half = np.asarray(region.size) / 2
        centre = np.asarray(region.centre, np.float64)
        layers = np.column_stack([axes, axes @ centre, half])
        return layers, None, None, None, *_box(_corners(centre, axes * half[:, None]), grid)
    if isinstance(region, Sphere):
        region = Ellipsoid(region.centre, (region.radius,) * 3)
    if isinstance(region, Ellipsoid):
        axes = np.asarray(region.axes, np.float64)
        radii = np.asarray(region.radii, np.float64)
        centre = np.asarray(region.centre, np.float64)
        numbers = np.concatenate([(axes / radii[:, None]).ravel(), centre])
        return layers, numbers, None, None, *_box(_corners(centre, axes * radii[:, None]), grid)
    if isinstance(region, Polygon):
        return _polygon(region, grid)
    return _mask(region, grid)


def _polygon(region: Polygon, grid: Grid) -> _Region:
    points = np.asarray(region.points, np.float64)
    origin, normal = _plane(points)
    thickness = region.thickness
    if thickness is None:
        thickness = float(np.abs(normal @ grid.affine[:3, :3]).max())
    u = np.cross(normal, np.eye(3)[int(np.abs(normal).argmin())])
    u /= np.linalg.norm(u)
    v = np.cross(normal, u)
    flat = np.ascontiguousarray((points - origin) @ np.column_stack([u, v]))
    layers = np.array([[*normal, float(normal @ origin), thickness / 2]])
    off = normal * (thickness / 2)
    hull = np.concatenate([points - off, points + off])
    return layers, None, (np.concatenate([origin, u, v]), flat), None, *_box(hull, grid)


def _mask(region: Mask | npt.NDArray[Any], grid: Grid) -> _Region:
    if isinstance(region, Mask):
        voxels, affine = np.ascontiguousarray(region.voxels), region.affine
        least = max(1, -(-region.maximum // 2))
    else:
        if region.shape != grid.shape:
            raise UsageError("a mask without geometry must have the shape of the volume: z, y, x")
        voxels, affine, least = np.ascontiguousarray(region != 0).view(np.uint8), grid.affine, 1
    shape = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    try:
        mapping = np.ascontiguousarray(np.linalg.solve(affine, grid.affine)[:3])
    except np.linalg.LinAlgError:
        raise UsageError("a mask whose affine cannot be inverted") from None
    half = np.diag(np.asarray(shape[::-1]) / 2.0)
    centre = np.asarray(shape[::-1]) / 2.0 - 0.5
    hull = _corners(centre, half) @ affine[:3, :3].T + affine[:3, 3]
    return np.zeros((0, 5)), None, None, (voxels, shape, mapping.ravel(), least), *_box(hull, grid)


def _corners(centre: npt.NDArray[np.float64], halves: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, 8).T
    return np.asarray(centre + signs @ halves)


def _box(hull: npt.NDArray[np.float64], grid: Grid) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel and size (z, y, x) of a box of voxels that holds some points: mm."""
    places = (hull - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
    sizes = np.asarray(grid.shape[::-1])
    low = np.clip(np.floor(places.min(0) - _SQUARE), 0, sizes).astype(int)
    high = np.clip(np.ceil(places.max(0) + _SQUARE) + 1, low, sizes).astype(int)
    x, y, z = low.tolist()
    nx, ny, nz = (high - low).tolist()
    return (z, y, x), (nz, ny, nx)


def check_frame(region: Region | None, frame_of_reference_uid: str) -> None:
    """Refuse a mask of another frame of reference; one that names none is taken at its word.

    Raises
    ------
    Conflict
        It is of another one.
    """
    if not isinstance(region, Mask) or "" in (frame_of_reference_uid, region.frame_of_reference_uid):
        return
    if frame_of_reference_uid != region.frame_of_reference_uid:
        raise Conflict("the mask is of another frame of reference than the volume")
