"""Deployments in memory. What may follow what is metadata/rules. Made by MemoryMetadata."""

from threading import RLock

from noria.adapters.metadata import rules
from noria.domain.deployment import Deployment, Rollout
from noria.errors import NotFound
from noria.wire.nouns import pack


class MemoryDeployments:
    """ports.deployments.DeploymentStore."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self.clear()

    def clear(self) -> None:
        """Back to the beginning."""
        self._generations: dict[str, list[Deployment]] = {}

    def put(self, deployment: Deployment) -> Deployment:
        pack(deployment)
        with self._lock:
            past = self._generations.get(deployment.name, [])
            number = deployment.generation
            same = past[number - 1] if 1 <= number <= len(past) else None
            if rules.next_generation(past[-1] if past else None, same, deployment):
                self._generations[deployment.name] = [*past, deployment]
            return deployment

    def get(self, name: str) -> Deployment:
        with self._lock:
            if name not in self._generations:
                raise NotFound.of("deployment", name, list(self._generations))
            return self._generations[name][-1]

    def at_generation(self, name: str, generation: int) -> Deployment:
        with self._lock:
            newest = self.get(name).generation
            if not 1 <= generation <= newest:
                raise NotFound(f"no generation {generation} of deployment '{name}'", cause=f"its newest is {newest}")
            return self._generations[name][generation - 1]

    def all(self) -> list[Deployment]:
        with self._lock:
            return [self._generations[name][-1] for name in sorted(self._generations)]

    def history(self, name: str) -> list[Deployment]:
        with self._lock:
            return list(self._generations.get(name, []))

    def rollouts(self, name: str) -> list[Rollout]:
        return rules.rollouts_of(self.history(name))
