"""Frames of a series with where they lie, as arrays: read from headers by the core, never by pydicom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum import _core
from hilum.codecs.decode import frame_dtype
from hilum.dicom.scan import FrameTable
from hilum.errors import LimitExceeded
from hilum.types import PixelDescription

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.index.base import InstanceRecord
    from hilum.storage.packs import PackStore

__all__ = ["MAX_FRAMES", "SeriesFrames", "header_places", "read_frames"]

MAX_FRAMES: Final = 1 << 18
"""Frames of a series that are looked at at once."""

_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_GEOMETRY: Final = np.dtype([(name, "<f8") for name in _core.GEOMETRY_FIELDS])


@dataclass(frozen=True, slots=True)
class SeriesFrames:
    """All frames of some instances, in their order."""

    records: tuple[InstanceRecord, ...]
    objects: npt.NDArray[np.uint32]
    """Index into `records` of each frame."""
    numbers: npt.NDArray[np.uint32]
    """Which frame of its object, from 0."""
    geometry: npt.NDArray[Any]
    """Structured float64 array with the fields of ``volume::FrameGeometry``; NaN: absent; lengths in mm, LPS."""
    labels: tuple[str, ...]
    """Texts that `geometry["label"]` counts: image type, stack, rescale type, a line each."""
    frames_of_reference: tuple[str, ...]
    """Frame of Reference UID (0020,0052) of each of `records`."""
    pixels: tuple[PixelDescription, ...]
    """Distinct pixel descriptions."""
    kinds: npt.NDArray[np.intp]
    """Index into `pixels` of each frame."""

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """Image Position (Patient), ``(frames, 3)``: mm, LPS."""
        return _columns(self.geometry, "position_x", "position_y", "position_z")

    @property
    def orientations(self) -> npt.NDArray[np.float64]:
        """Image Orientation (Patient), ``(frames, 6)``: direction of rows, of columns."""
        return _columns(self.geometry, "row_x", "row_y", "row_z", "column_x", "column_y", "column_z")

    @property
    def spacings(self) -> npt.NDArray[np.float64]:
        """Pixel Spacing, ``(frames, 2)``: mm between rows, between columns."""
        return _columns(self.geometry, "row_spacing", "column_spacing")

    def dtype(self, frame: int) -> np.dtype[Any]:
        """Type of a frame's stored values."""
        return frame_dtype(self.pixels[self.kinds[frame]])


def _columns(table: npt.NDArray[Any], *names: str) -> npt.NDArray[np.float64]:
    return np.stack([table[name] for name in names], axis=1)


def header_places(records: Sequence[InstanceRecord]) -> list[tuple[int, int, int, int, int]]:
    """Where the headers of objects are: (pack, offset, length, header length, frames) each."""
    places = []
    for record in records:
        whole = record.transfer_syntax_uid == _DEFLATED
        place = record.location
        header = place.length if whole else min(record.header_length, place.length)
        places.append((place.pack, place.offset, place.length, header, len(FrameTable(record.frame_table))))
    return places


def read_frames(packs: PackStore, records: Sequence[InstanceRecord]) -> SeriesFrames:
    """Read the geometry of all frames of some instances, on all cores in one call.

    Parameters
    ----------
    packs : PackStore
    records : sequence of InstanceRecord
        Those without pixel data are left out.

    Raises
    ------
    NotFound
        A pack does not exist (any more); ask the index again.
    DataError
        A header is damaged.
    LimitExceeded
        More than `MAX_FRAMES` frames.
    """
    images = tuple(record for record in records if record.pixels is not None)
    places = header_places(images)
    counts = [place[4] for place in places]
    if sum(counts) > MAX_FRAMES:
        raise LimitExceeded(f"the series has more than {MAX_FRAMES} frames")
    labels: dict[str, int] = {}
    kinds: dict[tuple[int | str, ...], int] = {}
    tables = [np.zeros(0, _GEOMETRY)]
    kind_of = []
    found = packs.read_geometries(places)
    for record, (numbers, own_labels, _) in zip(images, found, strict=True):
        table = np.frombuffer(numbers, _GEOMETRY).copy()
        known = np.array([labels.setdefault(label, len(labels)) for label in own_labels], np.float64)
        if len(known):
            table["label"] = known[table["label"].astype(np.intp)]
        tables.append(table)
        pixels = record.pixels or ()
        one = (*pixels[:9], 1, *pixels[10:])  # how many frames an object has makes no difference
        kind_of.append(kinds.setdefault(one, len(kinds)))
    return SeriesFrames(
        records=images,
        objects=np.repeat(np.arange(len(images), dtype=np.uint32), counts),
        numbers=np.concatenate([np.zeros(0, np.uint32), *(np.arange(n, dtype=np.uint32) for n in counts)]),
        geometry=np.concatenate(tables),
        labels=tuple(labels),
        frames_of_reference=tuple(uid for _, _, uid in found),
        pixels=tuple(PixelDescription(*kind) for kind in kinds),  # type: ignore[arg-type]
        kinds=np.repeat(np.array(kind_of, np.intp), counts),
    )
