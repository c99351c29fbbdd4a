"""From frames to stacks: which frames make a volume together, in which order, and where its voxels lie.

Frames are sorted by where they lie, never by their numbers. A stack whose slices are evenly spaced is taken as it is,
also under a gantry tilt: its affine is then a shear. Missing slices and uneven spacing are interpolated along the
slices, and `Stack.resampled` says so. What makes no volume is refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import NotAVolume
from hilum.volumes.regular import Spacing, fit_spacing
from hilum.volumes.repeats import split_repeats

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.volumes.geometry import SeriesFrames

__all__ = ["Assembly", "Refusal", "Stack", "assemble"]

LEAST_SLICES: Final = 3
_TOO_FEW: Final = f"fewer than {LEAST_SLICES} slices of one direction, size and kind"
_LEAST_MM, _MOST_MM = 1e-6, 1e6
_MOST_CLUSTERS: Final = 1000
_SPACING_TOLERANCE: Final = 1e-3
_DIRECTION_TOLERANCE: Final = 2e-3
_CT: Final = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
_OWN_VOLUME: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.2", "1.2.840.10008.5.1.4.1.1.66.4"})
_AIR_HU: Final = -1000.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames that make one volume, and its geometry."""

    frames: npt.NDArray[np.intp]
    """``(t, n)``: indices into `SeriesFrames`, along the normal for each time point."""
    slices: npt.NDArray[Any]
    """``(z,)`` of (first, second, weight): two of the n frames that are mixed to a slice; weight 0: the first alone."""
    shape: tuple[int, int, int]
    """Voxels along z, y, x."""
    affine: npt.NDArray[np.float64]
    """4x4: voxel index (i, j, k) = (column, row, slice) to LPS in mm. Its columns need not be orthogonal."""
    dtype: str
    """Of the voxels: the frames' own, or float32 where rescale differs between frames."""
    slope: float
    intercept: float
    """From stored to modality values."""
    rescales: npt.NDArray[np.float64] | None
    """``(t, n, 2)`` slope and intercept of each frame where they differ: voxels are then modality values."""
    fill: float
    """Stored value outside: pixel padding, air of CT, else 0."""
    units: str
    """Rescale Type (0028,1054) or Units (0054,1001): ``"HU"``, ``"BQML"``; empty: not said."""
    frame_of_reference_uid: str
    times: tuple[float, ...]
    """What orders the time points: a time in ms or the number of a position; empty without t axis."""
    time_kind: str
    """``"trigger_time"``, ``"acquisition_time"``, ``"temporal_position"``, ``"repetition"`` or empty."""
    resampled: str = ""
    """How slices were made that no frame shows; empty: every slice is a frame."""
    tilt_degrees: float = 0.0
    """Between the line through the slices' first pixels and the normal: gantry tilt."""
    notes: tuple[str, ...] = ()
    """What else is to be known: duplicates that were left out, values that were rescaled."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Frames that make no volume, and why."""

    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class Assembly:
    """What became of the frames of a series."""

    stacks: tuple[Stack, ...]
    """The largest first."""
    refused: tuple[Refusal, ...]

    def stack(self, index: int = 0) -> Stack:
        """Return a stack.

        Raises
        ------
        NotAVolume
            There are not so many; the message has the reasons.
        """
        if 0 <= index < len(self.stacks):
            return self.stacks[index]
        if self.stacks:
            raise NotAVolume(f"there is no stack {index} (from 0): the series has {len(self.stacks)}")
        reasons = "; ".join(f"{r.frames} frame{'s' * (r.frames != 1)}: {r.reason}" for r in self.refused)
        raise NotAVolume(f"no volume: {reasons or 'there are no images'}")


def assemble(series: SeriesFrames) -> Assembly:
    """Find the stacks of a series.

    Parameters
    ----------
    series : SeriesFrames

    Returns
    -------
    Assembly
        Nothing is raised for frames that make no volume: they are in `refused`.
    """
    refused: list[Refusal] = []
    stacks: list[Stack] = []
    usable = _usable(series, refused)
    for group in _groups(series, usable):
        if len(group) < LEAST_SLICES:
            refused.append(Refusal(len(group), _TOO_FEW))
            continue
        positions = series.positions[group]
        normal = _normal(series.orientations[group[0]])
        for part in split_repeats(series.geometry[group], positions @ normal):
            frames = group[part.order]
            if frames.shape[1] < LEAST_SLICES:
                refused.append(Refusal(frames.size, _TOO_FEW))
                continue
            try:
                spacing = fit_spacing(series.positions[frames[0]], normal)
                stacks.append(
                    replace(_stack(series, frames, spacing, part.notes), times=part.times, time_kind=part.kind)
                )
            except NotAVolume as error:
                refused.append(Refusal(frames.size, str(error)))
    stacks.sort(key=lambda stack: -(stack.frames.size * stack.shape[1] * stack.shape[2]))
    return Assembly(tuple(stacks), _merged(refused))


def _merged(refused: list[Refusal]) -> tuple[Refusal, ...]:
    counts: dict[str, int] = {}
    for item in refused:
        counts[item.reason] = counts.get(item.reason, 0) + item.frames
    return tuple(Refusal(count, reason) for reason, count in counts.items())


def _usable(series: SeriesFrames, refused: list[Refusal]) -> npt.NDArray[np.intp]:
    """Indices of the frames that can belong to a volume."""
    left = np.ones(len(series), bool)

    def refuse(which: npt.NDArray[np.bool_], reason: str) -> None:
        count = int(np.count_nonzero(which & left))
        if count:
            refused.append(Refusal(count, reason))
        left[which] = False

    label = series.geometry["label"].astype(np.intp)
    types = [text.split("\n", 1)[0].upper().split("\\") for text in series.labels]
    colour = np.array([p.samples_per_pixel != 1 for p in series.pixels], bool)
    refuse(colour[series.kinds] if len(series) else left, "colour images")
    refuse(np.array(["LOCALIZER" in t for t in types], bool)[label], "scouts (Image Type LOCALIZER)")
    refuse(np.array(["MOSAIC" in t for t in types], bool)[label], "mosaics of several slices")
    refuse(_impossible(series.positions), "no Image Position (Patient) (0020,0032)")
    refuse(_impossible(series.orientations), "no Image Orientation (Patient) (0020,0037)")
    refuse(_impossible(series.spacings), "no Pixel Spacing (0028,0030)")
    refuse((series.spacings < _LEAST_MM).max(1, initial=False), "Pixel Spacing (0028,0030) that is not above 0")
    refuse(~_perpendicular(series.orientations), "Image Orientation (0020,0037) of no two perpendicular directions")
    return np.flatnonzero(left)


def _impossible(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Rows with something absent, or longer than a kilometre."""
    largest: npt.NDArray[np.float64] = np.abs(np.nan_to_num(values, nan=np.inf)).max(axis=1)
    return largest >= _MOST_MM


def _perpendicular(orientations: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    rows, columns = orientations[:, :3], orientations[:, 3:]
    with np.errstate(invalid="ignore", over="ignore"):
        unit = (abs(np.linalg.norm(rows, axis=1) - 1) < 0.01) & (abs(np.linalg.norm(columns, axis=1) - 1) < 0.01)
        found: npt.NDArray[np.bool_] = unit & (abs((rows * columns).sum(1)) < 0.01)
    return found


def _normal(orientation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unit vector of row x column: the direction in which k grows."""
    normal = np.cross(orientation[:3], orientation[3:])
    found: npt.NDArray[np.float64] = normal / np.linalg.norm(normal)
    return found


def _groups(series: SeriesFrames, usable: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Frames of one size, type, direction, spacing, kind, echo and b-value."""
    if not len(usable):
        return []
    table = series.geometry[usable]
    keys = np.stack(
        [
            series.kinds[usable].astype(np.float64),
            table["label"],
            table["segment_number"],
            table["echo_time"],
            table["b_value"],
            np.where(np.isin(series.objects[usable], _alone(series)), series.objects[usable], -1.0),
            _clusters(series.orientations[usable], _DIRECTION_TOLERANCE),
            _clusters(series.spacings[usable], _SPACING_TOLERANCE),
        ],
        axis=1,
    )
    _, group = np.unique(np.nan_to_num(keys, nan=-1e300), axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    parts = np.split(usable[order], np.flatnonzero(np.diff(group[order])) + 1)
    return sorted(parts, key=lambda part: int(part[0]))


def _alone(series: SeriesFrames) -> list[int]:
    """Objects each of which is a volume of its own: doses and segmentations."""
    return [index for index, record in enumerate(series.records) if record.sop_class_uid in _OWN_VOLUME]


def _clusters(values: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.float64]:
    """Number of the first row seen that each row is equal to within the tolerance."""
    distinct, inverse = np.unique(values, axis=0, return_inverse=True)
    if len(distinct) > _MOST_CLUSTERS:  # no volume has so many; they need not be compared one by one
        return inverse.reshape(-1).astype(np.float64)
    heads: list[npt.NDArray[np.float64]] = []
    number = np.empty(len(distinct))
    for index, row in enumerate(distinct):
        near = [at for at, head in enumerate(heads) if float(np.abs(head - row).max()) <= tolerance]
        if not near:
            heads.append(row)
        number[index] = near[0] if near else len(heads) - 1
    return number[inverse.reshape(-1)]


def _stack(series: SeriesFrames, frames: npt.NDArray[np.intp], spacing: Spacing, notes: tuple[str, ...]) -> Stack:
    first = int(frames[0, 0])
    pixels = series.pixels[series.kinds[first]]
    row_spacing, column_spacing = series.spacings[first]
    orientation = series.orientations[first]
    affine = np.eye(4)
    affine[:3, 0] = orientation[:3] * column_spacing
    affine[:3, 1] = orientation[3:] * row_spacing
    affine[:3, 2] = spacing.step
    affine[:3, 3] = spacing.origin
    table = series.geometry[frames]
    rescale = np.stack([table["slope"], table["intercept"]], axis=-1)
    differs = bool((rescale != rescale[0, 0]).any())
    if differs:
        notes = (*notes, "rescale differs between slices: voxels are rescaled values in float32")
    dtype = np.dtype(np.float32) if differs else series.dtype(first)
    slope, intercept = (1.0, 0.0) if differs else (float(rescale[0, 0, 0]), float(rescale[0, 0, 1]))
    label = series.labels[int(series.geometry["label"][first])].split("\n")
    is_ct = series.records[series.objects[first]].sop_class_uid in _CT
    units = label[2] if label[2] not in ("", "US") else "HU" if is_ct else ""  # US: unspecified
    padding = float("nan") if differs else float(table["padding"][0, 0])
    return Stack(
        frames=frames,
        slices=spacing.slices,
        shape=(len(spacing.slices), pixels.rows, pixels.columns),
        affine=affine,
        dtype=str(dtype),
        slope=slope,
        intercept=intercept,
        rescales=rescale if differs else None,
        fill=_fill(dtype, padding, (_AIR_HU - intercept) / slope if units == "HU" else 0.0),
        units=units,
        frame_of_reference_uid=series.frames_of_reference[series.objects[first]],
        times=(),
        time_kind="",
        resampled=spacing.resampled,
        tilt_degrees=spacing.tilt_degrees,
        notes=notes,
    )


def _fill(dtype: np.dtype[Any], padding: float, otherwise: float) -> float:
    """Pixel padding if the type has it, else the nearest value that it has."""
    if dtype.kind == "f":
        return padding if np.isfinite(padding) else otherwise
    limits = np.iinfo(dtype)
    if np.isfinite(padding) and limits.min <= padding <= limits.max:
        return float(round(padding))
    return float(min(max(round(otherwise), limits.min), limits.max))
