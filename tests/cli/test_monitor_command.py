"""`noria monitor`: two files, a verdict first, an exit code for CI; no project needed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from noria.cli.main import main


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(4)

    def table(rows: int, shift: float) -> pl.DataFrame:
        chance = rng.random(rows)
        return pl.DataFrame(
            {
                "price": rng.gamma(2.0, 10.0, rows) + shift,
                "channel": rng.choice(["web", "store"], rows),
                "chance": chance,
                "bought": (rng.random(rows) < chance).astype(int),
            }
        )

    table(2000, 0.0).write_parquet(tmp_path / "then.parquet")
    table(900, 0.0).write_csv(tmp_path / "same.csv")
    table(900, 12.0).write_csv(tmp_path / "moved.csv")
    return {name: str(tmp_path / name) for name in ("then.parquet", "same.csv", "moved.csv", "r.html", "r.json")}


def test_the_exit_code_is_the_verdict(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    then, same, moved = files["then.parquet"], files["same.csv"], files["moved.csv"]
    named = ["--prediction", "chance", "--label", "bought"]

    assert main(["monitor", then, same, *named]) == 0
    assert capsys.readouterr().out.startswith("Fine: none of 2 inputs moved beyond their margins\n")
    assert main(["monitor", then, moved, *named]) == 1
    assert capsys.readouterr().out.startswith("Alarm: price moved (1 of 2 inputs)\n")
    assert main(["monitor", then, moved, "--ignore", "price", *named]) == 0


def test_bad_input_ends_with_2_and_says_what_to_do(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", files["then.parquet"], "absent.csv"]) == 2
    assert "remedy:" in capsys.readouterr().err
    assert main(["monitor", files["then.parquet"], files["same.csv"], "--label", "bougth", "--json"]) == 2
    assert "'bought'" in json.loads(capsys.readouterr().out)["error"]["cause"]
    assert main(["monitor", files["then.parquet"], files["same.csv"], "--report", "report.txt"]) == 2


def test_reports_and_json_say_the_same(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["monitor", files["then.parquet"], files["moved.csv"], "--columns", "price, channel", "--json"]

    code = main([*command, "--report", files["r.html"], "--report", files["r.json"]])

    said = json.loads(capsys.readouterr().out)
    assert code == 1
    assert said == json.loads(Path(files["r.json"]).read_text(encoding="utf-8"))
    assert (said["format"], said["verdict"]) == ("noria-comparison-1", "alarm")
    assert Path(files["r.html"]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_it_opens_no_project_and_loads_no_database(files: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys; from noria.cli.main import main; main(sys.argv[1:]);"
        "print([n for n in ('sqlalchemy', 'litestar', 'sklearn', 'rich') if n in sys.modules])"
    )
    arguments = [sys.executable, "-c", code, "monitor", files["then.parquet"], files["same.csv"]]

    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.endswith("[]\n")
    assert not (tmp_path / ".noria").exists()
