"""Search: score every option, keep every outcome. A failed trial is a trial with its error, never a silent gap.

Which options there are is tuning/space or the caller. Called by the training pipeline.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from noria.domain.run import ParamValue
from noria.domain.study import Study, Trial
from noria.errors import InputInvalid, NoriaError, StepFailed


@dataclass(frozen=True)
class Option:
    """One thing to try: the name of a candidate and its parameters."""

    candidate: str
    params: dict[str, ParamValue] = field(default_factory=dict)


def search(
    options: Sequence[Option],
    score: Callable[[Option], float],
    *,
    name: str,
    metric: str,
    seed: int,
    timer: Callable[[], float] | None = None,
    at_once: int = 1,
) -> Study:
    """Score all options (lower is better); trials stand in the order of the options. seed: recorded, for options and scores that were drawn with it.

    at_once: so many are scored side by side, on threads; 1: one after the other, on this one.
    timer: gives seconds for `Trial.seconds`; without one they are 0 and the same search gives the same study, byte for byte.

    An exception or a score that is not a number fails its trial only. Raises StepFailed when every trial failed, InputInvalid for no option.

    >>> search([Option("a", {"c": 1}), Option("b")], lambda o: len(o.params), name="s", metric="loss", seed=0).best().candidate
    'b'
    """
    if not options:
        raise InputInvalid(f"the study {name!r} has nothing to try", remedy="name at least one candidate")

    def tried(numbered: tuple[int, Option]) -> Trial:
        return _trial(*numbered, score, timer)

    if at_once > 1 and len(options) > 1:
        with ThreadPoolExecutor(at_once, thread_name_prefix="trial") as side_by_side:
            trials = tuple(side_by_side.map(tried, enumerate(options)))
    else:
        trials = tuple(map(tried, enumerate(options)))
    if all(t.score is None for t in trials):
        raise StepFailed(
            f"every one of the {len(trials)} trials of {name!r} failed",
            cause=f"the first: {trials[0].candidate}: {trials[0].error}",
            remedy="run the candidate by hand on the same rows",
        )
    return Study(name=name, metric=metric, trials=trials, seed=seed)


def _trial(number: int, option: Option, score: Callable[[Option], float], timer: Callable[[], float] | None) -> Trial:
    begun = timer() if timer else 0.0
    value: float | None = None
    error = ""
    try:
        value = float(score(option))
    except NoriaError as exc:
        error = exc.headline()
    except Exception as exc:  # noqa: BLE001 - a candidate is the user's code: whatever it raises becomes the trial's recorded error
        error = f"{type(exc).__name__}: {exc}"
    if value is not None and not math.isfinite(value):
        value, error = None, f"the score is {value}"
    return Trial(
        number=number,
        candidate=option.candidate,
        params=dict(option.params),
        score=value,
        seconds=timer() - begun if timer else 0.0,
        error=error,
    )
