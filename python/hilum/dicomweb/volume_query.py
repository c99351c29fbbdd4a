"""What the query of a rendered volume asks for (PS3.18 8.3.5.3)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pydicom.datadict import tag_for_keyword

from hilum.dicomweb.render_query import parse_render_query
from hilum.dicomweb.routing import is_uid
from hilum.errors import LimitExceeded, UsageError
from hilum.render.geometry import VIEWS
from hilum.render.presets import preset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.archive.volume_images import Method
    from hilum.dicomweb.render_query import RenderQuery
    from hilum.render.geometry import Vector

__all__ = ["VolumeQuery", "parse_volume_query"]

METHODS: Final[tuple[Method, ...]] = ("volume_rendered", "maximum_ip", "minimum_ip", "average_ip")
MAX_PIXELS: Final = 4096 * 4096
"""Of an image of a volume."""
_VECTORS: Final = ("viewpointposition", "viewpointlookat", "viewpointup")
_POSITIVE: Final = ("mprslab", "animationstepsize", "animationrate", "swivelrange", "fieldofview")
_KNOWN: Final = frozenset(
    {
        *_VECTORS,
        *_POSITIVE,
        "volumeinputreference",
        "renderingmethod",
        "orientation",
        "volumetriccurvepoint",
        "renderedvolumetricmetadata",
        "preset",
        "interactive",
        "timepoint",
    }
)
_LEAST: Final = 1e-3
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")


@dataclass(slots=True)
class VolumeQuery:
    """What is asked of an image of a volume; lengths in mm, LPS."""

    image: RenderQuery
    """Viewport, window and quality."""
    references: tuple[str, ...] = ()
    """UIDs of series or instances, or numbers of frames, that the volume is made of."""
    matches: tuple[tuple[str, str], ...] = ()
    """Attribute (keyword or tag) and value that instances must have."""
    method: Method | None = None
    orientation: str = ""
    position: Vector | None = None
    look_at: Vector | None = None
    up: Vector | None = None
    slab: float | None = None
    """Thickness."""
    swivel: float | None = None
    """Degrees."""
    curve: tuple[Vector, ...] = ()
    step: float | None = None
    """Degrees of a swivel, mm along a curve."""
    rate: float | None = None
    """Frames or steps a second."""
    width: float | None = None
    """Of the image in the patient."""
    time: int | None = None
    """Time point of the volume, from 1."""
    metadata: bool = False
    preset: str = ""
    interactive: bool = False
    warnings: list[str] = field(default_factory=list)

    def variant(self) -> str:
        """Text that differs where the image may differ."""
        return repr(replace(self, warnings=[]))


def _numbers(name: str, value: str) -> list[float]:
    try:
        found = [float(piece) for piece in value.split(",")]
    except ValueError:
        raise UsageError(f"{name} must be numbers, separated by commas") from None
    if not all(math.isfinite(number) and abs(number) <= 1e6 for number in found):
        raise UsageError(f"{name} must be finite numbers, in mm or degrees")
    return found


def _vector(name: str, value: str) -> Vector:
    found = _numbers(name, value)
    if len(found) != 3:
        raise UsageError(f"{name} must be three numbers, separated by commas")
    return found[0], found[1], found[2]


def _positive(name: str, value: str) -> float:
    found = _numbers(name, value)
    if len(found) != 1 or found[0] < _LEAST:
        raise UsageError(f"{name} must be one number above 0, at least {_LEAST}")
    return found[0]


def _curve(value: str) -> tuple[Vector, ...]:
    found = _numbers("volumetriccurvepoint", value)
    if len(found) % 3 or len(found) < 6:
        raise UsageError("volumetriccurvepoint must be at least two points of three numbers")
    return tuple((found[i], found[i + 1], found[i + 2]) for i in range(0, len(found), 3))


def _references(value: str) -> tuple[str, ...]:
    found = tuple(piece.strip() for piece in value.split(",") if piece.strip())
    if not found or not all(is_uid(piece) for piece in found) or len(found) > 4096:
        raise UsageError("volumeinputreference must be UIDs or numbers of frames, separated by commas")
    return found


def _choice(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}")
    return value


def _set(found: VolumeQuery, name: str, value: str) -> None:
    if name == "volumeinputreference":
        found.references = _references(value)
    elif name == "renderingmethod":
        found.method = next(m for m in METHODS if m == _choice(name, value, METHODS))
    elif name == "orientation":
        found.orientation = _choice(name, value, tuple(VIEWS))
    elif name == "volumetriccurvepoint":
        found.curve = _curve(value)
    elif name == "renderedvolumetricmetadata":
        found.metadata = _choice(name, value, ("yes",)) == "yes"
    elif name == "timepoint":
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value)):
            raise UsageError("timepoint must be a whole number from 1 to 999999999")
        found.time = int(value)
    elif name == "preset":
        preset(value)
        found.preset = value
    elif name == "interactive":
        found.interactive = _choice(name, value, ("yes", "no")) == "yes"


def _check(found: VolumeQuery) -> None:
    views = (found.position, found.look_at, found.up)
    if found.orientation and any(view is not None for view in views):
        raise UsageError("orientation and the viewpoint parameters exclude each other")
    if (found.position is None) != (found.look_at is None):
        raise UsageError("viewpointposition and viewpointlookat go together")
    if found.position is not None and found.position == found.look_at:
        raise UsageError("viewpointposition and viewpointlookat must differ")
    if found.up is not None and found.position is None:
        raise UsageError("viewpointup goes with viewpointposition and viewpointlookat")
    if found.up == (0.0, 0.0, 0.0):  # as in the example of PS3.18 B.33
        found.up = None
        found.warnings.append("viewpointup has no direction; the upper edge was chosen by the server")
    if found.time is not None and found.rate is not None and found.swivel is None and not found.curve:
        raise UsageError("timepoint and animationrate through time exclude each other")
    if found.swivel is not None and found.curve:
        raise UsageError("swivelrange and volumetriccurvepoint exclude each other")
    view = found.image.viewport
    if view is not None:
        if (view.x, view.y, view.columns, view.rows, view.fractions) != (0, 0, None, None, None):
            raise UsageError("the viewport of a volume is its width and height alone")
        if view.width * view.height > MAX_PIXELS:
            raise LimitExceeded(f"an image of a volume has at most {MAX_PIXELS} pixels")
    if found.image.bits != 8:
        raise UsageError("images of a volume have 8 bits")


def parse_volume_query(pairs: Sequence[tuple[str, str]]) -> VolumeQuery:
    """Parameters of PS3.18 8.3.5.3, those of 8.3.5.1, and attributes to match (8.3.4.1); others are left alone.

    Beyond the standard, ``preset`` names a transfer function of volume rendering, ``interactive=yes`` asks for a
    quarter of the pixels, ``timepoint`` chooses one of a 4D volume, ``fieldofview`` is the width of the image in mm.

    Raises
    ------
    UsageError
        A value that cannot be, parameters that exclude each other.
    LimitExceeded
        A viewport of more pixels than an image of a volume may have.
    """
    given: dict[str, str] = {}
    matches: list[tuple[str, str]] = []
    for name, value in pairs:
        folded = name.lower()
        if folded == "match":
            keyword, _, wanted = value.partition("=")
            matches.append((keyword, wanted))
        elif folded in _KNOWN:
            joined = folded in ("volumeinputreference", "volumetriccurvepoint") and folded in given
            given[folded] = f"{given[folded]},{value}" if joined else value
        elif _TAG.fullmatch(name) or tag_for_keyword(name) is not None:
            matches.append((name, value))
    if any(not (_TAG.fullmatch(name) or tag_for_keyword(name) is not None) for name, _ in matches):
        raise UsageError("match must be an attribute's keyword or tag, = and a value")
    found = VolumeQuery(parse_render_query(pairs), matches=tuple(matches))
    for name, value in given.items():
        _set(found, name, value)
    vectors = [_vector(name, given[name]) if name in given else None for name in _VECTORS]
    found.position, found.look_at, found.up = vectors
    sizes = [_positive(name, given[name]) if name in given else None for name in _POSITIVE]
    found.slab, found.step, found.rate, found.swivel, found.width = sizes
    found.warnings += found.image.warnings
    _check(found)
    return found
