"""Quarantine: DICOM files that could not be stored, kept with the reason until somebody looks at them.

``ROOT/quarantine/<sha256>.dcm`` holds the bytes, ``<sha256>.json`` where they came from and why they were refused. The
same bytes are kept once. The folder is bounded: beyond the limit only the reasons are kept. Names come from the hash
alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Quarantine", "QuarantineItem"]

_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class QuarantineItem:
    """One refused file."""

    sha256: str
    source: str
    """Path it came from, as found."""
    reason: str
    code: int
    """``hilum::Errc`` of the core."""
    offset: int | None
    """Byte at which it went wrong."""
    size: int
    kept: bool
    """Whether the bytes are there, or the limit was reached."""
    time: str
    """UTC, ISO 8601."""


class Quarantine:
    """The folder of refused files of one archive; thread-safe.

    Parameters
    ----------
    folder : Path
        ``ROOT/quarantine``, made with the first file.
    max_bytes : int
        Bytes of copies in all.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._used: int | None = None

    def add(self, source: str, data: bytes | memoryview | Path, reason: str, code: int, offset: int | None) -> str:
        """Keep the bytes and the reason; return the SHA-256 in hex.

        Raises
        ------
        Unavailable
            The folder cannot be written.
        """
        try:
            digest, size = _digest(data)
            with self._lock:
                self.folder.mkdir(parents=True, exist_ok=True)
                kept = self._keep(digest, size, data)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                item = QuarantineItem(digest, source, reason, code, offset, size, kept, stamp)
                values = {name: getattr(item, name) for name in QuarantineItem.__slots__}
                _write_new(self.folder / f"{digest}.json", json.dumps(values, indent=1).encode("ascii"))
            return digest
        except OSError as error:
            raise Unavailable(f"{self.folder}: the quarantine cannot be written: {error.strerror}") from error

    def items(self) -> Iterator[QuarantineItem]:
        """All refused files, in the order of their hashes."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.json")):
            try:
                values: dict[str, Any] = json.loads(path.read_bytes())
                yield QuarantineItem(**{name: values[name] for name in QuarantineItem.__slots__})
            except (OSError, ValueError, KeyError):
                continue

    def _keep(self, digest: str, size: int, data: bytes | memoryview | Path) -> bool:
        target = self.folder / f"{digest}.dcm"
        if target.exists():
            return True
        if self._used is None:
            self._used = sum(p.stat().st_size for p in self.folder.glob("*.dcm"))
        if self._used + size > self.max_bytes:
            return False
        if isinstance(data, Path):
            temporary = target.with_suffix(f".{os.getpid()}.tmp")
            shutil.copyfile(data, temporary)
            temporary.replace(target)
        else:
            _write_new(target, data)
        self._used += size
        return True


def _digest(data: bytes | memoryview | Path) -> tuple[str, int]:
    hasher = hashlib.sha256()
    if not isinstance(data, Path):
        hasher.update(data)
        return hasher.hexdigest(), len(data)
    size = 0
    with data.open("rb") as stream:
        while step := stream.read(_STEP):
            hasher.update(step)
            size += len(step)
    return hasher.hexdigest(), size


def _write_new(path: Path, data: bytes | memoryview) -> None:
    """Write the whole file or nothing under its name."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
