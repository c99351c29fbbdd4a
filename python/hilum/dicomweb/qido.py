"""QIDO-RS (PS3.18 10.6): a query string becomes one search of the archive, its answer one body written by the core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hilum.dicomweb import http
from hilum.dicomweb.http import Answer, Request
from hilum.dicomweb.negotiate import choose_metadata, parse_accept
from hilum.dicomweb.xml import multipart_xml
from hilum.errors import UsageError
from hilum.index.query import Operation

if TYPE_CHECKING:
    from hilum.archive.archive import Archive
    from hilum.dicomweb.app import Pool
    from hilum.dicomweb.paging import PagingMemory
    from hilum.dicomweb.routing import Match
    from hilum.index.base import SearchResult
    from hilum.index.query import Query
    from hilum.types import Level

__all__ = ["Parameters", "Search", "parse_parameters"]

_GZIP_FROM_BYTES: Final = 16384
_MAX_OFFSET: Final = 1 << 48
_LEVELS: Final[dict[str, Level]] = {"patient": "patient", "study": "study", "series": "series", "instance": "instance"}
_IGNORED: Final = frozenset({"accept", "charset"})


@dataclass(slots=True)
class Parameters:
    """What a query string asks for."""

    keys: dict[str, str] = field(default_factory=dict)
    """Matching keys, by keyword or tag as they were given."""
    includefield: list[str] = field(default_factory=list)
    fuzzy: bool = False
    empty_values: bool = False
    multiple_values: bool = False
    limit: int | None = None
    offset: int = 0
    order: str = ""
    warnings: list[str] = field(default_factory=list)
    """Texts of Warning headers."""


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise UsageError(f"{name} must be a number from 0")
    return min(int(value), _MAX_OFFSET)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise UsageError(f"{name} must be true or false")
    return value.lower() == "true"


def parse_parameters(pairs: list[tuple[str, str]]) -> Parameters:
    """Sort the pairs of a query string into matching keys and the parameters of PS3.18 8.3.4.

    Values that a client repeats are one list, as PS3.4 separates it by backslash; what is not
    known is left for the index to refuse or to ignore.

    Raises
    ------
    UsageError
        A parameter has a value that it cannot have.
    """
    found = Parameters()
    for name, value in pairs:
        folded = name.lower()
        if folded == "includefield":
            found.includefield += [piece for piece in value.split(",") if piece]
        elif folded == "limit":
            found.limit = _number("limit", value)
        elif folded == "offset":
            found.offset = _number("offset", value)
        elif folded == "fuzzymatching":
            found.fuzzy = _flag(name, value)
        elif folded == "sort":
            found.order = value
        elif folded == "emptyvaluematching":
            found.empty_values = _flag(name, value)
        elif folded == "multiplevaluematching":
            found.multiple_values = _flag(name, value)
        elif folded not in _IGNORED:
            found.keys[name] = f"{found.keys[name]}\\{value}" if found.keys.get(name) else value
    return found


class Search:
    """Answers searches.

    Parameters
    ----------
    max_results : int
        Most answers of one page; the client learns of the rest by a Warning.
    """

    def __init__(self, archive: Archive, pool: Pool, paging: PagingMemory, max_results: int) -> None:
        self._archive = archive
        self._pool = pool
        self._paging = paging
        self._max_results = max_results

    async def answer(self, request: Request, match: Match) -> Answer:
        """Answer one search."""
        accept = request.headers.get(b"accept")
        form = "json"
        if (
            accept not in (None, b"*/*", b"application/dicom+json", b"application/json")
            or b"accept=" in request.scope["query_string"]
        ):
            form = choose_metadata(parse_accept(request.accept))
        wanted = parse_parameters(request.query)
        if match.study:
            wanted.keys.pop("0020000D", None)
            wanted.keys["StudyInstanceUID"] = match.study
        if match.series:
            wanted.keys.pop("0020000E", None)
            wanted.keys["SeriesInstanceUID"] = match.series
        level = _LEVELS[match.endpoint.level]
        limit = self._max_results if wanted.limit is None else min(wanted.limit, self._max_results)
        as_of = self._recall(request, wanted) if wanted.offset else None
        query = self._archive.parse_query(
            level,
            wanted.keys,
            includefield=wanted.includefield,
            fuzzy=wanted.fuzzy,
            limit=limit,
            offset=wanted.offset,
            order=wanted.order,
            as_of=as_of,
            multiple_values=wanted.multiple_values,
            empty_values=wanted.empty_values,
        )
        wanted.warnings += query.warnings
        if _is_quick(query):
            result = self._archive.search(level, query)
        else:
            result = await self._pool.run(self._archive.search, level, query)
        if result.more:
            self._remember(request, wanted, result)
        return await self._write(request, wanted, result, form)

    async def _write(self, request: Request, wanted: Parameters, result: SearchResult, form: str) -> Answer:
        headers: http.Headers = []
        base = request.base_url()
        remaining = result.remaining
        if result.more:
            count = "" if remaining is None else f"{remaining} "
            wanted.warnings.append(f"There are {count}additional results that can be requested")
        headers += [(b"warning", _warning(base, text)) for text in wanted.warnings]
        if result.total is not None:
            headers.append((b"x-total-count", str(result.total).encode()))
        if not len(result):
            return http.empty(204, *headers)
        body = result.to_json(base)
        if form == "xml":
            return await self._pool.run(multipart_xml, body, headers)
        headers += [http.JSON_TYPE, (b"vary", b"Accept, Accept-Encoding")]
        if len(body) >= _GZIP_FROM_BYTES and http.accepts_gzip(request):
            body = await self._pool.run(http.gzip_json, body)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(body)).encode()))
        return Answer(200, headers, body)

    # paging

    def _recall(self, request: Request, wanted: Parameters) -> int | None:
        return self._paging.recall(_client(request), _identity(request), wanted.offset)

    def _remember(self, request: Request, wanted: Parameters, result: SearchResult) -> None:
        client, query = _client(request), _identity(request)
        if not wanted.offset:
            self._paging.remember(client, query, 0, result.as_of)
        self._paging.remember(client, query, wanted.offset + len(result), result.as_of)


def _is_quick(query: Query) -> bool:
    """Whether the search costs less than handing it to a thread: it reads the index only, for a bounded page."""
    if query.header_matches or query.header_fields or query.all_fields:
        return False
    if query.level in ("patient", "study"):
        return not any(match.operation is Operation.FUZZY for match in query.matches)
    return query.study_given or query.series_given


def _warning(base: str, text: str) -> bytes:
    """Value of a Warning header; names from the query are made harmless."""
    if not text.isprintable() or '"' in text or "\\" in text:
        text = "".join(char if char.isprintable() and char not in '"\\' else "?" for char in text)
    return f'299 {base}: "{text}"'.encode("ascii", "replace")


def _client(request: Request) -> bytes:
    """Who asks, well enough to keep the pages of two people apart."""
    peer = request.scope.get("client") or ("", 0)
    headers = request.headers
    return b"\0".join(
        (
            peer[0].encode(),
            headers.get(b"x-forwarded-for", b""),
            headers.get(b"authorization", b""),
            headers.get(b"user-agent", b""),
        )
    )


def _identity(request: Request) -> bytes:
    """Give the query without what differs from page to page."""
    pieces = [p for p in request.scope["query_string"].split(b"&") if not p.lower().startswith((b"offset=", b"limit="))]
    return request.path.encode() + b"?" + b"&".join(sorted(pieces))
