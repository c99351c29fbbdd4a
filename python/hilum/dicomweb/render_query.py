"""What the query of a rendered resource asks for (PS3.18 8.3.5.1), and of WADO-URI (PS3.18 9.4.1.2.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from hilum.archive.pictures import ICC_PROFILES, PictureRequest
from hilum.dicomweb.negotiate import NotAcceptable
from hilum.dicomweb.overlay_query import parse_overlays
from hilum.dicomweb.routing import check_uid
from hilum.errors import UsageError
from hilum.pixels.formats import DEEP, FORMATS, media_type_of
from hilum.pixels.legends import LEGENDS
from hilum.pixels.settings import RenderSettings, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.archive.overlays import Overlay
    from hilum.archive.pictures import IccProfile
    from hilum.index.base import InstanceRecord
    from hilum.pixels.legends import Legend
    from hilum.types import PixelDescription

__all__ = ["RenderQuery", "Viewport", "parse_render_query", "uri_as_rs"]

MAX_SIDE: Final = 16384
DEFAULT_QUALITY: Final = 90
_FUNCTIONS: Final[dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]]] = {
    "": "LINEAR",
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "linear_exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}
_LISTS: Final = ("viewport", "window", "annotation")


@dataclass(frozen=True, slots=True)
class Viewport:
    """The viewport parameter (PS3.18 8.3.5.1.3)."""

    width: int = 0
    """0: as the height and the aspect demand."""
    height: int = 0
    x: int = 0
    """Upper left corner of the part of the image, in its pixels."""
    y: int = 0
    columns: int | None = None
    """Of that part, negative: shown mirrored; None: all from its corner on."""
    rows: int | None = None
    fractions: tuple[float, float, float, float] | None = None
    """Instead of the part: its left, upper, right and lower edge as fractions of the image (WADO-URI)."""

    def settings(self, pixels: PixelDescription) -> dict[str, Any]:
        """Size, region and orientation of the picture of an image with these pixels."""
        found: dict[str, Any] = {"width": self.width, "height": self.height}
        x, y, columns, rows = self.x, self.y, self.columns, self.rows
        if self.fractions is not None:
            left, upper, right, lower = self.fractions
            x, y = math.floor(left * pixels.columns), math.floor(upper * pixels.rows)
            columns = max(1, math.ceil(right * pixels.columns) - x)
            rows = max(1, math.ceil(lower * pixels.rows) - y)
        if (x, y, columns, rows) == (0, 0, None, None):
            return found
        if x >= pixels.columns or y >= pixels.rows:
            raise UsageError("the region of the viewport lies outside of the image")
        columns = pixels.columns - x if columns is None else columns
        rows = pixels.rows - y if rows is None else rows
        if not columns or not rows:
            raise UsageError("the region of the viewport has no pixels")
        found["region"] = (x, y, abs(columns), abs(rows))
        found["rotation"] = 180 if rows < 0 else 0  # upside down is mirrored and turned by half
        found["flip"] = (columns < 0) != (rows < 0)
        return found


@dataclass(slots=True)
class RenderQuery:
    """What the query of a rendered resource asks for."""

    viewport: Viewport | None = None
    window: Window | None = None
    quality: int | None = None
    bits: Literal[8, 16] = 8
    screen_spacing: float = 0.0
    icc_profile: IccProfile = "no"
    legends: frozenset[Legend] = frozenset()
    presentation_uid: str = ""
    presentation_series_uid: str = ""
    overlays: tuple[Overlay, ...] = ()
    warnings: list[str] = field(default_factory=list)

    def request(
        self, pixels: PixelDescription | None, media_type: str, state: InstanceRecord | None = None
    ) -> PictureRequest:
        """Give the request for one image.

        Raises
        ------
        UsageError
            A parameter that the image or its presentation state cannot fulfil.
        NotAcceptable
            16 bits in a file that has 8.
        """
        if self.bits == 16 and FORMATS[media_type] not in DEEP:
            raise NotAcceptable(f"16 bits are answered as {', '.join(map(media_type_of, DEEP))}")
        chosen: dict[str, Any] = {"window": self.window, "bits": self.bits, "screen_spacing": self.screen_spacing}
        if self.viewport is not None and pixels is not None:
            chosen.update(self.viewport.settings(pixels))
        return PictureRequest(
            RenderSettings(**chosen),
            FORMATS[media_type],
            DEFAULT_QUALITY if self.quality is None else self.quality,
            self.icc_profile,
            self.legends,
            state,
            self.overlays,
        )


def _numbers(name: str, value: str, least: int, most: int) -> list[float | None]:
    """Numbers separated by commas; an empty one is None."""
    pieces = value.split(",")
    if not least <= len(pieces) <= most:
        raise UsageError(f"{name} must be {least} to {most} numbers, separated by commas")
    try:
        numbers = [float(piece) if piece.strip() else None for piece in pieces]
    except ValueError:
        raise UsageError(f"{name} must be {least} to {most} numbers, separated by commas") from None
    if any(number is not None and not math.isfinite(number) for number in numbers):
        raise UsageError(f"{name} must be finite numbers")
    return numbers


def _viewport(value: str) -> Viewport:
    numbers = _numbers("viewport", value, 2, 6)
    width, height = numbers[0] or 0, numbers[1] or 0
    if not (0 <= width <= MAX_SIDE and 0 <= height <= MAX_SIDE):
        raise UsageError(f"the viewport must be from 1 to {MAX_SIDE} pixels wide and high")
    x, y, columns, rows = [*numbers[2:], None, None, None, None][:4]
    if (x or 0) < 0 or (y or 0) < 0 or max(abs(number or 0) for number in (x, y, columns, rows)) > 65535:
        raise UsageError("the region of the viewport lies outside of every image")
    return Viewport(
        round(width),
        round(height),
        round(x or 0),
        round(y or 0),
        None if columns is None else round(columns),
        None if rows is None else round(rows),
    )


def _fractions(value: str) -> tuple[float, float, float, float]:
    numbers = [number for number in _numbers("region", value, 4, 4) if number is not None]
    if len(numbers) != 4 or not (0 <= numbers[0] < numbers[2] <= 1 and 0 <= numbers[1] < numbers[3] <= 1):
        raise UsageError("region must be left,upper,right,lower as fractions of the image, from 0 to 1")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _window(value: str) -> Window:
    center, found, rest = value.partition(",")
    width, _, function = rest.partition(",")
    if not found or function.strip().lower() not in _FUNCTIONS:
        raise UsageError("window must be center,width[,function] with the function linear, linear-exact or sigmoid")
    numbers = _numbers("window", f"{center},{width}", 2, 2)
    if numbers[0] is None or numbers[1] is None:
        raise UsageError("window must have a center and a width")
    name = _FUNCTIONS[function.strip().lower()]
    if numbers[1] < (1 if name == "LINEAR" else 1e-9):
        raise UsageError("the width of the window must be at least 1 for linear, above 0 for the others")
    return Window(numbers[0], numbers[1], name)


def _quality(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= 100):
        raise UsageError("quality must be a number from 1 to 100")
    return int(value)


def _annotation(value: str, found: RenderQuery) -> None:
    words = {word.strip().lower() for word in value.split(",")} - {"", "no"}
    found.legends = frozenset(legend for legend in LEGENDS if legend in words)
    if words - set(LEGENDS):
        found.warnings.append(f"annotation: only {' and '.join(LEGENDS)} are known, the others were ignored")


def _icc_profile(value: str) -> IccProfile:
    for name in ICC_PROFILES:
        if value.lower() == name:
            return name
    raise UsageError(f"iccprofile must be one of {', '.join(ICC_PROFILES)}")


def parse_render_query(pairs: Sequence[tuple[str, str]]) -> RenderQuery:
    """Parameters of PS3.18 8.3.5.1; those that are not known are left alone.

    Beyond the standard, ``bits=16`` asks for 16 bits of a grey PNG or of raw samples, ``screenSpacing`` says how many
    millimetres a pixel of the screen has (for presentation states of TRUE SIZE), ``presentationUID`` and
    ``presentationSeriesUID`` for an image by a presentation state of its study, ``region`` is that of WADO-URI, and
    ``overlay`` is read by `hilum.dicomweb.overlay_query`.

    Raises
    ------
    UsageError
        A value that cannot be.
    """
    found = RenderQuery()
    fractions = None
    given: dict[str, str] = {}
    for name, value in pairs:  # dicomweb-client repeats a parameter for each of its numbers
        folded = name.lower()
        given[folded] = f"{given[folded]},{value}" if folded in given and folded in _LISTS else value
    found.overlays = parse_overlays([value for name, value in pairs if name.lower() == "overlay" and value])
    for folded, value in given.items():
        if folded == "viewport":
            found.viewport = _viewport(value)
        elif folded == "region" and value:
            fractions = _fractions(value)
        elif folded == "window":
            found.window = _window(value)
        elif folded == "quality":
            found.quality = _quality(value)
        elif folded == "bits":
            if value not in ("8", "16"):
                raise UsageError("bits must be 8 or 16")
            found.bits = 16 if value == "16" else 8
        elif folded == "screenspacing" and value:
            found.screen_spacing = _numbers("screenSpacing", value, 1, 1)[0] or 0.0
        elif folded == "annotation":
            _annotation(value, found)
        elif folded == "iccprofile" and value:
            found.icc_profile = _icc_profile(value)
        elif folded == "presentationuid" and value:
            found.presentation_uid = check_uid(value)
        elif folded == "presentationseriesuid" and value:
            found.presentation_series_uid = check_uid(value)
    if fractions is not None:
        size = found.viewport or Viewport()
        found.viewport = Viewport(size.width, size.height, fractions=fractions)
    if found.presentation_series_uid and not found.presentation_uid:
        raise UsageError("presentationSeriesUID goes with presentationUID")
    return found


_SAME: Final = ("annotation", "region", "presentationuid", "presentationseriesuid", "iccprofile", "bits")


def uri_as_rs(given: dict[str, str]) -> list[tuple[str, str]]:
    """Give the parameters of PS3.18 9.4.1.2.3 in the words of the RESTful service.

    Raises
    ------
    UsageError
        A window or region beside a presentation state, or half a window.
    """
    pairs = [(name, given[name]) for name in _SAME if given.get(name)]
    if given.get("rows") or given.get("columns"):
        pairs.append(("viewport", f"{given.get('columns') or 0},{given.get('rows') or 0}"))
    if given.get("windowcenter") or given.get("windowwidth"):
        pairs.append(("window", f"{given.get('windowcenter', '')},{given.get('windowwidth', '')}"))
    if given.get("imagequality"):
        pairs.append(("quality", given["imagequality"]))
    return pairs
