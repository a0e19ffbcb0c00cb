"""Laws of shares over dependent rows: independent rows give Wilson's interval, dependent ones a wider one that covers."""

import numpy as np
import pytest

from noria.errors import InputInvalid
from noria.stats.intervals import wilson_interval
from noria.stats.shares import design_effect, share_difference, share_interval


@pytest.mark.parametrize(("hits", "rows"), [(0, 40), (40, 40), (7, 40), (300, 1000)])
def test_independent_rows_give_wilsons_interval(hits: int, rows: int) -> None:
    found = share_interval([1] * hits + [0] * (rows - hits))

    plain = wilson_interval(hits, rows)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_days_that_hang_together_widen_the_interval_until_it_covers() -> None:
    rng = np.random.default_rng(5)
    truth, covered, plain = 0.3, 0, 0
    for _ in range(300):
        days = np.repeat(np.arange(25), 20)
        hits = (rng.random(500) < rng.beta(3, 7, 25)[days]).astype(float)
        found = share_interval(hits, days)
        covered += found.low <= truth <= found.high
        naive = share_interval(hits)
        plain += naive.low <= truth <= naive.high

    assert covered >= 0.92 * 300
    assert plain < 0.85 * 300


def test_a_difference_covers_the_truth() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        found = share_difference(
            share_interval((rng.random(60) < 0.2).astype(float)), share_interval((rng.random(35) < 0.05).astype(float))
        )
        covered += found.low <= 0.15 <= found.high

    assert covered >= 0.92 * 300


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(InputInvalid):
        share_interval([0.5, 1.0])
    assert design_effect([1, 1, 1], [0, 1, 1]) == 1.0
