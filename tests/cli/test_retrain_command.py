"""`noria retrain` asks once, with a reason; `noria audit policy` shows who left a policy."""

import contextlib
import json
from datetime import timedelta
from pathlib import Path

import pytest

import noria
from noria.cli.main import main
from noria.domain import events as e
from noria.domain.ids import EventId, digest_of
from noria.domain.ledger import Draft
from noria.domain.policy import Bound


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_person_asks_and_the_audit_tells_a_person_from_a_loop_that_left_its_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NORIA_HOME", raising=False)
    monkeypatch.delenv("NORIA_PROJECT", raising=False)
    with contextlib.chdir(tmp_path):
        main(["init", "--project", "shop"])
        with noria.Workspace.open() as workspace:
            now = workspace.clock.now()
            declared = e.DeploymentDeclared(deployment="prod", model="churn", declaration=digest_of(b""))
            workspace.ledger.append([Draft(id=EventId("d"), at=now, actor="t", event=declared)])

        without_reason, _, why = said(capsys, "retrain", "prod")
        first, out, _ = said(capsys, "retrain", "prod", "--because", "a new price list")
        again, _, busy = said(capsys, "retrain", "prod", "--because", "again")
        audit, well, _ = said(capsys, "audit", "policy")

        assert (without_reason, first, again, audit) == (1, 0, 1, 0)
        assert "without a reason" in why
        assert "next: noria why " in out
        assert "already under way" in busy
        assert "✓ 1 retrainings, 1 asked for by people, each inside its policy" in well

        with noria.Workspace.open() as workspace:
            bound = Bound(name="cooldown_days", limit=21, found=40, kept=True)
            asked = e.RetrainRequested(
                deployment="prod", model="churn", reason="", trigger="decay", data_until=now, bounds=(bound,)
            )
            later = now + timedelta(days=2)
            workspace.ledger.append([Draft(id=EventId("r"), at=later, actor="noria", event=asked)])
        code, table, _ = said(capsys, "audit", "policy")
        _, line, _ = said(capsys, "audit", "policy", "--json")

        assert code == 3
        assert "1 of them outside their policies" in table
        assert json.loads(line)["outside"] == 1
        assert "by the ledger (at least 21)" in json.loads(line)["retrainings"][1]["exceeded"][0]
