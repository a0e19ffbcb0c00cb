"""Gather what is known of a running rollout out of the prediction log. Judging it is serving/verdict. Called by stages/rollout."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from noria.domain.deployment import Deployment, Rollout
from noria.domain.prediction import RecordKind
from noria.errors import NotFound
from noria.loop.context import Context
from noria.loop.stages.rollout_scores import scored_by_both
from noria.packaging.bundle import read_manifest
from noria.serving.evidence import Beside, Evidence, Sample, Tally
from noria.serving.objectives import objectives_of
from noria.serving.rollout import ROLES
from noria.stats.arms import difference_scores, mixed_mean
from noria.stats.metrics import row_log_loss
from noria.wire.tables import open_table

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
ENOUGH_ROWS = 8192
"""Rows by which two models' answers are compared: more are thinned by halves, always the same ones, as scoring all of a busy week costs minutes."""
_CHALLENGER, _CHAMPION = "challenger", "champion"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What of a deployment's log is judged: its recipe's output and features, or without a recipe those of the champion's signature."""

    deployment: str
    output: str
    features: tuple[str, ...]


def watched_of(context: Context, deployment: Deployment) -> Watched:
    """The output that quality is measured by, and the inputs that models are scored on. Raises NotFound for a bundle without a numeric output."""
    recipe = context.recipes.get(deployment.name)
    if recipe is not None:
        return Watched(deployment=deployment.name, output=recipe.output, features=recipe.features)
    champion = next(v for v in deployment.variants if v.name == _CHAMPION)
    signature = read_manifest(champion.bundle, blobs=context.blobs).signature
    numeric = [f.name for f in signature.outputs if f.datatype in ("FP32", "FP64") and f.width == 1]
    if not numeric:
        raise NotFound.of(
            f"output of one number of {champion.model!r} version",
            champion.version,
            [f.name for f in signature.outputs],
            remedy="name the output that its labels are about in a recipe",
        )
    output = "probability" if "probability" in numeric else numeric[0]
    return Watched(deployment=deployment.name, output=output, features=signature.input_names())


def evidence_of(context: Context, deployment: Deployment, rollout: Rollout, *, now: datetime) -> Evidence:
    """Everything that is known since the rollout began: labels that have arrived by now, requests, failures, and values of business metrics."""
    watched, plan = watched_of(context, deployment), rollout.plan
    measures = {o.measure for o in objectives_of(plan)}
    scored = plan.paired or (plan.mode != "shadow" and "disagreement" in measures)
    answers = _rows(
        context, watched, rollout, now, kind="answer", inputs=scored or deployment.sticky_by.startswith("input:")
    )
    drawn = answers.filter(~pl.col("asked"))
    failed = _rows(context, watched, rollout, now, kind="failure").filter(~pl.col("asked"))
    rows: pl.DataFrame | None = None
    mine = drawn.filter(pl.col("variant") == _CHALLENGER)
    if plan.mode == "shadow":
        mine = _rows(context, watched, rollout, now, kind="shadow").filter(pl.col("variant") == _CHALLENGER)
        rows = _joined(answers, mine)
    elif plan.paired:
        rows = scored_by_both(context, deployment, rollout, answers.filter(pl.col("label").is_not_null()), watched)
    theirs = drawn.filter(pl.col("variant") == _CHAMPION)
    requests = pl.concat([theirs, mine], how="diagonal").filter(pl.col("row") == 0)
    fresh = pl.col("at") >= (rollout.step_since or rollout.started_at)
    labelled = (mine if rows is None else rows).filter(pl.col("label").is_not_null())
    apart = np.zeros(0)
    if "disagreement" in measures:
        given = rows if plan.mode == "shadow" else None
        both = scored_by_both(context, deployment, rollout, thinned(answers), watched) if given is None else given
        apart = np.asarray((both[_CHALLENGER] - both[_CHAMPION]).abs().to_numpy())
    return Evidence(
        quality=_arms(drawn, deployment) if rows is None else _paired(rows),
        failures=_failures(requests, failed),
        slow={o.threshold_ms: _slow(requests, o.threshold_ms) for o in plan.objectives if o.measure == "latency"},
        disagreement=apart,
        business=_business(context, deployment, rollout, drawn),
        step_requests=requests.filter((pl.col("variant") == _CHALLENGER) & fresh).height,
        step_labels=labelled.filter(fresh).height,
        arms=_means(drawn) if plan.mode == "bandit" else None,
    )


def _rows(
    context: Context, watched: Watched, rollout: Rollout, now: datetime, *, kind: RecordKind, inputs: bool = False
) -> pl.DataFrame:
    """One kind of record of this rollout since it began, with the score as `score`; columns that the log does not have yet are filled."""
    output = f"out.{watched.output}"
    wanted = [
        "prediction_id",
        "request_id",
        "row",
        "at",
        "variant",
        "rollout",
        "generation",
        "latency_us",
        "redacted",
        "weight",
        "asked",
        "label",
        output,
    ]
    wanted += [f"in.{name}" for name in watched.features] if inputs else []
    frame = open_table(
        context.predictions.joined(
            watched.deployment, known_by=now, since=rollout.started_at, until=now, columns=wanted, kind=kind
        )
    ).filter(pl.col("rollout") == rollout.id)
    if "asked" not in frame.columns:
        frame = frame.with_columns(asked=pl.lit(value=False))
    if "weight" not in frame.columns:
        frame = frame.with_columns(weight=pl.lit(None, dtype=pl.Float64))
    if output not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(output))
    return (
        frame.join(
            _shares(context, watched.deployment, frame), on=["generation", "variant"], how="left", maintain_order="left"
        )
        .with_columns(
            pl.col("asked").fill_null(value=False),
            chance=pl.coalesce("weight", "declared") / pl.col("room"),
        )
        .rename({output: "score"})
        .sort("at", maintain_order=True)
    )


def _shares(context: Context, name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """What each generation declared for a variant, for logs that do not keep it with the record, and what champion and challenger had together."""
    shares = []
    for generation in frame["generation"].unique().sort():
        variants = context.deployments.at_generation(name, generation).variants
        room = sum(v.weight for v in variants if v.name in ROLES and not v.shadow)
        shares += [(generation, v.name, v.weight, room) for v in variants]
    schema: dict[str, Any] = {
        "generation": frame.schema["generation"],
        "variant": pl.String,
        "declared": pl.Float64,
        "room": pl.Float64,
    }
    return pl.DataFrame(shares, schema=schema, orient="row")


def losses(labels: Floats, scores: Floats) -> Floats:
    """The loss of each answer: log loss where labels are 0 or 1 and answers probabilities, else the absolute error."""
    if np.isin(labels, (0.0, 1.0)).all() and ((scores >= 0) & (scores <= 1)).all():
        return row_log_loss(labels, scores)
    return np.asarray(np.abs(scores - labels))


def _lost(frame: pl.DataFrame, score: str = "score") -> Floats:
    return losses(frame["label"].cast(pl.Float64).to_numpy(), frame[score].cast(pl.Float64).to_numpy())


def _joined(answers: pl.DataFrame, shadows: pl.DataFrame) -> pl.DataFrame:
    """Rows that the champion answered and the shadow got a copy of."""
    ours = shadows.select("request_id", "row", pl.col("score").alias(_CHALLENGER))
    found = answers.filter(pl.col("variant") == _CHAMPION).join(ours, on=["request_id", "row"], maintain_order="left")
    return found.rename({"score": _CHAMPION}).drop_nulls([_CHAMPION, _CHALLENGER])


def _paired(rows: pl.DataFrame) -> Sample:
    """Challenger minus champion on each labelled row that both answered."""
    rows = rows.filter(pl.col("label").is_not_null())
    found = _lost(rows, _CHALLENGER) - _lost(rows, _CHAMPION)
    return Sample(scores=found, paired=True, champion_rows=rows.height, challenger_rows=rows.height)


def _in_arms(drawn: pl.DataFrame) -> pl.DataFrame:
    """Rows that could have fallen to either of the two. While a worker had no challenger to give them to, they could not, and say nothing."""
    inside = pl.col("variant").is_in(ROLES) & (pl.col("chance") > 0) & (pl.col("chance") < 1 - 1e-9)
    return drawn.filter(inside)


def _arms(drawn: pl.DataFrame, deployment: Deployment) -> Sample:
    rows = _in_arms(drawn).filter(pl.col("label").is_not_null() & pl.col("score").is_not_null())
    return _compared(rows, _lost(rows), deployment)


def _compared(rows: pl.DataFrame, lost: Floats, deployment: Deployment) -> Sample:
    """Two arms by their chances. Chances are those within the two: what other declared arms answered is not here."""
    ours = rows["variant"].to_numpy() == _CHALLENGER
    unit = deployment.sticky_by.replace("input:", "in.")
    units = rows[unit if unit in rows.columns else "request_id"]
    scores = difference_scores(
        lost, ours, chance=rows["chance"].to_numpy(), units=units.rank("dense").fill_null(0).to_numpy()
    )
    count = int(ours.sum())
    return Sample(scores=scores, champion_rows=rows.height - count, challenger_rows=count)


def _means(drawn: pl.DataFrame) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Mean loss and standard error of champion and challenger over everything that was drawn; None with fewer than two labels of either."""
    rows = _in_arms(drawn).filter(pl.col("label").is_not_null() & pl.col("score").is_not_null())
    found = [rows.filter(pl.col("variant") == role) for role in ROLES]
    if min(part.height for part in found) < 2:
        return None
    theirs, ours = (mixed_mean(_lost(part), chance=part["chance"].to_numpy()) for part in found)
    return theirs, ours


def _failures(requests: pl.DataFrame, failed: pl.DataFrame) -> Beside:
    def tally(role: str) -> Tally:
        lost = failed.filter(pl.col("variant") == role)["request_id"].n_unique()
        return Tally(hits=lost, rows=lost + requests.filter(pl.col("variant") == role).height)

    return Beside(champion=tally(_CHAMPION), challenger=tally(_CHALLENGER))


def _slow(requests: pl.DataFrame, threshold_ms: float) -> Beside:
    def tally(role: str) -> Tally:
        took = requests.filter(pl.col("variant") == role)["latency_us"]
        return Tally(hits=int((took > threshold_ms * 1000).sum()), rows=took.len())

    return Beside(champion=tally(_CHAMPION), challenger=tally(_CHALLENGER))


def thinned(answers: pl.DataFrame) -> pl.DataFrame:
    """At most about ENOUGH_ROWS rows, chosen by their ids: a row that is in stays in until the next halving."""
    keep = 1
    while answers.height / keep > ENOUGH_ROWS:
        keep *= 2
    return answers.filter(pl.col("request_id").hash(seed=7) % keep == 0) if keep > 1 else answers


def _business(context: Context, deployment: Deployment, rollout: Rollout, drawn: pl.DataFrame) -> dict[str, Sample]:
    """Values of named metrics, joined by prediction to the arm that answered."""
    wanted: Sequence[tuple[str, bool]] = [
        (o.name, o.larger_is_better) for o in rollout.plan.objectives if o.measure == "business"
    ]
    if not wanted:
        return {}
    words = context.predictions.feedback(deployment.name, since=rollout.started_at)
    found = {}
    for name, larger in wanted:
        told = [(w.prediction_id, w.value) for w in words if w.metric == name and w.value is not None]
        values = pl.DataFrame(told, schema={"prediction_id": pl.String, "value": pl.Float64}, orient="row")
        values = values.unique("prediction_id", keep="last", maintain_order=True)
        rows = _in_arms(drawn).join(values, on="prediction_id", maintain_order="left")
        lost = rows["value"].to_numpy()
        found[name] = _compared(rows, -lost if larger else lost, deployment)
    return found
