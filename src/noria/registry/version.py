"""Semantic versions by rule from the lineage. Pure. Writing versions is registry/register. Called by it."""

from collections.abc import Sequence

from noria.domain.ids import Digest
from noria.domain.model import ModelVersion, SemanticVersion
from noria.domain.run import ParamValue

FIRST = SemanticVersion(major=1, minor=0, patch=0)


def next_version(
    previous: ModelVersion | None, *, architecture: str, datasets: Sequence[Digest], params: dict[str, ParamValue]
) -> tuple[SemanticVersion, str]:
    """The version that follows `previous`, and the rule that made it so.

    MAJOR: the architecture (the candidate's name) or the training data changed. MINOR: only hyper-parameters changed. PATCH: neither did.
    Source: issue mlflow/mlflow#7280 asks for it; the rule is C54 of docs/capabilities.md.

    >>> str(next_version(None, architecture="boosting", datasets=[], params={})[0])
    '1.0.0'
    """
    if previous is None:
        return FIRST, "first version"
    old = previous.version
    before = previous.tags.get("architecture", "")
    if before != architecture:
        return SemanticVersion(
            major=old.major + 1, minor=0, patch=0
        ), f"MAJOR: architecture changed from {before!r} to {architecture!r}"
    if set(previous.datasets) != set(datasets):
        return SemanticVersion(major=old.major + 1, minor=0, patch=0), "MAJOR: training data changed"
    changed = sorted(k for k in {*previous.params, *params} if previous.params.get(k) != params.get(k))
    if changed:
        reason = f"MINOR: hyper-parameters changed ({', '.join(changed)})"
        return SemanticVersion(major=old.major, minor=old.minor + 1, patch=0), reason
    return SemanticVersion(
        major=old.major, minor=old.minor, patch=old.patch + 1
    ), "PATCH: same data, architecture and hyper-parameters"
