"""`noria doctor --errors` and `noria dashboards`, as they are typed."""

import json
import logging
from pathlib import Path

import pytest

from noria.app.error_groups import ErrorBook
from noria.cli.main import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project two of whose processes logged errors, one with what looks like markup of a terminal in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORIA_HOME", str(tmp_path / ".noria"))
    for service in ("noria", "noria-worker"):
        book = ErrorBook(tmp_path / ".noria", service=service)
        logger = logging.Logger("noria.some")
        logger.addHandler(book)
        logger.error("deployment %s cannot be loaded: [noria-3001] [/red]", "late")
        book.close()
    return tmp_path


def test_doctor_shows_errors_by_group(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--errors"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "[noria-3001]" in shown
    assert main(["doctor", "--errors", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["errors"]
    assert (group["count"], group["services"]) == (2, ["noria", "noria-worker"])


def test_doctor_and_status_point_to_them_until_they_are_forgotten(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--json"])
    findings = {each["what"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    main(["status", "--json"])
    (need,) = json.loads(capsys.readouterr().out)["needs_you"]

    assert (findings["errors"]["level"], findings["errors"]["remedy"]) == ("warn", "noria doctor --errors")
    assert need["command"] == "noria doctor --errors"
    assert main(["doctor", "--errors", "--forget"]) == 0
    capsys.readouterr()
    main(["doctor", "--errors"])
    assert "has logged an error" in capsys.readouterr().out


def test_dashboards_are_written_where_they_are_wanted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "export", "--dir", "out", "--slow", "2.5", "--json"]) == 0

    written = [Path(each) for each in json.loads(capsys.readouterr().out)["files"]]
    assert all((project / each).is_file() for each in written)
    assert "> 2.5" in (project / "out/prometheus/noria.rules.yml").read_text()
    assert main(["dashboards", "export", "--dir", "out", "--prometheus", "nowhere"]) == 1
