"""Bulk import: folders, files, ZIP files and DICOMDIR media into an archive, on all cores, resumable.

One thread walks, several scan (the core reads, parses and hashes a chunk of files in one call without the GIL), the
committer of the archive writes, and the calling thread keeps the ledger. Chunks flow through bounded queues, so memory
does not grow with the number of files. A file counts as done only when its object is durable and findable.
"""

from __future__ import annotations

import fcntl
import io
import queue
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hilum.archive.import_outcome import Batch, Collector, ImportProgress, ImportReport, Source
from hilum.archive.ingest import Prepared, StoreStatus
from hilum.archive.ledger import Ledger, LedgerLine
from hilum.archive.sources import Problem, SourceFile, referenced_files, walk
from hilum.archive.zips import OFFICE_SUFFIXES, ZIP_MAGIC, Member, open_zip, read_members
from hilum.dicom import scan as dicom
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hilum.archive.committer import Committer
    from hilum.archive.quarantine import Quarantine
    from hilum.config import Settings
    from hilum.dicom.scan import FileBuffer, Scan
    from hilum.index.base import Index, InstanceRecord
    from hilum.types import OnConflict

__all__ = ["TEMPORARY_PREFIX", "Importer"]

TEMPORARY_PREFIX: Final = "hilum-"
"""Of the names of files in ``ROOT/tmp``: large members of ZIP files while they are stored."""

CHUNK_FILES: Final = 256
TIDY_FROM: Final = 1000
"""After an import of so many objects the index gives back what it does not need of the disk."""
CHUNK_BYTES: Final = 16 << 20
_NOT_DICOM: Final = 2
_ENVIRONMENT: Final = 200


class Importer:
    """One import.

    Parameters
    ----------
    settings : Settings
    index : Index or None
        To see what is stored already; None in a dry run without an archive.
    ingest : Committer or None
        None: dry run, nothing is written.
    quarantine : Quarantine or None
    ledger : Ledger or None
    on_conflict : {"never", "always", "if-changed"}
    jobs : int
        Threads that scan.
    exclude : collection of (st_dev, st_ino)
        Folders that are not entered.
    temporary : Path or None
        Folder for large members of ZIP files; None: the system's.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        index: Index | None,
        ingest: Committer | None,
        quarantine: Quarantine | None,
        ledger: Ledger | None,
        on_conflict: OnConflict,
        jobs: int,
        exclude: Collection[tuple[int, int]] = (),
        temporary: Path | None = None,
    ) -> None:
        self._limits = settings.ingest
        self._index = index
        self._ingest = ingest
        self._quarantine = quarantine
        self._ledger = ledger
        self._on_conflict = on_conflict
        self._jobs = max(1, jobs)
        self._exclude = exclude
        self._temporary = temporary
        self._stop = threading.Event()
        self._working = self._jobs
        self._chunks: queue.Queue[list[SourceFile | Problem] | None] = queue.Queue(2 * self._jobs)
        self._done: queue.Queue[Batch | BaseException | None] = queue.Queue(64)

    def run(
        self, paths: Sequence[str | os.PathLike[str]], progress: Callable[[ImportProgress], None] | None = None
    ) -> ImportReport:
        """Import everything below `paths`.

        Parameters
        ----------
        paths : sequence of paths
        progress : callable, optional
            Called in this thread about ten times a second, and at the end.
        """
        threads = [threading.Thread(target=self._walk, args=(paths,), name="hilum-walk", daemon=True)]
        threads += [threading.Thread(target=self._work, name=f"hilum-scan-{i}", daemon=True) for i in range(self._jobs)]
        collector = Collector(self._ledger, self._stop, dry_run=self._ingest is None)
        counter = None
        if progress is not None:
            counter = threading.Thread(target=collector.count, args=(paths, self._exclude), daemon=True)
            threads.append(counter)
        for thread in threads:
            thread.start()
        try:
            self._collect(collector, progress)
        except KeyboardInterrupt:
            collector.stop("interrupted; the same command continues where it stopped")
        finally:
            self._stop.set()
            self._drain(collector)
            for thread in threads:
                thread.join()
        if self._index is not None and self._ingest is not None and collector.stored >= TIDY_FROM:
            with suppress(HilumError):  # the index is whole without it
                self._index.tidy()
        if progress is not None:
            progress(collector.progress())
        return collector.report()

    # The walker

    def _walk(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        chunk: list[SourceFile | Problem] = []
        size = 0
        try:
            for found in walk(paths, self._exclude):
                if self._stop.is_set():
                    return
                chunk.append(found)
                size += found.size if isinstance(found, SourceFile) else 0
                if len(chunk) >= CHUNK_FILES or size >= CHUNK_BYTES:
                    self._put_chunk(chunk)
                    chunk, size = [], 0
            self._put_chunk(chunk)
        except BaseException as error:
            self._put(error)
        finally:
            for _ in range(self._jobs):
                self._put_chunk(None)

    def _put_chunk(self, chunk: list[SourceFile | Problem] | None) -> None:
        while True:
            try:
                self._chunks.put(chunk, timeout=0.2)
                return
            except queue.Full:
                if self._stop.is_set():
                    return

    # The workers

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    chunk = self._chunks.get(timeout=0.2)
                except queue.Empty:
                    continue
                if chunk is None:
                    break
                self._import_chunk(chunk)
        except BaseException as error:
            self._put(error)
        finally:
            self._put(None)

    def _import_chunk(self, chunk: Sequence[SourceFile | Problem]) -> None:
        batch = Batch()
        batch.lines += [LedgerLine(p.path, 0, 0, p.status, p.reason) for p in chunk if isinstance(p, Problem)]
        files = [found for found in chunk if isinstance(found, SourceFile)]
        todo = self._skip_done(files, batch)
        small = [file for file in todo if file.size <= self._limits.stream_above_bytes]
        containers: list[SourceFile] = []
        scanned = dicom.scan_many([file.path for file in small], max_bytes=self._limits.stream_above_bytes)
        for file, result in zip(small, scanned, strict=True):
            if not isinstance(result, HilumError):
                self._take(file, result[0], result[1], batch)
            elif _looks_like_zip(file.path, result):
                containers.append(file)
            else:
                batch.lines.append(self._refused(file, result))
        self._submit(batch)
        large = [file for file in todo if file.size > self._limits.stream_above_bytes]
        containers += [file for file in large if not self._import_large(file)]
        for file in containers:
            self._import_zip(file)

    def _skip_done(self, files: Sequence[SourceFile], batch: Batch) -> Sequence[SourceFile]:
        """Leave out what an earlier run has done, provided that the archive still has it."""
        if self._ledger is None or not len(self._ledger) or self._index is None:
            return files
        lines = [self._ledger.done(file.path, file.size, file.mtime_ns) for file in files]
        uids = sorted({line.uid for line in lines if line is not None and line.uid})
        stored = dict(zip(uids, self._index.lookup(uids), strict=True))
        todo: list[SourceFile] = []
        for file, line in zip(files, lines, strict=True):
            if line is None or not self._has(line, stored.get(line.uid)) or (file.named and line.status == "dicomdir"):
                todo.append(file)
            else:
                batch.skipped += 1
                batch.skipped_bytes += file.size
        return todo

    def _has(self, line: LedgerLine, record: InstanceRecord | None) -> bool:
        """Whether the archive still has the object of a line, as the current one of its UID or as a version."""
        if not line.uid or record is None:
            return not line.uid
        # A duplicate may differ from what is stored in its file meta information.
        if line.status == StoreStatus.DUPLICATE.value or record.sha256.hex() == line.sha256 or self._index is None:
            return True
        return any(version.sha256.hex() == line.sha256 for version in self._index.versions(line.uid))

    def _take(self, file: SourceFile, scan: Scan, buffer: FileBuffer | None, batch: Batch) -> None:
        if scan.is_dicomdir:
            self._import_dicomdir(file, batch)
            return
        batch.sources.append(Source(file.path, file.size, file.mtime_ns))
        if buffer is None:
            path, stamp = Path(file.path), file.mtime_ns
            batch.items.append(Prepared(scan, (), file.size, self._on_conflict, path=path, mtime_ns=stamp))
        else:
            batch.items.append(Prepared(scan, (buffer,), len(buffer), self._on_conflict, sha256=scan.sha256))

    def _import_large(self, file: SourceFile) -> bool:
        """Import a file that is streamed; False when it is a ZIP."""
        batch = Batch()
        try:
            if file.size > self._limits.max_object_bytes:
                raise LimitExceeded(f"the file has more than {self._limits.max_object_bytes} bytes")
            scan, buffer = dicom.scan_file(file.path, max_bytes=self._limits.stream_above_bytes)
        except HilumError as error:
            if _looks_like_zip(file.path, error):
                return False
            batch.lines.append(self._refused(file, error))
        else:
            self._take(file, scan, buffer, batch)
        self._submit(batch)
        return True

    def _import_dicomdir(self, file: SourceFile, batch: Batch) -> None:
        """Check what a DICOMDIR refers to; import it when the DICOMDIR itself was named."""
        source = Source(file.path, file.size, file.mtime_ns)
        try:
            present, problems = referenced_files(file.path)
        except DataError as error:
            batch.lines.append(source.line("failed", str(error)))
            return
        batch.lines.append(source.line("dicomdir", f"refers to {len(present) + len(problems)} files"))
        batch.lines.extend(LedgerLine(p.path, 0, 0, p.status, p.reason) for p in problems)
        if not file.named:
            return
        for start in range(0, len(present), CHUNK_FILES):
            self._import_chunk(list(walk(present[start : start + CHUNK_FILES])))

    def _refused(self, file: SourceFile, error: HilumError) -> LedgerLine:
        source = Source(file.path, file.size, file.mtime_ns)
        return self._refuse(source, Path(file.path), error)

    def _refuse(self, source: Source, data: bytes | Path, error: HilumError) -> LedgerLine:
        """Make the line for something that cannot be stored, and keep a copy when it looks like DICOM."""
        if error.code == _NOT_DICOM:
            return source.line("not_dicom", "not DICOM" if source.size else "empty")
        if error.code >= _ENVIRONMENT or not isinstance(error, DataError):
            return source.line("failed", str(error))
        sha256 = ""
        if self._quarantine is not None:
            try:
                sha256 = self._quarantine.add(source.path, data, str(error), error.code, error.offset)
            except Unavailable as failure:
                return source.line("failed", f"{error}; {failure}")
        return source.line("quarantined", str(error), sha256=sha256)

    # ZIP files

    def _import_zip(self, file: SourceFile) -> None:
        source = Source(file.path, file.size, file.mtime_ns)
        complete = self._import_members(source, file.path, file.path, depth=0)
        batch = Batch()
        if complete:
            batch.lines.append(source.line("container", "ZIP"))
        self._submit(batch)

    def _import_members(self, source: Source, archive: str | io.BufferedIOBase, shown: str, depth: int) -> bool:
        """Import the members of a ZIP; False when it could not be read to its end."""
        batch = Batch()
        sound = True
        try:
            with open_zip(archive) as opened:  # type: ignore[arg-type]
                for member in read_members(opened, source.size, self._limits):
                    if self._stop.is_set():
                        return False
                    if isinstance(member, Problem):
                        name = f"{shown}!{member.path}" if member.path else shown
                        batch.lines.append(LedgerLine(name, 0, 0, member.status, member.reason))
                    else:
                        self._import_member(member, shown, source.mtime_ns, depth, batch)
                    if len(batch.items) >= CHUNK_FILES or batch.memory() >= CHUNK_BYTES:
                        sound = sound and not batch.failed()
                        self._submit(batch)
                        batch = Batch()
        except HilumError as error:
            batch.lines.append(source.line("failed", str(error)))
        sound = sound and not batch.failed()
        self._submit(batch)
        return sound

    def _import_member(self, member: Member, shown: str, mtime_ns: int, depth: int, batch: Batch) -> None:
        source = Source(f"{shown}!{member.name}", member.size, mtime_ns)
        as_file = SourceFile(source.path, source.size, source.mtime_ns)
        if not self._skip_done([as_file], batch):
            return
        try:
            if member.size > self._limits.stream_above_bytes:
                if not self._import_large_member(member, source, depth):
                    batch.lines.append(source.line("failed", "something in this ZIP member cannot be stored"))
                return
            data = member.read()
        except HilumError as error:
            batch.lines.append(source.line("failed", str(error)))
            return
        if data[:4] == ZIP_MAGIC and not member.name.lower().endswith(OFFICE_SUFFIXES):
            self._import_nested(source, io.BytesIO(data), depth, batch)
            return
        try:
            scan = dicom.scan(data)
        except HilumError as error:
            batch.lines.append(self._refuse(source, data, error))
            return
        if scan.is_dicomdir:
            batch.lines.append(source.line("dicomdir"))
            return
        batch.sources.append(source)
        batch.items.append(Prepared(scan, (data,), len(data), self._on_conflict, sha256=scan.sha256))

    def _import_nested(self, source: Source, data: io.BufferedIOBase, depth: int, batch: Batch) -> None:
        if depth:
            batch.lines.append(source.line("failed", "a ZIP inside of a ZIP inside of a ZIP is not opened"))
        elif self._import_members(source, data, source.path, depth + 1):
            batch.lines.append(source.line("container", "ZIP"))

    def _import_large_member(self, member: Member, source: Source, depth: int) -> bool:
        """Expand a large member into a file without a name of its own, then stream it."""
        batch = Batch()
        try:
            with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, dir=self._temporary) as copy:
                fcntl.flock(copy.fileno(), fcntl.LOCK_SH)  # says to others that somebody needs it
                member.copy_to(copy)  # type: ignore[arg-type]
                copy.flush()
                path = Path(copy.name)
                try:
                    scan, buffer = dicom.scan_file(path, max_bytes=self._limits.stream_above_bytes)
                except HilumError as error:
                    if _looks_like_zip(copy.name, error):
                        copy.seek(0)
                        self._import_nested(source, copy.file, depth, batch)  # type: ignore[arg-type]
                    else:
                        batch.lines.append(self._refuse(source, path, error))
                else:
                    if scan.is_dicomdir:
                        batch.lines.append(source.line("dicomdir"))
                    else:
                        batch.sources.append(source)
                        pieces = () if buffer is None else (buffer,)
                        streamed = path if buffer is None else None
                        batch.items.append(
                            Prepared(scan, pieces, member.size, self._on_conflict, streamed, scan.sha256)
                        )
                sound = not batch.failed()
                self._submit(batch)
                if batch.future is not None:
                    batch.future.exception()
                return sound
        except OSError as error:
            raise Unavailable(f"a copy of the ZIP member cannot be written: {error.strerror}") from error

    # Commit and ledger

    def _submit(self, batch: Batch) -> None:
        """Hand the objects to the committer, and the batch to the collector."""
        if batch.items and self._ingest is None:
            batch.lines.extend(self._foresee(batch))
            batch.items, batch.sources = [], []
        elif batch.items:
            assert self._ingest is not None
            try:
                batch.future = self._ingest.submit(batch.items)
            except Unavailable as error:
                batch.error = error
            batch.items = []
        if batch.lines or batch.skipped or batch.sources:
            self._put(batch)

    def _foresee(self, batch: Batch) -> Iterator[LedgerLine]:
        """Say what an import would do with these objects."""
        uids = [item.scan.sop_instance_uid for item in batch.items]
        records = self._index.lookup(uids) if self._index is not None else [None] * len(uids)
        for source, item, record in zip(batch.sources, batch.items, records, strict=True):
            scan = item.scan
            sha256 = scan.sha256.hex() if scan.sha256 else ""
            status = "stored"
            if record is not None:
                same = record.sha256 == scan.sha256
                status = "duplicate" if same else "conflict" if self._on_conflict == "never" else "replaced"
            yield source.line(status, uid=scan.sop_instance_uid, sha256=sha256)

    def _put(self, value: Batch | BaseException | None) -> None:
        self._done.put(value)

    def _collect(self, collector: Collector, progress: Callable[[ImportProgress], None] | None) -> None:
        shown = 0.0
        while self._working:
            try:
                value = self._done.get(timeout=0.1)
            except queue.Empty:
                value = Batch()
            if value is None:
                self._working -= 1
            elif isinstance(value, BaseException):
                raise value
            else:
                collector.add(value)
            now = time.monotonic()
            if progress is not None and now - shown >= 0.1:
                shown = now
                progress(collector.progress())

    def _drain(self, collector: Collector) -> None:
        """After an interruption: let the workers end, and write down what was committed meanwhile."""
        while self._working:
            value = self._done.get()
            if value is None:
                self._working -= 1
            elif isinstance(value, Batch):
                with suppress(HilumError):
                    collector.add(value)


def _looks_like_zip(path: str, error: HilumError) -> bool:
    if error.code != _NOT_DICOM or path.lower().endswith(OFFICE_SUFFIXES):
        return False
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == ZIP_MAGIC
    except OSError:
        return False
