"""What an index must do, and the values that go in and come out.

The packs are the truth; an index holds what was read from them and can be made again. Every answer depends on the set
of objects only, never on the order in which they came (except for the ties of the study list, which ids decide).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hilum.index.query import Query
    from hilum.types import Level, Location

__all__ = [
    "REPLACES",
    "Entry",
    "Event",
    "EventKind",
    "Index",
    "IndexStatistics",
    "InstanceRecord",
    "Outcome",
    "PackState",
    "PatientRecord",
    "SearchResult",
    "SeriesRecord",
    "StudyRecord",
    "Tombstone",
]

REPLACES = 1
"""Bit of ``flags``: over another object of the same UID, this one becomes the current (pack record flag kReplaces)."""


class Outcome(enum.Enum):
    """What became of an entry."""

    STORED = "stored"
    """A new SOP Instance UID."""
    DUPLICATE = "duplicate"
    """The same bytes are known under this UID; nothing changes."""
    CONFLICT_KEPT = "conflict_kept"
    """Other bytes are current under this UID; kept as a version."""
    REPLACED = "replaced"
    """Now the current object of its UID; the one before is kept as a version."""
    DELETED = "deleted"
    """A tombstone not older than the entry names its UID; not indexed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a pack, as the scan saw it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: tuple[bytes, bytes, bytes, bytes]
    """Attribute lists of the patient, study, series and instance level."""
    location: Location
    sha256: bytes
    """32 bytes."""
    received_ns: int
    """Unix time in ns; of two objects of one UID the later is the newer."""
    crc32c: int = 0
    header_length: int = 0
    """Bytes from the start of the object up to its pixel data."""
    pixels: tuple[int | str, ...] | None = None
    """Fields of ``hilum.types.PixelDescription`` in its order."""
    frame_table: bytes = b"\0"
    flags: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Objects of this UID that were received at ``received_ns`` or before are deleted."""

    sop_instance_uid: str
    received_ns: int


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One object: where it is and what it is."""

    id: int
    series_id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    location: Location
    sha256: bytes
    crc32c: int
    received_ns: int
    flags: int
    header_length: int
    pixels: tuple[int | str, ...] | None
    frame_table: bytes
    warnings: tuple[str, ...]
    attributes: bytes
    """Attribute list of the instance level."""

    @property
    def number_of_frames(self) -> int:
        """Frames of the pixel data, 0 without pixel data."""
        return int(self.pixels[9]) if self.pixels else 0


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series of one study."""

    id: int
    study_id: int
    study_instance_uid: str
    series_instance_uid: str
    instances: int
    """NumberOfSeriesRelatedInstances."""
    total_bytes: int
    """Bytes of all current objects."""
    sop_classes: dict[str, int]
    """Number of instances of each SOP class."""
    attributes: bytes
    """Attribute list of the series level."""
    derived: bytes
    """Attribute list of what the index counts."""
    key_instance_uid: str
    """Smallest SOP Instance UID: the instance whose attributes stand for the series."""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """One study."""

    id: int
    patient_id: int
    """Id of the patient record (not PatientID)."""
    study_instance_uid: str
    series: int
    """NumberOfStudyRelatedSeries."""
    instances: int
    """NumberOfStudyRelatedInstances."""
    total_bytes: int
    modalities: dict[str, int]
    """Number of series of each modality."""
    sop_classes: dict[str, int]
    """Number of instances of each SOP class."""
    attributes: bytes
    """Attribute list of the patient and study level."""
    derived: bytes
    """Attribute list of what the index counts."""


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """One patient: a PatientID with its issuer, or one study that names no patient."""

    id: int
    key: str
    studies: int
    series: int
    instances: int
    total_bytes: int
    attributes: bytes
    derived: bytes


class EventKind(enum.IntEnum):
    """What an event says of its instances."""

    STORED = 1
    REPLACED = 2
    CONFLICT = 3
    DELETED = 4
    MOVED = 5


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to instances of one series in one transaction."""

    sequence: int
    """Without gaps, from 1."""
    kind: EventKind
    time_ns: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PackState:
    """What the index knows of one pack."""

    number: int
    indexed_to: int
    """Every record before this offset is in the index."""
    live_bytes: int
    """Payload bytes of current objects and versions."""
    dead_bytes: int
    """Payload bytes of deleted objects."""
    live_objects: int


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """Totals, without a walk."""

    patients: int
    studies: int
    series: int
    instances: int
    versions: int
    total_bytes: int
    """Bytes of all current objects."""
    index_bytes: int
    """Bytes that the index file takes of the disk."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of answers. Behaves as a sequence of rows of sealed records (study first)."""

    level: Level
    rows: list[tuple[bytes, ...]]
    """Per answer the records from the study (patient level: the patient) down to the level asked for."""
    ids: list[int]
    total: int | None
    """Number of answers without limit and offset, where it costs nothing to know."""
    more: bool
    """Whether answers follow this page."""
    as_of: int
    """Give this to the next page's query, so that answers that came in between do not shift it."""
    query: Query
    extras: list[bytes] = field(default_factory=list)
    """Attribute lists read from headers for what was asked but is not in the index; empty or one per row."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def remaining(self) -> int | None:
        """How many answers follow this page, None when that is not known."""
        if not self.more:
            return 0
        return None if self.total is None else max(0, self.total - self.query.offset - len(self.rows))

    def to_json(self, base_url: str = "") -> bytes:
        """Body of a QIDO-RS answer (PS3.18 10.6.3.3.1): a JSON array, UTF-8.

        Parameters
        ----------
        base_url : str
            Of the DICOMweb service, without a slash at the end; RetrieveURL starts with it. Empty: no RetrieveURL.
        """
        from hilum.index.answers import answers_json

        return answers_json(self, base_url)

    def to_dicts(self) -> list[dict[str, object]]:
        """Answers by keyword, ``{"PatientID": "..", ...}``; several values as list, items as dicts."""
        from hilum.index.answers import answers_dicts

        return answers_dicts(self)


class Index(Protocol):
    """Contract of an index. Thread-safe; several processes may hold it at once."""

    def apply(
        self,
        entries: Sequence[Entry],
        *,
        packs: Mapping[int, int] | None = None,
        tombstones: Sequence[Tombstone] = (),
    ) -> list[Outcome]:
        """Take in a batch in one transaction, visible as a whole; one outcome per entry.

        Parameters
        ----------
        entries : sequence of Entry
            Objects whose bytes are durable. Applying one again (a replay) changes nothing.
        packs : mapping of int to int, optional
            Pack number to the offset up to which its records are indexed with this batch.
        tombstones : sequence of Tombstone, optional
            Deletions; order against the entries does not matter, ``received_ns`` does.
        """
        ...

    def lookup(self, uids: Sequence[str]) -> list[InstanceRecord | None]:
        """Current objects by SOP Instance UID, in the order of ``uids``."""
        ...

    def versions(self, uid: str) -> list[InstanceRecord]:
        """Objects of this SOP Instance UID with other bytes that are not current, oldest first."""
        ...

    def study(self, uid: str) -> StudyRecord | None:
        """Study by UID."""
        ...

    def series(self, uid: str, study_uid: str | None = None) -> SeriesRecord | None:
        """Series by UID; with no study the one of the smallest Study Instance UID."""
        ...

    def patient(self, patient_id: str, issuer: str = "") -> PatientRecord | None:
        """Patient by PatientID and IssuerOfPatientID."""
        ...

    def series_of(self, study_uid: str) -> list[SeriesRecord]:
        """Series of a study in display order: SeriesNumber, then UID."""
        ...

    def instances(self, study_uid: str, series_uid: str | None = None) -> list[InstanceRecord]:
        """Instances of a study or series in display order: InstanceNumber, then UID; series by series."""
        ...

    def search(
        self, level: Level, query: Query, read_header: Callable[[InstanceRecord], bytes] | None = None
    ) -> SearchResult:
        """Answer a query (PS3.4 C.2.2.2, PS3.18 8.3.4).

        Parameters
        ----------
        level : str
            What one answer is: a patient, study, series or instance.
        query : Query
            From ``hilum.index.query.parse_query``.
        read_header : callable, optional
            Gives the header bytes of an instance; needed for keys and fields that are not in the index. Without it such
            keys raise UsageError.
        """
        ...

    def remove(self, level: Level, uid: str, *, received_ns: int, study_uid: str | None = None) -> list[InstanceRecord]:
        """Delete what a UID names; returns the deleted objects with their versions.

        The tombstones are in the packs before this is called. Objects received after ``received_ns`` stay.
        """
        ...

    def move(self, moves: Sequence[tuple[str, Location, Location]]) -> int:
        """Point (SOP Instance UID, old location, new location) to the new locations; how many were at the old one."""
        ...

    def forget_pack(self, number: int) -> None:
        """Drop what is known of a pack that was removed; Conflict while live objects are in it."""
        ...

    def locations(self, pack: int) -> Iterator[InstanceRecord]:
        """Every object and version whose bytes are in this pack (a walk from the first to the last id in it)."""
        ...

    def events(self, since: int = 0, limit: int = 1000) -> list[Event]:
        """Events after sequence number ``since``, oldest first."""
        ...

    def last_event(self) -> Event | None:
        """Newest event; None when nothing has happened yet."""
        ...

    def revision(self) -> int:
        """Return a number that is another one after every change, by any process."""
        ...

    def latest_ns(self) -> int:
        """Latest receive time of an object or a deletion that was ever taken in, 0 when there is none."""
        ...

    def is_deleted(self, uid: str, received_ns: int) -> bool:
        """Whether an object of this UID that was received at this time is deleted."""
        ...

    def packs(self) -> list[PackState]:
        """State of every pack, by number."""
        ...

    def statistics(self) -> IndexStatistics:
        """Totals, without a walk."""
        ...

    def verify(self) -> list[str]:
        """Findings of a full check of every record, key and counter; empty when all is right."""
        ...

    def clear(self) -> None:
        """Forget everything, before a rebuild from the packs; the index is incomplete until `complete`."""
        ...

    def complete(self) -> None:
        """End a rebuild."""
        ...

    def is_complete(self) -> bool:
        """Whether no rebuild is going on or has stopped half way."""
        ...

    def tidy(self) -> None:
        """Take less of the disk, after a bulk import or rebuild; writers wait for it, readers do not."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...
