"""Judge gates: every one with its interval and a sentence of evidence. A gate that cannot be measured fails and says why.

Measuring is evaluation/metrics, compare and slices; what a failed gate means for the loop is loop/stages. Called by loop/stages.
"""

from collections.abc import Callable, Sequence

from noria.domain.gate import DataContract, Gate, GateReport, GateResult
from noria.domain.interval import Interval
from noria.errors import ConfigError, NoriaError, SettingInvalid
from noria.evaluation.compare import difference
from noria.evaluation.fairness import by_group
from noria.evaluation.metrics import measure
from noria.evaluation.sample import Sample
from noria.evaluation.slices import by_slice


def judge(
    gates: Sequence[Gate], sample: Sample, *, latency: Interval | None = None, contract: DataContract | None = None
) -> GateReport:
    """Judge every gate on one sample. latency: measured elsewhere, in milliseconds; contract: what the training rows were; for gates of those kinds.
    Raises SettingInvalid for no gates.

    A gate passes only when the limit on the unfavourable side of its interval meets the limit, at the gate's own one-sided confidence.
    """
    if not gates:
        raise SettingInvalid("there is no gate to pass", remedy="declare at least one gate for the deployment")
    results = tuple(_judge_one(gate, sample, latency, contract) for gate in gates)
    return GateReport(results=results, rows=sample.rows, since=sample.since, until=sample.until)


def _judge_one(gate: Gate, sample: Sample, latency: Interval | None, contract: DataContract | None) -> GateResult:
    judges: dict[str, Callable[[], GateResult]] = {
        "absolute": lambda: _absolute(gate, sample),
        "calibration": lambda: _absolute(gate, sample),
        "against_champion": lambda: _against_champion(gate, sample),
        "worst_slice": lambda: _worst_slice(gate, sample),
        "latency": lambda: _latency(gate, latency),
        "group_gap": lambda: _group_gap(gate, sample),
        "data_contract": lambda: _data_contract(gate, contract),
    }
    if not 0.5 < gate.confidence < 1:
        raise SettingInvalid(
            f"gate {gate.name!r} asks for a confidence of {gate.confidence}",
            remedy="choose one between 0.5 and 1, e.g. 0.95",
        )
    try:
        return judges[gate.kind]()
    except ConfigError:
        raise
    except NoriaError as exc:
        return _closed(gate, sample.rows, exc.problem)


def _level(gate: Gate) -> float:
    """Two-sided level whose unfavourable limit has the gate's one-sided confidence."""
    return 2 * gate.confidence - 1


def _closed(gate: Gate, rows: int, reason: str) -> GateResult:
    nothing = Interval(value=0.0, low=0.0, high=0.0, n=0, level=_level(gate), method="not measured")
    return GateResult(
        gate=gate,
        passed=False,
        measured=nothing,
        evidence=f"{gate.metric} could not be measured on {rows} rows: {reason}",
    )


def _meets(gate: Gate, interval: Interval) -> bool:
    return interval.high <= gate.limit if gate.better == "lower" else interval.low >= gate.limit


def _range(interval: Interval, *, sign: str = "") -> str:
    return f"{interval.value:{sign}.4f} ({interval.level:.0%} CI {interval.low:{sign}.4f}..{interval.high:{sign}.4f}, n={interval.n})"


def _absolute(gate: Gate, sample: Sample) -> GateResult:
    found = measure(gate.metric, sample, level=_level(gate))
    passed = _meets(gate, found)
    bound = "at most" if gate.better == "lower" else "at least"
    evidence = f"{gate.metric} is {_range(found)}; must surely be {bound} {gate.limit:g}"
    return GateResult(gate=gate, passed=passed, measured=found, evidence=evidence)


def _against_champion(gate: Gate, sample: Sample) -> GateResult:
    own = measure(gate.metric, sample, level=_level(gate))
    if sample.champion_p is None:
        return GateResult(
            gate=gate, passed=True, measured=own, evidence=f"no champion yet; {gate.metric} is {_range(own)}"
        )
    champion = measure(gate.metric, sample, level=_level(gate), of_champion=True)
    found = difference(gate.metric, sample, level=_level(gate))
    worst = found.high if gate.better == "lower" else -found.low
    passed = worst < 0 if gate.limit == 0 else worst <= gate.limit
    rule = "must surely be better" if gate.limit == 0 else f"may surely worsen by no more than {gate.limit:g}"
    evidence = f"{gate.metric} {champion.value:.4f} -> {own.value:.4f}, difference {_range(found, sign='+')}; {rule}"
    return GateResult(gate=gate, passed=passed, measured=found, champion=champion, evidence=evidence)


def _worst_slice(gate: Gate, sample: Sample) -> GateResult:
    if gate.slice_by is None:
        raise SettingInvalid(f"gate {gate.name!r} does not say by which column to slice", remedy="set slice_by")
    report = by_slice(
        gate.metric,
        sample,
        column=gate.slice_by,
        better=gate.better,
        level=_level(gate),
        minimum_rows=gate.minimum_rows,
    )
    # The limit is on the absolute worsening, so every slice is held to it; the one nearest to failing is shown.
    worst = max(report.slices, key=lambda s: s.worsening.high)
    name = f"{worst.column}={worst.value}"
    left_out = f"; {len(report.too_small)} slices too small to judge" if report.too_small else ""
    if sample.champion_p is None:
        evidence = (
            f"no champion yet; the weakest of {len(report.slices)} slices is {report.slices[0].column}={report.slices[0].value}: "
            f"{gate.metric} {report.slices[0].challenger.value:.4f} against {report.slices[0].reference:.4f} overall{left_out}"
        )
        return GateResult(
            gate=gate,
            passed=True,
            measured=report.slices[0].challenger,
            slice_value=report.slices[0].value,
            evidence=evidence,
        )
    passed = worst.worsening.high <= gate.limit
    evidence = (
        f"{gate.metric} on slice {name} {worst.reference:.4f} -> {worst.challenger.value:.4f}, worsening {_range(worst.worsening, sign='+')}, "
        f"corrected for {len(report.slices)} slices; may surely worsen by no more than {gate.limit:g}{left_out}"
    )
    return GateResult(gate=gate, passed=passed, measured=worst.worsening, slice_value=worst.value, evidence=evidence)


def _group_gap(gate: Gate, sample: Sample) -> GateResult:
    if gate.slice_by is None:
        raise SettingInvalid(f"gate {gate.name!r} does not say which column names the groups", remedy="set slice_by")
    report = by_group(
        gate.metric,
        sample,
        column=gate.slice_by,
        limit=gate.limit,
        level=_level(gate),
        minimum_rows=gate.minimum_rows,
    )
    if not report.gaps:
        return _closed(gate, sample.rows, f"no group of {gate.slice_by!r} has rows that count for it")
    # Every group is held to the limit; the one nearest to failing is shown.
    worst = max(report.gaps, key=lambda g: max(g.gap.high, -g.gap.low))
    passed = all(g.settled for g in report.gaps)
    left_out = f"; {len(report.too_small)} groups too small to judge" if report.too_small else ""
    evidence = (
        f"{gate.metric} where {gate.slice_by}={worst.group} differs from all others by {_range(worst.gap, sign='+')}, corrected for "
        f"{len(report.gaps)} gaps; may surely differ by no more than {gate.limit:g}{left_out}"
    )
    return GateResult(gate=gate, passed=passed, measured=worst.gap, slice_value=worst.group, evidence=evidence)


def _latency(gate: Gate, latency: Interval | None) -> GateResult:
    if latency is None:
        return _closed(gate, 0, "no latency was measured")
    found = f"{latency.value:.3f} ms (CI {latency.low:.3f}..{latency.high:.3f}, n={latency.n})"
    evidence = f"{gate.metric} is {found}; must surely be at most {gate.limit:g} ms"
    return GateResult(gate=gate, passed=_meets(gate, latency), measured=latency, evidence=evidence)


def _data_contract(gate: Gate, contract: DataContract | None) -> GateResult:
    if contract is None or contract.rows == 0:
        return _closed(gate, 0, "no training rows were shown")
    share = contract.broken / contract.rows
    # Rows were counted, not sampled: there is nothing to be unsure of.
    found = Interval(value=share, low=share, high=share, n=contract.rows, level=_level(gate), method="counted")
    passed = not contract.differences and not contract.refused and _meets(gate, found)
    held = f"{contract.expectations} expectations and the schema" if contract.expectations else "the schema"
    said = "; ".join((*contract.differences, *contract.failed))
    evidence = (
        f"{contract.broken} of {contract.rows} training rows ({share:.2%}) broke what they were held to, {held}; "
        f"must be at most {gate.limit:.2%}{f' ({said})' if said else ''}"
    )
    return GateResult(gate=gate, passed=passed, measured=found, evidence=evidence)
