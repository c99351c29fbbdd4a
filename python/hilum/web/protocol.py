"""HTTP/1.1 connections of uvicorn with the guards that it lacks.

Deadlines for slow peers, bounds, no ambiguous message.

uvicorn waits for ever for the rest of a request, and answers messages that two programs may read differently (two
Host headers). Here a head must be complete, a body must flow and an answer must be taken within `Limits`;
everything that could be request smuggling is 400 and closed (RFC 9112 3.2, 6.1, 6.3, 11.2).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["GuardedProtocol", "Limits", "ambiguity", "guarded", "watch"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may take of us."""

    head_s: float = 8.0
    """Seconds from the first byte, or from the connection, to the end of the head."""
    stall_s: float = 8.0
    """Seconds in which a body must bring, or an answer must take, `stall_bytes`."""
    stall_bytes: int = 4096
    """Bytes that must pass in `stall_s` seconds: 512 B/s."""
    head_bytes: int = 65536
    """Longest request line and headers."""
    headers: int = 200
    """Most headers."""
    connections: int = 4096
    """Most connections of one worker."""


_HOST: Final = re.compile(rb"[A-Za-z0-9.\-_~%!$&'()*+,;=]{0,255}(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{0,5})?")
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_ANNOUNCING: Final = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers of requests that have a body."""
_AUTHORITY: Final = re.compile(rb"[a-z][a-z0-9+.\-]*://([^/?#]*)", re.IGNORECASE)


def ambiguity(method: bytes, version: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Why a message could be read in two ways, empty when it cannot.

    Parameters
    ----------
    method : bytes
        Request method.
    version : str
        ``"1.1"`` or ``"1.0"``.
    target : bytes
        Request target as sent.
    headers : iterable of (bytes, bytes)
        Names in lower case, values as sent.
    """
    if version not in ("1.1", "1.0"):
        return "the version must be HTTP/1.1 or HTTP/1.0"
    hosts, lengths, codings = [], [], []
    for name, value in headers:
        if name == b"host":
            hosts.append(value.strip())
        elif name == b"content-length":
            lengths.append(value.strip())
        elif name == b"transfer-encoding":
            codings.append(value.strip().lower())
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "exactly one Host header is needed"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "the Host header is malformed"
    if codings and lengths:
        return "Transfer-Encoding and Content-Length exclude each other"
    if len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        return "one Content-Length in digits is needed"
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "the only Transfer-Encoding is chunked, in HTTP/1.1"
    return _bad_target(method, target, hosts[0] if hosts else b"")


def _bad_target(method: bytes, target: bytes, host: bytes) -> str:
    if target.startswith(b"/"):
        return ""
    if target == b"*" and method == b"OPTIONS":
        return ""
    absolute = _AUTHORITY.match(target)
    if absolute is None:
        return "the request target must be a path"
    return "" if absolute[1].lower() == host.lower() else "the request target and the Host header differ"


async def _refuse(status: int, message: str, _scope: Any, _receive: Any, send: Any) -> None:
    """ASGI application that answers a message which must not be read further, and closes."""
    body = (message + "\n").encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Gathered:
    """What a cycle sees as its transport during one `send`: what it writes is kept in pieces."""

    __slots__ = ("closed", "pieces")

    def __init__(self, pieces: list[Any]) -> None:
        self.pieces = pieces
        self.closed = False

    def write(self, data: Any) -> None:
        if isinstance(data, bytes | bytearray | memoryview):
            self.pieces.append(data)
        else:
            self.pieces.extend(data)

    def close(self) -> None:
        self.closed = True


class _Cycle(RequestResponseCycle):
    """A request and its answer: the head leaves with the first bytes of the body in one write.

    A body may be given in pieces (a sized iterable of bytes, `hilum.dicomweb.http.Pieces`): they are not joined.
    """

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        held: list[Any] = self.scope.pop("hilum.head", [])  # type: ignore[typeddict-item]
        gathered, transport, respond = _Gathered(held), self.transport, self.on_response
        self.transport, self.on_response = gathered, _nothing  # type: ignore[assignment]
        try:
            await super().send(message)  # does not wait: the flow is not paused
        finally:
            self.transport, self.on_response = transport, respond
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.scope["hilum.head"] = gathered.pieces  # type: ignore[typeddict-unknown-key]
            return
        transport.writelines(gathered.pieces)
        if gathered.closed:
            transport.close()
        if self.response_complete:
            respond()


def _nothing() -> None:
    """Stand in for the end of an answer that is not written yet."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection; `check` is called about once a second by `watch`."""

    limits = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._application = self.app
        self._at_once: Callable[[Any], tuple[int, list[tuple[bytes, bytes]], Any] | None] | None
        self._at_once = getattr(self.app, "at_once", None)
        self._received = 0
        self._head_from = 0
        self._in_head = False
        self._refused = False
        self._error_waiting = ""
        self._head_since = 0.0
        self._flow_since = 0.0
        self._flow_mark = 0
        self._closing_since = 0.0
        self._idle_since = 0.0

    # connection

    def connection_made(self, transport: Any) -> None:
        """Accept, unless there are too many."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            self._write_and_close(503, "too many connections", b"retry-after: 2\r\n")

    def data_received(self, data: bytes) -> None:
        """Feed the parser; drop what follows a refused message."""
        if self._refused:
            return
        self._received += len(data)
        self._idle_since = 0.0
        reading_body = self.cycle is not None and self.cycle.more_body
        if not reading_body and not self._head_since:
            self._head_since = self.loop.time()
        self._head_from = self._received - len(data) if not self._in_head else self._head_from
        super().data_received(data)
        if self._in_head:
            self._head_since = self._head_since or self.loop.time()
            if self._received - self._head_from > self.limits.head_bytes:
                self._write_and_close(431, "the request head is too long")

    # parser

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, up to a bound."""
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        """Start the request, or the answer that refuses it."""
        self._in_head = False
        self._head_since = 0.0
        self._flow_since = 0.0
        if self._refused:
            return
        reason = ambiguity(self.parser.get_method(), self.parser.get_http_version(), self.url, self.headers)
        if reason:
            self._refused = True
            self.app = partial(_refuse, 400, reason)
            if not self.url.startswith(b"/"):
                self.url = b"/"
        elif self.url == b"*":
            self.url = b"/*"
        elif self._at_once is not None and self._answered_at_once():
            return
        before = self.cycle
        self.scope["hilum.pieces"] = True  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.__class__ = _Cycle
        self.app = self._application

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body, unless its message was refused."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a message."""
        if self.cycle is not None:
            super().on_message_complete()
        self._flow_since = 0.0

    # answers

    def _answered_at_once(self) -> bool:
        """Answer what the application can answer without waiting: no task, no messages, one write."""
        parser, url = self.parser, self.url
        if self.flow.write_paused or (self.cycle is not None and not self.cycle.response_complete):
            return False
        if parser.get_method() != b"GET" or parser.should_upgrade() or not parser.should_keep_alive():
            return False
        plain = url.startswith(b"/") and url.isascii() and b"%" not in url and b"#" not in url
        if not plain or not _ANNOUNCING.isdisjoint(dict(self.headers)):
            return False
        path, _, query = url.partition(b"?")
        target = {"method": "GET", "path": path.decode("ascii"), "raw_path": path, "query_string": query}
        self.scope.update(target)  # type: ignore[typeddict-item]
        assert self._at_once is not None
        answer = self._at_once(self.scope)
        if answer is None:
            return False
        status, headers, body = answer
        head = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        self.transport.writelines([b"".join(head), *((body,) if isinstance(body, bytes | memoryview) else body)])
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()  # instead of a timer for each answer
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, after the answers that are still owed."""
        if self._refused:
            return  # the refusal is on its way already
        self._refused = True
        owed = self.cycle is not None and not self.cycle.response_complete
        if owed and self.cycle.more_body and self.pipeline and self.pipeline[0][0] is self.cycle:
            self.cycle.more_body = False
            self.pipeline[0] = (self.cycle, partial(_refuse, 400, msg))
        elif owed and not self.cycle.more_body:
            self._error_waiting = msg
            self.flow.pause_reading()
        elif owed and self.cycle.response_started:
            self.transport.close()
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Go on with the next request of the connection, or with the refusal that waits."""
        if self._error_waiting and not self.pipeline and not self.transport.is_closing():
            super().send_400_response(self._error_waiting)
            return
        super().on_response_complete()

    def _write_and_close(self, status: int, message: str, header: bytes = b"") -> None:
        self._refused = True
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = (message + "\n").encode()
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n%scontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, _PHRASES[status], header, len(body), body)
            )
        self.transport.close()

    # deadlines

    def resume_writing(self) -> None:
        """Go on: the peer took enough of the answer."""
        super().resume_writing()
        self._flow_since = 0.0

    def check(self, now: float) -> None:
        """Close the connection when its peer is too slow."""
        if self.transport.is_closing():
            self._check_closing(now)
        elif self.flow.write_paused:
            self._check_flow(now, -self.transport.get_write_buffer_size(), self.transport.abort)
        elif self.flow.read_paused:
            self._flow_since = 0.0
            self._head_since = now if self._head_since else 0.0
        elif self._head_since:
            if now - self._head_since > self.limits.head_s:
                if self._received > self._head_from and self._in_head:
                    self._write_and_close(408, "the request head did not arrive in time")
                else:
                    self.transport.close()
        elif self._idle_since:
            if now - self._idle_since > self.timeout_keep_alive:
                self.transport.close()
        elif self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self._check_flow(
                now, self._received, partial(self._write_and_close, 408, "the request body came too slowly")
            )

    def _check_flow(self, now: float, passed: int, close: Callable[[], None]) -> None:
        if not self._flow_since or passed - self._flow_mark >= self.limits.stall_bytes:
            self._flow_since, self._flow_mark = now, passed
        elif now - self._flow_since > self.limits.stall_s:
            close()

    def _check_closing(self, now: float) -> None:
        """End the wait of a closing transport for its buffer to be taken."""
        if not self._closing_since:
            self._closing_since = now
        elif now - self._closing_since > self.limits.stall_s:
            self.transport.abort()


_PHRASES: Final = {
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """Protocol class with these limits, for ``uvicorn.Config(http=...)``."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})


async def watch(connections: Callable[[], Iterable[Any]], period_s: float = 1.0) -> None:
    """Call `GuardedProtocol.check` of every connection, for ever; cancel to end."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(period_s)
        now = loop.time()
        for connection in list(connections()):
            check = getattr(connection, "check", None)
            if check is not None:
                check(now)
