"""Requests and answers of the DICOMweb services: plain ASGI, nothing between the socket and the handler."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote_plus

from hilum.errors import HilumError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = [
    "Answer",
    "ClientGone",
    "Pieces",
    "Request",
    "Stream",
    "apply_range",
    "begun",
    "empty",
    "etag_matches",
    "gzip_json",
    "nothing",
    "parse_query",
    "send",
    "text",
]

LOGGER = logging.getLogger("hilum.dicomweb")

Headers: TypeAlias = "list[tuple[bytes, bytes]]"
"""Of an answer: names in lower case, values as sent."""

GZIP_FROM_BYTES: Final = 1024
GZIP_LEVEL: Final = 1
_RANGE: Final = re.compile(rb"\s*bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*")
JSON_TYPE: Final = (b"content-type", b"application/dicom+json")
TEXT_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")


class ClientGone(Exception):
    """The peer closed before the request or the answer was complete."""


class Pieces:
    """Body of an answer in pieces: a server that can (``hilum.pieces`` in the scope) writes them without a join.

    Parameters
    ----------
    pieces : sequence of bytes
        None may change before they are sent.
    """

    __slots__ = ("_length", "_pieces")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        """Bytes of all pieces."""
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in memory."""

    status: int
    headers: Headers
    body: bytes | memoryview | Pieces = b""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is made while it is sent."""

    status: int
    headers: Headers
    chunks: AsyncIterator[bytes]
    length: int | None = None
    """Bytes in all when known: it is then sent as Content-Length, else the answer is chunked."""


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """Pairs of a query string in their order; ``+`` and percent escapes are decoded as UTF-8.

    Raises
    ------
    UsageError
        Not ASCII, or escapes that are not UTF-8.
    """
    if not query:
        return []
    try:
        pairs = []
        for piece in query.decode("ascii").split("&"):
            if piece:
                name, _, value = piece.partition("=")
                if "%" in piece or "+" in piece:
                    name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
                pairs.append((name, value))
    except UnicodeDecodeError:
        raise UsageError("the query is not percent-encoded UTF-8") from None
    return pairs


class Request:
    """One request: what handlers need of an ASGI scope, decoded at most once."""

    __slots__ = ("_query", "headers", "method", "path", "receive", "scope", "settings_url")

    def __init__(self, scope: Scope, receive: Receive, path: str, public_url: str = "") -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path = path
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.settings_url = public_url
        self._query: list[tuple[str, str]] | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """Pairs of the query string in their order."""
        if self._query is None:
            self._query = parse_query(self.scope["query_string"])
        return self._query

    def parameter(self, name: str) -> str:
        """First value of a query parameter, empty when absent."""
        for key, value in self.query:
            if key == name:
                return value
        return ""

    def header(self, name: bytes) -> str:
        """Value of a header, empty when absent."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def accept(self) -> str:
        """What the client accepts: the ``accept`` query parameter (PS3.18 8.3.3.1) before the header."""
        if self.scope["query_string"]:
            wanted = ",".join(value for key, value in self.query if key == "accept")
            if wanted:
                return wanted
        values = [value for name, value in self.scope["headers"] if name == b"accept"]
        return b",".join(values).decode("latin-1") if values else ""

    def base_url(self) -> str:
        """Address of the service root as the client sees it, for the URLs inside answers."""
        if self.settings_url:
            return self.settings_url
        headers = self.headers
        host = headers.get(b"x-forwarded-host", headers.get(b"host", b"")).split(b",")[0].strip()
        scheme = headers.get(b"x-forwarded-proto", b"").split(b",")[0].strip() or self.scope["scheme"].encode()
        if b"forwarded" in headers:
            fields = {
                name.strip().lower(): value.strip().strip(b'"')
                for name, _, value in (
                    piece.partition(b"=") for piece in headers[b"forwarded"].split(b",")[0].split(b";")
                )
            }
            host, scheme = fields.get(b"host", host), fields.get(b"proto", scheme)
        if not _HOST.fullmatch(host) or scheme not in (b"http", b"https"):
            server = self.scope.get("server") or ("localhost", None)
            host, scheme = f"{server[0]}:{server[1]}".encode(), self.scope["scheme"].encode()
        prefix = headers.get(b"x-forwarded-prefix", b"").strip()
        if not _PREFIX.fullmatch(prefix):
            prefix = b""
        return f"{scheme.decode()}://{host.decode()}{prefix.decode().rstrip('/')}{self.scope.get('hilum.mount', '')}"

    async def body_chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive.

        Raises
        ------
        ClientGone
            The peer closed before the end.
        """
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            if body:
                yield body
            if not message.get("more_body", False):
                return


async def nothing() -> MutableMapping[str, Any]:
    """Receive nothing: a request without a body."""
    return {"type": "http.request"}


_HOST: Final = re.compile(rb"[A-Za-z0-9.\-_]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_PREFIX: Final = re.compile(rb"(/[A-Za-z0-9.\-_~]{1,64}){0,8}/?")


def text(status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Give a short answer for people."""
    body = (message + "\n").encode()
    return Answer(status, [TEXT_TYPE, (b"content-length", str(len(body)).encode()), *headers], body)


def json_answer(status: int, document: Any, *headers: tuple[bytes, bytes]) -> Answer:
    """Give a document as DICOM JSON."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(status, [JSON_TYPE, (b"content-length", str(len(body)).encode()), *headers], body)


def accepts_gzip(request: Request) -> bool:
    """Whether ``Accept-Encoding`` names gzip without refusing it."""
    value = request.headers.get(b"accept-encoding", b"")
    if b"gzip" not in value:
        return False
    for piece in value.split(b","):
        name, _, quality = piece.partition(b";")
        if name.strip() == b"gzip":
            return quality.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


def gzip_json(body: bytes) -> bytes:
    """Body compressed as quickly as possible: metadata shrinks to about a tenth at the lowest level."""
    return gzip.compress(body, compresslevel=GZIP_LEVEL, mtime=0)


def etag_matches(request: Request, etag: bytes) -> bool:
    """Whether ``If-None-Match`` names that entity tag (weak comparison, RFC 9110 13.1.2)."""
    wanted = request.headers.get(b"if-none-match")
    if wanted is None:
        return False
    return wanted.strip() == b"*" or any(tag.strip().removeprefix(b"W/") == etag for tag in wanted.split(b","))


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Which part of a body is sent."""

    start: int
    stop: int
    status: int = 200
    headers: Headers = field(default_factory=list)

    @property
    def length(self) -> int:
        """Bytes of the part."""
        return self.stop - self.start


def apply_range(request: Request, total: int, etag: bytes = b"") -> ByteRange:
    """Which bytes a ``Range`` header asks for (RFC 9110 14), suffix ranges too.

    One range is honoured; several, other units and malformed headers are ignored as the RFC allows: the whole is sent.

    Returns
    -------
    ByteRange
        Status 206 with Content-Range, 416 when nothing of it exists, else 200.
    """
    wanted = request.headers.get(b"range")
    if wanted is None:
        return ByteRange(0, total)
    condition = request.headers.get(b"if-range")
    if condition is not None and condition.strip() != etag:
        return ByteRange(0, total)
    found = _RANGE.fullmatch(wanted)
    if found is None or not (found[1] or found[2]):
        return ByteRange(0, total)
    if found[1]:
        start = int(found[1])
        stop = min(int(found[2]) + 1, total) if found[2] else total
        if found[2] and int(found[2]) < start:
            return ByteRange(0, total)
    else:
        start, stop = max(total - int(found[2]), 0), total
    if start >= total or start >= stop:
        return ByteRange(0, 0, 416, [(b"content-range", b"bytes */%d" % total)])
    return ByteRange(start, stop, 206, [(b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, total))])


def empty(status: int, *headers: tuple[bytes, bytes]) -> Answer:
    """Give an answer without a body: 204 or 304."""
    return Answer(status, list(headers))


async def begun(stream: Stream) -> Stream:
    """Make the first piece of a stream, so that what is wrong up to there still decides the status.

    Raises
    ------
    HilumError
        That of the first piece.
    """
    chunks = stream.chunks
    try:
        first = await anext(chunks, b"")
    except BaseException:
        await _close(chunks)
        raise

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await _close(chunks)

    return replace(stream, chunks=pieces())


async def send(
    receive: Receive, sender: Send, answer: Answer | Stream, *, head: bool = False, pieces: bool = False
) -> None:
    """Send an answer; a stream ends early when its client goes away.

    So it does when a piece cannot be made, say of a damaged frame: status and headers are out, and neither HTTP nor
    multipart has a way to take them back. The connection is closed without the end of the body (last chunk or the rest
    of Content-Length, RFC 9112 8; closing boundary, RFC 2046 5.1), by which every client knows that something is
    missing; the reason goes to the log.

    Parameters
    ----------
    head : bool
        Without the body.
    pieces : bool
        The server takes `Pieces`.
    """
    if isinstance(answer, Answer):
        body = b"" if head else answer.body
        if isinstance(body, Pieces) and not pieces:
            body = b"".join(body)
        await sender({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await sender({"type": "http.response.body", "body": body})
        return
    headers = answer.headers
    if answer.length is not None:
        headers = [*headers, (b"content-length", str(answer.length).encode())]
    await sender({"type": "http.response.start", "status": answer.status, "headers": headers})
    if not head:
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            async for chunk in answer.chunks:
                await sender({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return
        except HilumError as error:
            LOGGER.warning("an answer was cut: %s (code %d)", error, error.code)
            return
        finally:
            gone.cancel()
            await _close(answer.chunks)
    else:
        await _close(answer.chunks)
    await sender({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()
