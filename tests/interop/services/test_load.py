"""Short rounds of ``benchmarks/e2e/load.py``: what is promised whatever the machine does; its times are not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent.parent.parent
pytestmark = pytest.mark.xdist_group("live_server")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    script = REPOSITORY / "benchmarks" / "e2e" / "load.py"
    work = str(tmp_path_factory.mktemp("load"))
    command = [sys.executable, str(script), "--work", work, "--scale", "0.01", "--section", "large", "churn"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in (0, 1), done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["section"]: line for line in lines}


def test_large_objects_take_bounded_memory(found: dict[str, dict[str, Any]]) -> None:
    assert found["large"]["objects"] == 10
    assert found["large"]["peak_rss_mib"] < 512


def test_associations_leave_nothing_behind(found: dict[str, dict[str, Any]]) -> None:
    for what in ("threads", "descriptors"):
        before, after = found["churn"][what]
        assert after <= before, what
