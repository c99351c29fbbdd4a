"""What lies over images: segments, structures, doses, parametric maps and other series, as layers to paint."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from hilum.archive.frame_plane import picture_plane
from hilum.archive.moments import NO_MOMENT, Moment, moment_of_frame
from hilum.archive.overlay_masks import Labels, Regions, by_frame_of_reference, read_labels
from hilum.archive.segmented import read_segmentation
from hilum.errors import Conflict, DataError, NotFound, UsageError
from hilum.pixels.description import rendering_attributes
from hilum.render.fused import FusedVolume, palette_transfer
from hilum.render.fusion import ContourLayer, FractionLayer, LabelLayer, MovedLayer, ValueLayer
from hilum.render.labels import SegmentDisplay
from hilum.render.renderer import Renderer
from hilum.volumes.contours import STRUCTURE_SETS, StructureSet
from hilum.volumes.registration import REGISTRATIONS, read_registration, rigid_between
from hilum.volumes.segments import SEGMENTATIONS
from hilum.volumes.values import DOSE_KEYWORDS, DOSES, PARAMETRIC_MAPS, read_dose, read_parametric_map
from hilum.volumes.view import from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.archive.objects import Instance, Series
    from hilum.index.base import InstanceRecord
    from hilum.pixels.settings import RenderSettings
    from hilum.render.fusion import Layer
    from hilum.render.geometry import Plane
    from hilum.render.labels import LabelMap
    from hilum.volumes.segments import Segmentation
    from hilum.volumes.values import ValueGrid
    from hilum.volumes.volume import Volume

__all__ = ["MAX_OVERLAYS", "Overlay", "Overlays", "as_overlay"]

Show: TypeAlias = Literal["colour", "only", "hide", "volume"]
MAX_OVERLAYS: Final = 16
"""Of one image."""
_KEPT: Final = 12
_KEPT_BYTES: Final = 512 << 20
_SUV: Final = 10.0
_SEEN_THROUGH: Final = 0.3
"""Opacity of the greatest values in a volume: of 1 mm."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """An object or series to lay over an image, and how; None and empty: as its kind demands."""

    uid: str
    """SOP Instance UID, or Series Instance UID."""
    opacity: float | None = None
    """From 0 to 1."""
    palette: str = ""
    """Of values: a name of `hilum.render.palettes.PALETTES`."""
    range: tuple[float, float] | None = None
    """Of values: what has the first and the last colour. In Gy of dose, SUV (body weight) of PET where the object says
    what that takes, else in the object's own units."""
    levels: tuple[float, ...] = ()
    """Values along which lines are drawn, such as isodoses; without colours then, unless an opacity is given."""
    segments: tuple[int, ...] = ()
    """Numbers of the segments or regions; empty: all, but the background."""
    outline: int | None = None
    """Pixels that the line around a segment is wide."""
    time: int | None = None
    """Of what varies with time: which time point, from 1; None: that of the image."""
    show: Show = "colour"
    """In volume rendering. Of segments: in their colours; or nothing but what lies in them, in the volume's own
    colours; or all but that. Of values: ``"colour"``, the greatest along a ray over the image; ``"volume"``: in the
    volume, composited with it sample by sample."""


def as_overlay(value: Overlay | Instance | Series | str) -> Overlay:
    """Accept what callers may name an overlay by."""
    if isinstance(value, Overlay):
        return value
    if isinstance(value, str):
        return Overlay(value)
    from hilum.archive.objects import Series

    return Overlay(value.series_instance_uid if isinstance(value, Series) else value.sop_instance_uid)


@dataclass(frozen=True, slots=True, eq=False)
class _Values:
    renderer: Renderer
    frame_of_reference_uid: str
    palette: str
    range: tuple[float, float]
    factor: float
    nbytes: int
    """In memory; 0 of a volume, whose bricks are mapped."""


def is_segmented(record: InstanceRecord) -> bool:
    """Whether an object holds segments or regions: a segmentation or a structure set."""
    return record.sop_class_uid in SEGMENTATIONS | STRUCTURE_SETS


class Overlays:
    """Finds and reads the overlays of an archive; what was read last is kept. Thread-safe.

    Parameters
    ----------
    archive : Archive
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._kept: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def layers(
        self, overlays: Sequence[Overlay], frame_of_reference_uid: str, moment: Moment = NO_MOMENT
    ) -> list[Layer]:
        """Make the layers to paint over images of a frame of reference, with `hilum.render.fusion.fuse`.

        Parameters
        ----------
        overlays : sequence of Overlay
        frame_of_reference_uid : str
            Frame of Reference UID (0020,0052) of the images.
        moment : Moment
            Time point of the images, for segments that vary with time.

        Raises
        ------
        NotFound
            There is no such object, series, segment or time point.
        Conflict
            An overlay is in another frame of reference and no registration in its study relates them; it is no
            volume (`NotAVolume`); its segments vary with time and no time point is known.
        UsageError
            The object is nothing to lay over an image, or is not shown in the way that was asked for; more than 16
            overlays.
        DataError
            It is damaged.
        LimitExceeded
            It is too large, or its segments are together.
        """
        if len(overlays) > MAX_OVERLAYS:
            raise UsageError(f"at most {MAX_OVERLAYS} overlays lie over an image")
        found: list[Layer] = []
        for overlay in overlays:
            if overlay.show != "colour":
                raise UsageError("only, hide and volume are ways to show overlays in volume rendering, not over images")
            records = self.records(overlay.uid)
            for record, layer, uid in self._layers(overlay, records, moment):
                matrix = self._between(frame_of_reference_uid, uid, record)
                found.append(layer if matrix is None else MovedLayer(layer, matrix))
        return found

    def displays(
        self, overlays: Sequence[Overlay], frame_of_reference_uid: str, moment: Moment = NO_MOMENT
    ) -> list[SegmentDisplay]:
        """Give those overlays that are segments for volume rendering; parameters and errors of `layers`."""
        found: list[SegmentDisplay] = []
        for overlay in overlays:
            for record in self.records(overlay.uid):
                if not is_segmented(record):
                    continue
                if overlay.show == "volume":
                    raise UsageError("segments are shown as colour, only or hide in volume rendering")
                how = {} if overlay.opacity is None else {"opacity": overlay.opacity}
                for one, uid in self._maps(overlay, record, moment):
                    matrix = self._between(frame_of_reference_uid, uid, record)
                    found.append(SegmentDisplay(one, overlay.show, matrix=matrix, **how))
        return found

    def values(self, overlays: Sequence[Overlay]) -> list[Overlay]:
        """Give those overlays that are painted over a volume rendering: neither segments nor in the volume."""
        painted = [overlay for overlay in overlays if overlay.show != "volume"]
        return [overlay for overlay in painted if not is_segmented(self.records(overlay.uid)[0])]

    def fused(
        self, overlays: Sequence[Overlay], frame_of_reference_uid: str, moment: Moment = NO_MOMENT
    ) -> list[FusedVolume]:
        """Give those overlays that are composited with a volume rendering; parameters and errors of `layers`."""
        found: list[FusedVolume] = []
        for overlay in overlays:
            if overlay.show != "volume":
                continue
            records = self.records(overlay.uid)
            if overlay.levels or overlay.segments or overlay.outline is not None:
                raise UsageError("what is shown in the volume has neither levels nor segments nor outlines")
            values = self._values(records, overlay, moment)
            opacity = _SEEN_THROUGH if overlay.opacity is None else overlay.opacity
            transfer = palette_transfer(
                overlay.palette or values.palette, overlay.range or values.range, values.factor, opacity
            )
            matrix = self._between(frame_of_reference_uid, values.frame_of_reference_uid, records[0])
            found.append(FusedVolume(values.renderer, transfer, matrix=matrix))
        return found

    def _maps(self, overlay: Overlay, record: InstanceRecord, moment: Moment) -> list[tuple[LabelMap, str]]:
        """Masks of an overlay's segments, and their frame of reference."""
        if record.sop_class_uid in STRUCTURE_SETS:
            regions = self._regions(record)
            chosen = by_frame_of_reference(regions.structure, overlay.segments).items()
            return [(one, uid) for uid, numbers in chosen for number in numbers for one in regions.maps(number)]
        labels = self._labels(record, overlay, moment)
        return [(one, labels.frame_of_reference_uid) for one in labels.maps]

    def plane(
        self, record: InstanceRecord, frame: int, settings: RenderSettings, shape: tuple[int, int]
    ) -> tuple[Plane, str, Moment]:
        """Give where the pixels of a picture of a frame lie, its frame of reference and time; see `picture_plane`."""
        series = self._archive.volumes.frames([record])
        where = picture_plane(series, frame, settings, shape)
        return where, series.frames_of_reference[0], moment_of_frame(series, frame)

    def records(self, uid: str) -> list[InstanceRecord]:
        """Find the object, or the objects of the series, of a UID; NotFound when there is none."""
        record = self._archive.retrieve.lookup([uid])[0]
        if record is not None:
            return [record]
        series = self._archive.series(series_instance_uid=uid, limit=1)
        if not series:
            raise NotFound("there is no such overlay: neither an instance nor a series has this UID")
        return self._archive.series_records(series[0].study_instance_uid, uid)

    def etag(self, overlays: Sequence[Overlay]) -> str:
        """Hash of the objects that overlays name, in hex; empty without overlays. Errors: those of `records`."""
        hasher = hashlib.sha256()
        for overlay in overlays:
            for record in self.records(overlay.uid):
                hasher.update(record.sha256)
        return hasher.hexdigest()[:24] if overlays else ""

    def _layers(
        self, overlay: Overlay, records: list[InstanceRecord], moment: Moment
    ) -> list[tuple[InstanceRecord, Layer, str]]:
        """Give the layers, of which object and in which frame of reference each is."""
        first = records[0]
        if is_segmented(first):
            if overlay.palette or overlay.range or overlay.levels:
                raise UsageError("segments have neither palette nor range nor levels")
            return [part for record in records for part in self._of_segments(overlay, record, moment)]
        if overlay.segments or overlay.outline is not None:
            raise UsageError("segments and outline are for segmentations and structure sets")
        values = self._values(records, overlay, moment)
        opacity = overlay.opacity
        layer = ValueLayer(
            values.renderer,
            overlay.palette or values.palette,
            *(overlay.range or values.range),
            opacity=0.5 if opacity is None else opacity,
            factor=values.factor,
            levels=overlay.levels,
            wash=not overlay.levels or opacity is not None,
        )
        return [(first, layer, values.frame_of_reference_uid)]

    # Segments

    def _of_segments(
        self, overlay: Overlay, record: InstanceRecord, moment: Moment
    ) -> list[tuple[InstanceRecord, Layer, str]]:
        how: dict[str, Any] = {}
        if overlay.outline is not None:
            how["outline"] = overlay.outline
        if overlay.opacity is not None:
            how["opacity"] = overlay.opacity
        if record.sop_class_uid in STRUCTURE_SETS:
            regions = self._regions(record)
            chosen = by_frame_of_reference(regions.structure, overlay.segments).items()
            return [(record, ContourLayer(regions.structure, ns, regions.maps, **how), uid) for uid, ns in chosen]
        labels = self._labels(record, overlay, moment)
        uid = labels.frame_of_reference_uid
        found: list[tuple[InstanceRecord, Layer, str]] = []
        if not labels.fractions:
            found.append((record, LabelLayer(labels.maps, **how), uid))
        for segment, renderer, maximum in labels.fractions:
            opacity = {} if overlay.opacity is None else {"opacity": overlay.opacity}
            found.append((record, FractionLayer(renderer, segment.colour, maximum, **opacity), uid))
        return found

    def _regions(self, record: InstanceRecord) -> Regions:
        def read() -> Regions:
            found = read_segmentation(self._archive, record)
            assert isinstance(found, StructureSet)
            return Regions(found)

        found: Regions = self.kept(("structure", record.sha256), read)
        return found

    def _labels(self, record: InstanceRecord, overlay: Overlay, moment: Moment) -> Labels:
        def read() -> Segmentation:
            found = read_segmentation(self._archive, record)
            assert not isinstance(found, StructureSet)
            return found

        segmentation: Segmentation = self.kept(("segmentation", record.sha256), read)
        time = moment.of(segmentation, overlay.time)
        key = ("labels", record.sha256, overlay.segments, time)
        found: Labels = self.kept(key, lambda: read_labels(segmentation, overlay.segments, time))
        return found

    # Values

    def _values(
        self, records: list[InstanceRecord], overlay: Overlay | None = None, moment: Moment = NO_MOMENT
    ) -> _Values:
        first = records[0]
        small = first.sop_class_uid in DOSES | PARAMETRIC_MAPS
        if small and len(records) > 1:
            raise UsageError(f"the series has {len(records)} objects: name one by its SOP Instance UID")
        named, uids = overlay.time if overlay else None, tuple(record.sha256 for record in records)
        found: _Values
        if small:
            if named is not None:
                raise UsageError("time is for segmentations and series")
            found = self.kept(("values", *uids), lambda: self._of_grid(first))
            return found
        volume = self._volume(records)
        try:
            time = moment.of(volume.stack, named) or 0
        except Conflict:  # the image does not say when: the first
            time = 0
        found = self.kept(("values", time, *uids), lambda: self._of_volume(volume, records, time))
        return found

    def _of_grid(self, record: InstanceRecord) -> _Values:
        retrieve = self._archive.retrieve
        series = self._archive.volumes.frames([record])

        def decode(frames: Sequence[int]) -> npt.NDArray[Any]:
            return retrieve.decode_frames([(record, frame) for frame in frames])

        grid: ValueGrid
        if record.sop_class_uid in DOSES:
            grid = read_dose(retrieve.header_dataset(record, DOSE_KEYWORDS), series, decode)
        else:
            grid = read_parametric_map(retrieve.header_dataset(record), series, decode)
        finite = grid.values[np.isfinite(grid.values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if record.sop_class_uid in DOSES:
            low = 0.0
        return _Values(
            Renderer(from_array(grid.values, affine=grid.affine)),
            grid.frame_of_reference_uid,
            "rainbow",
            (low, high if high > low else low + 1.0),
            1.0,
            grid.values.nbytes,
        )

    def _volume(self, records: list[InstanceRecord]) -> Volume:
        images = [record for record in records if self._archive.retrieve.frame_count(record)]
        if not images:
            raise UsageError("the object is nothing to lay over an image")
        whole = images
        if len(records) == 1:  # an image of a series stands for its series
            whole = self._archive.series_records(images[0].study_instance_uid, images[0].series_instance_uid)
        return self._archive.volumes.volume(whole)

    def _of_volume(self, volume: Volume, records: list[InstanceRecord], time: int) -> _Values:
        images = [record for record in records if self._archive.retrieve.frame_count(record)]
        renderer = Renderer(volume.view(0, time))
        modality = str(self._archive.retrieve.header_dataset(images[0], ("Modality",)).get("Modality", ""))
        factor, limits = self._range(volume, renderer, images[len(images) // 2], modality)
        palette = "hot" if modality in ("PT", "NM") else "grey"
        return _Values(renderer, volume.stack.frame_of_reference_uid, palette, limits, factor, 0)

    def _range(
        self, volume: Volume, renderer: Renderer, record: InstanceRecord, modality: str
    ) -> tuple[float, tuple[float, float]]:
        """Give the factor to the units of the range, and a range: SUV of PET, else the window of the middle image."""
        if modality == "PT":
            try:
                series = volume.frames
                return self._archive.volumes.suv_factor(series, volume.stack, "bw"), (0.0, _SUV)
            except DataError:
                pass
        windows = rendering_attributes(self._archive.retrieve.header(record)).as_dict()["windows"]
        if windows:
            centre, width, _ = windows[0]
            return 1.0, (centre - width / 2, centre + width / 2)
        low, high = renderer.value_range
        return 1.0, (low, high if high > low else low + 1.0)

    # Frames of reference

    def _between(self, image: str, layer: str, record: InstanceRecord) -> npt.NDArray[np.float64] | None:
        """Matrix from the frame of reference of the image to that of a layer; None where they are the same."""
        if image and image == layer:
            return None
        if image and layer:
            for one in self._archive.series(study_instance_uid=record.study_instance_uid, modality="REG"):
                for found in self._archive.series_records(record.study_instance_uid, one.series_instance_uid):
                    if found.sop_class_uid not in REGISTRATIONS:
                        continue
                    matrices = read_registration(self._archive.retrieve.dataset(found))
                    matrix = rigid_between(matrices, image, layer)
                    if matrix is not None:
                        return matrix
        raise Conflict(
            "the overlay is in another frame of reference than the image, and no rigid registration relates them"
            if image and layer
            else "the image or the overlay has no frame of reference"
        )

    def kept(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """Give what was read before under a key, or read it: something with `nbytes`."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            made = self._kept.setdefault(key, made)
            while len(self._kept) > 1 and (
                len(self._kept) > _KEPT or sum(one.nbytes for one in self._kept.values()) > _KEPT_BYTES
            ):
                self._kept.popitem(last=False)
        return made
