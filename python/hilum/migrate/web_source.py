"""A legacy archive that speaks DICOMweb: QIDO-RS, then WADO-RS in the stored transfer syntax (PS3.18 10.4, 10.6)."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from hilum._multipart import MultipartParser, parse_content_type
from hilum.errors import DataError, Denied, HilumError, NotFound, Unavailable, UsageError
from hilum.migrate.source import Answers, Fetched, FoundInstance, study_of
from hilum.migrate.take import Taker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hilum.archive.archive import Archive
    from hilum.archive.incoming import Incoming, Spool

__all__ = ["WebSource"]

_PAGE: Final = 500
_CHUNK: Final = 1 << 18
_LONGEST_JSON: Final = 256 << 20
_OBJECTS: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class WebSource:
    """Where it is.

    Parameters
    ----------
    url : str
        Of the service: ``https://pacs.example/dicom-web``.
    archive : Archive
        To be filled.
    incoming : Incoming
    token : str
        Bearer token; empty: none.
    user, passcode : str
        HTTP basic authentication; empty: none.
    tls : ssl.SSLContext, optional
        Default: the system's authorities.
    """

    url: str
    archive: Archive
    incoming: Incoming
    token: str = field(default="", repr=False)
    user: str = ""
    passcode: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("the address of a DICOMweb service begins with http:// or https://")

    @property
    def name(self) -> str:
        """Its address, without a user that may be in it."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or parts.scheme}{parts.path}"

    def open(self) -> _WebSession:
        """Give a session."""
        return _WebSession(self)


class _WebSession:
    def __init__(self, source: WebSource) -> None:
        self._source = source
        self._parts = urlsplit(source.url)
        self._connection: http.client.HTTPConnection | None = None
        self._taker = Taker(source.archive, source.incoming)

    def studies(self, keys: Mapping[str, str]) -> Answers:
        wanted = [(name, value) for name, value in keys.items() if value]
        wanted.append(("includefield", "00201206,00201208,00080020"))
        tags = ("0020000D", "00080020", "00201206", "00201208")
        found = [study_of(*(_text(answer, tag) for tag in tags)) for answer in self._pages("/studies", wanted)]
        return Answers(tuple(study for study in found if study.uid))

    def instances(self, study_uid: str) -> list[FoundInstance]:
        path = f"/studies/{quote(study_uid, safe='')}/instances"
        found = self._pages(path, [("includefield", "00080016,0020000E")])
        listed = [
            FoundInstance(*(_text(answer, tag) for tag in ("0020000E", "00080018", "00080016"))) for answer in found
        ]
        return [instance for instance in listed if instance.uid]

    def _pages(self, path: str, query: Sequence[tuple[str, str]]) -> Iterator[Any]:
        """All answers, page by page; a service that ignores the offset is noticed by its repeating itself."""
        offset, seen = 0, ""
        while True:
            page = self._json(path, [*query, ("limit", str(_PAGE)), ("offset", str(offset))])
            first = json.dumps(page[:1])
            if not page or first == seen:
                return
            yield from page
            offset, seen = offset + len(page), first

    def _json(self, path: str, query: Sequence[tuple[str, str]]) -> list[Any]:
        response = self._get(f"{path}?{urlencode(query)}", "application/dicom+json")
        body = self._read(response, _LONGEST_JSON + 1)
        if len(body) > _LONGEST_JSON:
            self.close()
            raise DataError("an answer of the DICOMweb service is too long")
        if response.status == 204 or not body:
            return []
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise DataError("an answer of the DICOMweb service is no JSON") from None
        return found if isinstance(found, list) else [found]

    def fetch(self, study_uid: str, series_uids: Sequence[str], classes: Sequence[str]) -> Fetched:
        study = f"/studies/{quote(study_uid, safe='')}"
        paths = [f"{study}/series/{quote(uid, safe='')}" for uid in series_uids] or [study]
        fetched = Fetched()
        error: HilumError | None = None
        for path in paths:
            try:
                self._objects(path, fetched)
            except NotFound as found:
                fetched.note = str(found)
            except HilumError as found:
                error = found
                break
        fetched.failed |= self._taker.finish()
        if error is not None:
            raise error
        return fetched

    def _objects(self, path: str, fetched: Fetched) -> None:
        response = self._get(path, _OBJECTS)
        media, parameters = parse_content_type(response.getheader("Content-Type", ""))
        if media != "multipart/related" or not parameters.get("boundary"):
            self.close()
            raise DataError("the DICOMweb service gives no multipart/related answer for a study")
        parser = MultipartParser(parameters["boundary"].encode("latin-1"))
        spool: Spool | None = None
        try:
            while chunk := self._read(response, _CHUNK):
                for kind, value in parser.feed(chunk):
                    if kind == "headers":
                        spool = self._taker.begin()
                    elif kind == "data" and spool is not None:
                        spool.write(bytes(value))  # type: ignore[arg-type]
                    elif kind == "end" and spool is not None:
                        done, spool = spool, None
                        fetched.received += 1
                        with suppress(DataError):
                            self._taker.take(done, f"part {fetched.received}")
            parser.finish()
        except BaseException:
            self.close()
            raise
        finally:
            if spool is not None:
                spool.discard()

    # HTTP

    def _get(self, path: str, accept: str) -> http.client.HTTPResponse:
        headers = {"Accept": accept, "User-Agent": "hilum"}
        source = self._source
        if source.token:
            headers["Authorization"] = f"Bearer {source.token}"
        elif source.user:
            pair = base64.b64encode(f"{source.user}:{source.passcode}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        target = self._parts.path.rstrip("/") + path
        for attempt in (0, 1):
            fresh = self._connection is None
            try:
                connection = self._connection or self._connect()
                self._connection = connection
                connection.request("GET", target, headers=headers)
                response = connection.getresponse()
                break
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if attempt or fresh:  # a connection that was kept may have been closed by the peer meanwhile
                    raise Unavailable(f"{source.name}: {_reason(error)}") from error
        if response.status in (200, 204, 206):
            return response
        self.close()
        shown = f"{source.name}: HTTP status {response.status}"
        raise {401: Denied, 403: Denied, 404: NotFound, 410: NotFound}.get(response.status, Unavailable)(shown)

    def _connect(self) -> http.client.HTTPConnection:
        host, port, timeout = self._parts.hostname or "", self._parts.port, self._source.timeout_s
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        context = self._source.tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def _read(self, response: http.client.HTTPResponse, size: int) -> bytes:
        try:
            return response.read(size)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"{self._source.name}: {_reason(error)}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _text(answer: Any, tag: str) -> str:
    """First value of an attribute in the DICOM JSON model, as text."""
    try:
        value = answer[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return ""
    return str(value) if isinstance(value, str | int) else ""
