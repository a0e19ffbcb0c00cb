"""Which version of a model is the latest stable one, by rule, and why others are not. Reads only. Called by the faces."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from noria.domain.deployment import Rollout
from noria.domain.model import AliasMove, ModelVersion
from noria.ports.deployments import DeploymentStore
from noria.ports.models import ModelStore

TAG = "noria.stable"
"""A version's tag: 'false' says that it is a preview, whatever it proved; 'true' that a person answers for it, though no gate judged it."""
CHAMPION = "champion"


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """A version with a higher semantic version than the stable one, and why it is not stable."""

    number: int
    version: str
    why: str


class Stable(msgspec.Struct, frozen=True, kw_only=True):
    """The latest stable version and what makes it so; none if no version is stable. passed_over: those above it, highest first."""

    version: ModelVersion | None
    why: str
    passed_over: tuple[PassedOver, ...]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a version and counts for or against it."""

    at: datetime
    number: int
    counts_for: bool
    what: str


def latest_stable(
    models: ModelStore, model: str, *, rollouts: Iterable[Rollout] = (), without: Collection[int] = ()
) -> Stable:
    """The stable version with the highest semantic version; of equal ones the higher number.

    A version is stable if all of this holds:
    1. Its tag `noria.stable` is not 'false'.
    2. It proved itself: every gate passed, or it was champion, or its tag `noria.stable` is 'true'.
    3. It was not taken back: the last thing that happened to it is not that it lost a rollout, and not that the alias champion went from it back to
       an older version. Becoming champion later makes it stable again. A tag 'true' that a person sets does not: take the version forward instead.
    Deleted versions do not exist. rollouts: those of the deployments that serve the model (`rollouts_of`), in any order. without: numbers that are
    not asked about, as if they were deleted.

    A higher semantic version is newer by what it is, not by when it was registered; so a fix of an old line (1.0.1 after 2.0.0) is not the latest.
    """
    facts = sorted(
        [*_of_rollouts(rollouts), *_of_aliases(models.alias_history(model, CHAMPION))], key=lambda fact: fact.at
    )
    passed_over: list[PassedOver] = []
    asked = [v for v in models.versions(model) if v.number not in without]
    ordered = sorted(asked, key=lambda v: (v.version, v.number), reverse=True)
    for version in ordered:
        stable, why = judge(version, [fact for fact in facts if fact.number == version.number])
        if stable:
            return Stable(version=version, why=why, passed_over=tuple(passed_over))
        passed_over.append(PassedOver(number=version.number, version=str(version.version), why=why))
    why = f"no version of model '{model}' is stable" if ordered else f"model '{model}' has no version"
    return Stable(version=None, why=why, passed_over=tuple(passed_over))


def judge(version: ModelVersion, facts: Sequence[Fact]) -> tuple[bool, str]:
    """Whether a version is stable, and why. facts: what happened to it, oldest first. Pure."""
    said = version.tags.get(TAG, "").strip().lower()
    if said == "false":
        return False, f"its tag {TAG} says that it is not"
    last = facts[-1] if facts else None
    if last is not None:
        return last.counts_for, last.what
    if version.gates is not None and version.gates.passed:
        return True, f"it passed its {len(version.gates.results)} gates"
    if said == "true":
        return True, f"its tag {TAG} says so"
    return False, f"{'it failed its gates' if version.gates else 'no gate judged it'}, and it was never champion"


def rollouts_of(deployments: DeploymentStore, model: str) -> list[Rollout]:
    """Every rollout in the deployments that serve a model."""
    return [
        rollout
        for deployment in deployments.all()
        if deployment.model == model
        for rollout in deployments.rollouts(deployment.name)
    ]


def _of_rollouts(rollouts: Iterable[Rollout]) -> list[Fact]:
    return [
        Fact(
            at=rollout.ended_at or rollout.started_at,
            number=rollout.challenger,
            counts_for=False,
            what=f"its rollout was rolled back: {rollout.verdict.reason if rollout.verdict else 'no reason was kept'}",
        )
        for rollout in rollouts
        if rollout.outcome == "rolled_back"
    ]


def _of_aliases(moves: Sequence[AliasMove]) -> list[Fact]:
    """Becoming champion counts for a version; being left for an older one counts against it."""
    facts = []
    for move in moves:
        day = f"{move.at:%Y-%m-%d}"
        if move.number is not None and move.previous is not None and move.number < move.previous:
            what = f"on {day} the champion went from it back to version {move.number}: {move.reason}"
            facts.append(Fact(at=move.at, number=move.previous, counts_for=False, what=what))
        if move.number is not None:
            what = f"it became champion on {day}: {move.reason}"
            facts.append(Fact(at=move.at, number=move.number, counts_for=True, what=what))
    return facts
