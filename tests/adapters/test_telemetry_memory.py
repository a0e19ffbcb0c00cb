"""Telemetry in memory: what is counted is given out, in a format that can be parsed line by line."""

import math
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from noria.adapters.telemetry import memory

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(
    rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? (?P<value>[+-]?(?:Inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?))"
)


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Samples by name and labels. Refuses what promtool refuses: a bad line, a sample before its HELP and TYPE, a series twice, a family apart."""
    assert text.endswith("\n")
    samples: dict[str, dict[str, float]] = {}
    family, kind, families = "", "", []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in families
            assert len(line.split()) > 3
            families.append(family)
            kind_line = next(lines)
            assert kind_line.startswith(f"# TYPE {family} ")
            kind = kind_line.split()[3]
            assert kind in ("counter", "gauge", "histogram")
            assert (kind == "counter") == family.endswith("_total")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        endings = [""] if kind != "histogram" else ["_bucket", "_sum", "_count"]
        assert match["name"] in [family + ending for ending in endings], line
        series = samples.setdefault(match["name"], {})
        assert (match["labels"] or "") not in series
        series[match["labels"] or ""] = float(match["value"])
    return samples


def test_counters_add_up_by_labels() -> None:
    telemetry = memory.open_telemetry()
    telemetry.count("noria_turns_total")
    telemetry.count("noria_turns", 2.5)
    telemetry.count("noria_stages", stage="train", outcome="done")
    telemetry.count("noria_stages", outcome="done", stage="train")

    samples = parsed(telemetry.exposition())

    assert samples["noria_turns_total"] == {"": 3.5}
    assert samples["noria_stages_total"] == {'outcome="done",stage="train"': 2}
    assert samples["noria_telemetry_dropped_total"] == {"": 0}


@pytest.mark.parametrize("name", ["noria_decode_seconds", "noria_body_bytes", "noria_rows"])
def test_a_histogram_counts_every_value_at_or_below_each_edge(name: str) -> None:
    telemetry = memory.open_telemetry()
    edges = memory.buckets(name)
    values = [0.0, edges[0], math.nextafter(edges[0], math.inf), edges[3], edges[-1], edges[-1] * 2, -1.0]
    for value in values:
        telemetry.observe(name, value, route="a")

    samples = parsed(telemetry.exposition())

    buckets = {key.split('le="')[1].rstrip('"'): count for key, count in samples[f"{name}_bucket"].items()}
    assert [float(edge) for edge in buckets] == [*edges, math.inf]
    for edge, count in buckets.items():
        assert count == sum(value <= float(edge) for value in values)
    assert samples[f"{name}_count"] == {'route="a"': len(values)}
    assert samples[f"{name}_sum"]['route="a"'] == pytest.approx(sum(values))


def test_a_gauge_is_what_was_set_last() -> None:
    telemetry = memory.open_telemetry()
    telemetry.set("noria_ledger_entries", 3)
    telemetry.set("noria_ledger_entries", 2)
    telemetry.set("noria_ledger_total", 1)
    telemetry.set("noria_ledger_entries", math.nan)
    telemetry.count("noria_turns")

    samples = parsed(telemetry.exposition())

    assert samples["noria_ledger_entries"] == {"": 2}
    assert samples["noria_telemetry_dropped_total"] == {"": 2}
    assert telemetry.exposition(openmetrics=True).endswith("\n# EOF\n")


def test_odd_names_and_values_stay_parseable() -> None:
    telemetry = memory.open_telemetry()
    telemetry.count("1 odd näme", **{"le": 'a"b\\c\nd', "__name__": "x", "2": "\ud800"})
    telemetry.count("")
    telemetry.observe("", 1e300, **{"": "é"})

    samples = parsed(telemetry.exposition())

    assert samples["_1_odd_n_me_total"] == {'name__="x",of_2="?",of_le="a\\"b\\\\c\\nd"': 1}


def test_what_cannot_be_counted_is_dropped_and_counted() -> None:
    telemetry = memory.open_telemetry()
    telemetry.count("a", -1)
    telemetry.count("a", math.nan)
    telemetry.count("a", math.inf)
    telemetry.observe("b", math.nan)
    telemetry.count("c_total")
    telemetry.observe("c_total", 1.0)

    assert parsed(telemetry.exposition())["noria_telemetry_dropped_total"] == {"": 5}


def test_labels_without_end_do_not_fill_the_memory() -> None:
    telemetry = memory.open_telemetry()
    for number in range(memory.SERIES_LIMIT + 10):
        telemetry.count("requests", user=str(number))
    telemetry.count("requests", user="0")

    samples = parsed(telemetry.exposition())

    assert len(samples["requests_total"]) == memory.SERIES_LIMIT
    assert samples["requests_total"]['user="0"'] == 2
    assert samples["noria_telemetry_dropped_total"] == {"": 10}


def test_threads_lose_no_count() -> None:
    telemetry = memory.open_telemetry()

    def work(_: int) -> None:
        for _ in range(2000):
            telemetry.count("turns")
            telemetry.observe("wait_seconds", 0.01)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    samples = parsed(telemetry.exposition())
    assert samples["turns_total"] == {"": 8000}
    assert samples["wait_seconds_count"] == {"": 8000}
