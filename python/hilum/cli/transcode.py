"""``hilum transcode``: one file in another transfer syntax, as dcmconv, dcmcjpeg, dcmcjpls and dcmcrle do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hilum.cli.common import JsonOption, print_json
from hilum.errors import Unavailable

__all__ = ["transcode"]


def transcode(
    source: Annotated[Path, typer.Argument(help="The DICOM file.", metavar="IN")],
    to: Annotated[Path, typer.Argument(help="The file to write; it must not exist.", metavar="OUT")],
    transfer_syntax: Annotated[
        str,
        typer.Option("--transfer-syntax", "-t", help="UID or short name: explicit, rle, jpeg-ls, j2k, htj2k-rpcl, …"),
    ],
    quality: Annotated[int, typer.Option(help="JPEG: 1 to 100.")] = 90,
    near: Annotated[int, typer.Option(help="JPEG-LS near-lossless: greatest difference of a sample.")] = 2,
    ratio: Annotated[float, typer.Option(help="JPEG 2000 with loss: to what part it shrinks; 0: lossless.")] = 10.0,
    step: Annotated[float, typer.Option(help="HTJ2K with loss: quantisation step, part of full scale.")] = 0.0,
    verify: Annotated[bool, typer.Option(help="Decode what was encoded without loss, and compare.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Write a file in another transfer syntax. All else of it stays as it is.

    With loss it becomes a new object: a new SOP Instance UID, Image Type DERIVED, and what was lost is recorded.
    """
    from hilum.archive.stored_object import object_in_file
    from hilum.archive.transcode import transcode_object
    from hilum.codecs.encode import EncodeOptions
    from hilum.codecs.names import transfer_syntax_uid

    uid = transfer_syntax_uid(transfer_syntax)
    options = EncodeOptions(quality=quality, near=near, ratio=ratio, step=step, verify=verify)
    made = transcode_object(object_in_file(source), uid, options)
    try:
        with to.open("xb") as stream:
            try:
                for piece in made.pieces:
                    stream.write(piece)
            except BaseException:
                os.unlink(to)
                raise
    except FileExistsError:
        raise Unavailable(f"{to}: exists already") from None
    except OSError as error:
        raise Unavailable(f"{to}: {error.strerror}") from error
    if as_json:
        print_json(
            {
                "path": str(to),
                "transfer_syntax_uid": uid,
                "size": made.length,
                "sop_instance_uid": made.sop_instance_uid,
            }
        )
