"""Every real and every damaged file that was stored, by every way out: the right length or a clear refusal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import hilum
from hilum.dicomweb.paging import PagingMemory
from hilum.server import build_app
from hilum.web.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

WAYS = [
    ("/metadata", "*/*"),
    ("/metadata", 'multipart/related; type="application/dicom+xml"'),
    ("/frames/1", "*/*"),
    ("/frames/1", "application/octet-stream"),
    ("/bulkdata/7FE00010", "*/*"),
    ("/rendered?viewport=64,64", "*/*"),
    ("/thumbnail?viewport=64,64", "*/*"),
    ("", "application/dicom; transfer-syntax=*"),
    ("", "application/dicom"),
]
ALWAYS = {"/metadata", "/thumbnail?viewport=64,64"}


async def get(app: Any, path: str, accept: str) -> tuple[int, int, str | None]:
    """Status, bytes and Content-Length of an answer."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"a"), (b"accept", accept.encode())],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    length = dict(sent[0]["headers"]).get(b"content-length")
    return sent[0]["status"], sum(len(m.get("body", b"")) for m in sent[1:]), length.decode() if length else None


@pytest.mark.filterwarnings("ignore")
def test_every_stored_file_by_every_way(shared_data: Path, tmp_path: Path) -> None:
    with hilum.open(tmp_path / "archive") as archive:
        small = [p for p in sorted(shared_data.rglob("*")) if p.is_file() and p.stat().st_size < 400_000]
        archive.import_paths(small)
        app = build_app(archive, archive.settings, metrics=Metrics(), paging=PagingMemory())

        async def sweep() -> None:
            for instance in archive.instances():
                series = f"/dicom-web/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
                for tail, accept in WAYS:
                    path = f"{series}/instances/{instance.sop_instance_uid}{tail}"
                    status, received, length = await get(app, path, accept)
                    assert status in (
                        {200} if tail in ALWAYS or (accept.endswith("*") and not tail) else {200, 404, 406, 422}
                    ), path
                    assert length is None or int(length) == received, path
                    assert received or tail.startswith(("/bulkdata", "/rendered")), path  # of an element that is empty

        asyncio.run(sweep())
