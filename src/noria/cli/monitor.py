"""`noria monitor`: compare two tables, verdict first; no project and no server needed. Ends with 0 (fine), 1 (alarm) or 2 (bad input)."""

import argparse
import sys
from pathlib import Path

from noria.errors import NoriaError


def configure(command: argparse.ArgumentParser) -> None:
    """The two tables, which column is what, and how sure an alarm has to be."""
    command.add_argument("reference", type=Path, metavar="REFERENCE", help="a CSV or Parquet file: what is usual")
    command.add_argument("current", type=Path, metavar="CURRENT", help="a CSV or Parquet file: what is to be judged")
    command.add_argument("--prediction", metavar="COLUMN", help="the model's answers: judged apart from its inputs")
    command.add_argument("--label", metavar="COLUMN", help="what really happened: with it, quality is judged too")
    command.add_argument("--time", metavar="COLUMN", help="when each row was; without it, rows count in their order")
    command.add_argument("--window", metavar="LENGTH", help="length of a window of time, such as 1d or 6h")
    command.add_argument(
        "--columns", default="", metavar="NAMES", help="compare only these inputs, separated by commas"
    )
    command.add_argument("--ignore", default="", metavar="NAMES", help="never compare these, separated by commas")
    command.add_argument(
        "--budget", type=float, default=1000.0, metavar="N", help="at most one false alarm in N comparisons (1000)"
    )
    command.add_argument(
        "--smallest", type=float, default=0.01, metavar="SHARE", help="a shift that is worth an alarm (0.01)"
    )
    command.add_argument(
        "--report", type=Path, action="append", default=[], metavar="FILE", help="write report.html or report.json"
    )


def run(options: argparse.Namespace) -> int:
    """Compare, print, write the reports."""
    try:
        return _compare(options)
    except NoriaError as error:
        if options.debug:
            raise
        from noria.cli.show import failure

        failure(error, as_json=options.json)
        return 2


def _compare(options: argparse.Namespace) -> int:
    from noria.monitor import compare

    found = compare(
        options.reference,
        options.current,
        prediction=options.prediction,
        label=options.label,
        time=options.time,
        window=options.window,
        columns=_names(options.columns),
        ignore=_names(options.ignore),
        budget=options.budget,
        smallest=options.smallest,
    )
    written = [found.save(path) for path in options.report]
    sys.stdout.write(found.json() if options.json else f"{found}\n")
    if not options.json:
        for path in written:
            sys.stdout.write(f"report: {path}\n")
    return found.exit_code


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
