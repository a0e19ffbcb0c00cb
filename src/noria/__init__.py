"""Noria takes a machine-learning model the whole way round. The face: names resolved on first use (PEP 562), nothing heavy imported before.

>>> import noria
>>> with noria.Workspace.ephemeral("sketch") as workspace:
...     workspace.models.models()
[]
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE: dict[str, str] = {
    "AliasMove": "noria.domain.model",
    "Candidate": "noria.loop.context",
    "CanaryPlan": "noria.domain.deployment",
    "CanaryStep": "noria.domain.deployment",
    "Column": "noria.domain.dataset",
    "DatasetVersion": "noria.domain.dataset",
    "Declaration": "noria.domain.declaration",
    "DeclaredVariant": "noria.domain.declaration",
    "Deployment": "noria.domain.deployment",
    "Endpoint": "noria.app.endpoint",
    "Expectation": "noria.domain.dataset",
    "Gate": "noria.domain.gate",
    "GroundTruth": "noria.domain.prediction",
    "Loop": "noria.app.turn",
    "ModelVersion": "noria.domain.model",
    "NoriaError": "noria.errors",
    "Objective": "noria.domain.deployment",
    "Policy": "noria.domain.policy",
    "Recipe": "noria.loop.context",
    "Run": "noria.domain.run",
    "Schema": "noria.domain.dataset",
    "Workspace": "noria.app.workspace",
    "apply": "noria.app.deploying",
    "declare": "noria.app.turn",
    "deploy": "noria.app.deploying",
    "overrule": "noria.app.deploying_acts",
    "pipeline": "noria.pipeline.declare",
    "plan": "noria.app.deploying",
    "resume": "noria.app.deploying_acts",
    "roll_back": "noria.app.deploying_acts",
    "run": "noria.app.recording",
    "runs": "noria.app.searching",
    "status": "noria.app.status",
    "step": "noria.pipeline.declare",
    "stop": "noria.app.deploying_acts",
    "why": "noria.app.why",
}

__all__ = [  # noqa: PLE0604 - the names stand once, in the table above
    "__version__",
    *_WHERE,
]

if TYPE_CHECKING:
    from noria import monitor as monitor
    from noria.app.deploying import apply as apply
    from noria.app.deploying import deploy as deploy
    from noria.app.deploying import plan as plan
    from noria.app.deploying_acts import overrule as overrule
    from noria.app.deploying_acts import resume as resume
    from noria.app.deploying_acts import roll_back as roll_back
    from noria.app.deploying_acts import stop as stop
    from noria.app.endpoint import Endpoint as Endpoint
    from noria.app.recording import run as run
    from noria.app.searching import runs as runs
    from noria.app.status import status as status
    from noria.app.turn import Loop as Loop
    from noria.app.turn import declare as declare
    from noria.app.why import why as why
    from noria.app.workspace import Workspace as Workspace
    from noria.domain.dataset import Column as Column
    from noria.domain.dataset import DatasetVersion as DatasetVersion
    from noria.domain.dataset import Expectation as Expectation
    from noria.domain.dataset import Schema as Schema
    from noria.domain.declaration import Declaration as Declaration
    from noria.domain.declaration import DeclaredVariant as DeclaredVariant
    from noria.domain.deployment import CanaryPlan as CanaryPlan
    from noria.domain.deployment import CanaryStep as CanaryStep
    from noria.domain.deployment import Deployment as Deployment
    from noria.domain.deployment import Objective as Objective
    from noria.domain.gate import Gate as Gate
    from noria.domain.model import AliasMove as AliasMove
    from noria.domain.model import ModelVersion as ModelVersion
    from noria.domain.policy import Policy as Policy
    from noria.domain.prediction import GroundTruth as GroundTruth
    from noria.domain.run import Run as Run
    from noria.errors import NoriaError as NoriaError
    from noria.loop.context import Candidate as Candidate
    from noria.loop.context import Recipe as Recipe
    from noria.pipeline.declare import pipeline as pipeline
    from noria.pipeline.declare import step as step


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for; `noria.monitor` is a package that works alone."""
    if name == "monitor":
        return import_module("noria.monitor")
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module 'noria' has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Face(ModuleType):
    """Keeps public names public: importing the package noria.pipeline would else put it where the function `noria.pipeline` is looked for."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
