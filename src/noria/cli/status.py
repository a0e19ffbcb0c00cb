"""`noria status`: the loop on one screen, or one deployment: what answers, what is being tried, what was done."""

import argparse

from noria.app.deliveries import deliveries
from noria.app.deployed import DeploymentStanding, PolicyState, deployed
from noria.app.status import status
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.cli.told import MARKS, print_delivery, rows_of
from noria.errors import NotFound


def configure(command: argparse.ArgumentParser) -> None:
    """Of what, and how much history to show."""
    command.add_argument("deployment", nargs="?", default="", help="one deployment instead of the whole loop")
    command.add_argument("--changes", type=int, default=12, help="how many of the latest events to show (default 12)")


def run(options: argparse.Namespace) -> int:
    """Print the six stations, what changed and what needs a person; or how one deployment stands, and what was done to it."""
    with Workspace.open() as workspace:
        if options.deployment:
            return _deployment(workspace, options)
        now = status(workspace, changes=options.changes)
    if options.json:
        as_json(now)
        return 0
    turns = f"the loop closed {now.turns} time{'' if now.turns == 1 else 's'}"
    table(
        ["", "station", "", "since", "detail"],
        [
            [MARKS[s.state], s.name, s.headline, f"{s.at:%Y-%m-%d %H:%M}" if s.at else "", s.detail]
            for s in now.stations
        ],
        title=f"{now.project}: {turns}",
    )
    if now.needs_you:
        table(["needs you", "since", "next"], [[n.summary, f"{n.since:%Y-%m-%d}", n.command] for n in now.needs_you])
    if now.what_changed:
        table(["when", "what changed"], [[f"{c.at:%Y-%m-%d %H:%M}", c.sentence] for c in now.what_changed])
    else:
        console().print("Nothing has happened yet.\nnext: noria demo")
    return 0


def _deployment(workspace: Workspace, options: argparse.Namespace) -> int:
    name = options.deployment
    names = [d.name for d in workspace.deployments.all()]
    if name not in names:
        raise NotFound.of("deployment", name, names, remedy="noria status")
    standing, told = deployed(workspace, name), deliveries(workspace, name, limit=options.changes)
    if options.json:
        as_json({"standing": standing, "deliveries": told})
        return 0
    _print_standing(standing)
    if standing.running is not None:
        print_delivery(standing.running)
    past = [d for d in told if d.outcome != "running"]
    if past:
        table(["", "when", "what happened", "why", "id"], rows_of(past))
        console().print(f"next: noria why {past[0].id}")
    return 0


def _print_standing(standing: DeploymentStanding) -> None:
    deployment = standing.deployment
    rows = [
        [v.name, f"v{v.number} ({v.version})", f"{v.weight:.0%}{' of the requests, copied' if v.shadow else ''}"]
        for v in deployment.variants
    ]
    title = f"{deployment.name}: generation {deployment.generation}, split by {deployment.sticky_by}"
    table(["variant", "version", "traffic"], rows or [["", "nobody answers", ""]], title=title)
    out = console()
    stop = deployment.stopped
    if stop is not None:
        out.print(f"✗ stopped by {stop.actor} on {stop.at:%Y-%m-%d %H:%M} UTC: {stop.reason}", markup=False)
        out.print(f"next: noria resume {deployment.name}", markup=False)
    for each in standing.waiting:
        out.print(f"! version {each.number} ({each.version}) waits for your approval: {each.gates}", markup=False)
        out.print(f'next: noria models {each.model}/{each.number} --approve --because "..."', markup=False)
    for trouble in standing.troubles:
        out.print(f"✗ {trouble.worker} cannot serve {trouble.variant}: {trouble.error.splitlines()[0]}", markup=False)
    table(["retraining", ""], _policy(standing.policy))


def _policy(policy: PolicyState) -> list[list[str]]:
    if policy.at is None:
        return [["last decision", "none yet"]]
    verdict = "asked for" if policy.retrained else "held back"
    rows = [["last decision", f"{policy.at:%Y-%m-%d %H:%M}: {verdict} ({policy.trigger}): {policy.reason}"]]
    of = f" of {policy.budget}" if policy.budget is not None else ""
    free = f", the next is free on {policy.free_at:%Y-%m-%d}" if policy.free_at else ""
    rows.append(["in 365 days", f"{policy.spent}{of} retrainings{free}"])
    if policy.cooling_until is not None:
        rows.append(["cooling down", f"until {policy.cooling_until:%Y-%m-%d %H:%M} UTC"])
    return rows
