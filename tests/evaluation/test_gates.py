"""Gates: the unfavourable limit counts, nothing measured means refused, and every result can be read."""

import numpy as np
import pytest

from noria.domain.gate import Gate
from noria.domain.interval import Interval
from noria.errors import InputInvalid, NotFound, SettingInvalid
from noria.evaluation.gates import judge
from noria.evaluation.metrics import summary
from noria.evaluation.report import report_json, report_markdown
from noria.evaluation.sample import Sample
from noria.evaluation.slices import by_slice


def a_gate(kind: str = "absolute", **changes: object) -> Gate:
    base = {"name": "g", "kind": kind, "metric": "log_loss", "limit": 0.7, "better": "lower", **changes}
    return Gate(**base)  # type: ignore[arg-type]


def a_sample(
    *, rows: int = 4000, noise: float = 0.0, champion_noise: float | None = None, slip: float = 0.0, seed: int = 1
) -> Sample:
    """Scores are the truth with noise in log odds; `slip` spoils the challenger on slice 'b' only."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 1.5, rows)
    y = (rng.uniform(size=rows) < 1 / (1 + np.exp(-z))).astype(float)
    group = np.where(np.arange(rows) % 4 == 0, "b", "a")

    def scores(amount: float, shift: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(z + rng.normal(0, amount, rows) + np.where(group == "b", shift, 0.0))))

    champion = None if champion_noise is None else scores(champion_noise, 0.0)
    return Sample(
        y=y, p=scores(noise, slip), champion_p=champion, block=np.arange(rows) * 20 // rows, slices={"group": group}
    )


def test_a_gate_passes_only_when_the_unfavourable_limit_meets_it() -> None:
    sample = a_sample()
    measured = judge([a_gate()], sample).results[0].measured

    between = (measured.value + measured.high) / 2
    assert judge([a_gate(limit=measured.high + 1e-9)], sample).passed
    assert not judge([a_gate(limit=between)], sample).passed
    assert not judge([a_gate(metric="auc", better="higher", limit=0.99)], sample).passed
    assert judge([a_gate(metric="auc", better="higher", limit=0.6)], sample).passed


def test_the_limit_has_the_one_sided_confidence_of_the_gate() -> None:
    strict = judge([a_gate(confidence=0.99)], a_sample()).results[0].measured
    loose = judge([a_gate(confidence=0.8)], a_sample()).results[0].measured

    assert strict.level == pytest.approx(0.98)
    assert strict.high > loose.high


def test_against_the_champion_tolerance_decides_between_better_and_not_worse() -> None:
    equal = a_sample(noise=0.0, champion_noise=0.0)
    better = a_sample(noise=0.0, champion_noise=1.0)
    worse = a_sample(noise=1.0, champion_noise=0.0)
    gate = a_gate("against_champion", limit=0.0)

    assert not judge([gate], equal).passed
    assert judge([a_gate("against_champion", limit=0.002)], equal).passed
    assert judge([gate], better).passed
    assert not judge([a_gate("against_champion", limit=0.002)], worse).passed
    assert judge([a_gate("against_champion", metric="auc", better="higher", limit=0.0)], better).passed
    assert judge([gate], better).results[0].champion is not None


def test_without_a_champion_there_is_nobody_to_beat() -> None:
    report = judge(
        [a_gate("against_champion", limit=0.0), a_gate("worst_slice", slice_by="group", limit=0.01)], a_sample()
    )

    assert report.passed
    assert all(r.evidence.startswith("no champion yet") for r in report.results)


def test_a_regression_on_one_slice_is_found_although_the_whole_looks_well() -> None:
    sample = a_sample(noise=0.0, champion_noise=0.3, slip=1.2)

    report = judge([a_gate("worst_slice", slice_by="group", limit=0.02)], sample)
    table = by_slice("log_loss", sample, column="group", better="lower")

    (result,) = report.results
    assert not result.passed
    assert result.slice_value == "b"
    assert "group=b" in result.evidence
    assert "corrected for 2 slices" in result.evidence
    assert table.slices[0].value == "b"
    assert table.slices[0].worsening.low > 0 > table.slices[1].worsening.value


def test_slices_that_are_too_small_are_named_and_not_judged() -> None:
    sample = a_sample(champion_noise=0.0)
    groups = np.array(["a"] * 3990 + ["rare"] * 10)

    table = by_slice(
        "log_loss",
        Sample(y=sample.y, p=sample.p, champion_p=sample.champion_p, slices={"g": groups}),
        column="g",
        better="lower",
    )

    assert table.too_small == {"rare": 10}
    assert [s.value for s in table.slices] == ["a"]


def test_what_cannot_be_measured_is_refused_with_the_reason() -> None:
    tiny = Sample(y=[1, 1, 1], p=[0.5, 0.6, 0.7], block=[0, 0, 0], slices={"group": ["a", "a", "b"]})
    gates = [
        a_gate(),
        a_gate(metric="auc", better="higher"),
        a_gate("latency", metric="p99_ms"),
        a_gate("worst_slice", slice_by="group"),
        a_gate("worst_slice", slice_by="nowhere"),
        a_gate(metric="f1"),
    ]

    report = judge(gates, tiny)

    assert [r.passed for r in report.results] == [False] * 6
    assert all("could not be measured" in r.evidence for r in report.results)
    assert all(r.measured.n == 0 for r in report.results)
    assert not judge(
        [a_gate("against_champion", metric="calibration_error", limit=1.0)], a_sample(champion_noise=0.0)
    ).passed


def test_latency_and_calibration_have_gates_of_their_own() -> None:
    latency = Interval(value=4.0, low=3.5, high=5.0, n=400)
    sample = a_sample()

    assert judge([a_gate("latency", metric="p99_ms", limit=5.0)], sample, latency=latency).passed
    assert not judge([a_gate("latency", metric="p99_ms", limit=4.5)], sample, latency=latency).passed
    assert judge([a_gate("calibration", metric="calibration_error", limit=0.05)], sample).passed
    assert not judge([a_gate("calibration", metric="calibration_error", limit=0.05)], a_sample(noise=2.5)).passed


def test_a_setting_that_cannot_be_is_an_error_and_not_a_refusal() -> None:
    with pytest.raises(SettingInvalid):
        judge([], a_sample())
    with pytest.raises(SettingInvalid):
        judge([a_gate(confidence=0.2)], a_sample())
    with pytest.raises(SettingInvalid, match="slice"):
        judge([a_gate("worst_slice")], a_sample())
    with pytest.raises(InputInvalid, match="block"):
        Sample(y=[0, 1], p=[0.1, 0.2], block=[1])
    with pytest.raises(NotFound):
        by_slice("log_loss", a_sample(), column="nowhere", better="lower")


def test_a_report_reads_as_a_table_with_failures_first() -> None:
    report = judge([a_gate(name="easy"), a_gate(name="hard", limit=0.01)], a_sample())

    lines = report_markdown(report).splitlines()

    assert lines[0].startswith("**refused**: 1 of 2 gates passed on 4000 rows")
    assert lines[4].startswith("| hard | FAILED |")
    assert report_json(report)["passed"] is False
    assert report_json(report)["results"][0]["gate"]["name"] == "easy"


def test_a_summary_leaves_out_what_one_class_cannot_have() -> None:
    assert "auc" not in summary([1, 1], [0.5, 0.6])
    assert summary([0, 1], [0.2, 0.7])["rows"] == 2.0
