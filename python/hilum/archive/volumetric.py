"""Pictures of volumetric presentation states as a use case: the volumes that a state refers to, seen as it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.archive.registrations import Registrations
from hilum.archive.segmented import read_segmentation
from hilum.archive.volume_images import shape_of
from hilum.dicom.dataset import to_dataset
from hilum.errors import Conflict, DataError, LimitExceeded, NotFound, UsageError
from hilum.pixels.settings import Window
from hilum.render.compositing import composite, rgba
from hilum.render.fused import FusedVolume, MaskCrop, render_fused
from hilum.render.geometry import finest_spacing
from hilum.render.renderer import Renderer
from hilum.render.volumetric_state import read_volumetric_state
from hilum.volumes.contours import StructureSet
from hilum.volumes.masks import Grid
from hilum.volumes.view import affine_of, from_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.archive.volume_images import VolumeImages, VolumeSource
    from hilum.index.base import InstanceRecord
    from hilum.render.cropping import Crop
    from hilum.render.geometry import Camera, Plane, Vector
    from hilum.render.renderer import Slice
    from hilum.render.volumetric_state import VolumetricInput, VolumetricState

__all__ = ["StatePicture"]

_MAX_STATE_BYTES: Final = 64 << 20
_SINGULAR: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Source:
    """The volume of an input, and where it lies in the frame of reference of the state."""

    volume: VolumeSource
    matrix: npt.NDArray[np.float64] | None
    """None: where it lies in its own."""
    crops: tuple[MaskCrop, ...]
    """Segments that crop it."""


@dataclass(frozen=True, slots=True)
class StatePicture:
    """A volumetric presentation state, and the volumes that it shows."""

    state: VolumetricState
    sources: dict[int, _Source]
    """By the numbers of the inputs."""

    @classmethod
    def of(cls, archive: Archive, record: InstanceRecord) -> StatePicture:
        """Read a state and find its volumes.

        Raises
        ------
        UsageError
            A state that is not rendered; the message says why.
        NotFound
            An image, registration or segment that it refers to is not here.
        Conflict
            A volume or segmentation is in another frame of reference, and no registration relates it to the state's.
        DataError
            The state is malformed.
        NotAVolume
            The images make none.
        """
        if record.location.length > _MAX_STATE_BYTES:
            raise LimitExceeded("the presentation state is longer than 64 MiB")
        state = read_volumetric_state(to_dataset(archive.retrieve.read(record)))
        registrations = Registrations(archive.retrieve)
        return cls(state, {one.number: _source(state, one, archive, registrations) for one in state.inputs})

    def turned(
        self, look: npt.ArrayLike, up: npt.ArrayLike, target: Vector | None, position: Vector | None
    ) -> StatePicture:
        """See it from elsewhere (PS3.18 8.3.5.3.4 to 8.3.5.3.7), at the point and from the viewpoint that are given."""
        return replace(self, state=replace(self.state, view=self.state.view.turned(look, up, target, position)))

    @property
    def volumes(self) -> list[VolumeSource]:
        """The volumes, in the order of the state."""
        return [source.volume for source in self.sources.values()]

    @property
    def warnings(self) -> list[str]:
        """What the picture leaves out."""
        return ["annotations of the presentation state are not drawn"] if self.state.annotated else []

    def render(self, images: VolumeImages, viewport: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
        """Render to ``(rows, columns)`` of grey or ``(rows, columns, 3)`` of RGB.

        Parameters
        ----------
        images : VolumeImages
        viewport : (columns, rows), optional
            0: as the other and the view demand. The view of the state is stretched to it.
        """
        state = self.state
        renderers = {
            number: images.renderer(source.volume.volume, source.volume.times[0], source.matrix)
            for number, source in self.sources.items()
        }
        finest = min(finest_spacing(renderer.view) for renderer in renderers.values())
        natural = [max(1, round(length / finest)) for length in state.view.size]
        shape = shape_of(viewport, natural[0], natural[1])
        if state.kind == "3d":
            return self._volume(renderers, shape, finest)
        if not state.streams:
            return self._grey(renderers, shape)
        layers = []
        for (component,) in state.streams:
            values, kept = self._cut(component.input, renderers[component.input], shape)
            layer = rgba(component.transfer(state.input(component.input).window), values.values)
            layer[~kept] = 0
            layers.append(layer)
        shown: npt.NDArray[np.uint8] = np.rint(composite(layers, state.weights) * 255).astype(np.uint8)
        return shown

    def _cut(self, number: int, renderer: Renderer, shape: tuple[int, int]) -> tuple[Slice, npt.NDArray[np.bool_]]:
        """Cut the volume of an input with the plane of the state; and what of the image is not cropped."""
        state, plane = self.state, self.state.plane(shape)
        cut = renderer.mpr(plane, thickness=state.view.slab, mode=state.view.mode)
        kept = _kept(plane, state.clips(state.input(number), affine_of(renderer.view)))
        for crop in self.sources[number].crops:
            kept &= (crop.renderer.mpr(plane, interpolation="nearest", outside=0.0).stored > 0) != crop.excludes
        return cut, kept

    def _grey(self, renderers: dict[int, Renderer], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
        (one,) = self.state.inputs
        cut, kept = self._cut(one.number, renderers[one.number], shape)
        window = _window(one, renderers[one.number])
        shown = cut.window(window.center, window.width, window.function)
        if self.state.inverse:
            shown = np.invert(shown)
        shown[~kept] = 255 if self.state.inverse else 0
        return shown

    def _volume(self, renderers: dict[int, Renderer], shape: tuple[int, int], finest: float) -> npt.NDArray[np.uint8]:
        state = self.state
        if not state.view.shaded:
            return self._projection(renderers, state.camera(shape, finest))
        # Streams are weighted by the opacities of the state, which are of one step.
        camera = state.camera(shape, 1.0 if state.weights else finest)
        volumes = [
            FusedVolume(
                renderers[component.input],
                component.transfer(state.input(component.input).window, state.view.step),
                state.shading,
                state.clips(state.input(component.input), affine_of(renderers[component.input].view)),
                self.sources[component.input].crops,
                stream,
            )
            for stream, components in enumerate(state.streams)
            for component in components
        ]
        if len(volumes) > 1 or volumes[0].crops:
            return render_fused(volumes, camera, weights=state.weights)
        (one,) = volumes  # the same image by vector kernels
        return one.renderer.render(camera, one.transfer, shading=one.shading, clip=one.clip)

    def _projection(self, renderers: dict[int, Renderer], camera: Camera) -> npt.NDArray[np.uint8]:
        state, (one,) = self.state, self.state.inputs
        renderer, window = renderers[one.number], _window(one, renderers[one.number])
        if self.sources[one.number].crops:
            raise UsageError("a projection of a volume that is cropped by segments is not rendered")
        found = renderer.project(camera, mode=state.view.mode, clip=state.clips(one, affine_of(renderer.view)))
        shown = found.window(window.center, window.width, window.function)
        return np.invert(shown) if state.inverse else shown


def _source(state: VolumetricState, one: VolumetricInput, archive: Archive, registrations: Registrations) -> _Source:
    """Find the volume of an input, and bring it into the frame of reference of the state (PS3.3 C.11.23.3)."""
    found = archive.retrieve.lookup(one.references)
    records = [record for record in found if record is not None]
    if len(records) < len(found):
        raise NotFound(f"{len(found) - len(records)} images of the presentation state are not here")
    source = archive.volume_images.source(records, (), ())
    own, wanted = source.volume.stack.frame_of_reference_uid, state.frame_of_reference_uid
    matrix: npt.NDArray[np.float64] | None = None
    if one.registrations:
        matrices = registrations.matrices(one.registrations)
        if own not in matrices or (wanted and wanted not in matrices):
            raise Conflict("the registration does not relate the frame of reference of a volume to that of the state")
        matrix = matrices[own]
        if abs(float(np.linalg.det(matrix[:3, :3]))) < _SINGULAR:
            raise DataError("Frame of Reference Transformation Matrix (3006,00C6) cannot be inverted", code=8)
    elif wanted not in ("", own):
        raise Conflict("the presentation state is in another frame of reference than its volume")
    crops = tuple(_crop(crop, archive, source, matrix) for crop in one.crops if crop.segments)
    return _Source(source, matrix, crops)


def _crop(crop: Crop, archive: Archive, source: VolumeSource, matrix: npt.NDArray[np.float64] | None) -> MaskCrop:
    """Put the segments of a crop together on the voxels of the volume that they crop (PS3.3 C.11.24.1)."""
    volume = source.volume
    z, y, x = volume.stack.shape
    grid = Grid((z, y, x), np.asarray(volume.affine))
    inside = np.zeros(grid.shape, np.uint8)
    for uid, numbers in crop.segments:
        (record,) = archive.retrieve.lookup([uid])
        if record is None:
            raise NotFound("a segmentation of the presentation state is not here")
        segmentation = read_segmentation(archive, record)
        if isinstance(segmentation, StructureSet):
            raise UsageError("a presentation state is cropped by segmentations, not by structure sets")
        chosen = numbers or tuple(one.number for one in segmentation.segments if not one.background)
        for mask in map(segmentation.mask, chosen):
            if mask.frame_of_reference_uid != volume.stack.frame_of_reference_uid:
                raise Conflict("a segmentation that crops is in another frame of reference than the volume")
            inside |= mask.on(grid).inside
    affine = grid.affine if matrix is None else matrix @ grid.affine
    return MaskCrop(Renderer(from_array(inside, affine=affine)), crop.excludes)


def _window(one: VolumetricInput, renderer: Renderer) -> Window:
    if one.window is not None:
        return one.window
    low, high = renderer.value_range
    return Window((low + high) / 2, max(high - low, 1.0), "LINEAR_EXACT")


def _kept(plane: Plane, clips: list[tuple[float, float, float, float]]) -> npt.NDArray[np.bool_]:
    """Which pixels of a plane are not cropped."""
    rows, columns = plane.shape
    affine = plane.affine
    kept = np.ones(plane.shape, bool)
    for *normal, offset in clips:
        across, down, start = (float(np.dot(normal, affine[:3, axis])) for axis in (0, 1, 3))
        kept &= start + across * np.arange(columns) + down * np.arange(rows)[:, None] >= offset - 1e-6
    return kept
