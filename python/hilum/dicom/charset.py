"""Text of every character set of PS3.3 C.12.1.1.2 as ``str``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hilum import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["decode_text"]


def decode_text(
    raw: Buffer,
    character_set: str | Sequence[str] = "",
    kind: Literal["values", "text", "person_name"] = "values",
) -> tuple[str, bool]:
    r"""Decode the value of a text element.

    Nothing is trimmed or split. A backslash in the answer always separates values unless ``kind`` is ``"text"``.

    Parameters
    ----------
    raw : bytes-like
        The element's value as stored.
    character_set : str or sequence of str
        Specific Character Set (0008,0005): its terms, or one string with backslash between them. Misspelt terms
        (``ISO-IR 100``) are understood.
    kind : {"values", "text", "person_name"}
        Which bytes end a code extension (PS3.5 6.1.2.5.3): ``"values"`` for SH, LO, UC and all VRs of the default
        repertoire, ``"text"`` for ST, LT, UT, ``"person_name"`` for PN.

    Returns
    -------
    text : str
        Always valid; bytes that mean nothing are U+FFFD. Bytes above 7F without a set for them (also: an unknown
        term) are UTF-8 if the whole value is, else Latin-1.
    clean : bool
        False when something was replaced, or a term was unknown or ignored.
    """
    terms = character_set if isinstance(character_set, str) else "\\".join(character_set)
    return _core.decode_text(raw, terms, kind)
