"""The operating system fails: every error, at every call, and the answer is right each time.

strace injects the errors, so that the real calls of the engine are met; a small tmpfs is the full disk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent

# Appends until it fails, then once more; says what it was told, what it was refused and what the store then holds.
WORKER = textwrap.dedent(
    """
    import hashlib, io, json, os, sys
    from pathlib import Path
    from hilum.errors import HilumError
    from hilum.storage.base import NewRecord, PackSettings
    from hilum.storage.packs import PackStore

    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    store = PackStore.open(root, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0, pack_bytes=400_000))
    told, refused = [], []
    for n in range(rounds):
        payload = hashlib.shake_128(str(n).encode()).digest(9000 + 37_000 * (n % 2))
        try:
            if n % 5 == 4:
                at, digest, _ = store.append_stream(io.BytesIO(payload), len(payload))
            else:
                at, = store.append([NewRecord(1, [payload[:100], payload[100:]])])
            told.append((n, at.pack, at.offset, at.length))
        except HilumError as error:
            refused.append((n, type(error).__name__, error.code))
    print(json.dumps({"told": told, "refused": refused}))
    """
)

CHECKER = textwrap.dedent(
    """
    import hashlib, json, sys
    from pathlib import Path
    from hilum.storage.base import BadRecord, NewRecord, PackSettings
    from hilum.storage.packs import PackStore
    from hilum.storage.verify import verify
    from hilum.types import Location

    root, told = Path(sys.argv[1]), json.loads(sys.argv[2])
    store = PackStore.open(root, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0))
    recovered = store.recover()
    assert not any(r.error or r.missing for r in recovered), recovered
    for n, pack, offset, length in told:
        payload = hashlib.shake_128(str(n).encode()).digest(9000 + 37_000 * (n % 2))
        assert store.read(Location(pack, offset, length)) == payload, n
    report = verify(store)
    assert not report.damaged, report.damaged
    store.append([NewRecord(1, [b"afterwards"])])
    print(report.records)
    """
)


def python(code: str, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ingest_and_check(root: Path, rounds: int, before: tuple[str, ...] = ()) -> tuple[list[int], list[tuple[str, int]]]:
    root.mkdir(exist_ok=True)
    done = python(WORKER, str(root), str(rounds), before=before)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    checked = python(CHECKER, str(root), json.dumps(answer["told"]))
    assert checked.returncode == 0, checked.stderr
    told, refused = [t[0] for t in answer["told"]], [(r[1], r[2]) for r in answer["refused"]]
    assert len(told) + len(refused) == rounds
    assert int(checked.stdout) >= len(told)
    return told, refused


@pytest.fixture(scope="module")
def strace() -> str:
    """Path of strace, where it may trace."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed: errors of system calls cannot be injected")
    if subprocess.run([found, "-f", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here: errors of system calls cannot be injected")
    return found


def injected(strace: str, what: str) -> tuple[str, ...]:
    call = what.partition(":")[0]
    return (strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={what}")


@pytest.mark.parametrize("k", [1, 2, 3, 4, 7, 8, 12])
def test_a_failed_flush_is_never_answered_with_success(strace: str, tmp_path: Path, k: int) -> None:
    told, refused = ingest_and_check(tmp_path / "root", 12, injected(strace, f"fdatasync:error=EIO:when={k}"))
    assert refused == [("Unavailable", 200)]
    assert len(told) == 11


def test_a_disk_that_never_flushes_answers_nothing(strace: str, tmp_path: Path) -> None:
    told, refused = ingest_and_check(tmp_path / "root", 4, injected(strace, "fdatasync:error=EIO:when=2+"))
    assert told == []
    assert refused == [("Unavailable", 200)] * 4


@pytest.mark.parametrize(
    ("error", "code"), [("ENOSPC", 201), ("EDQUOT", 201), ("EFBIG", 201), ("EROFS", 203), ("EIO", 200)]
)
@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_a_failed_write_has_its_own_error_and_leaves_nothing(
    strace: str, tmp_path: Path, error: str, code: int, k: int
) -> None:
    told, refused = ingest_and_check(tmp_path / "root", 10, injected(strace, f"pwritev:error={error}:when={k}"))
    assert refused == [("Unavailable", code)]
    assert len(told) == 9


def test_interrupted_calls_are_repeated(strace: str, tmp_path: Path) -> None:
    told, refused = ingest_and_check(tmp_path / "root", 10, injected(strace, "pwritev:error=EINTR:when=1+2"))
    assert (len(told), refused) == (10, [])
    told, refused = ingest_and_check(tmp_path / "root", 10, injected(strace, "fdatasync:error=EINTR:when=3+3"))
    assert (len(told), refused) == (10, [])


def test_a_directory_that_cannot_be_flushed_gives_no_pack(strace: str, tmp_path: Path) -> None:
    told, refused = ingest_and_check(tmp_path / "root", 3, injected(strace, "fsync:error=EIO:when=2"))
    assert (told, refused) == ([1, 2], [("Unavailable", 200)])


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_a_kill_inside_of_a_call(strace: str, tmp_path: Path, k: int) -> None:
    root = tmp_path / "root"
    for call in ("pwritev", "fdatasync"):
        root.mkdir(exist_ok=True)
        done = python(WORKER, str(root), "20", before=injected(strace, f"{call}:signal=KILL:when={k}"))
        assert done.returncode != 0
        checked = python(CHECKER, str(root), "[]")
        assert checked.returncode == 0, checked.stderr


def test_a_file_size_limit_writes_a_part_and_then_fails(tmp_path: Path) -> None:
    """The one honest short write that any user can have: RLIMIT_FSIZE."""
    limited = ("sh", "-c", 'ulimit -f 300; exec "$@"', "sh")
    told, refused = ingest_and_check(tmp_path / "root", 14, limited)
    assert told
    assert set(refused) == {("Unavailable", 201)}


def test_a_full_disk(tmp_path: Path) -> None:
    """A small tmpfs in a namespace of its own: full, then freed, then it goes on by itself."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no private mount namespace: a full disk cannot be made (needs root)")
    code = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from hilum.errors import Unavailable
        from hilum.storage.base import NewRecord, PackSettings
        from hilum.storage.packs import PackStore
        from hilum.storage.verify import verify

        root, filler = Path(sys.argv[1]), Path(sys.argv[1]) / "filler"
        payload = os.urandom(150_000)
        with PackStore.open(root, archive_uuid=bytes(16), settings=PackSettings(reserve_bytes=0)) as store:
            stored = refused = 0
            locations = []
            for round in range(5):
                filler.write_bytes(bytes(2 << 20))
                while True:
                    try:
                        locations += store.append([NewRecord(1, [payload[stored % 7:]])])
                        stored += 1
                    except Unavailable as error:
                        assert error.code == 201, error
                        refused += 1
                        break
                size = store.packs()[-1].size
                # Less room than asked for: by the check before, and by the kernel in the middle of the write.
                with open(root / "rest", "wb", 0) as rest:
                    try:
                        while True:
                            rest.write(bytes(4096))
                    except OSError:
                        pass
                PackStore._require_space = lambda self, size: None
                try:
                    store.append([NewRecord(1, [payload])])
                    raise SystemExit("stored on a full disk")
                except Unavailable as error:
                    assert error.code == 201, error
                assert store.packs()[-1].size == size
                os.unlink(root / "rest")
                filler.unlink()
                locations += store.append([NewRecord(1, [b"goes on"])])
            for location in locations:
                store.check(location)
            assert not verify(store).damaged
            print(stored, refused)
        """
    )
    mounted = (
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"',
        str(tmp_path),
    )
    done = python(code, str(tmp_path), before=mounted)
    assert done.returncode == 0, done.stderr
    stored, refused = map(int, done.stdout.split())
    assert (stored > 50, refused) == (True, 5)
