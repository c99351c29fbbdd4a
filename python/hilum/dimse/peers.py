"""Application entities that are known by name: where they are and what they may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hilum.dicom.uids import is_valid_uid
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SERVICES", "Peer", "parse_peers"]

SERVICES: Final = ("echo", "store", "find", "move", "get", "commit")
_TITLE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")


@dataclass(frozen=True, slots=True)
class Peer:
    """One line of ``[dimse] peers``."""

    ae_title: str
    host: str = ""
    """Address to send to, and the only one that it may call from when ``check_address`` is set."""
    port: int = 0
    """0: nothing can be sent there."""
    services: tuple[str, ...] = SERVICES
    """What it may ask of us."""
    syntaxes: tuple[str, ...] = ()
    """Transfer syntaxes to offer when we send; empty: the stored one, then uncompressed."""
    accept_syntaxes: tuple[str, ...] = ()
    """Transfer syntaxes that are taken of it for storage classes; empty: all."""
    accept_classes: tuple[str, ...] = ()
    """Storage classes that are taken of it; empty: all."""
    tls: bool = False
    check_address: bool = False


def parse_peers(lines: Sequence[str]) -> Mapping[str, Peer]:
    """Read ``[dimse] peers``: ``"TITLE host:port option option"``, by title.

    Options: ``tls``; ``check-address`` (it may call from this address only); ``services=echo,store`` (what it may ask
    of us, default all); ``syntaxes=UID,UID`` (what we offer when we send); ``accept-syntaxes=UID,UID`` and
    ``accept-classes=UID,UID`` (what we take when it sends).

    Raises
    ------
    UsageError
        Names the entry by its position and says what is wrong.
    """
    peers: dict[str, Peer] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        where = f"dimse.peers, entry {number}"
        if len(words) < 2 or len(words[0]) > 16 or not _TITLE.fullmatch(words[0]):
            raise UsageError(f"{where}: write it as 'TITLE host:port options', the title with at most 16 characters")
        host, _, port = words[1].rpartition(":")
        if not host:
            host, port = words[1], "0"
        if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
            raise UsageError(f"{where}: the port is a number up to 65535")
        options = {"ae_title": words[0], "host": host.strip("[]"), "port": int(port)}
        for option in words[2:]:
            _take(option, options, where)
        if words[0] in peers:
            raise UsageError(f"{where}: the title is there twice")
        peers[words[0]] = Peer(**options)  # type: ignore[arg-type]
    return peers


def _take(option: str, options: dict[str, object], where: str) -> None:
    name, _, value = option.partition("=")
    if name == "tls" and not value:
        options["tls"] = True
    elif name == "check-address" and not value:
        options["check_address"] = True
    elif name == "services":
        services = tuple(part for part in value.split(",") if part)
        unknown = [part for part in services if part not in SERVICES]
        if unknown:
            raise UsageError(f"{where}: services are {', '.join(SERVICES)}")
        options["services"] = services
    elif name in ("syntaxes", "accept-syntaxes", "accept-classes"):
        uids = tuple(part for part in value.split(",") if part)
        if not uids or not all(is_valid_uid(uid) for uid in uids):
            raise UsageError(f"{where}: {name}= is followed by UIDs")
        options[name.replace("-", "_")] = uids
    else:
        raise UsageError(
            f"{where}: options are tls, check-address, services=…, syntaxes=…, accept-syntaxes=… and accept-classes=…"
        )
