"""Studies and trials: a search over candidates. Searching is tuning/."""

import msgspec

from noria.domain.run import ParamValue


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate with its parameters and its score (lower is better); score None: it failed, error says why."""

    number: int
    candidate: str
    params: dict[str, ParamValue] = {}
    score: float | None = None
    seconds: float = 0.0
    error: str = ""


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """All trials over one training window, the best first chosen by score."""

    name: str
    metric: str
    trials: tuple[Trial, ...]
    seed: int

    def best(self) -> Trial:
        """The trial with the lowest score. Raises ValueError when none finished."""
        done = [t for t in self.trials if t.score is not None]
        if not done:
            raise ValueError("no trial of this study finished")
        return min(done, key=lambda t: (t.score, t.number))
