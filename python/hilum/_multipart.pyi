from typing import Literal, TypeAlias, final

from typing_extensions import Buffer

__all__ = ["MultipartParser", "parse_content_type"]

_Event: TypeAlias = (
    tuple[Literal["headers"], dict[str, str]] | tuple[Literal["data"], memoryview] | tuple[Literal["end"], None]
)

def parse_content_type(value: str) -> tuple[str, dict[str, str]]: ...

@final
class MultipartParser:
    def __init__(self, boundary: bytes, *, max_header_bytes: int = 16384) -> None: ...
    @property
    def boundary(self) -> bytes: ...
    @property
    def finished(self) -> bool: ...
    def feed(self, chunk: Buffer) -> list[_Event]: ...
    def finish(self) -> None: ...
