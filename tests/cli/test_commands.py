"""The commands as people and scripts use them: what they print, where errors go, and with which code they end."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import noria
from noria.cli.main import COMMANDS, main
from noria.domain import events as e
from noria.domain.ids import EventId
from noria.domain.ledger import Draft
from tests.loop.small import BEGIN, open_life

FLOW = """
from noria import pipeline

def numbers(*, n: int = 4) -> list[int]:
    return list(range(n))

def total(numbers: list[int]) -> int:
    return sum(numbers)

def fails(total: int) -> int:
    raise ValueError("seventeen")

good = pipeline("good", numbers, total)
bad = pipeline("bad", numbers, total, fails)
"""


@dataclass
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        lines = self.out.splitlines()
        assert len(lines) == 1, "--json prints one object on one line"
        read = json.loads(lines[0])
        assert isinstance(read, dict)
        return read


@pytest.fixture
def noria_(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator["Shell"]:
    monkeypatch.delenv("NORIA_HOME", raising=False)
    monkeypatch.delenv("NORIA_PROJECT", raising=False)
    with contextlib.chdir(tmp_path):
        yield Shell(tmp_path, capsys)


@dataclass
class Shell:
    """A folder and a command line in it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Said:
        self.capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = self.capsys.readouterr()
        return Said(code, out, err)


def test_help_names_every_command_and_a_next_step(noria_: Shell) -> None:
    said = noria_("--help")

    told = " ".join(said.out.split())
    assert said.code == 0
    assert all(f" {name} {purpose}" in told for name, purpose in COMMANDS.items())
    assert "next: noria demo" in said.out


def test_no_command_prints_help_and_ends_with_2(noria_: Shell) -> None:
    assert noria_().code == 2
    assert noria_("--version").out.strip() == f"noria {noria.__version__}"
    assert noria_("wheelbarrow").code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(noria_: Shell, name: str) -> None:
    said = noria_(name, "--help")

    assert said.code == 0
    assert f"usage: noria {name}" in said.out
    assert "--json" in said.out
    assert not (noria_.folder / ".noria").exists()


def test_a_project_from_nothing_to_nothing_to_do(noria_: Shell) -> None:
    begun = noria_("init", "--project", "shop")
    first, second = noria_("run", "pipeline.py"), noria_("run", "pipeline.py")

    assert (begun.code, first.code, second.code) == (0, 0, 0)
    assert "✓ project 'shop' started: noria.toml, pipeline.py, .gitignore" in begun.out
    assert "next: noria run pipeline.py" in begun.out
    assert "hello: 2 run, 0 cached" in first.out
    assert "hello: nothing to do: every step was found in the cache" in second.out
    assert (noria_.folder / ".gitignore").read_text() == ".noria/\n"


def test_init_twice_is_an_error_that_says_what_to_do(noria_: Shell) -> None:
    noria_("init")
    before = (noria_.folder / "noria.toml").read_text()

    again = noria_("init", "--project", "other")

    assert (again.code, again.out) == (1, "")
    assert again.err.splitlines() == [
        "AlreadyExists [noria-2003]: noria.toml exists in this folder",
        "  cause:  a project was started here before",
        "  remedy: noria status",
    ]
    assert (noria_.folder / "noria.toml").read_text() == before


def test_init_keeps_files_that_are_there(noria_: Shell) -> None:
    (noria_.folder / "pipeline.py").write_text("mine = 1\n")

    said = noria_("init", "--json")

    assert said.json["written"] == ["noria.toml", ".gitignore"]
    assert (noria_.folder / "pipeline.py").read_text() == "mine = 1\n"


def test_every_reading_command_prints_one_json_object(noria_: Shell) -> None:
    assert noria_("init", "there", "--json").json["project"] == "there"
    with contextlib.chdir(noria_.folder / "there"):
        assert noria_("status", "--json").json["project"] == "there"
        assert noria_("run", "--json").json == {"runs": [], "total": 0}
        assert noria_("run", "pipeline.py", "--json").json["cached"] == 0
        assert noria_("run", "pipeline.py", "--json").json["cached"] == 2
        assert noria_("models", "--json").json == {"versions": []}
        assert noria_("audit", "--json").json["breaks"] == []
        (finding, *_) = noria_("doctor", "--json").json["findings"]  # type: ignore[misc]
        assert {"level", "what", "found", "remedy"} == set(finding)


def test_an_error_as_json_is_one_object_too(noria_: Shell) -> None:
    said = noria_("why", "r0.0", "--json")

    assert said.code == 1
    error = said.json["error"]
    assert isinstance(error, dict)
    assert error["code"] == "noria-2001"
    assert error["remedy"]
    assert error["retryable"] is False


@pytest.mark.parametrize("arguments", [("why", "r0.0"), ("run", "0" * 32), ("run", "nowhere.py")])
def test_what_is_not_there_is_problem_cause_remedy_on_stderr(noria_: Shell, arguments: tuple[str, ...]) -> None:
    said = noria_(*arguments)

    assert (said.code, said.out) == (1, "")
    first, *_, last = said.err.splitlines()
    assert first.startswith("NotFound [noria-2001]: no ")
    assert last.startswith("  remedy: ")


def test_a_step_that_raises_is_told_with_its_own_words_and_earlier_steps_are_kept(noria_: Shell) -> None:
    (noria_.folder / "flow.py").write_text(FLOW)

    said = noria_("run", "flow.py:bad")
    again = noria_("run", "flow.py:good", "--json")

    assert said.code == 1
    assert said.err.startswith("StepFailed [noria-7001]")
    assert "seventeen" in said.err
    assert again.json["cached"] == 2


def test_parameters_are_set_by_name(noria_: Shell) -> None:
    (noria_.folder / "flow.py").write_text(FLOW)
    noria_("run", "flow.py:good")

    said = noria_("run", "flow.py:good", "--set", "n=5", "--json")

    assert said.json["cached"] == 0
    assert noria_("run", "flow.py:good", "--set", "n").err.startswith("SettingInvalid")
    assert "nothing to do" in noria_("run", "flow.py:good", "--set", "n=5").out


def test_debug_shows_the_traceback(noria_: Shell) -> None:
    with pytest.raises(noria.NoriaError):
        noria_("why", "r0.0", "--debug")


def test_a_bad_settings_file_is_an_error_of_every_command(noria_: Shell) -> None:
    (noria_.folder / "noria.toml").write_text("project = \n")

    for name in ("status", "run", "audit", "doctor"):
        said = noria_(name)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("SettingInvalid [noria-8001]: noria.toml is not valid TOML")


def test_runs_are_listed_and_shown(noria_: Shell) -> None:
    with noria.run("churn", lr=0.1, seed=3) as active:
        active.log(auc=0.91)

    listed = noria_("run", "--json").json["runs"]
    assert isinstance(listed, list)
    (run,) = listed
    shown = noria_("run", run["id"], "--json").json

    assert shown == run
    assert (shown["experiment"], shown["metrics"], shown["params"]) == ("churn", {"auc": 0.91}, {"lr": 0.1})
    assert "churn" in noria_("run").out
    assert "auc" in noria_("run", run["id"]).out


def test_runs_are_filtered_and_sorted(noria_: Shell) -> None:
    for name, auc, depth, team in (("a", 0.9, 7, "x"), ("b", 0.7, 9, "y"), ("c", 0.85, 3, "y"), ("d", 0.95, 6, "z")):
        with noria.run("churn", name=name, depth=depth) as active:
            active.log(auc=auc)
            active.tag(team=team)

    where = "metrics.auc > 0.8 and (params.depth >= 6 or not tags.team = 'x')"
    found = noria_("run", "--where", where, "--order", "metrics.auc desc", "--json").json
    none = noria_("run", "--where", "metrics.auc > 1")
    wrong = noria_("run", "--where", "metrics.auc > high")

    assert ([run["name"] for run in found["runs"]], found["total"]) == (["d", "a", "c"], 3)  # type: ignore[attr-defined]
    assert "No run matches" in none.out
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.startswith("QueryInvalid [noria-1011]: expected a number at character 15 of the query")


def test_status_and_why_of_a_life(noria_: Shell) -> None:
    with open_life(noria_.folder / ".noria") as life:
        life.declare().live(range(BEGIN + 2, BEGIN + 4))
        prediction = life.ask(BEGIN + 2)[3]
    (noria_.folder / "noria.toml").write_text('project = "small"\n')

    status, why = noria_("status"), noria_("why", prediction)

    assert "the loop closed 0 times" in status.out
    assert "v1 100%" in status.out
    assert "became champion" in status.out
    assert why.code == 0
    for said in (
        prediction,
        "equal to the last bit",
        "returns/1 = 1.0.0",
        "good enough",
        "blake3:",
        "none was running",
    ):
        assert said in why.out
    assert noria_("why", prediction, "--json").json["prediction_id"] == prediction
    assert noria_("audit").out.startswith("✓ 12 rows, every one in its place")


def test_the_audit_finds_a_row_that_was_edited_behind_its_back(noria_: Shell) -> None:
    noria_("init", "--project", "shop")
    with noria.Workspace.open() as workspace:
        for number in range(3):
            event = e.AliasMoved(model="m", alias="champion", number=number, previous=None, reason="won")
            draft = Draft(id=EventId(f"e{number}"), at=workspace.clock.now(), actor="t", event=event)
            workspace.ledger.append([draft])
    assert noria_("audit", "verify").code == 0

    with contextlib.closing(sqlite3.connect(noria_.folder / ".noria" / "meta.db")) as database, database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        ledger = next(t for t in tables if "body" in [row[1] for row in database.execute(f"pragma table_info({t})")])
        for (trigger,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f"drop trigger {trigger}")
        body = database.execute(f"select body from {ledger} where seq = 3").fetchone()[0]
        edited = body.replace(b"won", b"own") if isinstance(body, bytes) else body.replace("won", "own")
        assert edited != body
        database.execute(f"update {ledger} set body = ? where seq = 3", (edited,))

    said = noria_("audit")
    assert said.code == 3
    assert "the ledger was tampered with" in said.out
    report = noria_("audit", "verify", "--json")
    assert report.code == 3
    assert [b["seq"] for b in report.json["breaks"]] == [3]  # type: ignore[attr-defined]


def test_an_export_can_be_verified_by_itself(noria_: Shell) -> None:
    from noria.governance.audit import verify_export

    noria_("init")

    said = noria_("audit", "export", "--to", "out.jsonl")

    assert (said.code, "written to out.jsonl" in said.out) == (0, True)
    assert verify_export(noria_.folder / "out.jsonl").whole


def test_two_processes_on_one_store_do_each_step_once(noria_: Shell) -> None:
    noria_("init")
    program = [sys.executable, "-m", "noria.cli.main", "run", "pipeline.py", "--json"]

    both = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]

    # The one that comes while the other holds a step is told so, with what to do; else it finds the steps done.
    told = [json.loads(out) for out, _ in said]
    refused = [one["error"] for one in told if "error" in one]
    steps = [step for one in told for step in one.get("steps", ())]
    assert 0 in [process.returncode for process in both]
    assert all("is held by" in error["problem"] and error["remedy"] for error in refused)
    done, cached = (sum(step["state"] == state for step in steps) for state in ("done", "cached"))
    # The one that is told to wait may have done the first step before, which the other then finds done.
    assert (done + cached == 2 and done >= 1) if refused else (done, cached) == (2, 2)
    assert noria_("run", "pipeline.py", "--json").json["cached"] == 2
    assert noria_("audit").code == 0


def test_a_reader_that_goes_away_is_no_error(noria_: Shell) -> None:
    noria_("init")
    command = f"{sys.executable} -m noria.cli.main status --json | true"

    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr


def test_a_fresh_demo_does_not_remove_what_is_not_its_own(noria_: Shell) -> None:
    home = noria_.folder / ".noria"
    home.mkdir()
    (home / "thesis.txt").write_text("the only copy")

    said = noria_("demo", "--fresh", "--exit")

    assert said.code == 1
    assert "'thesis.txt'" in said.err
    assert (home / "thesis.txt").read_text() == "the only copy"
