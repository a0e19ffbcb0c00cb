"""What a version must have to be served or explained: a bundle and a run. Versions from outside may lack them. Called by loop, app and server."""

from noria.domain.ids import Digest, RunId
from noria.domain.model import ModelVersion
from noria.errors import Conflict


def bundle_of(version: ModelVersion) -> Digest:
    """The bundle of a version. Raises Conflict for one that was registered from outside and never packaged."""
    if version.bundle is None:
        raise _lacking(version, "is not packaged", "only what Noria has packaged can be loaded, checked and served")
    return version.bundle


def run_of(version: ModelVersion) -> RunId:
    """The run of a version. Raises Conflict for one that was registered without a run."""
    if version.run_id is None:
        raise _lacking(version, "has no run", "it was registered from outside, and no run was named")
    return version.run_id


def _lacking(version: ModelVersion, what: str, cause: str) -> Conflict:
    return Conflict(
        f"version {version.ref} {what}",
        cause=f"it was registered from outside; {cause}"
        if version.bundle is None and "outside" not in cause
        else cause,
        remedy=f"declare a deployment of model '{version.model}', whose loop trains and packages a version: noria up",
    )
