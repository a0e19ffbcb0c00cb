"""What differs between two runs. Pure. Comparing how two models do on the same data is evaluation/compare. Called by cli/ and server/control."""

import math
import struct

import msgspec

from noria.domain.ids import Digest
from noria.domain.run import CodeVersion, ParamValue, Run


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A param, tag or seed in both runs; missing says in which of them ('a' or 'b') there is none."""

    a: ParamValue
    b: ParamValue
    missing: str = ""


class MetricPair(msgspec.Struct, frozen=True, kw_only=True):
    """Last values of a metric, None where it was not measured. delta: b minus a."""

    a: float | None
    b: float | None
    delta: float | None


class CodePair(msgspec.Struct, frozen=True, kw_only=True):
    """Two code versions, None where it was not recorded."""

    a: CodeVersion | None
    b: CodeVersion | None


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Differences only: what is equal in both runs is not here. datasets_a, datasets_b: those that only this run used."""

    a: str
    b: str
    params: dict[str, Pair]
    metrics: dict[str, MetricPair]
    tags: dict[str, Pair]
    seed: Pair | None = None
    datasets_a: tuple[Digest, ...] = ()
    datasets_b: tuple[Digest, ...] = ()
    code: CodePair | None = None
    environment: Pair | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the runs differ in nothing that is compared."""
        same = not (self.params or self.metrics or self.tags or self.datasets_a or self.datasets_b)
        return same and self.seed is None and self.code is None and self.environment is None


def compare(run_a: Run, run_b: Run) -> RunDiff:
    """Put two runs side by side. 1, 1.0 and True are three params; two NaN are one metric.

    >>> from datetime import UTC, datetime
    >>> from noria.domain.ids import RunId
    >>> then = datetime(2013, 1, 1, tzinfo=UTC)
    >>> one = Run(id=RunId("a"), experiment="e", name="a", status="finished", started_at=then, metrics={"auc": 0.5, "n": 1.0})
    >>> compare(one, msgspec.structs.replace(one, metrics={"auc": 0.75, "n": 1.0})).metrics
    {'auc': MetricPair(a=0.5, b=0.75, delta=0.25)}
    """
    return RunDiff(
        a=run_a.id,
        b=run_b.id,
        params=_pairs(run_a.params, run_b.params),
        metrics={
            key: _metrics(run_a.metrics.get(key), run_b.metrics.get(key))
            for key in sorted(run_a.metrics.keys() | run_b.metrics.keys())
            if _bits(run_a.metrics.get(key)) != _bits(run_b.metrics.get(key))
        },
        tags=_pairs(run_a.tags, run_b.tags),
        seed=None if run_a.seed == run_b.seed else Pair(a=run_a.seed, b=run_b.seed),
        datasets_a=tuple(digest for digest in run_a.datasets if digest not in run_b.datasets),
        datasets_b=tuple(digest for digest in run_b.datasets if digest not in run_a.datasets),
        code=None if run_a.code == run_b.code else CodePair(a=run_a.code, b=run_b.code),
        environment=None if run_a.environment == run_b.environment else Pair(a=run_a.environment, b=run_b.environment),
    )


def _pairs(a: "dict[str, ParamValue] | dict[str, str]", b: "dict[str, ParamValue] | dict[str, str]") -> dict[str, Pair]:
    pairs = {}
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            pairs[key] = Pair(a=a.get(key), b=b.get(key), missing="a" if key not in a else "b")
        elif (type(a[key]), repr(a[key])) != (type(b[key]), repr(b[key])):
            pairs[key] = Pair(a=a[key], b=b[key])
    return pairs


def _metrics(a: float | None, b: float | None) -> MetricPair:
    return MetricPair(a=a, b=b, delta=None if a is None or b is None else b - a)


def _bits(value: float | None) -> bytes | None:
    """A value as compared: every NaN alike, and 0.0 like -0.0."""
    if value is None:
        return None
    return b"nan" if math.isnan(value) else struct.pack("<d", value + 0.0)
