"""``hilum echo``, ``store``, ``find``, ``move``, ``get``: ask other DICOM nodes, with the spelling of DCMTK."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from hilum.cli.common import JsonOption, human_bytes, print_json, printable, warn
from hilum.cli.progress import Line
from hilum.cli.remote import asks_peer
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hilum.dimse.client import Counts, StoreOutcome
    from hilum.types import Level

__all__ = ["echo", "find", "get", "move", "store"]

_INTERRUPTED: Final = 130
_CANCELLED: Final = 0xFE00
_SOME_FAILED: Final = 0xB000
Keys: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("-k", "--key", help="Matching or return key: PatientID=4711, 0008,0050, StudyDate=20240101-."),
]
StudyRoot: TypeAlias = Annotated[bool, typer.Option("-S", "--study", help="Study root information model (default).")]
PatientRoot: TypeAlias = Annotated[bool, typer.Option("-P", "--patient", help="Patient root information model.")]
Associations: TypeAlias = Annotated[
    int, typer.Option("-j", "--associations", help="Associations at the same time.", min=1, max=64)
]


@asks_peer()
def echo(
    remote: Any,
    /,
    repeat: Annotated[int, typer.Option("--repeat", help="How often.", min=1)] = 1,
) -> None:
    """Ask a DICOM node whether it is there (C-ECHO)."""
    from hilum.dimse import client

    for _ in range(repeat):
        print(f"{remote.called} at {remote.host} port {remote.port} answers in {client.echo(remote) * 1000:.1f} ms")


@asks_peer()
def find(
    remote: Any,
    /,
    keys: Keys = None,
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "",
    study: StudyRoot = False,
    patient: PatientRoot = False,
    cancel: Annotated[int, typer.Option("--cancel", help="C-CANCEL after so many answers; 0: never.", min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Query a DICOM node (C-FIND)."""
    from hilum.dimse import client

    wanted, found_level = _query(keys or [], level)
    answers = client.find(remote, found_level, wanted, root=_root(study, patient), limit=cancel)
    if as_json:
        print_json(list(answers))
        return
    count = 0
    for count, answer in enumerate(answers, 1):
        print(f"# {count}")
        for keyword, value in answer.items():
            shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
            print(f"{keyword}={printable(shown)}")
    print(f"{count} answers", file=sys.stderr)


@asks_peer(answer_s=600)
def move(
    remote: Any,
    /,
    destination: Annotated[str, typer.Option("-aem", "--aem", "--move", help="AE title that is to get the objects.")],
    keys: Keys = None,
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "",
    study: StudyRoot = False,
    patient: PatientRoot = False,
) -> None:
    """Let a DICOM node send objects to another one (C-MOVE). ^C cancels in order."""
    from hilum.dimse import client

    wanted, found_level = _query(keys or [], level)
    with Line() as line, client.cancelling(threading.Event()) as stop:
        counts = client.move(
            remote,
            destination,
            found_level,
            wanted,
            root=_root(study, patient),
            progress=lambda counts: line.show(_text(counts)),
            stop=stop,
        )
    _end(counts)


@asks_peer()
def get(
    remote: Any,
    /,
    keys: Keys = None,
    level: Annotated[str, typer.Option("--level", help="PATIENT, STUDY, SERIES or IMAGE.")] = "",
    study: StudyRoot = False,
    patient: PatientRoot = False,
    folder: Annotated[Path, typer.Option("-od", "--output-directory", help="Folder for the files.")] = Path(),
    archive: Annotated[
        Path | None, typer.Option("--archive", help="Store into this archive; the files are removed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Leave out what is in the folder already.")] = False,
    associations: Associations = 1,
    both_roles: Annotated[
        bool, typer.Option("--both-roles", help="Propose SCU and SCP for storage classes, as Siemens syngo wants it.")
    ] = False,
) -> None:
    """Fetch objects from a DICOM node (C-GET). As files or into an archive. ^C cancels in order."""
    from hilum.archive.archive import open as open_root
    from hilum.dimse import client

    wanted, found_level = _query(keys or [], level)
    folder.mkdir(parents=True, exist_ok=True)
    opened = open_root(archive) if archive is not None else None

    def received(path: Path) -> None:
        if opened is not None:
            opened.store_file(path)
            path.unlink()

    try:
        with Line() as line, client.cancelling(threading.Event()) as stop:
            counts = client.get(
                replace(remote, both_roles=both_roles),
                found_level,
                wanted,
                folder,
                root=_root(study, patient),
                associations=associations,
                resume=resume,
                progress=lambda counts: line.show(_text(counts)),
                received=received,
                stop=stop,
            )
    finally:
        if opened is not None:
            opened.close()
    _end(counts)


@asks_peer()
def store(
    remote: Any,
    /,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH…")],
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="File that remembers what was sent: the same call goes on where it stopped."),
    ] = None,
    associations: Associations = 1,
) -> None:
    """Send files to a DICOM node (C-STORE). Byte for byte, in their transfer syntax. ^C ends after the current file."""
    from hilum.dimse import client

    with client.cancelling(threading.Event()) as stop:
        sent = _Sent(ledger, frozenset(paths))
        try:
            client.store(remote, sent.still(_files(paths)), associations=associations, outcome=sent.take, stop=stop)
        finally:
            sent.close()
    if sent.failed:
        raise typer.Exit(1)
    if stop.is_set():
        raise typer.Exit(_INTERRUPTED)


class _Sent:
    """What a run of ``hilum store`` has done, on the terminal and in its ledger."""

    def __init__(self, ledger: Path | None, named: Collection[Path]) -> None:
        self.stored = self.failed = self.skipped = self.others = self.size = 0
        self._named = named
        """What is no DICOM object is a failure only when it was named, not when it lies in a folder."""
        self._shown = Line()
        self._started = time.monotonic()
        self._known: set[str] = set()
        self._file: Any = None
        if ledger is not None:
            if ledger.exists():
                self._known = set(ledger.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
            self._file = ledger.open("a", encoding="utf-8", errors="surrogateescape")

    @staticmethod
    def _line(path: Path) -> str:
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns} {json.dumps(str(path.absolute()))}"

    def still(self, paths: Iterator[Path]) -> Iterator[Path]:
        for path in paths:
            if self._known and self._line(path) in self._known:
                self.skipped += 1
            else:
                yield path

    def take(self, outcome: StoreOutcome) -> None:
        if outcome.ok:
            self.stored += 1
            self.size += outcome.size
            if self._file is not None:
                self._file.write(self._line(outcome.path) + "\n")
                self._file.flush()
        elif not outcome.is_dicom and outcome.path not in self._named:
            self.others += 1
        else:
            self.failed += 1
            reason = outcome.error or "refused"
            status = f" (status {outcome.status:04X})" if outcome.status >= 0 else ""
            self._shown.clear()
            warn(f"{printable(str(outcome.path))}: {printable(reason)}{status}")
        self._shown.show(self._summary())

    def _summary(self) -> str:
        speed = self.stored / max(time.monotonic() - self._started, 1e-6)
        parts = [f"{self.stored} stored ({human_bytes(self.size)}, {speed:.0f}/s)", f"{self.skipped} sent before"]
        parts.append(f"{self.failed} failed")
        if self.others:
            parts.append(f"{self.others} in folders are not DICOM")
        return ", ".join(parts)

    def close(self) -> None:
        """Tell what was done, also after an error."""
        if self._file is not None:
            self._file.close()
        self._shown.clear()
        print(self._summary(), flush=True)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(found for found in path.rglob("*") if found.is_file() and found.name != "DICOMDIR")
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{path}: there is no such file or folder")


def _root(study: bool, patient: bool) -> Any:
    if study and patient:
        raise UsageError("-S and -P exclude each other")
    return "patient" if patient else "study"


def _query(keys: list[str], level: str) -> tuple[dict[str, str], Level]:
    """Keys as DCMTK writes them: ``NAME=VALUE``, ``gggg,eeee=VALUE``, nested with dots; the level among them."""
    from hilum.dimse.models import LEVEL_NAMES

    wanted: dict[str, str] = {}
    for key in keys:
        name, _, value = key.partition("=")
        name = name.replace(",", "").replace("(", "").replace(")", "").replace("[0]", "").strip()
        if name in ("QueryRetrieveLevel", "00080052"):
            level = level or value
        else:
            wanted[name] = value
    found = LEVEL_NAMES.get((level or "STUDY").strip().upper())
    if found is None:
        raise UsageError("the level is PATIENT, STUDY, SERIES or IMAGE")
    return wanted, found


def _text(counts: Counts) -> str:
    left = f", {counts.remaining} left" if counts.remaining else ""
    return f"{counts.completed + counts.warning} done, {counts.failed} failed{left}"


def _end(counts: Counts) -> None:
    status = f", status {counts.status:04X}" if counts.status else ""
    comment = f": {printable(counts.comment)}" if counts.comment else ""
    print(f"{counts.completed} completed, {counts.warning} with a warning, {counts.failed} failed{status}{comment}")
    for uid in counts.failed_uids[:20]:
        warn(f"failed: {printable(uid)}")
    if counts.status == _CANCELLED:
        raise typer.Exit(_INTERRUPTED)
    if counts.status not in (0, _SOME_FAILED) or counts.failed:
        raise typer.Exit(1)
