"""Masks of several segments together, as volumes of numbers that a renderer can sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hilum.errors import LimitExceeded, UsageError
from hilum.render.renderer import Renderer
from hilum.volumes.masks import MAX_VOXELS, check_voxels
from hilum.volumes.view import affine_of, from_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from hilum.volumes.masks import Mask, Segment
    from hilum.volumes.view import VolumeView

__all__ = ["LabelMap", "SegmentDisplay", "label_maps"]

_MOST: int = 255
_NEAR: float = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Segments that do not overlap: which of them each voxel belongs to."""

    renderer: Renderer
    """Of uint8: 0, or the place of a segment in `segments` from 1."""
    segments: tuple[Segment, ...]

    @property
    def colours(self) -> npt.NDArray[np.float32]:
        """``(n + 1, 3)``: colour of each value, from 0 to 255."""
        return np.array([(0, 0, 0), *(segment.colour for segment in self.segments)], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentDisplay:
    """How segments are seen in volume rendering.

    Raises
    ------
    UsageError
        An unknown way, an opacity that is not from 0 to 1.
    """

    map: LabelMap
    show: Literal["colour", "only", "hide"] = "colour"
    """In their colours; or nothing but what lies in them, in the volume's own colours; or all but that."""
    opacity: float = 0.3
    """Of the transfer function's `unit` (1 mm), at least: segments are seen where the volume is transparent too. 0:
    only what is seen of the volume is coloured. Of "colour" alone."""
    matrix: npt.NDArray[np.float64] | None = None
    """Rigid 4x4 from the frame of reference of the volume to that of the segments, if that is another: LPS, mm."""

    def __post_init__(self) -> None:
        """Check."""
        if self.show not in ("colour", "only", "hide"):
            raise UsageError("segments are shown in their colour, alone, or not at all: colour, only, hide")
        if not 0.0 <= self.opacity <= 1.0:
            raise UsageError("an opacity is from 0 to 1")

    def fields(self) -> tuple[VolumeView, npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
        """Give what the engine wants: voxels, their affine, a style for each value, and whether all else is hidden."""
        view = self.map.renderer.view
        affine = affine_of(view)
        if self.matrix is not None:
            affine = np.ascontiguousarray(np.linalg.solve(self.matrix, affine))
        styles = np.zeros((len(self.map.segments) + 1, 6))
        styles[:, 0] = 1.0
        if self.show == "hide":
            styles[1:, 0] = 0.0
        elif self.show == "colour":
            styles[1:, 1], styles[1:, 2] = self.opacity, 1.0
            styles[1:, 3:] = self.map.colours[1:] / 255.0
        return view, affine, styles, self.show == "only"


class _Lattice:
    """Masks whose voxels are those of one grid, and no two of which share a voxel."""

    def __init__(self, affine: npt.NDArray[np.float64]) -> None:
        self.affine = affine
        self.parts: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp], Segment]] = []

    def place(self, affine: npt.NDArray[np.float64]) -> npt.NDArray[np.intp] | None:
        """First voxel (x, y, z) of a mask in this grid; None if its voxels are others."""
        between = np.linalg.solve(self.affine, affine)
        moved = np.rint(between[:3, 3])
        if np.abs(between[:3, :3] - np.eye(3)).max() > 1e-4 or np.abs(between[:3, 3] - moved).max() > _NEAR:
            return None
        return np.asarray(moved, np.intp)

    def overlaps(self, inside: npt.NDArray[np.bool_], at: npt.NDArray[np.intp]) -> bool:
        for other, first, _ in self.parts:
            low = np.maximum(at, first)
            high = np.minimum(at + inside.shape[::-1], first + other.shape[::-1])
            if (high > low).all():
                mine, its = (
                    array[tuple(slice(*pair) for pair in zip((low - start)[::-1], (high - start)[::-1], strict=True))]
                    for array, start in ((inside, at), (other, first))
                )
                if (mine & its).any():
                    return True
        return False

    def build(self) -> LabelMap:
        low = np.min([at for _, at, _ in self.parts], axis=0)
        high = np.max([at + inside.shape[::-1] for inside, at, _ in self.parts], axis=0)
        x, y, z = (high - low).tolist()
        check_voxels((z, y, x))
        voxels = np.zeros((z, y, x), np.uint8)
        for value, (inside, at, _) in enumerate(self.parts, 1):
            box = tuple(slice(int(a), int(a) + n) for a, n in zip((at - low)[::-1], inside.shape, strict=True))
            voxels[box][inside] = value
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ low
        return LabelMap(Renderer(from_array(voxels, affine=affine)), tuple(segment for _, _, segment in self.parts))


def label_maps(masks: Iterable[Mask]) -> list[LabelMap]:
    """Put masks together: as few volumes as their grids and overlaps allow; what is empty is left out.

    Parameters
    ----------
    masks : iterable of Mask
        `Mask.inside` of each is taken.

    Raises
    ------
    LimitExceeded
        A volume of more voxels than a mask may have, or the boxes around what is inside have more together.
    """
    found: list[_Lattice] = []
    together = 0
    for mask in masks:
        inside = mask.inside
        box = _box(inside)
        if box is None:
            continue
        inside = inside[box].copy()  # a view would keep the whole
        together += inside.size
        if together > MAX_VOXELS:
            raise LimitExceeded(f"segments of more than {MAX_VOXELS} voxels together: name fewer of them")
        affine = mask.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in reversed(box)])
        for lattice in found:
            at = lattice.place(affine)
            if at is not None and len(lattice.parts) < _MOST and not lattice.overlaps(inside, at):
                break
        else:
            lattice, at = _Lattice(affine), np.zeros(3, np.intp)
            found.append(lattice)
        lattice.parts.append((inside, at, mask.segment))
    return [lattice.build() for lattice in found]


def _box(inside: npt.NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Smallest box around what is set; None if nothing is."""
    edges: list[Any] = []
    for axis in range(3):
        there = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(there):
            return None
        edges.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(edges)
