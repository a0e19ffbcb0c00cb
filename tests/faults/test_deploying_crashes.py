"""Whoever acts on a deployment may die after any of its writes: the next comer makes the act whole, and nothing is told twice."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from noria.app.deploying import apply, deploy, plan
from noria.app.deploying_acts import complete_all, overrule, resume, roll_back, stop
from noria.app.workspace import Workspace
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.deployment import CanaryPlan
from noria.domain.ids import EventId
from noria.errors import Conflict
from tests.app.deploying_world import MODEL, a_project, answering, kinds

CANARY = {"canary": CanaryPlan(weight=0.1)}
WRITES = ("put", "publish", "move_alias", "append")
Act = Callable[[Workspace], object]


class Killed(BaseException):
    """The process is gone."""


class Killing:
    """A store that is let down by its process right before, or right after, the n-th of all writes that share a count."""

    def __init__(self, inner: Any, count: list[int], *, at: int, after: bool) -> None:
        self._inner, self._count, self._at, self._after = inner, count, at, after

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        return self._dying(verb) if name in WRITES else verb

    def _dying(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **more: Any) -> Any:
            self._count[0] += 1
            if self._count[0] == self._at and not self._after:
                raise Killed
            answer = verb(*args, **more)
            if self._count[0] == self._at:
                raise Killed
            return answer

        return write


class Mortal(Workspace):
    """A process over the stores of another workspace, which lives for so many writes."""

    def __init__(self, over: Workspace, *, at: int, after: bool) -> None:
        super().__init__(over.settings, over.home, clock=over.clock)
        self._over, self._count, self._when = over, [0], {"at": at, "after": after}
        self.__dict__["metadata"] = over.metadata
        self.__dict__["blobs"] = self._killing(over.blobs)

    @property
    def writes(self) -> int:
        return self._count[0]

    def _killing(self, store: Any) -> Any:
        return Killing(store, self._count, **self._when)

    @property
    def deployments(self) -> Any:
        return self._killing(self._over.deployments)

    @property
    def models(self) -> Any:
        return self._killing(self._over.models)

    @property
    def ledger(self) -> Any:
        return self._killing(self._over.ledger)


def declared(version: str, **more: Any) -> dict[str, Declaration]:
    champion = DeclaredVariant(name="champion", version=version)
    return {"prod": Declaration(model=MODEL, variants=(champion,), **more)}


def stand(workspace: Workspace) -> None:
    apply(workspace, declared("3"), actor="ci")
    apply(workspace, declared("5"), actor="ci")


def trying(workspace: Workspace) -> None:
    stand(workspace)
    deploy(workspace, "prod", model=MODEL, version="6", changes=CANARY, actor="ci")


def stopped(workspace: Workspace) -> None:
    stand(workspace)
    stop(workspace, "prod", reason="harm", actor="ada")


ACTS: dict[str, tuple[Callable[[Workspace], None], Act]] = {
    "the first declaration": (lambda _: None, lambda w: apply(w, declared("3"), actor="ci")),
    "another champion": (stand, lambda w: apply(w, declared("7", fallback="2"), actor="ci")),
    "a canary": (stand, lambda w: apply(w, declared("6", **CANARY), actor="ci")),
    "another canary": (trying, lambda w: apply(w, declared("7", **CANARY), actor="ci")),
    "rolling back": (trying, lambda w: roll_back(w, "prod", reason="worse", actor="ada")),
    "rolling further back": (stand, lambda w: roll_back(w, "prod", reason="worse", actor="ada")),
    "stopping": (trying, lambda w: stop(w, "prod", reason="harm", actor="ada")),
    "resuming": (stopped, lambda w: resume(w, "prod", reason="repaired", actor="ada")),
    "overruling": (trying, lambda w: overrule(w, "prod", "promote", reason="sure", actor="ada")),
}


def told(workspace: Workspace) -> dict[str, object]:
    """All that an act leaves."""
    names = [d.name for d in workspace.deployments.all()]
    return {
        "kinds": sorted(kinds(workspace)),
        "published": answering(workspace),
        "aliases": workspace.models.aliases(MODEL),
        "generations": len(workspace.deployments.history("prod")) if names else 0,
        "rollouts": [r.outcome for r in workspace.deployments.rollouts("prod")] if names else [],
    }


def undisturbed(before: Callable[[Workspace], None], act: Act) -> tuple[dict[str, object], int]:
    """What is told afterwards, and how many writes it takes."""
    with a_project() as workspace:
        before(workspace)
        living = Mortal(workspace, at=0, after=False)
        act(living)
        return told(workspace), living.writes


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_whole_wherever_its_process_dies(name: str) -> None:
    before, act = ACTS[name]
    wanted, writes = undisturbed(before, act)
    assert writes >= 3

    for at in range(1, writes + 1):
        for after in (False, True):
            with a_project() as workspace:
                before(workspace)
                with pytest.raises(Killed):
                    act(Mortal(workspace, at=at, after=after))
                complete_all(workspace, told={})
                repeat_unless_done(name, workspace, act)
                assert told(workspace) == wanted, (name, at, after)
                assert complete_all(workspace, told={}) == 0


DONE_ONCE = {
    "rolling back": "rolled_back",
    "rolling further back": "rolled_back",
    "stopping": "stopped",
    "resuming": "resumed",
    "overruling": "overrode",
}
"""Acts that a person does not repeat where they see them done; a declaration is applied again in any case."""


def repeat_unless_done(name: str, workspace: Workspace, act: Act) -> None:
    """As a person, or a pipeline, does after a crash."""
    newest = next(iter(workspace.deployments.all()), None)
    if name in DONE_ONCE and newest is not None and newest.act is not None and newest.act.verb == DONE_ONCE[name]:
        return
    act(workspace)


def test_an_act_that_another_generation_followed_is_told_all_the_same() -> None:
    with a_project() as workspace:
        stand(workspace)
        with pytest.raises(Killed):
            apply(Mortal(workspace, at=1, after=True), declared("7"), actor="ci")
        current = workspace.deployments.get("prod")
        assert current.variants[0].number == 7
        by_the_loop = structs.replace(current, generation=current.generation + 1, cause=EventId("loop"), act=None)
        workspace.deployments.put(by_the_loop)

        assert complete_all(workspace, told={}) == 1
        assert kinds(workspace).count("DeploymentChanged") == 3
        assert workspace.models.alias(MODEL, "champion") == 7
        assert answering(workspace) == {"champion": (7, 1.0)}


class Meddling(Mortal):
    """Another process moves the deployment between this one's reading and its writing."""

    def __init__(self, over: Workspace, meddle: Callable[[], None]) -> None:
        super().__init__(over, at=0, after=False)
        self._meddle: list[Callable[[], None]] = [meddle]

    @property
    def deployments(self) -> Any:
        if len(self._meddle) == 1 and self._read > 2:
            self._meddle.pop()()
        self._read += 1
        return self._over.deployments

    _read = 0


def test_a_roll_back_does_not_lose_to_whoever_moves_the_deployment_meanwhile() -> None:
    with a_project() as workspace:
        stand(workspace)
        meddling = Meddling(workspace, lambda: stand_again(workspace))
        roll_back(meddling, "prod", to="2", reason="harm", actor="ada")

        assert answering(workspace) == {"champion": (2, 1.0)}
        assert kinds(workspace).count("DeploymentRolledBack") == 1
        assert [d.variants[0].number for d in workspace.deployments.history("prod")] == [3, 5, 7, 2]


def stand_again(workspace: Workspace) -> None:
    apply(workspace, declared("7"), actor="ci")


def test_of_two_who_apply_at_once_one_is_told_to_look_again() -> None:
    with a_project() as workspace:
        stand(workspace)
        seen = plan(workspace, declared("6"))
        apply(workspace, declared("7"), actor="grace")

        with pytest.raises(Conflict, match="since the plan"):
            apply(workspace, declared("6"), actor="ada", expected=seen)
