"""`noria status NAME` and `noria why ROLLOUT` tell the story that the pages tell, from one reader."""

import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

import noria
from noria.app.deliveries import deliveries, delivery
from noria.app.settings import Settings
from noria.cli.main import main
from noria.domain import events as e
from noria.domain.deployment import Deployment
from noria.serving import looks
from tests.app.book import MODEL, NAME, NOW, ROLLOUT, SPLIT, Book, a_verdict


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose second version was promoted."""
    monkeypatch.delenv("NORIA_HOME", raising=False)
    monkeypatch.delenv("NORIA_PROJECT", raising=False)
    monkeypatch.setenv("COLUMNS", "240")
    (tmp_path / "noria.toml").write_text('project = "told"\n')
    with noria.Workspace(Settings(project="told"), tmp_path / ".noria") as workspace:
        book = Book(workspace)
        started = book.started()
        standing = Deployment(name=NAME, model=MODEL, generation=2, variants=SPLIT, updated_at=NOW, rollout=ROLLOUT)
        looks.keep(workspace.blobs, standing, ROLLOUT, a_verdict("wait", 0.03), at=NOW.replace(hour=9))
        looks.keep(workspace.blobs, standing, ROLLOUT, a_verdict(), at=NOW.replace(hour=20))
        book.tell(
            e.RolloutPromoted(
                deployment=NAME,
                model=MODEL,
                number=2,
                previous=1,
                generation=3,
                rollout_id=ROLLOUT.id,
                verdict=a_verdict(),
            ),
            cause=started,
            hours=20,
        )
    with chdir(tmp_path):
        yield tmp_path


def test_one_deployment_is_told_with_what_was_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", NAME]) == 0

    out = capsys.readouterr().out
    assert "version 2 became champion after 1 (canary)" in out
    assert "1 of 8 retrainings" in out
    assert "next: noria why r1" in out


def test_a_rollout_is_explained_by_its_id(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "r1"]) == 0

    out = capsys.readouterr().out
    for part in ("it decayed (decay)", "anna", "✓ kept", "surely not worse", "about 2,400 labels", "2 looks", "budget"):
        assert part in out


def test_terminal_and_reader_tell_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", NAME, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["deliveries"]
    assert main(["why", "r1", "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)["delivery"]["delivery"]

    with noria.Workspace.open() as workspace:
        (read,) = deliveries(workspace, NAME)
        assert delivery(workspace, "r1").delivery == read
    assert told == [explained]
    assert told[0]["headline"] == read.headline


def test_a_name_that_nobody_deployed_is_told_with_the_nearest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "chrun"]) == 1

    assert NAME in capsys.readouterr().err
