"""A series that is written in any batches, in any order, with any repetitions, is the set of its points: nothing lost, nothing twice, charts true."""

import contextlib
import tempfile
from random import Random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from noria.adapters.metadata import rules, sqlite
from noria.domain.run import Metric
from noria.testing.runs_suite import a_run
from noria.testing.series_suite import A, check_chart, exact
from noria.wire.points import Point

SIZES = (1, 1, 5, 60, 255, 256, 700, 1024, 1500)
batches = st.lists(
    st.tuples(
        st.sampled_from(["on", "back", "anywhere", "no step", "again", "half again"]),
        st.sampled_from(SIZES),
        st.integers(0, 2**32),
    ),
    min_size=1,
    max_size=12,
)


def a_batch(kind: str, size: int, seed: int, *, held: set[Point]) -> list[Point]:
    """Points as what makes them. held: those of the batches before."""
    chance = Random(seed)
    last = max(held, default=(0, 0, 0))[0]
    known = sorted(held)
    steps = {
        "on": lambda n: last + 1 + n // 2,
        "back": lambda _: last - chance.randint(0, 400),
        "anywhere": lambda _: chance.randint(min(-10, last), max(last, 0) + 10),
        "no step": lambda _: 0,
    }
    points = []
    for n in range(size):
        if known and (kind == "again" or (kind == "half again" and n % 2)):
            points.append(chance.choice(known))
            continue
        step = steps.get(kind, steps["on"])(n)
        value = chance.choice([chance.gauss(0, 1), float(n % 3), float("nan")])
        points.append((step, chance.randint(0, 50) if kind == "back" else n * 1000, rules.float_bits(value)))
    return points


def metric(point: Point) -> Metric:
    step, at, bits = point
    return Metric(key="loss", value=rules.bits_float(bits), step=step, at=rules.moment(at))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches, st.integers(0, 2**32))
@example([("back", 1, 0), ("anywhere", 1, 0)], 0)
@example([*[("on", 1, 0)] * 11, ("on", 1500, 0)], 5428145)  # a window of a few points within many
def test_a_series_is_the_set_of_its_points(kinds, seed):
    chance, held = Random(seed), set()
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(sqlite.open_store(f"{folder}/meta.db", project="p")) as store,
    ):
        store.runs.create(a_run())
        for kind, size, own in kinds:
            batch = a_batch(kind, size, own, held=held)
            store.runs.log_metrics(A, [metric(point) for point in batch])
            held.update(batch)
            points = [metric(point) for point in sorted(held)]
            head = store.series.heads(A)[0]
            assert (head.count, exact([head.last])) == (len(points), exact(points[-1:]))
            offset, limit = chance.randint(0, len(points)), chance.randint(1, 2000)
            page = store.series.history(A, "loss", offset=offset, limit=limit)
            assert exact(page) == exact(points[offset : offset + limit])
        assert exact(store.series.history(A, "loss")) == exact(points)
        for most in (1, 7, 40, 300):
            first, last = sorted((chance.choice(points).step, chance.choice(points).step))
            check_chart(store.series.chart(A, "loss", buckets=most), points, most)
            inside = [point for point in points if first <= point.step <= last]
            window = store.series.chart(A, "loss", buckets=most, first_step=first, last_step=last)
            check_chart(window, inside, most)
