"""Attributes that are put right while an object comes in, with what they were (PS3.3 C.12.1.1.9, PS3.4 B.4.1.3).

Only top-level attributes of the header change; everything else is copied byte for byte. The values that were there go,
as the bytes that they were, into an item of the Original Attributes Sequence (0400,0561).
"""

from __future__ import annotations

import datetime
import re
import shutil
import struct
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from hilum.archive.headers import write_element
from hilum.codecs.layout import read_layout, rewrite
from hilum.errors import DataError, NotFound, Unavailable, UsageError
from hilum.index.schema import resolve_tag, vr_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from hilum.archive.archive import Archive
    from hilum.archive.ingest import StoreResult
    from hilum.dicom.scan import Scan

__all__ = [
    "COERCED",
    "MODIFYING_SYSTEM",
    "Coercing",
    "Rule",
    "coerced_header",
    "modified_at",
    "parse_rules",
    "rules_of",
]

MODIFYING_SYSTEM: Final = "HILUM"
COERCED: Final = "coerced"
"""Warning of a `StoreResult`: a rule has changed the object."""
_ORIGINAL: Final = 0x04000561
_CHARACTER_SET: Final = 0x00080005
_TEXTS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UT"})
_IN_CHARACTER_SET: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_PROTECTED: Final = frozenset({_CHARACTER_SET, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, _ORIGINAL})
_WHEN: Final = "%Y%m%d%H%M%S.%f%z"
_ACTIONS: Final = ("set", "fill", "remove", "prefix")
_RULE: Final = re.compile(r"(?P<title>\S+)\s+(?P<action>\w+)\s+(?P<name>[^=\s]+)(?:=(?P<value>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rule:
    """One change."""

    title: str
    """AE title of the senders that it is for; ``*``: all."""
    action: str
    """``set`` to a value; ``fill`` where there is none; ``remove``; ``prefix``, unless it begins so."""
    tag: int
    value: str = ""


def parse_rules(lines: Sequence[str]) -> tuple[Rule, ...]:
    """Read ``[dimse] coerce``: ``"CT1 set InstitutionName=St. Elsewhere"``, ``"* prefix PatientID=SE-"``.

    Raises
    ------
    UsageError
        Names the entry by its position and says what is wrong.
    """
    return tuple(_rule(line, f"dimse.coerce, entry {number}") for number, line in enumerate(lines, 1))


def _rule(line: str, where: str) -> Rule:
    found = _RULE.fullmatch(line.strip())
    if found is None or found["action"] not in _ACTIONS:
        raise UsageError(f"{where}: write it as 'TITLE {'|'.join(_ACTIONS)} ATTRIBUTE=VALUE', '*' for all titles")
    tag = resolve_tag(found["name"]) or 0
    vr, value, action = vr_of(tag), found["value"] or "", found["action"]
    if not tag or tag in _PROTECTED or tag >> 16 in (0x0002, 0x0028, 0x7FE0):
        raise UsageError(f"{where}: the attribute is not known, or one that must stay as it is")
    if action != "remove" and vr not in _TEXTS:
        raise UsageError(f"{where}: only attributes that hold text can be {action}")
    if (action == "remove") != (found["value"] is None) or (action in ("fill", "prefix") and not value):
        raise UsageError(f"{where}: {'remove has no value' if action == 'remove' else 'a value is missing'}")
    if vr not in _IN_CHARACTER_SET and not value.isascii():
        raise UsageError(f"{where}: the value must be ASCII")
    return Rule(found["title"], action, tag, value)


def rules_of(rules: Sequence[Rule], title: str) -> tuple[Rule, ...]:
    """Rules for the objects of a sender, in their order."""
    return tuple(rule for rule in rules if rule.title in ("*", title))


class Coercing:
    """Stores the objects of senders that have rules as the rules make them, before they are acknowledged.

    An object that is sent again is recognised: it is coerced with the time at which the stored one was, so that its
    bytes are the same.

    Parameters
    ----------
    archive : Archive
    rules : sequence of Rule
    """

    def __init__(self, archive: Archive, rules: Sequence[Rule]) -> None:
        self._archive = archive
        self._rules = rules

    def store_scanned(self, scan: Scan, data: Buffer | Path, *, source: str = "") -> StoreResult:
        """Store an object that was scanned; `source` is the AE title of its sender. A change is in the warnings.

        Raises
        ------
        DataError
            A rule cannot be applied; the object is not stored.
        """
        rules = rules_of(self._rules, source)
        header = self._header(scan, data, rules, source) if rules else None
        if header is None:
            return self._archive.store_scanned(scan, data, source=source)
        if not isinstance(data, Path):
            return _marked(self._archive.store([header, memoryview(data)[scan.header_length :]], source=source))
        made = data.with_name(f"{uuid4().hex}{data.suffix}")
        try:
            _write(made, header, data, scan.header_length)
            return _marked(self._archive.store_file(made, source=source))
        finally:
            made.unlink(missing_ok=True)

    def _header(self, scan: Scan, data: Buffer | Path, rules: Sequence[Rule], source: str) -> bytes | None:
        if isinstance(data, Path):
            with data.open("rb") as stream:
                header: Buffer = stream.read(scan.header_length)
        else:
            header = memoryview(data)[: scan.header_length]
        return coerced_header(header, scan, rules, source, self._stored_at(scan.sop_instance_uid))

    def _stored_at(self, uid: str) -> datetime.datetime | None:
        (record,) = self._archive.retrieve.lookup([uid])
        if record is None:
            return None
        try:
            return modified_at(self._archive.retrieve.read(record, 0, record.header_length))
        except (NotFound, DataError):
            return None


def _marked(result: StoreResult) -> StoreResult:
    return replace(result, warnings=(*result.warnings, COERCED))


def _write(path: Path, header: bytes, source: Path, start: int) -> None:
    try:
        with source.open("rb") as old, path.open("xb") as new:
            new.write(header)
            old.seek(start)
            shutil.copyfileobj(old, new, 1 << 20)
    except OSError as error:
        raise Unavailable(f"an arriving object cannot be written to disk: {error.strerror}") from error


def coerced_header(
    header: Buffer, scan: Scan, rules: Sequence[Rule], source: str, when: datetime.datetime | None = None
) -> bytes | None:
    """Give the first ``scan.header_length`` bytes of an object anew; None where no rule changes anything.

    Parameters
    ----------
    header : bytes-like
        These bytes.
    scan : Scan
        Of the object.
    rules : sequence of Rule
    source : str
        AE title that the values came from (0400,0564).
    when : datetime.datetime, optional
        Attribute Modification DateTime; default: now. With the same one, the same bytes come out.

    Raises
    ------
    DataError
        The header cannot be read, or a value cannot be written in the object's character set.
    """
    if scan.deflated:
        raise DataError("attributes of a deflated data set cannot be coerced")
    data = bytes(header)
    layout = read_layout(data)
    before = _read(data, {rule.tag for rule in rules})
    target = layout.encoding
    changes = dict(_changes(before, rules, target))
    if not changes:
        return None
    item = _item(before, changes, source, when or datetime.datetime.now(datetime.UTC))
    changes[_ORIGINAL] = write_element(
        _ORIGINAL, "SQ", [*(before.get("OriginalAttributesSequence") or []), item], target
    )
    body = rewrite(data, layout.dataset_offset, target, target, replacements=sorted(changes.items()))
    return data[: layout.dataset_offset] + body


def modified_at(header: Buffer) -> datetime.datetime | None:
    """When hilum has coerced a stored object, by the last item of its Original Attributes Sequence."""
    items = _read(bytes(header), set()).get("OriginalAttributesSequence") or []
    if not items or str(items[-1].get("ModifyingSystem", "")) != MODIFYING_SYSTEM:
        return None
    try:
        return datetime.datetime.strptime(str(items[-1].AttributeModificationDateTime), _WHEN)
    except (AttributeError, ValueError):
        return None


def _read(data: bytes, tags: set[int]) -> Dataset:
    wanted: list[Any] = [*tags, _CHARACTER_SET, _ORIGINAL]
    try:
        return dcmread(BytesIO(data), force=True, stop_before_pixels=True, specific_tags=wanted)
    except Exception as error:
        raise DataError(f"the header cannot be read ({type(error).__name__})") from None


def _raw(dataset: Dataset, tag: int) -> bytes | None:
    """Bytes of a value as they are; None where there is no such element."""
    element = dataset.get_item(Tag(tag)) if tag in dataset else None
    if element is None:
        return None
    return bytes(element.value or b"") if isinstance(element, RawDataElement) else b""


def _changes(before: Dataset, rules: Sequence[Rule], target: tuple[bool, bool]) -> Iterator[tuple[int, bytes]]:
    """New elements by tag, empty for those that go; rules of one attribute see what those before them made."""
    now: dict[int, bytes | None] = {rule.tag: _raw(before, rule.tag) for rule in rules}
    first = dict(now)
    for rule in rules:
        now[rule.tag] = _applied(rule, now[rule.tag], before)
    for tag, value in now.items():
        if value != first[tag]:
            yield tag, b"" if value is None else _element(tag, value, target)


def _applied(rule: Rule, value: bytes | None, before: Dataset) -> bytes | None:
    if rule.action == "remove":
        return None
    text = _encoded(rule, before)
    there = (value or b"").strip(b" \0")
    if rule.action == "set":
        return value if there == text else text
    if rule.action == "fill":
        return value if there else text
    return text + there if there and not there.startswith(text) else value


def _encoded(rule: Rule, before: Dataset) -> bytes:
    if rule.value.isascii():
        return rule.value.encode()
    encodings = convert_encodings(before.get("SpecificCharacterSet") or "ISO_IR 6")
    with warnings.catch_warnings(action="ignore"):
        raw = bytes(encode_string(rule.value, encodings))
        if decode_bytes(raw, encodings, set()) != rule.value:
            raise DataError("the value of a coercion rule cannot be written in the object's character set")
    return raw


def _element(tag: int, value: bytes, target: tuple[bool, bool]) -> bytes:
    """Give a whole element that holds text."""
    explicit, order = target[0], ">" if target[1] else "<"
    vr = vr_of(tag).encode()
    value += b" " * (len(value) & 1)
    if not explicit:
        head = struct.pack(f"{order}HHI", tag >> 16, tag & 0xFFFF, len(value))
    elif vr in (b"UC", b"UT"):
        head = struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value))
    elif len(value) > 0xFFFF:
        raise DataError("a coerced value is longer than its attribute can be")
    else:
        head = struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value))
    return head + value


def _item(before: Dataset, changes: dict[int, bytes], source: str, when: datetime.datetime) -> Dataset:
    """One item of the Original Attributes Sequence; an attribute that was not there has an empty value in it."""
    original = Dataset()
    for tag in sorted(changes):
        if tag in before:
            original[Tag(tag)] = before.get_item(Tag(tag))
        else:
            original.add_new(Tag(tag), vr_of(tag), None)
    item = Dataset()
    item.ModifiedAttributesSequence = [original]
    item.AttributeModificationDateTime = when.strftime(_WHEN)
    item.ModifyingSystem = MODIFYING_SYSTEM
    item.SourceOfPreviousValues = source
    item.ReasonForTheAttributeModification = "COERCE"
    return item
