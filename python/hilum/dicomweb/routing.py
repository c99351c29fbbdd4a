"""The routes of PS3.18 as one table, matched by hand; the OpenAPI document is written from the same table.

In every template the literals are the odd segments and the variables the even ones, so a path is matched by one
dictionary look-up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hilum.errors import NotFound, UsageError

__all__ = ["ROUTES", "Endpoint", "Match", "check_uid", "is_uid", "match", "parse_frames"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One resource of PS3.18.

    Parameters
    ----------
    template : str
        Path below the service root with ``{study}``, ``{series}``, ``{instance}``, ``{frames}`` or ``{path}``.
    name : str
        Which handler answers it.
    level : str
        ``"patient"``, ``"study"``, ``"series"``, ``"instance"`` or ``"frame"``.
    methods : tuple of str
        What is answered; HEAD goes with GET, OPTIONS always.
    summary : str
        One line for people.
    section : str
        Where in PS3.18.
    """

    template: str
    name: str
    level: str
    methods: tuple[str, ...]
    summary: str
    section: str

    @property
    def label(self) -> str:
        """Name for logs and metrics."""
        return "/dicom-web" + self.template


_GET = ("GET",)
_STUDY = "/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
_FRAMES = _INSTANCE + "/frames/{frames}"


def _volumes(word: str, name: str, what: str, section: str) -> tuple[Endpoint, ...]:
    """Resources of Supplement 228 at their three levels."""
    return tuple(
        Endpoint(f"{base}/{word}", name, level, _GET, f"{level.capitalize()} as an image: the {what}", section)
        for base, level in ((_STUDY, "study"), (_SERIES, "series"), (_INSTANCE, "instance"))
    )


ROUTES: Final = (
    Endpoint("/patients", "search", "patient", _GET, "Search for patients", "10.6 (extension)"),
    Endpoint("/studies", "search", "study", ("GET", "POST"), "Search for studies; store instances", "10.6, 10.5"),
    Endpoint("/series", "search", "series", _GET, "Search for series", "10.6"),
    Endpoint("/instances", "search", "instance", _GET, "Search for instances", "10.6"),
    Endpoint(_STUDY + "/series", "search", "series", _GET, "Search for the series of a study", "10.6"),
    Endpoint(_STUDY + "/instances", "search", "instance", _GET, "Search for the instances of a study", "10.6"),
    Endpoint(_SERIES + "/instances", "search", "instance", _GET, "Search for the instances of a series", "10.6"),
    Endpoint(_STUDY, "objects", "study", ("GET", "POST"), "Retrieve a study; store instances of it", "10.4, 10.5"),
    Endpoint(_SERIES, "objects", "series", _GET, "Retrieve a series", "10.4"),
    Endpoint(_INSTANCE, "objects", "instance", _GET, "Retrieve an instance", "10.4"),
    Endpoint(_STUDY + "/metadata", "metadata", "study", _GET, "Metadata of a study", "10.4.1.1.2"),
    Endpoint(_SERIES + "/metadata", "metadata", "series", _GET, "Metadata of a series", "10.4.1.1.2"),
    Endpoint(_INSTANCE + "/metadata", "metadata", "instance", _GET, "Metadata of an instance", "10.4.1.1.2"),
    Endpoint(_STUDY + "/rendered", "rendered", "study", _GET, "Study as images", "10.4.1.1.3"),
    Endpoint(_SERIES + "/rendered", "rendered", "series", _GET, "Series as images", "10.4.1.1.3"),
    Endpoint(
        _INSTANCE + "/rendered", "rendered", "instance", _GET, "Instance as image, video or document", "10.4.1.1.3"
    ),
    Endpoint(_FRAMES + "/rendered", "rendered", "frame", _GET, "Frames as images", "10.4.1.1.3"),
    Endpoint(
        _INSTANCE + "/rendered/{frames}", "rendered", "frame", _GET, "The same, as some viewers spell it", "10.4.1.1.3"
    ),
    *_volumes("renderedmpr", "renderedmpr", "plane or slab through a volume", "10.4.1.1.7"),
    *_volumes("rendered3d", "rendered3d", "volume in three dimensions", "10.4.1.1.8"),
    *_volumes("rendered3D", "rendered3d", "same, as PS3.18 B.32 spells it", "10.4.1.1.8"),
    Endpoint(_STUDY + "/thumbnail", "thumbnail", "study", _GET, "Small image of a study", "10.4.1.1.5"),
    Endpoint(_SERIES + "/thumbnail", "thumbnail", "series", _GET, "Small image of a series", "10.4.1.1.5"),
    Endpoint(_INSTANCE + "/thumbnail", "thumbnail", "instance", _GET, "Small image of an instance", "10.4.1.1.5"),
    Endpoint(_FRAMES + "/thumbnail", "thumbnail", "frame", _GET, "Small image of a frame", "10.4.1.1.5"),
    Endpoint(
        _INSTANCE + "/thumbnail/{frames}",
        "thumbnail",
        "frame",
        _GET,
        "The same, as some viewers spell it",
        "10.4.1.1.5",
    ),
    Endpoint(_FRAMES, "frames", "frame", _GET, "Frames as stored or decoded", "10.4.1.1.6"),
    Endpoint(_INSTANCE + "/bulkdata/{path}", "bulkdata", "instance", _GET, "One large element", "10.4.1.1.4"),
)


@dataclass(frozen=True, slots=True)
class Match:
    """What a path names."""

    endpoint: Endpoint
    study: str = ""
    series: str = ""
    instance: str = ""
    frames: str = ""
    path: str = ""


def _literals(template: str) -> tuple[tuple[str, ...], int]:
    parts = template.split("/")
    return tuple(parts[1::2]), len(parts) & 1


def _variables(template: str) -> tuple[str, ...]:
    return tuple(part[1:-1] for part in template.split("/")[2::2])


_TABLE: Final = {_literals(e.template): (e, _variables(e.template)) for e in ROUTES}
_BULKDATA: Final = next(e for e in ROUTES if e.name == "bulkdata")
_UID: Final = re.compile(r"[0-9.]{1,64}")
_FRAME_LIST: Final = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")
MAX_FRAMES_PER_REQUEST: Final = 65536


def is_uid(value: str) -> bool:
    """Whether ``value`` is spelt like a UID (PS3.5 9.1)."""
    return _UID.fullmatch(value) is not None


def check_uid(value: str) -> str:
    """Return ``value`` when it is spelt like a UID (PS3.5 9.1), else raise `UsageError`; the value is not repeated."""
    if not _UID.fullmatch(value):
        raise UsageError("the URL holds a UID with characters other than digits and dots, or longer than 64")
    return value


def match(path: str) -> Match:
    """Find the resource that a path names.

    Parameters
    ----------
    path : str
        Path below the service root, percent-decoded, beginning with ``/``.

    Raises
    ------
    NotFound
        No such resource.
    UsageError
        A UID that cannot be one.
    """
    parts = path.split("/")
    if len(parts) > 2 and not parts[-1]:
        parts.pop()
    if len(parts) > 8 and parts[7] == "bulkdata":
        key, tail = (("studies", "series", "instances"), "/".join(parts[8:]))
        if tuple(parts[1:7:2]) != key:
            raise NotFound("no such resource")
        return Match(_BULKDATA, check_uid(parts[2]), check_uid(parts[4]), check_uid(parts[6]), path=tail)
    found = _TABLE.get((tuple(parts[1::2]), len(parts) & 1))
    if found is None:
        raise NotFound("no such resource")
    endpoint, names = found
    values = parts[2::2]
    count = len(values)
    frames = ""
    if count and names[-1] == "frames":
        frames = values.pop()
        count -= 1
    for value in values:
        check_uid(value)
    return Match(
        endpoint,
        values[0] if count else "",
        values[1] if count > 1 else "",
        values[2] if count > 2 else "",
        frames,
    )


def parse_frames(text: str) -> list[int]:
    """Frame numbers, from 1, of a frame list ``"1,4,7"`` (PS3.18 10.4.1.1.6).

    Raises
    ------
    UsageError
        Not a list of positive numbers.
    """
    if not _FRAME_LIST.fullmatch(text):
        raise UsageError("a frame list holds numbers from 1, separated by commas")
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise UsageError("frame numbers begin with 1")
    if len(numbers) > MAX_FRAMES_PER_REQUEST:
        raise UsageError(f"more than {MAX_FRAMES_PER_REQUEST} frames in one request")
    return numbers
