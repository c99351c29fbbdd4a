"""One accepted connection after its negotiation: whole messages in, PDUs out; for the association's own thread."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.receiving import BAD_PDU, Stream
from hilum.dicom.sending import send_message
from hilum.dimse.messages import pdus
from hilum.errors import DataError, Unavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from hilum.dicom.receiving import Message, Receiver

__all__ = ["Connection"]

LOGGER = logging.getLogger("hilum.dimse")
RELEASE_ANSWER: Final = bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0))
_CHUNK: Final = 1 << 16
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 64 << 20


class Connection:
    """The connection of one association.

    Without TLS the core reads the descriptor itself, without the GIL; with TLS it is fed.

    Parameters
    ----------
    peer : socket.socket
        Connected; stays the caller's.
    receiver : Receiver
        Of the negotiated presentation contexts.
    wake : int
        Descriptor that becomes readable when the server stops.
    idle_s, pdu_s : float
        Longest time until a PDU begins, and from its first byte to its last.
    """

    def __init__(self, peer: socket.socket, receiver: Receiver, wake: int, idle_s: float, pdu_s: float) -> None:
        self._peer = peer
        self._receiver = receiver
        self._wake = wake
        self._idle_s, self._pdu_s = idle_s, pdu_s
        self._secure = peer if isinstance(peer, ssl.SSLSocket) else None
        self._rest = memoryview(b"")
        peer.settimeout(idle_s)  # of what is sent
        self._stream = None if self._secure else Stream(receiver, peer.fileno(), wake)
        self.ended = ""
        """How the association has ended: what `next` gave last, once it was no message."""
        self.why = ""
        """What was bad, when it has ended ``"bad"``."""

    def next(self, seconds: float | None = None) -> str:
        """Wait for the next message.

        Parameters
        ----------
        seconds : float, optional
            Give up after this time without an end of the association: ``"idle"`` then.

        Returns
        -------
        str
            ``"message"``, see `take`; ``"release_request"``, ``"release_response"``, ``"abort"``; ``"closed"``: the
            peer has gone; ``"idle"``, ``"slow"``: it took too long; ``"woken"``: the server stops; ``"bad"``: what came
            is no DIMSE message, and the peer was aborted.
        """
        if self.ended:
            return self.ended
        outcome = self._next(self._idle_s if seconds is None else seconds, self._pdu_s)
        if outcome != "message" and (seconds is None or outcome != "idle"):
            self.ended = outcome
        return outcome

    def poll(self) -> bool:
        """Whether a message has arrived whole, without waiting for it; `ended` is set if the association has ended."""
        if self.ended:
            return False
        outcome = self._next(0.0, 0.0)
        if outcome not in ("message", "idle", "slow", "woken"):
            self.ended = outcome
        return outcome == "message"

    def take(self) -> Message:
        """Give the message that was announced."""
        return self._receiver.take()

    def send(self, data: bytes | memoryview) -> None:
        """Send PDUs.

        Raises
        ------
        Unavailable
            The peer has gone, or takes nothing.
        """
        try:
            self._peer.sendall(data)
        except OSError as error:
            self.ended = self.ended or "closed"
            raise Unavailable("the peer has ended the association") from error

    def send_message(self, context_id: int, command: bytes, data: Buffer | None, max_pdu: int) -> None:
        """Send a message whose data set is in one piece; `max_pdu` as in `pdus`.

        Raises
        ------
        Unavailable
            As from `send`.
        """
        if self.ended:
            raise Unavailable("the peer has ended the association")
        if self._secure is not None:
            for piece in pdus(context_id, command, None if data is None else (data,), max_pdu):
                self.send(piece)
            return
        try:
            send_message(self._peer.fileno(), context_id, command, data, max_pdu, self._idle_s)
        except Unavailable:
            self.ended = self.ended or "closed"
            raise

    def abort(self, reason: int = 0) -> None:
        """Send A-ABORT (PS3.8 9.3.8), and let the peer read it."""
        self._last_words(bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, reason)))

    def release(self) -> None:
        """Answer A-RELEASE-RQ."""
        self._last_words(RELEASE_ANSWER)

    def refuse(self, pdu: bytes) -> None:
        """Send an A-ASSOCIATE-RJ or another PDU that ends the association before it began."""
        self._last_words(pdu)

    def _last_words(self, pdu: bytes) -> None:
        """Send a PDU and wait for the peer to close: closing with unread bytes would take the PDU from it."""
        with suppress(OSError):
            self._peer.settimeout(_LINGER_S)
            self._peer.sendall(pdu)
            if self._secure is None:
                self._peer.shutdown(socket.SHUT_WR)
            until, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
            while left > 0 and time.monotonic() < until:
                piece = self._peer.recv(_CHUNK)
                if not piece:
                    return
                left -= len(piece)

    def _next(self, idle_s: float, pdu_s: float) -> str:
        try:
            if self._stream is not None:
                return self._stream.next(idle_s, pdu_s)
            return self._next_secure(idle_s, pdu_s)
        except DataError as error:
            if error.code != BAD_PDU:
                raise
            LOGGER.warning("association aborted: %s", error)
            self.ended, self.why = "bad", str(error)
            self.abort(int(getattr(error, "reason", 0)))
            return "bad"

    def _next_secure(self, idle_s: float, pdu_s: float) -> str:
        """As the core's ``Stream.next``, with what TLS gives."""
        peer: Any = self._secure
        state, since = self._state(), time.monotonic()
        while True:
            if self._rest:
                used, happened = self._receiver.feed(self._rest)
                self._rest = self._rest[used:]
                if happened:
                    return happened
            if self._state() != state:
                state, since = self._state(), time.monotonic()
            between = state[0]
            if not peer.pending():
                left = since + (idle_s if between else pdu_s) - time.monotonic()
                ready = select.poll()
                ready.register(peer, select.POLLIN)
                ready.register(self._wake, select.POLLIN)
                found = [fd for fd, _ in ready.poll(max(0.0, left) * 1000)]
                if self._wake in found:
                    return "woken"
                if not found:
                    return "idle" if between else "slow"
            peer.settimeout(0)
            try:
                piece = peer.recv(_CHUNK)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            except OSError:
                return "closed"
            finally:
                peer.settimeout(self._idle_s)
            if not piece:
                return "closed"
            self._rest = memoryview(piece)

    def _state(self) -> tuple[bool, int]:
        return self._receiver.between_pdus, self._receiver.pdus
