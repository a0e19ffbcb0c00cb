"""After a change of the world the rehearsal stands in the new world, and the rows since the change are chosen when they teach more."""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import polars as pl
import pytest

import noria
from noria.domain.policy import Unsound
from noria.loop.training import FEWEST_FAIR, FEWEST_NEW, Known, backtest, chosen, cut_of, without
from noria.retraining.change import began
from tests.loop.small import World, a_recipe, moment

DAYS = 20


@pytest.fixture(scope="module")
def recipe() -> noria.Recipe:
    with noria.Workspace.ephemeral("small") as workspace:
        plain = a_recipe(workspace, World())
    policy = msgspec.structs.replace(plain.policy, windows=("all", "since_change"), backtest_days=8)
    return replace(plain, policy=policy)


def lived(turns: int, *, delay: timedelta = timedelta(days=1)) -> pl.DataFrame:
    """All labels known at the end of the last day, of a world that turned."""
    world = World(turns=turns, delay=delay)
    rows = pl.concat([world.orders(day) for day in range(DAYS)])
    return rows.filter(pl.col("known_at") <= moment(DAYS))


def trained(recipe: noria.Recipe, rows: pl.DataFrame, changed_at: datetime | None) -> tuple[pl.DataFrame, str, str]:
    held = backtest(rows, recipe, until=moment(DAYS), known=Known(changed_at=changed_at))
    result = chosen(
        rows, held, recipe, until=moment(DAYS), known=Known(changed_at=changed_at, left_out="3 rows are not here")
    )
    return held, result.window.choice, result.window.reason


def test_a_turned_world_is_learnt_from_the_rows_since_it_turned(recipe: noria.Recipe) -> None:
    rows = lived(14)

    held, choice, reason = trained(recipe, rows, moment(14))
    _, unaware, _ = trained(recipe, rows, None)

    assert choice == "since_change"
    assert unaware == "all"
    assert held["at"].min() > moment(14)
    assert "the world changed about 2026-01-15, so it was tried on" in reason
    assert reason.endswith("3 rows are not here")


def test_a_change_that_never_was_costs_nothing(recipe: noria.Recipe) -> None:
    _, choice, reason = trained(recipe, lived(99), moment(14))

    assert choice == "all"
    assert reason.startswith("'all' is the simplest")


@pytest.mark.parametrize("delay", [timedelta(hours=1), timedelta(days=1), timedelta(days=2)])
def test_both_sides_of_the_cut_rest_on_the_new_world_and_on_labels_known_in_time(
    recipe: noria.Recipe, delay: timedelta
) -> None:
    rows, changed = lived(14, delay=delay), moment(14)

    cut = cut_of(rows, recipe, until=moment(DAYS), known=Known(changed_at=changed))

    new = rows.filter(pl.col("at") >= changed)
    learnt, held = new.filter(pl.col("known_at") <= cut).height, new.filter(pl.col("at") >= cut).height
    assert moment(DAYS - recipe.policy.backtest_days) < cut < moment(DAYS)
    assert min(learnt, held) >= FEWEST_NEW
    assert abs(learnt - held) <= 2


@pytest.mark.parametrize("changed", [None, moment(2), moment(DAYS - 0.5), moment(DAYS - 1.5)])
def test_with_too_little_of_a_new_world_or_enough_the_usual_days_are_held_back(
    recipe: noria.Recipe, changed: datetime | None
) -> None:
    cut = cut_of(lived(14), recipe, until=moment(DAYS), known=Known(changed_at=changed))

    assert cut == moment(DAYS - recipe.policy.backtest_days)


def test_held_back_are_rows_that_the_champion_has_not_learnt_where_there_are_enough(recipe: noria.Recipe) -> None:
    rows, usual = lived(99), DAYS - recipe.policy.backtest_days

    def cut(taught: float) -> datetime:
        return cut_of(rows, recipe, until=moment(DAYS), known=Known(taught_until=moment(taught)))

    since = rows.filter(pl.col("at") > moment(DAYS - 6))
    assert since.height >= FEWEST_FAIR
    assert cut(DAYS - 6) == moment(DAYS - 6)
    assert cut(DAYS - 0.5) == moment(usual), "too little has been labelled since"
    assert cut(usual - 3) == moment(usual), "it learnt before"

    known = Known(taught_until=moment(DAYS - 6))
    held = backtest(rows, recipe, until=moment(DAYS), known=known)
    reason = chosen(rows, held, recipe, until=moment(DAYS), known=known).window.reason
    assert held["at"].min() >= moment(DAYS - 6)  # type: ignore[operator]
    assert f"the {held.height} rows since 2026-01-15, which the champion has not learnt either" in reason


def test_broken_days_go_by_when_was_asked_and_doubted_labels_by_when_they_were_known() -> None:
    rows = lived(99)
    broken = Unsound(since=moment(3), until=moment(5), by="asked", what="")
    doubted = Unsound(since=moment(9), until=moment(10), by="known", what="")
    open_end = Unsound(since=moment(18), until=None, by="known", what="")

    kept = without(rows.lazy(), [broken, doubted, open_end], asked="at", known="known_at").collect()

    gone = rows.join(kept, on=["at", "price"], how="anti")
    by_asked = pl.col("at").is_between(moment(3), moment(5), closed="left")
    by_known = pl.col("known_at").is_between(moment(9), moment(10)) | (pl.col("known_at") >= moment(18))
    assert gone.height == rows.filter(by_asked | by_known).height
    assert kept.height == rows.height - gone.height


@pytest.mark.parametrize(
    ("excess", "first"),
    [
        ([0.0] * 9 + [0.2] * 3, 9),
        ([0.2] * 5, 0),
        ([0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.3], 6),
        ([0.0] * 8, None),
        ([], None),
    ],
)
def test_a_decay_is_dated_by_its_days(excess: list[float], first: int | None) -> None:
    assert began(excess, [100] * len(excess), usual=0.0) == first
