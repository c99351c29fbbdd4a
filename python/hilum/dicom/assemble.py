"""Part-10 files from DICOM JSON and bulk data (PS3.18 annex F, 10.5; PS3.10 7): the way back of `hilum.dicom.json`.

Written in Explicit VR Little Endian; pixel data in fragments when they come compressed. Bulk data are not copied: the
file is given in pieces.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom import codestream
from hilum.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    is_valid_uid,
)
from hilum.dicom.vr import BINARY, LONG_LENGTH, STRINGS, TEXT
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    Model = Mapping[str, Any]

__all__ = ["BulkPart", "assemble"]

_MAX_DEPTH: Final = 32
_UNDEFINED: Final = 0xFFFFFFFF
_PIXEL_DATA: Final = "7FE00010"
_CHARACTER_SET: Final = "00080005"
_DOCUMENT, _DOCUMENT_LENGTH = "00420011", "00420015"
_NUMBERS: Final = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
_ONE_VALUE: Final = frozenset({"LT", "ST", "UR", "UT"})
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_MAX_DS: Final = 16


@dataclass(frozen=True, slots=True)
class BulkPart:
    """Bulk data as a client sends them."""

    media_type: str
    """In lower case, without parameters; empty when it was not said."""
    transfer_syntax: str
    """The ``transfer-syntax`` parameter, empty without."""
    data: Buffer


def assemble(model: Model, bulk: Callable[[str], Sequence[BulkPart]]) -> list[Buffer]:
    """Write an object.

    Parameters
    ----------
    model : mapping
        One data set of the DICOM JSON Model, parsed. Group 2 and group lengths in it are left out.
    bulk : callable
        Gives the parts behind a ``BulkDataURI``, several for the frames of compressed pixel data; raises `DataError`.

    Returns
    -------
    list of bytes-like
        The file in pieces: preamble, File Meta Information, data set.

    Raises
    ------
    DataError
        A value that its VR cannot have, an unknown VR, bulk data that are not there; the message names the tag alone.

    Notes
    -----
    Text that is not ASCII is written in UTF-8 and (0008,0005) says so. The transfer syntax is that of the pixel data's
    part, else found in the codestream. Attributes of the Image Pixel Module that are missing are taken from a JPEG or
    JPEG 2000 codestream.
    """
    if not isinstance(model, dict):
        raise DataError("the metadata of an instance is not an object")
    model = dict(model)
    parts = _pixel_parts(model, bulk)
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    if parts:
        syntax = codestream.transfer_syntax(parts[0].media_type, parts[0].transfer_syntax, parts[0].data)
    frames = None
    if syntax != EXPLICIT_VR_LITTLE_ENDIAN:
        frames = [codestream.bare(part.data) for part in parts]
        for tag, element in codestream.pixel_attributes(syntax, frames[0], len(frames)).items():
            model.setdefault(tag, element)
    elif len(parts) > 1:
        raise DataError("(7FE0,0010): several parts have its Content-Location, and it is not compressed")
    writer = _Writer(bulk, frames)
    pieces = writer.data_set(model)
    if writer.needs_utf8:
        model[_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        writer = _Writer(bulk, frames, utf8=True)
        pieces = writer.data_set(model)
    return [_file_meta(_uid(model, "00080016"), _uid(model, "00080018"), syntax), *pieces]


def _pixel_parts(model: Model, bulk: Callable[[str], Sequence[BulkPart]]) -> Sequence[BulkPart]:
    element = model.get(_PIXEL_DATA)
    if isinstance(element, dict) and isinstance(element.get("BulkDataURI"), str):
        return bulk(element["BulkDataURI"])
    return ()


def _uid(model: Model, tag: str) -> str:
    element = model.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    uid = values[0] if isinstance(values, list) and values else ""
    if not isinstance(uid, str) or not is_valid_uid(uid):
        raise DataError(f"{_name(tag)} is missing or no UID")
    return uid


def _name(tag: str) -> str:
    return f"({tag[:4]},{tag[4:]})"


def _padded(value: bytes, vr: str) -> bytes:
    return value + (b"\0" if vr == "UI" or vr not in STRINGS else b" ") if len(value) & 1 else value


def _head(tag: str, vr: str, length: int) -> bytes:
    group, element = int(tag[:4], 16), int(tag[4:], 16)
    if vr in LONG_LENGTH:
        if length > _UNDEFINED - 1 and length != _UNDEFINED:
            raise DataError(f"{_name(tag)} is longer than 4 GiB")
        return struct.pack("<HH2sHI", group, element, vr.encode(), 0, length)
    if length > 0xFFFF:
        raise DataError(f"{_name(tag)} is longer than {vr} can be")
    return struct.pack("<HH2sH", group, element, vr.encode(), length)


def _file_meta(sop_class: str, sop_instance: str, syntax: str) -> bytes:
    elements = b"".join(
        _head(tag, vr, len(value)) + value
        for tag, vr, value in (
            ("00020001", "OB", b"\0\1"),
            ("00020002", "UI", _padded(sop_class.encode(), "UI")),
            ("00020003", "UI", _padded(sop_instance.encode(), "UI")),
            ("00020010", "UI", _padded(syntax.encode(), "UI")),
            ("00020012", "UI", _padded(IMPLEMENTATION_CLASS_UID.encode(), "UI")),
            ("00020013", "SH", _padded(IMPLEMENTATION_VERSION_NAME.encode(), "SH")),
        )
    )
    length = _head("00020000", "UL", 4) + struct.pack("<I", len(elements))
    return bytes(128) + b"DICM" + length + elements


def _size(pieces: Sequence[Buffer]) -> int:
    return sum(memoryview(piece).nbytes for piece in pieces)


class _Writer:
    """Data sets as pieces; one object each."""

    def __init__(
        self, bulk: Callable[[str], Sequence[BulkPart]], frames: Sequence[Buffer] | None, *, utf8: bool = False
    ) -> None:
        self._bulk = bulk
        self._frames = frames
        self._utf8 = utf8
        self.needs_utf8 = False

    def data_set(self, model: Model, depth: int = 0) -> list[Buffer]:
        if depth > _MAX_DEPTH:
            raise DataError(f"sequences are nested deeper than {_MAX_DEPTH}")
        if not isinstance(model, dict):
            raise DataError("an item is not an object")
        pieces: list[Buffer] = []
        for key in sorted(model, key=str.upper):
            tag = key.upper()
            if len(tag) != 8 or any(digit not in "0123456789ABCDEF" for digit in tag):
                raise DataError("a name in the metadata is no tag of 8 hexadecimal digits")
            if tag[:4] in ("0002", "FFFE") or tag[4:] == "0000" or (self._utf8 and depth and tag == _CHARACTER_SET):
                continue
            element = model[key]
            if not isinstance(element, dict):
                raise DataError(f"{_name(tag)} is not an object")
            pieces += self._element(tag, element, depth)
        return pieces

    def _element(self, tag: str, element: Model, depth: int) -> list[Buffer]:
        vr = element.get("vr", "UN")
        if vr not in STRINGS and vr not in BINARY and vr not in _NUMBERS and vr not in ("AT", "SQ"):
            raise DataError(f"{_name(tag)} has no VR that is known")
        if tag == _PIXEL_DATA and not depth and self._frames is not None:
            return _encapsulated(self._frames)
        if sum(name in element for name in ("Value", "BulkDataURI", "InlineBinary")) > 1:
            raise DataError(f"{_name(tag)} has its value twice")
        if vr == "SQ":
            return self._sequence(tag, element.get("Value", []), depth)
        value: Buffer
        if "BulkDataURI" in element:
            uri = element["BulkDataURI"]
            parts = self._bulk(uri) if isinstance(uri, str) else ()
            if len(parts) != 1:
                raise DataError(f"{_name(tag)}: several parts have its Content-Location, or its URI is no text")
            value = parts[0].data
        elif "InlineBinary" in element:
            value = _base64(tag, element["InlineBinary"])
        else:
            value = self._value(tag, vr, element.get("Value", []))
        size = memoryview(value).nbytes
        padding = b"" if size % 2 == 0 else b"\0" if vr == "UI" or vr not in STRINGS else b" "
        return [_head(tag, vr, size + len(padding)), value, *([padding] if padding else [])]

    def _sequence(self, tag: str, items: Any, depth: int) -> list[Buffer]:
        if not isinstance(items, list):
            raise DataError(f"{_name(tag)}: the value is no list")
        content: list[Buffer] = []
        for item in items:
            inside = self.data_set({} if item is None else item, depth + 1)
            size = _size(inside)
            if size >= _UNDEFINED:
                raise DataError(f"{_name(tag)} has an item longer than 4 GiB")
            content += [struct.pack("<HHI", 0xFFFE, 0xE000, size), *inside]
        return [_head(tag, "SQ", _size(content)), *content]

    def _value(self, tag: str, vr: str, values: Any) -> bytes:
        if not isinstance(values, list):
            raise DataError(f"{_name(tag)}: the value is no list")
        try:
            if vr in _NUMBERS:
                return b"".join(_number(vr, value) for value in values)
            if vr == "AT":
                return b"".join(struct.pack("<HH", int(v[:4], 16), int(v[4:8], 16)) for v in values)
            if vr in BINARY and values:
                raise TypeError
            texts = [self._text(vr, value) for value in values]
        except (struct.error, ValueError, TypeError, OverflowError, AttributeError):
            raise DataError(f"{_name(tag)} has a value that {vr} cannot have") from None
        if vr in _ONE_VALUE and len(texts) > 1:
            raise DataError(f"{_name(tag)} has several values, which {vr} cannot have")
        text = "\\".join(texts)
        if text.isascii():
            return text.encode()
        if vr not in TEXT:
            raise DataError(f"{_name(tag)} has characters that {vr} cannot have")
        self.needs_utf8 = True
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise DataError(f"{_name(tag)} has characters that do not exist") from None

    def _text(self, vr: str, value: Any) -> str:
        if value is None:
            return ""
        if vr == "PN":
            if isinstance(value, str):  # of older versions of the model
                return value
            return "=".join(value.get(group) or "" for group in _GROUPS).rstrip("=")
        if isinstance(value, bool) or (isinstance(value, int | float) and vr not in ("DS", "IS")):
            raise TypeError
        if vr == "IS" and isinstance(value, int | float):
            if value != int(value):
                raise ValueError
            return str(int(value))
        if vr == "DS" and isinstance(value, int | float):
            return _decimal(value)
        if not isinstance(value, str):
            raise TypeError
        if "\\" in value and vr not in _ONE_VALUE:
            raise ValueError
        return value


def _decimal(value: float) -> str:
    """Shortest text of at most 16 characters that is nearest to the number (PS3.5 6.2, DS)."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    text = repr(value)
    if isinstance(value, float) and value == int(value) and abs(value) < 1e15:
        text = str(int(value))
    digits = 16
    while len(text) > _MAX_DS:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text


def _number(vr: str, value: Any) -> bytes:
    if isinstance(value, bool) or value is None:
        raise TypeError
    if vr in ("FD", "FL"):
        return struct.pack("<" + _NUMBERS[vr], float(value))
    if isinstance(value, str):
        value = int(value)
    if value != int(value):
        raise ValueError
    return struct.pack("<" + _NUMBERS[vr], int(value))


def _base64(tag: str, text: Any) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise DataError(f"{_name(tag)}: InlineBinary is no base64") from None


def _encapsulated(frames: Sequence[Buffer]) -> list[Buffer]:
    """Pixel data of one fragment a frame behind a basic offset table (PS3.5 A.4)."""
    sizes = [memoryview(frame).nbytes for frame in frames]
    even = [size + (size & 1) for size in sizes]
    if max(even) >= _UNDEFINED:
        raise DataError("(7FE0,0010) has a frame longer than 4 GiB")
    offsets = [0]
    for size in even[:-1]:
        offsets.append(offsets[-1] + size + 8)
    table = struct.pack(f"<{len(offsets)}I", *offsets) if offsets[-1] < _UNDEFINED else b""
    pieces: list[Buffer] = [
        _head(_PIXEL_DATA, "OB", _UNDEFINED),
        struct.pack("<HHI", 0xFFFE, 0xE000, len(table)),
        table,
    ]
    for frame, size, whole in zip(frames, sizes, even, strict=True):
        pieces += [struct.pack("<HHI", 0xFFFE, 0xE000, whole), frame, b"\0" * (whole - size)]
    return [*pieces, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)]
