"""What decodes what: the table that the core runs on, for ``hilum doctor`` and for negotiation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hilum import _core
from hilum.codecs.providers import PROVIDERS

__all__ = ["Decoder", "can_decode", "core_decodes", "cpu_features", "decoders", "libraries"]


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
    """All decoders, by transfer syntax, the preferred one first: those of the core, then packages.

    Returns
    -------
    tuple of Decoder
    """
    found = [Decoder(*fields) for fields in _core.codecs()]
    for provider in PROVIDERS:
        if provider.version is not None:
            found += [Decoder(uid, name, provider.name, provider.package) for uid, name in provider.syntaxes]
    return tuple(found)


def libraries() -> dict[str, str]:
    """Versions of the codec libraries that the core was built with, and of the packages that decode what it cannot.

    Returns
    -------
    dict
        ``"left out"`` for a library that the build did not find, ``"not installed"`` for a package.
    """
    found = dict(_core.codec_libraries())
    for provider in PROVIDERS:
        found[provider.package] = provider.version or "not installed"
    return found


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
