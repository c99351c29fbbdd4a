"""The ledger of an import: one JSON line per source file, and what a later run need not do again.

``ROOT/imports/<id>.jsonl``; the id follows from the folders and files that were named, so the same command continues
the same ledger. A line is written only after its object is durable and findable. A torn last line (power cut) is
ignored.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["DONE", "STATUSES", "Ledger", "LedgerLine", "import_id"]

STATUSES: Final = (
    "stored",
    "duplicate",
    "replaced",
    "conflict",
    "quarantined",
    "not_dicom",
    "dicomdir",
    "container",
    "failed",
)
"""What can become of a source file. ``container`` is a ZIP file that was read to its end."""

DONE: Final = frozenset({"stored", "duplicate", "replaced", "conflict", "not_dicom", "dicomdir", "container"})
"""Statuses that a later run does not have to look at again while the file is unchanged."""


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """What became of one source file."""

    path: str
    """As found; a member of a ZIP file is ``archive.zip!folder/member``."""
    size: int
    mtime_ns: int
    status: str
    reason: str = ""
    uid: str = ""
    """SOP Instance UID, where there is one."""
    sha256: str = ""
    """Of the whole file, in hex."""

    def to_json(self) -> str:
        """One line of the ledger, ASCII, without the line end."""
        values: dict[str, Any] = {
            "path": self.path,
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "status": self.status,
        }
        if self.reason:
            values["reason"] = self.reason
        if self.uid:
            values["uid"] = self.uid
        if self.sha256:
            values["sha256"] = self.sha256
        return json.dumps(values)


def import_id(sources: Sequence[str | os.PathLike[str]]) -> str:
    """Name of the ledger for these sources: the same for the same absolute paths in any order."""
    names = sorted({os.path.abspath(os.fsdecode(os.fspath(source))) for source in sources})
    joined = "\0".join(names).encode("utf-8", "surrogateescape")
    return hashlib.sha256(joined).hexdigest()[:16]


class Ledger:
    """The ledger of one import; appended to by one or more processes, read once when opened.

    Parameters
    ----------
    path : Path
        The ``.jsonl`` file. It is created with the first line that is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._keys = array("q")
        self._offsets = array("q")
        if path.exists():
            self._load()

    def __len__(self) -> int:
        """Count the files that need not be looked at again."""
        return len(self._keys)

    def done(self, path: str, size: int, mtime_ns: int) -> LedgerLine | None:
        """Return the last line that says this file, of this size and time, is done; None: work to do."""
        key = hash((path, size, mtime_ns))
        at = bisect.bisect_right(self._keys, key) - 1
        while at >= 0 and self._keys[at] == key:
            line = self._line_at(self._offsets[at])
            if line is not None and (line.path, line.size, line.mtime_ns) == (path, size, mtime_ns):
                return line
            at -= 1
        return None

    def write(self, lines: Iterable[LedgerLine]) -> None:
        """Append lines with a single write, so that two importers do not mix theirs."""
        text = "".join(line.to_json() + "\n" for line in lines)
        if text:
            self._append(text)

    def note(self, **values: Any) -> None:
        """Append a line about the run itself; it has no ``path``."""
        self._append(json.dumps(values) + "\n")

    def close(self) -> None:
        """Close the file; what was written stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, text: str) -> None:
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
                self._end_torn_line()
            data = text.encode("ascii")
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise Unavailable(f"{self.path}: the import ledger cannot be written: {error.strerror}") from error

    def _end_torn_line(self) -> None:
        """Start a new line when a crash has left the last one without its end."""
        assert self._file is not None
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def _load(self) -> None:
        keys = array("q")
        offsets = array("q")
        offset = 0
        try:
            with self.path.open("rb") as stream:
                for raw in stream:
                    line = _parse(raw)
                    if line is not None and line.status in DONE:
                        keys.append(hash((line.path, line.size, line.mtime_ns)))
                        offsets.append(offset)
                    offset += len(raw)
        except OSError as error:
            raise Unavailable(f"{self.path}: the import ledger cannot be read: {error.strerror}") from error
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = array("q", (keys[i] for i in order))
        self._offsets = array("q", (offsets[i] for i in order))

    def _line_at(self, offset: int) -> LedgerLine | None:
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return _parse(stream.readline())


def _parse(raw: bytes) -> LedgerLine | None:
    """Read one line; None for notes about a run and for torn or foreign lines."""
    try:
        values = json.loads(raw)
        return LedgerLine(
            path=str(values["path"]),
            size=int(values["size"]),
            mtime_ns=int(values["mtime_ns"]),
            status=str(values["status"]),
            reason=str(values.get("reason", "")),
            uid=str(values.get("uid", "")),
            sha256=str(values.get("sha256", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None
