"""Frames of angiography less their mask, as a presentation state says (PS3.4 N.2.1.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hilum.errors import LimitExceeded
from hilum.pixels.mask_subtraction import modality_values
from hilum.pixels.pipeline import render_pixels
from hilum.pixels.presentation_display import difference_settings

if TYPE_CHECKING:
    import numpy.typing as npt

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
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
    count = retriever.frame_count(record)
    found = next((frames for mask in state.masks if (frames := mask.frames(frame + 1, count))), None)
    if found is None:
        return None
    pixels = retriever.require_pixels(record)
    if max(map(len, found)) * pixels.rows * pixels.columns * 8 > _MOST_BYTES:
        raise LimitExceeded("the frames of a mask have more than 256 MiB")
    modality = state.modality_lut or state.rescale
    contrast, mask = (
        modality_values(retriever.decode_frames([(record, number - 1) for number in numbers]), modality).mean(axis=0)
        for numbers in found
    )
    shown = (contrast - mask).astype(np.float32)
    described = replace(
        pixels, bits_allocated=32, bits_stored=32, high_bit=31, pixel_representation=0, keyword="FloatPixelData",
        number_of_frames=1, planar_configuration=0,
    )  # fmt: skip
    attributes = retriever.rendering_attributes(record, frame)
    settings = difference_settings(state, record.sop_instance_uid, frame + 1, pixels, settings)
    return render_pixels(shown.tobytes(), _NATIVE, described, attributes, settings)
