"""The flights year under each rule and under the loop, all with one learner; what is done is found again in a folder. Used by loop_proof."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import loop_arms as arms
import msgspec
import numpy as np
import polars as pl
from sklearn.preprocessing import OneHotEncoder

from noria.app.reliving import relive
from noria.app.settings import Settings
from noria.app.workspace import Workspace
from noria.demo.features import FEATURES, NUMBERS, TEXT
from noria.demo.prepare import BEGIN, END, prepare
from noria.demo.project import BOOSTING, CANDIDATES, SEED
from noria.demo.project import recipe as flights_recipe
from noria.domain import events as e

ONE = "boosting"
QUICK = BOOSTING | {"n_estimators": 60, "learning_rate": 0.15, "max_bin": 63, "bin_construct_sample_cnt": 200_000}
"""The one learner of all arms: the first candidate of the demo's recipe with half the trees and a quarter of the bins; an oracle can afford it."""
RULES: dict[str, tuple[arms.Rule, str]] = {
    "frozen": (arms.never, ONE),
    "monthly, recent": (arms.monthly(60), ONE),
    "monthly, all": (arms.monthly(None), ONE),
    "PSI > 0.2, all": (arms.on_alarm("psi", None), ONE),
    "PSI > 0.2, recent": (arms.on_alarm("psi", 60), ONE),
    "half drifted, all": (arms.on_alarm("share", None), ONE),
    "half drifted, recent": (arms.on_alarm("share", 60), ONE),
    "oracle": (arms.daily, ONE),
}
LOOPS: dict[str, dict[str, Any]] = {
    "loop": {},
    "loop, every 10 days": {"growth": 0.0, "review_days": 10.0, "cooldown_days": 5.0, "budget_per_year": 60},
}
"""What each changes of the demo's policy."""
PARAMS = {ONE: QUICK}


class Flights:
    """The prepared year in a folder, as the arms and as the loop see it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with Workspace(Settings(project="proof"), home / ".noria") as workspace:
            prepared = prepare(workspace, on_step=lambda _: None)
            year = pl.DataFrame(workspace.tables.read(prepared.year))
            self.base = pl.DataFrame(workspace.tables.read(prepared.base))
            self.recipe = flights_recipe(prepared.base)
        self.year = year.filter(pl.col("at") < END).sort("at", maintain_order=True)
        self.labels = self.year["label"].to_numpy()
        self.day = ((self.year["at"] - BEGIN).dt.total_microseconds() // 86_400_000_000).to_numpy()
        self.asked = self.day >= 0

    def days(self, learner: str) -> arms.Days:
        """Text is one-hot and numbers plain, as the recipe's own pipeline has them; done once for all fits."""
        from lightgbm import LGBMClassifier

        hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32")
        texts = hot.fit_transform(self.year.select(TEXT).to_numpy())
        matrix = np.hstack(
            [texts, self.year.select(pl.col(NUMBERS).cast(pl.Float32).fill_null(float("nan"))).to_numpy()]
        )
        label = self.year["label"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

        def fit(rows: arms.Rows) -> Callable[[arms.Rows], arms.Floats]:
            model = LGBMClassifier(
                **PARAMS[learner], random_state=SEED, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1
            ).fit(matrix[rows], label[rows].astype(int))
            return lambda asked: np.asarray(model.predict_proba(matrix[asked])[:, 1])

        waited = (self.year["known_at"] - BEGIN).dt.total_microseconds().to_numpy() / 86_400e6
        here = ZoneInfo("America/New_York")
        dates = {i: (BEGIN + timedelta(days=i)).astimezone(here).date() for i in range(int(self.day.max()) + 1)}
        known = np.where(np.isnan(waited), 10**6, np.ceil(waited)).astype(np.int64)
        return arms.Days(x=self.year.select(FEATURES), label=label, day=self.day, known=known, dates=dates, fit=fit)

    def arm(self, name: str) -> dict[str, Any]:
        """One rule over the year, or what a run before found."""
        rule, learner = RULES[name]
        return self._kept(name, lambda: self._arm(rule, learner))

    def _arm(self, rule: arms.Rule, learner: str) -> tuple[arms.Floats, dict[str, Any]]:
        if rule is arms.daily:
            return self._day_by_day(self.days(learner))
        answered = arms.answer(self.days(learner), rule)
        return answered.score, {"retrained": answered.retrained}

    def _day_by_day(self, days: arms.Days) -> tuple[arms.Floats, dict[str, Any]]:
        """Retraining every morning: each day's answers stand alone, so they are kept one by one, and several processes may make them."""
        folder = self.home / "oracle"
        folder.mkdir(exist_ok=True)
        for day in range(days.last + 1):
            path = folder / f"{day}.npy"
            if not path.exists():
                np.save(path, days.fit(days.labelled(day))(days.of(day, day + 1)))
        score = np.concatenate([np.load(folder / f"{day}.npy") for day in range(days.last + 1)])
        return score, {"retrained": list(range(1, days.last + 1))}

    def loop(self, name: str) -> dict[str, Any]:
        """The real loop over the year, answering every request, in process."""
        return self._kept(name, lambda: self._loop(LOOPS[name]))

    def _loop(self, changes: dict[str, Any]) -> tuple[arms.Floats, dict[str, Any]]:
        recipe = replace(
            self.recipe,
            policy=msgspec.structs.replace(self.recipe.policy, candidates=(ONE,), **changes),
            candidates={ONE: replace(CANDIDATES[ONE], params=PARAMS[ONE])},
        )
        lived = relive(recipe, self.base, self.year, begin=BEGIN, end=END)
        days = [
            (x.at - BEGIN) // timedelta(days=1)
            for x in lived.entries
            if isinstance(x.event, e.RetrainRequested) and x.event.trigger != "declared"
        ]
        counted = {
            kind: sum(type(x.event).__name__ == kind for x in lived.entries)
            for kind in (
                "AlertOpened",
                "RetrainRequested",
                "GatesFailed",
                "RolloutPromoted",
                "RolloutRolledBack",
                "RunFailed",
            )
        }
        return lived.answers["score"].to_numpy(), {"retrained": days, "events": counted, "told": _told(lived.entries)}

    def _kept(self, name: str, make: Callable[[], tuple[arms.Floats, dict[str, Any]]]) -> dict[str, Any]:
        path = self.home / f"{name.replace(' ', '_').replace(',', '').replace('>', 'over')}.npy"
        facts = path.with_suffix(".json")
        if not facts.exists():
            begun = time.process_time()
            score, found = make()
            np.save(path, score)
            facts.write_text(json.dumps({**found, "cpu_s": round(time.process_time() - begun, 1)}))
        return {**json.loads(facts.read_text()), "score": np.load(path)}


def _told(entries: list[Any]) -> list[dict[str, str]]:
    from noria.app.sentences import sentence

    kinds = (
        e.AlertOpened,
        e.RetrainRequested,
        e.RetrainSuppressed,
        e.GatesFailed,
        e.RolloutPromoted,
        e.RolloutRolledBack,
    )
    return [
        {"at": _day(x.at), "kind": type(x.event).__name__, "said": sentence(x.event)[:240]}
        for x in entries
        if isinstance(x.event, kinds)
    ]


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
