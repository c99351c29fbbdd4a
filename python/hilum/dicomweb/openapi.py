"""Path items of the DICOMweb services for the OpenAPI document, written from the table that also routes."""

from __future__ import annotations

from typing import Any, Final

from hilum.archive.pictures import ICC_PROFILES
from hilum.dicomweb.negotiate import STORED_MEDIA
from hilum.dicomweb.routing import ROUTES, Endpoint
from hilum.pixels.formats import FORMATS

__all__ = ["paths"]

_UID: Final = {"type": "string", "pattern": "^[0-9.]{1,64}$"}
_VARIABLES: Final[dict[str, dict[str, Any]]] = {
    "study": {"schema": _UID, "description": "Study Instance UID"},
    "series": {"schema": _UID, "description": "Series Instance UID"},
    "instance": {"schema": _UID, "description": "SOP Instance UID"},
    "frames": {
        "schema": {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"},
        "description": "Frame numbers from 1, separated by commas",
    },
    "path": {"schema": {"type": "string"}, "description": "Tag of the element, nested ones as tag/item/tag"},
}
_JSON: Final = {"application/dicom+json": {"schema": {"type": "array", "items": {"type": "object"}}}}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_ERRORS: Final = {
    "400": "The request cannot be understood",
    "404": "No such object",
    "406": "Nothing that the client accepts can be made",
    "503": "Too busy, or the disk is full; see Retry-After",
}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema or {"type": "string"}}


_SEARCH: Final = [
    _query("PatientName", "A match: any attribute as keyword or tag; `*` and `?` are wildcards, `a-b` is a range"),
    _query("PatientID", "A match"),
    _query("StudyDate", "A date or a range: 20240101-20240131"),
    _query("ModalitiesInStudy", "A match, several separated by commas"),
    _query("includefield", "Further attributes, or `all`; may be repeated"),
    _query("fuzzymatching", "Person names by words", type="boolean"),
    _query("limit", "Most answers", type="integer", minimum=0),
    _query("offset", "Answers to skip", type="integer", minimum=0),
    _query("sort", "Order by attributes, `-` for descending: -StudyDate,PatientName (extension)"),
]
_RENDERED: Final = [
    _query("viewport", "Width,height[,x,y,width,height] in pixels; negative sizes of the part mirror it"),
    _query("window", "Center,width[,function]: linear, linear-exact, sigmoid"),
    _query("quality", "Of JPEG and WebP", type="integer", minimum=1, maximum=100),
    _query("annotation", "Burned in: patient,technique"),
    _query("iccprofile", "Of colour", enum=list(ICC_PROFILES)),
    _query("bits", "16 for grey as PNG or raw samples (extension)", type="integer", enum=[8, 16]),
    _query("overlay", "UID[,name:value]... of what lies over the image; may be repeated (extension)"),
    _query("presentationUID", "Show the image by this presentation state (extension)"),
    _query("accept", "Media type, instead of the Accept header"),
]


def _answer(endpoint: Endpoint) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Content of a success and the query parameters, by handler."""
    if endpoint.name == "search":
        return _JSON, _SEARCH
    if endpoint.name == "metadata":
        return _JSON, []
    if endpoint.name in ("rendered", "thumbnail"):
        return dict.fromkeys((*FORMATS, "multipart/related"), _BINARY), _RENDERED
    if endpoint.name == "frames":
        kinds = sorted({kind for kinds in STORED_MEDIA.values() for kind in kinds} | {"application/octet-stream"})
        return {"multipart/related": _BINARY, **dict.fromkeys(kinds, _BINARY)}, []
    if endpoint.name == "bulkdata":
        return {"application/octet-stream": _BINARY, "multipart/related": _BINARY}, []
    return {"multipart/related": _BINARY, "application/dicom": _BINARY, "application/zip": _BINARY}, []


def _get(endpoint: Endpoint) -> dict[str, Any]:
    content, parameters = _answer(endpoint)
    responses: dict[str, Any] = {"200": {"description": "Success", "content": content}}
    if endpoint.name == "search":
        responses["204"] = {"description": "Nothing found"}
    responses.update({status: {"description": text} for status, text in _ERRORS.items()})
    return {
        "tags": ["DICOMweb"],
        "summary": endpoint.summary,
        "description": f"PS3.18 {endpoint.section}",
        "parameters": parameters,
        "responses": responses,
    }


def _post(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "tags": ["DICOMweb"],
        "summary": "Store instances" + (" of this study" if "{study}" in endpoint.template else ""),
        "description": "PS3.18 10.5",
        "requestBody": {"required": True, "content": {"multipart/related": _BINARY, "application/dicom": _BINARY}},
        "responses": {
            "200": {"description": "All stored", "content": {"application/dicom+json": {"schema": {"type": "object"}}}},
            "202": {"description": "Some stored; the answer says which"},
            "409": {"description": "None stored; the answer says why"},
            "413": {"description": "The body is above the limit"},
            "415": {"description": "Neither DICOM files nor metadata (JSON, XML) with bulk data"},
            "503": {"description": "Too busy, or the disk is full; see Retry-After"},
        },
    }


def paths(mount: str) -> dict[str, Any]:
    """Path items with their full paths, for services mounted at ``mount``."""
    items: dict[str, Any] = {}
    for endpoint in ROUTES:
        names = [part[1:-1] for part in endpoint.template.split("/") if part.startswith("{")]
        item: dict[str, Any] = {}
        if names:
            item["parameters"] = [{"name": n, "in": "path", "required": True, **_VARIABLES[n]} for n in names]
        item["get"] = _get(endpoint)
        if "POST" in endpoint.methods:
            item["post"] = _post(endpoint)
        items[mount + endpoint.template] = item
    return items
