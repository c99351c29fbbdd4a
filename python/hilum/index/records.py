"""Parents as objects while a transaction works on them, and their records on disk (docs/formats/index.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hilum._core import attribute_tags, select_attributes
from hilum._keys import (
    attribute_value,
    child_key,
    decode_blobs,
    encode_counts,
    encode_record,
    encode_values,
    order_number,
)
from hilum.errors import DataError
from hilum.index.base import InstanceRecord, PatientRecord, SeriesRecord, StudyRecord
from hilum.index.schema import (
    BY_TAG,
    ISSUER_OF_PATIENT_ID,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_INSTANCES,
    PATIENT_SERIES,
    PATIENT_STUDIES,
    SERIES_INSTANCES,
    SERIES_NUMBER,
    SERIES_UID,
    SOP_CLASSES_IN_STUDY,
    STUDY_DATE,
    STUDY_INSTANCES,
    STUDY_SERIES,
    STUDY_TIME,
    STUDY_UID,
)
from hilum.types import Location

__all__ = [
    "INSTANCE_FIXED",
    "MAX_ID",
    "SERIES_FIXED",
    "STUDY_FIXED",
    "InstanceFixed",
    "Patient",
    "Series",
    "Study",
    "counted_names",
    "decode_instance",
    "id_of_order_key",
    "instance_fixed",
    "modality_of",
    "order_key",
    "order_of",
    "patient_key",
    "person_key",
    "series_number",
    "series_uid_of",
    "study_uid_of",
]

PATIENT_FIXED = struct.Struct("<IIQQ")
STUDY_FIXED = struct.Struct("<QQIIQQ")
SERIES_FIXED = struct.Struct("<QQQQII")
INSTANCE_FIXED = struct.Struct("<QQQQQQQQIIII32s")
MAX_ID = (1 << 48) - 1
MAX_ORDER = (1 << 48) - 1
MAX_KEY = 480


def _heads(*tags: int) -> tuple[bytes, ...]:
    """Tag and VR of attributes as lists hold them, for ``encode_values``."""
    return tuple(struct.pack("<I2s", tag, BY_TAG[tag].vr.encode()) for tag in tags)


_PATIENT_HEADS = _heads(PATIENT_STUDIES, PATIENT_SERIES, PATIENT_INSTANCES)
_STUDY_HEADS = _heads(MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY, STUDY_UID, STUDY_SERIES, STUDY_INSTANCES)
_SERIES_HEADS = _heads(SERIES_UID, SERIES_INSTANCES)


def counted_names(raw: bytes) -> set[str]:
    """Names in a stored list of counts."""
    return set(_decode_counts(raw))


def _decode_counts(raw: bytes) -> dict[str, int]:
    pairs = (line.rsplit("\t", 1) for line in raw.decode().split("\n") if line)
    return {name: int(count) for name, count in pairs}


def _text(attributes: bytes, tag: int) -> str:
    value = attribute_value(attributes, tag)
    return "" if value is None else value.decode(errors="replace").split("\\", 1)[0].strip(" \0")


def _uid_in(derived: bytes, tag: int) -> str:
    value = attribute_value(derived, tag)
    if value is None:
        raise DataError("an index record lacks its UID; rebuild the index", code=13)
    return value.decode()


def study_uid_of(record: bytes) -> str:
    """Study Instance UID of a sealed study record."""
    return _uid_in(decode_blobs(record, STUDY_FIXED.size)[-1], STUDY_UID)


def series_uid_of(record: bytes) -> str:
    """Series Instance UID of a sealed series record."""
    return _uid_in(decode_blobs(record, SERIES_FIXED.size)[-1], SERIES_UID)


def order_of(attributes: bytes) -> int:
    """Number that sorts studies by date and time: YYYYMMDD x 2^17 + seconds of the day; 0 without a date."""
    raw, moment = attribute_value(attributes, STUDY_DATE), attribute_value(attributes, STUDY_TIME)
    if raw and moment and len(raw) == 8 and len(moment) == 6 and raw.isdigit() and moment.isdigit():
        seconds_of_day = int(moment[:2]) * 3600 + int(moment[2:4]) * 60 + int(moment[4:])
        return int(raw) << 17 | min(seconds_of_day, (1 << 17) - 1)
    date = _text(attributes, STUDY_DATE).replace(".", "").replace("-", "")
    if len(date) != 8 or not (date.isascii() and date.isdigit()):
        return 0
    time = _text(attributes, STUDY_TIME).replace(":", "").split(".", 1)[0]
    if not (time.isascii() and time.isdigit()) or len(time) not in (2, 4, 6):
        time = ""
    hours, minutes, seconds = (int((time + "000000")[i : i + 2]) for i in (0, 2, 4))
    return int(date) << 17 | min(hours * 3600 + minutes * 60 + seconds, (1 << 17) - 1)


def order_key(order: int, identity: int) -> bytes:
    """Twelve bytes that sort the newest first."""
    return (MAX_ORDER - order).to_bytes(6, "big") + (MAX_ID - identity).to_bytes(6, "big")


def id_of_order_key(key: bytes) -> int:
    """The id in the last six bytes of an order key."""
    return MAX_ID - int.from_bytes(key[-6:], "big")


def patient_key(attributes: bytes, study_uid: str) -> bytes:
    """Identity of a study's patient: PatientID NUL issuer; a study without PatientID is a patient of its own."""
    identity = _text(attributes, PATIENT_ID).replace("\0", "")
    if not identity:
        return b"\0\0" + study_uid.encode()
    return identity.encode() + b"\0" + _text(attributes, ISSUER_OF_PATIENT_ID).replace("\0", "").encode()


@dataclass(slots=True)
class Patient:
    """A patient while a transaction works on it."""

    id: int
    key: bytes
    studies: int = 0
    series: int = 0
    instances: int = 0
    total_bytes: int = 0
    attributes: bytes = b""
    stored: bytes | None = None
    """Record as it is in the database."""

    @classmethod
    def decode(cls, identity: int, record: bytes) -> Patient:
        """Read a sealed record."""
        key, attributes, _ = decode_blobs(record, PATIENT_FIXED.size)
        studies, series, instances, size = PATIENT_FIXED.unpack_from(record, 8)
        return cls(identity, key, studies, series, instances, size, attributes, record)

    @property
    def derived(self) -> bytes:
        """Attribute list of what is counted."""
        return encode_values(_PATIENT_HEADS, (str(self.studies), str(self.series), str(self.instances)))

    def encode(self) -> bytes:
        """Body of the record."""
        fixed = PATIENT_FIXED.pack(self.studies, self.series, self.instances, self.total_bytes)
        return encode_record(1, fixed, [self.key, self.attributes, self.derived])

    def value(self) -> PatientRecord:
        """What is given out."""
        return PatientRecord(
            self.id,
            self.key.decode(errors="replace"),
            self.studies,
            self.series,
            self.instances,
            self.total_bytes,
            self.attributes,
            self.derived,
        )


@dataclass(slots=True)
class Study:
    """A study while a transaction works on it."""

    id: int
    uid: str
    patient: int = 0
    order: int = 0
    series: int = 0
    instances: int = 0
    total_bytes: int = 0
    modalities: dict[str, int] = field(default_factory=dict)
    sop_classes: dict[str, int] = field(default_factory=dict)
    attributes: bytes = b""
    stored: bytes | None = None
    before: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    """patient, order, studies (0 or 1), series, instances, bytes as the counters have them."""

    @classmethod
    def decode(cls, identity: int, record: bytes) -> Study:
        """Read a sealed record."""
        modalities, sop_classes, attributes, derived = decode_blobs(record, STUDY_FIXED.size)
        patient, order, series, _, instances, size = STUDY_FIXED.unpack_from(record, 8)
        return cls(
            identity,
            _uid_in(derived, STUDY_UID),
            patient,
            order,
            series,
            instances,
            size,
            _decode_counts(modalities),
            _decode_counts(sop_classes),
            attributes,
            record,
            (patient, order, 1, series, instances, size),
        )

    @property
    def derived(self) -> bytes:
        """Attribute list of what is counted."""
        modalities, sop_classes = "\\".join(sorted(self.modalities)), "\\".join(sorted(self.sop_classes))
        return encode_values(_STUDY_HEADS, (modalities, sop_classes, self.uid, str(self.series), str(self.instances)))

    def encode(self, derived: bytes | None = None) -> bytes:
        """Body of the record; ``derived`` when it is known already."""
        fixed = STUDY_FIXED.pack(self.patient, self.order, self.series, 0, self.instances, self.total_bytes)
        counts = [encode_counts(self.modalities), encode_counts(self.sop_classes)]
        known = self.derived if derived is None else derived
        return encode_record(2, fixed, [*counts, self.attributes, known])

    def value(self) -> StudyRecord:
        """What is given out."""
        return StudyRecord(
            self.id,
            self.patient,
            self.uid,
            self.series,
            self.instances,
            self.total_bytes,
            dict(self.modalities),
            dict(self.sop_classes),
            self.attributes,
            self.derived,
        )


AS_STUDY = b"\xff"
"""In the place of a series' list of study attributes: they and the patient's are those of the study's record."""


def _short_parents(study_attributes: bytes, patient_list: bytes, study_list: bytes) -> tuple[bytes, bytes]:
    """Lists of a series as its record has them: where the study's record has both, a bit for each of its attributes.

    The bit says, from the least significant bit of the first byte on, whether the attribute is in the patient's list.
    """
    tags = attribute_tags(patient_list)
    if len(patient_list) + len(study_list) != len(study_attributes):
        return patient_list, study_list
    own = select_attributes(study_attributes, tags)
    rest = select_attributes(study_attributes, tags, others=True)
    if own != patient_list or rest != study_list:
        return patient_list, study_list
    known = set(tags)
    bits = sum(1 << i for i, tag in enumerate(attribute_tags(study_attributes)) if tag in known)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little"), AS_STUDY


def _whole_parents(study_record: bytes, patient_list: bytes, study_list: bytes) -> tuple[bytes, bytes]:
    if study_list != AS_STUDY:
        return patient_list, study_list
    attributes = decode_blobs(study_record, STUDY_FIXED.size)[2]
    bits = int.from_bytes(patient_list, "little")
    tags = [tag for i, tag in enumerate(attribute_tags(attributes)) if bits >> i & 1]
    return select_attributes(attributes, tags), select_attributes(attributes, tags, others=True)


@dataclass(slots=True)
class Series:
    """A series while a transaction works on it."""

    id: int
    uid: str
    study: int
    variant: int = 0
    """Hash of the attribute lists of the instance with the smallest UID."""
    instances: int = 0
    total_bytes: int = 0
    number: int = 0xFFFFFFFF
    key_uid: str = ""
    """Smallest SOP Instance UID."""
    sop_classes: dict[str, int] = field(default_factory=dict)
    parents: tuple[bytes, bytes] = (b"", b"")
    """Patient's and study's attribute lists of that instance."""
    attributes: bytes = b""
    stored: bytes | None = None
    short: tuple[bytes, bytes, bytes] | None = None
    """The attributes of the study, and how the record has `parents` beside them; None: to be found out."""

    @classmethod
    def decode(cls, identity: int, record: bytes, study_record: bytes | None = None) -> Series:
        """Read a sealed record; ``parents`` only with the sealed record of its study."""
        key_uid, sop_classes, patient_list, study_list, attributes, derived = decode_blobs(record, SERIES_FIXED.size)
        study, variant, instances, size, number, _ = SERIES_FIXED.unpack_from(record, 8)
        return cls(
            identity,
            _uid_in(derived, SERIES_UID),
            study,
            variant,
            instances,
            size,
            number,
            key_uid.decode(),
            _decode_counts(sop_classes),
            (b"", b"") if study_record is None else _whole_parents(study_record, patient_list, study_list),
            attributes,
            record,
        )

    @property
    def derived(self) -> bytes:
        """Attribute list of what is counted."""
        return encode_values(_SERIES_HEADS, (self.uid, str(self.instances)))

    @property
    def child_key(self) -> bytes:
        """Key among the study's children."""
        return child_key(self.study, self.number, self.uid.encode(), self.id)

    def encode(self, study_attributes: bytes) -> bytes:
        """Body of the record; what its study's attributes tell is left out."""
        fixed = SERIES_FIXED.pack(self.study, self.variant, self.instances, self.total_bytes, self.number, 0)
        if self.short is None or self.short[0] != study_attributes:
            self.short = (study_attributes, *_short_parents(study_attributes, *self.parents))
        blobs = [
            self.key_uid.encode(),
            encode_counts(self.sop_classes),
            *self.short[1:],
            self.attributes,
            self.derived,
        ]
        return encode_record(3, fixed, blobs)

    def value(self, study_uid: str) -> SeriesRecord:
        """What is given out."""
        return SeriesRecord(
            self.id,
            self.study,
            study_uid,
            self.uid,
            self.instances,
            self.total_bytes,
            dict(self.sop_classes),
            self.attributes,
            self.derived,
            self.key_uid,
        )


@dataclass(frozen=True, slots=True)
class InstanceFixed:
    """Fixed part of an instance record."""

    series: int
    study: int
    variant: int
    pack: int
    offset: int
    length: int
    header_length: int
    received_ns: int
    crc32c: int
    flags: int
    number: int
    reserved: int
    sha256: bytes

    @property
    def location(self) -> Location:
        """Where the bytes are."""
        return Location(self.pack, self.offset, self.length)


def instance_fixed(record: bytes) -> InstanceFixed:
    """Fixed part of a sealed instance record."""
    return InstanceFixed(*INSTANCE_FIXED.unpack_from(record, 8))


def _decode_pixels(raw: bytes) -> tuple[int | str, ...] | None:
    if not raw:
        return None
    parts = raw.decode().split("\t")
    return tuple(part if i in (8, 10) else int(part) for i, part in enumerate(parts))


def decode_instance(
    identity: int, record: bytes, study_uid: str, series_uid: str, frame_table: bytes | None = None
) -> InstanceRecord:
    """What is given out of a sealed instance record; ``frame_table`` where it is kept apart."""
    try:
        uid, sop_class, syntax, pixels, table, warnings, attributes, _ = decode_blobs(record, INSTANCE_FIXED.size)
    except ValueError as error:
        raise DataError(f"index record of instance {identity}: {error}") from error
    fixed = instance_fixed(record)
    return InstanceRecord(
        identity,
        fixed.series,
        fixed.study,
        study_uid,
        series_uid,
        uid.decode(),
        sop_class.decode(),
        syntax.decode(),
        fixed.location,
        fixed.sha256,
        fixed.crc32c,
        fixed.received_ns,
        fixed.flags,
        fixed.header_length,
        _decode_pixels(pixels),
        table if frame_table is None else frame_table,
        tuple(warnings.decode().split("\t")) if warnings else (),
        attributes,
    )


def person_key(key: bytes) -> bytes:
    """Key of a patient in the uid database, cut with a digest when it is long."""
    key = b"\x01" + key
    if len(key) <= MAX_KEY:
        return key
    from hashlib import sha256

    return key[: MAX_KEY - 32] + sha256(key).digest()


def modality_of(attributes: bytes) -> str:
    """Modality in a series' attribute list, empty when there is none.

    Without control characters, which no code string may have (PS3.5 6.2): records use two of them as separators.
    """
    return "".join(c for c in _text(attributes, MODALITY) if c >= " ")


def series_number(attributes: bytes) -> int:
    """SeriesNumber as it sorts."""
    return order_number(attributes, SERIES_NUMBER)
