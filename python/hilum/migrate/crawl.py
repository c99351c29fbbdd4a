"""Finding every study of a peer that tells no more than so many at a time.

The newest day first, in steps that grow where there is little and shrink where there is much. A query that meets the
peer's limit is halved: ranges of days, then of the time within a day. A peer that cuts answers off and calls it a
success is found out: a round number of answers is halved too, and when the halves give more, that number is its limit.
Studies without a date are in no range: they are asked for without one, by the beginnings of patient IDs where that
meets the limit.
"""

from __future__ import annotations

import datetime
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from hilum.migrate.ledger import Ledger
    from hilum.migrate.source import Session
    from hilum.migrate.throttle import Throttle

__all__ = ["Crawl", "EARLIEST"]

EARLIEST: Final = datetime.date(1985, 1, 1)
"""Of the day-by-day crawl; one query asks for what is before."""
_DAY: Final = datetime.timedelta(days=1)
_LONGEST: Final = 366
_FEW: Final = 20
_MANY: Final = 200
_SUSPICIOUS: Final = frozenset({50, 100, 128, 150, 200, 250, 256, 300, 400, 500, 512, 999, 1024})
_BEGINNINGS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase + "-_./ #:+"
_DEEPEST: Final = 16
_UNTIL: Final = "crawled_until"
_SINCE: Final = "crawled_since"
_FORM: Final = "%Y%m%d"


class Crawl:
    """Finds the studies of one peer and writes them down.

    Parameters
    ----------
    session : Session
    ledger : Ledger
        Knows what an earlier run has crawled: that is not asked for again, the last day excepted.
    throttle : Throttle
    keys : mapping of str to str
        Further matching keys of every query.
    first, last : datetime.date, optional
        Only studies of these dates; None: all, those before `EARLIEST`, of the future and without a date too.
    limit : int
        Answers to which the peer is known to cut; 0: not known.
    undated : bool
        Ask for studies without a date (only when neither `first` nor `last` is given).
    tell : callable
        ``tell(text)`` of what is being done.
    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        throttle: Throttle,
        *,
        keys: Mapping[str, str] | None = None,
        first: datetime.date | None = None,
        last: datetime.date | None = None,
        limit: int = 0,
        undated: bool = True,
        tell: Callable[[str], None] = lambda _text: None,
        today: Callable[[], datetime.date] = datetime.date.today,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._throttle = throttle
        self._keys = dict(keys or {})
        self._first, self._last = first, last
        self._limit = limit
        self._undated = undated and first is None and last is None
        self._tell = tell
        self._today = today()
        self._honest: set[int] = set()

    def run(self, stop: threading.Event) -> bool:
        """Crawl until everything is found; False when `stop` was set before."""
        self._stop = stop
        first, last = self._first or EARLIEST, self._last or self._today
        until, since = self._ledger.get(_UNTIL), self._ledger.get(_SINCE)
        if until and since and since <= until:
            known_until, known_since = _date(until), _date(since)
            done = self._down(max(known_until, first), last, mark=False)
            if done:
                self._ledger.put(_UNTIL, _text(max(known_until, min(last, self._today - _DAY))))
                done = self._down(first, known_since - _DAY)
        else:
            self._ledger.put(_UNTIL, _text(min(last, self._today - _DAY)))
            done = self._down(first, last)
        if done and self._last is None:
            done = self._open(f"{_text(self._today + _DAY)}-", "dates in the future")
        if done and self._first is None:
            done = self._open(f"-{_text(EARLIEST - _DAY)}", "dates before the crawl begins")
        if done and self._undated:
            done = self._beginning("")
        return done

    def _down(self, first: datetime.date, last: datetime.date, *, mark: bool = True) -> bool:
        step = 1
        while last >= first:
            begin = max(first, last - (step - 1) * _DAY)
            found = self._days(begin, last)
            if found is None:
                return False
            self._tell(f"{begin.isoformat()} to {last.isoformat()}: {found} studies")
            if mark:
                self._ledger.put(_SINCE, _text(begin))
            step = min(step * 2, _LONGEST) if found < _FEW else max(step // 2, 1) if found > _MANY else step
            last = begin - _DAY
        return True

    def _days(self, first: datetime.date, last: datetime.date) -> int | None:
        """Find the studies of some days; how many, None when stopped."""
        found = self._query({"StudyDate": _text(first) if first == last else f"{_text(first)}-{_text(last)}"})
        if found is None or not found.doubtful:
            return None if found is None else found.count
        if first == last:
            return self._judge(found.count, [self._times(_text(first), at, at + 43_200) for at in (0, 43_200)])
        middle = first + (last - first) // 2
        return self._judge(found.count, [self._days(first, middle), self._days(middle + _DAY, last)])

    def _times(self, day: str, first: int, last: int) -> int | None:
        """Find the studies of a part of a day, from its first to before its last second, or a little later."""
        what = f"{day} {_clock(first)}-{_clock(last)}"
        found = self._query({"StudyDate": day, "StudyTime": f"{_clock(first)}-{_clock(last)}"})
        if found is None or not found.doubtful or first + 1 >= last:
            if found is not None:
                why = "more studies in one second than the peer gives in one answer"
                self._ledger.incomplete(what, why if found.cut else "")
            return None if found is None else found.count
        middle = (first + last) // 2
        return self._judge(found.count, [self._times(day, first, middle), self._times(day, middle, last)])

    def _open(self, text: str, what: str) -> bool:
        """One query for an open range of dates."""
        found = self._query({"StudyDate": text})
        if found is None:
            return False
        self._ledger.incomplete(what, "more studies than the peer gives in one answer" if found.cut else "")
        return True

    def _beginning(self, begin: str) -> bool:
        """Find studies whatever their date, of patient IDs that begin so."""
        found = self._query({"StudyDate": "", "PatientID": f"{begin}*" if begin else ""})
        if found is None or not found.doubtful:
            return found is not None
        what = "studies without a date"
        if len(begin) >= _DEEPEST:
            self._ledger.incomplete(what, "more patient IDs with one beginning than the peer gives in one answer")
            return True
        if begin:
            exact = self._query({"StudyDate": "", "PatientID": begin})
            if exact is None:
                return False
            if exact.cut:
                self._ledger.incomplete(what, "one patient has more studies than the peer gives in one answer")
        elif found.cut:
            self._ledger.incomplete(
                "studies without date and patient ID",
                "the peer limits its answers, and these can be named by nothing; nor can those without a date whose"
                f" patient ID begins with other than letters, digits and {_BEGINNINGS[62:]}",
            )
        return all(self._beginning(begin + character) for character in _BEGINNINGS)

    def _query(self, keys: Mapping[str, str]) -> _Found | None:
        """Ask, and write down what is announced; None when stopped."""
        if not self._throttle.wait(self._stop):
            return None
        answers = self._session.studies({**self._keys, **{k: v for k, v in keys.items() if v or k == "StudyDate"}})
        count = len(answers.studies)
        self._ledger.announce(answers.studies)
        if not answers.complete and count:
            self._limit = min(self._limit or count, count)
        cut = not answers.complete or bool(self._limit and count >= self._limit)
        suspicious = count in _SUSPICIOUS or (count >= 1000 and count % 500 == 0)
        return _Found(count, cut, cut or (suspicious and count not in self._honest))

    def _judge(self, whole: int, parts: list[int | None]) -> int | None:
        """Compare a doubtful answer with those of its parts; gives the greater number."""
        count = 0
        for part in parts:
            if part is None:
                return None
            count += part
        if count > whole:
            self._limit = min(self._limit or whole, whole)
        elif not self._limit:
            self._honest.add(whole)
        return max(count, whole)


@dataclass(frozen=True, slots=True)
class _Found:
    count: int
    cut: bool
    """There are more, or so many as the peer gives at most."""
    doubtful: bool
    """It may be cut."""


def _text(date: datetime.date) -> str:
    return date.strftime(_FORM)


def _date(text: str) -> datetime.date:
    return datetime.datetime.strptime(text, _FORM).date()


def _clock(second: int) -> str:
    if second >= 86_400:
        return "235959.999999"
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
