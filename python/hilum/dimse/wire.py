"""An association as the services that answer with bytes see it.

`Link` is what they are given; `ConnectionLink` is ours, `hilum.dimse.stock` has one for pynetdicom's own server.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from hilum.dimse.messages import Field, Tag, decode_command, encode_command, message_maker, pdus
from hilum.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hilum.dicom.receiving import Message
    from hilum.dimse.connection import Connection
    from hilum.dimse.negotiation import Negotiated

__all__ = ["WINDOW", "ConnectionLink", "Context", "Link", "Outcome", "Request"]

T = TypeVar("T")
_LOOK_S: Final = 0.01
WINDOW: Final = 8
"""Requests that may be outstanding (PS3.7 D.3.3.3); they are served in their order."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    peer_is_scp: bool
    """The peer proposed to be SCP of it (PS3.7 D.3.3.4): C-STORE requests of a C-GET may go to it."""
    extended: bytes = b""
    """What was confirmed of SOP class extended negotiation (PS3.4 C.5.1.1)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was received."""

    context: Context
    command: Mapping[int, int | str]
    data: bytes


class Outcome(NamedTuple):
    """How a service has ended a request, or a peer a sub-operation."""

    status: int
    """Of the final response."""
    reason: str = ""
    """Why it is no success, for the administrator; without values of patients."""


class Link(Protocol):
    """Sends messages on an accepted association and sees its cancellations; for the association's own thread."""

    @property
    def contexts(self) -> Mapping[int, Context]:
        """Accepted presentation contexts."""

    @property
    def calling_ae_title(self) -> str:
        """Title of the peer."""

    @property
    def called_ae_title(self) -> str:
        """Title under which the peer called us."""

    @property
    def peer_address(self) -> str:
        """IP address of the peer."""

    @property
    def alive(self) -> bool:
        """Whether messages can still be exchanged."""

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has sent C-CANCEL for this request."""

    def send(self, context_id: int, command: Mapping[int, int | str], data: Iterable[Any] | None = None) -> None:
        """Send one message; returns when it is handed to the connection, with bounded memory.

        Raises
        ------
        Unavailable
            The association has ended.
        """

    def maker(self, context_id: int, command: Mapping[int, int | str]) -> Callable[[bytes], bytes]:
        """Give a function that makes PDUs of messages with this command and a data set, for `send_bytes`."""

    def send_bytes(self, pieces: Iterable[bytes]) -> None:
        """Send PDUs; `Unavailable` when the association has ended."""

    def receive(self, seconds: float) -> Request | None:
        """Wait for the next response, None when none came in time or the association has ended."""

    def exclusively(self, work: Callable[[], T]) -> T:
        """Run `work` with the connection to itself: `send` and `receive` then need no other thread."""


class ConnectionLink:
    """A `Link` on a connection of ours.

    What arrives while a service works is looked at now and then: a cancellation is noted, anything else waits.
    """

    def __init__(self, connection: Connection, negotiated: Negotiated, address: str) -> None:
        self._connection = connection
        self._negotiated = negotiated
        self._cancelled: set[int] = set()
        self._waiting: deque[tuple[Message, Mapping[int, int | str]]] = deque()
        self._looked = 0.0
        self.contexts: Mapping[int, Context] = negotiated.contexts or {}
        self.calling_ae_title = negotiated.calling_ae_title
        self.called_ae_title = negotiated.called_ae_title
        self.peer_address = address

    @property
    def alive(self) -> bool:
        """Whether messages can still be exchanged."""
        self._look()
        return not self._connection.ended

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has sent C-CANCEL for this request."""
        self._look()
        return message_id in self._cancelled

    def begin_request(self) -> None:
        """Forget the cancellations of earlier requests."""
        self._cancelled.clear()

    def next_message(self) -> tuple[Message, Mapping[int, int | str]] | None:
        """Wait for the next message that is no cancellation, and its command; None: the association has ended."""
        while True:
            if not self._waiting:
                if self._connection.next() != "message":
                    return None
                self._keep(self._connection.take())
            else:
                return self._waiting.popleft()

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._looked or len(self._waiting) >= WINDOW:
            return
        self._looked = now + _LOOK_S
        while len(self._waiting) < WINDOW and self._connection.poll():
            self._keep(self._connection.take())

    def _keep(self, message: Message) -> None:
        command = decode_command(message.command)
        if command.get(Tag.COMMAND_FIELD) == Field.C_CANCEL and not message.has_data:
            self._cancelled.add(int(command.get(Tag.RESPONDED_TO, 0)))
        else:
            self._waiting.append((message, command))

    def send(self, context_id: int, command: Mapping[int, int | str], data: Iterable[Any] | None = None) -> None:
        """Send one message, in bounded memory; `Unavailable` when the association has ended."""
        most = self._negotiated.peer_max_pdu
        if data is None or (isinstance(data, tuple) and len(data) == 1):
            self._connection.send_message(context_id, encode_command(command), data[0] if data else None, most)
        else:
            self.send_bytes(pdus(context_id, encode_command(command), data, most))

    def maker(self, context_id: int, command: Mapping[int, int | str]) -> Callable[[bytes], bytes]:
        """Give a function that makes PDUs of messages with this command and a data set, for `send_bytes`."""
        return message_maker(context_id, command, self._negotiated.peer_max_pdu)

    def send_bytes(self, pieces: Iterable[bytes]) -> None:
        """Send PDUs; `Unavailable` when the association has ended."""
        for piece in pieces:
            if self._connection.ended:
                raise Unavailable("the peer has ended the association")
            self._connection.send(piece)

    def receive(self, seconds: float) -> Request | None:
        """Wait for the next response, None when none came in time or the association has ended; requests wait."""
        until = time.monotonic() + seconds
        while (found := self._response()) is None:
            if len(self._waiting) >= WINDOW:
                self._connection.abort()
                raise Unavailable("the peer has sent more requests than it may before it answers")
            left = until - time.monotonic()
            if left <= 0 or self._connection.next(left) != "message":
                return None
            self._keep(self._connection.take())
        message, command = found
        return Request(self.contexts[message.context_id], command, message.data)

    def _response(self) -> tuple[Message, Mapping[int, int | str]] | None:
        """Take the first response out of what waits."""
        for at, (_, command) in enumerate(self._waiting):
            if int(command.get(Tag.COMMAND_FIELD, 0)) & Field.RESPONSE:
                found = self._waiting[at]
                del self._waiting[at]
                return found
        return None

    def exclusively(self, work: Callable[[], T]) -> T:
        """Run `work`; the connection is its own in any case."""
        return work()
