"""`noria deploy`: let a version answer under a name, at once or as a canary; `--dry-run` says what would follow. The file way is `noria apply`."""

import argparse
import getpass
import re

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.cli.show_plan import show
from noria.domain.declaration import DeclaredVariant
from noria.domain.deployment import CanaryPlan, CanaryStep, Objective
from noria.errors import SettingInvalid

MODES = ("canary", "ab", "shadow", "bandit")
REFERENCE = re.compile(r"(?P<model>[^@/]+)(?:(?P<alias>@[^@/]+)|/(?P<version>[^@/]+))?")
STEP = re.compile(r"(?P<share>[^:]+)(?::(?P<hours>\d+(?:\.\d+)?)(?P<unit>h|d))?(?::(?P<labels>\d+)labels)?")
OBJECTIVE = re.compile(r"(?P<measure>[a-z]+)(?::(?P<name>[^=]+))?=(?P<limit>[^@]+)(?:@(?P<ms>\d+(?:\.\d+)?)ms)?")
ARM = re.compile(r"(?P<name>[^=]+)=(?P<version>[^:]+)(?::(?P<share>.+))?")


def configure(command: argparse.ArgumentParser) -> None:
    """Which version, where, and how it is let in."""
    command.add_argument(
        "version", metavar="MODEL[@ALIAS|/VERSION]", help="churn@champion, churn/7, churn/1.2.0; alone: stable"
    )
    command.add_argument("--to", default="", metavar="NAME", help="the deployment (default: the model's name)")
    command.add_argument("--canary", metavar="SHARE", help="try it first, with this share of the traffic: 10%%")
    command.add_argument("--mode", choices=MODES, help="how it is tried (default: canary)")
    command.add_argument("--steps", metavar="STEPS", help="schedule of the canary: 5%%:6h,25%%:1d:500labels,50%%")
    command.add_argument("--days", type=float, metavar="N", help="until when the verdict falls, at the latest")
    command.add_argument("--labels", type=int, metavar="N", help="labels before the first verdict")
    command.add_argument("--tolerance", type=float, metavar="LOSS", help="largest loss of quality that is 'not worse'")
    command.add_argument(
        "--paired", action="store_true", help="answers change nothing, so both may be scored on all rows"
    )
    command.add_argument(
        "--objective",
        action="append",
        default=[],
        metavar="WHAT",
        help="what must be kept besides: errors=1%%, latency=5%%@200ms, disagreement=0.1, business:revenue=0.5",
    )
    command.add_argument(
        "--variant", action="append", default=[], metavar="NAME=VERSION:SHARE", help="another arm: b=8:20%%"
    )
    command.add_argument(
        "--shadow",
        action="append",
        default=[],
        metavar="NAME=VERSION:SHARE",
        help="an arm that only gets copies: next=9:50%%",
    )
    command.add_argument("--sticky-by", metavar="KEY", help="request, header:NAME or input:NAME")
    command.add_argument(
        "--fallback", metavar="VERSION", help="what answers after noria stop: stable, champion, none, 7"
    )
    command.add_argument("--alias", metavar="NAME", help="the alias that follows the champion here ('' for none)")
    command.add_argument(
        "--header-override",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether callers may choose by the header Noria-Variant (default: they may)",
    )
    command.add_argument("--at-once", action="store_true", help="though a canary is declared")
    command.add_argument("--override", action="store_true", help="though its gates failed; needs --because")
    command.add_argument("--because", default="", metavar="TEXT", help="why")
    command.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")


def run(options: argparse.Namespace) -> int:
    """Deploy, or say what it would do."""
    from noria.app.deploying import deploy
    from noria.app.deploying_record import in_force

    model, version = reference(options.version)
    name = options.to or model
    with Workspace.open() as workspace:
        known = in_force(workspace).get(name)
        changes: dict[str, object] = {
            key: value
            for key in ("sticky_by", "fallback", "alias", "header_override")
            if (value := getattr(options, key)) is not None
        }
        canary = canary_of(options, known.declaration.canary if known else None)
        if canary is not None:
            changes["canary"] = canary
        planned = deploy(
            workspace,
            name,
            model=model,
            version=version,
            beside=[*(arm(each) for each in options.variant), *(arm(each, shadow=True) for each in options.shadow)],
            changes=changes,
            at_once=options.at_once,
            override=options.override,
            actor=getpass.getuser(),
            reason=options.because,
            dry_run=options.dry_run,
        )
    if options.json:
        as_json(planned)
        return 0
    show(planned, done=not options.dry_run)
    if not options.dry_run and not planned.is_empty:
        console().print(f"next: noria status, noria rollback {name} --because ...", markup=False)
    return 0


def reference(said: str) -> tuple[str, str]:
    """A model and the words for its version. Raises SettingInvalid.

    >>> reference("churn@champion"), reference("churn/1.2.0"), reference("churn")
    (('churn', '@champion'), ('churn', '1.2.0'), ('churn', 'stable'))
    """
    found = REFERENCE.fullmatch(said)
    if found is None:
        raise SettingInvalid(
            f"{said!r} names no version", cause="it is MODEL, MODEL@ALIAS or MODEL/VERSION", remedy="noria models"
        )
    return found["model"], found["alias"] or found["version"] or "stable"


def share(said: str) -> float:
    """A part of the whole. Raises SettingInvalid.

    >>> share("10%"), share("0.1")
    (0.1, 0.1)
    """
    try:
        value = float(said.removesuffix("%"))
    except ValueError as exc:
        raise SettingInvalid(f"{said!r} is no share", cause=str(exc), remedy="write 10% or 0.1") from exc
    return value / 100 if said.endswith("%") else value


def steps(said: str) -> tuple[CanaryStep, ...]:
    """The schedule of a canary. Raises SettingInvalid.

    >>> [(s.weight, s.hours, s.labels) for s in steps("5%:6h,25%:1d:500labels,50%")]
    [(0.05, 6.0, 0), (0.25, 24.0, 500), (0.5, 0.0, 0)]
    """
    found = []
    for part in said.split(","):
        match = STEP.fullmatch(part.strip())
        if match is None:
            raise SettingInvalid(f"{part!r} is no step", remedy="write 5%:6h,25%:1d:500labels,50%")
        hours = float(match["hours"] or 0) * (24 if match["unit"] == "d" else 1)
        found.append(CanaryStep(weight=share(match["share"]), hours=hours, labels=int(match["labels"] or 0)))
    return tuple(found)


def objective(said: str) -> Objective:
    """What a challenger must keep. Raises SettingInvalid.

    >>> o = objective("latency=5%@200ms"); o.measure, o.limit, o.threshold_ms
    ('latency', 0.05, 200.0)
    """
    match = OBJECTIVE.fullmatch(said)
    measures = ("errors", "latency", "disagreement", "quality", "business")
    if match is None or match["measure"] not in measures:
        raise SettingInvalid(
            f"{said!r} is no objective",
            cause=f"it is one of {', '.join(measures)}, '=' and its limit",
            remedy="write errors=1%, latency=5%@200ms, disagreement=0.1, quality=0.01 or business:revenue=0.5",
        )
    return Objective(
        measure=match["measure"],  # type: ignore[arg-type]
        limit=share(match["limit"]),
        threshold_ms=float(match["ms"] or 0),
        name=match["name"] or "",
    )


def arm(said: str, *, shadow: bool = False) -> DeclaredVariant:
    """An arm beside the champion. Raises SettingInvalid.

    >>> a = arm("b=8:20%"); a.name, a.version, a.weight
    ('b', '8', 0.2)
    """
    match = ARM.fullmatch(said)
    if match is None or (match["share"] is None and not shadow):
        raise SettingInvalid(f"{said!r} is no arm", remedy="write NAME=VERSION:SHARE, such as b=8:20%")
    weight = share(match["share"]) if match["share"] else 1.0
    return DeclaredVariant(name=match["name"], version=match["version"], weight=weight, shadow=shadow)


def canary_of(options: argparse.Namespace, declared: CanaryPlan | None) -> CanaryPlan | None:
    """The canary that was asked for, over the one that is declared; None: nothing was said of one."""
    said: dict[str, object] = {
        "weight": share(options.canary) if options.canary else None,
        "mode": options.mode,
        "steps": steps(options.steps) if options.steps else None,
        "maximum_days": options.days,
        "minimum_labels": options.labels,
        "tolerance": options.tolerance,
        "paired": options.paired or None,
        "objectives": tuple(objective(each) for each in options.objective) or None,
    }
    given = {key: value for key, value in said.items() if value is not None}
    if not given:
        return None
    from msgspec.structs import replace

    if "steps" in given:
        given.setdefault("weight", steps(options.steps)[0].weight)
    elif "weight" in given:
        given["steps"] = ()
    return replace(declared or CanaryPlan(), **given)
