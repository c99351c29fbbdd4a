"""``hilum export``: objects as files, byte for byte as they came."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, human_bytes, open_archive, print_json
from hilum.cli.studies import _query
from hilum.errors import DataError, NotFound, Unavailable, UsageError

if TYPE_CHECKING:
    from hilum.archive.archive import Archive
    from hilum.index.base import InstanceRecord

__all__ = ["export"]


@dataclass(slots=True)
class _Exported:
    path: str
    sop_instance_uid: str
    sha256: str
    size: int


def export(
    to: Annotated[Path, typer.Argument(help="Folder for the files; made if it is not there.", metavar="FOLDER")],
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Which studies: PatientID=4711 StudyDate=20240101-; none: all.", metavar="KEY=VALUE…"),
    ] = None,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write studies as Part-10 files, byte for byte as they were received.

    Names are those of a DICOM file-set (PS3.10 8.2): PA000001/ST000001/SE000001/IM000001. Existing files are never
    overwritten.
    """
    query = _query(keys or [])
    with open_archive(archive, config, read_only=True) as opened:
        if os.path.realpath(opened.root) in (target := os.path.realpath(to), *map(str, Path(target).parents)):
            raise UsageError(f"{to}: this is inside of the archive; export into another folder")
        exported = _export(opened, query, to)
    if as_json:
        print_json([{name: getattr(item, name) for name in type(item).__slots__} for item in exported])
    else:
        print(f"{len(exported)} files, {human_bytes(sum(item.size for item in exported))} in {to}")


def _export(archive: Archive, query: dict[str, str], to: Path) -> list[_Exported]:
    """Write all objects of the matching studies."""
    exported: list[_Exported] = []
    patients: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for row in archive.search("study", query, includefield=("all",)).to_dicts():
        patient = f"{row.get('PatientID') or ''}\0{row.get('IssuerOfPatientID') or ''}"
        at_patient = to / _name("PA", patients.setdefault(patient, len(patients) + 1))
        numbers[patient] = numbers.get(patient, 0) + 1
        at_study = at_patient / _name("ST", numbers[patient])
        series: dict[str, int] = {}
        images: dict[str, int] = {}
        for record in archive.retrieve.records(str(row["StudyInstanceUID"])):
            uid = record.series_instance_uid
            at_series = at_study / _name("SE", series.setdefault(uid, len(series) + 1))
            images[uid] = images.get(uid, 0) + 1
            exported.append(_write(archive, record, at_series / _name("IM", images[uid])))
    if not exported:
        raise NotFound("no study matches")
    return exported


def _name(prefix: str, number: int) -> str:
    """Eight characters of the file-set's alphabet."""
    return f"{prefix}{number:06d}"


def _write(archive: Archive, record: InstanceRecord, path: Path) -> _Exported:
    hasher = hashlib.sha256()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            for piece in archive.retrieve.stream(record):
                hasher.update(piece)
                stream.write(piece)
    except FileExistsError:
        raise Unavailable(f"{path}: exists already; export into an empty folder") from None
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
    if hasher.digest() != record.sha256:
        os.unlink(path)
        raise DataError("the stored object is not what was received; run: hilum verify")
    return _Exported(str(path), record.sop_instance_uid, record.sha256.hex(), record.location.length)
