"""Storage commitment (PS3.4 J): what a peer asked to have confirmed, kept on disk until it has been told.

A request is a file of ``ROOT/commitment``, written and flushed before it is acknowledged; a process that ends loses
none. Success is said only of an instance whose bytes were read again and have their hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

from hilum.dicom.status import PROCESSING_FAILURE
from hilum.errors import HilumError, LimitExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hilum.archive.archive import Archive

__all__ = ["Commitment", "CommitmentStore", "Reference", "confirm"]

NOT_FOUND: Final = 0x0112  # no such object instance
CLASS_CONFLICT: Final = 0x0119  # class / instance conflict
_MOST_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance that is asked for, or answered."""

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = 0
    """Failure Reason (0008,1197); 0: committed."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """One request (N-ACTION) until its answer (N-EVENT-REPORT) is delivered."""

    transaction_uid: str
    ae_title: str
    """Who asked."""
    address: str
    """From where."""
    called: str
    references: tuple[Reference, ...]
    received: float = field(default_factory=time.time)
    """Unix time."""
    attempts: int = 0
    next_attempt: float = 0.0


class CommitmentStore:
    """Requests on disk.

    Parameters
    ----------
    folder : Path
        ``ROOT/commitment``; made when the first one comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, item: Commitment) -> Path:
        name = hashlib.sha256(f"{item.ae_title}\0{item.transaction_uid}".encode()).hexdigest()[:40]
        return self._folder / f"{name}.json"

    def put(self, item: Commitment) -> None:
        """Write a request so that it survives a power cut.

        Raises
        ------
        LimitExceeded
            Too many wait already.
        Unavailable
            It cannot be written.
        """
        try:
            self._folder.mkdir(mode=0o750, exist_ok=True)
            path = self._path(item)
            if not path.exists() and sum(1 for _ in self._folder.glob("*.json")) >= _MOST_WAITING:
                raise LimitExceeded(f"more than {_MOST_WAITING} storage commitment requests wait to be answered")
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            with temporary.open("w", encoding="utf-8") as stream:
                json.dump(asdict(item), stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(f"{self._folder}: cannot be written: {error.strerror}") from error

    def remove(self, item: Commitment) -> None:
        """Forget a request that was answered."""
        with contextlib.suppress(FileNotFoundError):
            self._path(item).unlink()

    def postpone(self, item: Commitment, seconds: float) -> Commitment:
        """Write down that an answer could not be delivered, and when to try again."""
        later = replace(item, attempts=item.attempts + 1, next_attempt=time.time() + seconds)
        self.put(later)
        return later

    def waiting(self) -> list[Commitment]:
        """Requests that are not answered yet, the oldest first; damaged files are left out."""
        found = []
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                values = json.loads(path.read_text(encoding="utf-8"))
                references = tuple(Reference(**reference) for reference in values.pop("references"))
                found.append(Commitment(**values, references=references))
        return sorted(found, key=lambda item: item.received)


def confirm(archive: Archive, references: Sequence[Reference]) -> list[Reference]:
    """Read each instance again and compare its hash; gives the references with their reason of failure, 0 for none.

    Versions that are kept beside the current object do not count: what is promised is what a query finds.
    """
    answers = []
    records = archive.retrieve.lookup([reference.sop_instance_uid for reference in references])
    for reference, record in zip(references, records, strict=True):
        reason = 0
        if record is None:
            reason = NOT_FOUND
        elif reference.sop_class_uid and record.sop_class_uid != reference.sop_class_uid:
            reason = CLASS_CONFLICT
        else:
            try:
                hasher = hashlib.sha256()
                for piece in archive.retrieve.stream(record):
                    hasher.update(piece)
                if hasher.digest() != record.sha256:
                    reason = PROCESSING_FAILURE
            except HilumError:
                reason = PROCESSING_FAILURE
        answers.append(replace(reference, reason=reason))
    return answers
