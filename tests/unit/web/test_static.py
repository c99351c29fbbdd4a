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
PAGES = [path for path in LOADED if path.suffix == ".html"]
SCRIPTS = [path for path in LOADED if path.suffix == ".js"]
NAMES = [str(path.relative_to(STATIC)) for path in SCRIPTS]


def modules_of(page: Path) -> set[Path]:
    """Scripts that a page loads, by what they import."""
    text = page.read_text()
    found: set[Path] = set()
    waiting = [STATIC / name for name in re.findall(r"<script type=\"module\" src=\"([^\"]+)\"", text)]
    while waiting:
        path = waiting.pop().resolve()
        if path not in found:
            found.add(path)
            imported = re.findall(r"(?:^import .*from |import\()\"([^\"]+)\"", path.read_text(), re.MULTILINE)
            waiting += [path.parent / name for name in imported]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_with_all_it_loads_is_small(page: Path) -> None:
    styles = [STATIC / name for name in re.findall(r"href=\"(css/[^\"]+)\"", page.read_text())]
    together = b"".join(path.read_bytes() for path in (page, *styles, *sorted(modules_of(page))))
    assert len(gzip.compress(together, 9)) <= LARGEST


def test_every_file_belongs_to_a_page() -> None:
    assert set().union(*map(modules_of, PAGES)) == {path.resolve() for path in SCRIPTS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_free_of_inline_code_and_style(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)


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
    page = STATIC / "index.html"
    ahead = set(re.findall(r"<link rel=\"modulepreload\" href=\"([^\"]+)\"", page.read_text()))
    loaded = {str(path.relative_to(STATIC.resolve())) for path in modules_of(page)}
    assert ahead == loaded - {"ui/app.js", "api/keywords.js"}


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
