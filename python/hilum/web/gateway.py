"""The outermost ASGI callable: mounts, CORS, token, limits, metrics, access log; about 10 µs a request.

What takes no waiting, such as a stored tile, is answered beside ASGI (`Gateway.at_once`): a task, its messages and what
checks them cost several times as much as the answer.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from hilum.web.access_log import AccessLog
    from hilum.web.metrics import Metrics

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

__all__ = ["Gateway", "GatewaySettings"]

LOGGER = logging.getLogger("hilum.web")
METHODS: Final = b"GET, HEAD, POST, OPTIONS"
ALLOWED_HEADERS: Final = (
    b"Accept, Accept-Language, Authorization, Cache-Control, Content-Type, If-Match, If-None-Match, "
    b"If-Modified-Since, If-Range, Pragma, Range, X-Requested-With, traceparent"
)
EXPOSED_HEADERS: Final = (
    b"Accept-Ranges, Content-Encoding, Content-Length, Content-Location, Content-Range, Content-Type, ETag, "
    b"Link, Location, Retry-After, Warning, WWW-Authenticate, X-Hilum-Dtype, X-Hilum-Shape, X-Total-Count"
)
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_PREFLIGHT: Final = [
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", ALLOWED_HEADERS),
    (b"access-control-max-age", b"7200"),
    (b"content-length", b"0"),
]
_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_SAFE_PEER: Final = re.compile(r"[0-9A-Fa-f.:]{2,45}")


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the gateway asks of every request."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call from a browser; ``*`` for all, none: only our own pages."""
    token: str = field(default="", repr=False)
    """Bearer token, or the password of Basic, that every request must carry; empty: none."""
    max_requests: int = 512
    """Requests in flight of one worker; beyond it 503 with Retry-After."""


class Gateway:
    """Dispatch by prefix, and what is the same for every service.

    Parameters
    ----------
    mounts : mapping of str to ASGI application
        By prefix without a trailing slash; the longest is not searched for: prefixes must not contain one another.
    fallback : ASGI application
        Everything else, and the lifespan.
    """

    def __init__(
        self, mounts: Mapping[str, App], fallback: App, settings: GatewaySettings, metrics: Metrics, log: AccessLog
    ) -> None:
        self._mounts = {prefix.removeprefix("/"): (prefix, app) for prefix, app in mounts.items()}
        self._prompt = {name: app.at_once for name, (_, app) in self._mounts.items() if hasattr(app, "at_once")}
        self._fallback = fallback
        self._settings = settings
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._any_origin = b"*" in self._origins
        policy = b"cross-origin" if self._origins else b"same-origin"
        self._always = [(b"cross-origin-resource-policy", policy), _NO_SNIFF]
        self._token = settings.token.encode()
        self._metrics = metrics
        self._log = log
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._fallback(scope, receive, send)
            return
        started = perf_counter()
        status, sent, begun = 500, 0, False
        method: str = scope["method"]
        first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        prefix, app = self._mounts.get(first, ("", self._fallback))
        scope["hilum.mount"] = prefix
        common = self._common(scope) if prefix else self._cors(scope)

        async def sender(message: MutableMapping[str, Any]) -> None:
            nonlocal status, sent, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                if common:
                    message["headers"] = [*message["headers"], *common]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        self.in_flight += 1
        try:
            refused = self._refusal(scope, method)
            if refused is None:
                await app(scope, receive, sender)
            else:
                await _answer(sender, *refused)
        except Exception as error:
            status = 500
            LOGGER.error(
                "%s %s: %s",
                method,
                scope.get("hilum.route", prefix or "/"),
                type(error).__name__,
                exc_info=_without_values(error),
            )
            if begun:
                raise
            await _answer(sender, 500, b"internal error; the log of the server has the details\n", [])
        finally:
            self.in_flight -= 1
            self._note(scope, status, perf_counter() - started, sent)

    def at_once(self, scope: Scope) -> tuple[int, Headers, Any] | None:
        """Answer GET without a body where that takes no waiting: all of the status, headers and body.

        Returns
        -------
        tuple or None
            None: nothing was done; call the application. So it is with everything that is refused or fails, too.
        """
        started = perf_counter()
        first = scope["path"].split("/", 2)[1]
        prompt = self._prompt.get(first)
        if prompt is None or (self._token and not self._authorised(scope)):
            return None
        scope["hilum.mount"] = self._mounts[first][0]
        try:
            answer = prompt(scope)
        except Exception:  # the application fails in the same way, and tells
            return None
        if answer is None:
            return None
        self._note(scope, answer.status, perf_counter() - started, len(answer.body))
        return answer.status, [*answer.headers, *self._common(scope)], answer.body

    # ------------------------------------------------------------------------------------------------------------------

    def _note(self, scope: Scope, status: int, seconds: float, sent: int) -> None:
        """Count and log one answer."""
        route, method = scope.get("hilum.route") or scope["hilum.mount"] or "/", _known_method(scope["method"])
        self._metrics.observe_request(route, method, status, seconds, sent)
        self._log.request(route, method, status, seconds, sent, _peer(scope))

    def _common(self, scope: Scope) -> Headers:
        """Headers of every answer of a mount."""
        return [*self._always, *self._cors(scope)]

    def _refusal(self, scope: Scope, method: str) -> tuple[int, bytes, Headers] | None:
        if self.in_flight > self._settings.max_requests:
            return 503, b"too many requests in flight\n", [(b"retry-after", b"1")]
        if method == "OPTIONS" and _header(scope, b"access-control-request-method"):
            return 204, b"", self._preflight(scope)
        if self._token and scope["path"] not in _OPEN_PATHS and not self._authorised(scope):
            challenge = [(b"www-authenticate", b'Bearer realm="hilum"'), (b"www-authenticate", b'Basic realm="hilum"')]
            return 401, b"a token is needed\n", challenge
        return None

    def _cors(self, scope: Scope) -> Headers:
        origin = _header(scope, b"origin")
        if not origin:
            return []
        expose = (b"access-control-expose-headers", EXPOSED_HEADERS)
        if self._any_origin:
            return [(b"access-control-allow-origin", b"*"), expose]
        if origin in self._origins:
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin"), expose]
        return [(b"vary", b"Origin")]

    def _preflight(self, scope: Scope) -> Headers:
        if not self._any_origin and _header(scope, b"origin") not in self._origins:
            return []
        if _header(scope, b"access-control-request-private-network") == b"true":
            return [*_PREFLIGHT, (b"access-control-allow-private-network", b"true")]
        return _PREFLIGHT

    def _authorised(self, scope: Scope) -> bool:
        kind, _, value = _header(scope, b"authorization").partition(b" ")
        value = value.strip()
        if kind.lower() == b"bearer":
            return hmac.compare_digest(value, self._token)
        if kind.lower() == b"basic":
            try:
                password = base64.b64decode(value, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
            return hmac.compare_digest(password, self._token)
        return False


def _header(scope: Scope, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


def _known_method(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH") else "OTHER"


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client and _SAFE_PEER.fullmatch(client[0]) else ""


def _without_values(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """Trace of an error without its text, which may quote values of patients."""
    return type(error), Exception("message withheld"), error.__traceback__


async def _answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    if status != 204:
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ]
    else:
        headers = [item for item in headers if item[0] != b"content-length"]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
