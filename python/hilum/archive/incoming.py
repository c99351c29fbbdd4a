"""Objects while they arrive.

Small ones in memory, large ones in ``ROOT/incoming``, all within one budget of the process.

Services write what they receive into a `Spool` and give it to the archive when it is complete. Nothing in the
folder was acknowledged, so what a crash left there is deleted at the next start; a lock on each file tells what is
in use by another process.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hilum.dicom.scan import extract
from hilum.errors import HilumError, LimitExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Incoming", "Spool", "remove_leftovers"]

_SUFFIX: Final = ".part"
_YOUNG_S: Final = 30.0
_BUFFER: Final = 1 << 18
_PEEK_BYTES: Final = 1 << 16


class Incoming:
    """The folder and the budget that all spools of a process share; thread-safe.

    Parameters
    ----------
    folder : Path
        Inside the archive, so that the disk that fills is the one that is watched. Made when first needed.
    spool_above_bytes : int
        Larger objects go to a file.
    memory_bytes : int
        All objects in memory together; beyond it the next bytes go to files.
    max_object_bytes : int
        Larger objects are refused.
    """

    def __init__(
        self,
        folder: Path,
        *,
        spool_above_bytes: int = 8 << 20,
        memory_bytes: int = 64 << 20,
        max_object_bytes: int = 64 << 30,
    ) -> None:
        self.folder = folder
        self.spool_above_bytes = spool_above_bytes
        self.memory_bytes = memory_bytes
        self.max_object_bytes = max_object_bytes
        self._lock = threading.Lock()
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes in memory now."""
        return self._used

    def take(self, size: int) -> int:
        """Add to the bytes in memory (negative: give back); the new sum."""
        with self._lock:
            self._used += size
            return self._used

    def spool(self) -> Spool:
        """Begin an object."""
        return Spool(self)

    def remove_leftovers(self) -> int:
        """Delete what a process that is gone has left; how many files."""
        return remove_leftovers(self.folder, suffix=_SUFFIX)


def remove_leftovers(folder: Path, *, prefix: str = "", suffix: str = "") -> int:
    """Delete files that a process which is gone has left in a folder; how many.

    Whoever makes such a file holds a shared lock on it (``flock``) as long as it is needed; the lock goes with the
    process. A file that is younger than 30 s may not have its lock yet.
    """
    removed = 0
    if not folder.is_dir():
        return 0
    for entry in os.scandir(folder):
        named = entry.name.startswith(prefix) and entry.name.endswith(suffix)
        if named and entry.is_file(follow_symlinks=False):
            removed += _remove_if_abandoned(Path(entry.path))
    return removed


def _remove_if_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime < _YOUNG_S:
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True


class Spool:
    """One object while it arrives. Not thread-safe; `discard` it in the end, whatever happened.

    Raises
    ------
    LimitExceeded
        From `write`: larger than ``max_object_bytes``.
    Unavailable
        From `write` and `pieces`: the file cannot be written (disk full).
    """

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._chunks: list[Any] = []
        self._held = 0
        self._file: Any = None
        self.path: Path | None = None
        """The file, once the object has one."""
        self.size = 0
        """Bytes so far."""

    def write(self, data: Any) -> None:
        """Take the next bytes; they must not be changed afterwards."""
        length = len(data)
        self.size += length
        if self.size > self._incoming.max_object_bytes:
            raise LimitExceeded(f"the object is larger than the limit of {self._incoming.max_object_bytes} bytes")
        try:
            if self._file is not None:
                self._file.write(data)
                return
            self._chunks.append(data)
            self._held += length
            used = self._incoming.take(length)
            if self._held > self._incoming.spool_above_bytes or used > self._incoming.memory_bytes:
                self._spill()
        except OSError as error:
            raise Unavailable(f"an arriving object cannot be written to disk: {error.strerror}") from error

    def _spill(self) -> None:
        self._incoming.folder.mkdir(mode=0o750, exist_ok=True)
        self.path = self._incoming.folder / f"{uuid4().hex}{_SUFFIX}"
        self._file = self.path.open("xb", buffering=_BUFFER)
        fcntl.flock(self._file, fcntl.LOCK_SH)
        for chunk in self._chunks:
            self._file.write(chunk)
        self._release()

    def _release(self) -> None:
        self._chunks = []
        if self._held:
            self._incoming.take(-self._held)
        self._held = 0

    def pieces(self) -> Sequence[Any]:
        """Give the bytes in memory; empty when they are in `path`, which is then complete."""
        if self._file is None:
            return self._chunks
        try:
            self._file.flush()
        except OSError as error:
            raise Unavailable(f"an arriving object cannot be written to disk: {error.strerror}") from error
        return ()

    def peek(self, tags: Sequence[str]) -> dict[str, str]:
        """Values of attributes near the beginning (8 hex digits), as far as they can be read; nothing is an error."""
        try:
            if self.path is None:
                begin = b"".join(self._chunks)[:_PEEK_BYTES]
            else:
                self.pieces()
                with self.path.open("rb") as file:
                    begin = file.read(_PEEK_BYTES)
            found = extract(begin, tags)
        except (HilumError, OSError):
            return {}
        return {tag: found[tag].value for tag in tags if tag in found}

    def discard(self) -> None:
        """Give back memory and file; may be called again."""
        self._release()
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            self.path = None

    def __del__(self) -> None:
        self.discard()
