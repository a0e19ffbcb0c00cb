"""Why: everything behind one prediction is named, and the answer is computed again; on files, as a project has them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import msgspec
import pytest

import noria
from noria.app.why import Why
from noria.domain import events as e
from noria.domain.bundle import Environment
from noria.domain.run import Run
from noria.errors import NotFound
from tests.loop.small import BEGIN, DEPLOYMENT, Life, World, open_life

CANARY_DAY = 32


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Life]:
    """A first version, a day of answers with labels."""
    with open_life(tmp_path / "home") as life:
        yield life.declare().live(range(BEGIN + 2, BEGIN + 4))


def a_canary(home: Path | None) -> tuple[Life, list[str]]:
    """A life in which version 2 stands beside version 1, and the ids of a day of answers."""
    lived = open_life(home, world=World(turns=24), change=only_by_hand)
    life = lived.__enter__()
    life.declare().live(range(BEGIN + 2, CANARY_DAY))
    life.request()
    return life, life.ask(CANARY_DAY)


def only_by_hand(recipe: noria.Recipe) -> noria.Recipe:
    return replace(recipe, policy=msgspec.structs.replace(recipe.policy, on=(), recent_days=6))


def some_id(life: Life, day: int = BEGIN + 2, row: int = 7) -> str:
    return life.ask(day)[row]


def test_everything_behind_a_prediction_is_named(begun: Life) -> None:
    workspace = begun.workspace
    prediction = some_id(begun)

    told = noria.why(workspace, prediction)

    order = begun.world.orders(BEGIN + 2).row(7, named=True)
    assert told.inputs == {"shop": order["shop"], "price": order["price"]}
    assert set(told.outputs) == {"probability"}
    assert (told.label, told.label_at) == (order["label"], order["known_at"])
    assert told.asked_at == begun.world.orders(BEGIN + 2)["at"][0], "the moment of its request"
    assert (told.version.ref, str(told.version.version)) == ("returns/1", "1.0.0")
    assert (told.deployment.name, told.deployment.generation, told.rollout) == (DEPLOYMENT, 1, None)
    assert told.champion_then is not None
    assert told.champion_then.number == 1
    assert told.bundle.run_id == told.run.id == told.version.run_id
    assert told.bundle.parity is not None
    assert told.bundle.parity.passed
    assert told.recomputed == type(told.recomputed)(equal=True, outputs=told.outputs)


def test_gates_run_code_environment_and_data_are_named(begun: Life) -> None:
    told = noria.why(begun.workspace, some_id(begun))

    assert told.version.gates is not None
    (result,) = told.version.gates.results
    assert (result.gate.name, result.passed) == ("good enough", True)
    assert result.measured.low >= result.gate.limit
    assert isinstance(told.run, Run)
    assert told.run.code is not None
    assert told.run.code.digest.startswith("blake3:")
    assert told.run.environment is not None
    environment = msgspec.json.decode(begun.workspace.blobs.get(told.run.environment), type=Environment)
    assert "scikit-learn" in environment.packages
    assert told.run.seed == begun.recipe.seed
    (dataset,) = told.datasets
    assert dataset.digest == begun.recipe.base, "all that is known so far is the base itself"
    assert dataset.rows == BEGIN * begun.world.orders_a_day


def test_the_events_lead_from_the_declaration_to_the_answer(begun: Life) -> None:
    told = noria.why(begun.workspace, some_id(begun))

    kinds = [event.kind for event in told.events]
    for kind in (
        "ProjectCreated",
        "DeploymentDeclared",
        "RetrainRequested",
        "RunFinished",
        "GatesPassed",
        "ModelVersionApproved",
    ):
        assert kind in kinds
    assert [event.seq for event in told.events] == sorted(event.seq for event in told.events)
    assert all(event.sentence for event in told.events)


def test_the_rollout_of_that_moment_is_shown_and_stays_shown(tmp_path: Path) -> None:
    life, ids = a_canary(tmp_path / "home")
    told = [noria.why(life.workspace, prediction) for prediction in ids[::10]]
    by_variant = {why.variant: why for why in told}

    assert set(by_variant) == {"champion", "challenger"}
    assert {name: why.version.number for name, why in by_variant.items()} == {"champion": 1, "challenger": 2}
    for why in told:
        assert why.rollout is not None
        assert (why.rollout.challenger, why.rollout.champion, why.rollout.outcome) == (2, 1, "running")
        assert why.deployment.generation == 2
        assert why.recomputed.equal
    assert [d.parents for d in by_variant["challenger"].datasets] == [(life.recipe.base,)]
    assert {x.kind for x in by_variant["challenger"].events} >= {"ModelVersionApproved", "GatesPassed", "RunFinished"}

    life.live(range(CANARY_DAY, 36))
    assert life.all(e.RolloutPromoted)[-1].number == 2
    later = noria.why(life.workspace, by_variant["champion"].prediction_id)
    assert (later.version.number, later.rollout) == (1, by_variant["champion"].rollout)
    life.workspace.close()


def the_model_file(life: Life, told: Why) -> tuple[Path, Path]:
    """Where the bytes of the model are kept, and where they are laid out to be opened."""
    entry = next(f for f in told.bundle.files if f.path.endswith(".onnx"))
    name = entry.digest.removeprefix("blake3:")
    (kept,) = [
        p for p in (life.workspace.home / "blobs" / "objects").rglob("*") if name.endswith(p.name) and p.is_file()
    ]
    (opened,) = list((life.workspace.home / "cache").rglob(Path(entry.path).name))
    return kept, opened


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_changed_byte_of_the_model_is_told(begun: Life) -> None:
    prediction = some_id(begun)
    told = noria.why(begun.workspace, prediction)
    kept, _ = the_model_file(begun, told)
    spoil(kept)
    rmtree(begun.workspace.home / "cache")

    again = noria.why(begun.workspace, prediction)

    assert not again.recomputed.equal
    assert ".onnx" in again.recomputed.problem
    assert (again.inputs, again.outputs, again.version) == (told.inputs, told.outputs, told.version)


def test_a_damaged_cache_is_laid_out_again(begun: Life) -> None:
    prediction = some_id(begun)
    kept, opened = the_model_file(begun, noria.why(begun.workspace, prediction))
    opened.unlink()
    opened.write_bytes(kept.read_bytes())
    spoil(opened)

    again = noria.why(begun.workspace, prediction)

    assert again.recomputed.equal
    assert opened.read_bytes() == kept.read_bytes()


def test_an_unknown_id_names_what_to_do() -> None:
    with noria.Workspace.ephemeral("empty") as workspace, pytest.raises(NotFound) as caught:
        noria.why(workspace, "r0.0")

    assert "r0.0" in caught.value.problem
    assert caught.value.remedy
