"""A disk whose power can be cut: a file system on a loop file, which lies on XFS and can be cloned in one instant.

The clone is what a disk would hold that keeps every write it was given: what the file system had not written yet is
missing. Everything lives in a private mount namespace and disappears with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

_INSIDE = "HILUM_TORTURE_NAMESPACE"
_TOOLS = ("unshare", "mount", "umount", "mkfs.xfs", "mkfs.ext4")
_FICLONE = 0x40049409  # what cp --reflink calls


class CannotCut(Exception):
    """This machine does not allow what a power cut needs; the message says what."""


def enter_namespace(arguments: list[str]) -> int | None:
    """Run this module again in a private mount namespace; its exit status, or None when already inside."""
    if os.environ.get(_INSIDE) == "1":
        return None
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]
    if missing:
        raise CannotCut(f"not installed: {', '.join(missing)} (packages xfsprogs, e2fsprogs, util-linux)")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        raise CannotCut("a private mount namespace cannot be made (needs root)")
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-m", "tests.torture", *arguments]
    return subprocess.run(command, env={**os.environ, _INSIDE: "1", "PATH": _path()}, check=False).returncode


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _run(*command: str | Path) -> None:
    result = subprocess.run([os.fspath(c) for c in command], capture_output=True, text=True, check=False)
    if result.returncode:
        raise CannotCut(f"{command[0]} failed: {result.stderr.strip() or result.stdout.strip()}")


class Disk:
    """A disk of `size` bytes with the file system `kind`, mounted at `path`."""

    def __init__(self, folder: Path, *, kind: str = "ext4", options: str = "", size: int = 384 << 20) -> None:
        self.path = folder / "disk"
        self._outer = folder / "outer"
        self._outer_image = folder / "outer.img"
        self._image = self._outer / "disk.img"
        self._clone = self._outer / "cut.img"
        self._cut = folder / "cut"
        self._kind, self._options, self._size = kind, options, size
        for each in (self.path, self._outer, self._cut):
            each.mkdir(parents=True)

    def __enter__(self) -> Self:
        self._sparse(self._outer_image, 4 * self._size)
        _run("mkfs.xfs", "-q", "-m", "reflink=1", self._outer_image)
        _run("mount", "-o", "loop", self._outer_image, self._outer)
        self.format()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in (self._cut, self.path, self._outer):
            while os.path.ismount(each):
                _run("umount", each)
        self._outer_image.unlink(missing_ok=True)

    def format(self) -> None:
        """Make the disk empty."""
        if os.path.ismount(self.path):
            _run("umount", self.path)
        self._image.unlink(missing_ok=True)
        self._sparse(self._image, self._size)
        _run(f"mkfs.{self._kind}", "-q", *(["-F"] if self._kind == "ext4" else []), self._image)
        _run("mount", "-o", self._with("loop"), self._image, self.path)

    def cut(self) -> Path:
        """Cut the power, of a copy: the disk as it is in this instant, mounted. The original goes on."""
        with self._image.open("rb") as image, self._clone.open("wb") as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, image.fileno())
        _run("mount", "-o", self._with("loop", *(["nouuid"] if self._kind == "xfs" else [])), self._clone, self._cut)
        return self._cut

    def forget(self) -> None:
        """Drop what `cut` has given."""
        _run("umount", self._cut)
        self._clone.unlink()

    def _with(self, *options: str) -> str:
        return ",".join([*options, *([self._options] if self._options else [])])

    @staticmethod
    def _sparse(path: Path, size: int) -> None:
        with path.open("wb") as stream:
            stream.truncate(size)
