"""Short names of the transfer syntaxes that are written, for command lines and settings."""

from __future__ import annotations

from typing import Final

from hilum.dicom.uids import TRANSFER_SYNTAXES
from hilum.errors import UsageError

__all__ = ["SHORT_NAMES", "transfer_syntax_uid"]

SHORT_NAMES: Final = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "encapsulated": "1.2.840.10008.1.2.1.98",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big-endian": "1.2.840.10008.1.2.2",
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg-lossless": "1.2.840.10008.1.2.4.70",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-ls-near": "1.2.840.10008.1.2.4.81",
    "j2k": "1.2.840.10008.1.2.4.90",
    "j2k-lossy": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "htj2k-rpcl": "1.2.840.10008.1.2.4.202",
    "htj2k-lossy": "1.2.840.10008.1.2.4.203",
    "rle": "1.2.840.10008.1.2.5",
    "deflated-frames": "1.2.840.10008.1.2.8.1",
}


def transfer_syntax_uid(name: str) -> str:
    """Find a transfer syntax.

    Parameters
    ----------
    name : str
        A UID, a name of `SHORT_NAMES`, or the name in PS3.6 Table A-1.

    Returns
    -------
    str
        The UID.

    Raises
    ------
    UsageError
        There is no such transfer syntax.
    """
    text = name.strip()
    if text in TRANSFER_SYNTAXES:
        return text
    found = SHORT_NAMES.get(text.lower().replace("_", "-").replace(" ", "-"))
    if found is None:
        found = next((one.uid for one in TRANSFER_SYNTAXES.values() if one.name.lower() == text.lower()), None)
    if found is None:
        raise UsageError(f"no such transfer syntax; a UID or one of: {', '.join(SHORT_NAMES)}")
    return found
