"""What the system says of a process, under the names that Prometheus clients share: process_cpu_seconds_total and others; and which Noria it is.

Read from /proc at each scrape, so any process can say it of its siblings. Used by the worker's and the control plane's /metrics.
"""

import os
import platform
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from time import time_ns

from noria import __version__
from noria.domain.measurement import Family, Labels

PROC = Path("/proc")


def build_info() -> Family:
    """Which Noria on which Python this is; always 1."""
    labels = (("python", platform.python_version()), ("version", __version__))
    return Family("noria_build_info", "gauge", "The version of Noria and of Python; always 1.", [(labels, 1.0)])


def process_families(pids: Sequence[int] | None = None) -> list[Family]:
    """CPU, memory, file descriptors and start of processes. None: of this one, without a label; else each with its `pid`.

    Empty where there is no /proc. A process that is gone meanwhile is left out.
    """
    found = {
        ((("pid", str(pid)),) if pids is not None else ()): read
        for pid in (pids or [os.getpid()])
        if (read := _read(pid)) is not None
    }
    described = (
        ("process_cpu_seconds_total", "counter", "User and system CPU time spent."),
        ("process_resident_memory_bytes", "gauge", "Memory that is in RAM."),
        ("process_virtual_memory_bytes", "gauge", "Memory that is mapped."),
        ("process_start_time_seconds", "gauge", "Start of the process as a Unix time."),
        ("process_open_fds", "gauge", "Open file descriptors."),
        ("process_max_fds", "gauge", "File descriptors that may be open."),
    )
    families = []
    for place, (name, kind, text) in enumerate(described):
        samples: list[tuple[Labels, float]] = [
            (labels, value) for labels, values in found.items() if (value := values[place]) is not None
        ]
        if samples:
            families.append(Family(name, "counter" if kind == "counter" else "gauge", text, list(samples)))
    return families


def started_ns(pid: int) -> int:
    """When a process began, in nanoseconds since 1970; now, where the system does not tell."""
    values = _read(pid)
    began = None if values is None else values[3]
    return time_ns() if began is None else int(began * 1e9)


def _read(pid: int) -> tuple[float | None, ...] | None:
    """In the order of the families; None for a process that is not there."""
    if sys.platform != "linux":
        return None
    folder = PROC / str(pid)
    try:
        # The name, in brackets, may hold blanks and brackets itself.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        descriptors = sum(1 for _ in (folder / "fd").iterdir())
        limits = (folder / "limits").read_text()
    except OSError:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    user, system, started, virtual, resident = (int(fields[place]) for place in (11, 12, 19, 20, 21))
    limit = next((line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")), "")
    return (
        (user + system) / ticks,
        float(resident * os.sysconf("SC_PAGE_SIZE")),
        float(virtual),
        _boot() + started / ticks,
        float(descriptors),
        float(limit) if limit.isdecimal() else None,
    )


@cache
def _boot() -> int:
    """When the machine started, as a Unix time."""
    lines = (PROC / "stat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
