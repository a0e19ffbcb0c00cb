"""The whole loop on one page stays on one page, and does what it says."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tiny_noria.py"


def test_it_fits_on_a_page() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_loop_notices_retrains_promotes_and_recovers(capsys: pytest.CaptureFixture[str]) -> None:
    spec = spec_from_file_location("tiny_noria", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    tiny = module_from_spec(spec)
    spec.loader.exec_module(tiny)

    loss = tiny.main()

    said = capsys.readouterr().out
    assert set(loss) == {"before", "bad days", "at the end"}
    assert loss["bad days"] > loss["before"] + 0.3
    assert loss["at the end"] < loss["bad days"] - 0.3
    assert loss["at the end"] == pytest.approx(loss["before"], abs=0.1)
    assert re.search(r"the model has decayed", said)
    assert re.search(r"retraining asked for \(decay\)", said)
    assert re.search(r"canary: version \d+ gets 30% of the traffic", said)
    assert re.search(r"version 2 of returns became champion: log loss differs by -", said)
    assert "computed again: equal to the last bit" in said
