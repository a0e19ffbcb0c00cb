"""Declaring what answers: what a plan says, what applying does, and that both agree with what stands."""

import pytest

from noria.app.deploying import apply, deploy, plan
from noria.app.deploying_acts import overrule, resume, roll_back, stop
from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.deployment import CanaryPlan
from noria.domain.policy import Policy
from noria.errors import Conflict, GateNotPassed, InputInvalid, NotFound, RequestInvalid
from noria.serving import desired
from noria.serving.live import Live
from tests.app.deploying_world import MODEL, a_project, answering, kinds, later, point, register

CANARY = CanaryPlan(weight=0.1)


def champion(version: str, *others: DeclaredVariant, **changes: object) -> dict[str, Declaration]:
    weight = 1.0 - sum(v.weight for v in others if not v.shadow and v.name != "challenger")
    first = DeclaredVariant(name="champion", version=version, weight=weight)
    return {"prod": Declaration(model=MODEL, variants=(first, *others), **changes)}  # type: ignore[arg-type]


def fields(planned: object) -> list[str]:
    return [difference.field for difference in planned.differences]  # type: ignore[attr-defined]


def test_applying_twice_changes_nothing_the_second_time() -> None:
    with a_project() as workspace:
        wanted = champion("3", DeclaredVariant(name="b", version="4.0.0", weight=0.25), fallback="2")
        apply(workspace, wanted, actor="ci")

        assert answering(workspace) == {"champion": (3, 0.75), "b": (4, 0.25)}
        assert plan(workspace, wanted).is_empty
        before = kinds(workspace)
        apply(workspace, wanted, actor="ci")
        assert kinds(workspace) == before
        assert workspace.models.alias(MODEL, "champion") == 3


def test_a_plan_writes_nothing() -> None:
    with a_project() as workspace:
        planned = plan(workspace, champion("3"))

        assert fields(planned) == ["champion", "declaration"]
        assert planned.generations == {"prod": 0}
        assert kinds(workspace) == []
        assert workspace.deployments.all() == []


def test_another_champion_answers_at_once_where_no_canary_is_declared() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        planned = apply(workspace, champion("5"), actor="ci", reason="better")

        assert fields(planned) == ["champion"] and "at once" in planned.differences[0].consequence
        assert answering(workspace) == {"champion": (5, 1.0)}
        assert workspace.models.alias(MODEL, "champion") == 5
        assert kinds(workspace)[-3:] == ["DeploymentChanged", "AliasMoved", "DeploymentDeclared"]


def test_a_declared_canary_lets_another_champion_in_and_its_verdict_decides() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        wanted = champion("5", canary=CANARY)
        apply(workspace, wanted, actor="ci")

        assert answering(workspace) == {"champion": (3, 0.9), "challenger": (5, 0.1)}
        assert workspace.models.alias(MODEL, "champion") == 3
        again = plan(workspace, wanted)
        assert again.is_empty and "is being tried" in again.notes[0]
        overrule(workspace, "prod", "promote", reason="enough", actor="ada")
        assert answering(workspace) == {"champion": (5, 1.0)}
        assert plan(workspace, wanted).is_empty


def test_what_was_rolled_back_is_not_let_in_again_by_the_same_file() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        apply(workspace, champion("5"), actor="ci")
        later(workspace)
        roll_back(workspace, "prod", reason="it hurts", actor="ada")

        kept = plan(workspace, champion("5"))
        assert kept.is_empty and "it hurts" in kept.notes[0]
        apply(workspace, champion("5"), actor="ci")
        assert answering(workspace) == {"champion": (3, 1.0)}
        assert fields(plan(workspace, champion("6"))) == ["champion"]
        apply(workspace, champion("5"), actor="ada", again=True)
        assert answering(workspace) == {"champion": (5, 1.0)}


def test_a_second_roll_back_goes_further_back_and_never_forth() -> None:
    with a_project() as workspace:
        for version in ("4", "5", "6"):
            apply(workspace, champion(version), actor="ci")
        for expected in (5, 4):
            assert roll_back(workspace, "prod", reason="worse", actor="ada").variants[0].number == expected
        with pytest.raises(Conflict, match="no version to go back to"):
            roll_back(workspace, "prod", reason="worse", actor="ada")


def test_rolling_back_while_something_is_tried_takes_it_out_and_ends_its_rollout() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        deploy(workspace, "prod", model=MODEL, version="5", changes={"canary": CANARY}, actor="ada")
        roll_back(workspace, "prod", reason="complaints", actor="ada")

        assert answering(workspace) == {"champion": (3, 1.0)}
        assert kinds(workspace)[-2:] == ["DeploymentRolledBack", "RolloutRolledBack"]
        rollout = workspace.deployments.rollouts("prod")[-1]
        assert rollout.outcome == "rolled_back"
        assert rollout.verdict is not None and "complaints" in rollout.verdict.reason


def test_a_stopped_deployment_answers_with_its_fallback_until_it_is_resumed() -> None:
    with a_project() as workspace:
        wanted = champion("5", DeclaredVariant(name="b", version="4", weight=0.5), fallback="2")
        apply(workspace, wanted, actor="ci")
        stop(workspace, "prod", reason="wrong letters", actor="ada")

        assert answering(workspace) == {"champion": (2, 1.0)}
        assert workspace.models.alias(MODEL, "champion") == 5
        waits = plan(workspace, champion("6"))
        assert fields(waits) == ["variants"] and "is stopped" in waits.notes[0]
        with pytest.raises(Conflict, match="is stopped"):
            roll_back(workspace, "prod", reason="now", actor="ada")
        resume(workspace, "prod", actor="ada", reason="repaired")
        assert answering(workspace) == {"champion": (5, 0.5), "b": (4, 0.5)}
        assert plan(workspace, wanted).is_empty


@pytest.mark.parametrize(
    ("fallback", "number"),
    [("stable", 7), ("none", None), ("champion", 8), ("3", 3), ("4.0.0", 4), ("@safe", 1)],
)
def test_what_answers_after_a_stop_is_what_the_fallback_names(fallback: str, number: int | None) -> None:
    with a_project() as workspace:
        point(workspace, "safe", 1)
        apply(workspace, champion("8", fallback=fallback), actor="ci")
        stopped = stop(workspace, "prod", reason="harm", actor="ada")

        assert stopped.stopped is not None and stopped.stopped.number == number
        assert [v.number for v in stopped.variants] == ([number] if number else [])


def test_a_stop_does_not_fail_though_its_fallback_is_gone() -> None:
    with a_project() as workspace:
        with pytest.raises(NotFound):
            plan(workspace, champion("8", fallback="99"))
        apply(workspace, champion("8", fallback="2"), actor="ci")
        workspace.models.delete(MODEL, 2, at=workspace.clock.now())

        assert stop(workspace, "prod", reason="harm", actor="ada").variants == ()


def test_nobody_answers_after_a_stop_if_no_other_version_is_stable() -> None:
    with a_project(versions=1) as workspace:
        apply(workspace, champion("1"), actor="ci")
        assert stop(workspace, "prod", reason="harm", actor="ada").variants == ()


def test_a_version_that_failed_its_gates_needs_a_reason() -> None:
    with a_project() as workspace:
        register(workspace, 9, passed=False)
        with pytest.raises(GateNotPassed, match="did not pass"):
            plan(workspace, champion("9"))
        with pytest.raises(InputInvalid, match="why"):
            deploy(workspace, "prod", model=MODEL, version="9", override=True)
        deploy(workspace, "prod", model=MODEL, version="9", override=True, reason="the regulator asks for it")
        assert answering(workspace) == {"champion": (9, 1.0)}


def test_a_plan_that_is_no_longer_true_is_not_applied() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        seen = plan(workspace, champion("5"))
        deploy(workspace, "prod", model=MODEL, version="4", actor="ada")

        with pytest.raises(Conflict, match="has changed since the plan"):
            apply(workspace, champion("5"), actor="ci", expected=seen)
        point(workspace, "next", 5)
        seen = plan(workspace, champion("@next"))
        point(workspace, "next", 6)
        later(workspace)
        point(workspace, "next", 7)
        with pytest.raises(Conflict, match="not what was planned"):
            apply(workspace, champion("@next"), actor="ci", expected=seen)


def test_a_version_that_wins_by_a_persons_word_is_promoted_once() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        deploy(workspace, "prod", model=MODEL, version="5", changes={"canary": CANARY}, actor="ada")
        deploy(workspace, "prod", model=MODEL, version="5", at_once=True, actor="ada", reason="sure")

        assert answering(workspace) == {"champion": (5, 1.0)}
        assert kinds(workspace).count("RolloutPromoted") == 1
        assert workspace.models.alias(MODEL, "champion") == 5


def test_another_canary_ends_the_one_that_runs() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        apply(workspace, champion("5", canary=CANARY), actor="ci")
        apply(workspace, champion("6", canary=CANARY), actor="ci")

        assert answering(workspace) == {"champion": (3, 0.9), "challenger": (6, 0.1)}
        assert [r.outcome for r in workspace.deployments.rollouts("prod")] == ["rolled_back", "running"]


def test_each_deployment_has_the_alias_that_it_declares() -> None:
    with a_project() as workspace:
        staging = {"staging": Declaration(model=MODEL, variants=champion("6")["prod"].variants, alias="staging")}
        apply(workspace, champion("5") | staging, actor="ci")
        assert workspace.models.aliases(MODEL) == {"champion": 5, "staging": 6}

        deploy(workspace, "prod", model=MODEL, version="@staging", actor="ada")
        assert workspace.models.aliases(MODEL) == {"champion": 6, "staging": 6}


def test_the_same_number_of_another_model_is_another_champion() -> None:
    with a_project() as workspace:
        register(workspace, 3, model="leavers")
        apply(workspace, champion("3"), actor="ci")
        other = Declaration(model="leavers", variants=champion("3")["prod"].variants)
        planned = apply(workspace, {"prod": other}, actor="ci")

        assert set(fields(planned)) == {"champion", "model"}
        assert workspace.models.alias("leavers", "champion") == 3


def test_an_alias_does_not_follow_two_deployments() -> None:
    with a_project() as workspace:
        apply(workspace, champion("5"), actor="ci")
        second = {"staging": Declaration(model=MODEL, variants=champion("6")["prod"].variants)}

        with pytest.raises(InputInvalid, match="cannot follow two deployments"):
            plan(workspace, second)
        with pytest.raises(InputInvalid, match="cannot follow two deployments"):
            plan(workspace, {"a": Declaration(model="others"), "b": Declaration(model="others")})
        with pytest.raises(InputInvalid, match="--alias staging"):
            deploy(workspace, "staging", model=MODEL, version="6")
        assert not plan(workspace, {"staging": second["staging"]} | {"prod": Declaration(model="x")}).is_empty


def test_a_policy_that_changes_is_told_setting_by_setting() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3", policy=Policy()), actor="ci")
        planned = apply(workspace, champion("3", policy=Policy(cooldown_days=7)), actor="ci")

        assert [(d.field, d.before, d.after) for d in planned.differences] == [("policy.cooldown_days", "21", "7")]
        assert kinds(workspace)[-1] == "DeploymentDeclared"
        assert workspace.deployments.get("prod").generation == 1


def test_declaring_back_and_forth_is_in_force_each_time() -> None:
    with a_project() as workspace:
        for days in (7, 14, 7):
            apply(workspace, champion("3", policy=Policy(cooldown_days=days)), actor="ci")
            assert plan(workspace, champion("3", policy=Policy(cooldown_days=days))).is_empty


def test_whether_callers_may_choose_is_declared_and_told_to_the_workers() -> None:
    with a_project() as workspace:
        apply(workspace, champion("3"), actor="ci")
        planned = apply(workspace, champion("3", header_override=False), actor="ci")

        assert fields(planned) == ["header_override"]
        state = desired.read(workspace.blobs, "prod")
        assert state is not None
        assert not state.header_override
        live = Live(deployment="prod", generation=2, variants=(), header_override=state.header_override)
        with pytest.raises(RequestInvalid, match="no caller choose"):
            live.named("champion")


def test_a_shadow_answers_nobody_and_takes_no_share() -> None:
    with a_project() as workspace:
        shadow = DeclaredVariant(name="next", version="5", weight=0.3, shadow=True)
        apply(workspace, champion("3", shadow), actor="ci")

        [first, second] = workspace.deployments.get("prod").variants
        assert (first.weight, second.weight, second.shadow) == (1.0, 0.3, True)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (champion("3", DeclaredVariant(name="challenger", version="5")), "challenger"),
        (champion("3", sticky_by="cookie"), "sticky_by"),
        (champion("3", canary=CanaryPlan(weight=1.5)), "weight is 1.5"),
        ({"prod": Declaration(model=MODEL, variants=(DeclaredVariant(name="b", version="3"),))}, "variants"),
        ({"Prod": Declaration(model=MODEL)}, "name of a deployment"),
    ],
)
def test_what_cannot_be_is_refused_with_the_setting_that_is_wrong(wanted: dict[str, Declaration], said: str) -> None:
    with a_project() as workspace, pytest.raises(InputInvalid, match=said):
        plan(workspace, wanted)


def test_versions_that_are_not_there_are_named() -> None:
    with a_project() as workspace:
        for version in ("99", "9.9.9", "@nobody"):
            with pytest.raises(NotFound):
                plan(workspace, champion(version))
