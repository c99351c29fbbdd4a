"""C-GET as SCU (PS3.4 C.4.3)."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from hilum.dicom.uids import storage_sop_classes
from hilum.dimse.client.query import find
from hilum.dimse.client.remote import PLAIN, ROOTS, Counts, Refused, Remote, Root, context_of, identifier_of, in_threads
from hilum.dimse.identifier import UTF_8, encode
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.proposal import Proposal
from hilum.dimse.storage import part10_prefix
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hilum.dimse.association import Message
    from hilum.types import Level

__all__ = ["FolderReceiver", "Receiver", "get", "get_entity"]

_COMPRESSED: Final = (
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.1.99",
)
_IMAGES_PER_GET: Final = 200
_MOST_CLASSES: Final = 63
_PER_ASSOCIATION: Final = 126
_BAD_NAME: Final = re.compile(r"[^0-9A-Za-z.]")


def get(
    remote: Remote,
    level: Level,
    keys: Mapping[str, str],
    folder: Path,
    *,
    root: Root = "study",
    associations: int = 1,
    resume: bool = False,
    progress: Callable[[Counts], None] = lambda _counts: None,
    received: Callable[[Path], None] = lambda _path: None,
    stop: threading.Event | None = None,
) -> Counts:
    """C-GET into a folder: one Part-10 file ``<SOP Instance UID>.dcm`` for each instance, its data set as it came.

    The peer is asked first (C-FIND at the IMAGE level) which classes and instances there are; then each is proposed in
    its stored syntax too, so that nothing is transcoded without need.

    Parameters
    ----------
    remote, level, keys, root
        As of `move`.
    folder : Path
        Exists.
    associations : int
        That many at once.
    resume : bool
        Leave out instances of which the file is there.
    progress : callable
        Called after each complete file.
    received : callable
        Called with each complete file, in the thread that has received it.
    stop : threading.Event, optional
        When it is set, C-CANCEL is sent.
    """
    below = {name: value for name, value in keys.items() if value}
    wanted = {}
    with suppress(Refused):  # one relational query (PS3.4 C.4.1.2.2.1); many archives know none
        asked = {**below, "SOPInstanceUID": below.get("SOPInstanceUID", ""), "SOPClassUID": ""}
        for answer in find(remote, "instance", asked, root=root):
            wanted[str(answer.get("SOPInstanceUID", ""))] = str(answer.get("SOPClassUID", ""))
    wanted.pop("", None)
    known = bool(wanted)
    if resume:
        wanted = {uid: found for uid, found in wanted.items() if not (folder / _file_name(uid)).exists()}
        known = True
    batches: SimpleQueue[list[str]] = SimpleQueue()
    uids = list(wanted)
    for start in range(0, len(uids), _IMAGES_PER_GET):
        batches.put(uids[start : start + _IMAGES_PER_GET])
    total = Counts(remaining=len(wanted), status=0)
    arrived = Counts(remaining=len(wanted))
    lock = threading.Lock()
    problems: list[HilumError] = []

    def came(path: Path) -> None:
        received(path)
        with lock:
            arrived.completed += 1
            arrived.remaining = max(len(wanted) - arrived.completed - total.failed, 0)
            arrived.failed = total.failed
            progress(arrived)

    receiver = FolderReceiver(folder, came)
    if not known:
        return get_entity(remote, level, below, (), receiver, root=root, stop=stop)

    def work() -> None:
        try:
            while not problems and not (stop is not None and stop.is_set()):
                batch = batches.get_nowait()
                classes = list(dict.fromkeys(wanted[uid] for uid in batch))
                classes = [] if "" in classes else classes[:_MOST_CLASSES]
                named = {"SOPInstanceUID": "\\".join(batch)}
                done = get_entity(remote, "instance", named, classes, receiver, root=root, stop=stop)
                with lock:
                    _add(total, done, len(batch))
        except Empty:
            pass
        except HilumError as error:
            problems.append(error)

    in_threads(work, associations)
    if problems:
        raise problems[0]
    return total


def _add(total: Counts, done: Counts, batch: int) -> None:
    total.remaining -= batch
    total.completed += done.completed
    total.failed += done.failed
    total.warning += done.warning
    total.failed_uids += done.failed_uids
    if done.status:
        total.status, total.comment = done.status, done.comment


def get_entity(
    remote: Remote,
    level: Level,
    keys: Mapping[str, str],
    classes: Sequence[str],
    receiver: Receiver,
    *,
    root: Root = "study",
    stop: threading.Event | None = None,
) -> Counts:
    """C-GET of one entity on one association.

    Parameters
    ----------
    remote : Remote
    level, keys, root
        As of `get`.
    classes : sequence of str
        SOP classes that may come; each is proposed in compressed syntaxes too as far as 128 contexts allow. Empty: not
        known; all that there are, on more than one association if need be.
    receiver : Receiver
    stop : threading.Event, optional
        When it is set, C-CANCEL is sent.

    Returns
    -------
    Counts
        Of the final response; a status that is no success is not raised.
    """
    known = list(classes) or list(storage_sop_classes())
    total = _request(remote, level, keys, known[:_PER_ASSOCIATION], receiver, root, stop)
    for start in range(_PER_ASSOCIATION, len(known), _PER_ASSOCIATION):
        if not total.failed or (stop is not None and stop.is_set()):
            break
        batch = known[start : start + _PER_ASSOCIATION]
        total = _both(total, _request(remote, level, keys, batch, receiver, root, stop))
    return total


def _both(first: Counts, second: Counts) -> Counts:
    """Counts of two requests for the same entity with different SOP classes: what one sends, the other cannot."""
    sent = first.completed + first.warning
    both = Counts(0, first.completed + second.completed, max(second.failed - sent, 0), first.warning + second.warning)
    both.failed_uids = [uid for uid in second.failed_uids if uid in first.failed_uids]
    both.status, both.comment = (second.status, second.comment) if both.failed else (0, "")
    return both


def _request(
    remote: Remote,
    level: Level,
    keys: Mapping[str, str],
    known: Sequence[str],
    receiver: Receiver,
    root: Root,
    stop: threading.Event | None,
) -> Counts:
    model = f"{ROOTS[root]}.3"
    each = min(len(_COMPRESSED), 127 // max(1, len(known)) - 1)
    proposals = [Proposal(model, PLAIN)]
    for uid in known:
        syntaxes = [*((syntax,) for syntax in _COMPRESSED[:each]), PLAIN]
        proposals += [Proposal(uid, offered, as_scp=True, as_scu=remote.both_roles) for offered in syntaxes]
    command: dict[int, int | str] = {
        Tag.COMMAND_FIELD: Field.C_GET,
        Tag.AFFECTED_SOP_CLASS: model,
        Tag.PRIORITY: 0,
        Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
    }
    counts = Counts()
    with remote.associate(proposals) as association:
        context = context_of(association, model)
        number = command[Tag.MESSAGE_ID] = association.next_message_id()
        data = encode(identifier_of(level, keys), context.transfer_syntax, UTF_8)
        association.send(context, command, (data,))
        cancelled = False
        while True:
            if stop is not None and stop.is_set() and not cancelled:
                association.cancel(context, number)
                cancelled = True
            message = association.receive(lambda found: receiver.open(found) if _is_store(found) else None)
            if _is_store(message):
                association.send(message.context, response_to(message.command, receiver.close(message)))
                continue
            counts.take(message)
            if message.status != 0xFF00:
                return counts


def _is_store(message: Message) -> bool:
    return message.command.get(Tag.COMMAND_FIELD) == Field.C_STORE


def _file_name(uid: str) -> str:
    """Name of an instance's file; a UID that is none cannot leave the folder."""
    return f"{_BAD_NAME.sub('_', uid)[:64].strip('.') or 'unnamed'}.dcm"


class Receiver(Protocol):
    """Takes the objects of a C-GET, one after the other, in the thread of its association."""

    def open(self, message: Message) -> BinaryIO | None:
        """Give a sink for the data set that follows; None refuses it."""
        ...

    def close(self, message: Message) -> int:
        """Take the object whose data set is in the message's sink; gives the status for its sender."""
        ...


class FolderReceiver:
    """Writes a Part-10 file ``<SOP Instance UID>.dcm`` for each object, its data set as it came.

    Parameters
    ----------
    folder : Path
        Exists.
    received : callable
        Called with each complete file.
    """

    def __init__(self, folder: Path, received: Callable[[Path], None] = lambda _path: None) -> None:
        self._folder = folder
        self._received = received

    def open(self, message: Message) -> BinaryIO:
        """Begin a file; Unavailable when it cannot be written."""
        uid = str(message.command.get(Tag.AFFECTED_SOP_INSTANCE, ""))
        sop_class = str(message.command.get(Tag.AFFECTED_SOP_CLASS, ""))
        try:
            file = (self._folder / f"{_file_name(uid)}.part").open("wb", buffering=1 << 18)
            file.write(part10_prefix(sop_class, uid, message.context.transfer_syntax))
        except OSError as error:
            raise Unavailable(f"{self._folder}: cannot be written: {error.strerror}") from error
        return file

    def close(self, message: Message) -> int:
        """Close and name a file."""
        if message.sink is None:
            return 0xC000
        path = self._folder / _file_name(str(message.command.get(Tag.AFFECTED_SOP_INSTANCE, "")))
        try:
            message.sink.close()
            part = path.with_name(f"{path.name}.part")
            part.replace(path)
            self._received(path)
        except LimitExceeded:
            return 0xA700
        except DataError:
            return 0xC000
        except (OSError, HilumError):
            return 0xA700
        return 0
