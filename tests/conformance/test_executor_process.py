"""The process executor against the laws of its port, and what only processes can suffer."""

import os
import signal
from collections.abc import Iterator

import pytest

from noria.adapters.executors.process import ProcessExecutor, open_executor
from noria.errors import SettingInvalid, StepFailed
from noria.ports.executor import Executor
from noria.testing.executor_suite import ExecutorSuite, square


class TestProcessExecutor(ExecutorSuite):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        opened = open_executor(workers=2)
        yield opened
        opened.close()


@pytest.fixture
def pool() -> Iterator[ProcessExecutor]:
    opened = open_executor(workers=1)
    yield opened
    opened.close()


def work_in(_: int) -> int:
    return os.getpid()


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_is_done_in_another_process_that_stays(pool: ProcessExecutor) -> None:
    first, second = pool.map(work_in, [1, 2])
    (third,) = pool.map(work_in, [3])

    assert first == second == third != os.getpid()


def test_a_worker_that_dies_is_a_failed_step_and_the_next_work_gets_a_new_one(pool: ProcessExecutor) -> None:
    with pytest.raises(StepFailed, match="item 1 of 1 was lost: its worker process died"):
        list(pool.map(die, [1]))

    assert list(pool.map(square, [4])) == [16]


def test_what_does_not_pickle_says_so(pool: ProcessExecutor) -> None:
    with pytest.raises(StepFailed) as caught:
        list(pool.map(lambda n: n, [1]))

    assert "must pickle" in caught.value.cause


def test_no_workers_are_refused() -> None:
    with pytest.raises(SettingInvalid):
        open_executor(workers=0)
