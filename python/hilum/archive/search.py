"""Search with Python values: attribute names in snake_case, dates as dates, ranges as pairs."""

from __future__ import annotations

import datetime as dt
import difflib
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Key", "keyword_of", "matching_keys"]

Scalar: TypeAlias = "str | int | float | dt.date | dt.datetime | dt.time"
Key: TypeAlias = "Scalar | Sequence[Scalar] | tuple[Scalar | None, Scalar | None] | None"
"""What a search may be given for an attribute.

A text is matched as DICOM has it: ``*`` and ``?`` are wildcards, ``"20240101-20240131"`` is a range. A list matches any
of its values. A pair is a range of dates or times of which one end may be None. None or ``""`` matches everything.
"""

_RANGES = ("DA", "TM", "DT")


@cache
def _keywords() -> dict[str, str]:
    """Keywords of PS3.6 by their letters and digits in lower case."""
    from pydicom.datadict import keyword_dict

    return {keyword.lower(): keyword for keyword in keyword_dict}


def keyword_of(name: str) -> str:
    """Keyword of an attribute: ``patient_id`` and ``PatientID`` both give ``PatientID``.

    Raises
    ------
    UsageError
        PS3.6 has no such attribute; the message names similar ones.
    """
    folded = name.replace("_", "").lower()
    keyword = _keywords().get(folded)
    if keyword is None:
        near = [_keywords()[match] for match in difflib.get_close_matches(folded, _keywords(), 3, 0.75)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UsageError(f"there is no attribute {name!r}{hint}")
    return keyword


def matching_keys(keys: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Turn Python keys into matching keys of a query, by keyword.

    Raises
    ------
    UsageError
        An unknown attribute, or a value that cannot be matched with its value representation.
    """
    from pydicom.datadict import dictionary_VR

    matches: dict[str, str | list[str]] = {}
    for name, value in keys.items():
        keyword = keyword_of(name)
        try:
            vr = dictionary_VR(keyword).split(" ")[0]
            several = isinstance(value, list | set | frozenset)
            matches[keyword] = [_text(part, vr) for part in value] if several else _text(value, vr)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    return matches


def _text(value: Any, vr: str) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        if len(value) != 2 or vr not in _RANGES:
            raise ValueError("a pair is a range, for dates and times only; give alternatives as a list")
        start, end = (_text(part, vr) for part in value)
        return f"{start}-{end}" if start or end else ""
    if isinstance(value, dt.datetime):
        return {"DA": f"{value:%Y%m%d}", "TM": f"{value:%H%M%S}"}.get(vr, f"{value:%Y%m%d%H%M%S.%f%z}")
    if isinstance(value, dt.date):
        if vr == "TM":
            raise ValueError("needs a time, not a date")
        return f"{value:%Y%m%d}"
    if isinstance(value, dt.time):
        if vr != "TM":
            raise ValueError("a time does not fit this attribute")
        return f"{value:%H%M%S}"
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"cannot match a {type(value).__name__}")
