"""Static files: kept in memory with their type, ETag and gzip form, refreshed when the file on disk changes."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

__all__ = ["PAGE_HEADERS", "Assets"]

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".ico": "image/x-icon",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_COMPRESSED: Final = frozenset(
    {".html", ".js", ".mjs", ".css", ".json", ".webmanifest", ".svg", ".wasm", ".txt", ".md"}
)
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style}; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE: Final = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-embedder-policy", b"require-corp"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
PAGE_HEADERS: Final = ((b"content-security-policy", _CSP.format(style="").encode()), *_PAGE)
"""Of every page and file of the viewer: nothing from elsewhere, no inline script, isolated (W-16, P53)."""
INLINE_STYLE_HEADERS: Final = ((b"content-security-policy", _CSP.format(style=" 'unsafe-inline'").encode()), *_PAGE)
"""The same for pages whose foreign script writes style attributes."""


@dataclass(frozen=True, slots=True)
class _Asset:
    stamp: tuple[int, int]
    plain: bytes
    packed: bytes | None
    etag: bytes
    media_type: bytes


class Assets:
    """ASGI application over one folder.

    Parameters
    ----------
    folder : Path
        Files below it are served; a file ``name.gz`` stands for ``name``.
    prefix : str
        Path that the folder is served at, without a trailing slash.
    page : str
        What a path that ends with ``/`` names.
    headers : tuple
        Added to every answer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        prefix: str = "",
        page: str = "index.html",
        headers: tuple[tuple[bytes, bytes], ...] = PAGE_HEADERS,
    ) -> None:
        self._folder = folder
        self._prefix = prefix
        self._page = page
        self._headers = headers
        self._known: dict[str, _Asset] = {}

    def names(self) -> list[str]:
        """Paths below the folder that are served, as they are spelt in URLs."""
        found = (p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if p.is_file())
        return sorted(name.removesuffix(".gz") for name in found)

    def find(self, path: str) -> _Asset | None:
        """File of a URL path, None when there is none; what the peer names is checked before it is a path (P51)."""
        name = path.removeprefix(self._prefix).lstrip("/")
        if not name or name.endswith("/"):
            name += self._page
        if (
            any(part in ("", ".", "..") or part.startswith(".") for part in name.split("/"))
            or "\\" in name
            or "\0" in name
        ):
            return None
        for candidate in (name, name + ".gz"):
            file = self._folder / candidate
            try:
                status = os.stat(file, follow_symlinks=False)
            except (OSError, ValueError):
                continue
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._known.get(candidate)
            if known is not None and known.stamp == stamp:
                return known
            if (status.st_mode & 0o170000) != 0o100000:
                continue
            asset = _load(file, name, stamp)
            self._known[candidate] = asset
            return asset
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD."""
        headers = dict(scope["headers"])
        scope["hilum.route"] = f"{self._prefix}/static"
        asset = self.find(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        if asset is None:
            status = 404 if scope["method"] in ("GET", "HEAD") else 405
            body = b"not found\n" if status == 404 else b"only GET and HEAD\n"
            extra = [] if status == 404 else [(b"allow", b"GET, HEAD, OPTIONS")]
            length = (b"content-length", str(len(body)).encode())
            start = [(b"content-type", b"text/plain; charset=utf-8"), length, *extra, *self._headers]
            await send({"type": "http.response.start", "status": status, "headers": start})
            await send({"type": "http.response.body", "body": body})
            return
        common = [(b"etag", asset.etag), (b"cache-control", b"no-cache"), (b"vary", b"Accept-Encoding"), *self._headers]
        if asset.etag in headers.get(b"if-none-match", b""):
            await send({"type": "http.response.start", "status": 304, "headers": common})
            await send({"type": "http.response.body", "body": b""})
            return
        body = asset.plain
        if asset.packed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            body = asset.packed
            common.append((b"content-encoding", b"gzip"))
        common += [(b"content-type", asset.media_type), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": common})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _load(file: Path, name: str, stamp: tuple[int, int]) -> _Asset:
    content = file.read_bytes()
    suffix = Path(name).suffix.lower()
    plain = gzip.decompress(content) if file.name != Path(name).name else content
    packed = None
    if suffix in _COMPRESSED and len(plain) > 256:
        packed = content if plain is not content else gzip.compress(plain, 9, mtime=0)
    etag = b'"' + hashlib.sha256(plain).hexdigest()[:32].encode() + b'"'
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _Asset(stamp, plain, packed, etag, media_type.encode())
