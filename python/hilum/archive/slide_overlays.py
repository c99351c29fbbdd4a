"""Segmentations that lie on a slide, painted over its parts: binary, fractional and label maps in tiles.

A picture takes the value under the centre of each of its pixels: nothing is composed but the picture itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.archive.slide import place_of, tile_places
from hilum.errors import Conflict, DataError, LimitExceeded, UsageError
from hilum.render.fusion import as_bytes, check_outline, in_colour, paint_fractions, paint_labels
from hilum.volumes.masks import segment_of
from hilum.volumes.segments import HEADER_KEYWORDS, SEGMENTATIONS, SegmentationHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from hilum.archive.overlays import Overlay, Overlays
    from hilum.archive.pyramid import Pyramid, Region
    from hilum.archive.retrieve import Retriever
    from hilum.archive.slide import SlidePlace
    from hilum.index.base import InstanceRecord

__all__ = ["SlideOverlays", "TiledSegmentation"]

_MAX_FRAMES: Final = 4096
"""Frames that are decoded for one picture of one segmentation."""
_AT_ONCE: Final = 64
_OPACITY: Final = 0.35
_FRACTION_OPACITY: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TiledSegmentation:
    """A segmentation whose frames are tiles of a total pixel matrix."""

    record: InstanceRecord
    head: SegmentationHead
    place: SlidePlace
    shape: tuple[int, int]
    """Rows and columns of a frame."""
    frames: npt.NDArray[np.int32]
    """``(n, 3)``: segment, column and row of the upper left pixel of each frame; segment 0 of label maps."""
    pyramid_uid: str
    """Segmentations of one series that share it are resolutions of one another (Pyramid UID (0008,0019))."""

    @property
    def nbytes(self) -> int:
        """In memory."""
        return self.frames.nbytes

    @classmethod
    def read(cls, retrieve: Retriever, record: InstanceRecord) -> TiledSegmentation:
        """Read an object.

        Raises
        ------
        Conflict
            It does not lie on a slide.
        DataError
            It contradicts itself.
        """
        document: dict[str, Any] = json.loads(retrieve.instance_json(record))
        place = place_of(document)
        if place is None or "00480006" not in document:
            raise Conflict("the segmentation does not say where it lies on a slide (0048,0008), (0048,0102)")
        head = SegmentationHead.of(retrieve.header_dataset(record, HEADER_KEYWORDS))
        numbers = (0,) if head.kind == "LABELMAP" else tuple(segment.number for segment in head.segments)
        frames = np.array(tile_places(document, numbers), np.int32).reshape(-1, 3)
        if len(frames) > retrieve.frame_count(record):
            raise DataError("the segmentation has fewer frames than it says")
        pixels = retrieve.require_pixels(record)
        uid = (document.get("00080019", {}).get("Value") or [record.sop_instance_uid])[0]
        return cls(record, head, place, (pixels.rows, pixels.columns), frames, str(uid))

    def sampled(
        self, retrieve: Retriever, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
    ) -> dict[int, npt.NDArray[np.uint16]]:
        """Take stored values at rows and columns of the total pixel matrix, by segment; 0 where there is no frame.

        Raises
        ------
        LimitExceeded
            They lie in too many frames.
        """
        high, wide = self.shape
        inside = np.ones(len(self.frames), bool)
        for places, axis, side in ((columns, 1, wide), (rows, 2, high)):
            ordered = np.sort(places)
            starts = self.frames[:, axis]
            inside &= np.searchsorted(ordered, starts) < np.searchsorted(ordered, starts + side)
        chosen = np.flatnonzero(inside)
        if len(chosen) > _MAX_FRAMES:
            raise LimitExceeded("so much of the segmentation needs a smaller level than is stored")
        found: dict[int, npt.NDArray[np.uint16]] = {}
        for frame, stored in self._decoded(retrieve, chosen):
            segment, x, y = self.frames[frame].tolist()
            at = np.flatnonzero((columns >= x) & (columns < x + wide))
            down = np.flatnonzero((rows >= y) & (rows < y + high))
            picture = found.setdefault(segment, np.zeros((len(rows), len(columns)), np.uint16))
            picture[np.ix_(down, at)] = stored[np.ix_(rows[down] - y, columns[at] - x)]
        return found

    def _decoded(
        self, retrieve: Retriever, frames: npt.NDArray[np.intp]
    ) -> Iterator[tuple[int, npt.NDArray[np.unsignedinteger[Any]]]]:
        for at in range(0, len(frames), _AT_ONCE):
            part = frames[at : at + _AT_ONCE].tolist()
            yield from zip(part, retrieve.decode_frames([(self.record, frame) for frame in part]), strict=True)


class SlideOverlays:
    """Paints overlays over parts of slides; thread-safe.

    Parameters
    ----------
    retrieve : Retriever
    overlays : Overlays
        Finds them, and keeps what was read.
    """

    def __init__(self, retrieve: Retriever, overlays: Overlays) -> None:
        self._retrieve = retrieve
        self._overlays = overlays

    def paint(
        self,
        samples: npt.NDArray[np.uint8],
        pyramid: Pyramid,
        region: Region,
        overlays: Sequence[Overlay],
    ) -> npt.NDArray[np.uint8]:
        """Paint overlays over a picture of a region of a slide.

        Parameters
        ----------
        samples : ndarray
            The picture, ``(rows, columns)`` or ``(rows, columns, 3)``, uint8; not changed.
        pyramid : Pyramid
        region : (x, y, columns, rows)
            Of its largest level.
        overlays : sequence of Overlay

        Returns
        -------
        ndarray
            RGB.

        Raises
        ------
        UsageError
            An overlay is no segmentation, or is shown in a way that segmentations are not.
        Conflict
            It is in another frame of reference, or turned; the image or the overlay does not lie on a slide.
        NotFound
            There is no such overlay or segment.
        LimitExceeded
            The picture shows more of it than can be decoded for one answer.
        """
        place = pyramid.levels[0].grid.place
        if place is None:
            raise Conflict("the image does not say where it lies on a slide (0048,0008), (0048,0102)")
        image = in_colour(samples)
        for overlay in overlays:
            _check_way(overlay)
            for segmentation in self._levels(overlay, place, region[2] / image.shape[1]):
                self._paint(image, segmentation, place, region, overlay)
        return as_bytes(image)

    def _levels(self, overlay: Overlay, place: SlidePlace, step: float) -> list[TiledSegmentation]:
        """Segmentations of an overlay: of resolutions of one another the coarsest with a pixel for each of the picture.

        Parameters
        ----------
        step : float
            Pixels of the slide from one pixel of the picture to the next.
        """
        groups: dict[str, list[TiledSegmentation]] = {}
        for record in self._overlays.records(overlay.uid):
            if record.sop_class_uid not in SEGMENTATIONS:
                raise UsageError("only segmentations lie over slides")
            read: TiledSegmentation = self._overlays.kept(
                ("tiled", record.sha256), partial(TiledSegmentation.read, self._retrieve, record)
            )
            groups.setdefault(read.pyramid_uid, []).append(read)
        wanted = place.spacing[1] * step * (1 + 1e-6)
        found = []
        for levels in groups.values():
            levels.sort(key=lambda level: level.place.spacing[1])
            enough = [level for level in levels if level.place.spacing[1] <= wanted]
            found.append(enough[-1] if enough else levels[0])
        return found

    def _paint(
        self,
        image: npt.NDArray[np.float32],
        segmentation: TiledSegmentation,
        place: SlidePlace,
        region: Region,
        overlay: Overlay,
    ) -> None:
        head = segmentation.head
        segments = [segment_of(head.segments, number) for number in overlay.segments] or [
            segment for segment in head.segments if not segment.background
        ]
        outline = 1 if overlay.outline is None else overlay.outline
        margin = 0 if head.kind == "FRACTIONAL" else outline
        across, left, down, top = place.within(segmentation.place)
        columns = _pixels(region[0], region[2], image.shape[1], margin, across, left)
        rows = _pixels(region[1], region[3], image.shape[0], margin, down, top)
        values = segmentation.sampled(self._retrieve, rows, columns)
        opacity = overlay.opacity
        if head.kind == "LABELMAP" and 0 in values:
            labels, colours = np.zeros_like(values[0]), np.zeros((len(segments) + 1, 3), np.float32)
            for at, segment in enumerate(segments, 1):
                labels[values[0] == segment.number] = at
                colours[at] = segment.colour
            paint_labels(image, labels, colours, _OPACITY if opacity is None else opacity, outline, margin)
            return
        for segment in segments:
            found = values.get(segment.number)
            if found is None:
                continue
            if head.kind == "FRACTIONAL":
                part = np.minimum(found, head.maximum).astype(np.float32) / np.float32(head.maximum)
                paint_fractions(image, part, segment.colour, _FRACTION_OPACITY if opacity is None else opacity)
            else:
                colours = np.array([(0, 0, 0), segment.colour], np.float32)
                labels = (found != 0).astype(np.uint16)
                paint_labels(image, labels, colours, _OPACITY if opacity is None else opacity, outline, margin)


def _check_way(overlay: Overlay) -> None:
    if overlay.palette or overlay.range or overlay.levels or overlay.time is not None or overlay.show != "colour":
        raise UsageError("segments over slides have opacity, segments and outline only")
    check_outline(0 if overlay.outline is None else overlay.outline)


def _pixels(start: int, length: int, count: int, margin: int, scale: float, offset: float) -> npt.NDArray[np.int64]:
    """Pixels of an overlay under the centres of those of a picture, which shows `length` pixels of a slide."""
    centres = start + (np.arange(-margin, count + margin) + 0.5) * (length / count)
    found: npt.NDArray[np.int64] = np.floor(centres * scale + offset).astype(np.int64)
    return found
