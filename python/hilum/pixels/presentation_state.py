"""What a softcopy presentation state says (PS3.3 A.33, C.10, C.11), as values.

`hilum.pixels.presentation_reader` reads and checks them, `hilum.pixels.presentation_display` makes a request for the
pixel pipeline of them, `hilum.pixels.graphics` draws the annotations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hilum.errors import UsageError

if TYPE_CHECKING:
    from hilum.pixels.advanced_blending import AdvancedBlending
    from hilum.pixels.mask_subtraction import Mask, Viewing
    from hilum.pixels.settings import Lut, OverlayPlane, Rescale, Rgb, Shutter, Window

__all__ = [
    "PRESENTATION_STATES",
    "DisplayedArea",
    "Graphic",
    "GraphicAnnotation",
    "GraphicLayer",
    "ImageReference",
    "LayerOverlay",
    "PresentationState",
    "Superimposed",
    "Point",
    "Style",
    "Text",
    "Voi",
    "covers",
    "refuse_unsupported",
]

Kind: TypeAlias = Literal["grayscale", "color", "pseudo-color", "blending", "advanced-blending"]
Point: TypeAlias = tuple[float, float]

_ROOT: Final = "1.2.840.10008.5.1.4.1.1.11."
PRESENTATION_STATES: Final[dict[str, tuple[str, Kind | None]]] = {
    _ROOT + "1": ("Grayscale Softcopy Presentation State", "grayscale"),
    _ROOT + "2": ("Color Softcopy Presentation State", "color"),
    _ROOT + "3": ("Pseudo-Color Softcopy Presentation State", "pseudo-color"),
    _ROOT + "4": ("Blending Softcopy Presentation State", "blending"),
    _ROOT + "5": ("XA/XRF Grayscale Softcopy Presentation State", "grayscale"),
    _ROOT + "6": ("Grayscale Planar MPR Volumetric Presentation State", None),
    _ROOT + "7": ("Compositing Planar MPR Volumetric Presentation State", None),
    _ROOT + "8": ("Advanced Blending Presentation State", "advanced-blending"),
    _ROOT + "9": ("Volume Rendering Volumetric Presentation State", None),
    _ROOT + "10": ("Segmented Volume Rendering Volumetric Presentation State", None),
    _ROOT + "11": ("Multiple Volume Rendering Volumetric Presentation State", None),
    _ROOT + "12": ("Variable Modality LUT Softcopy Presentation State", "grayscale"),
}
"""SOP classes of presentation states: name, and the kind of those that are rendered."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One item of a Referenced Image Sequence (0008,1140)."""

    sop_instance_uid: str
    frames: tuple[int, ...] = ()
    """From 1; empty: all of the image."""
    series_instance_uid: str = ""
    """Known for the references of the state as a whole."""


@dataclass(frozen=True, slots=True)
class Voi:
    """One item of a Softcopy VOI LUT Sequence (0028,3110): a window or a table."""

    references: tuple[ImageReference, ...]
    window: Window | None
    lut: Lut | None


@dataclass(frozen=True, slots=True)
class DisplayedArea:
    """One item of a Displayed Area Selection Sequence (0070,005A), PS3.3 C.10.4."""

    references: tuple[ImageReference, ...]
    left: int
    """Columns and rows from 1, the corners are inside; they may lie outside of the image."""
    top: int
    right: int
    bottom: int
    mode: Literal["SCALE TO FIT", "TRUE SIZE", "MAGNIFY"]
    magnification: float
    """Pixels of the picture for one of the image; of MAGNIFY."""
    spacing: float
    """Millimetres from one pixel to the next, along the axis where that is less: it is not stretched. Of TRUE SIZE."""
    pixel_aspect: float
    """Height of a pixel over its width."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a graphic or text is drawn; None: as its layer says."""

    colour: Rgb | None = None
    thickness: float = 0.0
    """Of lines, in pixels of the picture; 0: one."""
    fill: Rgb | None = None


@dataclass(frozen=True, slots=True)
class Graphic:
    """One item of a Graphic Object Sequence (0070,0009)."""

    type: str
    """POINT, POLYLINE, INTERPOLATED, CIRCLE or ELLIPSE."""
    points: tuple[Point, ...]
    """(column, row): in PIXEL units from 0 at the upper left corner of the image's first pixel."""
    units: str
    """PIXEL or DISPLAY."""
    filled: bool
    style: Style


@dataclass(frozen=True, slots=True)
class Text:
    """One item of a Text Object Sequence (0070,0008)."""

    text: str
    box: tuple[Point, Point] | None
    box_units: str
    justification: str
    anchor: Point | None
    anchor_units: str
    anchor_visible: bool
    style: Style


@dataclass(frozen=True, slots=True)
class GraphicAnnotation:
    """One item of a Graphic Annotation Sequence (0070,0001)."""

    references: tuple[ImageReference, ...]
    layer: str
    graphics: tuple[Graphic, ...]
    texts: tuple[Text, ...]

    def is_for(self, sop_instance_uid: str, frame: int) -> bool:
        """Whether they are for a frame, from 1, of an image."""
        return covers(self.references, sop_instance_uid, frame)


@dataclass(frozen=True, slots=True)
class GraphicLayer:
    """One item of a Graphic Layer Sequence (0070,0060)."""

    name: str
    order: int
    colour: Rgb


@dataclass(frozen=True, slots=True)
class LayerOverlay:
    """An overlay that a layer activates (PS3.3 C.11.7)."""

    group: int
    layer: str
    """Empty for the bitmap of a shutter."""
    plane: OverlayPlane | None
    """None: the image's own overlay of that group."""


@dataclass(frozen=True, slots=True)
class Superimposed:
    """What a blending presentation state lays over its images (PS3.3 C.11.14)."""

    opacity: float
    """0: only the underlying image is seen; 1: only this one."""
    references: tuple[ImageReference, ...]
    rescale: Rescale
    modality_lut: Lut | None
    voi: tuple[Voi, ...]
    palette: tuple[Lut, Lut, Lut]
    registrations: tuple[str, ...] = ()
    """SOP Instance UIDs of spatial registrations (0070,0404)."""


@dataclass(frozen=True, slots=True)
class PresentationState:
    """A softcopy presentation state."""

    kind: Kind
    references: tuple[ImageReference, ...]
    """In the order of the state; at least one. Of advanced blending those of the input with the picture's geometry;
    none: all images of its series."""
    rescale: Rescale
    """Slope and intercept; 1, 0 without a Modality LUT (PS3.3 C.11.1)."""
    modality_lut: Lut | None
    voi: tuple[Voi, ...]
    inverse: bool
    """Presentation LUT Shape (2050,0020)."""
    presentation_lut: Lut | None
    palette: tuple[Lut, Lut, Lut] | None
    rotation: int
    """Degrees clockwise; the flip comes after it."""
    flip: bool
    areas: tuple[DisplayedArea, ...]
    annotations: tuple[GraphicAnnotation, ...]
    layers: tuple[GraphicLayer, ...]
    """The lowest order first."""
    overlays: tuple[LayerOverlay, ...]
    shutters: tuple[tuple[tuple[ImageReference, ...], Shutter], ...]
    """The images and frames of each; the first that covers a frame is its own."""
    icc_profile: bytes
    masks: tuple[Mask, ...] = ()
    """The first that is for a frame is subtracted from it, before VOI."""
    viewing: tuple[Viewing, ...] = ()
    """Of XA/XRF: how much of the mask is seen; the first that is for a frame."""
    modalities: tuple[tuple[tuple[ImageReference, ...], Rescale | Lut], ...] = ()
    """Of variable modality LUTs (PS3.3 C.11.35): the one of each image or frame; others have `rescale`."""
    superimposed: Superimposed | None = None
    """Of blending; all that is said of images above is of the underlying ones then."""
    advanced: AdvancedBlending | None = None
    """Of advanced blending."""

    def reference_to(self, sop_instance_uid: str, frame: int) -> bool:
        """Whether the state is for a frame, from 1, of an image."""
        return covers(self.references, sop_instance_uid, frame)

    def modality_of(self, sop_instance_uid: str, frame: int) -> Rescale | Lut:
        """Modality transformation of a frame, from 1, of an image (PS3.3 C.11.1, C.11.35)."""
        own = (modality for images, modality in self.modalities if covers(images, sop_instance_uid, frame))
        return next(own, self.modality_lut or self.rescale)


def covers(references: tuple[ImageReference, ...], sop_instance_uid: str, frame: int) -> bool:
    """Whether an item with these references is for a frame, from 1, of an image; one without any is for all.

    Parameters
    ----------
    references : tuple of ImageReference
    sop_instance_uid : str
    frame : int
        From 1.

    Returns
    -------
    bool
    """
    return not references or any(
        item.sop_instance_uid == sop_instance_uid and (not item.frames or frame in item.frames) for item in references
    )


def refuse_unsupported(sop_class_uid: str) -> Kind:
    """Kind of a presentation state by its SOP class.

    Parameters
    ----------
    sop_class_uid : str

    Returns
    -------
    {"grayscale", "color", "pseudo-color", "blending", "advanced-blending"}

    Raises
    ------
    UsageError
        No presentation state, or one that is not rendered.
    """
    name, kind = PRESENTATION_STATES.get(sop_class_uid, ("", None))
    if not name:
        raise UsageError("the object is not a presentation state")
    if kind is None:
        raise UsageError(
            f"a {name} is not rendered; rendered are Grayscale (also XA/XRF), Color, Pseudo-Color, "
            "Variable Modality LUT, Blending, Advanced Blending ones"
        )
    return kind
