"""Searches: every option has an outcome, the same seed gives the same points."""

import pytest

from noria.errors import EmptySample, InputInvalid, StepFailed
from noria.tuning.space import Range, draw, grid
from noria.tuning.study import Option, search


def score(option: Option) -> float:
    if option.candidate == "breaks":
        raise ValueError("singular matrix")
    if option.candidate == "nothing":
        raise EmptySample("no row")
    return float(option.params.get("c", 0))  # type: ignore[arg-type]


def test_a_failed_trial_is_kept_with_its_error_and_the_best_is_of_the_others() -> None:
    options = [
        Option("breaks"),
        Option("ok", {"c": 2.0}),
        Option("nothing"),
        Option("ok", {"c": 1.0}),
        Option("ok", {"c": float("nan")}),
    ]

    study = search(options, score, name="s", metric="log_loss", seed=3)

    assert [t.score for t in study.trials] == [None, 2.0, None, 1.0, None]
    assert study.best().number == 3
    assert study.trials[0].error == "ValueError: singular matrix"
    assert "noria-1008" in study.trials[2].error
    assert study == search(options, score, name="s", metric="log_loss", seed=3)


def test_a_search_in_which_everything_failed_is_an_error() -> None:
    with pytest.raises(StepFailed, match="every one of the 1 trials") as caught:
        search([Option("breaks")], score, name="s", metric="log_loss", seed=3)
    assert "singular matrix" in caught.value.cause
    with pytest.raises(InputInvalid):
        search([], score, name="s", metric="log_loss", seed=3)


def test_an_interrupt_is_not_a_failed_trial() -> None:
    def stop(option: Option) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search([Option("a")], stop, name="s", metric="log_loss", seed=0)


def test_draws_repeat_by_seed_and_stay_inside_their_ranges() -> None:
    space = {
        "rate": Range(low=0.01, high=0.3, log=True),
        "leaves": Range(low=7, high=63, whole=True),
        "kind": ["a", "b"],
    }

    first = draw("boosting", space, trials=50, seed=1)

    assert first == draw("boosting", space, trials=60, seed=1)[:50]
    assert first != draw("boosting", space, trials=50, seed=2)
    assert all(0.01 <= o.params["rate"] <= 0.3 and isinstance(o.params["leaves"], int) for o in first)  # type: ignore[operator]
    assert len(grid("g", {"a": [1, 2], "b": [1, 2, 3]})) == 6


@pytest.mark.parametrize("space", [{"a": Range(low=1, high=1)}, {"a": Range(low=0, high=1, log=True)}, {"a": []}])
def test_a_space_without_a_point_is_refused(space: dict[str, object]) -> None:
    with pytest.raises(InputInvalid):
        draw("c", space, trials=1, seed=0)  # type: ignore[arg-type]
    with pytest.raises(InputInvalid):
        grid("c", space)  # type: ignore[arg-type]
