"""Runs: what was done is found, what was not is run once, and what changed is named."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.adapters.blobs.memory import open_store as open_blobs
from noria.adapters.executors.inline import open_executor as open_inline
from noria.adapters.executors.process import open_executor as open_process
from noria.adapters.metadata.memory import open_store as open_metadata
from noria.domain.ids import Digest, digest_of
from noria.domain.pipeline import StepResult, StepTask
from noria.errors import Conflict, LeaseLost, NotFound, StepFailed
from noria.pipeline.declare import Pipeline, Step, pipeline, step
from noria.pipeline.run import Input, PipelineRun, run_pipeline
from noria.testing.clock import START, FakeClock

ENV = digest_of(b"environment")


class House:
    """Everything that a run is given, and a list of what really ran."""

    def __init__(self, executor: Any = None) -> None:
        self.metadata = open_metadata("", project="test")
        self.journal = self.metadata.journal
        self.blobs = open_blobs("")
        self.executor = executor or open_inline(workers=1)
        self.clock = FakeClock()

    def run(self, flow: Pipeline, *, holder: str = "me", environment: Digest = ENV, **more: Any) -> PipelineRun:
        return run_pipeline(
            flow,
            journal=self.journal,
            blobs=self.blobs,
            executor=self.executor,
            clock=self.clock,
            holder=holder,
            environment=environment,
            **more,
        )


RAN: list[str] = []


@pytest.fixture
def ran() -> list[str]:
    RAN.clear()
    return RAN


@step
def load(rows: int) -> pl.DataFrame:
    RAN.append("load")
    return pl.DataFrame({"x": range(rows)})


@step
def double(load: pl.DataFrame) -> pl.DataFrame:
    RAN.append("double")
    return load * 2


@step
def total(double: pl.DataFrame, *, plus: int = 0) -> int:
    RAN.append("total")
    return int(double["x"].sum()) + plus


FLOW = pipeline("sums", load, double, total)


def states(run: PipelineRun) -> dict[str, str]:
    return {s.step: s.state for s in run.steps}


def test_results_are_there_by_the_name_of_their_step(ran: list[str]) -> None:
    run = House().run(FLOW, params={"rows": 4})

    assert run["total"] == 12
    assert run["double"]["x"].to_list() == [0, 2, 4, 6]
    assert (run.ran, run.cached) == (3, 0)
    assert [s.why for s in run.steps] == ["first run"] * 3
    with pytest.raises(NotFound, match="'tota'"):
        run["tota"]


def test_a_second_run_runs_nothing(ran: list[str]) -> None:
    house = House()
    first = house.run(FLOW, params={"rows": 4}, run_id="one")
    ran.clear()

    again = house.run(FLOW, params={"rows": 4})

    assert ran == []
    assert (again.ran, again.cached) == (0, 3)
    assert again["total"] == 12
    assert [s.output for s in again.steps] == [s.output for s in first.steps]
    assert {s.why for s in again.steps} == {"found, from run one"}


def test_a_changed_param_runs_its_step_and_what_follows(ran: list[str]) -> None:
    house = House()
    house.run(FLOW, params={"rows": 4, "plus": 1})
    ran.clear()

    run = house.run(FLOW, params={"rows": 4, "plus": 2})

    assert ran == ["total"]
    assert run.steps[2].why == "param plus changed from 1 to 2"
    ran.clear()
    run = house.run(FLOW, params={"rows": 5, "plus": 2})
    assert ran == ["load", "double", "total"]
    assert run.steps[1].why == "result of load changed"


def test_a_result_that_stays_the_same_ends_the_change(ran: list[str]) -> None:
    house = House()

    def flow(floor: int) -> Pipeline:
        @step
        def load(rows: int) -> int:
            return max(rows, floor)

        return pipeline("early", load, Step(function=passed_on, name="next", needs={"value": "load"}))

    house.run(flow(0), params={"rows": 4})
    ran.clear()

    run = house.run(flow(1), params={"rows": 4})

    assert states(run) == {"load": "done", "next": "cached"}
    assert ran == []


def passed_on(value: int) -> int:
    RAN.append("passed_on")
    return value


def test_another_environment_runs_everything(ran: list[str]) -> None:
    house = House()
    house.run(FLOW, params={"rows": 4})

    run = house.run(FLOW, params={"rows": 4}, environment=digest_of(b"other"))

    assert run.ran == 3
    assert run.steps[0].why == "environment changed"


def test_a_failed_step_keeps_the_ones_before_it(ran: list[str]) -> None:
    house = House()

    def flow(broken: bool) -> Pipeline:
        @step
        def total(double: pl.DataFrame) -> int:
            RAN.append("total")
            if broken:
                raise ZeroDivisionError("no rows")
            return 1

        return pipeline("sums", load, double, total)

    with pytest.raises(StepFailed) as caught:
        house.run(flow(True), params={"rows": 4})
    assert "step 'total' of pipeline 'sums' failed: ZeroDivisionError: no rows" in caught.value.problem
    assert "2 steps before it are kept" in caught.value.cause
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    ran.clear()

    run = house.run(flow(False), params={"rows": 4}, holder="somebody else")  # its lease was given back

    assert ran == ["total"]
    assert states(run) == {"load": "cached", "double": "cached", "total": "done"}


def test_a_result_that_cannot_be_kept_fails_its_step() -> None:
    def odd() -> object:
        return object()

    with pytest.raises(StepFailed, match=r"step 'odd'.*cannot be kept"):
        House().run(pipeline("p", odd))


def test_a_step_that_is_never_cached_runs_each_time(ran: list[str]) -> None:
    @step(cache=False)
    def tell() -> int:
        RAN.append("tell")
        return 1

    house, flow = House(), pipeline("p", tell, Step(function=passed_on, name="next", needs={"value": "tell"}))

    for _ in range(2):
        run = house.run(flow)

    assert ran == ["tell", "passed_on", "tell"]
    assert run.steps[0].why == "never cached"


def test_inputs_are_values_digests_or_loaded_only_when_needed(ran: list[str]) -> None:
    house = House()
    loads: list[int] = []
    flow = pipeline("p", double, total)

    def lazy(digest: str) -> Input:
        def read() -> pl.DataFrame:
            loads.append(1)
            return pl.DataFrame({"x": [1, 2]})

        return Input(digest=Digest(digest), load=read)

    assert house.run(flow, inputs={"load": pl.DataFrame({"x": [1, 2]})})["total"] == 6
    assert house.run(flow, inputs={"load": pl.concat([pl.DataFrame({"x": [i]}) for i in (1, 2)])}).ran == 0
    assert house.run(flow, inputs={"load": lazy("blake3:a")})["total"] == 6
    assert house.run(flow, inputs={"load": lazy("blake3:a")}).ran == 0
    assert loads == [1]
    earlier = house.run(FLOW, params={"rows": 3}).steps[0].output
    assert house.run(flow, inputs={"load": earlier})["total"] == 6


SEEN: list[Any] = []


@step
def first() -> dict[str, Any]:
    SEEN.append({"rows": [1, 2]})
    return SEEN[0]


@step
def spoil(first: dict[str, Any]) -> int:
    first["rows"].append(3)
    return 1


@step
def look(first: dict[str, Any], spoil: int) -> int:
    SEEN.append(first)
    return 2


def test_a_step_sees_another_ones_result_as_a_resumed_run_would() -> None:
    SEEN.clear()

    House().run(pipeline("p", first, spoil, look))

    assert SEEN == [{"rows": [1, 2]}, {"rows": [1, 2]}]


def test_each_step_is_told_as_it_ends() -> None:
    told: list[StepResult] = []

    run = House().run(FLOW, params={"rows": 4}, on_step=told.append)

    assert tuple(told) == run.steps


def test_a_lost_result_is_made_again(ran: list[str]) -> None:
    house = House()
    first = house.run(FLOW, params={"rows": 4})
    assert first.steps[1].output is not None
    house.blobs.delete(first.steps[1].output)
    ran.clear()

    again = house.run(FLOW, params={"rows": 4})

    assert ran == ["double"]
    assert again.steps[1].why == "its result is no longer stored"
    assert [s.output for s in again.steps] == [s.output for s in first.steps]


@pytest.mark.parametrize("note", [b"", b"\xff", None])
def test_the_note_of_the_last_run_is_only_a_hint(ran: list[str], note: bytes | None) -> None:
    house = House()
    house.run(FLOW, params={"rows": 4})
    house.blobs.publish("pipelines/sums", note if note is not None else wrong_note(house))
    ran.clear()

    again = house.run(FLOW, params={"rows": 4})

    assert ran == []
    assert again["total"] == 12


def wrong_note(house: House) -> bytes:
    import msgspec

    held = msgspec.msgpack.decode(house.blobs.published("pipelines/sums") or b"")
    return msgspec.msgpack.encode(dict.fromkeys(held, digest_of(b"wrong")))


class Counting:
    """A journal that counts how often it is asked."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.finds = 0

    def find(self, keys: Any) -> Any:
        self.finds += 1
        return self._journal.find(keys)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def a_chain(length: int) -> Pipeline:
    steps = [
        Step(function=passed_on, name=f"s{i}", needs={"value": f"s{i - 1}" if i else "start"}) for i in range(length)
    ]
    return pipeline("chain", *steps)


def test_a_finished_chain_is_found_with_one_question(ran: list[str]) -> None:
    house = House()
    house.run(a_chain(50), inputs={"start": 1})
    house.journal = counting = Counting(house.journal)

    run = house.run(a_chain(50), inputs={"start": 1})

    assert (run.cached, counting.finds) == (50, 1)


def held_by_another(house: House, seconds: float = 30) -> StepTask:
    """Make somebody else hold the first step of FLOW."""
    told: list[StepResult] = []
    probe = House()
    probe.run(FLOW, params={"rows": 4}, on_step=told.append)
    task = StepTask(step="load", cache_key=told[0].cache_key, key_parts={})
    house.journal.lease(task, holder="other", now=house.clock.now(), seconds=seconds)
    return task


def test_a_step_that_another_holds_is_a_conflict_until_the_lease_ends(ran: list[str]) -> None:
    house = House()
    held_by_another(house)
    ran.clear()

    with pytest.raises(Conflict, match="other"):
        house.run(FLOW, params={"rows": 4})
    assert ran == []
    house.clock.advance(seconds=31)

    assert house.run(FLOW, params={"rows": 4}).ran == 3


def test_the_same_holder_goes_on_at_once(ran: list[str]) -> None:
    house = House()
    held_by_another(house)

    assert house.run(FLOW, params={"rows": 4}, holder="other")["total"] == 12


def taking_over(house: House) -> Callable[[], None]:
    """Somebody else takes the step over and finishes it, while this one is at it."""

    def act() -> None:
        (entry,) = house.journal._entries.values()
        house.clock.advance(seconds=60)
        task = StepTask(step=entry.step, cache_key=entry.cache_key, key_parts={})
        taken = house.journal.lease(task, holder="other", now=house.clock.now(), seconds=30)
        house.journal.commit(taken, output=house.blobs.put(b"noria-value-1\nplain\n\x07"), seconds=1.0)

    return act


ACTS: list[Callable[[], None]] = []


@step
def slow() -> int:
    while ACTS:
        ACTS.pop()()
    return 5


def test_a_late_result_does_not_replace_the_one_that_counts() -> None:
    house = House()
    ACTS.append(taking_over(house))

    with pytest.raises(LeaseLost):
        house.run(pipeline("p", slow))

    assert house.run(pipeline("p", slow))["slow"] == 7


def test_a_long_step_gives_signs_of_life() -> None:
    house = House()
    beats: list[datetime] = []

    def wait_for_a_beat() -> None:
        house.clock.advance(seconds=7)
        for _ in range(10_000_000):
            (entry,) = house.journal._entries.values()
            if entry.leased_until >= house.clock.now():
                beats.append(entry.leased_until)
                return

    ACTS.append(wait_for_a_beat)
    house.run(pipeline("p", slow), lease_s=0.03)

    assert beats == [START + timedelta(seconds=7.03)]


def test_steps_run_in_processes_as_they_do_here() -> None:
    executor = open_process(workers=2)
    try:
        house = House(executor)
        flow = pipeline("p", *(Step(function=square, name=f"s{n}", params={"n": n}) for n in range(4)), add)

        run = house.run(flow)

        assert run["add"] == 0 + 1 + 4 + 9
        assert house.run(flow).ran == 0
        with pytest.raises(StepFailed, match="step 's3' of pipeline 'q' failed: ValueError: three"):
            house.run(pipeline("q", *(Step(function=not_three, name=f"s{n}", params={"n": n}) for n in (1, 3, 4))))
    finally:
        executor.close()


def square(n: int) -> int:
    return n * n


def add(s0: int, s1: int, s2: int, s3: int) -> int:
    return s0 + s1 + s2 + s3


def not_three(n: int) -> int:
    if n == 3:
        raise ValueError("three")
    return n


def summed(a: int, b: int = 0, c: int = 0) -> int:
    RAN.append("summed")
    return a + b + c + 1


GRAPH = st.lists(st.sets(st.integers(0, 9), max_size=3), min_size=1, max_size=10)


@settings(max_examples=60, deadline=None)
@given(GRAPH, st.integers(0, 9), st.integers(0, 9))
def test_whatever_was_done_before_the_result_is_that_of_a_fresh_run(
    graph: list[set[int]], broken: int, start: int
) -> None:
    def flow(fails: int | None) -> Pipeline:
        steps = []
        for i, wanted in enumerate(graph):
            needs = [f"s{n}" for n in sorted(wanted) if n < i] or ["start"]
            function = fail if i == fails else summed
            steps.append(Step(function=function, name=f"s{i}", needs=dict(zip("abc", needs, strict=False))))
        roots = any(set(s.needs.values()) == {"start"} for s in steps)
        assert roots
        return pipeline("graph", *steps)

    fresh = House().run(flow(None), inputs={"start": start})
    house = House()
    house.run(flow(None), inputs={"start": start + 1})
    if broken < len(graph):
        with pytest.raises(StepFailed):
            house.run(flow(broken), inputs={"start": start})
    done_before = len([r for r in house.journal._entries.values() if r.state == "done"]) - len(graph)
    RAN.clear()

    run = house.run(flow(None), inputs={"start": start})

    assert [s.output for s in run.steps] == [s.output for s in fresh.steps]
    assert len(RAN) <= len(graph) - max(0, done_before)
    assert house.run(flow(None), inputs={"start": start}).ran == 0


def fail(a: int, b: int = 0, c: int = 0) -> int:
    raise RuntimeError("broken")
