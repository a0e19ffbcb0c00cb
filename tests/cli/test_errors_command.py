"""`noria errors` as people and scripts use it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from noria.app.settings import Settings
from noria.app.workspace import Workspace
from noria.cli.main import main
from noria.testing.clock import FakeClock
from tests.app.served import BEGIN, NAME, orders, serve


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    with Workspace(Settings(), folder / ".noria", clock=FakeClock(BEGIN)) as workspace:
        columns, outputs, labels, days = orders()
        serve(workspace, columns, outputs, labels=labels, days=days)
    return folder


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NORIA_HOME", "NORIA_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.chdir(project):
        yield


@pytest.mark.usefixtures("inside")
def test_the_blind_spot_stands_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", NAME, "--by", "under"]) == 0

    out = capsys.readouterr().out
    assert "1 group is surely worse" in out
    assert out.index("shop = 'web'") < out.index("what happened and what was said")
    assert "next: noria why r" in out


@pytest.mark.usefixtures("inside")
def test_scripts_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", NAME, "--by", "excess", "--json"]) == 0

    read = json.loads(capsys.readouterr().out)
    assert read["span"]["answers"] == 1600
    assert read["span"]["labelled"] == read["span"]["used"] == read["report"]["rows"] < 1600
    assert read["report"]["slices"]["slices"][0]["conditions"][0]["value"] == "web"


@pytest.mark.usefixtures("inside")
def test_groups_are_compared_and_the_broken_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", NAME, "--groups", "shop"]) == 0
    told = capsys.readouterr().out
    assert main(["errors", NAME, "--groups", "shop", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)

    assert "surely exceed" in told
    assert read["report"]["gaps"][0]["beyond"]
    assert "web" in read["report"]["gaps"][0]["group"]
    assert sum(g["rows"] for g in read["report"]["groups"]) == 1600


@pytest.mark.usefixtures("inside")
def test_a_change_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", NAME, "--causes", "--since", "2026-03-12", "--against", "2026-03-01"]) == 0
    told = capsys.readouterr().out

    assert "the mean loss did not surely change" in told
    assert "because the inputs moved" in told


@pytest.mark.usefixtures("inside")
def test_odd_predictions_come_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--odd", "--since", "2026-03-12", "--against", "2026-03-01", "--rate", "0.02"]

    assert main(["errors", NAME, *given]) == 0
    told = capsys.readouterr().out

    assert "predictions have odd inputs" in told
    assert "by chance" in told


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no deployment 'nobody'"),
        ([NAME, "--since", "yesterday"], "--since 'yesterday' is no day"),
        ([NAME, "--by", "anger"], "no measure 'anger'"),
        ([NAME, "--since", "2026-03-09", "--until", "2026-03-01"], "is not before"),
        ([NAME, "--until", "2026-02-01"], "has a label"),
        ([NAME, "--groups", "shoe"], "no column 'shoe'"),
        ([NAME, "--version", "7"], "no version 'returns/7'"),
    ],
)
def test_what_cannot_be_is_said_with_a_remedy(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["errors", *arguments]) == 1

    told = capsys.readouterr().err
    assert said in told
    assert "remedy:" in told
