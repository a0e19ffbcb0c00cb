"""How commands print: JSON, tables, failures. Rich is imported only when something is drawn. Called by the commands."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from noria.errors import NoriaError

if TYPE_CHECKING:
    from rich.console import Console


def as_json(value: object) -> None:
    """Print any noun, struct or plain value as JSON on one line. NaN becomes null."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def console() -> "Console":
    """A terminal that honours NO_COLOR and prints plain lines when piped."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", right: Sequence[int] = ()) -> None:
    """Print a table; `right` names the columns whose numbers line up on the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for index, name in enumerate(columns):
        drawn.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    console().print(drawn)


def failure(error: NoriaError, *, as_json: bool) -> int:
    """Print an error as problem, cause and remedy; gives the exit code."""
    if as_json:
        body = {
            "code": error.code,
            "problem": error.problem,
            "cause": error.cause,
            "remedy": error.remedy,
            "retryable": error.retryable,
        }
        sys.stdout.write(msgspec.json.encode({"error": body}).decode() + "\n")
        return 1
    lines = [error.headline()]
    if error.cause:
        lines.append(f"  cause:  {error.cause}")
    lines.append(f"  remedy: {error.remedy}")
    sys.stderr.write("\n".join(lines) + "\n")
    return 1
