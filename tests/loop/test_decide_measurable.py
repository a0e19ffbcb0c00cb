"""A training whose challenger the gates could not judge is not asked for; the record says once what is missing."""

from dataclasses import replace

import msgspec
import pytest

import noria
from noria.app.asking import retrain
from noria.domain import events as e
from noria.retraining.bounds import inside
from tests.loop.small import BEGIN, GOOD_ENOUGH, Life, World, open_life

NOW = BEGIN + 2


def sliced(recipe: noria.Recipe, *, rows: int, growth: float = 0.12) -> noria.Recipe:
    """A policy that retrains on any growth, and a gate that wants so many rows of some shop."""
    gate = noria.Gate(
        name="no shop left behind",
        kind="worst_slice",
        metric="log_loss",
        limit=0.2,
        better="lower",
        slice_by="shop",
        minimum_rows=rows,
    )
    policy = msgspec.structs.replace(recipe.policy, cooldown_days=1, minimum_labels=100, growth=growth)
    return replace(recipe, policy=policy, gates=(GOOD_ENOUGH, gate), slices=("shop",))


def live(life: Life, first: int, last: int) -> Life:
    life.live(range(first, last))
    return life


def test_what_no_gate_could_judge_is_not_trained_and_told_once() -> None:
    with open_life(change=lambda recipe: sliced(recipe, rows=60)) as life:
        life.declare()

        # Four days are held back, of which the last has no labels: some 120 rows of each shop.
        live(life.again(sliced(life.recipe, rows=200)), NOW, 30)

        (held,) = life.all(e.RetrainSuppressed)
        assert [each.trigger for each in life.all(e.RetrainRequested)] == ["declared"]
        assert held.trigger == "growth"
        assert inside(held.bounds)
        assert held.reason.startswith(
            "the gates could not judge a challenger yet: gate 'no shop left behind' needs 200 "
        )
        assert "rows of one 'shop', and the largest has 1" in held.reason

        live(life.again(sliced(life.recipe, rows=60)), 30, 31)

        assert [each.trigger for each in life.all(e.RetrainRequested)] == ["declared", "growth"]
        assert len(life.all(e.GatesPassed)) == 2


@pytest.mark.parametrize(("rows", "asked"), [(60, 2), (1_000, 1)])
def test_a_turned_world_waits_for_rows_that_gates_can_judge(rows: int, asked: int) -> None:
    """Of the turned world only its rows are held back: fewer than usual."""
    with open_life(world=World(turns=26), change=lambda recipe: sliced(recipe, rows=60, growth=0)) as life:
        life.declare()

        live(life.again(sliced(life.recipe, rows=rows, growth=0)), NOW, 31)

        assert len(life.all(e.RetrainRequested)) == asked
        held = [each for each in life.all(e.RetrainSuppressed) if "could not judge" in each.reason]
        assert bool(held) == (asked == 1)


def test_a_person_may_ask_all_the_same() -> None:
    with open_life(change=lambda recipe: sliced(recipe, rows=60)) as life:
        life.declare()
        again = live(life.again(sliced(life.recipe, rows=200, growth=0)), NOW, 24)

        retrain(again.workspace, "returns", reason="to see", actor="ada", recipe=again.recipe)
        again.loop.turn()

        assert [each.trigger for each in life.all(e.RetrainRequested)] == ["declared", "hand"]
