"""Declaring and acting on deployments over HTTP: plan, apply, deploy, roll back, stop, resume, overrule. Doing it is app/deploying."""

from typing import Any, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, RawBody

from noria.app import deploying
from noria.app import deploying_acts as acts
from noria.app.deploying_record import in_force
from noria.app.workspace import Workspace
from noria.domain.declaration import Declaration, DeclaredVariant, DeploymentPlan
from noria.domain.deployment import CanaryPlan, Deployment
from noria.errors import RequestInvalid
from noria.serving.declared import unknown_settings

ACTOR = "rest"
LONGEST_NAME = 200


class PlanIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations by the name of their deployment. again: let versions in once more that were rolled back, or beaten."""

    deployments: dict[str, Declaration]
    again: bool = False


class ApplyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations to make stand. plan: what was looked at; it is refused if anything moved since. by: who does it, 'rest' if it is not said."""

    deployments: dict[str, Declaration]
    plan: DeploymentPlan | None = None
    again: bool = False
    reason: str = ""
    by: str = ""


class DeployIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version that is to answer. What is not said stays as it is declared. dry_run: only say what would change."""

    model: str
    version: str = "stable"
    canary: CanaryPlan | None = None
    beside: list[DeclaredVariant] = []
    sticky_by: str | None = None
    fallback: str | None = None
    alias: str | None = None
    header_override: bool | None = None
    at_once: bool = False
    override: bool = False
    dry_run: bool = False
    reason: str = ""
    by: str = ""


class RollbackIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """to: which version; by default what is being tried is taken out, else the former champion is back."""

    reason: str
    to: str = ""
    by: str = ""


class StopIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """fallback: what answers meanwhile; by default as declared."""

    reason: str
    fallback: str = ""
    by: str = ""


class ResumeIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """to: go on with this version alone; by default as it stood."""

    reason: str = ""
    to: str = ""
    by: str = ""


class OverrideIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word on what is being tried, before or against its evidence."""

    outcome: Literal["promote", "roll_back"]
    reason: str
    by: str = ""


@get("/api/v1/declarations", sync_to_thread=True, tags=["deployments"])
def list_declarations(workspace: NamedDependency[Workspace]) -> dict[str, Declaration]:
    """What is declared, and in force, of each deployment."""
    return {name: each.declaration for name, each in in_force(workspace).items()}


@post("/api/v1/plan", sync_to_thread=True, tags=["deployments"], status_code=200)
def make_plan(workspace: NamedDependency[Workspace], data: JSONBody[PlanIn], body: RawBody) -> DeploymentPlan:
    """What applying these declarations would change; nothing is written. Deployments that are not named are left alone."""
    _known(body, PlanIn)
    return deploying.plan(workspace, data.deployments, again=data.again)


@post("/api/v1/apply", sync_to_thread=True, tags=["deployments"], status_code=200)
def apply_declarations(workspace: NamedDependency[Workspace], data: JSONBody[ApplyIn], body: RawBody) -> DeploymentPlan:
    """Make what is declared stand; gives what was changed. 409 if a generation moved since the plan that was sent along."""
    _known(body, ApplyIn)
    return deploying.apply(
        workspace,
        data.deployments,
        actor=_actor(data.by),
        reason=data.reason,
        expected=data.plan,
        again=data.again,
    )


@post("/api/v1/deployments/{name:str}/deploy", sync_to_thread=True, tags=["deployments"], status_code=200)
def deploy_version(
    workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[DeployIn], body: RawBody
) -> DeploymentPlan:
    """Let one version answer under a name, at once or as a canary; gives what was changed, or would be."""
    _known(body, DeployIn)
    said = {key: getattr(data, key) for key in ("sticky_by", "fallback", "alias", "header_override", "canary")}
    return deploying.deploy(
        workspace,
        name,
        model=data.model,
        version=data.version,
        beside=data.beside,
        changes={key: value for key, value in said.items() if value is not None},
        at_once=data.at_once,
        override=data.override,
        actor=_actor(data.by),
        reason=data.reason,
        dry_run=data.dry_run,
    )


@post("/api/v1/deployments/{name:str}/rollback", sync_to_thread=True, tags=["deployments"], status_code=200)
def roll_back(workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[RollbackIn]) -> Deployment:
    """An earlier version answers alone, at once; a rollout that runs is over."""
    return acts.roll_back(workspace, name, reason=data.reason, actor=_actor(data.by), to=data.to)


@post("/api/v1/deployments/{name:str}/stop", sync_to_thread=True, tags=["deployments"], status_code=200)
def stop(workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[StopIn]) -> Deployment:
    """The stop switch: the fallback answers alone (none: callers get 503 with the reason), the loop leaves the deployment alone."""
    return acts.stop(workspace, name, reason=data.reason, actor=_actor(data.by), fallback=data.fallback)


@post("/api/v1/deployments/{name:str}/resume", sync_to_thread=True, tags=["deployments"], status_code=200)
def resume(workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[ResumeIn]) -> Deployment:
    """Let a stopped deployment go on."""
    return acts.resume(workspace, name, actor=_actor(data.by), reason=data.reason, to=data.to)


@post("/api/v1/deployments/{name:str}/override", sync_to_thread=True, tags=["deployments"], status_code=200)
def override(workspace: NamedDependency[Workspace], name: FromPath[str], data: JSONBody[OverrideIn]) -> Deployment:
    """End a running rollout by a person's word."""
    return acts.overrule(workspace, name, data.outcome, reason=data.reason, actor=_actor(data.by))


def _known(body: RawBody, kind: Any) -> None:
    """Nouns that are kept leave out what they do not know; a person who writes one is told."""
    strange = unknown_settings(msgspec.json.decode(body), kind)
    if strange:
        raise RequestInvalid("the body says what a declaration does not have", cause=", ".join(strange))


def _actor(by: str) -> str:
    if len(by) > LONGEST_NAME:
        raise RequestInvalid(f"'by' has {len(by)} characters", remedy=f"send at most {LONGEST_NAME}")
    return by.strip() or ACTOR
