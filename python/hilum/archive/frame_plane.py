"""Where the pixels of a picture of a frame lie in the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.errors import NotAVolume
from hilum.render.geometry import Plane

if TYPE_CHECKING:
    from hilum.pixels.settings import RenderSettings
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["picture_plane"]


def picture_plane(series: SeriesFrames, frame: int, settings: RenderSettings, shape: tuple[int, int]) -> Plane:
    """Lay the plane of a picture that the pipeline made of a frame: its region, scale, rotation and flip.

    Parameters
    ----------
    series : SeriesFrames
        Of the image alone.
    frame : int
        From 0.
    settings : RenderSettings
        By which the picture was made.
    shape : tuple of int
        Rows and columns of the picture.

    Raises
    ------
    NotAVolume
        The frame does not say where it lies.
    """
    corner, orientation, spacing = series.positions[frame], series.orientations[frame], series.spacings[frame]
    if not (np.isfinite([*corner, *orientation, *spacing]).all() and spacing.min() > 0):
        raise NotAVolume("the image does not say where in the patient it lies: nothing can lie over it")
    pixels = series.pixels[series.kinds[frame]]
    left, top, width, height = settings.region or (0, 0, pixels.columns, pixels.rows)
    if settings.displayed_area is not None:
        first, upper, last, lower = settings.displayed_area
        left, top, width, height = first - 1, upper - 1, last - first + 1, lower - upper + 1
    turned = settings.rotation in (90, 270)
    columns, rows = (shape[0], shape[1]) if turned else (shape[1], shape[0])
    right = orientation[:3] * spacing[1] * width / columns
    down = orientation[3:] * spacing[0] * height / rows
    origin = corner + orientation[:3] * spacing[1] * (left - 0.5) + orientation[3:] * spacing[0] * (top - 0.5)
    for _ in range(settings.rotation // 90):  # clockwise: what went down goes to the left
        origin, right, down = origin + down * rows, -down, right
        columns, rows = rows, columns
    if settings.flip:
        origin, right = origin + right * columns, -right
    origin = origin + right / 2 + down / 2
    across, along = (float(np.linalg.norm(step)) for step in (right, down))
    return Plane(_vector(origin), _vector(right / across), _vector(down / along), (along, across), shape)


def _vector(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
