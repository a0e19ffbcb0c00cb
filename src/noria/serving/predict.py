"""Answer columns with a loaded model: check, predict, and nothing else. The same function answers live requests and recomputes old ones.

Choosing the variant is route, keeping the answer is record. Called by server/inference and app/why.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from noria.domain.bundle import Bundle
from noria.domain.prediction import Scalar
from noria.errors import BundleError
from noria.ports.flavor import Columns, Predictor
from noria.serving.batching import Batcher
from noria.serving.columns import from_lists, to_lists
from noria.serving.live import Served


class Opened(Protocol):
    """A bundle that was verified and loaded (packaging/bundle gives one)."""

    @property
    def manifest(self) -> Bundle:
        """What the bundle says of itself."""
        ...

    @property
    def predictor(self) -> Predictor:
        """The loaded model."""
        ...


def predict(served: Served, columns: Columns, *, known_good: bool = False) -> tuple[Columns, int]:
    """Check the columns against the signature and answer them all; also the number of text values that training never saw.

    known_good: the codec has built every column from the signature and found no value missing, so nothing is left to refuse.
    Raises RequestInvalid naming the column.
    """
    unseen = served.unseen(columns) if known_good else served.check(columns)
    return served.predictor.predict(columns), unseen


def answered_rows(served: Served, outputs: Columns, rows: int) -> None:
    """Refuse what is no answer: an output of the signature that is not there, or another number of rows than was asked. Raises BundleError."""
    for field in served.signature.outputs:
        values = outputs.get(field.name)
        if values is None or len(values) != rows:
            raise BundleError(
                f"version {served.variant.number} of {served.variant.model!r} did not answer as its signature says",
                cause=f"it gives no output {field.name!r}"
                if values is None
                else f"output {field.name!r} has {len(values)} rows for {rows} asked",
                remedy="look at the model's code; noria rollback takes it back",
            )


async def predict_in_company(
    batcher: Batcher, served: Served, columns: Columns, *, known_good: bool = False
) -> tuple[Columns, int]:
    """As `predict`, through the variant's batcher. What is invalid is refused here, before it joins anybody. Raises Overloaded too."""
    unseen = served.unseen(columns) if known_good else served.check(columns)
    return await batcher.join(columns), unseen


def answer(opened: Opened, inputs: Mapping[str, Sequence[Scalar]]) -> dict[str, list[Scalar]]:
    """Answer recorded inputs again, as lists: with the same bundle the same bits, because the whole request is computed as it was.

    Raises RequestInvalid when the inputs do not follow the signature.
    """
    signature = opened.manifest.signature
    outputs = opened.predictor.predict(from_lists(inputs, signature))
    missing = [f.name for f in signature.outputs if f.name not in outputs]
    if missing:
        raise BundleError(
            f"the model of bundle for {opened.manifest.model!r} gives no output {missing[0]!r}",
            cause=f"it gives {sorted(outputs)}",
        )
    return to_lists(outputs, signature.outputs)
