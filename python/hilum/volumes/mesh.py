"""Surfaces of volumes and masks as triangles, in the patient: mm, LPS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import _core
from hilum.errors import LimitExceeded, Unavailable, UsageError
from hilum.volumes.masks import Mask
from hilum.volumes.measure import grid_of
from hilum.volumes.mesh_files import FORMATS
from hilum.volumes.regions import core_region
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum._core import VolumeView
    from hilum.pixels.settings import Rgb
    from hilum.volumes.masks import Grid
    from hilum.volumes.regions import Region

__all__ = ["MAX_FACES", "Mesh", "Surface", "make_mesh", "make_segment_mesh"]

MAX_FACES: Final = 1 << 26
MAX_SMOOTH: Final = 1000
_BONE: Final = (228, 216, 190)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """How a surface is made of voxels.

    Raises
    ------
    UsageError
        Numbers that cannot be.
    LimitExceeded
        More than 1000 passes of smoothing.
    """

    closed: bool = True
    """Close it where the volume ends, half a voxel beyond the outermost centres; else it is open there."""
    largest: int = 0
    """Keep so many connected pieces, the largest ones; 0: all."""
    smooth: int = 0
    """Passes of Taubin's smoothing: steps of voxels go, the size stays."""
    faces: int = 0
    """At most so many triangles, if the surface can stay closed so; 0: any number."""
    error: float = 0.0
    """mm: as few triangles as this error allows (root mean square distance to the planes of those replaced); 0: any."""

    vertices: int = 1 << 24
    """Refuse it with more than so many before decimation, which needs about 250 bytes for each."""

    def __post_init__(self) -> None:
        if min(self.largest, self.smooth, self.faces, self.vertices) < 0 or not 0.0 <= self.error < float("inf"):
            raise UsageError("largest, smooth, faces, error and vertices of a surface must not be negative")
        if self.smooth > MAX_SMOOTH:
            raise LimitExceeded(f"a surface is smoothed by at most {MAX_SMOOTH} passes")
        if max(self.largest, self.faces) > MAX_FACES:
            raise LimitExceeded(f"a surface has at most {MAX_FACES} triangles")


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A surface: triangles counter-clockwise seen from outside; each vertex is there once."""

    vertices: npt.NDArray[np.float32]
    """``(n, 3)``: LPS, mm."""
    normals: npt.NDArray[np.float32]
    """``(n, 3)``: unit vectors, outwards."""
    triangles: npt.NDArray[np.uint32]
    """``(m, 3)``: indices of vertices."""
    triangles_before: int
    """How many triangles there were before decimation."""
    name: str = ""
    """What it is of, a label; written to files."""
    colour: Rgb = _BONE

    @property
    def area_mm2(self) -> float:
        """Area: mm²."""
        return float(np.linalg.norm(self._doubled_areas(), axis=1).sum() / 2)

    @property
    def volume_ml(self) -> float:
        """Volume inside of a closed surface: ml."""
        first = self.vertices[self.triangles[:, 0]].astype(np.float64)
        return float(np.einsum("ij,ij->i", first, self._doubled_areas()).sum() / 6000)

    @property
    def is_closed(self) -> bool:
        """Whether each edge has two triangles, that run along it in opposite directions."""
        t = self.triangles.astype(np.uint64)
        ahead = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
        keys = np.sort(ahead[:, 0] << np.uint64(32) | ahead[:, 1])
        back = np.sort(ahead[:, 1] << np.uint64(32) | ahead[:, 0])
        return bool((keys == back).all() and (np.diff(keys) != 0).all())

    def _doubled_areas(self) -> npt.NDArray[np.float64]:
        """Cross product of two sides of each triangle."""
        a, b, c = (self.vertices[self.triangles[:, n]].astype(np.float64) for n in range(3))
        return np.cross(b - a, c - a)

    def to_bytes(self, form: str) -> bytes:
        """Write it as a file.

        Parameters
        ----------
        form : {"stl", "obj", "glb"}
            Binary STL and Wavefront OBJ in mm and LPS; binary glTF 2.0, whose node turns mm and LPS into metres, Y up.

        Raises
        ------
        UsageError
            Another form.
        """
        try:
            write = FORMATS[form]
        except KeyError:
            raise UsageError(f"a mesh is written as {', '.join(FORMATS)}") from None
        return write(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, all of it or nothing; its ending says the form: ``.stl``, ``.obj``, ``.glb``.

        Raises
        ------
        UsageError
            Another ending.
        Unavailable
            It cannot be written.
        """
        target = Path(path)
        content = self.to_bytes(target.suffix.lower().removeprefix("."))
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            try:
                part.write_bytes(content)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{target}: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<hilum Mesh {len(self.vertices)} vertices, {len(self.triangles)} triangles>"


def make_mesh(
    view: VolumeView,
    threshold: float,
    surface: Surface,
    *,
    below: bool = False,
    region: Region | None = None,
    name: str = "",
    colour: Rgb = _BONE,
) -> Mesh:
    """Make the surface around stored values of at least (`below`: at most) a threshold.

    Raises
    ------
    UsageError
        A threshold that is not finite.
    LimitExceeded
        It has more vertices than `surface` allows.
    """
    vertices, normals, triangles, before = _core.isosurface(
        view,
        threshold,
        below=below,
        closed=surface.closed,
        region=None if region is None else core_region(region, grid_of(view)),
        largest=surface.largest,
        smooth=surface.smooth,
        faces=surface.faces,
        error=surface.error,
        vertices=surface.vertices,
    )
    return Mesh(
        np.frombuffer(vertices, np.float32).reshape(-1, 3),
        np.frombuffer(normals, np.float32).reshape(-1, 3),
        np.frombuffer(triangles, np.uint32).reshape(-1, 3),
        before,
        name,
        colour,
    )


def make_segment_mesh(
    segment: Mask | npt.NDArray[Any], grid: Grid, surface: Surface, region: Region | None = None
) -> Mesh:
    """Make the surface of a mask, with its name and colour; an array lies on the voxels of a grid.

    Raises
    ------
    UsageError
        An array of another shape than the grid.
    LimitExceeded
        As for `make_mesh`.
    """
    if isinstance(segment, Mask):
        view = from_array(segment.voxels, affine=segment.affine)
        half = segment.maximum / 2
        return make_mesh(view, half, surface, region=region, name=segment.label, colour=segment.colour)
    if segment.shape != grid.shape:
        raise UsageError("a mask without geometry must have the shape of the volume: z, y, x")
    return make_mesh(from_array((segment != 0).view(np.uint8), affine=grid.affine), 0.5, surface, region=region)
