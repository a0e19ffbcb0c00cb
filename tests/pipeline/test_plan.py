"""Plans: wiring by name, an order in which everything exists before it is needed, and clear words for what cannot be planned."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.domain.ids import Digest, digest_of
from noria.domain.pipeline import JournalEntry, StepTask
from noria.errors import InputInvalid
from noria.pipeline.declare import Pipeline, Step, as_step, pipeline, step
from noria.pipeline.plan import explain, lay_out, plan, task_of

ENV = digest_of(b"environment")


def load() -> int:
    return 1


def prepare(load: int, *, scale: float = 2.0) -> float:
    return load * scale


def train(prepare: float, table: int, depth: int) -> float:
    return prepare + table + depth


def passed_on(value: int) -> int:
    return value


def a_step(name: str, *needs: str) -> Step:
    """A step whose single parameter is fed from the first need; the others are wired by a wider function."""
    functions = {0: load, 1: passed_on, 2: lambda a, b: a + b, 3: lambda a, b, c: a + b + c}
    parameters = {0: (), 1: ("value",), 2: ("a", "b"), 3: ("a", "b", "c")}[len(needs)]
    return Step(function=functions[len(needs)], name=name, needs=dict(zip(parameters, needs, strict=True)))


def refusal(flow: Pipeline, **given: object) -> str:
    with pytest.raises(InputInvalid) as caught:
        lay_out(flow, environment=ENV, params=dict(given.get("params", {})), inputs=list(given.get("inputs", ())))  # type: ignore[call-overload]
    assert caught.value.remedy
    return str(caught.value)


def test_parameters_are_filled_by_name() -> None:
    found = plan(pipeline("p", train, prepare, load), environment=ENV, params={"depth": 3}, inputs=["table"])

    assert [s.name for s in found.order] == ["load", "prepare", "train"]
    assert found.order[2].needs == ("prepare",)
    assert found.order[2].params == {"depth": 3}
    assert found.order[1].params == {}  # its default is code


def test_needs_name_other_sources() -> None:
    @step(needs=("load",))
    def double(x: int) -> int:
        return 2 * x

    @step(needs={"left": "double", "right": "load"}, name="sum")
    def add(left: int, right: int) -> int:
        return left + right

    found = plan(pipeline("p", load, double, add), environment=ENV)

    assert [(s.name, s.needs) for s in found.order] == [
        ("load", ()),
        ("double", ("load",)),
        ("sum", ("double", "load")),
    ]
    assert add(1, 2) == 3


def test_one_function_can_be_several_steps() -> None:
    fit = as_step(prepare)
    flow = pipeline("p", load, fit.named("small", scale=1.0), fit.named("large", scale=9.0))

    one, two = plan(flow, environment=ENV).order[1:]

    assert (one.params, two.params) == ({"scale": 1.0}, {"scale": 9.0})
    assert one.code == two.code


@given(st.lists(st.sets(st.integers(0, 14), max_size=3), min_size=1, max_size=15), st.randoms(use_true_random=False))
def test_every_need_stands_before_the_step(needs: list[set[int]], random: object) -> None:
    steps = [a_step(f"s{i}", *(f"s{n}" for n in sorted(wanted) if n < i)) for i, wanted in enumerate(needs)]
    random.shuffle(steps)  # type: ignore[attr-defined]

    order = plan(pipeline("p", *steps), environment=ENV).order

    names = [s.name for s in order]
    assert sorted(names) == sorted(s.name for s in steps)
    assert all(names.index(n) < names.index(s.name) for s in order for n in s.needs)
    assert order == plan(pipeline("p", *steps), environment=ENV).order


def test_a_circle_is_shown_whole() -> None:
    flow = pipeline("p", load, a_step("a", "c"), a_step("b", "a"), a_step("c", "b"))

    assert "a needs c needs b needs a" in refusal(flow)


def test_a_step_that_needs_itself_is_a_circle() -> None:
    assert "a needs a" in refusal(pipeline("p", a_step("a", "a")))


def test_a_parameter_that_nothing_fills_names_near_misses() -> None:
    words = refusal(pipeline("p", load, prepare, train), params={"depht": 3}, inputs=["table"])

    assert "nothing fills parameter 'depth' of step 'train'" in words
    assert "did you mean 'depht'?" in words


def test_what_nobody_takes_is_refused() -> None:
    assert "takes the param 'scal'" in refusal(pipeline("p", load, prepare), params={"scal": 3})
    assert "takes the input 'tabel'" in refusal(pipeline("p", load), inputs=["tabel"])


def test_names_mean_one_thing() -> None:
    assert "two steps named 'load'" in refusal(pipeline("p", load, load))
    assert "both a step" in refusal(pipeline("p", load, prepare), inputs=["load"])
    assert "both an input and a param" in refusal(pipeline("p", prepare), params={"load": 1}, inputs=["load"])
    assert "no steps" in refusal(pipeline("p"))


def test_parameters_must_have_names() -> None:
    def anything(*values) -> None: ...  # type: ignore[no-untyped-def]

    assert "'*values'" in refusal(pipeline("p", anything))
    assert "no parameter 'x'" in refusal(pipeline("p", Step(function=load, name="load", needs={"x": "y"})))


@pytest.mark.parametrize("name", ["", "Train", "a/b", "../a"])
def test_a_pipeline_has_a_plain_name(name: str) -> None:
    with pytest.raises(InputInvalid):
        pipeline(name, load)


def test_only_functions_are_steps() -> None:
    with pytest.raises(InputInvalid):
        as_step(print)
    with pytest.raises(InputInvalid):
        step(needs=("a", "b"))(passed_on)


def key(
    *, outputs: dict[str, str] | None = None, params: dict[str, object] | None = None, env: Digest = ENV
) -> StepTask:
    layout = lay_out(pipeline("p", load, prepare), environment=env, params=params or {}, inputs=())
    found = {name: Digest(digest) for name, digest in (outputs or {"load": "blake3:a"}).items()}
    return task_of(layout.steps[1], found, {})


def test_the_key_covers_results_params_and_the_environment() -> None:
    others = [
        key(outputs={"load": "blake3:b"}),
        key(params={"scale": 1}),
        key(params={"scale": 1.0}),
        key(params={"scale": float("nan")}),
        key(params={"scale": datetime(2013, 1, 1, tzinfo=UTC)}),
        key(env=digest_of(b"other")),
    ]

    assert len({t.cache_key for t in (key(), *others)}) == len(others) + 1
    assert key().cache_key == key().cache_key


def test_a_param_that_cannot_be_addressed_is_refused() -> None:
    assert "cannot be addressed" in refusal(pipeline("p", load, prepare), params={"scale": object()})


def test_a_miss_says_what_changed() -> None:
    def last(task: StepTask) -> JournalEntry:
        at = datetime(2013, 1, 1, tzinfo=UTC)
        known = {"cache_key": task.cache_key, "key_parts": task.key_parts, "step": task.step}
        return JournalEntry(**known, state="done", token=1, holder="h", leased_until=at)

    before = last(key(params={"scale": 1}))

    assert explain(key(), None) == "first run"
    assert explain(key(params={"scale": 2}), before) == "param scale changed from 1 to 2"
    assert explain(key(params={"scale": 1}, outputs={"load": "blake3:b"}), before) == "result of load changed"
    assert explain(key(params={"scale": 1}, env=digest_of(b"x")), before) == "environment changed"
    assert explain(key(), before) == "param scale removed"
    assert explain(key(params={"scale": 1}), before) == "its result is no longer stored"
