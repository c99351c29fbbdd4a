"""The Native DICOM Model (PS3.19 A.1) in XML, written from DICOM JSON, for the clients that still ask for it."""

from __future__ import annotations

import json
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

from hilum.dicomweb.http import Answer, Headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["multipart_xml", "native_dicom_model"]

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
