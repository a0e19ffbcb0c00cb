"""Whatever is done to the record, in any order: memory and SQL answer alike, refuse alike, and hold the same in the end."""

import itertools
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from noria.adapters.metadata import memory, sqlite
from noria.domain.ids import Digest, ExperimentId, RunId, TrainedModelId
from noria.domain.query import Query
from noria.domain.run import Artifact, DatasetUse, Metric, ModelLink, Run, RunBatch, Subject
from noria.domain.trained import TrainedModel
from noria.errors import NoriaError
from noria.ports.metadata import Metadata
from noria.testing.runs_suite import NOON
from noria.wire.nouns import fingerprint

_projects = itertools.count()

RUNS = st.sampled_from(["a", "a", "b"]).map(RunId)
NAMES = st.sampled_from(["trees", "lines", "oaks"])
IDS = st.sampled_from(["1", "1", "2", "7"]).map(ExperimentId)
MODELS = st.sampled_from(["m", "m", "n"]).map(TrainedModelId)
KEYS = st.sampled_from(["k", "l", "k l"])
TEXTS = st.sampled_from(["", "v", "é" * 64, "x" * 65, "0.5"])
PARAMS = st.dictionaries(KEYS, st.sampled_from([1, 1.0, True, None, "1", math.nan, math.inf, -0.0]) | TEXTS, max_size=2)
TAGS = st.dictionaries(KEYS, TEXTS, max_size=2)
CHANGES = st.dictionaries(KEYS, st.none() | TEXTS, max_size=2)
TIMES = st.integers(0, 5).map(lambda minutes: NOON + timedelta(minutes=minutes))
VALUES = st.sampled_from([0.0, -0.0, 0.5, math.nan, math.inf, -math.inf])
POINTS = st.lists(
    st.builds(
        Metric,
        key=KEYS,
        value=VALUES,
        step=st.integers(-1, 2),
        at=TIMES,
        subject=st.none() | st.builds(Subject, model_id=MODELS, dataset=st.sampled_from(["", "d"])),
    ),
    max_size=4,
)
ARTIFACTS = st.lists(
    st.builds(
        Artifact,
        path=st.sampled_from(["f", "f/g", "h/i", "h"]),
        digest=st.sampled_from(["blake3:1", "blake3:2"]).map(Digest),
        size=st.just(1),
    ),
    max_size=2,
)
INPUTS = st.lists(
    st.builds(DatasetUse, name=st.sampled_from(["d", "e"]), digest=st.just("1"), tags=TAGS), max_size=2
).map(tuple)
LINKS = st.lists(st.builds(ModelLink, model_id=MODELS, step=st.integers(0, 1)), max_size=2).map(tuple)
STATUSES = st.sampled_from(["scheduled", "running", "finished", "failed", "killed"])


@dataclass(frozen=True)
class Act:
    """A call of one port."""

    port: str
    method: str
    given: tuple[Any, ...]
    named: dict[str, Any]

    def on(self, store: Metadata) -> object:
        """What comes of it: the answer, or the class of the error."""
        try:
            return fingerprint(getattr(getattr(store, self.port), self.method)(*self.given, **self.named))
        except NoriaError as error:
            return type(error), error.problem


def act(port: str, method: str, *given: Any, **named: Any) -> Any:
    return st.builds(
        lambda given, named: Act(port, method, given, named), st.tuples(*given), st.fixed_dictionaries(named)
    )


def runs() -> Any:
    return st.builds(
        Run,
        id=RUNS,
        experiment=NAMES | st.just(""),
        experiment_id=st.just(ExperimentId("")) | IDS,
        name=st.just("run"),
        status=STATUSES,
        started_at=TIMES,
        params=PARAMS,
        tags=TAGS,
        metrics=st.dictionaries(KEYS, VALUES, max_size=1),
        inputs=INPUTS,
        models_out=LINKS,
        artifacts=ARTIFACTS.map(tuple),
        error=st.sampled_from(["", "bad"]),
    )


def models() -> Any:
    return st.builds(
        TrainedModel,
        id=MODELS,
        experiment_id=IDS,
        name=st.just("model"),
        run_id=st.none() | RUNS,
        created_at=TIMES,
        updated_at=TIMES,
        params=TAGS,
        tags=TAGS,
    )


def batches() -> Any:
    return st.builds(RunBatch, run_id=RUNS, metrics=POINTS, params=PARAMS, tags=TAGS)


MAYBE = st.none() | TIMES
ACTS = st.one_of(
    act("runs", "create", runs()),
    act("runs", "create", runs()),
    act("runs", "log", batches()),
    act("runs", "log_metrics", RUNS, POINTS),
    act("runs", "set_tags", RUNS, CHANGES),
    act("runs", "add_artifacts", RUNS, ARTIFACTS),
    act("runs", "link", RUNS, inputs=INPUTS, models_in=LINKS, models_out=LINKS),
    act("runs", "finish", RUNS, status=STATUSES, at=TIMES, error=st.sampled_from(["", "bad"])),
    act("runs", "amend", RUNS, name=st.none() | st.just("new"), status=st.none() | STATUSES, finished_at=MAYBE),
    act("runs", "trash", st.lists(RUNS, max_size=2), at=MAYBE),
    act("runs", "purge", st.lists(RUNS, max_size=2)),
    act(
        "experiments",
        "create",
        NAMES,
        at=TIMES,
        tags=TAGS,
        artifact_root=st.sampled_from(["", "s3://b/c"]),
        experiment_id=st.none() | IDS,
    ),
    act("experiments", "rename", IDS, NAMES, at=TIMES),
    act("experiments", "set_tags", IDS, CHANGES, at=TIMES),
    act("experiments", "trash", IDS, at=MAYBE),
    act("experiments", "purge", IDS),
    act("trained", "create", models()),
    act("trained", "finish", MODELS, status=st.sampled_from(["pending", "ready", "failed"]), at=TIMES),
    act("trained", "set_tags", MODELS, CHANGES, at=TIMES),
    act("trained", "log_params", MODELS, TAGS, at=TIMES),
    act("trained", "trash", MODELS, at=MAYBE),
    act("trained", "purge", MODELS),
    act("artifacts", "put", ARTIFACTS),
    act("artifacts", "delete", st.sampled_from(["f", "h", "1"])),
)


BEGIN = (
    Act("experiments", "create", ("trees",), {"at": NOON}),
    Act(
        "runs",
        "create",
        (Run(id=RunId("a"), experiment="trees", name="run", status="running", started_at=NOON),),
        {},
    ),
    Act(
        "trained",
        "create",
        (
            TrainedModel(
                id=TrainedModelId("m"),
                experiment_id=ExperimentId("1"),
                run_id=RunId("a"),
                name="model",
                created_at=NOON,
                updated_at=NOON,
            ),
        ),
        {},
    ),
)
"""Something to do things to."""


def state(store: Metadata) -> dict[str, object]:
    """All that can be read."""
    everything = Query(life="all", limit=1000)
    found = store.index.search(everything).items
    return {
        "experiments": fingerprint(store.experiments.search(everything)),
        "runs": [fingerprint(store.runs.get(run.id)) for run in found],
        "series": [
            fingerprint([store.series.history(run.id, head.key) for head in store.series.heads(run.id)])
            for run in found
        ],
        "keys": store.index.keys(),
        "trained": fingerprint(store.trained.search(everything).items),
        "files": store.artifacts.under(""),
        "top": store.artifacts.children(""),
        "digests": set(store.artifacts.digests()),
        "feed": [(change.kind, change.subject, change.detail) for change in store.feed.read()],
        "named": [fingerprint(store.experiments.named(name)) for name in ("trees", "lines", "oaks")],
        "active": store.index.count(Query()),
    }


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("record") / "meta.db")
    kept = sqlite.open_store(path, project="kept")
    yield path
    kept.close()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=st.lists(ACTS, min_size=4, max_size=24))
@example(
    acts=[
        Act("artifacts", "put", ([Artifact(path="f/g", digest=Digest("blake3:1"), size=1)],), {}),
        Act(
            "artifacts",
            "put",
            ([Artifact(path=p, digest=Digest("blake3:1"), size=1) for p in ("f", "f/g")],),
            {},
        ),
    ]
)
@example(
    acts=[
        Act("runs", "log", (RunBatch(run_id=RunId("a"), params={"k": 1.0}),), {}),
        Act(
            "runs",
            "log",
            (
                RunBatch(
                    run_id=RunId("a"),
                    metrics=[Metric(key="k", value=0.0, at=NOON, subject=Subject(model_id=TrainedModelId("n")))],
                    params={"k": 2.0},
                ),
            ),
            {},
        ),
    ]
)
def test_memory_and_sql_answer_and_refuse_alike(path, acts):
    plain = memory.open_store("", project="p")
    stored = sqlite.open_store(path, project=f"p{next(_projects)}")
    try:
        for one in [*BEGIN, *acts]:
            assert one.on(stored) == one.on(plain), one
        assert state(stored) == state(plain)
    finally:
        stored.close()
