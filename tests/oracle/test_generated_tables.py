"""Committed tables are what their tools write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

TOOLS = Path(__file__).parents[2] / "core" / "tools"


@pytest.mark.parametrize("tool", ["make_charset_tables.py", "make_private_dictionary.py"])
def test_table_is_current(tool: str) -> None:
    if "dictionary" in tool and pydicom.__version__ != "3.0.2":
        pytest.skip("the dictionary is that of pydicom 3.0.2")
    subprocess.run([sys.executable, str(TOOLS / tool), "--check"], check=True)
