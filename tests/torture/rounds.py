"""The rounds: start a process that ingests, take it away or cut the power at a random moment, then check."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.torture import broken
from tests.torture.targets import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.torture.disk import Disk
    from tests.torture.targets import Target

SAMPLE = 300
"""Of what was acknowledged before the last round, this many are asked for again; all at the end."""
BYTES = 160 << 20
"""A writer stops by itself after this many, before the disk is full."""


@dataclass
class Result:
    """What came out of some rounds."""

    target: str
    kind: str
    broken: str = ""
    rounds: int = 0
    acknowledged: int = 0
    asked: int = 0
    lost: int = 0
    bad_rounds: int = 0
    """Rounds in which something was lost or wrong: 0 for the real build, nearly all for a broken one."""
    cut: int = 0
    unfinished: int = 0
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    def take(self, verdict: Verdict) -> None:
        """Add one round."""
        self.rounds += 1
        self.asked += verdict.asked
        self.lost += len(verdict.lost)
        self.bad_rounds += bool(verdict.lost or verdict.problems)
        self.cut += verdict.cut
        self.unfinished += verdict.unfinished
        findings = [*(f"{line}: {why}" for line, why in verdict.lost.items()), *verdict.problems]
        self.examples += findings[: max(0, 5 - len(self.examples))]


class Writer:
    """A process that ingests into `root` and says what is durable."""

    def __init__(self, target: Target, root: Path, number: int, how: str, limit: int = BYTES) -> None:
        self._pipe, told = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self._pipe)
            _in_child(lambda: self._ingest(target, root, number, how, limit, told))
        os.close(told)
        os.set_blocking(self._pipe, False)
        self._rest = b""
        self.ended = False

    @staticmethod
    def _ingest(target: Target, root: Path, number: int, how: str, limit: int, told: int) -> None:
        broken.break_worker(how)
        target.ingest(root, number, limit, lambda line: _write_all(told, line.encode() + b"\n"))

    def acknowledged(self) -> list[str]:
        """Everything that was acknowledged since the last call."""
        parts = [self._rest]
        while not self.ended:
            try:
                part = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                break
            self.ended = not part
            parts.append(part)
        *lines, self._rest = b"".join(parts).split(b"\n")
        return [line.decode() for line in lines]

    def wait(self, seconds: float) -> list[str]:
        """Collect acknowledgements for some time; the writer never waits for its reader."""
        found: list[str] = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.ended:
            select.select([self._pipe], [], [], left)
            found += self.acknowledged()
        return found

    def wait_for_one(self, seconds: float) -> list[str]:
        """Return as soon as something is acknowledged."""
        select.select([self._pipe], [], [], seconds)
        return self.acknowledged()

    def kill(self) -> list[str]:
        """SIGKILL; then the last acknowledgements."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        found = self.acknowledged()
        os.close(self._pipe)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError("the writer failed, see its traceback above")
        return found


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _in_child(action: Callable[[], object]) -> None:
    """Run in the child of a fork, and never return from it."""
    try:
        action()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def check_apart(target: Target, root: Path, acknowledged: list[str], how: str, *, thorough: bool) -> Verdict:
    """Check in a process of its own: it may crash, and nothing stays open."""
    pipe, told = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(pipe)

        def check() -> None:
            broken.break_checker(how)
            _write_all(told, pickle.dumps(target.check(root, acknowledged, thorough=thorough)))

        _in_child(check)
    os.close(told)
    with os.fdopen(pipe, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(process, 0)
    if status or not answer:
        return Verdict(problems=[f"the check ended with status {status}"])
    verdict: Verdict = pickle.loads(answer)
    return verdict


def _questions(old: list[str], new: list[str], chance: random.Random) -> list[str]:
    return [*new, *chance.sample(old, min(SAMPLE, len(old)))]


def _without_lost(acknowledged: list[str], verdict: Verdict) -> list[str]:
    """Ask only once for what is lost: a round has findings of its own, or none."""
    return [line for line in acknowledged if line not in verdict.lost]


def kill_rounds(target: Target, folder: Path, rounds: int, *, how: str = "", seed: int = 1) -> Result:
    """``kill -9`` of one or two writers, `rounds` times on the same archive, checked each time."""
    result = Result(target.name, "kill", how)
    chance = random.Random(seed)
    root = folder / "archive"
    old: list[str] = []
    began = time.monotonic()
    target.prepare(root)
    for number in range(rounds):
        writers = [Writer(target, root, 1000 * number + n, how) for n in range(1 + number % 2)]
        new: list[str] = []
        for writer in writers if target.starts_slowly else []:
            new += writer.wait_for_one(20.0)
        pause = chance.uniform(0.05, 0.4)
        for writer in writers:
            new += writer.wait(pause / len(writers))
        behind = bool(how) or chance.random() < 0.5
        for writer in writers:
            if behind:
                new += writer.wait_for_one(1.0)  # the worst moment: right behind an answer
            new += writer.kill()
        last = number == rounds - 1
        questions = [*old, *new] if last else _questions(old, new, chance)
        verdict = check_apart(target, root, questions, how, thorough=last)
        result.take(verdict)
        result.acknowledged += len(new)
        old = _without_lost([*old, *new], verdict)
    result.seconds = time.monotonic() - began
    return result


def cut_rounds(target: Target, disk: Disk, rounds: int, *, how: str = "", seed: int = 1) -> Result:
    """Power cuts at random moments of a writer that goes on."""
    result = Result(target.name, "cut", how)
    chance = random.Random(seed)
    began = time.monotonic()
    number = 0
    while result.rounds < rounds:
        number += 1
        disk.format()
        root = disk.path / "archive"
        target.prepare(root)
        os.sync()
        with _writing(target, root, number, how) as writer:
            old: list[str] = []
            while result.rounds < rounds and not writer.ended:
                new = writer.wait(chance.uniform(0.01, 0.15))
                if how or chance.random() < 0.5:
                    new += writer.wait_for_one(1.0)  # the worst moment: right behind an answer
                if not new and not old:
                    continue  # nothing to lose yet
                cut = disk.cut()
                last = result.rounds % 20 == 19
                questions = [*old, *new] if last else _questions(old, new, chance)
                verdict = check_apart(target, cut / "archive", questions, how, thorough=last)
                result.take(verdict)
                disk.forget()
                result.acknowledged += len(new)
                old = _without_lost([*old, *new], verdict)
    result.seconds = time.monotonic() - began
    return result


@contextlib.contextmanager
def _writing(target: Target, root: Path, number: int, how: str) -> Iterator[Writer]:
    writer = Writer(target, root, number, how)
    try:
        yield writer
    finally:
        writer.kill()
