"""Planes and slabs through volumes as large images: any part at any size, cut when it is asked for."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hilum.archive.pyramid import PLAIN_TILE
from hilum.errors import UsageError
from hilum.render.geometry import Plane, plane

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.archive.pyramid import Region
    from hilum.archive.volume_images import VolumeImages, VolumeRequest, VolumeSource
    from hilum.pixels.settings import Window

__all__ = ["PlaneImage"]


@dataclass(frozen=True, slots=True)
class PlaneImage:
    """A plane through a volume with a pixel for each of its finest voxels."""

    images: VolumeImages
    source: VolumeSource
    request: VolumeRequest
    """Its shape and spacing are not looked at."""
    whole: Plane
    tag: str
    """Changes when the image does."""
    tile: ClassVar[tuple[int, int]] = (PLAIN_TILE, PLAIN_TILE)
    background: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    @classmethod
    def of(cls, images: VolumeImages, source: VolumeSource, request: VolumeRequest, told: str) -> PlaneImage:
        """Lay the plane that a request asks for; `told`: text that differs where the image may."""
        view = images.renderer(source.volume, source.times[0]).view
        up = request.up if abs(float(np.dot(request.look, request.up))) < 0.999 else None
        lay = functools.partial(plane, view, request.look, up=up, centre=request.centre)
        shape = lay().shape
        whole = lay(shape=shape, spacing=lay(shape=shape).spacing[0])  # as a viewport of that size is laid
        tag = hashlib.sha256(f"{source.volume.key} {source.times[0]} {told}".encode()).hexdigest()[:24]
        return cls(images, source, request, whole, tag)

    @property
    def columns(self) -> int:
        """Of the whole plane."""
        return self.whole.shape[1]

    @property
    def rows(self) -> int:
        """Of the whole plane."""
        return self.whole.shape[0]

    def pixels(self, region: Region, size: tuple[int, int], window: Window | None) -> npt.NDArray[np.uint8]:
        """Cut a part of the plane: ``(rows, columns)``, or ``(rows, columns, 3)`` under overlays, uint8.

        Parameters
        ----------
        region : (x, y, columns, rows)
            Inside of the image.
        size : (columns, rows)
            Of the answer, exactly; a smaller one has samples farther apart, as a smaller viewport of `renderedmpr` has.
        window : Window, optional
            Default: that of the request.

        Raises
        ------
        UsageError
            The region is not inside of the image.
        """
        x, y, columns, rows = region
        if min(columns, rows, *size) < 1 or min(x, y) < 0 or x + columns > self.columns or y + rows > self.rows:
            raise UsageError(f"the region is not inside of the image of {self.columns} x {self.rows}")
        down, across = self.whole.spacing[0] * rows / size[1], self.whole.spacing[1] * columns / size[0]
        left = x * self.whole.spacing[1] + (across - self.whole.spacing[1]) / 2
        top = y * self.whole.spacing[0] + (down - self.whole.spacing[0]) / 2
        moved = np.multiply(self.whole.row, left) + np.multiply(self.whole.column, top)
        a, b, c = (np.asarray(self.whole.origin) + moved).tolist()
        part = replace(self.whole, origin=(a, b, c), spacing=(down, across), shape=(size[1], size[0]))
        request = self.request if window is None else replace(self.request, window=window)
        return self.images.cut(self.source, request, part)
