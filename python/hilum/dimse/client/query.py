"""C-ECHO, C-FIND and C-MOVE as SCU (PS3.4 A, C)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from hilum.dimse.client.remote import (
    PLAIN,
    ROOTS,
    Counts,
    Remote,
    Root,
    by_keyword,
    context_of,
    identifier_of,
    refusal_of,
)
from hilum.dimse.identifier import UTF_8, encode, parse
from hilum.dimse.messages import Field, Tag
from hilum.dimse.proposal import Proposal
from hilum.errors import Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from hilum.types import Level

__all__ = ["Finder", "echo", "find", "move"]

VERIFICATION: Final = "1.2.840.10008.1.1"


def echo(remote: Remote) -> float:
    """C-ECHO; the seconds that its answer took.

    Raises
    ------
    Unavailable, Denied
        There is no association, or the answer is no success.
    """
    with remote.associate([Proposal(VERIFICATION, PLAIN[::-1])]) as association:
        context = context_of(association, VERIFICATION)
        started = time.perf_counter()
        _, answer = association.request(
            context, {Tag.COMMAND_FIELD: Field.C_ECHO, Tag.AFFECTED_SOP_CLASS: VERIFICATION}
        )
        if answer.status != 0:
            raise Unavailable(f"{association.where}: C-ECHO answered with status {answer.status:04X}")
        return time.perf_counter() - started


class Finder:
    """C-FIND on one association, one query after the other; a context manager.

    Parameters
    ----------
    remote : Remote
    root : {"study", "patient"}
        Information model.
    """

    def __init__(self, remote: Remote, root: Root = "study") -> None:
        self._model = f"{ROOTS[root]}.1"
        self._association = remote.associate([Proposal(self._model, PLAIN, extended=b"\1\1")])

    @property
    def alive(self) -> bool:
        """Whether the peer has not ended the association."""
        return self._association.alive

    def find(self, level: Level, keys: Mapping[str, str], *, limit: int = 0) -> Iterator[dict[str, Any]]:
        """As the function `find`; a query that is not read to its end aborts the association."""
        association, model = self._association, self._model
        context = context_of(association, model)
        data = encode(identifier_of(level, keys), context.transfer_syntax, UTF_8)
        command: dict[int, int | str] = {
            Tag.COMMAND_FIELD: Field.C_FIND,
            Tag.AFFECTED_SOP_CLASS: model,
            Tag.PRIORITY: 0,
        }
        number, message = association.request(context, command, (data,))
        count = 0
        done = False
        try:
            while message.status in (0xFF00, 0xFF01):
                if not limit or count < limit:
                    count += 1
                    yield by_keyword(parse(message.data, message.context.transfer_syntax))
                    if count == limit:
                        association.cancel(context, number)
                message = association.receive()
            done = True
        finally:
            if not done:
                association.abort()
        if message.status and not (message.status == 0xFE00 and limit):
            raise refusal_of(association, "C-FIND", message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._association.release() if kind is None else self._association.abort()


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
    Refused
        The query ends with a status that is no success; answers before it are right.
    Unavailable
        The peer is gone.
    """
    with Finder(remote, root) as finder:
        yield from finder.find(level, keys, limit=limit)


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
    model = f"{ROOTS[root]}.2"
    command: dict[int, int | str] = {
        Tag.COMMAND_FIELD: Field.C_MOVE,
        Tag.AFFECTED_SOP_CLASS: model,
        Tag.PRIORITY: 0,
        Tag.MOVE_DESTINATION: destination,
    }
    counts = Counts()
    with remote.associate([Proposal(model, PLAIN)]) as association:
        context = context_of(association, model)
        data = encode(identifier_of(level, keys), context.transfer_syntax, UTF_8)
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
