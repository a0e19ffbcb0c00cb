"""`noria models`: list the versions of a model, show one, print its card, approve it."""

import argparse
import getpass

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.model import ModelVersion
from noria.errors import SettingInvalid


def configure(command: argparse.ArgumentParser) -> None:
    """Which version, and what to do with it."""
    command.add_argument("target", nargs="?", help="MODEL or MODEL/NUMBER; nothing lists all models")
    command.add_argument("--card", action="store_true", help="print the model card, written from the records")
    command.add_argument(
        "--approve", action="store_true", help="let this version meet traffic (for approval = 'person')"
    )
    command.add_argument("--because", default="", help="why it is approved; needed with --approve")


def run(options: argparse.Namespace) -> int:
    """Route by how much was named."""
    name, _, number = (options.target or "").partition("/")
    if number and not number.isdecimal():
        raise SettingInvalid(
            f"{options.target!r} names no version", cause="a version is a number", remedy=f"noria models {name}"
        )
    with Workspace.open() as workspace:
        if not number:
            return _list(workspace, name, as_object=options.json)
        version = workspace.models.get(name, int(number))
        if options.approve:
            return _approve(workspace, version, options)
        if options.card:
            return _card(workspace, version, as_object=options.json)
    if options.json:
        as_json(version)
    else:
        _show(version)
    return 0


def _list(workspace: Workspace, name: str, *, as_object: bool) -> int:
    names = [name] if name else workspace.models.models()
    versions = [version for model in names for version in workspace.models.versions(model)]
    if as_object:
        as_json({"versions": versions})
        return 0
    if not versions:
        console().print("No model version yet.\nnext: noria demo")
        return 0
    rows = []
    for v in versions:
        champion = "champion" if workspace.models.alias(v.model, "champion") == v.number else ""
        rows.append([v.ref, str(v.version), champion, v.flavor, f"{v.created_at:%Y-%m-%d %H:%M}", v.version_reason])
    table(["version", "semantic", "alias", "flavor", "registered", "why this number"], rows)
    return 0


def _show(version: ModelVersion) -> None:
    rows = [
        ["semantic", f"{version.version} ({version.version_reason})"],
        ["run", version.run_id],
        ["bundle", version.bundle],
    ]
    rows += [["flavor", version.flavor], *[["dataset", digest] for digest in version.datasets]]
    table(["what", "value"], rows, title=version.ref)
    if version.gates is not None:
        from noria.evaluation.report import report_markdown

        print(report_markdown(version.gates))


def _card(workspace: Workspace, version: ModelVersion, *, as_object: bool) -> int:
    from noria.errors import NotFound
    from noria.governance.card import model_card

    datasets = []
    for digest in version.datasets:
        try:
            datasets.append(workspace.tables.version(digest))
        except NotFound:
            continue
    card = model_card(version, workspace.runs.get(version.run_id), datasets, workspace.deployments.all())
    if as_object:
        as_json({"card": card})
    else:
        print(card)
    return 0


def _approve(workspace: Workspace, version: ModelVersion, options: argparse.Namespace) -> int:
    from noria.app.approving import approve_version

    entry = approve_version(workspace, version.model, version.number, actor=getpass.getuser(), reason=options.because)
    if options.json:
        as_json({"entry": entry.seq, "by": entry.actor})
    else:
        console().print(f"✓ {version.ref} approved by {entry.actor} (entry {entry.seq})\nnext: noria up")
    return 0
