"""What a rollout can show, told before anybody starts it: `noria plan`, `noria deploy --dry-run`, and the event of its start.

Measuring how labels come is loop/stages/rollout_outlook, the simulation serving/outlook. Called by app/deploying.
"""

from msgspec.structs import replace

from noria.app.turn import Loop
from noria.app.workspace import Workspace
from noria.domain.deployment import CanaryPlan, Deployment, Outlook, Variant
from noria.domain.ids import EventId
from noria.loop.stages.rollout_outlook import outlook_of
from noria.serving.acts import without_challenger
from noria.serving.rollout import begin


def outlook_for(workspace: Workspace, standing: Deployment, challenger: Variant, plan: CanaryPlan) -> Outlook | None:
    """What trying this challenger by this plan can show, by how labels came in the last fourteen days; nothing is written.

    A rollout that runs counts as over. Raises InputInvalid for a plan that cannot be.
    """
    now = workspace.clock.now()
    free = replace(standing, rollout=None, variants=without_challenger(standing.variants))
    begun = begin(free, challenger, plan, cause=EventId("outlook"), now=now)
    return outlook_of(Loop(workspace, [], tell=False).context, begun, now=now)
