"""Queries: what QIDO-RS (PS3.18 8.3.4) and C-FIND (PS3.4 C.2.2.2) can ask, parsed once and checked.

How values match
----------------
- *Universal*: an empty value, or ``*``. The attribute is returned, nothing is narrowed.
- *Single value*: the whole value, without the spaces around it. Person names: without case and accents, in any
  component group; a value with ``=`` names groups one by one. Numbers as numbers. Other text with case, unless
  ``case_sensitive=False``.
- *Lists*: UIDs and code strings, separated by ``,`` or backslash; other text by backslash, with ``multiple_values`` by
  ``,`` too.
- *Wildcards* ``*`` and ``?`` in text and names, not in UIDs, dates and times.
- *Ranges* ``a-b``, ``a-``, ``-b`` of dates and times. A date range and a time range of one pair (StudyDate, StudyTime)
  are one range of instants (``combined_datetime``). A value of reduced precision stands for the interval it names.
- *Sequences*: ``RequestAttributesSequence.ScheduledProcedureStepID`` or ``00400275.00400009``; several keys of one
  sequence must meet in one item.
- *Empty value*: ``""`` (two quotation marks) with ``empty_values``: the attribute is absent or has no value.
- *Fuzzy* names: every word of the key begins a word of the name or sounds like it (Soundex), in any order.
"""

from __future__ import annotations

import enum
import operator
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hilum._core import Matcher, name_words, posted_value
from hilum.errors import DataError, UsageError
from hilum.index.schema import (
    BY_PATH,
    BY_TAG,
    DATE_TIME_PAIRS,
    MODALITIES_IN_STUDY,
    MODALITY,
    SEQUENCE_MEMBERS,
    SERIES_UID,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    STUDY_UID,
    Comparison,
    comparison_of,
    default_fields,
    keyword_of,
    level_number,
    resolve_tag,
    vr_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hilum.index.schema import PrivateKey
    from hilum.types import Level

__all__ = ["Match", "Operation", "Query", "parse_query", "whole_number"]

MAX_VALUES = 10_000
MAX_VALUE_LENGTH = 4096
MAX_WILDCARDS = 64
MAX_POSITION = (1 << 62) - 1
"""Largest limit and offset."""


class Operation(enum.IntEnum):
    """Kind of matching (``hilum::index::Operation``)."""

    ANY_OF = 1
    RANGE = 2
    EMPTY = 3
    COMBINED = 4
    FUZZY = 5
    SEQUENCE = 6


@dataclass(frozen=True, slots=True)
class Match:
    """One condition."""

    operation: Operation
    tag: int
    """Of the attribute, of the sequence, or of the date of a combined range."""
    comparison: Comparison = Comparison.TEXT
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    second_tag: int = 0
    """Time attribute of a combined range."""
    children: tuple[Match, ...] = ()
    level: int = 0
    """Level of the attribute, 1 to 4; 0 when the index does not hold it."""

    def compiled(self) -> tuple[object, ...]:
        """As the core takes it."""
        return (
            int(self.operation),
            int(self.comparison),
            self.tag,
            self.values,
            self.low,
            self.high,
            self.second_tag,
            tuple(child.compiled() for child in self.children),
        )


@dataclass(frozen=True)
class Query:
    """A parsed query. Make it with ``parse_query``; change a page with ``dataclasses.replace``."""

    level: Level = "study"
    matches: tuple[Match, ...] = ()
    """Conditions on attributes that the index holds."""
    header_matches: tuple[Match, ...] = ()
    """Conditions on attributes that only the objects' headers hold."""
    returned: frozenset[int] = frozenset()
    """Tags of the keys and of includefield."""
    all_fields: bool = False
    """includefield=all."""
    limit: int | None = None
    offset: int = 0
    order: tuple[tuple[int, bool], ...] = ()
    """(tag, descending); empty: the level's own order."""
    as_of: int | None = None
    """Highest id to consider: ``SearchResult.as_of`` of the first page."""
    warnings: tuple[str, ...] = ()
    """What was ignored, for a Warning header; keywords, no values."""
    study_given: bool = False
    series_given: bool = False
    private: frozenset[int] = field(default=frozenset(), repr=False)

    @cached_property
    def fields(self) -> list[int] | None:
        """Sorted tags of an answer; None for all that the index holds."""
        if self.all_fields:
            return None
        known = default_fields(self.level, study_given=self.study_given, series_given=self.series_given)
        return sorted(known | self.returned)

    @cached_property
    def header_fields(self) -> list[int]:
        """Tags that were asked for and that only headers hold, sorted."""
        return sorted(tag for tag in self.returned if tag not in BY_TAG and tag not in self.private and tag not in MADE)

    @cached_property
    def matchers(self) -> dict[int, Matcher]:
        """Compiled conditions by the level of their attributes (patient conditions with the study's)."""
        own = level_number(self.level)
        by_level: dict[int, list[Match]] = {}
        for match in self.matches:
            by_level.setdefault(max(match.level, min(own, 2)), []).append(match)
        return {level: Matcher([m.compiled() for m in found]) for level, found in by_level.items()}

    @cached_property
    def header_matcher(self) -> Matcher | None:
        """Compiled conditions on headers."""
        return Matcher([m.compiled() for m in self.header_matches]) if self.header_matches else None


MADE = frozenset({0x00080005, 0x00080054, 0x00080056, 0x00081190})
"""Attributes of answers that are made, not kept: character set, availability, URL."""

_DATE = r"\d{8}|\d{4}\.\d\d\.\d\d"
_TIME = r"\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?"
_DATE_TIME = r"\d{4}(?:\d\d){0,5}(?:(?<=\d{14})\.\d{1,6})?(?:\+\d{4}|-(?:0\d{3}|1[01]\d\d|1200))?"
_SINGLE = {
    Comparison.DATE: re.compile(_DATE),
    Comparison.TIME: re.compile(_TIME),
    Comparison.DATE_TIME: re.compile(_DATE_TIME),
}
_RANGE = {
    Comparison.DATE: re.compile(rf"({_DATE})?\s*-\s*({_DATE})?"),
    Comparison.TIME: re.compile(rf"({_TIME})?\s*-\s*({_TIME})?"),
    Comparison.DATE_TIME: re.compile(rf"({_DATE_TIME})?\s*-\s*({_DATE_TIME})?"),
}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_WHOLE_TEXT = frozenset({"ST", "LT", "UT", "UR"})


@dataclass(frozen=True, slots=True)
class _Options:
    fuzzy: bool
    case_sensitive: bool
    multiple_values: bool
    empty_values: bool


def whole_number(name: str, value: object) -> int:
    """A position as a number from 0 to ``MAX_POSITION``; UsageError names the argument that is none."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"{name} must be a whole number") from None
    if not 0 <= number <= MAX_POSITION:
        raise UsageError(f"{name} must be from 0 to {MAX_POSITION}")
    return number


def parse_query(
    level: Level,
    keys: Mapping[str, str | Sequence[str]] | None = None,
    *,
    includefield: str | Iterable[str] = (),
    fuzzy: bool = False,
    limit: int | None = None,
    offset: int = 0,
    order: str | Sequence[str] = (),
    as_of: int | None = None,
    case_sensitive: bool = True,
    multiple_values: bool = False,
    empty_values: bool = False,
    combined_datetime: bool = True,
    private_keys: Sequence[PrivateKey] = (),
    strict: bool = False,
) -> Query:
    """Read a query; UsageError names the key that is wrong, never its value.

    Parameters
    ----------
    level : str
        What one answer is.
    keys : mapping of str to str or sequence of str
        Keyword, eight hex digits, or a path of them with ``.``, to a value; a sequence of values is a list to match.
    includefield : str or iterable of str
        Keywords, tags or ``all``; each may be a comma list.
    fuzzy, case_sensitive, multiple_values, empty_values, combined_datetime : bool
        How values match; see the module.
    limit, offset : int
        Page. No limit: all.
    order : str or sequence of str
        Keywords, ``-`` in front for descending. Studies come newest first (StudyDate, StudyTime, id), series by
        SeriesNumber, instances by InstanceNumber, patients newest first by id.
    as_of : int, optional
        From the first page's result.
    private_keys : sequence of PrivateKey
        Private attributes that the index holds by setting.
    strict : bool
        Unknown keys and keys below the level raise UsageError; otherwise they are ignored with a warning.
    """
    own = level_number(level)
    if limit is not None:
        limit = whole_number("limit", limit)
    offset = whole_number("offset", offset)
    if as_of is not None:
        as_of = whole_number("as_of", as_of)
    parser = _Parser(own, _Options(fuzzy, case_sensitive, multiple_values, empty_values), private_keys, strict)
    for name, value in (keys or {}).items():
        parser.add(name, value)
    matches, header_matches = parser.matches()
    if combined_datetime:
        matches = _combine(matches)
    returned, all_fields = parser.include([includefield] if isinstance(includefield, str) else includefield)
    given = {m.tag for m in matches if m.operation is Operation.ANY_OF and len(m.values) == 1}
    query = Query(
        level=level,
        matches=tuple(matches),
        header_matches=tuple(header_matches),
        returned=frozenset(returned),
        all_fields=all_fields,
        limit=limit,
        offset=offset,
        order=_parse_order(own, [order] if isinstance(order, str) else order),
        as_of=as_of,
        warnings=tuple(parser.warnings),
        study_given=STUDY_UID in given,
        series_given=SERIES_UID in given,
        private=frozenset(key.tag for key in private_keys),
    )
    try:
        _ = query.matchers, query.header_matcher  # bad dates are found now
    except DataError as error:
        raise UsageError(f"{describe(query)}: {error}") from None
    return query


class _Parser:
    """Gathers the keys of one query."""

    def __init__(self, level: int, options: _Options, private_keys: Sequence[PrivateKey], strict: bool) -> None:
        self.level = level
        self.options = options
        self.private = {key.tag: key for key in private_keys}
        self.strict = strict
        self.warnings: list[str] = []
        self.returned: set[int] = set()
        self.found: list[Match] = []
        self.in_headers: list[Match] = []
        self.sequences: dict[int, list[Match]] = {}

    def ignore(self, text: str) -> None:
        if self.strict:
            raise UsageError(text)
        self.warnings.append(f"{text}; it was ignored")

    def add(self, name: str, value: str | Sequence[str]) -> None:
        path = tuple(resolve_tag(part) for part in name.split("."))
        if not all(path):
            self.ignore(f"{name[:64]} is not an attribute")
            return
        tags = self._at_level(tuple(tag for tag in path if tag))
        values = self._values(name, value)
        spec = BY_PATH.get(tags) or BY_TAG.get(tags[0])
        private = self.private.get(tags[0])
        own = level_number(private.level) if private else spec.level if spec else 0
        if own > self.level:
            self.ignore(f"{name[:64]} is an attribute below the {_LEVEL_NAMES[self.level]} level")
            return
        self.returned.add(tags[0])
        vr = private.vr if private else vr_of(tags[-1])
        if vr == "SQ":
            if any(values):
                self.ignore(f"{name[:64]} is a sequence; name an attribute in it")
            return
        if vr in _BINARY and any(values):
            self.ignore(f"{name[:64]} has binary values, which cannot be matched")
            return
        match = self._match(name, tags[-1], vr, values)
        if match is None:
            return
        held = own > 0 and (len(tags) == 1 or tags[1:] in SEQUENCE_MEMBERS.get(tags[0], ()))
        match = replace(match, level=own if held else 0)
        if len(tags) == 1:
            (self.found if held else self.in_headers).append(match)
        elif held:
            self.sequences.setdefault(tags[0], []).append(match)
        else:
            self.in_headers.append(_nest(tags, match))

    @staticmethod
    def _values(name: str, value: str | Sequence[str]) -> list[str]:
        if isinstance(value, str):
            return [value]
        values = list(value)
        if not values:
            raise UsageError(f"{name[:64]} lists no value; leave it out, or give an empty text, to match everything")
        return values

    def _at_level(self, tags: tuple[int, ...]) -> tuple[int, ...]:
        """Series and instance attributes that studies are searched by through what the index keeps for studies."""
        if self.level == 2 and tags == (MODALITY,):
            return (MODALITIES_IN_STUDY,)
        if self.level == 2 and tags == (SOP_CLASS_UID,):
            return (SOP_CLASSES_IN_STUDY,)
        return tags

    def matches(self) -> tuple[list[Match], list[Match]]:
        """Conditions on the index and on headers."""
        nested = [
            Match(Operation.SEQUENCE, tag, children=tuple(children), level=BY_TAG[tag].level)
            for tag, children in self.sequences.items()
        ]
        return [*self.found, *nested], self.in_headers

    def include(self, names: Iterable[str]) -> tuple[set[int], bool]:
        """Tags of the keys and of includefield; whether all were asked for."""
        everything = False
        for name in (part.strip() for listed in names for part in listed.split(",")):
            if name.lower() == "all":
                everything = True
            elif name:
                tag = resolve_tag(name.split(".", 1)[0])
                if tag is None:
                    self.ignore(f"includefield {name[:64]} is not an attribute")
                else:
                    self.returned.add(tag)
        return self.returned, everything

    def _match(self, name: str, tag: int, vr: str, values: list[str]) -> Match | None:
        """One attribute's condition; None for universal matching."""
        comparison = comparison_of(vr, case_sensitive=self.options.case_sensitive)
        for value in values:
            longest = MAX_VALUE_LENGTH * (64 if vr == "UI" else 1)
            if len(value) > longest or (not value.isascii() and _unencodable(value)):
                raise UsageError(f"the value of {name[:64]} is too long or is not text")
        parts = [part for value in values for part in self._split(vr, value)]
        if len(parts) > MAX_VALUES:
            raise UsageError(f"{name[:64]} lists more than {MAX_VALUES} values")
        if not any(parts) or any(part.strip("*") == "" and part for part in parts):
            return None
        parts = [part for part in parts if part]
        if self.options.empty_values and parts == ['""']:
            return Match(Operation.EMPTY, tag)
        if comparison in _SINGLE:
            return _temporal(name, tag, comparison, parts)
        if comparison is Comparison.PERSON and self.options.fuzzy:
            text = " ".join(parts).replace("*", " ").replace("?", " ")
            words = name_words(posted_value(text, True).decode())
            return Match(Operation.FUZZY, tag, comparison, tuple(w.decode() for w in words)) if words else None
        if (
            sum(part.count("*") + part.count("?") for part in parts) > MAX_WILDCARDS
            and comparison is not Comparison.UID
        ):
            raise UsageError(f"{name[:64]} has more than {MAX_WILDCARDS} wildcards")
        return Match(Operation.ANY_OF, tag, comparison, tuple(parts))

    def _split(self, vr: str, value: str) -> list[str]:
        if vr in _WHOLE_TEXT:
            return [value.strip()]
        if vr in ("UI", "CS") or (self.options.multiple_values and vr != "PN"):
            value = value.replace(",", "\\")
        return [part.strip() for part in value.split("\\")]


_LEVEL_NAMES = {1: "patient", 2: "study", 3: "series", 4: "instance"}


def _unencodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _nest(tags: tuple[int, ...], match: Match) -> Match:
    for tag in reversed(tags[:-1]):
        match = Match(Operation.SEQUENCE, tag, children=(match,))
    return match


def _temporal(name: str, tag: int, comparison: Comparison, parts: list[str]) -> Match:
    """A date, time or date-time: one range, or a list of values."""
    if len(parts) == 1 and not _SINGLE[comparison].fullmatch(parts[0]):
        found = _RANGE[comparison].fullmatch(parts[0])
        if found and (found[1] or found[2]):
            return Match(Operation.RANGE, tag, comparison, low=found[1] or "", high=found[2] or "")
    if not all(_SINGLE[comparison].fullmatch(part) for part in parts):
        raise UsageError(f"the value of {name[:64]} is not a {comparison.name.lower().replace('_', ' ')} or a range")
    return Match(Operation.ANY_OF, tag, comparison, tuple(parts))


def _combine(matches: list[Match]) -> list[Match]:
    """Make one range of instants of a date and a time range that belong together (PS3.4 C.2.2.2.5)."""
    by_tag = {m.tag: m for m in matches}
    for date_tag, time_tag in DATE_TIME_PAIRS.items():
        date, time = by_tag.get(date_tag), by_tag.get(time_tag)
        if date is None or time is None or time.operation is not Operation.RANGE:
            continue
        if date.operation is not Operation.RANGE:
            continue
        bounds = (date.low, date.high, time.low, time.high)
        both = Match(Operation.COMBINED, date_tag, Comparison.DATE, bounds, second_tag=time_tag, level=date.level)
        matches = [both if m is date else m for m in matches if m is not time]
    return matches


def _parse_order(level: int, names: Sequence[str]) -> tuple[tuple[int, bool], ...]:
    out = []
    for name in (part.strip() for listed in names for part in listed.split(",")):
        if not name:
            continue
        descending = name.startswith("-")
        tag = resolve_tag(name.removeprefix("-"))
        spec = BY_TAG.get(tag) if tag else None
        if spec is None or spec.vr == "SQ" or spec.level > level or (spec.derived and spec.level < min(level, 2)):
            raise UsageError(f"answers cannot be ordered by {name[:64]}")
        out.append((spec.path[0], descending))
    return tuple(out)


def describe(query: Query) -> str:
    """Keywords of a query's conditions, without values, for logs."""
    return ",".join(keyword_of(m.tag) for m in (*query.matches, *query.header_matches)) or "all"
