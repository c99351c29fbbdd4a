"""Value representations (PS3.5 section 6.2), tags and keywords (PS3.6)."""

from __future__ import annotations

import functools
import re

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from hilum import _core
from hilum.errors import UsageError

__all__ = [
    "BINARY",
    "LONG_LENGTH",
    "NUMBERS",
    "STRINGS",
    "TEXT",
    "dictionary_vr",
    "keyword_of",
    "parse_tag",
    "snake_case",
    "tag_of",
]

STRINGS = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)
"""VRs whose values are characters."""

TEXT = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
"""VRs whose characters are in the Specific Character Set (PS3.5 section 6.1.2)."""

NUMBERS = frozenset(["AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"])
"""VRs whose values are binary numbers or tags."""

BINARY = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
"""VRs whose values are bulk data."""

LONG_LENGTH = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""VRs with a 32-bit length in explicit VR (PS3.5 section 7.1.2)."""


def dictionary_vr(tag: str | int) -> str:
    """VR of a tag by PS3.6: ``"UN"`` if unknown, ``"OW"`` and ``"US"`` where the standard names several."""
    return _core.dictionary_vr(tag if isinstance(tag, int) else int(parse_tag(tag), 16))


def parse_tag(text: str) -> str:
    """Tag as 8 upper case hexadecimal digits, from these, ``gggg,eeee`` or ``(gggg,eeee)``.

    Raises
    ------
    UsageError
        It is none of these.
    """
    digits = text.strip().removeprefix("(").removesuffix(")").replace(",", "").strip()
    try:
        if len(digits) != 8 or not digits.isalnum():
            raise ValueError
        return f"{int(digits, 16):08X}"
    except ValueError:
        raise UsageError("a tag is 8 hexadecimal digits") from None


def tag_of(keyword: str) -> str | None:
    """Tag (8 hexadecimal digits) of a keyword of PS3.6, also in snake_case (``patient_id``); None if there is none."""
    number = tag_for_keyword(keyword)
    if number is None:
        number = _snake_case_tags().get(keyword)
    return None if number is None else f"{number:08X}"


def keyword_of(tag: str | int) -> str:
    """Keyword of a tag by PS3.6, ``""`` if it has none."""
    return keyword_for_tag(tag if isinstance(tag, int) else int(parse_tag(tag), 16))


def snake_case(keyword: str) -> str:
    """Keyword as an argument of a function: ``SOPInstanceUID`` is ``sop_instance_uid``."""
    return _WORD_STARTS.sub("_", keyword.replace("IDs", "Ids")).lower()


_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@functools.cache
def _snake_case_tags() -> dict[str, int]:
    return {snake_case(keyword): tag for keyword, tag in _keyword_tags()}


def _keyword_tags() -> list[tuple[str, int]]:
    from pydicom._dicom_dict import DicomDictionary

    return [(entry[4], tag) for tag, entry in DicomDictionary.items() if entry[4]]
