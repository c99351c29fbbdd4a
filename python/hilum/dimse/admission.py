"""Who may have an association: AE titles, addresses, certificates, and what each peer may ask (SEC-1, ACQ-15)."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hilum.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.identity import Identity, Users, identity_in
from hilum.dimse.tls import title_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hilum.dimse.peers import Peer

__all__ = ["Admission", "Rejection"]

_RESOLVED_S: Final = 60.0
_NOBODY: Final = Users()


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int
    why: str
    """For the administrator; the peer gets the numbers only."""

    def pdu(self) -> bytes:
        """The PDU."""
        return bytes((3, 0, 0, 0, 0, 4, 0, self.result, self.source, self.reason))


class Admission:
    """Decides on an association request before anything is started for it.

    Parameters
    ----------
    peers : mapping of str to Peer
    calling_ae_titles : collection of str
        Who may call; empty: everybody.
    known_only : bool
        Only `peers` may call.
    bind_titles : bool
        The certificate of a peer must name its AE title.
    users : Users
        Who may be told as user (user identity negotiation).
    coerces : callable
        ``coerces(title)``: whether what a peer sends is changed, so that it must not come deflated.
    note : callable
        ``note(title, address, service, reason)`` of each refusal.
    """

    def __init__(
        self,
        peers: Mapping[str, Peer],
        calling_ae_titles: Collection[str] = (),
        *,
        known_only: bool = False,
        bind_titles: bool = False,
        users: Users = _NOBODY,
        coerces: Callable[[str], bool] = lambda _title: False,
        note: Callable[[str, str, str, str], None] = lambda *_: None,
    ) -> None:
        self._peers = peers
        self._titles = {title.strip() for title in calling_ae_titles}
        self._known_only = known_only
        self._bind_titles = bind_titles
        self._users = users
        self._coerces = coerces
        self._note = note
        self._addresses: dict[str, tuple[float, frozenset[str]]] = {}

    def __call__(self, request: bytes, address: str, certificate: dict[str, Any] | None) -> Rejection | None:
        """Decide on an A-ASSOCIATE-RQ; None: it may go on."""
        title = request[26:42].decode("ascii", "replace").strip(" \0")
        return self.decide(title, address, certificate, identity_in(request) if self._users else None)

    def decide(
        self, title: str, address: str, certificate: dict[str, Any] | None, identity: Identity | None = None
    ) -> Rejection | None:
        """Decide on a request of an AE title."""
        rejection = self._decide(title, address, certificate) or self._of_user(identity, title)
        if rejection is not None:
            self._note(title, address, "associate", rejection.why)
        return rejection

    def _decide(self, title: str, address: str, certificate: dict[str, Any] | None) -> Rejection | None:
        peer = self._peers.get(title)
        if self._titles and title not in self._titles:
            return Rejection(1, 1, 3, "the calling AE title is not in dimse.calling_ae_titles")
        if self._known_only and peer is None:
            return Rejection(1, 1, 3, "the calling AE title is not in dimse.peers, and dimse.known_peers_only is set")
        if peer is not None and peer.check_address and not self.is_at(peer.host, address):
            return Rejection(1, 1, 3, "the AE title calls from another address than dimse.peers gives it")
        if self._bind_titles and not title_in(certificate, title):
            return Rejection(1, 1, 3, "the certificate does not name the calling AE title")
        return None

    def _of_user(self, identity: Identity | None, title: str) -> Rejection | None:
        why = self._users.refuses(identity, title)
        return Rejection(1, 2, 1, why) if why else None

    def is_at(self, host: str, address: str) -> bool:
        """Whether an address is one of a host; names are looked up once a minute."""
        until, known = self._addresses.get(host, (0.0, frozenset()))
        if time.monotonic() > until:
            try:
                known = frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
            except OSError:
                known = frozenset()
            self._addresses[host] = (time.monotonic() + _RESOLVED_S, known)
        return _plain(address) in {_plain(found) for found in known}

    @property
    def verifies_users(self) -> bool:
        """Whether a user that is told has been verified when an association is accepted."""
        return bool(self._users)

    @property
    def restricts(self) -> bool:
        """Whether `takes` leaves something out."""
        limited = any(peer.accept_syntaxes or peer.accept_classes for peer in self._peers.values())
        return limited or any(self._coerces(title) for title in ("*", *self._peers))

    def takes(self, title: str, address: str, sop_class: str, syntaxes: Sequence[str]) -> tuple[list[str], int]:
        """Transfer syntaxes that are taken of a peer for a storage class; with none, the result for its context.

        Results are those of PS3.8 Table 9-18: 3, abstract syntax not supported; 4, transfer syntaxes not supported.
        """
        peer = self._peers.get(title)
        if peer is not None and peer.accept_classes and sop_class not in peer.accept_classes:
            self._note(title, address, "store", f"SOP class {sop_class} is not in its accept-classes of dimse.peers")
            return [], 3
        allowed = peer.accept_syntaxes if peer is not None else ()
        kept = [syntax for syntax in syntaxes if not allowed or syntax in allowed]
        if self._coerces(title):
            kept = [syntax for syntax in kept if syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]
        if not kept:
            self._note(title, address, "store", f"no transfer syntax of {sop_class} is taken of this AE title")
        return kept, 4

    def refused(self, title: str, address: str, service: str, reason: str) -> None:
        """Note a refusal that somebody else has decided."""
        self._note(title, address, service, reason)

    def may(self, title: str, service: str) -> bool:
        """Whether a peer may ask for a service."""
        peer = self._peers.get(title)
        return peer is None or service in peer.services


def _plain(address: str) -> str:
    """An address as text that compares: IPv4 in IPv6 as IPv4."""
    try:
        found = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
