"""`noria replay`: what another policy would have done over recorded history, and with --fit what its answers would have been. Writes nothing."""

import argparse
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from noria.app.policy_file import read_policy
from noria.app.workspace import Workspace
from noria.cli.errors import day
from noria.cli.show import as_json, console, table
from noria.domain.policy import Policy
from noria.errors import InputInvalid, NotFound

if TYPE_CHECKING:
    from noria.app.replaying import Asked, PolicyReplay, Refused
    from noria.app.replaying_fit import FitReplay
    from noria.loop.context import Recipe


def configure(command: argparse.ArgumentParser) -> None:
    """Which policy, over which stretch, and whether to train for real."""
    command.add_argument("deployment", nargs="?", default="", help="which deployment (default: the only one)")
    command.add_argument(
        "--policy",
        type=Path,
        required=True,
        metavar="FILE",
        help="TOML with the policy: its keys, or a table [policy], or [deployments.NAME.policy]; what it does not say is as in the recipe",
    )
    command.add_argument("--recipe", default="", metavar="FILE:NAME", help="the Recipe (default: as declared)")
    command.add_argument("--since", metavar="DAY", help="from this day on (default: from the declaration on)")
    command.add_argument("--until", metavar="DAY", help="before this day (default: to the last recorded event)")
    command.add_argument("--every", type=float, default=24.0, metavar="HOURS", help="the loop's clock (default 24)")
    command.add_argument(
        "--fit", action="store_true", help="train, gate and roll out for real in a copy, and score the answers"
    )


def run(options: argparse.Namespace) -> int:
    """Print what the policy would have done beside what was done."""
    from noria.app.replaying import replay_policy

    if options.every <= 0:
        raise InputInvalid(f"--every {options.every:g} is no time between two looks", remedy="--every 24")
    with Workspace.open() as workspace:
        name = options.deployment or _only(workspace)
        recipe = _recipe(workspace, options.recipe, name)
        policy = read_policy(options.policy, name, recipe.policy if recipe else Policy())
        found = replay_policy(
            workspace,
            name,
            policy,
            recipe=recipe,
            since=day(options.since, "--since"),
            until=day(options.until, "--until"),
            stroke=timedelta(hours=options.every),
        )
        if not options.fit:
            as_json(found) if options.json else _print(found)
            return 0
        from noria.app.replaying_fit import replay_fit

        if recipe is None:
            raise NotFound(
                f"no recipe for deployment {name!r} to train by", remedy=f"noria replay {name} --fit --recipe FILE:NAME"
            )
        fitted = replay_fit(
            workspace, recipe, policy, since=found.since, until=found.until, stroke=timedelta(hours=options.every)
        )
    if options.json:
        as_json({"decided": found, "fitted": fitted})
        return 0
    _print(found)
    _print_fit(fitted)
    return 0


def _only(workspace: Workspace) -> str:
    names = [d.name for d in workspace.deployments.all()]
    if len(names) != 1:
        raise NotFound.of("deployment", "", names, remedy="noria replay NAME --policy FILE")
    return names[0]


def _recipe(workspace: Workspace, target: str, deployment: str) -> "Recipe | None":
    """The recipe named on the command line, or the one that noria.toml or a declaration in force has for this deployment."""
    from noria.app.deploying_recipes import Recipes
    from noria.app.source import named
    from noria.loop.context import Recipe

    if target:
        return replace(named(target, Recipe, root=Path.cwd()), deployment=deployment)
    where = workspace.settings.recipe
    recipes = Recipes(workspace, [named(where, Recipe, root=workspace.home.parent)] if where else [])
    recipes.refresh()
    return recipes.get(deployment)


def _print(found: "PolicyReplay") -> None:
    done = [x for x in found.done if x.trigger != "declared"]
    asked = [x for x in found.asked if x.trigger != "declared"]
    console().print(
        f"{found.deployment}, {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}, {found.labels:,} labels: "
        f"{len(asked)} retrainings under this policy, {len(done)} were made"
    )
    _table("under this policy", found.asked)
    _table("as recorded", found.done)
    _refusals(found.refused)
    for note in found.notes:
        console().print(note)
    if found.parts_at:
        console().print(
            f"Up to {found.parts_at:%Y-%m-%d} both did the same; alerts after that are those of the recorded champion."
        )
    else:
        console().print("The policy would have asked for the same retrainings as were made.")
    console().print("next: noria replay --fit trains them and scores their answers")


def _table(title: str, asked: "tuple[Asked, ...]") -> None:
    rows = [[f"{x.at:%Y-%m-%d}", x.trigger, "both" if x.both else "", x.outcome, _kept(x), x.reason] for x in asked]
    table(["asked", "by", "", "became", "bounds", "because"], rows, title=title)


def _kept(asked: "Asked") -> str:
    """How near a retraining came to the limits of its policy."""
    return ", ".join(f"{b.name} {b.found:g}/{b.limit:g}{'' if b.kept else ' !'}" for b in asked.bounds)


def _refusals(refused: "tuple[Refused, ...]") -> None:
    if refused:
        table(
            ["refused", "by", "because"],
            [[f"{x.at:%Y-%m-%d}", x.trigger, x.reason] for x in refused],
            title="not asked for",
        )


def _print_fit(fitted: "FitReplay") -> None:
    rows = [
        [
            x.name,
            f"{x.labels:,}",
            f"{x.served:.4f}",
            f"{x.relived:.4f}",
            f"{x.difference.value:+.4f} ({x.difference.low:+.4f}..{x.difference.high:+.4f})",
        ]
        for x in (*fitted.months, fitted.total)
    ]
    table(
        ["month", "labels", "served", "this policy", "difference (95 %, over days)"],
        rows,
        title="log loss, lived again with every training, gate and rollout made (below 0: better)",
        right=(1, 2, 3, 4),
    )
    console().print(
        f"{fitted.retrainings} retrainings, {fitted.promotions} promoted, {fitted.refused} refused by gates, "
        f"{fitted.rolled_back} rolled back"
    )
    if fitted.left_out:
        console().print(f"{fitted.left_out:,} redacted rows could not be asked again")
