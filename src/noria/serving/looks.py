"""How the evidence of a rollout grew: a few hundred of its looks, kept as one small published document beside what workers read.

Looking is serving/verdict, and what was decided stands in the ledger; this is for curves, and may be lost. Kept by loop/stages/rollout, read by app/.
"""

from datetime import datetime

import msgspec

from noria.domain.deployment import Deployment, Rollout, Verdict
from noria.domain.ids import RolloutId
from noria.domain.look import RolloutLook
from noria.errors import StoreCorrupt
from noria.ports.blobs import BlobStore

FINENESS = 40
"""A look is kept when this part of the rollout's age has passed since the last one: every look of the first hours, some 400 in a week of minutes."""


class _Looks(msgspec.Struct, frozen=True):
    looks: tuple[RolloutLook, ...] = ()


def keep(blobs: BlobStore, deployment: Deployment, rollout: Rollout, verdict: Verdict, *, at: datetime) -> bool:
    """Keep what a look saw, unless it is too close to the one before and decides nothing; gives whether it was kept. An older one changes nothing."""
    known = kept(blobs, rollout.id)
    if known:
        last = known[-1]
        apart = (at - last.at).total_seconds()
        close = apart < (at - rollout.started_at).total_seconds() / FINENESS
        if apart <= 0 or (close and verdict.outcome == last.outcome and rollout.step == last.step):
            return False
    challenger = deployment.variant("challenger")
    look = RolloutLook(
        at=at,
        outcome=verdict.outcome,
        reason=verdict.reason,
        champion_labels=verdict.champion_labels,
        challenger_labels=verdict.challenger_labels,
        difference=verdict.difference,
        objectives=verdict.objectives,
        step=rollout.step,
        share=challenger.weight if challenger else 0.0,
    )
    former = (*known[:-1], _without_words(known[-1])) if known else ()
    blobs.publish(_name(rollout.id), msgspec.msgpack.encode(_Looks((*former, look)), enc_hook=float))
    return True


def _without_words(look: RolloutLook) -> RolloutLook:
    objectives = tuple(msgspec.structs.replace(judged, reason="") for judged in look.objectives)
    return msgspec.structs.replace(look, reason="", objectives=objectives)


def kept(blobs: BlobStore, rollout: RolloutId) -> tuple[RolloutLook, ...]:
    """The looks at a rollout, oldest first; none for one that was judged before looks were kept. Raises StoreCorrupt."""
    document = blobs.published(_name(rollout))
    if document is None:
        return ()
    try:
        return msgspec.msgpack.decode(document, type=_Looks).looks
    except msgspec.DecodeError as exc:
        raise StoreCorrupt(
            f"the kept looks at rollout {rollout} cannot be read",
            cause=str(exc),
            remedy="nothing was decided by them: delete the document; the rollout itself stands in the ledger",
        ) from exc


def _name(rollout: RolloutId) -> str:
    return f"rollouts/{rollout}.msgpack"
