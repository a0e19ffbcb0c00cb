"""The demo from begin to end: prepare, declare, train, deploy, replay the year, compare. Called by `noria demo`.

Everything that is done is found again: a second demo, or one that was killed, goes on where its stores stand.
"""

import ctypes
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from noria.app.processes import Process, start_worker
from noria.app.sentences import sentence
from noria.app.turn import Loop, declare
from noria.app.workspace import Workspace
from noria.demo.arms import run_arms
from noria.demo.client import Client
from noria.demo.prepare import BEGIN, END, Prepared, prepare
from noria.demo.project import DEPLOYMENT, recipe
from noria.demo.replay import Replay, ReplayClock, hand_in_labels, labels_of, reached, with_ids
from noria.demo.result import Month, Result, Year, by_month
from noria.demo.show import Voice
from noria.domain import events as e
from noria.domain.ids import derive
from noria.domain.ledger import Entry
from noria.domain.pipeline import StepResult
from noria.errors import GateNotPassed
from noria.wire.tables import open_table

RESULT, PROGRESS = "demo/result.json", "demo/progress.json"
M_ARENA_MAX = -8
"""malloc.h"""
WORKERS = 2
"""Processes that answer: the replay waits for nothing else while it asks."""
GRACE = timedelta(days=2)
"""After the last flight, how long labels may still come."""


class _Progress(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    simulated_until: datetime
    months: tuple[str, ...] = ()


def tell(workspace: Workspace, clock: ReplayClock, voice: Voice, *, end: datetime = END) -> Result:
    """Run, or go on with, the year in this workspace, up to `end` (the whole year by default)."""
    _spare_memory()
    with voice.part("prepare", "1 · flights and weather of 2013, as dataset versions"):
        prepared = prepare(workspace, on_step=voice.step)
    told = _teller(workspace, voice)
    project = recipe(prepared.base)
    loop = Loop(workspace, [project], on_step=voice.step)
    clock.set(reached(workspace) or BEGIN)
    with voice.part("first_version", "2 · first version: train, gate, register, package, deploy"):
        declare(workspace, project)
        loop.turn()
        told()
        _demand_a_version(workspace)
    year = _year(workspace, prepared, end)
    steps: list[StepResult] = []
    answering = 0.0
    with ThreadPoolExecutor(1, thread_name_prefix="arms") as beside:
        # The three other ways are trained beside the replay: they know nothing of each other.
        arms = beside.submit(run_arms, project, workspace, prepared.year, end=end, on_step=steps.append)
        if (reached(workspace) or BEGIN) >= end:
            voice.console.print("[bold]3 · the year was replayed before: nothing to do[/bold]")
            voice.timings["replay"] = 0.0
        else:
            worker = start_worker(workspace.home, host="127.0.0.1", port=0, replay_clock=True, workers=WORKERS)
            try:
                with voice.part("replay", f"3 · March to December through {worker.url}, and the loop with it"):
                    _replay(workspace, loop, clock, worker, year, voice, told, end=end)
            finally:
                answering = _peak_mb(worker.handle.pid)
                worker.stop()
        # Flights of the last day land after it. Handed in outside of the replay, so that a demo killed in between makes up for it.
        hand_in_labels(workspace, DEPLOYMENT, labels_of(year), since=end, until=end + GRACE)
        with voice.part("arms", "4 · the same year with a frozen model, and with blind monthly retraining"):
            answers = arms.result()
            for step in steps:
                voice.step(step)
    with voice.part("compare", "5 · compared on the same flights"):
        wanted = ["prediction_id", "label", f"out.{project.output}"]
        served = open_table(workspace.predictions.joined(DEPLOYMENT, known_by=end + GRACE, columns=wanted))
        total, months = by_month(year, served, answers, output=project.output, end=end)
    result = _result(workspace, total, months, served, voice, memory_mb=_peak_mb() + answering)
    workspace.blobs.publish(RESULT, msgspec.json.encode(result))
    return result


def _replay(
    workspace: Workspace,
    loop: Loop,
    clock: ReplayClock,
    worker: Process,
    year: pl.DataFrame,
    voice: Voice,
    told: Callable[[], None],
    *,
    end: datetime,
) -> None:
    client = Client(worker.url, DEPLOYMENT)
    replay = Replay(workspace, loop, client, year, deployment=DEPLOYMENT, clock=clock)
    of = year.height

    def on_day(day: datetime, asked: int) -> None:
        told()
        total = replay.asked_before(day)
        voice.day(day, asked, total, of)
        if day.day == 1 or day >= end:
            _give_back_memory()
            progress = _Progress(step="replay", simulated_until=day)
            workspace.blobs.publish(PROGRESS, msgspec.json.encode(progress))

    try:
        replay.run(BEGIN, end, on_day=on_day)
    finally:
        client.close()


def _spare_memory() -> None:
    """Ask glibc for two heaps instead of eight a core: each keeps what its threads once used, and trainings use much. Elsewhere this does nothing."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _give_back_memory() -> None:
    """Ask glibc to return what trainings have freed. Elsewhere this does nothing."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _demand_a_version(workspace: Workspace) -> None:
    """Without a first version there is nothing to replay. Raises GateNotPassed with what the gates said."""
    if any(d.name == DEPLOYMENT for d in workspace.deployments.all()):
        return
    said = [sentence(entry.event) for entry in workspace.ledger.latest(limit=3)]
    raise GateNotPassed(
        "the first version did not pass its gates", cause=said[0] if said else "", remedy="noria status"
    )


def _year(workspace: Workspace, prepared: Prepared, end: datetime) -> pl.DataFrame:
    frame = open_table(workspace.tables.read(prepared.year))
    asked = frame.filter(pl.col("at").is_between(BEGIN, end, closed="left"))
    return with_ids(asked, DEPLOYMENT)


def _teller(workspace: Workspace, voice: Voice) -> Callable[[], None]:
    """Tells each event of the ledger once, as it is written."""
    position = workspace.ledger.head().seq

    def told() -> None:
        nonlocal position
        for entry in workspace.ledger.read(after=position):
            voice.event(entry)
            position = entry.seq

    return told


def _result(
    workspace: Workspace,
    year: Year,
    months: tuple[Month, ...],
    served: pl.DataFrame,
    voice: Voice,
    *,
    memory_mb: float,
) -> Result:
    entries: list[Entry] = workspace.ledger.read(limit=1_000_000)

    def number(kind: type) -> int:
        return sum(isinstance(entry.event, kind) for entry in entries)

    asked = sum(isinstance(x.event, e.RetrainRequested) and x.event.trigger != "declared" for x in entries)
    # Any prediction would do; this one is chosen by a digest, so that it is the same in every demo and no favourite of ours.
    ids = served["prediction_id"]
    example = ids[int(derive("example"), 16) % len(ids)]
    monthly = len(months) - 1
    return Result(
        deployment=DEPLOYMENT,
        year=year,
        months=months,
        retrainings={"frozen": 0, "blind_recent": monthly, "blind_all": monthly, "noria": asked},
        refusals=number(e.GatesFailed),
        rollbacks=number(e.RolloutRolledBack),
        promotions=sum(isinstance(x.event, e.RolloutPromoted) and x.event.previous is not None for x in entries),
        alerts=number(e.AlertOpened),
        predictions=served.height,
        timings=voice.timings,
        example_prediction=str(example),
        peak_memory_mb=round(memory_mb, 1),
    )


def _peak_mb(pid: int | None = None) -> float:
    """Largest resident size so far of this process, or of another that runs and its children, in MB; 0 where the system does not tell of others.

    What the system keeps of finished children is of no use: a child that was begun without copying its parent counts the parent's size as its own.
    """
    if pid is not None:
        with suppress(OSError, IndexError):
            told = Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmHWM:")[1]
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            return int(told.split()[0]) * 1024 / 1e6 + sum(_peak_mb(int(child)) for child in children)
        return 0.0
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
