"""The Python of the README and of guides runs as it is printed, on the sample studies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hilum

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "document",
    ["README.md", *(f"docs/guide/{name}.md" for name in ("embedding", "rendering", "transcoding", "volumes"))],
)
def test_examples_run(document: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / document).read_text(), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}  # a later block goes on where the one before ended
    for block in blocks:
        code = block.replace('"studies"', repr(str(tmp_path)))
        code = code.replace('"/media/cd"', repr(str(REPOSITORY / "tests" / "data" / "demo")))
        exec(compile(code, document, "exec"), names)
    archive = names["archive"]
    assert isinstance(archive, hilum.Archive)
    assert archive.studies()
    archive.close()


@pytest.mark.parametrize("document", [*sorted((REPOSITORY / "docs").rglob("*.md")), REPOSITORY / "README.md"], ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target
