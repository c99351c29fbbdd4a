from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hilum
from hilum.config import Settings, StorageSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings() -> Settings:
    """Settings that do not depend on how full the disk of the test machine is."""
    return Settings(storage=StorageSettings(reserve_bytes=0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def archive(root: Path, settings: Settings) -> Iterator[hilum.Archive]:
    with hilum.open(root, settings=settings) as opened:
        yield opened
