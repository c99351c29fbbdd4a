"""Query/retrieve information models (PS3.4 C.6): the one table that negotiation, services and statement run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hilum.types import Level

__all__ = ["COMMITMENT_CLASS", "COMMITMENT_INSTANCE", "LEVEL_NAMES", "MODELS", "UNIQUE_KEYS", "Model", "Service"]


@dataclass(frozen=True, slots=True)
class Model:
    """One SOP class of the query/retrieve service."""

    name: str
    service: str
    """``"find"``, ``"move"`` or ``"get"``."""
    levels: tuple[Level, ...]


Service = str

_PATIENT: Final[tuple[Level, ...]] = ("patient", "study", "series", "instance")
_ROOTS: Final[dict[str, tuple[str, tuple[Level, ...]]]] = {
    "1.2.840.10008.5.1.4.1.2.1": ("Patient Root", _PATIENT),
    "1.2.840.10008.5.1.4.1.2.2": ("Study Root", _PATIENT[1:]),
    "1.2.840.10008.5.1.4.1.2.3": ("Patient/Study Only (retired)", _PATIENT[:2]),
}

MODELS: Final[dict[str, Model]] = {
    f"{root}.{number}": Model(f"{name} {service.upper()}", service, levels)
    for root, (name, levels) in _ROOTS.items()
    for number, service in ((1, "find"), (2, "move"), (3, "get"))
}
"""SOP classes by UID."""

LEVEL_NAMES: Final[dict[str, Level]] = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
"""Values of Query/Retrieve Level (0008,0052)."""

UNIQUE_KEYS: Final[dict[Level, int]] = {
    "patient": 0x00100020,
    "study": 0x0020000D,
    "series": 0x0020000E,
    "instance": 0x00080018,
}

COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Class and its well-known instance (PS3.4 J.3)."""
