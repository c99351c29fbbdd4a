"""The folder of an archive, and what one process has open of it.

LMDB allows one environment per process and file, and one process should have one committer: whoever opens the same
archive again in the same process gets the same parts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import threading
import time
import uuid as uuids
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hilum.archive import recovery
from hilum.archive.committer import Committer
from hilum.archive.importer import TEMPORARY_PREFIX
from hilum.archive.incoming import remove_leftovers
from hilum.archive.remembered import SeriesMemory
from hilum.archive.retrieve import Retriever
from hilum.errors import DataError, NotFound, Unavailable, UsageError
from hilum.storage.base import PackSettings
from hilum.storage.packs import PackStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hilum.archive.recovery import RebuildReport
    from hilum.config import Settings
    from hilum.index.base import Index
    from hilum.volumes.store import VolumeStore

__all__ = [
    "FORMAT",
    "READ_ONLY",
    "Parts",
    "acquire",
    "alone",
    "cannot_write",
    "create_root",
    "read_identity",
    "release",
    "require_identity",
]

FORMAT: Final = 1
"""Version of the layout of an archive's folder."""

IDENTITY: Final = "hilum.json"
READ_ONLY: Final = 203
"""Code of errors about something that cannot be written (``hilum::Errc::read_only``)."""

_BAD_VERSION: Final = 14
_log = logging.getLogger("hilum.archive")


@dataclass(slots=True)
class Parts:
    """What one process has open of one archive."""

    root: Path
    read_only: bool
    packs: PackStore
    index: Index
    ingest: Committer
    retrieve: Retriever
    recovered: RebuildReport
    resources: contextlib.ExitStack
    settings: Settings
    series: SeriesMemory
    users: int = 1
    _volumes: VolumeStore | None = None

    @property
    def volumes(self) -> VolumeStore:
        """Volumes of the archive, opened when they are first asked for."""
        if self._volumes is None:
            from hilum.archive.volumes import open_volumes

            self._volumes = open_volumes(self.root, self.packs, self.retrieve, self.settings, read_only=self.read_only)
        return self._volumes


_open_parts: dict[Path, Parts] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def acquire(
    root: Path,
    identity: uuids.UUID,
    settings: Settings,
    *,
    read_only: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Parts:
    """Open the parts of an archive, or share those that this process has open; `release` gives them back.

    Raises
    ------
    Unavailable
        This process has it open for reading only, and it is to be written.
    """
    key = root.resolve()
    with _lock:
        parts = _open_parts.get(key)
        if parts is not None:
            if parts.read_only and not read_only:
                raise Unavailable(
                    f"{root}: this program has it open for reading only; close that first", code=READ_ONLY
                )
            parts.users += 1
            return parts
        parts = _open(key, identity, settings, read_only=read_only, progress=progress)
        _open_parts[key] = parts
        return parts


def release(parts: Parts) -> None:
    """Give parts back; the last user commits what is queued and closes them."""
    with _lock:
        parts.users -= 1
        if parts.users:
            return
        _open_parts.pop(parts.root, None)
        parts.ingest.close()
        parts.resources.close()


def _open(
    root: Path,
    identity: uuids.UUID,
    settings: Settings,
    *,
    read_only: bool,
    progress: Callable[[int, int], None] | None,
) -> Parts:
    with contextlib.ExitStack() as stack:
        stack.enter_context(in_use(root))
        if not read_only:
            require_writable(root)
            with contextlib.suppress(OSError):
                remove_leftovers(root / "tmp", prefix=TEMPORARY_PREFIX)
        pack_settings = PackSettings(
            pack_bytes=settings.storage.pack_bytes, reserve_bytes=settings.storage.reserve_bytes
        )
        packs = PackStore.open(root, archive_uuid=identity.bytes, settings=pack_settings, read_only=read_only)
        stack.callback(packs.close)
        index = recovery.open_index(root, packs, settings, read_only=read_only)
        stack.callback(index.close)
        packs.follow_index(lambda number: recovery.indexed_to(index, number))
        recovered = recovery.RebuildReport()
        if not read_only:
            recovered = recovery.recover(root, packs, index, settings, progress)
        cache = None if read_only else root / "cache"
        retrieve = Retriever(packs, index, str(identity), cache, settings.cache)
        memory = SeriesMemory(index)
        ingest = Committer(packs, index, settings, index.latest_ns())
        return Parts(root, read_only, packs, index, ingest, retrieve, recovered, stack.pop_all(), settings, memory)


def read_identity(root: Path) -> uuids.UUID | None:
    """Read the UUID of the archive at `root`, None when there is no archive."""
    path = root / IDENTITY
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: damaged; restore it from a backup") from error
    try:
        values = json.loads(text)
        version = values["format"]
        if not isinstance(version, int) or isinstance(version, bool):
            raise TypeError
        if version != FORMAT:  # before anything else: what else another version writes is not known
            raise DataError(
                f"{root}: an archive of format {version}; this version of hilum reads and writes format {FORMAT}",
                code=_BAD_VERSION,
            )
        return uuids.UUID(values["uuid"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{path}: damaged; restore it from a backup") from error


def require_identity(root: Path) -> uuids.UUID:
    """Read the UUID of the archive at `root`; NotFound when there is none."""
    identity = read_identity(root)
    if identity is None:
        raise NotFound(f"{root}: there is no archive")
    return identity


def create_root(root: Path) -> uuids.UUID:
    """Make a new archive; when two processes do so at once, both get the same one."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o750)
        strangers = [n for n in os.listdir(root) if n != "lost+found" and not n.startswith(IDENTITY)]
        if strangers and not (root / IDENTITY).exists():
            raise UsageError(f"{root}: not an archive, and not empty; name an empty folder for a new archive")
        identity = uuids.uuid4()
        values = {
            "format": FORMAT,
            "uuid": str(identity),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        temporary = root / f"{IDENTITY}.{identity}"
        with temporary.open("x", encoding="ascii") as stream:
            stream.write(json.dumps(values, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, root / IDENTITY)
        temporary.unlink()
        for folder in (root, root.parent):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise cannot_write(root, error) from error
    return require_identity(root)


def require_writable(root: Path) -> None:
    """Find out before the first object comes whether the folder takes files."""
    probe = root / f".write-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        probe.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise cannot_write(root, error) from error


def cannot_write(root: Path, error: OSError) -> Unavailable:
    """Make the error for a folder that cannot be written."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        message = f"{root}: cannot be written ({error.strerror}); an archive can be opened there for reading only"
        return Unavailable(message, code=READ_ONLY)
    return Unavailable(f"{root}: {error.strerror}", code=201 if error.errno == errno.ENOSPC else 200)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the lock that nobody can hold who has the archive open."""
    descriptor = os.open(root / IDENTITY, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Unavailable(f"{root}: others have the archive open; stop them first") from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def in_use(root: Path) -> Iterator[int]:
    """Hold the shared lock that tells `hilum index rebuild` of others."""
    descriptor = os.open(root / IDENTITY, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"{root}: the index is being rebuilt; try again when that is done") from None
        except OSError as error:
            _log.warning("%s: the file system has no locks (%s)", root, error.strerror)
        yield descriptor
    finally:
        os.close(descriptor)
