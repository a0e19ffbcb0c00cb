"""The loop and the arms on streams that turn (noria.testing.streams_turns): one life for each seed. Used by loop_proof."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import loop_arms as arms
import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from noria.app.reliving import relive
from noria.domain import events as e
from noria.domain.dataset import Column, Schema
from noria.domain.deployment import CanaryPlan
from noria.domain.gate import Gate
from noria.domain.ids import Digest
from noria.domain.policy import Policy
from noria.loop.context import Candidate, Recipe
from noria.stats.metrics import row_log_loss
from noria.testing.streams_turns import DAYS, HISTORY, Turn

MONTH = 40
"""Days of the short window of blind rules."""
RULES: dict[str, arms.Rule] = {
    "frozen": arms.never,
    "monthly, recent": arms.monthly(MONTH),
    "monthly, all": arms.monthly(None),
    "PSI > 0.2, recent": arms.on_alarm("psi", MONTH),
    "PSI > 0.2, all": arms.on_alarm("psi", None),
    "half drifted, recent": arms.on_alarm("share", MONTH),
    "half drifted, all": arms.on_alarm("share", None),
    "daily, all": arms.daily,
    "oracle": arms.oracle,
}
LOOP = "loop"
PER_REQUEST = 25
GATES = (
    Gate(name="good enough", kind="absolute", metric="auc", limit=0.52, better="higher"),
    Gate(name="not worse than the champion", kind="against_champion", metric="log_loss", limit=0.01, better="lower"),
    Gate(name="calibrated", kind="calibration", metric="calibration_error", limit=0.15, better="lower"),
)


def make(params: Mapping[str, Any], seed: int) -> Pipeline:
    """The one learner of all arms: a logistic regression over scaled numbers and one-hot texts, little regularised."""
    numbers, texts = list(params["numbers"].split()), list(params["texts"].split())
    columns = ColumnTransformer(
        [
            *([("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts)] if texts else []),
            ("numbers", StandardScaler(), numbers),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(C=1.0, max_iter=200, random_state=seed))])


def frame_of(turn: Turn) -> pl.DataFrame:
    """All days of a turn: at, known_at, label as told (null if it never comes), truth, day, then the features."""
    parts = []
    for window in range(-HISTORY, DAYS):
        rows, told = turn.day(window)
        known = pl.Series(rows.label_at).cast(pl.Datetime("us", "UTC"))
        part = {"at": pl.Series(rows.at).cast(pl.Datetime("us", "UTC")), "known_at": known, "label": told}
        part |= {"truth": rows.labels, "day": np.full(len(rows), window)}
        part |= {name: np.asarray(v) if v.dtype == object else v.astype(np.float32) for name, v in rows.columns.items()}
        parts.append(pl.DataFrame(part).with_columns(pl.when(pl.col("known_at").is_not_null()).then(pl.col("label"))))
    return pl.concat(parts)


def days_of(frame: pl.DataFrame, turn: Turn) -> arms.Days:
    """The same for the arms."""
    features = _features(turn)
    x = frame.select(features)
    begin = turn.stream.span(0)[0]
    waited = (frame["known_at"] - begin).dt.total_microseconds().to_numpy() / 86_400e6
    learner = make(_params(turn), 0)

    def fit(rows: arms.Rows) -> Callable[[arms.Rows], arms.Floats]:
        from sklearn.base import clone

        model = clone(learner).fit(x[rows], frame["label"].gather(rows).to_numpy().astype(int))
        return lambda asked: np.asarray(model.predict_proba(x[asked])[:, 1])

    windows = range(-HISTORY, DAYS)
    return arms.Days(
        x=x,
        label=frame["label"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        day=frame["day"].to_numpy(),
        known=np.where(np.isnan(waited), 10**6, np.ceil(waited)).astype(np.int64),
        dates={i: turn.stream.span(i)[0].date() for i in windows},
        fit=fit,
        law={i: turn.law(i) for i in windows},
        sound={i: turn.is_sound(i) for i in windows},
    )


def recipe_of(turn: Turn, policy: Policy | None = None) -> Recipe:
    """What a project with this data would declare: Noria's own policy, the one learner, three gates, a paired canary."""
    columns = [
        Column(name="at", dtype="datetime"),
        Column(name="known_at", dtype="datetime", nullable=True),
        Column(name="label", dtype="float64", nullable=True),
        *(Column(name=name, dtype="float32") for name in turn.stream.world.numbers),
        *(Column(name=name, dtype="string") for name in turn.stream.world.texts),
    ]
    plain = Candidate(name="plain", params=_params(turn), make=make, fit_weights="model__sample_weight")
    return Recipe(
        deployment="turns",
        model="turns",
        base=Digest(""),
        schema=Schema(columns=tuple(columns), time_column="at"),
        features=tuple(_features(turn)),
        candidates={"plain": plain},
        gates=GATES,
        policy=policy or Policy(candidates=("plain",)),
        canary=CanaryPlan(paired=True),
        seed=turn.stream.seed,
    )


def live(turn: Turn, *, rules: tuple[str, ...], policy: Policy | None = None) -> dict[str, Any]:
    """One seed: loss by day and retrainings of each arm, and what the loop did."""
    frame = frame_of(turn)
    days = days_of(frame, turn)
    asked = frame.filter(pl.col("day") >= 0)
    day, truth = asked["day"].to_numpy(), asked["truth"].to_numpy()

    def by_day(score: arms.Floats) -> list[float]:
        loss = row_log_loss(truth, score)
        return [round(float(v), 6) for v in np.bincount(day, loss, minlength=DAYS) / np.bincount(day, minlength=DAYS)]

    found: dict[str, Any] = {"loss": {}, "retrained": {}}
    for name in rules:
        if name != LOOP:
            answered = arms.answer(days, RULES[name])
            found["loss"][name], found["retrained"][name] = by_day(answered.score), answered.retrained
    if LOOP in rules:
        score, told = _loop(turn, frame, asked, policy)
        found["loss"][LOOP] = by_day(score)
        found["retrained"][LOOP] = [
            x["day"] for x in told if x["kind"] == "RetrainRequested" and x["trigger"] != "declared"
        ]
        found["told"] = told
    return found


def _loop(
    turn: Turn, frame: pl.DataFrame, asked: pl.DataFrame, policy: Policy | None
) -> tuple[arms.Floats, list[dict[str, Any]]]:
    begin, end = turn.stream.span(0)[0], turn.stream.span(DAYS - 1)[1]
    learnt = frame.filter(pl.col("known_at") <= begin)
    requests = asked.with_columns(request=pl.format("{}-{}", "day", pl.int_range(pl.len()).over("day") // PER_REQUEST))
    lived = relive(recipe_of(turn, policy), learnt, requests, begin=begin, end=end)
    told = []
    for x in lived.entries:
        if isinstance(x.event, TOLD):
            number = getattr(x.event, "number", None)
            alert = getattr(x.event, "alert", None)
            told.append(
                {
                    "day": round((x.at - begin) / timedelta(days=1)),
                    "kind": type(x.event).__name__,
                    **({"trigger": x.event.trigger} if hasattr(x.event, "trigger") else {}),
                    **({"number": number} if number else {}),
                    **({"alert": alert.kind, "severity": alert.severity} if alert else {}),
                    "said": _said(x.event),
                }
            )
    return lived.answers["score"].to_numpy(), told


TOLD = (
    e.AlertOpened,
    e.AlertResolved,
    e.RetrainRequested,
    e.RetrainSuppressed,
    e.RunFinished,
    e.RunFailed,
    e.GatesFailed,
    e.RolloutPromoted,
    e.RolloutRolledBack,
    e.StageFailed,
)


def _said(event: Any) -> str:
    from noria.app.sentences import sentence

    return sentence(event)[:240]


def _features(turn: Turn) -> list[str]:
    return [*turn.stream.world.numbers, *turn.stream.world.texts]


def _params(turn: Turn) -> dict[str, Any]:
    return {"numbers": " ".join(turn.stream.world.numbers), "texts": " ".join(turn.stream.world.texts)}
