"""Order steps and give each its cache key. Pure: no store is asked, nothing is run.

Running is run.py. Called by it, and by whoever shows a plan.
"""

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import msgspec

from noria.domain.ids import Digest, digest_of
from noria.domain.pipeline import JournalEntry, Plan, StepSpec, StepTask
from noria.errors import InputInvalid
from noria.pipeline.code import Code, code_of
from noria.pipeline.declare import Pipeline, Step
from noria.wire.canonical import canonical

SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True, kw_only=True)
class Argument:
    """Where one parameter of a step gets its value."""

    parameter: str
    origin: Literal["step", "input", "param"]
    source: str


@dataclass(frozen=True, kw_only=True)
class BoundStep:
    """A step with its wiring. parts: what of its cache key is known before anything runs."""

    step: Step
    spec: StepSpec
    arguments: tuple[Argument, ...]
    values: Mapping[str, object]
    parts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A plan with what is needed to run it: its steps in the plan's order."""

    plan: Plan
    steps: tuple[BoundStep, ...]


def plan(
    pipeline: Pipeline, *, environment: Digest, params: Mapping[str, object] | None = None, inputs: Collection[str] = ()
) -> Plan:
    """What would be run, in which order. inputs: the names of the values that a run is going to be given.

    Raises InputInvalid for steps of one name, a parameter that nothing fills, a param that nothing takes, and circles.
    """
    return lay_out(pipeline, environment=environment, params=params or {}, inputs=inputs).plan


def lay_out(
    pipeline: Pipeline, *, environment: Digest, params: Mapping[str, object], inputs: Collection[str]
) -> Layout:
    """As `plan`, with the wiring. Steps keep the order of their declaration where their needs allow it."""
    steps = _by_name(pipeline)
    _refuse_ambiguous(pipeline, steps, inputs, params)
    codes: dict[int, Code] = {}
    signatures: dict[int, inspect.Signature] = {}
    bound: dict[str, BoundStep] = {}
    used: set[str] = set()
    for step in steps.values():
        which = id(step.function)
        if which not in signatures:
            signatures[which] = inspect.signature(step.function)
            codes[which] = code_of(step.function)
        arguments = _wire(pipeline, step, signatures[which], steps.keys(), inputs, params)
        used |= {a.source for a in arguments}
        bound[step.name] = _bind(step, arguments, codes[which], params, environment)
    _refuse_unused(pipeline, used, inputs, params)
    order = _in_order(pipeline, bound)
    specs = tuple(b.spec for b in order)
    return Layout(plan=Plan(pipeline=pipeline.name, order=specs, environment=environment), steps=order)


def task_of(bound: BoundStep, outputs: Mapping[str, Digest], inputs: Mapping[str, Digest]) -> StepTask:
    """The step's cache key, now that the digests of everything it takes are known. The key's parts are kept, so that a miss can be explained."""
    parts = dict(bound.parts)
    for argument in bound.arguments:
        role = "" if argument.parameter == argument.source else f" as {argument.parameter}"
        if argument.origin == "step":
            parts[f"result of {argument.source}{role}"] = outputs[argument.source]
        elif argument.origin == "input":
            parts[f"input {argument.source}{role}"] = inputs[argument.source]
    content = msgspec.json.encode(["noria-step-1", bound.spec.name, sorted(parts.items())])
    return StepTask(step=bound.spec.name, cache_key=digest_of(content), key_parts=parts)


def explain(task: StepTask, last: JournalEntry | None) -> str:
    """Why a step is not found: what differs from the last time it finished.

    >>> explain(StepTask(step="fit", cache_key=Digest("a"), key_parts={}), None)
    'first run'
    """
    if last is None:
        return "first run"
    before, now = last.key_parts, task.key_parts
    changes = [_changed(name, before.get(name), now.get(name)) for name in sorted({*before, *now})]
    told = [change for change in changes if change]
    return "; ".join(told[:6]) if told else "its result is no longer stored"


def _changed(name: str, before: str | None, now: str | None) -> str:
    if before == now:
        return ""
    if before is None or now is None:
        return f"{name} {'added' if before is None else 'removed'}"
    if name.startswith("param ") and len(before) + len(now) < 200:
        return f"{name} changed from {before} to {now}"
    return f"{name} changed"


def _by_name(pipeline: Pipeline) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    for step in pipeline.steps:
        if step.name in steps:
            raise InputInvalid(
                f"pipeline '{pipeline.name}' has two steps named '{step.name}'",
                cause="a step is known by its name",
                remedy="give one another name: as_step(function).named('other')",
            )
        steps[step.name] = step
    if not steps:
        raise InputInvalid(f"pipeline '{pipeline.name}' has no steps", remedy="pipeline('name', step_one, step_two)")
    return steps


def _refuse_ambiguous(
    pipeline: Pipeline, steps: Mapping[str, Step], inputs: Collection[str], params: Mapping[str, object]
) -> None:
    for kind, names in (("an input", inputs), ("a param", params)):
        twice = sorted(set(names) & steps.keys())
        if twice:
            raise InputInvalid(
                f"'{twice[0]}' is both a step of pipeline '{pipeline.name}' and {kind}",
                cause="which of the two a parameter means cannot be told",
                remedy="rename one of them",
            )
    both = sorted(set(inputs) & set(params))
    if both:
        raise InputInvalid(f"'{both[0]}' is both an input and a param", remedy="hand it in as one of them")


def _wire(
    pipeline: Pipeline,
    step: Step,
    signature: inspect.Signature,
    steps: Collection[str],
    inputs: Collection[str],
    params: Mapping[str, object],
) -> tuple[Argument, ...]:
    arguments = []
    for parameter in signature.parameters.values():
        name, source = parameter.name, step.needs.get(parameter.name, parameter.name)
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise InputInvalid(
                f"step '{step.name}' has the parameter '{parameter}'",
                cause="parameters are filled by name, so each must have one",
                remedy="name its parameters one by one",
            )
        if name in step.params:
            arguments.append(Argument(parameter=name, origin="param", source=name))
        elif source in steps:
            arguments.append(Argument(parameter=name, origin="step", source=source))
        elif source in inputs:
            arguments.append(Argument(parameter=name, origin="input", source=source))
        elif source in params:
            arguments.append(Argument(parameter=name, origin="param", source=source))
        elif parameter.default is parameter.empty or name in step.needs:
            raise _nothing_fills(pipeline, step, name, source, [*steps, *inputs, *params])
    surplus = [n for n in (*step.needs, *step.params) if n not in signature.parameters]
    if surplus:
        raise InputInvalid(
            f"step '{step.name}' has no parameter '{surplus[0]}'",
            cause=f"its parameters are {', '.join(signature.parameters) or 'none'}",
            remedy="correct needs or params of the step",
        )
    return tuple(arguments)


def _nothing_fills(pipeline: Pipeline, step: Step, name: str, source: str, known: list[str]) -> InputInvalid:
    near = get_close_matches(source, known, n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(known) or 'nothing'}"
    return InputInvalid(
        f"nothing fills parameter '{name}' of step '{step.name}' in pipeline '{pipeline.name}'",
        cause=f"there is no step, input or param '{source}'; {hint}",
        remedy=f"add a step named '{source}', hand it in as an input or a param, or say needs={{'{name}': ...}}",
    )


def _refuse_unused(pipeline: Pipeline, used: set[str], inputs: Collection[str], params: Iterable[str]) -> None:
    """A value that nobody takes is a misspelt name more often than not."""
    for kind, names in (("input", inputs), ("param", params)):
        for name in names:
            if name not in used:
                raise InputInvalid(
                    f"no step of pipeline '{pipeline.name}' takes the {kind} '{name}'",
                    cause="no parameter has this name",
                    remedy="correct the name, or leave it out",
                )


def _bind(
    step: Step, arguments: tuple[Argument, ...], code: Code, params: Mapping[str, object], environment: Digest
) -> BoundStep:
    values = {
        a.parameter: step.params[a.parameter] if a.parameter in step.params else params[a.source]
        for a in arguments
        if a.origin == "param"
    }
    texts = {name: _param_text(step, name, value) for name, value in values.items()}
    parts: dict[str, str] = {"code": code.own, "environment": environment}
    parts |= {f"code of {module}": digest for module, digest in code.reached.items()}
    parts |= {f"param {name}": text for name, text in texts.items()}
    shown = {n: v if isinstance(v, SCALARS) else texts[n] for n, v in values.items()}
    spec = StepSpec(
        name=step.name,
        needs=tuple(dict.fromkeys(a.source for a in arguments if a.origin == "step")),
        code=code.digest(),
        params=shown,
        cacheable=step.cache,
    )
    return BoundStep(step=step, spec=spec, arguments=arguments, values=values, parts=parts)


def _param_text(step: Step, name: str, value: object) -> str:
    if isinstance(value, float):
        return repr(value)  # 1.0 is not 1, and NaN may be a param
    try:
        return canonical(value).decode()
    except InputInvalid as error:
        raise InputInvalid(
            f"param '{name}' of step '{step.name}' is a {type(value).__qualname__}, which cannot be addressed",
            cause=error.cause or error.problem,
            remedy="a param is what JSON can say, a time, or a msgspec Struct of such; hand anything else in as an input",
        ) from error


def _in_order(pipeline: Pipeline, bound: Mapping[str, BoundStep]) -> tuple[BoundStep, ...]:
    """Depth first from each step in the order of declaration, without recursion: chains may be long."""
    done: dict[str, BoundStep] = {}
    for first in bound:
        path: dict[str, None] = {}
        waiting = [first]
        while waiting:
            name = waiting[-1]
            if name in done:
                waiting.pop()
                continue
            path[name] = None
            open_needs = [n for n in bound[name].spec.needs if n not in done]
            circle = next((n for n in open_needs if n in path), None)
            if circle is not None:
                steps = list(path)
                raise InputInvalid(
                    f"pipeline '{pipeline.name}' goes in a circle: {' needs '.join([*steps[steps.index(circle) :], circle])}",
                    cause="each of these steps waits for the next",
                    remedy="cut the circle: let one of them take an input instead",
                )
            if open_needs:
                waiting.append(open_needs[0])
            else:
                done[name] = bound[name]
                del path[name]
                waiting.pop()
    return tuple(done.values())
