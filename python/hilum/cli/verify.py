"""``hilum verify``: whether everything that was stored is still what it was."""

from __future__ import annotations

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, human_bytes, open_to_verify, print_json
from hilum.cli.progress import bytes_bar

__all__ = ["verify"]


def verify(archive: ArchiveOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Re-hash every object, compare packs and index both ways. Exit status 1 if anything is wrong."""
    with open_to_verify(archive, config) as opened, bytes_bar("verify") as progress:
        report = opened.verify(progress)
    if as_json:
        print_json({"ok": report.ok, **{name: getattr(report, name) for name in type(report).__slots__}})
    else:
        size = human_bytes(report.bytes)
        print(f"{report.records} records, {size}; {report.objects} objects in the index, {report.dead} records deleted")
        for problem in report.problems:
            print(f"  {problem}")
        print("everything is as it was stored" if report.ok else f"{len(report.problems)} problems")
    if not report.ok:
        raise typer.Exit(1)
