"""The protocols that a worker speaks, by the first part of a path. A new one is a file with a codec and its line here. Called by app."""

import os
from collections.abc import Mapping

from noria.errors import SettingInvalid
from noria.server.inference import invocations, openapi, records, v1, v2, vertex
from noria.server.inference.codec import Codec

DIALECT = "NORIA_INVOCATIONS"
"""Whose rules hold at /invocations when a request does not say: 'mlflow' or 'sagemaker'. In SageMaker's containers it is 'sagemaker'."""


def codecs(environment: Mapping[str, str]) -> tuple[Codec, ...]:
    """All of them, as the environment asks; Vertex AI's routes come before what else lies at them. Raises SettingInvalid.

    >>> [codec.name for codec in codecs({"SAGEMAKER_BIND_TO_PORT": "8080"})]
    ['vertex', 'v2', 'sagemaker', 'v1', 'records', 'openapi']
    """
    dialect = environment.get(DIALECT) or ("sagemaker" if "SAGEMAKER_BIND_TO_PORT" in environment else "mlflow")
    if dialect not in ("mlflow", "sagemaker"):
        raise SettingInvalid(
            f"{DIALECT} is {dialect!r}", cause="known: 'mlflow', 'sagemaker'", remedy=f"unset {DIALECT}"
        )
    invoked = invocations.InvocationsCodec("sagemaker" if dialect == "sagemaker" else "mlflow")
    return (vertex.from_environment(environment), v2.CODEC, invoked, v1.CODEC, records.CODEC, openapi.CODEC)


CODECS = codecs(os.environ)
"""Read once, when the worker starts."""


def by_root(codecs: tuple[Codec, ...] = CODECS) -> Mapping[str, tuple[Codec, ...]]:
    """First part of a path -> the codecs that look at it, in order.

    >>> [codec.name for codec in by_root()["v2"]]
    ['v2']
    """
    roots = dict.fromkeys(root for codec in codecs for root in codec.roots)
    return {root: tuple(codec for codec in codecs if root in codec.roots) for root in roots}
