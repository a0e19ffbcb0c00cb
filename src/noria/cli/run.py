"""`noria run`: run a pipeline file, list the latest runs, or show one run."""

import argparse
from pathlib import Path

import msgspec

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.ids import RunId, fresh
from noria.domain.pipeline import StepResult
from noria.domain.query import Query
from noria.domain.run import ParamValue, Run
from noria.errors import SettingInvalid
from noria.wire.query import parse_filter


def configure(command: argparse.ArgumentParser) -> None:
    """What to run or show."""
    command.add_argument(
        "target", nargs="?", help="FILE.py or FILE.py:PIPELINE to run; a run id to show; nothing to list the runs"
    )
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the pipeline (may be repeated)"
    )
    command.add_argument("--against", metavar="RUN", help="show what differs between the shown run and this one")
    command.add_argument(
        "--best", metavar="METRIC", help="show the finished run with the lowest METRIC (write -METRIC for the highest)"
    )
    command.add_argument("--experiment", default="default", help="experiment to look for the best run in")
    command.add_argument("--limit", type=int, default=20, help="how many runs to list (default 20)")
    command.add_argument(
        "--where",
        default="",
        metavar="FILTER",
        help="list only these, such as \"metrics.auc > 0.8 and not tags.team = 'x'\" (docs/reference/query.md)",
    )
    command.add_argument(
        "--order", default="", metavar="FIELDS", help="sort the list, such as 'metrics.auc desc, name'"
    )


def run(options: argparse.Namespace) -> int:
    """Route by what the target is."""
    with Workspace.open() as workspace:
        if options.best:
            return _best(workspace, options)
        if options.target is None:
            return _list(workspace, options)
        if Path(options.target.partition(":")[0]).suffix == ".py":
            return _execute(workspace, options)
        shown = workspace.runs.get(RunId(options.target))
        if options.against:
            return _compare(shown, workspace.runs.get(RunId(options.against)), as_object=options.json)
    if options.json:
        as_json(shown)
    else:
        _show(shown)
    return 0


def _list(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.tracking.search import search

    runs = list(search(workspace.index, options.where, order=options.order, limit=options.limit))
    total = workspace.index.count(Query(where=parse_filter(options.where, kind="runs")))
    if options.json:
        as_json({"runs": runs, "total": total})
        return 0
    if not runs and options.where:
        console().print("No run matches.")
        return 0
    if not runs:
        console().print("No run yet.\nnext: noria init, then noria run pipeline.py")
        return 0
    rows = [[r.id, r.name, r.experiment, r.status, f"{r.started_at:%Y-%m-%d %H:%M}", _metrics(r)] for r in runs]
    table(["id", "name", "experiment", "status", "started", "metrics"], rows, title=f"{len(runs)} of {total} runs")
    return 0


def _best(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.errors import NotFound
    from noria.tracking.search import best

    metric, better = options.best.lstrip("-"), "higher" if options.best.startswith("-") else "lower"
    found = best(workspace.index, options.experiment, metric=metric, better="higher" if better == "higher" else "lower")
    if found is None:
        raise NotFound.of(
            f"finished run with metric {metric!r} in experiment",
            options.experiment,
            [experiment.name for experiment in workspace.experiments.search(Query(limit=1000)).items],
        )
    if options.json:
        as_json(found)
    else:
        _show(found)
    return 0


def _compare(one: Run, other: Run, *, as_object: bool) -> int:
    from noria.tracking.compare import compare

    found = compare(one, other)
    if as_object:
        as_json(found)
        return 0
    if found.is_empty:
        console().print(f"{one.name} and {other.name} differ in nothing")
        return 0
    rows = [[name, str(pair.a), str(pair.b), ""] for name, pair in {**found.params, **found.tags}.items()]
    rows += [
        [name, _number(pair.a), _number(pair.b), "" if pair.delta is None else f"{pair.delta:+.6g}"]
        for name, pair in found.metrics.items()
    ]
    rows += [["dataset", digest, "", ""] for digest in found.datasets_a] + [
        ["dataset", "", digest, ""] for digest in found.datasets_b
    ]
    table(["what differs", one.name, other.name, "change"], rows, right=[3])
    return 0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _metrics(run: Run) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in sorted(run.metrics.items())[:4])


def _show(run: Run) -> None:
    rows = [
        ["name", run.name],
        ["experiment", run.experiment],
        ["status", run.status],
        ["started", str(run.started_at)],
    ]
    rows += [
        ["finished", str(run.finished_at or "")],
        ["seed", str(run.seed)],
        ["code", run.code.digest if run.code else "not recorded"],
    ]
    rows += [["environment", run.environment or "not recorded"], *[["dataset", d] for d in run.datasets]]
    if run.error:
        rows.append(["error", run.error])
    table(["what", "value"], rows)
    table(["param", "value"], [[k, str(v)] for k, v in sorted(run.params.items())])
    table(["metric", "last value"], [[k, f"{v:.6g}"] for k, v in sorted(run.metrics.items())], right=[1])


def _execute(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.source import named
    from noria.packaging.environment import capture, digest
    from noria.pipeline.declare import Pipeline
    from noria.pipeline.run import run_pipeline

    flow = named(options.target, Pipeline, root=Path.cwd())
    steps: list[StepResult] = []

    def report(step: StepResult) -> None:
        steps.append(step)
        if not options.json:
            mark = {"cached": "=", "done": "✓", "failed": "✗"}[step.state]
            console().print(f"{mark} {step.step:24} {step.state:7} {step.seconds:8.3f} s  {step.why}")

    run_pipeline(
        flow,
        params=_params(options.set),
        inputs={},
        journal=workspace.journal,
        blobs=workspace.blobs,
        executor=workspace.executor,
        clock=workspace.clock,
        holder=fresh(),
        environment=digest(capture()),
        on_step=report,
    )
    cached = sum(s.state == "cached" for s in steps)
    if options.json:
        as_json({"pipeline": flow.name, "steps": [msgspec.to_builtins(s) for s in steps], "cached": cached})
    else:
        said = (
            "nothing to do: every step was found in the cache"
            if cached == len(steps)
            else f"{len(steps) - cached} run, {cached} cached"
        )
        console().print(f"{flow.name}: {said}")
    return 0


def _params(pairs: list[str]) -> dict[str, ParamValue]:
    params: dict[str, ParamValue] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise SettingInvalid(f"--set {pair!r} has no value", remedy=f"--set {pair}=1")
        try:
            params[name] = msgspec.json.decode(text, type=ParamValue)
        except msgspec.DecodeError:
            params[name] = text
    return params
