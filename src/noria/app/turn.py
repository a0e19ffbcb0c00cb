"""The loop of one workspace: recipes declared, reactor composed. Called by the SDK (`noria.declare`, `noria.Loop`), `noria up` and the demo."""

import logging
from collections.abc import Callable, Sequence
from time import perf_counter, time

from noria.app.alerting_run import courier_of
from noria.app.begin import begin
from noria.app.deploying_acts import complete_all
from noria.app.deploying_recipes import Recipes
from noria.app.workspace import Workspace
from noria.domain.events import DatasetVersionCreated, DeploymentDeclared, RolloutPromoted
from noria.domain.ids import EventId, derive, digest_of
from noria.domain.ledger import Cursor, Draft, Entry
from noria.domain.pipeline import StepResult
from noria.errors import NoriaError, NotFound
from noria.loop.context import Context, Recipe
from noria.loop.firing import check
from noria.loop.reactor import Reactor
from noria.loop.stages.promote import promote
from noria.loop.wheel import TICKS, WHEEL

HANDS = "hands"
"""The reader of the ledger that only follows what people began."""

log = logging.getLogger(__name__)


class Loop:
    """Turns the wheel of a workspace for the recipes it was given. tell: whether receivers hear of alerts from here; a server tells them by itself.

    Two of them over one workspace, in one process or in several, do each thing once; who is to spare the work leads by a lease (app/leading).
    Raises SettingInvalid for a trigger that cannot be.

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
        for recipe in recipes:
            check(recipe.triggers, deployment=recipe.deployment)
        self.workspace = workspace
        self.recipes = Recipes(workspace, recipes)
        self._told: dict[str, int] = {}
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
            recipes=self.recipes,
            on_step=on_step,
            on_look=workspace.looks.keep,
        )
        self._reactor = Reactor(self.context, stages=WHEEL, ticks=TICKS)
        self._hands = Reactor(
            self.context, stages={RolloutPromoted: promote}, ticks={"judge": TICKS["judge"]}, name=HANDS
        )
        self._courier = courier_of(workspace) if tell else None

    def turn(self) -> int:
        """Work through all events that stand in the ledger; gives how many."""
        self._take_over()
        return self._reactor.turn()

    def tick(self) -> int:
        """Watch, judge and review as of now, turn, and tell receivers of alerts, unless a server beside does that."""
        began = perf_counter()
        try:
            self._take_over()
            complete_all(self.workspace, told=self._told)
            brought = self._reactor.tick()
        finally:
            telemetry = self.workspace.telemetry
            telemetry.observe("noria_tick_seconds", perf_counter() - began)
            telemetry.set("noria_tick_timestamp_seconds", time())
        if self._courier is not None:
            self._courier.round()
            self._courier.release()
        return brought

    def is_needed(self) -> bool:
        """Whether there is anything to turn for: a recipe, or a deployment that people made. False while the store is away."""
        try:
            self._take_over()
            return bool(self.recipes) or bool(self.workspace.deployments.all())
        except NoriaError as error:
            log.error("what is declared cannot be read: %s", error)
            return False

    def stroke(self) -> int:
        """A tick; or, while no recipe is declared here, only what people began: rollouts are judged, acts that a crash left half are made whole.

        The wheel is then left to whoever has the recipes: a loop without them could only fail at its events.
        """
        self._take_over()
        if self.recipes:
            return self.tick()
        complete_all(self.workspace, told=self._told)
        ledger = self.workspace.ledger
        if ledger.cursor(HANDS).seq == 0:
            ledger.append([], advance=Cursor(name=HANDS, seq=ledger.head().seq))
        return self._hands.tick()

    def _take_over(self) -> None:
        """What was declared since the last stroke; the data of a recipe that a file names are told of as those of one that code gives."""
        if not self.recipes.refresh():
            return
        for recipe in self.recipes.read():
            try:
                _told_of_data(self.workspace, recipe, actor="noria")
            except NotFound as error:
                log.error("the data of deployment %s are not there: %s", recipe.deployment, error)


def declare(workspace: Workspace, recipe: Recipe, *, actor: str = "noria") -> Entry:
    """Declare a deployment: from here on the loop trains, gates, deploys and watches it. Declaring the same again changes nothing.

    The declaration's digest covers the base data, gates, canary, policy, candidates and features, so a change of any of them is a new event.
    """
    data_id = _told_of_data(workspace, recipe, actor=actor)
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
    event = DeploymentDeclared(deployment=recipe.deployment, model=recipe.model, declaration=digest)
    declared = EventId(derive("declare", recipe.deployment, digest))
    draft = Draft(id=declared, at=workspace.clock.now(), actor=actor, event=event, cause=data_id)
    return workspace.ledger.append([draft])[0]


def _told_of_data(workspace: Workspace, recipe: Recipe, *, actor: str) -> EventId:
    """The event of the labelled table that a recipe begins with, written if it does not stand yet."""
    first = begin(workspace, actor=actor)
    base = workspace.tables.version(recipe.base)
    # By content, not by name: the same rows may come to stand under a second name, and are still the data that was told of.
    data_id = EventId(derive("dataset", base.digest))
    if _stands(workspace, data_id):
        return data_id
    data = DatasetVersionCreated(
        dataset=base.dataset,
        number=base.number,
        digest=base.digest,
        rows=base.rows,
        passed=base.expectations is None or base.expectations.passed,
        quarantined=base.expectations.quarantined if base.expectations else 0,
        parents=base.parents,
    )
    draft = Draft(id=data_id, at=workspace.clock.now(), actor=actor, event=data, cause=first.id)
    workspace.ledger.append([draft])
    return data_id


def _stands(workspace: Workspace, event_id: EventId) -> bool:
    try:
        workspace.ledger.get(event_id)
    except NotFound:
        return False
    return True
