"""The bridge to pydicom, for building, editing and showing objects; never on a hot path."""

from __future__ import annotations

import io
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from hilum import _core
from hilum.dicom.uids import register_with_pydicom
from hilum.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset
    from typing_extensions import Buffer

__all__ = ["to_bytes", "to_dataset"]

_BAD_ELEMENT = 3  # Errc::bad_element
_NESTING = 5  # Errc::nesting_too_deep


def to_dataset(data: Buffer, *, stop_before_pixels: bool = False, keywords: Sequence[str] | None = None) -> Dataset:
    """Read an object as a pydicom data set.

    Parameters
    ----------
    data : bytes-like
        A Part-10 file or a bare data set, whole.
    stop_before_pixels : bool
        Leave out pixel data and what follows it.
    keywords : sequence of str, optional
        Read these attributes of the top level only, with Specific Character Set: headers of many frames are long.

    Returns
    -------
    pydicom.Dataset
        With `file_meta`, in which the transfer syntax always stands, deduced where the object does not say it. A
        deflated object is inflated first, within the limits of the core, and is explicit VR little endian then.

    Raises
    ------
    DataError, LimitExceeded
        As from `hilum.dicom.scan.scan`, but objects without UIDs are read; or pydicom cannot read it.
    """
    register_with_pydicom()
    described = _core.scan(data, False, False)
    if described.deflated:
        data = _core.inflate(data)
        described = _core.scan(data, False, False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the scan's warnings say the same, without values
            dataset = pydicom.dcmread(
                io.BytesIO(data),
                force=True,
                stop_before_pixels=stop_before_pixels,
                specific_tags=None if keywords is None else ["SpecificCharacterSet", *keywords],
            )
            if not isinstance(getattr(dataset, "file_meta", None), FileMetaDataset):
                dataset.file_meta = FileMetaDataset()
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = UID(described.transfer_syntax_uid)
    except RecursionError:
        raise DataError("sequences are nested too deeply for pydicom", code=_NESTING) from None
    except (
        InvalidDicomError, BytesLengthException, ValueError, TypeError, KeyError, EOFError, OSError, RuntimeError,
    ) as error:  # fmt: skip
        # Its messages may quote values.
        raise DataError(f"pydicom cannot read the object ({type(error).__name__})", code=_BAD_ELEMENT) from None
    return dataset


def to_bytes(dataset: Dataset) -> bytes:
    """Write a data set as a Part-10 file.

    Parameters
    ----------
    dataset : pydicom.Dataset
        With `file_meta` that names the transfer syntax; the rest of the meta is completed. Not changed.

    Raises
    ------
    UsageError
        The transfer syntax is missing, or a value cannot be written.
    """
    register_with_pydicom()
    meta = getattr(dataset, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        raise UsageError("the data set does not name its transfer syntax in file_meta")
    copy = deepcopy(dataset)  # pydicom settles ambiguous VRs in the elements that it writes
    for keyword, source in (
        ("MediaStorageSOPClassUID", "SOPClassUID"),
        ("MediaStorageSOPInstanceUID", "SOPInstanceUID"),
    ):
        if source in copy:
            setattr(copy.file_meta, keyword, getattr(copy, source))
    stream = io.BytesIO()
    try:
        pydicom.dcmwrite(stream, copy, enforce_file_format=True)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise UsageError(f"the data set cannot be written ({type(error).__name__})") from None
    return stream.getvalue()
