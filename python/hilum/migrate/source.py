"""What a migration asks of the archive that it empties, whatever protocol that speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Answers", "Fetched", "FoundInstance", "FoundStudy", "Session", "Source", "study_of"]


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that the peer has announced; nothing of its patient."""

    uid: str
    date: str = ""
    """``YYYYMMDD``; empty when it has none."""
    series: int | None = None
    """Number of Study Related Series (0020,1206), where the peer gives it."""
    instances: int | None = None
    """Number of Study Related Instances (0020,1208)."""


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """An instance that the peer has announced."""

    series_uid: str
    uid: str
    sop_class_uid: str = ""
    """Empty where the peer does not give it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of one query for studies."""

    studies: tuple[FoundStudy, ...]
    complete: bool = True
    """False: the peer has said that there are more."""


@dataclass(slots=True)
class Fetched:
    """What the peer has given of one study."""

    received: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """SOP Instance UIDs that it could not give, or that could not be stored, and why."""
    note: str = ""
    """What it said of the whole, where that was no success."""


@runtime_checkable
class Session(Protocol):
    """One connection, used by one thread.

    Every method raises Unavailable or Denied when the peer cannot be asked.
    """

    def studies(self, keys: Mapping[str, str]) -> Answers:
        """Query for studies."""
        ...

    def instances(self, study_uid: str) -> list[FoundInstance]:
        """List the instances of a study."""
        ...

    def fetch(self, study_uid: str, series_uids: Sequence[str], classes: Sequence[str]) -> Fetched:
        """Retrieve a study, or some series of it, into the archive; returns when they are durable."""
        ...

    def close(self) -> None:
        """End the connection; nothing is raised."""
        ...


class Source(Protocol):
    """An archive to be emptied."""

    name: str
    """Stable: the ledger of the migration is named after it."""

    def open(self) -> Session:
        """Give a session; it may connect later."""
        ...


def study_of(uid: str, date: str, series: str, instances: str) -> FoundStudy:
    """Make a study of texts as peers give them; what is no date or number counts as absent."""
    date = date.strip()
    return FoundStudy(
        uid.strip(" \0"), date if len(date) == 8 and date.isdigit() else "", _number(series), _number(instances)
    )


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
