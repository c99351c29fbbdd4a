"""DIMSE messages as the core sends them: the headers of PDUs go out beside the bytes where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import _core
from hilum.errors import Unavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["send_message"]


def send_message(
    descriptor: int, context_id: int, command: bytes, data: Buffer | None, max_pdu: int, seconds: float
) -> None:
    """Send a message as P-DATA-TF PDUs (PS3.8 9.3.5) to a socket, without copying its data set and without the GIL.

    Parameters
    ----------
    descriptor : int
        Of a connected socket without TLS.
    context_id : int
        Presentation context.
    command : bytes
        Command set.
    data : buffer or None
        Data set.
    max_pdu : int
        What the peer takes (Maximum Length Received, PS3.8 D.1); 0: any length.
    seconds : float
        Longest time for all of it.

    Raises
    ------
    Unavailable
        The peer has gone, or has not taken everything in time.
    """
    sent = _core.send_message(descriptor, context_id, command, data, max_pdu, seconds)
    if sent != "all":
        raise Unavailable("the peer takes nothing" if sent == "slow" else "the peer has ended the association")
