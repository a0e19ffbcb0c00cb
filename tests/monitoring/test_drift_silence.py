"""What would have silenced an alarm does silence it, and a little less does not."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from noria.domain.ids import digest_of
from noria.domain.profile import ReferenceProfile, WindowCounts
from noria.monitoring.drift import Budget, detect
from noria.monitoring.drift_silence import Silence, silences
from noria.monitoring.profile import build_profile, window

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_stream(*, shift: float, days: int = 12) -> tuple[ReferenceProfile, list[WindowCounts]]:
    rng = np.random.default_rng(11)

    def day(move: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
        return {"x": rng.normal(move, 1, 300), "y": rng.normal(0, 1, 300)}, rng.beta(2, 5, 300)

    parts = [day(0.0) for _ in range(30)]
    columns = {name: np.concatenate([c[name] for c, _ in parts]) for name in ("x", "y")}
    scores = np.concatenate([s for _, s in parts])
    profile = build_profile(
        columns,
        scores,
        labels=(rng.uniform(size=scores.size) < scores).astype(float),
        blocks=np.repeat(np.arange(30), 300),
        since=START - timedelta(days=30),
        until=START,
    )
    served = []
    for i in range(days):
        since = START + timedelta(days=i)
        served.append(
            window(
                profile,
                *day(shift),
                deployment="d",
                number=1,
                profile_digest=digest_of(b"p"),
                since=since,
                until=since + timedelta(days=1),
            )
        )
    return profile, served


def test_the_margin_and_the_budget_that_are_named_each_silence_the_alarm_and_less_does_not() -> None:
    profile, served = a_stream(shift=0.4)
    budget = Budget(windows=365)
    assert detect(profile, served, budget=budget).inputs.alarm

    inputs, prediction = silences(profile, served, budget=budget)

    assert prediction == Silence()
    assert inputs.smallest is not None
    assert not detect(profile, served, budget=msgspec.structs.replace(budget, smallest=inputs.smallest)).inputs.alarm
    assert detect(profile, served, budget=msgspec.structs.replace(budget, smallest=inputs.smallest * 0.9)).inputs.alarm
    if inputs.windows is not None:
        assert not detect(profile, served, budget=Budget(windows=inputs.windows)).inputs.alarm


def test_nothing_silences_what_is_silent_and_a_broken_input_is_not_silenced_by_any_margin() -> None:
    profile, served = a_stream(shift=0.0)
    assert silences(profile, served) == (Silence(), Silence())

    profile, served = a_stream(shift=30.0)
    assert silences(profile, served)[0].smallest is None


@pytest.mark.parametrize("prediction", [0.0, 1.0])
def test_a_budget_that_leaves_one_side_nothing_is_refused(prediction: float) -> None:
    from noria.errors import InputInvalid

    profile, served = a_stream(shift=0.0, days=1)
    with pytest.raises(InputInvalid):
        detect(profile, served, budget=Budget(prediction=prediction))
