"""C-STORE as SCP (PS3.4 B).

The bytes of the data set as they came, behind a file meta information of ours, into the archive.

The status is truthful: 0x0000 only when the object is durable in a pack and found by the next query.
"""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydicom.dataset import Dataset

from hilum import errors
from hilum.archive.coerce import COERCED
from hilum.archive.ingest import StoreStatus
from hilum.dicom import scan as dicom
from hilum.dicom.receiving import part10_prefix
from hilum.dicom.status import PROCESSING_FAILURE, store_failure
from hilum.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from hilum.dimse.messages import Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pynetdicom.events import Event
    from typing_extensions import Buffer

    from hilum.archive.ingest import StoreResult
    from hilum.dicom.receiving import ReceivedObject
    from hilum.dicom.scan import Scan

__all__ = [
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "STORE_STATUS",
    "StoreHandler",
    "dimse_status",
    "part10_prefix",
]

LOGGER = logging.getLogger("hilum.dimse")

SUCCESS: Final = 0x0000
MISMATCH: Final = 0xA900  # Error: data set does not match SOP class
WARNING: Final = 0xB000

STORE_STATUS: Final[dict[int, str]] = {
    SUCCESS: "durable and found by the next query; also for an identical object that is already stored",
    PROCESSING_FAILURE: "an error of ours; nothing was stored",
    0x0124: "C-STORE is not allowed for this AE title (`dimse.peers`)",
    0xA700: "disk full, read-only, larger than `ingest.max_object_bytes`, or too many objects waiting",
    MISMATCH: "the data set's SOP Class or Instance UID is not the command's",
    WARNING: "attributes were coerced (`dimse.coerce`); or same SOP Instance UID with other bytes: kept beside the"
    " current object (policy `never`)",
    0xC000: "truncated or malformed data set, UIDs missing or invalid",
}
"""C-STORE statuses (PS3.4 Table B.2-1) as the conformance statement has them."""


def dimse_status(error: BaseException) -> int:
    """C-STORE status for an error; processing failure for one that is not of our tree."""
    if isinstance(error, _Mismatch):
        return MISMATCH
    return store_failure(error)


class StoreHandler:
    """Takes the objects that C-STORE brings.

    Parameters
    ----------
    archive : Archive
        Its ``store_scanned``.
    observe : callable
        ``observe(outcome, seconds, bytes)`` for the metrics.
    """

    def __init__(
        self,
        archive: Stores,
        observe: Callable[[str, float, int], None] = lambda _outcome, _seconds, _size: None,
    ) -> None:
        self._archive = archive
        self._observe = observe
        self._refused: Callable[[str, str, str], None] = lambda *_: None
        self._may: Callable[[str, str], bool] = lambda *_: True

    def watch(self, refused: Callable[[str, str, str], None], may: Callable[[str, str], bool]) -> None:
        """Ask ``may(title, "store")`` of each sender, and tell ``refused(title, address, reason)`` what was refused."""
        self._refused, self._may = refused, may

    def take(
        self, title: str, address: str, command: Mapping[int, int | str], arrived: ReceivedObject | None
    ) -> tuple[int, str]:
        """Store the object of a request from an AE title and give status and comment for its sender."""
        size = arrived.size if arrived is not None else 0
        try:
            return self._stored(title, address, size, lambda: self._store(title, command, arrived))
        finally:
            if arrived is not None:
                arrived.discard()

    def __call__(self, event: Event) -> Dataset | int:
        """Do the same as the handler of pynetdicom's ``EVT_C_STORE``."""
        request: Any = event.request
        data: bytes = request.DataSet.getvalue() if request.DataSet is not None else b""
        title, address = _peer(event)
        status, comment = self._stored(title, address, len(data), lambda: self._store_whole(title, event, data))
        if not comment:
            return status
        answer = Dataset()
        answer.Status = status
        answer.ErrorComment = comment
        return answer

    def _stored(self, title: str, address: str, size: int, store: Callable[[], StoreResult]) -> tuple[int, str]:
        started = perf_counter()
        try:
            if not self._may(title, "store"):
                raise errors.Denied("C-STORE is not allowed for this AE title")
            if not size:
                raise errors.DataError("the request has no data set, or an empty one")
            result = store()
        except errors.HilumError as error:
            LOGGER.warning("C-STORE refused: %s: %s", type(error).__name__, error)
            self._refused(title, address, str(error))
            self._observe(f"refused {type(error).__name__.strip('_')}", perf_counter() - started, size)
            return dimse_status(error), str(error).encode("ascii", "replace").decode()[:64]
        except Exception as error:
            LOGGER.error("C-STORE failed: %s", type(error).__name__)
            self._refused(title, address, f"processing failure ({type(error).__name__})")
            self._observe(f"failed {type(error).__name__}", perf_counter() - started, size)
            return PROCESSING_FAILURE, "processing failure"
        self._observe(result.status.value, perf_counter() - started, size)
        if result.status is StoreStatus.CONFLICT_KEPT:
            return WARNING, "kept beside the stored instance of that UID"
        if COERCED in result.warnings:
            return WARNING, "attributes were coerced"
        return SUCCESS, ""

    def _store(self, title: str, command: Mapping[int, int | str], arrived: ReceivedObject | None) -> StoreResult:
        error = arrived.error if arrived is not None else errors.DataError("the request has no data set")
        scan = arrived.scan if arrived is not None else None
        if error is not None or arrived is None or scan is None:
            raise error or errors.DataError("the object could not be read")
        _check_identity(
            (scan.sop_class_uid, command.get(Tag.AFFECTED_SOP_CLASS)),
            (scan.sop_instance_uid, command.get(Tag.AFFECTED_SOP_INSTANCE)),
        )
        return self._archive.store_scanned(scan, arrived.buffer or Path(arrived.path or ""), source=title)

    def _store_whole(self, title: str, event: Event, data: bytes) -> StoreResult:
        request: Any = event.request
        sop_class, instance = request.AffectedSOPClassUID, request.AffectedSOPInstanceUID
        whole = part10_prefix(str(sop_class), str(instance), str(event.context.transfer_syntax)) + data
        scan = dicom.scan(whole)
        _check_identity((scan.sop_class_uid, sop_class), (scan.sop_instance_uid, instance))
        return self._archive.store_scanned(scan, whole, source=title)


class Stores(Protocol):
    """What is needed of an archive."""

    def store_scanned(self, scan: Scan, data: Buffer | Path, *, source: str = "") -> StoreResult:
        """Store an object that was scanned; `source` is the AE title of its sender."""


def _peer(event: Event) -> tuple[str, str]:
    """AE title and address of the sender."""
    requestor = event.assoc.requestor
    return str(requestor.ae_title or "").strip(), str(requestor.address or "")


class _Mismatch(errors.DataError):
    """The data set is of another class or instance than the command says."""


def _check_identity(*pairs: tuple[str, object]) -> None:
    """Compare UIDs of the data set with those of the command (PS3.4 B.2.3: A900)."""
    for found, expected in pairs:
        if found != str(expected or "").strip(" \0"):
            raise _Mismatch("data set does not match the UIDs of the command")
