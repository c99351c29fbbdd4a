"""DICOM JSON Model (PS3.18 annex F) straight from the bytes of an object. See ``docs/reference/dicom-json.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["bulkdata", "bulkdata_bytes", "dataset_json"]


def dataset_json(
    data: Buffer,
    header_length: int | None = None,
    *,
    bulk_data_uri: str = "",
    inline_limit: int = 1024,
    wanted: Sequence[str] | None = None,
    add: bytes = b"",
) -> bytes:
    """Write one data set as an object of the DICOM JSON Model.

    Group 2 and group lengths are not in it, text is UTF-8 whatever the object's character set, members ascend.

    Parameters
    ----------
    data : bytes-like
        A Part-10 object or a bare data set, in any transfer syntax.
    header_length : int or None
        ``Scan.header_length``, bytes from the start up to the tag of the pixel data. Nothing from there on is read but
        the header of that element, if its 12 bytes are in ``data``, to name it in the answer. None: ``data`` is the
        whole object, and elements after the pixel data are written too. Ignored for deflated objects, which have to be
        whole.
    bulk_data_uri : str
        What stands before the path of every ``BulkDataURI``; a slash is put between.
    inline_limit : int
        Binary values of up to so many bytes are ``InlineBinary``, longer ones ``BulkDataURI``. Pixel data always is a
        ``BulkDataURI``; palette lookup tables of up to 64 KiB always are inline.
    wanted : sequence of str or None
        Elements of the top level that are to be written, as eight hexadecimal digits each; of a path
        (``"00400275.00400009"``) the first tag counts. None: all.
    add : bytes
        Members in JSON that are put among the others, such as
        ``b'"00083002":{"vr":"UI","Value":["1.2.840.10008.1.2.1"]}'``; they replace elements with the same tag.

    Returns
    -------
    bytes
        ``b"{...}"``, UTF-8.

    Raises
    ------
    DataError
        The bytes are no DICOM object, or end inside an element of the top level. Nested sequences that cannot be read
        are no error: they are written with VR UN.
    LimitExceeded
        The answer would be above 256 MiB.
    UsageError
        ``header_length`` is outside of the object; ``wanted`` or ``add`` are malformed.
    """
    return _core.dataset_json(
        data, header_length, bulk_data_uri=bulk_data_uri, inline_limit=inline_limit, wanted=wanted, add=add
    )


def bulkdata(data: Buffer, path: str) -> tuple[int, int] | bytes:
    """Find the value behind a ``BulkDataURI``.

    Parameters
    ----------
    data : bytes-like
        The object, at least up to the end of the element; the whole of it if deflated.
    path : str
        What ``dataset_json`` put behind ``bulk_data_uri``: tags of eight hexadecimal digits, numbers of items from 0
        between them (``"00540016/0/00181075"``).

    Returns
    -------
    tuple of (int, int) or bytes
        Offset and length in bytes of the value, which stands there little endian. Where it does not (big endian or
        deflated data sets), the value itself. Encapsulated pixel data are all items, headers included, without the
        delimiter at their end.

    Raises
    ------
    NotFound
        No such element.
    UsageError
        ``path`` is none.
    DataError
        The object cannot be read up to there.
    """
    return _core.bulkdata(data, path)


def bulkdata_bytes(data: Buffer, path: str) -> bytes:
    """Copy the value behind a ``BulkDataURI``, little endian; parameters and errors as for ``bulkdata``."""
    found = bulkdata(data, path)
    if isinstance(found, bytes):
        return found
    offset, length = found
    return bytes(memoryview(data)[offset : offset + length])
