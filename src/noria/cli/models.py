"""`noria models`: list, search and show models, versions, aliases and their history; say which is stable. Changing them is cli/models_change."""

import argparse
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from noria.app.workspace import Workspace
from noria.cli import models_change
from noria.cli.show import as_json, console, table
from noria.domain.model import ModelVersion
from noria.domain.query import And, Comparison, Field, Query
from noria.errors import SettingInvalid

PAGE = 1000


def configure(command: argparse.ArgumentParser) -> None:
    """Which model or version, what to ask of it, and what to do with it."""
    command.add_argument("target", nargs="?", help="MODEL or MODEL/NUMBER; nothing lists all models")
    command.add_argument("--card", action="store_true", help="print the model card, written from the records")
    command.add_argument("--where", metavar="FILTER", help="only versions that match, such as \"tag.team = 'risk'\"")
    command.add_argument(
        "--alias", metavar="NAME", help="show which version this alias points to, who put it there, why"
    )
    command.add_argument(
        "--on", metavar="DAY", help="with --alias: as it was at the end of a day (2013-07-01) or moment"
    )
    command.add_argument("--history", action="store_true", help="every move of the aliases, oldest first")
    command.add_argument(
        "--latest-stable", action="store_true", help="show the latest stable version, and why those above it are not"
    )
    models_change.configure(command)


def run(options: argparse.Namespace) -> int:
    """Route by how much was named and what was asked."""
    name, slash, number = (options.target or "").partition("/")
    if slash and not number.isdecimal():
        raise SettingInvalid(
            f"{options.target!r} names no version", cause="a version is a number", remedy=f"noria models {name}"
        )
    _check(options, name)
    with Workspace.open() as workspace:
        if models_change.asked(options):
            return models_change.change(workspace, options, name, int(number) if number else None)
        if not number:
            return _of_model(workspace, name, options)
        version = workspace.models.get(name, int(number))
        if options.card:
            return _card(workspace, version, as_object=options.json)
        pointing = _names(workspace, version)
    if options.json:
        as_json(version)
    else:
        _show(version, pointing)
    return 0


def _check(options: argparse.Namespace, name: str) -> None:
    """What needs a model needs its name."""
    for option in ("alias", "history", "latest_stable"):
        if getattr(options, option) and not name:
            said = option.replace("_", "-")
            raise SettingInvalid(f"--{said} asks about one model", remedy=f"noria models MODEL --{said}")
    if options.on and not options.alias:
        raise SettingInvalid("--on asks about an alias", remedy="noria models MODEL --alias champion --on 2013-07-01")


def _of_model(workspace: Workspace, name: str, options: argparse.Namespace) -> int:
    if options.alias and not options.history:
        return _standing(workspace, name, options)
    if options.history:
        return _history(workspace, name, options)
    if options.latest_stable:
        return _latest_stable(workspace, name, as_object=options.json)
    return _list(workspace, name, options)


def _list(workspace: Workspace, name: str, options: argparse.Namespace) -> int:
    if name:
        workspace.catalog.get(name)
    versions = list(_found(workspace, name, options.where)) if options.where else _all(workspace, name)
    if options.json:
        as_json({"versions": versions})
        return 0
    if options.where and not versions:
        console().print(f"No version matches {options.where!r}.")
        return 0
    empty = [] if options.where or name else _empty(workspace, versions)
    if not versions and not empty:
        console().print("No model version yet.\nnext: noria demo")
        return 0
    aliases = {model: workspace.models.aliases(model) for model in {version.model for version in versions}}
    rows = []
    for v in versions:
        pointing = ", ".join(alias for alias, number in aliases[v.model].items() if number == v.number)
        rows.append([v.ref, str(v.version), pointing, _flavor(v), f"{v.created_at:%Y-%m-%d %H:%M}", v.version_reason])
    rows += [[model, "", "", "", "", "no version yet"] for model in empty]
    table(["version", "semantic", "alias", "flavor", "registered", "why this number"], rows)
    return 0


def _all(workspace: Workspace, name: str) -> list[ModelVersion]:
    names = [name] if name else workspace.models.models()
    return [version for model in names for version in workspace.models.versions(model)]


def _empty(workspace: Workspace, versions: list[ModelVersion]) -> list[str]:
    """Models that were made and have no version."""
    used = {version.model for version in versions}
    return [name for name in workspace.models.models() if name not in used]


def _found(workspace: Workspace, name: str, where: str) -> Iterator[ModelVersion]:
    """Every version that matches, newest first, however many there are."""
    from noria.wire.query import parse_filter

    asked = parse_filter(where, kind="versions")
    if name:
        of_model = Comparison(field=Field(scope="attribute", key="name"), operator="=", value=name)
        asked = of_model if asked is None else And((of_model, asked))
    after = ""
    while True:
        page = workspace.models.search(Query(where=asked, limit=PAGE, after=after))
        yield from page.items
        after = page.next
        if not after:
            return


def _names(workspace: Workspace, version: ModelVersion) -> list[str]:
    return [alias for alias, number in workspace.models.aliases(version.model).items() if number == version.number]


def _flavor(version: ModelVersion) -> str:
    return version.flavor if version.bundle else "not packaged"


def _show(version: ModelVersion, pointing: list[str]) -> None:
    said = [
        ["semantic", f"{version.version} ({version.version_reason})"],
        ["alias", ", ".join(pointing)],
        ["description", version.description],
        ["run", version.run_id or ""],
        ["trained model", version.trained or ""],
        ["source", version.source],
        ["bundle", version.bundle or f"none: registered from outside; noria package build {version.ref}"],
        ["flavor", version.flavor],
        ["registered by", version.user],
        *[["dataset", digest] for digest in version.datasets],
        *[["tag", f"{key} = {value}"] for key, value in sorted(version.tags.items())],
    ]
    table(["what", "value"], [[what, str(value)] for what, value in said if value], title=version.ref)
    if version.gates is not None:
        from noria.evaluation.report import report_markdown

        print(report_markdown(version.gates))


def _standing(workspace: Workspace, name: str, options: argparse.Namespace) -> int:
    """One alias on one day: the version, who, when, why, on which evidence."""
    from noria.app.standing import standing

    on = moment(options.on) if options.on else workspace.clock.now()
    found = standing(workspace, name, options.alias, on=on)
    if options.json:
        as_json(found)
        return 0
    until = f"{found.until:%Y-%m-%d %H:%M}" if found.until else "now"
    semantic = f" = {found.version} ({found.version_reason})" if found.version else " (deleted since)"
    rows = [
        ["version", f"{name}/{found.number}{semantic}"],
        ["since", f"{found.since:%Y-%m-%d %H:%M} until {until} (UTC)"],
        ["before it", f"version {found.previous}" if found.previous else "none"],
        ["who", found.actor],
        ["why", found.reason],
    ]
    table(["what", "it was"], rows, title=f"{found.alias} of {name} on {found.on:%Y-%m-%d %H:%M} UTC")
    if found.gates is not None:
        gates = [["passed" if r.passed else "FAILED", r.gate.name, r.evidence] for r in found.gates.results]
        table(["", "gate", "evidence"], gates)
    if found.events:
        table(
            ["#", "when", "what led there"], [[str(x.seq), f"{x.at:%Y-%m-%d %H:%M}", x.sentence] for x in found.events]
        )
    return 0


def _history(workspace: Workspace, name: str, options: argparse.Namespace) -> int:
    workspace.catalog.get(name)
    moves = workspace.models.alias_history(name, options.alias)
    if options.json:
        as_json({"moves": moves})
        return 0
    if not moves:
        console().print(f"No alias of {name} was ever set.\nnext: noria models {name}/1 --set-alias NAME --because ...")
        return 0
    rows = [
        [
            f"{move.at:%Y-%m-%d %H:%M}",
            move.alias,
            str(move.previous or "-"),
            str(move.number or "taken away"),
            move.actor,
            move.reason,
        ]
        for move in moves
    ]
    table(["when (UTC)", "alias", "from", "to", "who", "why"], rows, title=name)
    return 0


def _latest_stable(workspace: Workspace, name: str, *, as_object: bool) -> int:
    """Exit 3 if no version is stable."""
    from noria.registry.stable import latest_stable, rollouts_of

    workspace.catalog.get(name)
    found = latest_stable(workspace.models, name, rollouts=rollouts_of(workspace.deployments, name))
    if as_object:
        as_json(found)
    else:
        said = f"{found.version.ref} = {found.version.version}: {found.why}" if found.version else found.why
        console().print(said)
        if found.passed_over:
            rows = [[f"{name}/{over.number}", over.version, over.why] for over in found.passed_over]
            table(["not stable", "semantic", "because"], rows)
    return 0 if found.version else 3


def moment(text: str) -> datetime:
    """A day as its last moment in UTC, or a moment as it is said (UTC unless it names its zone). Raises SettingInvalid.

    >>> moment("2013-07-01").isoformat()
    '2013-07-01T23:59:59.999999+00:00'
    """
    try:
        if len(text) == len("2013-07-01"):
            return datetime.combine(date.fromisoformat(text), time.max, tzinfo=UTC)
        said = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingInvalid(
            f"{text!r} is no day", cause=str(error), remedy="write 2013-07-01, or 2013-07-01T12:00:00+02:00"
        ) from error
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def _card(workspace: Workspace, version: ModelVersion, *, as_object: bool) -> int:
    from noria.errors import NotFound
    from noria.governance.card import model_card

    datasets = []
    for digest in version.datasets:
        try:
            datasets.append(workspace.tables.version(digest))
        except NotFound:
            continue
    try:
        run = workspace.runs.get(version.run_id) if version.run_id else None
    except NotFound:
        run = None
    card = model_card(version, run, datasets, workspace.deployments.all())
    if as_object:
        as_json({"card": card})
    else:
        print(card)
    return 0
