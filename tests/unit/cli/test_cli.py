from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from objects import make_object, uid
from pydicom.encaps import generate_frames

import hilum
from hilum.cli.common import human_bytes, printable
from hilum.cli.main import main


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, on the archive at `root`, without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("HILUM__") or name == "HILUM_CONFIG"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.setenv("HILUM__ARCHIVE__PATH", str(root))
    monkeypatch.setenv("HILUM__STORAGE__RESERVE_BYTES", "0")

    def call(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["hilum", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as done:
            status = done.code if isinstance(done.code, int) else 1 if done.code else 0
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for study in (1, 2):
        for i in (1, 2, 3):
            (folder / f"{study}-{i}.dcm").write_bytes(make_object(study, 1, i))
    return folder


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['hilum', '--help']\nfrom hilum.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'pydicom', 'lmdb', 'hilum._core', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Import folders, files, ZIP files" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("group", [[], ["index"], ["migrate"], ["pack"], ["config"]])
def test_every_command_is_described_in_one_line(run: Run, group: list[str]) -> None:
    answer = run(*group, "--help")
    commands = answer.out.partition("Commands:\n")[2].splitlines()
    assert answer.status == 0 and len(commands) >= 2
    assert [line for line in commands if not line.startswith("  ") or not line.endswith(".") or "..." in line] == []


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("hilum ")


def test_import_and_find(run: Run, source: Path) -> None:
    done = run("import", source)
    assert (done.status, done.err) == (0, "")
    assert "6 files" in done.out
    assert "stored" in done.out
    found = run("studies")
    assert sorted(line.split()[1] for line in found.out.splitlines()[1:]) == ["P1", "P2"]
    assert uid(1, 1) in found.out
    one = json.loads(run("studies", "PatientID=P1", "--json").out)
    assert [study["0020000D"]["Value"] for study in one] == [[uid(1, 1)]]
    assert "more: --offset 1" in run("studies", "--limit", "1").out
    assert "done by an earlier run" in run("import", source).out


def test_import_as_json(run: Run, source: Path) -> None:
    (source / "cut.dcm").write_bytes(make_object(3)[:-4])
    (source / "notes\x1b[31m.txt").write_text("x")
    done = run("import", source, "--json")
    assert done.status == 1
    report = json.loads(done.out)
    assert report["ok"] is False
    assert report["counts"] == {"not_dicom": 1, "quarantined": 1, "stored": 6}
    assert report["problems"][0]["path"] == str(source / "cut.dcm")
    assert "\x1b" not in done.err
    assert "could not be imported" in done.err


def test_dry_run(run: Run, root: Path, source: Path) -> None:
    done = run("import", "--dry-run", source)
    assert (done.status, root.exists()) == (0, False)
    assert "dry run: nothing was changed" in done.out
    run("import", source)
    assert json.loads(run("import", "--dry-run", "--json", source).out)["counts"] == {"skipped": 6}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import"], "Missing argument"),
        (["import", "x", "--on-conflict", "maybe"], "on_conflict must be one of"),
        (["import", "x", "--jobs", "0"], "Invalid value"),
        (["nonsense"], "No such command"),
        (["studies", "PatientID"], "write a key as KEY=VALUE"),
        (["studies", "PatientIDD=1"], "PatientIDD"),
        (["delete"], "name what to delete"),
        (["delete", "--study", "1.2"], "give --yes"),
        (["config", "show", "--config", "/nowhere/x.toml"], "cannot be read"),
    ],
)
def test_wrong_usage(run: Run, source: Path, arguments: list[str], message: str) -> None:
    run("import", source)
    done = run(*arguments)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "command", [["studies"], ["verify"], ["pack", "list"], ["index", "rebuild"], ["export", "out"]]
)
def test_no_archive(run: Run, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command)
    assert done.status == 1
    assert done.err.startswith("hilum: ")
    assert "there is no archive" in done.err
    assert not (tmp_path / "out").exists()


def test_export_is_byte_exact(run: Run, source: Path, tmp_path: Path) -> None:
    run("import", source)
    done = run("export", tmp_path / "out", "PatientID=P1", "--json")
    assert done.status == 0
    files = json.loads(done.out)
    assert len(files) == 3
    for item in files:
        path = Path(item["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"]
        assert all(len(part) == 8 and part.isupper() for part in path.relative_to(tmp_path / "out").parts)
    again = run("export", tmp_path / "out", "PatientID=P1")
    assert (again.status, "exists already" in again.err) == (1, True)
    assert run("export", tmp_path / "other", "PatientID=P9").status == 1
    assert "6 files" in run("export", tmp_path / "all").out
    with hilum.open(tmp_path / "copy") as copy:
        assert copy.import_paths([tmp_path / "all"]).counts == {"stored": 6}


def test_export_in_a_transfer_syntax(run: Run, tmp_path: Path) -> None:
    demo = Path(__file__).parent.parent.parent / "data" / "demo"
    run("import", demo / "op-fundus.dcm", demo / "report-sr.dcm")
    done = run("export", tmp_path / "out", "--transfer-syntax", "jpeg-ls", "--json")
    files = {item["transfer_syntax_uid"]: item for item in json.loads(done.out)}
    assert set(files) == {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"}
    for syntax, item in files.items():
        raw = Path(item["path"]).read_bytes()
        assert (hashlib.sha256(raw).hexdigest(), len(raw)) == (item["sha256"], item["size"])
        assert pydicom.dcmread(item["path"]).file_meta.TransferSyntaxUID == syntax
    (written,) = generate_frames(pydicom.dcmread(files["1.2.840.10008.1.2.4.80"]["path"]).PixelData, number_of_frames=1)
    (stored,) = generate_frames(pydicom.dcmread(demo / "op-fundus.dcm").PixelData, number_of_frames=1)
    assert np.array_equal(imagecodecs.jpegls_decode(written), imagecodecs.jpeg8_decode(stored))
    assert Path(files["1.2.840.10008.1.2.1"]["path"]).read_bytes() == (demo / "report-sr.dcm").read_bytes()
    assert "1 of them as they were received" in run("export", tmp_path / "again", "-t", "jpeg-ls").out
    for name, reason in (("jpeg", "loses something"), ("1.2.840.10008.1.2.4.110", "no encoder"), ("x", "no such")):
        refused = run("export", tmp_path / "none", "-t", name)
        assert (refused.status, reason in refused.err) == (2, True)
    assert not (tmp_path / "none").exists()


def test_verify_and_rebuild(run: Run, root: Path, source: Path) -> None:
    run("import", source)
    done = run("verify")
    assert (done.status, "everything is as it was stored" in done.out) == (0, True)
    assert json.loads(run("verify", "--json").out)["records"] == 6
    assert run("index", "verify").out == "the index is sound\n"
    shutil.rmtree(root / "index")
    assert "no index" in run("verify").err
    assert json.loads(run("index", "rebuild", "--json").out)["objects"] == 6
    (root / "index" / "data.mdb").write_bytes(b"x" * 10_000)
    assert "hilum index rebuild" in run("studies").err
    assert "6 objects from 1 packs" in run("index", "rebuild").out
    assert run("verify").status == 0
    pack = root / "packs" / "000000000001.pack"
    data = bytearray(pack.read_bytes())
    data[5000] ^= 1
    pack.write_bytes(data)
    done = run("verify")
    assert (done.status, "problems" in done.out) == (1, True)


def test_delete_and_compact(run: Run, source: Path) -> None:
    run("import", source)
    assert "3 objects deleted" in run("delete", "--study", uid(1, 1), "--yes", "--reason", "test").out
    packs = json.loads(run("pack", "list", "--json").out)
    assert packs[0]["objects"] == 3
    assert packs[0]["dead_bytes"] > 0
    assert "dead" in run("pack", "list").out
    assert json.loads(run("pack", "compact", "--json").out)["packs"] == 1
    assert run("verify").status == 0
    done = run("delete", "--series", "1.2.3", "--yes")
    assert (done.status, "there is no such series" in done.err) == (1, True)


def test_config(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HILUM__HTTP__TOKEN", "swordfish")
    shown = run("config", "show")
    assert "[ingest]" in shown.out
    assert 'token = "********"  # from HILUM__HTTP__TOKEN' in shown.out
    assert "swordfish" not in shown.out
    assert "the settings are right; 3 of them" in run("config", "check").out
    assert {"section", "key", "value", "source", "doc"} == set(json.loads(run("config", "show", "--json").out)[0])
    (tmp_path / "x.toml").write_text("[http]\nprot = 1\n")
    done = run("config", "check", "--config", tmp_path / "x.toml")
    assert (done.status, "[http] prot: unknown key" in done.err) == (2, True)


def test_doctor(run: Run, source: Path) -> None:
    assert "not there yet" in run("doctor").out
    run("import", source)
    done = run("doctor", "--json")
    report = json.loads(done.out)
    assert report["archive"]["instances"] == 6
    assert report["decoders"]
    assert {"sse42", "avx2", "sha"} <= set(report["cpu"])


def test_helpers() -> None:
    sizes = [human_bytes(n) for n in (0, 1023, 1024, 1536, 5 << 40)]
    assert sizes == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 TiB"]
    assert printable("a\x07b\udcff") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
