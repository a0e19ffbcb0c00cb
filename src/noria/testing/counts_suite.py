"""The law of the CountStore port as tests. Subclass CountsSuite and override the fixture `counts` with an empty one. Called by tests/conformance."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.ids import Digest
from noria.domain.profile import WindowCounts
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
