"""Which version is meant: a number, a semantic version, `@alias`, or `stable`. Reads only. Called by app/deploying and the faces."""

import re
from collections.abc import Iterable

from noria.domain.deployment import Rollout
from noria.domain.model import ModelVersion
from noria.errors import InputInvalid, NotFound
from noria.ports.models import ModelStore
from noria.registry.stable import latest_stable

STABLE = "stable"
SEMANTIC = re.compile(r"\d+\.\d+\.\d+")


def is_name(said: str) -> bool:
    """Whether words can name a version at all.

    >>> [is_name(word) for word in ("7", "1.2.0", "@champion", "stable", "@", "new", "0")]
    [True, True, True, True, False, False, False]
    """
    if said == STABLE or SEMANTIC.fullmatch(said):
        return True
    return (said.isascii() and said.isdecimal() and int(said) > 0) or (len(said) > 1 and said.startswith("@"))


def named(models: ModelStore, model: str, said: str, *, rollouts: Iterable[Rollout] = ()) -> ModelVersion:
    """The version that words name. rollouts: those of the deployments that serve the model, for `stable`.

    Of several versions with one semantic version, the newest. Raises InputInvalid for words that name none, NotFound for a version that is not there.
    """
    if not is_name(said):
        raise InputInvalid(
            f"{said!r} names no version of model {model!r}",
            cause="a version is a number (7), a semantic version (1.2.0), an alias (@champion), or 'stable'",
            remedy=f"noria models {model}",
        )
    if said == STABLE:
        found = latest_stable(models, model, rollouts=rollouts)
        if found.version is None:
            raise NotFound(found.why, remedy=f"noria models {model} --latest-stable")
        return found.version
    if said.startswith("@"):
        number = models.alias(model, said[1:])
        if number is None:
            aliases = sorted(models.aliases(model))
            raise NotFound.of(f"alias of model {model!r}", said[1:], aliases, remedy=f"noria models {model}")
        return models.get(model, number)
    if said.isdecimal():
        return models.get(model, int(said))
    versions = models.versions(model)
    matching = [version for version in versions if str(version.version) == said]
    if not matching:
        have = [str(version.version) for version in versions]
        raise NotFound.of(f"version of model {model!r}", said, have, remedy=f"noria models {model}")
    return max(matching, key=lambda version: version.number)
