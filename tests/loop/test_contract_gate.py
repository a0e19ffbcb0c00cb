"""The data contract as a gate: the rows of a training, against what the recipe asks of them."""

from dataclasses import replace

import pytest

import noria
from noria.domain import events as e
from noria.domain.dataset import Expectation
from noria.domain.gate import DataContract
from noria.evaluation.gates import judge
from noria.evaluation.sample import Sample
from tests.loop.small import GOOD_ENOUGH, open_life


def contract_gate(limit: float) -> noria.Gate:
    return noria.Gate(name="as agreed", kind="data_contract", metric="broken_share", limit=limit, better="lower")


DEAR = Expectation(rule="between", column="price", minimum=0, maximum=200, severity="quarantine")


@pytest.mark.parametrize(("limit", "passes"), [(0.0, False), (0.2, True)])
def test_a_training_set_that_broke_its_contract_too_often_makes_no_version(limit: float, passes: bool) -> None:
    gates = (GOOD_ENOUGH, contract_gate(limit))
    with open_life(change=lambda recipe: replace(recipe, gates=gates, expectations=(DEAR,))) as life:
        life.declare()

        (judged,) = life.all(e.GatesPassed if passes else e.GatesFailed)
        result = judged.report.results[1]
        rows = life.workspace.tables.version(life.recipe.base).rows
        assert result.passed is passes
        assert result.measured.n == rows
        assert 0 < result.measured.value < 0.2
        assert f"of {rows} training rows" in result.evidence
        assert "price between 0 and 200" in result.evidence
        assert bool(life.workspace.deployments.all()) is passes


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (None, "no training rows were shown"),
        (
            DataContract(rows=10, broken=0, expectations=0, differences=("column 'price' is not there, not float32",)),
            "column 'price' is not there",
        ),
        (DataContract(rows=10, broken=1, expectations=1, refused=True, failed=("price not null",)), "price not null"),
    ],
)
def test_what_cannot_be_shown_or_is_another_table_fails_whatever_the_limit(
    contract: DataContract | None, words: str
) -> None:
    sample = Sample(y=[0.0, 1.0] * 50, p=[0.4, 0.6] * 50)

    (result,) = judge([contract_gate(1.0)], sample, contract=contract).results

    assert not result.passed
    assert words in result.evidence
