"""Measurements of Noria itself: families of series, as Prometheus and OpenMetrics mean them. Their text is wire/exposition, keeping them a port."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]


class Exemplar(msgspec.Struct, frozen=True, gc=False):
    """One request that fell into a bucket. at: Unix time in seconds."""

    trace_id: str
    value: float
    at: float


class Histogram(msgspec.Struct, frozen=True):
    """bounds: upper edges without the infinite one. counts: one a bucket, not added up, the last above all edges. exemplars: by bucket."""

    bounds: tuple[float, ...]
    counts: Sequence[float]
    sum: float
    exemplars: Sequence[Exemplar | None] = ()


class Family(msgspec.Struct, frozen=True):
    """All series of one name. A counter's name ends in `_total`, a unit stands at its end before that (`_seconds`, `_bytes`)."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[tuple[Labels, float | Histogram]]
