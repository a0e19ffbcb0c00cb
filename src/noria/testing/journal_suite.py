"""The law of the StepJournal port as tests. Subclass JournalSuite and override the fixture `journal` with an empty one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from noria.domain.ids import Digest
from noria.domain.pipeline import JournalEntry, StepTask
from noria.errors import AlreadyExists, Conflict, LeaseLost
from noria.ports.journal import StepJournal

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
OUTPUT = Digest("blake3:output")


def a_task(key: str = "k", *, step: str = "train") -> StepTask:
    """A step ready to run."""
    return StepTask(step=step, cache_key=Digest(key), key_parts={"code": f"code of {key}"})


def after(seconds: float) -> datetime:
    """That many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


class JournalSuite:
    """Laws that every journal keeps."""

    @pytest.fixture
    def journal(self) -> StepJournal:
        """An empty journal."""
        raise NotImplementedError("override the fixture 'journal'")

    def test_a_lease_says_who_holds_the_step_until_when(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30, run_id="r")

        assert (entry.state, entry.holder, entry.leased_until, entry.run_id) == ("leased", "a", after(30), "r")
        assert entry.key_parts == {"code": "code of k"}
        assert journal.find([entry.cache_key]) == {}
        assert journal.last_done("train") is None

    def test_outputs_are_those_of_done_steps(self, journal: StepJournal) -> None:
        journal.lease(a_task("under way"), holder="a", now=NOON, seconds=30)
        done = journal.lease(a_task("done"), holder="a", now=NOON, seconds=30)
        journal.commit(done, output=OUTPUT, seconds=1.0)

        assert list(journal.outputs()) == [OUTPUT]

    def test_a_running_lease_keeps_others_out(self, journal: StepJournal) -> None:
        journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        with pytest.raises(Conflict, match="'a'"):
            journal.lease(a_task(), holder="b", now=after(29), seconds=30)

    def test_an_expired_lease_is_taken_over_with_a_higher_token(self, journal: StepJournal) -> None:
        first = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        second = journal.lease(a_task(), holder="b", now=after(30), seconds=30)

        assert second.token > first.token
        assert second.holder == "b"

    def test_a_holder_that_asks_again_fences_off_its_earlier_self(self, journal: StepJournal) -> None:
        first = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        second = journal.lease(a_task(), holder="a", now=after(1), seconds=30)

        assert second.token > first.token
        with pytest.raises(LeaseLost):
            journal.commit(first, output=OUTPUT, seconds=1)

    def test_a_heartbeat_extends_the_lease(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        extended = journal.heartbeat(entry, now=after(20), seconds=30)

        assert extended.leased_until == after(50)
        assert extended.token == entry.token
        with pytest.raises(Conflict):
            journal.lease(a_task(), holder="b", now=after(49), seconds=30)

    def test_a_silent_holder_that_nobody_replaced_may_go_on(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        assert journal.heartbeat(entry, now=after(100), seconds=30).leased_until == after(130)
        assert journal.commit(entry, output=OUTPUT, seconds=101).state == "done"

    def test_who_was_taken_over_can_neither_extend_nor_commit(self, journal: StepJournal) -> None:
        lost = journal.lease(a_task(), holder="a", now=NOON, seconds=30)
        journal.lease(a_task(), holder="b", now=after(31), seconds=30)

        with pytest.raises(LeaseLost, match="train"):
            journal.heartbeat(lost, now=after(32), seconds=30)
        with pytest.raises(LeaseLost, match="'b'"):
            journal.commit(lost, output=OUTPUT, seconds=1)

        assert journal.find([lost.cache_key]) == {}

    def test_a_committed_step_is_found_with_its_output(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        done = journal.commit(entry, output=OUTPUT, seconds=1.5)

        assert (done.state, done.output, done.seconds) == ("done", OUTPUT, 1.5)
        assert journal.find([Digest("other"), entry.cache_key]) == {entry.cache_key: done}
        assert journal.last_done("train") == done

    def test_asking_for_a_done_step_gives_its_result(self, journal: StepJournal) -> None:
        done = journal.commit(journal.lease(a_task(), holder="a", now=NOON, seconds=30), output=OUTPUT, seconds=1)

        assert journal.lease(a_task(), holder="b", now=after(1), seconds=30) == done

    def test_the_same_commit_again_changes_nothing(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30)
        done = journal.commit(entry, output=OUTPUT, seconds=1)

        assert journal.commit(entry, output=OUTPUT, seconds=2) == done
        assert journal.heartbeat(entry, now=after(1), seconds=30) == done
        with pytest.raises(AlreadyExists):
            journal.commit(entry, output=Digest("blake3:other"), seconds=1)

    def test_what_was_never_leased_cannot_be_committed(self, journal: StepJournal) -> None:
        entry = JournalEntry(
            cache_key=Digest("k"), step="train", state="leased", token=1, holder="a", leased_until=NOON
        )

        with pytest.raises(LeaseLost):
            journal.commit(entry, output=OUTPUT, seconds=1)
        journal.release(entry)

        assert journal.lease(a_task(), holder="b", now=NOON, seconds=1).holder == "b"

    def test_a_released_step_is_free_at_once_and_nothing_is_done(self, journal: StepJournal) -> None:
        entry = journal.lease(a_task(), holder="a", now=NOON, seconds=30)

        journal.release(entry)
        journal.release(entry)

        assert journal.find([entry.cache_key]) == {}
        taken = journal.lease(a_task(), holder="b", now=after(1), seconds=30)
        assert taken.token > entry.token
        with pytest.raises(LeaseLost):
            journal.commit(entry, output=OUTPUT, seconds=1)

    def test_releasing_what_somebody_else_holds_or_has_done_changes_nothing(self, journal: StepJournal) -> None:
        lost = journal.lease(a_task(), holder="a", now=NOON, seconds=30)
        held = journal.lease(a_task(), holder="b", now=after(31), seconds=30)

        journal.release(lost)
        done = journal.commit(held, output=OUTPUT, seconds=1)
        journal.release(held)

        assert journal.find([held.cache_key]) == {held.cache_key: done}

    def test_the_newest_done_step_of_a_name_is_remembered(self, journal: StepJournal) -> None:
        leases = [journal.lease(a_task(key), holder="a", now=NOON, seconds=30) for key in ("k1", "k3", "k2")]
        *_, done = [journal.commit(entry, output=Digest(f"blake3:{entry.cache_key}"), seconds=1) for entry in leases]
        other = journal.lease(a_task("k4", step="split"), holder="a", now=NOON, seconds=30)
        journal.commit(other, output=OUTPUT, seconds=1)
        journal.lease(a_task("k5"), holder="a", now=NOON, seconds=30)

        newest = journal.last_done("train")

        assert newest == done
        assert done.key_parts == {"code": "code of k2"}
        assert journal.last_done("unheard of") is None

    def test_a_thousand_keys_are_looked_up_at_once(self, journal: StepJournal) -> None:
        done = journal.commit(journal.lease(a_task("k500"), holder="a", now=NOON, seconds=9), output=OUTPUT, seconds=1)

        assert journal.find([Digest(f"k{number}") for number in range(1000)]) == {done.cache_key: done}
        assert journal.find([]) == {}

    def test_of_threads_that_ask_for_one_step_one_holds_it(self, journal: StepJournal) -> None:
        def lease(thread: int) -> bool:
            try:
                journal.lease(a_task(), holder=f"worker {thread}", now=NOON, seconds=30)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lease, range(8))) == 1
