"""`Volume`: a series as a regular grid of voxels, read out of frames or bricks, whichever is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hilum.errors import UsageError
from hilum.volumes.build import level_shapes
from hilum.volumes.frames import read_from_frames
from hilum.volumes.indexing import box_of
from hilum.volumes.masks import Grid
from hilum.volumes.measure import QUANTITIES, Curve, Scale, profile, statistics
from hilum.volumes.mesh import Surface, make_mesh, make_segment_mesh
from hilum.volumes.regions import check_frame
from hilum.volumes.view import from_array, read_region

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import zarr

    from hilum._core import VolumeView
    from hilum.volumes.assemble import Stack
    from hilum.volumes.geometry import SeriesFrames
    from hilum.volumes.masks import Mask
    from hilum.volumes.measure import Profile, Quantity, Statistics
    from hilum.volumes.mesh import Mesh
    from hilum.volumes.regions import Region, Vector
    from hilum.volumes.store import VolumeStore

__all__ = ["Volume"]


class Volume:
    """A stack of frames as voxels; immutable and thread-safe. Made by `Series.volume`.

    Voxels are stored values; `slope`, `intercept` and `units` say what they mean. A voxel has the index (i, j, k) =
    (column, row, slice), arrays are ``[k, j, i]``, with a leading t axis for several time points. `affine` maps
    (i, j, k, 1) to patient coordinates in LPS and mm.

    Bricks (`view`, `zarr`) are made when they are first asked for, and kept on disk; everything else reads them if they
    are there and decodes just the frames that it needs if not.
    """

    def __init__(self, store: VolumeStore, series: SeriesFrames, stack: Stack, key: str) -> None:
        self._store = store
        self._series = series
        self._stack = stack
        self.key = key

    @property
    def frames(self) -> SeriesFrames:
        """Frames of all instances that it was sought in; `stack` counts them."""
        return self._series

    @property
    def stack(self) -> Stack:
        """Which frames it is made of, and how."""
        return self._stack

    @property
    def shape(self) -> tuple[int, ...]:
        """``(z, y, x)``, or ``(t, z, y, x)`` with several time points."""
        lead = (len(self._stack.times),) if self._stack.times else ()
        return (*lead, *self._stack.shape)

    @property
    def ndim(self) -> int:
        """3 or 4."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values."""
        return np.dtype(self._stack.dtype)

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm; a shear under a gantry tilt."""
        return self._stack.affine.copy()

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of voxels along z, y, x in mm."""
        z, y, x = np.linalg.norm(self._stack.affine[:3, :3], axis=0)[::-1].tolist()
        return z, y, x

    @property
    def slope(self) -> float:
        """Rescale Slope (0028,1053)."""
        return self._stack.slope

    @property
    def intercept(self) -> float:
        """Rescale Intercept (0028,1052)."""
        return self._stack.intercept

    @property
    def units(self) -> str:
        """Of ``stored * slope + intercept``: ``"HU"``, ``"BQML"``; empty if not said."""
        return self._stack.units

    @property
    def times(self) -> tuple[float, ...]:
        """What orders the time points (see `stack.time_kind`); empty without t axis."""
        return self._stack.times

    @property
    def resampled(self) -> str:
        """How slices were made that no frame shows; empty: every slice is a frame."""
        return self._stack.resampled

    @property
    def tilt_degrees(self) -> float:
        """Gantry tilt: the affine is then a shear."""
        return self._stack.tilt_degrees

    @property
    def notes(self) -> tuple[str, ...]:
        """What else is to be known about how it was made."""
        return self._stack.notes

    @property
    def levels(self) -> list[tuple[int, int, int]]:
        """Voxels (z, y, x) of each level of the pyramid; each is half as large as the one before."""
        return level_shapes(self._stack.shape)

    # Bricks

    @property
    def is_built(self) -> bool:
        """Whether its bricks are on disk."""
        return self._store.find(self.key) is not None

    @property
    def path(self) -> Path:
        """Folder of its bricks, an OME-Zarr 0.5 image; made if it is not there. It may be evicted at any time.

        Raises
        ------
        DataError
            A frame cannot be decoded.
        LimitExceeded
            It is larger than all volumes may be together (``volumes.disk_bytes``).
        Unavailable
            The disk is full or cannot be written.
        """
        return self._store.ensure(self._series, self._stack, self.key)

    def view(self, level: int = 0, time: int = 0) -> VolumeView:
        """Map the bricks of a level of a time point; made if they are not there.

        The view stays valid when the volume is evicted meanwhile. Errors are those of `path`.
        """
        if not 0 <= level < len(self.levels) or not 0 <= time < len(self._stack.frames):
            raise UsageError(f"there is no level {level} at time point {time}")
        return self._store.view(self._series, self._stack, self.key, level, time)

    def zarr(self, level: int = 0) -> zarr.Array[Any]:
        """Open a level with zarr-python, for reading."""
        import zarr

        if not 0 <= level < len(self.levels):
            raise UsageError(f"there is no level {level}")
        return zarr.open_array(str(self.path / str(level)), mode="r", zarr_format=3)

    # Voxels

    def read(
        self,
        first: tuple[int, int, int],
        size: tuple[int, int, int],
        *,
        time: int = 0,
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]:
        """Read a box of stored values: out of the bricks if they are there, else of the frames that it touches.

        Parameters
        ----------
        first, size : tuple of int
            First voxel and extent: z, y, x.
        time : int
            Time point, from 0.
        out : ndarray, optional
            C-contiguous, of shape `size` and the volume's dtype; filled and returned.

        Raises
        ------
        UsageError
            The box or the time point is not inside of the volume, or `out` does not fit.
        DataError
            A frame cannot be decoded.
        """
        if any(not 0 <= f < f + s <= n for f, s, n in zip(first, size, self._stack.shape, strict=True)):
            raise UsageError("the box is not inside of the volume")
        if not 0 <= time < len(self._stack.frames):
            raise UsageError(f"there is no time point {time}")
        view = self._store.view_if_built(self._stack, self.key, 0, time)
        if view is not None:
            return read_region(view, first, size, out)
        return read_from_frames(self._series, self._stack, self._store.decode, first, size, time, out)

    def to_numpy(self) -> npt.NDArray[Any]:
        """All stored values: a new array of `shape` and `dtype`."""
        out = np.empty((len(self._stack.frames), *self._stack.shape), self.dtype)
        for time in range(len(out)):
            self.read((0, 0, 0), self._stack.shape, time=time, out=out[time])
        return out if self._stack.times else out[0]

    def values(self, stored: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float32]:
        """Rescaled values in `units` (HU of CT, Bq/ml of PET): float32.

        Parameters
        ----------
        stored : ndarray, optional
            Stored values, as from `read`; default: all of them.
        """
        array = self.to_numpy() if stored is None else stored
        scaled: npt.NDArray[np.float32] = array.astype(np.float32)
        if self.slope != 1.0:
            scaled *= np.float32(self.slope)
        if self.intercept != 0.0:
            scaled += np.float32(self.intercept)
        return scaled

    def suv(self, kind: str = "bw", stored: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float32]:
        """Standardised uptake values of PET: float32, g/ml (``"bw"``, ``"lbm"``) or cm2/ml (``"bsa"``).

        Parameters
        ----------
        kind : {"bw", "lbm", "bsa"}
            By body weight, lean body mass, body surface area.
        stored : ndarray, optional
            As for `values`.

        Raises
        ------
        DataError
            No PET, or its header lacks what SUV needs; the message names the attribute.
        """
        return self.values(stored) * np.float32(self._store.suv_factor(self._series, self._stack, kind))

    # Numbers and surfaces

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID (0020,0052); empty if not said."""
        return self._stack.frame_of_reference_uid

    def scale(self, quantity: Quantity = "modality") -> Scale:
        """Say what makes a quantity of stored values. Errors: those of `suv`; UsageError for another quantity."""
        if quantity not in QUANTITIES:
            raise UsageError(f"a quantity is one of {', '.join(QUANTITIES)}")
        if quantity == "stored":
            return Scale(1.0, 0.0, "")
        if quantity == "modality":
            return Scale(self.slope, self.intercept, self.units)
        kind = quantity.removeprefix("suv")
        factor = self._store.suv_factor(self._series, self._stack, kind)
        return Scale(self.slope * factor, self.intercept * factor, "cm2/ml" if kind == "bsa" else "g/ml")

    def measure(
        self,
        region: Region | None = None,
        *,
        quantity: Quantity = "modality",
        time: int = 0,
        bins: int = 0,
        limits: tuple[float, float] | None = None,
    ) -> Statistics:
        """Measure the voxels whose centres lie inside of a region: count, volume, least, greatest, mean, deviation.

        Parameters
        ----------
        region : Box, Sphere, Ellipsoid, Polygon, Mask or ndarray, optional
            In mm and LPS; an array is a mask on the voxels of the volume; none: all voxels.
        quantity : {"modality", "stored", "suvbw", "suvlbm", "suvbsa"}
            HU or Bq/ml, stored values, SUV.
        time : int
            Time point, from 0.
        bins : int
            Of a histogram; 0: none.
        limits : tuple of float, optional
            Of the histogram; default: least and greatest value.

        Raises
        ------
        Conflict
            A mask of another frame of reference.
        UsageError, LimitExceeded
            Numbers that cannot be, more than 65 536 bins, a mask of another shape.
        DataError
            SUV of what is not PET.
        Unavailable
            Bricks cannot be made; see `path`.
        """
        check_frame(region, self.frame_of_reference_uid)
        return statistics(self._bricks(0, time), region, self.scale(quantity), bins, limits)

    def profile(
        self,
        start: Vector,
        end: Vector,
        *,
        spacing: float | None = None,
        linear: bool = True,
        quantity: Quantity = "modality",
        time: int = 0,
    ) -> Profile:
        """Sample the values along a line, both ends included.

        Parameters
        ----------
        start, end : tuple of float
            LPS, mm.
        spacing : float, optional
            Greatest distance of two samples: mm; default: the least one of voxels.
        linear : bool
            Between eight voxels; else the nearest one.
        quantity, time
            As for `measure`; so are the errors.
        """
        return profile(self._bricks(0, time), start, end, self.scale(quantity), spacing, linear=linear)

    def curve(self, region: Region | None = None, *, quantity: Quantity = "modality") -> Curve:
        """Measure a region at each time point, as `measure` does; of a volume without time axis, one point."""
        check_frame(region, self.frame_of_reference_uid)
        scale = self.scale(quantity)
        points = tuple(statistics(self._bricks(0, t), region, scale) for t in range(len(self._stack.frames)))
        return Curve(self.times, self._stack.time_kind if self.times else "", points)

    def mesh(
        self,
        threshold: float | None = None,
        *,
        segment: Mask | npt.NDArray[Any] | None = None,
        region: Region | None = None,
        below: bool = False,
        quantity: Quantity = "modality",
        level: int = 0,
        time: int = 0,
        closed: bool = True,
        largest: int = 0,
        smooth: int | None = None,
        faces: int = 0,
        error: float = 0.0,
        vertices: int = 1 << 24,
    ) -> Mesh:
        """Make a surface, in the patient (mm, LPS): of values of at least a threshold, or of a segment.

        Parameters
        ----------
        threshold : float
            Of the quantity; the surface lies between voxels by linear interpolation.
        segment : Mask or ndarray
            Instead of a threshold; an array is a mask on the voxels of the volume.
        region : Region, optional
            What lies outside of it is cut off.
        below : bool
            Of values of at most the threshold.
        quantity, time
            As for `measure`.
        level : int
            Of the pyramid: each has half the voxels of the one before along each axis.
        closed, largest, faces, error, vertices
            See `hilum.volumes.mesh.Surface`.
        smooth : int, optional
            Passes of smoothing; default: 10 of segments, else none.

        Raises
        ------
        UsageError
            Not just one of threshold and segment, or numbers that cannot be.
        LimitExceeded
            It has more vertices than `vertices` before decimation.
        Conflict
            A mask of another frame of reference.
        """
        check_frame(region, self.frame_of_reference_uid)
        check_frame(segment, self.frame_of_reference_uid)
        if (threshold is None) == (segment is None):
            raise UsageError("a mesh is of a threshold or of a segment")
        if smooth is None:
            smooth = 10 if threshold is None else 0
        surface = Surface(closed=closed, largest=largest, smooth=smooth, faces=faces, error=error, vertices=vertices)
        if threshold is not None:
            scale = self.scale(quantity)
            if not scale.slope:
                raise UsageError("all values of the volume are the same: its slope is 0")
            stored = (threshold - scale.intercept) / scale.slope
            turned = below != (scale.slope < 0)
            return make_mesh(self._bricks(level, time), stored, surface, below=turned, region=region)
        assert segment is not None
        return make_segment_mesh(segment, self.grid, surface, region)

    @property
    def grid(self) -> Grid:
        """Its voxels: what `Mask.on` puts a mask on."""
        return Grid(self._stack.shape, self.affine)

    def _bricks(self, level: int, time: int) -> VolumeView:
        """Bricks on disk; in memory where an archive that is open for reading only has none. Errors: see `path`."""
        if level or self.is_built or not self._store.read_only:
            return self.view(level, time)
        voxels, stack = self.read((0, 0, 0), self._stack.shape, time=time), self._stack
        return from_array(voxels, affine=stack.affine, slope=stack.slope, intercept=stack.intercept, fill=stack.fill)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Stored values by integers and slices of step 1, as of an array ``(t, )z, y, x``; only these are read."""
        index, kept = box_of(key, self.shape)
        times = index[0] if self._stack.times else (0, 1)
        (z, nz), (y, ny), (x, nx) = index[-3:]
        out = np.empty((times[1], nz, ny, nx), self.dtype)
        for at in range(times[1] if out.size else 0):
            self.read((z, y, x), (nz, ny, nx), time=times[0] + at, out=out[at])
        whole = out if self._stack.times else out[0]
        picked: npt.NDArray[Any] = whole[tuple(slice(None) if keep else 0 for keep in kept)]
        return picked

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Stored values for NumPy; bricks are not contiguous, so this is always a copy."""
        if copy is False:
            raise ValueError("voxels are stored as bricks: an array of them is a copy")
        return self.to_numpy().astype(dtype or self.dtype, copy=False)

    def __dlpack__(self, **options: Any) -> Any:
        """Stored values for DLPack consumers: a copy that they own."""
        return self.to_numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Main memory."""
        return (1, 0)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.shape))
        return f"<hilum.Volume {size} {self.dtype}{', resampled' if self.resampled else ''}>"
