"""Settings: one TOML file, then the environment, read once and passed down.

A key ``[section] key = value`` of the file can be overridden by ``HILUM__SECTION__KEY=value``. Sizes may be written as
numbers of bytes or as text with a unit (``"64 MiB"``, ``"2 GB"``). Unknown keys and bad values are errors that name the
file, the section and the key: a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from hilum.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ArchiveSettings",
    "CacheSettings",
    "DimseSettings",
    "HttpSettings",
    "IndexSettings",
    "IngestSettings",
    "SettingLine",
    "Settings",
    "StorageSettings",
    "VolumeSettings",
    "check_value",
    "config_paths",
    "default_archive_path",
    "load_settings",
    "parse_size",
]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_AE_TITLE = r"(?=.*[^ ])[ -\[\]-~]{1,16}"  # PS3.5 6.2: no backslash, no control characters, not only blanks
_AE_EXPECTED = "must be 1 to 16 characters of ASCII without backslash, not only blanks"
_PRIVATE_KEY = (
    r"[0-9A-Fa-f]{3}[13579BDFbdf](?!0000)[0-9A-Fa-f]{4}(:[^:]*)?(:(patient|study|series|instance))?(:[A-Z]{2})?"
)
T = TypeVar("T")


def _setting(
    default: T,
    doc: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    secret: bool = False,
    pattern: str = "",
    expected: str = "",
) -> T:
    """Declare one key: its default, what it means, and what it may be; `pattern` is of a text or of each in a list."""
    metadata = {
        "doc": doc,
        "least": least,
        "most": most,
        "choices": tuple(choices),
        "secret": secret,
        "pattern": re.compile(pattern) if pattern else None,
        "expected": expected,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """``[archive]``: which archive the commands use."""

    path: Path | None = _setting(None, "folder of the archive; empty: 'hilum' in the user's data folder")  # noqa: RUF009 - declares a field


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """``[storage]``: packs."""

    pack_bytes: int = _setting(GIB, "a pack is sealed when it has reached this size", least=MIB, most=1 << 40)
    reserve_bytes: int = _setting(
        256 * MIB, "refuse new objects when less is free, so that the index can still commit", least=0
    )


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """``[ingest]``: how objects come in."""

    on_conflict: str = _setting(
        "never",
        "same SOP Instance UID, other bytes: never, always or if-changed replace the current object (both are kept)",
        choices=("never", "always", "if-changed"),
    )
    study_complete_seconds: float = _setting(
        60.0,
        "a study is complete when nothing was added to it for so long (needs the DICOM port); 0: never told",
        least=0,
    )
    gather_ms: float = _setting(2.0, "how long a commit waits for company", least=0, most=1000)
    batch_bytes: int = _setting(32 * MIB, "a commit takes no more than this", least=MIB, most=GIB)
    queue_bytes: int = _setting(96 * MIB, "objects waiting in memory; beyond it senders wait", least=MIB)
    stream_above_bytes: int = _setting(32 * MIB, "larger files are streamed, never held in memory", least=MIB)
    jobs: int = _setting(0, "import threads; 0: one per processor", least=0, most=256)
    max_object_bytes: int = _setting(64 * GIB, "larger objects are refused", least=MIB)
    quarantine_bytes: int = _setting(GIB, "copies of files that could not be stored, in all", least=0)
    zip_max_ratio: int = _setting(1000, "a ZIP member that expands further is refused", least=10)
    zip_max_bytes: int = _setting(256 * GIB, "all members of one ZIP, expanded", least=MIB)
    zip_max_members: int = _setting(5_000_000, "members of one ZIP", least=1)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """``[index]``: the LMDB index."""

    map_bytes: int = _setting(256 * MIB, "initial size of the memory map; it grows by itself", least=MIB)
    max_readers: int = _setting(1024, "concurrent read transactions of all processes", least=16, most=100_000)
    private_tags: tuple[str, ...] = _setting(
        (),
        "private attributes to index, TAG[:creator[:level[:VR]]]: '00091001:ACME 1.0:series:LO'",
        pattern=_PRIVATE_KEY,
        expected="must be TAG[:creator[:level[:VR]]], TAG of 8 hex digits with an odd group",
    )
    case_sensitive: bool = _setting(
        True, "whether texts match by upper and lower case, as PS3.4 C.2.2.2 says; person names never do"
    )


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """``[cache]``: what can be made again."""

    metadata_memory_bytes: int = _setting(64 * MIB, "DICOM JSON kept in memory, per process", least=0)
    metadata_disk: bool = _setting(True, "keep the DICOM JSON of whole series in ROOT/cache")
    decoded_memory_bytes: int = _setting(64 * MIB, "decoded frames of which tiles are cut, per process", least=0)
    disk_bytes: int = _setting(2 * GIB, "all of ROOT/cache; the oldest goes first", least=0)


@dataclass(frozen=True, slots=True)
class VolumeSettings:
    """``[volumes]``: series as bricks, which can be made again."""

    disk_bytes: int = _setting(20 * GIB, "all of ROOT/volumes; what was not used for longest goes first", least=0)
    warm_bytes: int = _setting(5 * GIB, "evicted volumes that are kept compressed; 0: none", least=0)
    ahead: bool = _setting(False, "make the bricks of CT, MR and PET when a study is complete (needs the DICOM port)")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """``[http]``: DICOMweb and the viewer."""

    host: str = _setting("127.0.0.1", "address to listen on; anything but loopback needs TLS and a token, or insecure")
    port: int = _setting(8080, "TCP port", least=0, most=65535)
    workers: int = _setting(0, "worker processes; 0: one per processor", least=0, most=256)
    threads: int = _setting(16, "threads of one worker that do blocking work", least=1, most=1024)
    max_body_bytes: int = _setting(8 * GIB, "largest STOW-RS request", least=MIB)
    max_in_flight_bytes: int = _setting(64 * MIB, "request bodies in memory, per worker", least=MIB)
    max_results: int = _setting(5000, "results of one QIDO-RS answer", least=1)
    cors_origins: tuple[str, ...] = _setting(
        (), "origins whose pages may call from a browser: 'https://viewer.example'; '*': all; empty: only our own"
    )
    public_url: str = _setting("", "address that clients see, when a proxy hides it: https://pacs.example/hilum")
    tls_certificate: Path | None = _setting(None, "PEM file with the certificate chain")  # noqa: RUF009 - declares a field
    tls_key: Path | None = _setting(None, "PEM file with the private key")  # noqa: RUF009 - declares a field
    token: str = _setting("", "bearer token that every request must carry; empty: none", secret=True)
    insecure: bool = _setting(False, "allow listening elsewhere than loopback without TLS and token")


@dataclass(frozen=True, slots=True)
class DimseSettings:
    """``[dimse]``: the DICOM port, and the application entities that we send to."""

    enabled: bool = _setting(True, "whether `hilum serve` opens the DICOM port")
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(11112, "TCP port", least=0, most=65535)
    ae_title: str = _setting(
        "HILUM", "our application entity title, at most 16 characters", pattern=_AE_TITLE, expected=_AE_EXPECTED
    )
    calling_ae_titles: tuple[str, ...] = _setting(
        (), "who may connect; empty: everyone", pattern=_AE_TITLE, expected=_AE_EXPECTED
    )
    acceptors: int = _setting(1, "processes that accept associations on the port (SO_REUSEPORT)", least=1, most=64)
    max_associations: int = _setting(
        256, "of all acceptors at once; beyond it A-ASSOCIATE is rejected (transient, local limit)", least=1, most=65536
    )
    max_associations_per_ae: int = _setting(0, "of one calling AE title, then rejected as above; 0: no limit", least=0)
    max_associations_per_address: int = _setting(0, "from one address, then rejected as above; 0: no limit", least=0)
    max_pdu_bytes: int = _setting(262_144, "longest P-DATA PDU that we offer; 0: no limit", least=0, most=1 << 31)
    idle_seconds: float = _setting(60.0, "an association without traffic is aborted", least=1)
    peers: tuple[str, ...] = _setting(
        (),
        "other AEs: 'TITLE host:port', then tls, check-address, services=echo,store,find, syntaxes=UID,UID,"
        " accept-syntaxes=UID,UID, accept-classes=UID,UID",
    )
    known_peers_only: bool = _setting(False, "only AEs of `peers` may call")
    coerce: tuple[str, ...] = _setting(
        (),
        "changes to what comes in: 'TITLE set|fill|remove|prefix ATTRIBUTE=VALUE', '*' for all; what was is kept in the"
        " Original Attributes Sequence",
    )
    users: tuple[str, ...] = _setting(
        (), "users that associations may tell (user identity): 'NAME:PASSCODE'; empty: not looked at", secret=True
    )
    jwt_keys: Path | None = _setting(  # noqa: RUF009 - declares a field
        None, "public keys (JSON Web Key Set, or one in PEM form) that verify JSON Web Tokens as user identity"
    )
    jwt_issuer: str = _setting("", "who must have issued a token (`iss`)")
    jwt_audience: str = _setting("", "whom a token must be for (`aud`)")
    jwt_title_claim: str = _setting("", "claim of a token that is, or holds, the calling AE title; empty: any title")
    require_user: bool = _setting(False, "every association must tell one of `users`, or a token")
    tls_certificate: Path | None = _setting(None, "PEM file; with it every association must be encrypted")  # noqa: RUF009 - declares a field
    tls_key: Path | None = _setting(None, "PEM file with the private key, unencrypted")  # noqa: RUF009 - declares a field
    tls_trusted: Path | None = _setting(None, "PEM file of authorities; peers must show a certificate of theirs")  # noqa: RUF009 - declares a field
    tls_revoked: Path | None = _setting(  # noqa: RUF009 - declares a field
        None, "PEM file with the current revocation list of each of these authorities; read at the start"
    )
    tls_bind_titles: bool = _setting(False, "a peer's certificate must name its AE title (common name or DNS name)")
    max_results: int = _setting(0, "answers of one C-FIND, then status A700; 0: no limit", least=0)
    move_associations: int = _setting(2, "associations of one C-MOVE to its destination", least=1, most=16)
    move_retries: int = _setting(1, "further attempts of a C-MOVE to reach its destination", least=0, most=10)


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One key as `hilum config show` prints it."""

    section: str
    key: str
    value: str
    """The value as TOML, secrets as ``"********"``."""
    source: str
    """``"default"``, the file's name or the environment variable."""
    doc: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of hilum, one area each."""

    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    volumes: VolumeSettings = field(default_factory=VolumeSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    dimse: DimseSettings = field(default_factory=DimseSettings)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """``"section.key"`` to where its value came from, for keys that are not at their default."""

    def archive_path(self) -> Path:
        """Folder of the archive: the configured one, else the user's."""
        return self.archive.path or default_archive_path()

    def describe(self) -> list[SettingLine]:
        """Every key with its value, source and meaning; secrets are masked."""
        lines = []
        for section in _SECTIONS:
            area = getattr(self, section)
            for item in dataclasses.fields(area):
                value = getattr(area, item.name)
                masked = '"********"' if item.metadata["secret"] and value else _toml(value)
                source = self.sources.get(f"{section}.{item.name}", "default")
                lines.append(SettingLine(section, item.name, masked, source, item.metadata["doc"]))
        return lines


_SECTIONS: dict[str, type[Any]] = {
    "archive": ArchiveSettings,
    "storage": StorageSettings,
    "ingest": IngestSettings,
    "index": IndexSettings,
    "cache": CacheSettings,
    "volumes": VolumeSettings,
    "http": HttpSettings,
    "dimse": DimseSettings,
}


def _user_folder(kind: str) -> Path:
    """Folder of the user for ``"data"`` or ``"config"``, by the customs of the platform."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hilum"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "hilum"
    variable, fallback = {"data": ("XDG_DATA_HOME", ".local/share"), "config": ("XDG_CONFIG_HOME", ".config")}[kind]
    return Path(os.environ.get(variable) or Path.home() / fallback) / "hilum"


def default_archive_path() -> Path:
    """Folder of the archive of a user who has configured none."""
    return _user_folder("data") / "archive"


def config_paths() -> list[Path]:
    """Files that are looked for when none is named, the first that exists is read."""
    return [_user_folder("config") / "hilum.toml", Path("/etc/hilum/hilum.toml")]


def load_settings(path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    path : path or None
        TOML file. None: ``HILUM_CONFIG``, else the first of `config_paths` that exists, else defaults.
    environ : mapping or None
        Environment to take ``HILUM__SECTION__KEY`` from; None: the process's.

    Raises
    ------
    UsageError
        The named file is missing or not TOML, a key is unknown, a value is out of its bounds; the message names
        file, section and key.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get("HILUM_CONFIG")
    found = Path(named) if named else next((p for p in config_paths() if p.is_file()), None)
    values: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    sources: dict[str, str] = {}
    if found is not None:
        _read_file(found, values, sources)
    _read_environment(environ, values, sources)
    areas = {name: kind(**values[name]) for name, kind in _SECTIONS.items()}
    return Settings(**areas, sources=sources)


def _read_file(path: Path, values: dict[str, dict[str, Any]], sources: dict[str, str]) -> None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in brackets
        raise UsageError(f"{path}: not valid TOML: nested too deeply, or a number is too long") from error
    for section, table in document.items():
        if section not in _SECTIONS:
            raise UsageError(f"{path}: unknown section [{section}]; known: {', '.join(_SECTIONS)}")
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {section} must be a table: [{section}]")
        for key, value in table.items():
            values[section][key] = _checked(section, key, value, where=f"{path}: [{section}] {key}")
            sources[f"{section}.{key}"] = str(path)


def _read_environment(environ: Mapping[str, str], values: dict[str, dict[str, Any]], sources: dict[str, str]) -> None:
    for name, text in environ.items():
        if not name.startswith("HILUM__"):
            continue
        section, _, key = name[len("HILUM__") :].lower().partition("__")
        if section not in _SECTIONS or not key:
            raise UsageError(f"environment variable {name}: unknown section; known: {', '.join(_SECTIONS)}")
        values[section][key] = _checked(section, key, text, where=f"environment variable {name}")
        sources[f"{section}.{key}"] = name


def _checked(section: str, key: str, value: Any, *, where: str) -> Any:
    """Convert `value` to the key's type and check its bounds."""
    kind = _SECTIONS[section]
    item = next((f for f in dataclasses.fields(kind) if f.name == key), None)
    if item is None:
        known = ", ".join(f.name for f in dataclasses.fields(kind))
        raise UsageError(f"{where}: unknown key; known in [{section}]: {known}")
    try:
        converted = _convert(value, get_type_hints(kind)[key], is_size=key.endswith("_bytes"))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    least, most, choices = item.metadata["least"], item.metadata["most"], item.metadata["choices"]
    if choices and converted not in choices:
        raise UsageError(f"{where}: must be one of {', '.join(choices)}")
    if (least is not None and converted < least) or (most is not None and converted > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(f"{where}: must be {bounds}")
    texts = converted if isinstance(converted, tuple) else (converted,)
    if item.metadata["pattern"] and not all(item.metadata["pattern"].fullmatch(text) for text in texts):
        raise UsageError(f"{where}: {item.metadata['expected']}")
    return converted


def check_value(section: str, key: str, value: Any, *, where: str) -> None:
    """Refuse a value that a file could not have, wherever else it comes from.

    Raises
    ------
    UsageError
        The message begins with `where`.
    """
    _checked(section, key, value, where=where)


def _convert(value: Any, kind: Any, *, is_size: bool) -> Any:
    """Convert a TOML value or the text of an environment variable; ValueError says what was expected."""
    if get_origin(kind) is UnionType:
        if value == "":
            return None
        kind = next(k for k in get_args(kind) if k is not NoneType)
    if get_origin(kind) is tuple:
        parts = [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(p, str) for p in parts):
            raise ValueError("must be a list of texts")
        return tuple(parts)
    convert = {bool: _boolean, int: parse_size if is_size else _integer, float: _number, str: _text, Path: _path}[kind]
    return convert(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("must be true or false")


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+(?:_[0-9]+)*", value.strip()) and len(value) <= 30:
        return int(value)
    raise ValueError("must be a whole number")


_UNITS = {
    "": 1,
    "b": 1,
    **{f"{p}b": 1000**i for i, p in enumerate("kmgt", 1)},
    **{f"{p}ib": 1024**i for i, p in enumerate("kmgt", 1)},
}


def parse_size(value: Any) -> int:
    """Read a size in bytes: a number, or a text with a unit; ValueError says what was expected."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*", value)
        if match and len(value) <= 40 and match[2].lower() in _UNITS:
            return (
                int(float(match[1]) * _UNITS[match[2].lower()])
                if "." in match[1]
                else int(match[1]) * _UNITS[match[2].lower()]
            )
        raise ValueError("must be a size: a number of bytes, or with a unit, as in '64 MiB'")
    return _integer(value)


def _number(value: Any) -> float:
    try:
        if not isinstance(value, bool):
            number = float(value)
            if abs(number) != float("inf") and number == number:
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("must be a number")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


def _path(value: Any) -> Path:
    text = _text(value)
    if "\0" in text:
        raise ValueError("must be a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("names the home folder of a user who has none here") from None


def _toml(value: Any) -> str:
    """`value` as it would be written in the file."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
