"""Hostile and malformed input by the command line and the Python API: a clear message, no traceback, nothing harmed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.objects import make_object, uid

import hilum
from hilum.archive import ingest
from hilum.cli.main import main

COMMAND = [sys.executable, "-c", "from hilum.cli.main import main; main()"]
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Root without the right to pass over permissions."""


def own() -> dict[str, str]:
    """Environment of a process that uses this hilum."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PY": sys.executable}


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Hilum:
    """The command line in a process of its own, with an archive of thirty objects beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.root = folder / "archive"
        self.source.mkdir()
        for i in range(30):
            (self.source / f"{i:02}.dcm").write_bytes(make_object(i % 3 + 1, 1, i + 1))

    def __call__(self, *arguments: str | os.PathLike[str], **environment: str) -> Ran:
        """Run a command in this process."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        settings = {"XDG_CONFIG_HOME": str(self.folder / "none"), **environment}
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["hilum", *map(os.fspath, arguments)])
            for name, value in settings.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as stop:
                status = int(stop.code or 0)
        assert status in (0, 1, 2), err.getvalue()
        return Ran(status, out.getvalue(), err.getvalue())

    def alone(self, *arguments: str | os.PathLike[str], before: tuple[str, ...] = ()) -> Ran:
        """Run a command in a process of its own."""
        run = subprocess.run([*before, *COMMAND, *arguments], capture_output=True, env=own(), timeout=120, check=False)
        out, err = (text.decode(errors="replace") for text in (run.stdout, run.stderr))
        assert "Traceback" not in err and run.returncode in (0, 1, 2), (arguments, run.returncode, err[-800:])
        return Ran(run.returncode, out, err)

    def fill(self) -> None:
        assert self("import", "--archive", self.root, self.source).status == 0

    def report(self, *paths: Path, root: Path | None = None) -> dict[str, object]:
        ran = self("import", "--json", "--archive", root or self.root, *paths)
        report: dict[str, object] = json.loads(ran.out)
        assert (ran.status == 0) == report["ok"]
        return report

    def sound(self, objects: int = 30) -> None:
        """Everything that was stored before is still there."""
        ran = self("verify", "--json", "--archive", self.root)
        assert ran.status == 0 and json.loads(ran.out)["objects"] >= objects


@pytest.fixture
def run(tmp_path: Path) -> Hilum:
    return Hilum(tmp_path)


def reasons(report: dict[str, object]) -> dict[str, str]:
    return {os.path.basename(p["path"]): p["reason"] for p in report["problems"]}  # type: ignore[attr-defined]


# Files


def test_hostile_files_of_the_shared_data(run: Hilum, shared_data: Path) -> None:
    run.fill()
    report = run.report(shared_data / "hostile")
    with (shared_data / "MANIFEST.csv").open(newline="") as stream:
        names = {Path(row["path"]).name for row in csv.DictReader(stream) if row["path"].startswith("hostile/")}
    assert report["files"] == len(names) and not report["stopped"]
    found = reasons(report)
    assert found["MR_truncated.dcm"] == "the data ends inside the element at (7FE0,0010)"
    assert set(found) <= names and all(len(reason) > 15 for reason in found.values())
    run.sound()


def test_random_bytes_and_every_cut(run: Hilum) -> None:
    run.fill()
    noise = random.Random(8)
    bad = run.folder / "bad"
    bad.mkdir()
    for i in range(20):
        (bad / f"noise{i}.dcm").write_bytes(noise.randbytes(noise.choice([1, 131, 132, 133, 5000])))
        (bad / f"headed{i}.dcm").write_bytes(bytes(128) + b"DICM" + noise.randbytes(noise.choice([1, 7, 8, 900])))
    whole = make_object(7, 1, 1, size=32)
    for percent in range(100):
        (bad / f"cut{percent:02}.dcm").write_bytes(whole[: len(whole) * percent // 100])
    (bad / "empty.dcm").touch()
    report = run.report(bad)
    assert set(report["counts"]) <= {"quarantined", "not_dicom"}  # type: ignore[call-overload]
    assert report["files"] == 141
    assert "Family" not in json.dumps(report)
    run.sound()


@pytest.mark.parametrize("name", ["ct/single/01.dcm", "encapsulation/CT1_UNC.fragmented_bot_jpeg_ls.80.dcm"])
def test_real_files_cut_at_every_percent(shared_data: Path, tmp_path: Path, name: str) -> None:
    whole = (shared_data / name).read_bytes()
    with hilum.open(tmp_path / "archive") as archive:
        results = archive.store_many([whole[: len(whole) * percent // 100] for percent in range(100)])
        assert all(isinstance(result, hilum.HilumError) for result in results)
        assert archive.store(whole).status.value == "stored"
        assert archive.verify().ok and archive.statistics().instances == 1


def test_zip_files(run: Hilum) -> None:
    bad = run.folder / "bad"
    bad.mkdir()
    inner, middle = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as opened:
        opened.writestr("a.dcm", make_object(8, 1, 1))
    with zipfile.ZipFile(middle, "w") as opened:
        opened.writestr("inner.zip", inner.getvalue())
    with zipfile.ZipFile(bad / "nested.zip", "w") as opened:
        opened.writestr("inner.zip", inner.getvalue())
        opened.writestr("middle.zip", middle.getvalue())
    with zipfile.ZipFile(bad / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("zeros.dcm", bytes(32 << 20))
        opened.writestr("good.dcm", make_object(8, 1, 2))
    with zipfile.ZipFile(bad / "names.zip", "w") as opened:
        for i, name in enumerate(("../../evil.dcm", "/evil.dcm", "..\\evil.dcm", "red\x1b[31m.dcm")):
            opened.writestr(name, make_object(8, 2, i))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("secret.dcm", make_object(8, 3, 1))
    data = bytearray(buffer.getvalue())
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    (bad / "encrypted.zip").write_bytes(data)
    whole = (bad / "names.zip").read_bytes()
    for percent in range(5, 100, 10):
        (bad / f"cut{percent}.zip").write_bytes(whole[: len(whole) * percent // 100])
    report = run.report(bad)
    found = reasons(report)
    assert found["bomb.zip!zeros.dcm"] == "the ZIP member expands more than 1000 times"
    assert found["encrypted.zip!secret.dcm"] == "the ZIP member is encrypted"
    assert found["nested.zip!middle.zip!inner.zip"] == "a ZIP inside of a ZIP inside of a ZIP is not opened"
    assert all(re.fullmatch(r"the ZIP is damaged \(BadZipFile\)", found[f"cut{p}.zip"]) for p in range(5, 100, 10))
    assert report["counts"]["stored"] == 6  # type: ignore[index]
    assert not list(run.folder.glob("**/*evil*"))
    run.sound(6)


def test_links_devices_and_names(run: Hilum) -> None:
    bad = run.folder / "bad"
    (bad / "loop").mkdir(parents=True)
    (bad / "loop" / "up").symlink_to("..")
    (bad / "loop" / "self").symlink_to("self")
    (bad / "loop" / "dangling").symlink_to("nowhere")
    os.mkfifo(bad / "fifo.dcm")
    if os.geteuid() == 0:
        os.mknod(bad / "zero.dcm", 0o20600, os.makedev(1, 5))
    names = [
        b"\xff\xfe.dcm",
        "日本語-😀.dcm".encode(),
        b"new\nline.dcm",
        b"red\x1b[31m.dcm",
        b"-rf",
        b"[bold].dcm",
        b"a" * 255,
    ]
    for i, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(bad) + b"/" + name)).write_bytes(make_object(9, 1, i + 1))
    ran = run("import", "--archive", run.root, bad)
    assert ran.status == 1 and "\x1b" not in ran.out
    report = run.report(bad)
    assert report["counts"]["skipped"] >= len(names)  # type: ignore[index]
    assert reasons(report)["self"] == "cannot be read: Too many levels of symbolic links"
    run.sound(len(names))


def test_unreadable_files(run: Hilum) -> None:
    before = tuple(UNPRIVILEGED) if os.geteuid() == 0 else ()
    if before and shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to lower its rights")
    bad = run.folder / "bad"
    (bad / "closed").mkdir(parents=True)
    (bad / "secret.dcm").write_bytes(make_object(9, 1, 1))
    (bad / "good.dcm").write_bytes(make_object(9, 1, 2))
    (bad / "secret.dcm").chmod(0)
    (bad / "closed").chmod(0)
    try:
        ran = run.alone("import", "--archive", run.root, bad, before=before)
        assert ran.status == 1 and ran.out.count("Permission denied") == 2 and "1  stored" in ran.out
        run.fill()
        index = run.root / "index"
        index.chmod(0)
        ran = run.alone("studies", "--archive", run.root, before=before)
        assert ran.status == 1 and "the index cannot be read: Permission denied" in ran.err
        assert run.alone("doctor", "--archive", run.root, before=before).status == 1
        index.chmod(0o755)
        run.root.chmod(0o555)
        ran = run.alone("import", "--archive", run.root, run.source, before=before)
        assert ran.status == 1 and "cannot be written (Permission denied)" in ran.err
        assert run.alone("verify", "--archive", run.root, before=before).status == 0
    finally:
        for path in (bad / "closed", run.root / "index", run.root):
            path.chmod(0o755)


def test_paths_that_are_not_there(run: Hilum) -> None:
    nothing = run.folder / "nothing"
    nothing.mkdir()
    assert reasons(run.report(run.folder / "nowhere"))["nowhere"] == "cannot be read: No such file or directory"
    assert run.report(nothing)["files"] == 0
    assert run.report(run.root)["files"] == 0  # the archive itself
    assert "an empty PATH" in run("import", "--archive", run.root, "").err
    long = "x" * 300
    assert "File name too long" in run("studies", "--archive", long).err
    assert run("doctor", "--archive", long).status in (0, 1)
    assert "File exists" in run("import", "--archive", make_file(run.folder / "file"), run.source).err
    assert "not an archive, and not empty" in run("import", "--archive", run.source, run.source).err


def make_file(path: Path) -> Path:
    path.touch()
    return path


def test_ten_thousand_files_in_one_folder(run: Hilum) -> None:
    many = run.folder / "many"
    many.mkdir()
    small = make_object(5, 1, 1, size=2)
    for i in range(10_000):
        name = uid(3, 5, 1, 1)
        data = small if i % 100 else small.replace(name.encode(), f"{name[:-1]}{i // 100 % 10}".encode())
        (many / f"{i}.dcm").write_bytes(data)
    report = run.report(many)
    assert report["files"] == 10_000 and sum(report["counts"].values()) == 10_000  # type: ignore[attr-defined]
    run.sound(10)


# Archives


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged; restore it from a backup"),
        ("[]", "damaged; restore it from a backup"),
        ('{"format": 1}', "damaged; restore it from a backup"),
        ('{"format": true, "uuid": "8f14e45f-ceea-467f-a1d4-1f5a1d0b0e2d"}', "damaged; restore it from a backup"),
        ("[" * 100_000, "damaged; restore it from a backup"),
        ('{"format": 99, "name": "of a later version"}', "an archive of format 99; this version of hilum reads"),
    ],
)
def test_identity_of_another_kind(run: Hilum, text: str, message: str) -> None:
    run.root.mkdir()
    (run.root / "hilum.json").write_text(text)
    with pytest.raises(hilum.DataError, match=re.escape(message)):
        hilum.open(run.root)
    assert (run.root / "hilum.json").read_text() == text
    ran = run("studies", "--archive", run.root)
    assert ran.status == 1 and message in ran.err


@pytest.mark.parametrize("damage", ["noise", "cut", "pages"])
def test_damaged_index_is_made_again(run: Hilum, damage: str) -> None:
    run.fill()
    data = run.root / "index" / "data.mdb"
    size = data.stat().st_size
    if damage == "noise":
        data.write_bytes(random.Random(1).randbytes(size))
    elif damage == "cut":
        os.truncate(data, 20_000)
    else:
        with data.open("r+b") as stream:
            stream.seek(8192)
            stream.write(random.Random(1).randbytes(size - 8192))
    for command in (["studies"], ["verify"], ["import", str(run.source)], ["doctor"]):
        ran = (run.alone if command == ["studies"] else run)(*command, "--archive", run.root)
        assert ran.status == 1 and "the index is damaged" in ran.err + ran.out
        assert "run: hilum index rebuild" in ran.err + ran.out
    assert run("index", "rebuild", "--archive", run.root).status == 0
    run.sound()


def test_empty_index_is_made_again(run: Hilum) -> None:
    run.fill()
    (run.root / "index" / "data.mdb").write_bytes(b"")
    assert "the archive has no index" in run("studies", "--archive", run.root).err
    run.fill()
    run.sound()


def test_missing_and_damaged_packs(run: Hilum) -> None:
    run.fill()
    (pack,) = (run.root / "packs").glob("*.pack")
    whole = pack.read_bytes()
    flipped = bytearray(whole)
    flipped[4096 + 128 + 700] ^= 1
    pack.write_bytes(flipped)
    ran = run("verify", "--archive", run.root)
    assert ran.status == 1 and "pack 1, byte 4096: the payload does not match its checksum" in ran.out
    out = run.folder / "out"
    assert "the payload does not match its checksum" in run("export", "--archive", run.root, out).err
    assert "not in the index" not in ran.out and run("studies", "--archive", run.root).status == 0
    pack.write_bytes(b"")
    ran = run("verify", "--archive", run.root)
    assert ran.status == 1 and "pack 1: " in ran.out
    pack.unlink()
    assert "pack 1 is missing, with 30 objects" in run("verify", "--archive", run.root).out
    assert "pack 1 is missing" in run("export", "--archive", run.root, out / "b").err
    ran = run("doctor", "--archive", run.root)
    assert ran.status == 1 and "pack 1 is missing, with 30 objects" in ran.out
    pack.write_bytes(whole)
    run.sound()


@pytest.mark.parametrize("one_by_one", [False, True], ids=["at the door", "past the door"])
def test_what_the_index_cannot_hold_harms_nothing_else(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_by_one: bool
) -> None:
    directory = (shared_data / "dicomdir" / "DICOMDIR").read_bytes()
    if one_by_one:
        monkeypatch.setattr(ingest, "_refuse_dicomdir", lambda scan: None)
    with hilum.open(tmp_path / "archive") as archive:
        archive.store(make_object(1, 1, 1))
        with pytest.raises(hilum.HilumError, match=r"DICOMDIR is not stored|is not a UID"):
            archive.store(directory)
        archive.store(make_object(1, 1, 2))
        assert archive.statistics().instances == 2
    (tmp_path / "archive" / "index" / "data.mdb").unlink()
    with hilum.open(tmp_path / "archive") as archive:
        assert len(archive.recovered.problems) == int(one_by_one)
        archive.store(make_object(1, 1, 3))
        assert archive.statistics().instances == 3


def private_mount(script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare for a file system of its own")
    command = ["unshare", "-m", "sh", "-c", script, "sh", *map(str, arguments)]
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no mount namespace may be made here")
    return subprocess.run(command, capture_output=True, text=True, env=own(), timeout=120, check=False)


CLI = '"$PY" -c "from hilum.cli.main import main; main()"'


def test_full_disk(run: Hilum) -> None:
    big = run.folder / "big"
    big.mkdir()
    for i in range(40):
        (big / f"{i}.dcm").write_bytes(make_object(6, 1, i + 1, size=512))
    run.root.mkdir()
    script = f"""
        mount -t tmpfs -o size=12m tmpfs "$2" || exit 77
        export HILUM__STORAGE__RESERVE_BYTES=0
        {CLI} import --archive "$2" "$3"; echo "first $?"
        {CLI} import --archive "$2" "$1"; echo "second $?"
        {CLI} verify --archive "$2"; echo "verify $?"
        {CLI} studies --archive "$2"; echo "studies $?"
        mount -o remount,size=200m "$2"
        {CLI} import --archive "$2" "$1"; echo "third $?"
        {CLI} verify --archive "$2"; echo "again $?"
    """
    ran = private_mount(script, big, run.root, run.source)
    if ran.returncode == 77:
        pytest.skip("no tmpfs may be mounted here")
    assert "Traceback" not in ran.stderr
    statuses = dict(re.findall(r"^(first|second|verify|studies|third|again) (\d+)$", ran.stdout, re.MULTILINE))
    assert statuses == {"first": "0", "second": "1", "verify": "0", "studies": "0", "third": "0", "again": "0"}
    assert re.search("stopped early: .*space", ran.stdout), ran.stdout


def test_read_only_file_system(run: Hilum) -> None:
    run.fill()
    script = f"""
        mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77
        {CLI} import --archive "$1" "$2"; echo "import $?"
        {CLI} verify --archive "$1"; echo "verify $?"
        {CLI} studies --archive "$1"; echo "studies $?"
    """
    ran = private_mount(script, run.root, run.source)
    if ran.returncode == 77:
        pytest.skip("no bind mount may be made here")
    assert "Traceback" not in ran.stderr
    assert dict(re.findall(r"^(import|verify|studies) (\d+)$", ran.stdout, re.MULTILINE)) == {
        "import": "1",
        "verify": "0",
        "studies": "0",
    }
    assert "Read-only file system" in ran.stderr


def test_two_importers_and_a_killed_one(run: Hilum) -> None:
    for i in range(600):
        (run.source / f"x{i:03}.dcm").write_bytes(make_object(10 + i % 5, 1, i + 1, size=64))
    environment = own()
    command = [*COMMAND, "import", "--json", "--archive", str(run.root), str(run.source)]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    while not list((run.root / "packs").glob("*.pack")) and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out)["ok"]
    report = run.report(run.source)
    assert report["counts"] == {"skipped": 630}
    with hilum.open(run.root) as archive:
        assert archive.statistics().instances == 630 and archive.verify().ok
        stored = {i.sha256 for i in archive.instances()}
    assert stored == {hashlib.sha256(path.read_bytes()).hexdigest() for path in run.source.iterdir()}


# Settings, keys, UIDs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[http\n", "not valid TOML"),
        ("x = " + "[" * 3000, "not valid TOML: nested too deeply"),
        ("[nosuch]\n", "unknown section [nosuch]"),
        ("[http]\nprot = 1\n", "[http] prot: unknown key"),
        ("[http]\nport = 99999\n", "[http] port: must be from 0 to 65535"),
        ("[storage]\npack_bytes = '_'\n", "[storage] pack_bytes: must be a size"),
        ("[storage]\npack_bytes = '1__0'\n", "[storage] pack_bytes: must be a size"),
        ("[storage]\npack_bytes = '" + "9" * 5000 + "'\n", "[storage] pack_bytes: must be a size"),
        ("[ingest]\njobs = '1_'\n", "[ingest] jobs: must be a whole number"),
        ("[dimse]\nidle_seconds = " + "9" * 400 + "\n", "[dimse] idle_seconds: must be a number"),
        ("[archive]\npath = '~nosuchuser/x'\n", "[archive] path: names the home folder"),
        ('[archive]\npath = "a\\u0000b"\n', "[archive] path: must be a path"),
    ],
)
def test_bad_settings(tmp_path: Path, text: str, message: str) -> None:
    from hilum.config import load_settings

    path = tmp_path / "hilum.toml"
    path.write_text(text)
    with pytest.raises(hilum.UsageError, match=re.escape(message)):
        load_settings(path, {})


def test_bad_environment(run: Hilum) -> None:
    ran = run("config", "check", HILUM__HTTP__PORT="x")
    assert (ran.status, ran.err) == (2, "hilum: environment variable HILUM__HTTP__PORT: must be a whole number\n")
    assert run("config", "check", HILUM__NOSUCH__KEY="1").status == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["PatientIDD=1"], "PatientIDD is not an attribute"),
        (["..=1"], ".. is not an attribute"),
        (["PixelData=1"], "PixelData has binary values, which cannot be matched"),
        (["StudyTime=99"], "StudyTime: a date or time of the query is not one"),
        (["StudyDate=abc"], "the value of StudyDate is not a date or a range"),
        (["SOPInstanceUID=1.2"], "SOPInstanceUID is an attribute below the study level"),
        (["PatientID=1", "PatientID=2"], "PatientID is given twice"),
        (["--offset", "9" * 20], "offset must be from 0 to"),
        (["--limit", "9" * 30], "limit must be from 0 to"),
        (["--order", "Nope"], "answers cannot be ordered by Nope"),
    ],
)
def test_bad_keys(run: Hilum, keys: list[str], message: str) -> None:
    with hilum.open(run.root) as archive:
        archive.store(make_object())
    ran = run("studies", "--archive", run.root, *keys)
    assert (ran.status, ran.err.strip()) == (2, f"hilum: {message}") or (ran.status == 2 and message in ran.err)
    assert "ignored" not in ran.err


@pytest.mark.parametrize("bad", ["", "1.2.3", "../x", "9" * 1000, "\udcff", "*", "1.2\\1.3"])
def test_bad_uids(run: Hilum, bad: str) -> None:
    with hilum.open(run.root) as archive:
        archive.store(make_object())
        with pytest.raises(hilum.NotFound):
            archive.instance(bad)
        assert archive.versions(bad) == []
        for level in ("study", "series", "instance"):
            with pytest.raises(hilum.NotFound):
                archive.delete(level, bad)  # type: ignore[arg-type]
        assert archive.statistics().instances == 1


def test_export_stays_out_of_the_archive(run: Hilum) -> None:
    run.fill()
    for inside in (run.root, run.root / "packs" / "x"):
        ran = run("export", "--archive", run.root, inside)
        assert ran.status == 2 and "this is inside of the archive" in ran.err
    run.sound()


def test_temporary_folder_that_is_a_file(run: Hilum) -> None:
    run.fill()
    shutil.rmtree(run.root / "tmp")
    (run.root / "tmp").touch()
    ran = run("import", "--archive", run.root, run.source)
    assert ran.status == 1 and "tmp: File exists" in ran.err
