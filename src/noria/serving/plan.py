"""Compare what is declared with what stands, and say what would change for callers. Pure: versions are resolved by the caller, nothing is written.

Whether a declaration can be at all is declared.py. Writing the next generation is acts, over the stores app/deploying.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from noria.domain.declaration import Declaration, Difference
from noria.domain.deployment import CanaryPlan, Deployment, Outlook, Variant
from noria.serving.acts import CHALLENGER, CHAMPION, began_as, without_challenger

ROUTING = ("sticky_by", "header_override", "fallback", "alias")
IN_FORCE = ("recipe", "approval", "canary", "policy", "triggers")
CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a deployment when its declaration is compared.

    variants: the declared ones with their versions found. standing: None if nothing answers under the name. declared: what is in force, None if
    nothing was ever declared. held: version -> why it is not let in again by a file (it was rolled back, or beaten). outlook: what a rollout of the
    declared canary can show. at_once: nothing is tried first, though a canary is declared.
    """

    variants: tuple[Variant, ...] = ()
    standing: Deployment | None = None
    declared: Declaration | None = None
    held: Mapping[int, str] = field(default_factory=dict)
    outlook: Outlook | None = None
    at_once: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the next generation is made of. challenger: what begins to be tried, by `plan`. moves: whether routing or variants differ from before."""

    variants: tuple[Variant, ...]
    challenger: Variant | None = None
    plan: CanaryPlan | None = None
    moves: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What one declaration would change. target: None where no variant is touched."""

    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    target: Target | None = None


def compare(name: str, wanted: Declaration, facts: Facts) -> Compared:
    """What applying a declaration would change: variants first, then routing, then what the loop goes by. The same facts give the same answer."""
    if facts.standing is not None and facts.standing.stopped is not None:
        reason = facts.standing.stopped.reason
        note = f"{name} is stopped ({reason}): what answers is left as it stands until noria resume {name}"
        return Compared(differences=_in_force(name, wanted, facts, told=False), notes=(note,))
    differences: list[Difference] = []
    notes: list[str] = []
    target = None
    if facts.variants:
        target = _variants(name, wanted, facts, differences, notes)
    elif facts.standing is None:
        notes.append(_nobody(name, wanted))
    routing = _routing(name, wanted, facts)
    differences += routing
    if facts.standing is not None and facts.standing.model != wanted.model:
        differences.append(
            _differs(name, "model", facts.standing.model, wanted.model, "answers come from another model")
        )
    if target is None and facts.standing is not None and routing:
        target = Target(variants=without_challenger(facts.standing.variants))
    moves = any(d.field == "model" or _is_variant(d.field) for d in differences) or bool(routing)
    if target is not None:
        target = Target(variants=target.variants, challenger=target.challenger, plan=target.plan, moves=moves)
    declared = _in_force(name, wanted, facts, told=moves)
    return Compared(differences=(*differences, *declared), notes=tuple(notes), target=target)


def sentence(difference: Difference) -> str:
    """One difference in words, as the ledger keeps it.

    >>> sentence(Difference(deployment="prod", field="champion", before="6", after="7", consequence="it answers at once"))
    'champion: 6 -> 7 (it answers at once)'
    """
    follows = f" ({difference.consequence})" if difference.consequence else ""
    return f"{difference.field}: {difference.before or 'nothing'} -> {difference.after or 'nothing'}{follows}"


def _variants(
    name: str, wanted: Declaration, facts: Facts, differences: list[Difference], notes: list[str]
) -> Target | None:
    """The champion, what is tried beside it, and the declared arms."""
    champion = next(v for v in facts.variants if v.name == CHAMPION)
    declared_challenger = next((v for v in facts.variants if v.name == CHALLENGER), None)
    arms = [v for v in facts.variants if v.name not in (CHAMPION, CHALLENGER)]
    stands = facts.standing.variant(CHAMPION) if facts.standing else None
    tries: Variant | None = None
    answers = champion
    if stands is None:
        told = "it answers at once: nothing answered under this name"
        differences.append(_differs(name, CHAMPION, "", _says(champion), told))
    elif _same(champion, stands):
        answers = msgspec.structs.replace(stands, weight=champion.weight)
    else:
        tries, answers = _another(name, wanted, facts, champion, differences, notes)
    if declared_challenger is not None and tries is None:
        tries = _tried(name, facts, answers, declared_challenger, notes)
    if tries is not None and wanted.canary is not None:
        differences.append(_begins(name, facts, answers, tries, wanted.canary))
    standing_arms = [
        v for v in (facts.standing.variants if facts.standing else ()) if v.name not in (CHAMPION, CHALLENGER)
    ]
    _arms(name, arms, standing_arms, differences)
    plan = wanted.canary if tries is not None else None
    began = began_as(tries, plan) if tries is not None and plan is not None else None
    return Target(variants=(answers, *arms), challenger=began, plan=plan)


def _another(
    name: str,
    wanted: Declaration,
    facts: Facts,
    champion: Variant,
    differences: list[Difference],
    notes: list[str],
) -> tuple[Variant | None, Variant]:
    """Another champion than the one that stands is declared: held back, under way, tried first, or at once. Gives (what is tried, what answers)."""
    assert facts.standing is not None
    stands = facts.standing.variant(CHAMPION)
    assert stands is not None
    stays = msgspec.structs.replace(stands, weight=champion.weight)
    running = _running(facts.standing)
    if running is not None and running == champion.number and not facts.at_once:
        notes.append(f"{name}: version {champion.number} is being tried beside {stands.number}; its verdict decides")
        return None, stays
    if champion.number in facts.held:
        again = f"noria deploy {champion.model}/{champion.number} --to {name}"
        notes.append(
            f"{name}: version {champion.number} is left out: {facts.held[champion.number]}. To have it: {again}"
        )
        return None, stays
    if wanted.canary is not None and not facts.at_once:
        return champion, stays
    ends = f"; the rollout of version {running} is over" if running is not None else ""
    told = f"version {champion.number} answers instead of {stands.number} at once, nothing is tried first{ends}"
    differences.append(_differs(name, CHAMPION, _says(stands), _says(champion), told))
    return None, champion


def _tried(name: str, facts: Facts, answers: Variant, challenger: Variant, notes: list[str]) -> Variant | None:
    """The declared challenger, if it is still to be tried."""
    if facts.standing is not None and _running(facts.standing) == challenger.number:
        return None
    if answers.number == challenger.number:
        notes.append(f"{name}: the challenger, version {challenger.number}, is champion already: name it so")
        return None
    if challenger.number in facts.held:
        again = f"noria deploy {challenger.model}/{challenger.number} --to {name}"
        notes.append(
            f"{name}: version {challenger.number} is not tried again: {facts.held[challenger.number]}. To try it: {again}"
        )
        return None
    return challenger


def _begins(name: str, facts: Facts, champion: Variant, tried: Variant, plan: CanaryPlan) -> Difference:
    began = began_as(tried, plan)
    part = (
        f"a copy of {began.weight:.0%} of the requests, and nobody sees its answers,"
        if began.shadow
        else f"{began.weight:.0%}"
    )
    ends = facts.standing and _running(facts.standing)
    over = f"; the rollout of version {ends} is over" if ends else ""
    told = (
        f"{plan.mode}: version {tried.number} gets {part} beside {champion.number}, until the evidence promotes it or takes it back, "
        f"at most {plan.maximum_days:g} days{over}"
    )
    if facts.outlook is not None:
        told += f"; {in_words(facts.outlook)}"
    return _differs(name, CHALLENGER, str(ends) if ends else "", _says(tried), told)


def in_words(outlook: Outlook) -> str:
    """What a rollout can show, in one clause.

    >>> in_words(Outlook(effect=0.01, power=0.82, labels=1500, days=3.0, labels_per_day=500.0))
    'a difference of 0.01 is found with a chance of 82%, in about 3 days (1,500 labels)'
    """
    if outlook.note and not outlook.power:
        return outlook.note
    when = f"in about {outlook.days:.3g} days ({outlook.labels:,} labels)"
    told = f"a difference of {outlook.effect:g} is found with a chance of {outlook.power:.0%}, {when}"
    return f"{told}; {outlook.note}" if outlook.note else told


def _arms(name: str, arms: Sequence[Variant], standing: Sequence[Variant], differences: list[Difference]) -> None:
    before, after = {v.name: v for v in standing}, {v.name: v for v in arms}
    for arm in sorted({*before, *after}):
        old, new = before.get(arm), after.get(arm)
        if old is not None and new is not None and _same(old, new) and old.shadow == new.shadow and _near(old, new):
            continue
        told = "it answers no more" if new is None else _share(new)
        differences.append(_differs(name, f"variant {arm}", _arm(old), _arm(new), told))


def _share(arm: Variant) -> str:
    if arm.shadow:
        return f"gets a copy of {arm.weight:.0%} of the requests; nobody sees its answers"
    return f"answers {arm.weight:.0%} of the requests, until that is changed; no verdict moves it"


def _routing(name: str, wanted: Declaration, facts: Facts) -> list[Difference]:
    consequences = {
        "sticky_by": "callers may meet another variant once",
        "header_override": "whether callers may choose by Noria-Variant",
        "fallback": f"answers after noria stop {name}",
        "alias": "follows the champion from its next change on",
    }
    standing = facts.standing
    if standing is None:
        # Nothing stands yet: what is declared comes to be with the first version.
        return []
    return [
        _differs(name, key, str(getattr(standing, key)), str(getattr(wanted, key)), consequences[key])
        for key in ROUTING
        if getattr(standing, key) != getattr(wanted, key)
    ]


def _in_force(name: str, wanted: Declaration, facts: Facts, *, told: bool) -> tuple[Difference, ...]:
    """What the loop goes by, field by field. told: another version answering, or being tried, is told already."""
    if facts.declared is None:
        follows = f"the loop trains for it by {wanted.recipe}" if wanted.recipe else "the loop trains nothing for it"
        return (_differs(name, "declaration", "", f"model {wanted.model}", follows),)
    found: list[Difference] = []
    for key in IN_FORCE:
        for path, before, after in _leaves(key, getattr(facts.declared, key), getattr(wanted, key)):
            found.append(_differs(name, path, before, after, "from the next stroke of the loop's clock on"))
    # What routing says and no generation can hold yet (nothing answers) is told from the declaration in force.
    if facts.standing is None:
        for key in (*ROUTING, "model"):
            before, after = str(getattr(facts.declared, key)), str(getattr(wanted, key))
            if before != after:
                found.append(_differs(name, key, before, after, "with its first version"))
    if not told and facts.declared.variants != wanted.variants:
        before, after = (_words(each.variants) for each in (facts.declared, wanted))
        found.append(_differs(name, "variants", before, after, "other words for what answers, or will be decided"))
    return tuple(found)


def _leaves(path: str, before: Any, after: Any) -> list[tuple[str, str, str]]:
    """Where two values differ, down to the single setting."""
    if before == after:
        return []
    if isinstance(before, msgspec.Struct) and type(before) is type(after):
        return [
            leaf
            for key in before.__struct_fields__
            for leaf in _leaves(f"{path}.{key}", getattr(before, key), getattr(after, key))
        ]
    if path == "triggers":
        old, new = {t.name: t for t in before}, {t.name: t for t in after}
        return [
            leaf
            for key in sorted({*old, *new})
            for leaf in (
                _leaves(f"{path}.{key}", old[key], new[key])
                if key in old and key in new
                else [(f"{path}.{key}", old[key].kind if key in old else "", new[key].kind if key in new else "")]
            )
        ]
    return [(path, _plain(before), _plain(after))]


def _plain(value: Any) -> str:
    if value is None:
        return "as the recipe says"
    if isinstance(value, msgspec.Struct):
        return ", ".join(
            f"{k}={_plain(v)}" for k, v in msgspec.structs.asdict(value).items() if v not in ((), "", None)
        )
    if isinstance(value, tuple):
        return ", ".join(_plain(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(variants: Sequence[Any]) -> str:
    return ", ".join(f"{v.name} {v.version}" for v in variants)


def _nobody(name: str, wanted: Declaration) -> str:
    if wanted.recipe:
        return f"{name}: nothing answers yet; the loop trains the first version by {wanted.recipe}"
    return f"{name}: nothing answers yet; noria deploy {wanted.model}@stable --to {name}, or declare variants"


def _running(standing: Deployment) -> int | None:
    rollout = standing.rollout
    return rollout.challenger if rollout is not None and rollout.outcome == "running" else None


def _is_variant(field_name: str) -> bool:
    return field_name in (CHAMPION, CHALLENGER) or field_name.startswith("variant ")


def _same(one: Variant, other: Variant) -> bool:
    return (one.model, one.number) == (other.model, other.number)


def _near(one: Variant, other: Variant) -> bool:
    return abs(one.weight - other.weight) < CLOSE


def _says(variant: Variant) -> str:
    return f"{variant.number} ({variant.version})"


def _arm(variant: Variant | None) -> str:
    if variant is None:
        return ""
    return f"{variant.number} {'in the shadow of' if variant.shadow else 'with'} {variant.weight:.0%}"


def _differs(name: str, key: str, before: str, after: str, consequence: str) -> Difference:
    return Difference(deployment=name, field=key, before=before, after=after, consequence=consequence)
