"""The store of packs: files of original bytes, append-only, one writer each.

See `hilum.storage.base` for the values and ``docs/formats/pack.md`` for the files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from hilum import _core
from hilum.errors import Conflict, DataError, HilumError, NotFound, Unavailable, UsageError
from hilum.storage.base import BadRecord, Kind, NewRecord, PackInfo, PackSettings, RecordInfo, Recovered, SealInfo
from hilum.types import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from hilum.storage.base import Source

    StoredObject: TypeAlias = tuple[int, int, int, bytes, str, tuple[int | str, ...]]
    Layout: TypeAlias = tuple[tuple[int, int, int], str, float, float, float, tuple[float, ...]]
    VolumePlan: TypeAlias = tuple[Layout, npt.NDArray[Any], str, npt.NDArray[np.float64] | None]

__all__ = ["PackStore"]

_NO_SPACE, _READ_ONLY, _TRUNCATED, _BAD_RECORD = 201, 203, 1, 13
_PIECE = 1 << 20
_SPARE = 1 << 30
_FREE_SECONDS = 0.1
"""The free space is asked for again after this time, and always when there is no more than `_SPARE` to give."""
_SEAL_FULL, _SEAL_ASKED = 1, 2
_SEAL_REASONS = {1: "full", 2: "asked", 3: "abandoned", 4: "suspect"}
_SUFFIX, _REMOVED = ".pack", ".removed"

_stores: weakref.WeakSet[PackStore] = weakref.WeakSet()


class PackStore:
    """Packs of one archive: ``ROOT/packs/000000000001.pack`` and so on.

    Thread-safe. One object per process and archive; any number of processes may write at the same time, each to its own
    pack. After ``fork`` the child goes on reading, and writes to a pack of its own.

    Make one with `PackStore.open`.
    """

    def __init__(self, directory: Path, archive_uuid: bytes, settings: PackSettings, *, read_only: bool) -> None:
        self._directory = directory
        self._archive = archive_uuid
        self._settings = settings
        self._read_only = read_only
        self._lock = threading.Lock()
        self._writer: _core.PackWriter | None = None
        self._held: list[_core.PackWriter] = []
        self._known: dict[int, int] = {}
        self._indexed_to: Callable[[int], int] | None = None
        self._sealed: set[int] = set()
        self._closed = False
        self._free, self._free_until = 0, 0.0
        self._reader = _core.PackReader(os.fspath(directory), archive_uuid, settings.max_open_files)
        _stores.add(self)

    @classmethod
    def open(
        cls, root: Path, *, archive_uuid: bytes, settings: PackSettings | None = None, read_only: bool = False
    ) -> PackStore:
        """Open the packs of the archive at `root`; the folder ``packs`` is made if it is not there.

        Parameters
        ----------
        root : Path
            Folder of the archive.
        archive_uuid : bytes
            16 bytes; packs of another archive are refused.
        settings : PackSettings, optional
        read_only : bool
            Write nothing, lock nothing.

        Raises
        ------
        NotFound
            `read_only` and there is no folder of packs.
        Unavailable
            The folder cannot be made.
        """
        directory = Path(root) / "packs"
        if not directory.is_dir():
            if read_only:
                raise NotFound(f"{directory} does not exist")
            _make_directory(directory)
        return cls(directory, archive_uuid, settings or PackSettings(), read_only=read_only)

    # --- writing

    def append(self, records: Sequence[NewRecord]) -> list[Location]:
        """Append all records with one write and one flush.

        What is returned is on stable storage. What is refused has left nothing behind; the call may be repeated.

        Raises
        ------
        Unavailable
            No space, read-only, or an I/O error. After a failed flush the pack is given up; the next call uses
            a new one.
        DataError
            A CRC-32C that was given is not that of the payload.
        """
        if not records:
            return []
        new = [(r.kind, r.flags, r.received_ns, r.payload, r.sha256, r.crc32c) for r in records]
        bound = sum(memoryview(piece).nbytes for r in records for piece in r.payload) + 4096 * len(records)
        with self._lock:
            writer = self._writer_for(bound)
            with self._giving_up(writer):
                placed = writer.append(new)
            return [Location(writer.number, offset, length) for offset, length, *_ in placed]

    def append_stream(
        self, source: Source, size: int, *, kind: int = Kind.OBJECT, flags: int = 0, received_ns: int = 0
    ) -> tuple[Location, bytes, int]:
        """Append one record of `size` bytes in pieces of 1 MiB; other appends of this process wait.

        Parameters
        ----------
        source : path or object with ``readinto``
            Read from where it stands, `size` bytes.
        size : int
            Bytes of the payload.
        kind, flags, received_ns : int
            As in `NewRecord`.

        Returns
        -------
        location : Location
        sha256 : bytes
        crc32c : int

        Raises
        ------
        DataError
            The source ended early.
        Unavailable
            As in `append`, or the source cannot be read.
        """
        if size < 0:
            raise UsageError("the size of a record cannot be negative")
        with contextlib.ExitStack() as stack:
            fd = stack.enter_context(_opened(source)) if isinstance(source, str | os.PathLike) else None
            stack.enter_context(self._lock)
            writer = self._writer_for(size + size // 8192 + 4096)
            stack.enter_context(self._giving_up(writer))
            if fd is not None:
                placed = writer.append_from(fd, kind, flags, received_ns, size)
            else:
                placed = _copy(source, writer, (kind, flags, received_ns, size))
            return Location(writer.number, placed[0], placed[1]), placed[2], placed[3]

    def seal(self, pack: int | None = None) -> None:
        """Finish the pack that this store writes to, if there is one; the next append begins another.

        Parameters
        ----------
        pack : int, optional
            Finish this one instead, which nobody writes to.

        Raises
        ------
        Conflict
            Another process writes to `pack`.
        """
        with self._lock:
            if pack is None or (self._writer is not None and self._writer.number == pack):
                self._seal_current(_SEAL_ASKED)
            elif self._reader.info(pack)[3] is None:
                known = self._known.get(pack, 0)
                writer, *_ = _core.PackWriter.adopt(os.fspath(self._directory), pack, self._archive, known, True)
                if writer is None:
                    raise Conflict(f"pack {pack} is being written")
                writer.seal(_SEAL_ASKED)

    def _seal_current(self, reason: int) -> None:
        writer = self._writer
        if writer is not None:
            with self._giving_up(writer):
                writer.seal(reason)
            self._writer = None

    @contextlib.contextmanager
    def _giving_up(self, writer: _core.PackWriter) -> Iterator[None]:
        """Drop the writer when it has become useless; a lock that still protects its file is kept."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(HilumError):
                writer.cancel()
            if not writer.usable:
                self._writer = None
                self._held.append(writer)
            raise

    def _writer_for(self, size: int) -> _core.PackWriter:
        if self._closed:
            raise UsageError("the store of packs is closed")
        if self._read_only:
            raise Unavailable("the archive is open for reading only", code=_READ_ONLY)
        self._require_space(size)
        writer = self._writer
        if writer is not None and not self._has_room(writer.end, size):
            self._seal_current(_SEAL_FULL)
            writer = None
        if writer is None:
            writer = self._writer = self._adopt(size) or self._create()
        return writer

    def _has_room(self, end: int, size: int) -> bool:
        return end + size <= self._settings.pack_bytes or end <= _core.PACK_FILE_HEADER

    def _require_space(self, size: int) -> None:
        now = time.monotonic()
        self._free -= size
        if self._free >= self._settings.reserve_bytes + _SPARE and now < self._free_until:
            return
        try:
            status = os.statvfs(self._directory)
        except OSError as error:
            raise Unavailable(f"the folder of the packs cannot be used: {error.strerror}", code=200) from error
        free = status.f_bavail * status.f_frsize
        self._free, self._free_until = free - size, now + _FREE_SECONDS
        if free < size + self._settings.reserve_bytes:
            raise Unavailable(
                f"not enough free space: {size} bytes are to be stored, {self._settings.reserve_bytes} are kept free",
                code=_NO_SPACE,
            )

    def _adopt(self, size: int) -> _core.PackWriter | None:
        """Take over a pack that nobody writes to and that has room."""
        for number in reversed(self._numbers()):
            if number in self._sealed:
                continue
            try:
                if not self._adoptable(number, size):
                    continue
                known = self._known.get(number, 0)
                writer, *_ = _core.PackWriter.adopt(os.fspath(self._directory), number, self._archive, known, True)
            except (DataError, NotFound):
                continue
            except Unavailable as error:
                if error.code in (_NO_SPACE, _READ_ONLY):
                    raise
                continue
            if writer is not None:
                return writer
        return None

    def _adoptable(self, number: int, size: int) -> bool:
        end, _, damage, seal = self._reader.info(number)
        if seal is not None:
            self._sealed.add(number)
        return seal is None and not damage and self._has_room(end, size) and self._is_indexed(number)

    def _is_indexed(self, number: int) -> bool:
        """Whether the index has all of a pack. Its writer may have died in between; the next start replays that."""
        if self._indexed_to is None:
            return True
        known = self._indexed_to(number)
        if next(self.records(number, known), None) is not None:
            return False
        self._known[number] = known
        return True

    def _create(self) -> _core.PackWriter:
        while True:
            number = max([0, *self._numbers(), *self._numbers(_REMOVED)]) + 1
            while self._indexed_to is not None and self._indexed_to(number):
                number += 1  # the index has objects of a pack of that number, which is missing
            writer = _core.PackWriter.create(os.fspath(self._directory), number, self._archive)
            if writer is not None:
                return writer

    # --- reading

    def read(
        self, location: Location, start: int = 0, length: int | None = None, *, crc32c: int | None = None
    ) -> bytes:
        """Bytes ``[start, start + length)`` of a payload, verified by their checksums.

        Parameters
        ----------
        location : Location
        start : int
            First byte within the payload.
        length : int, optional
            Bytes; to the end if not given.
        crc32c : int, optional
            What the index knows of the whole payload: another object at this place is then an error.

        Raises
        ------
        NotFound
            The pack does not exist (any more); ask the index again.
        DataError
            There is no such record, or its bytes are damaged.
        UsageError
            The range is not inside of the payload.
        """
        count = location.length - start if length is None else length
        if start < 0 or count < 0:
            raise UsageError("the range is not inside of the record")
        return self._reader.read(location.pack, location.offset, location.length, start, count, crc32c)

    def decode_frames(
        self,
        objects: Sequence[StoredObject],
        refs: npt.NDArray[np.uint32],
        out: npt.NDArray[Any],
        *,
        threads: int = 0,
    ) -> None:
        """Read, verify and decode frames in one call, in parallel, without the GIL.

        Parameters
        ----------
        objects : sequence of tuple
            ``(pack, offset, length, frame table, transfer syntax UID, pixel description)``.
        refs : ndarray of uint32, (frames, 2)
            Which of `objects`, which of its frames.
        out : ndarray
            C-contiguous, ``(frames, rows, columns[, samples])``; contents are undefined after an error.
        threads : int
            0: as ``HILUM_THREADS`` says, else one for each processor that the process may run on.

        Raises
        ------
        NotFound
            A pack does not exist (any more); ask the index again.
        DataError
            Stored bytes are damaged, or a frame cannot be decoded; ``error.frame`` says which.
        """
        _core.decode_stored_frames(self._reader, objects, refs, out=out, threads=threads)

    def read_geometries(
        self, places: Sequence[tuple[int, int, int, int, int]], *, threads: int = 0
    ) -> list[tuple[bytes, list[str], str]]:
        """Read where the frames of objects lie out of their headers, in one call without the GIL.

        Parameters
        ----------
        places : sequence of tuple
            ``(pack, offset, length, header length, frames)``.

        Returns
        -------
        list
            For each object the fields of ``volume::FrameGeometry``, float64 ``(frames, fields)`` as bytes, the
            texts that its labels count, and the Frame of Reference UID.

        Raises
        ------
        NotFound
            A pack does not exist (any more); ask the index again.
        DataError
            Stored bytes are damaged.
        """
        return _core.read_geometries(self._reader, places, threads)

    def build_volume(
        self,
        objects: Sequence[StoredObject],
        refs: npt.NDArray[np.uint32],
        plan: VolumePlan,
        paths: Sequence[str],
        *,
        threads: int = 0,
    ) -> list[tuple[tuple[int, int, int], bytes, int]]:
        """Decode frames into the bricks of new shards, in one call without the GIL.

        Parameters
        ----------
        objects, refs
            As for `decode_frames`.
        plan : tuple
            (layout, slices, dtype of the frames, rescales): see `hilum.volumes.build`.
        paths : sequence of str
            One new file per level.

        Returns
        -------
        list
            (shape (z, y, x), range of each brick as float32 pairs, bytes) of each level.

        Raises
        ------
        NotFound, DataError
            As from `decode_frames`.
        Unavailable
            The disk is full or cannot be written.
        """
        return _core.build_volume(self._reader, objects, refs, plan, list(paths), threads)

    def stream(
        self, location: Location, start: int = 0, length: int | None = None, *, chunk: int = 1 << 20
    ) -> Iterator[bytes]:
        """As `read`, in pieces of `chunk` bytes; errors may come after the first piece."""
        end = location.length if length is None else start + length
        if not 0 <= start <= end <= location.length or chunk < 1:
            raise UsageError("the range is not inside of the record")
        return self._pieces(location, start, end, chunk)

    def _pieces(self, location: Location, start: int, end: int, chunk: int) -> Iterator[bytes]:
        block: int = _core.PACK_BLOCK
        while start < end:
            # Pieces end where blocks end, so that no block is read and verified twice.
            stop = (start + chunk) // block * block if chunk >= block else start + chunk
            stop = min(end, stop)
            yield self.read(location, start, stop - start)
            start = stop

    def check(self, location: Location) -> None:
        """Read one record in full and compare SHA-256 and every checksum.

        Raises
        ------
        NotFound
            The pack does not exist (any more).
        DataError
            The record is damaged.
        """
        reason = self._reader.check(location.pack, location.offset, location.length)
        if reason is not None:
            at = location.offset - _core.PACK_RECORD_HEADER
            raise DataError(f"pack {location.pack}, record at byte {at}: {reason}", code=_BAD_RECORD, offset=at)

    def records(
        self, pack: int, start: int = 0, *, check: bool = False, sha256: bool = False
    ) -> Iterator[RecordInfo | BadRecord]:
        """All records of a pack in order, without their payloads.

        Parameters
        ----------
        pack : int
        start : int
            Begin here: 0, or the ``end`` of a record.
        check : bool
            Also read the payloads and verify their checksums.
        sha256 : bool
            With `check`, also their SHA-256.

        Yields
        ------
        RecordInfo or BadRecord
            A bad record does not end the walk. An append that is not finished, at the end of a pack that is not
            sealed, is neither.

        Raises
        ------
        NotFound
            There is no such pack.
        """
        seal = self._reader.info(pack)[3]
        walk = self._reader.walk(pack, start or _core.PACK_FILE_HEADER, check, check and sha256)
        limit, budget = 4096, (64 << 20) if check else (1 << 62)
        while not walk.ended:
            for offset, end, reason, fields in walk.next(limit, budget):
                info = _record_info(pack, fields) if fields else None
                if info is not None and not reason:
                    yield info
                    continue
                unfinished = bool(seal and seal[3] and offset >= seal[3])
                yield BadRecord(pack, offset, end, reason, info, unfinished)
        if walk.suspect:
            offset = walk.position
            yield BadRecord(pack, offset, offset + walk.tail, "the end of the pack is damaged", None, unfinished=True)

    @staticmethod
    def end_of(location: Location) -> int:
        """First byte after the record of a payload: what the index keeps as "indexed up to"."""
        block: int = _core.PACK_BLOCK
        blocks = 0 if location.length <= block else -(-location.length // block)
        return (location.offset + location.length + 4 * blocks + 7) // 8 * 8

    def path(self, pack: int) -> Path:
        """File of a pack, for reading."""
        return self._path(pack)

    # --- packs

    def packs(self) -> list[PackInfo]:
        """All packs by number."""
        found = []
        for number in self._numbers():
            with contextlib.suppress(NotFound):
                found.append(self._info(number))
        return found

    def follow_index(self, indexed_to: Callable[[int], int]) -> None:
        """Continue only packs that the index has to their end, so that what it lacks is still found by a replay.

        Parameters
        ----------
        indexed_to : callable
            For the number of a pack the ``end`` of the last record that the index holds, 0 if it holds none.
        """
        self._indexed_to = indexed_to

    def flush(self, pack: int) -> int:
        """Make durable what anybody has written to a pack up to now; the bytes that it has.

        Raises
        ------
        NotFound
            There is no such pack.
        Unavailable
            It cannot be flushed.
        """
        with _os_errors(f"pack {pack} cannot be flushed"):
            fd = os.open(self._path(pack), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                size = os.fstat(fd).st_size
                os.fdatasync(fd)
            finally:
                os.close(fd)
        return size

    def recover(self, known: Mapping[int, int] | None = None) -> list[Recovered]:
        """Repair packs that are not sealed and that nobody writes to: cut off appends that did not finish.

        Parameters
        ----------
        known : mapping of int to int, optional
            For each pack the ``end`` of the last record that the index holds; what lies before is not read again.

        Returns
        -------
        list of Recovered
            One for each pack that was looked at. Nothing that may have been acknowledged is ever cut off.
        """
        if self._read_only:
            raise Unavailable("the archive is open for reading only", code=_READ_ONLY)
        self._known.update(known or {})
        with self._lock:
            current = self._writer.number if self._writer is not None else 0
            found = [self._recover(number) for number in self._numbers() if number != current]
        return [each for each in found if each is not None]

    def _recover(self, number: int) -> Recovered | None:
        known = self._known.get(number, 0)
        try:
            if self._reader.info(number)[3] is not None:
                return self._lost(number, known)
        except NotFound:
            return None
        except HilumError:
            pass  # recovery says what is wrong
        try:
            _, state, end, cut, suspect, missing = _core.PackWriter.adopt(
                os.fspath(self._directory), number, self._archive, known, False
            )
        except HilumError as error:
            return Recovered(number, 0, 0, 0, 0, str(error))
        if state in ("locked", "unborn", "gone"):
            return None
        damage = "the header of the pack file is damaged" if state == "damaged" else ""
        return Recovered(number, end, cut, suspect, missing, damage)

    def _lost(self, number: int, known: int) -> Recovered | None:
        """Report a sealed pack that is shorter than what the index knows of it."""
        size: int = self._reader.info(number)[0]
        return Recovered(number, size, 0, 0, known - size, "") if known > size else None

    def remove(self, pack: int) -> None:
        """Delete a pack that is sealed or that nobody writes to. Its number is never used again.

        Raises
        ------
        NotFound
            There is no such pack.
        Conflict
            Somebody writes to it.
        """
        if self._read_only:
            raise Unavailable("the archive is open for reading only", code=_READ_ONLY)
        path = self._path(pack)
        with self._lock, _os_errors(f"pack {pack} cannot be removed"):
            if self._writer is not None and self._writer.number == pack:
                raise Conflict(f"pack {pack} is being written")
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if not _try_lock(fd):
                    raise Conflict(f"pack {pack} is being written")
                if pack == max(self._numbers()):
                    self._remember(pack)
                path.unlink()
                _sync_directory(self._directory)
            finally:
                os.close(fd)
            self._reader.drop(pack)

    def _remember(self, pack: int) -> None:
        """Leave a trace of the highest number, so that the next pack does not get it again."""
        marker = self._path(pack, _REMOVED)
        marker.touch()
        _sync_directory(self._directory)
        for older in self._numbers(_REMOVED):
            if older < pack:
                self._path(older, _REMOVED).unlink(missing_ok=True)

    def close(self) -> None:
        """Release all files. The pack that was written to is left for the next process to go on with."""
        with self._lock:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._held.clear()
            self._reader.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- helpers

    def _path(self, number: int, suffix: str = _SUFFIX) -> Path:
        return self._directory / f"{number:012d}{suffix}"

    def _numbers(self, suffix: str = _SUFFIX) -> list[int]:
        with _os_errors("the folder of the packs cannot be read"):
            names = os.listdir(self._directory)
        stems = [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
        return sorted(int(stem) for stem in stems if len(stem) == 12 and stem.isascii() and stem.isdigit())

    def _info(self, number: int) -> PackInfo:
        try:
            size, created_ns, damage, seal = self._reader.info(number)
        except DataError as error:
            try:
                size = self._path(number).stat().st_size
            except OSError as missing:
                raise NotFound(f"there is no pack {number}") from missing
            return PackInfo(number, size, 0, None, locked=False, damage=str(error))
        sealed = SealInfo(_SEAL_REASONS.get(seal[0], "unknown"), *seal[1:]) if seal else None
        return PackInfo(number, size, created_ns, sealed, sealed is None and self._is_locked(number), damage)

    def _is_locked(self, number: int) -> bool:
        writer = self._writer
        if writer is not None and writer.number == number:
            return True
        try:
            fd = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _try_lock(fd, shared=True)
        finally:
            os.close(fd)

    def _before_fork(self) -> None:
        self._reader.lock()

    def _after_fork_in_parent(self) -> None:
        self._reader.unlock()

    def _after_fork_in_child(self) -> None:
        self._reader.unlock()
        self._lock = threading.Lock()
        for writer in [self._writer, *self._held]:
            if writer is not None:
                writer.forget()
        self._writer = None
        self._held = []


def _record_info(pack: int, fields: tuple[int, int, int, bytes, int, int, int, int, int]) -> RecordInfo:
    kind, offset, length, sha256, crc32c, received_ns, flags, sequence, end = fields
    return RecordInfo(kind, Location(pack, offset, length), sha256, crc32c, received_ns, flags, sequence, end)


def _copy(
    source: object, writer: _core.PackWriter, header: tuple[int, int, int, int]
) -> tuple[int, int, bytes, int, int]:
    """Stream from an object with ``readinto``."""
    readinto = getattr(source, "readinto", None)
    if readinto is None:
        raise UsageError("the source of a record must be a path or have readinto()")
    size = header[3]
    buffer = memoryview(bytearray(min(_PIECE, size)))
    writer.begin(*header)
    left = size
    while left:
        got = readinto(buffer[: min(left, len(buffer))])
        if got is None:
            time.sleep(0.001)  # a source that does not block has nothing yet
            continue
        if got == 0:
            raise DataError(f"the source ended {left} bytes before its announced size of {size}", code=_TRUNCATED)
        writer.write(buffer[:got])
        left -= got
    return writer.finish()


def _make_directory(directory: Path) -> None:
    with _os_errors(f"the folder {directory} cannot be made"):
        directory.mkdir(mode=0o750, exist_ok=True)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _try_lock(fd: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[int]:
    with _os_errors("the object to be stored cannot be read"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _os_errors(message: str) -> Iterator[None]:
    """Turn errors of the system into hilum's."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{message}: {error.strerror}") from error
    except OSError as error:
        code = _READ_ONLY if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else 200
        raise Unavailable(f"{message}: {error.strerror}", code=code) from error


def _each(action: str) -> None:
    for store in list(_stores):
        getattr(store, action)()


os.register_at_fork(
    before=lambda: _each("_before_fork"),
    after_in_parent=lambda: _each("_after_fork_in_parent"),
    after_in_child=lambda: _each("_after_fork_in_child"),
)
