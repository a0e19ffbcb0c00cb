"""`noria inputs` as people and scripts use it: the newest days, what is wrong, and served rows beside the same rows computed anew."""

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

import noria
from noria.app.settings import Settings
from noria.cli.main import main
from noria.domain.deployment import Deployment, Variant
from noria.domain.ids import EventId
from noria.loop.stages.watch_sketches import sketch_served
from noria.testing.clock import FakeClock
from tests.loop.counted import MONDAY, NAME, Asked

HERE = ["inputs", NAME]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days, the newest with a broken input, and a table of what the first rows should have been."""
    folder = tmp_path_factory.mktemp("project")
    now = MONDAY + timedelta(days=2, hours=1)
    with noria.Workspace(Settings(), folder / ".noria", clock=FakeClock(now)) as workspace:
        asked = Asked(folder / ".noria" / "predictions", workspace=workspace)
        champion = Variant(name="champion", model="m", number=1, version="1.0.0", bundle=asked.bundle, weight=1.0)
        workspace.deployments.put(
            Deployment(name=NAME, model="m", generation=1, variants=(champion,), updated_at=MONDAY, cause=EventId("c"))
        )
        sound, second, broken = asked.records([1, 1441, 2881], rows=300)
        gone = np.where(np.arange(300) % 3, np.array(broken.inputs["price"]), np.nan).tolist()
        asked.write([sound, second, replace(broken, inputs={**broken.inputs, "price": gone})])
        counted = asked.look(now)
        sketch_served(asked.context, asked.recipe, champion, asked.profile, counted, now=now)
        pl.DataFrame(
            {
                "prediction_id": [sound.prediction_id(row) for row in range(300)],
                "price": np.array(sound.inputs["price"]) * 100,
                "shop": sound.inputs["shop"],
            }
        ).write_parquet(folder / "recomputed.parquet")
    return folder


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NORIA_HOME", "NORIA_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.chdir(project):
        yield


@pytest.mark.usefixtures("inside")
def test_what_is_wrong_stands_first_and_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HERE, "--days", "100000"]) == 3  # days are counted back from the real present

    out = capsys.readouterr().out
    assert out.index("'price' is missing") < out.index("the newest day")


@pytest.mark.usefixtures("inside")
def test_one_input_is_shown_day_by_day_with_its_quantiles(capsys: pytest.CaptureFixture[str]) -> None:
    main([*HERE, "price", "--days", "100000", "--json"])

    (story,) = json.loads(capsys.readouterr().out)["inputs"]
    first, _, newest = story["days"]
    assert story["low"] < first["quantiles"][1] < story["high"]
    assert newest["quantiles"] is None  # it is not over
    assert newest["missing"] == pytest.approx(1 / 3)
    assert main([*HERE, "price", "--days", "100000"]) == 3
    assert "2026-01-05" in capsys.readouterr().out


@pytest.mark.usefixtures("inside")
def test_served_rows_are_compared_with_the_same_rows_computed_anew(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HERE, "--against", "recomputed.parquet"]) == 3

    out = capsys.readouterr().out
    assert "300 of 300 rows" in out
    assert "a factor of 100" in out
    assert main([*HERE, "--against", "recomputed.parquet", "--json"]) == 3
    read = json.loads(capsys.readouterr().out)
    assert [each["about"] for each in read["findings"]] == ["price"]
    assert {each["feature"]: each["differing"] for each in read["columns"]} == {"price": 300, "shop": 0}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (["prise"], "prise"),
        (["--against", "recomputed.parquet", "--on", "key"], "key"),
        (["--against", "recomputed.parquet", "--since", "soon"], "--since"),
        (["--against", "nowhere.parquet"], "nowhere"),
        (["--against", "recomputed.parquet", "--since", "2030-01-01"], "no predictions"),
    ],
)
def test_what_cannot_be_answered_says_why(rest: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HERE, *rest]) == 1

    assert said in capsys.readouterr().err
