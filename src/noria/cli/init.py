"""`noria init`: start a project in a folder."""

import argparse
from pathlib import Path

from noria.app.begin import begin
from noria.app.settings import FILE
from noria.app.workspace import Workspace
from noria.cli.show import as_json, console
from noria.errors import AlreadyExists

TOML = """\
# Noria's settings for this project. Everything has a default; what stands here is what you will want to change first.
project = "{project}"
home = ".noria"            # where the stores live; keep it out of git

[stores]
metadata = "sqlite"        # one file, write-ahead log, an answer means it is on disk

[serving]
host = "127.0.0.1"         # loopback needs no login; any other address demands one
port = 8321
durable = false            # true: a prediction is on disk before it is answered

# [serving.recording.NAME]   # a deployment that is not recorded whole: a tenth of its requests, without one input, another only as a digest
# rate = 0.1
# leave_out = ["name"]
# digest = ["email"]
"""

PIPELINE = '''\
"""A first pipeline: `noria run pipeline.py`. Run it twice: the second time every step is found in the cache."""

from noria import pipeline


def numbers(*, n: int = 100) -> list[int]:
    return [i * i % 97 for i in range(n)]


def summary(numbers: list[int]) -> dict[str, float]:
    return {"mean": sum(numbers) / len(numbers), "largest": max(numbers)}


hello = pipeline("hello", numbers, summary)
'''


def configure(command: argparse.ArgumentParser) -> None:
    """Where, and under which name."""
    command.add_argument(
        "folder", type=Path, nargs="?", default=Path(), help="folder of the project (default: this one)"
    )
    command.add_argument("--project", default="", help="name of the project (default: the folder's name)")


def run(options: argparse.Namespace) -> int:
    """Write noria.toml, a first pipeline and an empty store. Existing files are never overwritten."""
    folder: Path = options.folder.resolve()
    if (folder / FILE).exists():
        raise AlreadyExists(
            f"{FILE} exists in this folder", cause="a project was started here before", remedy="noria status"
        )
    folder.mkdir(parents=True, exist_ok=True)
    project = options.project or folder.name
    written = [FILE]
    (folder / FILE).write_text(TOML.format(project=project), encoding="utf-8")
    for name, text in (("pipeline.py", PIPELINE), (".gitignore", ".noria/\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")
            written.append(name)
    with Workspace.open(folder) as workspace:
        begin(workspace)
    if options.json:
        as_json({"project": project, "folder": str(folder), "written": written})
    else:
        console().print(f"✓ project {project!r} started: {', '.join(written)}\nnext: noria run pipeline.py")
    return 0
