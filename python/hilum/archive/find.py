"""Long searches in pages, and what a retrieval names: the use cases behind C-FIND, C-GET and C-MOVE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hilum.errors import UsageError
from hilum.index.query import Query, parse_query
from hilum.index.schema import parse_private_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hilum.archive.archive import Archive
    from hilum.index.base import InstanceRecord, SearchResult
    from hilum.types import Level

__all__ = ["named_records", "pages", "parse"]

_FIRST_PAGE: Final = 32
_LAST_PAGE: Final = 1000
_MOST_UIDS: Final = 10_000


def parse(archive: Archive, level: Level, keys: Mapping[str, str], *, combined_datetime: bool = True) -> Query:
    """Read a query as `Archive.search` does; what the index cannot match is in its ``warnings``."""
    private = tuple(parse_private_key(text) for text in archive.settings.index.private_tags)
    return parse_query(level, keys, combined_datetime=combined_datetime, private_keys=private)


def pages(archive: Archive, query: Query) -> Iterator[SearchResult]:
    """Give answers page by page: the first soon, memory bounded, none twice and none left out while objects arrive.

    Parameters
    ----------
    archive : Archive
    query : Query

    Yields
    ------
    SearchResult
        Never an empty one.

    Raises
    ------
    LimitExceeded
        The query would have to read the headers of too many objects.
    """
    offset, size, as_of = query.offset, _FIRST_PAGE, query.as_of
    while True:
        result = archive.search(query.level, replace(query, limit=size, offset=offset, as_of=as_of))
        if len(result):
            yield result
        if not result.more:
            return
        offset += len(result)
        as_of = result.as_of
        size = min(2 * size, _LAST_PAGE)


def named_records(archive: Archive, level: Level, names: Mapping[Level, Sequence[str]]) -> list[InstanceRecord]:
    """Find the instances that the unique keys of a retrieval name, each once, in display order.

    Parameters
    ----------
    archive : Archive
    level : {"patient", "study", "series", "instance"}
        What is retrieved.
    names : mapping of level to sequence of str
        PatientID at the patient level, UIDs below. Keys above `level` only narrow; they may be missing.

    Raises
    ------
    UsageError
        Nothing is named at `level`, or too much.
    """
    own = [name for name in names.get(level, ()) if name]
    if not own:
        raise UsageError(f"the unique key of the {level} level is missing")
    if len(own) > _MOST_UIDS:
        raise UsageError(f"more than {_MOST_UIDS} values name what is to be retrieved")
    if level == "instance":
        found = [record for record in archive.retrieve.lookup(list(dict.fromkeys(own))) if record is not None]
    elif level == "patient":
        found = [r for name in dict.fromkeys(own) for uid in _studies(archive, name) for r in _of(archive, uid)]
    elif level == "study":
        found = [r for uid in dict.fromkeys(own) for r in _of(archive, uid)]
    else:
        studies = names.get("study") or _studies_of_series(archive, own)
        wanted = list(dict.fromkeys(own))
        found = [r for study in dict.fromkeys(studies) for uid in wanted for r in archive.index.instances(study, uid)]
    return _narrowed(archive, level, names, found)


def _narrowed(
    archive: Archive, level: Level, names: Mapping[Level, Sequence[str]], found: list[InstanceRecord]
) -> list[InstanceRecord]:
    if level != "study" and names.get("study"):
        found = [r for r in found if r.study_instance_uid in names["study"]]
    if level == "instance" and names.get("series"):
        found = [r for r in found if r.series_instance_uid in names["series"]]
    if level != "patient" and names.get("patient"):
        studies = {uid for name in names["patient"] for uid in _studies(archive, name)}
        found = [r for r in found if r.study_instance_uid in studies]
    return found


def _of(archive: Archive, study: str) -> list[InstanceRecord]:
    return archive.index.instances(study)


def _studies(archive: Archive, patient_id: str) -> list[str]:
    """UIDs of the studies of a patient; wildcards are not names."""
    rows = archive.search("study", {"PatientID": patient_id}).to_dicts()
    return [str(row["StudyInstanceUID"]) for row in rows if str(row.get("PatientID", "")).strip() == patient_id]


def _studies_of_series(archive: Archive, uids: Sequence[str]) -> list[str]:
    rows = archive.search("series", {"SeriesInstanceUID": list(uids)}).to_dicts()
    return [str(row["StudyInstanceUID"]) for row in rows]
