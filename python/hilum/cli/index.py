"""``hilum index``: make it again, check it."""

from __future__ import annotations

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, open_to_verify, print_json, settings_of
from hilum.cli.progress import bytes_bar

__all__ = ["app"]

app = typer.Typer(help="Rebuild and check the index.", no_args_is_help=True)


@app.command()
def rebuild(archive: ArchiveOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the index again from the packs. Nobody else may use the archive meanwhile."""
    from hilum.archive.archive import rebuild_index

    settings = settings_of(config)
    with bytes_bar("rebuild") as progress:
        report = rebuild_index(archive or settings.archive_path(), settings=settings, progress=progress)
    if as_json:
        print_json({name: getattr(report, name) for name in type(report).__slots__})
    else:
        print(f"{report.objects} objects from {report.packs} packs, {report.deleted} of them deleted")
        for problem in report.problems:
            print(f"  {problem}")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def verify(archive: ArchiveOption = None, config: ConfigOption = None) -> None:
    """Check every record, key and counter of the index. Exit status 1 if anything is wrong."""
    with open_to_verify(archive, config) as opened:
        findings = opened.index.verify()
    for finding in findings:
        print(finding)
    print("the index is sound" if not findings else "run: hilum index rebuild")
    if findings:
        raise typer.Exit(1)
