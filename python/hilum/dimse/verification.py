"""C-ECHO (PS3.4 A)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pynetdicom.events import Event

__all__ = ["SUCCESS", "handle_echo"]

SUCCESS: Final = 0x0000


def handle_echo(_event: Event) -> int:
    """Answer that we are here."""
    return SUCCESS
