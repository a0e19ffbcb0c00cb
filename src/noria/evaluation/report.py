"""A gate report for people: as a Markdown table and as JSON. Judging is evaluation/gates. Called by cli/ through the workspace."""

from typing import Any

import msgspec

from noria.domain.gate import GateReport, GateResult


def report_json(report: GateReport) -> dict[str, Any]:
    """The report as plain values, with the verdict spelled out."""
    return {"passed": report.passed, **msgspec.to_builtins(report)}


def report_markdown(report: GateReport) -> str:
    """A table, one row a gate, failures first.

    >>> print(report_markdown(GateReport(results=(), rows=0)))
    **refused**: 0 of 0 gates passed on 0 rows
    """
    passed = sum(r.passed for r in report.results)
    span = f", {report.since} to {report.until}" if report.since else ""
    head = f"**{'passed' if report.passed else 'refused'}**: {passed} of {len(report.results)} gates passed on {report.rows} rows{span}"
    if not report.results:
        return head
    rows = [_row(r) for r in sorted(report.results, key=lambda r: r.passed)]
    return "\n".join([head, "", "| gate | verdict | measured | limit | evidence |", "|---|---|---|---|---|", *rows])


def _row(result: GateResult) -> str:
    limit = f"{'<=' if result.gate.better == 'lower' or result.gate.kind in ('against_champion', 'worst_slice') else '>='} {result.gate.limit:g}"
    measured = str(result.measured) if result.measured.n else "not measured"
    cells = (result.gate.name, "passed" if result.passed else "FAILED", measured, limit, result.evidence)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
