"""Threads for an event loop: every result arrives once, where it is awaited, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import threading

import pytest

from noria.server.mlflow.crew import Crew


def test_every_call_gets_its_own_result() -> None:
    crew = Crew(8, "test")

    async def main() -> list[int]:
        return list(await asyncio.gather(*(crew.run(pow, number, 2) for number in range(2000))))

    found = asyncio.run(main())
    crew.close()

    assert found == [number**2 for number in range(2000)]


def test_calls_run_beside_each_other_and_no_more_threads_than_wanted() -> None:
    crew = Crew(4, "test")
    meeting = threading.Barrier(4)  # broken, and an error, unless four are there at once

    async def main() -> None:
        for _ in range(3):
            await asyncio.gather(*(crew.run(meeting.wait, 20) for _ in range(4)))
        await asyncio.gather(*(crew.run(int) for _ in range(100)))

    asyncio.run(main())
    names = {thread.name for thread in threading.enumerate() if thread.name.startswith("test-")}
    crew.close()

    assert names == {f"test-{number}" for number in range(4)}


def test_an_error_is_raised_where_its_call_is_awaited_and_nowhere_else() -> None:
    crew = Crew(2, "test")

    async def main() -> list[int | BaseException]:
        calls = (crew.run(int, text) for text in ("7", "seven", "8"))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    found = asyncio.run(main())
    crew.close()

    assert [found[0], found[2]] == [7, 8]
    assert isinstance(found[1], ValueError)


def test_who_does_not_wait_any_more_harms_nobody() -> None:
    crew = Crew(1, "test")
    gate = threading.Event()

    async def main() -> int:
        waiting = asyncio.create_task(crew.run(gate.wait, 20))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.set()
        return await crew.run(int, "7")

    found = asyncio.run(main())
    crew.close()

    assert found == 7


def test_closing_waits_for_what_is_under_way() -> None:
    crew = Crew(2, "test")
    done: list[int] = []

    async def main() -> None:
        tasks = [asyncio.create_task(crew.run(done.append, number)) for number in range(50)]
        await tasks[-1]

    asyncio.run(main())
    crew.close()

    assert sorted(done) == list(range(50))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("test-")]
