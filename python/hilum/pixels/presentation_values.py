"""Values of presentation states as pydicom has them, checked; the message of an error names the attribute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from hilum.errors import DataError, LimitExceeded
from hilum.pixels.cielab import rgb_of_cielab
from hilum.pixels.presentation_state import ImageReference

if TYPE_CHECKING:
    import pydicom

    from hilum.pixels.presentation_state import Point
    from hilum.pixels.settings import Rgb

__all__ = [
    "FAR",
    "MAX_OBJECTS",
    "MISSING",
    "bad_value",
    "colour_of",
    "items_of",
    "number_of",
    "numbers_of",
    "point_of",
    "references_of",
]

MISSING: Final = 7
"""Code of errors for what is not there (`hilum::Errc`)."""
_BAD_VALUE: Final = 8
MAX_OBJECTS: Final = 1 << 14
FAR: Final = 1e7
"""No coordinate lies farther away."""


def bad_value(message: str, code: int = _BAD_VALUE) -> DataError:
    """Make the error for what cannot be; 7 for what is missing."""
    return DataError(message, code=code)


def items_of(ds: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    """Items of a sequence, at most 16384."""
    items = ds.get(keyword) or []
    if len(items) > MAX_OBJECTS:
        raise LimitExceeded(f"{keyword} has more than {MAX_OBJECTS} items")
    return list(items)


def numbers_of(ds: pydicom.Dataset, keyword: str) -> tuple[float, ...]:
    """Numbers of an attribute, empty when it is absent."""
    value = ds.get(keyword)
    if value is None or value == "":
        return ()
    values = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    found = tuple(float(number) for number in values)
    if not all(math.isfinite(number) and abs(number) < 1e30 for number in found):
        raise bad_value(f"{keyword} is no number")
    return found


def number_of(ds: pydicom.Dataset, keyword: str, default: float) -> float:
    """First number of an attribute."""
    found = numbers_of(ds, keyword)
    return found[0] if found else default


def point_of(ds: pydicom.Dataset, keyword: str) -> Point | None:
    """Two numbers, None when absent."""
    found = numbers_of(ds, keyword)
    if not found:
        return None
    if len(found) != 2 or max(map(abs, found)) > FAR:
        raise bad_value(f"{keyword} is not one point near the image")
    return found[0], found[1]


def colour_of(ds: pydicom.Dataset, keyword: str) -> Rgb | None:
    """A CIELab value as sRGB, None when absent."""
    found = numbers_of(ds, keyword)
    if not found:
        return None
    if len(found) != 3 or not all(0 <= number <= 65535 for number in found):
        raise bad_value(f"{keyword} is not a colour")
    return rgb_of_cielab(found[0], found[1], found[2])


def references_of(ds: pydicom.Dataset, series: str = "") -> tuple[ImageReference, ...]:
    """Items of the Referenced Image Sequence."""
    found = []
    for item in items_of(ds, "ReferencedImageSequence"):
        uid = str(item.get("ReferencedSOPInstanceUID", ""))
        if not uid:
            raise bad_value("a Referenced Image Sequence names no ReferencedSOPInstanceUID (0008,1155)", MISSING)
        found.append(ImageReference(uid, tuple(int(n) for n in numbers_of(item, "ReferencedFrameNumber")), series))
    return tuple(found)
