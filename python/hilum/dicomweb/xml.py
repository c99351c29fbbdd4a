"""The Native DICOM Model (PS3.19 A.1) in XML, written from and read into DICOM JSON, for clients that still use it."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from hilum.dicomweb.http import Answer, Headers
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["multipart_xml", "native_dicom_model", "read_native_dicom_model"]

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_UNFIT: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], "\N{REPLACEMENT CHARACTER}")


def _text(value: Any) -> str:
    return escape(str(value).translate(_UNFIT))


def _person_name(number: int, name: Mapping[str, str]) -> Iterator[str]:
    yield f'<PersonName number="{number}">'
    for group in _GROUPS:
        if group in name:
            yield f"<{group}>"
            for component, value in zip(_COMPONENTS, name[group].split("^"), strict=False):
                if value:
                    yield f"<{component}>{_text(value)}</{component}>"
            yield f"</{group}>"
    yield "</PersonName>"


def _values(vr: str, element: Mapping[str, Any]) -> Iterator[str]:
    if "InlineBinary" in element:
        yield f"<InlineBinary>{_text(element['InlineBinary'])}</InlineBinary>"
    if "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(str(element['BulkDataURI']))}/>"
    for number, value in enumerate(element.get("Value", ()), 1):
        if vr == "SQ":
            yield f'<Item number="{number}">'
            yield from _attributes(value or {})
            yield "</Item>"
        elif value is None:
            continue
        elif vr == "PN":
            yield from _person_name(number, value)
        else:
            yield f'<Value number="{number}">{_text(value)}</Value>'


def _attributes(data_set: Mapping[str, Any]) -> Iterator[str]:
    for tag in sorted(data_set):
        element = data_set[tag]
        vr = element.get("vr", "UN")
        keyword = keyword_for_tag(int(tag, 16)) if len(tag) == 8 else ""
        named = f' keyword="{keyword}"' if keyword else ""
        yield f'<DicomAttribute tag="{tag}" vr="{vr}"{named}>'
        yield from _values(vr, element)
        yield "</DicomAttribute>"


def native_dicom_model(data_set: Mapping[str, Any]) -> bytes:
    """One data set in DICOM JSON form as an XML document."""
    parts = (
        _DECLARATION,
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">',
    )
    return "".join((*parts, *_attributes(data_set), "</NativeDicomModel>")).encode()


def multipart_xml(body: bytes, headers: Headers) -> Answer:
    """Give a DICOM JSON array as ``multipart/related; type="application/dicom+xml"``."""
    boundary = token_hex(16).encode()
    pieces = []
    for data_set in json.loads(body):
        document = native_dicom_model(data_set)
        head = b"--%s\r\nContent-Type: application/dicom+xml\r\nContent-Length: %d\r\n\r\n" % (boundary, len(document))
        pieces += [head, document, b"\r\n"]
    whole = b"".join((*pieces, b"--", boundary, b"--\r\n"))
    media_type = b'multipart/related; type="application/dicom+xml"; boundary=' + boundary
    length = (b"content-length", str(len(whole)).encode())
    return Answer(200, [*headers, (b"content-type", media_type), length], whole)


_MAX_DEPTH: Final = 256
_NAME_PARTS: Final = {name: at for at, name in enumerate(_COMPONENTS)}


class _Reader:
    """Handlers of a parser; each open element leaves in `stack` where its children go."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._stack: list[tuple[str, Any]] = []
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(" ")[2]
        if len(self._stack) >= _MAX_DEPTH:
            raise UsageError("the XML metadata are nested too deeply")
        self._text = []
        parent = self._stack[-1][1] if self._stack else self.root
        target: Any = parent
        if name == "DicomAttribute":
            target = {"vr": attributes.get("vr", "UN")}
            parent[attributes.get("tag", "")] = target
        elif name in ("Item", "PersonName"):
            target = {}
            parent.setdefault("Value", []).append(target)
        elif name in _GROUPS:
            target = [""] * len(_COMPONENTS)
            parent[name] = target
        elif name == "BulkData":
            parent["BulkDataURI"] = attributes.get("uri", attributes.get("uuid", ""))
        self._stack.append((name, target))

    def end(self, _name: str) -> None:
        name, target = self._stack.pop()
        text, self._text = "".join(self._text), []
        if name == "Value":
            target.setdefault("Value", []).append(_number_or_text(target.get("vr", ""), text))
        elif name == "InlineBinary":
            target["InlineBinary"] = text
        elif name in _NAME_PARTS and isinstance(target, list):
            target[_NAME_PARTS[name]] = text
        elif name in _GROUPS:
            self._stack[-1][1][name] = "^".join(target).rstrip("^")

    def text(self, text: str) -> None:
        self._text.append(text)


def _number_or_text(vr: str, text: str) -> Any:
    return float(text) if vr in ("FD", "FL") else int(text) if vr in _INTEGERS else text


_INTEGERS: Final = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})


def read_native_dicom_model(document: bytes) -> dict[str, Any]:
    """Read one data set in XML into the DICOM JSON Model.

    Raises
    ------
    UsageError
        Not well-formed, with a document type (which could name entities), or not this model.
    """
    reader = _Reader()
    parser = ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text

    def refuse(*_: object) -> None:
        raise UsageError("the XML metadata have a document type; none is needed")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (ExpatError, ValueError, AttributeError, TypeError, IndexError, KeyError):
        raise UsageError("the XML metadata are no Native DICOM Model (PS3.19 A.1)") from None
    return reader.root
