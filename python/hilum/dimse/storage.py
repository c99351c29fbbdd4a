"""C-STORE as SCP (PS3.4 B).

The bytes of the data set as they came, behind a file meta information of ours, into the archive.

The status is truthful: 0x0000 only when the object is durable in a pack and found by the next query.
"""

from __future__ import annotations

import io
import logging
import struct
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from pydicom.dataset import Dataset

from hilum import errors
from hilum.archive.ingest import StoreStatus, data_set_offset
from hilum.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pynetdicom.events import Event

    from hilum.archive.incoming import Spool
    from hilum.archive.ingest import StoreResult

__all__ = [
    "DIMSE_STATUS",
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "STORE_STATUS",
    "StoreHandler",
    "StoreSpool",
    "dimse_status",
    "part10_prefix",
]

LOGGER = logging.getLogger("hilum.dimse")

_CLASS, _INSTANCE = "00080016", "00080018"

DIMSE_STATUS: Final[dict[type[errors.HilumError], int]] = {
    errors.DataError: 0xC000,  # Error: cannot understand
    errors.UsageError: 0xC000,
    errors.LimitExceeded: 0xA700,  # Refused: out of resources
    errors.Unavailable: 0xA700,
    errors.Conflict: 0x0111,  # Duplicate SOP instance
    errors.Denied: 0x0124,  # Refused: not authorised
    errors.NotFound: 0x0112,
}
"""C-STORE status by class of error (PS3.4 Table B.2-1, PS3.7 Annex C): the one table."""
SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
MISMATCH: Final = 0xA900  # Error: data set does not match SOP class
KEPT_AS_VERSION: Final = 0xB000  # Warning

STORE_STATUS: Final[dict[int, str]] = {
    SUCCESS: "durable and found by the next query; also for an identical object that is already stored",
    PROCESSING_FAILURE: "an error of ours; nothing was stored",
    0x0124: "C-STORE is not allowed for this AE title (`dimse.peers`)",
    0xA700: "disk full, read-only, larger than `ingest.max_object_bytes`, or too many objects waiting",
    MISMATCH: "the data set's SOP Class or Instance UID is not the command's",
    KEPT_AS_VERSION: "same SOP Instance UID with other bytes: kept beside the current object (policy `never`)",
    0xC000: "truncated or malformed data set, UIDs missing or invalid",
}
"""C-STORE statuses (PS3.4 Table B.2-1) as the conformance statement has them."""


def dimse_status(error: BaseException) -> int:
    """C-STORE status for an error; processing failure for one that is not of our tree."""
    if isinstance(error, _Mismatch):
        return MISMATCH
    for kind in type(error).__mro__:
        if kind in DIMSE_STATUS:
            return DIMSE_STATUS[kind]
    return PROCESSING_FAILURE


def _element(group_element: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return struct.pack("<HH2sHI", *group_element, vr, 0, len(value)) + value
    if len(value) & 1:
        value += b" " if vr == b"SH" else b"\0"
    return struct.pack("<HH2sH", *group_element, vr, len(value)) + value


def part10_prefix(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1) to stand before a data set that came by C-STORE.

    Depends on the three UIDs alone, so an instance that is sent twice is recognised by its bytes.
    """
    meta = b"".join(
        (
            _element((2, 1), b"OB", b"\0\1"),
            _element((2, 2), b"UI", sop_class_uid.encode("ascii", "replace")),
            _element((2, 3), b"UI", sop_instance_uid.encode("ascii", "replace")),
            _element((2, 0x10), b"UI", transfer_syntax_uid.encode("ascii", "replace")),
            _element((2, 0x12), b"UI", IMPLEMENTATION_CLASS_UID.encode()),
            _element((2, 0x13), b"SH", IMPLEMENTATION_VERSION_NAME.encode()),
        )
    )
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    return b"\0" * 128 + b"DICM" + length + meta


class StoreSpool(io.BytesIO):
    """Data set of one C-STORE request while it arrives, in a spool of the archive, behind its file meta information.

    It is a `io.BytesIO` because pynetdicom checks for one; only what is defined here is meaningful.

    Parameters
    ----------
    spool : Spool
        Where the bytes go.
    prefix : callable
        Gives what stands before the first byte; called when that byte arrives.
    """

    def __init__(self, spool: Spool, prefix: Callable[[], bytes]) -> None:
        super().__init__()
        self._prefix = prefix
        self.spool = spool
        self.error: errors.HilumError | None = None

    def write(self, data: Any, /) -> int:
        """Take the next bytes; after a failure they are dropped, the failure is kept in `error` for the answer."""
        if self.error is None:
            try:
                if not self.spool.size:
                    self.spool.write(self._prefix())
                self.spool.write(data)
            except errors.HilumError as error:
                self.error = error
                self.spool.discard()
        return len(data)

    def getvalue(self) -> bytes:
        """Nothing: pynetdicom asks for it to log."""
        return b""

    def data_set(self, most: int) -> bytes:
        """Give the data set without what stands before it, for messages that are no objects; then let go of it.

        Raises
        ------
        LimitExceeded
            It is longer than `most` bytes.
        """
        try:
            if self.error is not None:
                raise self.error
            if self.spool.size > most:
                raise errors.LimitExceeded(f"the data set is longer than {most} bytes")
            pieces = self.spool.pieces()
            data = self.spool.path.read_bytes() if self.spool.path is not None else b"".join(pieces)
            return data[data_set_offset(data) :]
        finally:
            self.spool.discard()


class StoreHandler:
    """The handler of ``EVT_C_STORE``.

    Parameters
    ----------
    store : callable
        ``store(pieces)`` of the archive.
    store_file : callable
        The same for an object in a file, with bounded memory.
    identify : callable
        SOP Class UID and SOP Instance UID of a data set in memory or in a file.
    observe : callable
        ``observe(outcome, seconds, bytes)`` for the metrics.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Any]], StoreResult],
        store_file: Callable[[Path], StoreResult],
        observe: Callable[[str, float, int], None] = lambda _outcome, _seconds, _size: None,
    ) -> None:
        self._store = store
        self._store_file = store_file
        self._observe = observe
        self._refused: Callable[[str, str, str], None] = lambda *_: None
        self._may: Callable[[str, str], bool] = lambda *_: True

    def watch(self, refused: Callable[[str, str, str], None], may: Callable[[str, str], bool]) -> None:
        """Ask ``may(title, "store")`` of each sender, and tell ``refused(title, address, reason)`` what was refused."""
        self._refused, self._may = refused, may

    def __call__(self, event: Event) -> Dataset | int:
        """Store the object of a request and give the status for its sender."""
        data = self._data_set(event)
        started = perf_counter()
        size = data.spool.size if isinstance(data, StoreSpool) else 0
        try:
            result = self._take(event, data)
        except errors.HilumError as error:
            LOGGER.warning("C-STORE refused: %s: %s", type(error).__name__, error)
            self._refused(*_peer(event), str(error))
            self._observe(f"refused {type(error).__name__.strip('_')}", perf_counter() - started, size)
            return _answer(dimse_status(error), str(error))
        except Exception as error:
            LOGGER.error("C-STORE failed: %s", type(error).__name__)
            self._refused(*_peer(event), f"processing failure ({type(error).__name__})")
            self._observe(f"failed {type(error).__name__}", perf_counter() - started, size)
            return _answer(PROCESSING_FAILURE, "processing failure")
        finally:
            if isinstance(data, StoreSpool):
                data.spool.discard()
        self._observe(result.status.value, perf_counter() - started, size)
        return _success(result)

    @staticmethod
    def _data_set(event: Event) -> Any:
        return getattr(event.request, "DataSet", None)

    def _take(self, event: Event, data: Any) -> StoreResult:
        if not self._may(_peer(event)[0], "store"):
            raise errors.Denied("C-STORE is not allowed for this AE title")
        if data is None:
            raise errors.DataError("the request has no data set")
        request: Any = event.request
        if not isinstance(data, StoreSpool):
            syntax = event.context.transfer_syntax
            prefix = part10_prefix(request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, syntax)
            return self._store([prefix, data.getvalue()])
        if data.error is not None:
            raise data.error
        if not data.spool.size:
            raise errors.DataError("the request has an empty data set")
        _check_identity(data.spool, request)
        pieces = data.spool.pieces()
        if data.spool.path is not None:
            return self._store_file(data.spool.path)
        return self._store(pieces)


def _peer(event: Event) -> tuple[str, str]:
    """AE title and address of the sender."""
    requestor = getattr(getattr(event, "assoc", None), "requestor", None)
    return str(getattr(requestor, "ae_title", "") or "").strip(), str(getattr(requestor, "address", "") or "")


class _Mismatch(errors.DataError):
    """The data set is of another class or instance than the command says."""


def _check_identity(spool: Spool, request: Any) -> None:
    """Compare the UIDs of the command with those of the data set (PS3.4 B.2.3: A900)."""
    expected = {_CLASS: request.AffectedSOPClassUID, _INSTANCE: request.AffectedSOPInstanceUID}
    found = spool.peek(list(expected))
    for tag, uid in expected.items():
        if found.get(tag, "").strip(" \0") not in ("", str(uid).strip(" \0")):
            raise _Mismatch("data set does not match the UIDs of the command")


def _success(result: StoreResult) -> Dataset | int:
    if result.status is StoreStatus.CONFLICT_KEPT:
        return _answer(KEPT_AS_VERSION, "kept beside the stored instance of that UID")
    return SUCCESS


def _answer(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment.encode("ascii", "replace").decode()[:64]
    return answer
