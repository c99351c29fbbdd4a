"""The DICOMweb services as one ASGI callable.

Route by hand, call the handler, answer; errors become statuses in one place.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from hilum.archive.incoming import Incoming
from hilum.dicomweb import http
from hilum.dicomweb.bulkdata import BulkData
from hilum.dicomweb.frames import Frames
from hilum.dicomweb.http import Answer, ClientGone, Request, Stream
from hilum.dicomweb.negotiate import NotAcceptable
from hilum.dicomweb.qido import Search
from hilum.dicomweb.rendered import Rendered
from hilum.dicomweb.rendered_volume import RenderedVolumes
from hilum.dicomweb.routing import Match, match
from hilum.dicomweb.status import RETRY_AFTER_S, http_status, needs_retry_after
from hilum.dicomweb.stow import Store
from hilum.dicomweb.wado import Retrieve
from hilum.errors import HilumError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from concurrent.futures import Executor

    from hilum.archive.archive import Archive
    from hilum.dicomweb.http import Receive, Scope, Send
    from hilum.dicomweb.paging import PagingMemory

__all__ = ["DicomWeb", "DicomWebSettings", "Pool"]

P = ParamSpec("P")
T = TypeVar("T")
_ALLOW_GET: Final = b"GET, HEAD, OPTIONS"
_ALLOW_POST: Final = b"GET, HEAD, POST, OPTIONS"


@dataclass(frozen=True, slots=True)
class DicomWebSettings:
    """What the services need to know beside the archive."""

    public_url: str = ""
    """Address of the server as clients see it, without the mount; empty: from the request."""
    max_results: int = 5000
    max_body_bytes: int = 8 << 30
    max_queue: int = 256
    """Calls that wait for a thread; beyond it 503."""


class _MustWait(BaseException):
    """Work that was to be finished at once needs a thread."""


class Pool:
    """The one crossing from the event loop to blocking work, bounded.

    Parameters
    ----------
    executor : Executor
        Threads.
    max_queue : int
        Calls that run or wait; beyond it `Unavailable`.
    """

    def __init__(self, executor: Executor, max_queue: int) -> None:
        self._executor = executor
        self._max_queue = max_queue
        self._pending = 0
        self._closed = False

    def at_once(self, handler: Coroutine[Any, Any, Answer | Stream]) -> Answer | None:
        """Answer of a handler that waits for nothing; None, and nothing is done, where it would."""
        self._closed = True
        try:
            handler.send(None)
        except StopIteration as done:
            return done.value if isinstance(done.value, Answer) else None
        except _MustWait:
            return None
        finally:
            self._closed = False
            handler.close()
        return None

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``work`` in a thread.

        Raises
        ------
        Unavailable
            Too many calls are waiting.
        """
        if self._closed:
            raise _MustWait
        if self._pending >= self._max_queue:
            raise Unavailable("too many requests are waiting; try again")
        self._pending += 1
        try:
            if kwargs:
                return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*args, **kwargs))
            return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)
        finally:
            self._pending -= 1


class DicomWeb:
    """QIDO-RS, WADO-RS and STOW-RS over one archive.

    Parameters
    ----------
    archive : Archive
        Opened by this process.
    settings : DicomWebSettings
    executor : Executor
        Threads for blocking work.
    paging : PagingMemory
        Shared by the workers.
    observe_store : callable
        ``observe(outcome, seconds, bytes)`` of each object that is stored.
    """

    def __init__(
        self,
        archive: Archive,
        settings: DicomWebSettings,
        executor: Executor,
        paging: PagingMemory,
        observe_store: Callable[[str, float, int], None] = lambda _outcome, _seconds, _size: None,
    ) -> None:
        self._settings = settings
        self.pool = Pool(executor, settings.max_queue)
        incoming = Incoming(
            archive.root / "incoming",
            memory_bytes=archive.settings.http.max_in_flight_bytes,
            max_object_bytes=archive.settings.ingest.max_object_bytes,
        )
        search = Search(archive, self.pool, paging, settings.max_results)
        self.retrieve = Retrieve(archive, self.pool)
        self.rendered = Rendered(archive, self.pool, self.retrieve)
        volumes = RenderedVolumes(archive, self.pool, self.retrieve)
        frames = Frames(archive, self.retrieve)
        bulkdata = BulkData(archive, self.retrieve, frames)
        self._store = Store(archive, self.pool, incoming, settings.max_body_bytes, observe_store)
        self._handlers: dict[str, Callable[[Request, Match], Coroutine[Any, Any, Answer | Stream]]] = {
            "search": search.answer,
            "objects": self.retrieve.objects,
            "metadata": self.retrieve.metadata,
            "frames": frames.answer,
            "bulkdata": bulkdata.answer,
            "rendered": self.rendered.image,
            "thumbnail": self.rendered.thumbnail,
            "renderedmpr": volumes.mpr,
            "rendered3d": volumes.three_d,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await answer_with(self._answer, self._request(scope, receive), scope, receive, send)

    def at_once(self, scope: Scope) -> Answer | None:
        """Answer frames without waiting, None where that cannot be: often they are a read of the page cache."""
        request = self._request(scope, http.nothing)
        found = match(request.path or "/")
        if found.endpoint.name != "frames":
            return None
        scope["hilum.route"] = found.endpoint.label
        return self.pool.at_once(self._handlers["frames"](request, found))

    def _request(self, scope: Scope, receive: Receive) -> Request:
        mount: str = scope.get("hilum.mount", "")
        public_url = self._settings.public_url + mount if self._settings.public_url else ""
        return Request(scope, receive, scope["path"][len(mount) :], public_url)

    async def _answer(self, request: Request) -> Answer | Stream:
        scope = request.scope
        if request.method == "OPTIONS":
            scope["hilum.route"] = "/dicom-web"
            return http.empty(204, (b"allow", _ALLOW_POST))
        found = match(request.path or "/")
        endpoint = found.endpoint
        scope["hilum.route"] = endpoint.label
        if request.method in ("GET", "HEAD"):
            return await self._handlers[endpoint.name](request, found)
        if request.method == "POST" and "POST" in endpoint.methods:
            return await self._store.answer(request, found)
        allow = _ALLOW_POST if "POST" in endpoint.methods else _ALLOW_GET
        return http.text(405, f"{endpoint.template} answers {allow.decode()}", (b"allow", allow))


async def answer_with(
    handler: Callable[[Request], Awaitable[Answer | Stream]],
    request: Request,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Run a handler and send its answer, or the status of the error that it ended in."""
    try:
        answer = await handler(request)
        if isinstance(answer, Stream) and request.method != "HEAD":
            answer = await http.begun(answer)
    except HilumError as error:
        status = http_status(error)
        retry = [(b"retry-after", str(RETRY_AFTER_S).encode())] if needs_retry_after(status) else []
        answer = http.text(status, str(error), *retry)
    except NotAcceptable as error:
        answer = http.text(406, str(error))
    except ClientGone:
        return
    await http.send(receive, send, answer, head=scope["method"] == "HEAD", pieces=scope.get("hilum.pieces") is True)
