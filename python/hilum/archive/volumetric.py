"""Pictures of volumetric presentation states as a use case: the volume that a state refers to, seen as it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hilum.archive.volume_images import shape_of
from hilum.dicom.dataset import to_dataset
from hilum.errors import Conflict, LimitExceeded, NotFound
from hilum.pixels.settings import Window
from hilum.render.geometry import finest_spacing
from hilum.render.volumetric_state import read_volumetric_state

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.archive.volume_images import VolumeImages, VolumeSource
    from hilum.index.base import InstanceRecord
    from hilum.render.geometry import Plane
    from hilum.render.renderer import Slice
    from hilum.render.volumetric_state import VolumetricState

__all__ = ["StatePicture"]

_MAX_STATE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class StatePicture:
    """A volumetric presentation state, and the volume that it shows."""

    state: VolumetricState
    source: VolumeSource

    @classmethod
    def of(cls, images: VolumeImages, retriever: Retriever, record: InstanceRecord) -> StatePicture:
        """Read a state and find its volume.

        Raises
        ------
        UsageError
            A state that is not rendered; the message says why.
        NotFound
            An image that it refers to is not here.
        Conflict
            The volume is in another frame of reference.
        DataError
            The state is malformed.
        NotAVolume
            The images make none.
        """
        if record.location.length > _MAX_STATE_BYTES:
            raise LimitExceeded("the presentation state is longer than 64 MiB")
        state = read_volumetric_state(to_dataset(retriever.read(record)))
        found = retriever.lookup(state.references)
        records = [one for one in found if one is not None]
        if len(records) < len(found):
            raise NotFound(f"{len(found) - len(records)} images of the presentation state are not here")
        source = images.source(records, (), ())
        frame_of_reference = source.volume.stack.frame_of_reference_uid
        if state.frame_of_reference_uid not in ("", frame_of_reference):
            raise Conflict("the presentation state is in another frame of reference than its volume")
        return cls(state, source)

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
        renderer = images.renderer(self.source.volume, self.source.times[0])
        finest = finest_spacing(renderer.view)
        natural = [max(1, round(length / finest)) for length in state.view.size]
        shape = shape_of(viewport, natural[0], natural[1])
        affine = np.asarray(renderer.view.layout[5]).reshape(4, 4)
        clips = state.clips(affine)
        window = state.window
        if window is None:
            low, high = renderer.value_range
            window = Window((low + high) / 2, max(high - low, 1.0), "LINEAR_EXACT")
        if state.kind == "3d":
            camera = state.camera(shape, finest)
            if state.view.shaded:
                return renderer.render(camera, state.transfer(), shading=state.shading, clip=clips)
            projected = renderer.project(camera, mode=state.view.mode, clip=clips)
            return _shown(state, projected, window)
        plane = state.plane(shape)
        cut = renderer.mpr(plane, thickness=state.view.slab, mode=state.view.mode)
        shown = _shown(state, cut, window)
        if clips:
            shown[~_kept(plane, clips)] = 255 if state.inverse and state.tables is None else 0
        return shown


def _shown(state: VolumetricState, cut: Slice, window: Window) -> npt.NDArray[np.uint8]:
    """Bring values to the display: a window, or the colours of the state."""
    if state.tables is None or state.kind == "3d":
        grey = cut.window(window.center, window.width, window.function)
        return np.invert(grey) if state.inverse else grey
    values, colours = cut.values, np.asarray(state.transfer().colours)
    parts = [np.interp(values, colours[:, 0], colours[:, part]) for part in (1, 2, 3)]
    rgb: npt.NDArray[np.uint8] = np.rint(np.stack(parts, -1) * 255).astype(np.uint8)
    return rgb


def _kept(plane: Plane, clips: list[tuple[float, float, float, float]]) -> npt.NDArray[np.bool_]:
    """Which pixels of a plane are not cropped."""
    rows, columns = plane.shape
    affine = plane.affine
    kept = np.ones(plane.shape, bool)
    for *normal, offset in clips:
        across, down, start = (float(np.dot(normal, affine[:3, axis])) for axis in (0, 1, 3))
        kept &= start + across * np.arange(columns) + down * np.arange(rows)[:, None] >= offset - 1e-6
    return kept
