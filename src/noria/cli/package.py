"""`noria package`: show a bundle, write one out as an MLflow model, make one of what came from MLflow. The work is app/packaging."""

import argparse
import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.bundle import Bundle
from noria.domain.ids import Digest
from noria.domain.model import Field
from noria.errors import SettingInvalid

if TYPE_CHECKING:
    from noria.app.packaging import Done


def configure(command: argparse.ArgumentParser) -> None:
    """What to do, with which version."""
    command.add_argument(
        "action",
        choices=["show", "export", "build", "add"],
        help="show a bundle; export it into a folder; build one for a version from outside; add a folder as a version",
    )
    command.add_argument(
        "target",
        help="models:/NAME/1, models:/NAME@champion, models:/NAME/latest (or without models:/), or a bundle's digest; to add: NAME",
    )
    command.add_argument("folder", nargs="?", type=Path, help="where to export to, or what to add")
    command.add_argument(
        "--requirements",
        choices=["serving", "training"],
        help="with show: only what the model needs there, as a requirements file",
    )


def run(options: argparse.Namespace) -> int:
    """An exported folder is a bundle and an MLflow model at once: `mlflow.pyfunc.load_model(FOLDER)` needs no Noria for an ONNX bundle."""
    if options.action in ("export", "add") and options.folder is None:
        raise SettingInvalid(
            f"{options.action} needs a folder", remedy=f"noria package {options.action} {options.target} FOLDER"
        )
    with Workspace.open() as workspace:
        if options.action == "show":
            return _show(workspace, options)
        if options.action == "export":
            return _export(workspace, options)
        return _make(workspace, options)


def _show(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.packaging import bundle_named
    from noria.packaging.environment import made_with, requirements, served_with

    digest, manifest = bundle_named(workspace, options.target)
    environment = manifest.environment
    needed = {"serving": served_with(environment, manifest.flavor), "training": made_with(environment)}
    if options.json:
        as_json({"digest": digest, "bundle": manifest, **needed})
    elif options.requirements:
        print(requirements(needed[options.requirements], environment.hashes), end="")
    else:
        _describe(digest, manifest, needed)
    return 0


def _describe(digest: Digest, manifest: Bundle, needed: dict[str, dict[str, str]]) -> None:
    parity = manifest.parity
    judged = "not converted" if manifest.flavor != "onnx" else "ONNX from the beginning"
    if parity is not None:
        found = f"largest difference {parity.max_difference:.2g} over {parity.rows} rows ({', '.join(parity.cases)})"
        judged = found if parity.passed else f"not converted: {parity.reason}"
    rows = [
        ["bundle", digest],
        ["model", manifest.model],
        ["run", manifest.run_id],
        ["form", f"{manifest.flavor}{'' if manifest.code_free else ', carries code'}"],
        ["compared", judged],
        [
            "made",
            f"{manifest.created_at:%Y-%m-%d %H:%M} by Python {manifest.environment.python} on {manifest.environment.platform}",
        ],
    ]
    table(["what", "value"], [row for row in rows if row[1]])
    for title, fields in (("takes", manifest.signature.inputs), ("gives", manifest.signature.outputs)):
        table([title, "type", "may be missing", "values"], [_field(field) for field in fields])
    table(["file", "bytes", "sha256"], [[e.path, f"{e.size:,}", e.sha256] for e in manifest.files], right=[1])
    serving, training = needed["serving"], needed["training"]
    names = sorted(serving.keys() | training.keys())
    table(
        ["needs", "to serve", "to train"],
        [[name, serving.get(name, ""), training.get(name, "")] for name in names],
    )


def _field(field: Field) -> list[str]:
    shape = "×".join(str(size) for size in field.dims or ((field.width,) if field.width > 1 else ()))
    seen = ", ".join(field.categories[:6]) + (" …" if len(field.categories) > 6 else "") if field.categories else ""
    if field.minimum is not None and field.maximum is not None:
        seen = f"{field.minimum:g} to {field.maximum:g}"
    return [field.name, f"{field.datatype}{f' ({shape})' if shape else ''}", "yes" if field.nullable else "", seen]


def _export(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.packaging import export

    digest, manifest = export(workspace, options.target, options.folder)
    if options.json:
        as_json({"digest": digest, "folder": str(options.folder), "flavor": manifest.flavor})
        return 0
    needs = "mlflow, pandas and onnxruntime" if manifest.flavor == "onnx" else "mlflow, pandas and noria[train]"
    console().print(
        f"✓ {digest} written to {options.folder}\n"
        f'next: python -c "import mlflow; print(mlflow.pyfunc.load_model({str(options.folder)!r}))", with {needs}',
        markup=False,
    )
    return 0


def _make(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.app.packaging import add_folder, package_version, version_named

    if options.action == "add":
        done = add_folder(workspace, options.target, options.folder, actor=getpass.getuser())
    else:
        version = version_named(workspace, options.target)
        done = package_version(workspace, version, actor=getpass.getuser())
    if options.json:
        as_json({"version": done.version, "digest": done.digest, "notes": list(done.notes)})
    else:
        _said(done)
    return 0


def _said(done: "Done") -> None:
    lines = [f"✓ {done.version.ref} is packaged as {done.manifest.flavor}: {done.digest}"]
    lines += [f"  {note}" for note in done.notes]
    lines.append(f"next: noria package show {done.version.ref}")
    console().print("\n".join(lines), markup=False)
