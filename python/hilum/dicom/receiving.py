"""DIMSE messages as the core receives them: bytes of an association in, whole messages and scanned objects out.

The engine does the work (``core/include/hilum/dimse/receiver.hpp``, PS3.8 9.3 and PS3.7 6.3); this module gives it
names, types and documentation. `Receiver` is fed with bytes; `Stream` reads them from a socket's descriptor itself,
without the GIL, the bytes of objects straight to where they stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hilum import _core
from hilum._core import DimseMessage as Message
from hilum._core import DimseReceiver as Receiver
from hilum._core import DimseStream as Stream
from hilum._core import MemoryBudget, ObjectBuffer, ReceivedObject
from hilum.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BAD_PDU",
    "MemoryBudget",
    "Message",
    "ObjectBuffer",
    "ReceivedObject",
    "Receiver",
    "ReceiverSettings",
    "Stream",
    "part10_prefix",
    "receiver",
]

BAD_PDU: Final = 17
"""Code of the `DataError` for which an association is aborted; its ``reason`` is that of the A-ABORT."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """What the messages of one association may take."""

    budget: MemoryBudget
    """Memory of all arriving objects of this process; beyond it objects go to files."""
    folder: str = ""
    """Where files of arriving objects are made; empty: large objects are refused."""
    max_pdu_bytes: int = 0
    """Longest P-DATA-TF PDU behind its header; 0: 2 GiB."""
    max_data_set_bytes: int = 16 << 20
    """Longest data set of a message that brings no object."""
    spool_above_bytes: int = 8 << 20
    """Larger objects go to a file."""
    max_object_bytes: int = 64 << 30
    """Larger objects are refused."""


def receiver(settings: ReceiverSettings, contexts: Mapping[int, str]) -> Receiver:
    """Begin to receive on an association.

    Parameters
    ----------
    settings : ReceiverSettings
    contexts : mapping of int to str
        Transfer syntax UID of each accepted presentation context.

    Returns
    -------
    Receiver
        ``feed(data)`` gives how many bytes were used and what has happened: ``""`` (all were used), ``"message"`` (see
        ``take()``), ``"release_request"``, ``"release_response"`` or ``"abort"``. It raises a `DataError` with the code
        `BAD_PDU` and ``reason`` (PS3.8 Table 9-26) where the peer has to be aborted; nothing of the message that was
        arriving is left then.
    """
    return Receiver(
        settings.budget,
        dict(contexts),
        settings.max_pdu_bytes,
        settings.max_data_set_bytes,
        settings.folder,
        settings.spool_above_bytes,
        settings.max_object_bytes,
        IMPLEMENTATION_CLASS_UID,
        IMPLEMENTATION_VERSION_NAME,
    )


def part10_prefix(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1) to stand before a data set that came by C-STORE.

    Depends on the three UIDs alone, so an instance that is sent twice is recognised by its bytes.
    """
    return _core.part10_prefix(
        sop_class_uid, sop_instance_uid, transfer_syntax_uid, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
    )
