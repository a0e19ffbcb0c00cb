"""The stated error rates of rollouts hold at any number of looks: a few of the benchmark's experiments here, 10,000 of each in make test-all."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "delivery_proof.py"
FEW = ("A/A, A/B test", "A/B test, 0.08 better", "A/A, paired canary", "paired canary, worse by just its tolerance")


@pytest.fixture(scope="module")
def proof() -> ModuleType:
    spec = importlib.util.spec_from_file_location("delivery_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["delivery_proof"] = module
    spec.loader.exec_module(module)
    return module


def promises_held(result: dict[str, Any]) -> None:
    """No rate of errors is beyond what was promised, by the lower end of its own interval."""
    judged = [each for each in result["scenarios"] if "wrong" in each]
    assert judged
    for each in judged:
        assert each[each["wrong"]][1] <= each["at_most"], each


def test_few_experiments_keep_what_is_promised_and_find_what_is_there(proof: ModuleType) -> None:
    result = proof.measured(20, 0, lambda name: name in FEW)

    promises_held(result)
    by_name = {each["name"]: each for each in result["scenarios"]}
    assert by_name["A/B test, 0.08 better"]["promote"][0] > 0.9
    assert by_name["A/A, paired canary"]["promote"][0] > 0.9
    assert result["crash"]["requests"] <= 8


def test_the_tables_of_the_page_come_from_the_results(proof: ModuleType, tmp_path: Path) -> None:
    result = proof.measured(10, 2, lambda name: name == "A/B test, 0.08 better")
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- {name} -->\n\nold\n\n<!-- end {name} -->\n" for name in ("rates", "power", "bandits"))
    )

    proof.put(page, result)

    assert "old" not in page.read_text()
    assert "| A/B test, 0.08 better | 100.0%" in page.read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_experiments_of_each_kind_keep_what_is_promised(proof: ModuleType) -> None:
    promises_held(proof.measured(10_000, 200))
