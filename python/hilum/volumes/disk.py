"""The folder of volumes: what is in it, who makes what, what goes when it is full.

``ROOT/volumes/KEY.zarr`` is a whole volume or is not there: it is written under ``ROOT/volumes/tmp`` and renamed. Who
makes a volume holds a lock on ``KEY.lock``; others wait for it. Who evicts renames it away first; mappings and open
files stay good. What is evicted may be kept compressed, ``KEY.warm``. Bytes of another boot are trusted only if they
were synced.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hilum.errors import Unavailable
from hilum.volumes.warm import compress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["VolumeDisk"]

LOGGER = logging.getLogger("hilum.volumes")
_NO_SPACE: Final = 201
_STALE_S: Final = 6 * 3600.0


class VolumeDisk:
    """``ROOT/volumes``; thread-safe, shared with other processes.

    Parameters
    ----------
    root : Path
        Made with the first volume. May be deleted at any time.
    disk_bytes : int
        Of all volumes; beyond it those that were not used for longest go.
    warm_bytes : int
        Of all that were evicted and are kept compressed; 0: none are.
    reserve_bytes : int
        Of the disk that are left free.
    """

    def __init__(self, root: Path, *, disk_bytes: int, warm_bytes: int, reserve_bytes: int) -> None:
        self._root = root
        self.disk_bytes = disk_bytes
        self._warm_bytes = warm_bytes
        self.reserve_bytes = reserve_bytes
        self._cooling = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._cooling = threading.Lock()

    def folder(self, key: str) -> Path:
        """Where a volume is if it is there."""
        return self._root / f"{key}.zarr"

    def find(self, key: str) -> Path | None:
        """Folder of a volume if it is there and whole."""
        return self._trusted(self.folder(key))

    def find_warm(self, key: str) -> Path | None:
        """Folder of a compressed volume if it is there and whole."""
        return self._trusted(self._root / f"{key}.warm")

    def _trusted(self, folder: Path) -> Path | None:
        try:
            boot = (folder / "boot").read_text()
        except OSError:
            return None
        return folder if boot in ("", _boot_id()) else None  # a power cut may have torn what was not synced

    # Making

    @contextlib.contextmanager
    def building(self, key: str) -> Iterator[None]:
        """Hold the lock of a volume; who waits gets it when the other is done."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        path = self.temporary / f"{key}.lock"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not _is_file(descriptor, path):  # the one before has removed it
                    continue
                try:
                    yield
                finally:
                    with contextlib.suppress(OSError):
                        path.unlink()
                return
            finally:
                os.close(descriptor)

    def new(self, key: str) -> Path:
        """Make an empty folder to write a volume into; its lock is held."""
        for leftover in self.temporary.glob(f"{key}.*"):  # of a process that died
            if leftover.suffix != ".lock":
                shutil.rmtree(leftover, ignore_errors=True)
        work = self.temporary / f"{key}.{uuid.uuid4().hex}"
        work.mkdir()
        return work

    def publish(self, work: Path, key: str) -> Path:
        """Make a written folder the volume, all at once; it is synced behind."""
        folder = self.folder(key)
        self._publish(work, folder)
        return folder

    def _publish(self, work: Path, folder: Path) -> None:
        (work / "boot").write_text(_boot_id())
        if folder.exists():
            self._throw_away(folder)
        work.rename(folder)
        threading.Thread(target=_settle, args=(folder,), name="hilum-volume-sync", daemon=True).start()

    # Evicting

    def make_room(self, needed: int, evict: Callable[[str], None]) -> None:
        """Evict what was not used for longest until `needed` bytes fit into the limit and on the disk.

        Parameters
        ----------
        needed : int
        evict : callable
            Told the key of each volume before it goes.

        Raises
        ------
        Unavailable
            The disk is full of other things.
        """
        self._sweep_temporary()
        volumes = sorted(self._volumes(".zarr"))
        used = sum(size for _, size, _ in volumes)
        while volumes and (used + needed > self.disk_bytes or self._free() < needed):
            _, size, folder = volumes.pop(0)
            evict(folder.stem)
            self._evict(folder, keep=self._warm_bytes > 0 and self._free() >= needed)
            used -= size
        for _, _, folder in sorted(self._volumes(".warm")) if self._free() < needed else ():
            if self._free() < needed:
                self._throw_away(folder)
        free = self._free()
        if free < needed:
            message = f"no space for a volume: {needed} bytes are needed, {max(free, 0)} are free"
            raise Unavailable(message, code=_NO_SPACE)

    def remove(self, key: str, *, warm: bool = False) -> None:
        """Delete a volume, or what is kept of it; files that are open and mappings stay good."""
        self._throw_away(self._root / f"{key}.{'warm' if warm else 'zarr'}")

    def _throw_away(self, folder: Path) -> None:
        gone = self.temporary / f"gone-{folder.stem}.{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            self.temporary.mkdir(parents=True, exist_ok=True)
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _evict(self, folder: Path, *, keep: bool) -> None:
        if not keep or self.find_warm(folder.stem) is not None:
            self._throw_away(folder)
            return
        gone = self.temporary / f"gone-{folder.stem}.{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            folder.rename(gone)
            threading.Thread(target=self.cool, args=(gone, folder.stem), name="hilum-volume-cool", daemon=True).start()

    def cool(self, gone: Path, key: str) -> None:
        """Keep an evicted volume compressed, and delete it; a warm volume more or less is no error."""
        work = self.temporary / f"warm-{key}.{uuid.uuid4().hex}"
        try:
            with self._cooling:
                work.mkdir()
                size = compress(gone, work)
                if size <= self._warm_bytes:
                    self._publish(work, self._root / f"{key}.warm")
                    self._sweep_warm()
        except (OSError, ValueError, RuntimeError) as error:
            LOGGER.warning("a volume was not kept compressed: %s", type(error).__name__)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(gone, ignore_errors=True)

    def _sweep_warm(self) -> None:
        volumes = sorted(self._volumes(".warm"))
        used = sum(size for _, size, _ in volumes)
        for _, size, folder in volumes:
            if used <= self._warm_bytes:
                break
            self._throw_away(folder)
            used -= size

    def _sweep_temporary(self) -> None:
        """Delete what processes that died have left hours ago."""
        before = time.time() - _STALE_S
        for path in self.temporary.glob("*"):
            with contextlib.suppress(OSError):
                if path.suffix != ".lock" and path.stat().st_mtime < before:
                    shutil.rmtree(path, ignore_errors=True)

    def touch(self, folder: Path) -> None:
        """Note that a volume is used."""
        with contextlib.suppress(OSError):
            os.utime(folder / "size")

    def _volumes(self, suffix: str) -> Iterator[tuple[int, int, Path]]:
        """(last use in ns, bytes, folder) of what is published."""
        for folder in self._root.glob(f"*{suffix}"):
            with contextlib.suppress(OSError, ValueError):
                yield (folder / "size").stat().st_mtime_ns, int((folder / "size").read_text()), folder

    def _free(self) -> int:
        status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize - self.reserve_bytes

    @property
    def temporary(self) -> Path:
        """Where volumes are made and thrown away."""
        return self._root / "tmp"


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@cache
def _boot_id() -> str:
    """Which boot of the machine this is; empty where that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _settle(folder: Path) -> None:
    """Sync a published volume, and write down that it may be trusted after a power cut."""
    try:
        for path in [*(p for p in folder.rglob("*") if p.is_file()), folder]:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        settled = folder / "boot.new"
        settled.write_text("")
        settled.replace(folder / "boot")
    except OSError as error:
        LOGGER.debug("a volume was not synced: %s", error.strerror)
