"""What decodes what: the table that the core runs on, for ``hilum doctor`` and for negotiation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hilum import _core

__all__ = ["Decoder", "can_decode", "core_decodes", "cpu_features", "decoders"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """One decoder of one transfer syntax."""

    transfer_syntax_uid: str
    transfer_syntax_name: str
    """Short name (PS3.6 Table A-1)."""
    name: str
    """Stable name of the decoder, for settings and logs."""
    provider: str
    """Whose code it is: ``"hilum"``, or the library."""


@cache
def decoders() -> tuple[Decoder, ...]:
    """All decoders, by transfer syntax, the preferred one first.

    Returns
    -------
    tuple of Decoder
    """
    return tuple(Decoder(*fields) for fields in _core.codecs())


def cpu_features() -> dict[str, bool]:
    """Which instruction sets the kernels use here; none with ``HILUM_CPU=scalar``."""
    return _core.cpu_features()


def can_decode(transfer_syntax_uid: str) -> bool:
    """Whether frames of this transfer syntax can be decoded.

    Parameters
    ----------
    transfer_syntax_uid : str

    Returns
    -------
    bool
    """
    return any(decoder.transfer_syntax_uid == transfer_syntax_uid for decoder in decoders())


@cache
def core_decodes(transfer_syntax_uid: str) -> bool:
    """Whether the core has a decoder of its own process for it: many frames then take one call without the GIL.

    Parameters
    ----------
    transfer_syntax_uid : str

    Returns
    -------
    bool
    """
    return any(uid == transfer_syntax_uid for uid, *_ in _core.codecs())
