"""STOW-RS (PS3.18 10.5).

Objects are taken from the body while it arrives and stored one by one; the answer tells of each.

A part is stored as soon as it is complete, several in one commit of the archive; a large one goes through a file.
An instance is in the archive whole or not at all, and "stored" means durable and findable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from hilum._multipart import MultipartParser, parse_content_type
from hilum.archive.ingest import StoreStatus
from hilum.dicom.status import store_failure
from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Request
from hilum.dicomweb.negotiate import NotAcceptable, choose_metadata, parse_accept
from hilum.dicomweb.routing import is_uid
from hilum.dicomweb.status import RETRY_AFTER_S
from hilum.dicomweb.stow_metadata import METADATA_TYPES, MetadataParts, uids_of
from hilum.dicomweb.xml import native_dicom_model
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.archive.archive import Archive
    from hilum.archive.incoming import Incoming, Spool
    from hilum.archive.ingest import StoreResult
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.routing import Match

__all__ = ["Outcome", "Store", "response_data_set", "response_status"]

_OCTETS_IN_FLIGHT: Final = 32 << 20
_PARTS_IN_FLIGHT: Final = 16
_WRITE_BYTES: Final = 1 << 20
_KEPT_AS_VERSION: Final = 0xB000
_OTHER_STUDY: Final = 0xA900
_CLASS, _INSTANCE = "00080016", "00080018"
_STUDY: Final = "0020000D"
_NO_SPACE: Final = 201


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part of the body."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    failure: int = 0
    """Failure Reason, 0 when stored."""
    warning: int = 0
    """Warning Reason, 0 for none."""
    error: HilumError | None = None


def response_status(outcomes: list[Outcome]) -> int:
    """HTTP status for what became of the parts: 200 all stored, 202 some or with warnings, 409 none (S-2).

    When none was stored because of us (no space, too busy) it is 507 or 503, so that the client comes back.
    """
    failed = [outcome for outcome in outcomes if outcome.failure]
    if not failed:
        return 202 if any(outcome.warning for outcome in outcomes) else 200
    if len(failed) < len(outcomes):
        return 202
    ours = [outcome.error for outcome in failed if isinstance(outcome.error, Unavailable)]
    if len(ours) == len(failed):
        return 507 if any(error.code == _NO_SPACE for error in ours) else 503
    return 409


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def response_data_set(outcomes: list[Outcome], base_url: str) -> dict[str, Any]:
    """Give the Store Instances Response Module (PS3.18 Table I.1-1) as DICOM JSON, without empty sequences (S-2)."""
    data_set: dict[str, Any] = {}
    stored = [outcome for outcome in outcomes if not outcome.failure]
    studies = {outcome.study_instance_uid for outcome in stored}
    if len(studies) == 1:
        data_set["00081190"] = _element("UR", f"{base_url}/studies/{studies.pop()}")
    failed = [_failed(outcome) for outcome in outcomes if outcome.failure and outcome.sop_instance_uid]
    if failed:
        data_set["00081198"] = _element("SQ", *failed)
    if stored:
        data_set["00081199"] = _element("SQ", *[_stored(outcome, base_url) for outcome in stored])
    others = [outcome for outcome in outcomes if outcome.failure and not outcome.sop_instance_uid]
    if others:
        data_set["0008119A"] = _element("SQ", *[{"00081197": _element("US", outcome.failure)} for outcome in others])
    return data_set


def _failed(outcome: Outcome) -> dict[str, Any]:
    return {
        "00081150": _element("UI", outcome.sop_class_uid) if outcome.sop_class_uid else {"vr": "UI"},
        "00081155": _element("UI", outcome.sop_instance_uid),
        "00081197": _element("US", outcome.failure),
    }


def _stored(outcome: Outcome, base_url: str) -> dict[str, Any]:
    series = f"{base_url}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
    item = {
        "00081150": _element("UI", outcome.sop_class_uid),
        "00081155": _element("UI", outcome.sop_instance_uid),
        "00081190": _element("UR", f"{series}/instances/{outcome.sop_instance_uid}"),
    }
    if outcome.warning:
        item["00081196"] = _element("US", outcome.warning)
    return item


class Store:
    """Answers Store transactions.

    Parameters
    ----------
    incoming : Incoming
        Where objects wait while they arrive.
    max_body_bytes : int
        Longer bodies are 413.
    observe : callable
        ``observe(outcome, seconds, bytes)`` of each object.
    """

    def __init__(
        self,
        archive: Archive,
        pool: Pool,
        incoming: Incoming,
        max_body_bytes: int,
        observe: Callable[[str, float, int], None],
    ) -> None:
        self._archive = archive
        self._pool = pool
        self._incoming = incoming
        self._max_body_bytes = max_body_bytes
        self._observe = observe

    async def answer(self, request: Request, match: Match) -> Answer:
        """Take the objects of one request."""
        media_type, parameters = parse_content_type(request.header(b"content-type"))
        length = request.header(b"content-length")
        if length.isdigit() and int(length) > self._max_body_bytes:
            raise LimitExceeded(f"the body is longer than the limit of {self._max_body_bytes} bytes")
        transaction = _Transaction(self, match.study)
        try:
            if media_type == "multipart/related" and _holds_objects(parameters):
                await self._multipart(request, parameters, transaction)
            elif media_type == "application/dicom":
                await self._single(request, transaction)
            elif media_type == "multipart/related" and _type_of(parameters) in METADATA_TYPES:
                await self._metadata(request, parameters, transaction)
            else:
                return http.text(
                    415,
                    "objects are taken as multipart/related with type application/dicom, application/dicom+json or "
                    "application/dicom+xml, or one as application/dicom",
                )
            outcomes = await transaction.finish()
        except BaseException:
            await transaction.cancel()
            raise
        return self._response(request, outcomes)

    async def _multipart(self, request: Request, parameters: dict[str, str], transaction: _Transaction) -> None:
        if not parameters.get("boundary"):
            raise UsageError("the Content-Type has no boundary")
        parser = MultipartParser(parameters["boundary"].encode("latin-1"))
        async for chunk in self._bounded(request):
            for kind, value in parser.feed(chunk):
                if kind == "data":
                    await transaction.write(value)
                elif isinstance(value, dict):
                    transaction.begin(value.get("content-type", ""))
                else:
                    await transaction.end()
        try:
            parser.finish()
        except DataError as error:
            stored = sum(not outcome.failure for outcome in await transaction.finish())
            raise UsageError(f"{error}; {stored} instances before that are stored") from None

    async def _metadata(self, request: Request, parameters: dict[str, str], transaction: _Transaction) -> None:
        """Take metadata and bulk data; once all is there, each instance is put together and stored."""
        if not parameters.get("boundary"):
            raise UsageError("the Content-Type has no boundary")
        parser = MultipartParser(parameters["boundary"].encode("latin-1"))
        parts = MetadataParts(f"{request.base_url()}{request.path}", self.new_spool)
        spool: Spool | None = None
        try:
            async for chunk in self._bounded(request):
                for kind, value in parser.feed(chunk):
                    if kind == "data":
                        assert spool is not None
                        await self.write_spool(spool, [value])
                    elif isinstance(value, dict):
                        spool = parts.begin(value)
            try:
                parser.finish()
            except DataError as error:
                raise UsageError(f"{error}; nothing of it is stored") from None
            for model in await self._pool.run(parts.data_sets):
                await transaction.add(parts, model)
            await transaction.finish()
        finally:
            parts.discard()

    async def _single(self, request: Request, transaction: _Transaction) -> None:
        transaction.begin("")
        async for chunk in self._bounded(request):
            await transaction.write(chunk)
        await transaction.end()

    async def _bounded(self, request: Request) -> Any:
        total = 0
        async for chunk in request.body_chunks():
            total += len(chunk)
            if total > self._max_body_bytes:
                raise LimitExceeded(f"the body is longer than the limit of {self._max_body_bytes} bytes")
            yield chunk

    async def write_spool(self, spool: Spool, data: list[Any]) -> None:
        """Append to a spool, in a thread when a file is concerned."""
        size = sum(len(piece) for piece in data)
        if spool.path is None and spool.size + size <= self._incoming.spool_above_bytes:
            for piece in data:
                spool.write(piece)
        else:
            await self._pool.run(_write_all, spool, data)

    async def store(self, spool: Spool, study: str, content_type: str) -> Outcome:
        """Store one object that has arrived; never raises what the client can be told."""
        started, size = perf_counter(), spool.size
        try:
            kind, _ = parse_content_type(content_type)
            if kind not in ("", "application/dicom", "application/octet-stream"):
                raise UsageError("a part is not application/dicom")
            result = await self._store(spool, study)
        except HilumError as error:
            self._observe(f"refused {type(error).__name__.strip('_')}", perf_counter() - started, size)
            uids = await self._pool.run(_uids_of, spool)
            reason = error.code if isinstance(error, _OtherStudy) else store_failure(error)
            return Outcome(uids[0], uids[1], failure=reason, error=error)
        finally:
            spool.discard()
        self._observe(result.status.value, perf_counter() - started, size)
        return Outcome(
            result.sop_class_uid,
            result.sop_instance_uid,
            result.study_instance_uid,
            result.series_instance_uid,
            warning=_KEPT_AS_VERSION if result.status is StoreStatus.CONFLICT_KEPT else 0,
        )

    async def _store(self, spool: Spool, study: str) -> StoreResult:
        if not spool.size:
            raise DataError("a part is empty")
        if study:
            await self._pool.run(_check_study, spool, study)
        pieces = spool.pieces()
        if spool.path is not None:
            return await self._pool.run(self._archive.store_file, spool.path, source="stow-rs")
        future = await self._pool.run(self._archive.submit, pieces, source="stow-rs")
        return await asyncio.wrap_future(future)

    def new_spool(self) -> Spool:
        """Begin an object."""
        return self._incoming.spool()

    async def in_thread(self, work: Callable[[Any], Spool], argument: Any) -> Spool:
        """Call blocking work."""
        return await self._pool.run(work, argument)

    def _response(self, request: Request, outcomes: list[Outcome]) -> Answer:
        if not outcomes:
            raise UsageError("the body has no instances")
        try:
            form = choose_metadata(parse_accept(request.accept))
        except NotAcceptable:
            form = "json"  # the objects are stored: the client must learn it in some form
        status = response_status(outcomes)
        data_set = response_data_set(outcomes, request.base_url())
        headers = [(b"retry-after", str(RETRY_AFTER_S).encode())] if status in (503, 507) else []
        if form == "xml":
            body = native_dicom_model(data_set)
            length = (b"content-length", str(len(body)).encode())
            return Answer(status, [(b"content-type", b"application/dicom+xml"), length, *headers], body)
        return http.json_answer(status, data_set, *headers)


class _OtherStudy(DataError):
    """The instance belongs to another study than the one of the URL."""


class _Transaction:
    """The parts of one request, in their order, some of them being stored while the next ones arrive."""

    def __init__(self, store: Store, study: str) -> None:
        self._store = store
        self._study = study
        self._tasks: list[asyncio.Task[Outcome]] = []
        self._running: dict[asyncio.Task[Outcome], int] = {}
        self._spool: Spool | None = None
        self._content_type = ""
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self._error: HilumError | None = None

    def begin(self, content_type: str) -> None:
        """Begin a part."""
        self._spool = self._store.new_spool()
        self._content_type = content_type
        self._error = None

    async def write(self, data: Any) -> None:
        """Take the next bytes of the part; after a failure they are dropped and the part fails."""
        if self._error is not None:
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _WRITE_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        assert self._spool is not None
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        try:
            await self._store.write_spool(self._spool, waiting)
        except HilumError as error:
            self._error = error
            self._spool.discard()

    async def end(self) -> None:
        """Store the part, which is complete, and wait while too much is being stored."""
        assert self._spool is not None
        await self._flush()
        spool, self._spool = self._spool, None
        size = 0 if spool.path is not None else spool.size
        if self._error is not None:
            work = _failed_with(self._error)
        else:
            work = self._store.store(spool, self._study, self._content_type)
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        self._running[task] = size
        while len(self._running) > _PARTS_IN_FLIGHT or sum(self._running.values()) > _OCTETS_IN_FLIGHT:
            done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                del self._running[finished]

    async def add(self, parts: MetadataParts, model: Any) -> None:
        """Put an instance together and store it."""
        try:
            self._spool = await self._store.in_thread(parts.object, model)
        except HilumError as error:
            sop_class, sop_instance = uids_of(model)
            self._tasks.append(asyncio.ensure_future(_failed_with(error, sop_class, sop_instance)))
            return
        self._content_type, self._error = "", None
        await self.end()

    async def finish(self) -> list[Outcome]:
        """Give what became of each part, in their order."""
        self._drop()
        return list(await asyncio.gather(*self._tasks))

    async def cancel(self) -> None:
        """End a request that failed: what is complete is stored all the same, what is not is dropped."""
        self._drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _drop(self) -> None:
        self._waiting = []
        if self._spool is not None:
            self._spool.discard()
            self._spool = None


async def _failed_with(error: HilumError, sop_class: str = "", sop_instance: str = "") -> Outcome:
    return Outcome(sop_class, sop_instance, failure=store_failure(error), error=error)


def _holds_objects(parameters: dict[str, str]) -> bool:
    """Whether the ``type`` of a multipart body says DICOM files; some clients leave it out."""
    return _type_of(parameters) == "application/dicom"


def _type_of(parameters: dict[str, str]) -> str:
    return parameters.get("type", "application/dicom").strip().lower()


def _write_all(spool: Spool, data: list[Any]) -> None:
    for piece in data:
        spool.write(piece)


def _uids_of(spool: Spool) -> tuple[str, str]:
    """SOP Class and Instance UID of an object that was refused; empty when they cannot be read."""
    found = spool.peek([_CLASS, _INSTANCE])
    uids = (found.get(_CLASS, ""), found.get(_INSTANCE, ""))
    return uids if all(uid and is_uid(uid) for uid in uids) else ("", "")


def _check_study(spool: Spool, study: str) -> None:
    if spool.peek([_STUDY]).get(_STUDY, study) != study:
        raise _OtherStudy("the instance belongs to another study than the URL names", code=_OTHER_STUDY)
