"""What the groups of a deployment open as an alert: one that is surely worse than its scores expect, or treated too differently. Pure.

Finding groups is monitoring/slices, comparing them monitoring/fairness. Called by loop/stages/watch_groups.
"""

from collections.abc import Sequence

from noria.domain.alert import Silencer
from noria.domain.fairness import FairnessReport
from noria.monitoring.alert import Report
from noria.monitoring.alert_drafts import draft
from noria.monitoring.slices import SliceSearch


def slice_report(found: SliceSearch, *, deployment: str, days: float) -> Report:
    """An alert for the groups that lose surely more than their scores expect, or that there is none any more. days: of a false alarm."""
    if not found.sure:
        return Report(over="no group is surely worse than its scores expect any more")
    worst = found.sure[0]
    more = f", and {len(found.sure) - 1} more" if len(found.sure) > 1 else ""
    evidence: dict[str, float | str] = {"rows": float(found.judging_rows), "groups_tried": float(found.tried)}
    for each in found.sure[:8]:
        evidence[f"excess_loss.{each}"] = each.excess.value
        evidence[f"excess_loss_low.{each}"] = each.excess.low
        evidence[f"share.{each}"] = each.share
    summary = (
        f"answers where {worst} ({worst.share:.1%} of the rows) lose {worst.excess.value:+.3f} [{worst.excess.low:+.3f}, "
        f"{worst.excess.high:+.3f}] nats more beyond what their scores expect than the others{more}"
    )
    return Report(
        alert=draft(
            "slice",
            "warn",
            summary,
            evidence=evidence,
            budget=f"looked for once a week, at most one false alarm in {days:g} days on average",
            causes=list(dict.fromkeys(c.column for s in found.sure for c in s.conditions)),
            next_command=f"noria errors {deployment} --by excess",
        )
    )


def fairness_report(found: Sequence[FairnessReport], *, deployment: str, days: float) -> Report:
    """An alert for the gaps of rates that surely exceed what is allowed, or that there is none any more. days: of a false alarm.

    A group that is harder to tell than others has a larger loss; that alone is no unfairness, so gaps of the loss open nothing.
    """
    beyond = [(report, gap) for report in found for gap in report.gaps if gap.beyond and gap.measure != "loss"]
    if not beyond:
        return Report(over="no gap between groups surely exceeds what is allowed any more")
    report, worst = max(beyond, key=lambda each: abs(each[1].gap.value) / max(each[1].allowed, 1e-9))
    more = f", and {len(beyond) - 1} more gaps" if len(beyond) > 1 else ""
    evidence: dict[str, float | str] = {}
    for _, gap in beyond[:8]:
        evidence[f"{gap.measure}.{gap.group}"] = gap.gap.value
        evidence[f"{gap.measure}.{gap.group}.allowed"] = gap.allowed
    nearest = worst.gap.low if worst.gap.value > 0 else -worst.gap.high
    summary = (
        f"{worst.measure.replace('_', ' ')} where {worst.group} differs from all others by {worst.gap.value:+.3f} "
        f"[{worst.gap.low:+.3f}, {worst.gap.high:+.3f}], allowed {worst.allowed:.3g}{more}"
    )
    return Report(
        alert=draft(
            "fairness",
            "warn",
            summary,
            evidence=evidence,
            budget=f"looked at once a week, at most one false alarm in {days:g} days on average",
            causes=list(dict.fromkeys(each.column for each, _ in beyond)),
            silencers=[
                Silencer(
                    setting="Recipe.allowed_gap",
                    now=worst.allowed,
                    needed=nearest,
                    what="a gap that is no matter up to this would not have opened it",
                )
            ],
            next_command=f"noria errors {deployment} --groups {report.column}",
        )
    )
