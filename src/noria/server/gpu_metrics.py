"""What graphics processors say: how busy, how much memory. AMD's by the kernel's files; NVIDIA's by `nvidia-smi`, asked aside so no scrape waits.

Nothing where there is none. Used by the worker's and the control plane's /metrics.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

import msgspec

from noria.domain.measurement import Family, Labels

ASK = ("--query-gpu=index,name,utilization.gpu,memory.total,memory.used", "--format=csv,noheader,nounits")
HELD_S = 10.0
WAIT_S = 5.0
MIB = 1 << 20


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One processor. busy: share of the recent past in which it computed; None: not told. Memory in bytes."""

    index: str
    name: str
    busy: float | None
    memory: float | None
    used: float | None


class Gpus:
    """Those of this machine. The programs of makers take long to answer: they are asked by a thread, at most every ten seconds."""

    def __init__(self, *, program: str = "nvidia-smi", root: Path = Path("/")) -> None:
        self._program = shutil.which(program)
        self._root = root
        self._lock = Lock()
        self._asked = 0.0
        self._thread: Thread | None = None
        self._held: list[Gpu] = []

    def families(self) -> list[Family]:
        """As they are now; NVIDIA's as they were some seconds ago."""
        if self._program is not None:
            with self._lock:
                if (not self._asked or monotonic() - self._asked > HELD_S) and not self._is_asking():
                    self._asked = monotonic()
                    self._thread = Thread(target=self._ask, name="noria-gpus", daemon=True)
                    self._thread.start()
        return gpu_families([*self._held, *kernel_gpus(self._root)])

    def wait(self) -> None:
        """Until an answer that is under way has come."""
        if self._thread is not None:
            self._thread.join()

    def _is_asking(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _ask(self) -> None:
        assert self._program is not None
        try:
            said = subprocess.run([self._program, *ASK], capture_output=True, text=True, timeout=WAIT_S, check=True)
        except (OSError, subprocess.SubprocessError):
            self._held = []  # it cannot be asked any more: rather nothing than what was
        else:
            self._held = read_table(said.stdout)


def read_table(text: str) -> list[Gpu]:
    """What `nvidia-smi` prints; a number that it does not know ('[N/A]') is None.

    >>> read_table("0, NVIDIA L4, 37, 23034, 5021\\n")
    [Gpu(index='0', name='NVIDIA L4', busy=0.37, memory=24152899584.0, used=5264900096.0)]
    """
    found = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 5:
            busy, memory, used = (_number(word) for word in words[2:])
            found.append(
                Gpu(
                    index=words[0],
                    name=words[1],
                    busy=None if busy is None else busy / 100,
                    memory=None if memory is None else memory * MIB,
                    used=None if used is None else used * MIB,
                )
            )
    return found


def kernel_gpus(root: Path) -> list[Gpu]:
    """Those whose driver tells by files: amdgpu."""
    found = []
    for busy in sorted(root.glob("sys/class/drm/card*/device/gpu_busy_percent")):
        device = busy.parent
        share = _read(busy)
        found.append(
            Gpu(
                index=device.parent.name.removeprefix("card"),
                name="amdgpu",
                busy=None if share is None else share / 100,
                memory=_read(device / "mem_info_vram_total"),
                used=_read(device / "mem_info_vram_used"),
            )
        )
    return found


def gpu_families(gpus: Sequence[Gpu]) -> list[Family]:
    """One series each."""
    told = (
        ("noria_host_gpu_busy_ratio", "Share of time in which a graphics processor computed.", "busy"),
        ("noria_host_gpu_memory_bytes", "Memory of a graphics processor.", "memory"),
        ("noria_host_gpu_memory_used_bytes", "Memory of a graphics processor that is taken.", "used"),
    )
    families = []
    for name, text, field in told:
        values: list[tuple[Labels, float | None]] = [
            ((("gpu", gpu.index), ("name", gpu.name)), getattr(gpu, field)) for gpu in gpus
        ]
        samples = [(labels, value) for labels, value in values if value is not None]
        if samples:
            families.append(Family(name, "gauge", text, list(samples)))
    return families


def _read(path: Path) -> float | None:
    try:
        return _number(path.read_text())
    except OSError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
