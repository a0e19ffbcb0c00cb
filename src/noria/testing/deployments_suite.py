"""The law of the DeploymentStore port as tests. Subclass DeploymentsSuite and override the fixture `deployments` with an empty one."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from noria.domain.deployment import CanaryPlan, Deployment, Rollout, Variant, Verdict
from noria.domain.ids import Digest, EventId, RolloutId
from noria.domain.interval import Interval
from noria.errors import NotFound, StaleWrite
from noria.ports.deployments import DeploymentStore

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def a_deployment(
    generation: int = 1, *, name: str = "late", rollout: Rollout | None = None, weight: float = 1.0
) -> Deployment:
    """A deployment of one champion."""
    champion = Variant(
        name="champion",
        model="delay",
        number=generation,
        version="1.0.0",
        bundle=Digest("blake3:1"),
        weight=weight,
    )
    return Deployment(
        name=name,
        model="delay",
        generation=generation,
        variants=(champion,),
        updated_at=NOON + timedelta(hours=generation),
        rollout=rollout,
    )


def a_rollout(name: str = "r1") -> Rollout:
    """A rollout that has begun."""
    return Rollout(
        id=RolloutId(name), challenger=2, champion=1, plan=CanaryPlan(), started_at=NOON, cause=EventId("e1")
    )


class DeploymentsSuite:
    """Laws that every deployment store keeps."""

    @pytest.fixture
    def deployments(self) -> DeploymentStore:
        """An empty deployment store."""
        raise NotImplementedError("override the fixture 'deployments'")

    def test_the_newest_generation_is_what_is_there(self, deployments: DeploymentStore) -> None:
        assert deployments.put(a_deployment(1)) == a_deployment(1)
        deployments.put(a_deployment(2))

        assert deployments.get("late") == a_deployment(2)

    def test_past_generations_stay(self, deployments: DeploymentStore) -> None:
        for generation in (1, 2, 3):
            deployments.put(a_deployment(generation))

        assert deployments.at_generation("late", 2) == a_deployment(2)
        assert deployments.history("late") == [a_deployment(generation) for generation in (1, 2, 3)]
        assert deployments.history("unheard of") == []

    @pytest.mark.parametrize("generation", [0, 2, 7])
    def test_a_new_name_begins_at_generation_1(self, deployments: DeploymentStore, generation: int) -> None:
        with pytest.raises(StaleWrite):
            deployments.put(a_deployment(generation))

        assert deployments.all() == []

    @pytest.mark.parametrize("generation", [1, 2, 4])
    def test_a_generation_that_does_not_follow_is_stale(self, deployments: DeploymentStore, generation: int) -> None:
        deployments.put(a_deployment(1))
        deployments.put(a_deployment(2))

        with pytest.raises(StaleWrite, match="late"):
            deployments.put(a_deployment(generation, weight=0.5))

        assert deployments.get("late") == a_deployment(2)

    def test_the_same_content_again_changes_nothing(self, deployments: DeploymentStore) -> None:
        deployments.put(a_deployment(1))
        deployments.put(a_deployment(2))

        deployments.put(a_deployment(2))
        deployments.put(a_deployment(1))

        assert deployments.history("late") == [a_deployment(1), a_deployment(2)]

    def test_unknown_names_and_generations_are_not_found(self, deployments: DeploymentStore) -> None:
        deployments.put(a_deployment(1))

        with pytest.raises(NotFound, match="lately"):
            deployments.get("lately")
        with pytest.raises(NotFound, match="generation 2"):
            deployments.at_generation("late", 2)
        with pytest.raises(NotFound, match="lately"):
            deployments.at_generation("lately", 1)

    def test_all_gives_the_newest_of_each_by_name(self, deployments: DeploymentStore) -> None:
        deployments.put(a_deployment(1, name="b"))
        deployments.put(a_deployment(1, name="a"))
        deployments.put(a_deployment(2, name="b"))

        assert deployments.all() == [a_deployment(1, name="a"), a_deployment(2, name="b")]

    def test_rollouts_are_given_in_their_latest_state_oldest_first(self, deployments: DeploymentStore) -> None:
        verdict = Verdict(
            outcome="promote",
            reason="better",
            difference=Interval(value=-0.1, low=-math.inf, high=-0.01, n=900),
        )
        ended = replace(a_rollout(), outcome="promoted", verdict=verdict, ended_at=NOON)
        for generation, rollout in enumerate((None, a_rollout(), ended, None, a_rollout("r2")), start=1):
            deployments.put(a_deployment(generation, rollout=rollout))

        assert deployments.rollouts("late") == [ended, a_rollout("r2")]
        assert deployments.rollouts("unheard of") == []

    def test_of_threads_that_write_one_generation_one_wins(self, deployments: DeploymentStore) -> None:
        def put(thread: int) -> bool:
            try:
                deployments.put(a_deployment(1, weight=thread / 8))
            except StaleWrite:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(put, range(8)))

        assert sum(won) == 1
        assert deployments.history("late") == [a_deployment(1, weight=won.index(True) / 8)]
