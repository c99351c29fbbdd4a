"""WADO-URI (PS3.18 9): one instance by query parameters, as older viewers ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.archive.pictures import is_presentation_state
from hilum.dicomweb import http
from hilum.dicomweb.app import answer_with
from hilum.dicomweb.frames import check_frames
from hilum.dicomweb.http import Answer, Request, Stream
from hilum.dicomweb.negotiate import choose_rendered, parse_accept
from hilum.dicomweb.render_query import parse_render_query, uri_as_rs
from hilum.dicomweb.rendered import PICTURES
from hilum.dicomweb.routing import check_uid
from hilum.dicomweb.syntaxes import select_one
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from hilum.dicomweb.app import DicomWeb
    from hilum.dicomweb.http import Receive, Scope, Send
    from hilum.index.base import InstanceRecord

__all__ = ["WadoUri"]


class WadoUri:
    """``/wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…``."""

    def __init__(self, dicomweb: DicomWeb) -> None:
        self._web = dicomweb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["hilum.route"] = "/wado"
        request = Request(scope, receive, scope["path"])
        await answer_with(self._answer, request, scope, receive, send)

    async def _answer(self, request: Request) -> Answer | Stream:
        if request.method not in ("GET", "HEAD"):
            allow = (b"allow", b"GET, HEAD, OPTIONS")
            return (
                http.empty(204, allow) if request.method == "OPTIONS" else http.text(405, "WADO-URI answers GET", allow)
            )
        given = {name.lower(): value for name, value in request.query}
        if given.get("requesttype") != "WADO":
            raise UsageError("requestType must be WADO")
        if given.get("anonymize"):
            raise UsageError(
                "anonymize: objects and pictures are given as they are stored; nothing is removed from them here"
            )
        record = self._record(given)
        kinds = parse_accept(given.get("contenttype", ""))
        wants_object = any(kind.type == "application/dicom" for kind in kinds)
        if wants_object or (not given.get("contenttype") and record.pixels is None):
            syntax = select_one(record, given.get("transfersyntax", "") or record.transfer_syntax_uid)
            return await self._web.retrieve.one_object(request, record, syntax)
        query = parse_render_query(uri_as_rs(given))
        if is_presentation_state(record):
            return await self._web.rendered.state(request, record, query, kinds)
        media_type, _ = choose_rendered(kinds, PICTURES)
        number = _frame_number(given.get("framenumber", ""))
        check_frames(self._web.retrieve.frame_count(record), [number])
        return await self._web.rendered.one(
            request, record, number - 1, parse_render_query(uri_as_rs(given)), media_type
        )

    def _record(self, given: dict[str, str]) -> InstanceRecord:
        missing = [name for name in ("studyUID", "seriesUID", "objectUID") if not given.get(name.lower())]
        if missing:
            raise UsageError(f"missing: {', '.join(missing)}")
        study, series, instance = (check_uid(given[name]) for name in ("studyuid", "seriesuid", "objectuid"))
        record = self._web.retrieve.find(instance)
        if record is None or (record.study_instance_uid, record.series_instance_uid) != (study, series):
            raise NotFound("there is no such instance in this study and series")
        return record


def _frame_number(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1):
        raise UsageError("frameNumber must be a number from 1")
    return int(text)
