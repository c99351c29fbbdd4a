"""What programs ask of other DICOM nodes: C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET as SCU.

Examples
--------
>>> from hilum.dimse.client import Remote, echo, find  # doctest: +SKIP
>>> pacs = Remote("10.0.0.5", 104, called="PACS")  # doctest: +SKIP
>>> echo(pacs)  # doctest: +SKIP
0.012
>>> for study in find(pacs, "study", {"PatientID": "4711", "StudyInstanceUID": ""}):  # doctest: +SKIP
...     print(study["StudyInstanceUID"])
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from hilum.dicom.scan import scan_file
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.dimse.association import Association, Message, Proposal
from hilum.dimse.identifier import CHARACTER_SET, UTF_8, Element, encode, parse, text_of
from hilum.dimse.messages import NO_DATA_SET, Field, Tag, response_to
from hilum.dimse.models import LEVEL_NAMES, UNIQUE_KEYS
from hilum.dimse.storage import part10_prefix
from hilum.errors import DataError, HilumError, LimitExceeded, Unavailable, UsageError
from hilum.index.schema import keyword_of, resolve_tag, vr_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hilum.types import Level

__all__ = ["Counts", "Remote", "StoreOutcome", "echo", "find", "get", "move", "store"]

Root = Literal["patient", "study"]
_ROOTS: Final = {"patient": "1.2.840.10008.5.1.4.1.2.1", "study": "1.2.840.10008.5.1.4.1.2.2"}
_VERIFICATION: Final = "1.2.840.10008.1.1"
_PLAIN: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
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
_BATCH: Final = 32
_BAD_NAME: Final = re.compile(r"[^0-9A-Za-z.]")


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
    """For C-GET from peers that want SCU and SCP proposed for storage classes, as Siemens syngo; others want SCP alone."""

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
        )


@dataclass(slots=True)
class Counts:
    """Sub-operations of a C-MOVE or C-GET, as the peer counts them."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0
    status: int = 0xFF00
    failed_uids: list[str] = field(default_factory=list)

    def take(self, message: Message) -> None:
        """Read a response."""
        command = message.command
        self.status = message.status
        self.remaining = int(command.get(Tag.REMAINING, 0))
        self.completed = int(command.get(Tag.COMPLETED, self.completed))
        self.failed = int(command.get(Tag.FAILED, self.failed))
        self.warning = int(command.get(Tag.WARNING, self.warning))
        if message.data:
            listed = text_of(parse(message.data, message.context.transfer_syntax), 0x00080058) or ""
            self.failed_uids = [uid for uid in listed.split("\\") if uid]


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one file."""

    path: Path
    sop_instance_uid: str
    size: int
    status: int
    """Of the C-STORE response; -1 when there was none."""
    error: str = ""
    """Why it was not sent; without values of patients."""

    @property
    def ok(self) -> bool:
        """Stored, with or without a warning."""
        return self.status == 0 or self.status >> 12 == 0xB


def echo(remote: Remote) -> float:
    """C-ECHO; the seconds that its answer took.

    Raises
    ------
    Unavailable, Denied
        There is no association, or the answer is no success.
    """
    with remote.associate([Proposal(_VERIFICATION, _PLAIN[::-1])]) as association:
        context = _context(association, _VERIFICATION)
        started = time.perf_counter()
        _, answer = association.request(
            context, {Tag.COMMAND_FIELD: Field.C_ECHO, Tag.AFFECTED_SOP_CLASS: _VERIFICATION}
        )
        if answer.status != 0:
            raise Unavailable(f"{association.where}: C-ECHO answered with status {answer.status:04X}")
        return time.perf_counter() - started


def find(
    remote: Remote,
    level: Level,
    keys: Mapping[str, str],
    *,
    root: Root = "study",
    limit: int = 0,
) -> Iterator[dict[str, Any]]:
    """C-FIND; yields answers as they come.

    Parameters
    ----------
    remote : Remote
    level : {"patient", "study", "series", "instance"}
    keys : mapping of str to str
        Keyword or tag to value; empty to have it returned. Items as ``RequestAttributesSequence.RequestedProcedureID``.
    root : {"study", "patient"}
        Information model.
    limit : int
        After so many answers C-CANCEL is sent; 0: all.

    Yields
    ------
    dict
        Keyword to text; sequences to a list of such dicts.

    Raises
    ------
    Unavailable
        The peer refuses the query, with its status and comment, or is gone.
    """
    model = f"{_ROOTS[root]}.1"
    identifier = _identifier(level, keys)
    with remote.associate([Proposal(model, _PLAIN, extended=b"\1\1")]) as association:
        context = _context(association, model)
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.C_FIND,
            Tag.AFFECTED_SOP_CLASS: model,
            Tag.PRIORITY: 0,
        }
        number, message = association.request(context, command, (encode(identifier, context.transfer_syntax, UTF_8),))
        count = 0
        while message.status in (0xFF00, 0xFF01):
            if not limit or count < limit:
                count += 1
                yield _by_keyword(parse(message.data, message.context.transfer_syntax))
                if count == limit:
                    association.cancel(context, number)
            message = association.receive()
        if message.status not in (0, 0xFE00):
            raise _refused(association, "C-FIND", message)


def move(
    remote: Remote,
    destination: str,
    level: Level,
    keys: Mapping[str, str],
    *,
    root: Root = "study",
    progress: Callable[[Counts], None] = lambda _counts: None,
    stop: threading.Event | None = None,
) -> Counts:
    """C-MOVE: let the peer send to `destination`.

    Parameters
    ----------
    remote : Remote
    destination : str
        AE title that the peer knows.
    level, keys, root
        As of `find`; keys are the unique keys, several values with backslash.
    progress : callable
        Called at each pending response.
    stop : threading.Event, optional
        When it is set, C-CANCEL is sent.

    Returns
    -------
    Counts
        Of the final response; a status that is no success is not raised.
    """
    model = f"{_ROOTS[root]}.2"
    command: dict[int, int | str] = {
        Tag.COMMAND_FIELD: Field.C_MOVE,
        Tag.AFFECTED_SOP_CLASS: model,
        Tag.PRIORITY: 0,
        Tag.MOVE_DESTINATION: destination,
    }
    counts = Counts()
    with remote.associate([Proposal(model, _PLAIN)]) as association:
        context = _context(association, model)
        data = encode(_identifier(level, keys), context.transfer_syntax, UTF_8)
        number, message = association.request(context, command, (data,))
        cancelled = False
        while True:
            counts.take(message)
            if message.status != 0xFF00:
                return counts
            progress(counts)
            if stop is not None and stop.is_set() and not cancelled:
                association.cancel(context, number)
                cancelled = True
            message = association.receive()


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
    received : callable
        Called with each complete file, in the thread that has received it.
    """
    wanted: dict[str, str] = {}
    below = {name: value for name, value in keys.items() if value}
    for answer in find(remote, "instance", {**below, "SOPInstanceUID": "", "SOPClassUID": ""}, root=root):
        uid, sop_class = str(answer.get("SOPInstanceUID", "")), str(answer.get("SOPClassUID", ""))
        if uid and not (resume and (folder / _file_name(uid)).exists()):
            wanted[uid] = sop_class
    batches: SimpleQueue[list[str]] = SimpleQueue()
    uids = list(wanted)
    for start in range(0, len(uids), _IMAGES_PER_GET):
        batches.put(uids[start : start + _IMAGES_PER_GET])
    total = Counts(remaining=len(wanted), status=0)
    lock = threading.Lock()
    problems: list[HilumError] = []

    def work() -> None:
        try:
            while not problems:
                batch = batches.get_nowait()
                classes = list(dict.fromkeys(wanted[uid] for uid in batch))
                done = _get_batch(remote, batch, classes, folder, root, received)
                with lock:
                    _add(total, done, len(batch))
                    progress(total)
        except Empty:
            pass
        except HilumError as error:
            problems.append(error)

    _in_threads(work, associations)
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
        total.status = done.status


def _get_batch(
    remote: Remote,
    uids: Sequence[str],
    classes: Sequence[str],
    folder: Path,
    root: Root,
    received: Callable[[Path], None],
) -> Counts:
    model = f"{_ROOTS[root]}.3"
    each = (127 // max(1, len(classes))) - 1
    proposals = [Proposal(model, _PLAIN)]
    for uid in classes[:63]:
        syntaxes = [*((syntax,) for syntax in _COMPRESSED[:each]), _PLAIN]
        proposals += [Proposal(uid, offered, as_scp=True, as_scu=remote.both_roles) for offered in syntaxes]
    command: dict[int, int | str] = {
        Tag.COMMAND_FIELD: Field.C_GET,
        Tag.AFFECTED_SOP_CLASS: model,
        Tag.PRIORITY: 0,
        Tag.DATA_SET_TYPE: NO_DATA_SET - 1,
    }
    counts = Counts()
    with remote.associate(proposals) as association:
        context = _context(association, model)
        identifier = _identifier("instance", {"SOPInstanceUID": "\\".join(uids)})
        command[Tag.MESSAGE_ID] = association.next_message_id()
        association.send(context, command, (encode(identifier, context.transfer_syntax, UTF_8),))
        while True:
            message = association.receive(lambda found: _open_file(folder, found))
            if message.command.get(Tag.COMMAND_FIELD) == Field.C_STORE:
                association.send(message.context, response_to(message.command, _finish(folder, message, received)))
                continue
            counts.take(message)
            if message.status != 0xFF00:
                return counts


def _file_name(uid: str) -> str:
    """Name of an instance's file; a UID that is none cannot leave the folder."""
    return f"{_BAD_NAME.sub('_', uid)[:64].strip('.') or 'unnamed'}.dcm"


def _open_file(folder: Path, message: Message) -> BinaryIO | None:
    if message.command.get(Tag.COMMAND_FIELD) != Field.C_STORE:
        return None
    uid = str(message.command.get(Tag.AFFECTED_SOP_INSTANCE, ""))
    sop_class = str(message.command.get(Tag.AFFECTED_SOP_CLASS, ""))
    try:
        file = (folder / f"{_file_name(uid)}.part").open("wb", buffering=1 << 18)
        file.write(part10_prefix(sop_class, uid, message.context.transfer_syntax))
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be written: {error.strerror}") from error
    return file


def _finish(folder: Path, message: Message, received: Callable[[Path], None]) -> int:
    """Close and name a received file; the status for its sender."""
    if message.sink is None:
        return 0xC000
    path = folder / _file_name(str(message.command.get(Tag.AFFECTED_SOP_INSTANCE, "")))
    try:
        message.sink.close()
        part = path.with_name(f"{path.name}.part")
        part.replace(path)
        received(path)
    except LimitExceeded:
        return 0xA700
    except DataError:
        return 0xC000
    except (OSError, HilumError):
        return 0xA700
    return 0


def store(
    remote: Remote,
    paths: Iterable[Path],
    *,
    associations: int = 1,
    outcome: Callable[[StoreOutcome], None] = lambda _outcome: None,
) -> int:
    """C-STORE files, in their transfer syntax and as their bytes are; gives how many were stored.

    Parameters
    ----------
    remote : Remote
    paths : iterable of Path
        Files; taken as they are needed.
    associations : int
        That many at once.
    outcome : callable
        Called with what became of each file, from the thread that has sent it; not from two at once.

    Raises
    ------
    Unavailable, Denied
        The peer cannot be reached; files that were not sent have had no outcome.
    """
    source = iter(paths)
    lock, told = threading.Lock(), threading.Lock()
    stored = [0]
    problems: list[HilumError] = []

    def tell(result: StoreOutcome) -> None:
        with told:
            stored[0] += result.ok
            outcome(result)

    def work() -> None:
        sender = _Sender(remote)
        try:
            while not problems:
                with lock:
                    batch = list(islice(source, _BATCH))
                if not batch:
                    break
                for result in sender.send(batch):
                    tell(result)
        except HilumError as error:
            problems.append(error)
        finally:
            sender.close()

    _in_threads(work, associations)
    if problems:
        raise problems[0]
    return stored[0]


def _in_threads(work: Callable[[], None], count: int) -> None:
    if count <= 1:
        work()
        return
    threads = [threading.Thread(target=work, name="hilum-scu", daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Sender:
    """Sends files on one association at a time; another one when their contexts are not there."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._association: Association | None = None
        self._proposed: dict[tuple[str, str], None] = {}

    def send(self, paths: Sequence[Path]) -> Iterator[StoreOutcome]:
        known: list[tuple[Path, Any, Any]] = []
        for path in paths:
            try:
                known.append((path, *scan_file(path, max_bytes=1 << 25)))
            except HilumError as error:
                yield StoreOutcome(path, "", 0, -1, str(error))
        needed = {(scan.sop_class_uid, scan.transfer_syntax_uid): None for _, scan, _ in known}
        for path, scan, data in known:
            yield self._send(path, scan, data, needed)

    def _send(self, path: Path, scan: Any, data: Any, needed: dict[tuple[str, str], None]) -> StoreOutcome:
        pair = (scan.sop_class_uid, scan.transfer_syntax_uid)
        size = path.stat().st_size if data is None else len(data)
        if self._association is None or not self._association.alive or pair not in self._proposed:
            self.close()
            self._proposed = dict(list({pair: None, **self._proposed, **needed}.items())[:128])
            self._association = self._remote.associate([Proposal(uid, (syntax,)) for uid, syntax in self._proposed])
        association = self._association
        context = association.context_for(pair[0], (pair[1],))
        if context is None:
            reason = f"the peer does not take {pair[0]} in {pair[1]}"
            return StoreOutcome(path, scan.sop_instance_uid, size, -1, reason)
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.C_STORE,
            Tag.PRIORITY: 0,
            Tag.AFFECTED_SOP_CLASS: scan.sop_class_uid,
            Tag.AFFECTED_SOP_INSTANCE: scan.sop_instance_uid,
        }
        try:
            pieces = (
                _file_pieces(path, scan.dataset_offset) if data is None else (memoryview(data)[scan.dataset_offset :],)
            )
            _, answer = association.request(context, command, pieces)
        except Unavailable as error:
            self.close()
            return StoreOutcome(path, scan.sop_instance_uid, size, -1, str(error))
        return StoreOutcome(path, scan.sop_instance_uid, size, answer.status, str(answer.command.get(Tag.COMMENT, "")))

    def close(self) -> None:
        if self._association is not None:
            self._association.release()
            self._association = None


def _file_pieces(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(1 << 20):
            yield piece


def _context(association: Association, abstract_syntax: str) -> Any:
    context = association.context_for(abstract_syntax)
    if context is None:
        association.abort()
        raise Unavailable(f"{association.where}: the peer does not offer this service")
    return context


def _refused(association: Association, service: str, message: Message) -> Unavailable:
    comment = str(message.command.get(Tag.COMMENT, ""))
    text = f"{association.where}: {service} ended with status {message.status:04X}"
    return Unavailable(f"{text}: {comment}" if comment else text)


def _identifier(level: Level, keys: Mapping[str, str]) -> list[Element]:
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


def _by_keyword(elements: Sequence[Element]) -> dict[str, Any]:
    return {keyword_of(e.tag): [_by_keyword(item) for item in e.items] if e.vr == "SQ" else e.text for e in elements}


@contextlib.contextmanager
def cancelling(stop: threading.Event) -> Iterator[threading.Event]:
    """Set `stop` instead of ending with KeyboardInterrupt at the first ^C."""
    import signal

    before = signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
