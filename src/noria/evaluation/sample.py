"""The rows that a candidate is judged on, as arrays. Making them (the hold-out in time) is the pipeline's business. Used by all of evaluation/."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from noria.errors import InputInvalid
from noria.stats.checks import Floats, scored


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """Labels, the challenger's answers, the champion's answers to the same rows, the day of each row, and columns to slice by.

    y: 0/1 labels, shape (n,). p, champion_p: probabilities, shape (n,); champion_p None: there is no champion yet. block: shape (n,), rows of one
    block (a day) are not independent of each other; None: every row stands alone. slices: column -> values, shape (n,).
    Raises EmptySample, InputInvalid.
    """

    y: ArrayLike
    p: ArrayLike
    champion_p: ArrayLike | None = None
    block: ArrayLike | None = None
    slices: dict[str, ArrayLike] = field(default_factory=dict)
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        labels, scores = scored(self.y, self.p)
        if self.champion_p is not None:
            scored(self.y, self.champion_p)
        others = {f"slice {name!r}": np.asarray(values) for name, values in self.slices.items()}
        if self.block is not None:
            others["block"] = np.asarray(self.block)
        for name, values in others.items():
            if values.shape != scores.shape:
                raise InputInvalid(f"{name} has shape {values.shape}, the sample has {labels.size} rows")

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(np.asarray(self.y).size)

    def only(self, kept: ArrayLike) -> "Sample":
        """The rows where `kept` (booleans, shape (n,)) holds, without slices. Raises EmptySample when none does."""
        where = np.asarray(kept, dtype=bool)

        def cut(values: ArrayLike | None) -> ArrayLike | None:
            return None if values is None else np.asarray(values)[where]

        return Sample(
            y=self.labels[where],
            p=np.asarray(self.p)[where],
            champion_p=cut(self.champion_p),
            block=cut(self.block),
            since=self.since,
            until=self.until,
        )

    @property
    def labels(self) -> Floats:
        """Labels as floats, shape (n,)."""
        return np.asarray(self.y, dtype=np.float64)
