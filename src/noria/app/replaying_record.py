"""What the ledger recorded of one deployment's retrainings, read once: what was given, what was decided, what came of it. Called by app/replaying."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

from noria.app.workspace import Workspace
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Entry
from noria.errors import NotFound
from noria.wire.tables import open_table

GIVEN = (e.AlertOpened, e.AlertResolved, e.TriggerFired, e.DeploymentStopped, e.DeploymentResumed, e.DeploymentDeclared)
"""What comes from the world and from people, whatever the policy; retrainings that a person asked for besides."""
ENDINGS = (e.RunFailed, e.GatesFailed, e.RolloutPromoted, e.RolloutRolledBack, e.StageFailed)
USUAL_LAG = timedelta(days=7)
"""From asking for a training to its version answering for all, where the record shows none."""
WORDS = {
    "RunFailed": "the training failed",
    "GatesFailed": "refused by a gate",
    "RolloutPromoted": "promoted",
    "RolloutRolledBack": "rolled back",
    "StageFailed": "a stage failed",
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a retraining: in a word, and when. kind: the event that ended it, '' while none has."""

    at: datetime
    kind: str

    @property
    def word(self) -> str:
        """For people."""
        return WORDS.get(self.kind, "under way")


class Record:
    """One deployment's share of the ledger, and the moments at which its labels came."""

    def __init__(self, workspace: Workspace, deployment: str) -> None:
        entries = workspace.ledger.read(limit=10_000_000)
        self.deployment = deployment
        self.entries = [x for x in entries if getattr(x.event, "deployment", None) == deployment]
        if not self.entries:
            known = sorted({x.event.deployment for x in entries if isinstance(x.event, e.DeploymentDeclared)})
            raise NotFound.of("deployment in the ledger", deployment, known)
        self.began = self.entries[0].at
        self.ended = self.entries[-1].at
        self._roots = _roots(entries)
        self.requests = [x for x in self.entries if isinstance(x.event, e.RetrainRequested)]
        self.suppressed = [x for x in self.entries if isinstance(x.event, e.RetrainSuppressed)]
        self.runs = [x for x in self.entries if isinstance(x.event, e.RunFinished)]
        self._ends = self._endings(entries)
        self._label_at = _label_times(workspace, deployment)

    @property
    def model(self) -> str:
        """The model that is deployed."""
        return next((str(x.event.model) for x in self.entries if isinstance(x.event, e.DeploymentDeclared)), "")

    def given(self) -> list[Entry]:
        """What would have happened under any policy, in order: alerts, their ends, triggers, stops, requests by hand.

        An alert that is over because another version answers is no such thing: under another policy none might.
        """
        found = []
        champion: int | None = None
        of_alert = {x.event.alert.id: x.event.alert.number for x in self.entries if isinstance(x.event, e.AlertOpened)}
        for entry in self.entries:
            event = entry.event
            if isinstance(event, e.RolloutPromoted):
                champion = event.number
            if isinstance(event, e.AlertResolved) and of_alert.get(event.alert_id) != champion:
                continue
            if isinstance(event, GIVEN) or (isinstance(event, e.RetrainRequested) and event.trigger == "hand"):
                found.append(entry)
        return found

    def outcome(self, request: Entry) -> Outcome:
        """What became of a recorded retraining."""
        return self._ends.get(request.id, Outcome(at=request.at, kind=""))

    def run_of(self, request: Entry) -> e.RunFinished | None:
        """The training that a request led to, if it ended."""
        return next(
            (x.event for x in self.runs if self._roots.get(x.id) == request.id and isinstance(x.event, e.RunFinished)),
            None,
        )

    def lag(self) -> timedelta:
        """How long it usually took from asking to answering for all: the median of what is recorded, the first version left out."""
        took = [
            (self.outcome(x).at - x.at).total_seconds()
            for x in self.requests[1:]
            if self.outcome(x).kind == "RolloutPromoted"
        ]
        return timedelta(seconds=median(took)) if took else USUAL_LAG

    def rows_by(self, at: datetime) -> int:
        """How many labelled rows a training on everything would have had at a moment."""
        if not self.runs:
            return self.labels_by(at)
        first = self.runs[0].event
        assert isinstance(first, e.RunFinished)
        return first.rows + self.labels_by(at) - self.labels_by(first.window.known_by)

    def labels_by(self, at: datetime) -> int:
        """How many labels of answers had come by then."""
        return int(np.searchsorted(self._label_at, np.datetime64(at.replace(tzinfo=None), "us"), side="right"))

    def _endings(self, entries: Iterable[Entry]) -> dict[EventId, Outcome]:
        found: dict[EventId, Outcome] = {}
        for entry in entries:
            root = self._roots.get(entry.id)
            if root is not None and isinstance(entry.event, ENDINGS):
                found[root] = Outcome(at=entry.at, kind=type(entry.event).__name__)
        return found


def _roots(entries: Sequence[Entry]) -> dict[EventId, EventId]:
    """For each event that follows from a retraining, which one that is. A request that follows from an alert is its own."""
    found: dict[EventId, EventId] = {}
    for entry in entries:
        if isinstance(entry.event, e.RetrainRequested):
            found[entry.id] = entry.id
        elif entry.cause is not None and entry.cause in found:
            found[entry.id] = found[entry.cause]
    return found


def _label_times(workspace: Workspace, deployment: str) -> NDArray[np.datetime64]:
    joined = open_table(
        workspace.predictions.joined(deployment, known_by=workspace.clock.now(), columns=["label", "label_at"])
    )
    if "label_at" not in joined.columns:
        return np.zeros(0, dtype="datetime64[us]")
    known = joined["label_at"].drop_nulls().dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    return np.sort(known)
