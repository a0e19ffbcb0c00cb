"""Whatever people do to a deployment, in whatever order: somebody answers or it is stopped, shares are whole, each rollout ends once."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from noria.app.deploying import apply, plan
from noria.app.deploying_acts import overrule, resume, roll_back, stop
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.deployment import CanaryPlan, Deployment
from noria.errors import Conflict
from noria.serving.acts import follows, told
from tests.app.deploying_world import MODEL, a_project

VERSIONS = st.integers(1, 4).map(str)
SHARES = st.sampled_from([0.1, 0.25, 0.4])


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """One champion, perhaps an arm, perhaps a shadow, perhaps a canary."""
    arms = []
    if draw(st.booleans()):
        arms.append(DeclaredVariant(name="b", version=draw(VERSIONS), weight=draw(SHARES)))
    if draw(st.booleans()):
        arms.append(DeclaredVariant(name="seen", version=draw(VERSIONS), weight=draw(SHARES), shadow=True))
    rest = 1.0 - sum(arm.weight for arm in arms if not arm.shadow)
    modes = st.sampled_from(["canary", "ab", "shadow", "bandit"])
    canary = draw(st.none() | st.builds(CanaryPlan, weight=SHARES, mode=modes))
    return Declaration(
        model=MODEL,
        variants=(DeclaredVariant(name="champion", version=draw(VERSIONS), weight=rest), *arms),
        canary=canary,
        fallback=draw(st.sampled_from(["stable", "champion", "none", "2"])),
    )


def does(verb: Callable[..., Any], *arguments: Any, **more: Any) -> Callable[[Workspace], Any]:
    return lambda workspace: verb(workspace, *arguments, **more)


ACTS = st.one_of(
    declarations().map(lambda wanted: does(apply, {"prod": wanted})),
    declarations().map(lambda wanted: does(apply, {"prod": wanted}, again=True)),
    st.just(does(roll_back, "prod", reason="worse")),
    VERSIONS.map(lambda to: does(roll_back, "prod", reason="worse", to=to)),
    st.just(does(stop, "prod", reason="harm")),
    st.just(does(resume, "prod")),
    VERSIONS.map(lambda to: does(resume, "prod", to=to)),
    st.sampled_from(["promote", "roll_back"]).map(lambda outcome: does(overrule, "prod", outcome, reason="sure")),
)


def sound(deployment: Deployment) -> None:
    """What holds of every generation."""
    names = [v.name for v in deployment.variants]
    assert len(set(names)) == len(names)
    if not names:
        assert deployment.stopped is not None
        assert deployment.stopped.number is None
        return
    assert names.count("champion") == 1
    assert abs(sum(v.weight for v in deployment.variants if not v.shadow) - 1) < 1e-9
    assert all(0 <= v.weight <= 1 for v in deployment.variants)
    runs = deployment.rollout is not None and deployment.rollout.outcome == "running"
    assert runs == ("challenger" in names)


@settings(max_examples=15, deadline=None)
@given(first=declarations(), acts=st.lists(ACTS, max_size=8))
def test_whatever_is_done_somebody_answers_and_each_rollout_ends_once(
    first: Declaration, acts: list[Callable[[Workspace], Any]]
) -> None:
    with a_project(versions=4) as workspace:
        apply(workspace, {"prod": first})
        for act in acts:
            try:
                act(workspace)
            except Conflict:
                continue  # refused: nothing may have changed, which the laws below would show
        history = workspace.deployments.history("prod")
        for before, deployment in zip([None, *history], history, strict=False):
            sound(deployment)
            assert told(before, deployment)[0] in [x.event for x in workspace.ledger.read(limit=10_000)]
            assert follows(before, deployment) != 0
        assert [d.generation for d in history] == list(range(1, len(history) + 1))
        entries = workspace.ledger.read(limit=10_000)
        begun = [x.event.rollout.id for x in entries if isinstance(x.event, e.RolloutStarted)]
        over = [x.event.rollout_id for x in entries if isinstance(x.event, e.RolloutPromoted | e.RolloutRolledBack)]
        assert len(set(begun)) == len(begun)
        assert len(set(over)) == len(over)
        running = history[-1].rollout is not None and history[-1].rollout.outcome == "running"
        assert len(begun) == len(over) + running


@settings(max_examples=15, deadline=None)
@given(first=declarations(), second=declarations())
def test_what_was_applied_is_what_stands(first: Declaration, second: Declaration) -> None:
    with a_project(versions=4) as workspace:
        for wanted in (first, second):
            apply(workspace, {"prod": wanted})
            left = plan(workspace, {"prod": wanted})
            assert left.is_empty, left
            assert left.generations == {"prod": workspace.deployments.get("prod").generation}
