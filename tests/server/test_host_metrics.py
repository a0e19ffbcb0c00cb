"""What is told of the machine is what the system tells others: psutil reads the same, and what a system does not have is left out."""

import os
import shutil
import stat
from pathlib import Path

import psutil
import pytest

from noria.domain.measurement import Family, Histogram, Labels
from noria.server.gpu_metrics import Gpus
from noria.server.host_metrics import host_families, usable_processors
from noria.wire.exposition import expose
from tests.peers.prometheus import lint


def samples(families: list[Family]) -> dict[str, dict[Labels, float | Histogram]]:
    return {family.name: dict(family.samples) for family in families}


def total(held: dict[Labels, float | Histogram]) -> float:
    return sum(value for value in held.values() if not isinstance(value, Histogram))


def laid(root: Path, files: dict[str, str]) -> Path:
    """A machine as its files show it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc")
def test_it_is_what_psutil_says(tmp_path: Path) -> None:
    before = psutil.cpu_times()
    found = samples(host_families(tmp_path / "not yet" / "there"))
    after = psutil.cpu_times()

    modes = {dict(labels)["mode"]: value for labels, value in found["noria_host_cpu_seconds_total"].items()}
    assert before.user <= modes["user"] <= after.user
    assert before.idle - 0.02 <= modes["idle"] <= after.idle + 0.02
    assert found["noria_host_memory_bytes"][()] == psutil.virtual_memory().total
    assert found["noria_host_memory_available_bytes"][()] == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert found["noria_host_disk_bytes"] == {(("disk", "home"),): shutil.disk_usage(tmp_path).total}
    network = {dict(labels)["device"]: value for labels, value in found["noria_host_network_sent_bytes_total"].items()}
    for name, value in network.items():
        assert value <= psutil.net_io_counters(pernic=True, nowrap=False)[name].bytes_sent
    disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    for labels, value in found.get("noria_host_disk_written_bytes_total", {}).items():
        assert value <= disks[dict(labels)["device"]].write_bytes
    assert lint(expose(host_families(tmp_path))) == ""


def test_a_container_of_version_2_has_its_limits(tmp_path: Path) -> None:
    root = laid(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/7\n",
            "sys/fs/cgroup/pod/7/memory.max": "2147483648\n",
            "sys/fs/cgroup/pod/7/memory.current": "1073741824\n",
            "sys/fs/cgroup/pod/7/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/pod/7/cpu.stat": "usage_usec 9000000\nnr_throttled 4\nthrottled_usec 1500000\n",
        },
    )

    found = samples(host_families(root=root))

    assert usable_processors(root=root) == 0.5
    assert total(found["noria_host_limit_memory_bytes"]) == 2 << 30
    assert total(found["noria_host_limit_memory_used_bytes"]) == 1 << 30
    assert total(found["noria_host_throttled_seconds_total"]) == 1.5


def test_a_container_of_version_1_has_its_limits(tmp_path: Path) -> None:
    root = laid(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/pod\n2:cpu,cpuacct:/pod\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1024\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )

    assert usable_processors(root=root) == 0.25
    assert total(samples(host_families(root=root))["noria_host_limit_memory_bytes"]) == 1 << 30


@pytest.mark.parametrize("most", ["max", "9223372036854771712"])
def test_no_limit_is_no_number(tmp_path: Path, most: str) -> None:
    root = laid(
        tmp_path,
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": most, "sys/fs/cgroup/cpu.max": "max 100000"},
    )

    assert "noria_host_limit_memory_bytes" not in samples(host_families(root=root))
    assert usable_processors(root=root) == len(os.sched_getaffinity(0))


def test_pressure_is_in_seconds_and_a_partition_is_no_disk(tmp_path: Path) -> None:
    root = laid(
        tmp_path,
        {
            "proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0 total=1000000\n",
            "proc/diskstats": " 8 0 sda 10 0 8 5 20 0 16 7 0 1500 12\n 8 1 sda1 9 0 7 5 20 0 16 7 0 1500 12\n 7 0 loop0 1 0 1 1 1 0 1 1 0 1 1\n",
            "sys/block/sda/size": "100\n",
        },
    )

    found = samples(host_families(root=root))

    assert found["noria_host_pressure_seconds_total"][("resource", "io"), ("share", "some")] == 2.5
    assert found["noria_host_disk_written_bytes_total"] == {(("device", "sda"),): 16 * 512}
    assert found["noria_host_disk_busy_seconds_total"] == {(("device", "sda"),): 1.5}


def test_a_system_that_tells_nothing_gives_nothing(tmp_path: Path) -> None:
    assert host_families(root=tmp_path) == []


def test_graphics_processors_of_both_makers(tmp_path: Path) -> None:
    program = tmp_path / "some-smi"
    program.write_text('#!/bin/sh\necho "0, NVIDIA L4, 37, 23034, 5021"\necho "1, NVIDIA T4, [N/A], 15360, 0"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    device = "sys/class/drm/card2/device"
    root = laid(tmp_path, {f"{device}/gpu_busy_percent": "80\n", f"{device}/mem_info_vram_total": "1024\n"})
    gpus = Gpus(program=str(program), root=root)

    gpus.families()
    gpus.wait()
    found = samples(gpus.families())

    busy = {dict(labels)["gpu"]: value for labels, value in found["noria_host_gpu_busy_ratio"].items()}
    assert busy == {"0": 0.37, "2": 0.8}
    assert len(found["noria_host_gpu_memory_bytes"]) == 3


def test_a_program_that_fails_leaves_no_old_numbers(tmp_path: Path) -> None:
    program = tmp_path / "some-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    gpus = Gpus(program=str(program), root=tmp_path)

    gpus.families()
    gpus.wait()

    assert gpus.families() == []
