"""`noria triggers`: what besides alarms asks for trainings, when it is due, what came of it; and how a line of cron is read."""

import argparse
from zoneinfo import ZoneInfo

from noria.app.triggers import TriggerStory, stories
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.errors import SettingInvalid
from noria.retraining.schedule import next_due, parse


def configure(command: argparse.ArgumentParser) -> None:
    """Whose triggers, or which line of cron to read."""
    command.add_argument("deployment", nargs="?", default="", help="those of one deployment (default: all)")
    command.add_argument(
        "--cron", default="", metavar="FIELDS", help="declare nothing: show when '30 6 * * MON-FRI' is due"
    )
    command.add_argument("--zone", default="UTC", metavar="NAME", help="time zone of --cron (default: UTC)")
    command.add_argument(
        "--count", type=int, default=5, metavar="N", help="how many times of --cron to show (default: 5)"
    )


def run(options: argparse.Namespace) -> int:
    """List the triggers on record, or read a line of cron."""
    with Workspace.open() as workspace:
        if options.cron:
            return _read(workspace, options)
        found = stories(workspace, options.deployment)
    if options.json:
        as_json({"triggers": found})
        return 0
    if not found:
        console().print(
            "No trigger is on record; those of noria.toml and of recipes come there with the loop's first stroke.\nnext: noria up"
        )
        return 0
    table(["trigger", "waits for", "next", "last"], [_row(each) for each in found])
    return 0


def _row(story: TriggerStory) -> list[str]:
    due = f"{story.next_due:%Y-%m-%d %H:%M}" if story.next_due else "-"
    if story.last is None:
        return [f"{story.deployment}/{story.name}", story.says, due, "never"]
    outcome = story.last.outcome or "not dealt with yet"
    return [f"{story.deployment}/{story.name}", story.says, due, f"{story.last.at:%Y-%m-%d %H:%M}: {outcome}"]


def _read(workspace: Workspace, options: argparse.Namespace) -> int:
    if not 1 <= options.count <= 1000:
        raise SettingInvalid(f"{options.count} times cannot be shown", remedy="--count 5")
    schedule, at, dues = parse(options.cron, options.zone), workspace.clock.now(), []
    for _ in range(options.count):
        at = next_due(schedule, at)
        dues.append(at)
    if options.json:
        as_json({"cron": options.cron, "zone": options.zone, "due": dues})
        return 0
    zone = ZoneInfo(options.zone)
    table(["due", "UTC"], [[f"{due.astimezone(zone):%a %Y-%m-%d %H:%M %Z}", f"{due:%Y-%m-%d %H:%M}"] for due in dues])
    return 0
