"""`noria triggers`: what stands, and how a line of cron is read."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from noria.app.workspace import Workspace
from noria.cli.main import main
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from noria.domain.trigger import TriggerRule

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RULES = (
    TriggerRule(name="nightly", kind="cron", cron="0 3 * * *"),
    TriggerRule(name="orders", kind="new_data", dataset="orders", minimum_rows=5000),
    TriggerRule(name="again", kind="event", event="RunFailed"),
    TriggerRule(name="upstream", kind="webhook", secret="env:S"),
)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["triggers", *arguments])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_the_triggers_on_record_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    assert "No trigger" in said(capsys)[1]
    with Workspace.open() as workspace:
        event = e.TriggersDeclared(deployment="churn", rules=RULES)
        workspace.ledger.append([Draft(id=EventId("a"), at=NOON, actor="noria", event=event)])

    code, text = said(capsys)
    assert code == 0
    for word in ("nightly", "0 3 * * * (UTC)", "5,000 rows", "the event RunFailed", "triggers/upstream", "never"):
        assert word in text
    assert [x["name"] for x in json.loads(said(capsys, "churn", "--json")[1])["triggers"]] == [x.name for x in RULES]
    assert "No trigger" in said(capsys, "another")[1]


def test_a_line_of_cron_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    code, text = said(capsys, "--cron", "30 6 * * MON", "--zone", "Europe/Berlin", "--count", "2", "--json")
    dues = [datetime.fromisoformat(each) for each in json.loads(text)["due"]]

    assert code == 0
    assert [due.weekday() for due in dues] == [0, 0]
    assert (dues[1] - dues[0]).days in (6, 7)
    assert "06:30" in said(capsys, "--cron", "30 6 * * MON", "--zone", "Europe/Berlin")[1]
    code, text = said(capsys, "--cron", "61 * * * *")
    assert code == 1
    assert "0 to 59" in text
    assert said(capsys, "--cron", "* * * * *", "--count", "0")[0] == 1
