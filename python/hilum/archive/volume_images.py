"""Images of volumes as a use case: which frames make the volume, how it is looked at, picture after picture."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from hilum.archive.moments import moment_of_volume
from hilum.errors import LimitExceeded, NotAVolume, NotFound, UsageError
from hilum.pixels.description import rendering_attributes
from hilum.pixels.settings import Window
from hilum.render.fused import FusedVolume, render_fused
from hilum.render.fusion import fuse, fuse_projections, inside_of
from hilum.render.geometry import Camera, Plane, finest_spacing, plane, unit
from hilum.render.renderer import Renderer
from hilum.volumes.view import open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    import pydicom

    from hilum.archive.archive import Archive
    from hilum.archive.overlays import Overlay
    from hilum.index.base import InstanceRecord
    from hilum.render.fusion import Layer
    from hilum.render.geometry import Vector
    from hilum.render.labels import SegmentDisplay
    from hilum.render.renderer import Mode
    from hilum.volumes.volume import Volume

__all__ = ["VolumeImages", "VolumeRequest", "VolumeSource", "shape_of"]

Method: TypeAlias = Literal["volume_rendered", "maximum_ip", "minimum_ip", "average_ip"]
MAX_FRAMES: Final = 360
"""Of an animation."""
_KEPT_RENDERERS: Final = 8
_MODES: Final[dict[str, Mode]] = {"maximum_ip": "maximum", "minimum_ip": "minimum", "average_ip": "mean"}
_PRESETS: Final = {"CT": "ct-bone", "MR": "mr", "PT": "pet-hot"}
_NATURAL_SIDE: Final = 1024
_RATE: Final = 10.0
_SWIVEL_STEP: Final = 5.0


@dataclass(frozen=True, slots=True)
class VolumeSource:
    """A volume, the time points that were asked for, and an object of it that tells how it is shown."""

    volume: Volume
    times: tuple[int, ...]
    record: InstanceRecord


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """How a volume is looked at; lengths in mm, LPS."""

    kind: Literal["mpr", "3d"]
    method: Method
    look: Vector
    """Unit vector into the image."""
    up: Vector
    centre: Vector
    """The look goes through it; planes lie in it."""
    shape: tuple[int, int]
    """Rows, columns."""
    spacing: float
    slab: float | None = None
    window: Window | None = None
    swivel: float | None = None
    step: float | None = None
    rate: float | None = None
    curve: tuple[Vector, ...] = field(default=())
    preset: str = ""
    interactive: bool = False
    overlays: tuple[Overlay, ...] = ()
    """Painted over the image, the first one first."""


class VolumeImages:
    """Renders volumes of an archive; thread-safe.

    Parameters
    ----------
    archive : Archive
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._renderers: OrderedDict[tuple[str, int, bytes], Renderer] = OrderedDict()
        self._lock = threading.Lock()

    # Which volume

    def source(
        self,
        records: Sequence[InstanceRecord],
        references: Sequence[str],
        matches: Sequence[tuple[str, str]],
        time: int | None = None,
    ) -> VolumeSource:
        """Choose the volume of some instances: the largest, or the part of it that is referred to.

        Parameters
        ----------
        records : sequence of InstanceRecord
        references : sequence of str
            UIDs of series or instances, or numbers of frames from 1; empty: all.
        matches : sequence of (attribute, value)
            What instances must have: keyword or tag, a value, a range ``a-b`` or a list ``a,b``.
        time : int, optional
            Which of its time points, from 1; default: all.

        Raises
        ------
        NotFound
            Nothing is left, or nothing is referred to.
        NotAVolume
            The frames make no volume.
        """
        if matches:
            records = [record for record in records if _matches(self._archive.retrieve.header_dataset(record), matches)]
        groups: dict[str, list[InstanceRecord]] = {}
        for record in records:
            if self._archive.retrieve.frame_count(record):
                groups.setdefault(record.series_instance_uid, []).append(record)
        named = {uid for uid in references if uid in groups}
        if named:
            groups = {uid: groups[uid] for uid in named}
        if not groups:
            raise NotFound("no image here is what the request asks for")
        parts = [uid for uid in references if uid not in named]
        sources: list[VolumeSource] = []
        reasons: list[str] = []
        for group in groups.values():
            try:
                sources += self._sources(group, parts)
            except NotAVolume as error:
                reasons.append(str(error))
        if not sources:
            if reasons:
                raise NotAVolume("; ".join(dict.fromkeys(reasons)))
            raise NotFound("volumeinputreference names nothing of a volume here")
        largest = max(sources, key=lambda one: int(np.prod(one.volume.stack.shape)))
        if time is None:
            return largest
        if time > len(largest.times):
            raise NotFound(f"the volume has {len(largest.times)} time points")
        return replace(largest, times=(largest.times[time - 1],))

    def _sources(self, records: list[InstanceRecord], parts: Sequence[str]) -> list[VolumeSource]:
        """Give the volumes of a series that hold what is referred to."""
        volumes = self._archive.volumes
        assembly = volumes.assembly(records)
        found = []
        for index, stack in enumerate(assembly.stacks or (assembly.stack(0),)):
            volume = volumes.volume(records, index)
            series = volume.frames
            hit: npt.NDArray[np.bool_] = np.ones(len(stack.frames), bool)
            if parts:
                uids = {r for r, record in enumerate(series.records) if record.sop_instance_uid in parts}
                numbers = [int(part) - 1 for part in parts if part.isdigit() and len(part) < 9]
                named = np.isin(series.objects[stack.frames], list(uids)) | np.isin(
                    series.numbers[stack.frames], numbers
                )
                hit = np.any(named, axis=1)
            if hit.any():
                middle = series.records[series.objects[int(stack.frames[0, stack.frames.shape[1] // 2])]]
                times = tuple(int(t) for t in np.flatnonzero(hit))
                found.append(VolumeSource(volume, times, middle))
        return found

    def renderer(self, volume: Volume, time: int, matrix: npt.NDArray[np.float64] | None = None) -> Renderer:
        """Give what renders a time point; its bricks are made if they are not there. Errors: `Volume.view`.

        Parameters
        ----------
        volume : Volume
        time : int
            From 0.
        matrix : ndarray, optional
            4x4 to another frame of reference, in which the volume is rendered: LPS, mm, affine.
        """
        key = (volume.key, time, b"" if matrix is None else matrix.tobytes())
        with self._lock:
            known = self._renderers.get(key)
            if known is not None:
                self._renderers.move_to_end(key)
                return known
        if matrix is None:
            made = Renderer(volume.view(0, time))
        else:
            stack = replace(volume.stack, affine=matrix @ volume.stack.affine)
            made = Renderer(open_view(volume.path, stack, 0, time))
        with self._lock:
            made = self._renderers.setdefault(key, made)
            while len(self._renderers) > _KEPT_RENDERERS:
                self._renderers.popitem(last=False)
        return made

    # How it is shown

    def modality(self, source: VolumeSource) -> str:
        """Modality (0008,0060) of the volume."""
        return str(self._archive.retrieve.header_dataset(source.record).get("Modality", ""))

    def preset_of(self, source: VolumeSource) -> str:
        """Name of the transfer function of the volume's modality."""
        return _PRESETS.get(self.modality(source), "mr")

    def window_of(self, source: VolumeSource) -> Window:
        """Window of the middle image, else all values."""
        windows = rendering_attributes(self._archive.retrieve.header(source.record)).as_dict()["windows"]
        if windows:
            center, width, function = windows[0]
            return Window(center, width, function.upper())
        low, high = self.renderer(source.volume, source.times[0]).value_range
        return Window((low + high) / 2, max(high - low, 1.0), "LINEAR_EXACT")

    def view(
        self,
        source: VolumeSource,
        orientation: str,
        viewpoint: tuple[Vector, Vector, Vector | None] | None,
        viewport: tuple[int, int] | None,
        width: float | None = None,
    ) -> tuple[Plane, Vector]:
        """Lay the image: its plane, and what is up.

        Parameters
        ----------
        source : VolumeSource
        orientation : str
            A letter of PS3.18 8.3.5.3.4.
        viewpoint : (position, point looked at, up), optional
            Instead of `orientation`.
        viewport : (columns, rows), optional
            0: as the other and the volume demand.
        width : float, optional
            Of the image: mm; default: as shows all of the volume.
        """
        bricks = self.renderer(source.volume, source.times[0]).view
        look: Any = orientation
        up: Vector | None = None
        centre: Vector | None = None
        if viewpoint is not None:
            position, centre, up = viewpoint
            look = np.subtract(centre, position)
        found = plane(bricks, look, up=up, centre=centre)
        rows, columns = found.shape
        wanted = shape_of(viewport, rows, columns)
        spacing = None if width is None else width / wanted[1]
        found = plane(bricks, look, up=up, centre=centre, shape=wanted, spacing=spacing)
        x, y, z = (-np.asarray(found.column)).tolist()
        return found, (x, y, z)

    def frames(self, source: VolumeSource, request: VolumeRequest) -> list[Callable[[], npt.NDArray[Any]]]:
        """Give what makes each frame: uint8, grey ``(rows, columns)`` or RGB.

        Raises
        ------
        LimitExceeded
            An animation of more than 360 frames.
        UsageError
            A curve that is none.
        NotFound, Conflict, UsageError, DataError, LimitExceeded
            Of overlays: those of `Overlays.layers`.
        """
        overlays, uid = self._archive.overlays, source.volume.stack.frame_of_reference_uid
        shaded = request.method == "volume_rendered"
        values = overlays.values(request.overlays) if shaded else list(request.overlays)

        def over(time: int) -> tuple[list[Layer], list[SegmentDisplay], list[FusedVolume]]:
            moment = moment_of_volume(source.volume, time)
            displays = overlays.displays(request.overlays, uid, moment) if shaded else []
            fused = overlays.fused(request.overlays, uid, moment) if shaded else []
            if displays and fused:
                raise UsageError("segments and other volumes are not shown in one volume rendering")
            return overlays.layers(values, uid, moment), displays, fused

        def frame(time: int, look: Vector, centre: Vector) -> Callable[[], npt.NDArray[Any]]:
            def make() -> npt.NDArray[Any]:
                renderer = self.renderer(source.volume, time)
                up = request.up if abs(float(np.dot(look, request.up))) < 0.999 else None
                where = plane(renderer.view, look, up=up, centre=centre, shape=request.shape, spacing=request.spacing)
                return picture(renderer, request, where, *(first if time == views[0][0] else over(time)))

            return make

        views = _views(source, request)
        first = over(views[0][0])  # what cannot be is refused before the first image
        return [frame(*view) for view in views]

    def cut(self, source: VolumeSource, request: VolumeRequest, where: Plane) -> npt.NDArray[np.uint8]:
        """Make one image on a plane of one's own, at the first time point."""
        uid, time = source.volume.stack.frame_of_reference_uid, source.times[0]
        layers = self._archive.overlays.layers(request.overlays, uid, moment_of_volume(source.volume, time))
        return picture(self.renderer(source.volume, time), request, where, layers, (), ())


def _views(source: VolumeSource, request: VolumeRequest) -> list[tuple[int, Vector, Vector]]:
    """Time point, look and point looked at of each frame."""
    first = source.times[0]
    if request.swivel is not None:
        angles = _swivel(request.swivel, request.step or _SWIVEL_STEP)
        return [(first, _turned(request, angle), request.centre) for angle in angles]
    if request.curve:
        points, looks = _along(request.curve, request.step or request.spacing)
        return [(first, look, point) for point, look in zip(points, looks, strict=True)]
    if request.rate is not None and len(source.times) > 1:
        if len(source.times) > MAX_FRAMES:
            raise LimitExceeded(f"an animation has at most {MAX_FRAMES} frames")
        return [(time, request.look, request.centre) for time in source.times]
    return [(first, request.look, request.centre)]


def picture(
    renderer: Renderer,
    request: VolumeRequest,
    where: Plane,
    layers: Sequence[Layer],
    displays: Sequence[SegmentDisplay],
    fused: Sequence[FusedVolume],
) -> npt.NDArray[np.uint8]:
    """Make one frame."""
    window = request.window or Window(0.0, 1.0, "LINEAR_EXACT")
    if request.kind == "mpr":
        mode, thickness = _MODES.get(request.method, "mean"), request.slab or 0.0
        image = renderer.mpr(where, thickness=thickness, mode=mode)
        grey = image.window(window.center, window.width, window.function)
        inside = inside_of(renderer, where, thickness / 2)
        if inside is not None:
            grey *= inside.view(np.uint8)
        return fuse(grey, where, layers, thickness=thickness, mode=mode) if layers else grey
    seen = Camera(where, step=finest_spacing(renderer.view))
    if request.method == "volume_rendered":
        quality: Literal["final", "interactive"] = "interactive" if request.interactive else "final"
        if fused:
            volumes = [FusedVolume(renderer, *renderer.transfer(request.preset)), *fused]
            found = render_fused(volumes, seen, quality=quality)
        else:
            found = renderer.render(seen, request.preset, quality=quality, segments=displays)
    else:
        image = renderer.project(seen, mode=_MODES[request.method], outside=window.center - 3 * window.width)
        found = image.window(window.center, window.width, window.function)
    return fuse_projections(found, seen, layers) if layers else found


def shape_of(viewport: tuple[int, int] | None, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns: the viewport's, else as large as the voxels are, within reason."""
    width, height = viewport or (0, 0)
    if width and height:
        return height, width
    if width or height:
        scale = width / columns if width else height / rows
    else:
        scale = min(1.0, _NATURAL_SIDE / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _swivel(range_degrees: float, step: float) -> Iterator[float]:
    """Angles of a swivel: its first view in the middle of the range, there and back (PS3.18 8.3.5.3.9)."""
    count = max(1, round(range_degrees / step))
    if count > MAX_FRAMES:
        raise LimitExceeded(f"an animation has at most {MAX_FRAMES} frames")
    for index in range(count):
        yield index * range_degrees / count - range_degrees / 2 if count > 1 else 0.0


def _turned(request: VolumeRequest, degrees: float) -> Vector:
    """Turn the look about the axis parallel to `up`."""
    look, axis = np.asarray(request.look), unit(request.up, "the upper edge")
    angle = np.deg2rad(degrees)
    turned = look * np.cos(angle) + np.cross(axis, look) * np.sin(angle) + axis * (axis @ look) * (1 - np.cos(angle))
    x, y, z = turned.tolist()
    return x, y, z


def _along(curve: Sequence[Vector], step: float) -> tuple[list[Vector], list[Vector]]:
    """Points along a curve and its direction there."""
    line = np.asarray(curve, np.float64)
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    if not (lengths > 1e-6).all():
        raise UsageError("points of a curve must differ from their neighbours")
    at = np.concatenate(([0.0], np.cumsum(lengths)))
    count = int(at[-1] / step) + 1
    if count > MAX_FRAMES:
        raise LimitExceeded(f"an animation has at most {MAX_FRAMES} frames")
    where = np.arange(count) * step
    points = np.stack([np.interp(where, at, line[:, axis]) for axis in range(3)], 1)
    segment = np.clip(np.searchsorted(at, where, side="right") - 1, 0, len(lengths) - 1)
    looks = (np.diff(line, axis=0) / lengths[:, None])[segment]
    return [(x, y, z) for x, y, z in points.tolist()], [(x, y, z) for x, y, z in looks.tolist()]


def _matches(dataset: pydicom.Dataset, matches: Sequence[tuple[str, str]]) -> bool:
    return all(_has(dataset, name, wanted) for name, wanted in matches)


def _has(dataset: pydicom.Dataset, name: str, wanted: str) -> bool:
    """Whether an attribute, wherever in the data set, has a value: single, a list, or a range of numbers."""
    from pydicom.datadict import keyword_for_tag

    keyword = keyword_for_tag(int(name, 16)) if len(name) == 8 and name[0] in "0123456789" else name
    for element in dataset.iterall():
        if element.keyword == keyword:
            values = element.value if element.VM > 1 else [element.value]
            if any(_is(str(value), wanted) for value in values):
                return True
    return False


def _is(value: str, wanted: str) -> bool:
    if value == wanted or value in wanted.split(","):
        return True
    low, dash, high = wanted.partition("-")
    try:
        return bool(dash) and float(low or "-inf") <= float(value) <= float(high or "inf")
    except ValueError:
        return False
