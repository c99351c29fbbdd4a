"""C-GET and C-MOVE as SCP (PS3.4 C.4.2, C.4.3): instances go out as C-STORE sub-operations, in their stored bytes."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from hilum import errors
from hilum.archive import find, outgoing
from hilum.dimse.association import Association
from hilum.dimse.identifier import Element, encode, parse, text_of
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.models import UNIQUE_KEYS
from hilum.dimse.proposal import proposals_for
from hilum.dimse.query import CANCELLED, MISMATCH, OUT_OF_RESOURCES, SUCCESS, UNABLE, Refusal, read_level
from hilum.dimse.wire import Outcome

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from hilum.archive.archive import Archive
    from hilum.dimse.peers import Peer
    from hilum.dimse.proposal import Proposal
    from hilum.dimse.wire import Link, Request
    from hilum.index.base import InstanceRecord

__all__ = ["RETRIEVE_STATUS", "GetService", "MoveService", "store_command"]

LOGGER = logging.getLogger("hilum.dimse")
PENDING: Final = 0xFF00
WARNING: Final = 0xB000
SUBOPERATIONS_FAILED: Final = 0xA702
UNKNOWN_DESTINATION: Final = 0xA801

RETRIEVE_STATUS: Final[dict[int, str]] = {
    SUCCESS: "every sub-operation has succeeded, or nothing matched",
    PENDING: "sub-operations go on; at most four times a second",
    WARNING: "some sub-operations have failed or given a warning; the failed ones are listed",
    CANCELLED: "C-CANCEL was received",
    OUT_OF_RESOURCES: "the identifier is above a limit",
    SUBOPERATIONS_FAILED: "no sub-operation has succeeded, or the destination could not be reached",
    UNKNOWN_DESTINATION: "C-MOVE: the destination is not in the setting `dimse.peers`",
    MISMATCH: "Query/Retrieve Level or the unique key of the level is missing, or not one of the information model",
    UNABLE: "the identifier cannot be read",
}
"""C-GET and C-MOVE statuses (PS3.4 Tables C.4-2 and C.4-3): the one table, also of the conformance statement."""

_FAILED_LIST: Final = 0x00080058
_PENDING_EVERY_S: Final = 0.25
_SUBOPERATION_S: Final = 120.0
_NOT_PROPOSED: Final = Outcome(UNABLE, "the receiver takes no objects of this SOP class")
_NOT_TAKEN: Final = Outcome(UNABLE, "an object cannot be given in any transfer syntax that the receiver takes")


@dataclass(slots=True)
class _Counts:
    """Sub-operations of one request; thread-safe."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)
    problem: str = ""
    """Why the first of the failed ones has failed."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    said: float = 0.0

    def take(self, record: InstanceRecord, outcome: Outcome) -> None:
        """Count the outcome of one C-STORE."""
        status = outcome.status
        with self.lock:
            self.remaining -= 1
            if status == SUCCESS:
                self.completed += 1
            elif status >> 12 == 0xB or status in (0x0001, 0x0107, 0x0116):
                self.warning += 1
            else:
                self.failed.append(record.sop_instance_uid)
                self.problem = self.problem or outcome.reason or f"the receiver has answered C-STORE with {status:04X}"

    def fields(self, *, final: bool) -> dict[int, int | str]:
        """Fill the counters of a response; remaining only where it is allowed (PS3.7 9.1.3.1)."""
        with self.lock:
            counted: dict[int, int | str] = {
                Tag.COMPLETED: min(self.completed, 0xFFFF),
                Tag.FAILED: min(len(self.failed), 0xFFFF),
                Tag.WARNING: min(self.warning, 0xFFFF),
            }
            if not final:
                counted[Tag.REMAINING] = min(self.remaining, 0xFFFF)
        return counted

    def final_status(self) -> int:
        if self.failed and not self.completed and not self.warning:
            return SUBOPERATIONS_FAILED
        return WARNING if self.failed or self.warning else SUCCESS


def read_names(request: Request) -> tuple[Any, dict[Any, list[str]]]:
    """Level and unique keys of a retrieval; `Refusal` when they are not there (PS3.4 C.4.2.1.4, C.4.3.1.3)."""
    try:
        elements = parse(request.data, request.context.transfer_syntax)
    except errors.LimitExceeded as error:
        raise Refusal(OUT_OF_RESOURCES, str(error)) from None
    except errors.DataError as error:
        raise Refusal(UNABLE, str(error)) from None
    level = read_level(elements, request.context.abstract_syntax)
    names = {}
    for name, tag in UNIQUE_KEYS.items():
        text = text_of(elements, tag) or ""
        values = [part.strip(" \0") for part in text.split("\\")]
        names[name] = [value for value in values if value and not set(value) & set("*?")]
    if not names[level]:
        raise Refusal(MISMATCH, "the unique key of the level is missing", UNIQUE_KEYS[level])
    return level, names


def store_command(record: InstanceRecord, message_id: int, **move: int | str) -> dict[int, int | str]:
    """Command of a C-STORE request; ``originator`` and ``originator_id`` for one of a C-MOVE (PS3.7 9.1.1.1)."""
    command: dict[int, int | str] = {
        Tag.COMMAND_FIELD: Field.C_STORE,
        Tag.MESSAGE_ID: message_id,
        Tag.PRIORITY: 0,
        Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
        Tag.AFFECTED_SOP_CLASS: record.sop_class_uid,
        Tag.AFFECTED_SOP_INSTANCE: record.sop_instance_uid,
    }
    if move:
        command[Tag.MOVE_ORIGINATOR] = move["originator"]
        command[Tag.MOVE_ORIGINATOR_ID] = move["originator_id"]
    return command


class _Retrieval(ABC):
    """What C-GET and C-MOVE share."""

    def __init__(self, archive: Archive, observe: Callable[[str, float, int], None]) -> None:
        self._archive = archive
        self._observe = observe

    def __call__(self, link: Link, request: Request) -> Outcome:
        """Answer one request."""
        started = perf_counter()
        comment, offending, counts = "", 0, _Counts(0)
        try:
            self._before(request)
            level, names = read_names(request)
            records = find.named_records(self._archive, level, names)
            counts = _Counts(len(records))
            status = self._run(link, request, records, counts)
        except Refusal as error:
            status, comment, offending = error.status, str(error), error.offending
        except errors.UsageError as error:
            status, comment = OUT_OF_RESOURCES, str(error)
        command = response_to(request.command, status, comment=comment, offending=offending)
        command |= counts.fields(final=status != CANCELLED)
        data = None
        if counts.failed:
            command[Tag.DATA_SET_TYPE] = NO_DATA_SET - 1
            listed = Element(_FAILED_LIST, "UI", "\\".join(counts.failed))
            data = (encode((listed,), request.context.transfer_syntax),)
        link.send(request.context.id, command, data)
        self._observe(f"{status:04X}", perf_counter() - started, counts.completed + counts.warning)
        return Outcome(status, comment or counts.problem)

    def _before(self, request: Request) -> None:  # noqa: B027 - nothing to refuse is a valid answer
        """Refuse what needs no look at the identifier."""

    @abstractmethod
    def _run(self, link: Link, request: Request, records: Sequence[InstanceRecord], counts: _Counts) -> int:
        """Send the instances; gives the final status."""

    def _given(
        self, record: InstanceRecord, taken: Collection[str], preferred: Sequence[str] = ()
    ) -> outgoing.Outgoing | None:
        """Give the data set in the best syntax that the peer takes; None when it can be given in none of them."""
        for syntax in outgoing.offered(record, taken, preferred):
            try:
                return outgoing.data_set(self._archive.retrieve, record, syntax)
            except errors.Unavailable:
                raise
            except errors.HilumError as error:
                LOGGER.warning("an instance cannot be given: %s", error)
        return None

    @staticmethod
    def _pending(link: Link, request: Request, counts: _Counts) -> None:
        now = time.monotonic()
        if counts.remaining and now - counts.said >= _PENDING_EVERY_S:
            counts.said = now
            link.send(request.context.id, response_to(request.command, PENDING) | counts.fields(final=False))


class GetService(_Retrieval):
    """Answers C-GET requests: sub-operations on the same association.

    Parameters
    ----------
    archive : Archive
    observe : callable
        ``observe(outcome, seconds, instances)`` for the metrics.
    """

    def __init__(
        self,
        archive: Archive,
        observe: Callable[[str, float, int], None] = lambda _outcome, _seconds, _count: None,
    ) -> None:
        super().__init__(archive, observe)

    def _run(self, link: Link, request: Request, records: Sequence[InstanceRecord], counts: _Counts) -> int:
        takers: dict[str, dict[str, int]] = {}
        for context in link.contexts.values():
            if context.peer_is_scp:
                takers.setdefault(context.abstract_syntax, {}).setdefault(context.transfer_syntax, context.id)
        return link.exclusively(lambda: self._send(link, request, records, counts, takers))

    def _send(
        self,
        link: Link,
        request: Request,
        records: Sequence[InstanceRecord],
        counts: _Counts,
        takers: Mapping[str, Mapping[str, int]],
    ) -> int:
        cancel_id = int(request.command.get(Tag.MESSAGE_ID, 0))
        for number, record in enumerate(records):
            if link.cancelled(cancel_id):
                return CANCELLED
            self._pending(link, request, counts)
            counts.take(record, self._store(link, takers.get(record.sop_class_uid, {}), record, number))
        return counts.final_status()

    def _store(self, link: Link, taker: Mapping[str, int], record: InstanceRecord, number: int) -> Outcome:
        data = self._given(record, taker)
        if data is None:
            return _NOT_TAKEN if taker else _NOT_PROPOSED
        message_id = number % 0xFFFF + 1
        link.send(taker[data.transfer_syntax_uid], store_command(record, message_id), _whole(data.pieces))
        answer = link.receive(_SUBOPERATION_S)
        if answer is None:
            raise errors.Unavailable("the peer does not answer a sub-operation")
        return Outcome(int(answer.command.get(Tag.STATUS, UNABLE)))


def _whole(pieces: Iterable[Any]) -> Iterable[Any]:
    """Pieces of a message that has begun; damage found in its middle can only end the association."""
    return pieces if isinstance(pieces, tuple) else _guarded(pieces)


def _guarded(pieces: Iterable[Any]) -> Iterable[Any]:
    try:
        yield from pieces
    except errors.HilumError as error:
        LOGGER.error("an association ends: an object cannot be read to its end: %s", error)
        raise errors.Unavailable("an object cannot be read to its end") from error


class MoveService(_Retrieval):
    """Answers C-MOVE requests: sub-operations on associations of their own to a peer of the settings.

    Parameters
    ----------
    archive : Archive
    ae_title : str
        Ours, as the caller.
    peers : mapping of str to Peer
        Destinations by title.
    parallel : int
        Associations to one destination.
    retries : int
        Further attempts to reach it.
    tls : ssl.SSLContext, optional
        For peers with TLS.
    observe : callable
    """

    def __init__(
        self,
        archive: Archive,
        ae_title: str,
        peers: Mapping[str, Peer],
        *,
        parallel: int = 1,
        retries: int = 1,
        tls: ssl.SSLContext | None = None,
        observe: Callable[[str, float, int], None] = lambda _outcome, _seconds, _count: None,
    ) -> None:
        super().__init__(archive, observe)
        self._ae_title = ae_title
        self._peers = peers
        self._parallel = parallel
        self._retries = retries
        self._tls = tls

    def _peer(self, request: Request) -> Peer:
        title = str(request.command.get(Tag.MOVE_DESTINATION, "")).strip()
        peer = self._peers.get(title)
        if peer is None or not peer.port:
            raise Refusal(UNKNOWN_DESTINATION, "the move destination is not known")
        return peer

    def _before(self, request: Request) -> None:
        self._peer(request)

    def _run(self, link: Link, request: Request, records: Sequence[InstanceRecord], counts: _Counts) -> int:
        if not records:
            return SUCCESS
        peer = self._peer(request)
        stop = threading.Event()
        parts = self._parts(peer, records)
        originator: dict[str, int | str] = {
            "originator": link.calling_ae_title,
            "originator_id": int(request.command.get(Tag.MESSAGE_ID, 0)),
        }
        threads = [
            threading.Thread(
                target=self._send, args=(peer, *part, counts, stop, originator), name="hilum-move", daemon=True
            )
            for part in parts
        ]
        for thread in threads:
            thread.start()
        cancelled = False
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(0.02)
                if link.cancelled(int(request.command.get(Tag.MESSAGE_ID, 0))):
                    cancelled = True
                    stop.set()
                elif not link.alive:
                    stop.set()
                else:
                    self._pending(link, request, counts)
        finally:
            stop.set()
            for thread in threads:
                thread.join(_SUBOPERATION_S)
        if cancelled and counts.remaining:
            return CANCELLED
        return counts.final_status()

    def _parts(
        self, peer: Peer, records: Sequence[InstanceRecord]
    ) -> list[tuple[list[Proposal], Sequence[InstanceRecord]]]:
        """What each association proposes and sends."""
        bundles = proposals_for(records, peer.syntaxes)
        parts: list[tuple[list[Proposal], Sequence[InstanceRecord]]] = []
        for bundle in bundles:
            classes = {proposal.abstract_syntax for proposal in bundle}
            own = [record for record in records if record.sop_class_uid in classes]
            share = max(1, min(self._parallel, len(own)))
            parts += [(bundle, own[start::share]) for start in range(share)]
        return parts

    def _send(
        self,
        peer: Peer,
        proposals: list[Proposal],
        records: Sequence[InstanceRecord],
        counts: _Counts,
        stop: threading.Event,
        originator: dict[str, int | str],
    ) -> None:
        left = list(reversed(records))
        tries = refusals = 0
        problem = ""
        while left and not stop.is_set():
            connected = False
            try:
                with self._associate(peer, proposals) as association:
                    connected = True
                    while left and not stop.is_set():
                        counts.take(left[-1], self._store(association, left[-1], originator, peer.syntaxes))
                        left.pop()
                        tries = refusals = 0
            except errors.HilumError as error:
                problem = str(error)
                LOGGER.warning("C-MOVE to %s: %s", peer.ae_title, problem)
                tries += connected
                refusals += not connected
            except Exception as error:
                problem = type(error).__name__
                LOGGER.error("C-MOVE to %s failed: %s", peer.ae_title, problem)
                tries = self._retries + 1
            if refusals > self._retries:
                break
            if tries > self._retries:  # what the peer cannot take must not keep the rest from it
                counts.take(left.pop(), Outcome(UNABLE, problem))
                tries = 0
            elif tries or refusals:
                stop.wait(min(2.0 ** (tries + refusals), 10))
        if not stop.is_set():
            for record in left:
                counts.take(record, Outcome(UNABLE, problem))

    def _associate(self, peer: Peer, proposals: list[Proposal]) -> Association:
        if peer.tls and self._tls is None:
            raise errors.UsageError("the peer wants TLS, which is not set up here")
        return Association(
            peer.host,
            peer.port,
            calling=self._ae_title,
            called=peer.ae_title,
            proposals=proposals,
            timeout_s=_SUBOPERATION_S,
            tls=self._tls if peer.tls else None,
        )

    def _store(
        self,
        association: Association,
        record: InstanceRecord,
        originator: dict[str, int | str],
        preferred: Sequence[str],
    ) -> Outcome:
        taken = association.taken(record.sop_class_uid)
        data = self._given(record, taken, preferred)
        if data is None:
            return _NOT_TAKEN if taken else _NOT_PROPOSED
        command = store_command(record, association.next_message_id(), **originator)
        association.send(taken[data.transfer_syntax_uid], command, _whole(data.pieces))
        return Outcome(association.receive().status)
