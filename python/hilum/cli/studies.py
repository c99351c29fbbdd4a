"""``hilum studies``: search the archive from the command line."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, console, open_archive, printable
from hilum.errors import UsageError

__all__ = ["studies"]

_COLUMNS = {
    "StudyDate": "date",
    "PatientID": "patient id",
    "PatientName": "name",
    "ModalitiesInStudy": "modalities",
    "StudyDescription": "description",
    "NumberOfStudyRelatedSeries": "series",
    "NumberOfStudyRelatedInstances": "images",
    "StudyInstanceUID": "study",
}


def studies(
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to match: PatientID=4711 StudyDate=20240101- PatientName='DOE*'.", metavar="KEY=VALUE…"
        ),
    ] = None,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(help="How many to show.", min=1)] = 50,
    offset: Annotated[int, typer.Option(help="How many to leave out before.", min=0)] = 0,
    order: Annotated[str, typer.Option(help="Keyword; with a minus in front for descending.")] = "",
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Fuzzy matching of names.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find studies, the newest first."""
    query = _query(keys or [])
    with open_archive(archive, config, read_only=True) as opened:
        found = opened.search(
            "study", query, limit=limit, offset=offset, order=order, fuzzy=fuzzy, includefield=("all",)
        )
        if as_json:
            json.dump(json.loads(found.to_json()), sys.stdout, indent=1)
            print()
            return
        rows = found.to_dicts()
    _table(rows)
    if found.more:
        print(f"… more: --offset {offset + len(rows)}")


def _query(keys: list[str]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in map(_pair, keys):
        if name in query:
            raise UsageError(f"{printable(name)} is given twice")
        query[name] = value
    return query


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{printable(text)!r}: write a key as KEY=VALUE")
    return name, value


def _table(rows: list[dict[str, object]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in _COLUMNS.values():
        whole = title == "study"
        table.add_column(
            title, no_wrap=not whole, overflow="fold" if whole else "ellipsis", min_width=20 if whole else 4
        )
    for row in rows:
        table.add_row(*(_cell(row.get(keyword)) for keyword in _COLUMNS))
    console().print(table, markup=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = "/".join(str(part) for part in value) if isinstance(value, list) else str(value)
    return printable(text).replace("[", r"\[")
