"""The deployments port: what answers under which name."""

from typing import Protocol

from noria.domain.deployment import Deployment, Rollout


class DeploymentStore(Protocol):
    """Deployments, each with all its past generations. Thread-safe, durable when answered."""

    def put(self, deployment: Deployment) -> Deployment:
        """Write the next generation. Its generation must be the stored one plus 1 (1 for a new name); the same content again is a no-op.

        Raises StaleWrite if somebody else wrote that generation first.
        """
        ...

    def get(self, name: str) -> Deployment:
        """The newest generation. Raises NotFound."""
        ...

    def at_generation(self, name: str, generation: int) -> Deployment:
        """A past state. Raises NotFound."""
        ...

    def all(self) -> list[Deployment]:
        """The newest generation of each, by name."""
        ...

    def history(self, name: str) -> list[Deployment]:
        """All generations, oldest first."""
        ...

    def rollouts(self, name: str) -> list[Rollout]:
        """Every rollout of a deployment in its latest known state, oldest first."""
        ...
