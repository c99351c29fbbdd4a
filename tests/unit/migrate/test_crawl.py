"""The crawl against a peer in memory that keeps to limits, says so or not, and has studies of every odd kind."""

from __future__ import annotations

import datetime
import random
import threading
from typing import TYPE_CHECKING

import pytest

from hilum.migrate.crawl import Crawl
from hilum.migrate.ledger import Ledger
from hilum.migrate.source import Answers, Fetched, FoundInstance, FoundStudy
from hilum.migrate.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TODAY = datetime.date(2026, 3, 1)


class Peer:
    """Answers as PS3.4 C.2.2.2 says, but gives no more than `limit` studies; (uid, date, time, patient ID)."""

    def __init__(self, studies: Sequence[tuple[str, str, str, str]], limit: int = 0, *, says_so: bool = True) -> None:
        self._studies = studies
        self._limit = limit
        self._says_so = says_so
        self.queries: list[Mapping[str, str]] = []

    def studies(self, keys: Mapping[str, str]) -> Answers:
        self.queries.append(keys)
        found = [s for s in self._studies if self._matches(s, keys)]
        cut = bool(self._limit) and len(found) > self._limit
        given = found[: self._limit] if self._limit else found
        return Answers(tuple(FoundStudy(uid, date) for uid, date, _, _ in given), not (cut and self._says_so))

    @staticmethod
    def _matches(study: tuple[str, str, str, str], keys: Mapping[str, str]) -> bool:
        _, date, time, patient = study
        wanted = keys.get("PatientID", "")
        begins = patient.startswith(wanted[:-1]) if wanted.endswith("*") else patient == wanted
        return (
            _in_range(date, keys.get("StudyDate", ""))
            and _in_range(time, keys.get("StudyTime", ""))
            and (not wanted or begins)
        )

    def instances(self, study_uid: str) -> list[FoundInstance]:
        raise AssertionError("a crawl asks for studies alone")

    def fetch(self, study_uid: str, series_uids: Sequence[str], classes: Sequence[str]) -> Fetched:
        raise AssertionError("a crawl asks for studies alone")

    def close(self) -> None:
        pass


def _in_range(value: str, text: str) -> bool:
    if not text:
        return True
    first, dash, last = text.partition("-")
    if not value:
        return False
    return (not first or value >= first) and (not last or value <= last) if dash else value == first


def crawl(peer: Peer, ledger: Ledger, **options: object) -> bool:
    return Crawl(peer, ledger, Throttle(), today=lambda: TODAY, **options).run(threading.Event())  # type: ignore[arg-type]


def invented(count: int, seed: int = 1) -> list[tuple[str, str, str, str]]:
    """Studies over forty years, most of them lately, one very busy day, some without date, time or patient ID."""
    random_ = random.Random(seed)
    found = []
    for number in range(count):
        days = int(random_.expovariate(1 / 900))
        date = (TODAY - datetime.timedelta(days=min(days, 18_000))).strftime("%Y%m%d")
        if number % 5 == 0:
            date = "20250714"
        time = f"{random_.randrange(24):02d}{random_.randrange(60):02d}{random_.randrange(60):02d}"
        patient = f"{random_.choice('0123ABx')}{random_.randrange(10_000)}"
        if number % 97 == 0:
            date = ""
        if number % 89 == 0:
            time = ""
        if number % 101 == 0:
            date = random_.choice(["19010101", "20991231"])
        found.append((f"1.2.{number}", date, time, patient))
    return found


@pytest.mark.parametrize(("limit", "says_so"), [(0, True), (37, True), (50, False), (100, False), (500, False)])
def test_every_study_is_found(limit: int, says_so: bool) -> None:
    studies = invented(6 * limit if limit else 3000)
    with Ledger() as ledger:
        assert crawl(Peer(studies, limit, says_so=says_so), ledger)
        assert {line.uid for line in ledger.lines()} == {uid for uid, *_ in studies}
        assert all(why for _, why in ledger.gaps())


def test_what_cannot_be_found_is_said() -> None:
    """More studies in one second, of one patient without a date, than the peer gives: a gap each, never silence."""
    studies = [(f"1.{n}", "20260101", "120000", "A") for n in range(30)] + [(f"2.{n}", "", "", "") for n in range(30)]
    with Ledger() as ledger:
        assert crawl(Peer(studies, 20), ledger)
        gaps = dict(ledger.gaps())
    assert any(what.startswith("20260101 12") for what in gaps)
    assert any("without date and patient ID" in what for what in gaps)


def test_a_quiet_archive_costs_few_queries() -> None:
    with Ledger() as ledger:
        peer = Peer([("1.2.3", "20200101", "", "A")])
        assert crawl(peer, ledger)
    assert len(peer.queries) < 70


def test_resume_asks_only_for_what_is_left_and_for_the_last_day(tmp_path: Path) -> None:
    studies = invented(500)
    stop = threading.Event()

    class Stopping(Peer):
        def studies(self, keys: Mapping[str, str]) -> Answers:
            if len(self.queries) == 40:
                stop.set()
            return super().studies(keys)

    path = tmp_path / "one.sqlite"
    with Ledger(path) as ledger:
        first = Stopping(studies)
        assert not Crawl(first, ledger, Throttle(), today=lambda: TODAY).run(stop)
        since = ledger.get("crawled_since")
    with Ledger(path) as ledger:
        second = Peer(studies)
        assert crawl(second, ledger)
        assert {line.uid for line in ledger.lines()} == {uid for uid, *_ in studies}
    asked = [keys["StudyDate"] for keys in second.queries if len(keys["StudyDate"]) in (8, 17)]
    again = [text for text in asked if text[:8] > since]
    assert len(again) <= 2


def test_only_some_dates() -> None:
    studies = invented(400)
    first, last = datetime.date(2025, 1, 1), datetime.date(2025, 12, 31)
    with Ledger() as ledger:
        assert crawl(Peer(studies), ledger, first=first, last=last)
        found = {line.uid for line in ledger.lines()}
    assert found == {uid for uid, date, *_ in studies if "20250101" <= date <= "20251231"}
