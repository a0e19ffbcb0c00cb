"""A number with its uncertainty. Computing one is stats/intervals; judging one is evaluation/gates."""

import msgspec


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate, its confidence limits, and how they were found.

    level: coverage in [0, 1]. n: number of observations behind it. method: how the limits were computed, for the reader.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    method: str = ""

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] (n={self.n})"
