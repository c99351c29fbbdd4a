"""Values of RT Dose (PS3.3 C.8.8.3) and Parametric Map (A.75) objects, with a geometry of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, HilumError, LimitExceeded, NotAVolume
from hilum.pixels.quantity import real_world_maps
from hilum.volumes.masks import Grid
from hilum.volumes.planes import lay_planes

if TYPE_CHECKING:
    import numpy.typing as npt
    import pydicom

    from hilum.volumes.geometry import SeriesFrames
    from hilum.volumes.segments import DecodeFrames

__all__ = ["DOSES", "PARAMETRIC_MAPS", "ValueGrid", "read_dose", "read_parametric_map"]

DOSES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.2"})
"""RT Dose Storage."""
PARAMETRIC_MAPS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.30"})
"""Parametric Map Storage."""
DOSE_KEYWORDS: Final = ("DoseGridScaling", "DoseUnits")
MAX_VOXELS: Final = 1 << 28
_MISSING, _BAD_VALUE = 7, 8


@dataclass(frozen=True, slots=True, eq=False)
class ValueGrid:
    """Values at the places of a grid."""

    values: npt.NDArray[np.float32]
    """``(z, y, x)``; NaN: no value."""
    affine: npt.NDArray[np.float64]
    """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm."""
    frame_of_reference_uid: str
    units: str
    """Dose Units (3004,0002): ``"GY"``, ``"RELATIVE"``; of a parametric map a code, usually of UCUM."""

    @property
    def grid(self) -> Grid:
        """Where its voxels are."""
        z, y, x = self.values.shape
        return Grid((z, y, x), self.affine)


def read_dose(header: pydicom.Dataset, series: SeriesFrames, decode: DecodeFrames) -> ValueGrid:
    """Read a dose: stored values times Dose Grid Scaling (3004,000E), in planes by Grid Frame Offset Vector.

    Parameters
    ----------
    header : pydicom.Dataset
        At least `DOSE_KEYWORDS`.
    series : SeriesFrames
        Of this object alone.
    decode : callable
        Gives the stored values of frames.

    Raises
    ------
    NotAVolume
        It has no planes in the patient, or they are not evenly spaced.
    DataError
        Dose Grid Scaling is absent or no number above 0, or a frame cannot be decoded.
    LimitExceeded
        More than 2^28 voxels.
    """
    try:
        scaling = float(header.get("DoseGridScaling") or 0.0)
        units = str(header.get("DoseUnits") or "").strip().upper()
    except Exception as error:  # pydicom converts values late, with errors of any class
        raise DataError(f"the dose cannot be read ({type(error).__name__})", code=_BAD_VALUE) from None
    if not (np.isfinite(scaling) and scaling > 0):
        raise DataError("Dose Grid Scaling (3004,000E) is absent or not above 0", code=_MISSING)
    stored, affine, slices = _stored(series, decode)
    values = np.empty(stored.shape, np.float32)
    for frame, at in enumerate(slices):
        values[at] = stored[frame] * np.float64(scaling)
    return ValueGrid(values, affine, series.frames_of_reference[0], units)


def read_parametric_map(header: pydicom.Dataset, series: SeriesFrames, decode: DecodeFrames) -> ValueGrid:
    """Read a parametric map: its real world values by the first mapping of each frame, else rescaled values.

    Parameters
    ----------
    header : pydicom.Dataset
        With its functional groups.
    series, decode
        As for `read_dose`.

    Raises
    ------
    NotAVolume
        It has no planes in the patient, several at one place, or they are not evenly spaced.
    DataError
        A mapping that contradicts itself, or a frame that cannot be decoded.
    LimitExceeded
        More than 2^28 voxels.
    """
    stored, affine, slices = _stored(series, decode)
    values = np.empty(stored.shape, np.float32)
    units = ""
    for frame, at in enumerate(slices):
        try:
            maps = real_world_maps(header, frame)
        except HilumError:
            raise
        except Exception as error:  # pydicom converts values late, with errors of any class
            raise DataError(f"a value mapping cannot be read ({type(error).__name__})", code=_BAD_VALUE) from None
        if maps:
            values[at], units = maps[0].apply(stored[frame]), maps[0].unit
        else:
            geometry = series.geometry[frame]
            values[at] = stored[frame] * geometry["slope"] + geometry["intercept"]
    return ValueGrid(values, affine, series.frames_of_reference[0], units)


def _stored(
    series: SeriesFrames, decode: DecodeFrames
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Stored values of all frames, the grid's affine, and the slice of each frame."""
    planes = lay_planes(series)
    if len(np.unique(planes.slices)) != len(series):
        raise NotAVolume("several frames lie at one place")
    if planes.shape[0] != len(series):
        raise NotAVolume("frames between others are missing")
    if int(np.prod(planes.shape)) > MAX_VOXELS:
        raise LimitExceeded(f"a grid of values has at most {MAX_VOXELS} voxels")
    return decode(list(range(len(series)))), planes.affine, planes.slices
