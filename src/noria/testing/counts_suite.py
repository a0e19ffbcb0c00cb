"""The law of the CountStore port as tests. Subclass CountsSuite and override the fixture `counts` with an empty one. Called by tests/conformance."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest
from noria.domain.profile import Moments, WindowCounts
from noria.domain.sketch import WindowSketches
from noria.errors import InputInvalid
from noria.ports.counts import CountStore

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def a_window(hour: int, *, number: int = 1, deployment: str = "late", rows: int = 3) -> WindowCounts:
    """The counts of one hour."""
    return WindowCounts(
        deployment=deployment,
        number=number,
        profile=Digest("blake3:p"),
        since=NOON + timedelta(hours=hour),
        until=NOON + timedelta(hours=hour + 1),
        rows=rows,
        counts={"distance": (rows, 0, 0), "carrier": (0, rows)},
    )


def a_sketch(hour: int, *, step: int = 3600, deployment: str = "late") -> WindowSketches:
    """The sketches of one hour."""
    return WindowSketches(
        deployment=deployment,
        number=1,
        since=NOON + timedelta(hours=hour),
        until=NOON + timedelta(hours=hour + 1),
        step=step,
        rows=3,
        sketches={"distance": b"\x00\xff"},
    )


class CountsSuite:
    """Laws that every count store keeps."""

    @pytest.fixture
    def counts(self) -> CountStore:
        """An empty count store."""
        raise NotImplementedError("override the fixture 'counts'")

    def test_windows_come_back_in_the_order_of_time(self, counts: CountStore) -> None:
        counts.put([a_window(2), a_window(0)])
        counts.put([a_window(1)])

        assert counts.windows("late", 1) == [a_window(0), a_window(1), a_window(2)]

    def test_windows_are_chosen_by_their_beginning(self, counts: CountStore) -> None:
        counts.put([a_window(hour) for hour in range(5)])

        chosen = counts.windows("late", 1, since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3))

        assert chosen == [a_window(1), a_window(2)]
        assert counts.windows("late", 1, since=NOON + timedelta(hours=4)) == [a_window(4)]

    def test_writing_a_window_again_replaces_it(self, counts: CountStore) -> None:
        counts.put([a_window(0), a_window(1)])

        counts.put([a_window(0, rows=5)])
        counts.put([a_window(0, rows=5)])

        assert counts.windows("late", 1) == [a_window(0, rows=5), a_window(1)]

    def test_versions_and_deployments_are_kept_apart(self, counts: CountStore) -> None:
        counts.put([a_window(0), a_window(0, number=2, rows=9), a_window(0, deployment="early")])

        assert counts.windows("late", 2) == [a_window(0, number=2, rows=9)]
        assert counts.windows("late", 3) == []
        assert counts.windows("early", 1) == [a_window(0, deployment="early")]

    def test_a_window_that_does_not_end_after_its_beginning_keeps_all_out(self, counts: CountStore) -> None:
        with pytest.raises(InputInvalid, match="late"):
            counts.put([a_window(0), replace(a_window(1), until=NOON)])

        assert counts.windows("late", 1) == []

    def test_the_latest_is_where_the_newest_window_of_any_version_ends(self, counts: CountStore) -> None:
        assert counts.latest("late") is None

        counts.put([a_window(1, number=2), a_window(3), a_window(2), a_window(9, deployment="early")])

        assert counts.latest("late") == NOON + timedelta(hours=4)

    def test_no_windows_are_no_error(self, counts: CountStore) -> None:
        counts.put([])

        assert counts.windows("late", 1) == []

    def test_tiers_of_other_lengths_lie_side_by_side(self, counts: CountStore) -> None:
        hour, day = replace(a_window(0), step=3600), replace(a_window(0, rows=9), step=86400)
        counts.put([day, hour, a_window(1)])

        assert counts.windows("late", 1) == [hour, day, a_window(1)]
        assert counts.windows("late", 1, step=3600) == [hour]
        assert counts.windows("late", 1, step=60) == []
        with pytest.raises(InputInvalid, match="tier"):
            counts.put([replace(hour, step=-1)])

    def test_a_window_keeps_all_that_was_noted_of_it(self, counts: CountStore) -> None:
        full = replace(
            a_window(0),
            step=60,
            moments={"distance": Moments(2, -1.5, 1e300, -0.25, 3.0, 1)},
            duplicates=1,
            mistyped={"carrier": 1},
            absent=("speed",),
            surplus=("colour",),
        )
        counts.put([full])

        assert counts.windows("late", 1) == [full]

    def test_sketches_are_kept_by_window_and_tier(self, counts: CountStore) -> None:
        counts.put_sketches([a_sketch(2), a_sketch(0), a_sketch(0, step=86400), a_sketch(0, deployment="early")])
        counts.put_sketches([replace(a_sketch(2), rows=4)])

        assert counts.sketches("late", 1, step=3600) == [a_sketch(0), replace(a_sketch(2), rows=4)]
        assert counts.sketches("late", 1, until=NOON + timedelta(hours=1)) == [a_sketch(0), a_sketch(0, step=86400)]
        assert counts.sketches("late", 2) == []
        assert counts.windows("late", 1) == []

    def test_forgetting_takes_old_windows_of_one_tier(self, counts: CountStore) -> None:
        minutes = [replace(a_window(hour), step=60) for hour in range(3)]
        counts.put([*minutes, replace(a_window(0), step=3600), replace(a_window(0, deployment="early"), step=60)])
        counts.put_sketches([a_sketch(0, step=60), a_sketch(0)])

        assert counts.forget("late", step=60, before=NOON + timedelta(hours=2)) == 3

        assert counts.windows("late", 1) == [replace(a_window(0), step=3600), minutes[2]]
        assert counts.sketches("late", 1) == [a_sketch(0)]
        assert len(counts.windows("early", 1)) == 1

    def test_parts_of_the_log_are_marked_and_forgotten(self, counts: CountStore) -> None:
        assert counts.counted("late") == {}

        counts.mark_counted("late", parts={"a": 3, "b": 4})
        counts.mark_counted("late", parts={"b": 9}, gone=["a", "never"])
        counts.mark_counted("early", parts={"a": 1})

        assert counts.counted("late") == {"b": 9}
        with pytest.raises(InputInvalid, match="rows"):
            counts.mark_counted("late", parts={"c": -1})
