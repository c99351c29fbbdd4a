"""``hilum migrate``: a whole legacy archive into this one."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, open_archive, warn, with_options
from hilum.cli.remote import asks_peer, first_line
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from hilum.archive.archive import Archive
    from hilum.migrate.ledger import Ledger
    from hilum.migrate.run import Plan
    from hilum.migrate.source import Source

__all__ = ["app"]

app = typer.Typer(
    help="Bring over a whole archive. Find every study, retrieve, verify, reconcile.", no_args_is_help=True
)

Name = Annotated[str, typer.Option("--name", help="Of the ledger ROOT/migrations/NAME.sqlite; default: the source.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the reconciliation to this file, as JSON.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="The same, one line for each study.")]


@dataclass(frozen=True, slots=True)
class _Job:
    """What all kinds of sources share."""

    archive: Path | None
    config: Path | None
    name: str
    plan: Plan
    json: Path | None
    csv: Path | None
    quiet: bool

    @contextlib.contextmanager
    def opened(self) -> Iterator[Archive]:
        with open_archive(self.archive, self.config, create=not self.plan.dry_run) as archive:
            yield archive

    def run(self, archive: Archive, source: Source) -> None:
        """Migrate, then report; exit status 1 when not everything is here."""
        import threading

        from hilum.dimse.client import cancelling
        from hilum.migrate.ledger import Ledger, ledger_path
        from hilum.migrate.run import Migration

        path = None if self.plan.dry_run else ledger_path(archive.root, self.name or source.name)
        with Ledger(path) as ledger, cancelling(threading.Event()) as stop:
            try:
                Migration(archive, source, ledger, self.plan, self._tell).run(stop)
            finally:
                complete = _report(ledger, self.json, self.csv)
        if not complete and not self.plan.dry_run:
            raise typer.Exit(1)

    def _tell(self, text: str) -> None:
        if not self.quiet:
            print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _job(
    keys: Annotated[
        list[str] | None, typer.Option("-k", "--key", help="Only studies that match: ModalitiesInStudy=CT.")
    ] = None,
    since: Annotated[str, typer.Option("--from", help="First study date, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option("--to", help="Last study date.")] = "",
    undated: Annotated[bool, typer.Option(help="Also look for studies without a date.")] = True,
    limit: Annotated[
        int, typer.Option("--peer-limit", help="Answers that the peer gives at most; 0: found out.", min=0)
    ] = 0,
    associations: Annotated[
        int, typer.Option("-j", "--associations", help="Studies at the same time.", min=1, max=64)
    ] = 2,
    attempts: Annotated[int, typer.Option("--attempts", help="Of each study.", min=1, max=100)] = 3,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds that an unreachable peer is tried.", min=0)
    ] = 900,
    windows: Annotated[
        list[str] | None,
        typer.Option(
            "--window",
            help="When to work, several times: '19:00-06:30', 'Sat,Sun 00:00-24:00', 'Mon-Fri 07:00-19:00@2 MB'.",
        ),
    ] = None,
    rate: Annotated[str, typer.Option("--rate", help="Bytes per second on average: '20 MB'; empty: no limit.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only find out what there is; store nothing.")] = False,
    name: Name = "",
    json: JsonFile = None,
    csv: CsvFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each study.")] = False,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
) -> Any:
    from hilum.migrate.run import Plan
    from hilum.migrate.throttle import Throttle, parse_rate, parse_window

    wanted = dict(key.partition("=")[::2] for key in keys or [])
    throttle = Throttle([parse_window(text) for text in windows or []], parse_rate(rate) if rate else 0.0)
    plan = Plan(wanted, _date(since), _date(until), limit, undated, associations, attempts, patience, dry_run, throttle)
    return _Job(archive, config, name, plan, json, csv, quiet)


def _date(text: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text[:20]!r} is no date: write YYYY-MM-DD") from None


@app.command("dicom")
@asks_peer(answer_s=600)
@with_options(_job)
def dicom(
    remote: Any,
    job: Any,
    /,
    move_to: Annotated[
        str, typer.Option("-aem", "--aem", "--move", help="C-MOVE to this AE title of ours, as the peer knows it.")
    ] = "",
    listen: Annotated[
        int,
        typer.Option(
            "--listen",
            help="Port for what C-MOVE sends; 0: a running `hilum serve` of this archive takes it.",
            min=0,
            max=65535,
        ),
    ] = 0,
    both_roles: Annotated[
        bool, typer.Option("--both-roles", help="Propose SCU and SCP for storage classes, as Siemens syngo wants it.")
    ] = False,
) -> None:
    """From a DICOM node: C-FIND and C-GET, or C-MOVE with -aem."""
    from dataclasses import replace

    from hilum.migrate.dimse_source import DimseSource
    from hilum.migrate.take import MoveListener

    if listen and not move_to:
        raise UsageError("--listen needs -aem: with C-GET nothing is sent to a port")
    with job.opened() as archive, contextlib.ExitStack() as open_parts:
        incoming = _incoming(archive)
        if listen and not job.plan.dry_run:
            open_parts.enter_context(MoveListener(archive, incoming, move_to, remote.host, listen))
        job.run(archive, DimseSource(replace(remote, both_roles=both_roles), archive, incoming, move_to))


@app.command("dicomweb")
@with_options(_job)
def dicomweb(
    job: Any,
    /,
    url: Annotated[str, typer.Argument(help="Of the service: https://pacs.example/dicom-web.", metavar="URL")],
    user: Annotated[str, typer.Option("--user", help="For HTTP basic authentication.")] = "",
    passcode_file: Annotated[
        Path | None, typer.Option("--passcode-file", help="File whose first line is the password.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File whose first line is a bearer token.")
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option("--tls-ca", help="PEM file of the authorities of its certificate.")
    ] = None,
) -> None:
    """From a DICOMweb service: QIDO-RS and WADO-RS. In the stored transfer syntaxes."""
    from hilum.dimse.tls import client_context
    from hilum.migrate.web_source import WebSource

    context = client_context(tls_ca) if tls_ca is not None else None
    with job.opened() as archive:
        passcode, token = first_line(passcode_file), first_line(token_file)
        job.run(archive, WebSource(url, archive, _incoming(archive), token, user, passcode, context))


@app.command("report")
def report(
    name: Annotated[str, typer.Argument(help="Of the ledger; none: list them.", metavar="NAME")] = "",
    json: JsonFile = None,
    csv: CsvFile = None,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
) -> None:
    """Show what is known of a migration. The peer is not asked; exit status 1 when it is not complete."""
    from hilum.migrate.ledger import Ledger, ledger_path

    with open_archive(archive, config, read_only=True) as opened:
        if not name:
            for path in sorted((opened.root / "migrations").glob("*.sqlite")):
                print(path.stem)
            return
        path = ledger_path(opened.root, name)
    if not path.is_file():
        raise NotFound(f"{path}: there is no such ledger")
    with Ledger(path) as ledger:
        if not _report(ledger, json, csv):
            raise typer.Exit(1)


def _incoming(archive: Archive) -> Any:
    from hilum.archive.incoming import Incoming

    return Incoming(archive.root / "incoming", max_object_bytes=archive.settings.ingest.max_object_bytes)


def _report(ledger: Ledger, json: Path | None, csv: Path | None) -> bool:
    from hilum.migrate.report import summarise, write_csv, write_json, write_text

    found = summarise(ledger)
    write_text(found, sys.stdout)
    try:
        if json is not None:
            with json.open("w", encoding="utf-8") as out:
                write_json(ledger, found, out)
        if csv is not None:
            with csv.open("w", encoding="utf-8", newline="") as out:
                write_csv(ledger, out)
    except OSError as error:
        warn(f"{error.filename}: cannot be written: {error.strerror}")
        return False
    return found.complete
