"""The law of the SeriesStore port as tests. Subclass SeriesSuite and override the fixtures `runs` and `series`: those of one empty store.

Series are written through RunStore.log_metrics, whose own law is runs_suite.py. Called by tests/conformance.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from msgspec.structs import replace

from noria.domain.ids import RunId
from noria.domain.run import Bucket, Metric
from noria.errors import InputInvalid, NotFound
from noria.ports.runs import RunStore
from noria.ports.series import SeriesStore
from noria.testing.runs_suite import NOON, a_point, a_run

A = RunId("a")
INT64 = 2**63
ODD_VALUES = (
    math.nan,
    -math.nan,
    struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000BAD))[0],  # a NaN that carries something
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    0.1,
)


def exact(points: Iterable[Metric]) -> list[tuple[str, int, datetime, int]]:
    """Points as what makes them: two NaN are the same if their bits are."""
    return [
        (point.key, point.step, point.at, struct.unpack("<q", struct.pack("<d", point.value))[0]) for point in points
    ]


def a_walk(count: int, *, key: str = "loss", seed: int = 1, first_step: int = 0, numbers: float = 1.0) -> list[Metric]:
    """A training's loss: a step after the other, some tenths of a second between two. numbers: the share that is not NaN."""
    chance, value, at = Random(seed), 2.5, NOON + timedelta(seconds=first_step)
    points = []
    for step in range(first_step, first_step + count):
        value += chance.gauss(-0.0005, 0.01)
        at += timedelta(milliseconds=chance.randint(80, 140))
        points.append(Metric(key=key, value=value if chance.random() < numbers else math.nan, step=step, at=at))
    return points


def check_chart(buckets: Sequence[Bucket], points: Sequence[Metric], most: int) -> None:
    """What holds of every chart of these points (in their order), wherever it cuts."""
    assert len(buckets) <= most
    assert sum(bucket.count for bucket in buckets) == len(points)
    if len(points) <= most:
        assert len(buckets) == len(points)
    start = 0
    for bucket in buckets:
        some = points[start : start + bucket.count]
        start += bucket.count
        numbers = [point.value for point in some if not math.isnan(point.value)]
        assert exact([bucket.first, bucket.last]) == exact([some[0], some[-1]])
        assert bucket.nans == len(some) - len(numbers)
        if not numbers:
            assert bucket.low is None
            assert bucket.high is None
            continue
        assert bucket.low is not None
        assert bucket.high is not None
        assert (bucket.low.value, bucket.high.value) == (min(numbers), max(numbers))
        assert set(exact([bucket.low, bucket.high])) <= set(exact(some))


class SeriesSuite:
    """Laws that every series store keeps."""

    @pytest.fixture
    def runs(self) -> RunStore:
        """The run store of an empty store."""
        raise NotImplementedError("override the fixture 'runs'")

    @pytest.fixture
    def series(self) -> SeriesStore:
        """The series of the same store."""
        raise NotImplementedError("override the fixture 'series'")

    @pytest.mark.parametrize("count", [1, 2, 300, 3000])
    def test_every_value_comes_back_bit_for_bit(self, runs: RunStore, series: SeriesStore, count: int) -> None:
        runs.create(a_run())
        points = [a_point(ODD_VALUES[n % len(ODD_VALUES)], step=n) for n in range(count)]

        runs.log_metrics(A, points)

        assert exact(series.history(A, "loss")) == exact(points)

    def test_steps_and_times_come_back_from_end_to_end(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        steps = [-INT64, INT64 - 1, -1, 0, 1, -INT64 + 1, INT64 - 2, *range(2**53, 2**62, 2**53)]
        times = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOON, NOON - timedelta(days=90000)]
        points = [Metric(key="loss", value=1.0, step=step, at=at) for step in steps for at in times]

        runs.log_metrics(A, points)

        assert exact(series.history(A, "loss")) == sorted(exact(points))

    def test_times_of_other_zones_are_the_same_moments(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        at = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-7)))

        runs.log_metrics(A, [Metric(key="loss", value=1.0, at=at)])
        runs.log_metrics(A, [Metric(key="loss", value=1.0, at=at.astimezone(UTC))])

        assert [point.at for point in series.history(A, "loss")] == [at]

    def test_points_are_ordered_by_step_then_time_then_bits(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = [a_point(v, step=s, seconds=t) for s in (3, -1, 2) for t in (5, 0) for v in (2.0, -0.0, 1.0)]

        runs.log_metrics(A, points)

        assert exact(series.history(A, "loss")) == sorted(exact(points))

    def test_keys_are_series_of_their_own(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        batch = [a_point(step / 7, key=f"k{step % 100}", step=step) for step in range(3000)]

        runs.log_metrics(A, batch)

        assert [exact(series.history(A, f"k{n}")) for n in range(100)] == [exact(batch[n::100]) for n in range(100)]

    @pytest.mark.parametrize("size", [1, 100, 1000, 4000])
    def test_a_batch_sent_again_changes_nothing(self, runs: RunStore, series: SeriesStore, size: int) -> None:
        runs.create(a_run())
        points = a_walk(4000)
        batches = [points[start : start + size] for start in range(0, 40 if size == 1 else 4000, size)]

        for batch in batches:
            runs.log_metrics(A, batch)
            runs.log_metrics(A, batch)
        runs.log_metrics(A, batches[0])
        runs.log_metrics(A, [*batches[-1], *batches[0]])

        assert exact(series.history(A, "loss")) == exact(point for batch in batches for point in batch)
        assert series.heads(A)[0].count == sum(map(len, batches))

    def test_a_point_within_one_batch_twice_is_one_point(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(600)

        runs.log_metrics(A, [*points, *reversed(points)])

        assert exact(series.history(A, "loss")) == exact(points)

    def test_a_point_that_differs_in_one_thing_is_another_point(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(2000)
        point = points[1000]
        others = [
            replace(point, value=math.nextafter(point.value, 9.0)),
            replace(point, at=point.at + timedelta(microseconds=1)),
            replace(point, step=point.step + 1),
        ]

        runs.log_metrics(A, points)
        runs.log_metrics(A, [point, *others])
        runs.log_metrics(A, [point, *others])

        assert exact(series.history(A, "loss")) == sorted(exact([*points, *others]))
        assert series.heads(A)[0].count == 2003

    def test_points_that_come_late_take_their_place(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(5000)
        shuffled = points[:]
        Random(3).shuffle(shuffled)

        for start in range(0, 5000, 500):
            runs.log_metrics(A, shuffled[start : start + 500])
        for point in shuffled[:20]:
            runs.log_metrics(A, [point])

        assert exact(series.history(A, "loss")) == exact(points)
        assert exact([series.heads(A)[0].last]) == exact(points[-1:])
        check_chart(series.chart(A, "loss", buckets=70), points, 70)

    def test_a_run_that_goes_back_to_a_checkpoint_keeps_both_ways(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        first, again = a_walk(3000), [replace(p, at=p.at + timedelta(days=1)) for p in a_walk(2500, first_step=1500)]

        for batch in (first[:1000], first[1000:2000], first[2000:], again[:1000], again[1000:2000], again[2000:]):
            runs.log_metrics(A, batch)

        both = sorted([*first, *again], key=lambda point: (point.step, point.at))
        assert exact(series.history(A, "loss")) == exact(both)
        check_chart(series.chart(A, "loss", buckets=50), both, 50)

    def test_a_series_without_steps_is_ordered_by_time(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = [replace(point, step=0) for point in a_walk(3000)]

        for start in range(0, 3000, 300):
            runs.log_metrics(A, points[start : start + 300])
            runs.log_metrics(A, points[start : start + 300])

        assert exact(series.history(A, "loss")) == exact(points)

    def test_a_run_that_ended_has_the_same_points_and_takes_late_ones(
        self, runs: RunStore, series: SeriesStore
    ) -> None:
        runs.create(a_run())
        points = a_walk(150)
        late = [a_point(1.0, step=7, seconds=900), a_point(2.0, step=999)]
        runs.log_metrics(A, [*points, a_point(1.0, key="once")])

        runs.finish(A, status="finished", at=NOON)
        runs.log_metrics(A, [*points[50:], *late])

        assert exact(series.history(A, "loss")) == sorted(exact([*points, *late]))
        assert [(head.key, head.count) for head in series.heads(A)] == [("loss", 152), ("once", 1)]
        check_chart(series.chart(A, "loss", buckets=9), series.history(A, "loss"), 9)

    def test_history_is_read_page_by_page(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(3500)
        runs.log_metrics(A, points[:3000])
        runs.log_metrics(A, points[3000:3100])
        runs.log_metrics(A, points[3100:])

        for offset, limit in ((0, 10), (0, 3500), (1020, 10), (2990, 20), (3095, 400), (3499, 5), (3500, 5), (9999, 1)):
            assert series.history(A, "loss", limit=limit, offset=offset) == points[offset : offset + limit]
        assert series.history(A, "loss", limit=0) == []
        assert series.history(A, "loss", offset=3400) == points[3400:]

    def test_pages_of_a_series_with_late_points_fit_together(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(3000)
        runs.log_metrics(A, points[100:2000] + points[2100:])
        runs.log_metrics(A, points[2000:2100])
        runs.log_metrics(A, points[:100])

        pages = [series.history(A, "loss", limit=77, offset=offset) for offset in range(0, 3000, 77)]

        assert [point for page in pages for point in page] == points

    def test_a_chart_of_few_points_is_the_points(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = [*a_walk(3), a_point(math.nan, step=9), a_point(math.inf, step=10)]
        runs.log_metrics(A, points)

        buckets = series.chart(A, "loss", buckets=5)

        check_chart(buckets, points, 5)
        assert [bucket.count for bucket in buckets] == [1] * 5

    @pytest.mark.parametrize("count", [50, 700, 6000])
    @pytest.mark.parametrize("most", [1, 4, 90, 1000])
    def test_a_chart_covers_every_point_and_keeps_every_peak(
        self, runs: RunStore, series: SeriesStore, count: int, most: int
    ) -> None:
        runs.create(a_run())
        points = a_walk(count, numbers=0.9)
        points[count // 3] = replace(points[count // 3], value=99.0)
        points[count // 2] = replace(points[count // 2], value=-math.inf)
        for start in range(0, count, 400):
            runs.log_metrics(A, points[start : start + 400])

        buckets = series.chart(A, "loss", buckets=most)

        check_chart(buckets, points, most)
        assert max(bucket.high.value for bucket in buckets if bucket.high) == 99.0
        assert min(bucket.low.value for bucket in buckets if bucket.low) == -math.inf

    def test_a_chart_of_a_long_series_keeps_the_one_peak(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(20_000, numbers=0.5)
        points[12_345] = replace(points[12_345], value=99.0)
        for start in range(0, 20_000, 1000):
            runs.log_metrics(A, points[start : start + 1000])

        for most in (1, 2, 500):
            buckets = series.chart(A, "loss", buckets=most)
            check_chart(buckets, points, most)
            assert [bucket.high for bucket in buckets if bucket.high and bucket.high.value > 50] == [points[12_345]]

    def test_a_chart_of_nothing_but_nan_has_no_extremes(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(2500, numbers=0.0)
        runs.log_metrics(A, points)

        for most in (1, 2, 10, 100, 2500):
            check_chart(series.chart(A, "loss", buckets=most), points, most)

    @pytest.mark.parametrize(
        "window", [(None, 1500), (1500, None), (1000, 1003), (7, 2980), (2000, 1000), (9999, None)]
    )
    def test_a_chart_of_some_steps_has_only_these(
        self, runs: RunStore, series: SeriesStore, window: tuple[int | None, int | None]
    ) -> None:
        runs.create(a_run())
        points = a_walk(3000)
        runs.log_metrics(A, points[:2900])
        runs.log_metrics(A, points[2900:])
        first, last = window
        inside = [p for p in points if (first is None or p.step >= first) and (last is None or p.step <= last)]

        for most in (1, 2, 30, 800):
            check_chart(series.chart(A, "loss", buckets=most, first_step=first, last_step=last), inside, most)

    def test_steps_beyond_all_bounds_bound_a_chart_too(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(10)
        runs.log_metrics(A, points)

        assert len(series.chart(A, "loss", first_step=-(2**80), last_step=2**80)) == 10
        assert series.chart(A, "loss", first_step=2**80) == []
        assert series.chart(A, "loss", last_step=-(2**80)) == []

    def test_a_chart_without_buckets_is_refused(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())

        with pytest.raises(InputInvalid, match="buckets"):
            series.chart(A, "loss", buckets=0)

    def test_heads_name_every_series_by_key_with_its_count_and_last_point(
        self, runs: RunStore, series: SeriesStore
    ) -> None:
        runs.create(replace(a_run(), metrics={"start": 1.0}))
        loss = a_walk(1500)
        keys = ["z", "a", "B", "ä", "a/b", "_"]

        runs.log_metrics(A, loss)
        runs.log_metrics(A, [a_point(math.nan, key=key, step=3) for key in keys])

        heads = series.heads(A)
        assert [head.key for head in heads] == sorted(["start", "loss", *keys])
        assert {head.key: head.count for head in heads} == {"start": 1, "loss": 1500} | dict.fromkeys(keys, 1)
        assert {head.key: exact([head.last]) for head in heads}["loss"] == exact(loss[-1:])

    def test_the_last_point_is_that_of_the_largest_step_time_and_bits(
        self, runs: RunStore, series: SeriesStore
    ) -> None:
        runs.create(a_run())
        best = a_point(0.5, step=7, seconds=9)

        for point in (a_point(9.0, step=7, seconds=8), best, a_point(9.0, step=6, seconds=99), a_point(0.1, step=7)):
            runs.log_metrics(A, [point])

        assert series.heads(A)[0].last == best
        assert series.latest([A], "loss") == {A: best}

    def test_latest_gives_one_series_of_many_runs(self, runs: RunStore, series: SeriesStore) -> None:
        names = [RunId(f"r{n}") for n in range(30)]
        for n, name in enumerate(names):
            runs.create(a_run(name))
            if n % 3:
                runs.log_metrics(name, [a_point(n / 7, step=n), a_point(0.0, key="other", step=99)])

        found = series.latest([*names, RunId("nobody")], "loss")

        assert found == {name: a_point(n / 7, step=n) for n, name in enumerate(names) if n % 3}
        assert series.latest([], "loss") == {}

    def test_an_unknown_run_is_not_found(self, series: SeriesStore) -> None:
        missing = RunId("nobody")

        for call in (
            lambda: series.history(missing, "loss"),
            lambda: series.chart(missing, "loss"),
            lambda: series.heads(missing),
        ):
            with pytest.raises(NotFound, match="'nobody'"):
                call()

    def test_a_series_that_was_never_written_is_empty(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())

        assert series.history(A, "unheard of") == []
        assert series.chart(A, "unheard of") == []
        assert series.heads(A) == []

    def test_purged_runs_leave_no_points_behind(self, runs: RunStore, series: SeriesStore) -> None:
        for name in ("a", "b"):
            runs.create(a_run(name))
            runs.log_metrics(RunId(name), a_walk(1200))
        runs.trash([A], at=NOON)

        assert runs.purge([A]) == 1

        assert len(series.history(RunId("b"), "loss")) == 1200
        assert list(series.latest([A, RunId("b")], "loss")) == ["b"]
        runs.create(a_run())
        assert series.heads(A) == []

    def test_one_bad_point_keeps_the_whole_batch_out(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        runs.log_metrics(A, a_walk(10))

        for bad in (a_point(1.0, step=INT64), Metric(key="loss", value=1.0, at=datetime(2013, 3, 1))):
            with pytest.raises(InputInvalid, match="loss"):
                runs.log_metrics(A, [*a_walk(2000), a_point(1.0, key="new"), bad])

        assert [(head.key, head.count) for head in series.heads(A)] == [("loss", 10)]

    def test_threads_that_write_one_series_lose_and_double_nothing(self, runs: RunStore, series: SeriesStore) -> None:
        runs.create(a_run())
        points = a_walk(4000)

        def write(thread: int) -> None:
            mine = points[thread::4]
            for start in range(0, 1000, 100):
                runs.log_metrics(A, mine[start : start + 100])
                runs.log_metrics(A, points[start : start + 50])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))

        assert exact(series.history(A, "loss")) == exact(points)
        assert series.heads(A)[0].count == 4000
