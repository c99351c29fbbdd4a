"""The viewer's files: small, self-contained, and fit for a strict Content-Security-Policy."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.datadict import keyword_for_tag

STATIC = Path(__file__).parents[3] / "python" / "hilum" / "web" / "static"
LARGEST = 60_000
LOADED = sorted(path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg"))
SCRIPTS = [path for path in LOADED if path.suffix == ".js"]
NAMES = [str(path.relative_to(STATIC)) for path in SCRIPTS]


def test_all_of_it_is_small() -> None:
    together = b"".join(path.read_bytes() for path in LOADED)
    assert len(gzip.compress(together, 9)) <= LARGEST


def test_page_is_free_of_inline_code_and_style() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)


@pytest.mark.parametrize("name", NAMES)
def test_script_uses_no_way_around_text_nodes(name: str) -> None:
    script = (STATIC / name).read_text()
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|[\"']style[\"']"
    assert not re.search(ways, script)


@pytest.mark.parametrize("path", LOADED, ids=lambda path: str(path.relative_to(STATIC)))
def test_file_names_no_other_host(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|\burl\(", text)


@pytest.mark.parametrize("name", NAMES)
def test_imports_are_files_of_ours(name: str) -> None:
    path = STATIC / name
    for imported in re.findall(r"(?:^import .*from |import\()\"([^\"]+)\"", path.read_text(), re.MULTILINE):
        assert imported.startswith(".")
        assert (path.parent / imported).is_file(), imported


def test_every_module_is_loaded_ahead_or_when_needed() -> None:
    page = (STATIC / "index.html").read_text()
    ahead = set(re.findall(r"<link rel=\"modulepreload\" href=\"([^\"]+)\"", page))
    assert ahead == set(NAMES) - {"ui/app.js", "api/keywords.js"}


@pytest.mark.parametrize("path", LOADED, ids=lambda path: str(path.relative_to(STATIC)))
def test_file_is_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_keywords_are_those_of_the_dictionary() -> None:
    body = (STATIC / "api" / "keywords.js").read_text().split("`")[1]
    count = 0
    for line in body.strip().splitlines():
        group, *entries = line.split(" ")
        for entry in entries:
            assert keyword_for_tag(int(group + entry[:4], 16)) == entry[4:], (group, entry)
            count += 1
    assert count > 300


def test_tags_are_those_of_the_dictionary() -> None:
    pairs = re.findall(r"(\w+): \"([0-9A-F]{8})\"", (STATIC / "api" / "tag.js").read_text())
    assert len(pairs) > 80
    assert [(keyword, tag) for keyword, tag in pairs if keyword_for_tag(int(tag, 16)) != keyword] == []


def test_types_are_checked() -> None:
    """``tsc --checkJs --strict``, where TypeScript is installed (``make check`` brings it)."""
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("no tsc")
    done = subprocess.run([compiler, "-p", str(STATIC / "tsconfig.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
