"""hilum's engine. Private: use the package's modules."""

from typing import Literal

from typing_extensions import Buffer

# --- json

def decode_text(
    data: Buffer, character_set: str = "", kind: Literal["values", "text", "person_name"] = "values"
) -> tuple[str, bool]: ...
