"""A node to talk to, and what all requests to it share."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.association import Association, Message
from hilum.dimse.identifier import CHARACTER_SET, UTF_8, Element, parse, text_of
from hilum.dimse.identity import identity_of
from hilum.dimse.messages import Tag
from hilum.dimse.models import LEVEL_NAMES, UNIQUE_KEYS
from hilum.errors import Unavailable, UsageError
from hilum.index.schema import keyword_of, resolve_tag, vr_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hilum.dimse.proposal import Proposal
    from hilum.types import Level

__all__ = [
    "PLAIN",
    "ROOTS",
    "Counts",
    "Refused",
    "Remote",
    "Root",
    "by_keyword",
    "cancelling",
    "context_of",
    "identifier_of",
    "in_threads",
    "refusal_of",
]

Root = Literal["patient", "study"]
ROOTS: Final = {"patient": "1.2.840.10008.5.1.4.1.2.1", "study": "1.2.840.10008.5.1.4.1.2.2"}
"""Information models; ``.1`` C-FIND, ``.2`` C-MOVE, ``.3`` C-GET."""
PLAIN: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


@dataclass(frozen=True, slots=True)
class Remote:
    """A DICOM node to talk to."""

    host: str
    port: int
    called: str = "ANY-SCP"
    """Its AE title."""
    calling: str = "HILUM"
    """Our AE title."""
    connect_s: float = 15.0
    timeout_s: float = 60.0
    tls: ssl.SSLContext | None = None
    both_roles: bool = False
    """For C-GET from peers that want SCU and SCP proposed for storage classes, as syngo does; others want SCP alone."""

    user: str = ""
    """User identity (PS3.7 D.3.3.7); empty: none is told."""
    passcode: str = field(default="", repr=False)
    """Of the user; in clear, so use TLS."""
    token: str = field(default="", repr=False)
    """JSON Web Token, in the place of user and passcode; in clear too."""

    def associate(self, proposals: Sequence[Proposal]) -> Association:
        """Request an association; Denied and Unavailable say why there is none."""
        return Association(
            self.host,
            self.port,
            calling=self.calling,
            called=self.called,
            proposals=proposals,
            connect_s=self.connect_s,
            timeout_s=self.timeout_s,
            tls=self.tls,
            identity=identity_of(self.user, self.passcode, self.token),
        )


class Refused(Unavailable):
    """A request ended with a status that is no success.

    Parameters
    ----------
    where : str
        The peer.
    service : str
    status : int
    comment : str
        Of the peer (0000,0902).
    """

    def __init__(self, where: str, service: str, status: int, comment: str = "") -> None:
        text = f"{where}: {service} ended with status {status:04X}"
        super().__init__(f"{text}: {comment}" if comment else text)
        self.status = status


@dataclass(slots=True)
class Counts:
    """Sub-operations of a C-MOVE or C-GET, as the peer counts them."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0
    status: int = 0xFF00
    comment: str = ""
    """Of the peer (0000,0902)."""
    failed_uids: list[str] = field(default_factory=list)

    def take(self, message: Message) -> None:
        """Read a response."""
        command = message.command
        self.status = message.status
        self.comment = str(command.get(Tag.COMMENT, ""))
        self.remaining = int(command.get(Tag.REMAINING, 0))
        self.completed = int(command.get(Tag.COMPLETED, self.completed))
        self.failed = int(command.get(Tag.FAILED, self.failed))
        self.warning = int(command.get(Tag.WARNING, self.warning))
        if message.data:
            listed = text_of(parse(message.data, message.context.transfer_syntax), 0x00080058) or ""
            self.failed_uids = [uid for uid in listed.split("\\") if uid]


def in_threads(work: Callable[[], None], count: int) -> None:
    """Run `work` in that many threads and wait for them; in this one when it is one."""
    if count <= 1:
        work()
        return
    threads = [threading.Thread(target=work, name="hilum-scu", daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def context_of(association: Association, abstract_syntax: str) -> Any:
    """Give the accepted context of a SOP class; Unavailable, and no association, when there is none."""
    context = association.context_for(abstract_syntax)
    if context is None:
        association.abort()
        raise Unavailable(f"{association.where}: the peer does not offer this service")
    return context


def refusal_of(association: Association, service: str, message: Message) -> Refused:
    """Make the error of a final status that is no success."""
    return Refused(association.where, service, message.status, str(message.command.get(Tag.COMMENT, "")))


def identifier_of(level: Level, keys: Mapping[str, str]) -> list[Element]:
    """Elements of a request, ascending; UsageError for what is no attribute."""
    name = next(text for text, value in LEVEL_NAMES.items() if value == level)
    elements = {
        CHARACTER_SET: Element(CHARACTER_SET, "CS", UTF_8),
        0x00080052: Element(0x00080052, "CS", name),
    }
    items: dict[int, dict[int, Element]] = {}
    for key, value in keys.items():
        path = [resolve_tag(part) for part in key.replace("(", "").replace(")", "").split(".")]
        if not all(path) or len(path) > 2:
            raise UsageError(f"{key[:64]} is not an attribute")
        tag = path[-1] or 0
        element = Element(tag, vr_of(tag), value)
        if len(path) == 2:
            items.setdefault(path[0] or 0, {})[tag] = element
        else:
            elements[tag] = element
    for sequence, found in items.items():
        elements[sequence] = Element(sequence, "SQ", items=(tuple(found[t] for t in sorted(found)),))
    unique = UNIQUE_KEYS[level]
    elements.setdefault(unique, Element(unique, vr_of(unique)))
    return [elements[tag] for tag in sorted(elements)]


def by_keyword(elements: Sequence[Element]) -> dict[str, Any]:
    """Give elements as keyword to text, sequences as lists of such dicts."""
    return {keyword_of(e.tag): [by_keyword(item) for item in e.items] if e.vr == "SQ" else e.text for e in elements}


@contextlib.contextmanager
def cancelling(stop: threading.Event) -> Iterator[threading.Event]:
    """Set `stop` instead of ending with KeyboardInterrupt at the first ^C; the second one ends as usual."""
    import signal

    before = signal.getsignal(signal.SIGINT)

    def interrupted(_number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
