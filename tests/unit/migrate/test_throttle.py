"""Windows and rates."""

from __future__ import annotations

import datetime
import threading

import pytest

from hilum.errors import UsageError
from hilum.migrate.throttle import Throttle, parse_window

MONDAY = datetime.datetime(2026, 3, 2)


def at(day: int, hour: int, minute: int = 0) -> datetime.datetime:
    return MONDAY + datetime.timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("19:00-06:30", [at(0, 19), at(1, 6, 29), at(6, 23)], [at(0, 18, 59), at(0, 6, 30), at(3, 12)]),
        ("Mon-Fri 20:00-06:00", [at(0, 20), at(4, 23), at(5, 5, 59)], [at(5, 20), at(0, 5), at(6, 3)]),
        ("Sat,Sun 00:00-24:00", [at(5, 0), at(6, 23, 59)], [at(4, 23, 59), at(0, 0)]),
        ("fri-mon 8:00-9:00", [at(4, 8), at(0, 8, 30)], [at(1, 8), at(4, 9)]),
    ],
)
def test_window(text: str, inside: list[datetime.datetime], outside: list[datetime.datetime]) -> None:
    window = parse_window(text)
    assert [window.holds(moment) for moment in inside] == [True] * len(inside)
    assert [window.holds(moment) for moment in outside] == [False] * len(outside)


@pytest.mark.parametrize("text", ["", "19-06", "25:00-06:00", "Foo 10:00-11:00", "10:00-11:00@fast", "10:61-11:00"])
def test_no_window(text: str) -> None:
    with pytest.raises(UsageError):
        parse_window(text)


def test_rate_of_the_window_that_is_open() -> None:
    now = [at(0, 12)]
    throttle = Throttle([parse_window("07:00-19:00@2 MB"), parse_window("19:00-06:00")], now=lambda: now[0])
    assert throttle.rate() == 2e6
    now[0] = at(0, 20)
    assert throttle.rate() == 0
    now[0] = at(1, 6, 30)
    assert throttle.rate() is None
    stop = threading.Event()
    stop.set()
    assert not throttle.wait(stop)


def test_what_was_taken_is_made_up_for() -> None:
    throttle = Throttle(bytes_per_s=1e6)
    assert throttle.wait(threading.Event())
    throttle.took(10_000_000)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert not throttle.wait(stop)  # ten seconds of rest, and it is stopped before
