"""One accepted association, as the services that answer with bytes see it.

Beside `hilum.dimse.transport` the only file that touches names pynetdicom keeps private: it takes requests before
pynetdicom's own service classes do, and lets finished PDUs pass its upper layer as they are, so that stored data sets
are neither parsed nor written again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pynetdicom import _config  # noqa: F401 - imported first, as everywhere
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from hilum.dimse.identifier import MAX_BYTES
from hilum.dimse.messages import (
    LONGEST_PDV,
    NO_DATA_SET,
    Field,
    Tag,
    decode_command,
    encode_command,
    fragments,
    pdus,
    pdv,
)
from hilum.dimse.storage import StoreSpool
from hilum.errors import DataError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Context", "Link", "Request", "can_serve", "serve_with"]

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


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    peer_is_scp: bool
    """The peer proposed to be SCP of it (PS3.7 D.3.3.4): C-STORE requests of a C-GET may go to it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received."""

    context: Context
    command: Mapping[int, int | str]
    data: bytes


def can_serve() -> bool:
    """Whether this pynetdicom has every private name that is used here."""
    return hasattr(Association, "_serve_request") and hasattr(DULServiceProvider, "_send")


class Link:
    """Sends messages on an accepted association and sees its cancellations; for the association's own thread."""

    def __init__(self, assoc: Association) -> None:
        self._assoc = assoc
        self._raw: deque[bytes | Callable[[], None]] = deque()
        self._direct: Any = None
        self._cancelled: set[int] = set()
        self._room = threading.Semaphore(_IN_FLIGHT)
        stock = assoc.dul._send

        def send(pdu: Any) -> None:
            if getattr(pdu, "presentation_data_value_items", None) == [] and self._raw:
                item = self._raw.popleft()
                try:
                    if callable(item):
                        item()
                    elif assoc.dul.socket is not None:
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
        self.contexts = {
            number: Context(
                number,
                str(cx.abstract_syntax),
                str(cx.transfer_syntax[0]),
                bool(roles.get(cx.abstract_syntax) and roles[cx.abstract_syntax].scp_role),  # type: ignore[index,arg-type]
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
        return message_id in self._cancelled or message_id in self._assoc.dimse.cancel_req

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
        limit = self._assoc.requestor.maximum_length or 0
        raw = encode_command(command)
        first = b"".join(pdus(context_id, raw, None, limit))
        room = min(limit or LONGEST_PDV, LONGEST_PDV) - 6

        def make(data: bytes) -> bytes:
            if len(data) <= room:
                return first + pdv(context_id, len(data), 2) + data
            return b"".join(pdus(context_id, raw, (data,), limit))

        return make

    def send_bytes(self, pieces: Iterable[bytes]) -> None:
        """Send PDUs; `Unavailable` when the association has ended."""
        for piece in pieces:
            if self._direct is not None:
                self._direct.send(memoryview(piece))
                continue
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
        if self._direct is not None:
            return self._receive_directly(deadline)
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
        """Run `work` with the connection to itself: `send` and `receive` then need no other thread.

        It runs in the thread of the upper layer, between two of its steps; what it does not understand is left for
        that. Where the connection is not ours it runs as it is.
        """
        connection = self._assoc.dul.socket
        if not hasattr(connection, "put_back"):
            return work()
        outcome: list[T] = []
        failure: list[BaseException] = []
        done = threading.Event()

        def run() -> None:
            self._direct = connection
            try:
                outcome.append(work())
            except BaseException as error:
                failure.append(error)
            finally:
                self._direct = None
                self._assoc.dul._idle_timer.restart()
                done.set()

        self._room.acquire()
        self._raw.append(run)
        self._assoc.dul.to_provider_queue.put(P_DATA())
        while not done.wait(0.5):
            if not self._assoc.dul.is_alive():
                raise Unavailable("the peer has ended the association")
        if failure:
            raise failure[0]
        return outcome[0]

    def _receive_directly(self, deadline: float) -> Request | None:
        connection = self._direct
        command = bytearray()
        found: Request | None = None
        while True:
            while not connection.ready:
                if time.monotonic() > deadline or not self._assoc.dul.event_queue.empty():
                    return None
            for number, control, piece in self._fragments(connection):
                if control & 1:
                    command += piece
                    if control & 2:
                        found = self._taken(number, bytes(command))
                        command.clear()
                        if found is not None and found.command.get(Tag.DATA_SET_TYPE) == NO_DATA_SET:
                            return found
                elif control & 2 and found is not None:
                    return found

    def _fragments(self, connection: Any) -> list[tuple[int, int, memoryview]]:
        """Fragments of the next PDU; one that carries none is left for the upper layer."""
        head = body = bytearray()
        try:
            head = connection.recv(6)
            body = connection.recv(int.from_bytes(head[2:6], "big")) if len(head) == 6 else bytearray()
        except OSError as error:
            self._assoc.dul.event_queue.put("Evt17")
            raise Unavailable("the connection is broken") from error
        if len(head) == 6 and head[0] == 4:
            with suppress(DataError):
                return list(fragments(bytes(body)))
        connection.put_back(bytes(head + body))
        raise Unavailable("the peer has ended the association")

    def _taken(self, number: int, raw: bytes) -> Request | None:
        """Read a command; a cancellation is only noted."""
        command = decode_command(raw)
        context = self.contexts.get(number)
        if command.get(Tag.COMMAND_FIELD) == Field.C_CANCEL:
            self._cancelled.add(int(command.get(Tag.RESPONDED_TO, 0)))
            return None
        return None if context is None else Request(context, command, b"")

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
            data = stream.data_set(MAX_BYTES) if isinstance(stream, StoreSpool) else stream.getvalue()
        return Request(context, command, data)


def serve_with(assoc: Association, handle: Callable[[Link, Request], bool]) -> Link:
    """Give requests to `handle` first; those for which it returns False go to pynetdicom.

    Parameters
    ----------
    assoc : Association
        As acceptor, not started yet.
    handle : callable
        ``handle(link, request)``, in the association's thread. An exception ends the association.
    """
    link = Link(assoc)
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
                    link._cancelled.clear()
                    return
            except Unavailable:
                return  # the peer has gone; the reactor sees it
            finally:
                assoc._is_paused = False
        stock(msg, context_id)

    assoc._serve_request = serve  # type: ignore[method-assign]
    return link
