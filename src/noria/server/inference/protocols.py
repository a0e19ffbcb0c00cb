"""The protocols that a worker speaks, by the first part of a path. A new one is a file with a codec and its line here. Called by app."""

from collections.abc import Mapping

from noria.server.inference import mlflow, v2
from noria.server.inference.codec import Codec

CODECS: tuple[Codec, ...] = (v2.CODEC, mlflow.CODEC)


def by_root(codecs: tuple[Codec, ...] = CODECS) -> Mapping[str, tuple[Codec, ...]]:
    """First part of a path -> the codecs that look at it, in order.

    >>> [codec.name for codec in by_root()["v2"]]
    ['v2']
    """
    roots = dict.fromkeys(root for codec in codecs for root in codec.roots)
    return {root: tuple(codec for codec in codecs if root in codec.roots) for root in roots}
