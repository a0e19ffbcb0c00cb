"""The law of the Ledger port as tests. Subclass LedgerSuite and override the fixture `ledger` with an empty one. Called by tests/conformance."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from noria.domain.events import AliasMoved, ProjectCreated, RetrainRequested
from noria.domain.ids import EventId
from noria.domain.ledger import Cursor, Draft, Entry, Head
from noria.errors import AlreadyExists, InputInvalid, NotFound
from noria.ports.ledger import Ledger
from noria.wire import chain

PROJECT = "suite"
"""The project that the fixture must be opened with."""
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def a_draft(name: str, *, at: datetime = NOON, cause: str | None = None) -> Draft:
    """A draft whose id and content follow from its name."""
    return Draft(
        id=EventId(name),
        at=at,
        actor="suite",
        event=ProjectCreated(project=name, noria_version="1"),
        cause=EventId(cause) if cause else None,
    )


def a_move(name: str, *, number: int = 1) -> Draft:
    """A draft of another kind."""
    event = AliasMoved(model="m", alias="champion", number=number, previous=None, reason="ü – 'why'")
    return Draft(id=EventId(name), at=NOON, actor="suite", event=event)


def names(entries: list[Entry]) -> list[str]:
    """The ids of entries."""
    return [entry.id for entry in entries]


class LedgerSuite:
    """Laws that every ledger keeps."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """An empty ledger of project 'suite'."""
        raise NotImplementedError("override the fixture 'ledger'")

    def test_an_empty_ledger_begins_at_its_projects_genesis(self, ledger: Ledger) -> None:
        assert ledger.head() == chain.genesis(PROJECT)
        assert ledger.read() == []
        assert ledger.latest() == []
        assert list(ledger.stored()) == []

    def test_what_is_appended_is_read_as_it_was_answered(self, ledger: Ledger) -> None:
        answer = ledger.append([a_draft("a"), a_draft("b", cause="a")])

        assert ledger.read() == answer
        assert [entry.seq for entry in answer] == [1, 2]
        assert answer[1].cause == "a"
        assert answer[1].previous == answer[0].hash
        assert {entry.project for entry in answer} == {PROJECT}

    def test_the_head_is_the_newest_row(self, ledger: Ledger) -> None:
        newest = ledger.append([a_draft("a"), a_draft("b")])[-1]

        assert ledger.head() == Head(seq=newest.seq, hash=newest.hash)

    def test_times_come_back_exact_and_in_utc(self, ledger: Ledger) -> None:
        at = datetime(2013, 3, 1, 1, 2, 3, 4567, tzinfo=timezone(timedelta(hours=5, minutes=30)))

        entry = ledger.append([a_draft("a", at=at)])[0]

        assert ledger.get(entry.id).at == at == entry.at
        assert entry.at.utcoffset() == timedelta()
        assert entry.recorded_at.utcoffset() == timedelta()

    def test_a_repeated_draft_is_written_once_and_answered_with_its_first_entry(self, ledger: Ledger) -> None:
        first = ledger.append([a_draft("a"), a_draft("b")])

        again = ledger.append([a_draft("b", at=NOON + timedelta(days=1)), a_draft("c"), a_draft("a")])

        assert again[0] == first[1]
        assert again[2] == first[0]
        assert names(ledger.read()) == ["a", "b", "c"]

    def test_a_draft_repeated_within_one_append_is_written_once(self, ledger: Ledger) -> None:
        answer = ledger.append([a_draft("a"), a_draft("a")])

        assert answer[0] == answer[1]
        assert ledger.head().seq == 1

    def test_an_id_with_another_event_is_refused_and_nothing_of_the_append_is_kept(self, ledger: Ledger) -> None:
        ledger.append([a_draft("a")])

        with pytest.raises(AlreadyExists, match="'a'"):
            ledger.append([a_draft("b"), a_move("a")], advance=Cursor(name="reader", seq=1))

        assert names(ledger.read()) == ["a"]
        assert ledger.cursor("reader").seq == 0

    def test_what_canonical_json_cannot_say_is_refused_by_name(self, ledger: Ledger) -> None:
        event = RetrainRequested(
            deployment="d",
            model="m",
            reason="r",
            trigger="hand",
            data_until=NOON,
            evidence={"psi": float("nan")},
        )

        with pytest.raises(InputInvalid, match=r"evidence.*psi"):
            ledger.append([Draft(id=EventId("a"), at=NOON, actor="suite", event=event)])

        assert ledger.head().seq == 0

    def test_a_time_without_zone_is_refused(self, ledger: Ledger) -> None:
        with pytest.raises(InputInvalid, match="zone"):
            ledger.append([a_draft("a", at=datetime(2013, 3, 1))])

    def test_nothing_appended_changes_nothing(self, ledger: Ledger) -> None:
        assert ledger.append([]) == []
        assert ledger.head().seq == 0

    def test_a_cursor_that_never_read_stands_at_0(self, ledger: Ledger) -> None:
        assert ledger.cursor("reader") == Cursor(name="reader", seq=0)

    def test_a_cursor_moves_with_the_append_and_alone(self, ledger: Ledger) -> None:
        ledger.append([a_draft("a")])
        ledger.append([a_draft("b")], advance=Cursor(name="reader", seq=1))
        assert ledger.cursor("reader").seq == 1

        ledger.append([], advance=Cursor(name="reader", seq=2))

        assert ledger.cursor("reader").seq == 2
        assert ledger.cursor("other").seq == 0

    def test_a_cursor_never_moves_back(self, ledger: Ledger) -> None:
        ledger.append([a_draft("a"), a_draft("b")], advance=Cursor(name="reader", seq=2))

        ledger.append([a_draft("c")], advance=Cursor(name="reader", seq=1))

        assert ledger.cursor("reader").seq == 2
        assert ledger.head().seq == 3

    def test_a_cursor_beyond_the_head_is_refused_and_nothing_is_written(self, ledger: Ledger) -> None:
        with pytest.raises(InputInvalid, match="reader"):
            ledger.append([a_draft("a")], advance=Cursor(name="reader", seq=2))

        assert ledger.head().seq == 0

    def test_reading_goes_on_after_a_row_up_to_a_limit(self, ledger: Ledger) -> None:
        ledger.append([a_draft(name) for name in "abcde"])

        assert names(ledger.read(after=1, limit=2)) == ["b", "c"]
        assert names(ledger.read(after=4)) == ["e"]
        assert ledger.read(after=5) == []
        assert ledger.read(limit=0) == []

    def test_reading_can_keep_to_some_kinds(self, ledger: Ledger) -> None:
        ledger.append([a_draft("a"), a_move("b"), a_draft("c"), a_move("d")])

        assert names(ledger.read(kinds={"AliasMoved"})) == ["b", "d"]
        assert names(ledger.read(kinds=["AliasMoved", "ProjectCreated"], after=1, limit=2)) == ["b", "c"]
        assert ledger.read(kinds=[]) == []

    def test_the_latest_come_newest_first(self, ledger: Ledger) -> None:
        ledger.append([a_draft("a"), a_move("b"), a_draft("c"), a_move("d")])

        assert names(ledger.latest(limit=2)) == ["d", "c"]
        assert names(ledger.latest(kinds=("ProjectCreated",), limit=1)) == ["c"]

    def test_one_entry_is_found_by_its_id(self, ledger: Ledger) -> None:
        entry = ledger.append([a_draft("a"), a_move("b", number=7)])[1]

        assert ledger.get(EventId("b")) == entry

    def test_an_unknown_id_is_not_found(self, ledger: Ledger) -> None:
        with pytest.raises(NotFound, match="'nobody'"):
            ledger.get(EventId("nobody"))

    def test_stored_rows_say_what_entries_say_and_verify(self, ledger: Ledger) -> None:
        entries = ledger.append([a_draft("a"), a_move("b"), a_draft("c")])

        rows = list(ledger.stored())

        assert [chain.read(row) for row in rows] == entries
        assert chain.verify(rows, project=PROJECT, head=ledger.head()) == []

    def test_many_rows_are_stored_in_order(self, ledger: Ledger) -> None:
        ledger.append([a_draft(str(number)) for number in range(2500)])

        assert [row.seq for row in ledger.stored()] == list(range(1, 2501))

    def test_many_threads_append_to_one_chain(self, ledger: Ledger) -> None:
        def append(thread: int) -> list[Entry]:
            return [ledger.append([a_draft(f"{thread}-{number}")])[0] for number in range(20)]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(append, range(8)))

        assert chain.verify(ledger.stored(), project=PROJECT, head=ledger.head()) == []
        assert ledger.head().seq == 160
        for answer in answers:
            assert [entry.seq for entry in answer] == sorted(entry.seq for entry in answer)
            assert [ledger.get(entry.id) for entry in answer] == answer

    def test_one_failing_append_does_not_fail_its_neighbours(self, ledger: Ledger) -> None:
        ledger.append([a_move("taken")])

        def append(number: int) -> bool:
            try:
                ledger.append([a_draft("taken" if number % 3 == 0 else str(number))])
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(12) as pool:
            kept = list(pool.map(append, range(60)))

        assert kept == [number % 3 != 0 for number in range(60)]
        assert ledger.head().seq == 1 + sum(kept)
        assert chain.verify(ledger.stored(), project=PROJECT, head=ledger.head()) == []

    def test_threads_that_repeat_one_event_write_it_once(self, ledger: Ledger) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ledger.append([a_draft("once")])[0], range(24)))

        assert len({answer.hash for answer in answers}) == 1
        assert ledger.head().seq == 1

    def test_a_reader_sees_every_append_that_was_answered_before(self, ledger: Ledger) -> None:
        def append_and_look(number: int) -> bool:
            entry = ledger.append([a_draft(str(number))])[0]
            return ledger.read(after=entry.seq - 1, limit=1) == [entry] and ledger.head().seq >= entry.seq

        with ThreadPoolExecutor(6) as pool:
            assert all(pool.map(append_and_look, range(60)))
