"""An association that we request: one socket, one thread, messages as bytes.

pynetdicom writes and reads the negotiation (PS3.8 9.3.2, 9.3.3); everything after it is done here, without threads
and queues between the caller and the socket. Data sets go out and come in as the bytes that they are.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ

from hilum.dicom.sending import send_message
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, decode_command, encode_command, fragments, pdus
from hilum.dimse.proposal import association_request
from hilum.errors import DataError, Denied, LimitExceeded, Unavailable, UsageError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hilum.dimse.identity import Identity
    from hilum.dimse.proposal import Proposal

__all__ = ["Association", "Message"]

_ABORT: Final = bytes((7, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_RELEASE: Final = bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_RELEASE_ANSWER: Final = bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_OUR_PDU: Final = 1 << 18
_LONGEST_PDU: Final = (1 << 18) + (1 << 16)
_LONGEST_COMMAND: Final = 1 << 16
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_REASONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
"""Reasons of A-ASSOCIATE-RJ by source and diagnostic (PS3.8 Table 9-21)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(slots=True)
class Message:
    """A message that was received."""

    context: Accepted
    command: dict[int, int | str]
    data: bytes = b""
    """Data set; empty when it went into a sink."""
    sink: BinaryIO | None = field(default=None, repr=False)

    @property
    def status(self) -> int:
        """Status of a response; -1 when it has none."""
        return int(self.command.get(Tag.STATUS, -1))


class Association:
    """An established association; a context manager that releases it.

    Parameters
    ----------
    host, port
        Of the peer.
    calling, called : str
        AE titles.
    proposals : sequence of Proposal
        At most 128.
    connect_s : float
        For the connection and the negotiation.
    timeout_s : float
        Longest wait for the next bytes of the peer.
    tls : ssl.SSLContext, optional
        Encrypt (PS3.15 B).
    server_name : str, optional
        Name that the peer's certificate must hold; default: `host`.
    identity : Identity, optional
        User identity to tell the peer (PS3.7 D.3.3.7), with a request for its confirmation.

    Raises
    ------
    Unavailable
        No connection, or no answer.
    Denied
        The peer has rejected the association; the message says why.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        calling: str,
        called: str,
        proposals: Sequence[Proposal],
        connect_s: float = 15.0,
        timeout_s: float = 60.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        max_pdu: int = _OUR_PDU,
        identity: Identity | None = None,
    ) -> None:
        if not 0 < len(proposals) <= 128:
            raise UsageError("an association has 1 to 128 presentation contexts")
        self.where = f"{called} at {host} port {port}"
        self._timeout_s = timeout_s
        self._secure = tls is not None
        self._buffer = bytearray()
        self._message_id = 0
        self.alive = False
        request = association_request(calling, called, proposals, max_pdu, identity)
        try:
            self._socket: Any = socket.create_connection((host, port), timeout=connect_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname=server_name or host)
        except OSError as error:  # ssl.SSLError is one
            with suppress(AttributeError):
                self._socket.close()
            raise Unavailable(f"{self.where}: no connection: {error.strerror or type(error).__name__}") from error
        try:
            self._negotiate(request, proposals, connect_s)
        except BaseException:
            self._socket.close()
            raise
        self.alive = True

    def _negotiate(self, request: bytes, proposals: Sequence[Proposal], connect_s: float) -> None:
        self._send_all(request)
        kind, body = self._pdu(connect_s)
        if kind == 3:
            rejected = A_ASSOCIATE_RJ()
            rejected.decode(bytes((3, 0)) + struct.pack(">I", len(body)) + body)
            source, reason = rejected.source or 0, rejected.reason_diagnostic or 0
            why = _REASONS.get((source, reason), f"source {source}, reason {reason}")
            raise Denied(f"{self.where}: association rejected: {why}")
        if kind != 2:
            raise Unavailable(f"{self.where}: association aborted")
        accepted = A_ASSOCIATE_AC()
        try:
            accepted.decode(bytes((2, 0)) + struct.pack(">I", len(body)) + body)
            self.peer_max_pdu = int(accepted.user_information.maximum_length or 0)  # type: ignore[union-attr]
            self.identity_confirmed = bool(accepted.user_information.user_identity)  # type: ignore[union-attr]
            """Whether the peer has confirmed the user."""
            self.roles = {
                str(item.uid): bool(item.scp_role)
                for item in accepted.user_information.role_selection.values()  # type: ignore[union-attr]
            }
            results = {
                item.presentation_context_id: item
                for item in accepted.presentation_context  # the property lists the items
            }
        except Exception as error:
            raise DataError(f"{self.where}: the answer to A-ASSOCIATE cannot be read") from error
        self.contexts: dict[int, Accepted] = {}
        for number, proposal in enumerate(proposals):
            item = results.get(2 * number + 1)
            if item is not None and item.result == 0 and item.transfer_syntax is not None:
                self.contexts[2 * number + 1] = Accepted(
                    2 * number + 1, proposal.abstract_syntax, str(item.transfer_syntax)
                )

    def context_for(self, abstract_syntax: str, transfer_syntaxes: Sequence[str] = ()) -> Accepted | None:
        """Accepted context of a SOP class, of the first of these transfer syntaxes that there is; None for any."""
        found = [c for c in self.contexts.values() if c.abstract_syntax == abstract_syntax]
        if not transfer_syntaxes:
            return found[0] if found else None
        return next((c for syntax in transfer_syntaxes for c in found if c.transfer_syntax == syntax), None)

    def taken(self, abstract_syntax: str) -> dict[str, Accepted]:
        """Accepted contexts of a SOP class by transfer syntax."""
        return {c.transfer_syntax: c for c in self.contexts.values() if c.abstract_syntax == abstract_syntax}

    def next_message_id(self) -> int:
        """Identifier for the next request."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def send(self, context: Accepted, command: Mapping[int, int | str], data: Iterable[Any] | None = None) -> None:
        """Send one message.

        Raises
        ------
        Unavailable
            The peer has gone or takes nothing for too long.
        """
        raw = encode_command(command)
        if self._secure or not (data is None or (isinstance(data, tuple) and len(data) == 1)):
            for piece in pdus(context.id, raw, data, self.peer_max_pdu):
                self._send_all(piece)
            return
        whole = data[0] if data else None
        try:
            send_message(self._socket.fileno(), context.id, raw, whole, self.peer_max_pdu, self._timeout_s)
        except Unavailable as error:
            self.alive = False
            self._socket.close()
            raise Unavailable(f"{self.where}: {error}") from error

    def receive(
        self,
        sink: Callable[[Message], BinaryIO | None] = lambda _message: None,
        *,
        timeout_s: float | None = None,
        most: int = 1 << 26,
    ) -> Message:
        """Wait for the next message.

        Parameters
        ----------
        sink : callable
            Gets a message whose data set follows; it may give a file for it.
        timeout_s : float, optional
            Default: that of the association.
        most : int
            Longest data set that is held in memory.

        Raises
        ------
        Unavailable
            The peer has aborted, gone, or is silent for too long.
        DataError
            What comes is no DIMSE message.
        """
        command = bytearray()
        message: Message | None = None
        held = bytearray()
        while True:
            kind, body = self._pdu(self._timeout_s if timeout_s is None else timeout_s)
            if kind == 5:
                with suppress(Unavailable):
                    self._send_all(_RELEASE_ANSWER)
                self._end(f"{self.where}: the peer has released the association")
            if kind != 4:
                self._end(f"{self.where}: the peer has aborted the association")
            for number, control, piece in fragments(body):
                context = self.contexts.get(number)
                if context is None or control & 1 != (message is None):
                    self.abort()
                    raise DataError(f"{self.where}: a fragment that does not belong to any message")
                if message is None:
                    command += piece
                    if len(command) > _LONGEST_COMMAND:
                        self.abort()
                        raise LimitExceeded(f"{self.where}: a command set without end")
                    if control & 2:
                        message = Message(context, decode_command(command))
                        if message.command.get(Tag.DATA_SET_TYPE, NO_DATA_SET) == NO_DATA_SET:
                            return message
                        message.sink = sink(message)
                    continue
                if message.sink is not None:
                    message.sink.write(piece)
                else:
                    held += piece
                    if len(held) > most:
                        self.abort()
                        raise LimitExceeded(f"{self.where}: a data set of more than {most} bytes")
                if control & 2:
                    message.data = bytes(held)
                    return message

    def request(
        self, context: Accepted, command: dict[int, int | str], data: Iterable[Any] | None = None
    ) -> tuple[int, Message]:
        """Send a request and wait for its (first) response; gives its message id too."""
        number = self.next_message_id()
        full = {
            Tag.MESSAGE_ID: number,
            Tag.DATA_SET_TYPE: NO_DATA_SET if data is None else NO_DATA_SET - 1,
            **command,
        }
        self.send(context, full, data)
        return number, self.receive()

    def cancel(self, context: Accepted, message_id: int) -> None:
        """Send C-CANCEL for a request."""
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.C_CANCEL,
            Tag.RESPONDED_TO: message_id,
            Tag.DATA_SET_TYPE: NO_DATA_SET,
        }
        self.send(context, command)

    def release(self) -> None:
        """End the association in order; nothing is raised."""
        if not self.alive:
            return
        self.alive = False
        with suppress(OSError, Unavailable, DataError, LimitExceeded):
            self._send_all(_RELEASE)
            for _ in range(64):
                kind, _body = self._pdu(5.0)
                if kind != 4:
                    break
        self._socket.close()

    def abort(self) -> None:
        """End the association at once."""
        if self.alive:
            self.alive = False
            with suppress(OSError, Unavailable):
                self._send_all(_ABORT)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.release() if kind is None else self.abort()

    # the socket

    def _end(self, reason: str) -> None:
        self.alive = False
        self._socket.close()
        raise Unavailable(reason)

    def _send_all(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(data)
        except OSError as error:
            self.alive = False
            self._socket.close()
            raise Unavailable(f"{self.where}: {error.strerror or 'the peer takes nothing'}") from error

    def _pdu(self, timeout_s: float) -> tuple[int, bytes]:
        head = self._exactly(6, timeout_s)
        length = int.from_bytes(head[2:6], "big")
        if length > _LONGEST_PDU:
            self.abort()
            raise LimitExceeded(f"{self.where}: a PDU longer than was negotiated")
        return head[0], self._exactly(length, timeout_s)

    def _exactly(self, count: int, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while len(self._buffer) < count:
            left = deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._socket.settimeout(left)
                piece = self._socket.recv(max(1 << 16, count - len(self._buffer)))
                if _QUICKACK is not None:
                    self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except TimeoutError:
                self.abort()
                raise Unavailable(f"{self.where}: no answer within {timeout_s:.0f} s") from None
            except OSError as error:
                self.alive = False
                self._socket.close()
                raise Unavailable(f"{self.where}: {error.strerror or 'the connection is broken'}") from error
            if not piece:
                self._end(f"{self.where}: the peer has closed the connection")
            self._buffer += piece
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data
