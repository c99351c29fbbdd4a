"""``hilum serve``: the web server and the DICOM port on one archive."""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import Annotated, Any

import typer

from hilum.cli.common import ArchiveOption, ConfigOption

__all__ = ["serve"]


def serve(
    archive: ArchiveOption = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on, for HTTP and DICOM; default: the configured one, else loopback.",
            metavar="ADDRESS",
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="HTTP port; 0: any that is free.")] = None,
    dicom_port: Annotated[int | None, typer.Option(min=0, max=65535, help="DICOM port; 0: any that is free.")] = None,
    aet: Annotated[str | None, typer.Option("--aet", help="Our application entity title.", metavar="TITLE")] = None,
    workers: Annotated[int | None, typer.Option(min=0, max=256, help="HTTP processes; 0: one per processor.")] = None,
    dicom: Annotated[bool | None, typer.Option("--dicom/--no-dicom", help="Whether to open the DICOM port.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen elsewhere than loopback without TLS and token.")
    ] = False,
    access_log: Annotated[
        str, typer.Option(help="File for one JSON line per request; '-': standard error.", metavar="FILE")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Serve DICOMweb, the viewer and the DICOM port."""
    from hilum.config import check_value, load_settings
    from hilum.errors import HilumError
    from hilum.server import ServeOptions
    from hilum.server import serve as run

    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        settings = load_settings(config)
        if aet is not None:
            check_value("dimse", "ae_title", aet, where="--aet")
        http = _changed(settings.http, host=host, port=port, workers=workers, insecure=insecure or None)
        dimse = _changed(settings.dimse, host=host, port=dicom_port, ae_title=aet, enabled=dicom)
        settings = dataclasses.replace(settings, http=http, dimse=dimse)
        options = ServeOptions(archive or settings.archive_path(), access_log, lambda line: print(line, flush=True))
        status = run(settings, options)
    except HilumError as error:
        print(f"hilum serve: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


def _changed(area: Any, **values: Any) -> Any:
    """Change the settings of one area by what the command line names."""
    return dataclasses.replace(area, **{name: value for name, value in values.items() if value is not None})
