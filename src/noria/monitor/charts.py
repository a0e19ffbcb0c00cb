"""Small drawings of the report as SVG: bins of two tables, a shift beside its margin, intervals, evidence over time. Their size grows with bins only.

Called by page. Every drawing says in words what it shows, for who cannot see it.
"""

from collections.abc import Sequence
from html import escape

from noria.domain.comparison import ColumnReport, Judged, Moment
from noria.domain.interval import Interval
from noria.monitor.wording import number

HIST_WIDTH, HIST_HEIGHT = 216, 40


def histogram(column: ColumnReport) -> str:
    """Shares of rows in each bin: the reference as wide pale bars, the current table as narrow strong ones."""
    then, now = _shares(column.reference), _shares(column.current)
    # What is empty in both says nothing, unless it lies between cuts.
    inner = range(1, len(column.cuts)) if column.kind == "number" else ()
    shown = [i for i in range(len(then)) if i in inner or then[i] > 0 or now[i] > 0] or [0]
    top = max([then[i] for i in shown] + [now[i] for i in shown] + [1e-9])
    step = HIST_WIDTH / len(shown)
    wide = _bars([then[i] / top for i in shown], step, 0.86)
    narrow = _bars([now[i] / top for i in shown], step, 0.42)
    colour = "var(--nowbad)" if column.blamed else "var(--now)"
    return (
        f'<svg viewBox="0 0 {HIST_WIDTH} {HIST_HEIGHT}" width="{HIST_WIDTH}" height="{HIST_HEIGHT}" role="img" '
        f'preserveAspectRatio="none" aria-label="{escape(column.says)}"><path d="{wide}" fill="var(--then)"/>'
        f'<path d="{narrow}" fill="{colour}"/></svg>'
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [c / total for c in counts]


def _bars(heights: Sequence[float], step: float, width: float) -> str:
    """Bars as one path. A bar that is not empty is at least a line."""
    parts: list[str] = []
    for i, height in enumerate(heights):
        if height <= 0:
            continue
        tall = max(1.0, height * (HIST_HEIGHT - 2))
        parts.append(f"M{_(i * step + step * (1 - width) / 2)} {HIST_HEIGHT}v-{_(tall)}h{_(step * width)}v{_(tall)}z")
    return "".join(parts)


def _(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") or "0"


def usual(column: ColumnReport) -> float:
    """How far a share may be out before it means anything: the margin, or what sampling and wobble alone do 19 times in 20."""
    return max(column.margin, column.ks_noise)


def gauge(column: ColumnReport) -> str:
    """The shift of the share that is farthest out as a bar, what is usual as a line."""
    allowed = usual(column)
    full = max(column.shift, allowed * 2, 1e-9)
    colour = "var(--nowbad)" if column.blamed else "var(--now)"
    at, line = 200 * min(1.0, column.shift / full), 200 * min(1.0, allowed / full)
    return (
        f'<svg viewBox="0 0 200 12" width="100%" height="12" preserveAspectRatio="none" role="img" '
        f'aria-label="shift {number(column.shift)}, usual up to {number(allowed)}">'
        f'<rect y="3" width="200" height="6" rx="3" fill="var(--line)"/>'
        f'<rect y="3" width="{_(at)}" height="6" rx="3" fill="{colour}"/>'
        f'<path d="M{_(line)} 0v12" stroke="var(--fg)" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )


def evidence_bar(judged: Judged) -> str:
    """How far the evidence is on its way to an alarm."""
    share = max(0.0, min(1.0, judged.evidence / judged.threshold)) if judged.threshold > 0 else 0.0
    colour = "var(--bad)" if judged.alarm else "var(--ok)"
    return (
        f'<svg viewBox="0 0 200 8" width="100%" height="8" preserveAspectRatio="none" role="img" '
        f'aria-label="evidence {judged.evidence:.1f} of {judged.threshold:.1f} powers of ten">'
        f'<rect width="200" height="8" rx="4" fill="var(--line)"/>'
        f'<rect width="{_(200 * share)}" height="8" rx="4" fill="{colour}"/></svg>'
    )


def whiskers(then: Interval | None, now: Interval | None) -> str:
    """Two intervals on one scale: the reference above, the current table below."""
    both = [i for i in (then, now) if i is not None]
    if not both:
        return ""
    low, high = min(i.low for i in both), max(i.high for i in both)
    span = (high - low) or 1.0
    parts: list[str] = []
    for interval, y, colour in ((then, 7, "var(--muted)"), (now, 17, "var(--now)")):
        if interval is None:
            continue
        a, b, at = (6 + 168 * (v - low) / span for v in (interval.low, interval.high, interval.value))
        parts.append(f'<path d="M{_(a)} {y}H{_(b)}" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<circle cx="{_(at)}" cy="{y}" r="4" fill="{colour}"/>')
    said = "; ".join(f"{n} {i}" for n, i in (("reference", then), ("current", now)) if i is not None)
    return f'<svg viewBox="0 0 180 24" width="180" height="24" role="img" aria-label="{escape(said)}">{"".join(parts)}</svg>'


def course(moments: Sequence[Moment], threshold: float) -> str:
    """Evidence over the current table's time, with the line that makes an alarm."""
    width, height, left, bottom = 1000.0, 190.0, 44.0, 24.0
    top = max([m.inputs for m in moments] + [m.prediction or 0.0 for m in moments] + [threshold * 1.25, 1.0])
    low = -1.0

    def x(i: int) -> float:
        return left + (width - left - 8) * (i / max(1, len(moments) - 1))

    def y(value: float) -> float:
        return (height - bottom) - (height - bottom - 10) * (max(low, value) - low) / (top - low)

    def line(values: Sequence[float], colour: str, dash: str) -> str:
        points = " ".join(f"{_(x(i))},{_(y(v))}" for i, v in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"{dash}/>'

    answers = [m.prediction for m in moments if m.prediction is not None]
    drawn = line([m.inputs for m in moments], "var(--now)", "")
    if len(answers) == len(moments):
        drawn += line(answers, "var(--accent)", ' stroke-dasharray="7 5"')
    ticks = "".join(
        f'<text class="axis" x="{_(left - 8)}" y="{_(y(v) + 4)}" text-anchor="end">{v:g}</text>'
        f'<path d="M{_(left)} {_(y(v))}H{_(width - 8)}" stroke="var(--line)"/>'
        for v in (0.0, round(threshold, 1))
    )
    dates = "".join(
        f'<text class="axis" x="{_(x(i))}" y="{height - 6}" text-anchor="{anchor}">{m.at:%Y-%m-%d %H:%M}</text>'
        for i, anchor, m in ((0, "start", moments[0]), (len(moments) - 1, "end", moments[-1]))
        if m.at is not None
    )
    limit = f'<path d="M{_(left)} {_(y(threshold))}H{_(width - 8)}" stroke="var(--bad)" stroke-width="1.5" stroke-dasharray="3 4"/>'
    said = f"evidence over {len(moments)} pieces, largest {max(m.inputs for m in moments):.1f}; an alarm needs {threshold:.1f}"
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="1000" role="img" aria-label="{escape(said)}">'
        f"{ticks}{limit}{drawn}{dates}</svg>"
    )
