"""Which recipes the loop turns for, as they are declared now. A declaration that is applied while a loop runs is heard at its next stroke.

What is in force is deploying_record; the loop takes the recipes from here (app/turn). Code of recipes is read once: edit it, and start again.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from noria.app.deploying_record import InForce, in_force, newest
from noria.app.source import named
from noria.app.workspace import Workspace
from noria.domain.ids import EventId
from noria.errors import NoriaError
from noria.loop.context import Recipe

log = logging.getLogger(__name__)


class Recipes(Mapping[str, Recipe]):
    """Deployment -> recipe: those that code gave, and those that declarations name; what is declared of policy, canary, approval and triggers holds
    over what the recipe says. A recipe that cannot be read is told when it is asked for, and the others go on."""

    def __init__(self, workspace: Workspace, given: Sequence[Recipe] = ()) -> None:
        self._workspace = workspace
        self._given = {recipe.deployment: recipe for recipe in given}
        self._read: dict[str, Recipe] = {}
        self._seen: EventId | None = None
        self._known: dict[str, Recipe] = dict(self._given)
        self._refused: dict[str, NoriaError] = {}

    def refresh(self) -> bool:
        """Take over what was declared since; gives whether anything was. One query if nothing was."""
        seen = newest(self._workspace)
        if seen == self._seen:
            return False
        known, refused = dict(self._given), {}
        for name, standing in in_force(self._workspace).items():
            try:
                recipe = self._base(name, standing)
            except NoriaError as error:
                log.error("deployment %s cannot be turned for: %s", name, error)
                refused[name] = error
                known.pop(name, None)
                continue
            if recipe is not None:
                known[name] = merged(name, recipe, standing)
        self._seen, self._known, self._refused = seen, known, refused
        return True

    def read(self) -> list[Recipe]:
        """The recipes that declarations name by a file."""
        return [recipe for name, recipe in self._known.items() if name not in self._given]

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._known:
            self.refresh()
        if name in self._refused:
            raise self._refused[name]
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def _base(self, name: str, standing: InForce) -> Recipe | None:
        """The recipe that the declaration names, else the one that code gave."""
        where = standing.declaration.recipe
        if not where:
            return self._given.get(name)
        if where not in self._read:
            self._read[where] = named(where, Recipe, root=self._workspace.home.parent)
        return self._read[where]


def merged(name: str, recipe: Recipe, standing: InForce) -> Recipe:
    """A recipe as it is declared for a deployment: one recipe may serve a staging and a production."""
    declared = standing.declaration
    said: dict[str, Any] = {
        "policy": declared.policy,
        "canary": declared.canary,
        "approval": declared.approval or None,
        "triggers": declared.triggers or None,
    }
    given = {key: value for key, value in said.items() if value is not None}
    return replace(recipe, deployment=name, model=declared.model, **given)
