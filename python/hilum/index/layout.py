"""Constants and small records of the index format (docs/formats/index.md), shared by writer, search and check."""

from __future__ import annotations

import struct

__all__ = [
    "COUNTER",
    "COUNTER_LENGTHS",
    "COUNTER_SPREAD",
    "EVENT",
    "FIRST_PLACES_ONLY",
    "FORMAT_VERSION",
    "INLINE_TABLE",
    "LATEST",
    "NO_IDS",
    "ORDER_BYTES",
    "PACK",
    "PATIENT_ROOT",
    "REBUILDING",
    "STUDY_ROOT",
    "TIDIED",
    "TOMBSTONE",
    "VARIANT",
]

FORMAT_VERSION = 3

FIRST_PLACES_ONLY = 2
"""An earlier version, which differs in that no database was ever in its second place; it is written on as it is."""

COUNTER_LENGTHS = (2, 3, 4, 5, 6, 10, 11)
"""Lengths of the order key's prefixes for which counters may be kept."""

COUNTER_SPREAD = 512
"""Counters of longer prefixes are kept below a counter of more studies (patients) than this only."""

STUDY_ROOT = b"\x02"
"""First byte of all studies in the order database."""

PATIENT_ROOT = b"\x01"
"""First byte of all patients in the order database."""

ORDER_BYTES = 12
"""Bytes of an order key."""

INLINE_TABLE = 512
"""Frame tables of more bytes are kept apart from the instance record."""

COUNTER = struct.Struct("<QQQQ")
"""Studies (or patients), series, instances, bytes."""

PACK = struct.Struct("<QQQQQQ")
"""Indexed to, live bytes, dead bytes, live objects; smallest and largest id of an instance that was ever put in it."""

NO_IDS = (1 << 64) - 1, 0
"""Ids of a pack that has none."""

VARIANT = struct.Struct("<QIII")
"""Number of instances, lengths of the patient, study and series attribute lists."""

TOMBSTONE = struct.Struct("<Q")
"""Deleted are objects received up to this time, Unix ns."""

EVENT = struct.Struct("<BxxxIQ")
"""Kind, number of instances, time in Unix ns; then the UIDs of study, series and instances, by line."""

LATEST = b"latest_ns"
"""In ``meta``: latest receive time of an object or deletion, so that later ones are later whatever the clock says."""

REBUILDING = b"rebuilding"
"""In ``meta`` from the beginning of a rebuild to its end."""

TIDIED = b"tidied"
"""In ``meta`` since free pages were given back once."""
