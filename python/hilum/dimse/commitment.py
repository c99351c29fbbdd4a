"""Storage commitment as SCP (PS3.4 J.3): N-ACTION is written down, N-EVENT-REPORT goes out, again and again if need be.

The report goes on an association of our own when the peer is in ``[dimse] peers``, else on the one of the request
while that lasts. A peer that cannot be reached is tried for hours, also after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from hilum import errors
from hilum.archive.commitment import Commitment, CommitmentStore, Reference, confirm
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, is_valid_uid
from hilum.dimse.association import Association
from hilum.dimse.identifier import Element, encode, parse, text_of
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.models import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from hilum.dimse.proposal import Proposal
from hilum.dimse.wire import Outcome

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from hilum.archive.archive import Archive
    from hilum.dimse.peers import Peer
    from hilum.dimse.wire import Link, Request

__all__ = ["COMMITMENT_STATUS", "CommitmentService"]

LOGGER = logging.getLogger("hilum.dimse")
SUCCESS: Final = 0x0000
NO_SUCH_INSTANCE: Final = 0x0112
NO_SUCH_ACTION: Final = 0x0123
INVALID_ARGUMENT: Final = 0x0115
RESOURCES: Final = 0x0213

COMMITMENT_STATUS: Final[dict[int, str]] = {
    SUCCESS: "written down; the report follows",
    NO_SUCH_INSTANCE: "the Requested SOP Instance is not the well-known one",
    INVALID_ARGUMENT: "the action information has no transaction UID or no references, or cannot be read",
    NO_SUCH_ACTION: "Action Type ID is not 1",
    RESOURCES: "the request cannot be written to disk, or too many wait",
}
"""N-ACTION statuses (PS3.7 10.1.4.1.10): the one table, also of the conformance statement."""

_TRANSACTION, _REFERENCED, _FAILED = 0x00081195, 0x00081199, 0x00081198
_CLASS, _INSTANCE, _REASON, _RETRIEVE_AE = 0x00081150, 0x00081155, 0x00081197, 0x00080054
_ALL_GOOD, _SOME_FAILED = 1, 2
_RETRY_S: Final = (5.0, 30.0, 120.0, 600.0)
_GIVE_UP_S: Final = 24 * 3600.0
_ANSWER_S: Final = 30.0


class CommitmentService:
    """Answers N-ACTION, and delivers reports in a thread of its own.

    Parameters
    ----------
    archive : Archive
    ae_title : str
        Ours.
    peers : mapping of str to Peer
        Where reports can be sent to.
    tls : ssl.SSLContext, optional
        For peers with TLS.
    look_s : float
        How often to look for requests that other processes have taken.
    """

    def __init__(
        self,
        archive: Archive,
        ae_title: str,
        peers: Mapping[str, Peer],
        *,
        tls: ssl.SSLContext | None = None,
        look_s: float = 3600.0,
    ) -> None:
        self._archive = archive
        self._ae_title = ae_title
        self._peers = peers
        self._tls = tls
        self._look_s = look_s
        self._store = CommitmentStore(archive.root / "commitment")
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="hilum-commitment", daemon=True)

    def start(self) -> None:
        """Deliver what waits, also from before a restart."""
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what waits stays on disk."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def __call__(self, link: Link, request: Request) -> Outcome:
        """Answer one N-ACTION request."""
        status, comment, item = SUCCESS, "", None
        try:
            item = self._read(link, request)
            self._store.put(item)
        except _Refused as error:
            status, comment = error.status, str(error)
        except errors.DataError as error:
            status, comment = INVALID_ARGUMENT, str(error)
        except (errors.LimitExceeded, errors.Unavailable) as error:
            status, comment = RESOURCES, str(error)
        answer = response_to(request.command, status, comment=comment)
        answer[Tag.ACTION_TYPE] = request.command.get(Tag.ACTION_TYPE, 1)
        link.send(request.context.id, answer)
        if item is not None and status == SUCCESS:
            if self._can_reach(item):
                self._wake.set()
            else:
                self._report_here(link, request, item)
        return Outcome(status, comment)

    def _read(self, link: Link, request: Request) -> Commitment:
        command = request.command
        if command.get(Tag.REQUESTED_SOP_INSTANCE) != COMMITMENT_INSTANCE:
            raise _Refused(NO_SUCH_INSTANCE, "not the storage commitment push model instance")
        if command.get(Tag.ACTION_TYPE) != 1:
            raise _Refused(NO_SUCH_ACTION, "the action type is not 1")
        elements = parse(request.data, request.context.transfer_syntax)
        transaction = text_of(elements, _TRANSACTION) or ""
        if not is_valid_uid(transaction):
            raise _Refused(INVALID_ARGUMENT, "the transaction UID is missing or no UID")
        items = next((e.items for e in elements if e.tag == _REFERENCED), ())
        references = tuple(Reference(text_of(i, _CLASS) or "", text_of(i, _INSTANCE) or "") for i in items)
        if not references or not all(reference.sop_instance_uid for reference in references):
            raise _Refused(INVALID_ARGUMENT, "no instances are referenced")
        title = link.called_ae_title or self._ae_title
        return Commitment(transaction, link.calling_ae_title, link.peer_address, title, references)

    def _can_reach(self, item: Commitment) -> bool:
        peer = self._peers.get(item.ae_title)
        return peer is not None and bool(peer.port)

    def _report_here(self, link: Link, request: Request, item: Commitment) -> None:
        """Report on the association of the request (PS3.4 J.3.3: the SCP may use it while it lasts)."""
        command, elements = self._report(item)
        command[Tag.MESSAGE_ID] = 1
        link.send(request.context.id, command, (encode(elements, request.context.transfer_syntax),))
        answer = link.receive(_ANSWER_S)
        if answer is not None and answer.command.get(Tag.STATUS) == SUCCESS:
            self._store.remove(item)

    def _report(self, item: Commitment) -> tuple[dict[int, int | str], list[Element]]:
        """Command and data set of an N-EVENT-REPORT (PS3.4 Table J.3-3)."""
        answers = confirm(self._archive, item.references)
        good = [a for a in answers if not a.reason]
        bad = [a for a in answers if a.reason]
        elements = [Element(_RETRIEVE_AE, "AE", self._ae_title), Element(_TRANSACTION, "UI", item.transaction_uid)]
        if bad:
            elements.append(Element(_FAILED, "SQ", items=tuple(_item(a) for a in bad)))
        if good:
            elements.append(Element(_REFERENCED, "SQ", items=tuple(_item(a) for a in good)))
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.N_EVENT_REPORT,
            Tag.AFFECTED_SOP_CLASS: COMMITMENT_CLASS,
            Tag.AFFECTED_SOP_INSTANCE: COMMITMENT_INSTANCE,
            Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
            Tag.EVENT_TYPE: _SOME_FAILED if bad else _ALL_GOOD,
        }
        return command, elements

    # the thread that delivers

    def _run(self) -> None:
        while not self._stopping:
            wait = self._look_s
            try:
                for item in self._store.waiting():
                    wait = min(wait, self._attempt(item))
            except Exception as error:
                LOGGER.error("storage commitment: %s", type(error).__name__)
                wait = 60.0
            self._wake.wait(max(wait, 0.05))
            self._wake.clear()

    def _attempt(self, item: Commitment) -> float:
        """Deliver a report if it is time; gives the seconds until it has to be looked at again."""
        now = time.time()
        if self._stopping:
            return 0.0
        if now - item.received > _GIVE_UP_S:
            LOGGER.warning("storage commitment: a report to %s could not be delivered within a day", item.ae_title)
            self._store.remove(item)
            return 3600.0
        if not self._can_reach(item):
            return 60.0
        if item.next_attempt > now:
            return item.next_attempt - now
        try:
            self._deliver(self._peers[item.ae_title], item)
        except errors.HilumError as error:
            pause = _RETRY_S[min(item.attempts, len(_RETRY_S) - 1)]
            LOGGER.warning("storage commitment: no report to %s yet: %s", item.ae_title, error)
            self._store.postpone(item, pause)
            return pause
        self._store.remove(item)
        return 3600.0

    def _deliver(self, peer: Peer, item: Commitment) -> None:
        if peer.tls and self._tls is None:
            raise errors.UsageError("the peer wants TLS, which is not set up here")
        syntaxes = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
        proposal = Proposal(COMMITMENT_CLASS, syntaxes, as_scp=True)
        command, elements = self._report(item)
        with Association(
            peer.host,
            peer.port,
            calling=self._ae_title,
            called=peer.ae_title,
            proposals=[proposal],
            tls=self._tls if peer.tls else None,
        ) as association:
            context: Any = association.context_for(COMMITMENT_CLASS)
            if context is None:
                raise errors.Unavailable(f"{association.where}: storage commitment is not accepted")
            _, answer = association.request(context, command, (encode(elements, context.transfer_syntax),))
            if answer.status != SUCCESS:
                raise errors.Unavailable(f"{association.where}: the report was answered with {answer.status:04X}")


class _Refused(errors.HilumError):
    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status


def _item(reference: Reference) -> tuple[Element, ...]:
    named = (
        Element(_CLASS, "UI", reference.sop_class_uid),
        Element(_INSTANCE, "UI", reference.sop_instance_uid),
    )
    return (*named, Element(_REASON, "US", str(reference.reason))) if reference.reason else named
