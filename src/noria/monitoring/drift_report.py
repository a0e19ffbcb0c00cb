"""What one look at one side says: evidence, the features to blame, and the distances that people know, each beside what chance makes of it.

Distances decide nothing (ADR 10); they are of the newest windows together. The bets are stats/sequential. Called by monitoring/drift.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import log, log10

import numpy as np

from noria.domain.alert import DriftReport, FeatureDrift
from noria.domain.profile import FeatureBins, WindowCounts
from noria.monitoring.profile import merge
from noria.stats.blame import blamed_features, log_e_values
from noria.stats.checks import Floats
from noria.stats.distances import jensen_shannon, kolmogorov_smirnov, psi, wasserstein_at
from noria.stats.noise import Noise
from noria.stats.sequential import USUAL_RANGE, Panel, State, log_evidence, usual_at, values_of

LN10 = log(10.0)
FLOOR = -99.0
"""Evidence is never shown as less than this."""

Table = Callable[[Mapping[str, Sequence[int]]], Floats]


def report_of(
    features: Sequence[FeatureBins],
    bets: Panel | None,
    state: State | None,
    recent: Sequence[WindowCounts],
    *,
    threshold: float,
    table: Table | None = None,
) -> DriftReport:
    """One side of a look. recent: its newest windows; table: counts by name as the bets read them. Without bets: nothing is watched."""
    newest = merge(recent) if recent else None
    evidence, shown = 0.0, []
    if bets is not None and state is not None and state.steps:
        evidence = log_evidence(bets, state)
    if bets is not None and state is not None and newest is not None and table is not None:
        values = log_e_values(bets, state)
        blamed = blamed_features(bets, state)
        moved = _moved(bets, [(table(w.counts), w.since.timestamp()) for w in recent])
        shown = [
            _feature(
                feature,
                newest.counts[feature.name],
                evidence=float(values[i]) / LN10,
                blamed=bool(blamed[i]),
                moved=(float(moved[0][i]), float(moved[1][i])),
                noise=_noise(bets, i, feature, newest.counts[feature.name], windows=len(recent)),
            )
            for i, feature in enumerate(features)
        ]
        shown.sort(key=lambda f: (-f.evidence, f.feature))
    return DriftReport(
        deployment=newest.deployment if newest and bets else "",
        number=newest.number if newest and bets else 0,
        at=newest.until if newest and bets else datetime.fromtimestamp(0, UTC),
        rows=newest.rows if newest and bets else 0,
        alarm=evidence > log(threshold),
        evidence=max(evidence / LN10, FLOOR),
        threshold=log10(threshold),
        features=tuple(shown),
    )


def _moved(bets: Panel, recent: Sequence[tuple[Floats, float]]) -> tuple[Floats, Floats]:
    """How far the share that is farthest out moved, and how far it might have: its margin and what wobbles. Both shape (features,).

    recent: (counts, when the window began). A season is taken out window by window.
    """
    total = np.zeros((bets.bins.size, bets.width))
    usual, rows = np.zeros((bets.bins.size, bets.width)), np.zeros((bets.bins.size, 1))
    for counts, at in recent:
        held = counts.sum(axis=1, keepdims=True)
        total, rows = total + counts, rows + held
        usual += usual_at(bets, at)[:, :-1] * held
    distance = np.where(rows > 0, values_of(bets, total)[0][:, :-1] - usual / np.maximum(rows, 1), 0.0)
    slower = np.minimum(bets.persistence / len(recent), 1.0)[:, None]
    wobble = USUAL_RANGE * np.sqrt(bets.spread[:, :-1] * slower)
    allowed = np.where(distance > 0, bets.margins[:, :-1, 0], bets.margins[:, :-1, 1]) + wobble
    last = np.where(bets.text, bets.bins, bets.bins - 1)[:, None]
    farthest = np.where(np.arange(bets.width)[None, :] < last, np.abs(distance) / allowed, -1.0).argmax(axis=1)
    each = np.arange(bets.bins.size)
    return np.abs(distance)[each, farthest], allowed[each, farthest]


def _noise(bets: Panel, i: int, feature: FeatureBins, counts: Sequence[int], *, windows: int) -> Noise:
    """What sampling and wobble alone do to the distances of these counts."""
    slower = min(float(bets.persistence[i]) / windows, 1.0)
    bins = len(feature.counts)
    at = np.arange(bins if feature.kind == "text" else bins - 1)
    return Noise.of(feature.counts, sum(counts), variance=bets.row_variance[i, at], wobble=bets.spread[i, at] * slower)


def _feature(
    feature: FeatureBins,
    counts: Sequence[int],
    *,
    evidence: float,
    blamed: bool,
    moved: tuple[float, float],
    noise: Noise,
) -> FeatureDrift:
    seen = max(evidence, FLOOR)
    if sum(counts) == 0:
        return FeatureDrift(feature=feature.name, evidence=seen, psi=0.0, margin=moved[1])
    reference, current = np.asarray(feature.counts, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    earth = earth_noise = None
    if feature.kind == "number" and feature.cuts and reference[:-1].sum() > 0 and current[:-1].sum() > 0:
        sd = (feature.moments.sd() if feature.moments else None) or 1.0
        earth = wasserstein_at(reference[:-1], current[:-1], feature.cuts) / sd
        earth_noise = noise.wasserstein(feature.cuts) / sd
    return FeatureDrift(
        feature=feature.name,
        evidence=seen,
        psi=psi(reference, current),
        margin=moved[1],
        shift=moved[0],
        psi_noise=noise.psi,
        blamed=blamed,
        js=jensen_shannon(reference, current),
        js_noise=noise.js,
        ks=kolmogorov_smirnov(reference, current),
        ks_noise=noise.ks,
        wasserstein=earth,
        wasserstein_noise=earth_noise,
    )
