"""Caches of what can be made again: bounded, checked, and harmless when deleted."""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DiskCache", "MemoryCache"]

_MAGIC: Final = b"hilumC1\n"


class MemoryCache:
    """The most recently used values, up to a number of bytes; thread-safe.

    Parameters
    ----------
    max_bytes : int
        Of all values.
    largest : int, optional
        A value above it is not kept; an eighth of all unless said.
    """

    def __init__(self, max_bytes: int, largest: int | None = None) -> None:
        self.max_bytes = max_bytes
        self._largest = max_bytes // 8 if largest is None else largest
        self._used = 0
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def get(self, key: str) -> bytes | None:
        """Return the value, None when it is not kept."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def put(self, key: str, value: bytes) -> None:
        """Keep the value, and drop the ones that were not used for longest."""
        if len(value) > self._largest:
            return
        with self._lock:
            self._used += len(value) - len(self._values.pop(key, b""))
            self._values[key] = value
            while self._used > self.max_bytes:
                self._used -= len(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._used = 0

    def _after_fork(self) -> None:
        self._lock = threading.Lock()


class DiskCache:
    """Values as files below a folder, each with a checksum; many processes may share it.

    Parameters
    ----------
    folder : Path
        Made with the first value. May be deleted at any time.
    max_bytes : int
        Beyond it the files that were not used for longest are deleted.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max = max_bytes
        self._written = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def get(self, key: str) -> bytes | None:
        """Return the value; None when there is none, or when its file is damaged.

        Parameters
        ----------
        key : str
            Hex digits: keys come from hashes, never from names.
        """
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        value = data[12:]
        if data[:8] != _MAGIC or data[8:12] != zlib.crc32(value).to_bytes(4, "little"):
            with suppress(OSError):
                path.unlink()
            return None
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep the value if the disk allows it; a cache that cannot be written is no error."""
        if len(value) > self._max // 8:
            return
        path = self._path(key)
        temporary = path.with_name(f"{key}.{os.getpid()}.{threading.get_ident()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.write(_MAGIC + zlib.crc32(value).to_bytes(4, "little"))
                stream.write(value)
            temporary.replace(path)
            self._evict(len(value))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _evict(self, written: int) -> None:
        """Look at the whole folder each time a sixteenth of the limit was written."""
        with self._lock:
            self._written += written
            if self._written < self._max // 16:
                return
            self._written = 0
        files = []
        for path in self._folder.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                files.append((max(status.st_atime_ns, status.st_mtime_ns), status.st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used <= self._max:
                break
            with suppress(OSError):
                path.unlink()
                used -= size

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
