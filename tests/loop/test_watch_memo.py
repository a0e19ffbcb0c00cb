"""A verdict on drift is remembered until a complete window changes."""

from datetime import timedelta
from pathlib import Path

from noria.domain.deployment import Variant
from noria.loop.stages.watch_counts import drift_of
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
