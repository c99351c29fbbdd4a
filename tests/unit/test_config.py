from __future__ import annotations

from pathlib import Path

import pytest

from hilum.config import Settings, config_paths, default_archive_path, load_settings
from hilum.errors import UsageError
from hilum.index.schema import parse_private_key


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hilum.toml"
    path.write_text(text)
    return path


def test_file_and_environment_in_this_order(tmp_path: Path) -> None:
    path = write(
        tmp_path, '[ingest]\nbatch_bytes = "8 MiB"\njobs = 3\n[http]\ncors_origins = ["https://a", "https://b"]\n'
    )
    settings = load_settings(path, {"HILUM__INGEST__JOBS": "5", "HILUM__DIMSE__ENABLED": "off"})
    assert settings.ingest.batch_bytes == 8 << 20
    assert settings.ingest.jobs == 5
    assert settings.http.cors_origins == ("https://a", "https://b")
    assert settings.dimse.enabled is False
    assert settings.sources["ingest.batch_bytes"] == str(path)
    assert settings.sources["ingest.jobs"] == "HILUM__INGEST__JOBS"


def test_file_named_by_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "[http]\nport = 9000\n")
    assert load_settings(None, {"HILUM_CONFIG": str(path)}).http.port == 9000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[htpp]\nport = 1\n", r"unknown section \[htpp\]"),
        ("[http]\nprot = 1\n", r"\[http\] prot: unknown key; known in \[http\]: host"),
        ("[http]\nport = 70000\n", r"\[http\] port: must be from 0 to 65535"),
        ('[http]\nport = "many"\n', "must be a whole number"),
        ("[http]\nport = true\n", "must be a whole number"),
        ("[http]\nhost = 5\n", "must be a text"),
        ("[http]\ninsecure = 2\n", "must be true or false"),
        ("[http]\ncors_origins = [1]\n", "must be a list of texts"),
        ('[ingest]\nbatch_bytes = "8 potatoes"\n', "must be a size"),
        ('[ingest]\ngather_ms = "nan"\n', "must be a number"),
        ('[ingest]\non_conflict = "maybe"\n', "must be one of never, always, if-changed"),
        ("[ingest]\nbatch_bytes = 1\n", "must be from 1048576"),
        ('[index]\nprivate_tags = ["PatientID"]\n', r"\[index\] private_tags: must be TAG"),
        ('[index]\nprivate_tags = ["00100020"]\n', "odd group"),
        ('[dimse]\nae_title = "A_TITLE_THAT_IS_LONG"\n', r"\[dimse\] ae_title: must be 1 to 16 characters"),
        ('[dimse]\nae_title = "  "\n', "not only blanks"),
        ('[dimse]\nae_title = "A\\\\B"\n', "without backslash"),
        ('[dimse]\ncalling_ae_titles = ["GOOD", ""]\n', "calling_ae_titles: must be 1 to 16"),
        ("http = 5\n", "http must be a table"),
        ("[http\n", "not valid TOML"),
        ('[http]\nhost = "\x00"\n', "not valid TOML"),
    ],
)
def test_bad_files_name_file_section_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as caught:
        load_settings(path, {})
    assert str(path) in str(caught.value)


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_settings(path, {})


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_settings(tmp_path / "none.toml", {})


@pytest.mark.parametrize("name", ["HILUM__NOWHERE__X", "HILUM__HTTP", "HILUM__HTTP__NOTHING"])
def test_unknown_environment_variable(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        load_settings(None, {name: "1", "HILUM_CONFIG": ""})


def test_describe_masks_secrets() -> None:
    settings = load_settings(None, {"HILUM__HTTP__TOKEN": "very secret", "XDG_CONFIG_HOME": "/nowhere"})
    lines = {f"{line.section}.{line.key}": line for line in settings.describe()}
    assert settings.http.token == "very secret"
    assert lines["http.token"].value == '"********"'
    assert lines["http.token"].source == "HILUM__HTTP__TOKEN"
    assert "very secret" not in str(list(lines.values()))
    assert lines["http.cors_origins"].value == "[]"
    assert all(line.doc for line in lines.values())


def test_describe_is_valid_toml(tmp_path: Path) -> None:
    lines = Settings().describe()
    sections = dict.fromkeys(line.section for line in lines)
    text = "".join(
        f"[{section}]\n" + "".join(f"{x.key} = {x.value}\n" for x in lines if x.section == section)
        for section in sections
    )
    assert load_settings(write(tmp_path, text), {}) == Settings()


def test_default_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/config")
    monkeypatch.setattr("sys.platform", "linux")
    assert default_archive_path() == Path("/data/hilum/archive")
    assert Settings().archive_path() == Path("/data/hilum/archive")
    assert config_paths()[0] == Path("/config/hilum/hilum.toml")
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_archive_path().parts[-4:] == ("Library", "Application Support", "hilum", "archive")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert default_archive_path() == Path("/local/hilum/archive")


@pytest.mark.parametrize("text", ["00091001", "00091001:ACME 1.0", "00091001:ACME 1.0:study:DA", "7FE1100f::series"])
def test_private_tags_are_those_that_the_index_takes(tmp_path: Path, text: str) -> None:
    settings = load_settings(write(tmp_path, f'[index]\nprivate_tags = ["{text}"]\n'), {})
    assert parse_private_key(settings.index.private_tags[0]).tag == int(text[:8], 16)
