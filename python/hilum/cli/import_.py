"""``hilum import``."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.cli.common import (
    ArchiveOption,
    ConfigOption,
    JsonOption,
    console,
    human_bytes,
    open_archive,
    print_json,
    printable,
    settings_of,
)
from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from hilum.archive.import_outcome import ImportProgress, ImportReport

__all__ = ["import_"]

_LABELS = {
    "stored": "stored",
    "replaced": "replaced the object of the same UID",
    "duplicate": "already there",
    "conflict": "same UID, other bytes: kept beside",
    "skipped": "done by an earlier run",
    "dicomdir": "DICOMDIR",
    "container": "ZIP files",
    "not_dicom": "not DICOM",
    "quarantined": "quarantined",
    "failed": "failed",
}


def import_(
    paths: Annotated[list[str], typer.Argument(help="Folders, files, ZIP files, DICOMDIR media.", metavar="PATH…")],
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    jobs: Annotated[int | None, typer.Option(help="Threads; default: one per processor.", min=1, max=256)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    as_json: JsonOption = False,
    on_conflict: Annotated[
        str | None,
        typer.Option(
            help="Whether an object of a stored UID but with other bytes becomes the current one: "
            "never, always, if-changed (its data set differs). Both are kept. Default: the configured policy.",
            metavar="POLICY",
        ),
    ] = None,
) -> None:
    """Import folders, files, ZIP files and DICOMDIR media.

    The same command continues where an interrupted one stopped. Exit status: 0 all is in the archive, 1 something is
    not, 2 wrong usage.
    """
    if not all(paths):
        raise UsageError("an empty PATH: name a folder or a file")
    root = archive or settings_of(config).archive_path()
    if dry_run and not (root / "hilum.json").exists():
        report = _without_archive(paths, config, jobs, on_conflict)
    else:
        with (
            open_archive(root, config, create=not dry_run, read_only=dry_run) as opened,
            _progress() as progress,
            _few_collections(),
        ):
            report = opened.import_paths(paths, jobs=jobs, on_conflict=on_conflict, dry_run=dry_run, progress=progress)
    if as_json:
        print_json(report.to_dict())
    _summarise(report, error=as_json)
    if not report.ok:
        raise typer.Exit(1)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Have the garbage collector pass over modules, and rarely: an import makes many objects and no cycles.

    By default it takes a seventh of the processor time of an import of small objects.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _without_archive(paths: list[str], config: Path | None, jobs: int | None, on_conflict: str | None) -> ImportReport:
    """Foresee an import into an archive that does not exist yet."""
    from hilum.archive.archive import foresee_import

    with _progress() as progress:
        return foresee_import(
            paths, settings=settings_of(config), jobs=jobs, on_conflict=on_conflict, progress=progress
        )


def _progress() -> AbstractContextManager[Callable[[ImportProgress], None]]:
    return _bar() if sys.stderr.isatty() else _lines()


def _bar() -> AbstractContextManager[Callable[[ImportProgress], None]]:
    """Progress bar with counts, rate and ETA."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Iterator[Callable[[ImportProgress], None]]:
        columns = (
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console(error=True), transient=True) as shown:
            task = shown.add_task("import", total=None, counts="")

            def update(progress: ImportProgress) -> None:
                shown.update(task, total=progress.total_bytes, completed=progress.bytes, counts=_counts(progress))

            yield update

    return bar()


def _lines() -> AbstractContextManager[Callable[[ImportProgress], None]]:
    """One plain line every ten seconds, where there is no terminal."""
    from contextlib import nullcontext

    shown = 0.0

    def update(progress: ImportProgress) -> None:
        nonlocal shown
        if progress.seconds - shown >= 10:
            shown = progress.seconds
            total = f" of {progress.total_files}" if progress.total_files is not None else ""
            print(f"hilum: {progress.files}{total} files; {_counts(progress)}", file=sys.stderr, flush=True)

    return nullcontext(update)


def _counts(progress: ImportProgress) -> str:
    seconds = max(progress.seconds, 1e-3)
    shown = [f"{progress.counts[name]} {name}" for name in _LABELS if progress.counts.get(name)]
    rate = f"{progress.files / seconds:.0f}/s, {human_bytes(progress.bytes / seconds)}/s"
    return ", ".join([*shown, rate])


def _summarise(report: ImportReport, *, error: bool) -> None:
    """Print the table at the end; on standard error when standard output has JSON."""
    from rich.table import Table

    out = console(error=error)
    table = Table(show_header=False, box=None, pad_edge=False)
    for status, label in _LABELS.items():
        if report.counts.get(status):
            table.add_row(str(report.counts[status]), label)
    rate = report.files / max(report.seconds, 1e-3)
    out.print(
        f"{report.files} files, {human_bytes(report.bytes)} in {report.seconds:.1f} s ({rate:.0f}/s)", markup=False
    )
    out.print(table)
    _list(out, "could not be imported", [f"{p.path}: {p.reason}" for p in report.problems])
    _list(out, "same UID, other bytes", [f"{p.path}: {p.status}" for p in report.conflicts])
    _list(out, "not DICOM", report.not_dicom)
    if report.stopped:
        out.print(f"stopped early: {report.stopped}", markup=False)
    if report.dry_run:
        out.print("dry run: nothing was changed")
    elif report.ledger is not None:
        out.print(f"ledger: {report.ledger}", markup=False)


def _list(out: Any, title: str, lines: list[str], most: int = 10) -> None:
    """Print the first lines of a list, and how many there are."""
    if not lines:
        return
    out.print(f"{title}:")
    for line in lines[:most]:
        out.print(f"  {printable(line)}", markup=False)
    if len(lines) > most:
        out.print(f"  … and {len(lines) - most} more in the ledger")
