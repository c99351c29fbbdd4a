"""The LMDB environment of one archive in one process: growth of the map, forks, readers, errors, checksums.

Rules (docs/adr/0003-index-durability.md): never a writable map; data pages synced at each commit, the meta page lazily;
one environment per process; short read transactions; a failed sync stops all further writing until the index is opened
anew.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import functools
import os
import threading
import time
import weakref
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from hilum._core import open_record, open_records, seal_each, seal_records
from hilum.errors import DataError, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["DATABASES", "Environment", "Transaction"]

T = TypeVar("T")
Items = list[tuple[bytes, bytes]]

DATABASES: dict[str, int] = {
    "instance_uid": 1,
    "patient": 2,
    "study": 3,
    "series": 4,
    "instance": 5,
    "child": 6,
    "match": 7,
    "count": 8,
    "event": 9,
    "pack": 10,
    "version": 11,
    "variant": 12,
    "tombstone": 13,
    "meta": 14,
    "frames": 15,
    "patient_key": 16,
    "study_uid": 17,
    "series_uid": 18,
    "order": 19,
}
"""Name of each database to its number in checksums. Never renumber."""

REFILLED = ("match", "order", "instance_uid", "study_uid", "series_uid")
"""Databases whose keys come in no order, so that a bulk change leaves their pages half empty. Each has a second place,
a database of the name with ``.2``, into which it is written anew; ``SECOND`` in ``meta`` tells which are in use."""
SECOND = b"second"
"""In ``meta``: the bit 1 << number is set for each database that is in its second place."""

BAD_RECORD, BAD_FORMAT, IO_ERROR, NO_SPACE, READ_ONLY = 13, 14, 200, 201, 203
READER_CHECK_SECONDS = 60.0
ADVICE = "; run: hilum index rebuild"
MAP_STEP_LIMIT = 64 << 30
MAP_SPARE = 1 << 20
"""Databases can be made in a file that fills its map."""
OPEN_ATTEMPTS = 100

_abandoned: list[Any] = []  # of a parent process: closing them here would touch its transactions
_living: weakref.WeakSet[Environment] = weakref.WeakSet()


def _before_fork() -> None:
    for environment in list(_living):
        environment._before_fork()


def _after_fork_in_parent() -> None:
    for environment in list(_living):
        environment._after_fork(child=False)


def _after_fork_in_child() -> None:
    for environment in list(_living):
        environment._after_fork(child=True)


@functools.cache
def _register_at_fork() -> None:
    """At the first environment, not at import: of handlers the last one registered runs first before a fork.

    It waits for readers, which may be waiting for a pack; the packs' own handler, which locks them, has to come later.
    """
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


class Transaction:
    """One LMDB transaction with sealed records: every value that is read has its checksum verified."""

    __slots__ = ("_cursors", "_handles", "_places", "_txn")

    def __init__(self, txn: Any, places: Places) -> None:
        self._txn = txn
        self._places = places
        self._handles = places.in_use(txn)
        self._cursors: dict[str, Any] = {}

    def cursor(self, name: str) -> Any:
        """Shared cursor of a database, for one positioned read at a time."""
        found = self._cursors.get(name)
        if found is None:
            found = self._cursors[name] = self._txn.cursor(self._handles[name])
        return found

    def new_cursor(self, name: str) -> Any:
        """Cursor of its own, for a walk."""
        return self._txn.cursor(self._handles[name])

    def get(self, name: str, key: bytes) -> bytes | None:
        """Sealed record (checksum first) or None."""
        record: bytes | None = self._txn.get(key, db=self._handles[name])
        return None if record is None else open_record(DATABASES[name], name, key, record)

    def get_many(self, name: str, keys: Iterable[bytes]) -> Items:
        """(key, sealed record) of the keys that exist, in their order."""
        return open_records(DATABASES[name], name, self.cursor(name).getmulti(keys))

    def walk(
        self, name: str, start: bytes = b"", prefix: bytes = b"", last: bytes = b""
    ) -> Iterator[tuple[bytes, bytes]]:
        """(key, sealed record) from ``start`` on while keys have ``prefix`` and are not above ``last``."""
        cursor = self.new_cursor(name)
        number = DATABASES[name]
        if not cursor.set_range(start or prefix or b"\0"):
            return
        for key, record in cursor.iternext():
            if (prefix and not key.startswith(prefix)) or (last and key > last):
                return
            yield key, open_record(number, name, key, record)

    def put_many(self, name: str, items: Items) -> None:
        """Seal and write (key, body) pairs. Those above every key in the database fill its pages whole."""
        if not items:
            return
        items.sort()
        sealed = seal_records(DATABASES[name], items)
        if len(items) <= FEW:
            put, handle = self._txn.put, self._handles[name]
            for key, record in sealed:
                if not put(key, record, append=True, db=handle):  # it does not belong behind all others
                    put(key, record, db=handle)
            return
        cursor = self.cursor(name)
        last = cursor.key() if cursor.last() else b""
        first = len(items) if items[-1][0] <= last else bisect.bisect_right(items, last, key=itemgetter(0))
        if first:
            cursor.putmulti(sealed[:first])
        if first < len(items):
            cursor.putmulti(sealed[first:], append=True)

    def replace_many(self, name: str, items: Items) -> None:
        """As `put_many`, for keys of which most are there already."""
        put, handle = self._txn.put, self._handles[name]
        for key, record in seal_records(DATABASES[name], items):
            put(key, record, db=handle)

    def put_each(self, new: list[tuple[str, bytes, bytes]], changed: list[tuple[str, bytes, bytes]]) -> None:
        """Seal and write a few (database, key, body) of many databases."""
        put, handles = self._txn.put, self._handles
        for name, key, record in seal_each(DATABASES, new):
            if not put(key, record, append=True, db=handles[name]):  # it does not belong behind all others
                put(key, record, db=handles[name])
        for name, key, record in seal_each(DATABASES, changed):
            put(key, record, db=handles[name])

    def put(self, name: str, key: bytes, body: bytes) -> None:
        """Seal and write one record."""
        self._txn.put(key, seal_records(DATABASES[name], [(key, body)])[0][1], db=self._handles[name])

    def delete(self, name: str, key: bytes) -> bool:
        """Delete one record; whether it was there."""
        return bool(self._txn.delete(key, db=self._handles[name]))

    def put_plain(self, name: str, items: Items) -> None:
        """Write (key, value) pairs as they are, sorted or not."""
        items.sort()
        self.cursor(name).putmulti(items)

    def entries(self, name: str) -> int:
        """Number of entries of a database."""
        return int(self._txn.stat(self._handles[name])["entries"])

    def pages(self, name: str) -> int:
        """Number of pages of a database."""
        found = self._txn.stat(self._handles[name])
        return int(found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"])

    @property
    def number(self) -> int:
        """Number of this transaction, or of the snapshot that it reads."""
        return int(self._txn.id())

    def empty(self, name: str) -> None:
        """Delete everything in a database."""
        self._txn.drop(self._handles[name], delete=False)

    def empty_other_place(self, name: str) -> None:
        """Delete everything in the place of a database that is not in use."""
        self._txn.drop(self._places.other(name, self._handles), delete=False)

    def append_in_other_place(self, name: str, items: Items) -> None:
        """Write (key, value) pairs as they are behind all others of the place that is not in use; pages become full."""
        self._txn.cursor(self._places.other(name, self._handles)).putmulti(items, append=True)

    def change_place(self, name: str) -> None:
        """Use the other place of a database from now on, and empty this one."""
        old, new = self._handles[name], self._places.other(name, self._handles)
        record = self.get("meta", SECOND)
        second = 0 if record is None else int.from_bytes(record[4:], "little")
        self.put("meta", SECOND, (second ^ 1 << DATABASES[name]).to_bytes(8, "little"))
        self._txn.drop(old, delete=False)
        self._handles = {**self._handles, name: new}
        self._cursors.pop(name, None)


class Places:
    """Handles of all databases of an open environment, and which of two places are in use in a snapshot."""

    def __init__(self, env: Any, *, create: bool) -> None:
        # One transaction for all that may have to be made. py-lmdb keeps handles of a reading one only for its own.
        with env.begin(write=True) if create else contextlib.nullcontext() as txn:
            self._first = {name: env.open_db(name.encode(), txn=txn, create=create) for name in DATABASES}
            self._second = {}
            for name in REFILLED:
                with contextlib.suppress(lmdb.NotFoundError):  # nobody has written since there are second places
                    self._second[name] = env.open_db(f"{name}.2".encode(), txn=txn, create=create)
        self._known: dict[bytes, dict[str, Any]] = {}

    def in_use(self, txn: Any) -> dict[str, Any]:
        """Handle of each database in the snapshot of a transaction."""
        record: bytes | None = txn.get(SECOND, db=self._first["meta"])
        if record is None:
            return self._first
        handles = self._known.get(record)
        if handles is None:
            second = int.from_bytes(open_record(DATABASES["meta"], "meta", SECOND, record)[4:], "little")
            names = [name for name in REFILLED if second >> DATABASES[name] & 1]
            if any(name not in self._second for name in names):
                raise Unavailable("the index was written anew by a newer process; open the archive again")
            handles = self._known[record] = {**self._first, **{name: self._second[name] for name in names}}
        return handles

    def other(self, name: str, in_use: dict[str, Any]) -> Any:
        """Handle of the place that is not in use."""
        return self._second[name] if in_use[name] is self._first[name] else self._first[name]


FEW = 8
"""Records that are written one by one."""
FULL_BELOW = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _is_full(error: lmdb.Error, path: Path) -> bool:
    """Whether a write failed for lack of space. LMDB calls a short write on a full disk EIO: then the space decides."""
    code = getattr(error, "code", 0)
    if isinstance(error, lmdb.DiskError) or code in _FULL:
        return True
    if code != errno.EIO:
        return False
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize < FULL_BELOW


def _translated(error: lmdb.Error, doing: str, path: Path) -> Exception:
    """The error of hilum that an error of LMDB stands for; no keys, no values."""
    damage = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.PanicError)
    if isinstance(error, damage) or (doing == "reading" and isinstance(error, lmdb.BadTxnError)):
        return DataError(f"the index is damaged ({type(error).__name__} while {doing} it){ADVICE}", code=BAD_RECORD)
    if isinstance(error, lmdb.VersionMismatchError):
        return DataError(f"the index was written by another version of LMDB{ADVICE}", code=BAD_FORMAT)
    code = getattr(error, "code", 0)
    if _is_full(error, path):
        return Unavailable(f"no space left while {doing} the index", code=NO_SPACE)
    if isinstance(error, lmdb.ReadonlyError) or code in (errno.EACCES, errno.EROFS):
        verb = "opened" if doing == "opening" else "written"
        return Unavailable(f"the index cannot be {verb} ({os.strerror(errno.EACCES)})", code=READ_ONLY)
    if isinstance(error, lmdb.ReadersFullError):
        return Unavailable("too many concurrent readers of the index ([index] max_readers)", code=IO_ERROR)
    return Unavailable(f"{type(error).__name__} while {doing} the index", code=IO_ERROR)


class Environment:
    """Opens lazily, so that it may be made before a fork.

    Parameters
    ----------
    path : Path
        Folder of ``data.mdb`` and ``lock.mdb``; made unless ``read_only``.
    map_bytes : int
        First size of the map; it is doubled when it is full.
    max_readers : int
        Concurrent read transactions of all processes.
    read_only : bool
        Nothing is written; on a medium that cannot be written, not even locks.
    """

    def __init__(self, path: Path, *, map_bytes: int, max_readers: int, read_only: bool) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self._map_bytes = map_bytes
        self._max_readers = max_readers
        self._closed_because = ""
        self._broken = ""
        self._reset()
        _register_at_fork()
        _living.add(self)
        self._open()

    def _reset(self) -> None:
        self._env: Any = None
        self._places: Places | None = None
        self._open_lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._writing = False
        self._carried = False
        self._gate = threading.Condition(threading.Lock())
        self._active = 0
        self._remapping = False
        self._local = threading.local()
        self._checked_readers = 0.0

    def _before_fork(self) -> None:
        """Close the files: an open environment must not pass into a child, where LMDB cannot be used or closed."""
        self._write_lock.acquire()
        with self._gate:
            while self._remapping:
                self._gate.wait()
            own = int(getattr(self._local, "transaction", None) is not None or self._writing)
            self._carried = bool(own)
            self._remapping = True
            while self._active > own:
                self._gate.wait()
        if not self._carried and self._env is not None:
            env, self._env = self._env, None
            env.close()

    def _after_fork(self, *, child: bool) -> None:
        if child:
            carried = self._carried
            env = self._env
            self._reset()
            if carried:
                _abandoned.append(env)
                self._broken = self._closed_because = "the process was forked inside a transaction of the index"
            return
        with self._gate:
            self._remapping = False
            self._gate.notify_all()
        self._write_lock.release()

    def _open(self) -> Any:
        with self._open_lock:
            if self._env is not None:
                return self._env
            if self._closed_because:
                raise Unavailable(self._closed_because)
            for _ in range(OPEN_ATTEMPTS):
                try:
                    self._env = self._open_files()
                    return self._env
                except lmdb.MapResizedError:  # another process has made the map larger while we opened
                    continue
                except lmdb.Error as error:
                    raise _translated(error, "opening", self.path) from error
            raise Unavailable(f"the index in {self.path} grows faster than it can be opened; try again")

    def _open_files(self) -> Any:
        data = self.path / "data.mdb"
        if self.read_only and not data.is_file():
            raise NotFound(f"no index in {self.path}")
        if not self.read_only:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unavailable(f"cannot make {self.path}: {error.strerror}", code=READ_ONLY) from error
        env = lmdb.open(
            str(self.path),
            map_size=max(self._map_bytes, data.stat().st_size + MAP_SPARE if data.exists() else 0),
            readonly=self.read_only,
            create=not self.read_only,
            metasync=False,
            sync=True,
            writemap=False,
            readahead=False,
            max_readers=self._max_readers,
            max_dbs=len(DATABASES) + len(REFILLED),
            max_spare_txns=16,
            lock=not self.read_only or os.access(self.path, os.W_OK),
        )
        try:
            env.reader_check()
            self._places = Places(env, create=not self.read_only)
        except lmdb.NotFoundError:
            env.close()
            raise NotFound(f"the index in {self.path} lacks a database") from None
        except BaseException:
            env.close()
            raise
        self._checked_readers = time.monotonic()
        return env

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Consistent snapshot; within one thread, a read inside a read sees the same one."""
        current = getattr(self._local, "transaction", None)
        if current is not None:
            yield current
            return
        txn = self._begin_read()
        try:
            assert self._places is not None
            transaction = self._local.transaction = Transaction(txn, self._places)
            yield transaction
        except lmdb.Error as error:
            raise _translated(error, "reading", self.path) from error
        finally:
            self._local.transaction = None
            txn.abort()
            with self._gate:
                self._active -= 1
                if self._remapping:
                    self._gate.notify_all()

    def _begin_read(self) -> Any:
        for _ in range(100):
            env = self._enter()
            try:
                return env.begin()
            except lmdb.MapResizedError:
                self._leave()
                self._remap(0)
            except lmdb.ReadersFullError as error:
                self._leave()
                if env.reader_check() == 0:
                    raise _translated(error, "reading", self.path) from error
            except lmdb.Error as error:
                self._leave()
                raise _translated(error, "reading", self.path) from error
            except BaseException:
                self._leave()
                raise
        raise Unavailable("the index grows faster than it can be mapped", code=IO_ERROR)

    def _enter(self) -> Any:
        """The environment, which neither closes nor changes its map until ``_leave``."""
        with self._gate:
            while self._remapping:
                self._gate.wait()
            self._active += 1
        try:
            return self._env or self._open()
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        with self._gate:
            self._active -= 1
            if self._remapping:
                self._gate.notify_all()

    def _remap(self, size: int) -> None:
        """Change the map when no transaction of this process is open; 0 takes over what another process has set."""
        with self._gate:
            while self._remapping:
                self._gate.wait()
            self._remapping = True
            while self._active:
                self._gate.wait()
        try:
            (self._env or self._open()).set_mapsize(size)
        except lmdb.Error as error:
            raise _translated(error, "growing", self.path) from error
        finally:
            with self._gate:
                self._remapping = False
                self._gate.notify_all()

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in a write transaction and commit; run again from the start when the map had to grow.

        ``work`` must not leave anything behind outside of the transaction when it raises.
        """
        if self.read_only:
            raise Unavailable("the index is open for reading only", code=READ_ONLY)
        if getattr(self._local, "transaction", None) is not None:
            raise RuntimeError("no write inside a read of the same thread")
        with self._write_lock:
            while True:
                if self._broken:
                    raise Unavailable(f"{self._broken}; open the archive again", code=IO_ERROR)
                env = self._enter()
                self._writing = True
                resize = None
                try:
                    return self._attempt(env, work)
                except lmdb.MapResizedError:
                    resize = 0
                except lmdb.MapFullError:
                    size = int(env.info()["map_size"])
                    resize = size + min(size, MAP_STEP_LIMIT)
                except lmdb.Error as error:
                    raise _translated(error, "writing", self.path) from error
                finally:
                    self._writing = False
                    self._leave()
                self._remap(resize)

    def _attempt(self, env: Any, work: Callable[[Transaction], T]) -> T:
        now = time.monotonic()
        if now - self._checked_readers > READER_CHECK_SECONDS:
            self._checked_readers = now
            env.reader_check()
        txn = env.begin(write=True)
        try:
            assert self._places is not None
            result = work(Transaction(txn, self._places))
        except BaseException:
            txn.abort()
            raise
        try:
            txn.commit()
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            if not _is_full(error, self.path):
                # After a failed sync Linux may have dropped the pages, and the next commit would not notice (F8).
                self._broken = "a commit of the index failed"
            raise
        return result

    def sync(self) -> None:
        """Flush the meta page too."""
        if not self.read_only and self._env is not None:
            try:
                self._env.sync(True)
            except lmdb.Error as error:
                raise _translated(error, "syncing", self.path) from error

    def info(self) -> dict[str, int]:
        """LMDB's figures of the environment, with the page size."""
        env = self._enter()
        try:
            return {**env.info(), "psize": int(env.stat()["psize"])}
        finally:
            self._leave()

    def last_transaction(self) -> int:
        """Number of the newest commit of any process."""
        env = self._enter()
        try:
            return int(env.info()["last_txnid"])
        finally:
            self._leave()

    def reader_numbers(self) -> list[int]:
        """Numbers of the snapshots that are read now, by any process."""
        env = self._enter()
        try:
            lines = [line.split() for line in str(env.readers()).splitlines()[1:]]
            return [int(line[2]) for line in lines if len(line) == 3 and line[2].isdigit()]
        finally:
            self._leave()

    def reader_check(self) -> int:
        """Clear readers whose process is gone; how many there were."""
        env = self._enter()
        try:
            return int(env.reader_check())
        finally:
            self._leave()

    def close(self) -> None:
        """Wait for open transactions and close the files."""
        with self._open_lock:
            self._closed_because = "the index is closed"
            env, self._env = self._env, None
        if env is None:
            return
        with self._gate:
            while self._active:
                self._gate.wait()
        with contextlib.suppress(lmdb.Error):
            if not self.read_only:
                env.sync(True)
        env.close()
