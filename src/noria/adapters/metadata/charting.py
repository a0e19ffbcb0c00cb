"""A series as a chart draws it: stretches of nearly equal count with their extremes. Pure. Reading points is memory's and sql/series' business."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate

from noria.domain.run import Bucket, Metric
from noria.errors import InputInvalid
from noria.wire.points import Point, Stretch, extremes, floats, joined, stretch


def check_buckets(buckets: int) -> None:
    """A chart has at least one stretch. Raises InputInvalid."""
    if buckets < 1:
        raise InputInvalid(f"a chart cannot have {buckets} buckets", remedy="ask for at least 1")


def chart(points: Sequence[Metric], buckets: int) -> list[Bucket]:
    """Points of one series, in order, in at most `buckets` stretches. Raises InputInvalid if that is less than 1.

    >>> from datetime import UTC, datetime
    >>> noon = datetime(2013, 3, 1, 12, tzinfo=UTC)
    >>> series = [Metric(key="loss", value=float(value), step=step, at=noon) for step, value in enumerate((3, 9, 1, 2))]
    >>> [(bucket.count, bucket.low.value, bucket.high.value) for bucket in chart(series, 2)]
    [(2, 3.0, 9.0), (2, 1.0, 2.0)]
    """
    check_buckets(buckets)
    found = []
    for start, end in _cuts(len(points), buckets):
        some = points[start:end]
        low, high, nans = extremes([point.value for point in some])
        found.append(
            Bucket(
                count=len(some),
                first=some[0],
                last=some[-1],
                low=None if low is None else some[low],
                high=None if high is None else some[high],
                nans=nans,
            )
        )
    return found


def of_points(points: Sequence[Point], buckets: int) -> list[Stretch]:
    """The same of points that are not yet nouns."""
    values = floats([point[2] for point in points]).tolist()
    return [stretch(points[start:end], values[start:end]) for start, end in _cuts(len(points), buckets)]


def of_stretches(parts: Sequence[Stretch], buckets: int) -> list[Stretch]:
    """Stretches put together to at most `buckets`, each as near to an equal share of the points as their borders allow."""
    if not parts:
        return []
    total = sum(part.size for part in parts)
    shares = [before * buckets // total for before in accumulate([part.size for part in parts], initial=0)]
    borders = [0, *(place for place in range(1, len(parts)) if shares[place] != shares[place - 1]), len(parts)]
    return joined(parts, borders)


def with_points(parts: Sequence[Stretch], points: Sequence[Point]) -> list[Stretch]:
    """Stretches of a series, and more points of it: those inside a stretch are taken into it, those between two become one each. Both are sorted."""
    found: list[Stretch] = []
    at = 0
    for part in parts:
        inside = bisect_left(points, part.first, at)
        behind = bisect_left(points, part.last, inside)
        found += map(_alone, points[at:inside])
        if behind > inside:
            more = [part, *map(_alone, points[inside:behind])]
            part = joined(more, [0, len(more)])[0]._replace(first=part.first, last=part.last)
        found.append(part)
        at = behind
    return [*found, *map(_alone, points[at:])]


def nouns(parts: Sequence[Stretch], metrics: Callable[[Sequence[Point]], Sequence[Metric]]) -> list[Bucket]:
    """Stretches as nouns. metrics: makes the nouns of points, all at once."""
    corners: list[Point] = []
    for part in parts:
        corners += (part.first, part.last, part.low or part.first, part.high or part.first)
    made = iter(metrics(corners))
    return [
        Bucket(
            count=part.size,
            first=first,
            last=last,
            low=None if part.low is None else low,
            high=None if part.high is None else high,
            nans=part.nans,
        )
        for part, first, last, low, high in zip(parts, made, made, made, made, strict=True)
    ]


def _alone(point: Point) -> Stretch:
    return stretch([point], floats([point[2]]))


def _cuts(count: int, buckets: int) -> list[tuple[int, int]]:
    number = min(count, buckets)
    return [(place * count // number, (place + 1) * count // number) for place in range(number)]
