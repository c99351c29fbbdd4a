"""docs/reference/codecs.md says what the decoders do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import codec_table

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = "PYTHONPATH=python python tests/support/codec_table.py"


def without_decoders(table: str) -> list[list[str]]:
    """Cells of the table but for the second column: which libraries there are is a matter of the machine."""
    rows = [line.split(" | ") for line in table.splitlines()]
    return [cells[:1] + cells[2:] for cells in rows]


def test_the_page_is_what_the_code_does(shared_data: Path) -> None:
    text = codec_table.PAGE.read_text()
    written = text[text.index(codec_table.BEGIN) + len(codec_table.BEGIN) : text.index(codec_table.MIDDLE)].strip()
    assert COMMAND in text
    assert without_decoders(codec_table.table_of_ours(shared_data)) == without_decoders(written), f"run: {COMMAND}"


def test_nothing_differs_but_what_is_explained(shared_data: Path) -> None:
    differ = [path for tally in codec_table.ours(shared_data).values() for path in tally.differ]
    assert set(differ) <= set(codec_table.NOTED)
