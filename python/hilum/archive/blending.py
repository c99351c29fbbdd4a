"""Blending presentation states (PS3.3 A.33.4, A.33.7, PS3.4 N.2.4, N.2.6): images in one plane, over each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.archive.image_planes import ImagePlanes, mapping, rigid
from hilum.archive.registrations import Registrations
from hilum.errors import DataError, NotFound, UsageError
from hilum.pixels.advanced_blending import blend
from hilum.pixels.description import RenderingAttributes
from hilum.pixels.mask_subtraction import modality_values
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import display_settings, input_state, sides_of
from hilum.pixels.settings import RenderSettings
from hilum.types import PixelDescription
from hilum.volumes.registration import rigid_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from hilum.archive.image_planes import ImagePlane
    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.pixels.advanced_blending import BlendingInput, Visible
    from hilum.pixels.presentation_state import ImageReference, PresentationState
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["Blender", "sampled"]

_NATIVE: Final = "1.2.840.10008.1.2.1"
_BAND: Final = 64
"""Rows that are blended at once: no arrays of numbers of the size of the picture."""
_Side = tuple["npt.NDArray[np.uint8]", "npt.NDArray[np.bool_] | None", "npt.NDArray[np.float64]"]
"""Red, green, blue of an image; what of it is seen, None: all; and where its pixels are for those of the picture."""


class Blender:
    """Renders images by blending presentation states; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    frames : callable
        Gives the geometry of the frames of some objects.
    """

    def __init__(self, retriever: Retriever, frames: Callable[[Sequence[InstanceRecord]], SeriesFrames]) -> None:
        self._retriever = retriever
        self._planes = ImagePlanes(frames)
        self._registrations = Registrations(retriever)

    def blended(
        self, state: PresentationState, record: InstanceRecord, frame: int, wanted: RenderSettings
    ) -> npt.NDArray[Any]:
        """Render an image with what is blended with it.

        The image of each other side or input is the one that is parallel and nearest, within half a slice; it is
        interpolated linearly where the pixels of `record` are, in the same frame of reference, or one that a rigid
        registration of the state relates to it.

        Parameters
        ----------
        state : PresentationState
            Of kind blending or advanced-blending.
        record : InstanceRecord
            Of the underlying image, or one of the input with the geometry of the picture.
        frame : int
            From 0.
        wanted : RenderSettings
            Size of the picture.

        Returns
        -------
        ndarray
            ``(rows, columns, 3)`` of ``uint8``, without annotations.

        Raises
        ------
        UsageError
            The state is not for that image, a registration is not rigid.
        NotFound
            No superimposed image of the state lies in the plane, or a registration is not stored.
        DataError
            The images have no image plane.
        """
        plane = self._planes.of(record, frame)
        mixed = (
            self._superimposed(state, record, frame, plane)
            if state.advanced is None
            else self._steps(state, record, frame, plane)
        )
        native = PixelDescription(mixed.shape[0], mixed.shape[1], 3, 0, 8, 8, 7, 0, "RGB", 1, "PixelData")
        both = replace(state, kind="color", superimposed=None, advanced=None)
        final = display_settings(both, record.sop_instance_uid, frame + 1, native, wanted)
        if final.displayed_area is None:
            final = replace(final, pixel_aspect=plane.spacing[0] / plane.spacing[1])
        return render_pixels(mixed.tobytes(), _NATIVE, native, RenderingAttributes(), final)

    def _side(self, state: PresentationState, record: InstanceRecord, frame: int) -> npt.NDArray[Any]:
        """One of the images as its side of the state says, pixel by pixel."""
        pixels = self._retriever.require_pixels(record)
        settings = display_settings(state, record.sop_instance_uid, frame + 1, pixels, RenderSettings())
        return self._retriever.rendered_array(record, frame, replace(settings, square_pixels=False))

    def _images(
        self, references: Sequence[ImageReference], record: InstanceRecord
    ) -> Iterator[tuple[InstanceRecord, int]]:
        """Images and frames, from 0, of references that are stored in the study of an image."""
        found = self._retriever.lookup([reference.sop_instance_uid for reference in references])
        for reference, one in zip(references, found, strict=True):
            if one is None or one.study_instance_uid != record.study_instance_uid:
                continue
            for number in reference.frames or range(1, self._retriever.frame_count(one) + 1):
                yield one, number - 1

    # A grey image under a coloured one

    def _superimposed(
        self, state: PresentationState, record: InstanceRecord, frame: int, plane: ImagePlane
    ) -> npt.NDArray[np.uint8]:
        under, over, opacity = sides_of(state)
        below = self._side(under, record, frame)
        matrices = self._registrations.matrices(state.superimposed.registrations if state.superimposed else ())
        best: tuple[float, tuple[InstanceRecord, int], ImagePlane] | None = None
        for found in self._images(over.references, record):
            other = self._planes.of(*found)
            if other.frame_of_reference_uid != plane.frame_of_reference_uid:
                matrix = rigid_between(matrices, other.frame_of_reference_uid, plane.frame_of_reference_uid)
                if matrix is None:
                    raise UsageError("images of different frames of reference are blended by a rigid registration only")
                other = other.moved(matrix, plane.frame_of_reference_uid)
            distance = plane.distance(other)
            if distance is not None and (best is None or distance < best[0]):
                best = distance, found, other
        if best is None:
            raise NotFound("no superimposed image of the presentation state lies in the plane of the image")
        above = self._side(over, *best[1])
        return _mixed(np.repeat(below[:, :, None], 3, axis=2), above, mapping(plane, best[2]), opacity)

    # Inputs and steps

    def _steps(
        self, state: PresentationState, record: InstanceRecord, frame: int, plane: ImagePlane
    ) -> npt.NDArray[np.uint8]:
        advanced = state.advanced
        assert advanced is not None
        pixels = self._retriever.require_pixels(record)
        target = advanced.frame_of_reference_uid or plane.frame_of_reference_uid
        here = self._placed(advanced.shown, plane, target)
        sides = {one.number: self._input(state, one, (record, frame), here, target) for one in advanced.inputs}
        mixed = np.zeros((pixels.rows, pixels.columns, 3), np.uint8)
        nothing = np.zeros((_BAND, pixels.columns, 3), np.float32), np.zeros((_BAND, pixels.columns), bool)
        for first in range(0, pixels.rows, _BAND):
            rows = np.arange(first, min(first + _BAND, pixels.rows))
            inputs: dict[int, Visible] = {
                number: (nothing[0][: len(rows)], nothing[1][: len(rows)])
                if side is None
                else sampled(*side, rows, pixels.columns)
                for number, side in sides.items()
            }
            mixed[rows] = np.rint(blend(advanced.steps, inputs))
        return mixed

    def _placed(self, one: BlendingInput, plane: ImagePlane, target: str) -> ImagePlane:
        """The plane of an image of an input in the frame of reference of the state (PS3.3 C.11.33)."""
        if not one.registrations:
            if plane.frame_of_reference_uid != target:
                raise UsageError("an input in another frame of reference is blended by a rigid registration only")
            return plane
        matrices = self._registrations.matrices(one.registrations)
        if plane.frame_of_reference_uid not in matrices or target not in matrices:
            raise DataError("a registration (0070,0404) does not relate its input to the presentation state", code=8)
        return plane.moved(rigid(matrices[plane.frame_of_reference_uid]), target)

    def _input(
        self,
        state: PresentationState,
        one: BlendingInput,
        image: tuple[InstanceRecord, int],
        here: ImagePlane,
        target: str,
    ) -> _Side | None:
        """The image of an input in a plane; None: it has none there, so nothing of it is seen."""
        best: tuple[float, tuple[InstanceRecord, int], ImagePlane] | None = None
        assert state.advanced is not None
        if one is state.advanced.shown:
            best = 0.0, image, here
        for found in () if best else self._images(one.references, image[0]):
            other = self._placed(one, self._planes.of(*found), target)
            distance = here.distance(other)
            if distance is not None and (best is None or distance < best[0]):
                best = distance, found, other
        if best is None:
            return None
        own = input_state(state, one, self._retriever.require_pixels(best[1][0]))
        shown = self._side(own, *best[1])
        colour = shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, axis=2)
        return colour, self._seen(one, own, *best[1]), mapping(here, best[2])

    def _seen(
        self, one: BlendingInput, state: PresentationState, record: InstanceRecord, frame: int
    ) -> npt.NDArray[np.bool_] | None:
        """Which pixels of an image are neither padding nor beyond the thresholds; None: all."""
        padding = self._retriever.rendering_attributes(record, frame).as_dict()["pixel_padding"]
        if padding is None and not one.thresholds:
            return None
        stored = self._retriever.decode_frames([(record, frame)])[0]
        if stored.ndim > 2:
            raise UsageError("ThresholdSequence (0070,1B11) is for grey images")
        seen = np.ones(stored.shape, bool) if padding is None else (stored < padding[0]) | (stored > padding[1])
        if one.thresholds:
            values = modality_values(stored, state.modality_of(record.sop_instance_uid, frame + 1))
            seen &= np.logical_or.reduce([threshold.shows(values) for threshold in one.thresholds])
        return seen


def sampled(
    colour: npt.NDArray[np.uint8],
    seen: npt.NDArray[np.bool_] | None,
    where: npt.NDArray[np.float64],
    rows: npt.NDArray[np.intp],
    columns: int,
) -> Visible:
    """Interpolate an image linearly at the pixels of a picture; pixels that are not seen have no part in it.

    Parameters
    ----------
    colour : ndarray
        ``(rows, columns, 3)`` of the image.
    seen : ndarray, optional
        ``(rows, columns)``; None: all of it is.
    where : ndarray
        ``(2, 3)``: row and column in the image of row, column and 1 in the picture.
    rows : ndarray
        Those of the picture.
    columns : int
        Of the picture.

    Returns
    -------
    tuple of ndarray
        Colours, 0 where nothing is seen, and where something is: inside of the image, and half or more of what is
        interpolated is seen.
    """
    height, width = colour.shape[:2]
    y, x = (line[0] * rows[:, None] + line[1] * np.arange(columns) + line[2] for line in where)
    inside = (y >= -0.5) & (y <= height - 0.5) & (x >= -0.5) & (x <= width - 0.5)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    top, left = y.astype(np.intp), x.astype(np.intp)
    v, u = (y - top).astype(np.float32), (x - left).astype(np.float32)
    total = np.zeros((len(rows), columns, 3), np.float32)
    weight = np.zeros((len(rows), columns), np.float32)
    for down in (0, 1):
        for across in (0, 1):
            at = np.minimum(top + down, height - 1), np.minimum(left + across, width - 1)
            share = (v if down else 1 - v) * (u if across else 1 - u)
            if seen is not None:
                share = share * seen[at]
            total += colour[at] * share[..., None]
            weight += share
    visible = inside & (weight >= 0.5 - 1e-6)
    total[~visible] = 0
    total[visible] /= weight[visible][:, None]
    return total, visible


def _mixed(
    below: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], where: npt.NDArray[np.float64], opacity: float
) -> npt.NDArray[np.uint8]:
    """Lay `above` over `below`; beyond its edge `below` is seen alone."""
    mixed = below.copy()
    for first in range(0, below.shape[0], _BAND):
        rows = np.arange(first, min(first + _BAND, below.shape[0]))
        value, inside = sampled(above, None, where, rows, below.shape[1])
        band = mixed[first : first + _BAND]
        band[inside] = np.rint((1 - opacity) * band[inside] + opacity * value[inside])
    return mixed
