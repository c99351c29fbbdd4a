"""``hilum delete``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, human_bytes, open_archive
from hilum.errors import UsageError

if TYPE_CHECKING:
    from hilum.types import Level

__all__ = ["delete"]


def delete(
    study: Annotated[list[str] | None, typer.Option(help="Study Instance UID.", metavar="UID")] = None,
    series: Annotated[list[str] | None, typer.Option(help="Series Instance UID.", metavar="UID")] = None,
    instance: Annotated[list[str] | None, typer.Option(help="SOP Instance UID.", metavar="UID")] = None,
    reason: Annotated[str, typer.Option(help="Kept with the deletion; no patient data.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete studies, series or instances. `hilum pack compact` frees their space."""
    wanted: list[tuple[Level, list[str]]] = [
        ("study", study or []),
        ("series", series or []),
        ("instance", instance or []),
    ]
    count = sum(len(uids) for _, uids in wanted)
    if not count:
        raise UsageError("name what to delete: --study, --series or --instance")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("to delete without being asked, give --yes")
        typer.confirm(f"Delete {count} {'thing' if count == 1 else 'things'} for good?", abort=True)
    with open_archive(archive, config) as opened:
        for level, uids in wanted:
            if uids:
                report = opened.delete(level, uids, reason=reason)
                print(
                    f"{report.objects} objects deleted, {human_bytes(report.bytes)} to be freed by: hilum pack compact"
                )
