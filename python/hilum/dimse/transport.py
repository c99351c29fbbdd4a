"""Sockets under pynetdicom.

An accept gate, deadlines, and no polling. The only file that touches names pynetdicom keeps private.

What the stock transport lacks, measured with pynetdicom 3.0.4: ten silent connections shut everybody out for half a
minute; a PDU header is believed whatever length it claims; a peer may drip one byte a second for ever; two threads
per association poll a thousand times a second; without ``TCP_QUICKACK`` a sender that writes header and body apart
waits 40 ms for each small object. `patched` says whether the names are there; without them `hilum.dimse.server`
uses the stock server.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.transport import AddressInformation, AssociationServer, AssociationSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.dimse.admission import Rejection
    from hilum.dimse.storage import StoreSpool

__all__ = ["Gate", "GateSettings", "patched"]

LOGGER = logging.getLogger("hilum.dimse")
ASSOCIATE_RQ: Final = 1
_HEADER: Final = 6
_REJECT_LOCAL_LIMIT: Final = bytes(
    (3, 0, 0, 0, 0, 4, 0, 2, 3, 2)
)  # transient, presentation related, local limit exceeded
_ABORT: Final = bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 0))  # by the service provider, reason not specified
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_CHUNK: Final = 1 << 18
_WAITING_MESSAGES: Final = 2


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a peer may take of us before and after its association is accepted."""

    max_associations: int = 64
    max_associations_per_ae: int = 0
    """Of one calling AE title; 0: no limit."""
    max_waiting: int = 1024
    """Connections without a complete A-ASSOCIATE-RQ; beyond it the oldest goes."""
    request_s: float = 10.0
    """From the connection to its complete A-ASSOCIATE-RQ."""
    request_bytes: int = 256 << 10
    """Longest A-ASSOCIATE-RQ."""
    pdu_s: float = 30.0
    """From the first to the last byte of a PDU."""
    max_pdu_bytes: int = 256 << 10
    """Longest P-DATA that we offer; senders that ignore it get some slack."""
    tls: ssl.SSLContext | None = None
    """Every connection must be encrypted."""
    admit: Callable[[bytes, str, dict[str, Any] | None], Rejection | None] = lambda *_: None
    """Decides on an A-ASSOCIATE-RQ from an address with a verified certificate."""
    refused: Callable[[str, str, str], None] = lambda *_: None
    """Told address, service and reason of connections that are refused before their request is read."""


def patched() -> bool:
    """Whether this pynetdicom has every private name that is used here."""
    try:
        from pynetdicom.dimse import DIMSEServiceProvider
        from pynetdicom.dul import DULServiceProvider
    except ImportError:
        return False
    needed = (
        (Association, ("_run_reactor", "set_socket", "kill")),
        (DULServiceProvider, ("run_reactor", "_is_transport_event", "_process_recv_primitive")),
        (DIMSEServiceProvider, ("receive_primitive", "get_msg")),
        (AssociationSocket, ("recv", "send", "ready", "close")),
        (DIMSEMessage, ("decode_msg", "message_to_primitive")),
    )
    return all(hasattr(kind, name) for kind, names in needed for name in names)


class _WakingQueue(queue.Queue):  # type: ignore[type-arg]
    """A queue that tells somebody when something was put into it."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._wake()


class _Checkpoint(threading.Event):
    """The checkpoint on which the reactor of an association waits in each round, until there is something to do."""

    def __init__(self, wake: threading.Event) -> None:
        super().__init__()
        self._wake_event = wake
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the reactor may run, then until a message, a release or an abort is there, or for a moment."""
        passed = super().wait(timeout)
        self._wake_event.wait(0.05)
        self._wake_event.clear()
        return passed


class _Socket(AssociationSocket):
    """Connection of one association: reads with deadlines and bounds, waits instead of polling.

    Parameters
    ----------
    prefix : bytes
        What the gate has read already: the A-ASSOCIATE-RQ.
    """

    def __init__(self, assoc: Association, client_socket: socket.socket, prefix: bytes, settings: GateSettings) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._pending = bytearray(prefix)
        self._settings = settings
        self._longest = max(settings.max_pdu_bytes or (1 << 31), settings.request_bytes) + (1 << 20)
        self._deadline = 0.0
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._event_lock = threading.Lock()  # a closed descriptor's number may be another connection's by now
        self._poll = select.poll()
        self._poll.register(self._event_fd, select.POLLIN)
        self._poll.register(client_socket, select.POLLIN)

    def wake(self) -> None:
        """End the waiting of `ready`: there is something to send."""
        with self._event_lock:
            if self._event_fd >= 0:
                with suppress(OSError):
                    os.eventfd_write(self._event_fd, 1)

    @property
    def ready(self) -> bool:
        """Whether bytes have arrived; waits up to 0.1 s for them when there is nothing else to do."""
        if self.socket is None or not self._is_connected:
            return False
        if self._pending:
            return True
        dul = self.assoc.dul
        if self.assoc.dimse.msg_queue.qsize() >= _WAITING_MESSAGES:
            time.sleep(0.005)
            return False
        idle = dul.event_queue.empty() and not dul._kill_thread
        try:
            found = self._poll.poll(100 if idle else 0)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        arrived = False
        for fd, _ in found:
            if fd == self._event_fd:
                with suppress(OSError):
                    os.eventfd_read(self._event_fd)
            else:
                arrived = True
        return self._decrypted(arrived) if isinstance(self.socket, ssl.SSLSocket) else arrived

    def _decrypted(self, arrived: bool) -> bool:
        """Read what TLS has for us; bytes on the wire may be none of the association."""
        peer = self.socket
        if not isinstance(peer, ssl.SSLSocket) or not (arrived or peer.pending()):
            return False
        try:
            peer.settimeout(0)
            self._pending += peer.recv(_CHUNK)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            return True  # `recv` meets it again
        finally:
            peer.settimeout(self._settings.pdu_s)
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        """Read that many bytes of a PDU: its header of six, then the rest, both within one deadline.

        Raises
        ------
        OSError
            The PDU is longer than was negotiated, or did not arrive in time; the association ends.
        """
        if nr_bytes == _HEADER:
            self._deadline = time.monotonic() + self._settings.pdu_s
        elif nr_bytes > self._longest:
            self._refuse("a PDU is longer than was negotiated")
        data = self._pending[:nr_bytes]
        del self._pending[:nr_bytes]
        peer = self.socket
        if peer is None:
            raise OSError("the connection is closed")
        while len(data) < nr_bytes:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._refuse("a PDU did not arrive in time")
            peer.settimeout(left)
            piece = peer.recv(min(nr_bytes - len(data), _CHUNK))
            if _QUICKACK is not None:
                peer.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            if not piece:
                return data
            data += piece
        return data

    def put_back(self, data: bytes) -> None:
        """Let these bytes be read again, before all others."""
        self._pending[:0] = data

    def _refuse(self, reason: str) -> None:
        LOGGER.warning("association aborted: %s", reason)
        if self.socket is not None:
            with suppress(OSError):
                self.socket.settimeout(1)
                self.socket.send(_ABORT)
        raise OSError(reason)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        with self._event_lock:
            if self._event_fd >= 0:
                fd, self._event_fd = self._event_fd, -1
                os.close(fd)


def _receive_with_spool(
    assoc: Association, make_spool: Callable[[Callable[[], tuple[str, str, str]]], StoreSpool]
) -> None:
    """Let the data set of each C-STORE request go into a spool instead of memory without bound."""
    dimse = assoc.dimse
    stock = dimse.receive_primitive

    def receive(primitive: Any) -> None:
        if dimse.message is None:
            message = DIMSEMessage()

            def identify() -> tuple[str, str, str]:
                command = message.command_set
                context = assoc._accepted_cx.get(message.context_id or 0)
                syntax = str(context.transfer_syntax[0]) if context is not None else ""
                uids = (command.get("AffectedSOPClassUID", ""), command.get("AffectedSOPInstanceUID", ""))
                return str(uids[0]).strip(" \0"), str(uids[1]).strip(" \0"), syntax

            message.data_set = make_spool(identify)
            dimse.message = message
        stock(primitive)

    dimse.receive_primitive = receive  # type: ignore[method-assign]


@dataclass(slots=True)
class _Waiting:
    peer: socket.socket
    address: Any
    deadline: float
    data: bytearray
    secured: bool = False
    """The TLS handshake is done."""


class Gate(AssociationServer):
    """Listens, and makes an association of a connection only when its A-ASSOCIATE-RQ has arrived whole.

    Silent, slow and lying peers cost a descriptor and a few bytes each, no thread.

    Parameters
    ----------
    ae, ae_title, contexts, evt_handlers
        As of pynetdicom's ``AssociationServer``.
    listener : socket.socket
        Bound socket.
    make_spool : callable
        Gives the spool for the data set of a request.
    observe : callable
        ``observe(outcome)`` for the metrics.
    """

    def __init__(
        self,
        ae: Any,
        ae_title: str,
        contexts: list[Any],
        evt_handlers: list[Any],
        *,
        listener: socket.socket,
        settings: GateSettings,
        make_spool: Callable[[Callable[[], tuple[str, str, str]]], StoreSpool],
        observe: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._listener = listener
        self._gate = settings
        self._make_spool = make_spool
        self._observe = observe
        self._waiting: dict[int, _Waiting] = {}
        self._stop_read, self._stop_write = socket.socketpair()
        super().__init__(ae, listener.getsockname(), ae_title, contexts, None, evt_handlers)
        self._thread = threading.Thread(target=self._run, name="hilum-dimse-gate", daemon=True)

    def server_bind(self) -> None:
        """Adopt the listener instead of binding."""
        if self.socket is not None:
            self.socket.close()
        self.socket = self._listener
        self.server_address = self._listener.getsockname()

    def server_activate(self) -> None:
        """Listen."""
        self._listener.listen(512)

    def start(self) -> None:
        """Accept connections, in a thread."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Accept no more, let associations end for a while, then abort them."""
        with suppress(OSError):
            self._stop_write.send(b"x")
        self._thread.join()
        self.server_close()
        deadline = time.monotonic() + grace_s
        while self.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)
        for assoc in self.active_associations:
            with suppress(Exception):
                assoc.abort()
        deadline = time.monotonic() + 1
        while self.active_associations and time.monotonic() < deadline:
            time.sleep(0.02)

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
                for fd in [fd for fd, waiting in self._waiting.items() if now > waiting.deadline]:
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
            if self._gate.tls is not None:
                peer = self._gate.tls.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
            if len(self._waiting) >= self._gate.max_waiting:
                self._drop(selector, next(iter(self._waiting)))
            deadline = time.monotonic() + self._gate.request_s
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
        if waiting.data[0] != ASSOCIATE_RQ or length > self._gate.request_bytes:
            with suppress(OSError):
                waiting.peer.send(_ABORT)
            self._observe("malformed")
            self._drop(selector, fd)
        elif len(waiting.data) >= _HEADER + length:
            selector.unregister(waiting.peer)
            del self._waiting[fd]
            self._begin(waiting)

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
            self._gate.refused(waiting.address[0], "tls", f"no TLS handshake: {reason}")
            self._observe("malformed")
            self._drop(selector, peer.fileno())
            return False
        selector.modify(peer, selectors.EVENT_READ)
        waiting.secured = True
        return True

    def _begin(self, waiting: _Waiting) -> None:
        peer = waiting.peer
        certificate = peer.getpeercert() if isinstance(peer, ssl.SSLSocket) else None
        rejection = self._gate.admit(bytes(waiting.data), waiting.address[0], certificate)
        if rejection is not None:
            self._observe("rejected")
            with suppress(OSError):
                peer.send(rejection.pdu())
                peer.shutdown(socket.SHUT_WR)
            peer.close()
            return
        active = self.active_associations
        title = waiting.data[26:42].decode("ascii", "replace").strip(" \0")
        quota = self._gate.max_associations_per_ae
        used = sum(str(assoc.requestor.ae_title).strip() == title for assoc in active) if quota else 0
        if len(active) >= self._gate.max_associations or (quota and used >= quota):
            self._gate.refused(waiting.address[0], "associate", "too many associations at once")
            self._observe("rejected")
            with suppress(OSError):
                peer.send(_REJECT_LOCAL_LIMIT)
                peer.shutdown(socket.SHUT_WR)
            peer.close()
            return
        peer.setblocking(True)
        try:
            self._associate(peer, waiting.address, bytes(waiting.data))
        except Exception as error:
            LOGGER.error("association could not be started: %s", type(error).__name__)
            self._observe("failed")
            peer.close()

    def _associate(self, peer: socket.socket, address: Any, request: bytes) -> None:
        """Start the two threads of an association, as pynetdicom's ``RequestHandler`` does."""
        assoc = Association(self.ae, "acceptor")
        assoc._server = self
        assoc.name = f"AcceptorThread@{peer.fileno()}"
        assoc.daemon = True
        assoc.dul.daemon = True
        connection = _Socket(assoc, peer, request, self._gate)
        assoc.set_socket(connection)
        assoc.acceptor.maximum_length = self.ae.maximum_pdu_size
        assoc.acceptor.ae_title = self.ae_title
        assoc.acceptor.address_info = AddressInformation.from_tuple(self.server_address)
        assoc.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = self.ae.implementation_version_name
        assoc.acceptor.supported_contexts = list(self.contexts)
        assoc.requestor.address_info = AddressInformation.from_tuple(address)
        handlers: dict[Any, Any] = self._handlers
        for event, bound in handlers.items():
            if event.is_intervention:
                if bound:
                    assoc.bind(event, *bound)
            else:
                for handler in bound:
                    assoc.bind(event, handler[0], handler[1])
        self._quicken(assoc, connection)
        _receive_with_spool(assoc, self._make_spool)
        evt.trigger(assoc, evt.EVT_CONN_OPEN, {"address": address})
        assoc.start()

    def _quicken(self, assoc: Association, connection: _Socket) -> None:
        """Replace the two polls of pynetdicom by waiting for what they look for."""
        wake = threading.Event()
        assoc.dul.to_provider_queue = _WakingQueue(connection.wake)
        assoc.dul.to_user_queue = _WakingQueue(wake.set)
        assoc.dimse.msg_queue = _WakingQueue(wake.set)
        assoc._reactor_checkpoint = _Checkpoint(wake)
        assoc.dul._run_loop_delay = 0

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
