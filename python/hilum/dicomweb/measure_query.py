"""What is asked of a volume in numbers: JSON bodies and queries of ``/volumes``, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, get_args

from hilum.dicomweb.routing import is_uid
from hilum.errors import UsageError
from hilum.volumes.measure import Quantity
from hilum.volumes.regions import Box, Ellipsoid, Polygon, Sphere

if TYPE_CHECKING:
    from hilum.volumes.regions import Region, Vector

__all__ = ["MeasureQuery", "SegmentName", "parse_body", "parse_pairs"]

_QUANTITIES: Final = get_args(Quantity)
_MOST: Final = 1e300
"""JSON's whole numbers may have any number of digits."""
_AXES: Final = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class SegmentName:
    """A segment of a segmentation, or a region of a structure set."""

    instance: str
    """SOP Instance UID."""
    number: int
    time: int | None = None
    """From 0: of segments that vary with time."""


@dataclass(slots=True, kw_only=True)
class MeasureQuery:
    """A request; lengths in mm, LPS."""

    volume: int = 0
    """Which volume of the series, from 0: the largest first."""
    time: int = 0
    quantity: Quantity = "modality"
    region: Region | SegmentName | None = None
    bins: int = 0
    limits: tuple[float, float] | None = None
    start: Vector | None = None
    end: Vector | None = None
    spacing: float | None = None
    interpolation: str = "linear"
    threshold: float | None = None
    below: bool = False
    segment: SegmentName | None = None
    level: int = 0
    closed: bool = True
    largest: int = 0
    smooth: int | None = None
    faces: int = 0
    error: float = 0.0
    given: set[str] = field(default_factory=set)
    """What the request named."""

    def variant(self) -> str:
        """Text that differs where a surface may differ."""
        return repr([getattr(self, one.name) for one in fields(self) if one.name != "given"])

    def only(self, what: str, *names: str) -> None:
        """Refuse what a resource knows nothing of."""
        unknown = sorted(self.given - {"volume", "quantity", *names})
        if unknown:
            raise UsageError(f"{what} knows no {', '.join(unknown)}")


def parse_body(body: bytes) -> MeasureQuery:
    """Read a JSON object.

    Raises
    ------
    UsageError
        It is none, or a member is unknown or cannot be; the message names it.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise UsageError("the body must be a JSON object")
    return _query(document)


def parse_pairs(pairs: list[tuple[str, str]]) -> MeasureQuery:
    """Read the pairs of a query: the members of the JSON object that are numbers, words and truth values.

    A segment is ``segment=UID,number`` or ``segment=UID,number,time``. Errors: those of `parse_body`.
    """
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise UsageError("a parameter is given twice")
        if name == "segment":
            instance, _, numbers = value.partition(",")
            number, comma, time = numbers.partition(",")
            document[name] = {"instance": instance, "number": _number_text(number)}
            if comma:
                document[name]["time"] = _number_text(time)
        elif name in ("below", "closed"):
            document[name] = {"true": True, "false": False}.get(value, value)
        elif name in _READ and name not in ("quantity", "interpolation", "region", "start", "end", "limits"):
            document[name] = _number_text(value)
        else:
            document[name] = value
    return _query(document)


def _number_text(value: str) -> Any:
    """The number that a text is, else the text."""
    try:
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else float(value)
    except ValueError:
        return value


def _query(document: dict[str, Any]) -> MeasureQuery:
    query = MeasureQuery(given=set(document))
    for name, value in document.items():
        if name not in _READ:
            raise UsageError("the request has a member that is not known; known are " + ", ".join(_READ))
        setattr(query, name, _READ[name](name, value))
    return query


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        raise UsageError(f"{name} must be a finite number")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise UsageError(f"{name} must be a whole number from 0 to 2147483647")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false")
    return value


def _vector(name: str, value: Any) -> Vector:
    if not isinstance(value, list) or len(value) != 3:
        raise UsageError(f"{name} must be a list of three numbers")
    x, y, z = (_number(name, one) for one in value)
    return x, y, z


def _limits(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise UsageError(f"{name} must be a list of two numbers")
    return _number(name, value[0]), _number(name, value[1])


def _quantity(name: str, value: Any) -> Quantity:
    if value not in _QUANTITIES:
        raise UsageError(f"{name} must be one of {', '.join(_QUANTITIES)}")
    found: Quantity = value
    return found


def _interpolation(name: str, value: Any) -> str:
    if value not in ("linear", "nearest"):
        raise UsageError(f"{name} must be linear or nearest")
    return str(value)


def _members(name: str, value: Any, needed: set[str], more: frozenset[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(value, dict) or not needed <= set(value) <= needed | more:
        optional = f", and may have {', '.join(sorted(more))}" if more else ""
        raise UsageError(f"{name} must be an object of {', '.join(sorted(needed))}{optional}")
    return value


def _segment(name: str, value: Any) -> SegmentName:
    found = _members(name, value, {"instance", "number"}, frozenset({"time"}))
    if not isinstance(found["instance"], str) or not is_uid(found["instance"]):
        raise UsageError(f"{name} must name the SOP Instance UID of a segmentation or structure set")
    time = None if "time" not in found else _count(f"the time of {name}", found["time"])
    return SegmentName(found["instance"], _count(f"the number of {name}", found["number"]), time)


def _axes(value: Any) -> tuple[Vector, Vector, Vector]:
    if not isinstance(value, list) or len(value) != 3:
        raise UsageError("axes must be a list of three vectors")
    a, b, c = (_vector("an axis", one) for one in value)
    return a, b, c


def _region(name: str, value: Any) -> Region | SegmentName:
    if not isinstance(value, dict) or len(value) != 1:
        raise UsageError(f"{name} must be an object with one of box, sphere, ellipsoid, polygon, segment")
    kind, shape = next(iter(value.items()))
    if kind == "segment":
        return _segment("segment", shape)
    if kind == "box":
        found = _members(kind, shape, {"centre", "size"}, frozenset({"axes"}))
        return Box(
            _vector("centre", found["centre"]), _vector("size", found["size"]), _axes(found.get("axes", _listed()))
        )
    if kind == "ellipsoid":
        found = _members(kind, shape, {"centre", "radii"}, frozenset({"axes"}))
        return Ellipsoid(
            _vector("centre", found["centre"]), _vector("radii", found["radii"]), _axes(found.get("axes", _listed()))
        )
    if kind == "sphere":
        found = _members(kind, shape, {"centre", "radius"})
        return Sphere(_vector("centre", found["centre"]), _number("radius", found["radius"]))
    if kind == "polygon":
        found = _members(kind, shape, {"points"}, frozenset({"thickness"}))
        if not isinstance(found["points"], list):
            raise UsageError("points must be a list of points")
        points = tuple(_vector("a point", one) for one in found["points"])
        thickness = found.get("thickness")
        return Polygon(points, None if thickness is None else _number("thickness", thickness))
    raise UsageError(f"{name} must be an object with one of box, sphere, ellipsoid, polygon, segment")


def _listed() -> list[list[float]]:
    return [list(axis) for axis in _AXES]


_READ: Final[dict[str, Any]] = {
    "volume": _count,
    "time": _count,
    "quantity": _quantity,
    "region": _region,
    "bins": _count,
    "limits": _limits,
    "start": _vector,
    "end": _vector,
    "spacing": _number,
    "interpolation": _interpolation,
    "threshold": _number,
    "below": _flag,
    "segment": _segment,
    "level": _count,
    "closed": _flag,
    "largest": _count,
    "smooth": _count,
    "faces": _count,
    "error": _number,
}
