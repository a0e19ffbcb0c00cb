"""Whether a declaration can be at all: names, weights, routing, canary. Pure. Comparing it with what stands is plan. Called by app/deploying."""

import re
from difflib import get_close_matches
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from noria.domain.declaration import Declaration, DeclaredVariant
from noria.domain.deployment import CanaryPlan
from noria.errors import InputInvalid
from noria.serving.acts import CHALLENGER, CHAMPION
from noria.serving.steps import checked_plan

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
CLOSE = 1e-6


def check(name: str, declaration: Declaration) -> None:
    """Refuse what cannot be, with the setting that is wrong. Raises InputInvalid."""
    if not NAME.fullmatch(name):
        raise InputInvalid(
            f"{name!r} cannot be the name of a deployment",
            cause="it stands in paths and addresses: small letters, digits, '.', '_' and '-', at most 100, no mark first",
            remedy="choose another name",
        )
    if not declaration.model:
        raise _wrong(name, "model", "it is empty", "name a registered model")
    _check_variants(name, declaration)
    kind, _, what = declaration.sticky_by.partition(":")
    if declaration.sticky_by != "request" and not (
        (kind == "header" and HEADER.fullmatch(what)) or (kind == "input" and what)
    ):
        raise _wrong(name, "sticky_by", f"it is {declaration.sticky_by!r}", "write request, header:NAME or input:NAME")
    if declaration.canary is not None:
        check_canary(name, declaration.canary)
    names = [trigger.name for trigger in declaration.triggers]
    if len(set(names)) < len(names) or not all(names):
        raise _wrong(name, "triggers", "two have one name, or one has none", "give each trigger a name of its own")


def check_canary(name: str, plan: CanaryPlan) -> None:
    """Refuse a canary that cannot be. Raises InputInvalid."""
    try:
        checked_plan(plan)
    except InputInvalid as exc:
        raise _wrong(name, "canary", exc.cause, exc.remedy) from exc
    weights = [step.weight for step in plan.steps]
    if weights != sorted(weights):
        raise _wrong(name, "canary.steps", "a step has a smaller weight than the one before", "let the weights rise")


def unknown_settings(raw: Any, kind: Any, *, path: str = "") -> list[str]:
    """Settings in plain data that a noun does not have, each with the nearest that it has: what is not known is never silently left out.

    >>> unknown_settings({"canary": {"wieght": 0.1}}, Declaration)
    ["canary.wieght (did you mean 'weight'?)"]
    """
    found: list[str] = []
    struct = _struct_of(kind)
    if struct is not None and isinstance(raw, dict):
        hints = get_type_hints(struct)
        for key, value in raw.items():
            where = f"{path}.{key}" if path else str(key)
            if key not in hints:
                near = get_close_matches(str(key), list(hints), n=1)
                found.append(where + (f" (did you mean {near[0]!r}?)" if near else ""))
            else:
                found += unknown_settings(value, hints[key], path=where)
    elif isinstance(raw, (list, tuple)):
        inner = next((a for a in _parts(kind) if _struct_of(a) is not None), None)
        for index, value in enumerate(raw):
            found += unknown_settings(value, inner, path=f"{path}[{index}]")
    elif isinstance(raw, dict) and get_origin(kind) is dict:
        for key, value in raw.items():
            found += unknown_settings(value, get_args(kind)[1], path=f"{path}.{key}" if path else str(key))
    return found


def _check_variants(name: str, declaration: Declaration) -> None:
    variants = declaration.variants
    if not variants:
        return
    names = [v.name for v in variants]
    if len(set(names)) < len(names):
        raise _wrong(name, "variants", "two have one name", "give each variant a name of its own")
    if CHAMPION not in names:
        raise _wrong(name, "variants", f"none is named '{CHAMPION}'", "name the one that answers for the deployment so")
    for each in variants:
        if not NAME.fullmatch(each.name):
            raise _wrong(
                name, "variants", f"{each.name!r} cannot be a name", "use small letters, digits, '.', '_' and '-'"
            )
        if not 0 <= each.weight <= 1:
            raise _wrong(name, f"variants.{each.name}.weight", f"it is {each.weight:g}", "write a share from 0 to 1")
        if each.shadow and each.name == CHAMPION:
            raise _wrong(name, "variants", "the champion is in the shadow", "nobody would answer: shadow another")
    if CHALLENGER in names and declaration.canary is None:
        remedy = "add [deployments.NAME.canary], or give the arm another name to fix its share by hand"
        raise _wrong(name, "variants.challenger", "nothing says how it is judged", remedy)
    answering = [v for v in variants if not v.shadow and v.name != CHALLENGER]
    total = sum(v.weight for v in answering)
    if abs(total - 1) > CLOSE:
        raise _wrong(
            name, "variants", f"the weights of {_list(answering)} sum to {total:g}", "let them sum to 1 (1.0 alone)"
        )


def _list(variants: list[DeclaredVariant]) -> str:
    return ", ".join(repr(v.name) for v in variants)


def _wrong(name: str, key: str, cause: str, remedy: str) -> InputInvalid:
    return InputInvalid(f"deployment {name!r} cannot be declared so: {key}", cause=cause, remedy=remedy)


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) or (kind,)


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The noun that a type is, or may be (`CanaryPlan | None`)."""
    if get_origin(kind) in (tuple, list, dict):
        return None
    for part in _parts(kind):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None
