"""A workspace in whose ledger a test writes what was done to a deployment."""

from datetime import UTC, datetime, timedelta

import noria
from noria.domain import events as e
from noria.domain.deployment import CanaryPlan, Deployment, Judged, Outlook, Rollout, Variant, Verdict
from noria.domain.ids import Digest, EventId, RolloutId
from noria.domain.interval import Interval
from noria.domain.ledger import Draft, Entry
from noria.domain.policy import Bound

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAME, MODEL = "churn", "churn"


def a_variant(name: str, number: int, weight: float) -> Variant:
    return Variant(name=name, model=MODEL, number=number, version=f"{number}.0.0", bundle=Digest("b"), weight=weight)


SPLIT = (a_variant("champion", 1, 0.9), a_variant("challenger", 2, 0.1))
ROLLOUT = Rollout(
    id=RolloutId("r1"),
    challenger=2,
    champion=1,
    plan=CanaryPlan(),
    started_at=NOW,
    cause=EventId("e0"),
    outlook=Outlook(effect=0.01, power=0.8, labels=2400, days=3.1, labels_per_day=770),
)


def a_verdict(outcome: str = "promote", high: float = 0.004) -> Verdict:
    found = Interval(value=-0.01, low=-0.02, high=high, n=900)
    judged = Judged(measure="quality", outcome="kept", reason="surely not worse", value=found, limit=0.005)
    return Verdict(
        outcome=outcome,  # type: ignore[arg-type]
        reason="surely not worse",
        difference=found,
        champion_labels=1800,
        challenger_labels=600,
        objectives=(judged,),
    )


class Book:
    """A workspace in whose ledger a test writes."""

    def __init__(self, workspace: noria.Workspace) -> None:
        self.workspace = workspace
        self.count = 0
        workspace.deployments.put(
            Deployment(name=NAME, model=MODEL, generation=1, variants=(a_variant("champion", 1, 1.0),), updated_at=NOW)
        )

    def tell(self, event: e.AnyEvent, *, cause: Entry | None = None, actor: str = "noria", hours: float = 0) -> Entry:
        self.count += 1
        at = NOW + timedelta(hours=hours)
        draft = Draft(id=EventId(f"e{self.count}"), at=at, actor=actor, event=event, cause=cause.id if cause else None)
        return self.workspace.ledger.append([draft])[0]

    def asked(self) -> Entry:
        bounds = (Bound(name="budget_per_year", limit=8, found=2, kept=True),)
        return self.tell(
            e.RetrainRequested(
                deployment=NAME, model=MODEL, reason="it decayed", trigger="decay", data_until=NOW, bounds=bounds
            )
        )

    def started(self) -> Entry:
        approved = e.ModelVersionApproved(deployment=NAME, model=MODEL, number=2, by="anna", reason="looks fine")
        cause = self.tell(approved, cause=self.asked())
        return self.tell(e.RolloutStarted(deployment=NAME, rollout=ROLLOUT, variants=SPLIT, generation=2), cause=cause)
