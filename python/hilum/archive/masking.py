"""Frames of angiography less their mask, as a presentation state says (PS3.4 N.2.1.2, N.2.5.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import LimitExceeded
from hilum.pixels.mask_subtraction import modality_values, moved, within
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import difference_settings
from hilum.pixels.presentation_state import covers
from hilum.volumes.polygons import fill_polygons

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.pixels.mask_subtraction import Mask
    from hilum.pixels.presentation_state import PresentationState
    from hilum.pixels.settings import RenderSettings

__all__ = ["rendered_difference"]

_NATIVE: Final = "1.2.840.10008.1.2.1"
_MOST_BYTES: Final = 256 << 20


def rendered_difference(
    retriever: Retriever, state: PresentationState, record: InstanceRecord, frame: int, settings: RenderSettings
) -> npt.NDArray[Any] | None:
    """Render a frame less its mask.

    Parameters
    ----------
    retriever : Retriever
    state : PresentationState
    record : InstanceRecord
        Of the image.
    frame : int
        From 0.
    settings : RenderSettings
        As from `display_settings`.

    Returns
    -------
    ndarray or None
        As of `Retriever.rendered_array`; None: no mask of the state is for this frame.

    Raises
    ------
    LimitExceeded
        The frames of the mask have more than 256 MiB.
    DataError
        One of them cannot be decoded.
    """
    found = _mask_of(state, record, frame + 1, retriever.frame_count(record))
    if found is None:
        return None
    mask, contrast, behind, visibility = found
    pixels = retriever.require_pixels(record)
    if max(len(contrast), len(behind)) * pixels.rows * pixels.columns * 8 > _MOST_BYTES:
        raise LimitExceeded("the frames of a mask have more than 256 MiB")
    modality = mask.table_of(frame + 1) or state.modality_of(record.sop_instance_uid, frame + 1)
    less = _mean(retriever, state, record, mask, behind) * (1 - visibility)
    shown = _subtracted(_mean(retriever, state, record, mask, contrast), less, mask, frame + 1).astype(np.float32)
    described = replace(
        pixels, bits_allocated=32, bits_stored=32, high_bit=31, pixel_representation=0, keyword="FloatPixelData",
        number_of_frames=1, planar_configuration=0,
    )  # fmt: skip
    attributes = retriever.rendering_attributes(record, frame)
    settings = difference_settings(state, record.sop_instance_uid, frame + 1, pixels, settings, modality)
    return render_pixels(shown.tobytes(), _NATIVE, described, attributes, settings)


def _mask_of(
    state: PresentationState, record: InstanceRecord, frame: int, count: int
) -> tuple[Mask, range, tuple[int, ...], float] | None:
    """Give the mask of a frame (from 1), the frames of both sides, and the part of the mask that stays visible."""
    uid = record.sop_instance_uid
    viewing = (view for view in state.viewing if within(view.ranges, frame) and covers(view.references, uid, frame))
    visibility = next((view.visibility for view in viewing), 0.0)
    if visibility < 1:  # else the frame is shown as it is (PS3.3 C.8.19.7.1)
        for mask in state.masks:
            frames = mask.frames(frame, count) if covers(mask.references, uid, frame) else None
            if frames is not None:
                return mask, *frames, visibility
    return None


def _mean(
    retriever: Retriever, state: PresentationState, record: InstanceRecord, mask: Mask, numbers: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Mean of frames (from 1) behind the transformation of each."""
    stored = retriever.decode_frames([(record, number - 1) for number in numbers])
    values = [
        modality_values(pixels, mask.table_of(number) or state.modality_of(record.sop_instance_uid, number))
        for pixels, number in zip(stored, numbers, strict=True)
    ]
    mean: npt.NDArray[np.float64] = np.mean(values, axis=0)
    return mean


def _subtracted(
    contrast: npt.NDArray[np.float64], mask: npt.NDArray[np.float64], how: Mask, frame: int
) -> npt.NDArray[np.float64]:
    """Subtract the mask, moved where the item says so (PS3.3 C.11.19.1.2); outside of all regions it is not moved."""
    less = mask
    for shift in how.shifts:
        if not within(shift.ranges, frame):
            continue
        there = moved(mask, shift.rows, shift.columns)
        less = np.where(_inside(shift.region, mask.shape), there, less) if shift.region else there
    return contrast - less


def _inside(region: tuple[tuple[int, int], ...], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Pixels of a polygon with all of its edges: `fill_polygons` has those to the left and at the top."""
    rows, columns = shape
    corners = np.array([(column - 1, row - 1) for row, column in region], np.float64)
    inside = np.zeros((rows, columns), bool)
    for across in (1, -1):
        for down in (1, -1):
            mirrored = np.where([across < 0, down < 0], np.array([columns - 1, rows - 1]) - corners, corners)
            inside |= fill_polygons([mirrored], (rows, columns))[::down, ::across]
    return inside
