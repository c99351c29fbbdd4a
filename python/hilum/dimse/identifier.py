"""Identifiers of queries: the small data sets of C-FIND, C-GET, C-MOVE and storage commitment, read and written.

Read without pydicom: what a peer sends is bounded, its errors name tag and offset, and values that no conformant
object may have (ranges, wildcards, lists of UIDs) stay the text that they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom.charset import convert_encodings, encode_string, python_encoding

from hilum.dicom.charset import decode_text
from hilum.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.errors import DataError, LimitExceeded
from hilum.index.schema import vr_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["CHARACTER_SET", "UTF_8", "Element", "encode", "fitting_character_set", "parse", "text_of"]

CHARACTER_SET: Final = 0x00080005
UTF_8: Final = "ISO_IR 192"
_LONG: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_TEXTS: Final = {"PN": "person_name", "LT": "text", "ST": "text", "UT": "text"}
_LOCAL: Final = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
"""VRs whose text is in the Specific Character Set (PS3.5 6.1.2.3)."""
_BINARY: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAX_DEPTH: Final = 8
_MAX_ELEMENTS: Final = 20_000
MAX_BYTES: Final = 16 << 20
"""Longest identifier that is read."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an identifier."""

    tag: int
    vr: str
    text: str = ""
    """Value as text; several values with backslash."""
    items: tuple[tuple[Element, ...], ...] = ()
    """Items of a sequence."""


@dataclass(slots=True)
class _Reader:
    view: memoryview
    explicit: bool
    order: str
    count: int = 0
    terms: list[str] = field(default_factory=lambda: [""])

    def elements(self, at: int, end: int, depth: int, *, item: bool = False) -> tuple[tuple[Element, ...], int]:
        if depth > _MAX_DEPTH:
            raise LimitExceeded("the identifier is nested too deeply")
        found: list[Element] = []
        before = self.terms[-1]
        while at < end:
            tag, vr, length, at = self._head(at, end)
            if item and tag == _ITEM_END:
                self.terms[-1] = before
                return tuple(found), at
            self.count += 1
            if self.count > _MAX_ELEMENTS:
                raise LimitExceeded("the identifier has too many elements")
            if vr == "SQ" or length == _UNDEFINED:
                items, at = self._items(at, end if length == _UNDEFINED else at + length, depth + 1, length)
                found.append(Element(tag, "SQ", items=items))
                continue
            if length > end - at:
                raise DataError(f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) is cut off", offset=at)
            text = self._text(tag, vr, self.view[at : at + length])
            at += length
            if tag == CHARACTER_SET:
                self.terms[-1] = text
            found.append(Element(tag, vr, text))
        self.terms[-1] = before
        return tuple(found), at

    def _head(self, at: int, end: int) -> tuple[int, str, int, int]:
        if end - at < 8:
            raise DataError("an element is cut off", offset=at)
        group, number = struct.unpack_from(self.order + "HH", self.view, at)
        tag = group << 16 | number
        if group == 0xFFFE or not self.explicit:
            length = struct.unpack_from(self.order + "I", self.view, at + 4)[0]
            return tag, "" if group == 0xFFFE else vr_of(tag), length, at + 8
        vr = bytes(self.view[at + 4 : at + 6]).decode("ascii", "replace")
        if not (vr.isalpha() and vr.isupper()):
            raise DataError(f"element ({group:04X},{number:04X}) has no value representation", offset=at)
        if vr in _LONG:
            if end - at < 12:
                raise DataError("an element is cut off", offset=at)
            return tag, vr, struct.unpack_from(self.order + "I", self.view, at + 8)[0], at + 12
        return tag, vr, struct.unpack_from(self.order + "H", self.view, at + 6)[0], at + 8

    def _items(self, at: int, end: int, depth: int, length: int) -> tuple[tuple[tuple[Element, ...], ...], int]:
        if end > len(self.view):
            raise DataError("a sequence is cut off", offset=at)
        items: list[tuple[Element, ...]] = []
        while at < end:
            tag, _, size, at = self._head(at, end)
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return tuple(items), at
            if tag != _ITEM:
                raise DataError("a sequence has something else than items", offset=at - 8)
            if size != _UNDEFINED and size > end - at:
                raise DataError("an item is cut off", offset=at)
            found, at = self.elements(at, end if size == _UNDEFINED else at + size, depth, item=size == _UNDEFINED)
            items.append(found)
        return tuple(items), at

    def _text(self, tag: int, vr: str, raw: memoryview) -> str:
        code = _BINARY.get(vr)
        if code:
            size = struct.calcsize("=" + code)
            values = struct.unpack_from(f"{self.order}{len(raw) // size}{code}", raw)
            return "\\".join(str(value) for value in values)
        if vr == "AT":
            words = struct.unpack_from(f"{self.order}{len(raw) // 4 * 2}H", raw)
            return "\\".join(f"{words[i]:04X}{words[i + 1]:04X}" for i in range(0, len(words), 2))
        if vr.startswith("O"):
            return "?" if len(raw) else ""  # there is a value, and it cannot be matched
        terms = self.terms[-1] if vr in _LOCAL else ""
        return decode_text(bytes(raw), terms, _TEXTS.get(vr, "values"))[0].rstrip("\0 ").lstrip(" ")  # type: ignore[arg-type]


def parse(data: Buffer, transfer_syntax_uid: str) -> tuple[Element, ...]:
    """Read an identifier.

    Parameters
    ----------
    data : bytes-like
    transfer_syntax_uid : str
        Implicit or explicit VR little endian, or explicit VR big endian.

    Raises
    ------
    DataError
        It is malformed; the message names tag or offset, never a value.
    LimitExceeded
        It is too long, too deep or has too many elements.
    """
    view = memoryview(data)
    if len(view) > MAX_BYTES:
        raise LimitExceeded(f"the identifier is longer than {MAX_BYTES} bytes")
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    reader = _Reader(view, transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN, order)
    return reader.elements(0, len(view), 0)[0]


def text_of(elements: Sequence[Element], tag: int) -> str | None:
    """Value of an element, None when it is absent."""
    return next((element.text for element in elements if element.tag == tag), None)


def encode(elements: Sequence[Element], transfer_syntax_uid: str, character_set: str = "") -> bytes:
    """Write elements in the order given; text that the character set lacks becomes ``?``.

    Parameters
    ----------
    elements : sequence of Element
        Ascending.
    transfer_syntax_uid : str
    character_set : str
        Specific Character Set of the text, terms with backslash; it is not written here.
    """
    explicit = transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN
    order = ">" if transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else "<"
    return b"".join(_encoded(element, order, character_set, explicit=explicit) for element in elements)


def _encoded(element: Element, order: str, character_set: str, *, explicit: bool) -> bytes:
    if element.vr == "SQ":
        raw = b""
        for item in element.items:
            body = b"".join(_encoded(e, order, character_set, explicit=explicit) for e in item)
            raw += struct.pack(order + "HHI", 0xFFFE, 0xE000, len(body)) + body
    else:
        raw = _raw(element, order, character_set)
    tag, vr = element.tag, element.vr
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack(order + "I", len(raw)) + raw
    if vr not in _LONG and len(raw) > 0xFFFE:
        vr = "UN"  # PS3.5 6.2.2 Note 2
    if vr in _LONG:
        return head + vr.encode() + struct.pack(order + "HI", 0, len(raw)) + raw
    return head + vr.encode() + struct.pack(order + "H", len(raw)) + raw


def _raw(element: Element, order: str, character_set: str) -> bytes:
    text, vr = element.text, element.vr
    if not text:
        return b""
    code = _BINARY.get(vr)
    try:
        if code:
            convert = float if code in "fd" else int
            return b"".join(struct.pack(order + code, convert(part)) for part in text.split("\\"))
        if vr == "AT":
            return b"".join(struct.pack(order + "HH", int(p[:4], 16), int(p[4:], 16)) for p in text.split("\\"))
    except (ValueError, struct.error, OverflowError):
        return b""
    raw = text.encode("ascii") if text.isascii() else _localised(text, vr, character_set)
    return raw + (b"\0" if vr == "UI" else b" ") if len(raw) & 1 else raw


def _localised(text: str, vr: str, character_set: str) -> bytes:
    if vr not in _LOCAL:
        return text.encode("ascii", "replace")
    if character_set == UTF_8:
        return text.encode("utf-8", "replace")
    encodings = _encodings(character_set)
    if not encodings or not _encodable(text, encodings):
        return text.encode("ascii", "replace")
    if vr != "PN":
        return b"\\".join(encode_string(part, encodings) for part in text.split("\\"))
    return b"\\".join(
        b"=".join(encode_string(group, encodings) for group in part.split("=")) for part in text.split("\\")
    )


@lru_cache(maxsize=256)
def _encodings(character_set: str) -> tuple[str, ...]:
    """Python's names of the sets; empty when one of them is not known."""
    terms = [term.strip() for term in character_set.split("\\")]
    return tuple(convert_encodings(terms)) if all(term in python_encoding for term in terms) else ()


def _encodable(text: str, encodings: Sequence[str]) -> bool:
    return all(character.isascii() or any(_can(character, name) for name in encodings) for character in text)


@lru_cache(maxsize=4096)
def _can(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def fitting_character_set(elements: Sequence[Element], wanted: str) -> str:
    """Character set for an answer: the asker's when it holds every character, else UTF-8 (PS3.4 C.4.1.1.3.2).

    Parameters
    ----------
    elements : sequence of Element
        Of the answer.
    wanted : str
        Specific Character Set of the request, empty when it has none.
    """
    if not wanted or wanted == UTF_8:
        return UTF_8
    return wanted if all(_holds(element, wanted) for element in elements) else UTF_8


def _holds(element: Element, wanted: str) -> bool:
    if element.items:
        return all(_holds(e, wanted) for item in element.items for e in item)
    if element.text.isascii() or element.vr not in _LOCAL:
        return True
    if not _encodable(element.text, _encodings(wanted)):
        return False
    raw = _localised(element.text, element.vr, wanted)
    text, clean = decode_text(raw, wanted, _TEXTS.get(element.vr, "values"))  # type: ignore[arg-type]
    return clean and text == element.text
