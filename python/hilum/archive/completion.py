"""Study complete: a study to which nothing was added for a while (ACQ-14), told once, whatever restarts in between.

Nothing is kept but the log of what was told, ``ROOT/completed.jsonl``, and how far the event log is settled: what was
going on when a process ended is found again in the event log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from hilum.index.base import EventKind

if TYPE_CHECKING:
    from pathlib import Path

    from hilum.archive.archive import Archive

__all__ = ["CompletedStudy", "StudyCompletion", "read_completed"]

LOGGER = logging.getLogger("hilum.archive")
_LOG: Final = "completed.jsonl"
_SETTLED: Final = "completed.state"
_BATCH: Final = 1000
_ADDED: Final = frozenset({EventKind.STORED, EventKind.REPLACED})


@dataclass(frozen=True, slots=True)
class CompletedStudy:
    """A study that was quiet for long enough; when more comes later it is told again."""

    study_instance_uid: str
    last_event: int
    """Sequence number of the last event that added to it: with the UID it makes the telling unique."""
    time: float
    """Unix time at which it was told."""


class StudyCompletion:
    """Follows the event log in a thread; one process of an archive should.

    Parameters
    ----------
    archive : Archive
    idle_s : float
        Seconds without an addition.
    poll_s : float
        Between two looks.
    """

    def __init__(self, archive: Archive, idle_s: float, poll_s: float = 1.0) -> None:
        self._archive = archive
        self._idle_s = idle_s
        self._poll_s = min(poll_s, max(idle_s / 4, 0.02))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hilum-completion", daemon=True)
        self._since = self._read_settled()
        self._waiting: dict[str, tuple[int, float]] = {}
        """Study to its last event and that event's time."""
        self._first: dict[str, int] = {}
        """Study to the first event that is not settled."""
        self._told = {(item.study_instance_uid, item.last_event) for item in read_completed(archive.root)}

    def start(self) -> None:
        """Begin to follow, from where the last one has stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is going on is taken up by the next one."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            try:
                self.look()
            except Exception as error:
                LOGGER.error("study completion: %s", type(error).__name__)
                self._stop.wait(5)

    def look(self, now: float | None = None) -> list[CompletedStudy]:
        """Read new events and tell what is complete; gives what was told."""
        while events := self._archive.events(self._since, _BATCH):
            for event in events:
                self._since = event.sequence
                study = event.study_instance_uid
                if event.kind in _ADDED:
                    self._waiting[study] = (event.sequence, event.time_ns / 1e9)
                    self._first.setdefault(study, event.sequence)
        now = time.time() if now is None else now
        due = [study for study, (_, last) in self._waiting.items() if not 0 <= now - last < self._idle_s]
        told = []
        for study in due:
            last_event, _ = self._waiting.pop(study)
            self._first.pop(study, None)
            item = CompletedStudy(study, last_event, now)
            if (study, last_event) not in self._told and self._archive.index.study(study) is not None:
                self._tell(item)
                told.append(item)
            self._told.add((study, last_event))
        if due:
            self._write_settled()
        return told

    def _tell(self, item: CompletedStudy) -> None:
        path = self._archive.root / _LOG
        with path.open("ab") as stream:
            if stream.tell() and not _ends_a_line(path):
                stream.write(b"\n")  # a line that a power cut has torn
            stream.write(json.dumps(asdict(item)).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _read_settled(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return max(0, int((self._archive.root / _SETTLED).read_text()))
        return 0

    def _write_settled(self) -> None:
        """Write down before which event everything is told; the log makes up for one that is lost."""
        settled = min(self._first.values(), default=self._since + 1) - 1
        temporary = self._archive.root / f"{_SETTLED}.tmp"
        temporary.write_text(str(settled))
        temporary.replace(self._archive.root / _SETTLED)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def read_completed(root: Path, since: float = 0.0) -> list[CompletedStudy]:
    """Read what was told after a time, the oldest first.

    Parameters
    ----------
    root : Path
        Folder of the archive.
    since : float
        Unix time.
    """
    found = []
    with contextlib.suppress(OSError), (root / _LOG).open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError, TypeError):
                item = CompletedStudy(**json.loads(line))
                if item.time > since:
                    found.append(item)
    return found
