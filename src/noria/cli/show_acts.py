"""One line on what answers under a name now. Called by the commands that change it."""

from noria.domain.deployment import Deployment


def answers(deployment: Deployment) -> str:
    """What callers get from here on."""
    if deployment.stopped is not None and deployment.stopped.number is None:
        return f"{deployment.name} is stopped: nobody answers; callers get 503 with the reason"
    shares = ", ".join(
        f"version {v.number} {'in the shadow of' if v.shadow else 'with'} {v.weight:.0%}" for v in deployment.variants
    )
    state = "is stopped, " if deployment.stopped is not None else ""
    return f"{deployment.name} {state}answers: {shares} (generation {deployment.generation})"
