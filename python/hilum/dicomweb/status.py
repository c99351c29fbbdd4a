"""The one table from error class to HTTP status."""

from __future__ import annotations

from typing import Final

from hilum import errors
from hilum.dicom.status import by_class

__all__ = ["HTTP_STATUS", "RETRY_AFTER_S", "http_status", "needs_retry_after"]

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

RETRY_AFTER_S: Final = 2


def http_status(error: BaseException) -> int:
    """HTTP status for an error, 500 for one that is not of our tree."""
    return by_class(HTTP_STATUS, error, 500)


def needs_retry_after(status: int) -> bool:
    """Whether an answer of that status tells the client when to come back."""
    return status in (429, 503, 507)
