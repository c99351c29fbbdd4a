"""What may be asked of a picture: the one place for every setting of the 2D pipeline (PS3.3 C.11, PS3.4 N.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hilum import _core
from hilum.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Lut",
    "Overlay",
    "OverlayPlane",
    "RenderSettings",
    "Rescale",
    "Rgb",
    "Shutter",
    "Window",
]

_MOST_SPACING: Final = 10.0

ImageFormat: TypeAlias = Literal["png", "jpeg"]
Rgb: TypeAlias = tuple[int, int, int]
"""Red, green, blue of sRGB, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window in modality values (HU for CT), PS3.3 C.11.2.1.2."""

    center: float
    width: float
    """At least 1 for LINEAR, above 0 otherwise."""
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


@dataclass(frozen=True, slots=True)
class Rescale:
    """Stored to modality values by a line, PS3.3 C.11.1.1.2."""

    slope: float
    """Not 0."""
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Lut:
    """A look-up table; inputs before the first and after the last entry map to these (PS3.3 C.11.1.1)."""

    entries: tuple[int, ...]
    """1 to 65536 of them, each 0 to 65535."""
    first: int = 0
    """Input that maps to ``entries[0]``. Of no meaning in a presentation LUT."""
    bits: int = 16
    """Of an entry, 8 to 16: ``2 ** bits - 1`` is white."""


@dataclass(frozen=True, slots=True)
class OverlayPlane:
    """One bit for each pixel of a rectangle, PS3.3 C.9.2."""

    rows: int
    columns: int
    bits: Buffer
    """Row after row without gaps, the lowest bit of each byte first (PS3.5 8.1.2): ``numpy.packbits(plane,
    bitorder="little")``."""
    origin: tuple[int, int] = (1, 1)
    """Row and column of its first pixel; the first of the image is ``(1, 1)``."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What is painted over the picture where a plane has ones."""

    plane: OverlayPlane | int
    """A plane, or the group of one of the file's overlays: ``0x6000`` to ``0x60FE``. A group that the file has not for
    this frame paints nothing."""
    value: int = 0xFFFF
    """Grey as a P-Value of 16 bits: 0 is black, 65535 white."""
    colour: Rgb | None = None
    """Instead of `value`; makes a grey picture RGB."""
    outline: bool | None = None
    """Paint only the edge of what is set; None: for the file's regions of interest (Overlay Type R)."""


@dataclass(frozen=True, slots=True)
class Shutter:
    """Hides what is outside of any of its shapes (PS3.3 C.7.6.11, C.7.6.15)."""

    rectangle: tuple[int, int, int, int] | None = None
    """``(left, right, upper, lower)``: first and last column and row, from 1, that are seen."""
    circle: tuple[int, int, int] | None = None
    """``(row, column, radius)``, from 1; the radius in pixels along a row."""
    polygon: tuple[tuple[int, int], ...] = ()
    """Three to 16384 vertices ``(row, column)``, from 1; pixels on an edge are seen."""
    bitmap: OverlayPlane | int | None = None
    """Hides where it has ones; a plane or the group of one of the file's overlays."""
    value: int = 0
    """Of the hidden parts: a P-Value of 16 bits."""
    colour: Rgb | None = None
    """Instead of `value`; makes a grey picture RGB."""


class _Checked:
    __slots__ = ("_request",)
    _request: _core.RenderRequest


@dataclass(frozen=True, slots=True)
class RenderSettings(_Checked):
    """What a viewer may ask for; the defaults show the frame as its file says, at its own size.

    Immutable; checked when it is made. The order of the steps: modality, VOI, presentation, region, scale, shutter,
    overlays, rotation, flip.

    Raises
    ------
    UsageError
        A setting that no image can fulfil.
    """

    width: int = 0
    """Columns of the picture at most; 0: as `height` and the aspect demand."""
    height: int = 0
    """Rows of the picture at most; 0: as `width` and the aspect demand. Both 0: the image's own size."""
    scale: float = 0.0
    """Above 0: pixels of the picture for one pixel of the image, instead of `width` and `height`."""
    screen_spacing: float = 0.0
    """Millimetres from one pixel of the screen to the next, up to 10; 0: not known. What presentation states show in
    TRUE SIZE gets that size, unless `width` or `height` are given."""
    region: tuple[int, int, int, int] | None = None
    """``(x, y, columns, rows)`` in pixels of the image, from its upper left corner; inside of the image."""
    displayed_area: tuple[int, int, int, int] | None = None
    """``(left, top, right, bottom)`` in pixels from 1, the corners included (PS3.3 C.10.4), instead of `region`; may
    reach outside of the image, where the picture is black."""
    exact_size: bool = False
    """`width` and `height`, both given, are met whatever the proportions; not with `scale`."""
    square_pixels: bool = True
    """Stretch images whose pixels are not square to their true proportions."""
    pixel_aspect: float | None = None
    """Height of a pixel over its width, instead of what the file says."""
    interpolation: Literal["linear", "cubic"] = "linear"
    """Where the picture is larger than the image: linear or Catmull-Rom. Where it is smaller, areas are averaged."""
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise (PS3.3 C.10.6). `width` and `height` are those of the rotated picture."""
    flip: bool = False
    """Left to right, after the rotation."""

    modality: Rescale | Lut | None = None
    """Instead of the file's rescale or modality LUT."""
    window: Window | None = None
    """Instead of what the file says."""
    voi_lut: Lut | None = None
    """Instead of what the file says; `window` goes before it."""
    window_index: int = 0
    """Which of the file's windows and, after them, VOI LUTs."""
    window_name: str | None = None
    """The file's window or VOI LUT with this explanation, (0028,1055) or (0028,3003)."""
    auto_window: bool = False
    """Lay the window by `percentiles` even where the file has one."""
    percentiles: tuple[float, float] = (0.1, 99.9)
    """Of the frame's values without padding: what becomes black and white where the file has no window. ``(0, 100)``:
    least and greatest value."""
    presentation: Literal["IDENTITY", "INVERSE"] | Lut | None = None
    """Presentation LUT (PS3.3 C.11.6); a grey image is then shown by it, not by its photometric interpretation."""
    palette: tuple[Lut, Lut, Lut] | None = None
    """Pseudo-colour: red, green and blue for the display values of a grey image (PS3.3 A.33.3)."""
    invert: bool = False
    """In addition to all else."""

    overlays: Literal["file"] | tuple[Overlay, ...] = "file"
    """In this order, over the shutter. ``"file"``: all that the file has for the frame, in white; ``()``: none."""
    shutter: Literal["file"] | Shutter | None = "file"
    """``"file"``: as the file says; None: nothing is hidden."""

    bits: Literal[8, 16] = 8
    """Of a sample; 16 for grey pictures, as arrays or PNG."""
    format: ImageFormat = "jpeg"
    quality: int = 90
    """Of JPEG, 1-100. Colour is subsampled below 90."""

    def __post_init__(self) -> None:
        """Have the core check and convert the fields, once."""
        if not 0 <= self.screen_spacing <= _MOST_SPACING:
            raise UsageError(f"screen_spacing must be from 0 to {_MOST_SPACING} mm")
        object.__setattr__(self, "_request", _core.RenderRequest(self))

    @property
    def request(self) -> _core.RenderRequest:
        """The settings in the form that the core takes."""
        try:
            return self._request
        except AttributeError:  # a copy or an unpickled one: neither goes through __post_init__
            self.__post_init__()
            return self._request
