"""Negotiation of an association that somebody requests of us (PS3.8 9.3.2 to 9.3.4, PS3.7 D.3), by pynetdicom.

pynetdicom reads the request, asks the bound handlers and makes the answer, as bytes, in one call: no thread, queue or
socket of it takes part. With `hilum.dimse.stock` the only module that touches names which pynetdicom keeps private;
`available` tries it out, and `hilum.dimse.server` uses pynetdicom's own server where it does not work.
"""

from __future__ import annotations

import functools
import logging
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from hilum.dimse.identity import JWT
from hilum.dimse.wire import WINDOW, Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Take = Callable[[str, str, str, Sequence[str]], tuple[list[str], int]]

__all__ = ["Negotiated", "available", "negotiate"]

LOGGER = logging.getLogger("hilum.dimse")
_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
_REJECT_VERSION: Final = bytes((3, 0, 0, 0, 0, 4, 0, 1, 2, 2))  # permanent, ACSE: protocol version not supported
_REJECT_CONTEXT: Final = bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 2))  # permanent, user: application context not supported
_ABORT_PARAMETER: Final = bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 6))  # by the provider: invalid PDU parameter value


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What became of a request."""

    answer: bytes
    """The PDU for the peer: A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-ABORT."""
    accepted: bool
    calling_ae_title: str = ""
    called_ae_title: str = ""
    contexts: Mapping[int, Context] | None = None
    """Accepted presentation contexts."""
    peer_max_pdu: int = 0
    """What the peer takes (Maximum Length Received, PS3.8 D.1); 0: any length."""
    why: str = ""
    """Why it was not accepted, or what of it was not; empty: nothing, or somebody else has said so already."""


class _Answer:
    """In the place of pynetdicom's upper layer: keeps what would be sent."""

    def __init__(self, refused: Sequence[PresentationContext], *, confirmation: bytes | None, window: int) -> None:
        self._refused = refused
        self._confirmation = confirmation
        self._window = window
        self.data = b""
        self.socket = None

    def send_pdu(self, primitive: Any) -> None:
        pdu: Any = A_ABORT_RQ()
        if isinstance(primitive, A_ASSOCIATE):
            if primitive.result == 0:
                results = [*primitive.presentation_context_definition_results_list, *self._refused]
                primitive.presentation_context_definition_results_list = results
                if self._confirmation is not None:
                    item = UserIdentityNegotiation()
                    item.server_response = self._confirmation
                    primitive.user_information = [*primitive.user_information, item]
                for told in primitive.user_information:
                    if isinstance(told, AsynchronousOperationsWindowNegotiation):  # pynetdicom always says 1, 1
                        told.maximum_number_operations_invoked = self._window
            pdu = A_ASSOCIATE_AC() if primitive.result == 0 else A_ASSOCIATE_RJ()
        pdu.from_primitive(primitive)
        self.data = self.data or pdu.encode()

    @staticmethod
    def is_alive() -> bool:
        return False

    @staticmethod
    def stop_dul() -> bool:
        return True


def negotiate(
    ae: AE,
    ae_title: str,
    request: bytes,
    *,
    peer: tuple[str, int],
    ours: tuple[str, int] = ("127.0.0.1", 0),
    handlers: Sequence[tuple[Any, ...]] = (),
    take: Take = lambda _title, _address, _uid, syntaxes: (list(syntaxes), 0),
    confirm_users: bool = False,
) -> Negotiated:
    """Answer an A-ASSOCIATE-RQ.

    Parameters
    ----------
    ae : AE
        Supported contexts, required titles, maximum PDU length, implementation.
    ae_title : str
        Ours.
    request : bytes
        The whole PDU.
    peer, ours : tuple of str and int
        Addresses.
    handlers : sequence of tuple
        pynetdicom's event handlers: of the negotiation, and of ``EVT_ACCEPTED`` and ``EVT_REJECTED``.
    take : callable
        ``take(title, address, sop_class, syntaxes)`` of each context that the peer would send objects in: the transfer
        syntaxes that are taken, and the result (PS3.8 Table 9-18) where these are none.
    confirm_users : bool
        Users that are told have been verified: say so where that is asked for.
    """
    if not request[7] & 1:
        return Negotiated(_REJECT_VERSION, accepted=False, why="the protocol version is not supported")
    rq = A_ASSOCIATE_RQ()
    try:
        rq.decode(request)
        primitive = rq.to_primitive()
    except Exception as error:  # whatever its decoder meets in bytes of a stranger
        why = f"the A-ASSOCIATE-RQ cannot be read ({type(error).__name__})"
        return Negotiated(_ABORT_PARAMETER, accepted=False, why=why)
    if str(primitive.application_context_name).strip(" \0") != _APPLICATION_CONTEXT:
        return Negotiated(_REJECT_CONTEXT, accepted=False, why="the application context is not DICOM's")
    refused = _restrict(primitive, ae, peer[0], take)
    assoc = _association(ae, ae_title, peer, ours)
    assoc.requestor.primitive = primitive
    for event, handler, *arguments in handlers:
        assoc.bind(event, handler, *arguments)
    told: Any = assoc.requestor.user_identity
    confirmed = confirm_users and bool(told and told.positive_response_requested)
    answer = _Answer(
        refused,
        confirmation=_confirmation(told) if confirmed else None,
        window=min(assoc.requestor.asynchronous_operations[0] or WINDOW, WINDOW),
    )
    assoc.dul = answer  # type: ignore[assignment]
    try:
        assoc.acse.negotiate_association()
    except Exception as error:
        why = f"the A-ASSOCIATE-RQ cannot be negotiated ({type(error).__name__})"
        return Negotiated(answer.data or _ABORT_PARAMETER, accepted=False, why=why)
    contexts = _contexts(assoc)
    return Negotiated(
        answer.data,
        accepted=bool(assoc.is_established) and answer.data[:1] == b"\x02",
        calling_ae_title=str(primitive.calling_ae_title or "").strip(),
        called_ae_title=str(primitive.called_ae_title or "").strip(),
        contexts=contexts,
        peer_max_pdu=int(assoc.requestor.maximum_length or 0),
        why=_left_out(primitive, contexts),
    )


def _confirmation(told: UserIdentityNegotiation) -> bytes:
    """Server response: the token that was verified, else nothing (PS3.7 Table D.3-15)."""
    return bytes(told.primary_field or b"") if told.user_identity_type == JWT else b""


def _left_out(primitive: A_ASSOCIATE, contexts: Mapping[int, Context]) -> str:
    """Name the SOP classes of which no context was accepted, the first three of them; empty: there are none."""
    accepted = {context.abstract_syntax for context in contexts.values()}
    proposed = dict.fromkeys(str(cx.abstract_syntax) for cx in primitive.presentation_context_definition_list)
    left = [uid for uid in proposed if uid not in accepted]
    if not left:
        return ""
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return f"not offered here, or in no proposed transfer syntax: SOP class {', '.join(left[:3])}{more}"


def _restrict(primitive: A_ASSOCIATE, ae: AE, address: str, take: Take) -> list[PresentationContext]:
    """Leave only what is taken of this peer in its proposals; gives the contexts of which nothing is left."""
    services = {cx.abstract_syntax for cx in ae.supported_contexts}
    items: Any = primitive.user_information
    roles = [item for item in items if isinstance(item, SCP_SCU_RoleSelectionNegotiation)]
    receives = {role.sop_class_uid for role in roles if role.scp_role and not role.scu_role}
    kept, refused = [], []
    title = str(primitive.calling_ae_title or "").strip()
    for cx in primitive.presentation_context_definition_list:
        uid = str(cx.abstract_syntax)
        if uid not in services and uid not in receives:
            proposed = [str(syntax) for syntax in cx.transfer_syntax]
            taken, result = take(title, address, uid, proposed)
            if not taken:
                answer = PresentationContext()
                answer.context_id, answer.result, answer.transfer_syntax = cx.context_id, result, [UID(proposed[0])]
                refused.append(answer)
                continue
            cx.transfer_syntax = [UID(syntax) for syntax in taken]
        kept.append(cx)
    primitive.presentation_context_definition_list = kept
    return refused


def _association(ae: AE, ae_title: str, peer: tuple[str, int], ours: tuple[str, int]) -> Association:
    assoc = Association(ae, "acceptor")
    assoc.acceptor.maximum_length = ae.maximum_pdu_size
    assoc.acceptor.ae_title = ae_title
    assoc.acceptor.address_info = AddressInformation.from_tuple(ours)
    assoc.acceptor.implementation_class_uid = ae.implementation_class_uid
    assoc.acceptor.implementation_version_name = ae.implementation_version_name
    assoc.acceptor.supported_contexts = list(ae.supported_contexts)
    assoc.requestor.address_info = AddressInformation.from_tuple(peer)
    return assoc


def _contexts(assoc: Association) -> dict[int, Context]:
    roles: Any = assoc.requestor.role_selection
    extended = {str(uid): bytes(told) for uid, told in assoc.acceptor.sop_class_extended.items()}
    found = {}
    for cx in assoc.accepted_contexts:
        role = roles.get(cx.abstract_syntax)
        number = int(cx.context_id or 0)
        found[number] = Context(
            number,
            str(cx.abstract_syntax),
            str(cx.transfer_syntax[0]),
            bool(role and role.scp_role),
            extended.get(str(cx.abstract_syntax), b""),
        )
    return found


@functools.cache
def available() -> bool:
    """Whether this pynetdicom can be used in this way: negotiates with ourselves."""
    with suppress(Exception):
        ae = AE(ae_title="HILUM")
        ae.add_supported_context("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])
        found = negotiate(ae, "HILUM", _trial_request(), peer=("127.0.0.1", 1))
        return found.accepted and found.contexts == {1: Context(1, "1.2.840.10008.1.1", "1.2.840.10008.1.2", False)}
    return False


def _trial_request() -> bytes:
    """Write an A-ASSOCIATE-RQ for verification, by hand."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(data)) + data

    syntaxes = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"2.25.1")
    body = struct.pack(">H2x16s16s32x", 1, b"HILUM".ljust(16), b"TRIAL".ljust(16))
    body += item(0x10, _APPLICATION_CONTEXT.encode()) + item(0x20, bytes((1, 0, 0, 0)) + syntaxes) + item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body
