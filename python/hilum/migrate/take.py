"""Objects of a migration on their way into the archive: from C-GET, from C-MOVE to a port of ours, from WADO-RS."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from hilum.dimse.admission import Admission, Rejection
from hilum.dimse.messages import Tag
from hilum.dimse.server import DimseServer
from hilum.dimse.storage import StoreHandler, dimse_status, part10_prefix
from hilum.errors import HilumError, Unavailable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hilum.archive.archive import Archive
    from hilum.archive.incoming import Incoming, Spool
    from hilum.archive.ingest import StoreResult
    from hilum.dimse.association import Message
    from hilum.dimse.identity import Identity

__all__ = ["MoveListener", "Taker"]


class Taker:
    """Takes the objects of one study, for one thread; a `Receiver` of C-GET.

    An object is answered when it is on its way to the disk; `finish` waits until all of them are durable and findable.
    The peer keeps its copy, and the study is verified afterwards, so this costs no safety.
    """

    def __init__(self, archive: Archive, incoming: Incoming) -> None:
        self._archive = archive
        self._incoming = incoming
        self._waiting: list[tuple[str, Future[StoreResult]]] = []
        self._failed: dict[str, str] = {}

    def begin(self) -> Spool:
        """Begin an object whose bytes are a Part-10 file."""
        return self._incoming.spool()

    def take(self, spool: Spool, uid: str = "") -> None:
        """Take a complete object; `uid` names it in `finish`.

        Raises
        ------
        HilumError
            It cannot be stored.
        """
        try:
            pieces = spool.pieces()
            if spool.path is None:
                self._waiting.append((uid, self._archive.submit(pieces)))
            else:
                self._archive.store_file(spool.path)
        except HilumError as error:
            self._failed[uid] = f"not stored: {error}"
            raise
        finally:
            spool.discard()

    def open(self, message: Message) -> BinaryIO:
        """Begin the data set of a C-STORE request."""
        spool = self.begin()
        command = message.command
        sop_class, uid = (str(command.get(tag, "")) for tag in (Tag.AFFECTED_SOP_CLASS, Tag.AFFECTED_SOP_INSTANCE))
        spool.write(part10_prefix(sop_class, uid, message.context.transfer_syntax))
        return cast("BinaryIO", spool)

    def close(self, message: Message) -> int:
        """Take the object of a C-STORE request; gives the status for its sender."""
        try:
            self.take(cast("Spool", message.sink), str(message.command.get(Tag.AFFECTED_SOP_INSTANCE, "")))
        except HilumError as error:
            return dimse_status(error)
        return 0

    def finish(self) -> dict[str, str]:
        """Wait until everything is durable; gives what could not be stored, and why."""
        waiting, self._waiting = self._waiting, []
        failed, self._failed = self._failed, {}
        for uid, future in waiting:
            try:
                future.result()
            except HilumError as error:
                failed[uid] = f"not stored: {error}"
        return failed


class _OnlyPeer(Admission):
    """Lets associations come from the addresses of one host."""

    def __init__(self, host: str) -> None:
        super().__init__({})
        self._host = host

    def decide(
        self, title: str, address: str, certificate: dict[str, Any] | None, identity: Identity | None = None
    ) -> Rejection | None:
        """Decide on a request of an AE title."""
        if self.is_at(self._host, address):
            return None
        return Rejection(1, 1, 3, "only the archive that is migrated may send here")


class MoveListener:
    """A DICOM port for the C-STORE requests of C-MOVE, open while the migration runs; a context manager.

    Parameters
    ----------
    archive : Archive
    incoming : Incoming
    ae_title : str
        Under which the peer knows this port.
    peer : str
        Host that may send.
    port : int
    """

    def __init__(self, archive: Archive, incoming: Incoming, ae_title: str, peer: str, port: int) -> None:
        settings = replace(archive.settings.dimse, ae_title=ae_title, calling_ae_titles=())
        address = "127.0.0.1" if _is_loopback(peer) else "0.0.0.0"
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            listener.close()
            raise Unavailable(f"cannot listen on port {port}: {error.strerror}") from error
        handler = StoreHandler(archive)
        self._server = DimseServer(settings, listener, handler, incoming, admission=_OnlyPeer(peer))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def _is_loopback(host: str) -> bool:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).split("%", 1)[0]).is_loopback for address in found)
