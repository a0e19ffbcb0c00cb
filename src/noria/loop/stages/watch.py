"""Watch what is served: count new windows, look for drift and decay, open and resolve alerts. On each stroke of the clock.

Everything is folded again from counts and the joined log, so a look that is repeated after a crash sees the same and changes nothing.
"""

from collections.abc import Sequence

from noria.domain.alert import AlertKind
from noria.domain.deployment import Variant
from noria.errors import NotFound
from noria.loop.champion import answering_since, champion_since
from noria.loop.context import Context, Recipe, Timed
from noria.loop.stages.watch_alerts import Board, silence_of
from noria.loop.stages.watch_causes import with_causes
from noria.loop.stages.watch_counts import count_served, drift_of, profile_of
from noria.loop.stages.watch_findings import findings_of
from noria.loop.stages.watch_groups import groups_of
from noria.loop.stages.watch_look import look_of
from noria.loop.stages.watch_quality import quality_of
from noria.loop.stages.watch_silence import with_silencers
from noria.loop.stages.watch_sketches import sketch_served
from noria.loop.stages.watch_texts import texts_of
from noria.monitoring.alert import Report, hurts
from noria.monitoring.data_alert import report_of


def watch(context: Context) -> Sequence[Timed]:
    """Look at every deployment; AlertOpened, AlertResolved and AlertReopened for what changed."""
    board = Board(context)
    timed = board.waking(now=context.clock.now())
    for name, recipe in context.recipes.items():
        try:
            champion = context.deployments.get(name).variant("champion")
        except NotFound:
            continue
        assert champion is not None
        timed.extend(_look(context, recipe, champion, board))
    return timed


def _look(context: Context, recipe: Recipe, champion: Variant, board: Board) -> list[Timed]:
    now = context.clock.now()
    deployment = context.deployments.get(recipe.deployment)
    since = champion_since(context.ledger, deployment, champion.number)
    answered = answering_since(context.ledger, context.deployments, deployment, champion.number)
    counted = count_served(context, recipe, now=now)
    _, profile = profile_of(context, champion.bundle)
    drift = drift_of(context, recipe, champion, profile, since=since)
    quality = quality_of(context, recipe, champion, profile, since=answered, now=now)
    decay = quality.decay
    sketch_served(context, recipe, champion, profile, counted, now=now)
    findings = findings_of(context, recipe, champion, profile, counted, since=since, now=now)
    context.on_look(
        look_of(champion, drift, decay, deployment=recipe.deployment, at=now, findings=findings, labels=quality.labels)
    )
    reports: dict[AlertKind, Report] = {
        "no_predictions": silence_of(context, recipe, champion, since=since, now=now),
        "concept_drift": quality.concept,
        "text_drift": texts_of(context, recipe, champion, profile, since=since, now=now, harmful=hurts(decay)),
    }
    if findings is not None:
        reports["data_quality"] = report_of(findings)
    reports |= groups_of(context, recipe, champion, since=since, now=now)
    timed = board.judge(
        recipe,
        champion,
        now=now,
        drift=drift,
        decay=decay,
        reports=reports,
    )
    timed = with_causes(context, recipe, champion, profile, timed, since=since, now=now)
    return with_silencers(context, recipe, champion, profile, timed, since=since)
