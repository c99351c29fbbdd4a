"""``hilum mesh``: a surface of a series as a file for printing and viewing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, open_archive, print_json
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from hilum.archive.archive import Archive
    from hilum.volumes.masks import Mask
    from hilum.volumes.volume import Volume

__all__ = ["mesh"]


def mesh(
    series: Annotated[str, typer.Argument(help="Series Instance UID.", metavar="SERIES")],
    to: Annotated[Path, typer.Argument(help="File to write: .stl, .obj or .glb.", metavar="FILE")],
    threshold: Annotated[
        float | None, typer.Option(help="Surface of values of at least this: HU of CT, else modality values.")
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            help="Instead: a segment of a segmentation or a region of a structure set.", metavar="INSTANCE,NUMBER"
        ),
    ] = None,
    below: Annotated[bool, typer.Option("--below", help="Of values of at most the threshold.")] = False,
    faces: Annotated[int, typer.Option(help="At most so many triangles; 0: all.", min=0)] = 0,
    error: Annotated[float, typer.Option(help="As few triangles as this error allows: mm.", min=0)] = 0.0,
    largest: Annotated[int, typer.Option(help="Keep so many connected pieces; 0: all.", min=0)] = 0,
    smooth: Annotated[int | None, typer.Option(help="Passes of smoothing; default: 10 of segments.", min=0)] = None,
    volume: Annotated[int, typer.Option(help="Which volume of the series, the largest first.", min=0)] = 0,
    time: Annotated[int, typer.Option(help="Time point.", min=0)] = 0,
    level: Annotated[int, typer.Option(help="Of the pyramid: each halves the voxels along each axis.", min=0)] = 0,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a surface as STL, OBJ or binary glTF. Closed triangles in LPS and mm; of glTF in metres, Y up."""
    if to.suffix.lower() not in (".stl", ".obj", ".glb"):
        raise UsageError(f"{to}: the ending must be .stl, .obj or .glb")
    with open_archive(archive, config, read_only=True) as opened:
        found = _volume(opened, series, volume)
        made = found.mesh(
            threshold,
            segment=None if segment is None else _segment(opened, segment, found),
            below=below,
            faces=faces,
            error=error,
            largest=largest,
            smooth=smooth,
            time=time,
            level=level,
        )
    if not len(made.triangles):
        raise NotFound("there is no surface: nothing, or everything, is inside")
    made.save(to)
    if as_json:
        print_json(
            {
                "path": str(to),
                "vertices": len(made.vertices),
                "triangles": len(made.triangles),
                "triangles_before": made.triangles_before,
                "area_mm2": made.area_mm2,
                "volume_ml": made.volume_ml,
                "closed": made.is_closed,
            }
        )
    else:
        print(f"{to}: {len(made.triangles)} triangles, {made.volume_ml:.1f} ml, {made.area_mm2 / 100:.0f} cm²")


def _volume(archive: Archive, series: str, number: int) -> Volume:
    found = archive.series(series_instance_uid=series)
    if not found:
        raise NotFound("there is no such series")
    return found[0].volume(number)


def _segment(archive: Archive, text: str, volume: Volume) -> Mask:
    from hilum.archive.measured import find_segment

    instance, *numbers = text.split(",")
    if not instance or len(numbers) not in (1, 2) or not all(n.isdecimal() and len(n) < 10 for n in numbers):
        raise UsageError("write a segment as INSTANCE,NUMBER or INSTANCE,NUMBER,TIME")
    return find_segment(archive, instance, int(numbers[0]), volume.grid, int(numbers[1]) if numbers[1:] else None)
