"""hilum: an archive for medical images.

>>> import hilum
>>> with hilum.open("archive") as archive:  # doctest: +SKIP
...     archive.import_paths(["/media/cdrom"])
...     for study in archive.studies(patient_id="4711"):
...         for series in study.series:
...             volume = series.frames.stack()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.errors import (
    Conflict,
    DataError,
    Denied,
    Gone,
    HilumError,
    LimitExceeded,
    NotAVolume,
    NotFound,
    Unavailable,
    UsageError,
)

if TYPE_CHECKING:
    from hilum.archive.archive import Archive, Statistics, open
    from hilum.archive.compaction import CompactReport
    from hilum.archive.frames import Frames
    from hilum.archive.import_outcome import ImportProgress, ImportReport
    from hilum.archive.ingest import StoreResult, StoreStatus
    from hilum.archive.lifecycle import DeleteReport, VerifyReport
    from hilum.archive.objects import Instance, Patient, Series, Study
    from hilum.archive.recovery import RebuildReport
    from hilum.config import Settings, load_settings
    from hilum.index.base import Event, EventKind, SearchResult
    from hilum.types import PixelDescription
    from hilum.volumes.volume import Volume

__all__ = [
    "open",
    "Archive",
    "Patient",
    "Study",
    "Series",
    "Instance",
    "Frames",
    "Volume",
    "PixelDescription",
    "SearchResult",
    "Event",
    "EventKind",
    "StoreResult",
    "StoreStatus",
    "ImportProgress",
    "ImportReport",
    "DeleteReport",
    "VerifyReport",
    "CompactReport",
    "RebuildReport",
    "Statistics",
    "Settings",
    "load_settings",
    "HilumError",
    "DataError",
    "UsageError",
    "NotFound",
    "Gone",
    "Conflict",
    "NotAVolume",
    "Denied",
    "LimitExceeded",
    "Unavailable",
]

_MODULES = {
    "hilum.archive.archive": ("Archive", "Statistics", "open"),
    "hilum.archive.import_outcome": ("ImportProgress", "ImportReport"),
    "hilum.archive.ingest": ("StoreResult", "StoreStatus"),
    "hilum.archive.compaction": ("CompactReport",),
    "hilum.archive.lifecycle": ("DeleteReport", "VerifyReport"),
    "hilum.archive.recovery": ("RebuildReport",),
    "hilum.archive.frames": ("Frames",),
    "hilum.archive.objects": ("Instance", "Patient", "Series", "Study"),
    "hilum.config": ("Settings", "load_settings"),
    "hilum.index.base": ("Event", "EventKind", "SearchResult"),
    "hilum.types": ("PixelDescription",),
    "hilum.volumes.volume": ("Volume",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that the command line starts quickly."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'hilum' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
