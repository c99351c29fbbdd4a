"""What write transactions that only added instances leave to the next one, so that it need not be read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hilum.index.records import Patient, Series, Study

__all__ = ["MOST", "Remembered"]

MOST = 256
"""Series above which what earlier transactions have left is forgotten, and of one transaction all of it."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """State of the index after a transaction, as far as it is known; used once, by the next transaction or never."""

    number: int
    """Of the transaction. Only the one with the following number may use this: then nobody has written in between."""
    next_id: int
    next_event: int
    latest_ns: int
    studies: dict[str, Study]
    serieses: dict[tuple[str, str], Series]
    """By the UIDs of study and series."""
    patients: dict[int, Patient]
    packs: dict[int, tuple[int, ...]]
    """Fields of ``PACK`` by the number of the pack."""
    counters: dict[bytes, tuple[int, int, int, int]] = field(default_factory=dict)
    """Fields of ``COUNTER`` by their key, of those that short transactions have added to."""
