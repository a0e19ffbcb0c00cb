"""What a model in the shadow would have answered, beside what callers got: agreement, differences, where they differ, latency, failures, quality.

Composition only: rows are paired here, figures are stats/ and monitoring/slices. Called by `noria shadow` and server/control/shadow.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from noria.app.workspace import Workspace
from noria.domain.interval import Interval
from noria.errors import EmptySample, ExtraMissing, InputInvalid, NotFound
from noria.monitoring.slices import SliceSearch, find_slices
from noria.stats.intervals import mean_interval, paired_interval, wilson_interval
from noria.stats.metrics import row_log_loss

if TYPE_CHECKING:
    import polars as pl

DAYS = 7.0
MOST_ROWS = 200_000
"""More pairs than this are thinned evenly."""
BINS = 10
MOST_SLICED = 40
"""Inputs among which groups are looked for."""


class AnswerBin(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers, and how many of the shadow's, lie from `low` up to `high`; the last one holds its end."""

    low: float
    high: float
    answers: int
    shadow: int


class OutputCompared(msgspec.Struct, frozen=True, kw_only=True):
    """One output of both on the same rows. agreement: share of rows with the same answer: for probabilities the same side of 0.5, for other numbers
    within a millionth of their spread. difference: mean absolute difference; shift: mean of shadow minus answer; quantiles: of the absolute
    difference at 50, 95, 99 and 100 %. The last three and bins: of numbers."""

    name: str
    kind: Literal["probability", "number", "text"]
    rows: int
    agreement: Interval
    difference: Interval | None = None
    shift: Interval | None = None
    quantiles: tuple[float, ...] = ()
    bins: tuple[AnswerBin, ...] = ()


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two. requests: those that it answered or failed at; latency: in ms at 50, 95 and 99 % of those answered."""

    variant: str
    number: int
    requests: int
    failed: int
    failures: Interval | None
    latency_ms: tuple[float, ...]
    errors: tuple[str, ...] = ()
    """The most frequent things that went wrong, with how often."""


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """A shadow beside the champion. answered: the champion's requests in this time; copied: share of them that the shadow answered or failed at.

    pairs: rows that both answered; labels: those with an outcome. quality: loss of the shadow minus the champion's (log loss, else absolute error);
    below 0 the shadow is better. slices: groups of rows where the two differ most, by the mean absolute difference of the first output.
    """

    deployment: str
    since: datetime
    until: datetime
    champion: Side
    shadow: Side
    answered: int
    copied: float
    pairs: int
    outputs: tuple[OutputCompared, ...]
    labels: int = 0
    quality: Interval | None = None
    loss: str = ""
    slices: SliceSearch | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """The report in a sentence."""
        if not self.outputs:
            return f"{self.shadow.variant} has answered nothing that {self.champion.variant} answered as well"
        first = self.outputs[0]
        said = f"{self.shadow.variant} agrees in {first.agreement.value:.1%} of {self.pairs:,} rows"
        if first.difference is not None:
            said += f"; {first.name} differs by {first.difference.value:.4g} on average"
        if self.quality is not None:
            word = (
                "better" if self.quality.high < 0 else "worse" if self.quality.low > 0 else "not surely better or worse"
            )
            said += f"; with {self.labels:,} labels it is {word}"
        return said


def shadow_of(
    workspace: Workspace,
    deployment: str,
    *,
    variant: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    days: float = DAYS,
) -> ShadowReport:
    """Compare a shadow with the champion on the rows that both answered. variant: needed only where several were in the shadow.

    Raises NotFound for a deployment or shadow that does not exist, EmptySample when the log has nothing of it in this time, ExtraMissing.
    """
    try:
        import polars as pl
    except ModuleNotFoundError as exc:
        raise ExtraMissing("reading the prediction log needs polars", remedy="pip install 'noria[data]'") from exc
    try:
        workspace.deployments.get(deployment)
    except NotFound:
        names = [other.name for other in workspace.deployments.all()]
        raise NotFound.of("deployment", deployment, names, remedy="noria status") from None
    now = workspace.clock.now()
    until = until or now
    since = since or until - timedelta(days=days)
    if since >= until:
        raise InputInvalid(f"{since.isoformat()} is not before {until.isoformat()}", remedy="say --since and --until")

    def read(kind: Any, columns: Sequence[str] | None) -> "pl.DataFrame":
        found = workspace.predictions.joined(
            deployment, known_by=now, since=since, until=until, columns=columns, kind=kind
        )
        return pl.DataFrame(found)

    copies = read("shadow", None)
    failed = read("failure", ["variant", "number", "request_id", "row", "error"])
    name, number = _which(deployment, copies, failed, variant, workspace)
    # Another version may have had this name before: only the newest one is told of.
    copies = copies.filter((pl.col("variant") == name) & (pl.col("number") == number))
    answers = read("answer", None).filter((pl.col("variant") == "champion") & ~pl.col("asked"))
    if copies.height:
        begun = copies["generation"].min()
        answers = answers.filter(pl.col("generation") >= begun)
        champion = answers["number"].tail(1).to_list()
        answers = answers.filter(pl.col("number") == champion[0]) if champion else answers
    return _compared(deployment, answers, copies, failed, name=name, number=number, since=since, until=until)


def _which(
    deployment: str, copies: "pl.DataFrame", failed: "pl.DataFrame", variant: str, workspace: Workspace
) -> tuple[str, int]:
    """The shadow that is meant, and its newest version. Raises NotFound, EmptySample."""
    standing = {v.name: v.number for v in workspace.deployments.get(deployment).variants if v.shadow}
    logged = copies["variant"].unique().to_list()
    known = sorted({*standing, *logged})
    if variant and variant not in known:
        raise NotFound.of("shadow", variant, known, remedy=f"noria shadow {deployment}")
    if not variant and len(known) != 1:
        if known:
            raise InputInvalid(
                f"{deployment!r} has several shadows", cause=", ".join(known), remedy="name one: --variant NAME"
            )
        raise EmptySample(
            f"no model was in the shadow of {deployment!r} in this time",
            remedy=f"noria deploy MODEL --to {deployment} --shadow next=NUMBER:100%",
        )
    name = variant or known[0]
    rows = copies.filter(copies["variant"] == name)
    if rows.height:
        return name, int(rows["number"][-1])
    broken = failed.filter(failed["variant"] == name)
    if name in standing:
        return name, standing[name]
    if broken.height:
        return name, int(broken["number"][-1])
    raise EmptySample(f"shadow {name!r} of {deployment!r} has answered nothing in this time", remedy="take more --days")


def _compared(
    deployment: str,
    answers: "pl.DataFrame",
    copies: "pl.DataFrame",
    failed: "pl.DataFrame",
    *,
    name: str,
    number: int,
    since: datetime,
    until: datetime,
) -> ShadowReport:
    outputs = [c for c in copies.columns if c.startswith("out.") and c in answers.columns]
    said = copies.select("request_id", "row", *[copies[c].alias(f"shadow.{c[4:]}") for c in outputs])
    pairs = answers.join(said, on=["request_id", "row"], how="inner", maintain_order="left")
    given = pairs.height
    if given > MOST_ROWS:
        pairs = pairs[np.linspace(0, given - 1, MOST_ROWS).astype(np.int64)]
    days = pairs["at"].dt.epoch("d").to_numpy()
    compared, first = [], None
    for output in outputs:
        one = _output(pairs, output, days)
        if one is not None:
            compared.append(one[0])
            first = first if first is not None else one[1]
    asked = answers.filter(answers["row"] == 0)["request_id"]
    theirs = failed.filter((failed["variant"] == name) & (failed["number"] == number))
    numbers = answers["number"].tail(1).to_list()
    ours = failed.filter((failed["variant"] == "champion") & failed["number"].is_in(numbers))
    both = copies.filter(copies["row"] == 0)
    reached = asked.is_in(both["request_id"].to_list() + theirs["request_id"].to_list())
    labels, quality, loss = _quality(pairs, outputs, days)
    slices, note = _slices(pairs, first, days)
    return ShadowReport(
        deployment=deployment,
        since=since,
        until=until,
        champion=_side("champion", numbers[0] if numbers else 0, answers.filter(answers["row"] == 0), ours),
        shadow=_side(name, number, both, theirs),
        answered=asked.len(),
        copied=int(reached.sum()) / asked.len() if asked.len() else 0.0,
        pairs=given,
        outputs=tuple(compared),
        labels=labels,
        quality=quality,
        loss=loss,
        slices=slices,
        note=note,
    )


def _output(pairs: "pl.DataFrame", output: str, days: Any) -> "tuple[OutputCompared, Any] | None":
    """One output compared, and how far apart the two are row by row; None where neither said anything."""
    import polars as pl

    name = output.removeprefix("out.")
    both = pairs.select(pl.col(output).alias("a"), pl.col(f"shadow.{name}").alias("b"))
    there = both.select((pl.col("a").is_not_null() & pl.col("b").is_not_null()).alias("k"))["k"]
    both, days = both.filter(there), days[there.to_numpy()]
    if not both.height:
        return None
    apart = np.full(there.len(), np.nan)
    if not (both["a"].dtype.is_numeric() and both["b"].dtype.is_numeric()):
        same = (both["a"].cast(pl.String) == both["b"].cast(pl.String)).to_numpy()
        apart[there.to_numpy()] = 1.0 - same
        told = OutputCompared(name=name, kind="text", rows=both.height, agreement=_share(same))
        return told, apart
    a, b = (both[c].cast(pl.Float64).to_numpy() for c in "ab")
    lies = bool(((a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)).all())
    gap = np.abs(b - a)
    same = (a >= 0.5) == (b >= 0.5) if lies else gap <= 1e-6 * max(float(np.std(a)), 1e-12)
    apart[there.to_numpy()] = gap
    blocks = days if np.unique(days).size > 1 else None
    enough = a.size > 1
    told = OutputCompared(
        name=name,
        kind="probability" if lies else "number",
        rows=both.height,
        agreement=_share(same),
        difference=mean_interval(gap, blocks) if enough else None,
        shift=paired_interval(b, a, blocks) if enough else None,
        quantiles=tuple(float(q) for q in np.quantile(gap, (0.5, 0.95, 0.99, 1.0))),
        bins=_bins(a, b, whole=(0.0, 1.0) if lies else None),
    )
    return told, apart


def _bins(a: Any, b: Any, *, whole: tuple[float, float] | None) -> tuple[AnswerBin, ...]:
    low, high = whole or (float(min(a.min(), b.min())), float(max(a.max(), b.max())))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts = [np.histogram(values, edges)[0] for values in (a, b)]
    return tuple(
        AnswerBin(low=float(edges[i]), high=float(edges[i + 1]), answers=int(counts[0][i]), shadow=int(counts[1][i]))
        for i in range(BINS)
    )


def _share(same: Any) -> Interval:
    return wilson_interval(int(same.sum()), int(same.size))


def _side(name: str, number: int, requests: "pl.DataFrame", failed: "pl.DataFrame") -> Side:
    broken = failed["request_id"].n_unique()
    total = requests.height + broken
    found: Mapping[str, int] = dict(
        failed.filter(failed["row"] == 0)["error"].value_counts(sort=True).head(3).iter_rows()
    )
    latency = requests["latency_us"].to_numpy() / 1000
    return Side(
        variant=name,
        number=number,
        requests=total,
        failed=broken,
        failures=wilson_interval(broken, total) if total else None,
        latency_ms=tuple(float(q) for q in np.quantile(latency, (0.5, 0.95, 0.99))) if latency.size else (),
        errors=tuple(f"{error} ({count} times)" for error, count in found.items()),
    )


def _quality(pairs: "pl.DataFrame", outputs: Sequence[str], days: Any) -> tuple[int, Interval | None, str]:
    """Labels, and how much more the shadow loses than the champion on them."""
    import polars as pl

    named = [c for c in outputs if pairs[c].dtype.is_numeric()]
    if not named:
        return 0, None, ""
    output = "out.probability" if "out.probability" in named else named[0]
    other = f"shadow.{output.removeprefix('out.')}"
    keep = pairs.select(
        (pl.col("label").is_finite() & pl.col(output).is_finite() & pl.col(other).is_finite())
        .fill_null(False)
        .alias("k")
    )["k"]
    rows, blocks = pairs.filter(keep), days[keep.to_numpy()]
    if rows.height < 2:
        return rows.height, None, ""
    y, a, b = (rows[c].cast(pl.Float64).to_numpy() for c in ("label", output, other))
    binary = bool(np.isin(y, (0.0, 1.0)).all() and ((a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)).all())
    lost = [row_log_loss(y, p) if binary else np.abs(p - y) for p in (b, a)]
    interval = paired_interval(lost[0], lost[1], blocks if np.unique(blocks).size > 1 else None)
    return rows.height, interval, "log loss" if binary else "absolute error"


def _slices(pairs: "pl.DataFrame", apart: Any, days: Any) -> tuple[SliceSearch | None, str]:
    """Where the two differ most; nothing, and why, where there are too few rows."""
    names = [c for c in pairs.columns if c.startswith("in.")][:MOST_SLICED]
    if apart is None or not names:
        return None, "nothing to look for groups in"
    keep = np.isfinite(apart)
    columns = {c.removeprefix("in."): pairs[c].to_numpy()[keep] for c in names}
    try:
        several = np.unique(days).size > 1
        return find_slices(columns, apart[keep], blocks=days[keep] if several else None, ways=1).search, ""
    except EmptySample as error:
        return None, error.problem
