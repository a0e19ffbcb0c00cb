"""The inline executor against the laws of its port."""

from collections.abc import Iterator

import pytest

from noria.adapters.executors.inline import open_executor
from noria.ports.executor import Executor
from noria.testing.executor_suite import ExecutorSuite


class TestInlineExecutor(ExecutorSuite):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        opened = open_executor(workers=1)
        yield opened
        opened.close()


def test_an_item_runs_when_its_result_is_asked_for() -> None:
    seen: list[int] = []
    results = open_executor(workers=1).map(seen.append, [1, 2])

    next(results)

    assert seen == [1]
