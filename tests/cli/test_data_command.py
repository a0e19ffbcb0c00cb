"""`noria data`: a file becomes a version, versions are listed, shown and compared; a file of another shape is refused whole."""

import json
from pathlib import Path

import pytest

from noria.cli.main import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("id,x,c\n1,2.5,a\n2,3.5,b\n")
    (tmp_path / "b.csv").write_text("id,x,c\n2,3.0,b\n3,1.5,a\n")
    (tmp_path / "bad.csv").write_text("id,x\n1,zz\n")
    return tmp_path


def test_two_files_are_two_versions_and_their_difference_is_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "orders", "--add", "a.csv"]) == 0
    assert main(["data", "orders", "--add", "b.csv"]) == 0
    capsys.readouterr()

    assert main(["data", "orders/2", "--against", "orders/1", "--key", "id", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["added"], found["removed"], found["changed"]) == (1, 1, 1)
    assert main(["data", "orders/2", "--against", "orders/1", "--key", "id"]) == 0
    assert "changed" in capsys.readouterr().out


def test_a_file_that_is_not_what_was_agreed_on_makes_no_version(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["data", "orders", "--add", "a.csv"])

    assert main(["data", "orders", "--add", "bad.csv"]) == 1

    said = capsys.readouterr().err
    assert "'c' is missing" in said
    assert "remedy:" in said
    main(["data", "orders", "--json"])
    assert len(json.loads(capsys.readouterr().out)["versions"]) == 1


def test_an_unknown_version_is_named_with_its_neighbours(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "orders", "--add", "a.csv"])

    assert main(["data", "orders/7"]) == 1

    assert "orders/1" in capsys.readouterr().err
