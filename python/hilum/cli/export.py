"""``hilum export``: objects as files, byte for byte as they came, or in a transfer syntax."""

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
    from hilum.archive.transcode import Transcoded
    from hilum.index.base import InstanceRecord

__all__ = ["export"]


@dataclass(slots=True)
class _Exported:
    path: str
    sop_instance_uid: str
    sha256: str
    """Of the file."""
    size: int
    transfer_syntax_uid: str


def export(
    to: Annotated[Path, typer.Argument(help="Folder for the files; made if it is not there.", metavar="FOLDER")],
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Which studies: PatientID=4711 StudyDate=20240101-; none: all.", metavar="KEY=VALUE…"),
    ] = None,
    archive: ArchiveOption = None,
    transfer_syntax: Annotated[
        str | None,
        typer.Option(
            "--transfer-syntax",
            "-t",
            help="UID or short name (explicit, rle, jpeg-ls, j2k, htj2k-rpcl, …): give the pixels so, without loss. "
            "What cannot be given so is written as it was received. None: nothing is changed.",
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write studies as Part-10 files. Byte for byte as they were received, or in one transfer syntax.

    Names are those of a DICOM file-set (PS3.10 8.2): PA000001/ST000001/SE000001/IM000001. Existing files are never
    overwritten.
    """
    query = _query(keys or [])
    syntax = _lossless(transfer_syntax) if transfer_syntax else ""
    with open_archive(archive, config, read_only=True) as opened:
        if os.path.realpath(opened.root) in (target := os.path.realpath(to), *map(str, Path(target).parents)):
            raise UsageError(f"{to}: this is inside of the archive; export into another folder")
        exported = _export(opened, query, to, syntax)
    if as_json:
        print_json([{name: getattr(item, name) for name in type(item).__slots__} for item in exported])
    else:
        print(f"{len(exported)} files, {human_bytes(sum(item.size for item in exported))} in {to}")
        if syntax and (others := sum(item.transfer_syntax_uid != syntax for item in exported)):
            print(f"{others} of them as they were received: they have no pixels, or none that this syntax holds")


def _lossless(name: str) -> str:
    from hilum.codecs.encode import LOSSLESS, can_encode, is_lossy
    from hilum.codecs.names import transfer_syntax_uid

    uid = transfer_syntax_uid(name)
    if not can_encode(uid):
        raise UsageError(f"{name}: there is no encoder for this transfer syntax")
    if is_lossy(uid, LOSSLESS):
        raise UsageError(f"{name}: this syntax loses something, and so makes other objects; see: hilum transcode")
    return uid


def _export(archive: Archive, query: dict[str, str], to: Path, syntax: str) -> list[_Exported]:
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
            exported.append(_write(archive, record, at_series / _name("IM", images[uid]), syntax))
    if not exported:
        raise NotFound("no study matches")
    return exported


def _name(prefix: str, number: int) -> str:
    """Eight characters of the file-set's alphabet."""
    return f"{prefix}{number:06d}"


def _write(archive: Archive, record: InstanceRecord, path: Path, syntax: str) -> _Exported:
    made = _made(archive, record, syntax)
    hasher = hashlib.sha256()
    size = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            for piece in made.pieces if made is not None else archive.retrieve.stream(record):
                hasher.update(piece)
                size += stream.write(piece)
    except FileExistsError:
        raise Unavailable(f"{path}: exists already; export into an empty folder") from None
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
    except DataError:  # a later frame
        os.unlink(path)
        raise
    if made is None and hasher.digest() != record.sha256:
        os.unlink(path)
        raise DataError("the stored object is not what was received; run: hilum verify")
    uid = made.transfer_syntax_uid if made is not None else record.transfer_syntax_uid
    return _Exported(str(path), record.sop_instance_uid, hasher.hexdigest(), size, uid)


def _made(archive: Archive, record: InstanceRecord, syntax: str) -> Transcoded | None:
    """Give the object in the syntax; None: as it was received."""
    if not syntax or syntax == record.transfer_syntax_uid:
        return None
    from hilum.archive.transcode import can_transcode, transcode
    from hilum.codecs.encode import LOSSLESS

    if not can_transcode(record, syntax, LOSSLESS):
        return None
    try:
        return transcode(archive.retrieve, record, syntax, LOSSLESS)
    except (UsageError, DataError):
        return None
