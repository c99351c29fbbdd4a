"""The one table from error class to HTTP status, and to the failure reasons of STOW-RS (PS3.18 10.5.3)."""

from __future__ import annotations

from typing import Final

from hilum import errors

__all__ = ["FAILURE_REASON", "HTTP_STATUS", "RETRY_AFTER_S", "failure_reason", "http_status", "needs_retry_after"]

HTTP_STATUS: Final[dict[type[errors.HilumError], int]] = {
    errors.UsageError: 400,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.NotAVolume: 409,
    errors.LimitExceeded: 413,
    errors.DataError: 422,
    errors.Unavailable: 503,
}
"""Status of an answer whose request ended in that class; anything else is a fault of ours: 500."""

FAILURE_REASON: Final[dict[type[errors.HilumError], int]] = {
    errors.DataError: 0xC000,  # Error: Cannot understand
    errors.UsageError: 0xC000,
    errors.LimitExceeded: 0xA700,  # Refused: out of resources
    errors.Unavailable: 0xA700,
    errors.Conflict: 0x0111,  # Duplicate SOP instance
    errors.Denied: 0x0124,  # Refused: not authorised
    errors.NotFound: 0x0112,
}
"""Failure Reason (0008,1197) of PS3.18 Table I.2-2 and PS3.7 Annex C for an instance that could not be stored."""

PROCESSING_FAILURE: Final = 0x0110
RETRY_AFTER_S: Final = 2


def _lookup(table: dict[type[errors.HilumError], int], error: BaseException, default: int) -> int:
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return default


def http_status(error: BaseException) -> int:
    """HTTP status for an error, 500 for one that is not of our tree."""
    return _lookup(HTTP_STATUS, error, 500)


def failure_reason(error: BaseException) -> int:
    """Failure Reason for an instance that could not be stored."""
    return _lookup(FAILURE_REASON, error, PROCESSING_FAILURE)


def needs_retry_after(status: int) -> bool:
    """Whether an answer of that status tells the client when to come back."""
    return status in (429, 503, 507)
