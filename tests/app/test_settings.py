"""Settings, adapters by name, the doctor, and files of a project's own code."""

import re
from pathlib import Path

import pytest

import noria
from noria.app.doctor import examine
from noria.app.plugins import BUILT_IN, load
from noria.app.settings import Settings, Stores, find, read, resolve
from noria.app.source import named
from noria.errors import AdapterUnknown, NotFound, SettingInvalid
from noria.pipeline.declare import Pipeline


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NORIA_HOME", "NORIA_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def toml(folder: Path, text: str) -> Path:
    (folder / "noria.toml").write_text(text, encoding="utf-8")
    return folder / "noria.toml"


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    settings, home = resolve(tmp_path)

    assert settings == Settings()
    assert home == tmp_path / ".noria"


def test_the_nearest_file_counts_from_any_folder_below_it(tmp_path: Path) -> None:
    toml(tmp_path, 'project = "shop"\nhome = "kept"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    settings, home = resolve(below)

    assert (settings.project, home) == ("shop", tmp_path / "kept")
    assert find(below) == tmp_path / "noria.toml"


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(tmp_path, 'project = "shop"\nhome = "kept"\n')
    monkeypatch.setenv("NORIA_PROJECT", "other")
    monkeypatch.setenv("NORIA_HOME", str(tmp_path / "elsewhere"))

    settings, home = resolve(tmp_path)

    assert (settings.project, home) == ("other", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("project = ", "Invalid value"),
        ('projekt = "x"\n', "projekt"),
        ("[serving]\nport = 'high'\n", "serving.port"),
        ("[stores]\nmetadata = 3\n", "stores.metadata"),
        ("[serving]\nprot = 1\n", "prot"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_file(tmp_path: Path, text: str, names: str) -> None:
    path = toml(tmp_path, text)

    with pytest.raises(SettingInvalid) as caught:
        read(path)

    assert "noria.toml" in caught.value.problem
    assert names in caught.value.cause
    assert caught.value.remedy == f"correct {path}"


def test_a_file_that_is_not_text_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "noria.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingInvalid, match="not valid TOML"):
        resolve(tmp_path)


@pytest.mark.parametrize("port", BUILT_IN)
def test_every_adapter_that_is_named_can_be_loaded(port: str) -> None:
    for name in BUILT_IN[port]:
        assert load(port, name).__name__ == f"noria.adapters.{port}.{name}"


@pytest.mark.parametrize(("port", "name"), [("metadata", "oracle"), ("blobs", "s3"), ("nonsense", "sqlite")])
def test_an_unknown_adapter_names_those_that_are_known(port: str, name: str) -> None:
    with pytest.raises(AdapterUnknown, match=f"no adapter {name!r} for {port}") as caught:
        load(port, name)

    assert all(known in caught.value.cause for known in BUILT_IN.get(port, ("none",)))
    assert "noria.toml" in caught.value.remedy


def test_an_unknown_adapter_in_the_settings_is_told_when_the_store_is_first_used(tmp_path: Path) -> None:
    with noria.Workspace(Settings(stores=Stores(blobs="s3")), tmp_path) as workspace, pytest.raises(AdapterUnknown):
        _ = workspace.blobs


def test_the_doctor_looks_at_interpreter_packages_disk_ports_and_store(tmp_path: Path) -> None:
    with noria.Workspace(Settings(), tmp_path / "home") as workspace:
        findings = {finding.what: finding for finding in examine(workspace)}

    assert {"python", "msgspec", "polars", "onnxruntime", "disk", "server port", "worker port", "store"} <= set(
        findings
    )
    assert (findings["python"].level, findings["store"].found) == ("ok", "none here yet")
    assert all(f.remedy for f in findings.values() if f.level != "ok")
    assert not (tmp_path / "home").exists(), "the doctor only reads"


def test_the_doctor_names_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "meta.db").write_bytes(b"this is no database at all" * 100)

    with noria.Workspace(Settings(), tmp_path) as workspace:
        found = next(f for f in examine(workspace) if f.what == "store")

    assert (found.level, bool(found.remedy)) == ("bad", True)


def test_a_pipeline_is_found_in_a_file_by_its_kind_or_its_name(tmp_path: Path) -> None:
    text = "from noria import pipeline\ndef a() -> int:\n    return 1\none = pipeline('one', a)\n"
    (tmp_path / "flow_one.py").write_text(text)
    (tmp_path / "flow_two.py").write_text(text + "two = pipeline('two', a)\n")

    assert named("flow_one.py", Pipeline, root=tmp_path).name == "one"
    assert named("flow_two.py:two", Pipeline, root=tmp_path).name == "two"
    with pytest.raises(NotFound, match="one Pipeline") as caught:
        named("flow_two.py", Pipeline, root=tmp_path)
    assert re.search("'one'.*'two'", caught.value.cause)


@pytest.mark.parametrize(
    ("content", "problem", "cause"),
    [
        (None, "no file 'flow.py'", "looked in"),
        ("1 / 0\n", "cannot be imported", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path, content: str | None, problem: str, cause: str) -> None:
    if content is not None:
        (tmp_path / "flow.py").write_text(content)

    with pytest.raises((NotFound, SettingInvalid), match=problem) as caught:
        named("flow.py", Pipeline, root=tmp_path)

    assert cause in caught.value.cause
