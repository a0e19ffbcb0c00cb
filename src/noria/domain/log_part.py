"""The parts that a prediction log consists of. Counting them is loop/stages/watch_counts."""

from datetime import datetime

import msgspec


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the log, or whatever a store keeps rows in. A part may grow, and parts may become one larger part; their rows do not change.

    since, until: when the first and the last of its rows were asked for, both included. rows: how many it has; a row may stand in two parts.
    damaged: why it cannot be read; it was set aside then, and is no part of what `scan` gives.
    """

    name: str
    since: datetime
    until: datetime
    rows: int
    damaged: str = ""
