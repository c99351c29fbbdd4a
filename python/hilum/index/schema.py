"""What is indexed, at which level, how it is compared, and what an answer holds when nothing is asked for.

The attribute lists of the scan decide what is *kept*; this table decides what can be *found by key* without a walk.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from hilum._core import PostingRules
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.types import Level

__all__ = [
    "ATTRIBUTES",
    "AttributeSpec",
    "Comparison",
    "PrivateKey",
    "comparison_of",
    "default_fields",
    "keyword_of",
    "level_number",
    "parse_private_key",
    "posting_rules",
    "resolve_tag",
    "vr_of",
]

LEVEL_NUMBERS: dict[str, int] = {"patient": 1, "study": 2, "series": 3, "instance": 4}


def level_number(level: str) -> int:
    """Number of a level from 1 (patient) to 4 (instance)."""
    try:
        return LEVEL_NUMBERS[level]
    except KeyError:
        raise UsageError(f"level must be patient, study, series or instance, not {level!r}") from None


class Comparison(enum.IntEnum):
    """How two values of a VR are compared (``hilum::index::Comparison``)."""

    TEXT = 0
    FOLDED = 1
    PERSON = 2
    DATE = 3
    TIME = 4
    DATE_TIME = 5
    UID = 6
    INTEGER = 7
    DECIMAL = 8


_COMPARISONS: dict[str, Comparison] = {
    "PN": Comparison.PERSON,
    "DA": Comparison.DATE,
    "TM": Comparison.TIME,
    "DT": Comparison.DATE_TIME,
    "UI": Comparison.UID,
    **dict.fromkeys(("IS", "US", "UL", "SS", "SL", "SV", "UV"), Comparison.INTEGER),
    **dict.fromkeys(("DS", "FL", "FD"), Comparison.DECIMAL),
}


def comparison_of(vr: str, *, case_sensitive: bool = True) -> Comparison:
    """How values of ``vr`` are compared: names without case always, other text as PS3.4 C.2.2.2 says or as asked."""
    return _COMPARISONS.get(vr, Comparison.TEXT if case_sensitive else Comparison.FOLDED)


@dataclass(frozen=True, slots=True)
class AttributeSpec:
    """One attribute that the index knows."""

    keyword: str
    path: tuple[int, ...]
    """Tag, below its sequence's tag where it is an item's."""
    vr: str
    level: int
    """Level whose attribute list holds it, 1 (patient) to 4."""
    posted: bool = False
    """Has keys in the match database."""
    prefixes: bool = False
    grams: bool = False
    derived: bool = False
    """Kept by the index, not read from an object."""
    single: bool = True
    """At most one value, so that answers can be ordered by it."""


def _spec(level: int, keyword: str, path: str, vr: str, flags: str = "") -> AttributeSpec:
    """Flags: P posted, p prefixes, g grams, d derived, m several values."""
    tags = tuple(int(part, 16) for part in path.split("."))
    return AttributeSpec(
        keyword, tags, vr, level, "P" in flags, "p" in flags, "g" in flags, "d" in flags, "m" not in flags
    )


# PS3.18 Tables 10.6.1-5, PS3.4 Tables C.6.1-1 to C.6.1-4 and what viewers ask for.
ATTRIBUTES: tuple[AttributeSpec, ...] = (
    _spec(1, "PatientName", "00100010", "PN", "Ppg"),
    _spec(1, "PatientID", "00100020", "LO", "Ppg"),
    _spec(1, "IssuerOfPatientID", "00100021", "LO"),
    _spec(1, "PatientBirthDate", "00100030", "DA", "P"),
    _spec(1, "PatientBirthTime", "00100032", "TM"),
    _spec(1, "PatientSex", "00100040", "CS"),
    _spec(1, "OtherPatientIDs", "00101000", "LO", "Pm"),
    _spec(1, "EthnicGroup", "00102160", "SH"),
    _spec(1, "NumberOfPatientRelatedStudies", "00201200", "IS", "d"),
    _spec(1, "NumberOfPatientRelatedSeries", "00201202", "IS", "d"),
    _spec(1, "NumberOfPatientRelatedInstances", "00201204", "IS", "d"),
    _spec(2, "StudyInstanceUID", "0020000D", "UI"),
    _spec(2, "StudyDate", "00080020", "DA"),
    _spec(2, "StudyTime", "00080030", "TM"),
    _spec(2, "AccessionNumber", "00080050", "SH", "Ppg"),
    _spec(2, "IssuerOfAccessionNumberSequence", "00080051", "SQ"),
    _spec(2, "ReferringPhysicianName", "00080090", "PN", "P"),
    _spec(2, "StudyID", "00200010", "SH", "P"),
    _spec(2, "StudyDescription", "00081030", "LO", "P"),
    _spec(2, "NameOfPhysiciansReadingStudy", "00081060", "PN", "m"),
    _spec(2, "AdmittingDiagnosesDescription", "00081080", "LO", "m"),
    _spec(2, "PatientAge", "00101010", "AS"),
    _spec(2, "PatientSize", "00101020", "DS"),
    _spec(2, "PatientWeight", "00101030", "DS"),
    _spec(2, "ProcedureCodeSequence", "00081032", "SQ"),
    _spec(2, "TimezoneOffsetFromUTC", "00080201", "SH"),
    _spec(2, "InstitutionName", "00080080", "LO"),
    _spec(2, "ModalitiesInStudy", "00080061", "CS", "Pdm"),
    _spec(2, "SOPClassesInStudy", "00080062", "UI", "Pdm"),
    _spec(2, "NumberOfStudyRelatedSeries", "00201206", "IS", "d"),
    _spec(2, "NumberOfStudyRelatedInstances", "00201208", "IS", "d"),
    _spec(3, "SeriesInstanceUID", "0020000E", "UI"),
    _spec(3, "Modality", "00080060", "CS"),
    _spec(3, "SeriesNumber", "00200011", "IS"),
    _spec(3, "SeriesDescription", "0008103E", "LO"),
    _spec(3, "SeriesDate", "00080021", "DA"),
    _spec(3, "SeriesTime", "00080031", "TM"),
    _spec(3, "BodyPartExamined", "00180015", "CS", "P"),
    _spec(3, "Laterality", "00200060", "CS"),
    _spec(3, "ProtocolName", "00181030", "LO"),
    _spec(3, "PerformedProcedureStepStartDate", "00400244", "DA"),
    _spec(3, "PerformedProcedureStepStartTime", "00400245", "TM"),
    _spec(3, "RequestAttributesSequence", "00400275", "SQ"),
    _spec(3, "ScheduledProcedureStepID", "00400275.00400009", "SH", "Pm"),
    _spec(3, "RequestedProcedureID", "00400275.00401001", "SH", "Pm"),
    _spec(3, "PerformingPhysicianName", "00081050", "PN", "m"),
    _spec(3, "OperatorsName", "00081070", "PN", "m"),
    _spec(3, "StationName", "00081010", "SH"),
    _spec(3, "Manufacturer", "00080070", "LO"),
    _spec(3, "ManufacturerModelName", "00081090", "LO"),
    _spec(3, "FrameOfReferenceUID", "00200052", "UI", "P"),
    _spec(3, "NumberOfSeriesRelatedInstances", "00201209", "IS", "d"),
    _spec(4, "SOPClassUID", "00080016", "UI"),
    _spec(4, "SOPInstanceUID", "00080018", "UI"),
    _spec(4, "InstanceNumber", "00200013", "IS"),
    _spec(4, "ContentDate", "00080023", "DA"),
    _spec(4, "ContentTime", "00080033", "TM"),
    _spec(4, "AcquisitionNumber", "00200012", "IS"),
    _spec(4, "NumberOfFrames", "00280008", "IS"),
    _spec(4, "Rows", "00280010", "US"),
    _spec(4, "Columns", "00280011", "US"),
    _spec(4, "BitsAllocated", "00280100", "US"),
    _spec(4, "ConceptNameCodeSequence", "0040A043", "SQ"),
    _spec(4, "DocumentTitle", "00420010", "ST"),
    _spec(4, "ContentLabel", "00700080", "CS"),
    _spec(4, "ImageType", "00080008", "CS", "m"),
)

BY_TAG: dict[int, AttributeSpec] = {spec.path[0]: spec for spec in ATTRIBUTES if len(spec.path) == 1}
BY_PATH: dict[tuple[int, ...], AttributeSpec] = {spec.path: spec for spec in ATTRIBUTES}
BY_KEYWORD: dict[str, AttributeSpec] = {spec.keyword: spec for spec in ATTRIBUTES if len(spec.path) == 1}

STUDY_UID = 0x0020000D
SERIES_UID = 0x0020000E
SOP_UID = 0x00080018
SOP_CLASS_UID = 0x00080016
STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
MODALITY = 0x00080060
MODALITIES_IN_STUDY = 0x00080061
SOP_CLASSES_IN_STUDY = 0x00080062
PATIENT_ID = 0x00100020
ISSUER_OF_PATIENT_ID = 0x00100021
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013
PATIENT_STUDIES, PATIENT_SERIES, PATIENT_INSTANCES = 0x00201200, 0x00201202, 0x00201204
STUDY_SERIES, STUDY_INSTANCES, SERIES_INSTANCES = 0x00201206, 0x00201208, 0x00201209

SEQUENCE_MEMBERS: dict[int, frozenset[tuple[int, ...]]] = {
    0x00080051: frozenset({(0x00400031,), (0x00400032,), (0x00400033,)}),
    0x00081032: frozenset({(0x00080100,), (0x00080102,), (0x00080104,)}),
    0x0040A043: frozenset({(0x00080100,), (0x00080102,), (0x00080104,)}),
    0x00400275: frozenset({(0x00400009,), (0x00401001,), (0x0020000D,), (0x00080050,)}),
}
"""Attributes that attribute lists keep of each sequence's items; others are read from headers."""

DATE_TIME_PAIRS: dict[int, int] = {
    0x00080020: 0x00080030,
    0x00080021: 0x00080031,
    0x00080023: 0x00080033,
    0x00100030: 0x00100032,
    0x00400244: 0x00400245,
}
"""Date attribute to the time attribute with which it makes one instant."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private attribute that is indexed by setting (posted and kept)."""

    tag: int
    """As in the objects' attribute lists: group, block 10 and element, ``0x00091001``."""
    creator: str
    """Private creator that owns the block, for those who read the attribute."""
    level: Level
    vr: str = "LO"


_PRIVATE = re.compile(
    r"(?P<tag>[0-9A-Fa-f]{3}[13579BDFbdf][0-9A-Fa-f]{4})(:(?P<creator>[^:]*))?(:(?P<level>patient|study|series|instance))?"
    r"(:(?P<vr>[A-Z]{2}))?"
)


def parse_private_key(text: str) -> PrivateKey:
    """Read an entry of ``[index] private_tags``: ``TAG[:creator[:level[:VR]]]``, level series by default."""
    found = _PRIVATE.fullmatch(text)
    if found is None:
        raise UsageError(f"a private key is written TAG[:creator[:level[:VR]]] with an odd group, not {text!r}")
    level: Level = found["level"] or "series"  # type: ignore[assignment]
    return PrivateKey(int(found["tag"], 16), found["creator"] or "", level, found["vr"] or "LO")


def posting_rules(private_keys: Sequence[PrivateKey] = ()) -> PostingRules:
    """Rules of the core for what is posted.

    Keys of patient and study level attributes are posted for studies (level byte 2), those of series level attributes
    for the study that holds the series (3). Patients are found through their studies.
    """
    rules = [
        _rule(spec.path, level, spec.vr, prefixes=spec.prefixes, grams=spec.grams)
        for spec in ATTRIBUTES
        if spec.posted
        for level in _posted_levels(spec.level)
    ]
    rules += [
        _rule((key.tag,), level, key.vr, prefixes=False, grams=False)
        for key in private_keys
        for level in _posted_levels(level_number(key.level))
    ]
    return PostingRules(rules)


def _rule(
    path: tuple[int, ...], level: int, vr: str, *, prefixes: bool, grams: bool
) -> tuple[tuple[int, ...], int, bool, bool, bool, bool]:
    return path, level, prefixes, grams, vr == "PN", vr == "PN"


def _posted_levels(level: int) -> tuple[int, ...]:
    return {1: (2,), 2: (2,), 3: (3,)}.get(level, ())


_STUDY_DEFAULTS = (
    0x00080005, 0x00080020, 0x00080030, 0x00080050, 0x00080056, 0x00080061, 0x00080090, 0x00080201, 0x00081030,
    0x00081190, 0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x0020000D, 0x00200010, 0x00201206, 0x00201208,
)  # fmt: skip
_SERIES_DEFAULTS = (
    0x00080005, 0x00080021, 0x00080031, 0x00080056, 0x00080060, 0x00080201, 0x0008103E, 0x00081190, 0x0020000D,
    0x0020000E, 0x00200011, 0x00201209, 0x00400244, 0x00400245, 0x00400275,
)  # fmt: skip
_INSTANCE_DEFAULTS = (
    0x00080005, 0x00080016, 0x00080018, 0x00080056, 0x00080201, 0x00081190, 0x0020000D, 0x0020000E, 0x00200013,
    0x00280008, 0x00280010, 0x00280011, 0x00280100,
)  # fmt: skip
_PATIENT_DEFAULTS = (
    0x00080005, 0x00080056, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00201200, 0x00201202,
    0x00201204,
)  # fmt: skip


@lru_cache(maxsize=64)
def default_fields(level: str, *, study_given: bool = True, series_given: bool = True) -> frozenset[int]:
    """Tags of an answer to which no includefield added any (PS3.18 10.6.3.3, Tables 10.6.3-3 to 10.6.3-5).

    Searches over all studies (all series) also return the attributes of the study (and of the series).
    """
    number = level_number(level)
    fields = set({1: _PATIENT_DEFAULTS, 2: _STUDY_DEFAULTS, 3: _SERIES_DEFAULTS, 4: _INSTANCE_DEFAULTS}[number])
    if number >= 3 and not study_given:
        fields |= set(_STUDY_DEFAULTS)
    if number == 4 and not series_given:
        fields |= set(_SERIES_DEFAULTS)
    return frozenset(fields)


_HEX_TAG = re.compile(r"[0-9A-Fa-f]{8}")


@lru_cache(maxsize=4096)
def resolve_tag(name: str) -> int | None:
    """Tag of a keyword or of eight hex digits; None when it is neither."""
    if name in BY_KEYWORD:
        return BY_KEYWORD[name].path[0]
    if _HEX_TAG.fullmatch(name):
        return int(name, 16)
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(name) if name else None  # pydicom has attributes without a keyword


@lru_cache(maxsize=4096)
def vr_of(tag: int) -> str:
    """VR of a tag by the dictionary, ``UN`` when it has none."""
    if tag in BY_TAG:
        return BY_TAG[tag].vr
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "UN"


@lru_cache(maxsize=4096)
def keyword_of(tag: int) -> str:
    """Keyword of a tag, eight hex digits when it has none."""
    if tag in BY_TAG:
        return BY_TAG[tag].keyword
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"{tag:08X}"
