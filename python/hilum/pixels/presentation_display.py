"""A presentation state for one frame of one image: what to ask of the pixel pipeline (PS3.4 N.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import UsageError
from hilum.pixels.graphics import Placement
from hilum.pixels.presentation_state import covers
from hilum.pixels.settings import Lut, Overlay, RenderSettings, Rescale, Window

if TYPE_CHECKING:
    from hilum.pixels.advanced_blending import BlendingInput
    from hilum.pixels.presentation_state import DisplayedArea, PresentationState
    from hilum.pixels.settings import Rgb
    from hilum.types import PixelDescription

__all__ = ["difference_settings", "display_settings", "input_state", "placement_of", "sides_of"]

_OWN: Final = ("width", "height", "screen_spacing", "bits", "interpolation", "format", "quality")


def display_settings(
    state: PresentationState, sop_instance_uid: str, frame: int, pixels: PixelDescription, wanted: RenderSettings
) -> RenderSettings:
    """Settings that show a frame as a presentation state says.

    A state decides all of the display: what it lacks is not taken from the image. Pictures of TRUE SIZE need to know
    the size of the screen's pixels, else they are given as those of SCALE TO FIT; width and height go before both TRUE
    SIZE and MAGNIFY.

    Parameters
    ----------
    state : PresentationState
    sop_instance_uid : str
        Of the image.
    frame : int
        From 1.
    pixels : PixelDescription
        Of the image.
    wanted : RenderSettings
        Size, bits and interpolation of the picture; all else must be as it is by default.

    Returns
    -------
    RenderSettings

    Raises
    ------
    UsageError
        The state is not for that frame, not for such an image, or something else was asked for.
    """
    default = RenderSettings(**{name: getattr(wanted, name) for name in _OWN})
    if wanted != default:
        raise UsageError("window, region, rotation and the like cannot be combined with a presentation state")
    if not state.reference_to(sop_instance_uid, frame):
        raise UsageError("the presentation state does not refer to this image or frame")
    colour = pixels.samples_per_pixel > 1 or pixels.photometric_interpretation.startswith("PALETTE")
    if colour != (state.kind == "color"):
        raise UsageError(f"a {state.kind} presentation state is not for {'colour' if colour else 'grey'} images")
    overlays = tuple(
        _overlay(overlay.plane or overlay.group, layer.colour)
        for layer in state.layers
        for overlay in state.overlays
        if overlay.layer == layer.name
    )
    area = _area(state, sop_instance_uid, frame)
    shutter = next((own for images, own in state.shutters if covers(images, sop_instance_uid, frame)), None)
    settings = replace(
        wanted,
        rotation=state.rotation,  # type: ignore[arg-type]
        flip=state.flip,
        overlays=overlays,
        shutter=shutter,
        **_extent(area, wanted),
    )
    return settings if colour else replace(settings, **_grey(state, sop_instance_uid, frame, pixels))


def _overlay(plane: Any, colour: Rgb) -> Overlay:
    red, green, blue = colour
    return Overlay(plane, value=red * 257) if red == green == blue else Overlay(plane, colour=colour)


def _area(state: PresentationState, sop_instance_uid: str, frame: int) -> DisplayedArea | None:
    return next((area for area in state.areas if covers(area.references, sop_instance_uid, frame)), None)


def _extent(area: DisplayedArea | None, wanted: RenderSettings) -> dict[str, Any]:
    if area is None:
        return {}
    extent: dict[str, Any] = {
        "displayed_area": (area.left, area.top, area.right, area.bottom),
        "pixel_aspect": area.pixel_aspect,
    }
    if wanted.width or wanted.height:
        return extent
    if area.mode == "MAGNIFY":
        extent["scale"] = area.magnification
    elif area.mode == "TRUE SIZE" and wanted.screen_spacing:
        extent["scale"] = area.spacing / wanted.screen_spacing
    return extent


def _grey(state: PresentationState, sop_instance_uid: str, frame: int, pixels: PixelDescription) -> dict[str, Any]:
    """Give the grey-scale transformations: modality, VOI, presentation."""
    modality = state.modality_of(sop_instance_uid, frame)
    voi = next((item for item in state.voi if covers(item.references, sop_instance_uid, frame)), None)
    found: dict[str, Any] = {"modality": modality, "presentation": "INVERSE" if state.inverse else "IDENTITY"}
    if state.presentation_lut is not None:
        found["presentation"] = state.presentation_lut
    if voi is not None and voi.lut is not None:
        found["voi_lut"] = voi.lut
    else:
        found["window"] = voi.window if voi is not None and voi.window is not None else _identity(modality, pixels)
    if state.palette is not None:
        found["palette"] = state.palette
    return found


def _identity(modality: Rescale | Lut, pixels: PixelDescription) -> Window:
    """Give the window that leaves the whole range of modality values as it is (PS3.4 N.2.1.3)."""
    if isinstance(modality, Lut):
        low, high = 0.0, float(2**modality.bits - 1)
    else:
        least = -(2 ** (pixels.bits_stored - 1)) if pixels.pixel_representation else 0
        ends = [(least + step) * modality.slope + modality.intercept for step in (0, 2**pixels.bits_stored - 1)]
        low, high = min(ends), max(ends)
    return Window((low + high) / 2, high - low, "LINEAR_EXACT")


def difference_settings(
    state: PresentationState,
    sop_instance_uid: str,
    frame: int,
    pixels: PixelDescription,
    settings: RenderSettings,
    modality: Rescale | Lut,
) -> RenderSettings:
    """Settings for the difference of a frame and its mask.

    Its values are signed and have one bit more than those of the frames; where nothing changed they are 0 (PS3.4
    N.2.1.2). Without a VOI LUT the next step is identity (N.2.1.3), so 0 is shown in the middle of the greys.

    Parameters
    ----------
    state, sop_instance_uid, frame, pixels
        As of `display_settings`.
    settings : RenderSettings
        What that gave.
    modality : Rescale or Lut
        What was applied to the frames before.

    Returns
    -------
    RenderSettings
    """
    settings = replace(settings, modality=Rescale(1.0))
    if any(covers(item.references, sop_instance_uid, frame) for item in state.voi):
        return settings
    whole = _identity(modality, pixels)
    return replace(settings, window=Window(0.0, 2 * whole.width, "LINEAR_EXACT"))


def sides_of(state: PresentationState) -> tuple[PresentationState, PresentationState, float]:
    """Take a blending presentation state apart.

    Parameters
    ----------
    state : PresentationState

    Returns
    -------
    tuple
        States for the underlying images and for the superimposed ones; and the opacity of these.
    """
    over = state.superimposed
    if over is None:
        raise UsageError("the presentation state does not blend")
    bare = _bare(state)
    superimposed = replace(
        bare,
        kind="pseudo-color",
        references=over.references,
        rescale=over.rescale,
        modality_lut=over.modality_lut,
        voi=over.voi,
        palette=over.palette,
    )
    return bare, superimposed, over.opacity


def _bare(state: PresentationState) -> PresentationState:
    """Leave out what is for the blended picture."""
    return replace(
        state,
        kind="grayscale",
        rotation=0,
        flip=False,
        areas=(),
        annotations=(),
        overlays=(),
        shutters=(),
        superimposed=None,
        advanced=None,
    )


def input_state(state: PresentationState, one: BlendingInput, pixels: PixelDescription) -> PresentationState:
    """State for the images of one input of an advanced blending state (PS3.4 N.2.6).

    Parameters
    ----------
    state : PresentationState
    one : BlendingInput
    pixels : PixelDescription
        Of the image: colours stay, grey values get those of the input's palette or stay grey.

    Returns
    -------
    PresentationState
    """
    colour = pixels.samples_per_pixel > 1 or pixels.photometric_interpretation.startswith("PALETTE")
    return replace(
        _bare(state),
        kind="color" if colour else "pseudo-color" if one.palette else "grayscale",
        references=one.references,
        rescale=one.rescale,
        modality_lut=one.modality_lut,
        voi=one.voi,
        palette=one.palette,
    )


def placement_of(
    state: PresentationState,
    sop_instance_uid: str,
    frame: int,
    pixels: PixelDescription,
    picture: tuple[int, int],
) -> Placement:
    """Where the pixels of the image lie in the picture that `display_settings` gave.

    Parameters
    ----------
    state : PresentationState
    sop_instance_uid : str
        Of the image.
    frame : int
        From 1.
    pixels : PixelDescription
        Of the image.
    picture : (rows, columns)

    Returns
    -------
    Placement
    """
    area = _area(state, sop_instance_uid, frame)
    left, top, right, bottom = (
        (0, 0, pixels.columns, pixels.rows) if area is None else (area.left - 1, area.top - 1, area.right, area.bottom)
    )
    return Placement(left, top, right, bottom, state.rotation, state.flip, picture[1], picture[0])
