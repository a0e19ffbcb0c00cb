"""What a deployment's inputs were, day by day, beside what its champion learnt from; and served rows beside the same rows computed anew.

Composition only: counts and sketches are read, monitoring/ says what is wrong. Called by `noria inputs`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from noria.app.workspace import Workspace
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.finding import Finding
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.domain.sketch import WindowSketches
from noria.errors import EmptySample, InputInvalid, NotFound
from noria.monitoring.data_quality import check_window
from noria.monitoring.profile import SCORE
from noria.monitoring.sketch import quantiles
from noria.monitoring.skew import ColumnSkew, compare_rows, match_rows, skew_findings
from noria.monitoring.tiers import DAY

SHARES = (0.05, 0.5, 0.95)


class InputDay(msgspec.Struct, frozen=True, kw_only=True):
    """One input on one day. quantiles: at 5, 50 and 95 %, None for texts and days not over. Shares are of the day's rows.

    out_of_range: below or above all that the reference held. unseen: values that the reference did not hold.
    """

    since: datetime
    rows: int
    quantiles: tuple[float, ...] | None
    mean: float | None
    missing: float
    out_of_range: float | None
    unseen: float | None


class InputStory(msgspec.Struct, frozen=True, kw_only=True):
    """One input, or the model's score, from day to day. low, high, mean: of the reference's numbers."""

    name: str
    kind: str
    importance: float | None
    low: float | None
    high: float | None
    mean: float | None
    missing: float
    days: list[InputDay]


class InputsReport(msgspec.Struct, frozen=True, kw_only=True):
    """All inputs of a deployment's champion. findings: what is wrong with its newest day."""

    deployment: str
    number: int
    as_of: datetime
    findings: tuple[Finding, ...]
    inputs: list[InputStory]


class SkewReport(msgspec.Struct, frozen=True, kw_only=True):
    """Served rows beside the same rows computed anew. given, matched: rows of the table, and those that were found in the log."""

    deployment: str
    on: str
    given: int
    matched: int
    columns: tuple[ColumnSkew, ...]
    findings: tuple[Finding, ...]


def inputs_of(workspace: Workspace, deployment: str, *, names: Sequence[str] = (), days: int = 14) -> InputsReport:
    """The newest days of a deployment's champion, what is wrong first. names: only these inputs. Raises NotFound."""
    champion, profile = _champion(workspace, deployment)
    known = [feature.name for feature in profile.features]
    for name in names:
        if name not in known:
            raise NotFound.of("input", name, known, remedy=f"noria inputs {deployment}")
    now = workspace.clock.now()
    # Days are counted back from the newest that was seen: a replayed year has its own last days.
    since = min(now, workspace.counts.latest(deployment) or now) - timedelta(days=days)
    windows = workspace.counts.windows(deployment, champion.number, since=since, step=DAY)
    sketched = {s.since: s for s in workspace.counts.sketches(deployment, champion.number, since=since, step=DAY)}
    before = windows[-2] if len(windows) > 1 else None
    return InputsReport(
        deployment=deployment,
        number=champion.number,
        as_of=now,
        findings=check_window(profile, windows[-1], before=before) if windows else (),
        inputs=[_story(f, windows, sketched) for f in profile.features if not names or f.name in names],
    )


def _champion(workspace: Workspace, deployment: str) -> tuple[Variant, ReferenceProfile]:
    champion = workspace.deployments.get(deployment).variant("champion")
    if champion is None:
        raise NotFound(f"deployment '{deployment}' has no champion", remedy="noria status")
    manifest = msgspec.json.decode(workspace.blobs.get(champion.bundle), type=Bundle)
    if manifest.profile is None:
        raise NotFound(
            f"version {champion.number} of '{deployment}' carries no reference profile",
            cause="it was packaged from outside, without the table that it learnt from",
            remedy="noria monitor REFERENCE CURRENT compares two tables without one",
        )
    return champion, msgspec.json.decode(workspace.blobs.get(manifest.profile), type=ReferenceProfile)


def _story(
    feature: FeatureBins, windows: Sequence[WindowCounts], sketched: dict[datetime, WindowSketches]
) -> InputStory:
    moments = feature.moments if feature.moments is not None and feature.moments.n else None
    return InputStory(
        name=feature.name,
        kind=feature.kind,
        importance=None if feature.name == SCORE else feature.importance,
        low=moments.low if moments else None,
        high=moments.high if moments else None,
        mean=moments.mean(feature.centre) if moments else None,
        missing=feature.counts[-1] / max(1, sum(feature.counts)),
        days=[_day(feature, window, sketched.get(window.since)) for window in windows if feature.name in window.counts],
    )


def _day(feature: FeatureBins, window: WindowCounts, sketches: WindowSketches | None) -> InputDay:
    counts = window.counts[feature.name]
    rows = max(1, sum(counts))
    moments = window.moments.get(feature.name)
    return InputDay(
        since=window.since,
        rows=sum(counts),
        quantiles=quantiles(sketches, feature.name, SHARES) if sketches and feature.kind == "number" else None,
        mean=moments.mean(feature.centre) if moments else None,
        missing=counts[-1] / rows,
        out_of_range=(counts[0] + counts[-2]) / rows if feature.kind == "number" and feature.cuts else None,
        unseen=counts[-2] / rows if feature.has_unseen else None,
    )


def skew_of(
    workspace: Workspace,
    deployment: str,
    table: Path,
    *,
    on: str = "prediction_id",
    since: datetime | None = None,
    until: datetime | None = None,
    tolerance: float = 1e-6,
    allowed: float = 0.001,
) -> SkewReport:
    """Compare served rows with the same rows computed anew. table: a file with a column `on` (prediction_id or key) and inputs under their names.

    Raises NotFound, SourceUnreadable, InputInvalid without the column, EmptySample when no row is found in the log.
    """
    from noria.data.source import read_source  # both bring polars, which telling of days does not need
    from noria.wire.tables import open_table

    workspace.deployments.get(deployment)
    given = read_source(table)
    if on not in given.columns:
        raise InputInvalid(
            f"'{table}' has no column {on!r}",
            cause=f"it has {', '.join(given.columns[:12])}",
            remedy="write the id of each prediction beside its inputs, or name the column by --on",
        )
    columns = ["prediction_id", "key", *(f"in.{name}" for name in given.columns if name != on)]
    log = workspace.predictions.scan(deployment, since=since, until=until, columns=columns)
    logged = open_table(log)
    if on not in logged.columns or logged.height == 0:
        raise EmptySample(
            f"the log of '{deployment}' has no predictions with {on!r} in this time", remedy="noria status"
        )
    left, right = match_rows(logged[on].to_list(), given[on].cast(logged.schema[on]).to_list())
    if left.size == 0:
        raise EmptySample(
            f"none of the {given.height} rows is in the log of '{deployment}'",
            remedy="look at the ids, and at the time: noria inputs DEPLOYMENT --since DAY",
        )
    names = [name for name in given.columns if f"in.{name}" in logged.columns]
    skews = compare_rows(
        {name: logged[f"in.{name}"].to_numpy()[left] for name in names},
        {name: given[name].to_numpy()[right] for name in names},
        tolerance=tolerance,
    )
    return SkewReport(
        deployment=deployment,
        on=on,
        given=given.height,
        matched=int(left.size),
        columns=skews,
        findings=skew_findings(skews, allowed=allowed),
    )
