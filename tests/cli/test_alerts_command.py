"""`noria alerts`: what stands, what is done about it, who is told; by hand and by scripts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from noria.app.workspace import Workspace
from noria.cli.alerts import moment
from noria.cli.main import main
from noria.domain import events as e
from noria.domain.alert import Silencer
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from noria.errors import SettingInvalid
from tests.app.alerting_world import NOON, an_alert
from tests.app.receiver import Receiver as Web


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as receiver:
        yield receiver


@pytest.fixture
def project(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", web.url)
    Path("noria.toml").write_text(
        "[notify.receivers.team]\nadapter = 'webhook'\nlocation = 'env:HOOK'\nseverity = 'page'\n", encoding="utf-8"
    )
    with Workspace.open() as workspace:
        silencer = Silencer(setting="false_page_days", now=365.0, needed=3650.0)
        for alert in (
            an_alert("aaaa1", silencers=(silencer,)),
            an_alert("aaaa2", kind="decay", severity="page", group="aaaa1"),
        ):
            opened = e.AlertOpened(deployment="churn", alert=alert)
            workspace.ledger.append([Draft(id=EventId(alert.id), at=NOON, actor="noria", event=opened)])
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["alerts", *arguments])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_what_stands_is_listed_by_cause_and_shown_with_its_evidence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys)
    assert code == 0
    assert text.index("aaaa1") < text.index("└ aaaa2")
    code, text = said(capsys, "show", "aaaa1")
    assert "log10_evidence" in text
    assert "false_page_days 3650 instead of 365" in text
    found = json.loads(said(capsys, "--severity", "page", "--json")[1])["alerts"]
    assert [alert["id"] for alert in found] == ["aaaa2"]


def test_an_alert_is_acknowledged_snoozed_opened_again_and_resolved(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def states(*arguments: str) -> dict[str, str]:
        return {a["id"]: a["state"] for a in json.loads(said(capsys, *arguments, "--json")[1])["alerts"]}

    assert states("ack", "aaaa1") == {"aaaa1": "acknowledged", "aaaa2": "acknowledged"}
    assert states("snooze", "aaaa2", "--for", "8h", "--only") == {"aaaa2": "snoozed"}
    assert states("reopen", "aaaa2") == {"aaaa1": "open", "aaaa2": "open"}
    assert said(capsys, "resolve", "aaaa1")[0] == 1, "it wants to know why"
    assert states("resolve", "aaaa1", "--because", "repaired") == {"aaaa1": "resolved", "aaaa2": "resolved"}
    assert states() == {}
    assert states("--all") == {"aaaa1": "resolved", "aaaa2": "resolved"}
    assert "Nothing stands" in said(capsys)[1]


def test_receivers_are_listed_and_tried_and_their_addresses_never_shown(
    project: Path, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "receivers")
    assert code == 0
    assert "team" in text
    assert "1, since 2026-03-01 12:00" in text
    assert "t0ken" not in text
    assert said(capsys, "test", "team")[0] == 0
    assert web.messages[0].body["text"].startswith("test:")
    web.answer = lambda _: 404
    code, text = said(capsys, "test")
    assert code == 3
    assert "404" in text
    assert "t0ken" not in text
    assert said(capsys, "test", "nobody")[0] == 1


def test_a_moment_is_a_span_or_a_time() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment("90min", "", now=now) == now + timedelta(minutes=90)
    assert moment("", "2026-01-02", now=now) == now + timedelta(days=1)
    for span, until in (("", ""), ("1h", "2026-01-02"), ("soon", ""), ("", "soon")):
        with pytest.raises(SettingInvalid):
            moment(span, until, now=now)


def test_without_a_project_nothing_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(capsys)[0] == 0
    assert said(capsys, "ack")[0] == 1
    assert said(capsys, "ack", "zzzz")[0] == 1
