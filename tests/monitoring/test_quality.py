"""Realised quality, decay and the estimate without labels."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from noria.domain.profile import ReferenceProfile
from noria.errors import InputInvalid
from noria.monitoring.alert_drafts import decay_alert
from noria.monitoring.estimate import estimate, expected_auc
from noria.monitoring.quality import DayQuality, daily, decay
from noria.stats.metrics import auc, log_loss

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_profile(**changes: float) -> ReferenceProfile:
    base = {"expected_excess_sd": 0.05, "expected_bias_sd": 0.05, **changes}
    return ReferenceProfile(
        features=(), rows=1000, since=START, until=START, expected_loss=0.5, expected_loss_sd=0.1, **base
    )  # type: ignore[arg-type]


def labelled(
    rng: np.random.Generator, days: int, *, per_day: int = 300, slip: float = 0.0, wobble: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and times; in log odds the truth stands `slip` above the score, and every day has a shock of its own."""
    z = rng.normal(-1.2, 1.0, days * per_day)
    truth = z + slip + np.repeat(rng.normal(0, wobble, days), per_day)
    y = (rng.uniform(size=z.size) < 1 / (1 + np.exp(-truth))).astype(float)
    at = np.datetime64("2026-01-01") + np.arange(z.size) * np.timedelta64(86400 // per_day, "s")
    return 1 / (1 + np.exp(-z)), y, at


def a_day(i: int, *, excess: float = 0.0, bias: float = 0.0) -> DayQuality:
    day = (START + timedelta(days=i)).date().isoformat()
    return DayQuality(
        day=day,
        rows=500,
        loss=0.5 + excess,
        expected=0.5,
        said=0.3,
        happened=0.3 + bias,
        loss_noise=0.02,
        rate_noise=0.02,
    )


def test_a_day_counts_only_when_its_labels_have_settled() -> None:
    rng = np.random.default_rng(2)
    p, y, at = labelled(rng, 5)

    found = daily(y, p, at=at, known_by=START + timedelta(days=4, hours=1), settle_s=86400)

    assert [d.day for d in found] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert found[0].rows == 300


def test_hard_days_are_no_decay() -> None:
    days = [
        DayQuality(
            day=(START + timedelta(days=i)).date().isoformat(),
            rows=500,
            loss=0.3 + 0.01 * i,
            expected=0.3 + 0.01 * i,
            said=0.3,
            happened=0.3,
            loss_noise=0.02,
            rate_noise=0.02,
        )
        for i in range(120)
    ]

    assert not decay(a_profile(), days).alarm


def test_a_year_of_wobbling_days_is_quiet_and_a_shift_in_log_odds_is_found() -> None:
    found_after = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        p, y, at = labelled(rng, 400, wobble=0.3)
        end = datetime(2027, 6, 1, tzinfo=UTC)
        quiet = daily(y, p, at=at, known_by=end)
        reference = np.array([(d.loss - d.expected, d.happened - d.said) for d in quiet[:30]])
        profile = a_profile(
            expected_excess_sd=float(reference[:, 0].std()), expected_bias_sd=float(reference[:, 1].std())
        )
        assert not decay(profile, quiet).alarm
        p, y, at = labelled(rng, 60, wobble=0.3, slip=1.0)
        worse = daily(y, p, at=at, known_by=end)
        looks = [decay(profile, worse[: n + 1]) for n in range(60)]
        first = next(i for i, look in enumerate(looks) if look.alarm)
        assert looks[first].statistic in ("more positives than the scores say", "loss above what the scores expect")
        found_after.append(first + 1)

    assert np.median(found_after) <= 21


def test_scores_that_have_become_too_high_are_a_decay_even_where_the_loss_fell() -> None:
    days = [a_day(i, excess=-0.05, bias=-0.2) for i in range(40)]

    found = decay(a_profile(), days)

    assert found.alarm
    assert found.statistic == "fewer positives than the scores say"


def test_a_decay_of_answers_that_became_better_wakes_nobody() -> None:
    profile = a_profile()
    honest = [a_day(i, bias=0.2) for i in range(40)]
    easier = [msgspec.structs.replace(day, loss=0.4 + 0.001 * (i % 3), expected=0.4) for i, day in enumerate(honest)]

    worse, better = decay(profile, honest), decay(profile, easier)

    assert (worse.alarm, worse.better, better.alarm, better.better) == (True, False, True, True)
    assert decay_alert(worse).severity == "page"
    assert decay_alert(better).severity == "info"
    assert "better than at acceptance" in decay_alert(better).summary


def test_one_storm_is_no_decay_and_days_must_be_in_order() -> None:
    assert not decay(a_profile(), [a_day(0), a_day(1, excess=3.0, bias=0.5), a_day(2)]).alarm
    with pytest.raises(InputInvalid):
        decay(a_profile(), [a_day(1), a_day(0)])


def test_the_estimate_of_a_calibrated_model_is_its_realised_quality() -> None:
    p, y, _ = labelled(np.random.default_rng(3), 100, per_day=1000)

    found = estimate(p, np.repeat(np.arange(100), 1000))

    assert found.log_loss.value == pytest.approx(log_loss(y, p), abs=0.005)
    assert found.auc == pytest.approx(auc(y, p), abs=0.005)
    assert "calibrated" in found.assumption
    assert expected_auc([0.3, 0.3]) is None
