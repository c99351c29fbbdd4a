"""Entry point of the command `hilum`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hilum.cli import (
    config,
    delete,
    dicom,
    doctor,
    export,
    import_,
    index,
    mesh,
    migrate,
    pack,
    refusals,
    serve,
    studies,
    transcode,
    verify,
)
from hilum.errors import HilumError, UsageError

__all__ = ["app", "main"]

app = typer.Typer(
    name="hilum",
    help="hilum: an archive for medical images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("import")(import_.import_)
app.command("serve")(serve.serve)
app.command("studies")(studies.studies)
app.command("export")(export.export)
app.command("mesh")(mesh.mesh)
app.command("transcode")(transcode.transcode)
app.command("verify")(verify.verify)
app.command("delete")(delete.delete)
app.command("refusals")(refusals.refusals)
app.command("doctor")(doctor.doctor)
for _command in (dicom.echo, dicom.store, dicom.find, dicom.move, dicom.get):
    app.command(_command.__name__)(_command)
app.add_typer(index.app, name="index")
app.add_typer(migrate.app, name="migrate")
app.add_typer(pack.app, name="pack")
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"hilum {version('hilum')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """hilum: an archive for medical images."""


def main() -> None:
    """Run the command line; an error is one line on standard error and exit status 1, 2 for the caller's mistakes."""
    try:
        app()
    except HilumError as error:
        print(f"hilum: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
