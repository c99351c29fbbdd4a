"""Segmentation objects (PS3.3 A.51, C.8.20): binary, fractional and label map, as masks."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import DataError, HilumError, NotAVolume, NotFound, UsageError
from hilum.pixels.cielab import rgb_of_cielab
from hilum.volumes.masks import Mask, Segment, check_voxels, colour_of, segment_of
from hilum.volumes.planes import lay_planes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt
    import pydicom

    from hilum.pixels.settings import Rgb
    from hilum.volumes.geometry import SeriesFrames

    DecodeFrames = Callable[[Sequence[int]], npt.NDArray[Any]]
    """Stored values ``(n, rows, columns)`` of frames of one object, by their numbers from 0."""

__all__ = [
    "HEADER_KEYWORDS",
    "SEGMENTATIONS",
    "Segmentation",
    "SegmentationHead",
    "code_of",
    "referenced_instances",
]

SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Segmentation Storage, Label Map Segmentation Storage."""
HEADER_KEYWORDS: Final = (
    "SegmentationType",
    "SegmentationFractionalType",
    "MaximumFractionalValue",
    "SegmentSequence",
    "DimensionOrganizationType",
    "PixelPaddingValue",
    "ReferencedSeriesSequence",
)
"""What `Segmentation` needs of the header; where frames lie is in `SeriesFrames`."""
_BACKGROUND: Final = ("125040", "DCM")
_MISSING, _BAD_VALUE = 7, 8
_AT_ONCE: Final = 64
_KEPT_VOXELS: Final = 1 << 28
"""Of a label map whose frames are kept while its segments are made."""
_TIME_KEYS: Final = ("temporal_position", "trigger_time", "acquisition_number")


@dataclass(frozen=True, slots=True)
class SegmentationHead:
    """What the header of a segmentation says of all of its frames."""

    kind: str
    """Segmentation Type (0062,0001): ``"BINARY"``, ``"FRACTIONAL"`` or ``"LABELMAP"``."""
    fraction: str
    """Segmentation Fractional Type (0062,0010)."""
    maximum: int
    """Maximum Fractional Value (0062,000E)."""
    segments: tuple[Segment, ...]
    """All of them, in the order of the object."""

    @classmethod
    def of(cls, header: pydicom.Dataset) -> SegmentationHead:
        """Read and check the header of a segmentation; DataError names the attribute that is missing or wrong."""
        try:
            kind = str(header.get("SegmentationType", "")).upper()
            fraction = str(header.get("SegmentationFractionalType", "")).upper()
            maximum = int(header.get("MaximumFractionalValue") or 1)
            outside = {0, header.get("PixelPaddingValue")} if kind == "LABELMAP" else set()
            segments = tuple(_segment(item, outside) for item in header.get("SegmentSequence") or ())
        except HilumError:
            raise
        except Exception as error:  # pydicom converts values late, with errors of any class
            raise DataError(f"the segmentation cannot be read ({type(error).__name__})", code=_BAD_VALUE) from None
        if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            raise DataError("Segmentation Type (0062,0001) is not BINARY, FRACTIONAL or LABELMAP", code=_BAD_VALUE)
        if kind == "FRACTIONAL" and fraction not in ("PROBABILITY", "OCCUPANCY"):
            raise DataError("Segmentation Fractional Type (0062,0010) is not PROBABILITY or OCCUPANCY", code=_BAD_VALUE)
        if not 1 <= maximum <= 255:
            raise DataError("Maximum Fractional Value (0062,000E) is not from 1 to 255", code=_BAD_VALUE)
        if not segments:
            raise DataError("a segmentation without Segment Sequence (0062,0002)", code=_MISSING)
        if len({segment.number for segment in segments}) != len(segments):
            raise DataError("two segments of one Segment Number (0062,0004)", code=_BAD_VALUE)
        return cls(kind, fraction, maximum, segments)


class Segmentation:
    """The segments of an object; masks are decoded when they are asked for.

    Parameters
    ----------
    header : pydicom.Dataset
        At least `HEADER_KEYWORDS`.
    series : SeriesFrames
        Of this object alone.
    decode : callable
        Gives the stored values of frames.

    Raises
    ------
    NotAVolume
        Its frames lie on no grid in the patient: segmentations of slides, and those without geometry.
    DataError
        It has no segments, or contradicts itself; the message names the attribute.
    """

    def __init__(self, header: pydicom.Dataset, series: SeriesFrames, decode: DecodeFrames) -> None:
        if str(header.get("DimensionOrganizationType", "")).startswith("TILED"):
            raise NotAVolume("a segmentation of tiles of a slide is no volume")
        head = SegmentationHead.of(header)
        self.kind, self.segments, self.references = head.kind, head.segments, referenced_instances(header)
        self._fraction, self._maximum = head.fraction, head.maximum
        self._planes = lay_planes(series)
        self._decode = decode
        self._numbers = series.geometry["segment_number"]
        self.times, self.time_kind, self._times = _time_points(series.geometry, self._planes.slices, self.kind)
        self.frame_of_reference_uid = series.frames_of_reference[0]
        if self.kind != "LABELMAP" and not np.isfinite(self._numbers).all():
            raise DataError("a frame without Referenced Segment Number (0062,000B)", code=_MISSING)

    kind: str
    """Segmentation Type (0062,0001): ``"BINARY"``, ``"FRACTIONAL"`` or ``"LABELMAP"``."""
    segments: tuple[Segment, ...]
    """All of them, in the order of the object."""
    times: tuple[float, ...]
    """Of segments that vary with time: what orders its time points; else empty."""
    time_kind: str
    """``"temporal_position"`` (Temporal Position Index (0020,9128)), ``"trigger_time"``, ``"acquisition_number"``."""
    references: tuple[str, ...]
    """SOP Instance UIDs of the images that were segmented, those that Referenced Series Sequence (0008,1115) names."""
    frame_of_reference_uid: str
    """Frame of Reference UID (0020,0052)."""

    @property
    def nbytes(self) -> int:
        """Of what is kept for each frame."""
        return int(self._numbers.nbytes + self._planes.slices.nbytes + self._times.nbytes)

    def segment(self, number: int) -> Segment:
        """Return a segment by its number.

        Raises
        ------
        NotFound
            There is none.
        """
        return segment_of(self.segments, number)

    def mask(self, number: int, time: int | None = None) -> Mask:
        """Decode the mask of a segment: the slices between its first and last one.

        Parameters
        ----------
        number : int
            Segment Number (0062,0004).
        time : int, optional
            Time point, from 0, of segments that vary with time: one of `times`. Others are the same at all times.

        Raises
        ------
        NotFound
            There is no such segment or time point.
        UsageError
            The segments vary with time, and no time point is named.
        NotAVolume
            Several frames of the segment lie at one place, and nothing says which one is when.
        DataError
            A frame cannot be decoded.
        LimitExceeded
            The mask is too large.
        """
        return next(self.each((number,), time))

    def each(self, numbers: Sequence[int], time: int | None = None) -> Iterator[Mask]:
        """Decode the masks of segments one after the other; the frames of a label map once for all of them.

        Parameters and errors: those of `mask`.
        """
        parts: Iterable[npt.NDArray[Any]] = ()
        for number in numbers:
            segment = self.segment(number)
            frames, low, shape = self._placed(number, time)
            slices = self._planes.slices[frames] - low
            steps = range(0, len(frames), _AT_ONCE)
            if not isinstance(parts, list):
                parts = (self._decode(frames[at : at + _AT_ONCE].tolist()) for at in steps)
                if self.kind == "LABELMAP" and len(numbers) > 1 and prod(shape) <= _KEPT_VOXELS:
                    parts = list(parts)
            voxels = np.zeros(shape, np.uint8)
            for at, stored in zip(steps, parts, strict=True):
                voxels[slices[at : at + _AT_ONCE]] = self._values(stored, number)
            affine = self._planes.affine.copy()
            affine[:3, 3] += affine[:3, 2] * low
            fractional = self.kind == "FRACTIONAL"
            kind: Any = self._fraction if fractional else "BINARY"
            yield Mask(segment, voxels, affine, self.frame_of_reference_uid, self._maximum if fractional else 1, kind)

    def _placed(self, number: int, time: int | None) -> tuple[npt.NDArray[np.intp], int, tuple[int, int, int]]:
        """Frames of a segment, the slice of the first of them, and the shape of its mask."""
        chosen = self._at(time)
        if self.kind != "LABELMAP":
            chosen &= self._numbers == number
        frames = np.flatnonzero(chosen)
        slices = self._planes.slices[frames]
        if len(np.unique(slices)) != len(slices):
            raise NotAVolume(
                "several frames of a segment lie at one place, and no Temporal Position Index (0020,9128) orders them"
            )
        rows, columns = self._planes.shape[1:]
        low = int(slices.min(initial=0 if not len(slices) else self._planes.shape[0]))
        shape = (int(slices.max(initial=low - 1)) + 1 - low, rows, columns)
        check_voxels(shape)
        return frames, low, shape

    def _at(self, time: int | None) -> npt.NDArray[np.bool_]:
        """Frames of a time point."""
        if not self.times:
            return np.ones(len(self._numbers), bool)
        if time is None:
            raise UsageError(f"the segments vary over {len(self.times)} time points: name one")
        if not 0 <= time < len(self.times):
            raise NotFound(f"the segmentation has {len(self.times)} time points")
        found: npt.NDArray[np.bool_] = self._times == time
        return found

    def _values(self, stored: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
        if self.kind == "FRACTIONAL":
            found: npt.NDArray[Any] = np.minimum(stored, self._maximum)
        else:
            found = stored == number if self.kind == "LABELMAP" else stored != 0
        return found

    def masks(self, time: int | None = None) -> list[Mask]:
        """Decode all masks but that of the background; parameters and errors: those of `mask`."""
        return list(self.each([segment.number for segment in self.segments if not segment.background], time))


def _time_points(
    geometry: npt.NDArray[Any], slices: npt.NDArray[np.intp], kind: str
) -> tuple[tuple[float, ...], str, npt.NDArray[np.intp]]:
    """Time points, what orders them, and the time point of each frame; none where frames are apart without time.

    Several Temporal Position Indices make time points; a trigger time or acquisition number only where several frames
    of a segment lie at one place.
    """
    numbers = np.zeros(len(slices)) if kind == "LABELMAP" else geometry["segment_number"]
    repeated = len(np.unique(np.stack([numbers, slices]), axis=1).T) < len(slices)
    for name in _TIME_KEYS[: None if repeated else 1]:
        values = geometry[name]
        if not np.isfinite(values).all():
            continue
        times, at = np.unique(values, return_inverse=True)
        places = np.stack([numbers, slices, at])
        if len(times) > 1 and len(np.unique(places, axis=1).T) == len(slices):
            return tuple(times.tolist()), name, at.astype(np.intp)
    return (), "", np.zeros(len(slices), np.intp)


def _segment(item: pydicom.Dataset, outside: set[Any]) -> Segment:
    number = item.get("SegmentNumber")
    if number is None:
        raise DataError("a segment without Segment Number (0062,0004)", code=_MISSING)
    lab = item.get("RecommendedDisplayCIELabValue")
    colour: Rgb = colour_of(int(number))
    if lab is not None and len(lab) == 3:
        colour = rgb_of_cielab(*(float(value) for value in lab))
    found = code_of(item, "SegmentedPropertyTypeCodeSequence")
    return Segment(
        number=int(number),
        label=str(item.get("SegmentLabel") or ""),
        colour=colour,
        algorithm=str(item.get("SegmentAlgorithmType") or ""),
        algorithm_name=str(item.get("SegmentAlgorithmName") or ""),
        category=code_of(item, "SegmentedPropertyCategoryCodeSequence"),
        property=found,
        tracking_uid=str(item.get("TrackingUID") or ""),
        background=found[:2] == _BACKGROUND or int(number) in outside,
    )


def code_of(item: pydicom.Dataset, keyword: str) -> tuple[str, str, str]:
    """Value, scheme and meaning of the first code of a sequence; empty texts without."""
    for code in item.get(keyword) or ():
        value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
        return str(value), str(code.get("CodingSchemeDesignator") or ""), str(code.get("CodeMeaning") or "")
    return "", "", ""


def referenced_instances(header: pydicom.Dataset) -> tuple[str, ...]:
    """SOP Instance UIDs that Referenced Series Sequence (0008,1115) names."""
    found: dict[str, None] = {}
    for series in header.get("ReferencedSeriesSequence") or ():
        for keyword in ("ReferencedInstanceSequence", "ReferencedSOPSequence"):
            for item in series.get(keyword) or ():
                found[str(item.get("ReferencedSOPInstanceUID") or "")] = None
    return tuple(uid for uid in found if uid)
