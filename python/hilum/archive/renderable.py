"""Pictures of an instance: what `Instance` has of `hilum.archive.pictures`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from hilum.archive.archive import Archive
    from hilum.archive.objects import Instance, Series
    from hilum.archive.overlays import Overlay
    from hilum.archive.pictures import IccProfile
    from hilum.index.base import InstanceRecord
    from hilum.pixels.formats import FileFormat
    from hilum.pixels.legends import Legend
    from hilum.pixels.settings import RenderSettings

__all__ = ["Renderable"]


class Renderable:
    """Renders frames of an instance to files and arrays."""

    __slots__ = ()
    _archive: Archive
    _record: InstanceRecord

    def render(
        self,
        frame: int = 0,
        *,
        format: FileFormat = "png",
        quality: int = 90,
        width: int = 0,
        height: int = 0,
        window: tuple[float, float] | None = None,
        settings: RenderSettings | None = None,
        icc_profile: IccProfile = "no",
        annotation: Iterable[Legend] = (),
        presentation_state: Instance | None = None,
        overlays: Sequence[Overlay | Instance | Series | str] = (),
    ) -> bytes:
        """Render a frame for display to the bytes of a file.

        Parameters
        ----------
        frame : int
            From 0. Of video there is the first picture only.
        format : {"png", "jpeg", "webp", "gif", "jp2", "raw"}
            Raw: the samples alone, in little endian; `render_array` knows their shape.
        quality : int
            Of JPEG, WebP and JP2, 1 to 100; a WebP or JP2 of 100 is lossless.
        width, height : int
            Of the picture in pixels at most; 0: as the other and the aspect demand.
        window : (centre, width), optional
            In units of the rescaled values; default: the object's own.
        settings : RenderSettings, optional
            Everything that can be asked of the pipeline, instead of width, height and window.
        icc_profile : {"no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"}
            Of a colour picture: none in the file, the image's own (else sRGB), or converted to that space.
        annotation : iterable of {"patient", "technique"}
            Texts to burn in.
        presentation_state : Instance, optional
            Grayscale, colour, pseudo-colour or blending softcopy presentation state; it decides all but the size.
        overlays : sequence of Overlay, Instance, Series or str
            Painted over the image, the first one first: segmentations, structure sets, doses, parametric maps, other
            series; a text is the UID of an instance or series. See `hilum.archive.overlays.Overlay`.

        Returns
        -------
        bytes

        Raises
        ------
        UsageError
            No such frame, a parameter that cannot be, or a presentation state that is not for it.
        Conflict
            An overlay is in another frame of reference, or the image or an overlay has no place in the patient.
        DataError
            No pixel data, or it or the presentation state cannot be read.
        LimitExceeded
            More pixels than are rendered or than the format holds.
        """
        from hilum.archive.pictures import picture_request

        state = None if presentation_state is None else presentation_state.record
        request = picture_request(settings, width, height, window, icc_profile, annotation, state, overlays)
        request = replace(request, format=format, quality=quality)
        return self._archive.pictures.picture(self._record, frame, request).data

    def render_array(
        self,
        frame: int = 0,
        *,
        width: int = 0,
        height: int = 0,
        window: tuple[float, float] | None = None,
        settings: RenderSettings | None = None,
        icc_profile: IccProfile = "no",
        annotation: Iterable[Legend] = (),
        presentation_state: Instance | None = None,
        overlays: Sequence[Overlay | Instance | Series | str] = (),
        out: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[Any]:
        """Render a frame for display to an array; parameters and errors of `render`.

        Parameters
        ----------
        frame : int
            From 0.
        width, height, window, settings, icc_profile, annotation, presentation_state, overlays
            As of `render`.
        out : ndarray, optional
            Filled and returned.

        Returns
        -------
        ndarray
            ``(rows, columns)`` of grey or ``(rows, columns, 3)`` of RGB; ``uint8``, or ``uint16`` with 16 bits.
        """
        from hilum.archive.pictures import picture_request

        state = None if presentation_state is None else presentation_state.record
        request = picture_request(settings, width, height, window, icc_profile, annotation, state, overlays)
        return self._archive.pictures.array(self._record, frame, request, out)

    def render_animation(
        self,
        *,
        format: Literal["gif", "webp"] = "gif",
        quality: int = 90,
        width: int = 0,
        height: int = 0,
        window: tuple[float, float] | None = None,
        settings: RenderSettings | None = None,
        frames: Sequence[int] | None = None,
    ) -> bytes:
        """Render frames to an animation that runs at the speed that the object names.

        Parameters
        ----------
        format : {"gif", "webp"}
        quality : int
            Of WebP, 1 to 100; 100 is lossless.
        width, height, window, settings
            As of `render`.
        frames : sequence of int, optional
            From 0; default: all.

        Returns
        -------
        bytes

        Raises
        ------
        LimitExceeded
            More than 256 MiB of samples.
        """
        from hilum.archive.pictures import picture_request

        request = picture_request(settings, width, height, window, "no", (), None)
        request = replace(request, format=format, quality=quality)
        return self._archive.pictures.animation(self._record, request, frames).data
