"""The wheel: what follows what. The whole loop on one screen. Turned by loop/reactor; each stage is one file in loop/stages."""

from collections.abc import Mapping

from noria.domain import events as e
from noria.loop.reactor import Stage, Tick
from noria.loop.stages.decide import ask_for_the_first, decide, review
from noria.loop.stages.gate import gate
from noria.loop.stages.package import package
from noria.loop.stages.promote import promote
from noria.loop.stages.register import approve, approve_again, register
from noria.loop.stages.rollout import judge, roll_out
from noria.loop.stages.train import train
from noria.loop.stages.triggers import after_trigger, fire
from noria.loop.stages.watch import watch

WHEEL: Mapping[type, Stage] = {
    # an event happened             what is done                appends
    e.DeploymentDeclared:           ask_for_the_first,        # RetrainRequested
    e.RetrainRequested:             train,                    # RunFinished | RunFailed
    e.RunFinished:                  package,                  # BundleBuilt
    e.BundleBuilt:                  gate,                     # GatesPassed | GatesFailed
    e.GatesPassed:                  register,                 # ModelVersionRegistered
    e.ModelVersionRegistered:       approve,                  # ModelVersionApproved
    e.ModelVersionApproved:         roll_out,                 # RolloutPromoted (the first) | RolloutStarted (a canary)
    e.DeploymentResumed:            approve_again,            # ModelVersionApproved (what waited for it)
    e.RolloutPromoted:              promote,                  # AliasMoved
    e.AlertOpened:                  decide,                   # RetrainRequested | RetrainSuppressed | ModelVersionApproved (a former champion)
    e.TriggerFired:                 after_trigger,            # RetrainRequested | RetrainSuppressed
}  # fmt: skip

TICKS: Mapping[str, Tick] = {
    # on each stroke of the clock   what is done                appends
    "judge":                        judge,                    # RolloutPromoted | RolloutRolledBack
    "watch":                        watch,                    # AlertOpened, AlertResolved, AlertReopened
    "fire":                         fire,                     # TriggersDeclared, TriggerFired
    "review":                       review,                   # RetrainRequested | RetrainSuppressed | ModelVersionApproved
}  # fmt: skip
