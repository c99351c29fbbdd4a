"""``/api``.

What administrators and programs ask beside DICOM, by FastAPI; the OpenAPI document of the whole server, and its
page.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI, Query
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from hilum.archive.completion import read_completed
from hilum.archive.refusals import read_refusals
from hilum.errors import HilumError
from hilum.web.assets import INLINE_STYLE_HEADERS, Assets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import Request

    from hilum.archive.archive import Archive

__all__ = ["create_api"]

_VENDOR: Final = Path(__file__).parent / "vendor" / "swagger-ui"
_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>hilum API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>
"""
_START: Final = """SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis]});
"""


class Version(BaseModel):
    """What is running."""

    name: str = "hilum"
    version: str
    archive: str = Field(description="UUID of the archive")


class Counts(BaseModel):
    """What the archive holds."""

    patients: int
    studies: int
    series: int
    instances: int
    bytes: int = Field(description="Bytes of all packs")
    seconds: float = Field(description="Time this answer took")


class Event(BaseModel):
    """One thing that happened, in the order of the log."""

    sequence: int
    kind: str
    time: str = Field(description="UTC, ISO 8601")
    study: str = ""
    series: str = ""
    instances: list[str]
    """SOP Instance UIDs, all of one series."""


class Events(BaseModel):
    """One page of the event log."""

    events: list[Event]
    next: int = Field(description="Give it as `since` to get what follows")


class Completed(BaseModel):
    """A study that was quiet for `ingest.study_complete_seconds`."""

    study: str
    last_event: int = Field(description="Sequence of the last event that added to it")
    time: float = Field(description="Unix time at which it was told; give it as `since` to get what follows")


class RefusedRequest(BaseModel):
    """A request of a DICOM peer that was refused, or several of the same kind within a second."""

    time: str = Field(description="UTC, ISO 8601")
    peer: str = Field(description="AE title, as the peer gave it")
    address: str
    service: str
    reason: str
    count: int


def create_api(
    archive: Archive, version: str, other_paths: Mapping[str, Any], http_status: Callable[[BaseException], int]
) -> FastAPI:
    """Application for ``/api``.

    Parameters
    ----------
    archive : Archive
        Opened by this process.
    other_paths : mapping
        OpenAPI path items of routes outside ``/api``, with their full paths.
    http_status : callable
        The table of `hilum.dicomweb.status`.
    """
    api = FastAPI(title="hilum", version=version, docs_url=None, redoc_url=None, openapi_url=None)
    assets = Assets(_VENDOR, headers=INLINE_STYLE_HEADERS)

    @api.exception_handler(HilumError)
    def failed(_request: Request, error: HilumError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, status_code=http_status(error))

    @api.get("/version", summary="What is running", tags=["administration"])
    def get_version() -> Version:
        return Version(version=version, archive=str(archive.uuid))

    @api.get("/statistics", summary="What the archive holds", tags=["administration"])
    def get_statistics() -> Counts:
        started = time.perf_counter()
        found = archive.statistics()
        return Counts(
            patients=found.patients,
            studies=found.studies,
            series=found.series,
            instances=found.instances,
            bytes=found.pack_bytes,
            seconds=time.perf_counter() - started,
        )

    @api.get("/events", summary="The event log, from a cursor", tags=["administration"])
    def get_events(
        since: Annotated[int, Query(ge=0, description="Events with a greater sequence are answered")] = 0,
        limit: Annotated[int, Query(ge=1, le=10000)] = 100,
    ) -> Events:
        return _events(archive, since, limit)

    @api.get("/completed", summary="Studies to which nothing was added for a while", tags=["administration"])
    def get_completed(
        since: Annotated[float, Query(ge=0, description="Unix time; only what was told later")] = 0,
    ) -> list[Completed]:
        found = read_completed(archive.root, since)
        return [Completed(study=i.study_instance_uid, last_event=i.last_event, time=i.time) for i in found]

    @api.get("/dicom/refusals", summary="The last refused DICOM requests, with the reason", tags=["administration"])
    def get_refusals(
        peer: Annotated[str, Query(description="AE title or address; empty: all")] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> list[RefusedRequest]:
        found = read_refusals(archive.root, peer=peer, limit=limit)
        return [
            RefusedRequest(
                time=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(item.time)) + "Z",
                peer=item.peer,
                address=item.address,
                service=item.service,
                reason=item.reason,
                count=item.count,
            )
            for item in found
        ]

    _add_documentation(api, assets, other_paths)
    return api


def _events(archive: Archive, since: int, limit: int) -> Events:
    events = [
        Event(
            sequence=event.sequence,
            kind=event.kind.name.lower(),
            time=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.time_ns / 1e9)) + "Z",
            study=event.study_instance_uid,
            series=event.series_instance_uid,
            instances=list(event.sop_instance_uids),
        )
        for event in archive.events(since, limit)
    ]
    return Events(events=events, next=events[-1].sequence if events else since)


def _add_documentation(api: FastAPI, assets: Assets, other_paths: Mapping[str, Any]) -> None:
    document: dict[str, Any] = {}

    @api.get("/openapi.json", include_in_schema=False)
    def get_openapi() -> JSONResponse:
        if not document:
            own = api.openapi()
            document.update(own)
            document["paths"] = {**other_paths, **{f"/api{path}": item for path, item in own["paths"].items()}}
            document["servers"] = [{"url": "/"}]
        return JSONResponse(document)

    @api.get("/docs", include_in_schema=False)
    def get_docs() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers={name.decode(): value.decode() for name, value in INLINE_STYLE_HEADERS})

    @api.get("/docs/start.js", include_in_schema=False)
    def get_start() -> HTMLResponse:
        return HTMLResponse(_START, media_type="text/javascript")

    async def files(scope: Any, receive: Any, send: Any) -> None:
        await assets({**scope, "path": "/" + scope["path"].rpartition("/")[2]}, receive, send)

    api.mount("/docs", files)
