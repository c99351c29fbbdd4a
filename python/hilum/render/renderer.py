"""`Renderer`: images of one time point of a volume."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from hilum import _core
from hilum.errors import UsageError
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.settings import RenderSettings, Rescale, Window
from hilum.render.geometry import Camera, Plane, bounds_of, finest_spacing
from hilum.render.presets import Preset, Shading, TransferFunction, preset
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.render.labels import SegmentDisplay
    from hilum.volumes.view import VolumeView

__all__ = ["Interpolation", "Mode", "Renderer", "Slice"]

Interpolation: TypeAlias = Literal["nearest", "linear", "cubic"]
Mode: TypeAlias = Literal["maximum", "minimum", "mean"]
_EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_KEYWORDS: Final = {"float32": "FloatPixelData", "float64": "DoubleFloatPixelData"}
_MAX_SAMPLES: Final = 1 << 14


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """An image of stored values out of a volume."""

    stored: npt.NDArray[Any]
    """``(rows, columns)``, dtype of the volume."""
    slope: float
    intercept: float
    """``stored * slope + intercept`` are modality values (HU, ...)."""
    plane: Plane | None
    """Where it lies; None for a curved one."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """Modality values: float32 ``(rows, columns)``."""
        return (self.stored * np.float64(self.slope) + self.intercept).astype(np.float32)

    def window(self, center: float, width: float, function: Any = "LINEAR") -> npt.NDArray[np.uint8]:
        """Grey values through a VOI window (PS3.3 C.11.2), by the pipeline of 2D images.

        Parameters
        ----------
        center, width : float
            In modality values.
        function : {"LINEAR", "LINEAR_EXACT", "SIGMOID"}

        Returns
        -------
        ndarray
            uint8 ``(rows, columns)``.

        Raises
        ------
        UsageError
            A window that cannot be.
        """
        stored = np.ascontiguousarray(self.stored)
        rows, columns = self.stored.shape
        bits, keyword = stored.dtype.itemsize * 8, _KEYWORDS.get(stored.dtype.name, "PixelData")
        signed = int(stored.dtype.kind == "i")
        pixels = PixelDescription(rows, columns, 1, 0, bits, bits, bits - 1, signed, "MONOCHROME2", 1, keyword)
        settings = RenderSettings(
            window=Window(center, width, function), modality=Rescale(self.slope, self.intercept), square_pixels=False
        )
        return render_pixels(stored.data, _EXPLICIT_LITTLE_ENDIAN, pixels, _core.RenderingAttributes(), settings)


class Renderer:
    """Makes images of one time point of a volume; thread-safe.

    Parameters
    ----------
    view : VolumeView
        `Volume.view()`, or `hilum.volumes.view.from_array`.
    threads : int
        0: all processors.
    simd, skip : bool
        False: without vector instructions, without leaving out what cannot be seen. The images are the same.
    """

    def __init__(self, view: VolumeView, *, threads: int = 0, simd: bool = True, skip: bool = True) -> None:
        self.view = view
        self._shape, dtype, self._fill, self._slope, self._intercept, _ = view.layout
        self._dtype = np.dtype(dtype)
        self._options: dict[str, Any] = {"threads": threads, "simd": simd, "skip": skip}
        self._lock = threading.Lock()
        self._cells: _core.RenderCells | None = None

    @property
    def cells(self) -> _core.RenderCells:
        """Bounds of small cells of the volume: made once, by reading all of it."""
        with self._lock:
            if self._cells is None:
                self._cells = _core.RenderCells(self.view, threads=self._options["threads"])
            return self._cells

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest modality value."""
        ranges = np.frombuffer(self.view.ranges(), np.float32).reshape(-1, 2)
        finite = ranges[np.isfinite(ranges).all(axis=1)]
        if not finite.size:
            return 0.0, 1.0
        ends = sorted(float(end) * self._slope + self._intercept for end in (finite[:, 0].min(), finite[:, 1].max()))
        return ends[0], ends[1]

    def _outside(self, outside: float | None) -> float:
        """Give the stored value of a modality value, default the volume's fill value."""
        if outside is None:
            return self._fill
        stored = (outside - self._intercept) / self._slope
        if not np.isfinite(stored):
            raise UsageError("the value outside must be finite")
        return stored

    def _samples(self, thickness: float, step: float | None) -> tuple[int, float]:
        """How many samples a slab has, and their distance in mm."""
        if not (np.isfinite(thickness) and thickness >= 0):
            raise UsageError("the thickness of a slab must not be negative")
        fine = finest_spacing(self.view) if step is None else step
        if not (np.isfinite(fine) and fine > 0):
            raise UsageError("the step through a slab must be above 0")
        steps = thickness / fine
        if steps >= _MAX_SAMPLES:
            raise UsageError(f"a slab has at most {_MAX_SAMPLES} samples")
        count = max(1, round(steps) + 1)
        return count, thickness / (count - 1) if count > 1 else fine

    def _reslice(
        self, rows: npt.NDArray[np.float64], columns: int, interpolation: str, samples: int, mode: str, outside: float
    ) -> npt.NDArray[Any]:
        out = np.empty((len(rows), columns), self._dtype)
        cells = self._cells if samples > 1 else None
        _core.reslice(
            self.view, cells, rows, columns, interpolation=interpolation, samples=samples, blend=mode, outside=outside,
            out=out, **self._options,
        )  # fmt: skip
        return out

    def mpr(
        self,
        plane: Plane,
        *,
        interpolation: Interpolation = "linear",
        thickness: float = 0.0,
        mode: Mode = "mean",
        step: float | None = None,
        outside: float | None = None,
    ) -> Slice:
        """Cut the volume with a plane.

        Parameters
        ----------
        plane : Plane
        interpolation : {"nearest", "linear", "cubic"}
            Cubic is Catmull-Rom.
        thickness : float
            Of a slab around the plane: mm; 0: thin.
        mode : {"maximum", "minimum", "mean"}
            What becomes of the samples along the thickness; those outside of the volume do not count.
        step : float, optional
            Distance of the samples along the thickness: mm; default: that of the finest voxels.
        outside : float, optional
            Modality value where the volume is not; default: its fill value.

        Returns
        -------
        Slice

        Raises
        ------
        UsageError
            Numbers that cannot be.
        LimitExceeded
            Too many pixels or samples.
        """
        samples, distance = self._samples(thickness, step)
        rows = np.empty((plane.shape[0], 9))
        rows[:, :3] = np.asarray(plane.origin) + np.outer(np.arange(plane.shape[0]) * plane.spacing[0], plane.column)
        rows[:, 3:6] = np.multiply(plane.row, plane.spacing[1])
        rows[:, 6:] = np.multiply(plane.normal, distance)
        stored = self._reslice(rows, plane.shape[1], interpolation, samples, mode, self._outside(outside))
        return Slice(stored, self._slope, self._intercept, plane)

    def curved(
        self,
        points: npt.ArrayLike,
        across: npt.ArrayLike,
        *,
        width: float,
        spacing: float | None = None,
        interpolation: Interpolation = "linear",
        thickness: float = 0.0,
        mode: Mode = "mean",
        outside: float | None = None,
    ) -> Slice:
        """Straighten the volume along a centre line: curved MPR. Rows follow the line.

        Parameters
        ----------
        points : array-like
            ``(n, 3)`` of the centre line, at least two: LPS, mm.
        across : array-like
            ``(3,)``: direction of the rows. It is made perpendicular to the line at every row.
        width : float
            Length of a row: mm.
        spacing : float, optional
            Distance of rows along the line and of columns: mm; default: that of the finest voxels.
        interpolation, thickness, mode, outside
            As for `mpr`.

        Raises
        ------
        UsageError
            Fewer than two different points, a line along `across`, numbers that cannot be.
        LimitExceeded
            Too many pixels or samples.
        """
        fine = finest_spacing(self.view) if spacing is None else spacing
        if not (np.isfinite(fine) and fine > 0 and np.isfinite(width) and width > 0):
            raise UsageError("width and spacing of a curved image must be above 0")
        samples, distance = self._samples(thickness, None)
        columns = max(1, round(width / fine))
        rows = curved_rows(points, across, columns, fine, distance)
        stored = self._reslice(rows, columns, interpolation, samples, mode, self._outside(outside))
        return Slice(stored, self._slope, self._intercept, None)

    def project(
        self,
        camera: Camera,
        *,
        mode: Mode = "maximum",
        outside: float | None = None,
        clip: Sequence[Sequence[float]] = (),
    ) -> Slice:
        """Project the volume along rays: maximum, minimum or mean intensity.

        Parameters
        ----------
        camera : Camera
        mode : {"maximum", "minimum", "mean"}
        outside : float, optional
            Modality value of rays that meet nothing; default: the volume's fill value.
        clip : sequence of (nx, ny, nz, offset)
            Planes: points with n . p >= offset (LPS, mm) are shown. See `crop_box`.

        Returns
        -------
        Slice

        Raises
        ------
        UsageError
            Numbers that cannot be.
        LimitExceeded
            Too many pixels or samples.
        """
        out = np.empty(camera.plane.shape, self._dtype)
        _core.project(
            self.view, self.cells, camera.fields(), camera.plane.shape, blend=mode, outside=self._outside(outside),
            clip=clip_planes(clip), out=out, **self._options,
        )  # fmt: skip
        return Slice(out, self._slope, self._intercept, camera.plane)

    def render(
        self,
        camera: Camera,
        how: str | Preset | TransferFunction = "ct-bone",
        *,
        shading: Shading | None = None,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        clip: Sequence[Sequence[float]] = (),
        quality: Literal["final", "interactive"] = "final",
        segments: Sequence[SegmentDisplay] = (),
    ) -> npt.NDArray[np.uint8]:
        """Volume rendering.

        Parameters
        ----------
        camera : Camera
        how : str, Preset or TransferFunction
            A name of `PRESETS`, or one's own.
        shading : Shading, optional
            Of a transfer function, or instead of the preset's.
        background : tuple of float
            Red, green, blue from 0 to 1.
        clip : sequence of (nx, ny, nz, offset)
            As for `project`.
        quality : {"final", "interactive"}
            Interactive: a quarter of the pixels at twice the step, enlarged.
        segments : sequence of SegmentDisplay
            Masks that are coloured, shown alone or hidden; what has an opacity of its own is shaded by its mask.

        Returns
        -------
        ndarray
            uint8 ``(rows, columns, 3)``, RGB.

        Raises
        ------
        UsageError
            An unknown preset, a transfer function that is none, numbers that cannot be.
        LimitExceeded
            Too many pixels or samples.
        """
        if quality not in ("final", "interactive"):
            raise UsageError("quality is final or interactive")
        transfer, light = self.transfer(how, shading)
        seen = camera if quality == "final" else coarse(camera)
        out = np.empty((*seen.plane.shape, 3), np.uint8)
        _core.raycast(
            self.view, self.cells, seen.fields(), seen.plane.shape,
            colours=np.array(transfer.colours, np.float64), opacities=np.array(transfer.opacities, np.float64),
            unit=transfer.unit, background=background, clip=clip_planes(clip), out=out,
            labels=[one.fields() for one in segments],
            shading=None if light is None else (light.ambient, light.diffuse, light.specular, light.power),
            **self._options,
        )  # fmt: skip
        return out if seen is camera else enlarged(out, camera.plane.shape)

    def transfer(
        self, how: str | Preset | TransferFunction, shading: Shading | None = None
    ) -> tuple[TransferFunction, Shading | None]:
        """Give the transfer function and shading of this volume that `render` would take; errors: an unknown preset."""
        if isinstance(how, TransferFunction):
            return how, shading
        chosen = preset(how) if isinstance(how, str) else how
        transfer = chosen.transfer.scaled(*self.value_range) if chosen.relative else chosen.transfer
        return transfer, shading or chosen.shading

    def crop_box(self, low: Sequence[float], high: Sequence[float]) -> list[tuple[float, float, float, float]]:
        """Clipping planes of a box in fractions of the volume: (i, j, k) from 0 to 1 along columns, rows, slices."""
        affine = np.asarray(self.view.layout[5]).reshape(4, 4)
        inverse = np.linalg.inv(affine)
        planes = []
        for axis, size in enumerate(reversed(self._shape)):
            normal, moved = inverse[axis, :3], float(inverse[axis, 3])
            planes.append((*normal.tolist(), low[axis] * size - 0.5 - moved))
            planes.append((*(-normal).tolist(), -(high[axis] * size - 0.5 - moved)))
        return planes

    def extent(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Least and greatest x, y, z of the volume: LPS, mm."""
        corners = bounds_of(self.view)
        return corners.min(axis=0), corners.max(axis=0)


def clip_planes(clip: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    """Give clipping planes as the engine takes them: ``(n, 4)``."""
    array = np.asarray(clip, np.float64) if len(clip) else np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise UsageError("a clipping plane is four numbers: its normal and its offset")
    return np.ascontiguousarray(array)


def coarse(camera: Camera) -> Camera:
    """Make a camera with at most a quarter of the pixels, that sees the same."""
    fine = camera.plane
    rows, columns = (max(1, n // 2) for n in fine.shape)
    spacing = (fine.spacing[0] * fine.shape[0] / rows, fine.spacing[1] * fine.shape[1] / columns)
    moved = np.multiply(fine.row, (spacing[1] - fine.spacing[1]) / 2)
    moved = moved + np.multiply(fine.column, (spacing[0] - fine.spacing[0]) / 2)
    x, y, z = (np.asarray(fine.origin) + moved).tolist()
    plane = replace(fine, origin=(x, y, z), spacing=spacing, shape=(rows, columns))
    return Camera(plane, camera.eye, camera.step * 2)


def enlarged(image: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Interpolate linearly to another size, edges on edges."""
    found = image.astype(np.float32)
    for axis, size in enumerate(shape):
        have = image.shape[axis]
        place = np.clip((np.arange(size, dtype=np.float32) + 0.5) * have / size - 0.5, 0, have - 1)
        low = place.astype(np.intp)
        weight = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        above = np.minimum(low + 1, have - 1)
        found = np.take(found, low, axis) * (1 - weight) + np.take(found, above, axis) * weight
    return (found + 0.5).astype(np.uint8)


def curved_rows(
    points: npt.ArrayLike, across: npt.ArrayLike, columns: int, spacing: float, depth: float
) -> npt.NDArray[np.float64]:
    """Rows of a straightened image: evenly along the line, each perpendicular to it; errors as `Renderer.curved`."""
    line = np.asarray(points, np.float64)
    side = np.asarray(across, np.float64)
    if line.ndim != 2 or line.shape[1] != 3 or side.shape != (3,) or not np.isfinite(line).all():
        raise UsageError("a centre line is at least two points of three finite numbers")
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    line = line[np.concatenate(([True], steps > 0))]
    lengths = np.concatenate(([0.0], np.cumsum(steps[steps > 0])))
    if len(line) < 2:
        raise UsageError("a centre line is at least two different points")
    count = int(lengths[-1] / spacing) + 1
    if count * columns > 256 << 20:
        raise UsageError("the centre line is too long for this spacing")
    at = np.arange(count) * spacing
    centres = np.stack([np.interp(at, lengths, line[:, axis]) for axis in range(3)], 1)
    tangents = (
        np.gradient(np.stack([np.interp(at, lengths, line[:, axis]) for axis in range(3)], 1), axis=0)
        if (count > 1)
        else (line[1:2] - line[:1])
    )
    tangents = tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
    right = side - tangents * (tangents @ side)[:, None]
    norms = np.linalg.norm(right, axis=1, keepdims=True)
    if not (norms > 1e-6).all():
        raise UsageError("the centre line runs along the direction of the rows")
    right = right / norms
    rows = np.empty((count, 9))
    rows[:, :3] = centres - right * spacing * (columns - 1) / 2
    rows[:, 3:6] = right * spacing
    rows[:, 6:] = np.cross(right, tangents) * depth
    return rows
