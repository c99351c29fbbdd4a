"""Why not: the last requests of peers that were refused, kept in a small file that every process can read.

Reasons are texts of ours, without values of patients. A peer that is refused again and again costs a line a second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Refusal", "Refusals", "read_refusals"]

LOGGER = logging.getLogger("hilum.archive")
_KEPT: Final = 500
_LONGEST: Final = 256 << 10
_NAME: Final = "refusals.jsonl"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, or several of the same kind within a second."""

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
            lines = self._path.read_text(encoding="utf-8").splitlines()[-_KEPT:]
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
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
    found: deque[Refusal] = deque(maxlen=max(limit, 0))
    with contextlib.suppress(OSError), (root / _NAME).open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError, TypeError):
                item = Refusal(**json.loads(line))
                if not peer or peer in (item.peer, item.address):
                    found.append(item)
    return list(reversed(found))
