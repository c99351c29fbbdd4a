"""Pictures of what is stored: any format, ICC profiles, burned-in texts, presentation states, posters of video."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from hilum.archive.blending import Blender
from hilum.archive.masking import rendered_difference
from hilum.archive.overlays import as_overlay
from hilum.archive.transcode import in_order
from hilum.dicom.dataset import to_dataset
from hilum.errors import DataError, HilumError, LimitExceeded, NotFound, UsageError
from hilum.pixels import icc
from hilum.pixels.formats import ANIMATED, Picture, encode_animation, encode_picture
from hilum.pixels.legends import KEYWORDS, LEGENDS, draw_legends
from hilum.pixels.presentation_state import PRESENTATION_STATES, ImageReference, refuse_unsupported
from hilum.pixels.settings import RenderSettings, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt
    import pydicom

    from hilum.archive.objects import Instance, Series
    from hilum.archive.overlays import Overlay, Overlays
    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord
    from hilum.pixels.formats import FileFormat
    from hilum.pixels.legends import Legend
    from hilum.pixels.presentation_state import PresentationState
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["IccProfile", "PictureRequest", "Pictures", "is_presentation_state", "picture_request"]

IccProfile: TypeAlias = Literal["no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"]
"""``no``: none in the file. ``yes``: the image's own, else sRGB. Others: converted to that space, and its profile."""
ICC_PROFILES: Final[tuple[IccProfile, ...]] = ("no", "yes", "srgb", "adobergb", "rommrgb", "displayp3")

_MAX_STATE_BYTES: Final = 64 << 20
_KEPT_STATE_BYTES: Final = 1 << 20
_KEPT_STATES: Final = 16
_MAX_TARGETS: Final = 1 << 20
_DEFAULT_DELAY_MS: Final = 100.0
_SPEEDS: Final = ("FrameTime", "RecommendedDisplayFrameRate", "CineRate")
_WITH_PROFILE: Final = ("png", "jpeg", "webp")


def is_presentation_state(record: InstanceRecord) -> bool:
    """Whether an instance is a presentation state, rendered or not.

    Parameters
    ----------
    record : InstanceRecord

    Returns
    -------
    bool
    """
    return record.sop_class_uid in PRESENTATION_STATES


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """All that may be asked of a picture of a frame."""

    settings: RenderSettings = field(default_factory=RenderSettings)
    """Of the pipeline; its `format` and `quality` are not used."""
    format: FileFormat = "jpeg"
    quality: int = 90
    """Of JPEG, WebP and JP2, 1 to 100; a WebP or JP2 of 100 is lossless."""
    icc_profile: IccProfile = "no"
    legends: frozenset[Legend] = frozenset()
    """Texts to burn in."""
    presentation_state: InstanceRecord | None = None
    overlays: tuple[Overlay, ...] = ()
    """Painted over the frame, the first one first; not with a presentation state, nor with 16 bits."""

    @property
    def is_of_known_objects(self) -> bool:
        """Whether the frame, the state and the overlays are all that the picture is made of.

        Blending takes whatever images a series holds when the picture is made.
        """
        state = self.presentation_state
        kind = None if state is None else PRESENTATION_STATES.get(state.sop_class_uid, ("", None))[1]
        return kind not in ("blending", "advanced-blending")

    def variant(self) -> str:
        """Text that differs where the picture may differ; ASCII, without spaces and quotes."""
        state = self.presentation_state
        settings = replace(self.settings, format="jpeg", quality=90)
        parts: list[object] = [
            self.format,
            self.quality if self.format in ("jpeg", "webp", "jp2") else "",
            self.icc_profile,
            "+".join(sorted(self.legends)),
            state.sha256[:12].hex() if state is not None else "",
            "" if settings == RenderSettings() else _digest(settings),
            *([_digest(self.overlays)] if self.overlays else []),
        ]
        return ".".join(str(part) for part in parts)


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:24]


def picture_request(
    settings: RenderSettings | None,
    width: int,
    height: int,
    window: tuple[float, float] | None,
    icc_profile: IccProfile,
    annotation: Iterable[Legend],
    presentation_state: InstanceRecord | None,
    overlays: Sequence[Overlay | Instance | Series | str] = (),
) -> PictureRequest:
    """Check and gather what `Instance.render` takes.

    Raises
    ------
    UsageError
        A name that is not known, or settings beside what they hold.
    """
    if settings is not None and (width or height or window is not None):
        raise UsageError("width, height and window are part of the settings")
    if icc_profile not in ICC_PROFILES:
        raise UsageError(f"icc_profile is none of {', '.join(ICC_PROFILES)}")
    legends = frozenset(annotation)
    if not legends <= set(LEGENDS):
        raise UsageError(f"annotation holds other words than {', '.join(LEGENDS)}")
    if settings is None:
        settings = RenderSettings(width=width, height=height, window=None if window is None else Window(*window))
    return PictureRequest(
        settings,
        icc_profile=icc_profile,
        legends=legends,
        presentation_state=presentation_state,
        overlays=tuple(as_overlay(overlay) for overlay in overlays),
    )


class Pictures:
    """Renders instances of an archive; thread-safe.

    Parameters
    ----------
    retriever : Retriever
    overlays : Overlays
        Finds and reads what lies over images.
    frames : callable
        Gives the geometry of the frames of some objects.
    """

    def __init__(
        self,
        retriever: Retriever,
        overlays: Overlays,
        frames: Callable[[Sequence[InstanceRecord]], SeriesFrames],
    ) -> None:
        self._retriever = retriever
        self._overlays = overlays
        self._states: OrderedDict[bytes, PresentationState] = OrderedDict()
        self._lock = Lock()
        self._blender = Blender(retriever, frames)

    def picture(self, record: InstanceRecord, frame: int, request: PictureRequest) -> Picture:
        """Render a frame to a file.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.
        request : PictureRequest

        Returns
        -------
        Picture

        Raises
        ------
        UsageError
            No such frame, a parameter out of its bounds, or a presentation state that is not for it.
        DataError
            No pixel data, or it or the presentation state cannot be read.
        LimitExceeded
            More pixels than are rendered or than the format holds.
        """
        if request.format in ("png", "jpeg") and self._is_plain(request):
            settings = replace(request.settings, format=request.format, quality=request.quality)
            return Picture(self._retriever.rendered(record, frame, settings), request.format)
        image, profile = self._final(record, frame, request)
        data = encode_picture(image, request.format, request.quality, profile)
        if request.format == "raw":
            return Picture(data, "raw", image.shape, str(image.dtype))
        return Picture(data, request.format)

    def array(
        self, record: InstanceRecord, frame: int, request: PictureRequest, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """Render a frame to an array; parameters and errors of `picture`.

        Parameters
        ----------
        record : InstanceRecord
        frame : int
            From 0.
        request : PictureRequest
            Format and quality are not used.
        out : ndarray, optional
            Filled and returned.

        Returns
        -------
        ndarray
            ``(rows, columns)`` or ``(rows, columns, 3)``; ``uint8``, or ``uint16`` with 16 bits.
        """
        if self._is_plain(request):
            return self._retriever.rendered_array(record, frame, request.settings, out)
        image = self._final(record, frame, request)[0]
        if out is None:
            return image
        if out.shape != image.shape or out.dtype != image.dtype or not out.flags.writeable:
            raise UsageError(f"out is {out.dtype} {out.shape}, the picture is {image.dtype} {image.shape}")
        out[...] = image
        return out

    def animation(
        self, record: InstanceRecord, request: PictureRequest, frames: Sequence[int] | None = None
    ) -> Picture:
        """Render frames of an instance to one animated GIF or WebP, at the speed that the object names.

        Parameters
        ----------
        record : InstanceRecord
        request : PictureRequest
            Of format ``"gif"`` or ``"webp"``.
        frames : sequence of int, optional
            From 0; default: all.

        Returns
        -------
        Picture

        Raises
        ------
        UsageError
            Another format, or as `picture`.
        LimitExceeded
            More than 256 MiB of samples.
        """
        if request.format not in ANIMATED:
            raise UsageError("animations are written as gif or webp")
        chosen = range(self._retriever.frame_count(record)) if frames is None else frames
        images = in_order(len(chosen), lambda at: self._final(record, chosen[at], request)[0])
        delay = _delay_ms(self._retriever.header_dataset(record, _SPEEDS))
        data = encode_animation(images, request.format, delay, request.quality, count=len(chosen))
        return Picture(data, request.format)

    def moves(self, record: InstanceRecord, format: FileFormat) -> bool:
        """Whether a file of that format can hold all frames of the instance, and there are several."""
        return format in ANIMATED and self._retriever.frame_count(record) > 1

    # Presentation states

    def state(self, record: InstanceRecord) -> PresentationState:
        """Read a presentation state.

        Raises
        ------
        UsageError
            The instance is none, or one of a kind that is not rendered.
        DataError
            It is malformed.
        """
        from hilum.pixels.presentation_reader import read_presentation_state

        refuse_unsupported(record.sop_class_uid)
        if record.location.length > _MAX_STATE_BYTES:
            raise LimitExceeded("the presentation state is longer than 64 MiB")
        with self._lock:
            known = self._states.get(record.sha256)
        if known is None:
            known = read_presentation_state(to_dataset(self._retriever.read(record)))
            if record.location.length <= _KEPT_STATE_BYTES:
                with self._lock:
                    self._states[record.sha256] = known
                    if len(self._states) > _KEPT_STATES:
                        self._states.popitem(last=False)
        return self._whole_series(known) if known.advanced else known

    def _whole_series(self, state: PresentationState) -> PresentationState:
        """Fill in the images of inputs that are whole series (PS3.3 C.11.33): those that are stored now."""
        advanced = state.advanced
        assert advanced is not None
        inputs = tuple(
            one if one.references else replace(one, references=self._series(one.series_instance_uid))
            for one in advanced.inputs
        )
        advanced = replace(advanced, inputs=inputs)
        return replace(state, advanced=advanced, references=advanced.shown.references)

    def _series(self, uid: str) -> tuple[ImageReference, ...]:
        images = [one for one in self._overlays.records(uid) if self._retriever.frame_count(one)]
        if not images:
            raise NotFound("a series of the presentation state has no images here")
        return tuple(ImageReference(one.sop_instance_uid, (), uid) for one in images)

    def targets(self, record: InstanceRecord) -> list[tuple[InstanceRecord, int]]:
        """Frames, from 0, to which a presentation state refers, in its order; those that are stored.

        An image that is referred to as a whole gives all of its frames.

        Raises
        ------
        NotFound
            None of the images is stored.
        DataError
            It is malformed, or refers to what is no image.
        LimitExceeded
            More than 2^20 frames.
        """
        references = self.state(record).references
        found: list[tuple[InstanceRecord, int]] = []
        images = self._retriever.lookup([reference.sop_instance_uid for reference in references])
        for reference, image in zip(references, images, strict=True):
            if image is None or image.study_instance_uid != record.study_instance_uid:
                continue
            count = self._retriever.frame_count(image)
            if not count:
                raise DataError("the presentation state refers to an object without pixel data")
            if reference.frames and not all(1 <= number <= count for number in reference.frames):
                raise DataError(f"the presentation state refers to frames that an image of {count} does not have")
            numbers = reference.frames or range(1, count + 1)
            if len(found) + len(numbers) > _MAX_TARGETS:
                raise LimitExceeded(f"the presentation state refers to more than {_MAX_TARGETS} frames")
            found += [(image, number - 1) for number in numbers]
        if not found:
            raise NotFound(f"none of the {len(references)} images of the presentation state is stored in its study")
        return found

    # Steps

    def _is_plain(self, request: PictureRequest) -> bool:
        return (
            request.icc_profile == "no"
            and not request.legends
            and request.presentation_state is None
            and not request.overlays
        )

    def _final(
        self, record: InstanceRecord, frame: int, request: PictureRequest
    ) -> tuple[npt.NDArray[Any], bytes | None]:
        """Give the picture with all that is drawn on it, and the profile for its file."""
        if request.presentation_state is None:
            image = self._retriever.rendered_array(record, frame, request.settings)
            own = None
        else:
            image, own = self._presented(record, frame, request, request.presentation_state)
        if request.overlays:
            image = self._overlaid(image, record, frame, request)
        profile: bytes | None = None
        if request.icc_profile != "no" and image.ndim == 3:
            image, profile = self._coloured(image, own or self._own_profile(record, frame), request.icc_profile)
        if request.legends:
            image = draw_legends(image, self._retriever.header_dataset(record, KEYWORDS), request.legends)
        return image, profile if request.format in _WITH_PROFILE else None

    def _overlaid(
        self, image: npt.NDArray[Any], record: InstanceRecord, frame: int, request: PictureRequest
    ) -> npt.NDArray[np.uint8]:
        from hilum.render.fusion import fuse

        if request.presentation_state is not None or image.dtype != np.uint8:
            raise UsageError("overlays lie over images of 8 bits without a presentation state")
        plane, uid, moment = self._overlays.plane(record, frame, request.settings, (image.shape[0], image.shape[1]))
        return fuse(image, plane, self._overlays.layers(request.overlays, uid, moment))

    def _presented(
        self, record: InstanceRecord, frame: int, request: PictureRequest, state_record: InstanceRecord
    ) -> tuple[npt.NDArray[Any], bytes]:
        from hilum.pixels.graphics import draw_annotations
        from hilum.pixels.presentation_display import display_settings, placement_of

        state, pixels = self.state(state_record), self._retriever.require_pixels(record)
        uid, number = record.sop_instance_uid, frame + 1
        if state.superimposed is not None or state.advanced is not None:
            image = self._blender.blended(state, record, frame, request.settings)
        else:
            settings = display_settings(state, uid, number, pixels, request.settings)
            less = rendered_difference(self._retriever, state, record, frame, settings) if state.masks else None
            image = self._retriever.rendered_array(record, frame, settings) if less is None else less
        placement = placement_of(state, uid, number, pixels, (image.shape[0], image.shape[1]))
        return draw_annotations(image, state, placement, uid, number), state.icc_profile

    def _coloured(self, image: npt.NDArray[Any], found: bytes, wanted: IccProfile) -> tuple[npt.NDArray[Any], bytes]:
        """Give the picture in the colour space that was asked for, and its profile."""
        source = icc.check_profile(found) if found else icc.profile_of("srgb")
        if wanted in ("yes", "no"):
            return image, source
        target = icc.profile_of(wanted)
        return icc.convert(image, source, target), target

    def _own_profile(self, record: InstanceRecord, frame: int) -> bytes:
        try:
            return self._profile(record, frame)
        except HilumError:
            raise
        except Exception as error:  # pydicom converts values late, with errors of any class
            raise DataError(f"ICCProfile (0028,2000) cannot be read ({type(error).__name__})", code=8) from None

    def _profile(self, record: InstanceRecord, frame: int) -> bytes:
        """ICC Profile (0028,2000) of the image, or of the frame's optical path (PS3.3 C.8.12.5); empty without."""
        dataset = self._retriever.header_dataset(record, ("ICCProfile", "OpticalPathSequence"))
        if dataset.get("ICCProfile"):
            return bytes(dataset.ICCProfile)
        paths = {
            str(path.get("OpticalPathIdentifier", "")): bytes(path.get("ICCProfile") or b"")
            for path in dataset.get("OpticalPathSequence") or ()
        }
        if len(set(paths.values())) < 2:
            return next(iter(paths.values()), b"")
        return paths.get(self._optical_path(record, frame), b"")

    def _optical_path(self, record: InstanceRecord, frame: int) -> str:
        """Optical Path Identifier (0048,0106) of a frame, by its own functional groups or the shared ones."""
        groups = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
        dataset = self._retriever.header_dataset(record, groups)
        for source in ((dataset.get(groups[0]) or [])[frame : frame + 1], (dataset.get(groups[1]) or [])[:1]):
            for group in source:
                for item in group.get("OpticalPathIdentificationSequence") or ():
                    return str(item.get("OpticalPathIdentifier", ""))
        return ""


def _delay_ms(dataset: pydicom.Dataset) -> float:
    """Milliseconds of a frame: Frame Time (0018,1063), else one of the rates, else a tenth of a second."""
    for keyword in _SPEEDS:
        try:
            value = float(dataset.get(keyword) or 0.0)
        except Exception:  # pydicom converts values late, with errors of any class
            continue
        if 1e-3 < value < 1e5:
            return value if keyword == "FrameTime" else 1000.0 / value
    return _DEFAULT_DELAY_MS
