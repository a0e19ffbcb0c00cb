"""`noria deploy`, `plan`, `apply`, `rollback`, `stop`, `resume`, `override`: by hand, and as a pipeline of scripts uses them."""

import json
from pathlib import Path

import pytest

from noria.app.workspace import Workspace
from noria.cli.deploy import arm, objective, reference, share, steps
from noria.cli.main import main
from noria.cli.up import unapplied
from noria.errors import SettingInvalid
from tests.app.deploying_world import register

TOML = """
[deployments.prod]
model = "churn"
variants = [{ name = "champion", version = "%s" }]
fallback = "1"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("noria.toml").write_text(TOML % "2", encoding="utf-8")
    with Workspace.open() as workspace:
        for number in range(1, 5):
            register(workspace, number)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, " ".join((printed.out + printed.err).split())


def test_a_plan_says_by_its_exit_code_whether_anything_would_change(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "plan")[0] == 3
    assert said(capsys, "apply", "--yes", "--because", "commit 4f1c")[0] == 0
    code, text = said(capsys, "plan")
    assert (code, "Nothing to change" in text) == (0, True)

    Path("noria.toml").write_text(TOML % "3", encoding="utf-8")
    code, text = said(capsys, "plan", "--json")
    assert code == 3
    [difference] = json.loads(text)["differences"]
    assert (difference["field"], difference["before"], difference["after"]) == ("champion", "2 (2.0.0)", "3 (3.0.0)")


def test_without_a_person_to_ask_nothing_is_applied_unasked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "apply")
    assert code == 1
    assert "noria apply --yes" in text
    assert said(capsys, "plan")[0] == 3


def test_a_plan_that_was_looked_at_is_applied_only_while_it_is_true(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "apply", "--yes")
    Path("noria.toml").write_text(TOML % "3", encoding="utf-8")
    assert said(capsys, "plan", "--out", "plan.json")[0] == 3
    said(capsys, "deploy", "churn/4", "--to", "prod")

    code, text = said(capsys, "apply", "--yes", "--plan", "plan.json")
    assert code == 1
    assert "has changed since the plan" in text


def test_a_canary_is_deployed_overruled_rolled_back_stopped_and_resumed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "apply", "--yes")
    dry = said(capsys, "deploy", "churn/3", "--to", "prod", "--canary", "10%", "--dry-run")
    assert "canary: version 3 gets 10% beside 2" in dry[1]
    assert "1 thing would change" in dry[1] or "things would change" in dry[1]
    assert said(capsys, "deploy", "churn/3", "--to", "prod", "--canary", "10%")[0] == 0
    assert "version 3 with 100%" in said(capsys, "override", "prod", "promote", "--because", "sure")[1]
    assert "version 2 with 100%" in said(capsys, "rollback", "prod", "--because", "complaints")[1]
    assert "complaints" in said(capsys, "why", "prod")[1]
    assert "is stopped, answers: version 1" in said(capsys, "stop", "prod", "--because", "harm")[1]
    assert "version 2 with 100%" in said(capsys, "resume", "prod")[1]

    code, text = said(capsys, "audit", "verify")
    assert code == 0, text


def test_noria_up_says_what_is_declared_and_does_not_stand_yet(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Workspace.open() as workspace:
        assert unapplied(workspace) == "declared and not applied: 2 things; see noria plan"
    said(capsys, "apply", "--yes")
    with Workspace.open() as workspace:
        assert unapplied(workspace) == ""
    Path("noria.toml").write_text(TOML % "99", encoding="utf-8")
    with Workspace.open() as workspace:
        assert "cannot be applied" in unapplied(workspace)


def test_why_is_asked_for(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "apply", "--yes")
    for command in (["rollback", "prod"], ["stop", "prod"], ["override", "prod", "promote"]):
        code, text = said(capsys, *command)
        assert code == 1
        assert "why is not said" in text


def test_a_setting_that_is_misspelt_is_not_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("noria.toml").write_text(TOML % "2" + "[deployments.prod.canary]\nwieght = 0.1\n", encoding="utf-8")
    code, text = said(capsys, "plan")
    assert code == 1
    assert "deployments.prod.canary.wieght (did you mean 'weight'?)" in text


@pytest.mark.parametrize(
    ("read", "words"),
    [(reference, "a/b/c"), (share, "much"), (steps, "fast"), (objective, "speed=1"), (objective, "errors"), (arm, "b")],
)
def test_words_that_mean_nothing_are_refused_with_words_that_do(read: object, words: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        read(words)  # type: ignore[operator]
    assert refused.value.remedy
