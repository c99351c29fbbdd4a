"""STOW-RS of metadata and bulk data (PS3.18 10.5.1, 8.7.3): each instance is put together and stored as a file.

All parts of the request are needed before the first object can be written, so they wait in spools: small ones in
memory, large ones in files of ``ROOT/incoming``.
"""

from __future__ import annotations

import json
import mmap
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from hilum._multipart import parse_content_type
from hilum.dicom.assemble import BulkPart, assemble
from hilum.dicomweb.routing import is_uid
from hilum.dicomweb.xml import read_native_dicom_model
from hilum.errors import DataError, LimitExceeded, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hilum.archive.incoming import Spool

__all__ = ["METADATA_TYPES", "MetadataParts", "uids_of"]

METADATA_TYPES: Final = frozenset({"application/dicom+json", "application/dicom+xml"})
_MAX_METADATA: Final = 64 << 20
_WRITE: Final = 1 << 20
_PARTS: Final = 100_000


class MetadataParts:
    """The parts of one request, in their order.

    Parameters
    ----------
    base : str
        URL of the request: what relative ``BulkDataURI`` and ``Content-Location`` are relative to.
    new_spool : callable
    """

    def __init__(self, base: str, new_spool: Callable[[], Spool]) -> None:
        self._base = base
        self._new_spool = new_spool
        self._metadata: list[tuple[str, Spool]] = []
        self._bulk: dict[str, list[tuple[str, Spool]]] = {}
        self._parts = 0

    def begin(self, headers: dict[str, str]) -> Spool:
        """Begin a part; its bytes are written to the spool."""
        self._parts += 1
        if self._parts > _PARTS:
            raise LimitExceeded(f"more than {_PARTS} parts in one request")
        content_type = headers.get("content-type", "")
        spool = self._new_spool()
        location = headers.get("content-location", "").strip()
        if parse_content_type(content_type)[0] in METADATA_TYPES and not location:
            self._metadata.append((content_type, spool))
        else:
            self._bulk.setdefault(self._absolute(location), []).append((content_type, spool))
        return spool

    def _absolute(self, uri: str) -> str:
        try:
            return urljoin(self._base, uri)
        except ValueError:  # not a URI: the same text is the same place
            return uri

    def discard(self) -> None:
        """Give back memory and files."""
        for _, spool in (*self._metadata, *(part for parts in self._bulk.values() for part in parts)):
            spool.discard()

    def data_sets(self) -> list[Any]:
        """Data sets in the DICOM JSON Model.

        Raises
        ------
        UsageError
            There are none, or they are not JSON or XML.
        """
        found: list[Any] = []
        for content_type, spool in self._metadata:
            if spool.size > _MAX_METADATA:
                raise LimitExceeded(f"the metadata are longer than {_MAX_METADATA} bytes")
            document = b"".join(spool.pieces()) if spool.path is None else _read(spool)
            if parse_content_type(content_type)[0] == "application/dicom+xml":
                found.append(read_native_dicom_model(document))
                continue
            try:
                model = json.loads(document)
            except (ValueError, RecursionError):
                raise UsageError("the metadata part is not JSON in UTF-8") from None
            found += model if isinstance(model, list) else [model]
        if not found:
            raise UsageError("the body has no part with metadata")
        return found

    def object(self, model: Any) -> Spool:
        """Put one instance together.

        Raises
        ------
        DataError
            The metadata cannot be written as a data set, or name bulk data that did not come.
        """
        with ExitStack() as stack:

            def bulk(uri: str) -> Sequence[BulkPart]:
                parts = self._bulk.get(self._absolute(uri))
                if parts is None:
                    raise DataError("a BulkDataURI is the Content-Location of no part")
                return [_bulk_part(content_type, spool, stack) for content_type, spool in parts]

            spool = self._new_spool()
            try:
                for piece in assemble(model, bulk):
                    view = memoryview(piece).cast("B")
                    for at in range(0, len(view), _WRITE):
                        spool.write(bytes(view[at : at + _WRITE]))
                    view.release()
            except BaseException:
                spool.discard()
                raise
            return spool


def uids_of(model: Any) -> tuple[str, str]:
    """SOP Class and Instance UID of a data set in the DICOM JSON Model, empty when they cannot be read."""
    values = []
    for tag in ("00080016", "00080018"):
        try:
            value = model[tag]["Value"][0]
        except (KeyError, IndexError, TypeError):
            return "", ""
        if not isinstance(value, str) or not is_uid(value):
            return "", ""
        values.append(value)
    return values[0], values[1]


def _read(spool: Spool) -> bytes:
    spool.pieces()
    assert spool.path is not None
    return spool.path.read_bytes()


def _bulk_part(content_type: str, spool: Spool, stack: ExitStack) -> BulkPart:
    media_type, parameters = parse_content_type(content_type)
    data: Any
    if spool.path is None:
        data = b"".join(spool.pieces())
    else:  # the file is ours alone: nobody cuts it while it is mapped
        spool.pieces()
        stream = stack.enter_context(spool.path.open("rb"))
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return BulkPart(media_type, parameters.get("transfer-syntax", ""), data)
