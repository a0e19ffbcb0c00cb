"""What was done to that which answers under a name, told once: each rollout, each act of a person, with who, why, and the evidence.

A fold over the ledger and the kept looks, for `noria status`, `noria why` and the pages: faces only render. How a deployment stands is deployed.py.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from noria.app.sentences import sentence
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Judged, Measure, Outlook, Rollout, Variant, Verdict
from noria.domain.events import kind_of
from noria.domain.gate import GateReport
from noria.domain.ledger import Entry
from noria.domain.look import RolloutLook
from noria.domain.policy import Bound
from noria.errors import NotFound
from noria.registry.lineage import causes
from noria.serving import looks

Kind = Literal["first", "rollout", "changed", "rolled_back", "stopped", "resumed"]
Outcome = Literal["running", "promoted", "rolled_back", "done"]
Tone = Literal["ok", "warn", "bad", "busy", "empty"]

KINDS = (
    "RolloutStarted",
    "RolloutAdvanced",
    "RolloutPromoted",
    "RolloutRolledBack",
    "DeploymentChanged",
    "DeploymentRolledBack",
    "DeploymentStopped",
    "DeploymentResumed",
)
MOST = 5000
"""Entries that are looked through."""
SHORTEST_PREFIX = 8
"""An id may be given by so many of its first characters."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the ledger in a sentence."""

    seq: int
    id: str
    kind: str
    at: datetime
    actor: str
    sentence: str


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """The challenger's share of the traffic from a moment on. shadow: it got copies, and answered nobody."""

    at: datetime
    share: float
    step: int
    reason: str
    shadow: bool = False


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What one look said of one objective. low, high: None where the sequence has no limit yet."""

    at: datetime
    value: float | None
    low: float | None
    high: float | None


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """How the evidence on one objective grew, look by look, beside its limit. name: of a business metric."""

    measure: Measure
    name: str
    limit: float
    points: tuple[Point, ...]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One change of what answers, from what asked for it to what came of it.

    id: of the rollout, else of its event. headline: what happened, in a sentence; reason: why it ended so, or what the person said. actor: who ended
    it; approved_by: who let the version meet traffic. asked: what asked for the training, with the policy's bounds as they stood then. moves: the
    challenger's shares. objectives: what was judged, the one that decided first. expected, took: the outlook told before the start, and what it was.
    """

    id: str
    deployment: str
    kind: Kind
    outcome: Outcome
    tone: Tone
    headline: str
    reason: str
    actor: str
    began: datetime
    ended: datetime | None
    generation: int
    model: str = ""
    number: int | None = None
    previous: int | None = None
    approved_by: str = ""
    asked: str = ""
    trigger: str = ""
    bounds: tuple[Bound, ...] = ()
    rollout: Rollout | None = None
    verdict: Verdict | None = None
    objectives: tuple[Judged, ...] = ()
    moves: tuple[Move, ...] = ()
    expected: str = ""
    took: str = ""
    gates: GateReport | None = None
    differences: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()


class DeliveryStory(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with all that is behind it. curves: the evidence by look, of what has numbers; led, followed: events, oldest first."""

    delivery: Delivery
    curves: tuple[Curve, ...]
    led: tuple[Told, ...]
    followed: tuple[Told, ...]


def deliveries(workspace: Workspace, deployment: str, *, limit: int = 50) -> list[Delivery]:
    """The newest deliveries of a deployment, newest first. Raises NotFound for a name that nobody deployed."""
    workspace.deployments.get(deployment)
    chapters = _chapters(_entries(workspace, deployment))
    return [_told(workspace, chapter) for chapter in chapters[-limit:]][::-1]


def delivery(workspace: Workspace, identity: str) -> DeliveryStory:
    """The delivery that a rollout's id, or the id of one of its events, or the beginning of either, belongs to. Raises NotFound."""
    for chapter in reversed(_chapters(_entries(workspace, None))):
        names = (_name(chapter), *(entry.id for entry in chapter))
        if identity in names or (len(identity) >= SHORTEST_PREFIX and any(name.startswith(identity) for name in names)):
            return _whole(workspace, chapter)
    raise NotFound.of("rollout or act", identity, remedy="noria status")


def _entries(workspace: Workspace, deployment: str | None) -> list[Entry]:
    found = workspace.ledger.latest(limit=MOST, kinds=KINDS)[::-1]
    return [x for x in found if deployment in (None, getattr(x.event, "deployment", None))]


def _chapters(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries by what they tell of: those of a rollout together, the act that began one with it; all else alone. In the order of their beginnings."""
    chapters: dict[str, list[Entry]] = {}
    for entry in entries:
        key = _key(entry, chapters)
        chapters.setdefault(key, []).append(entry)
    return list(chapters.values())


def _key(entry: Entry, chapters: dict[str, list[Entry]]) -> str:
    event = entry.event
    match event:
        case e.RolloutStarted():
            # An act that began it is its first page.
            if entry.cause in chapters and isinstance(chapters[entry.cause][0].event, e.DeploymentChanged):
                chapters[event.rollout.id] = chapters.pop(entry.cause)
            return event.rollout.id
        case e.RolloutAdvanced() | e.RolloutPromoted() | e.RolloutRolledBack():
            return event.rollout_id or entry.id
        case _:
            return entry.id


def _name(chapter: Sequence[Entry]) -> str:
    rollout = _rollout_id(chapter)
    return rollout or chapter[0].id


def _rollout_id(chapter: Sequence[Entry]) -> str:
    for entry in chapter:
        event = entry.event
        if isinstance(event, e.RolloutStarted):
            return event.rollout.id
        if isinstance(event, e.RolloutAdvanced | e.RolloutPromoted | e.RolloutRolledBack) and event.rollout_id:
            return event.rollout_id
    return ""


def _told(workspace: Workspace, chapter: Sequence[Entry]) -> Delivery:
    if _rollout_id(chapter) or isinstance(chapter[0].event, e.RolloutPromoted):
        return _of_rollout(workspace, chapter)
    return _of_act(chapter[0])


def _of_act(entry: Entry) -> Delivery:
    """What a person did that is no rollout: it was over as it began."""
    event = entry.event
    variants: tuple[Variant, ...] = ()
    differences: tuple[str, ...] = ()
    number: int | None
    match event:
        case e.DeploymentRolledBack():
            kind, tone, number = "rolled_back", "warn", event.number
            headline = f"version {event.previous} was taken back by hand, {event.number} answers alone"
        case e.DeploymentStopped():
            kind, tone, number = "stopped", "bad", event.number
            answers = "nobody answers" if number is None else f"version {number} answers alone"
            headline = f"stopped: {answers}, and the loop leaves it alone"
        case e.DeploymentResumed():
            kind, tone, number = "resumed", "ok", event.number
            headline = f"goes on with version {event.number}"
        case e.DeploymentChanged():
            variants, differences = event.variants, event.differences
            kind, tone, number = "changed", "ok", next((v.number for v in variants if v.name == "champion"), None)
            headline = "declared anew: " + ("; ".join(differences) or "what answers was changed")
        case _:
            raise AssertionError(f"{kind_of(event)} is no act")
    return Delivery(
        id=entry.id,
        deployment=event.deployment,
        kind=kind,  # type: ignore[arg-type]
        outcome="done",
        tone=tone,  # type: ignore[arg-type]
        headline=headline,
        reason=event.reason,
        actor=entry.actor,
        began=entry.at,
        ended=entry.at,
        generation=event.generation,
        number=number,
        previous=event.previous if isinstance(event, e.DeploymentRolledBack) else None,
        differences=differences,
        variants=variants,
    )


def _of_rollout(workspace: Workspace, chapter: Sequence[Entry]) -> Delivery:
    first, last = chapter[0], chapter[-1]
    started = next((x.event for x in chapter if isinstance(x.event, e.RolloutStarted)), None)
    closed = last.event if isinstance(last.event, e.RolloutPromoted | e.RolloutRolledBack) else None
    rollout = started.rollout if started else None
    verdict = closed.verdict if closed is not None else None
    kept = looks.kept(workspace.blobs, rollout.id) if rollout is not None and verdict is None else ()
    newest = kept[-1] if kept else None
    behind = _behind(workspace, first)
    outcome: Outcome = "running" if closed is None else "rolled_back"
    if isinstance(closed, e.RolloutPromoted):
        outcome = "promoted"
    number, previous = _numbers(rollout, closed)
    tones: dict[Outcome, Tone] = {"running": "busy", "promoted": "ok", "rolled_back": "warn"}
    return Delivery(
        id=_name(chapter),
        deployment=getattr(first.event, "deployment", ""),
        kind="first" if previous is None else "rollout",
        outcome=outcome,
        tone=tones[outcome],
        headline=headline(rollout, outcome, number=number, previous=previous),
        reason=verdict.reason if verdict is not None else _so_far(newest, is_first=previous is None),
        actor=last.actor if closed is not None else first.actor,
        began=first.at,
        ended=last.at if closed is not None else None,
        generation=getattr(last.event, "generation", 0),
        model=behind.model,
        number=number,
        previous=previous,
        approved_by=behind.approved_by,
        asked=behind.asked,
        trigger=behind.trigger,
        bounds=behind.bounds,
        rollout=rollout,
        verdict=verdict,
        objectives=_objectives(rollout, verdict, newest),
        moves=_moves(chapter),
        expected=_expected(rollout.outlook) if rollout is not None and rollout.outlook is not None else "",
        took=_took(verdict, newest, began=first.at, ended=last.at if closed is not None else None),
        gates=behind.gates,
        variants=started.variants if started else (),
    )


def _numbers(
    rollout: Rollout | None, closed: e.RolloutPromoted | e.RolloutRolledBack | None
) -> tuple[int | None, int | None]:
    """The version that was let in, and the one that answered before it."""
    if rollout is not None:
        return rollout.challenger, rollout.champion
    if isinstance(closed, e.RolloutPromoted):
        return closed.number, closed.previous
    return (closed.number, closed.champion) if closed is not None else (None, None)


MODES = {"canary": "canary", "ab": "A/B test", "shadow": "shadow", "bandit": "bandit"}


def headline(rollout: Rollout | None, outcome: Outcome, *, number: int | None, previous: int | None) -> str:
    """What happened, in a sentence.

    >>> headline(None, "promoted", number=1, previous=None)
    'version 1 is the first that answers'
    """
    if previous is None:
        return f"version {number} is the first that answers"
    how = MODES[rollout.plan.mode] if rollout is not None else "rollout"
    if outcome == "running":
        return f"version {number} is being tried beside {previous} ({how})"
    if outcome == "promoted":
        return f"version {number} became champion after {previous} ({how})"
    return f"version {number} was rolled back, {previous} answers ({how})"


def _so_far(newest: RolloutLook | None, *, is_first: bool) -> str:
    if is_first:
        return "nothing answered under this name before"
    return newest.reason if newest is not None and newest.reason else "evidence is being gathered"


class _Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What led to a rollout, picked from its causes."""

    model: str = ""
    approved_by: str = ""
    asked: str = ""
    trigger: str = ""
    bounds: tuple[Bound, ...] = ()
    gates: GateReport | None = None


def _behind(workspace: Workspace, first: Entry) -> _Behind:
    found: dict[str, object] = {"model": getattr(first.event, "model", "")}
    for entry in causes(workspace.ledger, first.id):
        match entry.event:
            case e.RetrainRequested():
                found |= {"asked": entry.event.reason, "trigger": entry.event.trigger, "bounds": entry.event.bounds}
            case e.GatesPassed():
                found |= {"gates": entry.event.report, "model": entry.event.model}
            case e.ModelVersionApproved():
                found |= {"approved_by": entry.event.by, "model": entry.event.model}
            case e.DeploymentChanged():
                found |= {"asked": entry.event.reason, "trigger": "hand", "model": entry.event.model}
                found["approved_by"] = entry.actor
    return _Behind(**found)  # type: ignore[arg-type]


def _objectives(rollout: Rollout | None, verdict: Verdict | None, newest: RolloutLook | None) -> tuple[Judged, ...]:
    """What was judged, as it was last seen; of a verdict that knew one difference only, that one."""
    told = verdict if verdict is not None else newest
    if told is None or rollout is None:
        return ()
    if told.objectives or told.difference is None:
        return told.objectives
    limit = rollout.plan.tolerance
    found = told.difference
    outcome = "kept" if found.high <= limit else "broken" if found.low > limit else "open"
    return (Judged(measure="quality", outcome=outcome, reason=told.reason, value=found, limit=limit),)  # type: ignore[arg-type]


def _moves(chapter: Sequence[Entry]) -> tuple[Move, ...]:
    moves = []
    for entry in chapter:
        event = entry.event
        if isinstance(event, e.RolloutStarted | e.RolloutAdvanced):
            tried = next((v for v in event.variants if v.name == "challenger"), None)
            began = isinstance(event, e.RolloutStarted)
            moves.append(
                Move(
                    at=entry.at,
                    share=tried.weight if tried else 0.0,
                    step=event.rollout.step if isinstance(event, e.RolloutStarted) else event.step,
                    reason="it began" if began else getattr(event, "reason", ""),
                    shadow=tried.shadow if tried else False,
                )
            )
    return tuple(moves)


def _expected(outlook: Outlook) -> str:
    days = f" in {outlook.days:.1f} days" if math.isfinite(outlook.days) else ""
    told = f"about {outlook.labels:,} labels{days}, {outlook.power:.0%} sure to see an effect of {outlook.effect:g}"
    return f"{told}; {outlook.note}" if outlook.note else told


def _took(verdict: Verdict | None, newest: RolloutLook | None, *, began: datetime, ended: datetime | None) -> str:
    counted = verdict if verdict is not None else newest
    if counted is None:
        return ""
    until = ended if ended is not None else newest.at if newest is not None else began
    days = (until - began).total_seconds() / 86400
    labels = f"{counted.challenger_labels:,} labels of the challenger, {counted.champion_labels:,} of the champion"
    return f"{labels}, {days:.1f} days" + ("" if ended is not None else " so far")


def _whole(workspace: Workspace, chapter: Sequence[Entry]) -> DeliveryStory:
    told = _told(workspace, chapter)
    ours = {entry.id for entry in chapter}
    before = [entry for entry in causes(workspace.ledger, chapter[0].id) if entry.id not in ours]
    last = chapter[-1]
    after = [x for x in workspace.ledger.read(after=last.seq, limit=200) if x.cause in ours]
    return DeliveryStory(
        delivery=told,
        curves=_curves(workspace, told),
        led=tuple(said(entry) for entry in before),
        followed=tuple(said(entry) for entry in [*chapter, *after]),
    )


def said(entry: Entry) -> Told:
    """An entry of the ledger in a sentence."""
    return Told(
        seq=entry.seq,
        id=entry.id,
        kind=kind_of(entry.event),
        at=entry.at,
        actor=entry.actor,
        sentence=sentence(entry.event),
    )


def _curves(workspace: Workspace, told: Delivery) -> tuple[Curve, ...]:
    if told.rollout is None:
        return ()
    found: dict[tuple[Measure, str], tuple[float, list[Point]]] = {}
    for look in looks.kept(workspace.blobs, told.rollout.id):
        for judged in _objectives(told.rollout, None, look):
            if judged.value is None:
                continue
            key = (judged.measure, judged.name)
            points = found.setdefault(key, (judged.limit, []))[1]
            value = judged.value
            points.append(
                Point(at=look.at, value=_finite(value.value), low=_finite(value.low), high=_finite(value.high))
            )
    order = {(judged.measure, judged.name): place for place, judged in enumerate(told.objectives)}
    return tuple(
        Curve(measure=key[0], name=key[1], limit=limit, points=tuple(points))
        for key, (limit, points) in sorted(found.items(), key=lambda item: order.get(item[0], len(order)))
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
