"""The parameter ``overlay`` of rendered resources, beyond the standard: what lies over an image.

``overlay=UID[,name:value]...`` once for each overlay, the lowest first. UID is of an instance or a series, the names
are ``opacity``, ``palette``, ``range`` (low/high), ``levels`` (value/value/...), ``segments`` (number/number/...),
``outline``, ``time`` and ``show`` (colour, only, hide, volume): the fields of `hilum.archive.overlays.Overlay`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.overlays import MAX_OVERLAYS, Overlay
from hilum.dicomweb.routing import check_uid
from hilum.errors import UsageError
from hilum.render.fusion import MAX_OUTLINE
from hilum.render.palettes import PALETTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["parse_overlays"]

_SHOWS: Final = ("colour", "only", "hide", "volume")
_MAX_LIST: Final = 256


def parse_overlays(values: Sequence[str]) -> tuple[Overlay, ...]:
    """Read all ``overlay`` parameters of a request, in their order.

    Raises
    ------
    UsageError
        A value that cannot be, or too many.
    """
    if len(values) > MAX_OVERLAYS:
        raise UsageError(f"at most {MAX_OVERLAYS} overlays lie over an image")
    return tuple(_overlay(value) for value in values)


def _overlay(value: str) -> Overlay:
    uid, *options = (piece.strip() for piece in value.split(","))
    found: dict[str, Any] = {}
    for option in options:
        name, colon, text = option.partition(":")
        if not colon or name not in _READERS or name in found:
            raise UsageError(
                f"overlay is UID[,name:value]... with each of the names {', '.join(_READERS)} at most once"
            )
        found[name] = _READERS[name](text)
    return Overlay(check_uid(uid), **found)


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(piece) for piece in text.split("/"))
    except ValueError:
        raise UsageError(f"{name} of an overlay must be numbers, separated by /") from None
    if not all(math.isfinite(number) for number in found) or len(found) > _MAX_LIST:
        raise UsageError(f"{name} of an overlay must be at most {_MAX_LIST} finite numbers")
    return found


def _opacity(text: str) -> float:
    found = _numbers("opacity", text)
    if len(found) != 1 or not 0 <= found[0] <= 1:
        raise UsageError("opacity of an overlay must be from 0 to 1")
    return found[0]


def _range(text: str) -> tuple[float, float]:
    found = _numbers("range", text)
    if len(found) != 2 or not found[0] < found[1]:
        raise UsageError("range of an overlay must be low/high")
    return found[0], found[1]


def _segments(text: str) -> tuple[int, ...]:
    found = _numbers("segments", text)
    if not all(number == int(number) and 0 <= number < 1 << 31 for number in found):
        raise UsageError("segments of an overlay must be numbers of segments, separated by /")
    return tuple(int(number) for number in found)


def _time(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0):
        raise UsageError("time of an overlay must be the number of a time point, from 1")
    return int(text)


def _outline(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= MAX_OUTLINE):
        raise UsageError(f"outline of an overlay must be from 0 to {MAX_OUTLINE} pixels")
    return int(text)


def _choice(name: str, known: Sequence[str], text: str) -> str:
    if text not in known:
        raise UsageError(f"{name} of an overlay must be one of {', '.join(known)}")
    return text


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "opacity": _opacity,
    "palette": lambda text: _choice("palette", tuple(PALETTES), text),
    "range": _range,
    "levels": lambda text: _numbers("levels", text),
    "segments": _segments,
    "outline": _outline,
    "time": _time,
    "show": lambda text: _choice("show", _SHOWS, text),
}
