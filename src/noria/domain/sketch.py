"""Sketches of what a window held, for exploring. Making and merging them is monitoring/sketch, what is in them stats/kll."""

from datetime import datetime

import msgspec


class WindowSketches(msgspec.Struct, frozen=True, kw_only=True):
    """Quantile sketches of one window's numbers, by input (stats/kll); merging those of two windows gives that of both together.

    They are kept for exploring (quantiles over time) and decide nothing. rows: of the window.
    """

    deployment: str
    number: int
    since: datetime
    until: datetime
    step: int
    rows: int
    sketches: dict[str, bytes]
