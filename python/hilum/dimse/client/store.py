"""C-STORE as SCU (PS3.4 B)."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.scan import scan_file
from hilum.dimse.client.remote import Remote, in_threads
from hilum.dimse.messages import Field, Tag
from hilum.dimse.proposal import Proposal
from hilum.errors import HilumError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from hilum.dimse.association import Association

__all__ = ["StoreOutcome", "store"]

_BATCH: Final = 32
_NOT_DICOM: Final = 2  # hilum::Errc::not_dicom


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one file."""

    path: Path
    sop_instance_uid: str
    size: int
    status: int
    """Of the C-STORE response; -1 when there was none."""
    error: str = ""
    """Why it was not sent; without values of patients."""
    is_dicom: bool = True
    """It looks like a DICOM object."""

    @property
    def ok(self) -> bool:
        """Stored, with or without a warning."""
        return self.status == 0 or self.status >> 12 == 0xB


def store(
    remote: Remote,
    paths: Iterable[Path],
    *,
    associations: int = 1,
    outcome: Callable[[StoreOutcome], None] = lambda _outcome: None,
    stop: threading.Event | None = None,
) -> int:
    """C-STORE files, in their transfer syntax and as their bytes are; gives how many were stored.

    Parameters
    ----------
    remote : Remote
    paths : iterable of Path
        Files; taken as they are needed.
    associations : int
        That many at once.
    outcome : callable
        Called with what became of each file, from the thread that has sent it; not from two at once.
    stop : threading.Event, optional
        When it is set, nothing more is sent.

    Raises
    ------
    Unavailable, Denied
        The peer cannot be reached; files that were not sent have had no outcome.
    """
    source = iter(paths)
    lock, told = threading.Lock(), threading.Lock()
    stored = [0]
    problems: list[HilumError] = []

    def tell(result: StoreOutcome) -> None:
        with told:
            stored[0] += result.ok
            outcome(result)

    def work() -> None:
        sender = _Sender(remote)
        try:
            while not problems:
                with lock:
                    batch = list(islice(source, _BATCH))
                if not batch:
                    return
                for result in sender.send(batch):
                    tell(result)
                    if stop is not None and stop.is_set():
                        return
        except HilumError as error:
            problems.append(error)
        finally:
            sender.close()

    in_threads(work, associations)
    if problems:
        raise problems[0]
    return stored[0]


class _Sender:
    """Sends files on one association at a time; another one when their contexts are not there."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._association: Association | None = None
        self._proposed: dict[tuple[str, str], None] = {}

    def send(self, paths: Sequence[Path]) -> Iterator[StoreOutcome]:
        known: list[tuple[Path, Any, Any]] = []
        for path in paths:
            try:
                known.append((path, *scan_file(path, max_bytes=1 << 25)))
            except HilumError as error:
                yield StoreOutcome(path, "", 0, -1, str(error), error.code != _NOT_DICOM)
        needed = {(scan.sop_class_uid, scan.transfer_syntax_uid): None for _, scan, _ in known}
        for path, scan, data in known:
            yield self._send(path, scan, data, needed)

    def _send(self, path: Path, scan: Any, data: Any, needed: dict[tuple[str, str], None]) -> StoreOutcome:
        pair = (scan.sop_class_uid, scan.transfer_syntax_uid)
        size = path.stat().st_size if data is None else len(data)
        if self._association is None or not self._association.alive or pair not in self._proposed:
            self.close()
            self._proposed = dict(list({pair: None, **self._proposed, **needed}.items())[:128])
            self._association = self._remote.associate([Proposal(uid, (syntax,)) for uid, syntax in self._proposed])
        association = self._association
        context = association.context_for(pair[0], (pair[1],))
        if context is None:
            reason = f"the peer does not take {pair[0]} in {pair[1]}"
            return StoreOutcome(path, scan.sop_instance_uid, size, -1, reason)
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.C_STORE,
            Tag.PRIORITY: 0,
            Tag.AFFECTED_SOP_CLASS: scan.sop_class_uid,
            Tag.AFFECTED_SOP_INSTANCE: scan.sop_instance_uid,
        }
        try:
            pieces = (
                _file_pieces(path, scan.dataset_offset) if data is None else (memoryview(data)[scan.dataset_offset :],)
            )
            _, answer = association.request(context, command, pieces)
        except Unavailable as error:
            self.close()
            return StoreOutcome(path, scan.sop_instance_uid, size, -1, str(error))
        return StoreOutcome(path, scan.sop_instance_uid, size, answer.status, str(answer.command.get(Tag.COMMENT, "")))

    def close(self) -> None:
        if self._association is not None:
            self._association.release()
            self._association = None


def _file_pieces(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(1 << 20):
            yield piece
