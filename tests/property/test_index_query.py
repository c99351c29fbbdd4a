"""Query semantics against a slow twin written from PS3.4 C.2.2.2: the same answers for any key on any data."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.index.lmdb_index import LmdbIndex
from hilum.index.query import parse_query
from hilum.index.synthetic import make_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
NAMES = [
    "", "Smith^John", "SMITH^Jane^M", "Smithson^John", "Müller^Jörg^^Dr", "MUELLER^JOERG", "van der Berg^Łukasz",
    "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Brien^Zoë", "Schmidt-Smith^Ann", "Smith", "Smith^", "smyth^jon", "Å^B",
]  # fmt: skip
IDENTITIES = ["", "P1", "P10", "p1", "AB-77", "0012", "P 1", "XXP1XX", "P\\1"]
DATES = ["", "20240101", "20240102", "20240131", "2024.02.01", "20231231", "garbage"]
TIMES = ["", "10", "1030", "103000", "103000.5", "235959.999999", "00:00:01"]
ACCESSIONS = ["", "A1", "A2", "a1", "B-1"]
MODALITIES = ["", "CT", "MR", "SR"]
STEPS = ["", "S1", "S2"]


def study(number: int, chosen: tuple[str, ...]) -> dict[str, object]:
    name, identity, date, time, accession, modality, step = chosen
    values: dict[str, object] = {
        "PatientName": name, "PatientID": identity, "StudyDate": date, "StudyTime": time, "AccessionNumber": accession,
        "Modality": modality, "SeriesNumber": str(number % 3), "PatientBirthDate": date,
        "ReferringPhysicianName": NAMES[(number * 5) % len(NAMES)], "StudyDescription": f"{accession} {identity}".strip(),  # noqa: E501
        "RequestAttributesSequence": [
            {"ScheduledProcedureStepID": step, "RequestedProcedureID": "R1"},
            {"ScheduledProcedureStepID": "S9", "RequestedProcedureID": step},
        ],
    }  # fmt: skip
    return values


choices = st.tuples(
    *(st.sampled_from(pool) for pool in (NAMES, IDENTITIES, DATES, TIMES, ACCESSIONS, MODALITIES, STEPS))
)


# --- the twin ----------------------------------------------------------------------------------------------------------  # noqa: E501


def fold(text: str) -> str:
    out = "".join(c for c in unicodedata.normalize("NFKD", text) if not 0x300 <= ord(c) <= 0x36F)
    return unicodedata.normalize("NFKD", out.casefold()).replace("ł", "l").replace("ø", "o")


def name_groups(value: str) -> list[str]:
    groups = []
    for group in value.split("="):
        parts = [part.strip() for part in fold(group).split("^")]
        while parts and not parts[-1]:
            parts.pop()
        groups.append("^".join(parts))
    return groups


def wild(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), re.DOTALL)


def name_matches(value: str, key: str) -> bool:
    for wanted in [name_groups(key)[0]]:
        for group in name_groups(value):
            if not group:
                continue
            padded = [group + "^" * n for n in range(max(0, wanted.count("^") - group.count("^")) + 1)]
            if any(wild(wanted).fullmatch(p) for p in (padded if "*" in wanted or "?" in wanted else [group])):
                return True
    return False


def text_matches(value: str, key: str, *, sensitive: bool = True) -> bool:
    if not sensitive:
        value, key = fold(value), fold(key)
    values = [part.strip() for part in value.split("\\")]
    return any(wild(k.strip()).fullmatch(v) for v in values if v for k in key.split("\\") if k.strip())


def date_of(text: str) -> str | None:
    text = text.replace(".", "")
    return text if re.fullmatch(r"\d{8}", text) else None


def micros(text: str, *, last: bool) -> int | None:
    found = re.fullmatch(r"(\d\d):?(?:(\d\d):?(?:(\d\d)(?:\.(\d{1,6}))?)?)?", text)
    if not found:
        return None
    hour, minute, second, fraction = found.groups()
    pad = ("59", "59", "9") if last else ("00", "00", "0")
    fraction = (fraction or "").ljust(6, pad[2])
    return ((int(hour) * 60 + int(minute or pad[0])) * 60 + int(second or pad[1])) * 1_000_000 + int(fraction)


def date_matches(value: str, key: str) -> bool:
    date = date_of(value)
    if date is None:
        return False
    if "-" not in key:
        return date == key
    low, high = key.split("-")
    return (not low or date >= low) and (not high or date <= high)


def time_matches(value: str, key: str) -> bool:
    first, last = micros(value, last=False), micros(value, last=True)
    if first is None or last is None:
        return False
    if "-" not in key:
        return first >= (micros(key, last=False) or 0) and last <= (micros(key, last=True) or 0)
    low, high = key.split("-")
    return (not low or last >= (micros(low, last=False) or 0)) and (not high or first <= (micros(high, last=True) or 0))


def matches(values: dict[str, object], keys: dict[str, str], *, sensitive: bool) -> bool:
    for keyword, key in keys.items():
        value = str(values.get("Modality" if keyword == "ModalitiesInStudy" else keyword, ""))
        if key.strip(" ").strip("*") == "":  # spaces around a text mean nothing (PS3.5 6.2)
            continue
        if keyword.startswith("RequestAttributes"):
            member = keyword.split(".")[1]
            items = values["RequestAttributesSequence"]
            assert isinstance(items, list)
            if not any(text_matches(item[member], key, sensitive=sensitive) for item in items):
                return False
        elif keyword in ("PatientName", "ReferringPhysicianName"):
            if not name_matches(value, key):
                return False
        elif keyword.endswith("Date"):
            if not date_matches(value, key):
                return False
        elif keyword.endswith("Time"):
            if not time_matches(value, key):
                return False
        elif not text_matches(value, key.replace(",", "\\") if "Modal" in keyword else key, sensitive=sensitive):
            return False
    return True


# --- keys ----------------------------------------------------------------------------------------------------------------  # noqa: E501

patterned = st.sampled_from(["{}", "{}*", "*{}", "*{}*", "?{}", "{}?"])


def keyed(pool: list[str], cut: bool = True) -> st.SearchStrategy[str]:
    def make(value: str, pattern: str, start: int, length: int) -> str:
        text = value[start : start + length] if cut and value else value
        return pattern.format(text)

    filled = [value for value in pool if value]
    built = st.builds(make, st.sampled_from(filled), patterned, st.integers(0, 3), st.integers(1, 12))
    return built.filter(lambda key: bool(key.strip()))  # blanks are not significant: such a key matches everything


name_keys = st.one_of(st.sampled_from([n for n in NAMES if n and "=" not in n]), keyed(NAMES)).filter(
    lambda key: "=" not in key and "\\" not in key
)
date_keys = st.sampled_from(
    ["20240101", "20240101-", "-20240101", "20240101-20240131", "20230101-20240101", "20240131-20240101", "20991231-"]
)
time_keys = st.sampled_from(["1030", "103000", "10-", "-1030", "1000-1030", "103000.4-103000.6", "000001-000001"])
KEYS = {
    "PatientName": name_keys,
    "PatientID": keyed(IDENTITIES).filter(lambda key: "\\" not in key),
    "StudyDate": date_keys,
    "PatientBirthDate": date_keys,
    "StudyTime": time_keys,
    "AccessionNumber": st.one_of(keyed(ACCESSIONS), st.just("A1\\A2")),
    "ReferringPhysicianName": name_keys,
    "StudyDescription": keyed(["A1 P10", "B-1 XXP1XX"]),
    "ModalitiesInStudy": st.sampled_from(["CT", "MR,SR", "CT\\MR", "C*", "*"]),
    "RequestAttributesSequence.ScheduledProcedureStepID": st.sampled_from(["S1", "S9", "S*", "S2"]),
    "RequestAttributesSequence.RequestedProcedureID": st.sampled_from(["R1", "S1", "?2"]),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=MEMORY))
    yield made
    shutil.rmtree(made)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rows=st.lists(choices, min_size=1, max_size=25), sensitive=st.booleans())
def test_any_query_gives_what_the_standard_says(
    data: st.DataObject, rows: list[tuple[str, ...]], sensitive: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    index = LmdbIndex(folder / "index", map_bytes=1 << 20)
    try:
        studies = {f"1.{i}": study(i, row) for i, row in enumerate(rows)}
        index.apply([make_entry(uid, f"{uid}.1", f"{uid}.1.1", attributes=values) for uid, values in studies.items()])
        for _ in range(8):
            names = data.draw(st.lists(st.sampled_from(sorted(KEYS)), unique=True, min_size=1, max_size=3))
            keys = {name: data.draw(KEYS[name], label=name) for name in names}
            if sum(name.startswith("RequestAttributes") for name in names) > 1:
                keys.pop("RequestAttributesSequence.RequestedProcedureID")
            expected = {uid for uid, values in studies.items() if matches(values, keys, sensitive=sensitive)}
            if not any(name.startswith("RequestAttributes") for name in keys):
                query = parse_query("study", keys, case_sensitive=sensitive, combined_datetime=False)
                found = {row["StudyInstanceUID"] for row in index.search("study", query).to_dicts()}
                assert found == expected, keys
            series = parse_query("series", keys, case_sensitive=sensitive, combined_datetime=False)
            below = {row["StudyInstanceUID"] for row in index.search("series", series).to_dicts()}
            assert below == expected, keys
    finally:
        index.close()
        shutil.rmtree(folder)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(choices, min_size=1, max_size=20), data=st.data())
def test_pages_of_any_query_make_up_the_whole(rows: list[tuple[str, ...]], data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    index = LmdbIndex(folder / "index", map_bytes=1 << 20)
    try:
        index.apply([
            make_entry(f"1.{i}", f"1.{i}.1", f"1.{i}.1.1", attributes=study(i, row)) for i, row in enumerate(rows)
        ])  # fmt: skip
        name = data.draw(st.sampled_from(sorted(KEYS)))
        keys = data.draw(st.sampled_from([{}, {name: data.draw(KEYS[name])}]))
        order = data.draw(
            st.sampled_from(["", "-StudyDate", "StudyDate", "PatientName", "-PatientID", "StudyTime,PatientID"])
        )
        limit = data.draw(st.integers(1, 6))
        whole = index.search("study", parse_query("study", keys, order=order))
        assert whole.total == len(whole.ids)
        pages: list[int] = []
        while True:
            page = index.search("study", parse_query("study", keys, order=order, limit=limit, offset=len(pages)))
            assert page.more == (len(pages) + len(page.ids) < len(whole.ids))
            assert page.total in (None, len(whole.ids))
            pages += page.ids
            if not page.more:
                break
        assert pages == whole.ids
    finally:
        index.close()
        shutil.rmtree(folder)
