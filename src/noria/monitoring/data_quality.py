"""What is wrong with the data that a window counted: schema, types, missing, infinite, out of range, unseen, constant, stale, repeated.

Each is a `Finding` against what the reference led to expect, from counts alone. Too few or too many rows is data_volume.py, whether shares moved
drift.py, whether training and serving differ skew.py, whether people hear of it alert.py. Called by loop/stages and by noria.monitor.
"""

from collections.abc import Sequence
from datetime import datetime
from math import isclose, log

import msgspec

from noria.domain.finding import Finding, FindingKind
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.monitoring.profile_windows import SCORE
from noria.stats.sequential import excess_share_log_e, margin_of

EVIDENCE = 6.0
"""A share must have earned a million to one against what is allowed: a window that fills may be looked at as often as one likes."""
CHANCE = 1e-6
FEWEST = 30
"""Rows below which only what leaves nothing to chance is said."""
SAME = 1e-12
"""Two sums of the same values in another order differ by less than this."""
RARE = 0.1
"""Of a value that is more frequent than this, two windows may have the same sums by chance."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest rise of a share of rows, over what is usual, that is worth a finding."""

    missing: float = 0.05
    out_of_range: float = 0.01
    unseen: float = 0.02
    duplicate: float = 0.05


def check_window(
    profile: ReferenceProfile,
    window: WindowCounts,
    *,
    before: WindowCounts | None = None,
    limits: Limits | None = None,
    expected: Sequence[str] = (),
) -> tuple[Finding, ...]:
    """Everything wrong with one window, what weighs most first. The window should be as long as those of the reference, or still filling.

    before: the window before it, for values that stopped changing. expected: further columns that are no surprise (a key, a time).
    Raises BinMismatch never: a window of another profile has its features listed as absent.
    """
    chosen = limits or Limits()
    found = [*_schema(window, expected)]
    for feature in profile.features:
        counts = window.counts.get(feature.name, ())
        if sum(counts) == 0 or len(counts) != len(feature.counts):
            continue
        found += _types(feature, window)
        found += _infinite(feature, window)
        if sum(counts) >= FEWEST:
            found += _shares(profile, feature, counts, infinite=_infinities(window, feature.name), limits=chosen)
            found += _constant(profile, feature, window)
            found += _stale(feature, window, before)
    found += _duplicates(profile, window, chosen)
    # Scores beyond those of the hold-out break nothing: whether answers moved is for the drift of predictions to say.
    found = [each for each in found if (each.kind, each.about) != ("range", SCORE)]
    weight = {feature.name: feature.importance for feature in profile.features}
    rank = {"page": 0, "warn": 1, "info": 2}
    found.sort(key=lambda f: (rank[f.severity], -weight.get(f.about, 0.0), -(f.value - f.allowed), f.about, f.kind))
    return tuple(_stamped(each, window) for each in found)


def _stamped(finding: Finding, window: WindowCounts) -> Finding:
    return msgspec.structs.replace(
        finding,
        rows=finding.rows or window.rows,
        deployment=window.deployment,
        number=window.number,
        since=window.since,
        until=window.until,
    )


def _named(feature: FeatureBins) -> str:
    return "the model's score" if feature.name == SCORE else repr(feature.name)


def _schema(window: WindowCounts, expected: Sequence[str]) -> list[Finding]:
    """Columns that lack, and columns that nobody expected."""
    found = [
        Finding(
            kind="schema",
            about=name,
            severity="page",
            value=1.0,
            summary=f"the column {name!r} is not there any more"
            if name != SCORE
            else "the table holds no scores of the model",
            remedy="look for a column that was renamed, or left out by whoever sends the rows",
        )
        for name in window.absent
    ]
    for name in window.surplus:
        if name not in expected:
            found.append(
                Finding(
                    kind="schema",
                    about=name,
                    severity="info",
                    value=1.0,
                    summary=f"the column {name!r} is new: the reference does not know it",
                    remedy="no harm by itself; a renamed column shows as one that is new and one that lacks",
                )
            )
    return found


def _types(feature: FeatureBins, window: WindowCounts) -> list[Finding]:
    wrong = window.mistyped.get(feature.name, 0)
    if not wrong:
        return []
    share = wrong / window.rows
    other = "text" if feature.kind == "number" else "numbers"
    was = "a number" if feature.kind == "number" else "text"
    return [
        Finding(
            kind="type",
            about=feature.name,
            value=share,
            summary=f"{_named(feature)} was {was} in the reference and comes as {other} in {share:.1%} of the rows",
            remedy="look at how the column is written and read: a type that changes on the way is no change of the world",
        )
    ]


def _infinities(window: WindowCounts, name: str) -> int:
    return window.moments[name].infinite if name in window.moments else 0


def _infinite(feature: FeatureBins, window: WindowCounts) -> list[Finding]:
    infinite, rows = _infinities(window, feature.name), sum(window.counts[feature.name])
    usual = feature.moments.infinite / max(1, sum(feature.counts)) if feature.moments else 0.0
    share = infinite / rows
    if share <= max(5 * usual, usual + 0.001 if usual else 0.0):
        return []
    return [
        Finding(
            kind="infinite",
            about=feature.name,
            severity="warn" if share >= 0.001 else "info",
            value=share,
            usual=usual,
            allowed=usual,
            summary=f"{_named(feature)} is infinite in {infinite} of {rows} rows ({usual:.2%} in the reference)",
            remedy="look for a division by zero, or a logarithm of zero, where the value is made",
        )
    ]


def _shares(
    profile: ReferenceProfile, feature: FeatureBins, counts: tuple[int, ...], *, infinite: int, limits: Limits
) -> list[Finding]:
    """Shares that may only rise so far: missing, out of range, unseen."""
    rows, known = sum(counts), sum(feature.counts)
    name, last = _named(feature), counts[-1]
    usual = feature.counts[-1] / known
    missing = _allowed(profile, feature, usual, place=-2, floor=limits.missing)
    found = [
        _excess("missing", feature, last, rows, usual=usual, allowed=missing, what=f"{name} is missing in"),
    ]
    if feature.kind == "number" and _has_range(feature):
        outside = max(0, counts[0] + counts[-2] - infinite)
        # What lies outside the range of a sample has a share of 2 in n + 1 on average; 8 in n + 1 hardly ever.
        allowed = max(limits.out_of_range, 8 / (known + 1))
        side = "below" if counts[0] > counts[-2] else "above"
        what = f"{name} lies {side} everything that the reference held ({_range(feature)}) in"
        found.append(
            _excess("range", feature, outside, rows, usual=min(1.0, 2 / (known + 1)), allowed=allowed, what=what)
        )
    if feature.has_unseen:
        usual = feature.counts[-2] / known
        allowed = _allowed(profile, feature, usual, place=-3, floor=limits.unseen)
        what = f"{name} has values that the reference never held in"
        found.append(_excess("unseen", feature, counts[-2], rows, usual=usual, allowed=allowed, what=what))
    return [each for each in found if each is not None]


def _has_range(feature: FeatureBins) -> bool:
    """Whether the outer bins lie outside the reference: nothing of it is in them, infinities left out."""
    if not feature.cuts:
        return False
    held = feature.counts[0] + feature.counts[-2]
    return held <= (feature.moments.infinite if feature.moments else 0)


def _range(feature: FeatureBins) -> str:
    if feature.moments is not None and feature.moments.n:
        return f"{feature.moments.low:.6g} to {feature.moments.high:.6g}"
    return f"{feature.cuts[0]:.6g} to {feature.cuts[-1]:.6g}"


def _allowed(profile: ReferenceProfile, feature: FeatureBins, usual: float, *, place: int, floor: float) -> float:
    """How large a share may become: what is usual, and the margin that drift gives the share left of it."""
    wobble = feature.wobble[place] if len(feature.wobble) >= -place else 0.0
    rows = sum(feature.counts)
    margin = float(margin_of(usual, rows, wobble, windows=profile.windows, floor=floor))
    # What a sample of n rows does not hold at all may still have a share of 8 in n + 1.
    return usual + max(margin, 8 / (rows + 1))


REMEDIES: dict[FindingKind, str] = {
    "missing": "look at where the column comes from: a join that finds nothing, or a source that is late",
    "range": "look at the unit and the scale of the column, and for a sensor or a default that went wrong",
    "unseen": "look for values that are written in another way; if they are new in truth, the model has to learn them",
    "duplicate": "look for requests that are sent again, or a join that multiplies rows",
}


def _excess(
    kind: FindingKind, feature: FeatureBins | None, failures: int, rows: int, *, usual: float, allowed: float, what: str
) -> Finding | None:
    """A finding if so many rows of so many cannot be had with the share that is allowed."""
    if allowed >= 1 or failures == 0 or failures <= allowed * rows:
        return None
    evidence = excess_share_log_e(failures, rows, allowed) / log(10)
    if evidence < EVIDENCE:
        return None
    return Finding(
        kind=kind,
        about=feature.name if feature else "",
        value=failures / rows,
        usual=usual,
        allowed=allowed,
        rows=rows,
        evidence=evidence,
        summary=f"{what} {failures / rows:.1%} of the rows ({usual:.1%} are usual, {allowed:.1%} are allowed)",
        remedy=REMEDIES[kind],
    )


def _constant(profile: ReferenceProfile, feature: FeatureBins, window: WindowCounts) -> list[Finding]:
    """One value only, where the reference's windows always had several and chance cannot do it. Of a shorter window that says nothing."""
    if window.step and (window.until - window.since).total_seconds() < 0.9 * profile.window_seconds:
        return []
    value = _only_value(feature, window)
    counts = window.counts[feature.name]
    present = sum(counts) - counts[-1]
    never = feature.steady == 0 and 0 < feature.common < 1
    if value is None or not never or profile.windows < 2 or present < FEWEST:
        return []
    if present * log(feature.common) > log(CHANCE):
        return []
    return [
        Finding(
            kind="constant",
            about=feature.name,
            value=1.0,
            usual=feature.common,
            allowed=feature.common,
            rows=present,
            summary=f"{_named(feature)} has the value {value} in all {present} rows;"
            f" the most frequent value had {feature.common:.1%} of the reference",
            remedy="look for a default that is sent instead of the value",
        )
    ]


def _only_value(feature: FeatureBins, window: WindowCounts) -> str | None:
    """The value of all rows that have one, if there is just one."""
    if feature.kind == "number":
        moments = window.moments.get(feature.name)
        same = moments is not None and moments.n > 0 and moments.low == moments.high and not moments.infinite
        return f"{moments.low:.6g}" if moments is not None and same else None
    filled = [i for i, rows in enumerate(window.counts[feature.name][:-1]) if rows]
    return repr(feature.categories[filled[0]]) if len(filled) == 1 and filled[0] < len(feature.categories) else None


def _stale(feature: FeatureBins, window: WindowCounts, before: WindowCounts | None) -> list[Finding]:
    """The same values once more: sums, squares and extremes as in the window before."""
    now = window.moments.get(feature.name)
    then = before.moments.get(feature.name) if before is not None else None
    if now is None or then is None or now.n < FEWEST or not 0 < feature.common < RARE:
        return []
    if (now.n, now.low, now.high) != (then.n, then.low, then.high):
        return []
    if not (isclose(now.total, then.total, rel_tol=SAME) and isclose(now.squares, then.squares, rel_tol=SAME)):
        return []
    return [
        Finding(
            kind="stale",
            about=feature.name,
            value=1.0,
            rows=now.n,
            summary=f"the {now.n} values of {_named(feature)} are those of the window before",
            remedy="look at whatever fills the column: it has not been filled anew",
        )
    ]


def _duplicates(profile: ReferenceProfile, window: WindowCounts, limits: Limits) -> list[Finding]:
    """Rows that repeat another one. In a longer window than the reference's, more rows meet by chance."""
    if window.duplicates is None or window.rows < FEWEST:
        return []
    longer = max(1.0, window.rows * max(1, profile.windows) / max(1, profile.rows))
    usual = min(1.0, profile.duplicates * longer)
    found = _excess(
        "duplicate",
        None,
        window.duplicates,
        window.rows,
        usual=usual,
        allowed=usual + limits.duplicate,
        what="rows repeat another row, input by input, in",
    )
    return [] if found is None else [found]


def ahead(name: str, by_s: float, *, deployment: str, at: datetime) -> Finding:
    """A part of the log with rows of the future: they are counted when their time has come."""
    return Finding(
        kind="clock",
        about=name,
        value=by_s,
        unit="seconds",
        summary=f"the part {name!r} of the prediction log holds answers from {by_s:.0f} s in the future",
        remedy="set the clocks: of the machine that serves, and of the one that watches",
        deployment=deployment,
        until=at,
    )


def damaged(name: str, cause: str, *, deployment: str, at: datetime) -> Finding:
    """A part of the log that cannot be read and was set aside; everything else was counted."""
    return Finding(
        kind="damaged",
        about=name,
        severity="warn",
        value=1.0,
        unit="files",
        summary=f"the part {name!r} of the prediction log is damaged and was left out: {cause}",
        remedy="restore the file from a backup under its own name: its rows are then counted where they belong",
        deployment=deployment,
        until=at,
    )
