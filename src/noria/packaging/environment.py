"""What a model was made with: interpreter, platform, exact distributions. Reading it back into an environment is the user's tool of choice.

Called by loop/stages and tracking through arguments, and by bundle.
"""

import platform
import sys
from importlib.metadata import distributions

from noria.domain.bundle import Environment
from noria.domain.ids import Digest, digest_of
from noria.wire.canonical import canonical


def capture() -> Environment:
    """Name every installed distribution with its exact version, in the order of their names.

    >>> capture().python.count(".")
    2
    """
    packages = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:  # a half-removed distribution has no metadata, and nothing of it can be imported
            packages[name.lower().replace("_", "-")] = distribution.version
    return Environment(
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        packages=dict(sorted(packages.items())),
    )


def digest(environment: Environment) -> Digest:
    """The address of an environment: equal exactly when interpreter, platform and all distributions are equal."""
    return digest_of(canonical(environment))
