"""The one error tree of hilum.

::

    HilumError
    ├── DataError        bytes that cannot be right (a malformed file, code stream, record)
    ├── UsageError       the caller's mistake (also a ValueError)
    ├── NotFound         no such object, file or archive
    │   └── Gone         it was there and has been deleted
    ├── Conflict         the same UID with other content, or a state that forbids the request
    │   └── NotAVolume   frames that make no regular grid: scouts, too few, without geometry
    ├── Denied           not allowed for this caller
    ├── LimitExceeded    above a documented limit
    └── Unavailable      the environment: disk full, read-only, I/O error, too busy

Messages name tags, offsets and files, never values of patients. DIMSE and HTTP statuses are derived from the class,
once each.
"""

from __future__ import annotations

__all__ = [
    "Conflict",
    "DataError",
    "Denied",
    "Gone",
    "HilumError",
    "LimitExceeded",
    "NotAVolume",
    "NotFound",
    "Unavailable",
    "UsageError",
]


class HilumError(Exception):
    """Base of every error that hilum raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, for the person who has to act on it.
    code : int
        ``hilum::Errc`` of the core, 0 where the error was found in Python. Never renumbered.
    offset : int or None
        Byte offset in the input at which it was found.

    Attributes
    ----------
    frame : int or None
        Which of the frames of a request for several, by its position in the request.
    """

    frame: int | None = None

    def __init__(self, message: str, *, code: int = 0, offset: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.offset = offset


class DataError(HilumError):
    """Bytes that cannot be right."""


class UsageError(HilumError, ValueError):
    """The caller's mistake."""


class NotFound(HilumError, LookupError):
    """No such object, file or archive."""


class Gone(NotFound):
    """It was there and has been deleted."""


class Conflict(HilumError):
    """The same UID with other content, or a state that forbids the request."""


class NotAVolume(Conflict):
    """The frames make no volume: scouts, too few, of different sizes, without or with impossible geometry."""


class Denied(HilumError):
    """Not allowed for this caller."""


class LimitExceeded(HilumError):
    """Above a documented limit."""


class Unavailable(HilumError):
    """Disk full, read-only, I/O error or too busy; may succeed later."""
