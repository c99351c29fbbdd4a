"""Where an image lies and where it is looked at from: planes and cameras in LPS and mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum.errors import LimitExceeded, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.volumes.view import VolumeView

__all__ = ["VIEWS", "Camera", "Plane", "Vector", "View", "bounds_of", "camera", "look_and_up", "plane", "unit"]

Vector: TypeAlias = tuple[float, float, float]
"""x, y, z in LPS."""
View: TypeAlias = Literal["a", "p", "r", "l", "h", "f"]
"""From where: anterior, posterior, right, left, head, feet (PS3.18 8.3.5.3.4)."""

VIEWS: Final[dict[str, tuple[Vector, Vector]]] = {
    "a": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "p": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "r": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "l": ((-1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    "h": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
    "f": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
}
"""Direction of the look and of the upper edge of the image."""
MAX_PIXELS: Final = 256 << 20
_TINY: Final = 1e-9


def _vector(value: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise UsageError(f"{name} must be three finite numbers")
    return array


def unit(value: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Scale to length 1.

    Raises
    ------
    UsageError
        Not three finite numbers, or all are 0.
    """
    array = _vector(value, name)
    length = float(np.linalg.norm(array))
    if not _TINY < length < 1 / _TINY:
        raise UsageError(f"{name} has no direction")
    return array / length


def _tuple(array: npt.NDArray[np.float64]) -> Vector:
    x, y, z = array.tolist()
    return x, y, z


def _check_size(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise UsageError("an image has at least one row and one column")
    if rows * columns > MAX_PIXELS:
        raise LimitExceeded(f"an image has at most {MAX_PIXELS} pixels")


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle of pixels in space.

    Raises
    ------
    UsageError
        Directions that are none or not at right angles, a spacing that is not above 0.
    LimitExceeded
        More pixels than an image may have.
    """

    origin: Vector
    """Centre of the upper left pixel: LPS, mm."""
    row: Vector
    """Unit vector along a row, to the right."""
    column: Vector
    """Unit vector down a column."""
    spacing: tuple[float, float]
    """Distance of two rows, of two columns: mm."""
    shape: tuple[int, int]
    """Rows, columns."""

    def __post_init__(self) -> None:
        """Check."""
        _vector(self.origin, "the origin of a plane")
        row, column = unit(self.row, "the row of a plane"), unit(self.column, "the column of a plane")
        if abs(float(row @ column)) > 1e-4:
            raise UsageError("row and column of a plane must be at right angles")
        if not all(np.isfinite(step) and step > _TINY for step in self.spacing):
            raise UsageError("the spacing of a plane must be above 0")
        _check_size(*self.shape)
        object.__setattr__(self, "row", _tuple(row))
        object.__setattr__(self, "column", _tuple(column))

    @property
    def normal(self) -> Vector:
        """Unit vector away from the viewer: row x column."""
        return _tuple(np.cross(self.row, self.column))

    @property
    def centre(self) -> Vector:
        """Middle of the image: LPS, mm."""
        rows, columns = self.shape
        across = np.multiply(self.row, self.spacing[1] * (columns - 1) / 2)
        return _tuple(np.add(self.origin, across + np.multiply(self.column, self.spacing[0] * (rows - 1) / 2)))

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4x4: (column, row, depth in mm, 1) of the image to LPS in mm."""
        found = np.eye(4)
        found[:3, 0] = np.multiply(self.row, self.spacing[1])
        found[:3, 1] = np.multiply(self.column, self.spacing[0])
        found[:3, 2] = self.normal
        found[:3, 3] = self.origin
        return found


@dataclass(frozen=True, slots=True)
class Camera:
    """A view of a volume: the image plane, and rays through its pixels.

    Raises
    ------
    UsageError
        An eye that is not in front of the plane, a step that is not above 0.
    """

    plane: Plane
    """Orthographic rays go through it along its normal; sizes in it are true."""
    eye: Vector | None = None
    """Where all rays begin: perspective. None: orthographic."""
    step: float = 1.0
    """Distance of two samples of a ray: mm."""

    def __post_init__(self) -> None:
        """Check."""
        if not (np.isfinite(self.step) and self.step > 1e-6):
            raise UsageError("the step of a camera must be above 0")
        if self.eye is not None and np.dot(np.subtract(self.plane.centre, self.eye), self.plane.normal) < _TINY:
            raise UsageError("the eye of a camera must be in front of its plane")

    def fields(self) -> npt.NDArray[np.float64]:
        """Give the 17 numbers that the engine wants."""
        p = self.plane
        right, down = np.multiply(p.row, p.spacing[1]), np.multiply(p.column, p.spacing[0])
        eye = self.eye or (0.0, 0.0, 0.0)
        parts = (p.origin, right, down, p.normal, eye, (float(self.eye is not None), self.step))
        return np.concatenate([np.asarray(part, np.float64) for part in parts])


def bounds_of(view: VolumeView) -> npt.NDArray[np.float64]:
    """Corners of the outermost voxels of a volume: ``(8, 3)``, LPS, mm."""
    shape, affine = view.layout[0], np.asarray(view.layout[5]).reshape(4, 4)
    edges = [(-0.5, n - 0.5) for n in reversed(shape)]
    index = np.stack(np.meshgrid(*edges, indexing="ij"), -1).reshape(8, 3)
    found: npt.NDArray[np.float64] = index @ affine[:3, :3].T + affine[:3, 3]
    return found


def finest_spacing(view: VolumeView) -> float:
    """Least distance of two neighbouring voxels: mm."""
    affine = np.asarray(view.layout[5]).reshape(4, 4)
    return float(np.linalg.norm(affine[:3, :3], axis=0).min())


def _fitting(
    view: VolumeView,
    direction: npt.NDArray[np.float64],
    up: npt.NDArray[np.float64],
    centre: npt.ArrayLike | None,
    shape: tuple[int, int] | None,
    spacing: float | None,
) -> Plane:
    """Make the plane through `centre` across `direction`: all of the volume where nothing else is said."""
    right = np.cross(direction, up)
    if np.linalg.norm(right) < 1e-6:
        raise UsageError("the upper edge of an image cannot lie along the look")
    right = unit(right, "the upper edge")
    down = np.cross(direction, right)
    corners = bounds_of(view)
    middle = corners.mean(axis=0) if centre is None else _vector(centre, "the centre")
    if spacing is not None and not (np.isfinite(spacing) and spacing > _TINY):
        raise UsageError("the spacing of an image must be above 0")
    offsets = corners - middle
    extent = [2 * float(np.abs(offsets @ axis).max()) for axis in (down, right)]
    if centre is None:
        extent = [float(np.ptp(offsets @ axis)) for axis in (down, right)]
    if spacing is None:
        fine = finest_spacing(view)
        spacing = fine if shape is None else max(extent[0] / shape[0], extent[1] / shape[1], _TINY * 2)
    if shape is None:
        wanted = [max(1.0, np.ceil(length / spacing)) for length in extent]
        if wanted[0] * wanted[1] > MAX_PIXELS:
            raise LimitExceeded(f"an image has at most {MAX_PIXELS} pixels")
        shape = int(wanted[0]), int(wanted[1])
    _check_size(*shape)
    origin = middle - right * spacing * (shape[1] - 1) / 2 - down * spacing * (shape[0] - 1) / 2
    return Plane(_tuple(origin), _tuple(right), _tuple(down), (spacing, spacing), shape)


def look_and_up(
    look: str | npt.ArrayLike, up: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Directions of the look and of the upper edge, chosen where none is given; parameters and errors of `plane`."""
    if isinstance(look, str):
        if look not in VIEWS:
            raise UsageError(f"a view is one of {', '.join(VIEWS)}")
        direction, edge = (np.asarray(v) for v in VIEWS[look])
        return direction, edge if up is None else unit(up, "the upper edge")
    direction = unit(look, "the direction of the look")
    if up is not None:
        return direction, unit(up, "the upper edge")
    return direction, np.asarray((0.0, -1.0, 0.0) if abs(direction[2]) > 0.9 else (0.0, 0.0, 1.0))


def plane(
    view: VolumeView,
    look: View | npt.ArrayLike = "f",
    *,
    up: npt.ArrayLike | None = None,
    centre: npt.ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    spacing: float | None = None,
) -> Plane:
    """Lay a plane through a volume.

    Parameters
    ----------
    view : VolumeView
    look : {"a", "p", "r", "l", "h", "f"} or array-like
        From where, or the direction of the look: LPS. ``"f"`` is the axial, ``"a"`` the coronal, ``"l"`` the sagittal
        image as radiologists know them.
    up : array-like, optional
        What is up in the image; default: the head, of axial images the anterior.
    centre : array-like, optional
        Point in the middle of the image: LPS, mm; default: the middle of the volume.
    shape : tuple of int, optional
        Rows, columns; default: as many as show all of the volume.
    spacing : float, optional
        Distance of two pixels in mm; default: that of the finest voxels, or with `shape` what shows all.

    Raises
    ------
    UsageError
        No direction, or numbers that are not finite.
    LimitExceeded
        More pixels than an image may have.
    """
    direction, edge = look_and_up(look, up)
    return _fitting(view, direction, edge, centre, shape, spacing)


def camera(
    view: VolumeView,
    look: View | npt.ArrayLike = "a",
    *,
    up: npt.ArrayLike | None = None,
    centre: npt.ArrayLike | None = None,
    shape: tuple[int, int] | None = (512, 512),
    spacing: float | None = None,
    distance: float | None = None,
    step: float | None = None,
) -> Camera:
    """Look at a volume; errors as those of `plane`.

    Parameters
    ----------
    view : VolumeView
    look, up, centre, shape, spacing
        As for `plane`, of the image plane.
    distance : float, optional
        Of the eye from the image plane in mm: perspective; default: orthographic.
    step : float, optional
        Distance of two samples in mm; default: that of the finest voxels.
    """
    direction, edge = look_and_up(look, up)
    found = _fitting(view, direction, edge, centre, shape, spacing)
    eye = None
    if distance is not None:
        if not (np.isfinite(distance) and distance > 0):
            raise UsageError("the distance of the eye must be above 0")
        eye = _tuple(np.subtract(found.centre, direction * distance))
    return Camera(found, eye, finest_spacing(view) if step is None else step)
