"""`noria data`: list dataset versions, add a file as one, show one, compare two."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from noria.app.workspace import Workspace
from noria.cli.show import as_json, console, table
from noria.domain.dataset import DatasetVersion
from noria.errors import NotFound, SettingInvalid

if TYPE_CHECKING:
    from noria.data.diff import TableDiff


def configure(command: argparse.ArgumentParser) -> None:
    """Which version, and what to do with it."""
    command.add_argument("target", nargs="?", help="DATASET or DATASET/NUMBER; nothing lists all versions")
    command.add_argument(
        "--add", type=Path, metavar="FILE", help="keep a CSV or Parquet file as the next version of DATASET"
    )
    command.add_argument(
        "--against", metavar="DATASET/NUMBER", help="compare with this version, row by row; needs --key"
    )
    command.add_argument("--key", default="", metavar="COLUMNS", help="columns that name a row, separated by commas")


def run(options: argparse.Namespace) -> int:
    """Route by what was named."""
    with Workspace.open() as workspace:
        if options.add:
            return _add(workspace, options)
        name, _, number = (options.target or "").partition("/")
        if not number:
            return _list(workspace, name, as_object=options.json)
        version = _version(workspace, options.target)
        if options.against:
            return _compare(workspace, version, _version(workspace, options.against), options)
    if options.json:
        as_json(version)
    else:
        _show(version)
    return 0


def _version(workspace: Workspace, target: str) -> DatasetVersion:
    name, _, number = target.partition("/")
    for version in workspace.tables.versions(name):
        if str(version.number) == number:
            return version
    known = [
        f"{v.dataset}/{v.number}" for dataset in workspace.tables.datasets() for v in workspace.tables.versions(dataset)
    ]
    raise NotFound.of("dataset version", target, known, remedy="noria data")


def _add(workspace: Workspace, options: argparse.Namespace) -> int:
    from noria.data.schema import infer_schema
    from noria.data.snapshot import snapshot
    from noria.data.source import read_source

    if not options.target or "/" in options.target:
        raise SettingInvalid("--add needs the name of a dataset", remedy=f"noria data NAME --add {options.add}")
    standing = workspace.tables.versions(options.target)
    frame = read_source(options.add)
    schema = standing[-1].schema if standing else infer_schema(frame)
    parents = (standing[-1].digest,) if standing else ()
    now = workspace.clock.now()
    version = snapshot(
        workspace.tables, options.target, frame, schema=schema, at=now, source_name=options.add.name, parents=parents
    )
    if options.json:
        as_json(version)
    else:
        console().print(f"✓ {version.dataset}/{version.number}: {version.rows:,} rows, {version.digest}")
    return 0


def _list(workspace: Workspace, name: str, *, as_object: bool) -> int:
    names = [name] if name else workspace.tables.datasets()
    versions = [version for dataset in names for version in workspace.tables.versions(dataset)]
    if as_object:
        as_json({"versions": versions})
        return 0
    if not versions:
        console().print("No dataset version yet.\nnext: noria data NAME --add FILE.csv")
        return 0
    rows = [
        [
            f"{v.dataset}/{v.number}",
            f"{v.rows:,}",
            f"{v.bytes_stored:,}",
            f"{v.created_at:%Y-%m-%d %H:%M}",
            v.digest[:19],
            v.source,
        ]
        for v in versions
    ]
    table(["version", "rows", "bytes", "made", "digest", "source"], rows, right=[1, 2])
    return 0


def _show(version: DatasetVersion) -> None:
    rows = [["digest", version.digest], ["rows", f"{version.rows:,}"], ["source", version.source]]
    rows += [["parent", parent] for parent in version.parents]
    table(["what", "value"], rows, title=f"{version.dataset}/{version.number}")
    columns = [[c.name, c.dtype, "yes" if c.nullable else "no"] for c in version.schema.columns]
    table(["column", "type", "may be missing"], columns)
    if version.expectations is not None:
        results = version.expectations.results
        told = [
            ["✓" if r.passed else "✗", r.expectation.rule, r.expectation.column, f"{r.failed:,} of {r.rows:,}"]
            for r in results
        ]
        table(["", "expectation", "column", "broken by"], told)


def _compare(workspace: Workspace, one: DatasetVersion, other: DatasetVersion, options: argparse.Namespace) -> int:
    from noria.data.diff import diff

    key = [name for name in options.key.split(",") if name] or list(one.schema.key)
    if not key:
        raise SettingInvalid(
            "a comparison needs the columns that name a row",
            remedy=f"noria data {options.target} --against ... --key ID",
        )
    found = diff(
        workspace.tables.read(other.digest),
        workspace.tables.read(one.digest),
        key,
        before_schema=other.schema,
        after_schema=one.schema,
    )
    if options.json:
        as_json(found)
    else:
        _print(found)
    return 0


def _print(found: "TableDiff") -> None:
    counts = {"added": found.added, "removed": found.removed, "changed": found.changed, "unchanged": found.unchanged}
    table(["rows", "number"], [[name, f"{number:,}"] for name, number in counts.items()], right=[1])
    for change in found.schema:
        console().print(f"schema: {change}")
    moved = [[c.column, f"{c.changed:,}"] for c in found.columns if c.changed]
    if moved:
        table(["column", "changed in rows"], moved, right=[1])
