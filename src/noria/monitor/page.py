"""A comparison as one page that needs nothing beside it: no script, no file, no host. Its size grows with the bins, not with the rows.

The drawings are charts.py, the looks style.py. Called by result.
"""

from collections.abc import Sequence
from html import escape

from noria.domain.comparison import ColumnReport, Compared, Judged, Measure, Quality, TableFacts
from noria.domain.interval import Interval
from noria.monitor.charts import course, evidence_bar, gauge, histogram, usual, whiskers
from noria.monitor.style import CSS
from noria.monitor.wording import labels_of, number, percent, shortened, small

WITH_BINS = 100
"""So many columns have a table of their bins on the page; the JSON has all."""

_SCROLL = '<div class="scroll" tabindex="0" role="region" aria-label="Wide content">'

LISTED = 1000
"""So many columns are on the page at all, those that moved most first."""


def page(found: Compared) -> str:
    """The whole page."""
    parts = [_verdict(found), _tiles(found)]
    if found.course and found.course[0].at is not None and len(found.course) > 1:
        parts.append(_course(found))
    if found.quality is not None:
        parts.append(_quality(found.quality))
    parts += [_findings(found), _columns(found), _how(found)]
    title = escape(f"{found.verdict}: {found.current.rows:,} rows against {found.reference.rows:,}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{CSS}</style></head><body>"
        '<header class="top"><span><b>noria</b> monitor</span></header><main>'
        f"{''.join(parts)}</main>{_footer(found)}</body></html>"
    )


def framed(found: Compared) -> str:
    """The page in a frame, for a notebook."""
    return (
        f'<iframe title="{escape(found.headline)}" sandbox srcdoc="{escape(page(found))}" '
        'style="width:100%;height:620px;border:1px solid #8888;border-radius:8px"></iframe>'
    )


_MARKS = {
    "alarm": '<path d="M9 1.6 17 16H1z" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/>'
    '<path d="M9 6.6v4.4M9 13.4v.2" stroke="currentColor" stroke-width="1.9" stroke-linecap="round"/>',
    "fine": '<circle cx="9" cy="9" r="7.4" fill="none" stroke="currentColor" stroke-width="1.8"/>'
    '<path d="m5.7 9.3 2.3 2.3 4.4-4.8" fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round"/>',
}


def _verdict(found: Compared) -> str:
    reasons = "".join(f"<li>{escape(r)}</li>" for r in found.reasons)
    headline = found.headline.partition(": ")[2]
    return (
        f'<section class="verdict {found.verdict}"><span class="word"><svg width="18" height="18" viewBox="0 0 18 18" '
        f'aria-hidden="true">{_MARKS[found.verdict]}</svg>{found.verdict}</span>'
        f"<h1>{escape(headline[:1].upper() + headline[1:])}</h1>{f'<ul>{reasons}</ul>' if reasons else ''}"
        f'<p class="small muted">{escape(_rows(found))}; {escape(found.budget)}.</p></section>'
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tiles(found: Compared) -> str:
    inputs = [c for c in found.columns if c.role == "input"]
    tiles: list[str] = []
    if inputs:
        moved = sum(c.blamed for c in inputs)
        word = f"{moved or 'some'} moved" if found.inputs.alarm else "none moved"
        tiles.append(_judged_tile(f"{len(inputs)} input{'s' * (len(inputs) != 1)}", word, found.inputs))
    if found.prediction is not None:
        tiles.append(_judged_tile("predictions", "moved" if found.prediction.alarm else "not moved", found.prediction))
    if found.quality is not None:
        tiles.append(_quality_tile(found.quality))
    broken = sum(f.severity != "info" for f in found.findings)
    word = f"{broken} broken" if broken else "nothing broken"
    tiles.append(_tile("data", word, "bad" if broken else "ok", "", "columns, types and values, against the reference"))
    return f'<section class="tiles" aria-label="In short">{"".join(tiles)}</section>'


def _tile(title: str, word: str, state: str, drawing: str, below: str) -> str:
    return f'<div class="tile"><h3>{escape(title)}</h3><div class="big {state}">{escape(word)}</div>{drawing}<p>{below}</p></div>'


def _judged_tile(title: str, word: str, judged: Judged) -> str:
    below = f"evidence {_power(judged.evidence)}, an alarm needs {_power(judged.threshold)}"
    return _tile(title, word, "bad" if judged.alarm else "ok", evidence_bar(judged), below)


def _rows(found: Compared) -> str:
    spans = [f"{table.rows:,} rows{_span(table)}" for table in (found.current, found.reference)]
    return f"{spans[0]}, against {spans[1]}"


def _span(table: TableFacts) -> str:
    return f" ({table.since:%Y-%m-%d} to {table.until:%Y-%m-%d})" if table.since and table.until else ""


def _power(exponent: float) -> str:
    return f"10<sup>{exponent:.1f}</sup>".replace("-", "−")


def _quality_tile(quality: Quality) -> str:
    if quality.estimated is not None:
        return _tile("quality", "estimated", "", "", escape(quality.says))
    if quality.change is None:
        return _tile("quality", "not known", "", "", escape(quality.says))
    return _tile(
        "quality", "worse" if quality.alarm else "not worse", "bad" if quality.alarm else "ok", "", quality.says
    )


def _course(found: Compared) -> str:
    threshold = found.inputs.threshold
    answers = ", predictions dashed" if found.prediction is not None else ""
    return (
        "<section><h2>Evidence over time</h2>"
        f'<p class="small muted">Powers of ten: inputs{answers}; the dotted line makes an alarm.</p>'
        f"{_SCROLL}{course(found.course, threshold)}</div></section>"
    )


def _quality(quality: Quality) -> str:
    rows = "".join(_measure(m) for m in quality.measures)
    said = f"<p>{escape(_upper(quality.says))}.</p>"
    if quality.change is not None:
        said += (
            f'<p class="small muted">Change of the {escape(quality.loss)}: {escape(_interval(quality.change))}; '
            f"it may rise by {number(quality.allowed)}. The interval holds {100 * quality.change.level:.4g} times in 100.</p>"
        )
    if quality.assumption:
        said += f'<p class="small muted">Estimated: {escape(quality.assumption)}.</p>'
    estimated = (
        f"<p>Estimated {escape(quality.loss)}: {escape(_interval(quality.estimated))}.</p>" if quality.estimated else ""
    )
    return (
        f"<section><h2>Quality of answers</h2>{said}{estimated}"
        f'{_SCROLL}<table class="measures"><thead><tr><th>measure</th><th class="n">reference</th><th class="n">current</th>'
        f"<th>95 % intervals</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="small muted">Labelled rows: {quality.labelled_reference:,} then, {quality.labelled_current:,} now.</p></section>'
    )


def _measure(measure: Measure) -> str:
    cells = "".join(_measured(i) for i in (measure.reference, measure.current))
    reason = f'<span class="muted">{escape(measure.reason)}</span>' if measure.reason else ""
    drawn = whiskers(measure.reference, measure.current)
    return f"<tr><td>{escape(measure.name)}{reason}</td>{cells}<td>{drawn}</td></tr>"


def _measured(interval: Interval | None) -> str:
    if interval is None:
        return '<td class="n">–</td>'
    span = f"{number(interval.low)} to {number(interval.high)}"
    return f'<td class="n">{number(interval.value)}<span class="muted">{span}</span></td>'


def _interval(interval: Interval) -> str:
    return f"{number(interval.value)} ({number(interval.low)} to {number(interval.high)})"


def _findings(found: Compared) -> str:
    if not found.findings:
        return ""
    rows = "".join(
        f"<li>{escape(_upper(f.summary))}{'' if f.severity == 'info' else ' <span class=chip>broken</span>'}</li>"
        for f in found.findings
    )
    return f'<section><h2>Data</h2><ul class="plain">{rows}</ul></section>'


def _columns(found: Compared) -> str:
    if not found.columns:
        return ""
    shown = found.columns[:LISTED]
    drawn = "".join(_column(c, bins=i < WITH_BINS) for i, c in enumerate(shown))
    more = len(found.columns) - len(shown)
    left = f'<p class="muted small">{more:,} columns that moved less are in the JSON.</p>' if more else ""
    return (
        "<section><h2>Columns</h2>"
        '<p class="key"><span><i style="background:var(--then)"></i>reference</span>'
        '<span><i style="background:var(--now)"></i>current</span>'
        '<span><i style="background:var(--nowbad)"></i>current, moved</span>'
        "<span>one bar for each bin of the reference; the last is missing values, if there are any</span></p>"
        f"{drawn}{left}</section>"
    )


def _column(column: ColumnReport, *, bins: bool) -> str:
    chips = f'<span class="chip">{column.role}</span>' if column.role != "input" else ""
    chips += '<span class="chip bad">moved</span>' if column.blamed else ""
    noise = f"noise up to {small(column.psi_noise)}" if column.psi_noise else ""
    summary = (
        f'<div class="name">{escape(shortened(column.name))}{chips}<span class="says">{escape(column.says)}</span></div>'
        f'<div class="hist">{histogram(column)}</div>'
        f'<div class="gauge">{gauge(column)}<span class="muted">shift {column.shift:.3f}, usual up to {usual(column):.3f}</span></div>'
        f'<div class="psi">PSI {small(column.psi)}<span class="muted">{noise}</span></div>'
    )
    body = _bins(column) if bins else '<p class="small muted">Its bins are in the JSON.</p>'
    return f'<details class="col{" bad" if column.blamed else ""}"><summary>{summary}</summary><div class="body">{body}</div></details>'


def _bins(column: ColumnReport) -> str:
    labels = labels_of(column.kind, column.cuts, column.categories, len(column.reference))
    then, now = (sum(c) or 1 for c in (column.reference, column.current))
    rows = "".join(
        f'<tr><td>{escape(label)}</td><td class="n">{percent(a / then)}</td>'
        f'<td class="n{" up" if abs(b / now - a / then) > column.margin else ""}">{percent(b / now)}</td></tr>'
        for label, a, b in zip(labels, column.reference, column.current, strict=True)
        if a or b
    )
    facts = f"evidence {_power(column.evidence)}"
    facts += f", importance {percent(column.importance)}" if column.importance else ""
    known = (
        ("Jensen-Shannon", column.js, column.js_noise),
        ("Kolmogorov-Smirnov", column.ks, column.ks_noise),
        ("Wasserstein, in standard deviations", column.wasserstein, column.wasserstein_noise),
    )
    facts += "".join(f"; {name} {small(v)} (noise up to {small(n or 0.0)})" for name, v, n in known if v is not None)
    return (
        f'<p class="small muted">{then:,} rows then, {now:,} now; {facts}.</p><table><thead><tr><th>{column.kind}</th>'
        f'<th class="n">reference</th><th class="n">current</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _how(found: Compared) -> str:
    said: Sequence[str] = (
        f"The reference was cut into bins and its own wobble learnt from {found.window}; a column may move by its margin.",
        "Capital bets against 'it is within its margin'; an alarm is capital beyond what the budget allows. Columns share it.",
        "A shift is of the share that is farthest out; the line beside it is the margin, or what chance alone does 19 times in 20 if that is more.",
        "PSI is shown beside what it stays under 19 times in 20 without drift; it decides nothing.",
        *found.notes,
    )
    return f'<section><h2>How this was judged</h2><ul class="plain">{"".join(f"<li>{escape(s)}</li>" for s in said)}</ul></section>'


def _footer(found: Compared) -> str:
    return f"<footer>{escape(_upper(found.budget))}. {escape(found.format)}</footer>"
