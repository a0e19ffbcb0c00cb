"""What may name a dataset. A name becomes a folder, so it can never lead out of the store. Called by every table store."""

import re

from noria.errors import InputInvalid

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9_-])?")


def require_dataset_name(name: str) -> None:
    """Refuse what is not 1 to 100 of `a-z 0-9 . _ -`, beginning with a letter or a digit and not ending in a dot."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputInvalid(
            f"{name!r} cannot name a dataset",
            cause="a name is 1 to 100 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit",
            remedy="choose a name such as 'flights-2013'",
        )
