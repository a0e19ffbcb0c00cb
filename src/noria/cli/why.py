"""`noria why`: explain one prediction, one event, one alert or one rollout, or what was last done to a deployment."""

import argparse
import re

from noria.app.deliveries import deliveries
from noria.app.why import Led, Why, why, why_event
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.cli.told import print_delivery
from noria.domain.model import ModelVersion

PREDICTION = re.compile(r"r[0-9a-f]{32}\.\d+")


def configure(command: argparse.ArgumentParser) -> None:
    """Which prediction, event, alert, rollout or deployment."""
    command.add_argument(
        "id",
        help="the id that came with an answer (r0a1….0), or the id of an event, an alert or a rollout; a deployment's name: what was last done to it",
    )


def run(options: argparse.Namespace) -> int:
    """Print the way from the answer back to the data. Exit 3 if the answer could not be computed again with the same bits."""
    with Workspace.open() as workspace:
        if not PREDICTION.fullmatch(options.id):
            return _print_led(why_event(workspace, _newest(workspace, options.id)), as_object=options.json)
        told = why(workspace, options.id)
    if options.json:
        as_json(told)
    else:
        _print(told)
    return 0 if told.recomputed.equal else 3


def _newest(workspace: Workspace, said: str) -> str:
    """The id of what was last done to a deployment, if its name was said; else what was said."""
    if not any(deployment.name == said for deployment in workspace.deployments.all()):
        return said
    done = deliveries(workspace, said, limit=1)
    return done[0].id if done else said


def _print_led(led: Led, *, as_object: bool) -> int:
    if as_object:
        as_json(led)
        return 0
    if led.delivery is not None:
        print_delivery(led.delivery.delivery, led.delivery.curves)
    table(["#", "when", "what led here"], [[str(x.seq), f"{x.at:%Y-%m-%d %H:%M}", x.sentence] for x in led.events])
    if led.followed:
        table(
            ["#", "when", "what followed"], [[str(x.seq), f"{x.at:%Y-%m-%d %H:%M}", x.sentence] for x in led.followed]
        )
    if led.evidence:
        table(
            ["evidence", "value"],
            [[name, f"{v:.4g}" if isinstance(v, float) else v] for name, v in led.evidence.items()],
        )
        console().print(led.budget)
    return 0


def _print(told: Why) -> None:
    out = console()
    answer = ", ".join(f"{k} = {v}" for k, v in told.outputs.items())
    label = (
        f"label {told.label:g}, known {told.label_at:%Y-%m-%d %H:%M}"
        if told.label is not None and told.label_at
        else "no label yet"
    )
    out.print(f"[bold]{told.prediction_id}[/bold]  {answer}  ({label})")
    again = (
        "equal to the last bit"
        if told.recomputed.equal
        else f"DIFFERS {told.recomputed.outputs} {told.recomputed.problem}"
    )
    version = told.version
    rows = [
        [
            "asked",
            f"{told.asked_at:%Y-%m-%d %H:%M:%S} by {told.protocol}, answered in {told.latency_us} µs by the {told.variant}",
        ],
        ["recomputed", again],
        ["deployment", f"{told.deployment.name}, generation {told.deployment.generation}"],
        ["rollout", f"{told.rollout.id} ({told.rollout.outcome})" if told.rollout else "none was running"],
        ["version", f"{version.ref} = {version.version} ({version.version_reason}), as {version.flavor}"],
        ["bundle", version.bundle or "not packaged"],
        ["run", f"{told.run.name} {told.run.id}, seed {told.run.seed}"],
        ["code", _code(told)],
        ["environment", told.run.environment or "not recorded"],
    ]
    rows += [["dataset", f"{d.dataset} v{d.number}, {d.rows:,} rows, {d.digest}"] for d in told.datasets]
    table(["what", "it was"], rows)
    _gates(version)
    table(["input", "value"], [[name, str(value)] for name, value in told.inputs.items()])
    table(["#", "when", "what led here"], [[str(x.seq), f"{x.at:%Y-%m-%d %H:%M}", x.sentence] for x in told.events])


def _code(told: Why) -> str:
    code = told.run.code
    if code is None:
        return "not recorded"
    commit = f"commit {code.commit}{' with changes' if code.dirty else ''}, " if code.commit else ""
    return f"{commit}{code.digest}"


def _gates(version: ModelVersion) -> None:
    if version.gates is None:
        return
    rows = [
        ["passed" if r.passed else "FAILED", r.gate.name, str(r.measured), f"{r.gate.limit:g}", r.evidence]
        for r in version.gates.results
    ]
    table(["", "gate", "measured", "limit", "evidence"], rows)
