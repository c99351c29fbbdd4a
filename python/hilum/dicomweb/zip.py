"""A ZIP archive while it is sent: members are stored, not compressed, and nothing is held but the directory."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

__all__ = ["zip_pieces"]


class _Sink:
    """Takes what `zipfile` writes, for those who read it piece by piece; it cannot be wound back."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def write(self, data: Buffer) -> int:
        self.waiting.append(bytes(data))
        return len(self.waiting[-1])

    def flush(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        joined = b"".join(self.waiting)
        self.waiting.clear()
        return joined


def zip_pieces(files: Iterable[tuple[str, Iterator[bytes]]]) -> Iterator[bytes]:
    """Pieces of a ZIP archive (ZIP64, data descriptors) of these files.

    Parameters
    ----------
    files : iterable of (name, pieces)
        In their order; the pieces of a file are read when its turn comes.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for name, pieces in files:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
