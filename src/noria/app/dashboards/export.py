"""The files of `noria dashboards export`: dashboards as JSON, rules and configuration as YAML, ready to be mounted. Called by cli/dashboards."""

import contextlib
import errno
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from noria.app.dashboards.loop import LOOP
from noria.app.dashboards.machine import MACHINE
from noria.app.dashboards.panel import Dashboard, to_grafana
from noria.app.dashboards.rules import Limits, groups
from noria.app.dashboards.serving import SERVING
from noria.app.dashboards.watching import WATCHING
from noria.app.settings import Settings
from noria.errors import DiskFull, SettingInvalid

DASHBOARDS: tuple[Dashboard, ...] = (SERVING, WATCHING, LOOP, MACHINE)
HEAD = "# Written by `noria dashboards export`; write it anew rather than editing it.\n"
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_]|[A-Za-z_]")
"""Words that YAML takes as they stand, if they are none of its own."""
OWN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
PROMETHEUS = "http://127.0.0.1:9090"
GRAFANA_FOLDER = "/var/lib/grafana/dashboards"


def files(settings: Settings, *, prometheus: str = PROMETHEUS, limits: Limits | None = None) -> dict[str, str]:
    """Path within the folder -> content. prometheus: where Grafana finds it. Raises SettingInvalid for an address that is none."""
    parts = urlsplit(prometheus)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingInvalid(
            f"{prometheus!r} is no address of a Prometheus", remedy=f"noria dashboards export --prometheus {PROMETHEUS}"
        )
    found = {
        f"grafana/dashboards/{board.uid}.json": json.dumps(to_grafana(board), indent=1) + "\n" for board in DASHBOARDS
    }
    found["grafana/provisioning/dashboards/noria.yml"] = HEAD + as_yaml(
        {
            "apiVersion": 1,
            "providers": [{"name": "noria", "folder": "Noria", "type": "file", "options": {"path": GRAFANA_FOLDER}}],
        }
    )
    source = {"name": "Prometheus", "type": "prometheus", "access": "proxy", "url": prometheus}
    found["grafana/provisioning/datasources/noria.yml"] = HEAD + as_yaml({"apiVersion": 1, "datasources": [source]})
    found["prometheus/noria.rules.yml"] = HEAD + as_yaml(groups(limits))
    found["prometheus/prometheus.yml"] = HEAD + as_yaml(_scraping(settings))
    return found


def write(folder: Path, content: Mapping[str, str]) -> list[Path]:
    """Write the files, each whole or not at all. Raises DiskFull, and SettingInvalid for a folder that takes nothing."""
    written = []
    for name, text in content.items():
        place = folder / name
        part = place.with_name(f".{place.name}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.replace(place)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            kind = DiskFull if exc.errno == errno.ENOSPC else SettingInvalid
            raise kind(f"{place} cannot be written", cause=str(exc), remedy="name another --dir") from exc
        written.append(place)
    return written


def _scraping(settings: Settings) -> dict[str, Any]:
    serving = settings.serving
    jobs = (("noria", serving.port), ("noria-worker", serving.worker_port))
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["noria.rules.yml"],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [f"{serving.host}:{port}"]}]} for name, port in jobs
        ],
    }


def as_yaml(value: Any, *, depth: int = 0) -> str:
    """Maps, lists, text and numbers as YAML that people read.

    >>> print(as_yaml({"groups": [{"name": "a", "expr": 'x{y="z"} > 0', "for": "5m"}], "none": []}), end="")
    groups:
      - name: a
        expr: 'x{y="z"} > 0'
        for: 5m
    none: []
    """
    lines: list[str] = []
    space = "  " * depth
    for key, each in value.items():
        if isinstance(each, Mapping) and each:
            lines.append(f"{space}{_scalar(key)}:\n{as_yaml(each, depth=depth + 1)}")
        elif isinstance(each, Sequence) and not isinstance(each, str) and each:
            lines.append(f"{space}{_scalar(key)}:\n" + "".join(_item(one, depth + 1) for one in each))
        else:
            lines.append(f"{space}{_scalar(key)}: {_scalar(each)}\n")
    return "".join(lines)


def _item(value: Any, depth: int) -> str:
    space = "  " * depth
    if isinstance(value, Mapping) and value:
        inside = as_yaml(value, depth=depth + 1)
        return f"{space}- {inside[len(space) + 2 :]}"
    return f"{space}- {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if re.fullmatch(r"[0-9]+[smhd]", value) or (PLAIN.fullmatch(value) and value.lower() not in OWN):
        return value
    return "'" + value.replace("'", "''") + "'" if value.isprintable() else json.dumps(value)
