"""The loop of one workspace: recipes declared, reactor composed. Called by the SDK (`noria.declare`, `noria.Loop`), `noria up` and the demo."""

from collections.abc import Callable, Sequence
from time import perf_counter, time

from noria.app.alerting_run import courier_of
from noria.app.begin import begin
from noria.app.workspace import Workspace
from noria.domain.events import DatasetVersionCreated, DeploymentDeclared
from noria.domain.ids import EventId, derive, digest_of
from noria.domain.ledger import Draft, Entry
from noria.domain.pipeline import StepResult
from noria.errors import NotFound
from noria.loop.context import Context, Recipe
from noria.loop.reactor import Reactor
from noria.loop.wheel import TICKS, WHEEL


class Loop:
    """Turns the wheel of a workspace for the recipes it was given. tell: whether receivers hear of alerts from here; a server tells them by itself.

    >>> with Workspace.ephemeral("sketch") as workspace:
    ...     Loop(workspace, []).turn()
    0
    """

    def __init__(
        self,
        workspace: Workspace,
        recipes: Sequence[Recipe],
        *,
        on_step: Callable[[StepResult], None] = lambda _: None,
        tell: bool = True,
    ) -> None:
        self.workspace = workspace
        self.context = Context(
            project=workspace.project,
            home=workspace.home,
            clock=workspace.clock,
            ledger=workspace.ledger,
            runs=workspace.runs,
            models=workspace.models,
            deployments=workspace.deployments,
            journal=workspace.journal,
            counts=workspace.counts,
            blobs=workspace.blobs,
            tables=workspace.tables,
            predictions=workspace.predictions,
            executor=workspace.executor,
            flavors=workspace.flavors,
            recipes={recipe.deployment: recipe for recipe in recipes},
            on_step=on_step,
            on_look=workspace.looks.keep,
        )
        self._reactor = Reactor(self.context, stages=WHEEL, ticks=TICKS)
        self._courier = courier_of(workspace) if tell else None

    def turn(self) -> int:
        """Work through all events that stand in the ledger; gives how many."""
        return self._reactor.turn()

    def tick(self) -> int:
        """Watch, judge and review as of now, turn, and tell receivers of alerts, unless a server beside does that."""
        began = perf_counter()
        try:
            brought = self._reactor.tick()
        finally:
            telemetry = self.workspace.telemetry
            telemetry.observe("noria_tick_seconds", perf_counter() - began)
            telemetry.set("noria_tick_timestamp_seconds", time())
        if self._courier is not None:
            self._courier.round()
            self._courier.release()
        return brought


def declare(workspace: Workspace, recipe: Recipe, *, actor: str = "noria") -> Entry:
    """Declare a deployment: from here on the loop trains, gates, deploys and watches it. Declaring the same again changes nothing.

    The declaration's digest covers the base data, gates, canary, policy, candidates and features, so a change of any of them is a new event.
    """
    first = begin(workspace, actor=actor)
    base = workspace.tables.version(recipe.base)
    candidates = [(c.name, sorted(c.params.items())) for c in recipe.candidates.values()]
    parts = (
        recipe.base,
        recipe.features,
        recipe.gates,
        recipe.policy,
        recipe.canary,
        recipe.slices,
        recipe.approval,
        recipe.seed,
        candidates,
    )
    digest = digest_of(repr(parts).encode())
    data = DatasetVersionCreated(
        dataset=base.dataset,
        number=base.number,
        digest=base.digest,
        rows=base.rows,
        passed=base.expectations is None or base.expectations.passed,
        quarantined=base.expectations.quarantined if base.expectations else 0,
        parents=base.parents,
    )
    event = DeploymentDeclared(deployment=recipe.deployment, model=recipe.model, declaration=digest)
    now = workspace.clock.now()
    # By content, not by name: the same rows may come to stand under a second name, and are still the data that was told of.
    data_id = EventId(derive("dataset", base.digest))
    declared = EventId(derive("declare", recipe.deployment, digest))
    drafts = [Draft(id=declared, at=now, actor=actor, event=event, cause=data_id)]
    if not _stands(workspace, data_id):
        drafts.insert(0, Draft(id=data_id, at=now, actor=actor, event=data, cause=first.id))
    return workspace.ledger.append(drafts)[-1]


def _stands(workspace: Workspace, event_id: EventId) -> bool:
    try:
        workspace.ledger.get(event_id)
    except NotFound:
        return False
    return True
