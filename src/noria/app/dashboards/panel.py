"""Dashboards as nouns, and their JSON as Grafana reads it. What they show is in the files beside this one; files are written by export.

Of Grafana's model only what stood in it since version 9 is used. The data source and the deployment are variables, so nothing has to be edited.
"""

from typing import Any, Literal

import msgspec

Kind = Literal["timeseries", "stat", "bargauge", "table", "heatmap"]
SCHEMA_VERSION = 38
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CALM, WARN, BAD = "green", "orange", "red"


class Query(msgspec.Struct, frozen=True):
    """PromQL. legend: with labels in braces as Grafana has them; `threshold` in it draws the line dashed and red.

    seldom: why there may be no series although all is well; '' where there always is one once something was served and looked at.
    """

    expr: str
    legend: str = ""
    seldom: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One picture. width: of 24 columns. warn, bad: from these values on it is orange, and red. text: what one sees, and what to do."""

    title: str
    queries: tuple[Query, ...]
    text: str
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    low: float | None = None
    high: float | None = None
    warn: float | None = None
    bad: float | None = None
    stacked: bool = False


class Row(msgspec.Struct, frozen=True):
    """Panels under a headline."""

    title: str
    panels: tuple[Panel, ...]


class Variable(msgspec.Struct, frozen=True):
    """A choice at the top: values of a label. all: several, or all of them, may be chosen."""

    name: str
    metric: str
    label: str
    text: str


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    uid: str
    title: str
    text: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = ("noria",)

    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for row in self.rows for panel in row.panels]


def to_grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The JSON that Grafana imports or provisions."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row in dashboard.rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            }
        )
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, height = 0, top + height, 0
            place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
            panels.append(_panel(panel, number=len(panels) + 1, place=place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.text,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_decisions()]},
        "links": [{"type": "dashboards", "tags": ["noria"], "title": "Noria", "asDropdown": True, "includeVars": True, "keepTime": True}],
        "templating": {"list": [_source(), *(_variable(each) for each in dashboard.variables)]},
        "panels": panels,
    }  # fmt: skip


def _panel(panel: Panel, *, number: int, place: dict[str, int]) -> dict[str, Any]:
    instant = panel.kind in ("table", "bargauge")
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "instant": instant,
            "range": not instant,
            "format": "heatmap" if panel.kind == "heatmap" else "table" if panel.kind == "table" else "time_series",
        }
        for i, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        **({"transformations": _merged(panel)} if panel.kind == "table" else {}),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": CALM, "value": None}]
    steps += [
        {"color": color, "value": value} for color, value in ((WARN, panel.warn), (BAD, panel.bad)) if value is not None
    ]
    has_limits = len(steps) > 1
    held: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    held |= {name: value for name, value in (("min", panel.low), ("max", panel.high)) if value is not None}
    held["color"] = {"mode": "thresholds" if panel.kind in ("stat", "bargauge") and has_limits else "palette-classic"}
    if panel.kind == "timeseries":
        held["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 20 if panel.stacked else 0,
            "showPoints": "auto",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if has_limits else "off"},
        }
    return held


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    """Lines that are limits look like limits."""
    if panel.kind != "timeseries" or not any("threshold" in query.legend for query in panel.queries):
        return []
    dashed = {"fill": "dash", "dash": [8, 6]}
    properties = [
        {"id": "custom.lineStyle", "value": dashed},
        {"id": "color", "value": {"mode": "fixed", "fixedColor": BAD}},
    ]
    return [{"matcher": {"id": "byRegexp", "options": ".*threshold.*"}, "properties": properties}]


def _options(panel: Panel) -> dict[str, Any]:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.kind:
        case "timeseries":
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case "stat":
            return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
        case "bargauge":
            return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True}
        case "heatmap":
            return {"calculate": False, "yAxis": {"unit": panel.unit}, "color": {"mode": "scheme", "scheme": "Blues"}}
        case "table":
            return {"showHeader": True, "footer": {"show": False}}


def _merged(panel: Panel) -> list[dict[str, Any]]:
    """One table of all queries: a column a query, named by its legend."""
    names = {f"Value #{chr(ord('A') + i)}": query.legend for i, query in enumerate(panel.queries)}
    names |= {"Value": panel.queries[0].legend} if len(panel.queries) == 1 else {}
    hidden = dict.fromkeys(("Time", "__name__", "instance", "job"), True)
    organise = {"excludeByName": hidden, "renameByName": names, "indexByName": {}}
    return [{"id": "merge", "options": {}}, {"id": "organize", "options": organise}]


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "name": variable.name,
        "label": variable.text,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": variable.name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _decisions() -> dict[str, Any]:
    """A mark where another version began to answer."""
    return {
        "name": "promotions",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": PROMOTIONS,
        "titleFormat": "version {{version}} of {{deployment}} answers",
        "step": "30s",
    }


PROMOTIONS = "changes(noria_champion_version[1m]) > 0"
