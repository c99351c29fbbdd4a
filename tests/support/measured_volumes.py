"""Phantoms of the tests of measurements and meshes, and what a region is by definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from objects import uid
from volume_objects import make_slice

from hilum.volumes.regions import Box, Ellipsoid, Polygon, Sphere

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    import hilum
    from hilum.volumes.regions import Region

OBLIQUE = (0.8, 0.6, 0.0, -0.6 * 0.96, 0.8 * 0.96, 0.28)
"""Directions of rows and columns of a series that lies along no axis."""


def store_series(
    archive: hilum.Archive, voxels: npt.NDArray[Any], *, oblique: bool = False, **options: Any
) -> hilum.Volume:
    """Store slices, 2 mm apart, pixels of 0.5 x 0.75 mm; gives the volume that they make."""
    row, column = (np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])) if oblique else (np.eye(3)[0], np.eye(3)[1])
    normal = np.cross(row, column)
    for k, pixels in enumerate(voxels):
        place = np.array([-10.0, 5.0, 30.0]) + normal * (2.0 * k)
        data = make_slice(pixels, place, instance=k + 1, orientation=(*row, *column), **options)
        archive.store(data)
    return archive.series_volume(uid(1, 1), uid(2, 1, 1))


def inside(region: Region, shape: Sequence[int], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether each voxel's centre lies inside: the definition, voxel by voxel."""
    k, j, i = np.indices(shape)
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    if isinstance(region, Sphere):
        region = Ellipsoid(region.centre, (region.radius,) * 3)
    if isinstance(region, Box):
        along = (points - region.centre) @ np.array(region.axes).T
        return (np.abs(along) <= np.array(region.size) / 2 + 1e-6).all(-1)
    if isinstance(region, Ellipsoid):
        along = (points - region.centre) @ np.array(region.axes).T / np.array(region.radii)
        return (along**2).sum(-1) <= 1 + 1e-9
    assert isinstance(region, Polygon) and region.thickness is not None
    corners = np.array(region.points)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normal /= np.linalg.norm(normal)
    u = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
    flat = np.stack([(points - corners[0]) @ u, (points - corners[0]) @ np.cross(normal, u)], -1)
    path = np.stack([(corners - corners[0]) @ u, (corners - corners[0]) @ np.cross(normal, u)], -1)
    crossed = np.zeros(flat.shape[:-1], int)
    for (x0, y0), (x1, y1) in zip(path, np.roll(path, -1, 0), strict=True):
        if y0 != y1:
            between = (flat[..., 1] >= min(y0, y1)) & (flat[..., 1] < max(y0, y1))
            crossed += between & (x0 + (flat[..., 1] - y0) * (x1 - x0) / (y1 - y0) > flat[..., 0])
    return (crossed % 2 == 1) & (np.abs((points - corners[0]) @ normal) <= region.thickness / 2 + 1e-6)
