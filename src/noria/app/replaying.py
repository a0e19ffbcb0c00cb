"""What another policy would have done over recorded history: which retrainings it asks for and refuses, and why, beside what was done.

The rules are those of the wheel, run over a copy of the ledger in which a training is not made but assumed; nothing of the project is written.
Training for real and scoring the answers is app/replaying_fit. Called by `noria replay`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec

from noria.app.reliving import PastClock
from noria.app.replaying_record import Outcome, Record
from noria.app.turn import Loop
from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.deployment import Deployment, Stop
from noria.domain.ids import AlertId, Digest, EventId, RunId, derive
from noria.domain.ledger import Cursor, Draft, Entry
from noria.domain.policy import Bound, Policy, TrainingWindow
from noria.errors import InputInvalid
from noria.loop.context import Context, Recipe, Timed
from noria.loop.reactor import Reactor, Stage
from noria.loop.wheel import TICKS, WHEEL

DECIDING = (e.DeploymentDeclared, e.AlertOpened, e.TriggerFired)
"""Rows of the wheel that decide; the rest of it is assumed."""
NAME = "replay"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining that was asked for. outcome: what became of it, as recorded, or as assumed where the record has no such training."""

    at: datetime
    trigger: str
    reason: str
    outcome: str = ""
    bounds: tuple[Bound, ...] = ()
    both: bool = False
    """Whether the record and the replay have it at the same stroke of the clock."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining that was not asked for, and why."""

    at: datetime
    trigger: str
    reason: str


class PolicyReplay(msgspec.Struct, frozen=True, kw_only=True):
    """A policy over recorded history. asked, refused: of the replay; done, denied: of the record.

    parts_at: when the two first differ: what is replayed after that rests on alerts about a champion that the replay would not have had.
    """

    deployment: str
    since: datetime
    until: datetime
    policy: Policy
    asked: tuple[Asked, ...]
    refused: tuple[Refused, ...]
    done: tuple[Asked, ...]
    denied: tuple[Refused, ...]
    labels: int
    parts_at: datetime | None = None
    notes: tuple[str, ...] = ()


def replay_policy(
    workspace: Workspace,
    deployment: str,
    policy: Policy,
    *,
    recipe: Recipe | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    stroke: timedelta = timedelta(days=1),
) -> PolicyReplay:
    """Run the deciding half of the wheel under `policy` over what is recorded, from `since` (the declaration) until `until` (the last event).

    recipe: the project's, if it is at hand: decisions then know whatever else it declares. stroke: how often the loop's clock is taken to have
    struck. Raises NotFound for a deployment that the ledger does not know, InputInvalid for a stretch without an end.
    """
    record = Record(workspace, deployment)
    since, until = max(since or record.began, record.began), until or record.ended
    if since >= until:
        raise InputInvalid(
            f"nothing is recorded between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M} UTC",
            cause=f"the record of {deployment!r} runs from {record.began:%Y-%m-%d} to {record.ended:%Y-%m-%d}",
            remedy="choose another --since or --until",
        )
    declared = replace(recipe or _bare(record), policy=policy)
    with Workspace.ephemeral(workspace.project, clock=PastClock(since)) as copy:
        run = _Run(workspace, copy, record, declared, since=since)
        for at in _moments(since, until, stroke):
            run.stroke(at)
        entries = copy.ledger.read(after=run.before, limit=10_000_000)
    asked = [x for x in entries if isinstance(x.event, e.RetrainRequested)]
    done = [x for x in record.requests if since <= x.at <= until]
    shared = _shared(asked, done, stroke)
    return PolicyReplay(
        deployment=deployment,
        since=since,
        until=until,
        policy=policy,
        asked=tuple(_asked(x, run.outcomes.get(x.id, ""), both=x.id in shared) for x in asked),
        refused=tuple(_refused(x) for x in entries if isinstance(x.event, e.RetrainSuppressed)),
        done=tuple(_asked(x, record.outcome(x).word, both=x.id in shared.values()) for x in done),
        denied=tuple(_refused(x) for x in record.suppressed if since <= x.at <= until),
        labels=record.labels_by(until) - record.labels_by(since),
        parts_at=min(
            (x.at for x in (*asked, *done) if x.id not in shared and x.id not in shared.values()), default=None
        ),
        notes=run.notes(),
    )


class _Run:
    """The copy of the ledger, and the wheel that turns over it. outcomes: of each retraining asked for, in words."""

    def __init__(
        self, original: Workspace, copy: Workspace, record: Record, recipe: Recipe, *, since: datetime
    ) -> None:
        self.record, self.recipe = record, recipe
        self.ledger, self.deployments = copy.ledger, copy.deployments
        self.clock = copy.clock
        self._generations = original.deployments.history(record.deployment)
        self.outcomes: dict[EventId, str] = {}
        self._due: list[tuple[datetime, e.AnyEvent, EventId]] = []
        self._matched: set[EventId] = set()
        self._assumed = 0
        self._given = [x for x in record.given() if x.at >= since]
        context = replace(
            Loop(original, [recipe], tell=False).context,
            ledger=copy.ledger,
            deployments=copy.deployments,
            clock=copy.clock,
            recipes={recipe.deployment: recipe},  # whatever else is declared: this policy is tried
        )
        stages: dict[type, Stage] = {e.RetrainRequested: self._assume}
        stages |= {kind: WHEEL[kind] for kind in DECIDING if kind in WHEEL}
        self._endings = Reactor(context, stages=stages, ticks={"outcomes": self._outcomes})
        # Watching and judging are on record, and so is what fires a trigger.
        self._review = Reactor(context, stages=stages, ticks={k: tick for k, tick in TICKS.items() if k == "review"})
        past = [x for x in record.entries if x.at < since]
        self._write(past)
        self.before = self.ledger.head().seq
        self.ledger.append([], advance=Cursor(name="wheel", seq=self.before))
        if any(isinstance(x.event, e.RolloutPromoted) for x in past):
            self._answer(since)

    def stroke(self, at: datetime) -> None:
        """What is given up to this moment, then what the clock asks for."""
        while self._given and self._given[0].at <= at:
            entry = self._given.pop(0)
            self._move(entry.at)
            self._endings.tick()
            self._write([entry])
            self._follow(entry)
            self._endings.turn()
        self._move(at)
        self._endings.tick()
        self._review.tick()

    def notes(self) -> tuple[str, ...]:
        """What the replay had to take for granted."""
        if not self._assumed:
            return ()
        days = self.record.lag().total_seconds() / 86400
        return (
            f"{self._assumed} retrainings are not on record; they are taken to have learnt from all labels and to be promoted after {days:.1f} days",
        )

    def _move(self, at: datetime) -> None:
        assert isinstance(self.clock, PastClock)
        self.clock.move(at)

    def _write(self, entries: Sequence[Entry]) -> None:
        for x in entries:
            self.ledger.append([Draft(id=x.id, at=x.at, actor=x.actor, event=x.event, cause=x.cause)])

    def _assume(self, entry: Entry, context: Context) -> Sequence[e.AnyEvent]:
        """In place of a training: what became of it on record, or that it is promoted after the usual time."""
        request = entry.event
        assert isinstance(request, e.RetrainRequested)
        recorded = self._recorded(entry)
        if recorded is not None:
            outcome, run = self.record.outcome(recorded), self.record.run_of(recorded)
            self.outcomes[entry.id] = f"{outcome.word}, as recorded"
        else:
            outcome, run = Outcome(at=entry.at + self.record.lag(), kind="RolloutPromoted"), None
            self.outcomes[entry.id] = "promoted, as is assumed"
            self._assumed += 1
        if outcome.kind:
            self._due.append((max(outcome.at, entry.at), self._ending(entry, outcome), entry.id))
        if outcome.kind in ("", "RunFailed", "StageFailed"):
            return []
        return [run or self._finished(entry)]

    def _recorded(self, entry: Entry) -> Entry | None:
        """The retraining on record that this one is."""
        for x in self.record.requests:
            same = x.id == entry.id or (
                isinstance(x.event, e.RetrainRequested)
                and isinstance(entry.event, e.RetrainRequested)
                and x.event.trigger == entry.event.trigger
                and abs(x.at - entry.at) < timedelta(days=1)
            )
            if same and x.id not in self._matched:
                self._matched.add(x.id)
                return x
        return None

    def _finished(self, entry: Entry) -> e.RunFinished:
        window = TrainingWindow(choice="all", since=self.record.began, until=entry.at, known_by=entry.at)
        return e.RunFinished(
            deployment=self.recipe.deployment,
            model=self.recipe.model,
            run_id=RunId(derive(NAME, entry.id)),
            datasets=(),
            window=window,
            candidate=self.recipe.policy.candidates[0],
            rows=self.record.rows_by(entry.at),
        )

    def _ending(self, entry: Entry, outcome: Outcome) -> e.AnyEvent:
        if outcome.kind == "RolloutPromoted":
            number = 1 + sum(kind == "RolloutPromoted" for kind in self._kinds())
            return e.RolloutPromoted(
                deployment=self.recipe.deployment,
                model=self.recipe.model,
                number=number,
                previous=number - 1 or None,
                generation=number,
            )
        # Whatever refused it: nothing of it answers, and the next may be asked for.
        return e.RunFailed(
            deployment=self.recipe.deployment,
            model=self.recipe.model,
            run_id=RunId(derive(NAME, entry.id)),
            error=outcome.word,
        )

    def _kinds(self) -> list[str]:
        return [type(x.event).__name__ for x in self.ledger.read(limit=10_000_000, kinds=("RolloutPromoted",))]

    def _outcomes(self, context: Context) -> Sequence[Timed]:
        """What became of the retrainings, when their time has come. With a new champion the alerts about the former one are over."""
        now = self.clock.now()
        due = sorted((x for x in self._due if x[0] <= now), key=lambda x: x[0])
        self._due = [x for x in self._due if x[0] > now]
        timed = [Timed(key=f"{cause}-ended", event=event, cause=cause) for _, event, cause in due]
        for _, event, _ in due:
            if isinstance(event, e.RolloutPromoted):
                self._answer(now)
                timed += [
                    Timed(
                        key=f"{alert}-over",
                        event=e.AlertResolved(
                            deployment=self.recipe.deployment, alert_id=alert, reason="another version answers"
                        ),
                    )
                    for alert in self._open_alerts()
                ]
        return timed

    def _open_alerts(self) -> list[AlertId]:
        opened: list[AlertId] = []
        over: set[AlertId] = set()
        for x in self.ledger.read(limit=10_000_000, kinds=("AlertOpened", "AlertResolved")):
            if isinstance(x.event, e.AlertOpened):
                opened.append(x.event.alert.id)
            elif isinstance(x.event, e.AlertResolved):
                over.add(x.event.alert_id)
        return [alert for alert in opened if alert not in over]

    def _answer(self, at: datetime, *, stopped: Stop | None = None) -> None:
        """Something answers under the name: what did on record, as nobody else's answers are known."""
        held = [d.generation for d in self.deployments.all() if d.name == self.recipe.deployment]
        then = [d for d in self._generations if d.updated_at <= at] or self._generations[:1]
        self.deployments.put(
            Deployment(
                name=self.recipe.deployment,
                model=self.recipe.model,
                generation=held[0] + 1 if held else 1,
                variants=then[-1].variants if then else (),
                updated_at=at,
                stopped=stopped,
            )
        )

    def _follow(self, entry: Entry) -> None:
        """A stop switch that somebody pulled, or let go."""
        event = entry.event
        if isinstance(event, e.DeploymentStopped):
            stop = Stop(at=entry.at, actor=entry.actor, reason=event.reason, number=event.number)
            self._answer(entry.at, stopped=stop)
        elif isinstance(event, e.DeploymentResumed):
            self._answer(entry.at)


def _bare(record: Record) -> Recipe:
    """What deciding needs of a recipe, where the project's own is not at hand."""
    from noria.domain.dataset import Schema

    return Recipe(
        deployment=record.deployment,
        model=record.model,
        base=Digest(""),
        schema=Schema(columns=()),
        features=(),
        candidates={},
        gates=(),
    )


def _moments(since: datetime, until: datetime, stroke: timedelta) -> list[datetime]:
    """Strokes of the clock, and the end."""
    strokes = [since + stroke * i for i in range(int((until - since) / stroke) + 1)]
    return sorted({*strokes, until})


def _shared(asked: Sequence[Entry], done: Sequence[Entry], stroke: timedelta) -> dict[EventId, EventId]:
    """Which retraining of the replay is which on record: of the same trigger, at the same stroke."""
    found: dict[EventId, EventId] = {}
    for x in asked:
        for y in done:
            if y.id not in found.values() and abs(x.at - y.at) < stroke and _trigger(x) == _trigger(y):
                found[x.id] = y.id
                break
    return found


def _trigger(entry: Entry) -> str:
    assert isinstance(entry.event, e.RetrainRequested | e.RetrainSuppressed)
    return entry.event.trigger


def _asked(entry: Entry, outcome: str, *, both: bool) -> Asked:
    event = entry.event
    assert isinstance(event, e.RetrainRequested)
    return Asked(
        at=entry.at.astimezone(UTC),
        trigger=event.trigger,
        reason=event.reason,
        outcome=outcome,
        bounds=event.bounds,
        both=both,
    )


def _refused(entry: Entry) -> Refused:
    event = entry.event
    assert isinstance(event, e.RetrainSuppressed)
    return Refused(at=entry.at.astimezone(UTC), trigger=event.trigger, reason=event.reason)
