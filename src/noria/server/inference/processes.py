"""A worker of several processes: a parent that starts them on one port, watches them, restarts those that crash, and ends them together.

Each process is a whole worker (run) that shares the port by SO_REUSEPORT and writes journals of its own. The parent loads no model and answers no
request, so that nothing a request does can take it down. Called by run.
"""

import contextlib
import json
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from noria.app.worker_group import enter, leave, restarted
from noria.errors import StoreUnavailable
from noria.server.inference.run_options import Options
from noria.server.inference.run_port import START_S, hold_port, printable

BACK_OFF_S = (0.1, 0.5, 2.0, 5.0, 15.0, 30.0)
"""Waits before the first, second, ... restart in a row; the last for all further ones."""
STEADY_S = 60.0
"""A process that lived so long has not crashed in a row."""
INSIST_S = 15.0
"""After this beyond `grace_s` and `drain_s` a process that does not end is killed; its records had 10 s to be written by then."""

log = logging.getLogger(__name__)


@dataclass
class _Slot:
    """A process's place. due: when it is started again, if it is not running."""

    number: int
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    due: float = 0.0
    crashes: int = 0
    answered: bool = False
    said: list[str] = field(default_factory=list)


class Parent:
    """The processes of one worker."""

    def __init__(self, options: Options, *, port: int, folder: Path) -> None:
        self._options, self._port, self._folder = options, port, folder
        self._slots = [_Slot(number) for number in range(options.workers)]
        self._signals = 0
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._woken, False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self.restarts = 0
        self._announced = False

    def run(self) -> None:
        """Until a signal ends it. Raises StoreUnavailable when the processes cannot be started at all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        signal.set_wakeup_fd(self._woken)
        for slot in self._slots:
            self._start(slot)
        try:
            while not self._signals:
                self._look()
        finally:
            self._end()
            signal.set_wakeup_fd(-1)

    def _signalled(self, number: int, frame: object) -> None:
        """Remember it; the second is handed on as well, and ends the processes' waiting."""
        self._signals += 1
        if self._signals > 1:
            self._tell(signal.SIGTERM)

    def _look(self) -> None:
        """Wait for a word, an end or a signal; restart what is due."""
        for key, _ in self._selector.select(timeout=0.2):
            if isinstance(key.data, _Slot):
                self._listen(key.data)
            else:
                os.read(self._wake, 4096)
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is not None:
                self._ended(slot, now)
            elif slot.process is None and now >= slot.due and not self._signals:
                self._start(slot)
            elif slot.process is not None and not slot.answered and now - slot.started > 2 * START_S:
                log.error("process %d of the worker does not answer and is started anew", slot.process.pid)
                slot.process.kill()

    def _start(self, slot: _Slot) -> None:
        options = msgspec.structs.replace(
            self._options, workers=1, port=self._port, group=str(self._folder), slot=slot.number
        )
        slot.process = subprocess.Popen(
            [sys.executable, "-m", "noria.server.inference.run", *options.arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is the parent's, which ends them in order
        )
        slot.started, slot.answered, slot.said = time.monotonic(), False, []
        enter(self._folder, slot.number, slot.process.pid)
        assert slot.process.stdout is not None
        self._selector.register(slot.process.stdout, selectors.EVENT_READ, slot)

    def _listen(self, slot: _Slot) -> None:
        """Read what a process says: one line, when it answers."""
        assert slot.process is not None
        assert slot.process.stdout is not None
        line = slot.process.stdout.readline()
        if not line:
            self._selector.unregister(slot.process.stdout)
        elif line.startswith(b"{"):
            slot.answered = True
            slot.said.append(line.decode())
            self._announce()
        else:
            slot.said.append(line.decode(errors="replace").rstrip())

    def _announce(self) -> None:
        """Say where the worker answers once all its processes do."""
        if self._announced or not all(slot.answered for slot in self._slots):
            return
        self._announced = True
        told = json.loads(self._slots[0].said[-1])
        pids = [slot.process.pid for slot in self._slots if slot.process is not None]
        print(json.dumps({**told, "pid": os.getpid(), "pids": pids}), flush=True)  # noqa: T201

    def _ended(self, slot: _Slot, now: float) -> None:
        """A process has ended unasked: note it, count it, and say when it comes back."""
        assert slot.process is not None
        code, pid = slot.process.returncode, slot.process.pid
        self._forget(slot)
        if not self._announced and not slot.answered:
            raise StoreUnavailable(
                "the worker did not start", cause=f"process {slot.number} ended with code {code}", remedy="see above"
            )
        slot.crashes = 1 if now - slot.started > STEADY_S else slot.crashes + 1
        wait = BACK_OFF_S[min(slot.crashes, len(BACK_OFF_S)) - 1]
        slot.due = now + wait
        self.restarts += 1
        restarted(self._folder, self.restarts)
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        log.error("process %d of the worker ended (%s); restart %d in %g s", pid, how, self.restarts, wait)

    def _forget(self, slot: _Slot) -> None:
        assert slot.process is not None
        for stream in (slot.process.stdin, slot.process.stdout):
            self._close(stream)
        leave(self._folder, slot.number)
        slot.process = None

    def _close(self, stream: IO[bytes] | None) -> None:
        if stream is None:
            return
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(stream)
        with contextlib.suppress(OSError):
            stream.close()

    def _end(self) -> None:
        """Ask all to finish, wait, then insist."""
        self._tell(signal.SIGTERM)
        until = time.monotonic() + self._options.grace_s + self._options.drain_s + INSIST_S
        for slot in self._slots:
            if slot.process is None:
                continue
            try:
                slot.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process %d of the worker did not end and is killed", slot.process.pid)
                slot.process.kill()
                slot.process.wait()
            self._forget(slot)

    def _tell(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is None:
                slot.process.send_signal(number)


def run_group(options: Options) -> None:
    """Serve with several processes until SIGTERM or SIGINT; a second one ends the waiting. Prints {"url": ..., "pids": [...]} when all answer.

    Raises SettingInvalid for a port that is taken, StoreUnavailable when a process cannot be started at all.
    """
    held, port = hold_port(options.host, options.port, shared=False)
    folder = Path(tempfile.mkdtemp(prefix="noria-worker-"))
    (folder / "counts").mkdir()
    try:
        if options.grpc_port == 0:
            grpc_held, grpc_port = hold_port(options.host, 0, shared=False)
            options = msgspec.structs.replace(options, grpc_port=grpc_port)
        else:
            grpc_held = None
        log.info("%d processes on %s:%d", options.workers, printable(options.host), port)
        try:
            Parent(options, port=port, folder=folder).run()
        finally:
            if grpc_held is not None:
                grpc_held.close()
    finally:
        held.close()
        shutil.rmtree(folder, ignore_errors=True)
