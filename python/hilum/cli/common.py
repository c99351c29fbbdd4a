"""What all commands share: options, opening the archive, output for people and for programs."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from hilum.archive.archive import Archive
    from hilum.config import Settings

__all__ = [
    "ArchiveOption",
    "ConfigOption",
    "JsonOption",
    "console",
    "human_bytes",
    "open_archive",
    "open_to_verify",
    "print_json",
    "settings_of",
    "warn",
    "with_options",
]

ArchiveOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--archive", help="Folder of the archive; default: the configured one, else the user's.", metavar="ROOT"
    ),
]
ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings; default: HILUM_CONFIG, else the user's.", metavar="FILE"),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def settings_of(config: Path | None) -> Settings:
    """Read the settings; UsageError names what is wrong with them."""
    from hilum.config import load_settings

    return load_settings(config)


def open_archive(
    archive: Path | None, config: Path | None, *, create: bool = False, read_only: bool = False
) -> Archive:
    """Open the archive that was named, else the configured one."""
    from hilum.archive.archive import open as open_root

    settings = settings_of(config)
    return open_root(archive or settings.archive_path(), create=create, read_only=read_only, settings=settings)


def open_to_verify(archive: Path | None, config: Path | None) -> Archive:
    """Open an archive that may be damaged, for reading only."""
    from hilum.archive.lifecycle import refuse_damaged_index

    refuse_damaged_index(archive or settings_of(config).archive_path())
    return open_archive(archive, config, read_only=True)


def console(*, error: bool = False) -> Console:
    """Terminal for people; plain text when it is no terminal."""
    from rich.console import Console

    shown = Console(stderr=error, highlight=False)
    if not shown.is_terminal:
        shown.width = 1000  # nothing is cut or wrapped in a file or a pipe
    return shown


def warn(message: str) -> None:
    """Print a line on standard error."""
    print(f"hilum: {message}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a document for programs: ASCII, so that no terminal or locale can break it."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")


def human_bytes(size: float) -> str:
    """Write a size with a unit: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def printable(text: str) -> str:
    """Make a name fit for a terminal: no control characters, no lone surrogates."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def with_options(
    provider: Callable[..., Any], first: Sequence[str] = (), **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of another function too, and what that makes of them as its last positional argument.

    Parameters
    ----------
    provider : callable
        Has the options as parameters.
    first : sequence of str
        Those of its parameters that stand before the command's own.
    defaults
        Other defaults of its parameters.
    """

    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        shared = dict(inspect.signature(provider, eval_str=True).parameters)
        shared |= {name: shared[name].replace(default=value) for name, value in defaults.items()}

        @functools.wraps(work)
        def command(*outer: Any, **given: Any) -> None:
            provided = provider(**{name: given.pop(name) for name in shared})
            work(*outer, provided, **given)

        own = list(inspect.signature(work, eval_str=True).parameters.values())
        outer = [p for p in own if p.kind is inspect.Parameter.POSITIONAL_ONLY][:-1]
        options = [shared[name] for name in first]
        options += [p for p in own if p.kind is not inspect.Parameter.POSITIONAL_ONLY]
        options += [parameter for name, parameter in shared.items() if name not in first]
        parameters = [*outer, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in options)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate
