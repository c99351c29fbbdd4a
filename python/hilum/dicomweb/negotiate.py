"""Content negotiation of PS3.18 8.7: what the client accepts against what is stored and what can be made.

Every choice is a pure function of two small values, so the tests are tables. Tolerant where clients in use are
wrong: unquoted ``type`` parameters, ``+`` that became a blank in a query, private names of media types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "DEFAULT_SYNTAX",
    "EXPLICIT_LITTLE_ENDIAN",
    "NATIVE",
    "STORED_MEDIA",
    "FrameChoice",
    "MediaRange",
    "NotAcceptable",
    "ObjectChoice",
    "choose_bulkdata",
    "choose_frames",
    "choose_metadata",
    "choose_objects",
    "choose_rendered",
    "parse_accept",
]

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
NATIVE: Final = frozenset({IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, DEFLATED, EXPLICIT_BIG_ENDIAN})
"""Transfer syntaxes whose pixel data is not encapsulated."""

_JPEG = "1.2.840.10008.1.2.4."
_VIDEO_MP4 = tuple(
    _JPEG + tail
    for tail in ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1", "107", "108")
)
_VIDEO_MPEG = tuple(_JPEG + tail for tail in ("100", "100.1", "101", "101.1"))

STORED_MEDIA: Final[dict[str, tuple[str, ...]]] = {
    "1.2.840.10008.1.2.5": ("image/dicom-rle",),
    **{_JPEG + tail: ("image/jpeg",) for tail in ("50", "51", "53", "55", "57", "70")},
    **{_JPEG + tail: ("image/jls",) for tail in ("80", "81")},
    **{_JPEG + tail: ("image/jp2", "image/j2c") for tail in ("90", "91")},
    **{_JPEG + tail: ("image/jpx",) for tail in ("92", "93")},
    **{_JPEG + tail: ("image/jphc",) for tail in ("201", "202", "203")},
    **{_JPEG + tail: ("image/jxl",) for tail in ("110", "111", "112")},
    **dict.fromkeys(_VIDEO_MP4, ("video/mp4",)),
    **dict.fromkeys(_VIDEO_MPEG, ("video/mpeg",)),
}
"""Media types of a frame as stored, by transfer syntax (PS3.18 Table 8.7.3-5); the first is the usual one."""
DEFAULT_SYNTAX: Final = {
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jpeg": _JPEG + "70",
    "image/jls": _JPEG + "80",
    "image/jp2": _JPEG + "90",
    "image/j2c": _JPEG + "90",
    "image/jpx": _JPEG + "92",
    "image/jphc": _JPEG + "201",
    "image/jxl": _JPEG + "110",
}
"""Transfer syntax of a media type that comes without one (PS3.18 Table 8.7.3-5); ``image/*`` is ``image/jpeg``."""

_ALIASES: Final = {
    "image/x-dicom+rle": "image/dicom-rle",
    "image/x-dicom-rle": "image/dicom-rle",
    "image/x-dicom rle": "image/dicom-rle",
    "image/dicom+rle": "image/dicom-rle",
    "image/dicom rle": "image/dicom-rle",
    "image/x-jls": "image/jls",
    "image/dicom+jpeg-jls": "image/jls",
    "image/dicom+jpeg": "image/jpeg",
    "image/jpll": "image/jpeg",
    "image/jll": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/dicom+jp2": "image/jp2",
    "image/dicom+jpx": "image/jpx",
    "image/j2k": "image/j2c",
    "image/x-j2c": "image/j2c",
    "image/htj2k": "image/jphc",
    "video/mpeg2": "video/mpeg",
    "x-dicom rle": "image/dicom-rle",
    "x-dicom-rle": "image/dicom-rle",
}
_MULTIPART: Final = "multipart/related"
_OCTETS: Final = "application/octet-stream"
_CACHED_HEADER_BYTES: Final = 512


class NotAcceptable(Exception):
    """Nothing that the client accepts can be made (406); the message lists what can."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept header (RFC 9110 12.5.1)."""

    type: str
    """Media type in lower case; for ``multipart/related`` the type of its parts, ``*/*`` when not given."""
    multipart: bool
    """Whether ``multipart/related`` was asked for."""
    transfer_syntax: str = ""
    """UID, ``*`` for as stored, empty when not given."""
    quality: float = 1.0
    parameters: dict[str, str] = field(default_factory=dict, compare=False)


ANYTHING: Final = (MediaRange("*/*", multipart=False),)


def _split(text: str, separator: str) -> list[str]:
    """Split outside quoted strings."""
    if '"' not in text:
        return text.split(separator)
    parts, start, quoted = [], 0, False
    for index, char in enumerate(text):
        if char == '"' and (index == 0 or text[index - 1] != "\\"):
            quoted = not quoted
        elif char == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def parse_parameters(pieces: Iterable[str]) -> dict[str, str]:
    """``name=value`` pieces of a header value; quotes are taken off, names become lower case, the first wins."""
    parameters: dict[str, str] = {}
    for piece in pieces:
        name, found, value = piece.partition("=")
        name = name.strip().lower()
        if found and name not in parameters:
            parameters[name] = value.strip().strip('"')
    return parameters


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return min(max(value, 0.0), 1.0)


def _media_range(text: str) -> MediaRange | None:
    pieces = _split(text, ";")
    media_type = pieces[0].strip().lower()
    if not media_type:
        return None
    parameters = parse_parameters(pieces[1:])
    multipart = media_type == _MULTIPART
    if multipart:
        media_type = parameters.get("type", "*/*").lower() or "*/*"
    elif media_type == "*":
        media_type = "*/*"
    return MediaRange(
        _ALIASES.get(media_type, media_type),
        multipart,
        parameters.get("transfer-syntax", ""),
        _quality(parameters.get("q", "1")),
        parameters,
    )


def _parse(text: str) -> tuple[MediaRange, ...]:
    ranges = [found for piece in _split(text, ",") if (found := _media_range(piece)) is not None and found.quality > 0]
    ranges.sort(key=lambda found: -found.quality)  # stable: the client's order among equals
    return tuple(ranges) or ANYTHING


@lru_cache(maxsize=256)
def _parse_cached(text: str) -> tuple[MediaRange, ...]:
    return _parse(text)


def parse_accept(text: str) -> tuple[MediaRange, ...]:
    """Media ranges of an Accept header or an ``accept`` query value, best first; everything when there is none."""
    if not text:
        return ANYTHING
    return _parse_cached(text) if len(text) <= _CACHED_HEADER_BYTES else _parse(text)


def _is_wild(media_type: str, *families: str) -> bool:
    return media_type == "*/*" or (media_type.endswith("/*") and media_type[:-2] in families)


@dataclass(frozen=True, slots=True)
class ObjectChoice:
    """How whole objects are answered."""

    form: str
    """``"multipart"``, ``"single"`` (application/dicom) or ``"zip"``."""
    transfer_syntax: str
    """UID asked for, ``*`` for as stored."""
    quality: float = 1.0


def choose_objects(ranges: tuple[MediaRange, ...], *, single: bool) -> tuple[ObjectChoice, ...]:
    """Ways to answer a study, series or instance, best first.

    Parameters
    ----------
    ranges : tuple of MediaRange
        What the client accepts.
    single : bool
        Whether one instance is asked for, which may be answered as a bare ``application/dicom``.

    Notes
    -----
    Without a transfer syntax, Explicit VR Little Endian is meant (PS3.18 8.7.3.5.2); ``*`` is as stored.
    """
    choices = []
    for wanted in ranges:
        syntax = wanted.transfer_syntax or EXPLICIT_LITTLE_ENDIAN
        if wanted.type == "application/zip":
            choices.append(ObjectChoice("zip", wanted.transfer_syntax or "*", wanted.quality))
        elif wanted.multipart and wanted.type in ("application/dicom", "*/*", "application/*"):
            choices.append(ObjectChoice("multipart", syntax, wanted.quality))
        elif wanted.type == "application/dicom":
            if single:
                choices.append(ObjectChoice("single", syntax, wanted.quality))
        elif _is_wild(wanted.type, "application", "multipart"):
            choices.append(ObjectChoice("multipart", syntax, wanted.quality))
    if not choices:
        raise NotAcceptable(
            "objects are answered as multipart/related; type=application/dicom, as application/zip, "
            "one instance also as application/dicom"
        )
    return tuple(choices)


_JSON_TYPES: Final = frozenset({"application/dicom+json", "application/json", "text/json"})


def choose_metadata(ranges: tuple[MediaRange, ...]) -> str:
    """``"json"`` or ``"xml"`` for metadata, search results and store responses.

    Clients that list JSON beside types that make no sense here get JSON and no complaint.
    """
    for wanted in ranges:
        if wanted.type in _JSON_TYPES or _is_wild(wanted.type, "application"):
            return "json"
        if wanted.type == "application/dicom+xml":
            return "xml"
    raise NotAcceptable(
        "answered as application/dicom+json, application/json or multipart/related; type=application/dicom+xml"
    )


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """How frames are answered."""

    as_stored: bool
    """The bytes of the frame as they are, else made: decoded to little-endian native samples, or encoded again."""
    media_type: str
    """Content type of a part, without parameters."""
    transfer_syntax: str
    """The ``transfer-syntax`` parameter of the content type."""
    multipart: bool

    @property
    def content_type(self) -> str:
        """Content-Type of a part; the UID is not quoted, some clients would keep the quotes (W-3)."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}"


def choose_frames(
    ranges: tuple[MediaRange, ...],
    stored: str,
    *,
    several: bool,
    can_decode: Callable[[], bool],
    can_make: Callable[[str], bool],
) -> FrameChoice:
    """How to answer frames of an object stored in the transfer syntax ``stored``.

    Parameters
    ----------
    ranges : tuple of MediaRange
        What the client accepts.
    stored : str
        Transfer syntax of the object.
    several : bool
        More than one frame: multipart is needed.
    can_decode : callable
        Asked only when decoding is needed.
    can_make : callable
        ``can_make(transfer_syntax)``: whether the frames can be encoded so; asked only when that is needed.

    Notes
    -----
    ``*/*`` and no Accept at all give the frames as stored, in a multipart answer, with their true media type. Among
    what the client likes equally well, as stored comes first: it costs nothing and loses nothing.
    """
    usable = [wanted for wanted in ranges if not several or wanted.multipart or wanted.type == "*/*"]
    for _, group in groupby(usable, key=lambda wanted: wanted.quality):
        equals = list(group)
        for wanted in equals:
            if (choice := _as_stored(wanted, stored)) is not None:
                return choice
        for wanted in equals:
            if (choice := _made(wanted, stored, can_decode, can_make)) is not None:
                return choice
    if not usable:
        raise NotAcceptable("several frames are answered as multipart/related; ask for one frame or for multipart")
    made = [f"{_OCTETS}; transfer-syntax=*", *STORED_MEDIA.get(stored, ())]
    if not _is_native(stored) and can_decode():
        made.append(f"{_OCTETS}; transfer-syntax={EXPLICIT_LITTLE_ENDIAN}")
    made += [f"{media[0]}; transfer-syntax={uid}" for uid, media in STORED_MEDIA.items() if can_make(uid)]
    raise NotAcceptable(f"this object is stored in {stored}; its frames are answered as {', '.join(made)}")


def _is_native(stored: str) -> bool:
    return stored in NATIVE or stored not in STORED_MEDIA


def _as_stored(wanted: MediaRange, stored: str) -> FrameChoice | None:
    """What this range takes of the frames as they are stored."""
    media = STORED_MEDIA.get(stored, ())
    syntax = wanted.transfer_syntax
    multipart = wanted.multipart or wanted.type == "*/*"
    own_syntax = EXPLICIT_LITTLE_ENDIAN if stored in NATIVE else stored
    if wanted.type in (_OCTETS, "application/*"):
        if _is_native(stored):
            fits = syntax in ("", "*", stored) or (syntax in NATIVE and stored in NATIVE)
        else:
            fits = syntax in ("*", stored)
        return FrameChoice(True, _OCTETS, own_syntax, multipart) if fits else None
    if syntax not in ("", "*", stored):
        return None
    if _is_wild(wanted.type, *(name.partition("/")[0] for name in media)):
        return FrameChoice(True, media[0] if media else _OCTETS, own_syntax, multipart)
    return FrameChoice(True, wanted.type, own_syntax, multipart) if wanted.type in media else None


def _made(
    wanted: MediaRange, stored: str, can_decode: Callable[[], bool], can_make: Callable[[str], bool]
) -> FrameChoice | None:
    """What can be made of the frames for this range."""
    syntax = wanted.transfer_syntax
    multipart = wanted.multipart or wanted.type == "*/*"
    octets = wanted.type in (_OCTETS, "application/*")
    if octets or wanted.type == "*/*":
        if syntax in ("", EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN):
            possible = not _is_native(stored) and can_decode()
            return FrameChoice(False, _OCTETS, EXPLICIT_LITTLE_ENDIAN, multipart) if possible else None
    elif syntax in ("", "*"):
        syntax = DEFAULT_SYNTAX.get("image/jpeg" if wanted.type == "image/*" else wanted.type, "")
    media = STORED_MEDIA.get(syntax, (_OCTETS,))
    if octets:
        name = _OCTETS
    elif _is_wild(wanted.type, media[0].partition("/")[0]):
        name = media[0]
    elif wanted.type in media:
        name = wanted.type
    else:
        return None
    return FrameChoice(False, name, syntax, multipart) if syntax not in NATIVE and can_make(syntax) else None


def choose_bulkdata(ranges: tuple[MediaRange, ...]) -> bool:
    """Whether bulk data that is no pixel data is answered as multipart; it is ``application/octet-stream``."""
    for wanted in ranges:
        if wanted.multipart and wanted.type in ("application/octet-stream", "*/*", "application/*"):
            return True
        if wanted.type in ("application/octet-stream", "*/*", "application/*"):
            return False
    raise NotAcceptable("bulk data is answered as application/octet-stream, alone or in multipart/related")


def choose_rendered(ranges: tuple[MediaRange, ...], makes: tuple[str, ...]) -> tuple[str, bool]:
    """Media type of a rendered answer and whether it is multipart.

    Parameters
    ----------
    makes : tuple of str
        Media types that can be made of this resource, the usual one first.
    """
    for wanted in ranges:
        if wanted.type in makes:
            return wanted.type, wanted.multipart
        for name in makes:
            if _is_wild(wanted.type, name.partition("/")[0]):
                return name, wanted.multipart
    raise NotAcceptable(f"answered as {', '.join(makes)}")
