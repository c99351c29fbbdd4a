"""``hilum doctor``: what is here, and whether it is fit to run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hilum.cli.common import ArchiveOption, ConfigOption, JsonOption, human_bytes, print_json, settings_of

if TYPE_CHECKING:
    from hilum.archive.archive import Archive

__all__ = ["doctor"]

_PACKAGES = ("numpy", "pydicom", "pynetdicom", "lmdb", "zarr", "numcodecs", "glymur", "starlette", "uvicorn", "typer")


def doctor(archive: ArchiveOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print versions, codecs, limits and the archive's state. Exit status 1 on trouble."""
    report: dict[str, Any] = {"hilum": _version("hilum")}
    troubles: list[str] = []
    report["python"] = f"{platform.python_version()} ({platform.machine()}, {platform.system()} {platform.release()})"
    report["packages"] = {name: _version(name) for name in _PACKAGES}
    _check_core(report, troubles)
    _check_limits(report, troubles)
    settings = settings_of(config)
    _check_archive(archive or settings.archive_path(), report, troubles)
    report["troubles"] = troubles
    if as_json:
        print_json(report)
    else:
        _print(report)
    if troubles:
        raise typer.Exit(1)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _check_core(report: dict[str, Any], troubles: list[str]) -> None:
    """Look at the engine: what it runs on, what it decodes."""
    try:
        from hilum.codecs.registry import cpu_features, decoders, libraries
        from hilum.pixels.typefaces import OWN, fallback_fonts
    except ImportError as error:
        troubles.append(f"the engine cannot be loaded: {error}; build it with: make build")
        return
    report["cpu"] = cpu_features()
    report["codec libraries"] = libraries()
    report["fonts"] = ", ".join(path.name for path in (OWN, *fallback_fonts()))
    choices: dict[str, list[str]] = {}
    for decoder in decoders():
        syntax = f"{decoder.transfer_syntax_name} ({decoder.transfer_syntax_uid})"
        choices.setdefault(syntax, []).append(f"{decoder.name} ({decoder.provider})")
    report["decoders"] = {
        syntax: names[0] + (f"; then {', '.join(names[1:])}" if names[1:] else "") for syntax, names in choices.items()
    }


def _check_limits(report: dict[str, Any], troubles: list[str]) -> None:
    """Limits of the system that matter to an archive."""
    report["processors"] = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    report["open files"] = f"{soft} (at most {hard})"
    if soft < 1024:
        troubles.append(f"only {soft} open files are allowed: ulimit -n 4096")
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY:
        report["address space"] = human_bytes(space)
        if space < 16 << 30:
            troubles.append("the address space is limited; the index needs room to map: ulimit -v unlimited")


def _check_archive(root: Path, report: dict[str, Any], troubles: list[str]) -> None:
    """Look at the archive: disk, index, packs."""
    from hilum.archive.archive import open as open_root
    from hilum.errors import HilumError, NotFound

    report["archive"] = {"path": str(root)}
    found = report["archive"]
    existing = next((p for p in (root, *root.parents) if os.path.exists(p)), Path())
    usage = shutil.disk_usage(existing)
    found["disk"] = f"{human_bytes(usage.free)} free of {human_bytes(usage.total)}"
    found["writable"] = os.access(existing, os.W_OK)
    try:
        with open_root(root, create=False, read_only=True) as archive:
            statistics = archive.statistics()
            found.update({name: getattr(statistics, name) for name in type(statistics).__slots__})
            _check_packs(archive, troubles)
    except NotFound as error:
        if os.path.exists(root / "hilum.json"):
            troubles.append(str(error))
        else:
            found["state"] = "not there yet; `hilum import` makes it"
    except HilumError as error:
        troubles.append(str(error))
    if usage.free < 1 << 30:
        troubles.append(f"{existing}: less than 1 GiB is free")


def _check_packs(archive: Archive, troubles: list[str]) -> None:
    """Look for packs that are missing or cannot be read at all."""
    infos = archive.packs.packs()
    troubles += [f"pack {info.number}: {info.damage}; run: hilum verify" for info in infos if info.damage]
    present = {info.number for info in infos}
    for state in archive.index.packs():
        if state.number not in present and state.live_objects:
            troubles.append(f"pack {state.number} is missing, with {state.live_objects} objects")


def _print(report: dict[str, Any]) -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"{name}:")
            width = max((len(str(key)) for key in value), default=0)
            for key, item in value.items():
                print(f"  {key!s:<{width}}  {item}")
        elif name == "troubles":
            print("\n".join(["troubles:", *(f"  {t}" for t in value)]) if value else "no troubles found")
        else:
            print(f"{name}: {value}")
