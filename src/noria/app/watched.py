"""How a deployment was watched since its champion answers: the evidence window by window, and each feature now beside its reference.

Nothing is decided here: it is the fold of loop/stages/watch over the same counts, told at every step, not only at the last. Called by the server.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from noria.app.workspace import Workspace
from noria.domain.alert import DriftReport, FeatureDrift
from noria.domain.bundle import Bundle
from noria.domain.deployment import Deployment
from noria.domain.look import Look
from noria.domain.profile import FeatureBins, ReferenceProfile, WindowCounts
from noria.loop.champion import champion_since, judged_windows
from noria.monitoring.drift import SHOWN_WINDOWS, Budget, Watch, WatchState, complete_windows, report, watch
from noria.monitoring.profile import SCORE, merge

YEAR_DAYS = 365.0
"""Days of the budget where no look has told another."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What was known at the end of one window. inputs, prediction: log10 of the evidence for drift."""

    since: datetime
    until: datetime
    rows: int
    inputs: float
    prediction: float


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a feature: its share of the reference's rows and of the newest windows'."""

    name: str
    reference: float
    now: float


class WatchedFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One input, or the model's answers (importance None), beside its reference."""

    name: str
    kind: str
    importance: float | None
    drift: FeatureDrift | None
    bins: list[Bin]


class WatchStory(msgspec.Struct, frozen=True, kw_only=True):
    """How one version was watched since it became champion. note: why there is nothing to show; budget: in words.

    thresholds: log10 of the evidence that is an alarm, for inputs and for answers. recent: windows that `now` of a bin stands for.
    """

    deployment: str
    number: int
    as_of: datetime
    note: str = ""
    budget: str = ""
    threshold_inputs: float = 0.0
    threshold_prediction: float = 0.0
    alarm_inputs: bool = False
    alarm_prediction: bool = False
    reference_rows: int = 0
    reference_since: datetime | None = None
    reference_until: datetime | None = None
    window_seconds: float = 0.0
    recent: int = 0
    moments: list[Moment] = []
    features: list[WatchedFeature] = []
    look: Look | None = None


def story(workspace: Workspace, deployment: Deployment) -> WatchStory:
    """Fold the champion's windows again. Raises NotFound where its bundle is gone."""
    now = workspace.clock.now()
    champion = deployment.variant("champion")
    if champion is None:
        return WatchStory(deployment=deployment.name, number=0, as_of=now, note="no version is champion yet")
    told = WatchStory(deployment=deployment.name, number=champion.number, as_of=now)
    manifest = msgspec.json.decode(workspace.blobs.get(champion.bundle), type=Bundle)
    if manifest.profile is None:
        return msgspec.structs.replace(told, note="the champion carries no reference to watch against")
    profile = msgspec.json.decode(workspace.blobs.get(manifest.profile), type=ReferenceProfile)
    look = next((each for each in workspace.looks.all() if each.deployment == deployment.name), None)
    since = champion_since(workspace.ledger, deployment, champion.number)
    windows = judged_windows(workspace.counts, deployment.name, champion.number, profile, since=since)
    complete = complete_windows(profile, windows)
    eyes = watch(profile, budget=_budget(look, profile))
    moments, state = _fold(eyes, complete)
    judged = report(eyes, state, complete)
    recent = complete[-SHOWN_WINDOWS:]
    return msgspec.structs.replace(
        told,
        note="" if complete else "no window is complete yet",
        budget=judged.budget,
        threshold_inputs=judged.inputs.threshold,
        threshold_prediction=judged.prediction.threshold,
        alarm_inputs=judged.inputs.alarm,
        alarm_prediction=judged.prediction.alarm,
        reference_rows=profile.rows,
        reference_since=profile.since,
        reference_until=profile.until,
        window_seconds=profile.window_seconds,
        recent=len(recent),
        moments=moments,
        features=_features(profile, judged.inputs, judged.prediction, recent),
        look=look,
    )


def _budget(look: Look | None, profile: ReferenceProfile) -> Budget:
    """What the newest look was allowed; its threshold says so, for the recipe that set it stands in the project's code."""
    usual = Budget(windows=max(2, round(YEAR_DAYS * 86400 / profile.window_seconds)))
    if look is None:
        return usual
    share = watch(profile, budget=usual).threshold / usual.windows
    return msgspec.structs.replace(usual, windows=max(2, round(10**look.inputs.threshold / share)))


def _fold(eyes: Watch, complete: Sequence[WindowCounts]) -> tuple[list[Moment], WatchState]:
    state, moments = eyes.begin(), []
    for window in complete:
        state = eyes.step(state, window.counts, at=window.since)
        inputs, prediction = eyes.evidence(state)
        moments.append(
            Moment(
                since=window.since,
                until=window.until,
                rows=window.rows,
                inputs=inputs,
                prediction=prediction,
            )
        )
    return moments, state


def _features(
    profile: ReferenceProfile, inputs: DriftReport, prediction: DriftReport, recent: Sequence[WindowCounts]
) -> list[WatchedFeature]:
    """The model's answers first, then inputs as the report has them: those with the most evidence first."""
    told = {each.feature: each for each in (*prediction.features, *inputs.features)}
    bins = {each.name: each for each in profile.features}
    names = [*told, *(name for name in bins if name not in told)]
    counts = merge(recent).counts if recent else {}
    return [
        WatchedFeature(
            name=name,
            kind=bins[name].kind,
            importance=None if name == SCORE else bins[name].importance,
            drift=told.get(name),
            bins=_bins(bins[name], counts.get(name, ())),
        )
        for name in names
    ]


def _bins(feature: FeatureBins, counts: Sequence[int]) -> list[Bin]:
    before, now = sum(feature.counts) or 1, sum(counts) or 1
    given = counts or [0] * len(feature.counts)
    return [
        Bin(name=name, reference=reference / before, now=current / now)
        for name, reference, current in zip(_bin_names(feature), feature.counts, given, strict=True)
    ]


def _bin_names(feature: FeatureBins) -> list[str]:
    """Each bin in words: (2.5, 7.1], a category, others, unseen, missing."""
    if feature.kind == "text":
        return [*feature.categories, "others", *(["unseen"] if feature.has_unseen else []), "missing"]
    cuts = [f"{cut:.4g}" for cut in feature.cuts]
    between = [f"{low} to {high}" for low, high in pairwise(cuts)]
    return [f"up to {cuts[0]}", *between, f"above {cuts[-1]}", "missing"] if cuts else ["any", "missing"]
