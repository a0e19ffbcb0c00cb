"""What is wrong with the data of the newest window, with how often a deployment is asked, and with its log. Called by stages/watch."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from noria.domain.deployment import Variant
from noria.domain.finding import Finding
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.loop.context import Context, Recipe
from noria.monitoring.data_quality import FEWEST, ahead, check_window, damaged
from noria.monitoring.data_volume import check_volume, compared
from noria.monitoring.skew import first_window_findings
from noria.monitoring.tiers import DAY, HOUR, base_step

AHEAD = timedelta(minutes=5)
"""An answer may be so far in the future before somebody's clock is said to be wrong."""


def findings_of(
    context: Context,
    recipe: Recipe,
    champion: Variant,
    profile: ReferenceProfile,
    counted: Sequence[WindowCounts],
    *,
    since: datetime,
    now: datetime,
) -> tuple[Finding, ...] | None:
    """Everything wrong as of now, worst first; None when this look counted too little of the champion to say anything.

    counted: from `count_served`. since: when the champion became one; its first window is compared with what it learnt from.
    """
    newest = [window for window in counted if window.number == champion.number and window.rows >= FEWEST]
    found = [*_log(context, recipe, now)]
    volume = [_volume(context, recipe, profile, step=step, now=now) for step in (HOUR, DAY)]
    found += [each for each in volume if each is not None]
    if newest:
        found += check_window(profile, newest[-1], before=_before(context, newest[-1], base_step(profile)))
        if newest[-1].since <= since:
            found += first_window_findings(profile, newest[-1])
    if not newest and not found:
        return None
    rank = {"page": 0, "warn": 1, "info": 2}
    return tuple(sorted(found, key=lambda each: rank[each.severity]))


def _before(context: Context, window: WindowCounts, step: int) -> WindowCounts | None:
    since = window.since - timedelta(seconds=step)
    held = context.counts.windows(window.deployment, window.number, since=since, until=window.since, step=step)
    return held[-1] if held else None


def _log(context: Context, recipe: Recipe, now: datetime) -> list[Finding]:
    """Parts that were set aside, and parts of the future."""
    found = []
    for part in context.predictions.parts(recipe.deployment):
        if part.damaged:
            found.append(damaged(part.name, part.damaged, deployment=recipe.deployment, at=now))
        elif part.until > now + AHEAD:
            by_s = (part.until - now).total_seconds()
            found.append(ahead(part.name, by_s, deployment=recipe.deployment, at=now))
    return found


def _volume(context: Context, recipe: Recipe, profile: ReferenceProfile, *, step: int, now: datetime) -> Finding | None:
    """The newest hour, or day, that is over, of all versions together."""
    name = recipe.deployment
    newest = datetime.fromtimestamp(int(now.timestamp()) // step * step - step, UTC)
    first = context.deployments.at_generation(name, 1).updated_at
    moments = [moment for moment in compared(newest, step_s=step) if moment >= first]
    if not moments:
        return None
    numbers = _answering(context, name, since=min(moments))
    width = timedelta(seconds=step)
    rows = []
    for moment in [*moments, newest]:
        held = (context.counts.windows(name, n, since=moment, until=moment + width, step=step) for n in numbers)
        rows.append((moment, sum(window.rows for windows in held for window in windows)))
    return check_volume(rows, step_s=step, hours=profile.hours, first=first)


def _answering(context: Context, name: str, *, since: datetime) -> list[int]:
    """Every version that a generation in force since then names: a former champion that came back has an old number."""
    generations = context.deployments.history(name)
    begun = [i for i, each in enumerate(generations) if each.updated_at <= since]
    in_force = generations[begun[-1] if begun else 0 :]
    return sorted({variant.number for each in in_force for variant in each.variants})
