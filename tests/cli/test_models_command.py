"""`noria models` as people use it: what was champion on a day, which version is stable, who changed what, and why."""

import contextlib
import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

import noria
from noria.domain.ids import ExperimentId, RunId, TrainedModelId
from noria.domain.trained import TrainedModel
from noria.registry.register import register_external
from tests.cli.test_commands import Shell
from tests.loop.small import BEGIN, open_life


@pytest.fixture
def noria_(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.delenv("NORIA_HOME", raising=False)
    monkeypatch.delenv("NORIA_PROJECT", raising=False)
    with contextlib.chdir(tmp_path):
        shell = Shell(tmp_path, capsys)
        shell("init", "--project", "shop")
        with noria.Workspace.open() as workspace:
            for number in (1, 2):
                register(workspace, number)
        yield shell


def register(workspace: noria.Workspace, number: int) -> None:
    now = workspace.clock.now()
    trained = TrainedModel(
        id=TrainedModelId(f"m{number}"),
        experiment_id=ExperimentId("1"),
        name="model",
        run_id=RunId("r1"),
        created_at=now,
        updated_at=now,
    )
    register_external(
        workspace.models, model="churn", run=None, trained=trained, source=f"models:/m{number}", at=now, user="ada"
    )


def test_the_list_says_what_is_from_outside_and_why_it_has_its_number(noria_: Shell) -> None:
    said = " ".join(noria_("models").out.split())

    for part in ("churn/1", "churn/2", "not packaged", "first version", "MAJOR: nothing"):
        assert part in said


def test_an_alias_is_moved_with_a_reason_and_asked_for_by_day(noria_: Shell) -> None:
    assert noria_("models", "churn/1", "--set-alias", "champion", "--because", "the first").code == 0
    said = noria_("models", "churn/2", "--set-alias", "champion", "--because", "it is better")
    assert "✓ champion of churn points to version 2 (before: version 1)" in said.out

    now = noria_("models", "churn", "--alias", "champion", "--json").json
    later = noria_("models", "churn", "--alias", "champion", "--on", "2999-01-01")
    earlier = noria_("models", "churn", "--alias", "champion", "--on", "2013-07-01")

    assert (now["number"], now["previous"], now["actor"], now["reason"]) == (2, 1, getpass.getuser(), "it is better")
    assert later.code == 0
    for part in ("churn/2 = 2.0.0", "it is better", "what led there", "moved from version 1 to 2"):
        assert part in " ".join(later.out.split())
    assert earlier.code == 1
    assert "pointed nowhere on 2013-07-01 23:59 UTC" in earlier.err
    assert "it was first set on" in earlier.err
    events = noria_("audit", "--json").json
    assert events["breaks"] == []


def test_the_history_stays_when_an_alias_is_taken_away(noria_: Shell) -> None:
    noria_("models", "churn/1", "--set-alias", "champion", "--because", "the first")
    taken = noria_("models", "churn", "--remove-alias", "champion", "--because", "a fault", "--json")
    again = noria_("models", "churn", "--remove-alias", "champion", "--because", "a fault")

    moves = noria_("models", "churn", "--history", "--json").json["moves"]
    gone = noria_("models", "churn", "--alias", "champion")

    assert taken.code == 0
    assert again.out == "champion of churn pointed nowhere already.\n"
    assert [move["number"] for move in moves] == [1, None]  # type: ignore[attr-defined]
    assert gone.code == 1
    assert "took it away on" in gone.err
    assert "taken away" in noria_("models", "churn", "--history").out


def test_nothing_moves_and_nothing_is_deleted_without_a_reason(noria_: Shell) -> None:
    for command in (
        ("models", "churn/1", "--set-alias", "champion"),
        ("models", "churn/1", "--delete"),
        ("models", "churn", "--remove-alias", "champion"),
    ):
        said = noria_(*command)
        assert said.code == 1
        assert "--because" in said.err


def test_tags_and_descriptions_are_set_and_searched(noria_: Shell) -> None:
    noria_("models", "churn/2", "--tag", "team=risk", "--tag", "noria.stable=true", "--describe", "the second")
    noria_("models", "churn", "--tag", "owner=ada")
    found = noria_("models", "--where", "tag.team = 'risk'", "--json").json["versions"]
    none = noria_("models", "churn", "--where", "tag.team = 'other'")
    wrong = noria_("models", "--where", "tag.team =")
    noria_("models", "churn/2", "--tag", "team=")

    assert [(v["number"], v["description"]) for v in found] == [(2, "the second")]  # type: ignore[attr-defined]
    assert none.out == "No version matches \"tag.team = 'other'\".\n"
    assert (wrong.code, "noria-1011" in wrong.err) == (1, True)
    assert noria_("models", "--where", "tag.team = 'risk'", "--json").json == {"versions": []}


def test_the_latest_stable_version_is_asked_for_by_rule(noria_: Shell) -> None:
    none = noria_("models", "churn", "--latest-stable")
    noria_("models", "churn/1", "--tag", "noria.stable=true")
    one = noria_("models", "churn", "--latest-stable", "--json")

    assert none.code == 3
    assert "no version of model 'churn' is stable" in none.out
    assert one.code == 0
    assert one.json["version"]["number"] == 1  # type: ignore[index]
    assert [over["number"] for over in one.json["passed_over"]] == [2]  # type: ignore[attr-defined]


def test_a_version_is_deleted_and_its_number_is_gone(noria_: Shell) -> None:
    noria_("models", "churn/2", "--set-alias", "champion", "--because", "new")
    said = noria_("models", "churn/2", "--delete", "--because", "it leaked")

    with noria.Workspace.open() as workspace:
        register(workspace, 3)
        assert [v.number for v in workspace.models.versions("churn")] == [1, 3]
    assert "churn/2 deleted" in said.out
    assert noria_("models", "churn/2").code == 1
    assert noria_("models", "churn", "--delete", "--because", "done").code == 0
    assert noria_("models", "churn").code == 1
    noria_("audit", "export", "--to", "out.jsonl")
    assert "was deleted: it leaked" in (noria_.folder / "out.jsonl").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ("models", "--history"),
        ("models", "--latest-stable"),
        ("models", "churn", "--on", "2013-07-01"),
        ("models", "churn", "--alias", "champion", "--on", "yesterday"),
        ("models", "churn", "--set-alias", "champion", "--because", "x"),
        ("models", "--describe", "x"),
        ("models", "churn/1", "--delete", "--tag", "a=b", "--because", "x"),
        ("models", "churn/1", "--tag", "a"),
        ("models", "churn/latest"),
    ],
)
def test_a_command_that_cannot_be_meant_says_what_to_write(noria_: Shell, command: tuple[str, ...]) -> None:
    said = noria_(*command)

    assert said.code == 1
    assert "SettingInvalid" in said.err
    assert "remedy:" in said.err


def test_what_answers_requests_cannot_be_deleted_and_its_champion_has_its_evidence(noria_: Shell) -> None:
    with open_life(noria_.folder / ".noria") as life:
        life.declare().live(range(BEGIN + 2, BEGIN + 4))
    (noria_.folder / "noria.toml").write_text('project = "small"\n')

    refused = noria_("models", "returns/1", "--delete", "--because", "x")
    champion = noria_("models", "returns", "--alias", "champion", "--on", "2999-01-01")
    version = noria_("models", "returns/1")

    assert refused.code == 1
    assert "answers in deployment 'returns'" in refused.err
    for part in ("good enough", "became champion", "trained"):
        assert part in champion.out
    assert "champion" in version.out
