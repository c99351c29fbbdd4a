"""The rules of the code base that no linter knows: who may import the engine, sizes, unwanted words."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent

PACKAGE = REPOSITORY / "python" / "hilum"
MAY_IMPORT_CORE = {"dicom", "codecs", "pixels", "storage", "index", "volumes", "render"}
COMPILED = {"_core", "_keys", "_json", "_multipart"}
MULTIPART_USERS = {"dicomweb", "migrate"}  # those that speak DICOMweb
READ_SOCKETS = {"stream.cpp", "sender.cpp", "test_dimse.cpp"}  # docs/adr/0009-receive-path.md


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_engine_layers_import_the_engine(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0]
    used = {n.split(".")[1] for n in imported(path) if n.startswith("hilum._")} & COMPILED
    if layer in MULTIPART_USERS:
        used -= {"_multipart"}
    assert not used or layer in MAY_IMPORT_CORE, f"{layer} reaches past its layer to {sorted(used)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_above_800_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 800


def test_core_knows_neither_python_nor_sockets() -> None:
    for path in (REPOSITORY / "core").rglob("*.[ch]pp"):
        text = path.read_text()
        assert "Python.h" not in text, path
        assert "pybind11" not in text, path
        assert "<sys/socket.h>" not in text or path.name in READ_SOCKETS, path


def test_every_source_has_its_licence_line() -> None:
    for folder in ("core", "bindings"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in {".cpp", ".hpp", ".pyx"}:
                assert "SPDX-License-Identifier: Apache-2.0" in path.read_text()[:200], path


def test_nothing_unfinished_and_no_path_of_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    folders = [Path.home(), *([REPOSITORY] if len(REPOSITORY.parts) > 3 else [])]  # /srv/hilum stands in the documents
    here = "|".join(re.escape(f"{folder}/") for folder in folders)
    bad = re.compile(rf"\bTODO\b|\bFIXME\b|NotImplementedError|^(?:<{{7}}|>{{7}}) |(?<![\w.])(?:{here})", re.MULTILINE)
    for name in tracked.stdout.decode().split("\0"):
        path = REPOSITORY / name
        if path.suffix not in {".py", ".pyx", ".cpp", ".hpp", ".md", ".js", ".toml", ".yml", ""} or not path.is_file():
            continue
        if name == "tests/test_codebase.py":
            continue
        found = bad.search(path.read_text(errors="ignore"))
        assert not found, f"{name}: {found.group(0) if found else ''}"
