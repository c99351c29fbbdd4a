"""The gate of the DICOM port: connections wait here until their A-ASSOCIATE-RQ has arrived whole.

One thread for all of them. Silent, slow and lying peers cost a descriptor and a few bytes each, no thread; what is
admitted gets a thread of its own.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.dimse.admission import Rejection
    from hilum.dimse.places import Places

__all__ = ["ABORT", "Gate", "GateSettings"]

LOGGER = logging.getLogger("hilum.dimse")
_ASSOCIATE_RQ: Final = 1
_HEADER: Final = 6
_REJECT_LOCAL_LIMIT: Final = bytes(
    (3, 0, 0, 0, 0, 4, 0, 2, 3, 2)
)  # transient, presentation related, local limit exceeded
ABORT: Final = bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 0))
"""An A-ABORT by the service provider, reason not specified (PS3.8 9.3.8)."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a peer may take of us before its association is accepted."""

    max_waiting: int = 1024
    """Connections without a complete A-ASSOCIATE-RQ; beyond it the oldest goes."""
    request_s: float = 10.0
    """From the connection to its complete A-ASSOCIATE-RQ."""
    request_bytes: int = 256 << 10
    """Longest A-ASSOCIATE-RQ."""
    tls: ssl.SSLContext | None = None
    """Every connection must be encrypted."""
    admit: Callable[[bytes, str, dict[str, Any] | None], Rejection | None] = lambda *_: None
    """Decides on an A-ASSOCIATE-RQ from an address with a verified certificate."""
    refused: Callable[[str, str, str], None] = lambda *_: None
    """Told address, service and reason of connections that are refused before their request is read."""


@dataclass(slots=True)
class _Waiting:
    peer: socket.socket
    address: Any
    deadline: float
    data: bytearray
    secured: bool = False
    """The TLS handshake is done."""


class Gate:
    """Listens, and begins an association for a connection only when its A-ASSOCIATE-RQ has arrived whole.

    Parameters
    ----------
    listener : socket.socket
        Bound socket.
    settings : GateSettings
    places : Places
        How many associations there may be.
    begin : callable
        ``begin(connection, address, request)``, in a thread of its own; the connection is closed when it returns.
    observe : callable
        ``observe(outcome)`` for the metrics.
    """

    def __init__(
        self,
        listener: socket.socket,
        settings: GateSettings,
        places: Places,
        begin: Callable[[socket.socket, Any, bytes], None],
        observe: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._listener = listener
        self._settings = settings
        self._places = places
        self._begin_association = begin
        self._observe = observe
        self._waiting: dict[int, _Waiting] = {}
        self._stop_read, self._stop_write = socket.socketpair()
        self._active: set[threading.Thread] = set()
        self._thread = threading.Thread(target=self._run, name="hilum-dimse-gate", daemon=True)

    @property
    def active(self) -> int:
        """Associations of this process."""
        return len(self._active)

    def start(self) -> None:
        """Accept connections, in a thread."""
        self._listener.listen(1024)
        self._thread.start()

    def stop(self) -> None:
        """Accept no more; associations go on."""
        with suppress(OSError):
            self._stop_write.send(b"x")
        self._thread.join()
        self._listener.close()

    def wait(self, seconds: float) -> bool:
        """Wait until all associations have ended; whether they have."""
        deadline = time.monotonic() + seconds
        while self._active and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._active

    # the gate's thread

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(self._stop_read, selectors.EVENT_READ)
        next_sweep = 0.0
        while True:
            for key, _ in selector.select(0.5 if self._waiting else None):
                if key.fileobj is self._stop_read:
                    self._close_all(selector)
                    return
                if key.fileobj is self._listener:
                    self._accept(selector)
                else:
                    self._read(selector, key.fd)
            now = time.monotonic()
            if now >= next_sweep:
                next_sweep = now + 0.5
                for fd, waiting in [found for found in self._waiting.items() if now > found[1].deadline]:
                    limit = f"no association request within {self._settings.request_s:g} s"
                    self._settings.refused(waiting.address[0], "associate", limit)
                    self._drop(selector, fd)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        for _ in range(64):
            try:
                peer, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                LOGGER.warning("accept: %s", error.strerror)
                time.sleep(0.05)
                return
            peer.setblocking(False)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._settings.tls is not None:
                peer = self._settings.tls.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
            if len(self._waiting) >= self._settings.max_waiting:
                self._drop(selector, next(iter(self._waiting)))
            deadline = time.monotonic() + self._settings.request_s
            self._waiting[peer.fileno()] = _Waiting(peer, address, deadline, bytearray())
            selector.register(peer, selectors.EVENT_READ)

    def _read(self, selector: selectors.BaseSelector, fd: int) -> None:
        waiting = self._waiting.get(fd)
        if waiting is None:
            return
        if isinstance(waiting.peer, ssl.SSLSocket) and not self._shake_hands(selector, waiting, waiting.peer):
            return
        try:
            piece = waiting.peer.recv(1 << 16)
            while piece and isinstance(waiting.peer, ssl.SSLSocket) and waiting.peer.pending():
                piece += waiting.peer.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(selector, fd)
            return
        waiting.data += piece
        if len(waiting.data) < _HEADER:
            return
        length = int.from_bytes(waiting.data[2:6], "big")
        if waiting.data[0] != _ASSOCIATE_RQ or length > self._settings.request_bytes:
            with suppress(OSError):
                waiting.peer.send(ABORT)
            self._settings.refused(waiting.address[0], "associate", "what came is no association request")
            self._observe("malformed")
            self._drop(selector, fd)
        elif len(waiting.data) >= _HEADER + length:
            selector.unregister(waiting.peer)
            del self._waiting[fd]
            self._decide(waiting)

    def _shake_hands(self, selector: selectors.BaseSelector, waiting: _Waiting, peer: ssl.SSLSocket) -> bool:
        """Go on with the handshake as far as what has arrived allows; whether it is done."""
        if waiting.secured:
            return True
        try:
            peer.do_handshake()
        except ssl.SSLWantReadError:
            selector.modify(peer, selectors.EVENT_READ)
            return False
        except ssl.SSLWantWriteError:
            selector.modify(peer, selectors.EVENT_WRITE)
            return False
        except OSError as error:
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
            self._settings.refused(waiting.address[0], "tls", f"no TLS handshake: {reason}")
            self._observe("malformed")
            self._drop(selector, peer.fileno())
            return False
        selector.modify(peer, selectors.EVENT_READ)
        waiting.secured = True
        return True

    def _decide(self, waiting: _Waiting) -> None:
        peer, request = waiting.peer, bytes(waiting.data)
        certificate = peer.getpeercert() if isinstance(peer, ssl.SSLSocket) else None
        rejection = self._settings.admit(request, waiting.address[0], certificate)
        if rejection is not None:
            self._reject(peer, rejection.pdu())
            return
        place = self._places.take(request[26:42].decode("ascii", "replace").strip(" \0"), waiting.address[0])
        if place is None:
            self._settings.refused(waiting.address[0], "associate", "too many associations at once")
            self._reject(peer, _REJECT_LOCAL_LIMIT)
            return
        thread = threading.Thread(target=self._serve, args=(peer, waiting.address, request, place), daemon=True)
        self._active.add(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._active.discard(thread)
            self._places.give_back(place)
            self._reject(peer, _REJECT_LOCAL_LIMIT)

    def _reject(self, peer: socket.socket, answer: bytes) -> None:
        self._observe("rejected")
        with suppress(OSError):
            peer.send(answer)
            peer.shutdown(socket.SHUT_WR)
        peer.close()

    def _serve(self, peer: socket.socket, address: Any, request: bytes, place: int) -> None:
        """Run one association, in its thread."""
        try:
            self._begin_association(peer, address, request)
        except Exception as error:
            LOGGER.error("an association ends: %s", type(error).__name__)
            self._observe("failed")
        finally:
            with suppress(OSError):
                peer.close()
            self._places.give_back(place)
            self._active.discard(threading.current_thread())

    def _drop(self, selector: selectors.BaseSelector, fd: int) -> None:
        waiting = self._waiting.pop(fd, None)
        if waiting is not None:
            with suppress(KeyError, ValueError):
                selector.unregister(waiting.peer)
            waiting.peer.close()

    def _close_all(self, selector: selectors.BaseSelector) -> None:
        for fd in list(self._waiting):
            self._drop(selector, fd)
        selector.close()
        self._stop_read.close()
        self._stop_write.close()
