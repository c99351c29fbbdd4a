"""``hilum refusals``: why not."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, open_archive, print_json, printable

__all__ = ["refusals"]


def refusals(
    peer: Annotated[str, typer.Argument(help="AE title or address; none: all.", metavar="PEER")] = "",
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=500)] = 20,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last DICOM requests that were refused, and why."""
    from hilum.archive.refusals import read_refusals

    with open_archive(archive, config, read_only=True) as opened:
        found = read_refusals(opened.root, peer=peer, limit=limit)
    if as_json:
        print_json([asdict(item) for item in found])
        return
    for item in found:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.time))
        times = f" (x{item.count})" if item.count > 1 else ""
        print(f"{when}  {printable(item.peer) or '-'} at {item.address}  {item.service}: {item.reason}{times}")
