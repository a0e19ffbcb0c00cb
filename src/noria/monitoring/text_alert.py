"""What texts that changed open as an alert: which column, which words are typical of now, and what it costs. Pure.

Comparing texts is monitoring/text. Called by loop/stages/watch_texts.
"""

from collections.abc import Sequence
from math import log10

from noria.domain.profile import ReferenceProfile
from noria.monitoring.alert import RESOLVE_BELOW, Report
from noria.monitoring.alert_drafts import draft, rarer
from noria.monitoring.text import ALARM, Contrast

WORDS = 4
LEAST_KNOWN = 0.5
"""Of a text that is a category, at least this share of the rows holds one of its most frequent values."""


def may_be_prose(profile: ReferenceProfile, inputs: Sequence[str]) -> list[str]:
    """The inputs whose reference holds texts of which the most frequent values are few of all: to be read, and looked at as texts if they are."""
    found = []
    for feature in profile.features:
        rows = sum(feature.counts[:-1])
        known = sum(feature.counts[: len(feature.categories)])
        if feature.name in inputs and feature.kind == "text" and rows and known < LEAST_KNOWN * rows:
            found.append(feature.name)
    return found


def threshold_of(*, days: float, looked_at_s: float, columns: int) -> float:
    """log10 of the e-value that keeps one false alarm in `days` days, when so many columns are looked at every so many seconds.

    An e-value above T is false with a chance of at most 1 / T at each look, however the looks depend on each other.

    >>> round(10 ** threshold_of(days=365, looked_at_s=7 * 86400, columns=4))
    209
    """
    return log10(max(1 / ALARM, days * 86400 / looked_at_s * columns))


def text_report(found: Sequence[Contrast], *, threshold: float, harmful: bool, deployment: str, days: float) -> Report:
    """An alert for the columns whose evidence is above the threshold, that all are as before again, or nothing while they are between.

    harmful: whether labelled answers got worse with it.
    """
    told = sorted((each for each in found if each.evidence > threshold), key=lambda each: (-each.evidence, each.column))
    if not told:
        calm = found and all(each.evidence < threshold - RESOLVE_BELOW for each in found)
        return Report(over="texts are as those that the model learnt from again" if calm else "")
    harm = "labelled answers got worse with it" if harmful else "no harm to labelled answers is seen"
    evidence: dict[str, float | str] = {"log10_evidence": told[0].evidence, "log10_threshold": threshold, "harm": harm}
    for each in told[:8]:
        evidence[f"advantage.{each.column}"] = each.advantage
        evidence[f"margin.{each.column}"] = each.margin
        evidence[f"rows.{each.column}"] = float(each.rows_now)
        evidence[f"now.{each.column}"] = ", ".join(each.now[:WORDS])
        evidence[f"before.{each.column}"] = ", ".join(each.before[:WORDS])
    return Report(
        alert=draft(
            "text_drift",
            "warn" if harmful else "info",
            f"{'; '.join(_said(each) for each in told[:3])}; {harm}",
            evidence=evidence,
            budget=f"looked at once a week, at most one false alarm in {days:g} days on average",
            causes=[each.column for each in told],
            silencers=rarer(days, told[0].evidence, threshold),
            next_command=f"noria errors {deployment} --texts",
        )
    )


def _said(found: Contrast) -> str:
    words = f", typical of now: {', '.join(found.now[:WORDS])}" if found.now else ""
    return (
        f"the texts of {found.column!r} are not those that the model learnt from: new and old are told apart "
        f"{found.advantage:.0%} better than by a coin (allowed {found.margin:.0%}){words}"
    )
