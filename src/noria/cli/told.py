"""A delivery on the terminal: what happened, what was judged by which limit, how the split moved. Folding it is app/deliveries."""

from collections.abc import Sequence

from noria.app.deliveries import Curve, Delivery
from noria.cli.show import console, table
from noria.domain.deployment import Judged
from noria.domain.interval import Interval
from noria.domain.policy import Bound

MARKS = {"ok": "✓", "warn": "!", "bad": "✗", "busy": "…", "empty": "·"}
OUTCOMES = {"kept": "✓ kept", "broken": "✗ broken", "open": "… open"}


def print_delivery(told: Delivery, curves: Sequence[Curve] = ()) -> None:
    """One delivery in full."""
    out = console()
    out.print(f"[bold]{MARKS[told.tone]} {told.headline}[/bold]  ({told.deployment}, {told.id})")
    if told.reason:
        out.print(told.reason, markup=False)
    table(["what", "it was"], _facts(told))
    if told.objectives:
        table(["objective", "", "found", "limit", "in words"], [_judged(x) for x in told.objectives])
    if len(told.moves) > 1 or (told.rollout is not None and told.rollout.plan.steps):
        rows = [[f"{x.at:%Y-%m-%d %H:%M}", f"{x.share:.0%}", str(x.step + 1), x.reason] for x in told.moves]
        table(["when", "share", "step", "because"], rows)
    for curve in curves:
        _print_curve(curve)
    if told.bounds:
        table(["bound of the policy", "limit", "found", ""], [_bound(x) for x in told.bounds])


def rows_of(deliveries: Sequence[Delivery]) -> list[list[str]]:
    """A line each: mark, when, what happened, why."""
    return [
        [MARKS[d.tone], f"{d.ended or d.began:%Y-%m-%d %H:%M}", d.headline, d.reason, d.id[:10]] for d in deliveries
    ]


def _facts(told: Delivery) -> list[list[str]]:
    ended = f"{told.ended:%Y-%m-%d %H:%M}" if told.ended else "it runs"
    rows = [["began", f"{told.began:%Y-%m-%d %H:%M}"], ["ended", f"{ended}, by {told.actor}" if told.ended else ended]]
    if told.asked:
        rows.insert(0, ["asked for", f"{told.asked} ({told.trigger})"])
    if told.gates is not None:
        passed = sum(result.passed for result in told.gates.results)
        rows.append(["gates", f"{passed} of {len(told.gates.results)} passed"])
    if told.approved_by:
        rows.append(["approved by", told.approved_by])
    if told.expected:
        rows.append(["told before", told.expected])
    if told.took:
        rows.append(["it took" if told.ended else "so far", told.took])
    rows += [["changed", difference] for difference in told.differences]
    return rows


def _judged(judged: Judged) -> list[str]:
    name = f"{judged.measure} {judged.name}".strip()
    found = "" if judged.value is None else _interval(judged.value)
    return [name, OUTCOMES[judged.outcome], found, f"{judged.limit:g}", judged.reason]


def _interval(value: Interval) -> str:
    return f"{value.value:+.4f} ({value.low:+.4f}..{value.high:+.4f})"


def _bound(bound: Bound) -> list[str]:
    return [
        bound.name.replace("_", " "),
        f"{bound.limit:g}",
        f"{bound.found:g}",
        "✓ kept" if bound.kept else "✗ not kept",
    ]


def _print_curve(curve: Curve, *, most: int = 8) -> None:
    """A few looks of the whole, the last always among them."""
    places = sorted({round(i * (len(curve.points) - 1) / (most - 1)) for i in range(most)})
    rows = []
    for place in places:
        point = curve.points[place]
        ends = [f"{end:+.4f}" if end is not None else "none yet" for end in (point.value, point.low, point.high)]
        rows.append([f"{point.at:%Y-%m-%d %H:%M}", *ends])
    title = f"{curve.measure} {curve.name}".strip() + f", limit {curve.limit:g}: {len(curve.points)} looks"
    table(["look", "estimate", "not below", "not above"], rows, title=title, right=(1, 2, 3))
