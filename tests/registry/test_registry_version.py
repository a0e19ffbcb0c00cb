"""Semantic versions follow from the lineage alone."""

from datetime import UTC, datetime

import pytest

from noria.adapters.metadata.memory import open_store
from noria.domain.gate import Gate, GateReport, GateResult
from noria.domain.ids import Digest, RunId
from noria.domain.interval import Interval
from noria.domain.model import AliasMove, Field, ModelVersion, SemanticVersion, Signature
from noria.errors import GateNotPassed, NotFound
from noria.registry.promote import alias_on, promote
from noria.registry.version import next_version

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_version(
    number: int = 1, *, version: str = "1.0.0", architecture: str = "boosting", data: str = "d1", **params: float
) -> ModelVersion:
    major, minor, patch = (int(x) for x in version.split("."))
    return ModelVersion(
        model="churn",
        number=number,
        version=SemanticVersion(major=major, minor=minor, patch=patch),
        version_reason="",
        run_id=RunId(f"run{number}"),
        bundle=Digest("blake3:0"),
        flavor="onnx",
        signature=Signature(inputs=(Field(name="x", datatype="FP32"),), outputs=(Field(name="p", datatype="FP32"),)),
        created_at=NOW,
        datasets=(Digest(data),),
        params=dict(params),
        tags={"architecture": architecture},
    )


@pytest.mark.parametrize(
    ("architecture", "data", "params", "expected", "reason"),
    [
        ("logistic", "d1", {"lr": 0.1}, "3.0.0", "architecture changed"),
        ("boosting", "d2", {"lr": 0.1}, "3.0.0", "training data changed"),
        ("boosting", "d1", {"lr": 0.2}, "2.2.0", "hyper-parameters changed (lr)"),
        ("boosting", "d1", {"lr": 0.1, "depth": 3}, "2.2.0", "hyper-parameters changed (depth)"),
        ("boosting", "d1", {"lr": 0.1}, "2.1.4", "PATCH"),
    ],
)
def test_the_version_says_what_changed(
    architecture: str, data: str, params: dict[str, float], expected: str, reason: str
) -> None:
    previous = a_version(version="2.1.3", lr=0.1)

    version, why = next_version(previous, architecture=architecture, datasets=[Digest(data)], params=params)

    assert str(version) == expected
    assert reason in why


def test_a_failed_gate_is_never_registered() -> None:
    from noria.domain.bundle import Bundle, Environment
    from noria.domain.run import Run
    from noria.registry.register import register

    gate = Gate(name="auc", kind="absolute", metric="auc", limit=0.8, better="higher")
    failed = GateResult(gate=gate, passed=False, measured=Interval(value=0.7, low=0.6, high=0.79, n=100))
    store = open_store("", project="p")
    version = a_version()
    manifest = Bundle(
        model="churn",
        run_id=RunId("r"),
        flavor="onnx",
        code_free=True,
        signature=version.signature,
        files=(),
        environment=Environment(python="3.11", platform="linux", packages={}),
        created_at=NOW,
    )
    run = Run(id=RunId("r"), experiment="e", name="n", status="finished", started_at=NOW)

    for report in (GateReport(results=(failed,), rows=100), GateReport(results=(), rows=0)):
        with pytest.raises(GateNotPassed) as refused:
            register(
                store.models,
                model="churn",
                run=run,
                bundle=Digest("b"),
                manifest=manifest,
                gates=report,
                architecture="a",
                at=NOW,
            )
        assert "noria run r" in refused.value.remedy
    assert store.models.versions("churn") == []


def test_an_alias_remembers_who_held_it_on_each_day() -> None:
    models = open_store("", project="p").models
    for number in (1, 2):
        models.register(a_version(number))
    day = [datetime(2026, 1, d, tzinfo=UTC) for d in (1, 10, 20)]

    for number, at in ((1, day[1]), (2, day[2])):
        promote(models, model="churn", number=number, alias="champion", at=at, actor="mia", reason="won")

    assert alias_on(models, model="churn", alias="champion", day=day[0]) is None
    held = alias_on(models, model="churn", alias="champion", day=datetime(2026, 1, 15, tzinfo=UTC))
    assert held == AliasMove(
        model="churn", alias="champion", number=1, previous=None, at=day[1], actor="mia", reason="won"
    )
    assert alias_on(models, model="churn", alias="champion", day=day[2]).number == 2  # type: ignore[union-attr]


def test_an_alias_cannot_name_what_does_not_exist() -> None:
    models = open_store("", project="p").models

    with pytest.raises(NotFound):
        promote(models, model="churn", number=9, alias="champion", at=NOW, actor="mia", reason="")
