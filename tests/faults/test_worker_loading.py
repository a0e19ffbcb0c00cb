"""Versions that cannot be loaded or do not answer, and a store that is away: what answers goes on answering, and the reason is told once."""

import shutil

import pytest

from noria.app.flavors import Flavors
from noria.app.worker_loader import Loader
from noria.errors import BundleError, ExtraMissing, StoreUnavailable
from noria.serving import desired
from noria.serving.live import Board
from tests.serving.worker_factory import (
    a_home,
    a_worker,
    deployment,
    eventually,
    flights,
    logged,
    open_blobs,
    request_of,
    variant,
)

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore")]

REQUEST = request_of(flights(1))


class Broken:
    """A flavor, and its predictor, that fail where they are told to."""

    name, code_free = "onnx", True

    def __init__(self, *, load=None, answer=None):
        self._load, self._answer = load, answer

    def load(self, folder, signature):
        if self._load is not None:
            raise self._load
        return self

    def predict(self, columns):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def held(tmp_path):
    """(board, blobs, home, challenger): 'late' is published with generation 1."""
    home, _, challenger = a_home(tmp_path)
    return Board(), open_blobs(home), home, challenger


def _loader(held, **given):
    board, blobs, home, _ = held
    return Loader(board, blobs=given.pop("blobs", blobs), cache=home / "cache", **given)


BROKEN = {
    "an exception at load": (Broken(load=RuntimeError("no")), "RuntimeError: no"),
    "a package that is not there": (Broken(load=ExtraMissing("needs the package 'xgboost'")), "xgboost"),
    "an exception at the first request": (Broken(answer=ZeroDivisionError("oops")), "ZeroDivisionError: oops"),
    "an output that is missing": (Broken(answer={}), "no output 'probability'"),
    "an answer of another length": (Broken(answer={"probability": [0.5]}), "for 3 rows"),
    "an answer that is no array": (Broken(answer={"probability": 0.5}), "has shape ()"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_version_that_fails_is_not_put_live_and_the_former_answers(held, case):
    flavor, said = BROKEN[case]
    board, blobs, _, challenger = held
    _loader(held, flavors=Flavors()).step()
    desired.publish(blobs, deployment(variant(challenger, number=2), generation=2))
    loader = _loader(held, flavors={"onnx": flavor})

    loader.step()

    error = board.error("late")
    assert board.get("late").generation == 1
    assert board.ready()
    assert error is not None
    assert said in f"{error} {error.cause}"


def test_a_version_that_fails_its_example_says_so_and_is_not_ready_where_nothing_answered_before(held):
    board, _, _, _ = held
    _loader(held, flavors={"onnx": Broken(answer=ValueError("bad"))}).step()

    error = board.error("late")
    assert isinstance(error, BundleError)
    assert "does not answer its own example" in error.problem
    assert not board.ready()


class Away:
    """A store that can be taken away and brought back."""

    def __init__(self, blobs):
        self._blobs = blobs
        self.is_away = False

    def __getattr__(self, name):
        if self.is_away:
            raise StoreUnavailable("the store is away")
        return getattr(self._blobs, name)


def test_while_the_store_is_away_what_answers_goes_on_and_then_catches_up(held, caplog):
    board, blobs, _, challenger = held
    away = Away(blobs)
    loader = _loader(held, flavors=Flavors(), blobs=away)
    loader.step()

    away.is_away = True
    desired.publish(blobs, deployment(variant(challenger, number=2), generation=2))
    for _ in range(100):
        loader.step()
    during, was_ready = board.get("late").generation, board.ready()
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    away.is_away = False
    loader.step()

    assert (during, was_ready) == (1, True)
    assert board.get("late").generation == 2
    assert len(told) == 1


def test_a_worker_that_finds_no_store_at_the_start_begins_when_it_comes(held, caplog):
    board, blobs, _, _ = held
    away = Away(blobs)
    away.is_away = True
    loader = _loader(held, flavors=Flavors(), blobs=away)
    for _ in range(10):
        loader.step()
    was_ready = board.ready()

    away.is_away = False
    loader.step()

    assert (was_ready, board.ready()) == (False, True)


def test_without_a_store_running_processes_answer_and_record_and_then_follow(tmp_path):
    """The control plane and its store are gone for as long as it takes; nobody who asks for predictions sees it."""
    home, _, challenger = a_home(tmp_path)
    with a_worker(home, "--workers", "2") as worker:
        shutil.move(home / "blobs", tmp_path / "held")
        answered = [worker.infer(REQUEST) for _ in range(50)]
        shutil.rmtree(home / "blobs", ignore_errors=True)
        shutil.move(tmp_path / "held", home / "blobs")
        desired.publish(open_blobs(home), deployment(variant(challenger, number=2), generation=2))

        assert {status for status, _ in answered} == {200}
        eventually(lambda: {worker.infer(REQUEST)[1]["model_version"] for _ in range(10)} == {"2"})
        assert worker.flush()

    ids = {answer["parameters"]["request_id"] for _, answer in answered}
    assert ids <= set(logged(home)["request_id"].to_list())
