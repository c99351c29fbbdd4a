"""Invented objects for the index alone: no bytes behind them. For tests, benchmarks and ``hilum bench``.

Everything is a function of the seed; names are put together from lists of common names, so that they repeat as real
ones do.
"""

from __future__ import annotations

import hashlib
import random
import struct
from typing import TYPE_CHECKING

from hilum.index.base import Entry
from hilum.index.schema import BY_KEYWORD, vr_of
from hilum.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["attribute_list", "make_entry", "synthetic_entries"]

Value = "str | Sequence[Mapping[str, Value]]"

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.498"
RECEIVED_NS = 1_700_000_000_000_000_000
FAMILY = """
Smith Johnson Williams Brown Jones Garcia Miller Davis Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor
Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Müller Schmidt
Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Dubois Moreau Laurent Rossi Russo Ferrari Esposito Bianchi
Nowak Kowalski Novák Dvořák Nagy Horváth Ivanov Smirnov Sørensen Åkesson Yamada Kim Nguyen Silva Santos Oliveira Öztürk
""".split()  # noqa: SIM905
ENDINGS = ["", "son", "mann", "ski", "er", "s", "ova", "ini", "berg", "feld", "wood", "ton", "ley", "by", "well", "ez"]
GIVEN = """
James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica Anna
Peter Zoë José André Jürgen Łukasz Chloë Li Wei Hiroshi Fatima Ahmed Olga Sven
""".split()  # noqa: SIM905
DESCRIPTIONS = """CT Thorax
CT Abdomen mit KM
MR Schädel nativ
Röntgen Thorax p.a.
US Abdomen
PET-CT Ganzkörper
Mammographie beidseits
Knie rechts
MR Brain w/wo
""".splitlines()
MODALITIES = ["CT", "MR", "CR", "US", "PT", "MG", "DX", "XA", "NM", "SR"]


def attribute_list(values: Mapping[str, object]) -> bytes:
    """Attribute list (docs/formats/index.md) of keywords or hex tags to values.

    A sequence's value is a list of mappings; ``None`` is an attribute without a value. The VR is the dictionary's.
    """
    rows = []
    for name, value in values.items():
        spec = BY_KEYWORD.get(name)
        if spec is not None:
            tag, vr = spec.path[0], spec.vr
        else:
            from pydicom.datadict import tag_for_keyword

            found = tag_for_keyword(name)
            tag = int(name, 16) if found is None else found
            vr = "LO" if tag >> 16 & 1 else vr_of(tag)
        rows.append((tag, vr, _encode_value(value)))
    return b"".join(struct.pack("<I2sH", tag, vr.encode(), len(raw)) + raw for tag, vr, raw in sorted(rows))


def _encode_value(value: object) -> bytes:
    if value is None:
        return b""
    if isinstance(value, list):
        items = [attribute_list(item) for item in value]
        return b"".join(struct.pack("<H", len(item)) + item for item in items)
    return str(value).encode()


def make_entry(
    study: str,
    series: str,
    instance: str,
    *,
    attributes: Mapping[str, object] | None = None,
    content: bytes = b"",
    received_ns: int = RECEIVED_NS,
    flags: int = 0,
    location: Location | None = None,
    sop_class: str = CT_IMAGE,
) -> Entry:
    """One object with these UIDs; ``attributes`` by keyword go to the level where the schema has them.

    ``content`` stands for the bytes: other content, other digest.
    """
    lists: list[dict[str, object]] = [{}, {}, {}, {}]
    for name, value in (attributes or {}).items():
        spec = BY_KEYWORD.get(name)
        lists[spec.level - 1 if spec else 2][name] = value
    lists[1]["StudyInstanceUID"] = study
    lists[2]["SeriesInstanceUID"] = series
    lists[3].update({"SOPClassUID": sop_class, "SOPInstanceUID": instance})
    digest = hashlib.sha256(instance.encode() + b"\0" + content).digest()
    return Entry(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        sop_class_uid=sop_class,
        transfer_syntax_uid=EXPLICIT_LITTLE,
        attributes=(
            attribute_list(lists[0]),
            attribute_list(lists[1]),
            attribute_list(lists[2]),
            attribute_list(lists[3]),
        ),
        location=location or Location(1, 4096 + int.from_bytes(digest[:4], "little") * 8, 1000),
        sha256=digest,
        received_ns=received_ns,
        crc32c=int.from_bytes(digest[4:8], "little"),
        header_length=900,
        pixels=(64, 64, 1, 0, 16, 12, 11, 0, "MONOCHROME2", 1, "PixelData"),
        frame_table=b"\1" + struct.pack("<QQI", 950, 65536, 1),
        flags=flags,
    )


def _patient(random_: random.Random, number: int) -> dict[str, object]:
    family = random_.choice(FAMILY) + random_.choice(ENDINGS)
    year, month, day = random_.randint(1930, 2015), random_.randint(1, 12), random_.randint(1, 28)
    return {
        "PatientName": f"{family}^{random_.choice(GIVEN)}^{random_.choice('ABCDEFGHIJKLM')}",
        "PatientID": f"P{number:08d}",
        "IssuerOfPatientID": "HOSPITAL",
        "PatientBirthDate": f"{year}{month:02d}{day:02d}",
        "PatientSex": random_.choice("MFO"),
    }


def synthetic_entries(
    studies: int, *, series: int = 1, instances: int = 1, seed: int = 1, first: int = 0, years: int = 10
) -> Iterator[Entry]:
    """Objects of ``studies`` studies, study by study.

    Parameters
    ----------
    studies : int
        Number of studies; about two of each patient, spread over ``years`` years.
    series, instances : int
        Series of a study, instances of a series.
    seed, first : int
        Study number ``first + i`` is the same for the same seed.
    """
    for number in range(first, first + studies):
        random_ = random.Random(seed * 1_000_003 + number)
        patient = _patient(random.Random(seed * 7_919 + number // 2), number // 2)
        day, second = random_.randrange(365 * years), random_.randrange(24 * 3600)
        date = f"{2025 - years + day // 365:04d}{day % 365 // 31 + 1:02d}{day % 365 % 28 + 1:02d}"
        study_uid = f"{ROOT}.{seed}.{number}"
        yield from _study(random_, study_uid, series, instances, {
            **patient,
            "StudyDate": date,
            "StudyTime": f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}",
            "AccessionNumber": f"A{number:09d}",
            "ReferringPhysicianName": f"{random_.choice(FAMILY)}^{random_.choice(GIVEN)}",
            "StudyID": str(number),
            "StudyDescription": random_.choice(DESCRIPTIONS),
        })  # fmt: skip


def _study(
    random_: random.Random, study_uid: str, series: int, instances: int, attributes: dict[str, object]
) -> Iterator[Entry]:
    for i in range(series):
        own = {
            **attributes,
            "Modality": random_.choice(MODALITIES),
            "SeriesNumber": str(i + 1),
            "SeriesDescription": random_.choice(DESCRIPTIONS),
            "BodyPartExamined": random_.choice(["CHEST", "HEAD", "ABDOMEN"]),
            "PerformedProcedureStepStartDate": attributes["StudyDate"],
            "PerformedProcedureStepStartTime": attributes["StudyTime"],
            "Manufacturer": "INVENTED",
            "StationName": f"STATION{random_.randrange(9)}",
        }
        template = make_entry(study_uid, f"{study_uid}.{i + 1}", f"{study_uid}.{i + 1}.1", attributes=own)
        for k in range(instances):
            uid = f"{study_uid}.{i + 1}.{k + 1}"
            instance = attribute_list({
                "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
                "SOPClassUID": CT_IMAGE,
                "SOPInstanceUID": uid,
                "ContentDate": attributes["StudyDate"],
                "ContentTime": attributes["StudyTime"],
                "InstanceNumber": str(k + 1),
                "Rows": "64",
                "Columns": "64",
                "BitsAllocated": "16",
            })  # fmt: skip
            digest = hashlib.sha256(uid.encode()).digest()
            yield Entry(
                study_uid,
                template.series_instance_uid,
                uid,
                CT_IMAGE,
                EXPLICIT_LITTLE,
                (*template.attributes[:3], instance),
                Location(1, 4096 + k * 9216, 9000),
                digest,
                RECEIVED_NS,
                k,
                900,
                template.pixels,
                template.frame_table,
            )
