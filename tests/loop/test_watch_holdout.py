"""The hold-out of a champion, as its training left it: its rows, labels and scores, and nothing where the loop trained nothing."""

from dataclasses import replace

import msgspec
import pytest
from msgspec import structs

from noria.domain import events as e
from noria.domain.bundle import Bundle
from noria.domain.deployment import Variant
from noria.domain.ids import Digest, RunId
from noria.loop.stages.watch_holdout import holdout_of
from noria.stats.metrics import log_loss
from noria.wire.canonical import canonical
from tests.loop.small import BEGIN, Life, open_life


def champion(life: Life) -> Variant:
    found = life.workspace.deployments.get("returns").variant("champion")
    assert found is not None
    return found


def test_the_hold_out_is_what_the_rehearsal_was_judged_on() -> None:
    with open_life() as life:
        life.declare()
        (run,) = life.all(e.RunFinished)
        recipe = replace(life.recipe, slices=("shop",))

        found = holdout_of(life.loop.context, recipe, champion(life))

        assert found.columns == ["at", "label_at", "score", "label", "shop"]
        assert set(found["shop"].unique()) == {"north", "south", "web"}
        assert found.height == 2 * life.world.orders_a_day, "two days of four have labels by now"
        loss = log_loss(found["label"].to_numpy(), found["score"].to_numpy())
        assert loss == pytest.approx(run.metrics["log_loss"])
        assert holdout_of(life.loop.context, recipe, champion(life)) is found, "read once"


def test_without_a_training_of_the_loop_or_with_an_edited_recipe_there_is_none() -> None:
    with open_life() as life:
        life.declare().live(range(BEGIN + 2, BEGIN + 3))
        context, mine = life.loop.context, champion(life)

        edited = holdout_of(context, replace(life.recipe, slices=("colour",)), mine)
        manifest = msgspec.json.decode(context.blobs.get(mine.bundle), type=Bundle)
        elsewhere = structs.replace(manifest, run_id=RunId("of-another-store"))
        unknown = structs.replace(mine, bundle=Digest(context.blobs.put(canonical(elsewhere))))

        assert edited.height == 0
        assert "colour" in edited.columns
        assert holdout_of(context, life.recipe, unknown).height == 0
