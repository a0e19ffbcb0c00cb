"""Concept drift on realised losses: found with its date, overall and in a group, and not where days merely differ."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from noria.errors import InputInvalid
from noria.monitoring.concept import Losses, concept, design_effect, losses_of
from noria.monitoring.labels import moment

START = datetime(2026, 1, 1, tzinfo=UTC)


def stream(
    rates: list[float], *, days: int = 20, per_day: int = 100, wobble: float = 0.0, delay_h: float = 48.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors of 0 and 1 at one rate after another, each for some days; days may differ by chance; labels come late, in another order."""
    dice = np.random.default_rng(seed)
    rate = np.repeat(rates, days * per_day)
    rate = np.clip(rate + np.repeat(dice.normal(0, wobble, len(rates) * days), per_day), 0.0, 1.0)
    at = moment(START) + np.arange(rate.size) * np.timedelta64(86400 // per_day, "s")
    known = at + (dice.exponential(delay_h * 3600e6, rate.size)).astype("timedelta64[us]")
    return (dice.random(rate.size) < rate).astype(float), at, known


def ordered(parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Losses:
    loss, at, known = parts
    return losses_of(loss, at=at, label_at=known)


def test_a_change_is_found_with_its_date_once_its_labels_came() -> None:
    loss, at, known = stream([0.1, 0.25])

    found = concept(losses_of(loss, at=at, label_at=known))

    (change,) = found.changes
    began = START + timedelta(days=20)
    assert found.alarm
    assert change.worse
    assert abs(change.since - began) < timedelta(days=4)
    assert began < change.seen_at < began + timedelta(days=9)
    assert change.before.low < 0.1 < change.before.high
    assert change.after.low < 0.25 < change.after.high
    assert "1,000,000 labels" in found.budget


def test_what_got_better_or_came_back_is_told_and_is_no_alarm() -> None:
    better = concept(ordered(stream([0.3, 0.15], seed=1)))
    back = concept(ordered(stream([0.1, 0.3, 0.1], seed=2)))

    assert [c.worse for c in better.changes] == [False]
    assert not better.alarm
    assert [c.worse for c in back.changes] == [True, False]
    assert not back.alarm


def test_days_that_differ_are_no_change() -> None:
    reports = [concept(ordered(stream([0.2, 0.2, 0.2], wobble=0.06, delay_h=1, seed=s))) for s in range(6)]

    assert [report.changes for report in reports] == [()] * 6
    assert min(report.inflation for report in reports) > 1.3


def test_a_group_is_found_that_the_whole_does_not_show() -> None:
    loss, at, known = stream([0.1, 0.1], per_day=200, seed=3)
    dice = np.random.default_rng(4)
    place = dice.choice(["JFK", "EWR", "LGA", "BOS"], loss.size, p=[0.45, 0.45, 0.098, 0.002])
    hit = (place == "LGA") & (np.arange(loss.size) >= loss.size // 2)
    loss[hit] = (dice.random(hit.sum()) < 0.35).astype(float)

    found = concept(losses_of(loss, at=at, label_at=known, groups={"origin": place}))

    assert found.alarm
    assert {c.where for c in found.changes} == {"origin=LGA"}
    assert set(found.watched) == {"all", "origin=EWR", "origin=JFK", "origin=LGA"}
    assert found.left_out == ("origin=BOS",)


def test_a_reference_is_what_the_first_labels_are_compared_with() -> None:
    loss, at, known = stream([0.25], days=10, seed=5)
    reference = (np.random.default_rng(6).random(3000) < 0.1).astype(float)

    alone, beside = (concept(losses_of(loss, at=at, label_at=known), reference=r) for r in (None, reference))
    handed_over = concept(losses_of(loss, at=at, label_at=known), reference=reference, since=START + timedelta(days=99))

    assert not alone.alarm
    assert beside.alarm
    assert abs(beside.changes[0].since - START) < timedelta(days=1)
    assert not handed_over.alarm, "that was seen before this version answered"
    assert not concept(losses_of(loss, at=at, label_at=known), reference=reference, smallest=0.5).alarm


def test_losses_of_any_scale_and_a_wild_one() -> None:
    dice = np.random.default_rng(7)
    _, at, known = stream([0.1, 0.1])
    loss = dice.gamma(2.0, 3.0, at.size)
    loss[1500] = 1e9

    assert concept(losses_of(loss, at=at, label_at=known)).changes == ()
    loss[at.size // 2 :] *= 1.5
    assert concept(losses_of(loss, at=at, label_at=known)).alarm


def test_the_order_of_the_rows_does_not_matter_and_nothing_is_quiet() -> None:
    loss, at, known = stream([0.1, 0.3], seed=8)
    mixed = np.random.default_rng(9).permutation(loss.size)

    assert concept(losses_of(loss, at=at, label_at=known)) == concept(
        losses_of(loss[mixed], at=at[mixed], label_at=known[mixed])
    )
    nothing = concept(losses_of([], at=[], label_at=[]))
    assert (nothing.alarm, nothing.labels, nothing.changes) == (False, 0, ())
    assert design_effect([1.0, 1.0], [0, 1]) == 1.0
    assert design_effect([0.0, 1.0, 0.0], None) == 1.0


@pytest.mark.parametrize("loss", [[-1.0], [float("nan")], [0.0, 1.0]])
def test_what_is_no_loss_is_refused(loss: list[float]) -> None:
    with pytest.raises(InputInvalid):
        losses_of(loss, at=[START], label_at=[START])
    with pytest.raises(InputInvalid):
        losses_of([0.0], at=[START], label_at=[None])
