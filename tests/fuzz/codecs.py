"""Half an hour of bodies that nobody meant, grown by coverage (atheris): no 5xx, no crash, no traceback, no leak.

    pip install atheris
    python -m tests.fuzz.codecs --minutes 30 [--seed 1] [--found DIR]

The corpus of tests/faults/corpus is where it begins. A body that breaks a promise is written to DIR and ends the run: put it into the corpus, mend
what broke. Ends with what was asked, how often each status was answered, and the memory of the process after a tenth of the time and at the end.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["noria.server.inference", "noria.serving", "noria.packaging.signature"]):
    from noria.server.inference.protocols import codecs
    from tests.faults.test_codecs_fuzzed import BODIES, CORPUS, TARGETS, answer_is_in_order
    from tests.server.inference_rig import ONE, PLAIN, TEXT, VECTOR, WIDE, Rig

KINDS = (
    "application/json",
    "text/csv",
    "application/jsonlines",
    "application/vnd.apache.arrow.stream",
    "application/octet-stream",
    "",
)
WHICH = ("late", "wide", "one", "vector", "text")
GROWTH = 1.15
"""A tenth of the time fills what is kept for good; after that memory may grow by this much, which noise of the allocator alone does."""


def memory_mb() -> float:
    """Resident memory of this process, from the kernel."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


class Run:
    """One run: asks, counts, and stops at the first promise that is broken or when the time is over."""

    def __init__(self, minutes: float, found: Path) -> None:
        routes = {"AIP_PREDICT_ROUTE": "/vertex", "AIP_HEALTH_ROUTE": "/vertex-health"}
        signatures = {"late": PLAIN, "wide": WIDE, "one": ONE, "vector": VECTOR, "text": TEXT}
        self.rig = Rig(signatures, codecs=codecs(routes))
        self.begun, self.seconds, self.found = time.monotonic(), minutes * 60, found
        self.asked: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.early_mb = 0.0

    def one(self, data: bytes) -> None:
        """The first bytes choose protocol, model and content type; the rest is the body."""
        elapsed = time.monotonic() - self.begun
        if not self.early_mb and elapsed > self.seconds / 10:
            self.early_mb = memory_mb()
        if elapsed > self.seconds:
            self.end()
        if len(data) < 3:
            return
        name = list(TARGETS)[data[0] % len(TARGETS)]
        which = WHICH[data[1] % len(WHICH)]
        route, more, form = TARGETS[name]
        headers = {"noria-deployment": which, "content-type": KINDS[data[2] % len(KINDS)], **more}
        try:
            answer = self.rig.ask("POST", route.replace("late", which), data[3:], headers)
            self.statuses[answer[0]] += 1
            self.asked[name] += 1
            answer_is_in_order(answer, form)
        except BaseException:
            self.found.mkdir(parents=True, exist_ok=True)
            (self.found / f"{name.replace(' ', '-')}-{time.time_ns()}").write_bytes(data)
            raise
        if sum(self.asked.values()) % 1000 == 0 and self.rig.recorder.flush():
            self.rig.log.records.clear()

    def end(self) -> None:
        """Say what was seen; 1 if memory grew."""
        late_mb = memory_mb()
        told = {
            "minutes": round((time.monotonic() - self.begun) / 60, 1),
            "requests": sum(self.asked.values()),
            "by_protocol": dict(self.asked),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "memory_mb": {"after a tenth": round(self.early_mb, 1), "at the end": round(late_mb, 1)},
        }
        print(json.dumps(told, indent=1), flush=True)
        import os

        os._exit(0 if late_mb <= self.early_mb * GROWTH else 1)  # libFuzzer has no other way to be ended


def seeds(folder: Path) -> None:
    """The corpus and good bodies, each before every protocol."""
    bodies = [path.read_bytes() for path in CORPUS] + [json.dumps(body).encode() for body in BODIES]
    for place, body in enumerate(bodies):
        for target in range(len(TARGETS)):
            (folder / f"{place}-{target}").write_bytes(bytes([target, place % len(WHICH), 0]) + body)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=Path("found"))
    options = parser.parse_args()
    run = Run(options.minutes, options.found)
    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        atheris.Setup(
            [
                sys.argv[0],
                folder,
                f"-seed={options.seed}",
                "-max_len=4096",
                "-rss_limit_mb=4096",
                "-print_final_stats=0",
            ],
            run.one,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
