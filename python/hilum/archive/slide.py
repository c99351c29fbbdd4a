"""Where the frames of a whole slide image lie in its total pixel matrix (PS3.3 C.7.6.17.3, C.8.12.4, C.8.12.14)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final

from hilum.errors import Conflict, DataError, NotFound
from hilum.pixels.cielab import rgb_of_cielab

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "SlidePlace",
    "TileGrid",
    "channels_of",
    "grid_of",
    "optical_paths",
    "place_of",
    "place_of_path",
    "tile_places",
]

_COLUMNS: Final = "00280011"
_ROWS: Final = "00280010"
_TOTAL_COLUMNS: Final = "00480006"
_TOTAL_ROWS: Final = "00480007"
_ORGANIZATION: Final = "00209311"
_FOCAL_PLANES: Final = "00480303"
_PATHS: Final = "00480105"
_PATH: Final = "00480106"
_WAVE_LENGTH: Final = "00220055"
_LIGHT_COLOUR: Final = "00480108"
_CODE_VALUE: Final = "00080100"
_IMAGE_TYPE: Final = "00080008"
_PATH_IDENTIFICATION: Final = "00480207"
_PER_FRAME: Final = "52009230"
_SHARED: Final = "52009229"
_POSITION: Final = "0048021A"
_COLUMN_POSITION: Final = "0048021E"
_ROW_POSITION: Final = "0048021F"
_Z_OFFSET: Final = "0040074A"
_ORIGIN: Final = "00480008"
_X_OFFSET: Final = "0040072A"
_Y_OFFSET: Final = "0040073A"
_ORIENTATION: Final = "00480102"
_MEASURES: Final = "00289110"
_SPACING: Final = "00280030"
_FRAME_OF_REFERENCE: Final = "00200052"
_SEGMENT_IDENTIFICATION: Final = "0062000A"
_SEGMENT: Final = "0062000B"
_ABSENT: Final = "00480015"
_MAX_TILES: Final = 1 << 24
_TURNED: Final = 1e-3
"""Difference of direction cosines that is none."""


@dataclass(frozen=True, slots=True)
class SlidePlace:
    """Where a total pixel matrix lies on its slide (PS3.3 C.8.12.2.1), mm."""

    frame_of_reference_uid: str
    origin: tuple[float, float]
    """Of the upper left corner of the matrix: X and Y Offset in Slide Coordinate System."""
    orientation: tuple[float, ...]
    """Image Orientation (Slide): along a row, then along a column."""
    spacing: tuple[float, float]
    """Between rows, between columns."""

    def within(self, other: SlidePlace) -> tuple[float, float, float, float]:
        """Give scale and offset, across and down, from pixels of this matrix to those of another.

        Corners are counted, as in the levels of a pyramid: all of them have one origin.

        Raises
        ------
        Conflict
            They are in different frames of reference, or turned against one another.
        """
        if not self.frame_of_reference_uid or self.frame_of_reference_uid != other.frame_of_reference_uid:
            raise Conflict("the overlay is in another frame of reference than the slide")
        if any(abs(a - b) > _TURNED for a, b in zip(self.orientation, other.orientation, strict=True)):
            raise Conflict("the overlay is turned against the slide")
        moved = self.origin[0] - other.origin[0], self.origin[1] - other.origin[1]
        (rx, ry), (cx, cy) = self.orientation[0:2], self.orientation[3:5]
        left, top = moved[0] * rx + moved[1] * ry, moved[0] * cx + moved[1] * cy
        return (
            self.spacing[1] / other.spacing[1],
            left / other.spacing[1],
            self.spacing[0] / other.spacing[0],
            top / other.spacing[0],
        )


@dataclass(frozen=True, slots=True)
class TileGrid:
    """One plane of a tiled image: a focal plane of an optical path."""

    columns: int
    """Of the total pixel matrix."""
    rows: int
    tile_columns: int
    tile_rows: int
    first: int
    """Frame (from 0) of the upper left tile when all tiles are there, row by row (TILED_FULL)."""
    places: Mapping[tuple[int, int], int] | None
    """Frame by ``(column, row)`` of the grid when tiles may be missing (TILED_SPARSE); None: `first` counts."""
    absent: tuple[int, int, int]
    """RGB of what no tile covers (Recommended Absent Pixel CIELab Value)."""
    place: SlidePlace | None = None
    """Where it lies on its slide; None: the image does not say so."""

    @property
    def across(self) -> int:
        """Tiles beside one another."""
        return -(-self.columns // self.tile_columns)

    @property
    def down(self) -> int:
        """Tiles below one another."""
        return -(-self.rows // self.tile_rows)

    def frame_at(self, column: int, row: int) -> int | None:
        """Frame (from 0) of a place of the grid; None when nothing was stored there."""
        if not (0 <= column < self.across and 0 <= row < self.down):
            return None
        if self.places is None:
            return self.first + row * self.across + column
        return self.places.get((column, row))


def place_of(document: Mapping[str, Any]) -> SlidePlace | None:
    """Read where a total pixel matrix lies from an object's DICOM JSON; None where it does not say so."""
    measures = _first(_first(document, _SHARED), _MEASURES)
    origin = _first(document, _ORIGIN)
    spacing = measures.get(_SPACING, {}).get("Value") or []
    orientation = document.get(_ORIENTATION, {}).get("Value") or []
    offsets = [(origin.get(tag, {}).get("Value") or [None])[0] for tag in (_X_OFFSET, _Y_OFFSET)]
    try:
        down, across = map(float, spacing)
        x, y = map(float, offsets)
        axes = tuple(map(float, orientation))
    except (TypeError, ValueError):
        return None
    if len(axes) != 6 or not all(map(isfinite, (*axes, x, y))) or not (0 < down < inf and 0 < across < inf):
        return None
    return SlidePlace(_text(document, _FRAME_OF_REFERENCE), (x, y), axes, (down, across))


def tile_places(document: Mapping[str, Any], segments: Sequence[int]) -> list[tuple[int, int, int]]:
    """Segment, column and row (from 0) of the upper left pixel of each frame of a tiled segmentation.

    Parameters
    ----------
    segments : sequence of int
        Numbers of the segments that frames of a full matrix follow one after the other; one 0 of a label map.

    Raises
    ------
    DataError
        A frame does not say where it lies, or of which segment it is.
    """
    per_frame = document.get(_PER_FRAME, {}).get("Value") or []
    if _text(document, _ORGANIZATION) == "TILED_FULL" or not per_frame:
        wide, high = _number(document, _COLUMNS), _number(document, _ROWS)
        across = range(0, _number(document, _TOTAL_COLUMNS), max(1, wide))
        down = range(0, _number(document, _TOTAL_ROWS), max(1, high))
        if len(across) * len(down) * len(segments) > _MAX_TILES:
            raise DataError("the total pixel matrix has too many tiles for its size (0048,0006), (0048,0007)")
        return [(segment, x, y) for segment in segments for y in down for x in across]
    shared = _first(document, _SHARED)
    found = []
    for frame, groups in enumerate(per_frame):
        position = _first(groups, _POSITION) or _first(shared, _POSITION)
        identification = _first(groups, _SEGMENT_IDENTIFICATION) or _first(shared, _SEGMENT_IDENTIFICATION)
        x, y = _number(position, _COLUMN_POSITION) - 1, _number(position, _ROW_POSITION) - 1
        segment = 0 if tuple(segments) == (0,) else _number(identification, _SEGMENT)
        if x < 0 or y < 0 or segment not in segments:
            raise DataError(f"frame {frame + 1} does not say where it lies (0048,021A), or of which segment it is")
        found.append((segment, x, y))
    return found


def optical_paths(document: Mapping[str, Any]) -> list[str]:
    """Optical Path Identifiers (0048,0106) of an object's DICOM JSON, in their order; one empty one where none is."""
    return [_text(item, _PATH) for item in _path_items(document)]


def channels_of(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Give for each image of a slide its optical paths: the name that they have in the slide, and in the image.

    Some programs name the optical path of a level that they make anew. A resampled image smaller than the largest,
    which comes first, that shares no name with the others, but has as many paths of the same light, has theirs.
    """
    largest = [_number(document, _TOTAL_COLUMNS) for document in documents[:1]]
    acquired = [one for one in documents if not _is_resampled(one) or _number(one, _TOTAL_COLUMNS) in largest]
    channels: dict[str, tuple[str, ...]] = {}
    for document in acquired:
        for item in _path_items(document):
            channels.setdefault(_text(item, _PATH), _light(item))
    found = []
    for document in documents:
        own = {_text(item, _PATH): _light(item) for item in _path_items(document)}
        renamed = not channels.keys() & own.keys() and list(own.values()) == list(channels.values())
        found.append(dict(zip(channels, own, strict=True)) if renamed else {path: path for path in own})
    return found


def _is_resampled(document: Mapping[str, Any]) -> bool:
    return (document.get(_IMAGE_TYPE, {}).get("Value") or [])[3:4] == ["RESAMPLED"]


def _light(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Wave length and colour of the light of an optical path."""
    return _text(item, _WAVE_LENGTH), _text(_first(item, _LIGHT_COLOUR), _CODE_VALUE)


def _path_items(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return document.get(_PATHS, {}).get("Value") or [{}]


def grid_of(document: Mapping[str, Any], *, optical_path: str | None = None, focal_plane: int = 0) -> TileGrid | None:
    """Read the grid of one plane from an object's DICOM JSON.

    Parameters
    ----------
    document : mapping
        DICOM JSON (PS3.18 F) of the instance.
    optical_path : str, optional
        Its identifier (0048,0106); the first one that has frames unless said.
    focal_plane : int
        From 0, from the plane next to the slide upwards.

    Returns
    -------
    TileGrid or None
        None when the object has no total pixel matrix.

    Raises
    ------
    NotFound
        There is no such optical path or focal plane.
    DataError
        The attributes contradict each other, or the tiles do not lie on one grid.
    """
    total = _number(document, _TOTAL_COLUMNS), _number(document, _TOTAL_ROWS)
    tile = _number(document, _COLUMNS), _number(document, _ROWS)
    if not all(total) or not all(tile):
        return None
    across, down = -(-total[0] // tile[0]), -(-total[1] // tile[1])
    if across * down > _MAX_TILES:
        raise DataError("the total pixel matrix has too many tiles for its size (0048,0006), (0048,0007)")
    absent = _rgb(document.get(_ABSENT, {}).get("Value"))
    frames = max(1, _number(document, "00280008"))
    per_frame = document.get(_PER_FRAME, {}).get("Value") or []
    if _text(document, _ORGANIZATION) != "TILED_FULL" and per_frame:
        places = _sparse(document, per_frame, tile, optical_path, focal_plane)
        return TileGrid(*total, *tile, 0, places, absent, place_of(document))
    planes = max(1, _number(document, _FOCAL_PLANES))
    if frames < across * down:
        raise DataError(f"{frames} frames do not cover a total pixel matrix of {across} x {down} tiles")
    path = 0 if optical_path is None else place_of_path(optical_path, optical_paths(document))
    first = (path * planes + focal_plane) * across * down
    if not 0 <= focal_plane < planes or first + across * down > frames:
        raise NotFound(f"the slide has {planes} focal planes, and {frames} frames")
    return TileGrid(*total, *tile, first, None, absent, place_of(document))


def _sparse(
    document: Mapping[str, Any],
    per_frame: Sequence[Mapping[str, Any]],
    tile: tuple[int, int],
    optical_path: str | None,
    focal_plane: int,
) -> dict[tuple[int, int], int]:
    shared = _first(document, _SHARED)
    named = optical_paths(document)
    only = named[0] if len(named) == 1 else ""
    found: list[tuple[str, float, tuple[int, int], int]] = []
    for frame, groups in enumerate(per_frame):
        position = _first(groups, _POSITION) or _first(shared, _POSITION)
        column, row = _number(position, _COLUMN_POSITION) - 1, _number(position, _ROW_POSITION) - 1
        if column < 0 or row < 0:
            raise DataError(f"frame {frame + 1} does not say where it lies in the total pixel matrix (0048,021A)")
        if column % tile[0] or row % tile[1]:
            raise DataError(f"frame {frame + 1} does not lie on the grid of the others; ask for it by its number")
        identification = _first(groups, _PATH_IDENTIFICATION) or _first(shared, _PATH_IDENTIFICATION)
        z = float((position.get(_Z_OFFSET, {}).get("Value") or [0])[0] or 0)
        found.append((_text(identification, _PATH) or only, z, (column // tile[0], row // tile[1]), frame))
    present = {path for path, *_ in found}
    paths = [path for path in named if path in present] or sorted(present)
    path = paths[0 if optical_path is None else place_of_path(optical_path, paths)]
    heights = sorted({z for name, z, *_ in found if name == path})
    if not 0 <= focal_plane < len(heights):
        raise NotFound(f"the optical path has {len(heights)} focal planes")
    return {place: frame for name, z, place, frame in found if (name, z) == (path, heights[focal_plane])}


def place_of_path(optical_path: str, paths: Sequence[str]) -> int:
    """Position of an optical path among identifiers; NotFound when it is none of them."""
    if optical_path not in paths:
        raise NotFound(f"there is no such optical path (0048,0106); there is {', '.join(paths[:32]) or 'none'}")
    return paths.index(optical_path)


def _first(item: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
    values = item.get(tag, {}).get("Value") or [{}]
    return values[0] if isinstance(values[0], dict) else {}


def _number(item: Mapping[str, Any], tag: str) -> int:
    value = (item.get(tag, {}).get("Value") or [0])[0]
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _text(item: Mapping[str, Any], tag: str) -> str:
    return str((item.get(tag, {}).get("Value") or [""])[0] or "").strip()


def _rgb(lab: Sequence[Any] | None) -> tuple[int, int, int]:
    """Colour of a CIELab value as DICOM encodes it (PS3.3 C.10.7.1.1), white without one."""
    return rgb_of_cielab(*map(float, lab)) if lab and len(lab) == 3 else (255, 255, 255)
