"""DICOM status codes of an instance that could not be stored (PS3.7 Annex C): the one table for C-STORE and STOW-RS."""

from __future__ import annotations

from typing import Final

from hilum import errors

__all__ = ["PROCESSING_FAILURE", "STORE_FAILURE", "by_class", "store_failure"]

STORE_FAILURE: Final[dict[type[errors.HilumError], int]] = {
    errors.DataError: 0xC000,  # Error: cannot understand
    errors.UsageError: 0xC000,
    errors.LimitExceeded: 0xA700,  # Refused: out of resources
    errors.Unavailable: 0xA700,
    errors.Conflict: 0x0111,  # Duplicate SOP instance
    errors.Denied: 0x0124,  # Refused: not authorised
    errors.NotFound: 0x0112,
}
"""By class of error: C-STORE status (PS3.4 Table B.2-1) and Failure Reason (0008,1197) of PS3.18 Table I.2-2."""
PROCESSING_FAILURE: Final = 0x0110


def by_class(table: dict[type[errors.HilumError], int], error: BaseException, default: int) -> int:
    """Entry of a table by class of error for an error, its class before those that it is derived from."""
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return default


def store_failure(error: BaseException) -> int:
    """Status of an instance that could not be stored; processing failure for an error that is not of our tree."""
    return by_class(STORE_FAILURE, error, PROCESSING_FAILURE)
