"""Answers as QIDO-RS JSON and as Python values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hilum._core import identifiers, qido_json
from hilum.index.schema import keyword_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.index.base import SearchResult

__all__ = ["answers_dicts", "answers_identifiers", "answers_json", "answers_rows"]


def answers_json(result: SearchResult, base_url: str) -> bytes:
    """One JSON array of all rows (PS3.18 F), made in one call of the core."""
    return qido_json(result.rows, result.query.fields, base_url, result.extras)


def answers_dicts(result: SearchResult) -> list[dict[str, object]]:
    """Rows by keyword, with every attribute that the records hold."""
    rows = json.loads(qido_json(result.rows, None, "", result.extras))
    return [_by_keyword(row) for row in rows]


def answers_identifiers(
    result: SearchResult, elements: list[tuple[int, bytes, bytes]], *, explicit_vr: bool, big_endian: bool, utf8: bool
) -> list[bytes | None]:
    """Data sets of the rows for C-FIND, made by the core; None for a row that is not plain text throughout.

    Parameters
    ----------
    result : SearchResult
    elements : list of (tag, VR, element)
        Of an answer, ascending: the VR where a row has no such attribute, the whole element where all have the same.
    explicit_vr, big_endian : bool
    utf8 : bool
        Their Specific Character Set is ISO_IR 192; otherwise only ASCII is plain.
    """
    return identifiers(result.rows, result.extras, elements, explicit_vr, big_endian, utf8)


def answers_rows(
    result: SearchResult, tags: list[int], only: Sequence[int] | None = None
) -> list[dict[str, dict[str, object]]]:
    """Rows as the objects of the JSON model by tag, with these tags where the records hold them; numbers as text.

    ``only`` gives positions of rows, default all.
    """
    chosen = range(len(result.rows)) if only is None else only
    extras = [result.extras[i] for i in chosen] if result.extras else []
    made = qido_json([result.rows[i] for i in chosen], tags, "", extras)
    rows: list[dict[str, dict[str, object]]] = json.loads(made, parse_int=str, parse_float=str)
    return rows


def _by_keyword(row: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        keyword_of(int(tag, 16)): _value(element) for tag, element in row.items() if tag not in ("00080005", "00080056")
    }


def _value(element: dict[str, object]) -> object:
    values = element.get("Value", [])
    assert isinstance(values, list)
    if element["vr"] == "SQ":
        return [_by_keyword(item) for item in values]
    if element["vr"] == "PN":
        values = ["=".join(_groups(value)) if value else "" for value in values]
    if not values:
        return ""
    return values[0] if len(values) == 1 else values


def _groups(name: dict[str, str]) -> list[str]:
    groups = [name.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return groups
