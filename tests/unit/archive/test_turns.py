"""The turns of the group commit: every job is written and indexed once, in one order, whoever's thread does it."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from objects import make_object

from hilum.archive.ingest import prepare
from hilum.archive.turns import Turns
from hilum.config import Settings
from hilum.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.archive.ingest import Prepared
    from hilum.archive.turns import Job

LIMITS = Settings().ingest


class Work:
    """Writes and indexes into lists, and notes what must not be."""

    def __init__(self, write_s: float = 0.0, index_s: float = 0.0) -> None:
        self.turns: Turns[list[Job]] = Turns(self.write, self.index, LIMITS)
        self.write_s, self.index_s = write_s, index_s
        self.written: list[Prepared] = []
        self.indexed: list[Prepared] = []
        self.threads: set[str] = set()
        self.groups: list[int] = []
        self.wrong: list[str] = []
        self.failing: set[int] = set()
        self._writing = self._indexing = False

    def write(self, jobs: list[Job], pass_on: Callable[[list[Job]], None]) -> None:
        if self._writing or not jobs:
            self.wrong.append("two write, or nothing")
        self._writing = True
        self.threads.add(threading.current_thread().name)
        self.groups.append(len(jobs))
        time.sleep(self.write_s)
        self._writing = False
        if any(id(item) in self.failing for job in jobs for item in job.items):
            raise Unavailable("the disk is full")
        self.written += [item for job in jobs for item in job.items]
        pass_on(jobs)

    def index(self, groups: list[list[Job]]) -> None:
        if self._indexing:
            self.wrong.append("two index")
        self._indexing = True
        time.sleep(self.index_s)
        jobs = [job for group in groups for job in group]
        items = [item for job in jobs for item in job.items]
        self.indexed += items
        self._indexing = False
        self.turns.answer(jobs, items)  # type: ignore[arg-type]

    def check(self, expected: int) -> None:
        assert self.wrong == []
        assert list(map(id, self.indexed)) == list(map(id, self.written)), "indexed in the order of the packs"
        assert len({id(item) for item in self.written}) == len(self.written) == expected


@pytest.fixture
def item() -> Callable[[], Any]:
    whole = make_object(1)
    return lambda: prepare(whole, "never", LIMITS)


def test_who_is_alone_does_it_in_its_own_thread(item: Callable[[], Any]) -> None:
    work = Work()

    def send() -> None:
        for _ in range(20):
            mine = item()
            assert work.turns.commit([mine]) == [mine]

    sender = threading.Thread(target=send, name="sender")
    sender.start()
    sender.join(10)
    work.turns.close()
    assert work.threads == {"sender"}
    work.check(20)


@pytest.mark.parametrize("delays", [(0.0, 0.0), (0.002, 0.0), (0.0, 0.002)])
def test_senders_importers_and_deletions_at_once(item: Callable[[], Any], delays: tuple[float, float]) -> None:
    work = Work(*delays)

    def send(number: int) -> None:
        for _ in range(40):
            mine = [item() for _ in range(1 + number % 2)]
            assert work.turns.commit(mine) == mine

    def submit(_: int) -> None:
        waiting = []
        for _ in range(40):
            mine = [item()]
            waiting.append((mine, work.turns.submit(mine)))
        assert all(future.result(10) == mine for mine, future in waiting)

    def delete(_: int) -> None:
        for _ in range(20):
            with work.turns.exclusive():
                assert list(map(id, work.indexed)) == list(map(id, work.written))
            time.sleep(0.001)

    with ThreadPoolExecutor(9) as pool:
        running = [
            pool.submit(do, n) for n, do in enumerate((send, send, send, send, send, send, submit, submit, delete))
        ]
        for one in running:
            one.result(30)
    work.turns.close()
    work.check(3 * 40 + 3 * 80 + 2 * 40)
    if delays[0]:
        assert max(work.groups) > 2, "those who came meanwhile share a write"


def test_an_error_goes_to_those_of_its_group_and_the_next_one_works(item: Callable[[], Any]) -> None:
    work = Work()
    bad, good = item(), item()
    work.failing.add(id(bad))
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(Unavailable, match="full"):
            pool.submit(work.turns.commit, [bad]).result(10)
        assert pool.submit(work.turns.commit, [good]).result(10) == [good]
    assert work.turns.submit([item()]).result(10)
    work.turns.close()
    work.check(2)


def test_closing_answers_everybody(item: Callable[[], Any]) -> None:
    work = Work(write_s=0.005)

    def send(_: int) -> int:
        for sent in range(1000):
            try:
                work.turns.commit([item()])
            except Unavailable:
                return sent
        return 1000

    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(send, n) for n in range(4)]
        time.sleep(0.05)
        work.turns.close()
        stored = sum(count.result(10) for count in counts)
    assert 0 < stored < 4000
    work.check(stored)


def test_the_child_of_a_fork_starts_afresh(item: Callable[[], Any]) -> None:
    work = Work()
    work.turns.submit([item()]).result(10)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work.turns.begin() and work.turns.submit([item()]).result(10) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert not work.turns.begin()
    work.turns.close()
