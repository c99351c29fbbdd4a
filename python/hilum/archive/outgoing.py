"""Data sets as they go to a peer: the stored bytes, or written again where the peer did not take their syntax."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from hilum.archive import transcode
from hilum.archive.ingest import data_set_offset
from hilum.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from hilum.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.archive.retrieve import Retriever
    from hilum.index.base import InstanceRecord

__all__ = ["Outgoing", "data_set", "offered"]

_WHOLE: Final = 4 << 20
_CHUNK: Final = 1 << 20
_META: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A data set without preamble and file meta information."""

    transfer_syntax_uid: str
    pieces: Iterator[Any]


def offered(record: InstanceRecord) -> tuple[str, ...]:
    """Transfer syntaxes in which the object can be given, the stored one first."""
    own = record.transfer_syntax_uid
    if not transcode.can_transcode(record):
        return (own,)
    others = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    return (own, *(uid for uid in others if uid != own))


def data_set(retrieve: Retriever, record: InstanceRecord, transfer_syntax_uid: str) -> Outgoing:
    """Give the data set of an object in one of the syntaxes of `offered`.

    Raises
    ------
    DataError
        The stored bytes are damaged, or it cannot be given in this syntax.
    NotFound
        It was deleted meanwhile.
    """
    if transfer_syntax_uid == record.transfer_syntax_uid:
        return Outgoing(transfer_syntax_uid, _stored(retrieve, record))
    if transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return Outgoing(transfer_syntax_uid, _without_meta(transcode.transcode(retrieve, record).pieces))
    if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN:
        return Outgoing(transfer_syntax_uid, _implicit(retrieve, record))
    raise DataError("the object cannot be given in the transfer syntax that the peer takes")


def _stored(retrieve: Retriever, record: InstanceRecord) -> Iterator[Any]:
    size = retrieve.size(record)
    if size <= _WHOLE:
        data = retrieve.read(record)
        return iter((memoryview(data)[data_set_offset(data) :],))
    start = data_set_offset(retrieve.read(record, 0, _META))
    return retrieve.stream(record, start, size - start, _CHUNK)


def _without_meta(pieces: Iterator[bytes]) -> Iterator[Any]:
    head = next(pieces)
    return chain((memoryview(head)[data_set_offset(head) :],), pieces)


def _implicit(retrieve: Retriever, record: InstanceRecord) -> Iterator[Any]:
    """Through explicit VR: the header is written again, the pixels pass through."""
    pieces = transcode.transcode(retrieve, record).pieces
    head = next(pieces)
    pixels = retrieve.pixels(record)
    if pixels is None or not retrieve.frame_count(record):
        return iter((_rewritten(head),))
    count = int.from_bytes(head[-4:], "little")
    start = _rewritten(head[:-12]) + head[-12:-8] + head[-4:]

    def rest() -> Iterator[Any]:
        left = count
        trailer = b""
        for piece in pieces:
            if left:
                yield memoryview(piece)[:left]
                trailer += bytes(memoryview(piece)[left:])
                left -= min(left, len(piece))
            else:
                trailer += piece
        if trailer:
            yield _rewritten_elements(trailer)

    return chain((start,), rest())


def _rewritten(explicit: bytes) -> bytes:
    return _rewritten_elements(explicit[data_set_offset(explicit) :])


def _rewritten_elements(explicit: bytes) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_dataset

    try:
        elements = read_dataset(BytesIO(explicit), is_implicit_VR=False, is_little_endian=True)
        out = DicomBytesIO()
        out.is_little_endian, out.is_implicit_VR = True, True
        write_dataset(out, elements)
    except Exception as error:  # pydicom raises of every kind, with values in its messages
        raise DataError(f"the header cannot be written in implicit VR ({type(error).__name__})") from None
    return bytes(out.getvalue())
