"""What a store of original bytes promises, and the values that it speaks in.

``docs/formats/pack.md`` describes the files, ``docs/adr/0002-pack-durability.md`` why the promises hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hilum.errors import DataError
from hilum.types import Location

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = [
    "REPLACES",
    "BadRecord",
    "Kind",
    "NewRecord",
    "PackInfo",
    "PackSettings",
    "RecordInfo",
    "Recovered",
    "SealInfo",
    "Source",
    "Tombstone",
]

REPLACES = 1
"""Record flag: on another object of the same SOP Instance UID, this one becomes the current version."""


class Kind(IntEnum):
    """What a record holds."""

    OBJECT = 1
    """A SOP instance, the bytes as they came."""
    OVERLAY = 2
    """An edit, as a DICOM data set that names what it changes."""
    TOMBSTONE = 3
    """A deletion, see `Tombstone`."""


class _Readable(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


Source: TypeAlias = "str | os.PathLike[str] | _Readable"
"""Where a streamed record comes from: a file by its path, or anything with ``readinto``."""


@dataclass(frozen=True, slots=True)
class PackSettings:
    """How packs are written."""

    pack_bytes: int = 1 << 30
    """A pack is sealed when it has reached this size. One record may make it larger."""
    reserve_bytes: int = 256 << 20
    """Nothing is appended that would leave less free space than this, so that the index can always commit."""
    max_open_files: int = 128
    """Packs that are kept open for reading."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to be appended."""

    kind: int
    payload: Sequence[Buffer]
    """Pieces of the payload, in order; C-contiguous buffers."""
    sha256: bytes | None = None
    """Of the payload; computed if it is not known yet."""
    crc32c: int | None = None
    """Of the payload. If given it is compared: bytes that changed since are refused."""
    received_ns: int = 0
    """Unix time in nanoseconds."""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class RecordInfo:
    """A record as it lies in a pack."""

    kind: int
    location: Location
    sha256: bytes
    crc32c: int
    received_ns: int
    flags: int
    sequence: int
    """From 1 in each pack, rising."""
    end: int
    """First byte after the record: what the index keeps as "indexed up to"."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A range of a pack in which no record can be read, or a record whose payload is damaged."""

    pack: int
    offset: int
    """First byte of the range (of the record's header)."""
    end: int
    """First byte after it; reading goes on there."""
    reason: str
    record: RecordInfo | None
    """The record, if its header is whole and only the payload is damaged."""
    unfinished: bool
    """It lies at the end of an append that a crash ended: most likely it was never acknowledged."""


@dataclass(frozen=True, slots=True)
class SealInfo:
    """Why and with what a pack was finished."""

    reason: str
    """``"full"``, ``"asked"``, ``"abandoned"`` (a flush failed) or ``"suspect"`` (damage found at recovery)."""
    records: int
    payload_bytes: int
    suspect_from: int
    """Damage from this offset on may be an append that did not finish; 0 if there is none."""


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A pack file."""

    number: int
    size: int
    """Bytes of the file."""
    created_ns: int
    sealed: SealInfo | None
    locked: bool
    """Somebody writes to it: another process, or this store."""
    damage: str
    """What is wrong with the file header, or with the whole file if it cannot be read; empty if nothing."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery did to a pack that nobody was writing to."""

    pack: int
    valid_end: int
    """End of the last whole record."""
    cut: int
    """Bytes of an unfinished append that were cut off; never acknowledged."""
    suspect: int
    """Damaged bytes at the end that may have been acknowledged: left in place, the pack is sealed after them."""
    missing: int
    """Bytes that the index knows but the file does not have any more: data loss outside of hilum."""
    error: str
    """Why the pack could not be recovered (no space, read-only, damaged header); empty if it was."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The payload of a tombstone record: what is deleted, by UID and time and by place.

    An object of one of `instances` is deleted when it was received up to `deleted_ns`: an object that is stored again
    afterwards is not meant, and a copy of a deleted one is, wherever it lies and in whatever order packs are read.
    Without `instances` the tombstone is about the records only, which are void; other objects of their UIDs stay.
    """

    level: str
    """What was asked for: ``"study"``, ``"series"`` or ``"instance"``."""
    uids: tuple[str, ...]
    """The UIDs that were asked for."""
    records: tuple[Location, ...]
    deleted_ns: int
    reason: str = ""
    instances: tuple[str, ...] = ()
    """SOP Instance UIDs of the deleted objects."""

    def encode(self) -> bytes:
        """Write as JSON (UTF-8)."""
        places = [[r.pack, r.offset, r.length] for r in self.records]
        fields = {
            "version": 1,
            "level": self.level,
            "uids": list(self.uids),
            "instances": list(self.instances),
            "records": places,
            "deleted_ns": self.deleted_ns,
            "reason": self.reason,
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, payload: Buffer) -> Tombstone:
        """Read what `encode` wrote.

        Raises
        ------
        DataError
            The payload is not a tombstone of this version.
        """
        try:
            fields = json.loads(bytes(payload))
            if fields["version"] != 1:
                raise DataError("the tombstone is of another version than this program's", code=14)
            return cls(
                level=str(fields["level"]),
                uids=tuple(str(uid) for uid in fields["uids"]),
                records=tuple(Location(int(p), int(o), int(n)) for p, o, n in fields["records"]),
                deleted_ns=int(fields["deleted_ns"]),
                reason=str(fields["reason"]),
                instances=tuple(str(uid) for uid in fields.get("instances", ())),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError("the tombstone cannot be read", code=13) from error
