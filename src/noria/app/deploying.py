"""Declare what shall answer: compare it with what stands, apply it. One way for noria.toml, `noria deploy`, `noria.deploy` and REST.

What can be declared is serving/declared, comparing serving/plan, generations serving/acts; what a person does in a hurry is deploying_acts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from msgspec.structs import replace as replace_struct

from noria.app import deploying_acts as acting
from noria.app.deploying_record import InForce, in_force, put_in_force
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.declaration import Declaration, DeclaredVariant, DeploymentPlan
from noria.domain.deployment import Act, Deployment, Outlook, Variant
from noria.domain.ledger import Entry
from noria.errors import Conflict, GateNotPassed, InputInvalid, NotFound, StaleWrite
from noria.loop.firing import check as check_triggers
from noria.registry.named import STABLE
from noria.serving import acts
from noria.serving import plan as comparing
from noria.serving.declared import check
from noria.serving.route import sticky_of

HISTORY = ("RolloutRolledBack", "DeploymentRolledBack", "RolloutPromoted", "RolloutStarted", "DeploymentChanged")
MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class _Options:
    """How a declaration is taken: rolled-back versions once more, failed gates overridden, no canary first."""

    again: bool = False
    override: bool = False
    at_once: bool = False


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """One declaration beside what stands."""

    name: str
    wanted: Declaration
    standing: Deployment | None
    before: InForce | None
    compared: comparing.Compared
    outlook: Outlook | None = None

    @property
    def generation(self) -> int:
        return self.standing.generation if self.standing else 0


def plan(workspace: Workspace, declarations: Mapping[str, Declaration], *, again: bool = False) -> DeploymentPlan:
    """What applying these declarations would change; nothing is written. Deployments that are not among them are left alone.

    again: versions that were rolled back, or beaten, are let in once more. Raises InputInvalid for a declaration that cannot be, NotFound for a
    version or alias that is not there, Conflict for a version that is not packaged, GateNotPassed for one whose gates failed.

    >>> with Workspace.ephemeral("sketch") as workspace:
    ...     plan(workspace, {"prod": Declaration(model="churn")}).differences[0].field
    'declaration'
    """
    return _plan_of(_prepare_all(workspace, declarations, _Options(again=again)))


def apply(
    workspace: Workspace,
    declarations: Mapping[str, Declaration],
    *,
    actor: str = "noria",
    reason: str = "",
    expected: DeploymentPlan | None = None,
    again: bool = False,
) -> DeploymentPlan:
    """Make what is declared stand, each deployment at once and whole; gives what was changed. Applying the same again changes nothing.

    expected: the plan that was looked at. Raises Conflict if a generation has moved since, or if other things would change; what `plan` raises.
    """
    prepared = _prepare_all(workspace, declarations, _Options(again=again))
    planned = _plan_of(prepared)
    if expected is not None:
        _still(expected, planned)
    for each in prepared:
        if each.compared.differences:
            _apply(workspace, each, actor=actor, reason=reason)
    return planned


def deploy(
    workspace: Workspace,
    name: str,
    *,
    model: str,
    version: str = "stable",
    beside: Sequence[DeclaredVariant] = (),
    changes: Mapping[str, Any] | None = None,
    at_once: bool = False,
    override: bool = False,
    actor: str = "noria",
    reason: str = "",
    dry_run: bool = False,
) -> DeploymentPlan:
    """Let one version answer under a name. Gives what was changed; dry_run: what would be.

    version: a number, a semantic version, `@alias`, or `stable`. beside: arms with shares of their own; the champion gets the rest. changes: other
    fields of the Declaration; what is not said stays as it is declared. Where a canary is declared, it lets the version in, unless `at_once`; so a
    version that is being tried wins by a person's word. override: also a version whose gates failed, for a stated reason.
    Raises what `plan` raises; InputInvalid for an override without a reason.
    """
    if override and not reason.strip():
        raise InputInvalid("why the gates are overridden is not said", remedy="add --because '...'")
    known = in_force(workspace).get(name)
    wanted = known.declaration if known else _as_it_stands(workspace, name, model)
    rest = round(1.0 - sum(each.weight for each in beside if not each.shadow and each.name != acts.CHALLENGER), 12)
    champion = DeclaredVariant(name=acts.CHAMPION, version=version, weight=rest)
    wanted = replace_struct(wanted, model=model, variants=(champion, *beside), **(changes or {}))
    options = _Options(again=True, override=override, at_once=at_once)
    _check_aliases(workspace, {name: wanted})
    prepared = _prepare(workspace, name, wanted, options)
    if dry_run:
        return _plan_of([prepared])
    standing = prepared.standing
    wins = at_once or wanted.canary is None
    if wins and standing is not None and standing.stopped is None:
        number = acting.find(workspace, model, version).number
        if _running(standing) == number:
            why = reason or f"version {number} was deployed without waiting for its verdict"
            acting.overrule(workspace, name, "promote", reason=why, actor=actor)
            prepared = _prepare(workspace, name, wanted, options)
    planned = _plan_of([prepared])
    if prepared.compared.differences:
        _apply(workspace, prepared, actor=actor, reason=reason)
    return planned


def _prepare_all(workspace: Workspace, declarations: Mapping[str, Declaration], options: _Options) -> list[_Prepared]:
    _check_aliases(workspace, declarations)
    return [_prepare(workspace, name, wanted, options) for name, wanted in sorted(declarations.items())]


def _check_aliases(workspace: Workspace, declarations: Mapping[str, Declaration]) -> None:
    """An alias follows one deployment: else a staging would move what production is known by. Raises InputInvalid."""
    standing = {d.name: d for d in workspace.deployments.all()}
    stands = {name: (d.model, d.alias) for name, d in standing.items()}
    wanted = {name: (each.model, each.alias) for name, each in declarations.items()}
    for name, mine in sorted(wanted.items()):
        if not mine[1] or stands.get(name) == mine:
            continue
        for other, theirs in sorted((stands | wanted).items()):
            if other != name and theirs == mine:
                raise InputInvalid(
                    f"alias {mine[1]!r} of model {mine[0]!r} cannot follow two deployments, {name!r} and {other!r}",
                    cause="it says which version answers in one place",
                    remedy=f"[deployments.{name}] alias = {name!r}, or noria deploy ... --to {name} --alias {name}",
                )


def _prepare(workspace: Workspace, name: str, wanted: Declaration, options: _Options) -> _Prepared:
    check(name, wanted)
    if wanted.triggers:
        check_triggers(wanted.triggers, deployment=name)
    if wanted.fallback not in (acting.NOBODY, acting.CHAMPION, STABLE):
        acting.variant("fallback", acting.find(workspace, wanted.model, wanted.fallback))
    standing = standing_of(workspace, name)
    before = in_force(workspace).get(name)
    variants = tuple(_variant(workspace, wanted, each, override=options.override) for each in wanted.variants)
    facts = comparing.Facts(
        variants=variants,
        standing=standing,
        declared=before.declaration if before else None,
        at_once=options.at_once,
        held={} if options.again or standing is None or not variants else held(workspace, name),
    )
    compared = comparing.compare(name, wanted, facts)
    told = _outlook(workspace, standing, compared)
    if told is not None:
        compared = comparing.compare(name, wanted, replace(facts, outlook=told))
    return _Prepared(name=name, wanted=wanted, standing=standing, before=before, compared=compared, outlook=told)


def _outlook(workspace: Workspace, standing: Deployment | None, compared: comparing.Compared) -> Outlook | None:
    """What the rollout that would begin can show; None if none does."""
    target = compared.target
    if standing is None or target is None or target.challenger is None or target.plan is None:
        return None
    from noria.app.outlook import outlook_for  # reads the log as tables: heavy, and seldom needed

    return outlook_for(workspace, standing, target.challenger, target.plan)


def _apply(workspace: Workspace, prepared: _Prepared, *, actor: str, reason: str) -> None:
    """The generation first: a declaration that waits for its first version finds it, and asks for no training."""
    name, wanted, target, standing = prepared.name, prepared.wanted, prepared.compared.target, prepared.standing
    said = tuple(comparing.sentence(d) for d in prepared.compared.differences)
    if target is not None and target.moves:
        try:
            if target.challenger is not None and _running(standing) is not None:
                standing = _make_room(workspace, name, target.challenger.number, actor=actor)
            act = acting.new_act("changed", actor, reason, differences=said)
            after = _changed(prepared, standing, act, at=workspace.clock.now())
            acting.write(workspace, standing, after)
        except StaleWrite as exc:
            raise _moved(name) from exc
    put_in_force(workspace, name, wanted, before=prepared.before, actor=actor)


def _changed(prepared: _Prepared, standing: Deployment | None, act: Act, *, at: datetime) -> Deployment:
    """The generation that applying makes."""
    target, wanted = prepared.compared.target, prepared.wanted
    assert target is not None
    return acts.change(
        standing,
        name=prepared.name,
        model=wanted.model,
        variants=target.variants,
        act=act,
        at=at,
        challenger=target.challenger,
        plan=target.plan,
        sticky_by=wanted.sticky_by,
        fallback=wanted.fallback,
        alias=wanted.alias,
        header_override=wanted.header_override,
        outlook=prepared.outlook,
    )


def _make_room(workspace: Workspace, name: str, number: int, *, actor: str) -> Deployment:
    """A rollout has a generation of its own in which it ended."""
    reason = f"version {number} is to be tried instead"
    return acting.overrule(workspace, name, "roll_back", reason=reason, actor=actor)


def _variant(workspace: Workspace, wanted: Declaration, declared: DeclaredVariant, *, override: bool) -> Variant:
    """A declared variant with its version found."""
    version = acting.find(workspace, wanted.model, declared.version)
    if version.gates is not None and not version.gates.passed and not override:
        failed = "; ".join(result.evidence or result.gate.name for result in version.gates.failures())
        raise GateNotPassed(
            f"version {version.ref} cannot be deployed: it did not pass its gates",
            cause=failed,
            remedy=f"noria deploy {version.ref} --to NAME --override --because '...'",
        )
    return acting.variant(declared.name, version, weight=declared.weight, shadow=declared.shadow)


def held(workspace: Workspace, name: str) -> dict[int, str]:
    """Versions that no file lets in again, and why: they were rolled back here, or beaten by the rollout of another. `noria deploy` lets them in."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    for entry in workspace.ledger.latest(limit=MOST, kinds=HISTORY):
        if getattr(entry.event, "deployment", None) != name:
            continue
        for number, why in _said_of(entry):
            if number not in seen:
                seen.add(number)
                if why:
                    found[number] = why
    return found


def _said_of(entry: Entry) -> list[tuple[int, str]]:
    """What an event says of versions: why one is held back, or '' where it was let in."""
    event, day = entry.event, f"{entry.at:%Y-%m-%d}"
    match event:
        case e.RolloutRolledBack():
            return [(event.number, f"it was rolled back on {day}: {event.verdict.reason}"), (event.champion, "")]
        case e.DeploymentRolledBack():
            back = f"{entry.actor} took it back on {day}: {event.reason}"
            return [(event.number, ""), *([(event.previous, back)] if event.previous != event.number else [])]
        case e.RolloutPromoted(previous=previous) if previous is not None and event.rollout_id is not None:
            return [(event.number, ""), (previous, f"version {event.number} was promoted over it on {day}")]
        case e.RolloutStarted():
            return [(event.rollout.challenger, "")]
        case e.DeploymentChanged():
            return [(v.number, "") for v in event.variants]
        case _:
            return []


def standing_of(workspace: Workspace, name: str) -> Deployment | None:
    """What stands under a name, after anything that a crash left undone."""
    try:
        acting.complete(workspace, name)
        return workspace.deployments.get(name)
    except NotFound:
        return None


def _as_it_stands(workspace: Workspace, name: str, model: str) -> Declaration:
    """Where nothing was declared, what stands is what is declared."""
    standing = standing_of(workspace, name)
    if standing is None:
        return Declaration(model=model)
    return Declaration(
        model=model,
        sticky_by=_as_said_now(standing.sticky_by),
        fallback=standing.fallback,
        alias=standing.alias,
        header_override=standing.header_override,
    )


def _as_said_now(sticky_by: str) -> str:
    """Deployments of before said the key of a request, or an input, by its bare name."""
    kind, name = sticky_of(sticky_by)
    return {"request": "request", "key": "header:noria-request-key"}.get(kind, f"{kind}:{name}")


def _running(standing: Deployment | None) -> int | None:
    rollout = standing.rollout if standing else None
    return rollout.challenger if rollout is not None and rollout.outcome == "running" else None


def _plan_of(prepared: list[_Prepared]) -> DeploymentPlan:
    return DeploymentPlan(
        differences=tuple(d for each in prepared for d in each.compared.differences),
        generations={each.name: each.generation for each in prepared},
        notes=tuple(note for each in prepared for note in each.compared.notes),
    )


def _still(expected: DeploymentPlan, planned: DeploymentPlan) -> None:
    for name, generation in planned.generations.items():
        if expected.generations.get(name, generation) != generation:
            raise _moved(name)
    if expected.generations.keys() != planned.generations.keys() or _what(expected) != _what(planned):
        raise Conflict(
            "what would change is not what was planned",
            cause="the declarations, an alias, or what is stable changed since",
            remedy="noria plan, look at it, and apply again",
        )


def _what(planned: DeploymentPlan) -> list[tuple[str, str, str, str]]:
    """The differences without what follows from them: an outlook is another each time that a label arrives."""
    return [(d.deployment, d.field, d.before, d.after) for d in planned.differences]


def _moved(name: str) -> Conflict:
    return Conflict(
        f"deployment {name!r} has changed since the plan",
        cause="the loop, or somebody else, moved it meanwhile",
        remedy="noria plan, look at it, and apply again",
    )
