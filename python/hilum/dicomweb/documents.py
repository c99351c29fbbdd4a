"""Documents and video as rendered resources: given as they are, with Range so that players can seek (PS3.18 8.7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.dicomweb.http import Answer, Request
from hilum.dicomweb.negotiate import STORED_MEDIA
from hilum.dicomweb.parts import PRIVATE, etag_of, multipart_type, new_boundary, part_head, ranged
from hilum.errors import NotFound, UsageError

if TYPE_CHECKING:
    from hilum.archive.retrieve import Retriever
    from hilum.dicomweb.app import Pool
    from hilum.index.base import InstanceRecord

__all__ = ["ENCAPSULATED", "Documents", "video_type"]

_ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
ENCAPSULATED: Final = {
    _ENCAPSULATED_PDF: "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
"""Media types of encapsulated documents, by SOP class."""
_DOCUMENT: Final = "00420011"
_DOCUMENT_LENGTH: Final = "00420015"


def video_type(record: InstanceRecord) -> str:
    """Media type of the stream of a video; empty for what is none."""
    kind = STORED_MEDIA.get(record.transfer_syntax_uid, ("",))[0]
    return kind if kind.startswith("video/") else ""


class Documents:
    """Answers whole documents and video streams."""

    def __init__(self, retrieve: Retriever, pool: Pool) -> None:
        self._retrieve = retrieve
        self._pool = pool

    async def answer(self, request: Request, record: InstanceRecord, kind: str, *, multipart: bool) -> Answer:
        """Give a document or a video stream as one body."""
        if video_type(record):
            body = await self._pool.run(self._retrieve.stored_frame, record, 0)
        else:
            body = await self._pool.run(self._document, record)
        if multipart:
            boundary = new_boundary()
            whole = part_head(boundary, kind, len(body)) + body + f"\r\n--{boundary}--\r\n".encode()
            return Answer(
                200, [multipart_type(kind, boundary), (b"content-length", str(len(whole)).encode()), PRIVATE], whole
            )
        begun = ranged(request, etag_of(record, "w"), len(body), kind, (b"vary", b"Accept"))
        if isinstance(begun, Answer):
            return begun
        part, headers = begun
        headers.append((b"content-length", str(part.length).encode()))
        if kind in ("text/xml", "model/stl", "model/obj", "model/mtl"):
            headers.append((b"content-disposition", b"attachment"))  # never a page of our origin (P53)
        return Answer(part.status, headers, bytes(memoryview(body)[part.start : part.stop]))

    def _document(self, record: InstanceRecord) -> bytes:
        body = self._retrieve.bulkdata(record, _DOCUMENT)
        try:
            length = int.from_bytes(self._retrieve.bulkdata(record, _DOCUMENT_LENGTH), "little")
        except (NotFound, UsageError):
            return body
        return body[:length] if 0 < len(body) - length <= 1 else body
