"""pynetdicom's own server: the fall-back for when it cannot be used in the way of `hilum.dimse.negotiation`.

Everything is as pynetdicom does it: whole objects in memory, two threads for each association, its speed. Rules for
peers, TLS, C-ECHO and C-STORE need its documented interface only; the other services need two of its private names, and
are not offered where these are missing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from hilum.dimse.identity import Identity
from hilum.dimse.messages import Tag, encode_command, message_maker, pdus
from hilum.dimse.wire import Context, Request
from hilum.errors import Unavailable

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterable, Mapping

    from pynetdicom import AE

    from hilum.dimse.admission import Admission

__all__ = ["StockLink", "StockServer", "can_serve", "serve_with"]

T = TypeVar("T")
_IN_FLIGHT: Final = 3
_FIELDS: Final = {
    "AffectedSOPClassUID": Tag.AFFECTED_SOP_CLASS,
    "RequestedSOPClassUID": Tag.REQUESTED_SOP_CLASS,
    "MessageID": Tag.MESSAGE_ID,
    "MessageIDBeingRespondedTo": Tag.RESPONDED_TO,
    "MoveDestination": Tag.MOVE_DESTINATION,
    "Priority": Tag.PRIORITY,
    "Status": Tag.STATUS,
    "AffectedSOPInstanceUID": Tag.AFFECTED_SOP_INSTANCE,
    "RequestedSOPInstanceUID": Tag.REQUESTED_SOP_INSTANCE,
    "EventTypeID": Tag.EVENT_TYPE,
    "ActionTypeID": Tag.ACTION_TYPE,
}
_DATA: Final = ("Identifier", "ActionInformation", "EventInformation", "EventReply", "ActionReply")
_COMMANDS: Final = {
    "C_STORE": 0x0001,
    "C_GET": 0x0010,
    "C_FIND": 0x0020,
    "C_MOVE": 0x0021,
    "C_ECHO": 0x0030,
    "N_EVENT_REPORT": 0x0100,
    "N_ACTION": 0x0130,
}


def can_serve() -> bool:
    """Whether this pynetdicom has every private name that is used here."""
    return hasattr(Association, "_serve_request") and hasattr(DULServiceProvider, "_send")


class StockLink:
    """Sends messages on an accepted association and sees its cancellations; for the association's own thread."""

    def __init__(self, assoc: Association) -> None:
        self._assoc = assoc
        self._raw: deque[bytes] = deque()
        self._room = threading.Semaphore(_IN_FLIGHT)
        stock = assoc.dul._send

        def send(pdu: Any) -> None:
            if getattr(pdu, "presentation_data_value_items", None) == [] and self._raw:
                item = self._raw.popleft()
                try:
                    if assoc.dul.socket is not None:
                        assoc.dul.socket.send(memoryview(item))  # type: ignore[arg-type]
                finally:
                    self._room.release()
            else:
                stock(pdu)

        assoc.dul._send = send  # type: ignore[method-assign]
        self.contexts: dict[int, Context] = {}

    def read_contexts(self) -> None:
        """Take over what was negotiated."""
        roles = self._assoc.requestor.role_selection
        extended = {str(uid): bytes(told) for uid, told in self._assoc.acceptor.sop_class_extended.items()}
        self.contexts = {
            number: Context(
                number,
                str(cx.abstract_syntax),
                str(cx.transfer_syntax[0]),
                bool(roles.get(cx.abstract_syntax) and roles[cx.abstract_syntax].scp_role),  # type: ignore[index,arg-type]
                extended.get(str(cx.abstract_syntax), b""),
            )
            for number, cx in self._assoc._accepted_cx.items()
        }

    @property
    def calling_ae_title(self) -> str:
        """Title of the peer."""
        return str(self._assoc.requestor.ae_title).strip()

    @property
    def called_ae_title(self) -> str:
        """Title under which the peer called us."""
        primitive = self._assoc.requestor.primitive
        return str(getattr(primitive, "called_ae_title", "") or "").strip()

    @property
    def peer_address(self) -> str:
        """IP address of the peer."""
        return str(self._assoc.requestor.address or "")

    @property
    def alive(self) -> bool:
        """Whether messages can still be exchanged."""
        return bool(self._assoc.is_established) and self._assoc.dul.is_alive() and not self._assoc.acse.is_aborted()

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has sent C-CANCEL for this request."""
        return message_id in self._assoc.dimse.cancel_req

    def send(self, context_id: int, command: Mapping[int, int | str], data: Iterable[Any] | None = None) -> None:
        """Send one message; returns when it is handed to the connection, with bounded memory.

        Raises
        ------
        Unavailable
            The association has ended.
        """
        self.send_bytes(pdus(context_id, encode_command(command), data, self._assoc.requestor.maximum_length or 0))

    def maker(self, context_id: int, command: Mapping[int, int | str]) -> Callable[[bytes], bytes]:
        """Give a function that makes PDUs of messages with this command and a data set, for `send_bytes`."""
        return message_maker(context_id, command, self._assoc.requestor.maximum_length or 0)

    def send_bytes(self, pieces: Iterable[bytes]) -> None:
        """Send PDUs; `Unavailable` when the association has ended."""
        for piece in pieces:
            while not self._room.acquire(timeout=0.5):
                if not self.alive:
                    raise Unavailable("the peer has ended the association")
            if not self.alive:
                self._room.release()
                raise Unavailable("the peer has ended the association")
            self._raw.append(piece)
            self._assoc.dul.to_provider_queue.put(P_DATA())

    def receive(self, seconds: float) -> Request | None:
        """Wait for the next message, None when none came in time or the association has ended."""
        deadline = time.monotonic() + seconds
        dimse = self._assoc.dimse
        while self.alive:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                number, primitive = dimse.msg_queue.get(timeout=min(left, 0.5))
            except Exception:  # queue.Empty of whatever queue this is
                continue
            if primitive is None or number is None:
                return None
            request = self.request(primitive, number)
            if request is not None:
                return request
        return None

    def exclusively(self, work: Callable[[], T]) -> T:
        """Run `work`; pynetdicom's threads go on beside it."""
        return work()

    def request(self, primitive: Any, context_id: int) -> Request | None:
        """Give a primitive of pynetdicom as a request; None for a context that was not accepted."""
        context = self.contexts.get(context_id)
        if context is None:
            return None
        command: dict[int, int | str] = {Tag.COMMAND_FIELD: _COMMANDS.get(type(primitive).__name__, 0)}
        for name, tag in _FIELDS.items():
            value = getattr(primitive, name, None)
            if value is not None:
                command[tag] = int(value) if isinstance(value, int) else str(value).strip(" \0")
        streams = (getattr(primitive, name, None) for name in _DATA)
        stream = next((found for found in streams if found is not None), None)
        data = b""
        if stream is not None:
            data = stream.getvalue()
        return Request(context, command, data)


def serve_with(assoc: Association, handle: Callable[[StockLink, Request], bool]) -> StockLink:
    """Give requests to `handle` first; those for which it returns False go to pynetdicom.

    Parameters
    ----------
    assoc : Association
        As acceptor, not started yet.
    handle : callable
        ``handle(link, request)``, in the association's thread. An exception ends the association.
    """
    link = StockLink(assoc)
    stock = assoc._serve_request

    def serve(msg: Any, context_id: int) -> None:
        if not link.contexts:
            link.read_contexts()
        request = link.request(msg, context_id) if msg.is_valid_request else None
        if request is not None:
            assoc.dimse.cancel_req = {
                number: found
                for number, found in assoc.dimse.cancel_req.items()
                if number == request.command.get(Tag.MESSAGE_ID)
            }
            assoc._is_paused = True
            try:
                if handle(link, request):
                    assoc.dimse.cancel_req = {}
                    return
            except Unavailable:
                return  # the peer has gone; the reactor sees it
            finally:
                assoc._is_paused = False
        stock(msg, context_id)

    assoc._serve_request = serve  # type: ignore[method-assign]
    return link


class StockServer:
    """pynetdicom's threaded server on the address of a listener, with the rules for peers.

    Parameters
    ----------
    ae : AE
    listener : socket.socket
        Bound; it is closed, and its address taken over.
    handlers : list of tuple
        pynetdicom's event handlers.
    admission : Admission, optional
        Who may call, and from where.
    tls : ssl.SSLContext, optional
        Every connection must be encrypted.
    """

    def __init__(
        self,
        ae: AE,
        listener: socket.socket,
        handlers: list[Any],
        admission: Admission | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._ae = ae
        self._listener = listener
        self._tls = tls
        self._admission = admission
        self._handlers = [*handlers, (evt.EVT_REQUESTED, self._requested)]
        self._server: Any = None

    def start(self) -> None:
        """Begin to accept, in threads of this process."""
        address = self._listener.getsockname()
        self._listener.close()
        self._server = self._ae.start_server(address, block=False, evt_handlers=self._handlers, ssl_context=self._tls)

    def stop(self, grace_s: float) -> None:
        """Accept no more, give running associations some time, then abort them."""
        if self._server is None:
            return
        deadline = time.monotonic() + grace_s
        self._server.server_close()
        while self._server.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)
        self._server.shutdown()

    def _requested(self, event: Any) -> None:
        """Refuse what the rules refuse; pynetdicom goes on with what is not rejected here."""
        if self._admission is None:
            return
        assoc = event.assoc
        connection: Any = getattr(assoc.dul.socket, "socket", None)
        certificate = connection.getpeercert() if hasattr(connection, "getpeercert") else None
        title = str(assoc.requestor.primitive.calling_ae_title or "")
        told = assoc.requestor.user_identity
        identity = None
        if told is not None:
            identity = Identity(int(told.user_identity_type), told.primary_field or b"", told.secondary_field or b"")
        rejection = self._admission.decide(title, str(assoc.requestor.address or ""), certificate, identity)
        if rejection is not None:
            assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
            assoc.kill()
