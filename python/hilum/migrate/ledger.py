"""What a migration knows: each study and what became of it, in one SQLite file that survives whatever happens.

UIDs, dates, counts and reasons; nothing of a patient.
"""

from __future__ import annotations

import fcntl
import json
import re
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from hilum.errors import Conflict, DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hilum.migrate.source import FoundStudy

__all__ = ["STATES", "Ledger", "StudyLine", "ledger_path"]

STATES: Final = {
    "pending": "announced by the peer, not retrieved yet",
    "running": "being retrieved",
    "done": "every announced instance is in the archive, read again, with its hash",
    "different": "retrieved; some announced instances are not in the archive, the differences say why",
    "failed": "the peer could not be asked for it",
    "planned": "would be retrieved (dry run)",
}
_VERSION: Final = "1"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS incomplete(what TEXT PRIMARY KEY, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS studies(
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    date TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    said_series INTEGER,
    said_instances INTEGER,
    line TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS by_state ON studies(state, id);
"""


@dataclass(slots=True)
class StudyLine:
    """One study of the ledger."""

    uid: str
    date: str
    state: str
    attempts: int = 0
    said_series: int | None = None
    """Number of Study Related Series of the peer's answer."""
    said_instances: int | None = None
    series: int = 0
    """Announced: counted in the peer's own list."""
    instances: int = 0
    before: int = 0
    """Announced instances that the archive had already."""
    received: int = 0
    """Sent by the peer, in all attempts."""
    stored: int = 0
    """Announced instances that are in the archive and whose bytes have their hash."""
    extra: int = 0
    """Instances of the study in the archive that the peer has not announced."""
    size: int = 0
    """Bytes of the stored ones."""
    digest: str = ""
    """SHA-256 over ``UID SHA-256`` lines of the stored ones, sorted; empty when some are missing."""
    differences: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID to why it is not there."""
    note: str = ""
    seconds: float = 0.0
    outages: int = 0
    """How often the peer could not be reached any more while it was retrieved."""


_STORED: Final = (
    *("series", "instances", "before", "received", "stored", "extra", "size"),
    *("digest", "differences", "note", "seconds", "outages"),
)


def ledger_path(root: Path, name: str) -> Path:
    """File of the ledger of a source, in an archive's folder."""
    return root / "migrations" / f"{re.sub(r'[^0-9A-Za-z._@-]+', '_', name)[:120]}.sqlite"


class Ledger:
    """The ledger of one migration; thread-safe, of one process at a time; a context manager.

    Parameters
    ----------
    path : Path, optional
        Made where it is missing; None: in memory, for a dry run.

    Raises
    ------
    Conflict
        Another process has it open.
    DataError
        It is no ledger, or of another version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._guard: Any = None
        try:
            if path is not None:
                path.parent.mkdir(mode=0o750, exist_ok=True)
                self._guard = path.with_suffix(".lock").open("w")
                fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            with self._db:
                self._db.execute("UPDATE studies SET state = 'pending' WHERE state = 'running'")
        except BlockingIOError:
            self._guard.close()
            raise Conflict("another process works on this migration") from None
        except OSError as error:
            raise Unavailable(f"the ledger cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            raise DataError(f"the ledger cannot be read ({type(error).__name__})") from error
        if self.get("version", _VERSION) != _VERSION:
            raise DataError("the ledger is of another version of hilum")
        self.put("version", _VERSION)

    def get(self, key: str, default: str = "") -> str:
        """Give a note about the whole."""
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else default

    def put(self, key: str, value: str) -> None:
        """Keep a note about the whole."""
        with self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def announce(self, studies: Iterable[FoundStudy]) -> int:
        """Add studies; gives how many were not known. One that has grown since it was done is to be done again."""
        new = 0
        with self._lock, self._db:
            for study in studies:
                values = (study.uid, study.date, study.series, study.instances)
                cursor = self._db.execute(
                    "INSERT OR IGNORE INTO studies(uid, date, said_series, said_instances) VALUES (?, ?, ?, ?)", values
                )
                new += cursor.rowcount
                if not cursor.rowcount:
                    self._db.execute(
                        "UPDATE studies SET state = 'pending', said_series = ?, said_instances = ?"
                        " WHERE uid = ? AND state = 'done' AND said_instances <> ?",
                        (study.series, study.instances, study.uid, study.instances),
                    )
        return new

    def claim(self) -> StudyLine | None:
        """Take the next study that is to be retrieved."""
        with self._lock, self._db:
            row = self._db.execute("SELECT * FROM studies WHERE state = 'pending' ORDER BY id LIMIT 1").fetchone()
            if row is None:
                return None
            self._db.execute("UPDATE studies SET state = 'running' WHERE id = ?", (row[0],))
        return _line(row)

    def save(self, line: StudyLine) -> None:
        """Write down what became of a study; on disk when this returns."""
        stored = json.dumps({name: getattr(line, name) for name in _STORED})
        with self._lock, self._db:
            self._db.execute(
                "UPDATE studies SET state = ?, attempts = ?, line = ? WHERE uid = ?",
                (line.state, line.attempts, stored, line.uid),
            )

    def retry(self) -> None:
        """Let studies that ended badly be tried again."""
        with self._lock, self._db:
            self._db.execute(
                "UPDATE studies SET state = 'pending', attempts = 0 WHERE state IN ('failed', 'different')"
            )

    def incomplete(self, what: str, why: str = "") -> None:
        """Keep a part of the crawl that could not be completed; without a reason: it now was."""
        with self._lock, self._db:
            if why:
                self._db.execute("INSERT OR REPLACE INTO incomplete VALUES (?, ?)", (what, why))
            else:
                self._db.execute("DELETE FROM incomplete WHERE what = ?", (what,))

    def gaps(self) -> list[tuple[str, str]]:
        """Parts of the crawl that could not be completed, and why."""
        with self._lock:
            return list(self._db.execute("SELECT what, why FROM incomplete ORDER BY what"))

    def counts(self) -> dict[str, int]:
        """Give the number of studies in each state."""
        with self._lock:
            return dict(self._db.execute("SELECT state, COUNT(*) FROM studies GROUP BY state"))

    def lines(self) -> Iterator[StudyLine]:
        """All studies, in the order in which they were announced."""
        last = 0
        while True:
            with self._lock:
                rows = self._db.execute("SELECT * FROM studies WHERE id > ? ORDER BY id LIMIT 500", (last,)).fetchall()
            if not rows:
                return
            last = int(rows[-1][0])
            yield from map(_line, rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
        if self._guard is not None:
            self._guard.close()

    def __enter__(self) -> Self:
        self.put("opened", time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(row: tuple[Any, ...]) -> StudyLine:
    _, uid, date, state, attempts, said_series, said_instances, stored = row
    return StudyLine(uid, date, state, attempts, said_series, said_instances, **json.loads(stored))
