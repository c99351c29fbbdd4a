"""A study is told complete once, whatever ends and begins again in between (ACQ-14)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from objects import make_object

import hilum
from hilum.archive.completion import StudyCompletion, read_completed

if TYPE_CHECKING:
    from pathlib import Path


def store(root: Path, study: int, instance: int) -> None:
    with hilum.open(root) as archive:
        archive.store(make_object(study=study, instance=instance))


def later(seconds: float = 61) -> float:
    return time.time() + seconds


def test_told_when_quiet_and_once(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    store(root, 1, 1)
    with hilum.open(root) as archive:
        completion = StudyCompletion(archive, 60)
        assert completion.look() == []
        assert len(completion.look(later())) == 1
        assert completion.look(later(600)) == []
        archive.store(make_object(study=1, instance=2))
        assert completion.look() == []
        assert len(completion.look(later())) == 1
    assert [item.last_event for item in read_completed(root)] == [1, 2]


@pytest.mark.parametrize("lost", ["nothing", "state", "line"])
def test_a_process_that_ends_before_the_time_loses_and_repeats_nothing(tmp_path: Path, lost: str) -> None:
    root = tmp_path / "archive"
    store(root, 1, 1)
    with hilum.open(root) as archive:
        first = StudyCompletion(archive, 60)
        first.look(later())
        archive.store(make_object(study=2))
        first.look()  # study 2 is going on when the process ends
    if lost == "state":
        (root / "completed.state").unlink()
    if lost == "line":
        with (root / "completed.jsonl").open("a") as log:
            log.write('{"study_instance_uid": "1.2')
    with hilum.open(root) as archive:
        second = StudyCompletion(archive, 60)
        assert second.look() == []
        assert len(second.look(later())) == 1
        assert second.look(later(600)) == []
    assert [item.last_event for item in read_completed(root)] == [1, 2]


def test_a_study_that_was_deleted_meanwhile_is_not_told(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    store(root, 1, 1)
    with hilum.open(root) as archive:
        completion = StudyCompletion(archive, 60)
        completion.look()
        archive.delete("study", archive.studies()[0].study_instance_uid)
        assert completion.look(later()) == []


def test_thread(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    store(root, 1, 1)
    with hilum.open(root) as archive:
        completion = StudyCompletion(archive, 0.1)
        completion.start()
        deadline = time.monotonic() + 10
        while not read_completed(root) and time.monotonic() < deadline:
            time.sleep(0.05)
        completion.stop()
    assert len(read_completed(root)) == 1
