"""Several processes count as one: sums are exact at any moment, survive a kill -9, never go back, and what dies leaves no file for ever."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noria.server.inference.limits import Gate, Limits
from noria.server.inference.metrics import BOUNDS_S, Metrics
from noria.server.inference.shared_metrics import SEGMENT_BYTES, Shared
from noria.serving.live import Live
from noria.serving.record import RingStatus
from tests.peers.prometheus import lint

COUNTING = """
import os, sys
from pathlib import Path
from noria.server.inference.shared_metrics import Shared
shared = Shared(Path(sys.argv[1]), os.getpid())
sums, live, least = shared.slots("sums", 2), shared.slots("live", 1, kept="live"), shared.slots("least", 1, kept="least")
sums[0] += float(sys.argv[2]); sums[1] += 1; live[0] = 5; least[0] = float(sys.argv[2])
print("counted", flush=True)
sys.stdin.read()
shared.close()
"""


@contextmanager
def another(folder: Path, amount: float) -> Iterator["subprocess.Popen[str]"]:
    """A process that counts `amount` and lives until the block ends."""
    command = [sys.executable, "-c", COUNTING, str(folder), str(amount)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "counted\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_the_sum_is_that_of_all_processes(tmp_path):
    mine = Shared(tmp_path, os.getpid())
    mine.slots("sums", 2)[0] += 1
    mine.slots("least", 1, kept="least")[0] = 9

    with another(tmp_path, 10) as one, another(tmp_path, 100) as two:
        assert mine.total() == {"sums": [111, 2], "live": [10], "least": [9]}
        assert mine.pids() == sorted([os.getpid(), one.pid, two.pid])


@pytest.mark.parametrize("how", [signal.SIGKILL, None])
def test_what_a_process_counted_outlives_it_and_what_it_held_does_not(tmp_path, how):
    mine = Shared(tmp_path, os.getpid())
    mine.slots("sums", 2)

    with another(tmp_path, 10) as one:
        if how:
            one.send_signal(how)
            one.wait(20)

    assert mine.total() == {"sums": [10, 1]}
    assert mine.pids() == [os.getpid()]


def test_files_of_those_that_are_gone_become_one_and_count_on(tmp_path):
    mine = Shared(tmp_path, os.getpid())
    mine.slots("sums", 2)
    for amount in range(5):
        with another(tmp_path, amount) as one:
            one.kill()
            one.wait(20)
        assert mine.total()["sums"] == [sum(range(amount + 1)), amount + 1]

    last = Shared(tmp_path, os.getpid())

    assert last.total()["sums"] == mine.total()["sums"] == [10, 5]
    assert len(list(tmp_path.glob("*.counts"))) == 1  # mine


def test_a_crash_while_files_become_one_counts_nothing_twice(tmp_path):
    mine = Shared(tmp_path, os.getpid())
    with another(tmp_path, 7) as one:
        one.kill()
        one.wait(20)
    (left,) = (path for path in tmp_path.glob("*.counts") if path.name.startswith(f"{one.pid}-"))
    content = left.read_bytes()
    Shared(tmp_path, os.getpid())
    assert not left.exists()

    left.write_bytes(content)  # as if the process had died between writing the sum and removing the file

    assert mine.total()["sums"] == [7, 1]
    assert Shared(tmp_path, os.getpid()).total()["sums"] == [7, 1]
    assert not left.exists()


def test_more_names_than_a_file_holds_go_into_the_next(tmp_path):
    mine, reader = Shared(tmp_path, os.getpid()), Shared(tmp_path, os.getpid())
    names = [f"series {number}" for number in range(SEGMENT_BYTES // 150)]
    for number, name in enumerate(names):
        mine.slots(name, 18)[17] = number

    assert {name: values[17] for name, values in reader.total().items()} == dict(
        zip(names, range(999999), strict=False)
    )
    assert len(list(tmp_path.glob("*.counts"))) > 1


def test_where_no_file_can_be_made_a_process_counts_for_itself(tmp_path, caplog):
    mine = Shared(tmp_path, os.getpid())
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()

    mine.slots("sums", 1)[0] += 3

    assert mine.total()["sums"] == [3]
    assert "counts from now on is its own" in caplog.text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 100)), max_size=40))
def test_any_way_of_adding_gives_the_same_sums(tmp_path_factory, additions):
    folder = tmp_path_factory.mktemp("counts")
    processes = [Shared(folder, os.getpid()) for _ in range(3)]
    expected: dict[str, list[float]] = {}
    for who, name, amount in additions:
        processes[who].slots(name, 1)[0] += amount
        expected[name] = [expected.get(name, [0.0])[0] + amount]

    assert [process.total() for process in processes] == [expected] * 3
    processes[0].close()
    assert processes[1].total() == expected


def ring(**counts: int) -> RingStatus:
    return RingStatus(**{"depth": 0, "capacity": 10, "written": 0, "dropped": 0, "refused": 0, "failures": 0} | counts)


def test_two_workers_say_the_same_and_promtool_takes_it(tmp_path):
    gate = Gate(Limits())
    both = [Metrics(Shared(tmp_path, os.getpid())) for _ in range(2)]
    for number, metrics in enumerate(both):
        metrics.answered(("late", 1, "champion", "v2"), seconds=0.003, rows=2, unseen=number)
        metrics.carried("late", "v2", received=100, sent=10)
        metrics.refused("late", protocol="v2", status=503, shed=True)
        metrics.observe("noria_model_load_seconds", 0.2, model="late", version="1")
        metrics.follow(
            lambda n=number: ring(depth=n, written=3),  # type: ignore[misc]
            lambda n=number: [Live("late", 4 + n, ())],  # type: ignore[misc]
            gate,
        )
    for metrics in both:
        metrics.close()

    said = [metrics.exposition() for metrics in both]

    def counted(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(("process_", "noria_host_", "#"))]

    assert sorted(counted(said[0])) == sorted(counted(said[1]))
    labels = 'deployment="late",version="1",variant="champion",protocol="v2"'
    for line in (
        f'noria_requests_total{{{labels},status="200"}} 2',
        f'noria_request_seconds_bucket{{{labels},le="0.005"}} 2',
        f"noria_rows_total{{{labels}}} 4",
        f"noria_unseen_values_total{{{labels}}} 1",
        'noria_requests_shed_total{deployment="late",protocol="v2"} 2',
        'noria_request_bytes_total{deployment="late",protocol="v2"} 200',
        'noria_model_load_seconds_count{model="late",version="1"} 2',
        'noria_generation{deployment="late"} 4',
        "noria_ring_rows 1",
        "noria_log_rows_written_total 6",
    ):
        assert line in said[0].splitlines()
    assert lint(said[0]) == ""


def test_a_latency_counts_in_the_bucket_whose_edge_it_does_not_exceed():
    metrics = Metrics()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 99.0):
        metrics.answered(("late", 1, "champion", "v2"), seconds=seconds, rows=1, unseen=0)
        metrics.exemplar(("late", 1, "champion", "v2"), seconds=seconds, trace_id="ab" * 16)

    said = metrics.exposition(openmetrics=True)

    assert 'le="0.0001"} 2 # {trace_id="' + "ab" * 16 in said
    assert 'le="0.00025"} 3 # {' in said
    assert 'le="+Inf"} 4 # {' in said
    assert "trace_id" not in metrics.exposition()


def test_labels_without_end_do_not_fill_the_memory():
    metrics = Metrics()
    for number in range(3000):
        metrics.count("noria_odd_total", user=str(number))

    assert len(metrics.exposition().splitlines()) < 2200
