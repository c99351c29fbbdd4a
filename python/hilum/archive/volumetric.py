"""Pictures of volumetric presentation states as a use case: the volumes that a state refers to, seen as it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.archive.registrations import Registrations
from hilum.archive.volume_images import shape_of
from hilum.dicom.dataset import to_dataset
from hilum.errors import Conflict, DataError, LimitExceeded, NotFound
from hilum.pixels.settings import Window
from hilum.render.compositing import composite, rgba
from hilum.render.geometry import finest_spacing
from hilum.render.volumetric_state import read_volumetric_state
from hilum.volumes.view import affine_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.archive.volume_images import VolumeImages, VolumeSource
    from hilum.index.base import InstanceRecord
    from hilum.render.geometry import Plane
    from hilum.render.renderer import Renderer, Slice
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


@dataclass(frozen=True, slots=True)
class StatePicture:
    """A volumetric presentation state, and the volumes that it shows."""

    state: VolumetricState
    sources: dict[int, _Source]
    """By the numbers of the inputs."""

    @classmethod
    def of(cls, images: VolumeImages, retriever: Retriever, record: InstanceRecord) -> StatePicture:
        """Read a state and find its volumes.

        Raises
        ------
        UsageError
            A state that is not rendered; the message says why.
        NotFound
            An image or registration that it refers to is not here.
        Conflict
            A volume is in another frame of reference, and no registration relates it to that of the state.
        DataError
            The state is malformed.
        NotAVolume
            The images make none.
        """
        if record.location.length > _MAX_STATE_BYTES:
            raise LimitExceeded("the presentation state is longer than 64 MiB")
        state = read_volumetric_state(to_dataset(retriever.read(record)))
        registrations = Registrations(retriever)
        return cls(state, {one.number: _source(state, one, images, retriever, registrations) for one in state.inputs})

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
            return _volume(state, state.inputs[0], renderers[state.inputs[0].number], shape, finest)
        if not state.components:
            return _grey(state, state.inputs[0], renderers[state.inputs[0].number], shape)
        layers = []
        for component in state.components:
            values, kept = _cut(state, state.input(component.input), renderers[component.input], shape)
            layer = rgba(component.transfer(state.input(component.input).window), values.values)
            layer[~kept] = 0
            layers.append(layer)
        shown: npt.NDArray[np.uint8] = np.rint(composite(layers, state.weights) * 255).astype(np.uint8)
        return shown


def _source(
    state: VolumetricState,
    one: VolumetricInput,
    images: VolumeImages,
    retriever: Retriever,
    registrations: Registrations,
) -> _Source:
    """Find the volume of an input, and bring it into the frame of reference of the state (PS3.3 C.11.23.3)."""
    found = retriever.lookup(one.references)
    records = [record for record in found if record is not None]
    if len(records) < len(found):
        raise NotFound(f"{len(found) - len(records)} images of the presentation state are not here")
    source = images.source(records, (), ())
    own, wanted = source.volume.stack.frame_of_reference_uid, state.frame_of_reference_uid
    if not one.registrations:
        if wanted not in ("", own):
            raise Conflict("the presentation state is in another frame of reference than its volume")
        return _Source(source, None)
    matrices = registrations.matrices(one.registrations)
    if own not in matrices or (wanted and wanted not in matrices):
        raise Conflict("the registration does not relate the frame of reference of a volume to that of the state")
    if abs(float(np.linalg.det(matrices[own][:3, :3]))) < _SINGULAR:
        raise DataError("Frame of Reference Transformation Matrix (3006,00C6) cannot be inverted", code=8)
    return _Source(source, matrices[own])


def _window(one: VolumetricInput, renderer: Renderer) -> Window:
    if one.window is not None:
        return one.window
    low, high = renderer.value_range
    return Window((low + high) / 2, max(high - low, 1.0), "LINEAR_EXACT")


def _cut(
    state: VolumetricState, one: VolumetricInput, renderer: Renderer, shape: tuple[int, int]
) -> tuple[Slice, npt.NDArray[np.bool_]]:
    """Cut the volume of an input with the plane of the state; and what of the image is not cropped."""
    plane = state.plane(shape)
    cut = renderer.mpr(plane, thickness=state.view.slab, mode=state.view.mode)
    return cut, _kept(plane, state.clips(one, affine_of(renderer.view)))


def _grey(
    state: VolumetricState, one: VolumetricInput, renderer: Renderer, shape: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    cut, kept = _cut(state, one, renderer, shape)
    window = _window(one, renderer)
    shown = cut.window(window.center, window.width, window.function)
    if state.inverse:
        shown = np.invert(shown)
    shown[~kept] = 255 if state.inverse else 0
    return shown


def _volume(
    state: VolumetricState, one: VolumetricInput, renderer: Renderer, shape: tuple[int, int], finest: float
) -> npt.NDArray[np.uint8]:
    camera, clips = state.camera(shape, finest), state.clips(one, affine_of(renderer.view))
    if state.view.shaded:
        transfer = state.components[0].transfer(one.window, state.view.step)
        return renderer.render(camera, transfer, shading=state.shading, clip=clips)
    window = _window(one, renderer)
    shown = renderer.project(camera, mode=state.view.mode, clip=clips).window(
        window.center, window.width, window.function
    )
    return np.invert(shown) if state.inverse else shown


def _kept(plane: Plane, clips: list[tuple[float, float, float, float]]) -> npt.NDArray[np.bool_]:
    """Which pixels of a plane are not cropped."""
    rows, columns = plane.shape
    affine = plane.affine
    kept = np.ones(plane.shape, bool)
    for *normal, offset in clips:
        across, down, start = (float(np.dot(normal, affine[:3, axis])) for axis in (0, 1, 3))
        kept &= start + across * np.arange(columns) + down * np.arange(rows)[:, None] >= offset - 1e-6
    return kept
