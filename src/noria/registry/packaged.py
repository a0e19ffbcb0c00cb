"""What a version must have to be served or explained: a bundle and a run. Versions from outside may lack them. Called by loop, app and server."""

from noria.domain.ids import Digest, RunId
from noria.domain.model import ModelVersion
from noria.errors import Conflict


def bundle_of(version: ModelVersion) -> Digest:
    """The bundle of a version. Raises Conflict for one that was registered from outside and never packaged."""
    if version.bundle is None:
        raise Conflict(
            f"version {version.ref} is not packaged",
            cause="it was registered from outside; only what Noria has packaged can be loaded, checked and served",
            remedy=f"noria package build {version.ref}",
        )
    return version.bundle


def run_of(version: ModelVersion) -> RunId:
    """The run of a version. Raises Conflict for one that was registered without a run."""
    if version.run_id is None:
        raise Conflict(
            f"version {version.ref} has no run",
            cause="it was registered from outside, and no run was named",
            remedy=f"declare a deployment of model '{version.model}', whose loop trains and packages a version: noria up",
        )
    return version.run_id
