"""A legacy archive that speaks DIMSE: C-FIND, then C-GET or C-MOVE."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.dimse.client import Counts, Finder, Refused, get_entity, move
from hilum.errors import HilumError, LimitExceeded, Unavailable
from hilum.migrate.source import Answers, Fetched, FoundInstance, study_of
from hilum.migrate.take import Taker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hilum.archive.archive import Archive
    from hilum.archive.incoming import Incoming
    from hilum.dimse.client import Remote
    from hilum.migrate.source import FoundStudy
    from hilum.types import Level

__all__ = ["DimseSource"]

_RETURNED: Final = ("StudyInstanceUID", "StudyDate", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")


@dataclass(frozen=True, slots=True)
class DimseSource:
    """Where it is, and how it gives.

    Parameters
    ----------
    remote : Remote
    archive : Archive
        To be filled.
    incoming : Incoming
    move_to : str
        AE title under which the peer knows us: C-MOVE; empty: C-GET.
    """

    remote: Remote
    archive: Archive
    incoming: Incoming
    move_to: str = ""

    @property
    def name(self) -> str:
        """Its AE title and address."""
        return f"{self.remote.called}@{self.remote.host}:{self.remote.port}"

    def open(self) -> _DimseSession:
        """Give a session."""
        return _DimseSession(self)


class _DimseSession:
    def __init__(self, source: DimseSource) -> None:
        self._source = source
        self._finder: Finder | None = None
        self._taker = Taker(source.archive, source.incoming)

    def studies(self, keys: Mapping[str, str]) -> Answers:
        found: list[FoundStudy] = []
        wanted = {**dict.fromkeys(_RETURNED, ""), **keys}
        complete = self._ask("study", wanted, lambda a: found.append(study_of(*(str(a.get(k, "")) for k in _RETURNED))))
        return Answers(tuple(study for study in found if study.uid), complete)

    def instances(self, study_uid: str) -> list[FoundInstance]:
        """Series by series, as hierarchical queries are (PS3.4 C.4.1.3.1): every archive answers them."""
        series: list[str] = []
        keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
        complete = self._ask("series", keys, lambda a: series.append(str(a.get("SeriesInstanceUID", ""))))
        found: list[FoundInstance] = []
        for uid in dict.fromkeys(filter(None, series)):
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""}
            complete &= self._ask("instance", keys, lambda a, uid=uid: found.append(_instance(uid, a)))
        if not complete:
            raise LimitExceeded("the peer does not list all series and instances of the study: its limit is too low")
        return [instance for instance in found if instance.uid]

    def _ask(self, level: Level, keys: Mapping[str, str], take: Any) -> bool:
        """Give each answer to `take`; whether these were all. An association that the peer has let go is renewed."""
        for attempt in (0, 1):
            if self._finder is None or not self._finder.alive:
                self._finder = Finder(self._source.remote)
                attempt = 1
            count = 0
            try:
                for answer in self._finder.find(level, keys):
                    count += 1
                    take(answer)
            except Refused as refusal:
                if refusal.status >> 8 == 0xA7 or refusal.status == 0xFE00:
                    return False
                raise
            except Unavailable:
                self.close()
                if attempt or count:
                    raise
            else:
                return True
        raise AssertionError("unreachable")

    def fetch(self, study_uid: str, series_uids: Sequence[str], classes: Sequence[str]) -> Fetched:
        study = {"StudyInstanceUID": study_uid}
        entities: list[tuple[Level, dict[str, str]]] = [("study", study)]
        if series_uids:
            entities = [("series", {**study, "SeriesInstanceUID": uid}) for uid in series_uids]
        fetched = Fetched()
        error: HilumError | None = None
        for level, keys in entities:
            try:
                _add(fetched, self._retrieve(level, keys, classes))
            except HilumError as found:
                error = found
                break
        fetched.failed |= self._taker.finish()
        if error is not None:
            raise error
        return fetched

    def _retrieve(self, level: Level, keys: Mapping[str, str], classes: Sequence[str]) -> Counts:
        source = self._source
        if source.move_to:
            return move(source.remote, source.move_to, level, keys)
        return get_entity(source.remote, level, keys, classes, self._taker)

    def close(self) -> None:
        if self._finder is not None:
            with suppress(HilumError, OSError):
                self._finder.__exit__(None)
            self._finder = None


def _instance(series_uid: str, answer: Mapping[str, Any]) -> FoundInstance:
    return FoundInstance(
        series_uid, str(answer.get("SOPInstanceUID", "")).strip(), str(answer.get("SOPClassUID", "")).strip()
    )


def _add(fetched: Fetched, counts: Counts) -> None:
    fetched.received += counts.completed + counts.warning
    for uid in counts.failed_uids:
        fetched.failed[uid] = "the peer lists it as failed"
    if counts.status:
        fetched.note = f"the peer ended the retrieval with status {counts.status:04X}"
        if counts.failed:
            fetched.note += f", {counts.failed} sub-operations failed"
