"""Semantic versions by rule from the lineage. Pure. Writing versions is registry/register. Called by it."""

from collections.abc import Mapping, Sequence

from noria.domain.ids import Digest
from noria.domain.model import ModelVersion, SemanticVersion
from noria.domain.run import ParamValue

FIRST = SemanticVersion(major=1, minor=0, patch=0)
_UNKNOWN = "and what is not known counts as changed"


def next_version(
    previous: ModelVersion | None,
    *,
    architecture: str | None,
    datasets: Sequence[Digest] | None,
    params: Mapping[str, ParamValue] | None,
) -> tuple[SemanticVersion, str]:
    """The version that follows `previous`, and the rule that made it so.

    MAJOR: the architecture (the candidate's name) or the training data changed. MINOR: only hyper-parameters changed. PATCH: neither did.
    None: nothing is known of it. What is not known, of this version or of the one before, counts as changed: a smaller step would promise to whoever
    uses the model what nobody can show. So nothing known of architecture or data is MAJOR, nothing known of hyper-parameters only is MINOR.
    Source: issue mlflow/mlflow#7280 asks for it; the rule is C54 of docs/capabilities.md.

    >>> first, _ = next_version(None, architecture="boosting", datasets=[], params={})
    >>> str(first)
    '1.0.0'
    """
    if previous is None:
        return FIRST, "first version"
    for changed in (_architecture(previous, architecture), _data(previous, datasets)):
        if changed:
            return _major(previous.version), f"MAJOR: {changed}"
    changed = _params(previous, params)
    if changed:
        return _minor(previous.version), f"MINOR: {changed}"
    return _patch(previous.version), "PATCH: same data, architecture and hyper-parameters"


def next_of_same_files(previous: ModelVersion) -> tuple[SemanticVersion, str]:
    """The version when the files of `previous` are registered once more: whatever is known of its lineage, nothing changed."""
    return _patch(previous.version), f"PATCH: the same model files as version {previous.number}"


def _architecture(previous: ModelVersion, architecture: str | None) -> str:
    """What changed of it, '' if nothing did."""
    before = previous.architecture or previous.tags.get("architecture", "")
    if architecture is None or not before:
        return f"nothing is known of {_whose(previous, now=architecture is None)} architecture, {_UNKNOWN}"
    return "" if before == architecture else f"architecture changed from {before!r} to {architecture!r}"


def _data(previous: ModelVersion, datasets: Sequence[Digest] | None) -> str:
    known_before = bool(previous.datasets) or previous.bundle is not None
    if datasets is None or not known_before:
        return f"nothing is known of {_whose(previous, now=datasets is None)} training data, {_UNKNOWN}"
    return "" if set(previous.datasets) == set(datasets) else "training data changed"


def _params(previous: ModelVersion, params: Mapping[str, ParamValue] | None) -> str:
    known_before = bool(previous.params) or previous.bundle is not None
    if params is None or not known_before:
        return f"nothing is known of {_whose(previous, now=params is None)} hyper-parameters, {_UNKNOWN}"
    changed = sorted(k for k in {*previous.params, *params} if previous.params.get(k) != params.get(k))
    return f"hyper-parameters changed ({', '.join(changed)})" if changed else ""


def _whose(previous: ModelVersion, *, now: bool) -> str:
    return "its" if now else f"version {previous.number}'s"


def _major(old: SemanticVersion) -> SemanticVersion:
    return SemanticVersion(major=old.major + 1, minor=0, patch=0)


def _minor(old: SemanticVersion) -> SemanticVersion:
    return SemanticVersion(major=old.major, minor=old.minor + 1, patch=0)


def _patch(old: SemanticVersion) -> SemanticVersion:
    return SemanticVersion(major=old.major, minor=old.minor, patch=old.patch + 1)
