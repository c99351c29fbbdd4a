"""docs/reference/codecs.md says what the decoders do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

COMMAND = "PYTHONPATH=python:tests/support python tests/oracle/codec_table.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("codec_table", Path(__file__).with_name("codec_table.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_does(shared_data: Path) -> None:
    module = load()
    text = module.PAGE.read_text()
    written = text[text.index(module.BEGIN) + len(module.BEGIN) : text.index(module.MIDDLE)].strip()
    assert COMMAND in text
    assert module.table_of_ours(shared_data) == written, f"run: {COMMAND}"
    differ = [line for line in written.splitlines()[2:] if line.split(" | ")[6] != "0"]
    assert not differ, "values differ from what other decoders give"
