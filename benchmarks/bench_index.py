"""The index alone: taking in batches, answering studies, writing a page. No packs, no HTTP.

Traps: the page cache is warm; names and dates are invented (``hilum.index.synthetic``), about two studies of a patient;
``HILUM_BENCH_STUDIES`` sets the size (20 000 unless said; the archive is kept in ``HILUM_BENCH_CACHE`` between runs).
"""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import synthetic_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDIES = int(os.environ.get("HILUM_BENCH_STUDIES", "20000"))
BATCH = 500


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LmdbIndex]:
    cache = os.environ.get("HILUM_BENCH_CACHE")
    folder = Path(cache) if cache else tmp_path_factory.mktemp("index")
    index = LmdbIndex(folder / f"studies-{STUDIES}")
    present = index.statistics().studies
    entries = synthetic_entries(STUDIES - present, first=present)
    while batch := list(itertools.islice(entries, 50_000)):
        index.apply(batch)
    yield index
    index.close()


@pytest.mark.gate
def test_apply_small_instances(benchmark: Any, tmp_path: Path) -> None:
    """20 000 small instances in 200 series, batches of 500; also says how large the index is."""
    entries = list(synthetic_entries(100, series=2, instances=100))
    rounds = itertools.count()

    def run() -> None:
        index = LmdbIndex(tmp_path / str(next(rounds)))
        for at in range(0, len(entries), BATCH):
            index.apply(entries[at : at + BATCH], packs={1: at})
        statistics = index.statistics()
        benchmark.extra_info["index_bytes_per_instance"] = round(statistics.index_bytes / statistics.instances)
        index.close()

    benchmark.pedantic(run, rounds=3)
    if benchmark.stats is not None:  # None with --benchmark-disable
        benchmark.extra_info["instances_per_second"] = round(len(entries) / benchmark.stats.stats.median)


QUERIES = {
    "patient_id": lambda r: {"PatientID": f"P{r.randrange(STUDIES // 2):08d}"},
    "accession": lambda r: {"AccessionNumber": f"A{r.randrange(STUDIES):09d}"},
    "week": lambda r: {"StudyDate": f"{r.randrange(2016, 2025)}{r.randrange(1, 13):02d}01-{2024}0108"[:9] + "-"},
    "name_prefix": lambda r: {"PatientName": r.choice(["Smith*", "Garc*", "Mül*", "Ya*", "Nowakova*", "Russomann^J*"])},
    "name_substring": lambda r: {"PatientName": f"*{r.choice(['mith', 'mann^', 'øren', 'ferr'])}*"},
    "name_fuzzy": lambda r: {"PatientName": r.choice(["smith john", "mueller anna", "garzia"])},
    "list": lambda r: {},
}


@pytest.mark.gate
@pytest.mark.parametrize("kind", sorted(QUERIES))
def test_search_studies(benchmark: Any, filled: LmdbIndex, kind: str) -> None:
    """One page of 50 studies; keys and, for the whole list, offsets differ at every call."""
    random_ = random.Random(kind)
    prepared = [_query(kind, random_) for _ in range(200)]
    turn = itertools.cycle(prepared)
    benchmark.pedantic(lambda: filled.search("study", next(turn)), rounds=400, warmup_rounds=20)


def _query(kind: str, random_: random.Random) -> Any:
    keys = QUERIES[kind](random_)
    if kind == "week":
        year, month, day = random_.randrange(2016, 2025), random_.randrange(1, 13), random_.randrange(1, 21)
        keys = {"StudyDate": f"{year}{month:02d}{day:02d}-{year}{month:02d}{day + 7:02d}"}
    offset = random_.randrange(STUDIES) if kind == "list" else 0
    return parse_query("study", keys, fuzzy=kind == "name_fuzzy", limit=50, offset=offset)


@pytest.mark.gate
def test_page_as_json(benchmark: Any, filled: LmdbIndex) -> None:
    """50 studies as QIDO-RS JSON, one call of the core."""
    result = filled.search("study", parse_query("study", limit=50))
    benchmark(result.to_json, "http://127.0.0.1:8080/dicom-web")


@pytest.mark.informational
def test_lookup_by_uid(benchmark: Any, filled: LmdbIndex) -> None:
    """100 instances by SOP Instance UID in one call."""
    page = filled.search("instance", parse_query("instance", limit=100, offset=STUDIES // 2))
    uids = [str(row["SOPInstanceUID"]) for row in page.to_dicts()]
    benchmark(filled.lookup, uids)
