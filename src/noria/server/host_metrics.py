"""What the system says of the machine: processors, memory, disks, network, pressure, the limits of a container. Read from /proc at each scrape.

What is held up says pressure: the time in which something could have run and waited for a processor, memory or a disk. Graphics processors are
gpu_metrics. Families are left out where the system does not tell. Used by the worker's and the control plane's /metrics.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from noria.domain.measurement import Family, Histogram, Kind, Labels

SECTOR_BYTES = 512
"""In /proc/diskstats, whatever the disk's own sectors are."""
NOT_A_DISK = ("loop", "ram", "zram", "sr", "fd")
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
NO_LIMIT = 1 << 60
"""Version 1 of control groups writes a number of about this size for 'no limit'."""

Samples = list[tuple[Labels, float | Histogram]]


def host_families(home: Path | None = None, *, root: Path = Path("/")) -> list[Family]:
    """The machine as it is now. home: whose file system is told of as the disk `home`. root: where /proc and /sys are."""
    readers: tuple[Callable[[Path], list[Family]], ...] = (_processors, _memory, _disks, _network, _pressure, _limits)
    found = [family for read in readers for family in read(root)]
    return [*found, *(_space(home) if home is not None else [])]


def usable_processors(*, root: Path = Path("/")) -> float:
    """How many processors this process may use at once: those it may run on, or less where a container is given a share."""
    try:
        allowed = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not every system has affinities
        allowed = float(os.cpu_count() or 1)
    share = _share(root)
    return allowed if share is None else min(allowed, share)


def _processors(root: Path) -> list[Family]:
    first = next(iter(_lines(root / "proc/stat")), "").split()
    if first[:1] != ["cpu"]:
        return []
    ticks = os.sysconf("SC_CLK_TCK")
    spent: Samples = [((("mode", mode),), int(value) / ticks) for mode, value in zip(MODES, first[1:], strict=False)]
    load = next(iter(_lines(root / "proc/loadavg")), "").split()
    return [
        _family("cpu_seconds_total", "counter", "Time of all processors by what they did.", spent),
        _family("processors", "gauge", "Processors that Noria may use at once.", [((), usable_processors(root=root))]),
        _family(
            "load",
            "gauge",
            "Processes that run or wait, on average over so many minutes.",
            [((("minutes", minutes),), float(value)) for minutes, value in zip(("1", "5", "15"), load, strict=False)],
        ),
    ]


def _memory(root: Path) -> list[Family]:
    held = {name.rstrip(":"): int(value) * 1024 for name, value, *_ in _words(root / "proc/meminfo", at_least=2)}
    told = (
        ("memory_bytes", "Memory of the machine.", "MemTotal"),
        ("memory_available_bytes", "Memory that programs could still be given.", "MemAvailable"),
        ("swap_bytes", "Swap of the machine.", "SwapTotal"),
        ("swap_free_bytes", "Swap that is free.", "SwapFree"),
    )
    return [_family(name, "gauge", text, [((), float(held[key]))]) for name, text, key in told if key in held]


def _disks(root: Path) -> list[Family]:
    read: Samples = []
    written: Samples = []
    busy: Samples = []
    whole = {each.name for each in _folder(root / "sys/block")}
    for words in _words(root / "proc/diskstats", at_least=13):
        name = words[2]
        if name.startswith(NOT_A_DISK) or (whole and name not in whole):  # a partition is part of its disk
            continue
        labels = (("device", name),)
        read.append((labels, float(int(words[5]) * SECTOR_BYTES)))
        written.append((labels, float(int(words[9]) * SECTOR_BYTES)))
        busy.append((labels, int(words[12]) / 1000))
    return _kept(
        _family("disk_read_bytes_total", "counter", "Bytes read from a disk.", read),
        _family("disk_written_bytes_total", "counter", "Bytes written to a disk.", written),
        _family("disk_busy_seconds_total", "counter", "Time in which a disk had something to do.", busy),
    )


def _network(root: Path) -> list[Family]:
    received: Samples = []
    sent: Samples = []
    for line in _lines(root / "proc/net/dev"):
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) >= 9 and (int(words[0]) or int(words[8])):
            labels = (("device", name.strip()),)
            received.append((labels, float(words[0])))
            sent.append((labels, float(words[8])))
    return _kept(
        _family("network_received_bytes_total", "counter", "Bytes received.", received),
        _family("network_sent_bytes_total", "counter", "Bytes sent.", sent),
    )


def _pressure(root: Path) -> list[Family]:
    """some: at least one process waited; full: none could run. The kernel counts in microseconds."""
    waited: Samples = []
    for resource in ("cpu", "io", "memory"):
        for share, *rest in _words(root / "proc/pressure" / resource, at_least=2):
            total = next((word.removeprefix("total=") for word in rest if word.startswith("total=")), "")
            if total:
                waited.append(((("resource", resource), ("share", share)), int(total) / 1e6))
    return _kept(_family("pressure_seconds_total", "counter", "Time in which processes waited for a resource.", waited))


def _limits(root: Path) -> list[Family]:
    """Of the control group that this process is in: a container's."""
    most = _number(_group(root, "memory", "memory.max", "memory.limit_in_bytes"))
    used = _number(_group(root, "memory", "memory.current", "memory.usage_in_bytes"))
    throttled = [
        float(value) / (1e6 if name == "throttled_usec" else 1e9)
        for name, value in (line.split()[:2] for line in _group(root, "cpu", "cpu.stat", "cpu.stat").splitlines())
        if name in ("throttled_usec", "throttled_time")
    ]
    families = []
    if most is not None and most < NO_LIMIT:
        families.append(_family("limit_memory_bytes", "gauge", "Memory that the container may have.", [((), most)]))
        if used is not None:
            families.append(_family("limit_memory_used_bytes", "gauge", "Memory that it has.", [((), used)]))
    if throttled and _share(root) is not None:
        text = "Time in which the container was kept from its processors."
        families.append(_family("throttled_seconds_total", "counter", text, [((), throttled[0])]))
    return families


def _share(root: Path) -> float | None:
    """Processors that a container may use at once, or None without a limit."""
    quota, _, period = _group(root, "cpu", "cpu.max", "").partition(" ")
    if not quota:
        quota = _group(root, "cpu", "", "cpu.cfs_quota_us")
        period = _group(root, "cpu", "", "cpu.cfs_period_us")
    allowed, each = _number(quota), _number(period)
    return allowed / each if allowed is not None and each and allowed > 0 else None


def _group(root: Path, controller: str, new: str, old: str) -> str:
    """A file of this process's control group, of version 2 (new) or 1 (old); '' where there is none."""
    place, place_old = "", ""
    for line in _lines(root / "proc/self/cgroup"):
        _, names, path = line.split(":", 2)
        if not names:
            place = path.lstrip("/")
        elif controller in names.split(","):
            place_old = path.lstrip("/")
    top = root / "sys/fs/cgroup"
    places = [top / place / new, top / new] if new else []
    places += [top / controller / place_old / old, top / controller / old] if old else []
    return next((text for each in places if (text := _text(each).strip())), "")


def _space(home: Path) -> list[Family]:
    while not home.exists() and home != home.parent:
        home = home.parent
    try:
        held = shutil.disk_usage(home)
    except OSError:
        return []
    labels = (("disk", "home"),)
    return [
        _family(
            "disk_bytes", "gauge", "Size of the file system with the project's home.", [(labels, float(held.total))]
        ),
        _family("disk_free_bytes", "gauge", "What is free on it.", [(labels, float(held.free))]),
    ]


def _family(name: str, kind: Kind, text: str, samples: Sequence[tuple[Labels, float | Histogram]]) -> Family:
    return Family(f"noria_host_{name}", kind, text, samples)


def _kept(*families: Family) -> list[Family]:
    return [family for family in families if family.samples]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # 'max', or nothing
        return None


def _words(path: Path, *, at_least: int) -> Iterable[list[str]]:
    return (words for line in _lines(path) if len(words := line.split()) >= at_least)


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    """'' where the system does not have the file, or does not show it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _folder(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
