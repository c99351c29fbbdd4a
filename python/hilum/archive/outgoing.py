"""Data sets as they go to a peer: the stored bytes, or transcoded where the peer did not take their syntax."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from hilum.archive import transcode
from hilum.archive.ingest import data_set_offset
from hilum.codecs.encode import (
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    EncodeOptions,
)
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord

__all__ = ["TARGETS", "Outgoing", "data_set", "offered"]

_WHOLE: Final = 4 << 20
_CHUNK: Final = 1 << 20
_META: Final = 1 << 16
_LOSSLESS: Final = EncodeOptions(near=0, ratio=0.0, step=0.0)
TARGETS: Final = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.201",  # HTJ2K
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.4.81",  # those from here on may lose something, and do not here
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
)
"""Transfer syntaxes that objects are given in when a peer does not take theirs, the first that it takes; all exact."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A data set without preamble and file meta information."""

    transfer_syntax_uid: str
    pieces: Iterable[Any]
    """A tuple of one when it is read and verified as a whole; else errors may come between the pieces."""


def offered(record: InstanceRecord, taken: Collection[str], preferred: Sequence[str] = ()) -> list[str]:
    """Transfer syntaxes in which an object can be given to a peer, the best first.

    Parameters
    ----------
    record : InstanceRecord
    taken : collection of str
        What the peer takes for the object's SOP class.
    preferred : sequence of str
        What it takes best, after the stored one: the others follow.

    Returns
    -------
    list of str
        Never one that would lose something.
    """
    own = record.transfer_syntax_uid
    ranked = [uid for uid in preferred if uid in TARGETS] + [uid for uid in TARGETS if uid not in preferred]
    others = [uid for uid in ranked if uid != own and uid in taken and transcode.can_transcode(record, uid)]
    return [own, *others] if own in taken else others


def data_set(retrieve: Retriever, record: InstanceRecord, transfer_syntax_uid: str) -> Outgoing:
    """Give the data set of an object in one of the syntaxes of `offered`; its frames are equal, its UID stays.

    Raises
    ------
    DataError
        The stored bytes are damaged, or it cannot be given in this syntax.
    NotFound
        It was deleted meanwhile.
    """
    if transfer_syntax_uid == record.transfer_syntax_uid:
        return Outgoing(transfer_syntax_uid, _stored(retrieve, record))
    if transfer_syntax_uid not in TARGETS:
        raise DataError("the object cannot be given in the transfer syntax that the peer takes")
    made = transcode.transcode(retrieve, record, transfer_syntax_uid, _LOSSLESS)
    return Outgoing(transfer_syntax_uid, _without_meta(made.pieces))


def _stored(retrieve: Retriever, record: InstanceRecord) -> Iterable[Any]:
    size = retrieve.size(record)
    if size <= _WHOLE:
        data = retrieve.read(record)
        return (memoryview(data)[data_set_offset(data) :],)
    start = data_set_offset(retrieve.read(record, 0, _META))
    return retrieve.stream(record, start, size - start, _CHUNK)


def _without_meta(pieces: Iterator[bytes]) -> Iterator[Any]:
    head = next(pieces)
    rest = memoryview(head)[data_set_offset(head) :]
    return chain((rest,), pieces) if rest else pieces
