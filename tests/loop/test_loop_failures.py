"""What must not teach anything: labels flipped for days, an input broken for days. The champion stays, and the record says why."""

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import polars as pl

import noria
from noria.domain import events as e
from noria.governance.audit import verify
from noria.loop.stages.decide_sound import explained_by, unsound_of
from noria.retraining.bounds import inside
from noria.wire.tables import open_table
from tests.loop.small import BEGIN, Life, World, moment, open_life

NOW = BEGIN + 2


@dataclass(frozen=True)
class StuckWorld(World):
    """The price is sent as 0 on some days; what comes back follows the price as it was."""

    stuck: range = range(0)

    def orders(self, day: int) -> pl.DataFrame:
        """One day."""
        found = super().orders(day)
        return found.with_columns(pl.lit(0.0, dtype=pl.Float32).alias("price")) if day in self.stuck else found


def flipped(first: int, last: int):  # type: ignore[no-untyped-def]
    """Labels that become known on these days are told the wrong way round."""

    def label(known_at: datetime, value: float) -> float:
        return 1 - value if moment(first) <= known_at < moment(last) else value

    return label


def hasty(recipe: noria.Recipe) -> noria.Recipe:
    """A policy that would retrain on the first sign of decay, and on any growth."""
    return replace(
        recipe, policy=msgspec.structs.replace(recipe.policy, cooldown_days=1, minimum_labels=100, growth=0.12)
    )


def learnt_from(life: Life) -> pl.DataFrame:
    """The rows of the newest training set."""
    return open_table(life.workspace.tables.read(life.all(e.RunFinished)[-1].datasets[0]))


def test_labels_that_were_flipped_for_days_teach_nothing_and_the_record_says_so() -> None:
    with open_life(change=hasty) as life:
        life.declare().live(range(NOW, 26), label=flipped(23, 26))
        (held,) = life.all(e.RetrainSuppressed)
        before = life.workspace.deployments.get("returns")
        assert [x.trigger for x in life.all(e.RetrainRequested)] == ["declared"]
        assert held.trigger == "growth"
        assert held.reason.startswith("labels look poisoned, which a challenger would only learn: ")
        assert "labels look flipped, whatever the inputs were" in held.reason

        life.live(range(26, 28), label=flipped(23, 26))
        life.loop.turn()

        asked, finished = life.all(e.RetrainRequested)[-1], life.all(e.RunFinished)[-1]
        known = learnt_from(life)["known_at"]
        assert asked.trigger == "growth"
        assert inside(asked.bounds)
        assert not known.is_between(moment(23), moment(26), closed="left").any()
        assert (known >= moment(26)).any()
        assert "left out, as nothing to learn from: 2026-01-24 to 2026-01-26" in finished.window.reason
        assert [v.number for v in before.variants] == [1]
        assert verify(life.workspace.ledger, project="small").whole


def test_an_input_that_was_broken_for_days_teaches_nothing_and_the_record_says_so() -> None:
    with open_life(world=StuckWorld(stuck=range(23, 26)), change=hasty) as life:
        life.declare().live(range(NOW, 26))
        assert [x.trigger for x in life.all(e.RetrainRequested)] == ["declared"]
        assert {x.trigger for x in life.all(e.RetrainSuppressed)} == {"input_drift", "growth"}
        for refused in life.all(e.RetrainSuppressed):
            assert "an input is broken" in refused.reason or "does not hurt" in refused.reason
        assert [v.number for v in life.workspace.deployments.get("returns").variants] == [1]

        life.live(range(26, 28))

        rows = learnt_from(life)
        assert [x.trigger for x in life.all(e.RetrainRequested)][:2] == ["declared", "growth"]
        assert (rows["price"] > 0).all()
        assert not rows["at"].is_between(moment(23), moment(26), closed="left").any()
        assert (rows["at"] >= moment(26)).any()
        assert "'price' has the value 0" in life.all(e.RunFinished)[-1].window.reason


def test_a_decay_that_was_nothing_but_flipped_labels_asks_for_nothing_once_they_are_over() -> None:
    with open_life(change=hasty) as life:
        life.declare()
        for day in range(NOW, 28):
            life.live_without_a_look(day, label=flipped(23, 26))
        now, context = life.clock.now(), life.loop.context

        unsound = unsound_of(context, life.recipe, since=moment(NOW), now=now)

        assert [(u.by, u.since, u.until is None) for u in unsound] == [("known", moment(23), False)]
        assert "look flipped" in explained_by(context, life.recipe, unsound, since=moment(NOW), now=now)
