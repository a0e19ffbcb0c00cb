"""A verdict on drift is remembered until a complete window changes."""

from datetime import timedelta
from pathlib import Path

from noria.domain.deployment import Variant
from noria.loop.champion import judged_windows
from noria.loop.stages.watch_counts import budget_of, drift_of
from noria.monitoring.drift import detect
from tests.loop.counted import MONDAY, Asked


def test_a_verdict_is_given_again_until_a_complete_window_changes(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)

    def judged():
        return drift_of(asked.context, asked.recipe, champion, asked.profile, since=MONDAY)

    asked.write(asked.records([10, 1450], rows=100))
    asked.look(MONDAY + timedelta(days=1, minutes=20))
    first = judged()
    asked.write(asked.records([1460], rows=100), name="today")
    asked.look(MONDAY + timedelta(days=1, minutes=30))
    again = judged()
    asked.write(asked.records([12], rows=100), name="late")
    asked.look(MONDAY + timedelta(days=1, minutes=40))
    late = judged()

    assert again is first
    assert (first.inputs.rows, late.inputs.rows, late.windows) == (100, 200, 1)


def test_days_that_come_are_bet_on_where_the_fold_stood_and_the_verdict_is_that_of_all_days(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)

    for day in range(4):
        asked.write(asked.records([day * 1440 + 10], rows=100 + day), name=f"day-{day}")
        asked.look(MONDAY + timedelta(days=day + 1, minutes=20))
        drift_of(asked.context, asked.recipe, champion, asked.profile, since=MONDAY)
    asked.write(asked.records([15], rows=50), name="late")
    asked.look(MONDAY + timedelta(days=4, minutes=30))

    told = drift_of(asked.context, asked.recipe, champion, asked.profile, since=MONDAY)

    windows = judged_windows(
        asked.context.counts, asked.recipe.deployment, champion.number, asked.profile, since=MONDAY
    )
    assert told == detect(asked.profile, windows, budget=budget_of(asked.recipe, asked.profile))
    assert told.windows == 4
