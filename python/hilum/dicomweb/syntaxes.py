"""In which transfer syntax each instance is answered (PS3.18 8.7.8.2): one that is accepted, and can be given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from hilum.archive.transcode import can_transcode
from hilum.codecs.encode import LOSSLESS, encoders
from hilum.dicomweb.negotiate import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    NATIVE,
    NotAcceptable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.dicomweb.negotiate import ObjectChoice
    from hilum.index.base import InstanceRecord

__all__ = ["Selection", "can_make", "select", "select_one"]

_NEVER_MADE: Final = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN})
"""Not to be used with web services (PS3.18 8.7.3)."""


@cache
def _served() -> tuple[str, ...]:
    return tuple(one.transfer_syntax_uid for one in encoders() if one.transfer_syntax_uid not in _NEVER_MADE)


def can_make(record: InstanceRecord, syntax: str) -> bool:
    """Whether an instance can be encoded in a transfer syntax for an answer."""
    return syntax in _served() and can_transcode(record, syntax, LOSSLESS)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is answered."""

    form: str
    """As `ObjectChoice.form`."""
    instances: list[tuple[InstanceRecord, str]]
    """Each with its transfer syntax, in the order of the records."""
    partial: bool
    """Some instances cannot be given in what is accepted, and are left out."""


def select(choices: Sequence[ObjectChoice], records: Sequence[InstanceRecord]) -> Selection:
    """Choose form and transfer syntaxes of an answer.

    The first form that gives all the instances, else the first that gives some. For each instance the syntax liked
    best; among equals the stored one. Of a study in a compressed syntax, what has no pixel data goes out in
    Explicit VR Little Endian, as its data set is in every compressed syntax.

    Raises
    ------
    NotAcceptable
        Nothing can be given.
    """
    best: Selection | None = None
    for form in dict.fromkeys(choice.form for choice in choices):
        accepted = [choice for choice in choices if choice.form == form]
        liked = [_syntax_for(record, accepted) for record in records]
        if any(liked):
            liked = [syntax or _without_pixels(record) for record, syntax in zip(records, liked, strict=True)]
        found = [(record, syntax) for record, syntax in zip(records, liked, strict=True) if syntax]
        if len(found) == len(records):
            return Selection(form, found, partial=False)
        if found and best is None:
            best = Selection(form, found, partial=True)
    if best is None:
        raise _not_acceptable(records[0])
    return best


def select_one(record: InstanceRecord, syntax: str) -> str:
    """UID of the transfer syntax in which one instance is given when ``syntax``, or ``*``, is asked for.

    Raises
    ------
    NotAcceptable
        It cannot be given so.
    """
    if syntax in ("*", record.transfer_syntax_uid):
        return record.transfer_syntax_uid
    if not can_make(record, syntax):
        raise _not_acceptable(record)
    return syntax


def _syntax_for(record: InstanceRecord, accepted: Sequence[ObjectChoice]) -> str:
    for _, group in groupby(accepted, key=lambda choice: choice.quality):
        equals = [choice.transfer_syntax for choice in group]
        if "*" in equals or record.transfer_syntax_uid in equals:
            return record.transfer_syntax_uid
        for syntax in equals:
            if can_make(record, syntax):
                return syntax
    return ""


def _without_pixels(record: InstanceRecord) -> str:
    if record.pixels is not None:
        return ""
    stored = record.transfer_syntax_uid
    return stored if stored == EXPLICIT_LITTLE_ENDIAN or stored not in NATIVE else EXPLICIT_LITTLE_ENDIAN


def _not_acceptable(record: InstanceRecord) -> NotAcceptable:
    made = [uid for uid in _served() if uid != record.transfer_syntax_uid and can_make(record, uid)]
    return NotAcceptable(
        f"cannot be given in that transfer syntax; stored is {record.transfer_syntax_uid} (also transfer-syntax=*), "
        f"made of it {', '.join(made) or 'nothing else'}"
    )
