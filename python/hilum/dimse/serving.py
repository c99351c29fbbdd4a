"""An accepted association from its request to its end, in one thread: negotiate, receive, answer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.receiving import ReceiverSettings, receiver
from hilum.dimse.connection import Connection
from hilum.dimse.messages import Field, Tag, response_to
from hilum.dimse.models import MODELS
from hilum.dimse.negotiation import negotiate
from hilum.dimse.wire import ConnectionLink, Request
from hilum.errors import Unavailable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from pynetdicom import AE

    from hilum.dicom.receiving import Message
    from hilum.dimse.negotiation import Take
    from hilum.dimse.storage import StoreHandler

    Service = Callable[[ConnectionLink, Request], bool]

__all__ = ["Acceptor"]

VERIFICATION: Final = "1.2.840.10008.1.1"
_SUCCESS: Final = 0x0000
_NO_SUCH_CLASS: Final = 0x0122  # SOP class not supported (PS3.7 C.5.6)
_UNRECOGNISED: Final = 0x0211
_OUT_OF_RESOURCES: Final = 0xA700
_RESOURCE_LIMITATION: Final = 0x0213
_ABORTED: Final = {
    "bad": "what came is no DIMSE message",
    "idle": "nothing came for longer than dimse.idle_seconds",
    "slow": "a PDU took too long",
}
_QUERIES: Final = (Field.C_FIND, Field.C_GET, Field.C_MOVE)


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Serves associations; thread-safe."""

    ae: AE
    """What is supported, for pynetdicom's negotiation."""
    ae_title: str
    receiving: ReceiverSettings
    wake: int
    """Descriptor that becomes readable when associations are to be aborted."""
    idle_s: float
    pdu_s: float
    store: StoreHandler
    services: Service | None = None
    """``services(link, request)``: whether it has answered."""
    handlers: Sequence[tuple[Any, ...]] = field(default=())
    """pynetdicom's event handlers of the negotiation."""
    observe: Callable[[str], None] = lambda _outcome: None
    take: Take = lambda _title, _address, _uid, syntaxes: (list(syntaxes), 0)
    """Which transfer syntaxes are taken of a peer, see `negotiate`."""
    confirm_users: bool = False
    refused: Callable[[str, str, str, str], None] = lambda *_: None
    """``refused(title, address, service, reason)`` of what is not accepted or aborted."""

    def __call__(self, peer: socket.socket, address: Any, request: bytes) -> None:
        """Serve one association; returns at its end."""
        ours = peer.getsockname()[:2]
        found = negotiate(
            self.ae,
            self.ae_title,
            request,
            peer=tuple(address[:2]),
            ours=ours,
            handlers=self.handlers,
            take=self.take,
            confirm_users=self.confirm_users,
        )
        contexts = found.contexts or {}
        told = functools.partial(self.refused, found.calling_ae_title, str(address[0]), "associate")
        if found.why:
            told(found.why)
        connection = Connection(
            peer,
            receiver(self.receiving, {number: context.transfer_syntax for number, context in contexts.items()}),
            self.wake,
            self.idle_s,
            self.pdu_s,
        )
        if not found.accepted:
            connection.refuse(found.answer)
            return
        try:
            connection.send(found.answer)
            self._serve(ConnectionLink(connection, found, str(address[0])))
        except Unavailable:
            pass  # the peer has gone; `ended` says how
        except BaseException:
            connection.abort()
            raise
        self._end(connection, told)

    def _end(self, connection: Connection, told: Callable[[str], None]) -> None:
        if connection.ended == "release_request":
            connection.release()
            return
        if connection.ended in ("idle", "slow", "woken"):
            connection.abort()
        if connection.ended in _ABORTED:
            told(f"aborted: {connection.why or _ABORTED[connection.ended]}")
        self.observe("aborted")

    def _serve(self, link: ConnectionLink) -> None:
        while (found := link.next_message()) is not None:
            link.begin_request()
            self._answer(link, *found)

    def _answer(self, link: ConnectionLink, message: Message, command: Mapping[int, int | str]) -> None:
        context = link.contexts[message.context_id]
        kind = int(command.get(Tag.COMMAND_FIELD, 0))
        syntax = context.abstract_syntax
        if kind & Field.RESPONSE:
            return  # to nothing that anybody still waits for
        if kind == Field.C_STORE:
            if syntax == VERIFICATION or syntax in MODELS:
                status, comment = _NO_SUCH_CLASS, "no context of a storage class"
            else:
                title, address = link.calling_ae_title, link.peer_address
                status, comment = self.store.take(title, address, command, message.object)
        elif kind == Field.C_ECHO and syntax == VERIFICATION:
            status, comment = _SUCCESS, ""
        elif message.too_long:
            status = _OUT_OF_RESOURCES if kind in _QUERIES else _RESOURCE_LIMITATION
            comment = "the data set is too long"
        elif self.services is not None and self.services(link, Request(context, command, message.data)):
            return
        else:
            status, comment = _UNRECOGNISED, "unrecognised operation"
        link.send(context.id, _response(command, kind, status, comment))


def _response(command: Mapping[int, int | str], kind: int, status: int, comment: str) -> dict[int, int | str]:
    return response_to({**command, Tag.COMMAND_FIELD: kind}, status, comment=comment)
