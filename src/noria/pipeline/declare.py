"""Declare steps and pipelines: plain functions that stay callable. Ordering them is plan.py. Called by everybody who writes a pipeline."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, overload

from noria.errors import InputInvalid

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__noria_step__"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A function with its place in a pipeline.

    needs: parameter -> where its value comes from (a step or an input), where the names differ. params: values fixed for this step.
    cache: False runs it each time, for what has effects outside.
    """

    function: Callable[..., Any]
    name: str
    needs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    cache: bool = True

    def named(self, name: str, *, needs: Mapping[str, str] | None = None, **params: object) -> "Step":
        """The same function as another step, so that a pipeline can use it twice.

        >>> def fit(table, *, candidate): ...
        >>> as_step(fit).named("fit_boosting", candidate="boosting").name
        'fit_boosting'
        """
        return replace(self, name=name, needs={**self.needs, **(needs or {})}, params={**self.params, **params})


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Steps under one name, in the order of their declaration; plan.py finds the order in which they can run."""

    name: str
    steps: tuple[Step, ...]


@overload
def step(function: F, /) -> F: ...
@overload
def step(
    *,
    name: str = "",
    needs: Mapping[str, str] | Sequence[str] = (),
    params: Mapping[str, object] | None = None,
    cache: bool = True,
) -> Callable[[F], F]: ...
def step(
    function: F | None = None,
    /,
    *,
    name: str = "",
    needs: Mapping[str, str] | Sequence[str] = (),
    params: Mapping[str, object] | None = None,
    cache: bool = True,
) -> F | Callable[[F], F]:
    """Mark a function as a step; it stays the function it was.

    Its parameters are filled by name: from a step, an input or a param of the run, else from their defaults. needs: a mapping parameter ->
    source, or source names for the first parameters in order. See Step for the rest.

    >>> @step
    ... def double(x): return 2 * x
    >>> double(4)
    8
    """

    def mark(marked: F) -> F:
        declared = Step(
            function=marked,
            name=name or marked.__name__,
            needs=_needs_by_parameter(marked, needs),
            params=dict(params or {}),
            cache=cache,
        )
        setattr(marked, _MARK, declared)
        return marked

    return mark if function is None else mark(function)


def pipeline(name: str, *steps: Callable[..., Any] | Step) -> Pipeline:
    """Put functions (marked by @step or not) and Steps together under a name of `a-z 0-9 . _ -`. Raises InputInvalid.

    >>> def load(): return [1, 2]
    >>> def total(load): return sum(load)
    >>> [s.name for s in pipeline("sums", load, total).steps]
    ['load', 'total']
    """
    if not _NAME.fullmatch(name):
        raise InputInvalid(
            f"{name!r} cannot name a pipeline",
            cause="a name is made of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit",
            remedy="choose a name such as 'train-flights'",
        )
    return Pipeline(name=name, steps=tuple(as_step(s) for s in steps))


def as_step(function: Callable[..., Any] | Step) -> Step:
    """The Step of a function: as @step declared it, else by the function's own name."""
    if isinstance(function, Step):
        return function
    declared = getattr(function, _MARK, None)
    if isinstance(declared, Step):
        return declared
    if not hasattr(function, "__code__"):
        raise InputInvalid(
            f"{function!r} cannot be a step",
            cause="a step is a plain function, so that its code can be addressed",
            remedy="write a function that calls it: def my_step(x): return thing(x)",
        )
    return Step(function=function, name=function.__name__)


def _needs_by_parameter(function: Callable[..., Any], needs: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    if isinstance(needs, Mapping):
        return dict(needs)
    if isinstance(needs, str):
        needs = (needs,)
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount]
    if len(needs) > len(parameters):
        raise InputInvalid(
            f"step '{function.__name__}' needs {len(needs)} results and has {len(parameters)} positional parameters",
            cause=f"needs={list(needs)}, parameters {list(parameters)}",
            remedy="give it one parameter for each, or name them: needs={'parameter': 'step'}",
        )
    return dict(zip(parameters, needs, strict=False))
