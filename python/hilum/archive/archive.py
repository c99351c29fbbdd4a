"""The archive: `hilum.open` and everything that one can do with what it gives."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid as uuids
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hilum.archive import compaction, ingest, lifecycle, recovery
from hilum.archive import events as event_log
from hilum.archive.importer import Importer
from hilum.archive.ledger import Ledger, import_id
from hilum.archive.objects import Instance, Patient, Series, Study
from hilum.archive.parts import (
    READ_ONLY,
    acquire,
    alone,
    cannot_write,
    create_root,
    read_identity,
    release,
    require_identity,
)
from hilum.archive.quarantine import Quarantine
from hilum.archive.search import keyword_of, matching_keys
from hilum.config import Settings
from hilum.errors import HilumError, NotFound, Unavailable, UsageError
from hilum.index.query import Query, parse_query
from hilum.index.schema import parse_private_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from hilum.archive.committer import Committer
    from hilum.archive.compaction import CompactReport
    from hilum.archive.import_outcome import ImportProgress, ImportReport
    from hilum.archive.ingest import StoreResult
    from hilum.archive.lifecycle import DeleteReport, VerifyReport
    from hilum.archive.overlays import Overlays
    from hilum.archive.pictures import Pictures
    from hilum.archive.recovery import RebuildReport
    from hilum.archive.retrieve import Retriever
    from hilum.archive.volume_images import VolumeImages
    from hilum.dicom.scan import Scan
    from hilum.index.base import Event, Index, IndexStatistics, InstanceRecord, SearchResult
    from hilum.storage.packs import PackStore
    from hilum.types import Level, OnConflict
    from hilum.volumes.store import VolumeStore
    from hilum.volumes.volume import Volume

__all__ = ["Archive", "Statistics", "foresee_import", "open", "rebuild_index"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Totals of an archive."""

    patients: int
    studies: int
    series: int
    instances: int
    versions: int
    """Objects with other bytes under the UID of a current one."""
    object_bytes: int
    """Bytes of all current objects."""
    pack_bytes: int
    """Bytes of all pack files."""
    index_bytes: int
    packs: int


def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    read_only: bool = False,
    settings: Settings | None = None,
) -> Archive:
    """Open an archive, and make it if it is not there.

    What a crash has left behind is repaired: unfinished appends are cut off, and what is in the packs but not in the
    index is indexed. Several processes may have the same archive open, also for writing.

    Parameters
    ----------
    path : path
        Folder of the archive.
    create : bool
        Make a new archive in a folder that is empty or does not exist.
    read_only : bool
        Change nothing on disk.
    settings : Settings, optional
        Default: the built-in ones; configuration files are for the command line and the server.

    Raises
    ------
    NotFound
        There is no archive, and `create` is False.
    UsageError
        The folder holds something else.
    DataError
        Another format version, or the index is damaged (the message says what to do).
    Unavailable
        The folder cannot be written.
    """
    settings = settings or Settings()
    root = Path(path).absolute()
    identity = read_identity(root)
    if identity is None:
        if not create or read_only:
            raise NotFound(f"{root}: there is no archive")
        identity = create_root(root)
    return Archive(root, identity, settings, read_only=read_only)


def rebuild_index(
    path: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RebuildReport:
    """Make the index of an archive again from its packs, also when it cannot be opened any more.

    The old index is put aside and deleted at the end. Nobody else may have the archive open.

    Parameters
    ----------
    path : path
        Folder of the archive.
    settings : Settings, optional
    progress : callable, optional
        Called with bytes done and bytes in all.

    Raises
    ------
    NotFound
        There is no archive.
    Unavailable
        Somebody else has it open, or it cannot be written.
    """
    settings = settings or Settings()
    root = Path(path).absolute()
    identity = require_identity(root)
    with alone(root):
        old = root / f"index.old-{uuids.uuid4()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                (root / "index").rename(old)
        except OSError as error:
            raise cannot_write(root, error) from error
    with Archive(root, identity, settings, read_only=False, progress=progress) as archive:
        report = archive.recovered
    for leftover in root.glob("index.old-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return report


def foresee_import(
    paths: Sequence[str | os.PathLike[str]],
    *,
    settings: Settings | None = None,
    jobs: int | None = None,
    on_conflict: str | None = None,
    progress: Callable[[ImportProgress], None] | None = None,
) -> ImportReport:
    """Dry run of an import into an archive that does not exist yet; see `Archive.import_paths`."""
    settings = settings or Settings()
    importer = Importer(
        settings,
        index=None,
        ingest=None,
        quarantine=None,
        ledger=None,
        on_conflict=ingest.checked_policy(on_conflict or settings.ingest.on_conflict),
        jobs=_jobs(jobs or settings.ingest.jobs),
    )
    return importer.run(paths, progress)


class Archive:
    """An open archive; thread-safe, and usable in the child of a fork. Made by `hilum.open`.

    Examples
    --------
    >>> with hilum.open("archive") as archive:  # doctest: +SKIP
    ...     archive.import_paths(["/media/cdrom"])
    ...     for study in archive.studies(patient_id="4711", study_date="20240101-"):
    ...         print(study.study_date, study.number_of_instances)
    """

    def __init__(
        self,
        root: Path,
        identity: uuids.UUID,
        settings: Settings,
        *,
        read_only: bool,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.root = root
        self.uuid = str(identity)
        self.settings = settings
        self.read_only = read_only
        self._closed = False
        self._private_keys = tuple(parse_private_key(text) for text in settings.index.private_tags)
        self._parts = acquire(root, identity, settings, read_only=read_only, progress=progress)
        self._packs: PackStore = self._parts.packs
        self._index: Index = self._parts.index
        self._ingest: Committer = self._parts.ingest
        self.retrieve: Retriever = self._parts.retrieve
        self._pictures: Pictures | None = None
        self._overlays: Overlays | None = None
        self._volume_images: VolumeImages | None = None
        self.recovered: RebuildReport = self._parts.recovered

    @property
    def volumes(self) -> VolumeStore:
        """Series as volumes, and their bricks on disk; most callers use `Series.volume`."""
        return self._parts.volumes

    def series_records(self, study_uid: str, series_uid: str) -> list[InstanceRecord]:
        """Instances of a series in display order, remembered until something happens to the study.

        Raises
        ------
        NotFound
            There is no such series.
        """
        return self._parts.series.get(study_uid, series_uid)

    def series_volume(self, study_uid: str, series_uid: str, stack: int = 0) -> Volume:
        """Return a series as a volume, quickly when it is asked for again; see `Series.volume`."""
        return self.volumes.volume(self.series_records(study_uid, series_uid), stack)

    def volume(self, instances: Sequence[Instance], stack: int = 0) -> Volume:
        """Return instances, such as a part of a series, as a volume; see `Series.volume`."""
        return self.volumes.volume([instance.record for instance in instances], stack)

    # Taking in

    def store(
        self, data: Buffer | Sequence[Buffer], *, on_conflict: OnConflict | None = None, source: str = ""
    ) -> StoreResult:
        """Store one object and return when it is durable and findable.

        Parameters
        ----------
        data : buffer or sequence of buffers
            A Part-10 file or a bare data set; pieces are joined.
        on_conflict : {"never", "always", "if-changed"}, optional
            Whether it becomes the current object when its UID is stored with other bytes; both are kept. Default: the
            setting.
        source : str
            Who it came from, for the log.

        Raises
        ------
        DataError
            It cannot be stored: not DICOM, truncated, without UIDs.
        Unavailable
            No space, read-only, too busy.
        """
        return self.submit(data, on_conflict=on_conflict, source=source).result()

    def submit(
        self, data: Buffer | Sequence[Buffer], *, on_conflict: OnConflict | None = None, source: str = ""
    ) -> Future[StoreResult]:
        """As `store`, without waiting for the commit; waits only while too many objects are queued."""
        policy = self._policy(on_conflict)
        self._writable()
        prepared = ingest.prepare(data, policy, self.settings.ingest)
        return ingest.first_of(self._ingest.submit([prepared]))

    def store_many(
        self,
        items: Iterable[Buffer | Sequence[Buffer]],
        *,
        on_conflict: OnConflict | None = None,
        source: str = "",
    ) -> list[StoreResult | HilumError]:
        """Store several objects in one commit; an object that cannot be stored gives its error in its place."""
        policy = self._policy(on_conflict)
        self._writable()
        prepared = ingest.prepare_all(items, policy, self.settings.ingest)
        good = [item for item in prepared if not isinstance(item, HilumError)]
        results = iter(self._ingest.submit(good).result() if good else [])
        return [item if isinstance(item, HilumError) else next(results) for item in prepared]

    def store_file(
        self, path: str | os.PathLike[str], *, on_conflict: OnConflict | None = None, source: str = ""
    ) -> StoreResult:
        """As `store`, from a file; one above ``ingest.stream_above_bytes`` is streamed, not held in memory."""
        policy = self._policy(on_conflict)
        self._writable()
        prepared = ingest.prepare_file(Path(path), policy, self.settings.ingest)
        return ingest.first_of(self._ingest.submit([prepared])).result()

    def store_scanned(
        self, scan: Scan, data: Buffer | Path, *, on_conflict: OnConflict | None = None, source: str = ""
    ) -> StoreResult:
        """As `store`, for an object that was scanned and hashed while it arrived, so that no byte is looked at again.

        Parameters
        ----------
        scan : Scan
            Of these bytes, with their checksums.
        data : buffer or Path
            All bytes; a file must stay until this returns.
        on_conflict, source
            As in `store`.

        Raises
        ------
        DataError, LimitExceeded, Unavailable
            As from `store`.
        """
        policy = self._policy(on_conflict)
        self._writable()
        prepared = ingest.prepare_scanned(scan, data, policy, self.settings.ingest)
        (result,) = self._ingest.commit([prepared])
        if isinstance(result, HilumError):
            raise result
        return result

    def import_paths(
        self,
        paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        *,
        jobs: int | None = None,
        on_conflict: str | None = None,
        dry_run: bool = False,
        progress: Callable[[ImportProgress], None] | None = None,
    ) -> ImportReport:
        """Import folders, files, ZIP files and DICOMDIR media.

        The same call continues where an interrupted one stopped. One bad file never ends an import; the report names
        it.

        Parameters
        ----------
        paths : sequence of paths
        jobs : int, optional
            Threads that read and scan; default: the setting, else one per processor.
        on_conflict : {"never", "always", "if-changed"}, optional
        dry_run : bool
            Say what would be done, change nothing.
        progress : callable, optional
            Called about ten times a second with an `ImportProgress`.
        """
        sources = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        policy = self._policy(on_conflict)
        if not dry_run:
            self._writable()
        ledger = Ledger(self.root / "imports" / f"{import_id(sources)}.jsonl")
        temporary = None if dry_run else self.root / "tmp"
        if temporary is not None:
            try:
                temporary.mkdir(exist_ok=True)
            except OSError as error:
                raise cannot_write(temporary, error) from error
        status = self.root.stat()
        importer = Importer(
            self.settings,
            index=self._index,
            ingest=None if dry_run else self._ingest,
            quarantine=None if dry_run else self._quarantine(),
            ledger=ledger,
            on_conflict=policy,
            jobs=_jobs(jobs or self.settings.ingest.jobs),
            exclude=[(status.st_dev, status.st_ino)],
            temporary=temporary,
        )
        return self._run_import(importer, ledger, sources, progress, dry_run=dry_run)

    def _run_import(
        self,
        importer: Importer,
        ledger: Ledger,
        sources: Sequence[str | os.PathLike[str]],
        progress: Callable[[ImportProgress], None] | None,
        *,
        dry_run: bool,
    ) -> ImportReport:
        names = [os.path.abspath(os.fsdecode(os.fspath(source))) for source in sources]
        try:
            if not dry_run:
                ledger.note(event="started", time=_now(), sources=names, process=os.getpid())
            report = importer.run(sources, progress)
            if not dry_run:
                ledger.note(event="ended", time=_now(), stopped=report.stopped, counts=report.counts)
            return report
        finally:
            ledger.close()

    def quarantined(self) -> list[Any]:
        """Files that imports could not store, with the reason (`QuarantineItem`)."""
        return list(self._quarantine().items())

    # Finding

    def search(
        self,
        level: Level,
        query: Query | Mapping[str, str | Sequence[str]],
        *,
        limit: int | None = None,
        offset: int = 0,
        includefield: Sequence[str] = (),
        fuzzy: bool = False,
        order: str = "",
        as_of: int | None = None,
        strict: bool = True,
    ) -> SearchResult:
        """Search as QIDO-RS does (PS3.18 10.6, PS3.4 C.2.2.2).

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            What one answer is.
        query : mapping of str to str or list of str, or Query
            Matching keys by keyword or tag; sequence items as ``RequestAttributesSequence.AccessionNumber``.
        limit, offset : int
        includefield : sequence of str
            Keywords, tags, or ``"all"``.
        fuzzy : bool
            Fuzzy matching of person names.
        order : str
            Keyword, with a minus in front for descending.
        as_of : int, optional
            ``as_of`` of the first page, so that later pages do not shift when studies come in.
        strict : bool
            Refuse unknown keys; False: ignore them with a warning in ``result.query.warnings``.

        Raises
        ------
        UsageError
            An unknown attribute, or a value that does not fit it.
        LimitExceeded
            The query would have to read the headers of too many objects.
        """
        if not isinstance(query, Query):
            query = self.parse_query(
                level,
                query,
                includefield=includefield,
                fuzzy=fuzzy,
                limit=limit,
                offset=offset,
                order=order,
                as_of=as_of,
                strict=strict,
            )
        return self._index.search(level, query, self.retrieve.header)

    def parse_query(self, level: Level, keys: Mapping[str, str | Sequence[str]], **options: Any) -> Query:
        """Read matching keys as `hilum.index.query.parse_query` does, by the settings of private tags and case.

        Raises
        ------
        UsageError
            An unknown attribute, or a value that does not fit it.
        """
        return parse_query(
            level,
            keys,
            private_keys=self._private_keys,
            case_sensitive=self.settings.index.case_sensitive,
            **options,
        )

    def patients(self, *, limit: int | None = None, offset: int = 0, order: str = "", **keys: Any) -> list[Patient]:
        """Find patients; see `studies`."""
        return [Patient(self, found) for found in self._find("patient", keys, limit, offset, order, fuzzy=False)]

    def studies(
        self, *, limit: int | None = None, offset: int = 0, order: str = "", fuzzy: bool = False, **keys: Any
    ) -> list[Study]:
        """Find studies, the newest first; all of them without keys.

        Parameters
        ----------
        limit, offset : int
            How many to give, and how many to leave out before.
        order : str
            Attribute, with a minus in front for descending: ``"-study_date"``.
        fuzzy : bool
            Fuzzy matching of person names.
        **keys
            Attributes by name, ``patient_id="4711"``: text with wildcards ``*`` and ``?``, ranges as
            ``study_date="20240101-"`` or ``study_date=(date(2024, 1, 1), None)``, UIDs also as a list.

        Raises
        ------
        UsageError
            An unknown attribute (the message names similar ones), or a value that does not fit it.
        """
        return [Study(self, found) for found in self._find("study", keys, limit, offset, order, fuzzy=fuzzy)]

    def series(
        self, *, limit: int | None = None, offset: int = 0, order: str = "", fuzzy: bool = False, **keys: Any
    ) -> list[Series]:
        """Find series; see `studies`."""
        return [Series(self, found) for found in self._find("series", keys, limit, offset, order, fuzzy=fuzzy)]

    def instances(
        self, *, limit: int | None = None, offset: int = 0, order: str = "", fuzzy: bool = False, **keys: Any
    ) -> list[Instance]:
        """Find instances; see `studies`."""
        found = self._find("instance", keys, limit, offset, order, fuzzy=fuzzy)
        records = self._index.lookup([str(attributes["SOPInstanceUID"]) for attributes in found])
        return [
            Instance(self, record, attributes)
            for record, attributes in zip(records, found, strict=True)
            if record is not None
        ]

    def study(self, study_instance_uid: str) -> Study:
        """Return the study of this UID; NotFound when there is none."""
        found = self.studies(study_instance_uid=study_instance_uid, limit=1)
        if not found:
            raise NotFound("there is no such study")
        return found[0]

    def instance(self, sop_instance_uid: str) -> Instance:
        """Return the instance of this UID; NotFound when there is none."""
        record = self._index.lookup([sop_instance_uid])[0]
        if record is None:
            raise NotFound("there is no such instance")
        return Instance(self, record)

    def versions(self, sop_instance_uid: str) -> list[Instance]:
        """Objects of this UID that are not current, with bytes of their own, oldest first."""
        return [Instance(self, record) for record in self._index.versions(sop_instance_uid)]

    def _find(
        self, level: Level, keys: Mapping[str, Any], limit: int | None, offset: int, order: str, *, fuzzy: bool
    ) -> list[dict[str, object]]:
        sign, name = ("-", order[1:]) if order.startswith("-") else ("", order)
        result = self.search(
            level,
            matching_keys(keys),
            limit=limit,
            offset=offset,
            includefield=("all",),
            fuzzy=fuzzy,
            order=sign + keyword_of(name) if name else "",
        )
        return result.to_dicts()

    # Keeping it sound

    def delete(
        self, level: Level, uid: str | Sequence[str], *, study_uid: str | None = None, reason: str = ""
    ) -> DeleteReport:
        """Delete studies, series or instances by UID; their space is freed by `compact`.

        Parameters
        ----------
        level : {"study", "series", "instance"}
        uid : str or sequence of str
        study_uid : str, optional
            The study of a series whose UID is in several.
        reason : str
            Kept with the deletion. No patient data.

        Raises
        ------
        NotFound
            None of them is there.
        """
        self._writable()
        uids = [uid] if isinstance(uid, str) else list(uid)
        return lifecycle.delete(self._index, self._ingest, level, uids, study_uid=study_uid, reason=reason)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Re-hash every record of every pack, and compare packs and index both ways.

        Parameters
        ----------
        progress : callable, optional
            Called with bytes done and bytes in all.
        """
        return lifecycle.verify(self._packs, self._index, progress)

    def compact(self, *, least_dead: float = 0.2) -> CompactReport:
        """Free the space of deleted objects: copy what lives to a new pack, then delete the old one.

        Parameters
        ----------
        least_dead : float
            Packs of which at least this share is dead, 0 to 1.
        """
        self._writable()
        return compaction.compact(self.root, self._packs, self._index, self._ingest, least_dead)

    def rebuild_index(self, progress: Callable[[int, int], None] | None = None) -> RebuildReport:
        """Make the index again from the packs. Readers of other processes see an incomplete archive meanwhile."""
        self._writable()
        return recovery.rebuild(self.root, self._packs, self._index, self._ingest, self.settings, progress)

    def events(self, since: int = 0, limit: int = 1000) -> list[Event]:
        """Events after sequence number `since`, oldest first."""
        return self._index.events(since, limit)

    def follow(self, since: int = 0, *, timeout: float | None = None) -> Iterator[Event]:
        """Yield events after `since`, and wait for more; ends after `timeout` quiet seconds."""
        return event_log.follow(self._index, since, timeout=timeout)

    def statistics(self) -> Statistics:
        """Totals; cheap."""
        found: IndexStatistics = self._index.statistics()
        packs = self._packs.packs()
        return Statistics(
            patients=found.patients,
            studies=found.studies,
            series=found.series,
            instances=found.instances,
            versions=found.versions,
            object_bytes=found.total_bytes,
            pack_bytes=sum(pack.size for pack in packs),
            index_bytes=found.index_bytes,
            packs=len(packs),
        )

    @property
    def pictures(self) -> Pictures:
        """Rendered pictures of what is stored."""
        if self._pictures is None:
            from hilum.archive.pictures import Pictures

            self._pictures = Pictures(self.retrieve, self.overlays, self.volumes.frames)
        return self._pictures

    @property
    def overlays(self) -> Overlays:
        """What lies over images: segments, structures, doses, other series."""
        if self._overlays is None:
            from hilum.archive.overlays import Overlays

            self._overlays = Overlays(self)
        return self._overlays

    @property
    def volume_images(self) -> VolumeImages:
        """Rendered pictures of volumes."""
        if self._volume_images is None:
            from hilum.archive.volume_images import VolumeImages

            self._volume_images = VolumeImages(self)
        return self._volume_images

    @property
    def packs(self) -> PackStore:
        """The store of the original bytes."""
        return self._packs

    @property
    def index(self) -> Index:
        """The index."""
        return self._index

    def close(self) -> None:
        """Commit what is queued, then let go of everything."""
        if not self._closed:
            self._closed = True
            release(self._parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<hilum.Archive {self.root}>"

    def _quarantine(self) -> Quarantine:
        return Quarantine(self.root / "quarantine", self.settings.ingest.quarantine_bytes)

    def _policy(self, on_conflict: str | None) -> OnConflict:
        return ingest.checked_policy(on_conflict or self.settings.ingest.on_conflict)

    def _writable(self) -> None:
        if self._closed:
            raise UsageError("the archive is closed")
        if self.read_only:
            raise Unavailable(f"{self.root}: the archive was opened for reading only", code=READ_ONLY)


def _jobs(jobs: int) -> int:
    return jobs or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else jobs or os.cpu_count() or 1


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
