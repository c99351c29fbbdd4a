"""What comes of an import: the outcome of each chunk, the ledger, the counts, the report."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hilum.archive.ingest import Prepared, StoreResult, StoreStatus
from hilum.archive.ledger import Ledger, LedgerLine
from hilum.archive.sources import count_files
from hilum.errors import HilumError, Unavailable

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path


__all__ = ["FAILED", "Batch", "Collector", "ImportProgress", "ImportReport", "Source"]

_MOST_LISTED: Final = 1000
FAILED: Final = ("failed", "quarantined")
"""Status of a source that is not in the archive, and should be."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import is."""

    files: int
    """Files that are done, skipped ones included."""
    bytes: int
    counts: dict[str, int]
    """Files by status of the ledger, and ``"skipped"``."""
    total_files: int | None
    """None until they are counted."""
    total_bytes: int | None
    seconds: float


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    counts: dict[str, int]
    """Files by status: those of the ledger, and ``"skipped"`` for files that an earlier run has done."""
    files: int
    bytes: int
    """Of all files that were looked at."""
    stored_bytes: int
    seconds: float
    problems: list[LedgerLine] = field(default_factory=list)
    """What failed or was quarantined, the first thousand."""
    conflicts: list[LedgerLine] = field(default_factory=list)
    """Objects whose UID was taken by other bytes, the first thousand."""
    not_dicom: list[str] = field(default_factory=list)
    """Names of files that are not DICOM, the first thousand."""
    ledger: Path | None = None
    dry_run: bool = False
    stopped: str = ""
    """Why it ended early; empty when it ran to its end."""

    @property
    def ok(self) -> bool:
        """Whether everything that is DICOM is in the archive now."""
        return not self.stopped and not any(self.counts.get(status) for status in FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "stopped": self.stopped,
            "files": self.files,
            "bytes": self.bytes,
            "stored_bytes": self.stored_bytes,
            "seconds": round(self.seconds, 3),
            "counts": dict(sorted(self.counts.items())),
            "problems": [{"path": p.path, "status": p.status, "reason": p.reason} for p in self.problems],
            "conflicts": [{"path": p.path, "status": p.status, "uid": p.uid} for p in self.conflicts],
            "not_dicom": self.not_dicom,
            "ledger": str(self.ledger) if self.ledger else None,
        }


@dataclass(slots=True)
class Source:
    """Where an object in a chunk came from, for its ledger line."""

    path: str
    size: int
    mtime_ns: int

    def line(self, status: str, reason: str = "", uid: str = "", sha256: str = "") -> LedgerLine:
        """Say in a line of the ledger what came of it."""
        return LedgerLine(self.path, self.size, self.mtime_ns, status, reason, uid, sha256)


@dataclass(slots=True)
class Batch:
    """What one chunk has come to: lines that are final, and objects whose commit is awaited."""

    lines: list[LedgerLine] = field(default_factory=list)
    skipped: int = 0
    skipped_bytes: int = 0
    sources: list[Source] = field(default_factory=list)
    items: list[Prepared] = field(default_factory=list)
    future: Future[list[StoreResult | HilumError]] | None = None
    error: Unavailable | None = None

    def failed(self) -> bool:
        """Whether something of it failed or was quarantined."""
        return any(line.status in FAILED for line in self.lines)

    def memory(self) -> int:
        """Bytes of its objects that are held in memory."""
        return sum(item.memory() for item in self.items)


class Collector:
    """Waits for commits, writes the ledger, counts."""

    def __init__(self, ledger: Ledger | None, stop: threading.Event, *, dry_run: bool) -> None:
        self._ledger = ledger
        self._stop = stop
        self._dry_run = dry_run
        self._started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._files = self._bytes = self._stored_bytes = 0
        self._totals: tuple[int, int] | None = None
        self._report = ImportReport({}, 0, 0, 0, 0.0)

    @property
    def stored(self) -> int:
        """Objects that were stored so far."""
        return self._counts["stored"]

    def count(self, paths: Sequence[str | os.PathLike[str]], exclude: Collection[tuple[int, int]]) -> None:
        """Count the files, in a thread of its own."""
        self._totals = count_files(paths, exclude)

    def add(self, batch: Batch) -> None:
        """Wait for the commit of a batch, count it and write its lines; `Unavailable` when that cannot be done."""
        lines = batch.lines
        if batch.sources:
            lines = [*lines, *self._outcomes(batch)]
        self._counts["skipped"] += batch.skipped
        self._files += batch.skipped
        self._bytes += batch.skipped_bytes
        if self._report.stopped:
            lines = [line for line in lines if line.status != "container"]
        for line in lines:
            self._note(line)
        if self._ledger is not None and not self._dry_run and lines:
            self._ledger.write(lines)

    def stop(self, reason: str) -> None:
        """End early; the first reason counts."""
        self._report.stopped = self._report.stopped or reason
        self._stop.set()

    def _outcomes(self, batch: Batch) -> Iterator[LedgerLine]:
        error: BaseException | None = batch.error
        if batch.future is not None:
            error = batch.future.exception()
        if error is not None:
            reason = str(error) if isinstance(error, HilumError) else f"internal error ({type(error).__name__})"
            self.stop(reason)
            for source in batch.sources:
                yield source.line("failed", reason)
            return
        assert batch.future is not None
        for source, result in zip(batch.sources, batch.future.result(), strict=True):
            if isinstance(result, HilumError):
                if isinstance(result, Unavailable):
                    self.stop(str(result))
                yield source.line("failed", str(result))
                continue
            if result.status in (StoreStatus.STORED, StoreStatus.REPLACED):
                self._stored_bytes += source.size
            yield source.line(result.status.value, uid=result.sop_instance_uid, sha256=result.sha256.hex())

    def _note(self, line: LedgerLine) -> None:
        self._counts[line.status] += 1
        self._files += 1
        self._bytes += line.size
        if line.status == "not_dicom" and len(self._report.not_dicom) < _MOST_LISTED:
            self._report.not_dicom.append(line.path)
        elif line.status in FAILED and len(self._report.problems) < _MOST_LISTED:
            self._report.problems.append(line)
        elif line.status in ("conflict", "replaced") and len(self._report.conflicts) < _MOST_LISTED:
            self._report.conflicts.append(line)

    def progress(self) -> ImportProgress:
        """Say how far the import is."""
        files, size = self._totals or (None, None)
        seconds = time.monotonic() - self._started
        return ImportProgress(self._files, self._bytes, dict(self._counts), files, size, seconds)

    def report(self) -> ImportReport:
        """Say what the import has done."""
        report = self._report
        report.counts = {status: count for status, count in self._counts.items() if count}
        report.files, report.bytes, report.stored_bytes = self._files, self._bytes, self._stored_bytes
        report.seconds = time.monotonic() - self._started
        report.ledger = self._ledger.path if self._ledger is not None and not self._dry_run else None
        report.dry_run = self._dry_run
        return report
