"""`noria replay` as people and scripts use it: a policy from a file, over a record that is only a ledger, and what is wrong with the file."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import noria
from noria.app.policy_file import read_policy
from noria.app.settings import Settings
from noria.cli.main import main
from noria.domain.policy import Policy
from noria.errors import NotFound, SettingInvalid
from noria.testing.clock import FakeClock
from tests.app.recorded import NAME, a_record, day, the_end


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    with noria.Workspace(Settings(), folder / ".noria", clock=FakeClock(day(60))) as workspace:
        a_record(workspace)
        the_end(workspace)
    (folder / "new.toml").write_text("minimum_labels = 0\ncooldown_days = 30\n")
    (folder / "strict.toml").write_text("[policy]\nminimum_labels = 10\n")
    return folder


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NORIA_HOME", "NORIA_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.chdir(project):
        yield


@pytest.mark.usefixtures("inside")
def test_a_laxer_policy_retrains_where_the_recorded_one_did_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--policy", "new.toml", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert [(x["trigger"], x["at"][:10]) for x in found["asked"]] == [
        ("declared", "2026-01-05"),
        ("decay", "2026-02-14"),
    ]
    assert [x["trigger"] for x in found["done"]] == ["declared"]
    assert found["parts_at"][:10] == "2026-02-14"
    assert [x["reason"] for x in found["denied"]] == ["too few new labels"]


@pytest.mark.usefixtures("inside")
def test_a_stricter_one_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", NAME, "--policy", "strict.toml"]) == 0

    said = capsys.readouterr().out
    assert "0 retrainings under this policy, 0 were made" in said
    assert "too few new labels: 0 have arrived" in " ".join(said.split())
    assert "same retrainings as were made" in said


@pytest.mark.usefixtures("inside")
def test_training_needs_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--policy", "new.toml", "--fit"]) == 1

    assert "--recipe FILE:NAME" in capsys.readouterr().err


@pytest.mark.usefixtures("inside")
def test_a_project_with_several_deployments_asks_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "shops", "--policy", "new.toml"]) == 1

    assert "did you mean 'shop'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "cooldown_days = 3",
        "[policy]\ncooldown_days = 3",
        f"[deployments.{NAME}.policy]\ncooldown_days = 3\n[deployments.other.policy]\ncooldown_days = 9",
    ],
)
def test_a_policy_stands_alone_or_in_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.toml").write_text(text)

    found = read_policy(tmp_path / "p.toml", NAME, Policy(budget_per_year=2))

    assert (found.cooldown_days, found.budget_per_year) == (3.0, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cooldown = 3", "'cooldown' is none of its keys"),
        ("cooldown_days = 'three'", "a policy that cannot be"),
        ("cooldown_days =", "is not valid TOML"),
        ("policy = 3", "'3' is none of its keys"),
    ],
)
def test_what_is_no_policy_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.toml").write_text(text)

    with pytest.raises(SettingInvalid, match=said):
        read_policy(tmp_path / "p.toml", NAME, Policy())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_policy(tmp_path / "p.toml", NAME, Policy())
