"""What every executor must do. Subclass ExecutorSuite in a test module and give it an `executor` fixture.

The functions stand at the top of this module, so that they survive pickling.
"""

from itertools import islice

import pytest

from noria.errors import SettingInvalid, StepFailed, StoreError
from noria.ports.executor import Executor


def square(number: int) -> int:
    """A step's work."""
    return number * number


def square_unless_three(number: int) -> int:
    """A step that fails for one item."""
    if number == 3:
        raise ValueError("three is not squared here")
    return number * number


def refuse(number: int) -> int:
    """A step that fails with one of Noria's own errors."""
    raise SettingInvalid(f"{number} is refused", cause="it always is", remedy="do not ask")


class ExecutorSuite:
    """The laws of ports.executor.Executor."""

    @pytest.fixture
    def executor(self) -> Executor:
        """An open executor; to be given by the subclass, which closes it."""
        raise NotImplementedError

    def test_results_come_in_the_order_of_the_items(self, executor: Executor) -> None:
        assert list(executor.map(square, range(20))) == [n * n for n in range(20)]

    def test_no_items_give_no_results(self, executor: Executor) -> None:
        assert list(executor.map(square, [])) == []

    def test_the_first_error_is_a_failed_step_with_the_original_as_its_cause(self, executor: Executor) -> None:
        results = executor.map(square_unless_three, [1, 2, 3, 4])

        assert list(islice(results, 2)) == [1, 4]
        with pytest.raises(StepFailed, match="three is not squared here") as caught:
            next(results)

        assert isinstance(caught.value.__cause__, ValueError)
        assert "item 3 of 4" in caught.value.problem
        assert caught.value.remedy
        assert list(results) == []

    def test_an_error_of_noria_keeps_its_cause_and_remedy(self, executor: Executor) -> None:
        with pytest.raises(StepFailed) as caught:
            list(executor.map(refuse, [7]))

        original = caught.value.__cause__
        assert isinstance(original, SettingInvalid)
        assert (original.problem, original.cause, original.remedy) == ("7 is refused", "it always is", "do not ask")

    def test_after_an_error_it_takes_new_work(self, executor: Executor) -> None:
        with pytest.raises(StepFailed):
            list(executor.map(refuse, [1]))

        assert list(executor.map(square, [5])) == [25]

    def test_a_closed_executor_takes_no_work(self, executor: Executor) -> None:
        executor.close()
        executor.close()

        with pytest.raises(StoreError):
            executor.map(square, [1])
