"""`noria dashboards export --dir DIR`: Grafana's dashboards, Prometheus's rules and the configuration of both, as files."""

import argparse
from pathlib import Path

from noria.app.dashboards.export import PROMETHEUS, files, write
from noria.app.dashboards.rules import Limits
from noria.app.settings import resolve
from noria.cli.show import as_json, console


def configure(command: argparse.ArgumentParser) -> None:
    """Where to, and from where on something is an alert."""
    limits = Limits()
    command.add_argument("action", choices=("export",), help="write the files")
    command.add_argument(
        "--dir", type=Path, required=True, help="folder to write to; files of the same name are replaced"
    )
    command.add_argument(
        "--prometheus", default=PROMETHEUS, metavar="URL", help=f"where Grafana finds it (default {PROMETHEUS})"
    )
    command.add_argument(
        "--failed",
        type=float,
        default=limits.failed,
        metavar="SHARE",
        help=f"requests that may fail (default {limits.failed:g})",
    )
    command.add_argument(
        "--slow",
        type=float,
        default=limits.slow_s,
        metavar="SECONDS",
        help=f"99 %% are answered within (default {limits.slow_s:g})",
    )
    command.add_argument(
        "--look", type=float, default=limits.look_s, metavar="SECONDS", help=f"a look may be so old (default {limits.look_s:g})"
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write them and say where they belong."""
    settings, _ = resolve()
    limits = Limits(failed=options.failed, slow_s=options.slow, look_s=options.look)
    written = write(options.dir, files(settings, prometheus=options.prometheus, limits=limits))
    if options.json:
        as_json({"files": [str(each) for each in written]})
        return 0
    for each in written:
        console().print(str(each))
    console().print(f"next: prometheus --config.file={options.dir / 'prometheus' / 'prometheus.yml'}")
    return 0
