"""``hilum pack``: the files that hold the objects."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, console, human_bytes, open_archive, print_json

__all__ = ["app"]

app = typer.Typer(help="List packs, free the space of deleted objects.", no_args_is_help=True)


@app.command("list")
def list_packs(archive: ArchiveOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all packs with what lives in them."""
    with open_archive(archive, config, read_only=True) as opened:
        states = {state.number: state for state in opened.index.packs()}
        infos = opened.packs.packs()
    rows: list[dict[str, Any]] = []
    for info in infos:
        state = states.get(info.number)
        rows.append(
            {
                "pack": info.number,
                "bytes": info.size,
                "objects": state.live_objects if state else 0,
                "live_bytes": state.live_bytes if state else 0,
                "dead_bytes": state.dead_bytes if state else 0,
                "state": info.damage or (f"sealed ({info.sealed.reason})" if info.sealed else "open"),
            }
        )
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("pack", "size", "objects", "live", "dead", "state"):
        table.add_column(title, justify="left" if title == "state" else "right")
    for row in rows:
        sizes = [human_bytes(row[name]) for name in ("bytes", "live_bytes", "dead_bytes")]
        table.add_row(str(row["pack"]), sizes[0], str(row["objects"]), sizes[1], sizes[2], str(row["state"]))
    console().print(table, markup=False)


@app.command()
def compact(
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    least_dead: Annotated[
        float, typer.Option(help="Share of a pack that must be dead, 0 to 1.", min=0.0, max=1.0)
    ] = 0.2,
    as_json: JsonOption = False,
) -> None:
    """Free the space of deleted objects. What lives is copied to a new pack, then the old one is deleted."""
    with open_archive(archive, config) as opened:
        report = opened.compact(least_dead=least_dead)
    if as_json:
        print_json({name: getattr(report, name) for name in type(report).__slots__})
    else:
        print(f"{report.packs} packs replaced, {report.copied} records copied, {human_bytes(report.freed)} freed")
        for problem in report.problems:
            print(f"  left alone: {problem}")
    if report.problems:
        raise typer.Exit(1)
