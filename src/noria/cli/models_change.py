"""What `noria models` changes: approve, tag, describe, delete, move an alias. Each says who did it. Asking and showing is cli/models."""

import argparse
import getpass
from collections.abc import Sequence

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.domain.deployment import Variant
from noria.domain.model import AliasMove, ModelVersion
from noria.errors import SettingInvalid


def configure(command: argparse.ArgumentParser) -> None:
    """What to do with the model or version."""
    command.add_argument(
        "--approve", action="store_true", help="let this version meet traffic (for approval = 'person')"
    )
    command.add_argument("--because", default="", help="why; needed to approve, to move an alias and to delete")
    command.add_argument("--set-alias", metavar="NAME", help="point an alias to MODEL/NUMBER")
    command.add_argument("--remove-alias", metavar="NAME", help="take an alias of MODEL away; its history stays")
    command.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a tag of the model or version; KEY= takes it away",
    )
    command.add_argument("--describe", metavar="TEXT", help="say what the model or version is")
    command.add_argument(
        "--delete", action="store_true", help="forget the version, or the model with all of its versions"
    )


def asked(options: argparse.Namespace) -> bool:
    """Whether something shall change."""
    return bool(
        options.approve
        or options.set_alias
        or options.remove_alias
        or options.tag
        or options.describe is not None
        or options.delete
    )


def change(workspace: Workspace, options: argparse.Namespace, name: str, number: int | None) -> int:
    """Do what was asked, one thing a command, but for tags and description."""
    if not name:
        raise SettingInvalid("which model shall change is not said", remedy="noria models MODEL/NUMBER ...")
    wanted = [options.approve, options.set_alias, options.remove_alias, options.delete, options.tag or options.describe]
    if sum(bool(one) for one in wanted) > 1:
        raise SettingInvalid("one command changes one thing", remedy="write a command for each change")
    if options.set_alias or options.remove_alias:
        return _alias(workspace, options, name, number)
    if options.delete:
        return _delete(workspace, options, name, number)
    if options.approve:
        return _approve(workspace, workspace.models.get(name, _number(name, number, "--approve")), options)
    return _amend(workspace, options, name, number)


def _number(name: str, number: int | None, option: str) -> int:
    if number is None:
        raise SettingInvalid(f"{option} needs one version", remedy=f"noria models {name}/1 {option} ...")
    return number


def _alias(workspace: Workspace, options: argparse.Namespace, name: str, number: int | None) -> int:
    from noria.registry.promote import move_by_hand

    alias = options.set_alias or options.remove_alias
    to = _number(name, number, f"--set-alias {alias}") if options.set_alias else None
    _because(options)
    workspace.catalog.get(name)
    move = move_by_hand(
        workspace.models,
        workspace.ledger,
        model=name,
        alias=alias,
        number=to,
        at=workspace.clock.now(),
        actor=getpass.getuser(),
        reason=options.because,
    )
    if options.json:
        as_json({"move": move})
    else:
        console().print(_moved(workspace, name, alias, move))
    return 0


def _moved(workspace: Workspace, name: str, alias: str, move: AliasMove | None) -> str:
    if move is None:
        return f"{alias} of {name} pointed nowhere already."
    before = f" (before: version {move.previous})" if move.previous else ""
    said = f"✓ {alias} of {name} points to version {move.number}{before}" if move.number else f"✓ {alias} taken away"
    served = [
        deployment.name
        for deployment in workspace.deployments.all()
        if alias == "champion" and deployment.model == name and _serves_other(move, deployment.variants)
    ]
    for deployment in served:
        said += f"\nnote: deployment {deployment} answers as before; its versions change by rollouts: noria status"
    return said


def _serves_other(move: AliasMove, variants: Sequence[Variant]) -> bool:
    return all(variant.number != move.number for variant in variants)


def _because(options: argparse.Namespace) -> None:
    if not options.because.strip():
        raise SettingInvalid(
            "why is not said", cause="who looks at the history later wants to know", remedy="add --because '...'"
        )


def _delete(workspace: Workspace, options: argparse.Namespace, name: str, number: int | None) -> int:
    from noria.registry.promote import delete_model, delete_version

    _because(options)
    models, ledger, at, actor = workspace.models, workspace.ledger, workspace.clock.now(), getpass.getuser()
    if number is None:
        delete_model(workspace.catalog, models, ledger, model=name, at=at, actor=actor, reason=options.because)
    else:
        delete_version(models, ledger, model=name, number=number, at=at, actor=actor, reason=options.because)
    gone = name if number is None else f"{name}/{number}"
    if options.json:
        as_json({"deleted": gone})
    else:
        console().print(f"✓ {gone} deleted\nnext: noria gc, which gives the space of its files back")
    return 0


def _amend(workspace: Workspace, options: argparse.Namespace, name: str, number: int | None) -> int:
    tags = dict(_tag(said) for said in options.tag)
    now = workspace.clock.now()
    if number is None:
        model = workspace.catalog.amend(name, at=now, description=options.describe, tags=tags)
        kept, ref = model.tags, name
        if options.json:
            as_json(model)
    else:
        version = workspace.models.amend(name, number, at=now, description=options.describe, tags=tags)
        kept, ref = version.tags, version.ref
        if options.json:
            as_json(version)
    if not options.json:
        said = ", ".join(f"{key} = {value}" for key, value in sorted(kept.items())) or "none"
        console().print(f"✓ {ref} changed; its tags: {said}", markup=False)
    return 0


def _tag(said: str) -> tuple[str, str | None]:
    key, equals, value = said.partition("=")
    if not key or not equals:
        raise SettingInvalid(f"{said!r} is no tag", remedy="write --tag team=risk, or --tag team= to take it away")
    return key, value or None


def _approve(workspace: Workspace, version: ModelVersion, options: argparse.Namespace) -> int:
    from noria.app.approving import approve_version

    entry = approve_version(workspace, version.model, version.number, actor=getpass.getuser(), reason=options.because)
    if options.json:
        as_json({"entry": entry.seq, "by": entry.actor})
    else:
        console().print(f"✓ {version.ref} approved by {entry.actor} (entry {entry.seq})\nnext: noria up")
    return 0
