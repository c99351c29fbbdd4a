"""Masks: which voxels of a grid belong to a segment, with the geometry of their own that they have in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from hilum.errors import LimitExceeded, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.pixels.settings import Rgb

__all__ = ["COLOURS", "MAX_VOXELS", "Code", "Grid", "Mask", "Segment", "check_voxels", "colour_of", "segment_of"]

Code: TypeAlias = tuple[str, str, str]
"""Code value, coding scheme designator, code meaning (PS3.3 8.8); empty texts: not said."""

COLOURS: Final[tuple[Rgb, ...]] = (
    (230, 75, 60), (60, 180, 90), (70, 130, 220), (240, 190, 50), (160, 90, 200),
    (40, 190, 200), (240, 130, 50), (220, 100, 170), (150, 200, 60), (140, 110, 90),
)  # fmt: skip
"""Of segments that recommend none, in turn."""
MAX_VOXELS: Final = 1 << 30
"""Of one mask."""


def colour_of(number: int) -> Rgb:
    """Colour of a segment that recommends none."""
    return COLOURS[(number - 1) % len(COLOURS)]


def check_voxels(shape: tuple[int, int, int]) -> None:
    """Refuse a mask that is too large.

    Raises
    ------
    LimitExceeded
        More than `MAX_VOXELS` voxels.
    """
    if shape[0] * shape[1] * shape[2] > MAX_VOXELS:
        raise LimitExceeded(f"a mask has at most {MAX_VOXELS} voxels")


@dataclass(frozen=True, slots=True)
class Segment:
    """What a mask is of: an item of Segment Sequence (0062,0002), or a region of interest of a structure set."""

    number: int
    """Segment Number (0062,0004) or ROI Number (3006,0022)."""
    label: str
    """Segment Label (0062,0005) or ROI Name (3006,0026)."""
    colour: Rgb
    """Recommended Display CIELab Value (0062,000D) or ROI Display Color (3006,002A) in sRGB, else one of `COLOURS`."""
    algorithm: str = ""
    """Segment Algorithm Type (0062,0008): ``"AUTOMATIC"``, ``"SEMIAUTOMATIC"``, ``"MANUAL"``, or how the region was
    made."""
    algorithm_name: str = ""
    """Segment Algorithm Name (0062,0009)."""
    category: Code = ("", "", "")
    """Segmented Property Category Code Sequence (0062,0003)."""
    property: Code = ("", "", "")
    """Segmented Property Type Code Sequence (0062,000F)."""
    tracking_uid: str = ""
    """Tracking UID (0062,0021)."""
    background: bool = False
    """It is what is no segment: property (125040, DCM), or the value of a label map for it."""


def segment_of(segments: Sequence[Segment], number: int) -> Segment:
    """Find a segment or region by its number.

    Raises
    ------
    NotFound
        There is none.
    """
    for segment in segments:
        if segment.number == number:
            return segment
    raise NotFound(f"there is no segment or region {number}")


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels that something is put on."""

    shape: tuple[int, int, int]
    """Along z, y, x."""
    affine: npt.NDArray[np.float64]
    """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Voxels of a segment. Only the slices that it has are there: its shape differs from that of the images."""

    segment: Segment
    voxels: npt.NDArray[np.uint8]
    """``(z, y, x)``: from 0 to `maximum`."""
    affine: npt.NDArray[np.float64]
    """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm."""
    frame_of_reference_uid: str
    maximum: int = 1
    """What is wholly inside: 1, or Maximum Fractional Value (0062,000E)."""
    kind: Literal["BINARY", "PROBABILITY", "OCCUPANCY"] = "BINARY"
    """What parts of `maximum` are: Segmentation Fractional Type (0062,0010)."""

    @property
    def label(self) -> str:
        """Label of the segment."""
        return self.segment.label

    @property
    def colour(self) -> Rgb:
        """Colour of the segment."""
        return self.segment.colour

    @property
    def grid(self) -> Grid:
        """Where its voxels are."""
        z, y, x = self.voxels.shape
        return Grid((z, y, x), self.affine)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Voxels that belong to it at least by half: bool ``(z, y, x)``."""
        found: npt.NDArray[np.bool_] = self.voxels >= max(1, -(-self.maximum // 2))
        return found

    @property
    def volume_ml(self) -> float:
        """Volume of `inside`: ml."""
        return float(np.count_nonzero(self.inside)) * abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def on(self, grid: Grid) -> Mask:
        """Put it on other voxels: each gets the value of the mask's voxel that its centre lies in, 0 outside.

        Parameters
        ----------
        grid : Grid
            In the same frame of reference: that of a `Volume` is ``Grid(volume.shape[-3:], volume.affine)``.

        Returns
        -------
        Mask
            Of the grid's shape and affine.

        Raises
        ------
        LimitExceeded
            The grid has more than `MAX_VOXELS` voxels.
        UsageError
            Its affine cannot be inverted.
        """
        check_voxels(grid.shape)
        voxels = np.zeros(grid.shape, np.uint8)
        if self.voxels.size:
            _sample(self.voxels, _between(self.affine, grid.affine), voxels)
        return replace(self, voxels=voxels, affine=grid.affine.copy())


def _between(own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``(3, 4)``: index in one grid of an index in the other."""
    try:
        return np.asarray(np.linalg.solve(own, other)[:3], np.float64)
    except np.linalg.LinAlgError:
        raise UsageError("an affine that cannot be inverted") from None


def _sample(source: npt.NDArray[np.uint8], mapping: npt.NDArray[np.float64], out: npt.NDArray[np.uint8]) -> None:
    """Nearest voxel for each of `out`, a slice at a time: memory stays that of a slice."""
    sizes = source.shape[::-1]
    depth, rows, columns = out.shape
    j, i = np.arange(rows)[:, None], np.arange(columns)[None, :]
    if np.allclose(mapping[:, :3], np.diag(np.diag(mapping[:, :3])), atol=1e-6 / max(out.shape)):
        places = [_nearest(mapping[a, a] * np.arange(out.shape[2 - a]) + mapping[a, 3], sizes[a]) for a in range(3)]
        (x, in_x), (y, in_y), (z, in_z) = places
        picked = source[z[in_z]][:, y[in_y]][:, :, x[in_x]]
        out[np.ix_(in_z, in_y, in_x)] = picked
        return
    for k in range(depth):
        places = [
            _nearest(m[0] * i + m[1] * j + (m[2] * k + m[3]), size) for m, size in zip(mapping, sizes, strict=True)
        ]
        inside = places[0][1] & places[1][1] & places[2][1]
        out[k][inside] = source[places[2][0][inside], places[1][0][inside], places[0][0][inside]]


def _nearest(place: npt.NDArray[np.float64], size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Index of the voxel that holds a place, and whether there is one; on the border of two it is the upper."""
    index = np.floor(place + (0.5 + 1e-6)).astype(np.intp)
    return index, (index >= 0) & (index < size)
