"""Why not: the last requests of peers that were refused, kept in a small file that every process can read.

Reasons are texts of ours, without values of patients. A peer that is refused again and again costs a line a second,
and takes no place from the refusals of others (ADM-9).
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Refusal", "Refusals", "read_refusals"]

LOGGER = logging.getLogger("hilum.archive")
_PER_PEER: Final = 100
_PER_ADDRESS: Final = 400
_KEPT: Final = 1000
_LONGEST: Final = 512 << 10
"""Bytes after which the file is cut to the last `_KEPT`, which are fewer."""
_NAME: Final = "refusals.jsonl"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, or several that are the same but for their time."""

    time: float
    """Unix time of the last one."""
    peer: str
    """AE title of the peer, as it gave it."""
    address: str
    service: str
    """``associate``, ``tls``, ``store``, ``find``, ``move``, ``get`` or ``commit``."""
    reason: str
    count: int = 1


class Refusals:
    """Writes refusals; thread-safe.

    Parameters
    ----------
    root : Path
        Folder of the archive.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / _NAME
        self._lock = threading.Lock()
        self._recent: dict[tuple[str, str, str, str], tuple[float, int]] = {}

    def add(self, peer: str, address: str, service: str, reason: str) -> None:
        """Note one; never raises."""
        key = ("".join(c if c.isprintable() else "?" for c in peer)[:16], address[:64], service, reason[:200])
        now = time.time()
        with self._lock:
            written, waiting = self._recent.get(key, (0.0, 0))
            if now - written < 1:
                self._recent[key] = (written, waiting + 1)
                return
            if len(self._recent) > _KEPT:
                self._recent.clear()
            self._recent[key] = (now, 0)
            with contextlib.suppress(OSError):
                self._write(Refusal(now, *key, count=waiting + 1))

    def _write(self, item: Refusal) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(item)) + "\n")
            size = stream.tell()
        if size > _LONGEST:
            temporary = self._path.with_suffix(".tmp")
            lines = (json.dumps(asdict(item)) + "\n" for item in reversed(_last(_read(self._path))))
            temporary.write_text("".join(lines), encoding="utf-8")
            temporary.replace(self._path)


def read_refusals(root: Path, *, peer: str = "", limit: int = 100) -> list[Refusal]:
    """Read the last refusals, the newest first.

    Parameters
    ----------
    root : Path
        Folder of the archive.
    peer : str
        Only of this AE title or address.
    limit : int
    """
    found = [item for item in _last(_read(root / _NAME)) if not peer or peer in (item.peer, item.address)]
    return found[: max(limit, 0)]


def _read(path: Path) -> Iterator[Refusal]:
    """Give the lines of the file; a torn one is left out."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError, TypeError):
                yield Refusal(**json.loads(line))


def _last(items: Iterable[Refusal]) -> list[Refusal]:
    """Merge what is the same, and give the last of each peer, the newest first."""
    merged: dict[tuple[str, str, str, str], Refusal] = {}
    for item in items:
        key = (item.peer, item.address, item.service, item.reason)
        before = merged.pop(key, None)
        merged[key] = replace(item, count=item.count + before.count) if before else item
    kept: list[Refusal] = []
    of_peer: Counter[str] = Counter()
    of_address: Counter[str] = Counter()
    for item in reversed(merged.values()):
        name = item.peer or item.address
        if of_peer[name] < _PER_PEER and of_address[item.address] < _PER_ADDRESS and len(kept) < _KEPT:
            kept.append(item)
            of_peer[name] += 1
            of_address[item.address] += 1
    return kept
