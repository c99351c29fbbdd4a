"""Streaming parser of multipart/related bodies (RFC 2046 section 5.1, RFC 2387)."""

from typing import Literal, TypeAlias, final

from typing_extensions import Buffer

__all__ = ["MultipartParser", "parse_content_type"]

_Event: TypeAlias = (
    tuple[Literal["headers"], dict[str, str]] | tuple[Literal["data"], memoryview] | tuple[Literal["end"], None]
)
"""What ``feed`` gives, in the order of the body: for each part ``headers`` (names lower case, values unfolded; empty for
a part without headers), any number of ``data``, ``end``."""

def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into media type (lower case) and parameters.

    Names are in lower case, quotes are removed, unknown parameters kept, of equal names the first counts. Nothing is an
    error: what cannot be read is left out.
    """

@final
class MultipartParser:
    """Cut a multipart body into parts while it arrives.

    The events are the same however the body is cut into chunks, but for where the data is cut; an error that comes after
    events of the same chunk is raised by the next call. Time is linear in the length of the body; what is kept between chunks is below ``max_header_bytes`` plus 2 kB.

    Parameters
    ----------
    boundary : bytes
        The ``boundary`` parameter of Content-Type, 1 to 256 bytes; a pair of quotes around it is removed.
    max_header_bytes : int
        Largest size of the headers of one part, in bytes.

    Raises
    ------
    UsageError
        The boundary is empty, too long or has a line end in it.
    """

    def __init__(self, boundary: bytes, *, max_header_bytes: int = 16384) -> None: ...
    @property
    def boundary(self) -> bytes:
        """The boundary without quotes."""

    @property
    def finished(self) -> bool:
        """Whether the closing boundary has been seen. What follows it is ignored."""

    def feed(self, chunk: Buffer) -> list[_Event]:
        """Events of the next bytes of the body.

        Parameters
        ----------
        chunk : bytes-like
            C-contiguous, any length. ``data`` are views into it, so it must not be changed while they are in use.

        Raises
        ------
        DataError
            A header line without a name and a colon.
        LimitExceeded
            Headers longer than ``max_header_bytes``.
        UsageError
            An earlier call has failed.
        """

    def finish(self) -> None:
        """Tell that the body has ended.

        Raises
        ------
        DataError
            The closing boundary is missing: the body was cut short, or the boundary is wrong.
        """
