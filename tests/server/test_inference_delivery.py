"""Several versions behind one name: who answers, what is recorded of how it came to that, shadows that nobody sees, and what fails."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from noria.adapters.predictions import memory
from noria.domain.deployment import Variant
from noria.domain.ids import Digest, RolloutId
from noria.domain.model import Field, Signature
from noria.errors import BundleError, RequestInvalid
from noria.packaging.signature import checker, unseen_counter
from noria.server.inference.answering import Answering
from noria.server.inference.app import InferenceApp
from noria.server.inference.metrics import Metrics
from noria.server.inference.v2_facts import index
from noria.serving.batching import Batcher
from noria.serving.live import Board, Live, Served
from noria.serving.record import Recorder
from noria.serving.route import position
from noria.serving.shadow import Shadows, ShadowStatus
from tests.server.inference_rig import _Protocol, _Scope

SIGNATURE = Signature(inputs=(Field(name="x", datatype="FP64"),), outputs=(Field(name="y", datatype="FP64"),))
WIDER = Signature(
    inputs=(Field(name="x", datatype="FP64"), Field(name="z", datatype="FP64")),
    outputs=(Field(name="y", datatype="FP64"),),
)


class Times:
    """Answers x times a factor."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": columns["x"] * self.factor}


class Breaks:
    """Fails, or answers something else."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, columns: Mapping[str, Any]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Waits:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def predict(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        assert self.let.wait(20)
        return {"y": columns["x"]}


def served(
    number: int,
    name: str = "champion",
    *,
    weight: float = 1.0,
    model: Any = None,
    signature: Signature = SIGNATURE,
    **more: Any,
) -> Served:
    variant = Variant(
        name=name,
        model="m",
        number=number,
        version=f"{number}.0.0",
        bundle=Digest(f"{number:064d}"),
        weight=weight,
        shadow=bool(more.pop("shadow", False)),
    )
    predictor = model if model is not None else Times(number)
    return Served(variant, signature, predictor, checker(signature), unseen_counter(signature), "python", **more)


class Room:
    """One deployment `m` in this process, asked over its application."""

    def __init__(self, live: Live, **shadows: Any) -> None:
        self.log = memory.open_store()
        self.recorder = Recorder(lambda name: self.log.writer(name, name="w"), linger_s=0.0)
        self.shadows = Shadows(self.recorder, **shadows)
        self.board = Board()
        self.board.put(live)
        answering = Answering(self.board, self.recorder, Metrics(), shadows=self.shadows)
        self.app = InferenceApp(answering, status=dict, flush=None, shelf=None)  # type: ignore[arg-type]
        self.loop = asyncio.new_event_loop()

    def ask(self, *x: float, **headers: str) -> tuple[int, dict[str, str], Any]:
        body = {"inputs": [{"name": "x", "shape": [len(x)], "datatype": "FP64", "data": list(x)}]}
        content = msgspec.json.encode(body)
        sent = {"content-length": str(len(content)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        protocol = _Protocol(content)
        scope = _Scope("POST", "/v2/models/m/infer", sent)
        self.loop.run_until_complete(self.app.__rsgi__(scope, protocol))
        return protocol.status, protocol.headers, msgspec.json.decode(protocol.content)

    def rows(self, kind: Any = "answer") -> pl.DataFrame:
        assert self.shadows.wait()
        assert self.recorder.flush()
        return pl.DataFrame(self.log.scan("m", kind=kind))

    def close(self) -> None:
        self.shadows.close()
        self.recorder.close()
        self.loop.close()


@pytest.fixture
def room():
    opened: list[Room] = []

    def open_room(live: Live, **shadows: Any) -> Room:
        opened.append(Room(live, **shadows))
        return opened[-1]

    yield open_room
    for each in opened:
        each.close()


def test_a_row_says_by_which_chance_it_was_drawn_and_whether_it_was_asked_for(room):
    both = (served(1, weight=0.75), served(2, "challenger", weight=0.25))
    here = room(Live("m", 3, both, rollout=RolloutId("ro")))

    for n in range(40):
        here.ask(1.0, noria_request_key=f"k{n}")
    here.ask(1.0, noria_variant="challenger")

    rows = here.rows()
    drawn = rows.filter(~pl.col("asked"))
    assert set(drawn.select("variant", "weight", "rollout").rows()) == {
        ("champion", 0.75, "ro"),
        ("challenger", 0.25, "ro"),
    }
    assert rows.filter("asked").select("variant", "weight").rows() == [("challenger", None)]


def test_a_caller_is_kept_by_a_header(room):
    here = room(Live("m", 1, (served(1, weight=0.5), served(2, "b", weight=0.5)), sticky_by="header:X-User"))

    seen = {user: {here.ask(1.0, x_user=user)[1]["noria-variant"] for _ in range(4)} for user in "abcdefgh"}

    assert all(len(variants) == 1 for variants in seen.values())
    assert set.union(*seen.values()) == {"champion", "b"}
    assert {here.ask(1.0)[1]["noria-variant"] for _ in range(60)} == {"champion", "b"}


@pytest.mark.parametrize("loaded", [("b",), ("c",), ()])
def test_the_share_of_what_cannot_be_loaded_is_the_champions_and_nobody_else_moves(room, loaded):
    all_of_them = (served(1, weight=0.4), served(2, "b", weight=0.3), served(3, "c", weight=0.3))
    whole = Live("m", 1, all_of_them)
    here = tuple(s for s in all_of_them if s.variant.name in ("champion", *loaded))
    missing = {n: BundleError("it is broken") for n in ("b", "c") if n not in loaded}
    part = Live("m", 1, here, routes=whole.routes, missing=missing)

    places = [position(f"k{n}", salt="m") for n in range(400)]
    expected = [v if v in ("champion", *loaded) else "champion" for v in (whole.at(p).variant.name for p in places)]

    assert [part.at(p).variant.name for p in places] == expected
    assert part.chance("champion") == pytest.approx(1.0 - 0.3 * len(loaded))


def test_a_shadow_is_asked_what_others_answered_and_nobody_sees_it(room):
    here = room(Live("m", 1, (served(1),), shadows=(served(7, "next", shadow=True),)))

    status, headers, answer = here.ask(2.0, 3.0)

    assert (status, headers["noria-variant"], answer["outputs"][0]["data"]) == (200, "champion", [2.0, 3.0])
    answers, copies = here.rows(), here.rows("shadow")
    assert copies["prediction_id"].to_list() == answers["prediction_id"].to_list()
    assert copies.select("variant", "number", "weight", "out.y").rows() == [
        ("next", 7, 1.0, 14.0),
        ("next", 7, 1.0, 21.0),
    ]
    assert not [name for name in copies.columns if name.startswith("in.")]
    status, _, refusal = here.ask(1.0, noria_variant="next")
    assert status == 400
    assert "it is a shadow" in refusal["error"]


def test_a_shadow_with_a_share_gets_about_that_share_and_always_the_same_requests(room):
    live = Live("m", 1, (served(1),), shadows=(served(7, "next", weight=0.3, shadow=True),))
    copied = []
    for _ in range(2):
        here = room(live, most_waiting=1000)
        for n in range(300):
            here.ask(1.0, noria_request_key=f"k{n}")
        copied.append(set(here.rows("shadow")["request_id"]))

    assert copied[0] == copied[1]
    assert 60 < len(copied[0]) < 120


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (Breaks(RuntimeError("no memory")), "RuntimeError: no memory"),
        (Breaks({"y": np.zeros(3)}), "did not answer as its signature says"),
        (Breaks({}), "did not answer as its signature says"),
    ],
)
def test_a_shadow_that_fails_is_recorded_and_hurts_nobody(room, model, word):
    broken = served(7, "next", model=model, shadow=True)
    here = room(Live("m", 1, (served(1),), shadows=(broken, served(8, "other", shadow=True))))

    assert here.ask(2.0)[0] == 200

    failed = here.rows("failure")
    assert failed.select("variant", "number").rows() == [("next", 7)]
    assert word in failed["error"][0]
    assert here.rows("shadow")["variant"].to_list() == ["other"]


def test_a_shadow_that_takes_other_inputs_is_recorded_as_failing(room):
    here = room(Live("m", 1, (served(1),), shadows=(served(17, "next", signature=WIDER, shadow=True),)))

    assert here.ask(2.0)[0] == 200

    assert "'z'" in here.rows("failure")["error"][0]


def test_a_slow_shadow_delays_no_answer_and_what_it_cannot_take_is_counted(room):
    slow = Waits()
    here = room(Live("m", 1, (served(1),), shadows=(served(7, "next", model=slow, shadow=True),)), most_waiting=3)

    answered = [here.ask(float(n))[0] for n in range(10)]

    assert answered == [200] * 10  # while the shadow has answered none
    assert here.shadows.status().dropped == 7
    slow.let.set()
    assert here.rows("shadow").height == 3
    assert here.rows().height == 10
    assert here.shadows.status() == ShadowStatus(answered=3, dropped=7)


@pytest.mark.parametrize(
    "answer", [RuntimeError("it broke"), {"y": np.zeros(9)}, {"other": np.zeros(1)}], ids=["raises", "rows", "output"]
)
def test_what_a_version_cannot_answer_is_its_failure(room, answer):
    broken = served(2, "challenger", weight=0.5, model=Breaks(answer))
    here = room(Live("m", 1, (served(1, weight=0.5), broken), rollout=RolloutId("ro")))

    statuses = [here.ask(1.0, noria_request_key=f"k{n}")[0] for n in range(30)]

    failed = here.rows("failure")
    assert failed.height == statuses.count(500) > 0
    assert set(failed.select("variant", "rollout", "weight", "in.x").rows()) == {("challenger", "ro", 0.5, 1.0)}
    assert here.rows()["variant"].unique().to_list() == ["champion"]
    assert not [name for name in failed.columns if name.startswith("out.")]


def test_what_the_caller_did_wrong_is_nobodys_failure(room):
    here = room(Live("m", 1, (served(1),)))

    statuses = [here.ask()[0], here.ask(1.0, noria_variant="nobody")[0]]

    assert statuses == [400, 400]
    assert here.rows("failure").is_empty()


def test_a_model_that_will_not_have_what_its_signature_allows_has_failed(room):
    here = room(Live("m", 1, (served(1, model=Breaks(RequestInvalid("the model cannot answer these rows"))),)))

    assert here.ask(1.0)[0] == 400

    assert here.rows("failure").height == 1


def test_a_version_that_refuses_what_its_champion_takes_has_failed(room):
    narrow = served(12, "challenger", weight=0.5, signature=WIDER)
    here = room(Live("m", 1, (served(1, weight=0.5), narrow)))

    statuses = [here.ask(1.0, noria_request_key=f"k{n}")[0] for n in range(30)]

    assert here.rows("failure")["variant"].to_list() == ["challenger"] * statuses.count(400)
    assert statuses.count(400) > 0


def test_a_version_that_does_not_answer_in_time_has_failed(room):
    slow = Waits()
    here = room(Live("m", 1, (served(1, model=slow, batcher=Batcher(slow.predict)),)))

    status, _, _ = here.ask(1.0, x_request_timeout="0.03")

    assert status == 504
    slow.let.set()
    assert here.rows("failure")["variant"].to_list() == ["champion"]
    assert here.rows().is_empty()


def test_what_a_person_stopped_says_so_and_does_not_make_the_worker_unready(room):
    here = room(Live("m", 1, (served(1),)))

    here.board.stop("m", "ana: prices are wrong")

    status, _, answer = here.ask(1.0)
    assert status == 503
    assert "ana: prices are wrong" in answer["error"]
    assert here.board.ready()
    (row,) = index(here.board)
    assert (row["state"], row["reason"]) == ("UNAVAILABLE", "stopped by ana: prices are wrong")
    here.board.put(Live("m", 2, (served(1),)))
    assert here.ask(1.0)[0] == 200
