"""Fusion: values and segments in colours over an image of a plane.

Each layer has a grid of its own and is sampled where the pixels of the image lie: values linearly, segments by the
nearest voxel, contours by their own polygons. Layers are painted one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hilum.errors import UsageError
from hilum.render.palettes import palette_table
from hilum.volumes.masks import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.pixels.settings import Rgb
    from hilum.render.geometry import Camera, Plane
    from hilum.render.labels import LabelMap
    from hilum.render.renderer import Mode, Renderer, Slice
    from hilum.volumes.contours import StructureSet

__all__ = [
    "ContourLayer",
    "FractionLayer",
    "LabelLayer",
    "Layer",
    "MovedLayer",
    "ValueLayer",
    "fuse",
    "fuse_projections",
    "as_bytes",
    "check_outline",
    "in_colour",
    "moved",
    "paint_fractions",
    "paint_labels",
]

MAX_OUTLINE = 16
"""Pixels that an outline may be wide."""


class Layer(Protocol):
    """What can be painted over an image of a plane."""

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint over red, green, blue from 0 to 255, ``(rows, columns, 3)``, in place."""
        ...

    def paint_projection(self, image: npt.NDArray[np.float32], camera: Camera) -> None:
        """Paint over an image of a camera, in place; UsageError where a layer has no values to project."""
        ...


@dataclass(frozen=True, slots=True)
class ValueLayer:
    """Values in the colours of a palette: PET, dose, parametric maps.

    Raises
    ------
    UsageError
        An unknown palette, a range that is none, an opacity that is not from 0 to 1.
    """

    renderer: Renderer
    palette: str = "hot"
    low: float = 0.0
    """Modality value times `factor` that has the first colour of the palette."""
    high: float = 1.0
    opacity: float = 0.5
    factor: float = 1.0
    """From modality values to those of the range, as to SUV."""
    levels: tuple[float, ...] = ()
    """Values along which lines are drawn, such as isodoses."""
    wash: bool = True
    """Paint the colours; False: only the lines of `levels`."""

    def __post_init__(self) -> None:
        """Check."""
        palette_table(self.palette)
        _check_opacity(self.opacity)
        if not (np.isfinite([self.low, self.high, *self.levels]).all() and self.low < self.high):
            raise UsageError("the range of a palette is two finite numbers, the lower one first")

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint what the plane, or slab, cuts."""
        values = self._values(self.renderer.mpr(plane, thickness=thickness, mode=mode))
        inside = inside_of(self.renderer, plane, max(thickness, 0.0) / 2)
        if inside is not None:
            values[~inside] = np.nan
        self._paint(image, values)

    def paint_projection(self, image: npt.NDArray[np.float32], camera: Camera) -> None:
        """Paint the greatest values along the rays of a camera."""
        self._paint(image, self._values(self.renderer.project(camera, mode="maximum", outside=self.low / self.factor)))

    def _values(self, image: Slice) -> npt.NDArray[np.float32]:
        """Values of the range, as an array of its own."""
        found = image.stored.astype(np.float32)
        found *= np.float32(image.slope * self.factor)
        found += np.float32(image.intercept * self.factor)
        return found

    def _paint(self, image: npt.NDArray[np.float32], values: npt.NDArray[np.float32]) -> None:
        table = palette_table(self.palette)
        last = len(table) - 1
        if self.wash:
            scaled = values * np.float32(last / (self.high - self.low))
            scaled += np.float32(0.5 - self.low * last / (self.high - self.low))
            absent = np.isnan(scaled)
            np.clip(scaled, 0, last, out=scaled)
            scaled[absent] = last + 1
            entry = scaled.astype(np.intp)
            alpha = np.append(table[:, 3] * np.float32(self.opacity), np.float32(0))
            colours = np.concatenate([table[:, :3], np.zeros((1, 3), np.float32)]) * alpha[:, None]
            image *= np.take(1 - alpha, entry)[..., None]
            image += np.take(colours, entry, axis=0)
        for level in self.levels:
            part = float(np.clip((level - self.low) / (self.high - self.low), 0, 1))
            with np.errstate(invalid="ignore"):
                image[_rim(values >= level, 1)] = table[round(part * last), :3]


class _Segments:
    __slots__ = ()

    def paint_projection(self, image: npt.NDArray[np.float32], camera: Camera) -> None:
        """Refuse: segments have no values to project."""
        raise UsageError("segments are seen in planes and in volume rendering, not in projections of values")


@dataclass(frozen=True, slots=True)
class LabelLayer(_Segments):
    """Segments in their colours."""

    maps: tuple[LabelMap, ...]
    opacity: float = 0.35
    outline: int = 1
    """Pixels that the line around each segment is wide; 0: none."""

    def __post_init__(self) -> None:
        """Check."""
        _check_opacity(self.opacity)
        check_outline(self.outline)

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint what the plane cuts; also of slabs the plane in their middle."""
        for one in self.maps:
            found = one.renderer.mpr(plane, interpolation="nearest", outside=0.0).stored
            paint_labels(image, found, one.colours, self.opacity, self.outline)


@dataclass(frozen=True, slots=True)
class FractionLayer(_Segments):
    """A fractional segment in its colour, the more the larger the fraction."""

    renderer: Renderer
    colour: Rgb
    maximum: int
    opacity: float = 0.5

    def __post_init__(self) -> None:
        """Check."""
        _check_opacity(self.opacity)

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint what the plane, or slab, cuts."""
        part = self.renderer.mpr(plane, thickness=thickness, mode=mode, outside=0.0).values / np.float32(self.maximum)
        paint_fractions(image, part, self.colour, self.opacity)


@dataclass(frozen=True, slots=True)
class ContourLayer(_Segments):
    """Regions of interest of a structure set."""

    structure: StructureSet
    numbers: tuple[int, ...]
    """ROI Numbers (3006,0022), in the order in which they are painted."""
    maps: Callable[[int], tuple[LabelMap, ...]]
    """Gives the mask of a region, for planes across its contours."""
    opacity: float = 0.2
    outline: int = 1
    """Pixels that the line around each region is wide; 0: none."""

    def __post_init__(self) -> None:
        """Check."""
        _check_opacity(self.opacity)
        check_outline(self.outline)

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint what the plane cuts; also of slabs the plane in their middle."""
        grid = Grid((1, *plane.shape), plane.affine)
        for number in self.numbers:
            colour = np.array([(0, 0, 0), self.structure.segment(number).colour], np.float32)
            if self.structure.is_along(number, grid):
                paint_labels(image, self.structure.mask(number, grid).voxels[0], colour, self.opacity, self.outline)
                continue
            for one in self.maps(number):
                found = one.renderer.mpr(plane, interpolation="nearest", outside=0.0).stored
                paint_labels(image, found, colour, self.opacity, self.outline)


def fuse(
    image: npt.NDArray[np.uint8],
    plane: Plane,
    layers: Sequence[Layer],
    *,
    thickness: float = 0.0,
    mode: Mode = "mean",
) -> npt.NDArray[np.uint8]:
    """Paint layers over an image of a plane.

    Parameters
    ----------
    image : ndarray
        uint8, grey ``(rows, columns)`` or RGB ``(rows, columns, 3)``, as from `Slice.window`; not changed.
    plane : Plane
        Where its pixels lie: LPS, mm.
    layers : sequence of Layer
        The first is painted first.
    thickness, mode
        Of the slab that the image shows, as for `Renderer.mpr`: values are taken from the same slab.

    Returns
    -------
    ndarray
        uint8 ``(rows, columns, 3)``: RGB.

    Raises
    ------
    UsageError
        The image has not the size of the plane.
    """
    if image.shape[:2] != plane.shape or image.dtype != np.uint8:
        raise UsageError("the image is uint8 and has the rows and columns of its plane")
    found = in_colour(image)
    for layer in layers:
        layer.paint(found, plane, thickness, mode)
    return as_bytes(found)


def fuse_projections(image: npt.NDArray[np.uint8], camera: Camera, layers: Sequence[Layer]) -> npt.NDArray[np.uint8]:
    """Paint the greatest values along the rays of a camera over what it sees; parameters and errors of `fuse`."""
    if image.shape[:2] != camera.plane.shape or image.dtype != np.uint8:
        raise UsageError("the image is uint8 and has the rows and columns of its camera")
    found = in_colour(image)
    for layer in layers:
        layer.paint_projection(found, camera)
    return as_bytes(found)


def in_colour(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Red, green, blue of a grey or colour image, to paint on."""
    wide = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return wide.astype(np.float32)


def as_bytes(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round what was painted."""
    return (np.clip(image, 0, 255) + np.float32(0.5)).astype(np.uint8)


def paint_labels(
    image: npt.NDArray[np.float32],
    labels: npt.NDArray[Any],
    colours: npt.NDArray[np.float32],
    opacity: float,
    outline: int,
    margin: int = 0,
) -> None:
    """Paint segments over red, green, blue from 0 to 255, in place.

    Parameters
    ----------
    labels : ndarray
        Whole numbers: 0, or the row of `colours`; `margin` pixels wider than the image on each side, so that the lines
        of tiles go on in their neighbours.
    outline : int
        Pixels that the line around each segment is wide; 0: none.
    """
    shown = labels[margin : labels.shape[0] - margin, margin : labels.shape[1] - margin]
    inside = shown > 0
    if not inside.any():
        return
    image[inside] += (colours[shown[inside]] - image[inside]) * np.float32(opacity)
    if outline:
        rim = _rim(labels, outline)[margin : labels.shape[0] - margin, margin : labels.shape[1] - margin] & inside
        image[rim] = colours[shown[rim]]


def paint_fractions(image: npt.NDArray[np.float32], part: npt.NDArray[np.float32], colour: Rgb, opacity: float) -> None:
    """Paint a segment over red, green, blue from 0 to 255, in place: the more the larger its part of a pixel."""
    image += (np.array(colour, np.float32) - image) * (part * np.float32(opacity))[..., None]


def _rim(labels: npt.NDArray[Any], width: int) -> npt.NDArray[np.bool_]:
    """Pixels that are less than `width` from another value above, below, left or right; the image's edge is none."""
    differs = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for distance in range(1, min(width, labels.shape[axis] - 1) + 1):
            low = (slice(None, -distance), slice(None)) if axis == 0 else (slice(None), slice(None, -distance))
            high = (slice(distance, None), slice(None)) if axis == 0 else (slice(None), slice(distance, None))
            other = labels[low] != labels[high]
            differs[low] |= other
            differs[high] |= other
    if labels.dtype == bool:
        differs &= labels
    return differs


def inside_of(renderer: Renderer, plane: Plane, reach: float) -> npt.NDArray[np.bool_] | None:
    """Pixels whose place, or one within `reach` mm along the normal, lies in the volume; None: all of them."""
    shape, affine = renderer.view.layout[0], np.asarray(renderer.view.layout[5]).reshape(4, 4)
    mapping = np.linalg.solve(affine, plane.affine)
    ends = [(c, r, 0.0, 1.0) for c in (0, plane.shape[1] - 1) for r in (0, plane.shape[0] - 1)]
    corners = mapping[:3] @ np.transpose(ends)
    if (corners >= -0.5).all() and (corners.max(axis=1) <= np.subtract(shape[::-1], 0.5)).all():
        return None
    rows, width = np.arange(plane.shape[0]), plane.shape[1]
    first, last = np.zeros(len(rows)), np.full(len(rows), width - 1.0)
    for axis, size in enumerate(reversed(shape)):  # the part of each row that lies between two sides of the volume
        across, start = mapping[axis, 0], mapping[axis, 1] * rows + mapping[axis, 3]
        slack = 0.5 + abs(mapping[axis, 2]) * reach
        low, high = -slack - start, size - 1 + slack - start
        if abs(across) < 1e-12:
            first[(low > 0) | (high < 0)] = width
        else:
            first = np.maximum(first, np.minimum(low / across, high / across))
            last = np.minimum(last, np.maximum(low / across, high / across))
    columns = np.arange(width, dtype=np.int32)
    begin, end = np.ceil(first.clip(0, width)).astype(np.int32), np.floor(last.clip(-1, width)).astype(np.int32)
    found: npt.NDArray[np.bool_] = (columns >= begin[:, None]) & (columns <= end[:, None])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class MovedLayer:
    """A layer in another frame of reference that a registration relates to that of the image."""

    layer: Layer
    matrix: npt.NDArray[np.float64]
    """Rigid 4x4: from the frame of reference of the image to that of the layer, LPS, mm."""

    def paint(self, image: npt.NDArray[np.float32], plane: Plane, thickness: float, mode: Mode) -> None:
        """Paint the layer where the plane lies in its frame of reference."""
        self.layer.paint(image, moved(plane, self.matrix), thickness, mode)

    def paint_projection(self, image: npt.NDArray[np.float32], camera: Camera) -> None:
        """Paint the greatest values of the layer along the same rays."""
        eye = None if camera.eye is None else tuple((self.matrix @ (*camera.eye, 1.0))[:3].tolist())
        self.layer.paint_projection(image, replace(camera, plane=moved(camera.plane, self.matrix), eye=eye))


def moved(plane: Plane, matrix: npt.NDArray[np.float64]) -> Plane:
    """Put a plane elsewhere by a rigid 4x4 matrix."""

    def turn(vector: npt.ArrayLike, one: float) -> Any:
        x, y, z = (matrix @ np.append(np.asarray(vector, np.float64), one))[:3].tolist()
        return x, y, z

    return replace(plane, origin=turn(plane.origin, 1.0), row=turn(plane.row, 0.0), column=turn(plane.column, 0.0))


def _check_opacity(opacity: float) -> None:
    if not 0.0 <= opacity <= 1.0:
        raise UsageError("an opacity is from 0 to 1")


def check_outline(outline: int) -> None:
    """Refuse an outline of another width than 0 to `MAX_OUTLINE`: UsageError."""
    if not 0 <= outline <= MAX_OUTLINE:
        raise UsageError(f"an outline is from 0 to {MAX_OUTLINE} pixels wide")
