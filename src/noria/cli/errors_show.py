"""How `noria errors` prints what it found. Called by cli/errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from noria.cli.show import console, table
from noria.domain.interval import Interval

if TYPE_CHECKING:
    from noria.app.analysis import ErrorAnalysis, GroupAnalysis, Span
    from noria.app.anomalies import OddAnalysis
    from noria.app.causes import CauseAnalysis
    from noria.app.texts import TextAnalysis
    from noria.domain.fairness import Gap
    from noria.monitoring.errors import Confusion, ErrorReport, Residuals
    from noria.monitoring.slices import SliceSearch


def interval(found: Interval | None, *, percent: bool = False) -> str:
    """A number with its limits."""
    if found is None:
        return "-"
    if percent:
        return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
    return f"{found.value:.4g} [{found.low:.4g}, {found.high:.4g}]"


def print_span(span: "Span") -> None:
    """Which answers this is about."""
    out = console()
    out.print(
        f"[bold]{span.deployment}[/bold], version {span.model}/{span.number}: {span.answers:,} answers from {span.since:%Y-%m-%d} to "
        f"{span.until:%Y-%m-%d}, {span.labelled:,} with labels, {span.used:,} looked at"
    )
    if span.redacted:
        out.print(f"not looked at, because the log was told to redact them: {', '.join(span.redacted)}")


def print_errors(found: "ErrorAnalysis") -> None:
    """The verdict first: groups that are surely worse, then where errors lie, then examples."""
    report = found.report
    out = console()
    print_span(found.span)
    out.print(f"{report.unit}: {interval(report.loss)}")
    if report.slices is not None:
        _slices(report.slices, by=report.by)
    if report.attributions:
        rows = [
            ["yes" if a.sure else "no", a.column, interval(a.explained, percent=True), a.worst, f"{a.worst_mean:.4g}"]
            for a in report.attributions[:10]
        ]
        table(
            ["sure", "column", "tells of the errors", "highest where", "mean there"],
            rows,
            title="what tells the errors apart",
        )
    if report.together is not None:
        out.print(
            f"all columns together tell {interval(report.together, percent=True)} of the differences in {report.by}"
        )
    if report.confusion is not None:
        _confusion(report.confusion)
    if report.residuals is not None:
        _residuals(report.residuals)
    _examples(report)
    for note in report.notes:
        out.print(f"note: {note}")


def _slices(search: "SliceSearch", *, by: str) -> None:
    out = console()
    sure = search.sure
    verdict = (
        f"{len(sure)} group{' is' if len(sure) == 1 else 's are'} surely worse than the other rows"
        if sure
        else "no group is surely worse than the other rows"
    )
    out.print(
        f"[bold]{verdict}[/bold] (by {by}; {search.tried:,} groups tried on {search.searched_rows:,} rows, {search.judged} judged on "
        f"{search.judging_rows:,} others, all at {search.level:.0%} together)"
    )
    rows = [
        [
            "yes" if s.sure else "no",
            str(s),
            f"{s.share:.1%}",
            f"{s.mean:.4g}",
            f"{s.outside:.4g}",
            interval(s.excess),
            f"{s.harm:.1%}" if s.harm is not None else "",
        ]
        for s in search.slices
    ]
    if rows:
        columns = ["sure", "group", "of the rows", "mean", "elsewhere", "worse by", "of all loss"]
        table(columns, rows, right=[2, 3, 4, 6])


def _confusion(found: "Confusion") -> None:
    at = f", from {found.threshold:g} on" if found.threshold is not None else ""
    rows = [[name, *[f"{n:,}" for n in counts]] for name, counts in zip(found.classes, found.matrix, strict=True)]
    columns = ["happened", *[f"said {name}" for name in found.classes]]
    table(columns, rows, title=f"what happened and what was said{at}", right=range(1, len(columns)))
    table(["rate", ""], [[name.replace("_", " "), interval(rate, percent=True)] for name, rate in found.rates.items()])
    if found.note:
        console().print(f"note: {found.note}")


def _residuals(found: "Residuals") -> None:
    rows = [
        [
            f"{b.low:.4g} to {b.high:.4g}",
            f"{b.rows:,}",
            f"{b.said:.4g}",
            f"{b.happened:.4g}",
            interval(b.gap),
            _off(b.gap),
        ]
        for b in found.bins
    ]
    title = f"what was said and what happened; on average {interval(found.bias)} more happened"
    table(["said", "rows", "mean said", "happened", "gap", ""], rows, title=title, right=[1, 2, 3])


def _off(gap: Interval) -> str:
    if gap.low > 0:
        return "too low"
    return "too high" if gap.high < 0 else ""


def _examples(report: "ErrorReport") -> None:
    rows: Sequence[Sequence[str]] = [
        [
            e.prediction_id,
            f"{e.said:.4g}",
            f"{e.happened:g}",
            e.because,
            ", ".join(f"{name}={_short(value)}" for name, value in list(e.inputs.items())[:3]),
        ]
        for e in report.examples[:8]
    ]
    if rows:
        table(["prediction", "said", "happened", "why this one", "inputs"], rows, title="examples")
        console().print(f"next: noria why {report.examples[0].prediction_id}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_groups(found: "GroupAnalysis") -> None:
    """The verdict, the gaps, then the rates of every group."""
    report, out = found.report, console()
    print_span(found.span)
    beyond = [g for g in report.gaps if g.beyond]
    open_ = [g for g in report.gaps if not g.beyond and not g.settled]
    verdict = (
        f"{len(beyond)} of {len(report.gaps)} gaps surely exceed what is allowed"
        if beyond
        else f"no gap surely exceeds what is allowed; {len(open_)} of {len(report.gaps)} cannot be told yet"
    )
    out.print(f"[bold]{verdict}[/bold] (groups of {report.column}, all at {report.level:.0%} together)")
    if report.ratio is not None:
        out.print(
            f"lowest ratio of selection rates: {interval(report.ratio)} where {report.ratio_group} (the four-fifths rule looks at 0.8)"
        )
    rows = [
        [g.measure.replace("_", " "), g.group, interval(g.gap), f"{g.allowed:.3g}", _verdict(g)] for g in report.gaps
    ]
    table(["measure", "group", "group minus others", "allowed", ""], rows)
    names = list(dict.fromkeys(name for g in report.groups for name in g.rates))
    rates = [
        [g.group, f"{g.rows:,}", f"{g.labelled:,}", *[_rate(g.rates.get(n)) for n in names]] for g in report.groups
    ]
    table(["group", "rows", "labels", *[n.replace("_", " ") for n in names]], rates, right=[1, 2])
    for note in report.notes:
        out.print(f"note: {note}")


def _rate(found: Interval | None) -> str:
    return "-" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _verdict(gap: "Gap") -> str:
    if gap.beyond:
        return "too large"
    if gap.settled:
        return "small enough"
    told = "different, " if gap.sure else ""
    return (
        f"{told}too few rows to tell (some {gap.rows_needed:,})" if gap.rows_needed else f"{told}too few rows to tell"
    )


def print_causes(found: "CauseAnalysis") -> None:
    """The verdict, its two parts, then the inputs."""
    told, out = found.diagnosis, console()
    out.print(
        f"before: {found.before.since:%Y-%m-%d} to {found.before.until:%Y-%m-%d}, {found.before.used:,} rows; now:"
    )
    print_span(found.now)
    out.print(f"[bold]{told.verdict}[/bold]")
    rows = [
        ["before", interval(told.before)],
        ["now", interval(told.now)],
        ["change", interval(told.change)],
        ["because the inputs moved", interval(told.inputs)],
        ["because they mean something else", interval(told.meaning)],
    ]
    table([f"mean {told.measure}", ""], rows)
    causes = [
        [
            "yes" if c.sure else "no",
            c.feature,
            f"{c.part.value:+.4g} [{c.part.low:+.4g}, {c.part.high:+.4g}]",
            f"{c.shift:.1%} of {c.margin:.1%}" + (" !" if c.moved else ""),
            "-" if c.importance is None else f"{c.importance:.0%}",
            c.where,
        ]
        for c in told.causes[:12]
    ]
    table(["sure", "input", "accounts for", "moved, of its margin", "importance", "most where"], causes)
    for note in told.notes:
        out.print(f"note: {note}")


def print_odd(found: "OddAnalysis") -> None:
    """How many are odd against how many would be by chance, then the oddest."""
    report, out = found.report, console()
    print_span(found.now)
    by_chance = report.rate * report.rows
    much = ": surely more, so something changed, see noria errors --causes" if report.too_many else ""
    out.print(
        f"[bold]{report.flagged:,} of {report.rows:,} predictions have odd inputs[/bold], {by_chance:.1f} would by chance{much} "
        f"({interval(report.share, percent=True)}; learnt from {found.before.used:,} rows since {found.before.since:%Y-%m-%d})"
    )
    rows = [[o.prediction_id, f"{o.p:.2g}", "; ".join(r.sentence for r in o.reasons[:2])] for o in report.oddities]
    if rows:
        table(["prediction", "p", "why"], rows)
        out.print(f"next: noria why {report.oddities[0].prediction_id}")
    for note in report.notes:
        out.print(f"note: {note}")


def print_texts(found: "TextAnalysis") -> None:
    """One line a column, then the words that tell."""
    out = console()
    print_span(found.now)
    changed = [c for c in found.columns if c.alarm]
    verdict = (
        f"{len(changed)} of {len(found.columns)} changed more than before changes by itself"
        if changed
        else f"none of {len(found.columns)} texts and embeddings surely changed"
    )
    out.print(
        f"[bold]{verdict}[/bold] (against {found.before.used:,} rows from {found.before.since:%Y-%m-%d} to {found.before.until:%Y-%m-%d})"
    )
    rows = [
        [
            "yes" if c.alarm else "no",
            c.column,
            c.kind,
            f"10^{c.evidence:.1f} of 10^{c.threshold:.0f}",
            f"{c.advantage:.1%} of {c.margin:.1%}",
        ]
        for c in found.columns
    ]
    if rows:
        table(["changed", "input", "kind", "evidence", "told apart, of its margin"], rows)
    for c in found.columns:
        if c.alarm and c.now:
            out.print(f"{c.column}, more now: {'; '.join(c.now)}")
        if c.alarm and c.before:
            out.print(f"{c.column}, less now: {'; '.join(c.before)}")
        if c.alarm and c.examples:
            out.print(f"next: noria why {c.examples[0]}")
        for note in c.notes:
            out.print(f"note: {c.column}: {note}")
    for note in found.notes:
        out.print(f"note: {note}")
