"""Measurements to the text that Prometheus reads: format 0.0.4, or OpenMetrics 1.0 for who asks for it. What is measured is the callers' business.

Written once for the worker (server/inference/metrics) and the control plane (adapters/telemetry). Source: OpenMetrics 1.0.0, prometheus.io's formats.
"""

import math
from collections.abc import Sequence

from noria.domain.measurement import Family, Histogram, Labels

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def expose(families: Sequence[Family], *, openmetrics: bool = False) -> str:
    """All families as one page.

    >>> print(expose([Family("noria_turns_total", "counter", "Turns.", [((("loop", "a"),), 3.0)])]), end="")
    # HELP noria_turns_total Turns.
    # TYPE noria_turns_total counter
    noria_turns_total{loop="a"} 3
    """
    lines: list[str] = []
    for family in families:
        # OpenMetrics names a counter's family without its suffix.
        name = family.name.removesuffix("_total") if openmetrics and family.kind == "counter" else family.name
        help_ = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [
            f"# HELP {name} {help_.replace(chr(34), chr(92) + chr(34)) if openmetrics else help_}",
            f"# TYPE {name} {family.kind}",
        ]
        for labels, value in family.samples:
            if isinstance(value, Histogram):
                _histogram(lines, family.name, labels, value, openmetrics=openmetrics)
            else:
                lines.append(f"{family.name}{_braces(labels)} {_number(value)}")
    if openmetrics:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to plain text; what is not understood is plain text.

    >>> wants_openmetrics("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    True
    >>> wants_openmetrics("application/openmetrics-text;q=0.2, text/plain"), wants_openmetrics("*/*"), wants_openmetrics("")
    (False, False, False)
    """
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for entry in accept.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        if name in best:
            best[name] = max(best[name], _quality(parameters))
    return best["application/openmetrics-text"] > 0 and best["application/openmetrics-text"] >= best["text/plain"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _histogram(lines: list[str], name: str, labels: Labels, held: Histogram, *, openmetrics: bool) -> None:
    below = 0.0
    for place, (bound, count) in enumerate(zip((*held.bounds, math.inf), held.counts, strict=True)):
        below += count
        le = "+Inf" if math.isinf(bound) else repr(float(bound))
        line = f"{name}_bucket{_braces((*labels, ('le', le)))} {_number(below)}"
        exemplar = held.exemplars[place] if openmetrics and held.exemplars else None
        if exemplar is not None:
            line += f' # {{trace_id="{exemplar.trace_id}"}} {exemplar.value!r} {exemplar.at:.3f}'
        lines.append(line)
    lines.append(f"{name}_sum{_braces(labels)} {_number(held.sum)}")
    lines.append(f"{name}_count{_braces(labels)} {_number(below)}")


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    plain = value.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else repr(float(value))  # NaN is neither
