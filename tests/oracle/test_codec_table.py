"""docs/reference/codecs.md says what the decoders do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import codec_table

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "PYTHONPATH=python python tests/support/codec_table.py"


def test_the_page_is_what_the_code_does(shared_data: Path) -> None:
    text = codec_table.PAGE.read_text()
    written = text[text.index(codec_table.BEGIN) + len(codec_table.BEGIN) : text.index(codec_table.MIDDLE)].strip()
    assert COMMAND in text
    assert codec_table.table_of_ours(shared_data) == written, f"run: {COMMAND}"
    differ = [line for line in written.splitlines()[2:] if line.split(" | ")[6] != "0"]
    assert not differ, "values differ from what other decoders give"
