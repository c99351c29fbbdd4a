"""Volumes on disk: made once, whichever process asks first, published whole, evicted by a size limit.

``ROOT/volumes/KEY.zarr`` is a whole volume or is not there: it is written under ``ROOT/volumes/tmp`` and renamed. Who
makes a volume holds a lock on ``KEY.lock``; others wait for it. Who evicts renames it away first; mappings and open
files stay good. Bytes of another boot are trusted only if they were synced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from hilum.errors import DataError, HilumError, LimitExceeded, NotFound, Unavailable
from hilum.volumes.assemble import assemble
from hilum.volumes.build import build, bytes_needed, key_of
from hilum.volumes.geometry import read_frames
from hilum.volumes.volume import Volume, open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hilum._core import VolumeView
    from hilum.index.base import InstanceRecord
    from hilum.storage.packs import PackStore
    from hilum.volumes.assemble import Assembly, Stack
    from hilum.volumes.build import Decode
    from hilum.volumes.geometry import SeriesFrames

__all__ = ["VolumeStore"]

LOGGER = logging.getLogger("hilum.volumes")
_NO_SPACE: Final = 201
_READ_ONLY: Final = 203
_KEPT_ASSEMBLIES: Final = 32
_KEPT_VIEWS: Final = 64
_ATTEMPTS: Final = 3
_LOOK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a series."""

    series: SeriesFrames
    assembly: Assembly
    volumes: dict[int, Volume] = field(default_factory=dict)
    """By number of the stack, as they were asked for."""


class VolumeStore:
    """The volumes of an archive; thread-safe, shared with other processes.

    Parameters
    ----------
    root : Path
        ``ROOT/volumes``; made with the first volume. May be deleted at any time.
    packs : PackStore
    disk_bytes : int
        All volumes together; beyond it those that were not used for longest go.
    reserve_bytes : int
        Of the disk that are left free.
    current : callable
        Finds an object again that compaction has moved.
    decode : callable
        ``decode(refs, out)``: stored values of frames.
    suv_factor : callable
        ``suv_factor(record, kind)``: rescaled values of a PET object to SUV.
    read_only : bool
        Make nothing on disk.
    """

    def __init__(
        self,
        root: Path,
        packs: PackStore,
        *,
        disk_bytes: int,
        reserve_bytes: int,
        current: Callable[[InstanceRecord], InstanceRecord],
        decode: Decode,
        suv_factor: Callable[[InstanceRecord, str], float],
        read_only: bool,
    ) -> None:
        self._root = root
        self._packs = packs
        self._disk_bytes = disk_bytes
        self._reserve_bytes = reserve_bytes
        self._current = current
        self.decode = decode
        self._suv_factor = suv_factor
        self._read_only = read_only
        self._assemblies: OrderedDict[tuple[bytes, ...], _Known] = OrderedDict()
        self._views: OrderedDict[tuple[str, int, int], VolumeView] = OrderedDict()
        self._looked = monotonic()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    # What there is

    def assembly(self, records: Sequence[InstanceRecord]) -> Assembly:
        """Find the stacks that some instances make; remembered.

        Raises
        ------
        NotFound
            An object has been deleted meanwhile.
        DataError
            A header is damaged.
        """
        return self._known(records).assembly

    def volume(self, records: Sequence[InstanceRecord], stack: int = 0) -> Volume:
        """Return a volume of some instances; its bricks need not be there.

        Raises
        ------
        NotAVolume
            They make none, or not so many; the message has the reasons.
        """
        known = self._known(records)
        if stack not in known.volumes:
            chosen = known.assembly.stack(stack)
            known.volumes[stack] = Volume(self, known.series, chosen, key_of(known.series, chosen))
        return known.volumes[stack]

    def forget(self) -> None:
        """Forget what is remembered of headers and views."""
        with self._lock:
            self._assemblies.clear()
            self._views.clear()

    def _known(self, records: Sequence[InstanceRecord]) -> _Known:
        key = tuple(record.sha256 for record in records)
        with self._lock:
            known = self._assemblies.get(key)
            if known is not None:
                self._assemblies.move_to_end(key)
                return known
        try:
            series = read_frames(self._packs, records)
        except NotFound:  # compaction removed a pack meanwhile
            series = read_frames(self._packs, [self._current(record) for record in records])
        known = _Known(series, assemble(series))
        with self._lock:
            self._assemblies[key] = known
            while len(self._assemblies) > _KEPT_ASSEMBLIES:
                self._assemblies.popitem(last=False)
        return known

    def find(self, key: str) -> Path | None:
        """Folder of a volume if it is there and whole."""
        folder = self._folder(key)
        try:
            boot = (folder / "boot").read_text()
        except OSError:
            return None
        if boot not in ("", _boot_id()):  # a power cut may have torn what was not synced
            return None
        return folder

    def suv_factor(self, series: SeriesFrames, stack: Stack, kind: str) -> float:
        """Factor from rescaled values to SUV, from the header of the stack's first frame."""
        return self._suv_factor(series.records[series.objects[int(stack.frames[0, 0])]], kind)

    # Views

    def view_if_built(self, stack: Stack, key: str, level: int, time: int) -> VolumeView | None:
        """Map a level if its bricks are there."""
        name = (key, level, time)
        with self._lock:
            known = self._views.get(name)
            if known is not None:
                self._views.move_to_end(name)
        folder = self.find(key)
        if known is None and folder is not None:
            known = self._open(folder, stack, key, level, time)
        if known is None:
            return None
        if folder is None:  # evicted by another process: its space is free when nobody maps it any more
            with self._lock:
                self._views.pop(name, None)
            return known
        _touch(folder)
        with self._lock:
            self._views[name] = known
            while len(self._views) > _KEPT_VIEWS:
                self._views.popitem(last=False)
        self._drop_evicted()
        return known

    def _drop_evicted(self) -> None:
        """Let go of views whose volumes are gone, once in a while."""
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        with self._lock:
            self._looked = now
            for name in [name for name in self._views if not self._folder(name[0]).exists()]:
                del self._views[name]

    def _open(self, folder: Path, stack: Stack, key: str, level: int, time: int) -> VolumeView | None:
        """Map a level; None if the folder is gone or damaged, and then it is removed."""
        try:
            return open_view(folder, stack, level, time)
        except (NotFound, DataError) as error:
            if self._read_only:
                return None
            if isinstance(error, DataError):
                LOGGER.warning("a damaged volume is made again: %s", error)
            self.remove(key)
            return None

    def view(self, series: SeriesFrames, stack: Stack, key: str, level: int, time: int) -> VolumeView:
        """Map a level; its bricks are made if they are not there. Errors: those of `ensure`."""
        for _ in range(_ATTEMPTS):
            view = self.view_if_built(stack, key, level, time) or self._ensure(series, stack, key, (level, time))[1]
            if view is not None:
                return view
        raise Unavailable("the volume is evicted as soon as it is made; raise volumes.disk_bytes")

    # Making and evicting

    def ensure(self, series: SeriesFrames, stack: Stack, key: str) -> Path:
        """Return the folder of a volume, making it if it is not there.

        Raises
        ------
        DataError
            A frame cannot be decoded.
        LimitExceeded
            It is larger than all volumes may be together.
        Unavailable
            The disk is full, or the archive is open for reading only.
        """
        return self._ensure(series, stack, key, None)[0]

    def _ensure(
        self, series: SeriesFrames, stack: Stack, key: str, wanted: tuple[int, int] | None
    ) -> tuple[Path, VolumeView | None]:
        """Folder of a volume; if it was made, also the view of the (level, time) that is wanted, whatever evicts it."""
        folder = self.find(key)
        if folder is not None:
            _touch(folder)
            return folder, None
        if self._read_only:
            raise Unavailable("the archive is open for reading only: bricks cannot be made", code=_READ_ONLY)
        needed = bytes_needed(stack)
        if needed > self._disk_bytes:
            raise LimitExceeded(f"the volume takes {needed} bytes, volumes.disk_bytes allows {self._disk_bytes}")
        with self._os_errors(), self._building(key):
            folder = self.find(key)
            if folder is not None:
                return folder, None
            self.make_room(needed)
            return self._make(series, stack, key, wanted)

    def _make(
        self, series: SeriesFrames, stack: Stack, key: str, wanted: tuple[int, int] | None
    ) -> tuple[Path, VolumeView | None]:
        for leftover in self._temporary.glob(f"{key}.*"):  # of a process that died: we hold the lock
            if leftover.suffix != ".lock":
                shutil.rmtree(leftover, ignore_errors=True)
        work = self._temporary / f"{key}.{uuid.uuid4().hex}"
        work.mkdir()
        try:
            build(self._packs, series, stack, work, self._current, self.decode)
            (work / "boot").write_text(_boot_id())
            view = None if wanted is None else open_view(work, stack, *wanted)
            folder = self._folder(key)
            if folder.exists():
                self.remove(key)
            work.rename(folder)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        threading.Thread(target=_settle, args=(folder,), name="hilum-volume-sync", daemon=True).start()
        return folder, view

    def make_room(self, needed: int) -> None:
        """Evict what was not used for longest until `needed` bytes fit into the limit and on the disk.

        Raises
        ------
        Unavailable
            The disk is full of other things.
        """
        volumes = sorted(self._volumes())
        used = sum(size for _, size, _ in volumes)
        while volumes and (used + needed > self._disk_bytes or self._free() < needed):
            _, size, key = volumes.pop(0)
            self.remove(key)
            used -= size
        free = self._free()
        if free < needed:
            message = f"no space for a volume: {needed} bytes are needed, {max(free, 0)} are free"
            raise Unavailable(message, code=_NO_SPACE)

    def remove(self, key: str) -> None:
        """Evict a volume; views of it stay good."""
        with self._lock:
            for name in [name for name in self._views if name[0] == key]:
                del self._views[name]
        gone = self._temporary / f"{key}.{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            self._temporary.mkdir(parents=True, exist_ok=True)
            self._folder(key).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _volumes(self) -> Iterator[tuple[int, int, str]]:
        """(last use in ns, bytes, key) of what is published."""
        for folder in self._root.glob("*.zarr"):
            with contextlib.suppress(OSError, ValueError):
                yield (folder / "size").stat().st_mtime_ns, int((folder / "size").read_text()), folder.stem

    def _free(self) -> int:
        status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize - self._reserve_bytes

    def _folder(self, key: str) -> Path:
        return self._root / f"{key}.zarr"

    @property
    def _temporary(self) -> Path:
        return self._root / "tmp"

    @contextlib.contextmanager
    def _building(self, key: str) -> Iterator[None]:
        """Hold the lock of a volume; who waits gets it when the other is done."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        path = self._temporary / f"{key}.lock"
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

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, HilumError):
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            message = f"a volume cannot be written: {error.strerror}"
            raise Unavailable(message, code=_NO_SPACE if full else 200) from error


def _touch(folder: Path) -> None:
    """Note that a volume is used."""
    with contextlib.suppress(OSError):
        os.utime(folder / "size")


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


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
