"""The law of the LeaseStore port as tests. Subclass LeasesSuite and override the fixture `leases` with an empty store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from noria.domain.lease import Lease
from noria.errors import Conflict, InputInvalid, LeaseLost
from noria.ports.leases import LeaseStore


class LeasesSuite:
    """Laws that every store of leases keeps."""

    @pytest.fixture
    def leases(self) -> LeaseStore:
        """An empty store."""
        raise NotImplementedError("override the fixture 'leases'")

    def test_a_lease_that_nobody_has_is_taken_and_found(self, leases: LeaseStore) -> None:
        assert leases.find("loop") is None

        taken = leases.acquire("loop", holder="a", seconds=2.5)

        assert taken == Lease(name="loop", holder="a", token=1, beats=0, seconds=2.5)
        assert leases.find("loop") == taken
        assert leases.find("another") is None

    def test_who_holds_it_keeps_others_and_itself_out(self, leases: LeaseStore) -> None:
        taken = leases.acquire("loop", holder="a", seconds=9)

        for holder in ("a", "b"):
            with pytest.raises(Conflict, match="'a'"):
                leases.acquire("loop", holder=holder, seconds=9)
        assert leases.acquire("another", holder="b", seconds=9).token == 1
        assert leases.find("loop") == taken

    def test_one_that_stood_still_is_taken_over_and_its_holder_is_fenced_off(self, leases: LeaseStore) -> None:
        old = leases.renew(leases.acquire("loop", holder="a", seconds=9))
        seen = leases.find("loop")

        new = leases.acquire("loop", holder="b", seconds=5, seen=seen)

        assert (new.holder, new.token, new.beats, new.seconds) == ("b", old.token + 1, 0, 5)
        with pytest.raises(LeaseLost, match="'b'") as caught:
            leases.renew(old)
        assert caught.value.retryable
        leases.release(old)
        assert leases.find("loop") == new

    def test_one_that_gave_a_sign_of_life_since_it_was_seen_is_not_taken_over(self, leases: LeaseStore) -> None:
        first = leases.acquire("loop", holder="a", seconds=9)
        seen = leases.find("loop")
        second = leases.renew(first)

        with pytest.raises(Conflict):
            leases.acquire("loop", holder="b", seconds=9, seen=seen)

        assert second.beats == first.beats + 1
        assert leases.renew(first).beats == 2, "an answer that was lost does not cost the lease"

    def test_one_given_back_is_free_at_once_under_a_higher_token(self, leases: LeaseStore) -> None:
        old = leases.acquire("loop", holder="a", seconds=9)

        leases.release(old)
        leases.release(old)

        free = leases.find("loop")
        assert free is not None
        assert free.is_free
        with pytest.raises(LeaseLost, match="no longer"):
            leases.renew(old)
        assert leases.acquire("loop", holder="a", seconds=9).token == old.token + 1

    def test_a_lease_that_was_never_given_cannot_be_renewed(self, leases: LeaseStore) -> None:
        made_up = Lease(name="loop", holder="a", token=1)

        with pytest.raises(LeaseLost):
            leases.renew(made_up)
        leases.release(made_up)
        assert leases.find("loop") is None

        leases.acquire("loop", holder="b", seconds=9)
        with pytest.raises(LeaseLost):
            leases.renew(made_up)

    def test_nobody_without_a_name_and_no_lease_without_time(self, leases: LeaseStore) -> None:
        for name, holder, seconds in (
            ("", "a", 1.0),
            ("loop", "", 1.0),
            ("loop", "a", 0.0),
            ("loop", "a", float("nan")),
        ):
            with pytest.raises(InputInvalid):
                leases.acquire(name, holder=holder, seconds=seconds)

    def test_of_threads_that_take_one_lease_one_has_it(self, leases: LeaseStore) -> None:
        seen = leases.acquire("loop", holder="gone", seconds=9)

        def take(thread: int) -> bool:
            try:
                leases.acquire("loop", holder=f"plane {thread}", seconds=9, seen=replace(seen))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1
        found = leases.find("loop")
        assert found is not None
        assert found.token == seen.token + 1
