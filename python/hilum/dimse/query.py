"""C-FIND as SCP (PS3.4 C.4.1): an identifier becomes a search of the archive, its answers go out as they are found."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from hilum import errors
from hilum.archive import find
from hilum.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.identifier import (
    CHARACTER_SET,
    UTF_8,
    Element,
    encode,
    fitting_character_set,
    parse,
    text_of,
)
from hilum.dimse.messages import NO_DATA_SET, Tag, response_to
from hilum.dimse.models import LEVEL_NAMES, MODELS, UNIQUE_KEYS
from hilum.dimse.wire import Outcome
from hilum.index.answers import answers_identifiers, answers_rows
from hilum.index.schema import BY_TAG, level_number, vr_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hilum.archive.archive import Archive
    from hilum.dimse.wire import Link, Request
    from hilum.index.base import SearchResult
    from hilum.index.query import Query

__all__ = ["FIND_STATUS", "Asked", "FindService", "read_level"]

QUERY_LEVEL: Final = 0x00080052
RETRIEVE_AE_TITLE: Final = 0x00080054
AVAILABILITY: Final = 0x00080056
_TIMEZONE: Final = 0x00080201
_NOT_KEYS: Final = frozenset({CHARACTER_SET, QUERY_LEVEL, RETRIEVE_AE_TITLE, AVAILABILITY, _TIMEZONE})

PENDING: Final = 0xFF00
PENDING_UNSUPPORTED: Final = 0xFF01  # some optional keys were not supported
SUCCESS: Final = 0x0000
CANCELLED: Final = 0xFE00
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900  # identifier does not match SOP class
UNABLE: Final = 0xC000  # unable to process

FIND_STATUS: Final[dict[int, str]] = {
    SUCCESS: "all answers have been sent",
    PENDING: "an answer; all keys of the request were supported",
    PENDING_UNSUPPORTED: "an answer; a key of the request is not known here and did not narrow the search",
    CANCELLED: "C-CANCEL was received",
    OUT_OF_RESOURCES: "more answers or headers than the limits allow; those already sent are right",
    MISMATCH: "Query/Retrieve Level is missing, unknown, or not one of the information model",
    UNABLE: "the identifier cannot be read, or a value does not fit its attribute",
}
"""C-FIND statuses (PS3.4 Table C.4-1): the one table, also of the conformance statement."""

_GATHER: Final = 1 << 15


class Refusal(errors.HilumError):
    """A request that is answered with this status."""

    def __init__(self, status: int, comment: str, offending: int = 0) -> None:
        super().__init__(comment)
        self.status = status
        self.offending = offending


@dataclass(frozen=True, slots=True)
class Asked:
    """An identifier that was understood."""

    level: Any
    keys: dict[str, str]
    """Matching keys by path of tags."""
    wanted: tuple[Element, ...]
    """Elements of the request, ascending."""
    character_set: str


def read_level(elements: Sequence[Element], sop_class_uid: str) -> Any:
    """Level of a query or retrieval; `Refusal` when it is none of the model (PS3.4 C.4.1.1.3.1)."""
    text = text_of(elements, QUERY_LEVEL)
    if not text:
        raise Refusal(MISMATCH, "Query/Retrieve Level is missing", QUERY_LEVEL)
    level = LEVEL_NAMES.get(text.strip().upper())
    if level is None or level not in MODELS[sop_class_uid].levels:
        raise Refusal(MISMATCH, "Query/Retrieve Level is not one of the information model", QUERY_LEVEL)
    return level


def read_identifier(data: bytes, transfer_syntax_uid: str, sop_class_uid: str) -> Asked:
    """Read the identifier of a C-FIND request; `Refusal` says what is wrong with it."""
    try:
        elements = parse(data, transfer_syntax_uid)
    except errors.LimitExceeded as error:
        raise Refusal(OUT_OF_RESOURCES, str(error)) from None
    except errors.DataError as error:
        raise Refusal(UNABLE, str(error)) from None
    level = read_level(elements, sop_class_uid)
    keys: dict[str, str] = {}
    for element in elements:
        if element.tag not in _NOT_KEYS and element.tag & 0xFFFF:
            _gather(element, "", keys)
    return Asked(
        level, keys, tuple(sorted(elements, key=lambda e: e.tag)), (text_of(elements, CHARACTER_SET) or "").strip()
    )


def _gather(element: Element, path: str, keys: dict[str, str]) -> None:
    name = f"{path}{element.tag:08X}"
    if element.vr != "SQ":
        keys[name] = element.text
    elif element.items and element.items[0]:
        for child in element.items[0]:  # PS3.4 C.2.2.2.6: one item
            _gather(child, f"{name}.", keys)
    else:
        keys[name] = ""


class FindService:
    """Answers C-FIND requests.

    Parameters
    ----------
    archive : Archive
    ae_title : str
        Retrieve AE Title of the answers.
    max_results : int
        More answers end with status A700; 0: no limit.
    observe : callable
        ``observe(outcome, seconds, answers)`` for the metrics.
    """

    def __init__(
        self,
        archive: Archive,
        ae_title: str,
        max_results: int = 0,
        observe: Callable[[str, float, int], None] = lambda _outcome, _seconds, _answers: None,
    ) -> None:
        self._archive = archive
        self._ae_title = ae_title
        self._max_results = max_results
        self._observe = observe

    def __call__(self, link: Link, request: Request) -> Outcome:
        """Answer one request."""
        started = perf_counter()
        sent = [0]
        status, comment, offending = SUCCESS, "", 0
        try:
            status = self._answer(link, request, sent)
            if status == OUT_OF_RESOURCES:
                comment = f"more than {self._max_results} matches; narrow the query"
        except Refusal as error:
            status, comment, offending = error.status, str(error), error.offending
        except errors.UsageError as error:
            status, comment = UNABLE, str(error)
        except errors.LimitExceeded as error:
            status, comment = OUT_OF_RESOURCES, str(error)
        except errors.DataError as error:
            status, comment = UNABLE, str(error)
        command = response_to(request.command, status, comment=comment, offending=offending)
        link.send(request.context.id, command)
        self._observe(f"{status:04X}", perf_counter() - started, sent[0])
        return Outcome(status, comment)

    def _answer(self, link: Link, request: Request, sent: list[int]) -> int:
        context = request.context
        message_id = int(request.command.get(Tag.MESSAGE_ID, 0))
        asked = read_identifier(request.data, context.transfer_syntax, context.abstract_syntax)
        combined = context.extended[1:2] == b"\1"  # else a time range is of each day (PS3.4 C.2.2.2.5)
        query = find.parse(self._archive, asked.level, asked.keys, combined_datetime=combined)
        tags, unsupported = _returned(asked, query)
        command = response_to(request.command, PENDING_UNSUPPORTED if unsupported else PENDING)
        command[Tag.DATA_SET_TYPE] = NO_DATA_SET - 1
        maker = _AnswerMaker(asked, self._ae_title, context.transfer_syntax, tags)
        message = link.maker(context.id, command)
        waiting: list[bytes] = []
        size = 0
        for page in find.pages(self._archive, query):
            for identifier in maker.made(page):
                if link.cancelled(message_id):
                    link.send_bytes(waiting)
                    return CANCELLED
                if self._max_results and sent[0] >= self._max_results:
                    link.send_bytes(waiting)
                    return OUT_OF_RESOURCES
                waiting.append(message(identifier))
                size += len(waiting[-1])
                sent[0] += 1
                if size >= _GATHER or sent[0] == 1:
                    link.send_bytes((b"".join(waiting),))
                    waiting, size = [], 0
            if waiting:
                link.send_bytes((b"".join(waiting),))
                waiting, size = [], 0
        return CANCELLED if link.cancelled(message_id) else SUCCESS


def _returned(asked: Asked, query: Query) -> tuple[set[int], bool]:
    """Tags of an answer, and whether a key of the request is not supported."""
    own = level_number(asked.level)
    tags = {UNIQUE_KEYS[asked.level]}
    unsupported = bool(query.warnings)
    for element in asked.wanted:
        if element.tag in _NOT_KEYS or not element.tag & 0xFFFF:
            continue
        spec = BY_TAG.get(element.tag)
        below = spec is not None and spec.level > own
        unknown = spec is None and (own == 1 or (element.vr != "SQ" and vr_of(element.tag) == "UN"))
        if below or unknown:
            unsupported = True
        else:
            tags.add(element.tag)
    return tags, unsupported


class _AnswerMaker:
    """Makes identifiers of answers, for one request."""

    def __init__(self, asked: Asked, ae_title: str, transfer_syntax_uid: str, tags: Iterable[int]) -> None:
        self._syntax = transfer_syntax_uid
        self._character_set = asked.character_set
        self._tags = sorted(tags)
        level = next(name for name, level in LEVEL_NAMES.items() if level == asked.level)
        fixed = {
            QUERY_LEVEL: Element(QUERY_LEVEL, "CS", level),
            RETRIEVE_AE_TITLE: Element(RETRIEVE_AE_TITLE, "AE", ae_title),
            AVAILABILITY: Element(AVAILABILITY, "CS", "ONLINE"),
        }
        wanted = {e.tag: e for e in asked.wanted if e.tag != CHARACTER_SET and e.tag & 0xFFFF and e.tag >> 16 > 2}
        unique = UNIQUE_KEYS[asked.level]
        wanted.setdefault(unique, Element(unique, vr_of(unique)))
        wanted.update(fixed)
        self._plan = [(f"{tag:08X}", wanted[tag], tag in fixed) for tag in sorted(wanted)]
        plain = Element(CHARACTER_SET, "CS", asked.character_set or UTF_8)
        self._utf8 = plain.text == UTF_8
        made = {**fixed, CHARACTER_SET: plain}
        self._elements = [
            (e.tag, e.vr.encode(), encode((e,), transfer_syntax_uid) if e.tag in made else b"")
            for e in sorted((*wanted.values(), plain), key=lambda e: e.tag)
        ]

    def made(self, result: SearchResult) -> Iterator[bytes]:
        """Give the identifiers of a page of answers; nearly all are plain text, which the core writes."""
        explicit, big = self._syntax != IMPLICIT_VR_LITTLE_ENDIAN, self._syntax == EXPLICIT_VR_BIG_ENDIAN
        quick = answers_identifiers(result, self._elements, explicit_vr=explicit, big_endian=big, utf8=self._utf8)
        others = [position for position, data in enumerate(quick) if data is None]
        rows = iter(answers_rows(result, self._tags, others) if others else ())
        for data in quick:
            yield self._fully(next(rows)) if data is None else data

    def _fully(self, row: Mapping[str, dict[str, object]]) -> bytes:
        """Write an answer of any kind: sequences, binary values, the asker's character set if it holds every text."""
        elements = [
            template if is_fixed else _element(template, row.get(name)) for name, template, is_fixed in self._plan
        ]
        chosen = fitting_character_set(elements, self._character_set)
        elements.append(Element(CHARACTER_SET, "CS", chosen))
        elements.sort(key=lambda e: e.tag)
        return encode(elements, self._syntax, chosen)


def _element(template: Element, found: dict[str, object] | None) -> Element:
    """One element of an answer; without a value where the archive has none."""
    if found is None:
        return Element(template.tag, template.vr)
    vr = str(found["vr"])
    values: Any = found.get("Value", ())
    if vr == "SQ":
        return Element(template.tag, vr, items=tuple(_items(template, values)))
    if vr == "PN":
        return Element(template.tag, vr, "\\".join(_name(value) for value in values))
    return Element(template.tag, vr, "\\".join("" if value is None else str(value) for value in values))


def _items(template: Element, values: Iterable[Any]) -> Iterator[tuple[Element, ...]]:
    """Items with the attributes that were asked for; all of them when none were named."""
    asked = {child.tag: child for child in template.items[0]} if template.items else {}
    for value in values:
        if asked:
            yield tuple(_element(asked[tag], value.get(f"{tag:08X}")) for tag in sorted(asked))
        else:
            names = sorted(name for name in value if name != "00080005")
            yield tuple(_element(Element(int(n, 16), str(value[n]["vr"])), value[n]) for n in names)


def _name(value: Any) -> str:
    if not value:
        return ""
    groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(groups).rstrip("=")
